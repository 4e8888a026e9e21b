/**
 * The stateless cookie: proof that a HELLO's sender receives at the address it claims.
 *
 * ```
 * cookie 20 bytes = t u32 | HMAC-SHA256(secret_k, host, port, initiator's cid, t) first 16 bytes
 * ```
 * `t` is in units of 250 ms since this object was made. Secrets change every minute and two are kept, so nothing is
 * stored per source and a cookie is worthless after `COOKIE_LIFE_MS`.
 */
import { asciiBytes, ByteWriter } from '../base/bytes.ts';
import type { CryptoProvider } from './provider.ts';

export const COOKIE_BYTES = 20;

/** A cookie older than this is refused: long enough for every retransmission, short for a thief. */
export const COOKIE_LIFE_MS = 10_000;

const SECRET_LIFE_MS = 60_000;
const UNIT_MS = 250;

export class CookieJar {
  readonly #crypto: CryptoProvider;
  readonly #start: number;
  #secret: Uint8Array;
  #previous: Uint8Array;
  #rotateAt: number;

  constructor(now: number, crypto: CryptoProvider) {
    this.#crypto = crypto;
    this.#start = now;
    this.#secret = crypto.randomBytes(32);
    this.#previous = this.#secret;
    this.#rotateAt = now + SECRET_LIFE_MS;
  }

  issue(now: number, host: string, port: number, cid: Uint8Array): Uint8Array {
    this.#rotate(now);
    return this.#make(this.#secret, Math.floor((now - this.#start) / UNIT_MS), host, port, cid);
  }

  verify(now: number, cookie: Uint8Array, host: string, port: number, cid: Uint8Array): boolean {
    if (cookie.length !== COOKIE_BYTES) return false;
    this.#rotate(now);
    const t = ((cookie[0]! << 24) | (cookie[1]! << 16) | (cookie[2]! << 8) | cookie[3]!) >>> 0;
    const ageMs = now - this.#start - t * UNIT_MS;
    if (ageMs < -UNIT_MS || ageMs > COOKIE_LIFE_MS) return false;
    return (
      this.#crypto.equal(cookie, this.#make(this.#secret, t, host, port, cid)) ||
      this.#crypto.equal(cookie, this.#make(this.#previous, t, host, port, cid))
    );
  }

  #rotate(now: number): void {
    if (now < this.#rotateAt) return;
    this.#previous = this.#secret;
    this.#secret = this.#crypto.randomBytes(32);
    this.#rotateAt = now + SECRET_LIFE_MS;
  }

  #make(secret: Uint8Array, t: number, host: string, port: number, cid: Uint8Array): Uint8Array {
    const stamp = new ByteWriter(8).u32(t).u16(port).copy();
    const tag = this.#crypto.hmacSha256(secret, stamp, cid, asciiBytes(host));
    const out = new Uint8Array(COOKIE_BYTES);
    out.set(stamp.subarray(0, 4));
    out.set(tag.subarray(0, 16), 4);
    return out;
  }
}
