/**
 * The stateless cookie: proof that a HELLO's sender receives at the address it claims.
 *
 * ```
 * cookie 20 bytes = t u32 | first 16 bytes of SHA-256(block)
 * block 104 bytes = secret_k[32] | t u32 | port u16 | initiator's nonce[8] | host's length u8 | host, zero padded[57]
 * ```
 * `t` is in units of 250 ms since this object was made. Secrets change every minute and two are kept, so nothing is
 * stored per source and a cookie is worthless after `COOKIE_LIFE_MS`; `t` says which of the two to look with.
 *
 * A flood makes us compute one tag per datagram, so it has to be cheap: one hash of one block, a tenth of what an
 * HMAC costs here. The secret stands first and the block has one length, so no tag leads to the tag of a longer
 * block, which is all that HMAC's second pass would prevent.
 */
import type { CryptoProvider } from './provider.ts';

export const COOKIE_BYTES = 20;

/** A cookie older than this is refused: long enough for every retransmission, short for a thief. */
export const COOKIE_LIFE_MS = 10_000;

const SECRET_LIFE_MS = 60_000;
const UNIT_MS = 250;
/** Units under one secret. */
const UNITS_PER_SECRET = SECRET_LIFE_MS / UNIT_MS;

const SECRET_BYTES = 32;
const TIME_AT = SECRET_BYTES;
const PORT_AT = TIME_AT + 4;
const NONCE_AT = PORT_AT + 2;
const HOST_AT = NONCE_AT + 8;
/** An IPv6 address with its zone, or `~` and a peer id; what is longer is cut. */
const MAX_HOST_BYTES = 57;

export class CookieJar {
  readonly #crypto: CryptoProvider;
  readonly #start: number;
  /** By the secret's number modulo 2: the current one and the one before. */
  readonly #secrets: Uint8Array[];
  #current = 0;
  readonly #block = new Uint8Array(HOST_AT + 1 + MAX_HOST_BYTES);

  constructor(now: number, crypto: CryptoProvider) {
    this.#crypto = crypto;
    this.#start = now;
    this.#secrets = [crypto.randomBytes(SECRET_BYTES), crypto.randomBytes(SECRET_BYTES)];
  }

  issue(now: number, host: string, port: number, nonce: Uint8Array): Uint8Array {
    this.#rotate(now);
    const t = Math.floor((now - this.#start) / UNIT_MS);
    const out = new Uint8Array(COOKIE_BYTES);
    out[0] = t >>> 24;
    out[1] = t >>> 16;
    out[2] = t >>> 8;
    out[3] = t;
    out.set(this.#tag(t, host, port, nonce), 4);
    return out;
  }

  verify(now: number, cookie: Uint8Array, host: string, port: number, nonce: Uint8Array): boolean {
    if (cookie.length !== COOKIE_BYTES) return false;
    this.#rotate(now);
    const t = ((cookie[0]! << 24) | (cookie[1]! << 16) | (cookie[2]! << 8) | cookie[3]!) >>> 0;
    const ageMs = now - this.#start - t * UNIT_MS;
    if (ageMs < 0 || ageMs > COOKIE_LIFE_MS) return false;
    return this.#crypto.equal(cookie.subarray(4), this.#tag(t, host, port, nonce));
  }

  /** Replaces secrets whose time is over. Two are enough: a cookie lives a sixth of a secret's time. */
  #rotate(now: number): void {
    const current = Math.floor((now - this.#start) / SECRET_LIFE_MS);
    for (let next = Math.max(this.#current + 1, current - 1); next <= current; next++)
      this.#secrets[next & 1] = this.#crypto.randomBytes(SECRET_BYTES);
    this.#current = Math.max(this.#current, current);
  }

  #tag(t: number, host: string, port: number, nonce: Uint8Array): Uint8Array {
    const block = this.#block;
    block.set(this.#secrets[Math.floor(t / UNITS_PER_SECRET) & 1]!);
    block[TIME_AT] = t >>> 24;
    block[TIME_AT + 1] = t >>> 16;
    block[TIME_AT + 2] = t >>> 8;
    block[TIME_AT + 3] = t;
    block[PORT_AT] = port >>> 8;
    block[PORT_AT + 1] = port;
    block.set(nonce, NONCE_AT);
    const size = Math.min(host.length, MAX_HOST_BYTES);
    block[HOST_AT] = host.length;
    for (let i = 0; i < MAX_HOST_BYTES; i++) block[HOST_AT + 1 + i] = i < size ? host.charCodeAt(i) : 0;
    return this.#crypto.sha256(block).subarray(0, COOKIE_BYTES - 4);
  }
}
