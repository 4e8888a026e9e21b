/** The profile's small files: what is believed, what is kept, who may read it. */
import { chmodSync, linkSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { LanError } from '../sdk/base/errors.ts';
import { toHex } from '../sdk/base/bytes.ts';
import { nodeCrypto } from '../sdk/node/crypto-node.ts';
import { isAlive, openProfile, parseSecretKey } from '../sdk/node/profile.ts';
import { builtModule, scriptFlags } from './built.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

const home = (): string => mkdtempSync(join(tmpdir(), 'lanista-profile-'));
const mode = (path: string): number => statSync(path).mode & 0o777;
/** Which profile somebody gets there now; it is free again afterwards. */
const taken = (at: string): string => {
  const profile = openProfile(nodeCrypto, 'ann', at);
  profile.release();
  return profile.name;
};

describe('locks', () => {
  it('[DI20] a process of somebody else lives, though it may not be asked', () => {
    const answer = (code: string) =>
      vi.spyOn(process, 'kill').mockImplementation(() => {
        throw Object.assign(new Error(code), { code });
      });
    answer('EPERM');
    expect(isAlive(4_711)).toBe(true);
    answer('ESRCH');
    expect(isAlive(4_711)).toBe(false);
  });

  it('[DI20] what names no process holds nothing, and nothing of it is left behind', () => {
    const at = home();
    for (const text of ['0 ', '-1 ', '1.5 ', 'ann', ' ', '{"pid":1}']) {
      writeFileSync(join(at, 'ann.lock'), text);
      expect(taken(at), JSON.stringify(text)).toBe('ann');
      expect(readdirSync(at)).toEqual(['ann.key']);
    }
  });

  it('[DI20] who is about to replace a dead lock is not disturbed, and a lock is its owner’s alone', () => {
    const at = home();
    writeFileSync(join(at, 'ann.lock'), '999999999 ');
    // Somebody died right there, or is at it.
    writeFileSync(join(at, 'ann.lock.999999999_'), '');
    expect(taken(at)).toBe('ann-2');
    expect(readFileSync(join(at, 'ann.lock'), 'utf8')).toBe('999999999 ');
    const profile = openProfile(nodeCrypto, 'bob', at);
    expect([mode(join(at, 'bob.lock')), mode(join(at, 'bob.key'))]).toEqual([0o600, 0o600]);
    profile.release();
  });

  it('[DI20] a process that ends by itself gives its profile back', () => {
    const at = home();
    const script = `
      import { readdirSync } from 'node:fs';
      import { nodeCrypto } from ${builtModule('sdk/node/crypto-node.ts')};
      import { openProfile } from ${builtModule('sdk/node/profile.ts')};
      openProfile(nodeCrypto, 'ann', ${JSON.stringify(at)});
      console.log(readdirSync(${JSON.stringify(at)}).join());`;
    const ran = spawnSync(process.execPath, scriptFlags(script), {
      encoding: 'utf8',
    });
    expect(ran.stdout.trim()).toBe('ann.key,ann.lock');
    expect(readdirSync(at)).toEqual(['ann.key']);
  });

  it('[DI20] two names that are one file, as on a disk that takes `Ann` for `ann`, are two players of one process', () => {
    const at = home();
    const ann = openProfile(nodeCrypto, 'ann', at);
    linkSync(join(at, 'ann.lock'), join(at, 'Ann.lock'));
    symlinkSync('ann.key', join(at, 'Ann.key'));
    const other = openProfile(nodeCrypto, 'Ann', at);
    expect(other.name).toBe('Ann-2');
    expect(toHex(other.identity.publicKey)).not.toBe(toHex(ann.identity.publicKey));
    for (const profile of [ann, other]) profile.release();
  });

  it('[DI20] a thread that was ended gives its profile up after a while, one that lives keeps it', async () => {
    const at = home();
    const url = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href);
    const script = `
      import(${url('../node_modules/tsx/dist/esm/api/index.mjs')}).then(async ({ register }) => {
        register();
        const { nodeCrypto } = await import(${url('../sdk/node/crypto-node.ts')});
        const { openProfile } = await import(${url('../sdk/node/profile.ts')});
        const { name } = openProfile(nodeCrypto, 'ann', ${JSON.stringify(at)});
        require('node:worker_threads').parentPort.postMessage(name);
        setInterval(() => undefined, 1_000);
      });`;
    const worker = new Worker(script, { eval: true });
    expect(await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))).toBe('ann');
    const ages = (ms: number): void => utimesSync(join(at, 'ann.lock'), new Date(Date.now() - ms), new Date(Date.now() - ms));
    ages(19_000);
    expect(taken(at)).toBe('ann-2');
    // One that lives says so every five seconds.
    const before = statSync(join(at, 'ann.lock')).mtimeMs;
    await expect.poll(() => statSync(join(at, 'ann.lock')).mtimeMs > before + 15_000, { timeout: 9_000, interval: 200 }).toBe(true);
    await worker.terminate();
    expect(taken(at)).toBe('ann-2');
    ages(21_000);
    expect(taken(at)).toBe('ann');
  }, 20_000);

  it('[DI20] sixty-four players of one name have a profile each; the next one plays without', () => {
    const at = home();
    const profiles = Array.from({ length: 65 }, () => openProfile(nodeCrypto, 'ann', at));
    const listeners = process.listenerCount('exit');
    profiles[1]!.release();
    profiles[1]!.release();
    expect(process.listenerCount('exit')).toBe(listeners);
    expect([profiles[0]!.name, profiles[63]!.name, profiles[64]!.name]).toEqual(['ann', 'ann-64', '']);
    expect(profiles[64]!.warning).toMatch(/More than 64/);
    expect(new Set(profiles.map(({ identity }) => toHex(identity.publicKey))).size).toBe(65);
    for (const profile of profiles) profile.release();
    expect(readdirSync(at).filter((name) => name.includes('lock'))).toEqual([]);
  });
});

describe('keys', () => {
  it('[DI20] that others could read are its owner’s alone from then on; a new home is, too', () => {
    const at = join(home(), 'new', 'home');
    const first = openProfile(nodeCrypto, 'ann', at);
    first.release();
    expect(mode(at)).toBe(0o700);
    const path = join(at, 'ann.key');
    expect(readdirSync(at)).toEqual(['ann.key']);
    chmodSync(path, 0o644);
    const again = openProfile(nodeCrypto, 'ann', at);
    again.release();
    expect([mode(path), toHex(again.identity.secretKey)]).toEqual([0o600, toHex(first.identity.secretKey)]);
    expect(parseSecretKey(readFileSync(path, 'utf8'))).toEqual(first.identity.secretKey);
  });

  it('[DI20] of another size are none', () => {
    const at = home();
    for (const text of ['', 'ab'.repeat(31), 'ab'.repeat(33), 'x'.repeat(64)]) {
      writeFileSync(join(at, 'ann.key'), text);
      const profile = openProfile(nodeCrypto, 'ann', at);
      profile.release();
      expect([profile.warning, profile.identity.secretKey.length]).toEqual([undefined, 32]);
      expect(readFileSync(join(at, 'ann.key'), 'utf8').trim()).toBe(toHex(profile.identity.secretKey));
    }
  });

  it('[DI20] that cannot be read are left alone, and the profile is free for whoever can', () => {
    const at = home();
    mkdirSync(join(at, 'ann.key'));
    const profile = openProfile(nodeCrypto, 'ann', at);
    expect([profile.name, profile.directory]).toEqual(['', undefined]);
    expect(profile.warning).toMatch(/cannot be used \(EISDIR\)/);
    expect(readdirSync(at)).toEqual(['ann.key']);
    expect(() => profile.renew()).not.toThrow();
    profile.release();
  });

  it('[ME77] a key that somebody else has is forgotten: the next process has another', () => {
    const at = home();
    const profile = openProfile(nodeCrypto, 'ann', at);
    profile.renew();
    expect(readdirSync(at)).toEqual(['ann.lock']);
    profile.renew();
    profile.release();
    const next = openProfile(nodeCrypto, 'ann', at);
    next.release();
    expect(toHex(next.identity.publicKey)).not.toBe(toHex(profile.identity.publicKey));
  });

  it('[DI20] a name is a file’s name, of up to 32 letters', () => {
    const at = home();
    for (const name of ['', '-ann', 'ann/x', 'ann x', 'ann.lock', 'a'.repeat(33), 'änn'])
      expect(() => openProfile(nodeCrypto, name, at), name).toThrow(LanError);
    for (const name of ['a', 'Ann_2-b', 'a'.repeat(32)]) openProfile(nodeCrypto, name, at).release();
    const passing = openProfile(nodeCrypto, false, at);
    expect([passing.name, passing.directory, passing.warning]).toEqual(['', undefined, undefined]);
  });
});
