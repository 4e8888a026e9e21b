/**
 * Crypto comes from outside: node:crypto, libsodium, or (in the simulator) a checking stand-in.
 * Nothing in this project implements a primitive.
 */

/** Raw X25519 keys, 32 bytes each. Neither array is written to once it is here: providers remember what they made of it. */
export interface KeyPair {
  readonly publicKey: Uint8Array;
  readonly secretKey: Uint8Array;
}

/** One direction's cipher. `seal` and `open` never allocate more than the output. */
export interface Aead {
  /**
   * ChaCha20-Poly1305 (RFC 8439 §2.8) with nonce = 4 zero bytes then `counter` as 64-bit
   * little-endian (Noise rev 34 §12.3). Seals `plain[plainOffset..plainEnd)` (the whole by default),
   * writes that many bytes and 16 more at `out[outOffset]`, returns how many.
   * @param counter 0 to 2^48 - 1; the caller never repeats one under a key.
   */
  seal(counter: number, ad: Uint8Array, plain: Uint8Array, out: Uint8Array, outOffset: number, plainOffset?: number, plainEnd?: number): number;
  /**
   * Opens `sealed[sealedOffset..sealedEnd)` (the whole by default). Returns the plaintext length written
   * at `out[outOffset]`, or -1 when the tag does not fit. Never throws.
   */
  open(counter: number, ad: Uint8Array, sealed: Uint8Array, out: Uint8Array, outOffset: number, sealedOffset?: number, sealedEnd?: number): number;
}

export interface CryptoProvider {
  readonly name: string;
  randomBytes(size: number): Uint8Array;
  sha256(...parts: readonly Uint8Array[]): Uint8Array;
  sha512(...parts: readonly Uint8Array[]): Uint8Array;
  hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array;
  generateKeyPair(): KeyPair;
  /** X25519 public key of a 32-byte secret. */
  publicKey(secretKey: Uint8Array): Uint8Array;
  /** X25519; undefined when the result is all zero (low-order point) or a key is malformed. */
  dh(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined;
  /** @param nonceBase 12 bytes combined with each nonce by exclusive or (as in RFC 8446 §5.3); zero by default. */
  createAead(key: Uint8Array, nonceBase?: Uint8Array): Aead;
  /** Constant-time comparison. */
  equal(a: Uint8Array, b: Uint8Array): boolean;
}
