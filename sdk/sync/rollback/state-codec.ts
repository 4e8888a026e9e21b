/**
 * A state as bytes, for whoever comes late: valid msgpack that any decoder can read, and that ours reads from anybody without trusting it.
 *
 *   null, booleans, numbers, texts   themselves
 *   the rest                         an array: what it is, then its parts
 *     0 list      [0, value…]                 1 record  [1, key, value, …]
 *     2 map       [2, key, value, …]          3 set     [3, value…]
 *     4 numbers   [4, type, bytes, …]         5 undefined  [5]
 *     6 a text with half of a pair of surrogates, which has no UTF-8: [6, its UTF-16 units as bytes]
 *
 * What holds more than 65,534 parts, or a text of more than 65,535 bytes, does not travel, nor do more than 32,768 of all but the first line together.
 */
import { LanError } from '../../base/errors.ts';
import { MAX_ROLLBACK_STATE_BYTES, MAX_ROLLBACK_STATE_PARTS } from '../../wire/limits.ts';
import { PackReader, PackWriter, utf8Length } from '../../wire/pack.ts';
import { assertData, MAX_DATA_DEPTH, noData, shapeOf, tooDeep } from './data.ts';
import type { NumberArray } from './data.ts';

const LIST = 0;
const RECORD = 1;
const MAP = 2;
const SET = 3;
const NUMBERS = 4;
const UNDEFINED = 5;
const UNITS = 6;

const MAX_PARTS = 0xfffe;
const MAX_TEXT_BYTES = 0xffff;
const CHUNK_BYTES = 0x8000;

const TYPES = [Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, Float32Array, Float64Array] as const;

const HALF_PAIR = /\p{Surrogate}/u;
/** Of the state that is written or read: one at a time. */
let containers = 0;

/** Throws `bad-value` for what is no data, `too-large` for more than `MAX_ROLLBACK_STATE_BYTES`, or for a part that is too long. */
export function encodeState(state: unknown): Uint8Array {
  const out = new PackWriter(1_024);
  containers = 0;
  try {
    write(out, state, 'state', 0);
  } catch (error) {
    // With the place as code would reach it.
    assertData(state);
    throw error;
  }
  if (out.offset > MAX_ROLLBACK_STATE_BYTES) throw tooLarge('state', `${out.offset} bytes`, `${MAX_ROLLBACK_STATE_BYTES} bytes`);
  return out.copy();
}

function tooLarge(path: string, got: string, most: string): LanError {
  return new LanError('too-large', `${path}: expected at most ${most}, got ${got}.`, {
    hint: 'A state of which others must have a copy has to be small.',
  });
}

function head(out: PackWriter, what: number, parts: number, path: string): void {
  if (parts > MAX_PARTS) throw tooLarge(path, `${parts} parts`, `${MAX_PARTS} parts`);
  if (++containers > MAX_ROLLBACK_STATE_PARTS) throw tooLarge('state', 'more', `${MAX_ROLLBACK_STATE_PARTS} objects, lists and the like`);
  out.array(parts + 1);
  out.int(what);
}

function write(out: PackWriter, value: unknown, path: string, depth: number): void {
  switch (typeof value) {
    case 'boolean':
      return out.bool(value);
    case 'number':
      return out.number(value);
    case 'string':
      return writeText(out, value, path);
    case 'undefined':
      return head(out, UNDEFINED, 0, path);
    default:
      if (value === null) return out.nil();
  }
  if (depth >= MAX_DATA_DEPTH) throw tooDeep(path);
  if (out.offset > MAX_ROLLBACK_STATE_BYTES) throw tooLarge('state', 'more', `${MAX_ROLLBACK_STATE_BYTES} bytes`);
  switch (shapeOf(value)) {
    case 'list': {
      const list = value as readonly unknown[];
      head(out, LIST, list.length, path);
      list.forEach((part, i) => write(out, part, `${path}[${i}]`, depth + 1));
      return;
    }
    case 'record': {
      const entries = Object.entries(value as object);
      head(out, RECORD, 2 * entries.length, path);
      for (const [key, part] of entries) {
        writeText(out, key, path);
        write(out, part, `${path}.${key}`, depth + 1);
      }
      return;
    }
    case 'map': {
      const map = value as ReadonlyMap<unknown, unknown>;
      head(out, MAP, 2 * map.size, path);
      for (const [key, part] of map) {
        write(out, key, path, MAX_DATA_DEPTH);
        write(out, part, `${path}.get(${String(key)})`, depth + 1);
      }
      return;
    }
    case 'set': {
      const set = value as ReadonlySet<unknown>;
      head(out, SET, set.size, path);
      for (const part of set) write(out, part, path, MAX_DATA_DEPTH);
      return;
    }
    case 'numbers':
      return writeNumbers(out, value as NumberArray, path);
    default:
      throw noData(path, value);
  }
}

function writeText(out: PackWriter, text: string, path: string): void {
  const isWhole = !HALF_PAIR.test(text);
  const size = isWhole ? utf8Length(text) : 2 * text.length;
  if (size > MAX_TEXT_BYTES) throw tooLarge(path, `a text of ${size} bytes`, `${MAX_TEXT_BYTES}`);
  if (isWhole) return out.text(text);
  head(out, UNITS, 1, path);
  out.binary(Uint8Array.from({ length: size }, (_, i) => text.charCodeAt(i >> 1) >> (8 * (i & 1))));
}

/** Little-endian, as every machine that runs a browser or Node keeps them. */
function writeNumbers(out: PackWriter, numbers: NumberArray, path: string): void {
  const bytes = new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
  if (bytes.length > MAX_ROLLBACK_STATE_BYTES) throw tooLarge(path, `${bytes.length} bytes`, `${MAX_ROLLBACK_STATE_BYTES}`);
  head(out, NUMBERS, 1 + Math.ceil(bytes.length / CHUNK_BYTES), path);
  out.int(TYPES.findIndex((type) => numbers instanceof type));
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) out.binary(bytes.subarray(at, at + CHUNK_BYTES));
}

/** Undefined when the bytes are no state. Never throws; what it builds is no larger than a small multiple of what it is given. */
export function decodeState(bytes: Uint8Array): { readonly state: unknown } | undefined {
  if (bytes.length > MAX_ROLLBACK_STATE_BYTES) return undefined;
  const input = new PackReader(bytes);
  containers = 0;
  const state = read(input, 0);
  return input.done ? { state } : undefined;
}

function read(input: PackReader, depth: number): unknown {
  const first = input.bytes[input.offset] ?? 0;
  if (input.nil()) return null;
  if (first === 0xc2 || first === 0xc3) return input.bool();
  if ((first >= 0xa0 && first <= 0xbf) || first === 0xd9 || first === 0xda) return input.text(MAX_TEXT_BYTES);
  if (!((first >= 0x90 && first <= 0x9f) || first === 0xdc)) return input.number();
  const count = input.array(0xffff);
  const what = input.int();
  if (count === 0 || ++containers > MAX_ROLLBACK_STATE_PARTS || (depth >= MAX_DATA_DEPTH && what !== UNDEFINED && what !== UNITS))
    return input.fail();
  return readParts(input, what, count - 1, depth);
}

function readParts(input: PackReader, what: number, parts: number, depth: number): unknown {
  switch (what) {
    case LIST: {
      const list: unknown[] = [];
      for (let i = 0; i < parts && input.ok; i++) list.push(read(input, depth + 1));
      return list;
    }
    case RECORD: {
      const record: Record<string, unknown> = {};
      if (parts % 2 !== 0) return input.fail();
      for (let i = 0; i < parts && input.ok; i += 2) {
        const key = read(input, MAX_DATA_DEPTH);
        // Twice, or the prototype: nobody has written that.
        if (typeof key !== 'string' || key === '__proto__' || Object.hasOwn(record, key)) return input.fail();
        record[key] = read(input, depth + 1);
      }
      return record;
    }
    case MAP: {
      const map = new Map<unknown, unknown>();
      if (parts % 2 !== 0) return input.fail();
      for (let i = 0; i < parts && input.ok; i += 2) {
        const key = read(input, MAX_DATA_DEPTH);
        if (map.has(key)) return input.fail();
        map.set(key, read(input, depth + 1));
      }
      return map;
    }
    case SET: {
      const set = new Set<unknown>();
      for (let i = 0; i < parts && input.ok; i++) set.add(read(input, MAX_DATA_DEPTH));
      return set.size === parts ? set : input.fail();
    }
    case NUMBERS:
      return readNumbers(input, parts);
    case UNDEFINED:
      return parts === 0 ? undefined : input.fail();
    case UNITS:
      return parts === 1 ? readUnits(input) : input.fail();
    default:
      return input.fail();
  }
}

function readUnits(input: PackReader): string | undefined {
  const bytes = input.binaryView(MAX_TEXT_BYTES);
  let text = '';
  for (let at = 0; at + 1 < bytes.length; at += 2) text += String.fromCharCode(bytes[at]! | (bytes[at + 1]! << 8));
  return bytes.length % 2 === 0 && HALF_PAIR.test(text) ? text : void input.fail();
}

function readNumbers(input: PackReader, parts: number): NumberArray | undefined {
  const Type = TYPES[input.count(TYPES.length - 1)]!;
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (let i = 1; i < parts && input.ok; i++) {
    const chunk = input.binaryView(CHUNK_BYTES);
    chunks.push(chunk);
    size += chunk.length;
  }
  if (!input.ok || parts === 0 || size % Type.BYTES_PER_ELEMENT !== 0) return void input.fail();
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return new Type(bytes.buffer);
}
