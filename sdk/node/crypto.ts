/**
 * Which crypto this process uses: the fastest that loads and gives right answers here. node:crypto
 * is always there, so choosing never fails.
 */
import { equalBytes } from '../base/bytes.ts';
import type { CryptoProvider } from '../secure/provider.ts';
import { nodeCrypto } from './crypto-node.ts';
import { loadSodiumNative, loadSodiumWasm } from './crypto-sodium.ts';

export type CryptoChoice = 'native' | 'wasm' | 'node';

/** Fastest first. */
const ORDER: readonly CryptoChoice[] = ['native', 'wasm', 'node'];

const LOADERS: Readonly<Record<CryptoChoice, () => Promise<CryptoProvider>>> = {
  native: loadSodiumNative,
  wasm: loadSodiumWasm,
  node: () => Promise.resolve(nodeCrypto),
};

/** True when `crypto` seals, opens, refuses and agrees on keys exactly as node:crypto does. */
function agrees(crypto: CryptoProvider): boolean {
  const key = Uint8Array.from({ length: 32 }, (_, i) => i);
  const other = Uint8Array.from({ length: 32 }, (_, i) => 255 - i);
  const ad = key.subarray(0, 11);
  const plain = Uint8Array.from({ length: 100 }, (_, i) => i * 7);
  const counter = 2 ** 40 + 3;
  const sealed = new Uint8Array(116);
  const expected = new Uint8Array(116);
  const opened = new Uint8Array(100);
  const aead = crypto.createAead(key);
  nodeCrypto.createAead(key).seal(counter, ad, plain, expected, 0);
  if (aead.seal(counter, ad, plain, sealed, 0) !== 116 || !equalBytes(sealed, expected)) return false;
  if (aead.open(counter, ad, sealed, opened, 0) !== 100 || !equalBytes(opened, plain)) return false;
  sealed[50]! ^= 1;
  if (aead.open(counter, ad, sealed, opened, 0) !== -1) return false;
  const theirs = nodeCrypto.publicKey(other);
  const shared = crypto.dh(key, theirs);
  return equalBytes(crypto.publicKey(other), theirs) && shared !== undefined && equalBytes(shared, nodeCrypto.dh(key, theirs) ?? new Uint8Array(0));
}

/** What each choice came to in this process; loading one takes some ten ms. */
const loaded = new Map<CryptoChoice, Promise<CryptoProvider | undefined>>();

async function load(choice: CryptoChoice): Promise<CryptoProvider | undefined> {
  try {
    const crypto = await LOADERS[choice]();
    return choice === 'node' || agrees(crypto) ? crypto : undefined;
  } catch {
    return undefined; // Not installed, no build for this platform, or no WebAssembly.
  }
}

/**
 * The fastest provider that works here: `sodium-native` where the user installed it, else libsodium's WebAssembly to
 * seal packets and node:crypto to agree on keys (whichever is faster at each), else node:crypto for everything.
 * Never rejects.
 * @param prefer tried first; when it does not work, the others follow, fastest first.
 */
export async function loadCrypto(prefer?: CryptoChoice): Promise<CryptoProvider> {
  const order = prefer === undefined ? ORDER : [prefer, ...ORDER.filter((choice) => choice !== prefer)];
  for (const choice of order) {
    let crypto = loaded.get(choice);
    if (crypto === undefined) loaded.set(choice, (crypto = load(choice)));
    const works = await crypto;
    if (works !== undefined) return works;
  }
  return nodeCrypto;
}
