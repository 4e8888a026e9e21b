/**
 * A stand-in for real crypto, for simulations only: fast, deterministic, and it checks what real
 * crypto cannot. It hides nothing and resists nobody.
 *
 * - Diffie-Hellman: eight 32-bit lanes multiplied by odd numbers, so it commutes for any base point
 *   (CPace needs that); an all-zero point is refused as X25519 refuses low-order points.
 * - Hashes: a mixing function; the parts of one call hash like their concatenation.
 * - AEAD: the text stays readable, the tag is a 128-bit checksum over key, counter, associated data
 *   and text, so corruption is found as with the real one.
 * - **Nonce registry**: one object shared by every provider of a world. Sealing under one key with a
 *   counter that is not larger than the last one breaks the run, whichever peer or life of a peer
 *   sealed before.
 */
import { assert } from '../base/assert.ts';
import { copyBytes, equalBytes, viewOf } from '../base/bytes.ts';
import type { Rng } from '../base/rng.ts';
import type { Aead, CryptoProvider, KeyPair } from '../secure/provider.ts';

const TAG_BYTES = 16;
const BLOCK_BYTES = 64;

/** Last counter sealed with, per key. Shared by all providers of one world. */
export class NonceRegistry {
  readonly #last = new Map<string, { counter: number }>();
  /** Packets sealed by anybody. */
  sealed = 0;

  /** Keys that sealed or opened anything so far. */
  get keys(): number {
    return this.#last.size;
  }

  /** Breaks the run when `counter` is not larger than the last one under this key. */
  seal(record: { counter: number }, counter: number): void {
    if (counter <= record.counter) throw new Error(`nonce ${counter} sealed after ${record.counter} under one key`);
    record.counter = counter;
    this.sealed++;
  }

  /** The record of one key; the same object for every cipher made with it. */
  track(key: Uint8Array): { counter: number } {
    // Two bytes to a character: this is asked for every key of every handshake.
    let name = '';
    for (let i = 0; i < key.length; i += 2) name += String.fromCharCode((key[i]! << 8) | (key[i + 1] ?? 0));
    let record = this.#last.get(name);
    if (record === undefined) this.#last.set(name, (record = { counter: -1 }));
    return record;
  }
}

const rotate = (value: number, by: number): number => (value << by) | (value >>> (32 - by));

/** Finalizer of MurmurHash3: every input bit reaches every output bit. */
function scramble(value: number): number {
  let x = value;
  x = Math.imul(x ^ (x >>> 16), 0x85eb_ca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2_ae35);
  return x ^ (x >>> 16);
}

/** Eight lanes fed byte by byte, so that how the input is cut makes no difference. */
class Mixer {
  readonly lanes: Int32Array;
  #size = 0;

  constructor(seed: number) {
    this.lanes = new Int32Array(8);
    for (let i = 0; i < 8; i++) this.lanes[i] = scramble(seed + Math.imul(i + 1, 0x9e37_79b9));
  }

  feed(bytes: Uint8Array, start = 0, end = bytes.length): void {
    const lanes = this.lanes;
    let size = this.#size;
    for (let i = start; i < end; i++, size++) {
      const at = size & 7;
      lanes[at] = Math.imul(rotate(lanes[at]! ^ bytes[i]!, 7) + 0x9e37_79b9, 0x85eb_ca6b) ^ lanes[(at + 7) & 7]!;
    }
    this.#size = size;
  }

  finish(): Int32Array {
    const lanes = this.lanes;
    lanes[0]! ^= this.#size;
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 8; i++) lanes[i] = scramble(lanes[i]! + rotate(lanes[(i + 7) & 7]!, 11) + i);
    }
    return lanes;
  }
}

function digest(seed: number, parts: readonly Uint8Array[]): Uint8Array {
  const mixer = new Mixer(seed);
  for (const part of parts) mixer.feed(part);
  return laneBytes(mixer.finish());
}

function laneBytes(lanes: Int32Array): Uint8Array {
  const out = new Uint8Array(32);
  for (let i = 0; i < 8; i++) {
    const lane = lanes[i]!;
    out[i * 4] = lane >>> 24;
    out[i * 4 + 1] = lane >>> 16;
    out[i * 4 + 2] = lane >>> 8;
    out[i * 4 + 3] = lane;
  }
  return out;
}

function lane(bytes: Uint8Array, i: number): number {
  const at = i * 4;
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

/** The group's generator: any odd lanes will do. */
const BASE = laneBytes(Int32Array.of(9, 0x1003, 0x2_0005, 0x30_0007, 0x400_0009, 0x5000_000b, 0x600d, 0x7_0011));

function multiply(secretKey: Uint8Array, point: Uint8Array): Uint8Array | undefined {
  if (secretKey.length !== 32 || point.length !== 32) return undefined;
  const lanes = new Int32Array(8);
  let any = 0;
  for (let i = 0; i < 8; i++) {
    lanes[i] = Math.imul(lane(secretKey, i) | 1, lane(point, i));
    any |= lanes[i]!;
  }
  return any === 0 ? undefined : laneBytes(lanes);
}

class SimAead implements Aead {
  readonly #registry: NonceRegistry;
  readonly #record: { counter: number };
  readonly #tag = new Uint8Array(TAG_BYTES);
  /** Of the bytes sealed or opened into last: as a rule the same every time. */
  #out: Uint8Array | undefined;
  #view: DataView | undefined;
  /** What key and nonce base make of the lanes before the first byte. */
  readonly #start: Int32Array;

  constructor(registry: NonceRegistry, key: Uint8Array, nonceBase: Uint8Array | undefined) {
    const mixer = new Mixer(0x41);
    mixer.feed(key);
    if (nonceBase !== undefined) mixer.feed(nonceBase);
    this.#start = mixer.finish();
    this.#registry = registry;
    this.#record = registry.track(key);
  }

  seal(counter: number, ad: Uint8Array, plain: Uint8Array, out: Uint8Array, outOffset: number, plainOffset = 0, plainEnd = plain.length): number {
    assert(Number.isInteger(counter) && counter >= 0 && counter < 2 ** 48, 'a nonce counter has 48 bits');
    this.#registry.seal(this.#record, counter);
    const size = plainEnd - plainOffset;
    copyBytes(plain, plainOffset, plainEnd, out, outOffset);
    this.#checksum(counter, ad, out, outOffset, outOffset + size);
    copyBytes(this.#tag, 0, TAG_BYTES, out, outOffset + size);
    return size + TAG_BYTES;
  }

  open(counter: number, ad: Uint8Array, sealed: Uint8Array, out: Uint8Array, outOffset: number, sealedOffset = 0, sealedEnd = sealed.length): number {
    const size = sealedEnd - sealedOffset - TAG_BYTES;
    if (size < 0) return -1;
    copyBytes(sealed, sealedOffset, sealedOffset + size, out, outOffset);
    this.#checksum(counter, ad, out, outOffset, outOffset + size);
    for (let i = 0; i < TAG_BYTES; i++) if (sealed[sealedOffset + size + i] !== this.#tag[i]) return -1;
    return size;
  }

  /** Over whole words, started from the key: one lane multiplies, the other sums what the first went through. A nanosecond or two per word. */
  #checksum(counter: number, ad: Uint8Array, text: Uint8Array, start: number, end: number): void {
    let a = Math.imul(this.#start[0]! ^ (counter | 0), 0x85eb_ca6b);
    let b = Math.imul(this.#start[1]! + Math.floor(counter / 0x1_0000_0000), 0xc2b2_ae35);
    for (let i = 0; i < ad.length; i++) {
      a = Math.imul(rotate(a ^ ad[i]!, 7), 0x85eb_ca6b);
      b = (rotate(b, 1) + a) | 0;
    }
    if (this.#out !== text || this.#view === undefined) {
      this.#out = text;
      this.#view = viewOf(text);
    }
    const view = this.#view;
    let i = start;
    for (; i + 4 <= end; i += 4) {
      const word = view.getInt32(i, true);
      a = Math.imul(rotate(a ^ word, 13), 0x85eb_ca6b);
      b = (rotate(b, 1) + a) | 0;
    }
    for (; i < end; i++) {
      a = Math.imul(rotate(a ^ text[i]!, 5), 0x85eb_ca6b);
      b = (rotate(b, 1) + a) | 0;
    }
    a ^= end - start;
    b ^= ad.length;
    const tag = this.#tag;
    for (let word = 0; word < 4; word++) {
      a = scramble(a + b + word);
      b = scramble(b ^ rotate(a, 15));
      const lane = (a + b) | 0;
      tag[4 * word] = lane;
      tag[4 * word + 1] = lane >>> 8;
      tag[4 * word + 2] = lane >>> 16;
      tag[4 * word + 3] = lane >>> 24;
    }
  }
}

/**
 * One peer's crypto in a simulation. Providers made from equal seeds give equal bytes.
 * @param rng source of keys; a restarted peer must be given one that goes on, not one seeded alike.
 * @param registry shared by all peers of the world.
 */
export function createSimCrypto(rng: Rng, registry: NonceRegistry = new NonceRegistry()): CryptoProvider {
  const randomBytes = (size: number): Uint8Array => {
    const out = new Uint8Array(size);
    for (let i = 0; i < size; i++) out[i] = rng.u32() >>> 13;
    return out;
  };
  const publicKey = (secretKey: Uint8Array): Uint8Array => {
    const out = multiply(secretKey, BASE);
    assert(out !== undefined, 'a secret key has 32 bytes');
    return out;
  };
  return {
    name: 'sim',
    randomBytes,
    sha256: (...parts) => digest(0x256, parts),
    sha512: (...parts) => {
      const out = new Uint8Array(64);
      out.set(digest(0x512, parts));
      out.set(digest(0x513, parts), 32);
      return out;
    },
    hmacSha256: (key, ...parts) => {
      const block = new Uint8Array(BLOCK_BYTES);
      block.set(key.length > BLOCK_BYTES ? digest(0x256, [key]) : key);
      return digest(0x4ac, [block, ...parts]);
    },
    generateKeyPair(): KeyPair {
      const secretKey = randomBytes(32);
      return { secretKey, publicKey: publicKey(secretKey) };
    },
    publicKey,
    dh: multiply,
    createAead: (key, nonceBase) => new SimAead(registry, key, nonceBase),
    equal: equalBytes,
  };
}
