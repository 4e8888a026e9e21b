/** How a message is sealed in the link benchmark: by each provider, or not at all. */
import { copyBytes } from '../../../sdk/base/bytes.ts';
import { nodeCrypto } from '../../../sdk/node/crypto-node.ts';
import { loadSodiumNative, loadSodiumWasm } from '../../../sdk/node/crypto-sodium.ts';
import type { CryptoProvider } from '../../../sdk/secure/provider.ts';

/** Copies instead of sealing; the tag stays what it was. Handshakes are real. */
const noSeal: CryptoProvider = {
  ...nodeCrypto,
  name: 'none',
  createAead: () => ({
    seal(_counter, _ad, plain, out, at, from = 0, to = plain.length) {
      copyBytes(plain, from, to, out, at);
      return to - from + 16;
    },
    open(_counter, _ad, sealed, out, at, from = 0, to = sealed.length) {
      copyBytes(sealed, from, to - 16, out, at);
      return to - from - 16;
    },
  }),
};

export const PROVIDERS = {
  none: () => Promise.resolve(noSeal),
  node: () => Promise.resolve(nodeCrypto),
  wasm: loadSodiumWasm,
  native: loadSodiumNative,
} as const;

export type Sealing = keyof typeof PROVIDERS;
