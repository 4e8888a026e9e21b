/**
 * Reading and writing bytes, big-endian. Bounds are checked here, once, for every decoder: a reader
 * past its end returns zeros and stays `failed`, so a decoder reads everything first and asks once.
 */

const EMPTY = new Uint8Array(0);

/** Reads big-endian values; never throws. Check `ok` (or `done`) after the last read. */
export class ByteReader {
  readonly bytes: Uint8Array;
  offset: number;
  readonly end: number;
  #failed = false;

  constructor(bytes: Uint8Array, offset = 0, end = bytes.length) {
    this.bytes = bytes;
    this.offset = offset;
    this.end = end;
  }

  /** False once any read went past the end. */
  get ok(): boolean {
    return !this.#failed;
  }

  /** True when every read succeeded and nothing is left over. */
  get done(): boolean {
    return !this.#failed && this.offset === this.end;
  }

  get remaining(): number {
    return this.end - this.offset;
  }

  /** Marks the input as malformed; used by decoders for values out of range. */
  fail(): void {
    this.#failed = true;
  }

  #take(size: number): number {
    const at = this.offset;
    if (this.#failed || size > this.end - at) {
      this.#failed = true;
      return -1;
    }
    this.offset = at + size;
    return at;
  }

  u8(): number {
    const at = this.#take(1);
    return at < 0 ? 0 : this.bytes[at]!;
  }

  u16(): number {
    const at = this.#take(2);
    return at < 0 ? 0 : (this.bytes[at]! << 8) | this.bytes[at + 1]!;
  }

  u32(): number {
    const at = this.#take(4);
    if (at < 0) return 0;
    const b = this.bytes;
    return ((b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!) >>> 0;
  }

  u48(): number {
    const high = this.u16();
    const low = this.u32();
    return high * 0x1_0000_0000 + low;
  }

  /** A view into the input, not a copy. */
  take(size: number): Uint8Array {
    const at = this.#take(size);
    return at < 0 ? EMPTY : this.bytes.subarray(at, at + size);
  }

  /** Everything left, as a view. */
  rest(): Uint8Array {
    return this.take(this.remaining);
  }
}

/** Writes big-endian values into a buffer that grows (or, with `fixed`, asserts) as needed. */
export class ByteWriter {
  bytes: Uint8Array;
  offset = 0;

  constructor(capacity = 256) {
    this.bytes = new Uint8Array(capacity);
  }

  reset(): void {
    this.offset = 0;
  }

  #reserve(size: number): number {
    const at = this.offset;
    const need = at + size;
    if (need > this.bytes.length) {
      const grown = new Uint8Array(Math.max(need, this.bytes.length * 2));
      grown.set(this.bytes.subarray(0, at));
      this.bytes = grown;
    }
    this.offset = need;
    return at;
  }

  u8(value: number): this {
    // Reserve first: `this.bytes[this.#reserve(1)]` would take the buffer before it grows, and lose the byte.
    const at = this.#reserve(1);
    this.bytes[at] = value;
    return this;
  }

  u16(value: number): this {
    const at = this.#reserve(2);
    this.bytes[at] = value >>> 8;
    this.bytes[at + 1] = value;
    return this;
  }

  u32(value: number): this {
    const at = this.#reserve(4);
    const b = this.bytes;
    b[at] = value >>> 24;
    b[at + 1] = value >>> 16;
    b[at + 2] = value >>> 8;
    b[at + 3] = value;
    return this;
  }

  u48(value: number): this {
    return this.u16(Math.floor(value / 0x1_0000_0000)).u32(value >>> 0);
  }

  raw(bytes: Uint8Array): this {
    const at = this.#reserve(bytes.length);
    this.bytes.set(bytes, at);
    return this;
  }

  /** A view of what was written; valid until the next write. */
  view(): Uint8Array {
    return this.bytes.subarray(0, this.offset);
  }

  /** A copy of what was written. */
  copy(): Uint8Array {
    return this.bytes.slice(0, this.offset);
  }
}

/** Bytes of a string of ASCII characters (labels and constants of the protocol). */
export function asciiBytes(text: string): Uint8Array {
  const out = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i) & 0x7f;
  return out;
}

export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  let size = 0;
  for (const part of parts) size += part.length;
  const out = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Up to here a loop is faster than making a view and calling `set`. */
const LOOP_BYTES = 128;
/** Up to here it is faster than `set` alone. */
const SHORT_BYTES = 24;

/** Copies `from[start .. end)` to `to[at ..]`. The two do not overlap. */
export function copyBytes(from: Uint8Array, start: number, end: number, to: Uint8Array, at: number): void {
  const size = end - start;
  if (size > SHORT_BYTES && size === from.length) to.set(from, at);
  else if (size > LOOP_BYTES) to.set(from.subarray(start, end), at);
  else for (let i = start, j = at; i < end; i++, j++) to[j] = from[i]!;
}

/** The same between views of whole buffers, 16 bytes at a time: the fastest way up to `WORDS_BYTES`. */
export function copyWords(from: DataView, start: number, end: number, to: DataView, at: number): void {
  let i = start;
  let j = at;
  for (; i + 16 <= end; i += 16, j += 16) {
    to.setUint32(j, from.getUint32(i, true), true);
    to.setUint32(j + 4, from.getUint32(i + 4, true), true);
    to.setUint32(j + 8, from.getUint32(i + 8, true), true);
    to.setUint32(j + 12, from.getUint32(i + 12, true), true);
  }
  for (; i + 4 <= end; i += 4, j += 4) to.setUint32(j, from.getUint32(i, true), true);
  for (; i < end; i++, j++) to.setUint8(j, from.getUint8(i));
}

/** Up to here `copyWords` is faster than making a view and calling `set`; at 1,448 bytes it takes twelve times as long. */
export const WORDS_BYTES = 160;

/** A `DataView` of the same bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Bytes of one sheet: small enough that a copy which is kept does not keep much else. */
const SHEET_BYTES = 8_192;

/** Memory for many small copies that nothing writes to again: cutting one from a sheet costs a tenth of allocating it. */
export class Sheets {
  #sheet = new ArrayBuffer(0);
  #to: DataView = new DataView(this.#sheet);
  #used = 0;
  /** Most copies are of the same buffer. */
  #source: Uint8Array | undefined;
  #from: DataView = this.#to;

  /** `size` bytes that nobody else has. */
  cut(size: number): Uint8Array {
    if (size * 4 > SHEET_BYTES) return new Uint8Array(size);
    if (this.#used + size > this.#sheet.byteLength) {
      this.#sheet = new ArrayBuffer(SHEET_BYTES);
      this.#to = new DataView(this.#sheet);
      this.#used = 0;
    }
    const at = this.#used;
    this.#used = at + size;
    return new Uint8Array(this.#sheet, at, size);
  }

  /** A copy of `from[start .. end)`. */
  copy(from: Uint8Array, start: number, end: number): Uint8Array {
    const size = end - start;
    if (size * 4 > SHEET_BYTES) return from.slice(start, end);
    const copy = this.cut(size);
    const at = this.#used - size;
    if (size > WORDS_BYTES) {
      copy.set(from.subarray(start, end));
      return copy;
    }
    if (this.#source !== from) {
      this.#source = from;
      this.#from = viewOf(from);
    }
    copyWords(this.#from, start, end, this.#to, at);
    return copy;
  }
}

/** Equality of two byte strings; not constant-time, so not for secrets. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

const HEX = '0123456789abcdef';

export function toHex(bytes: Uint8Array): string {
  let out = '';
  for (const byte of bytes) out += HEX[byte >>> 4]! + HEX[byte & 15]!;
  return out;
}

/** Undefined when `text` is not an even number of hexadecimal digits. */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || /[^0-9a-fA-F]/.test(text)) return undefined;
  const out = new Uint8Array(text.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = Number.parseInt(text.slice(i * 2, i * 2 + 2), 16);
  return out;
}

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';

/** RFC 4648 base32 in lower case, without padding. */
export function toBase32(bytes: Uint8Array): string {
  let out = '';
  let held = 0;
  let bits = 0;
  for (const byte of bytes) {
    held = ((held << 8) | byte) & 0xfff;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      out += BASE32[(held >>> bits) & 31]!;
    }
  }
  if (bits > 0) out += BASE32[(held << (5 - bits)) & 31]!;
  return out;
}

/** Undefined when `text` has a character outside the alphabet. Trailing bits are dropped. */
export function fromBase32(text: string): Uint8Array | undefined {
  const out = new Uint8Array(Math.floor((text.length * 5) / 8));
  let held = 0;
  let bits = 0;
  let at = 0;
  for (const char of text) {
    const value = BASE32.indexOf(char);
    if (value < 0) return undefined;
    held = ((held << 5) | value) & 0xfff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      out[at++] = (held >>> bits) & 0xff;
    }
  }
  return out;
}
