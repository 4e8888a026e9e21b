/**
 * Crypto by libsodium, where it seals faster than node:crypto: OpenSSL pays for a context, five calls
 * and four buffers per packet, libsodium for one call.
 *
 * - `wasm`: libsodium compiled to WebAssembly; needs no compiler and no prebuilt binary. Bytes are
 *   written straight into its memory, at addresses taken once: its JavaScript wrapper would allocate
 *   and copy for each call.
 * - `native`: the `sodium-native` package, where the user has installed it.
 *
 * Hashes, random bytes and comparison stay with node:crypto: they are not on the path of a packet.
 */
import { copyBytes } from '../base/bytes.ts';
import type { Aead, CryptoProvider, KeyPair } from '../secure/provider.ts';
import { DATA_HEADER_BYTES } from '../wire/datagram.ts';
import { MTU_FLOOR_BYTES } from '../wire/limits.ts';
import { nodeCrypto, writeNonce } from './crypto-node.ts';

const KEY_BYTES = 32;
const TAG_BYTES = 16;
const NONCE_BYTES = 12;

/** Room in WebAssembly memory for one text and its associated data. Larger goes to node:crypto. */
const TEXT_BYTES = 16_384;
const AD_BYTES = 256;
/** Keys that stay in WebAssembly memory: both directions of a full room's links. */
const KEY_SLOTS = 64;

/** The part of libsodium's module that the wrapper keeps to itself. Lengths of 64 bits come as two halves. */
interface SodiumModule {
  /** A new object whenever the memory has grown, so it is read again for each call. */
  readonly HEAPU8: Uint8Array;
  _malloc(size: number): number;
  _crypto_aead_chacha20poly1305_ietf_encrypt(
    out: number,
    outSize: number,
    plain: number,
    size: number,
    high: number,
    ad: number,
    adSize: number,
    adHigh: number,
    secretNonce: number,
    nonce: number,
    key: number,
  ): number;
  _crypto_aead_chacha20poly1305_ietf_decrypt(
    out: number,
    outSize: number,
    secretNonce: number,
    sealed: number,
    size: number,
    high: number,
    ad: number,
    adSize: number,
    adHigh: number,
    nonce: number,
    key: number,
  ): number;
}

/** Addresses that every cipher of the process shares: each call is over before the next begins. */
interface Memory {
  readonly sodium: SodiumModule;
  readonly text: number;
  readonly ad: number;
  readonly nonce: number;
  /** `KEY_SLOTS` keys, and whose each is. */
  readonly keys: number;
  readonly keyOf: (Aead | undefined)[];
  nextSlot: number;
}

class WasmAead implements Aead {
  readonly #memory: Memory;
  readonly #key: Uint8Array;
  readonly #slot: number;
  readonly #base: Uint8Array | undefined;
  #large: Aead | undefined;

  constructor(memory: Memory, key: Uint8Array, nonceBase?: Uint8Array) {
    this.#memory = memory;
    this.#key = Uint8Array.from(key);
    this.#slot = memory.nextSlot++ % KEY_SLOTS;
    this.#base = nonceBase;
  }

  /** Where the key lies in WebAssembly's memory; put there again when another cipher has had the place meanwhile. */
  #keyAt(heap: Uint8Array): number {
    const { keys, keyOf } = this.#memory;
    const at = keys + this.#slot * KEY_BYTES;
    if (keyOf[this.#slot] !== this) {
      heap.set(this.#key, at);
      keyOf[this.#slot] = this;
    }
    return at;
  }

  seal(counter: number, ad: Uint8Array, plain: Uint8Array, out: Uint8Array, outOffset: number, plainOffset = 0, plainEnd = plain.length): number {
    const { sodium, text, ad: adAt, nonce } = this.#memory;
    const size = plainEnd - plainOffset;
    if (size + TAG_BYTES > TEXT_BYTES || ad.length > AD_BYTES) return this.#node().seal(counter, ad, plain, out, outOffset, plainOffset, plainEnd);
    const heap = sodium.HEAPU8;
    copyBytes(plain, plainOffset, plainEnd, heap, text);
    copyBytes(ad, 0, ad.length, heap, adAt);
    const key = this.#keyAt(heap);
    writeNonce(heap, nonce, counter, this.#base);
    sodium._crypto_aead_chacha20poly1305_ietf_encrypt(text, 0, text, size, 0, adAt, ad.length, 0, 0, nonce, key);
    copyBytes(sodium.HEAPU8, text, text + size + TAG_BYTES, out, outOffset);
    return size + TAG_BYTES;
  }

  open(counter: number, ad: Uint8Array, sealed: Uint8Array, out: Uint8Array, outOffset: number, sealedOffset = 0, sealedEnd = sealed.length): number {
    const { sodium, text, ad: adAt, nonce } = this.#memory;
    const size = sealedEnd - sealedOffset;
    if (size < TAG_BYTES) return -1;
    if (size > TEXT_BYTES || ad.length > AD_BYTES) return this.#node().open(counter, ad, sealed, out, outOffset, sealedOffset, sealedEnd);
    const heap = sodium.HEAPU8;
    copyBytes(sealed, sealedOffset, sealedEnd, heap, text);
    copyBytes(ad, 0, ad.length, heap, adAt);
    const key = this.#keyAt(heap);
    writeNonce(heap, nonce, counter, this.#base);
    if (sodium._crypto_aead_chacha20poly1305_ietf_decrypt(text, 0, 0, text, size, 0, adAt, ad.length, 0, nonce, key) !== 0) return -1;
    copyBytes(sodium.HEAPU8, text, text + size - TAG_BYTES, out, outOffset);
    return size - TAG_BYTES;
  }

  #node(): Aead {
    return (this.#large ??= nodeCrypto.createAead(this.#key, this.#base));
  }
}

/** libsodium as WebAssembly. Rejects when the package or WebAssembly itself cannot be had. */
export async function loadSodiumWasm(): Promise<CryptoProvider> {
  const wrapper = (await import('libsodium-wrappers')).default as unknown as { readonly ready: Promise<void>; readonly libsodium: SodiumModule };
  await wrapper.ready;
  const sodium = wrapper.libsodium;
  const memory: Memory = {
    sodium,
    text: sodium._malloc(TEXT_BYTES),
    ad: sodium._malloc(AD_BYTES),
    nonce: sodium._malloc(NONCE_BYTES),
    keys: sodium._malloc(KEY_SLOTS * KEY_BYTES),
    keyOf: new Array<Aead | undefined>(KEY_SLOTS).fill(undefined),
    nextSlot: 0,
  };
  return { ...nodeCrypto, name: 'wasm', createAead: (key, nonceBase) => new WasmAead(memory, key, nonceBase) };
}

/** What we use of `sodium-native`. */
interface SodiumNative {
  crypto_aead_chacha20poly1305_ietf_encrypt(
    out: Uint8Array,
    plain: Uint8Array,
    ad: Uint8Array,
    secretNonce: null,
    nonce: Uint8Array,
    key: Uint8Array,
  ): number;
  crypto_aead_chacha20poly1305_ietf_decrypt(
    out: Uint8Array,
    secretNonce: null,
    sealed: Uint8Array,
    ad: Uint8Array,
    nonce: Uint8Array,
    key: Uint8Array,
  ): number;
  crypto_scalarmult(out: Uint8Array, secretKey: Uint8Array, publicKey: Uint8Array): void;
  crypto_scalarmult_base(out: Uint8Array, secretKey: Uint8Array): void;
}

/** Sizes of which views are kept. */
const VIEW_BYTES = 2_048;

/**
 * Views of the few large buffers that every packet goes through, by size: making one costs a fifth of sealing a small
 * packet. Always from the same offset; other offsets and small buffers get a new view.
 */
class Views {
  readonly #offset: number;
  readonly #kept = new WeakMap<Uint8Array, (Uint8Array | undefined)[]>();

  constructor(offset: number) {
    this.#offset = offset;
  }

  of(buffer: Uint8Array, offset: number, size: number): Uint8Array {
    if (offset !== this.#offset || buffer.length < MTU_FLOOR_BYTES || size >= VIEW_BYTES) return buffer.subarray(offset, offset + size);
    let views = this.#kept.get(buffer);
    if (views === undefined) this.#kept.set(buffer, (views = new Array<Uint8Array | undefined>(VIEW_BYTES).fill(undefined)));
    return (views[size] ??= buffer.subarray(offset, offset + size));
  }
}

const plainViews = new Views(0);
const sealedViews = new Views(DATA_HEADER_BYTES);

class NativeAead implements Aead {
  readonly #sodium: SodiumNative;
  readonly #key: Buffer;
  readonly #base: Uint8Array | undefined;
  readonly #nonce = Buffer.alloc(NONCE_BYTES);

  constructor(sodium: SodiumNative, key: Uint8Array, nonceBase?: Uint8Array) {
    this.#sodium = sodium;
    this.#base = nonceBase;
    this.#key = Buffer.from(key);
  }

  seal(counter: number, ad: Uint8Array, plain: Uint8Array, out: Uint8Array, outOffset: number, plainOffset = 0, plainEnd = plain.length): number {
    const sealedBytes = plainEnd - plainOffset + TAG_BYTES;
    writeNonce(this.#nonce, 0, counter, this.#base);
    const from = plainOffset === 0 && plainEnd === plain.length ? plain : plainViews.of(plain, plainOffset, plainEnd - plainOffset);
    this.#sodium.crypto_aead_chacha20poly1305_ietf_encrypt(sealedViews.of(out, outOffset, sealedBytes), from, ad, null, this.#nonce, this.#key);
    return sealedBytes;
  }

  open(counter: number, ad: Uint8Array, sealed: Uint8Array, out: Uint8Array, outOffset: number, sealedOffset = 0, sealedEnd = sealed.length): number {
    const size = sealedEnd - sealedOffset - TAG_BYTES;
    if (size < 0) return -1;
    writeNonce(this.#nonce, 0, counter, this.#base);
    const from = sealedOffset === 0 && sealedEnd === sealed.length ? sealed : sealed.subarray(sealedOffset, sealedEnd);
    try {
      this.#sodium.crypto_aead_chacha20poly1305_ietf_decrypt(plainViews.of(out, outOffset, size), null, from, ad, this.#nonce, this.#key);
      return size;
    } catch {
      return -1; // The tag does not fit.
    }
  }
}

/** libsodium's native build by `sodium-native`. Rejects where that package is not installed or does not load. */
export async function loadSodiumNative(): Promise<CryptoProvider> {
  // Not a dependency: named by a variable so that neither compiler nor bundler asks for it.
  const name = 'sodium-native';
  const sodium = ((await import(name)) as { readonly default: SodiumNative }).default;
  const publicKey = (secretKey: Uint8Array): Uint8Array => {
    const out = Buffer.alloc(KEY_BYTES);
    sodium.crypto_scalarmult_base(out, secretKey);
    return new Uint8Array(out);
  };
  return {
    ...nodeCrypto,
    name: 'native',
    generateKeyPair(): KeyPair {
      const secretKey = nodeCrypto.randomBytes(KEY_BYTES);
      return { secretKey, publicKey: publicKey(secretKey) };
    },
    publicKey,
    dh(secretKey, theirs) {
      if (secretKey.length !== KEY_BYTES || theirs.length !== KEY_BYTES) return undefined;
      const out = Buffer.alloc(KEY_BYTES);
      try {
        sodium.crypto_scalarmult(out, secretKey, theirs);
      } catch {
        return undefined; // A low-order point.
      }
      return out.some((byte) => byte !== 0) ? new Uint8Array(out) : undefined;
    },
    createAead: (key, nonceBase) => new NativeAead(sodium, key, nonceBase),
  };
}
