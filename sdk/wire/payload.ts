/// <reference path="./msgpackr-no-eval.d.ts" />
/**
 * Game and mesh payloads: msgpack, nothing else, and a strict subset of it. The only file that
 * imports msgpackr.
 *
 * A general msgpack decoder is a large attack surface: extensions construct objects, 64-bit integers
 * become BigInt, shared structures let one packet change how the next is read, and deep nesting
 * overflows whoever walks the result. So a pre-scan without recursion or allocation decides first, and
 * the decoder only ever sees bytes that passed it.
 *
 * Accepted: nil, booleans, integers up to 32 bits, float32/64, strings and binaries with 8- or 16-bit
 * lengths, arrays and maps with 4- or 16-bit counts, map keys that are short strings.
 * Refused, with the reason `PayloadFault` names: everything else. A whole number goes as an integer, so -0 arrives as 0.
 */
import { Packr, Unpackr } from 'msgpackr/index-no-eval';
import { LanError } from '../base/errors.ts';
import { MAX_PAYLOAD_CONTAINERS, MAX_PAYLOAD_DEPTH, MAX_PAYLOAD_NODES, MAX_PAYLOAD_STRING_BYTES } from './limits.ts';

/** What a payload may hold. */
export type PayloadValue = null | boolean | number | string | Uint8Array | readonly PayloadValue[] | { readonly [key: string]: PayloadValue };

/** Why a payload was refused. */
export type PayloadFault =
  | 'truncated' // ends inside a value
  | 'trailing' // bytes after the value
  | 'type' // an extension, a 64-bit integer, a 32-bit length or the reserved byte
  | 'key' // a map key that is no short string, or one that reaches a prototype
  | 'depth' // nested deeper than MAX_PAYLOAD_DEPTH
  | 'nodes' // more values than MAX_PAYLOAD_NODES, or more arrays and maps than MAX_PAYLOAD_CONTAINERS
  | 'string' // a string longer than MAX_PAYLOAD_STRING_BYTES
  | 'decoder'; // the decoder refused what the scan let through: a bug of ours, still only a drop

// `structuredClone: false` has to be said: left out, the object-graph extensions stay on, and 500 bytes
// of them exhaust the heap. `useRecords: false` keeps the encoder to plain maps.
const OPTIONS = {
  useRecords: false,
  structuredClone: false,
  mapsAsObjects: true,
  variableMapSize: true,
  copyBuffers: true,
  int64AsType: 'number',
} as const;
const packr = new Packr(OPTIONS);
const unpackr = new Unpackr(OPTIONS);

/** Values still to come in each open container, doubled, plus one for a map. Reused: the scan is not re-entrant. */
const open = new Int32Array(MAX_PAYLOAD_DEPTH);

/** A longer text is read by a decoder that takes a first U+FEFF for the mark of a file, and leaves it out. */
const MARKABLE_BYTES = 64;
/** Where such texts begin in what was scanned last, their heads included. */
const marked: number[] = [];

/** Keys that reach an object's prototype in careless consumers. */
const HOSTILE_KEYS: readonly Uint8Array[] = ['__proto__', 'constructor', 'prototype'].map((key) =>
  Uint8Array.from(key, (char) => char.charCodeAt(0)),
);

function isHostileKey(bytes: Uint8Array, start: number, size: number): boolean {
  if (size < 9 || size > 11) return false;
  for (const key of HOSTILE_KEYS) {
    if (key.length !== size) continue;
    let i = 0;
    while (i < size && bytes[start + i] === key[i]) i++;
    if (i === size) return true;
  }
  return false;
}

/**
 * Walks one payload without building anything; undefined when it is acceptable.
 * Time is bounded by `MAX_PAYLOAD_NODES`, memory by `MAX_PAYLOAD_DEPTH` words, whatever the bytes are.
 */
export function scanPayload(bytes: Uint8Array): PayloadFault | undefined {
  const end = bytes.length;
  let at = 0;
  let nodes = 0;
  let containers = 0;
  let depth = 0;
  let remaining = 1;
  let inMap = false;
  marked.length = 0;
  for (;;) {
    while (remaining === 0) {
      if (depth === 0) return at === end ? undefined : 'trailing';
      const outer = open[--depth]!;
      inMap = (outer & 1) === 1;
      remaining = outer >>> 1;
    }
    if (at >= end) return 'truncated';
    if (++nodes > MAX_PAYLOAD_NODES) return 'nodes';
    const begin = at;
    const type = bytes[at++]!;
    // In a map an even number of values is left exactly when a key comes next.
    const wantsKey = inMap && (remaining & 1) === 0;
    remaining--;

    let count = -1; // values of a container opened here
    let skip = 0; // bytes of a scalar's body
    let text = false;
    if (type < 0x80 || type >= 0xe0) {
      // A fixint has no body.
    } else if (type < 0x90) {
      count = (type & 15) * 2;
    } else if (type < 0xa0) {
      count = type & 15;
    } else if (type < 0xc0) {
      text = true;
      skip = type & 31;
    } else {
      switch (type) {
        case 0xc0: // nil
        case 0xc2: // false
        case 0xc3: // true
          break;
        case 0xcc: // uint8
        case 0xd0: // int8
          skip = 1;
          break;
        case 0xcd: // uint16
        case 0xd1: // int16
          skip = 2;
          break;
        case 0xca: // float32
        case 0xce: // uint32
        case 0xd2: // int32
          skip = 4;
          break;
        case 0xcb: // float64
          skip = 8;
          break;
        case 0xc4: // bin8
        case 0xd9: // str8
          if (at + 1 > end) return 'truncated';
          skip = bytes[at++]!;
          text = type === 0xd9;
          break;
        case 0xc5: // bin16
        case 0xda: // str16
        case 0xdc: // array16
        case 0xde: {
          // map16
          if (at + 2 > end) return 'truncated';
          const size = (bytes[at]! << 8) | bytes[at + 1]!;
          at += 2;
          if (type === 0xdc) count = size;
          else if (type === 0xde) count = size * 2;
          else skip = size;
          text = type === 0xda;
          if (text && size > MAX_PAYLOAD_STRING_BYTES) return 'string';
          break;
        }
        default:
          return 'type';
      }
    }

    if (skip > end - at) return 'truncated';
    if (wantsKey && (!text || isHostileKey(bytes, at, skip))) return 'key';
    if (skip > MARKABLE_BYTES && text && isMark(bytes, at)) marked.push(begin);
    at += skip;
    if (count >= 0) {
      // Every value takes at least a byte, so a count beyond what is left is a lie.
      if (count > end - at) return 'truncated';
      if (++containers > MAX_PAYLOAD_CONTAINERS) return 'nodes';
      if (depth >= MAX_PAYLOAD_DEPTH) return 'depth';
      open[depth++] = (remaining << 1) | (inMap ? 1 : 0);
      remaining = count;
      inMap = type < 0x90 ? type >= 0x80 : type === 0xde;
    }
  }
}

function isMark(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === 0xef && bytes[at + 1] === 0xbb && bytes[at + 2] === 0xbf;
}

/** What was scanned last, with the first character of each text that is `marked` twice: one of them is left out. */
function doubled(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes.length + 4 * marked.length);
  let from = 0;
  let to = 0;
  for (const begin of marked) {
    const isShort = bytes[begin] === 0xd9;
    const text = begin + (isShort ? 2 : 3);
    const size = (isShort ? bytes[begin + 1]! : (bytes[begin + 1]! << 8) | bytes[begin + 2]!) + 3;
    out.set(bytes.subarray(from, begin), to);
    to += begin - from;
    out.set([0xda, size >>> 8, size & 0xff, 0xef, 0xbb, 0xbf], to);
    to += 6;
    from = text;
  }
  out.set(bytes.subarray(from), to);
  return out.subarray(0, to + bytes.length - from);
}

/** Undefined when `bytes` are no acceptable payload (`scanPayload` says why). Never throws, keeps no view into `bytes`. */
export function decodePayload(bytes: Uint8Array): PayloadValue | undefined {
  if (scanPayload(bytes) !== undefined) return undefined;
  try {
    return unpackr.unpack(marked.length === 0 ? bytes : doubled(bytes)) as PayloadValue;
  } catch {
    return undefined;
  }
}

/**
 * Encodes plain data. Throws `LanError` `bad-value` when a receiver would refuse the result: a `Date`, a
 * `Map`, a `BigInt`, `undefined`, a string that is too long, nesting that is too deep.
 */
export function encodePayload(value: PayloadValue): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = packr.pack(value);
  } catch (cause) {
    throw new LanError('bad-value', 'This value cannot be encoded.', {
      cause,
      hint: 'Send plain objects, arrays, strings, numbers, booleans and Uint8Array.',
    });
  }
  const fault = scanPayload(bytes);
  if (fault !== undefined)
    throw new LanError('bad-value', `This value cannot be sent (${fault}).`, {
      hint: 'Send plain objects, arrays, strings, numbers, booleans and Uint8Array within the bounds of limits.ts.',
    });
  return bytes;
}
