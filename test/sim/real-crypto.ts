/**
 * Real primitives for a simulation: the fastest provider of this machine (all of them give the same
 * bytes), with keys and random bytes from the seed, and every nonce written down. A tenth of the seeds runs on it, to know that the stand-in hides nothing.
 */
import type { Rng } from '../../sdk/base/rng.ts';
import { loadCrypto } from '../../sdk/node/crypto.ts';
import type { CryptoProvider } from '../../sdk/secure/provider.ts';
import type { NonceRegistry } from '../../sdk/testing/index.ts';

const real = await loadCrypto();

export function createRealCrypto(rng: Rng, nonces: NonceRegistry): CryptoProvider {
  const randomBytes = (size: number): Uint8Array => Uint8Array.from({ length: size }, () => rng.u32() >>> 13);
  return {
    ...real,
    name: 'seeded',
    randomBytes,
    generateKeyPair: () => {
      const secretKey = randomBytes(32);
      return { secretKey, publicKey: real.publicKey(secretKey) };
    },
    createAead: (key, nonceBase) => {
      const aead = real.createAead(key, nonceBase);
      const record = nonces.track(key);
      return {
        open: aead.open.bind(aead),
        seal: (counter, ...rest) => {
          nonces.seal(record, counter);
          return aead.seal(counter, ...rest);
        },
      };
    },
  };
}
