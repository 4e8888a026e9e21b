/** Crypto by node:crypto: always there. Every call goes through OpenSSL. */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  hash,
  randomBytes,
  timingSafeEqual,
  type KeyObject,
} from 'node:crypto';
import type { Aead, CryptoProvider, KeyPair } from '../secure/provider.ts';

const TAG = { authTagLength: 16 } as const;

// Raw keys go in and out as JSON Web Keys (RFC 8037): OpenSSL's decoders of ASN.1 take ten times as long.
const X25519 = { kty: 'OKP', crv: 'X25519' } as const;

const toText = (raw: Uint8Array): string => Buffer.from(raw.buffer, raw.byteOffset, raw.length).toString('base64url');
const fromText = (text: string | undefined): Uint8Array => Uint8Array.from(Buffer.from(text ?? '', 'base64url'));
const publicKey = (raw: Uint8Array): KeyObject => createPublicKey({ key: { ...X25519, x: toText(raw) }, format: 'jwk' });

/**
 * Imported secret keys: an import costs as much as what is computed with the key, and a handshake uses each three
 * times. An array's entry goes with the array, which is never written to (`KeyPair`).
 */
const imported = new WeakMap<Uint8Array, KeyObject>();

function privateKey(raw: Uint8Array): KeyObject {
  let key = imported.get(raw);
  if (key === undefined) {
    // `x` has to be there, and is not looked at.
    key = createPrivateKey({ key: { ...X25519, x: '', d: toText(raw) }, format: 'jwk' });
    imported.set(raw, key);
  }
  return key;
}

const publicOf = (secretKey: Uint8Array): Uint8Array => fromText(privateKey(secretKey).export({ format: 'jwk' }).x);

/**
 * Writes the nonce of Noise rev 34 §12.3: four zero bytes, then the counter as 64-bit little-endian;
 * all of it combined with `base`, where there is one.
 */
export function writeNonce(to: Uint8Array, at: number, counter: number, base: Uint8Array | undefined): void {
  const high = Math.floor(counter / 0x1_0000_0000);
  to[at] = to[at + 1] = to[at + 2] = to[at + 3] = 0;
  to[at + 4] = counter;
  to[at + 5] = counter >>> 8;
  to[at + 6] = counter >>> 16;
  to[at + 7] = counter >>> 24;
  to[at + 8] = high;
  to[at + 9] = high >>> 8;
  to[at + 10] = high >>> 16;
  to[at + 11] = high >>> 24;
  if (base !== undefined) for (let i = 0; i < 12; i++) to[at + i]! ^= base[i]!;
}

class NodeAead implements Aead {
  readonly #key: Uint8Array;
  readonly #base: Uint8Array | undefined;
  readonly #nonce = Buffer.alloc(12);

  constructor(key: Uint8Array, nonceBase?: Uint8Array) {
    this.#key = Uint8Array.from(key);
    this.#base = nonceBase;
  }

  seal(counter: number, ad: Uint8Array, plain: Uint8Array, out: Uint8Array, outOffset: number, plainOffset = 0, plainEnd = plain.length): number {
    const size = plainEnd - plainOffset;
    writeNonce(this.#nonce, 0, counter, this.#base);
    const cipher = createCipheriv('chacha20-poly1305', this.#key, this.#nonce, TAG);
    cipher.setAAD(ad, { plaintextLength: size });
    out.set(cipher.update(size === plain.length ? plain : plain.subarray(plainOffset, plainEnd)), outOffset);
    cipher.final();
    out.set(cipher.getAuthTag(), outOffset + size);
    return size + 16;
  }

  open(counter: number, ad: Uint8Array, sealed: Uint8Array, out: Uint8Array, outOffset: number, sealedOffset = 0, sealedEnd = sealed.length): number {
    const size = sealedEnd - sealedOffset - 16;
    if (size < 0) return -1;
    writeNonce(this.#nonce, 0, counter, this.#base);
    const decipher = createDecipheriv('chacha20-poly1305', this.#key, this.#nonce, TAG);
    decipher.setAAD(ad, { plaintextLength: size });
    decipher.setAuthTag(sealed.subarray(sealedOffset + size, sealedEnd));
    const plain = decipher.update(sealed.subarray(sealedOffset, sealedOffset + size));
    try {
      decipher.final();
    } catch {
      return -1; // The tag does not fit; nothing of the plaintext has left this function.
    }
    out.set(plain, outOffset);
    return size;
  }
}

function digest(name: 'sha256' | 'sha512', parts: readonly Uint8Array[]): Uint8Array {
  const [first] = parts;
  if (parts.length === 1 && first !== undefined) return fromLatin1(hash(name, first, 'binary'));
  const many = createHash(name);
  for (const part of parts) many.update(part);
  return new Uint8Array(many.digest());
}

/** A digest as text costs a sixth of one as a Buffer: no memory outside V8's own heap is made for it. */
function fromLatin1(text: string): Uint8Array {
  const out = new Uint8Array(text.length);
  for (let i = 0; i < out.length; i++) out[i] = text.charCodeAt(i);
  return out;
}

export const nodeCrypto: CryptoProvider = {
  name: 'node',
  randomBytes: (size) => new Uint8Array(randomBytes(size)),
  sha256: (...parts) => digest('sha256', parts),
  sha512: (...parts) => digest('sha512', parts),
  hmacSha256(key, ...parts) {
    const mac = createHmac('sha256', key);
    for (const part of parts) mac.update(part);
    return new Uint8Array(mac.digest());
  },
  /**
   * A secret key is 32 random bytes (RFC 7748 §6.1). `generateKeyPairSync` is not asked: where the collector runs while the key it made is being exported,
   * the job that made it ends, wants the lock that the export holds, and the process stands still for good.
   */
  generateKeyPair(): KeyPair {
    const secretKey = new Uint8Array(randomBytes(32));
    return { publicKey: publicOf(secretKey), secretKey };
  },
  publicKey: publicOf,
  dh(secretKey, theirs) {
    if (secretKey.length !== 32 || theirs.length !== 32) return undefined;
    try {
      return new Uint8Array(diffieHellman({ privateKey: privateKey(secretKey), publicKey: publicKey(theirs) }));
    } catch {
      return undefined; // OpenSSL refuses an all-zero result.
    }
  },
  createAead: (key, nonceBase) => new NodeAead(key, nonceBase),
  equal: (a, b) => a.length === b.length && timingSafeEqual(a, b),
};
