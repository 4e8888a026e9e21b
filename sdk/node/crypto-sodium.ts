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

/** Sizes of which views are kept: those of datagrams. */
const VIEW_BYTES = 2_048;

/** The beginnings of what lies at one place of a buffer, by size: making a view costs a fifth of sealing a small packet. */
class Views {
  readonly #at: number;
  #buffer: Uint8Array | undefined;
  #kept: (Uint8Array | undefined)[] = [];

  constructor(at: number) {
    this.#at = at;
  }

  of(buffer: Uint8Array, size: number): Uint8Array {
    if (size >= VIEW_BYTES) return buffer.subarray(this.#at, this.#at + size);
    if (this.#buffer !== buffer) {
      this.#buffer = buffer;
      this.#kept = new Array<Uint8Array | undefined>(VIEW_BYTES).fill(undefined);
    }
    return (this.#kept[size] ??= buffer.subarray(this.#at, this.#at + size));
  }
}

/** A datagram's header may stand in front of what is sealed, and is copied along with it. */
const FRONT_BYTES = DATA_HEADER_BYTES;
/** So much more is copied rather than a view made of the part that is wanted. */
const MORE_BYTES = 128;

/**
 * Copies `from[start .. end)` to `to[at]`, and where that is faster all of `from`: `to` has room for `FRONT_BYTES` before
 * and `VIEW_BYTES` after.
 */
function put(from: Uint8Array, start: number, end: number, to: Uint8Array, at: number): void {
  const short = end - start <= MORE_BYTES && from.length - (end - start) > MORE_BYTES;
  if (short || start > FRONT_BYTES || from.length >= VIEW_BYTES) copyBytes(from, start, end, to, at);
  else to.set(from, at - start);
}

/** Addresses that every cipher of the process shares: each call is over before the next begins. */
interface Memory {
  readonly sodium: SodiumModule;
  readonly text: number;
  readonly texts: Views;
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
    put(plain, plainOffset, plainEnd, heap, text);
    copyBytes(ad, 0, ad.length, heap, adAt);
    const key = this.#keyAt(heap);
    writeNonce(heap, nonce, counter, this.#base);
    sodium._crypto_aead_chacha20poly1305_ietf_encrypt(text, 0, text, size, 0, adAt, ad.length, 0, 0, nonce, key);
    out.set(this.#memory.texts.of(sodium.HEAPU8, size + TAG_BYTES), outOffset);
    return size + TAG_BYTES;
  }

  open(counter: number, ad: Uint8Array, sealed: Uint8Array, out: Uint8Array, outOffset: number, sealedOffset = 0, sealedEnd = sealed.length): number {
    const { sodium, text, ad: adAt, nonce } = this.#memory;
    const size = sealedEnd - sealedOffset;
    if (size < TAG_BYTES) return -1;
    if (size > TEXT_BYTES || ad.length > AD_BYTES) return this.#node().open(counter, ad, sealed, out, outOffset, sealedOffset, sealedEnd);
    const heap = sodium.HEAPU8;
    put(sealed, sealedOffset, sealedEnd, heap, text);
    copyBytes(ad, 0, ad.length, heap, adAt);
    const key = this.#keyAt(heap);
    writeNonce(heap, nonce, counter, this.#base);
    if (sodium._crypto_aead_chacha20poly1305_ietf_decrypt(text, 0, 0, text, size, 0, adAt, ad.length, 0, nonce, key) !== 0) return -1;
    out.set(this.#memory.texts.of(sodium.HEAPU8, size - TAG_BYTES), outOffset);
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
  const text = sodium._malloc(FRONT_BYTES + TEXT_BYTES) + FRONT_BYTES;
  const memory: Memory = {
    sodium,
    text,
    texts: new Views(text),
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

/** What every native cipher of the process shares: each call is over before the next begins. */
class NativeMemory {
  readonly encrypt: SodiumNative['crypto_aead_chacha20poly1305_ietf_encrypt'];
  readonly decrypt: SodiumNative['crypto_aead_chacha20poly1305_ietf_decrypt'];
  readonly plain = Buffer.alloc(FRONT_BYTES + VIEW_BYTES);
  readonly sealed = Buffer.alloc(FRONT_BYTES + VIEW_BYTES);
  readonly nonce = Buffer.alloc(NONCE_BYTES);
  readonly #plainViews = new Views(FRONT_BYTES);
  readonly #sealedViews = new Views(FRONT_BYTES);

  constructor(sodium: SodiumNative) {
    // Taken out once: looking a function up in an object of 700 costs more each time than its call.
    this.encrypt = sodium.crypto_aead_chacha20poly1305_ietf_encrypt;
    this.decrypt = sodium.crypto_aead_chacha20poly1305_ietf_decrypt;
  }

  plainOf(size: number): Uint8Array {
    return this.#plainViews.of(this.plain, size);
  }

  sealedOf(size: number): Uint8Array {
    return this.#sealedViews.of(this.sealed, size);
  }
}

class NativeAead implements Aead {
  readonly #memory: NativeMemory;
  readonly #key: Buffer;
  readonly #base: Uint8Array | undefined;

  constructor(memory: NativeMemory, key: Uint8Array, nonceBase?: Uint8Array) {
    this.#memory = memory;
    this.#base = nonceBase;
    this.#key = Buffer.from(key);
  }

  seal(counter: number, ad: Uint8Array, plain: Uint8Array, out: Uint8Array, outOffset: number, plainOffset = 0, plainEnd = plain.length): number {
    const memory = this.#memory;
    const size = plainEnd - plainOffset;
    writeNonce(memory.nonce, 0, counter, this.#base);
    if (size + TAG_BYTES >= VIEW_BYTES) {
      const sealed = out.subarray(outOffset, outOffset + size + TAG_BYTES);
      memory.encrypt(sealed, plain.subarray(plainOffset, plainEnd), ad, null, memory.nonce, this.#key);
    } else {
      put(plain, plainOffset, plainEnd, memory.plain, FRONT_BYTES);
      const sealed = memory.sealedOf(size + TAG_BYTES);
      memory.encrypt(sealed, memory.plainOf(size), ad, null, memory.nonce, this.#key);
      out.set(sealed, outOffset);
    }
    return size + TAG_BYTES;
  }

  open(counter: number, ad: Uint8Array, sealed: Uint8Array, out: Uint8Array, outOffset: number, sealedOffset = 0, sealedEnd = sealed.length): number {
    const memory = this.#memory;
    const size = sealedEnd - sealedOffset - TAG_BYTES;
    if (size < 0) return -1;
    writeNonce(memory.nonce, 0, counter, this.#base);
    try {
      if (size + TAG_BYTES >= VIEW_BYTES) {
        const plain = out.subarray(outOffset, outOffset + size);
        memory.decrypt(plain, null, sealed.subarray(sealedOffset, sealedEnd), ad, memory.nonce, this.#key);
      } else {
        put(sealed, sealedOffset, sealedEnd, memory.sealed, FRONT_BYTES);
        const plain = memory.plainOf(size);
        memory.decrypt(plain, null, memory.sealedOf(size + TAG_BYTES), ad, memory.nonce, this.#key);
        out.set(plain, outOffset);
      }
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
  const memory = new NativeMemory(sodium);
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
    createAead: (key, nonceBase) => new NativeAead(memory, key, nonceBase),
  };
}
