/** What other operating systems answer, and machines in a bad way: their error codes are put in by hand. */
import { spawn, spawnSync } from 'node:child_process';
import type * as fs from 'node:fs';
import type * as os from 'node:os';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir, uptime } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';

import { nodeCrypto } from '../sdk/node/crypto-node.ts';
import { LocalRegistry, localDirectory } from '../sdk/node/discovery/local.ts';
import type { LanInterface } from '../sdk/node/discovery/interfaces.ts';
import { MulticastSender } from '../sdk/node/discovery/multicast-sender.ts';
import { openProfile } from '../sdk/node/profile.ts';
import { builtFile, builtModule, scriptFlags } from './built.ts';

/** Whether this machine gives a process ids of its own. */
const maySplit = spawnSync('unshare', ['-pf', '--mount-proc', 'true']).status === 0;

const trouble = vi.hoisted(() => ({ hasNoUser: false, hasNoProc: false, remove: undefined as string | undefined }));
afterEach(() => Object.assign(trouble, { hasNoUser: false, hasNoProc: false, remove: undefined }));

vi.mock('node:os', async (original) => {
  const real = await original<typeof os>();
  const known =
    <T>(call: () => T) =>
    (): T => {
      if (trouble.hasNoUser) throw Object.assign(new Error('ENOENT'), { code: 'ERR_SYSTEM_ERROR' });
      return call();
    };
  return { ...real, homedir: known(() => real.homedir()), userInfo: known(() => real.userInfo()) };
});

vi.mock('node:fs', async (original) => {
  const real = await original<typeof fs>();
  const remove: typeof real.rmSync = (path, options) => {
    if (trouble.remove !== undefined) throw Object.assign(new Error(trouble.remove), { code: trouble.remove });
    real.rmSync(path, options);
  };
  const seen =
    <A extends [unknown, ...unknown[]], T>(call: (...how: A) => T) =>
    (...how: A): T => {
      if (trouble.hasNoProc && String(how[0]).startsWith('/proc/')) throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' });
      return call(...how);
    };
  return { ...real, rmSync: remove, readFileSync: seen(real.readFileSync), readlinkSync: seen(real.readlinkSync) };
});

const lan = (name: string, address: string): LanInterface => ({
  name,
  address,
  netmask: '255.255.255.0',
  broadcast: address.replace(/\d+$/, '255'),
  kind: 'lan',
  rank: 0,
});

const failure = (code: string): Error => Object.assign(new Error(code), { code });

/** A socket with the membership rules of one system. */
class Group {
  readonly members = new Set<string>();
  readonly #again: string;
  readonly #max: number;

  constructor(again: string, max = Number.POSITIVE_INFINITY) {
    this.#again = again;
    this.#max = max;
  }

  addMembership(_group: string, address: string): void {
    if (this.members.has(address)) throw failure(this.#again);
    if (this.members.size >= this.#max) throw failure('ENOBUFS');
    this.members.add(address);
  }

  dropMembership(_group: string, address: string): void {
    if (!this.members.delete(address)) throw failure('EADDRNOTAVAIL');
  }
}

describe('multicast memberships', () => {
  it.each(['EADDRINUSE', 'EADDRNOTAVAIL'])('[DI11] joining again each second is no trouble where the system calls it %s', (again) => {
    const drops: string[] = [];
    const sender = new MulticastSender({ onState: () => undefined, onDrop: (reason) => drops.push(reason) });
    sender.use(new Group(again) as never);
    const nics = [lan('Ethernet', '192.168.1.7')];
    expect(sender.setInterfaces(nics)).toBe(true);
    expect(sender.setInterfaces(nics)).toBe(false);
    expect(sender.reasons()).toEqual([]);
    expect(drops).toEqual([]);
  });

  it('[DI11] an interface that cannot be joined at all is still told', () => {
    const sender = new MulticastSender({ onState: () => undefined, onDrop: () => undefined });
    const socket = {
      addMembership: () => {
        throw failure('EADDRNOTAVAIL');
      },
    };
    sender.use(socket as never);
    expect(sender.setInterfaces([lan('Ethernet', '192.168.1.7')])).toBe(false);
    expect(sender.setInterfaces([lan('Ethernet', '192.168.1.7')])).toBe(false);
    expect(sender.reasons()).toHaveLength(1);
  });

  it('[DI31] a tunnel that carries no multicast is no trouble beside a LAN that works, and is told when there is nothing else', () => {
    const sender = new MulticastSender({ onState: () => undefined, onDrop: () => undefined });
    const tunnel: LanInterface = { ...lan('wg0', '10.9.0.2'), kind: 'virtual', rank: 3 };
    let from = '';
    sender.use({
      addMembership: () => undefined,
      dropMembership: () => undefined,
      setMulticastInterface: (address: string) => void (from = address),
      send: (_bytes: Uint8Array, _port: number, _host: string, done: (error: Error | null) => void) =>
        done(from === tunnel.address ? failure('ENOKEY') : null),
    } as never);
    sender.setInterfaces([lan('wlan0', '192.168.1.7'), tunnel]);
    sender.sendEach(
      () => new Uint8Array(1),
      () => undefined,
    );
    expect(sender.reasons()).toEqual([]);
    sender.setInterfaces([tunnel]);
    expect(sender.reasons()).toEqual(['Sending on wg0 fails (ENOKEY).']);
  });

  it('[DI2] interfaces that come and go for days leave no memberships behind', () => {
    const sender = new MulticastSender({ onState: () => undefined, onDrop: () => undefined });
    const group = new Group('EADDRINUSE', 20);
    sender.use(group as never);
    const stays = lan('wlan0', '192.168.1.7');
    for (let i = 1; i <= 30; i++) {
      sender.setInterfaces([stays, lan(`br-${i}`, `172.20.${i}.1`)]);
      expect(group.members.size).toBe(2);
      sender.setInterfaces([stays]);
    }
    expect(sender.reasons()).toEqual([]);
  });
});

describe('files of a process', () => {
  const temporary = (): string => mkdtempSync(join(tmpdir(), 'lanista-platform-'));

  it('[DI20] a user that the system does not know plays without a home', () => {
    trouble.hasNoUser = true;
    vi.stubEnv('LANISTA_HOME', '');
    vi.stubEnv('XDG_CONFIG_HOME', undefined);
    const profile = openProfile(nodeCrypto);
    vi.unstubAllEnvs();
    expect(profile.directory).toBeUndefined();
    expect(profile.warning).toMatch(/cannot be used/);
    expect(localDirectory()).toContain('lanista');
  });

  it.each(['EBUSY', 'EPERM', 'EROFS'])('[DI20] a file that cannot be removed (%s) keeps nobody from leaving', (code) => {
    const at = temporary();
    const registry = new LocalRegistry(join(at, 'local'));
    const profile = openProfile(nodeCrypto, 'ann', join(at, 'home'));
    registry.publish({ host: '127.0.0.1', port: 29_798 });
    trouble.remove = code;
    expect(() => registry.unpublish()).not.toThrow();
    expect(() => profile.release()).not.toThrow();
    trouble.remove = undefined;
    const again = openProfile(nodeCrypto, 'ann', join(at, 'home'));
    expect(again.name).toBe('ann');
    again.release();
  });

  it('[DI10] a registry whose directory was cleaned away is there again with the next room', () => {
    const directory = join(temporary(), 'local');
    const registry = new LocalRegistry(directory);
    rmSync(directory, { recursive: true });
    expect(registry.read()).toEqual([]);
    registry.publish({ host: '127.0.0.1', port: 29_798 });
    expect(registry.reasons()).toEqual([]);
    expect(readdirSync(directory)).toHaveLength(1);
    registry.unpublish();
  });

  it('[DI10] containers that share the folder, and have process ids of their own, leave each other’s rooms there, and nothing of one that was killed for long', () => {
    const directory = join(temporary(), 'local');
    const registry = new LocalRegistry(directory);
    const theirs = join(directory, '17-29799@4026599999.json');
    // No process here has this id.
    writeFileSync(theirs, JSON.stringify({ pid: 4_194_303, host: '127.0.0.1', port: 29_799 }));
    const ago = (path: string, ms: number): void => utimesSync(path, new Date(Date.now() - ms), new Date(Date.now() - ms));
    ago(theirs, 10_000);
    expect(registry.read()).toEqual([{ host: '127.0.0.1', port: 29_799 }]);
    ago(theirs, 21_000);
    expect([registry.read(), readdirSync(directory)]).toEqual([[], []]);
    // And who is there says so, whatever became of its file.
    vi.useFakeTimers({ now: Date.now(), toFake: ['Date'] });
    registry.publish({ host: '127.0.0.1', port: 29_798 });
    const [name] = readdirSync(directory) as [string];
    ago(join(directory, name), 60_000);
    vi.setSystemTime(Date.now() + 5_000);
    registry.read();
    expect(Date.now() - statSync(join(directory, name)).mtimeMs).toBeLessThan(100);
    rmSync(join(directory, name));
    vi.setSystemTime(Date.now() + 5_000);
    registry.read();
    expect(readdirSync(directory)).toEqual([name]);
    vi.useRealTimers();
    registry.unpublish();
    expect(readdirSync(directory)).toEqual([]);
  });

  it.runIf(maySplit)('[DI10] a process with process ids of its own is found by others, and they by it', () => {
    const directory = join(temporary(), 'local');
    const registry = new LocalRegistry(directory);
    registry.publish({ host: '127.0.0.1', port: 29_798 });
    const script = `
      import { LocalRegistry } from ${JSON.stringify(new URL('../sdk/node/discovery/local.ts', import.meta.url).href)};
      const registry = new LocalRegistry(${JSON.stringify(directory)});
      console.log(registry.read().map(({ port }) => port).join());
      registry.publish({ host: '127.0.0.1', port: 29799 });
      process.kill(process.pid, 'SIGKILL');`;
    const node = [process.execPath, '--conditions=@lanista/source', '--import', 'tsx', '--input-type=module', '-e', script];
    const ran = spawnSync('unshare', ['-pf', '--mount-proc', 'sh', '-c', '"$@"', 'sh', ...node], { encoding: 'utf8' });
    expect(ran.stdout.trim()).toBe('29798');
    expect(registry.read()).toEqual([{ host: '127.0.0.1', port: 29_799 }]);
    registry.unpublish();
  });

  it('[DI20] machines that share one home are not one player, and one that is gone for good keeps nothing', () => {
    const at = temporary();
    const mine = openProfile(nodeCrypto, 'ann', at);
    const lock = readFileSync(join(at, 'ann.lock'), 'utf8');
    mine.release();
    expect(lock.split(' ')).toHaveLength(3);
    // No process of ours has this id.
    writeFileSync(join(at, 'ann.lock'), `4194303 1 not-${lock.split(' ')[2]}`);
    const beside = openProfile(nodeCrypto, 'ann', at);
    expect(beside.name).toBe('ann-2');
    beside.release();
    const lastMonth = new Date(Date.now() - 30 * 24 * 3_600_000);
    utimesSync(join(at, 'ann.lock'), lastMonth, lastMonth);
    const again = openProfile(nodeCrypto, 'ann', at);
    expect(again.name).toBe('ann');
    again.release();
  });

  it('[DI20] containers that share a home and a name are not one player, and one that was killed keeps nothing for long', () => {
    const at = temporary();
    const path = join(at, 'ann.lock');
    const mine = openProfile(nodeCrypto, 'ann', at);
    const [, , host] = readFileSync(path, 'utf8').split(' ');
    mine.release();
    const ago = (ms: number): void => utimesSync(path, new Date(Date.now() - ms), new Date(Date.now() - ms));
    const name = (): string => {
      const profile = openProfile(nodeCrypto, 'ann', at);
      profile.release();
      return profile.name;
    };
    writeFileSync(path, `1 1 ${host!.split('/')[0]}/4026599999`);
    ago(10_000);
    expect(name()).toBe('ann-2');
    ago(60_000);
    expect(name()).toBe('ann');
    // Of another machine nobody knows whether it sleeps.
    writeFileSync(path, `1 1 not-${host!.split('/')[0]}/4026599999`);
    ago(60_000);
    expect(name()).toBe('ann-2');
  });

  it.runIf(maySplit)('[DI20] two processes with process ids of their own take two profiles of one home, for as long as both run', async () => {
    const at = temporary();
    const script = `
      import { nodeCrypto } from ${builtModule('sdk/node/crypto-node.ts')};
      import { openProfile } from ${builtModule('sdk/node/profile.ts')};
      console.log(openProfile(nodeCrypto, 'ann', ${JSON.stringify(at)}).name);
      process.stdin.on('end', () => process.exit()).resume();`;
    const node = [process.execPath, ...scriptFlags(script)];
    const children: ReturnType<typeof spawn>[] = [];
    const names: string[] = [];
    for (let i = 0; i < 2; i++) {
      const child = spawn('unshare', ['-pf', '--mount-proc', ...node], { stdio: ['pipe', 'pipe', 'inherit'] });
      children.push(child);
      names.push(await new Promise<string>((resolve) => child.stdout!.once('data', (text: Buffer) => resolve(text.toString().trim()))));
    }
    for (const child of children) child.stdin!.end();
    await Promise.all(children.map((child) => new Promise((resolve) => child.once('exit', resolve))));
    expect(names).toEqual(['ann', 'ann-2']);
  });

  it('[DI20] where nobody tells when a process began, a lock from before the system was started is nobody’s', () => {
    trouble.hasNoProc = true;
    const at = temporary();
    const path = join(at, 'ann.lock');
    const mine = openProfile(nodeCrypto, 'ann', at);
    const lock = readFileSync(path, 'utf8');
    mine.release();
    expect(lock).toMatch(new RegExp(`^${process.pid}  `));
    // After a power cut the process that had the lock is gone, and its id is that of another one.
    writeFileSync(path, lock.replace(String(process.pid), String(process.ppid)));
    const startedAt = Date.now() - uptime() * 1_000;
    const name = (ms: number): string => {
      utimesSync(path, new Date(startedAt + ms), new Date(startedAt + ms));
      const profile = openProfile(nodeCrypto, 'ann', at);
      profile.release();
      return profile.name;
    };
    // Clocks are set by a little when a system has started.
    expect([name(300_000), name(-30_000)]).toEqual(['ann-2', 'ann-2']);
    expect(name(-300_000)).toBe('ann');
  });

  it('[DI20] a game that is open for days keeps its profile from other machines, and takes none back that one of them has', () => {
    const at = temporary();
    const path = join(at, 'ann.lock');
    vi.useFakeTimers();
    const mine = openProfile(nodeCrypto, 'ann', at);
    // A whole second: what a disk keeps of less differs.
    const lastWeek = new Date(Math.floor(Date.now() / 1_000) * 1_000 - 7 * 24 * 3_600_000);
    utimesSync(path, lastWeek, lastWeek);
    vi.advanceTimersByTime(3 * 3_600_000);
    expect(Date.now() - statSync(path).mtimeMs).toBeLessThan(4 * 3_600_000);
    // It slept for days, and another machine could not know that it would wake.
    writeFileSync(path, '4194303 1 another-machine');
    utimesSync(path, lastWeek, lastWeek);
    vi.advanceTimersByTime(3 * 3_600_000);
    expect(statSync(path).mtimeMs).toBe(lastWeek.getTime());
    mine.release();
    expect(readFileSync(path, 'utf8')).toBe('4194303 1 another-machine');
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });

  it('[DI20] a dozen players in one process are one listener of its end', () => {
    const at = temporary();
    const before = process.listenerCount('exit');
    const profiles = Array.from({ length: 12 }, () => openProfile(nodeCrypto, 'ann', at));
    const registries = profiles.map(() => new LocalRegistry(join(at, 'local')));
    registries.forEach((registry, i) => registry.publish({ host: '127.0.0.1', port: 29_798 + i }));
    expect(process.listenerCount('exit') - before).toBe(1);
    for (const profile of profiles) profile.release();
    for (const registry of registries) registry.unpublish();
    expect(process.listenerCount('exit')).toBe(before);
  });
});

it('[DI37] `lanista browse` ends without a word when nobody reads it any more', async () => {
  const main = builtFile('sdk/node/cli/main.ts');
  const flags = ['browse', '--interface', '127.0.0.1', '--json', '--seconds', '20'];
  const child = spawn(process.execPath, [main, ...flags]);
  child.stdout.destroy();
  let words = '';
  child.stderr.on('data', (text: Buffer) => (words += text.toString()));
  const code = await new Promise((resolve) => child.once('close', resolve));
  expect([code, words]).toEqual([0, '']);
}, 15_000);
