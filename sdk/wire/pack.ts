/**
 * A small msgpack writer and a bounded reader for the game half's own structures: flat integers,
 * text, bytes and arrays, written by hand because they are the hot path of every tick. What it writes
 * any msgpack decoder reads; what it reads is checked as it goes (a reader past its end, or at a value of
 * another type, returns a zero and stays failed, so a decoder reads everything and asks once).
 *
 *   0x00-7f fixint   0x80 map (never written)   0x90 array   0xa0 text   0xc0 nil   0xc2/c3 bool
 *   0xc4-c5 bytes    0xca/cb float              0xcc-ce u8-u32  0xd0-d2 i8-i32  0xd9-da text  0xdc array
 */
import { assert } from '../base/assert.ts';
import { copyBytes } from '../base/bytes.ts';

const EMPTY = new Uint8Array(0);
const scratch = new DataView(new ArrayBuffer(8));
const scratchBytes = new Uint8Array(scratch.buffer);

export class PackWriter {
  bytes: Uint8Array;
  offset = 0;

  constructor(capacity = 512) {
    this.bytes = new Uint8Array(capacity);
  }

  reset(): void {
    this.offset = 0;
  }

  /** Makes room for `size` more bytes. */
  reserve(size: number): void {
    const need = this.offset + size;
    if (need <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(need, this.bytes.length * 2));
    grown.set(this.bytes);
    this.bytes = grown;
  }

  /** A whole number from -2^31 to 2^32 - 1, in the fewest bytes. */
  int(value: number): void {
    if (this.offset + 5 > this.bytes.length) this.reserve(5);
    const b = this.bytes;
    let at = this.offset;
    if (value >= 0) {
      if (value < 0x80) b[at++] = value;
      else if (value < 0x100) {
        b[at++] = 0xcc;
        b[at++] = value;
      } else if (value < 0x1_0000) {
        b[at++] = 0xcd;
        b[at++] = value >>> 8;
        b[at++] = value;
      } else {
        b[at++] = 0xce;
        b[at++] = value >>> 24;
        b[at++] = value >>> 16;
        b[at++] = value >>> 8;
        b[at++] = value;
      }
    } else if (value >= -32) b[at++] = value;
    else if (value >= -0x80) {
      b[at++] = 0xd0;
      b[at++] = value;
    } else if (value >= -0x8000) {
      b[at++] = 0xd1;
      b[at++] = value >> 8;
      b[at++] = value;
    } else {
      b[at++] = 0xd2;
      b[at++] = value >> 24;
      b[at++] = value >> 16;
      b[at++] = value >> 8;
      b[at++] = value;
    }
    this.offset = at;
  }

  nil(): void {
    this.#byte(0xc0);
  }

  bool(value: boolean): void {
    this.#byte(value ? 0xc3 : 0xc2);
  }

  /** A 64-bit float; whole numbers that fit become integers. */
  number(value: number): void {
    if (Number.isInteger(value) && value >= -0x8000_0000 && value <= 0xffff_ffff && !Object.is(value, -0)) return this.int(value);
    this.reserve(9);
    this.bytes[this.offset++] = 0xcb;
    scratch.setFloat64(0, value);
    for (let i = 0; i < 8; i++) this.bytes[this.offset++] = scratchBytes[i]!;
  }

  /** The head of an array of `count` values (at most 65,535). */
  array(count: number): void {
    assert(count <= 0xffff, 'arrays have at most 65,535 values');
    if (count < 16) this.#byte(0x90 | count);
    else {
      this.reserve(3);
      this.bytes[this.offset++] = 0xdc;
      this.bytes[this.offset++] = count >>> 8;
      this.bytes[this.offset++] = count;
    }
  }

  /** Begins an array whose count is not known yet; `endArray` fills it in. */
  openArray(): number {
    this.reserve(3);
    const at = this.offset;
    this.bytes[at] = 0xdc;
    this.offset = at + 3;
    return at;
  }

  endArray(at: number, count: number): void {
    assert(count <= 0xffff, 'arrays have at most 65,535 values');
    this.bytes[at + 1] = count >>> 8;
    this.bytes[at + 2] = count;
  }

  text(value: string): void {
    const size = utf8Length(value);
    assert(size <= 0xffff, 'text has at most 65,535 bytes');
    this.reserve(3 + size);
    if (size < 32) this.bytes[this.offset++] = 0xa0 | size;
    else if (size < 0x100) {
      this.bytes[this.offset++] = 0xd9;
      this.bytes[this.offset++] = size;
    } else {
      this.bytes[this.offset++] = 0xda;
      this.bytes[this.offset++] = size >>> 8;
      this.bytes[this.offset++] = size;
    }
    this.offset = writeUtf8(value, this.bytes, this.offset);
  }

  binary(value: Uint8Array): void {
    const size = value.length;
    assert(size <= 0xffff, 'bytes have at most 65,535');
    this.reserve(3 + size);
    if (size < 0x100) {
      this.bytes[this.offset++] = 0xc4;
      this.bytes[this.offset++] = size;
    } else {
      this.bytes[this.offset++] = 0xc5;
      this.bytes[this.offset++] = size >>> 8;
      this.bytes[this.offset++] = size;
    }
    copyBytes(value, 0, size, this.bytes, this.offset);
    this.offset += size;
  }

  /** Bytes that are msgpack already. */
  raw(value: Uint8Array, start = 0, end = value.length): void {
    this.reserve(end - start);
    this.bytes.set(start === 0 && end === value.length ? value : value.subarray(start, end), this.offset);
    this.offset += end - start;
  }

  /** A view of what was written; valid until the next write. */
  view(): Uint8Array {
    return this.bytes.subarray(0, this.offset);
  }

  copy(): Uint8Array {
    return this.bytes.slice(0, this.offset);
  }

  #byte(value: number): void {
    if (this.offset + 1 > this.bytes.length) this.reserve(1);
    this.bytes[this.offset++] = value;
  }
}

/** Reads what `PackWriter` writes, from bytes that anybody may have made. Never throws. */
export class PackReader {
  readonly bytes: Uint8Array;
  offset: number;
  readonly end: number;
  #failed = false;

  constructor(bytes: Uint8Array, offset = 0, end = bytes.length) {
    this.bytes = bytes;
    this.offset = offset;
    this.end = end;
  }

  get ok(): boolean {
    return !this.#failed;
  }

  /** True when every read succeeded and nothing is left over. */
  get done(): boolean {
    return !this.#failed && this.offset === this.end;
  }

  get more(): boolean {
    return !this.#failed && this.offset < this.end;
  }

  fail(): void {
    this.#failed = true;
    this.offset = this.end;
  }

  /** A whole number from -2^31 to 2^32 - 1. */
  int(): number {
    const at = this.offset;
    if (at >= this.end) return this.#refuse();
    const b = this.bytes;
    const head = b[at]!;
    if (head < 0x80) {
      this.offset = at + 1;
      return head;
    }
    if (head >= 0xe0) {
      this.offset = at + 1;
      return head - 0x100;
    }
    const size = head === 0xcc || head === 0xd0 ? 1 : head === 0xcd || head === 0xd1 ? 2 : head === 0xce || head === 0xd2 ? 4 : 0;
    if (size === 0 || at + 1 + size > this.end) return this.#refuse();
    this.offset = at + 1 + size;
    switch (head) {
      case 0xcc:
        return b[at + 1]!;
      case 0xcd:
        return (b[at + 1]! << 8) | b[at + 2]!;
      case 0xce:
        return ((b[at + 1]! << 24) | (b[at + 2]! << 16) | (b[at + 3]! << 8) | b[at + 4]!) >>> 0;
      case 0xd0:
        return (b[at + 1]! << 24) >> 24;
      case 0xd1:
        return ((b[at + 1]! << 24) | (b[at + 2]! << 16)) >> 16;
      default:
        return (b[at + 1]! << 24) | (b[at + 2]! << 16) | (b[at + 3]! << 8) | b[at + 4]!;
    }
  }

  /** A whole number in [0, bound]. */
  count(bound: number): number {
    const value = this.int();
    return value >= 0 && value <= bound ? value : this.#refuse();
  }

  /** True, and past it, when the next value is nil. */
  nil(): boolean {
    if (this.offset >= this.end || this.bytes[this.offset] !== 0xc0) return false;
    this.offset++;
    return true;
  }

  bool(): boolean {
    const head = this.#byte();
    if (head !== 0xc2 && head !== 0xc3) this.fail();
    return head === 0xc3;
  }

  number(): number {
    if (this.offset < this.end && this.bytes[this.offset] === 0xcb) {
      if (this.offset + 9 > this.end) return this.#refuse();
      for (let i = 0; i < 8; i++) scratchBytes[i] = this.bytes[this.offset + 1 + i]!;
      this.offset += 9;
      return scratch.getFloat64(0);
    }
    return this.int();
  }

  /** Count of the array that begins here, at most `bound`. */
  array(bound: number): number {
    const head = this.#byte();
    let count = -1;
    if (head >= 0x90 && head <= 0x9f) count = head & 15;
    else if (head === 0xdc && this.offset + 2 <= this.end) {
      count = (this.bytes[this.offset]! << 8) | this.bytes[this.offset + 1]!;
      this.offset += 2;
    }
    // Every value takes a byte at least, so a count beyond what is left is a lie.
    if (count < 0 || count > bound || count > this.end - this.offset) return this.#refuse();
    return count;
  }

  /** Text of at most `maxBytes` of valid UTF-8. */
  text(maxBytes: number): string {
    const head = this.#byte();
    let size = -1;
    if (head >= 0xa0 && head <= 0xbf) size = head & 31;
    else if (head === 0xd9) size = this.#byte();
    else if (head === 0xda) size = (this.#byte() << 8) | this.#byte();
    if (size < 0 || size > maxBytes || size > this.end - this.offset) {
      this.fail();
      return '';
    }
    const text = readUtf8(this.bytes, this.offset, this.offset + size);
    this.offset += size;
    if (text === undefined) {
      this.fail();
      return '';
    }
    return text;
  }

  /** A copy of at most `maxBytes` bytes. */
  binary(maxBytes: number): Uint8Array {
    // Not `slice`: that of a Buffer of Node is no copy.
    return new Uint8Array(this.binaryView(maxBytes));
  }

  /** At most `maxBytes` bytes as a view, for whoever owns the input. */
  binaryView(maxBytes: number): Uint8Array {
    const head = this.#byte();
    let size = -1;
    if (head === 0xc4) size = this.#byte();
    else if (head === 0xc5) size = (this.#byte() << 8) | this.#byte();
    if (size < 0 || size > maxBytes || size > this.end - this.offset) {
      this.fail();
      return EMPTY;
    }
    const at = this.offset;
    this.offset = at + size;
    return this.bytes.subarray(at, at + size);
  }

  /** Everything left, as a view; for a value in another codec's hands. */
  rest(): Uint8Array {
    const out = this.bytes.subarray(this.offset, this.end);
    this.offset = this.end;
    return out;
  }

  /** Steps over `values` values of the types above, arrays included, without recursion. */
  skip(values: number): void {
    let left = values;
    while (left > 0 && !this.#failed) {
      left--;
      const at = this.offset;
      if (at >= this.end) return void this.#refuse();
      const head = this.bytes[at]!;
      let size = 1;
      if (head < 0x80 || head >= 0xe0 || head === 0xc0 || head === 0xc2 || head === 0xc3) size = 1;
      else if (head >= 0x90 && head <= 0x9f) left += head & 15;
      else if (head >= 0xa0 && head <= 0xbf) size = 1 + (head & 31);
      else if (head === 0xcc || head === 0xd0) size = 2;
      else if (head === 0xcd || head === 0xd1) size = 3;
      else if (head === 0xce || head === 0xd2) size = 5;
      else if (head === 0xcb) size = 9;
      else if (head === 0xc4 || head === 0xd9) size = 2 + (this.bytes[at + 1] ?? 0);
      else if (head === 0xc5 || head === 0xda) size = 3 + (((this.bytes[at + 1] ?? 0) << 8) | (this.bytes[at + 2] ?? 0));
      else if (head === 0xdc) {
        size = 3;
        left += ((this.bytes[at + 1] ?? 0) << 8) | (this.bytes[at + 2] ?? 0);
      } else return void this.#refuse();
      if (at + size > this.end || left > this.end - at) return void this.#refuse();
      this.offset = at + size;
    }
  }

  #byte(): number {
    if (this.offset >= this.end) return this.#refuse();
    return this.bytes[this.offset++]!;
  }

  #refuse(): number {
    this.fail();
    return 0;
  }
}

/** Bytes of `text` as UTF-8; a lone surrogate counts as the three bytes of U+FFFD. */
export function utf8Length(text: string): number {
  let size = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) size += 1;
    else if (unit < 0x800) size += 2;
    else if (unit >= 0xd800 && unit < 0xdc00 && isLow(text.charCodeAt(i + 1))) {
      size += 4;
      i++;
    } else size += 3;
  }
  return size;
}

function isLow(unit: number): boolean {
  return unit >= 0xdc00 && unit < 0xe000;
}

function writeUtf8(text: string, out: Uint8Array, offset: number): number {
  let at = offset;
  for (let i = 0; i < text.length; i++) {
    let point = text.charCodeAt(i);
    if (point >= 0xd800 && point < 0xe000) {
      const low = text.charCodeAt(i + 1);
      if (point < 0xdc00 && isLow(low)) {
        point = 0x1_0000 + ((point - 0xd800) << 10) + (low - 0xdc00);
        i++;
      } else point = 0xfffd;
    }
    if (point < 0x80) out[at++] = point;
    else if (point < 0x800) {
      out[at++] = 0xc0 | (point >> 6);
      out[at++] = 0x80 | (point & 63);
    } else if (point < 0x1_0000) {
      out[at++] = 0xe0 | (point >> 12);
      out[at++] = 0x80 | ((point >> 6) & 63);
      out[at++] = 0x80 | (point & 63);
    } else {
      out[at++] = 0xf0 | (point >> 18);
      out[at++] = 0x80 | ((point >> 12) & 63);
      out[at++] = 0x80 | ((point >> 6) & 63);
      out[at++] = 0x80 | (point & 63);
    }
  }
  return at;
}

/** Undefined for anything but well-formed UTF-8 (no overlong forms, no surrogates). */
function readUtf8(bytes: Uint8Array, start: number, end: number): string | undefined {
  let text = '';
  let at = start;
  while (at < end) {
    const head = bytes[at++]!;
    if (head < 0x80) {
      text += String.fromCharCode(head);
      continue;
    }
    const extra = head >= 0xc2 && head < 0xe0 ? 1 : head >= 0xe0 && head < 0xf0 ? 2 : head >= 0xf0 && head < 0xf5 ? 3 : 0;
    if (extra === 0 || at + extra > end) return undefined;
    let point = head & (0x3f >> extra);
    for (let i = 0; i < extra; i++) {
      const next = bytes[at++]!;
      if ((next & 0xc0) !== 0x80) return undefined;
      point = (point << 6) | (next & 63);
    }
    if ((extra === 2 && (point < 0x800 || (point >= 0xd800 && point < 0xe000))) || (extra === 3 && (point < 0x1_0000 || point > 0x10_ffff)))
      return undefined;
    text += String.fromCodePoint(point);
  }
  return text;
}
