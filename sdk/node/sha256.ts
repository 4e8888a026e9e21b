/** SHA-256 of what is too large to be hashed in one turn. */
import { createHash } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';

/** Hashed in one turn: a millisecond where it is slow. The network waits no longer for it. */
const TURN_BYTES = 256 * 1_024;

export async function sha256(bytes: Uint8Array): Promise<Uint8Array> {
  const hash = createHash('sha256');
  for (let at = 0; at < bytes.length; at += TURN_BYTES) {
    if (at > 0) await turn();
    hash.update(bytes.subarray(at, at + TURN_BYTES));
  }
  return new Uint8Array(hash.digest());
}
