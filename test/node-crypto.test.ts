/** Which crypto a process takes, when some of it gives wrong answers; and the edges that no published vector has. */
import { spawnSync } from 'node:child_process';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type * as sodium from '../sdk/node/crypto-sodium.ts';
import { nodeCrypto, writeNonce } from '../sdk/node/crypto-node.ts';
import type { Aead, CryptoProvider } from '../sdk/secure/provider.ts';
import { builtModule, scriptFlags } from './built.ts';

type Load = () => Promise<CryptoProvider>;
const given = vi.hoisted(() => ({ native: undefined as Load | undefined, wasm: undefined as Load | undefined, loads: 0 }));
vi.mock('../sdk/node/crypto-sodium.ts', async (original) => {
  const real = await original<typeof sodium>();
  return {
    loadSodiumNative: () => (given.loads++, (given.native ?? real.loadSodiumNative)()),
    loadSodiumWasm: () => (given.wasm ?? real.loadSodiumWasm)(),
  };
});
afterEach(() => Object.assign(given, { native: undefined, wasm: undefined, loads: 0 }));

/** As a process that has just begun. */
async function chosen(prefer?: 'native' | 'wasm' | 'node'): Promise<string> {
  vi.resetModules();
  const { loadCrypto } = await import('../sdk/node/crypto.ts');
  return (await loadCrypto(prefer)).name;
}

describe('choice', () => {
  const named =
    (name: string, part: Partial<CryptoProvider> = {}): Load =>
    async () =>
      ({ ...nodeCrypto, name, ...part }) as CryptoProvider;
  const sealing = (change: (aead: Aead) => Partial<Aead>): Partial<CryptoProvider> => ({
    createAead(key, base) {
      const aead = nodeCrypto.createAead(key, base);
      return { seal: aead.seal.bind(aead), open: aead.open.bind(aead), ...change(aead) };
    },
  });

  it('[SE14] is the fastest that there is; what was asked for comes first, and the others after it', async () => {
    given.native = named('native');
    given.wasm = named('wasm');
    expect([await chosen(), await chosen('wasm'), await chosen('node')]).toEqual(['native', 'wasm', 'node']);
    given.wasm = () => Promise.reject(new Error('no WebAssembly'));
    expect([await chosen('wasm'), await chosen('node')]).toEqual(['native', 'node']);
    given.native = () => Promise.reject(new Error('not installed'));
    expect([await chosen(), await chosen('native')]).toEqual(['node', 'node']);
  });

  it.each<[string, Partial<CryptoProvider>]>([
    ['seals something else', sealing((aead) => ({ seal: (counter, ...more) => aead.seal(counter + 1, ...more) }))],
    [
      'seals and opens something else',
      sealing((aead) => ({
        seal: (counter, ...more) => aead.seal(counter + 1, ...more),
        open: (counter, ...more) => aead.open(counter + 1, ...more),
      })),
    ],
    ['says another size', sealing((aead) => ({ seal: (...how) => aead.seal(...how) - 1 }))],
    ['opens to something else', sealing((aead) => ({ open: (...how) => (aead.open(...how) < 0 ? -1 : (how[3].fill(0), how[2].length - 16)) }))],
    ['opens what was forged', sealing((aead) => ({ open: (...how) => (aead.open(...how), how[2].length - 16) }))],
    ['has other public keys', { publicKey: (secretKey) => nodeCrypto.publicKey(secretKey).reverse() }],
    ['agrees on another secret', { dh: (secretKey, theirs) => nodeCrypto.dh(secretKey, theirs)?.reverse() }],
    ['agrees on none', { dh: () => undefined }],
    [
      'ends in an error',
      {
        createAead: () => {
          throw new Error('illegal instruction');
        },
      },
    ],
  ])('[SE14] passes over one that %s', async (_what, part) => {
    given.native = named('native', part);
    given.wasm = named('wasm');
    expect(await chosen()).toBe('wasm');
    given.wasm = named('wasm', part);
    expect(await chosen()).toBe('node');
  });

  it('[SE14] is made once in a process', async () => {
    given.native = named('native');
    vi.resetModules();
    const { loadCrypto } = await import('../sdk/node/crypto.ts');
    expect(new Set(await Promise.all([loadCrypto(), loadCrypto(), loadCrypto('native')])).size).toBe(1);
    expect(given.loads).toBe(1);
  });
});

describe('edges', () => {
  it('[SE12] a nonce holds the whole counter, up to 2^48 - 1, and what it is combined with', () => {
    const nonce = (counter: number, base?: Uint8Array): string => {
      const bytes = new Uint8Array(14).fill(9);
      writeNonce(bytes, 1, counter, base);
      expect([bytes[0], bytes[13]]).toEqual([9, 9]);
      return Buffer.from(bytes.subarray(1, 13)).toString('hex');
    };
    expect(nonce(0)).toBe('000000000000000000000000');
    expect(nonce(0x0102_0304)).toBe('000000000403020100000000');
    expect(nonce(2 ** 32)).toBe('000000000000000001000000');
    expect(nonce(2 ** 40 + 3)).toBe('000000000300000000010000');
    expect(nonce(2 ** 48 - 1)).toBe('00000000ffffffffffff0000');
    expect(
      nonce(
        1,
        Uint8Array.from({ length: 12 }, (_, i) => i + 1),
      ),
    ).toBe('0102030404060708090a0b0c');
  });

  it('[SE15] every provider refuses what is shorter than a tag, keys of another size, and texts that differ in length', async () => {
    const real = await vi.importActual<typeof sodium>('../sdk/node/crypto-sodium.ts');
    const providers = [nodeCrypto];
    for (const load of [real.loadSodiumWasm, real.loadSodiumNative])
      await load().then(
        (one) => providers.push(one),
        () => undefined,
      );
    expect(providers.length).toBeGreaterThan(1);
    for (const crypto of providers) {
      const aead = crypto.createAead(new Uint8Array(32));
      for (let size = 0; size < 16; size++)
        expect(aead.open(0, new Uint8Array(0), new Uint8Array(size), new Uint8Array(16), 0), crypto.name).toBe(-1);
      const { publicKey, secretKey } = crypto.generateKeyPair();
      for (const size of [0, 31, 33]) {
        expect(crypto.dh(secretKey, new Uint8Array(size).fill(9)), crypto.name).toBeUndefined();
        expect(crypto.dh(new Uint8Array(size).fill(9), publicKey), crypto.name).toBeUndefined();
      }
      expect([crypto.equal(new Uint8Array(3), new Uint8Array(4)), crypto.equal(new Uint8Array(3), new Uint8Array(3))]).toEqual([false, true]);
    }
  });

  it('[SE15] more ciphers than there are places for keys, and memory that moves, change nothing', async () => {
    const real = await vi.importActual<typeof sodium>('../sdk/node/crypto-sodium.ts');
    const wasm = await real.loadSodiumWasm();
    const key = (i: number): Uint8Array => new Uint8Array(32).fill(i + 1);
    const sealed = (crypto: CryptoProvider, i: number, aead = crypto.createAead(key(i))): string => {
      const out = new Uint8Array(116);
      aead.seal(i, key(i), new Uint8Array(100).fill(i), out, 0);
      return Buffer.from(out).toString('hex');
    };
    const aeads = Array.from({ length: 150 }, (_, i) => wasm.createAead(key(i)));
    for (let round = 0; round < 2; round++) for (const [i, aead] of aeads.entries()) expect(sealed(wasm, i, aead)).toBe(sealed(nodeCrypto, i));
    const wrapper = (await import('libsodium-wrappers')).default as unknown as { libsodium: { HEAPU8: Uint8Array; _malloc(size: number): number } };
    const before = wrapper.libsodium.HEAPU8;
    wrapper.libsodium._malloc(48 * 1_024 * 1_024);
    expect(before.byteLength).toBe(0);
    for (const [i, aead] of aeads.entries()) expect(sealed(wasm, i, aead)).toBe(sealed(nodeCrypto, i));
  });
});

it('[SE16] a process that makes keys without end goes on, whenever the collector runs', () => {
  const script = `
    import { nodeCrypto } from ${builtModule('sdk/node/crypto-node.ts')};
    for (let i = 0; i < 20_000; i++) nodeCrypto.generateKeyPair();
    console.log('went on');`;
  const { stdout } = spawnSync(process.execPath, ['--max-semi-space-size=1', ...scriptFlags(script)], {
    encoding: 'utf8',
    timeout: 30_000,
    killSignal: 'SIGKILL',
  });
  expect(stdout).toBe('went on\n');
}, 60_000);
