/** node:crypto whose draws are written down, so that a `Wiretap` can be given the players' secrets. */
import { nodeCrypto } from '../../sdk/node/crypto-node.ts';
import type { CryptoProvider } from '../../sdk/secure/provider.ts';

export interface RecordedCrypto {
  readonly provider: CryptoProvider;
  /** Secret keys, and whatever else of 32 random bytes was drawn: CPace scalars, shares, room keys. */
  readonly drawn: Uint8Array[];
}

export function createRecordedCrypto(): RecordedCrypto {
  const drawn: Uint8Array[] = [];
  const provider: CryptoProvider = {
    ...nodeCrypto,
    name: 'recorded',
    randomBytes(size) {
      const bytes = nodeCrypto.randomBytes(size);
      if (size === 32) drawn.push(bytes.slice());
      return bytes;
    },
    generateKeyPair() {
      const pair = nodeCrypto.generateKeyPair();
      drawn.push(pair.secretKey.slice());
      return pair;
    },
  };
  return { provider, drawn };
}
