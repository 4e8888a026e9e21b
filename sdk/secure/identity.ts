/** Who a peer is, from its static key. */
import { asciiBytes, toBase32 } from '../base/bytes.ts';
import type { PeerId } from '../base/brand.ts';
import type { CryptoProvider } from './provider.ts';

const LABEL = asciiBytes('lanista id');

/** base32 of the first 10 bytes of SHA-256("lanista id" || static public key). */
export function peerIdOf(publicKey: Uint8Array, crypto: CryptoProvider): PeerId {
  return toBase32(crypto.sha256(LABEL, publicKey).subarray(0, 10)) as PeerId;
}
