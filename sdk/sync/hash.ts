/**
 * Hashes for comparing what peers hold: 32 bits, the same on every engine (murmur3 by Austin Appleby, its public domain rounds). They tell
 * two states apart by accident, not by attack: never for secrets.
 */
import { LanError } from '../base/errors.ts';

/** Stirs one 32-bit word into a hash (murmur3's round). */
export function mix(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = (k << 15) | (k >>> 17);
  let h = hash ^ Math.imul(k, 0x1b873593);
  h = (h << 13) | (h >>> 19);
  return (Math.imul(h, 5) + 0xe6546b64) | 0;
}

/** The end of a hash: spreads the last bits everywhere; u32. */
export function finish(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** murmur3-32 of whole words; u32. For checksums of state, never for secrets. */
export function hash(words: ArrayLike<number>, seed = 0): number {
  let h = seed | 0;
  for (let i = 0; i < words.length; i++) h = mix(h, words[i]! | 0);
  return finish(h ^ (words.length * 4));
}

/** Hash of a text by its UTF-16 units; u32. */
export function hashText(text: string, seed = 0): number {
  return finish(mixText(seed | 0, text) ^ text.length);
}

/** What each kind of value begins with, so that `0`, `'0'` and `[0]` differ. */
const TAG = { undefined: 1, null: 2, false: 3, true: 4, number: 5, text: 6, list: 7, record: 8, map: 9, set: 10, numbers: 11 } as const;

/** What has its value elsewhere than in its keys: without any, each of them would count as the empty record. */
const OPAQUE: ReadonlySet<string> = new Set(
  [
    'Date',
    'RegExp',
    'Error',
    'ArrayBuffer',
    'SharedArrayBuffer',
    'DataView',
    'Promise',
    'WeakMap',
    'WeakSet',
    'WeakRef',
    'Number',
    'Boolean',
    'String',
  ].map((name) => `[object ${name}]`),
);

/** Deeper than this it is taken for a cycle. */
const MAX_DEPTH = 64;

/**
 * Hash of a whole game state; u32. Equal on every peer whose state is equal, whatever the engine.
 *
 * Numbers count by their 64 bits (0 and -0 differ, every NaN is the same), text by its UTF-16 units, objects by their own enumerable keys in
 * the order of their code units, however they were inserted; arrays, typed arrays, `Map` and `Set` by their order, which is part of the state.
 * @throws `LanError` `bad-argument` for functions, symbols, bigints, what has its value elsewhere than in its keys (a `Date`, a `RegExp`, an `ArrayBuffer`, …),
 * and for what is nested more than 64 deep or contains itself.
 */
export function hashState(state: unknown, seed = 0): number {
  return finish(mixValue(seed | 0, state, 0));
}

function mixText(hash: number, text: string): number {
  let h = hash;
  for (let i = 0; i < text.length; i++) h = mix(h, text.charCodeAt(i));
  return h;
}

const bits = new DataView(new ArrayBuffer(8));

function mixNumber(hash: number, value: number): number {
  bits.setFloat64(0, Number.isNaN(value) ? Number.NaN : value, true);
  // An engine may give a NaN any payload; its sign and top bits are pinned here.
  const high = Number.isNaN(value) ? 0x7ff8_0000 : bits.getInt32(4, true);
  const low = Number.isNaN(value) ? 0 : bits.getInt32(0, true);
  return mix(mix(hash, low), high);
}

function mixValue(hash: number, value: unknown, depth: number): number {
  switch (typeof value) {
    case 'undefined':
      return mix(hash, TAG.undefined);
    case 'boolean':
      return mix(hash, value ? TAG.true : TAG.false);
    case 'number':
      return mixNumber(mix(hash, TAG.number), value);
    case 'string':
      return mixText(mix(mix(hash, TAG.text), value.length), value);
    case 'object':
      return value === null ? mix(hash, TAG.null) : mixObject(hash, value, depth);
    default:
      throw noData(typeof value);
  }
}

function noData(what: string): LanError {
  return new LanError('bad-argument', `hashState: expected data, got a ${what}.`, { hint: 'Leave it out of the state.' });
}

function mixObject(hash: number, value: object, depth: number): number {
  if (depth >= MAX_DEPTH) {
    throw new LanError('bad-argument', `hashState: expected at most ${MAX_DEPTH} levels, got more.`, { hint: 'Does the state contain itself?' });
  }
  let h = hash;
  if (Array.isArray(value)) {
    h = mix(mix(h, TAG.list), value.length);
    for (const part of value as readonly unknown[]) h = mixValue(h, part, depth + 1);
    return h;
  }
  if (ArrayBuffer.isView(value) && 'length' in value) {
    const numbers = value as unknown as ArrayLike<number>;
    if (typeof numbers[0] === 'bigint') throw noData('bigint');
    h = mix(mix(h, TAG.numbers), numbers.length);
    for (let i = 0; i < numbers.length; i++) h = mixNumber(h, numbers[i]!);
    return h;
  }
  if (value instanceof Map) {
    h = mix(mix(h, TAG.map), value.size);
    for (const [key, part] of value as Map<unknown, unknown>) h = mixValue(mixValue(h, key, depth + 1), part, depth + 1);
    return h;
  }
  if (value instanceof Set) {
    h = mix(mix(h, TAG.set), value.size);
    for (const part of value as Set<unknown>) h = mixValue(h, part, depth + 1);
    return h;
  }
  // The default order of sort is by UTF-16 code units, on every engine and in every language.
  const keys = Object.keys(value).sort();
  const what = keys.length === 0 ? Object.prototype.toString.call(value) : '';
  if (OPAQUE.has(what)) throw noData(what.slice(8, -1));
  h = mix(mix(h, TAG.record), keys.length);
  for (const key of keys) h = mixValue(mixText(mix(h, key.length), key), (value as Readonly<Record<string, unknown>>)[key], depth + 1);
  return h;
}
