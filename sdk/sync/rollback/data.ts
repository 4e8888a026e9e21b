/**
 * The state of a simulation as plain data: copied at every tick, compared when two peers disagree.
 *
 * Data is what has all of its value in what can be walked: null, undefined, booleans, numbers, texts, arrays, plain objects, typed arrays, `Map` and `Set`
 * (with keys that are no objects). Anything else has a life that a copy would not have, and is refused.
 */
import { LanError } from '../../base/errors.ts';

export type NumberArray =
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array;

/** Deeper than this it is taken for a cycle. */
export const MAX_DATA_DEPTH = 64;

export type DataShape = 'plain' | 'list' | 'record' | 'numbers' | 'map' | 'set';

const NUMBER_ARRAYS: ReadonlySet<unknown> = new Set([
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
]);

/** What `value` is, or undefined when it is no data. */
export function shapeOf(value: unknown): DataShape | undefined {
  switch (typeof value) {
    case 'undefined':
    case 'boolean':
    case 'number':
    case 'string':
      return 'plain';
    case 'object': {
      if (value === null) return 'plain';
      if (Array.isArray(value)) return 'list';
      const prototype: unknown = Object.getPrototypeOf(value);
      if (prototype === Object.prototype || prototype === null) return 'record';
      if (value instanceof Map) return 'map';
      if (value instanceof Set) return 'set';
      return NUMBER_ARRAYS.has((value as { constructor?: unknown }).constructor) ? 'numbers' : undefined;
    }
    default:
      return undefined;
  }
}

/** The refusal of what is no data, at `path` of the state. */
export function noData(path: string, value: unknown): LanError {
  const name =
    typeof value === 'object' && value !== null ? ((value as { constructor?: { name?: string } }).constructor?.name ?? 'object') : typeof value;
  return new LanError('bad-value', `${path}: expected data, got a ${name}.`, {
    hint: 'Keep plain objects, arrays, numbers and texts in the state, or give the simulation save() and load().',
  });
}

export function tooDeep(path: string): LanError {
  return new LanError('bad-value', `${path.slice(0, 80)}: expected at most ${MAX_DATA_DEPTH} levels, got more.`, {
    hint: 'Does the state contain itself?',
  });
}

/**
 * A copy of `source` that shares nothing with it. Parts of `into`, an earlier copy of which the caller needs nothing any more, are used again where they
 * have the same shape. Throws `bad-value` for what is no data.
 */
export function copyData<T>(source: T, into?: unknown): T {
  try {
    return copyValue(source, into, 0) as T;
  } catch (error) {
    // Only now, for a path in words costs more than the copy.
    assertData(source);
    throw error;
  }
}

/** Refuses what is no data, with its path. Throws `bad-value`. */
export function assertData(state: unknown): void {
  checkValue(state, 'state', 0);
}

function checkValue(value: unknown, path: string, depth: number): void {
  const shape = shapeOf(value);
  if (shape === undefined) throw noData(path, value);
  if (shape === 'plain') return;
  if (depth >= MAX_DATA_DEPTH) throw tooDeep(path);
  if (shape === 'numbers') return;
  if (shape === 'list') return (value as readonly unknown[]).forEach((part, i) => checkValue(part, `${path}[${i}]`, depth + 1));
  for (const [key, part] of entriesOf(value, shape)) {
    if (shape === 'record' ? key === '__proto__' : typeof key === 'object' && key !== null) throw noData(`${path}: a key`, key);
    checkValue(part, nameOf(path, shape, key), depth + 1);
  }
}

/** Stands for an error whose words are found later. */
const NO_DATA = new Error('no data');

function copyValue(source: unknown, into: unknown, depth: number): unknown {
  if (typeof source !== 'object' || source === null) {
    if (shapeOf(source) === undefined) throw NO_DATA;
    return source;
  }
  if (depth >= MAX_DATA_DEPTH) throw NO_DATA;
  switch (shapeOf(source)) {
    case 'list':
      return copyList(source as readonly unknown[], into, depth);
    case 'record':
      return copyRecord(source as Record<string, unknown>, into, depth);
    case 'numbers': {
      const numbers = source as NumberArray;
      if (!isNumbersLike(into, numbers)) return numbers.slice();
      into.set(numbers);
      return into;
    }
    case 'map':
      return copyMap(source as ReadonlyMap<unknown, unknown>, depth);
    case 'set':
      return new Set([...(source as ReadonlySet<unknown>)].map(keyOf));
    default:
      throw NO_DATA;
  }
}

function isNumbersLike(into: unknown, numbers: NumberArray): into is NumberArray {
  return (
    typeof into === 'object' &&
    into !== null &&
    into !== numbers &&
    into.constructor === numbers.constructor &&
    (into as NumberArray).length === numbers.length
  );
}

function copyList(source: readonly unknown[], into: unknown, depth: number): unknown[] {
  const list: unknown[] = Array.isArray(into) && into !== source && Object.isExtensible(into) ? into : [];
  list.length = source.length;
  for (let i = 0; i < source.length; i++) {
    const value = source[i];
    // Most of a state are numbers.
    list[i] = typeof value === 'number' ? value : copyValue(value, list[i], depth + 1);
  }
  return list;
}

function copyRecord(source: Readonly<Record<string, unknown>>, into: unknown, depth: number): Record<string, unknown> {
  const record = hasSameKeys(source, into) ? into : {};
  for (const key in source) {
    // Set as any other it would be the prototype.
    if (key === '__proto__') throw NO_DATA;
    const value = source[key];
    record[key] = typeof value === 'number' ? value : copyValue(value, record[key], depth + 1);
  }
  return record;
}

/** In the same order, too: a step may walk them. What is frozen, as the inputs are that a step may keep, cannot be filled. */
function hasSameKeys(source: object, into: unknown): into is Record<string, unknown> {
  if (into === source || typeof into !== 'object' || into === null || shapeOf(into) !== 'record' || !Object.isExtensible(into)) return false;
  const theirs = Object.keys(into);
  let at = 0;
  for (const key in source) if (theirs[at++] !== key) return false;
  return at === theirs.length;
}

function copyMap(source: ReadonlyMap<unknown, unknown>, depth: number): Map<unknown, unknown> {
  const map = new Map<unknown, unknown>();
  for (const [name, value] of source) map.set(keyOf(name), copyValue(value, undefined, depth + 1));
  return map;
}

function keyOf(value: unknown): unknown {
  if (shapeOf(value) !== 'plain') throw NO_DATA;
  return value;
}

/** One place where two states are not the same. */
export interface Difference {
  /** As code would reach it: `state.balls[2].x`. */
  readonly path: string;
  readonly mine: unknown;
  readonly theirs: unknown;
}

/** Where two states differ, in the order of `mine`: at most `most` places. */
export function diffData(mine: unknown, theirs: unknown, most = 16): readonly Difference[] {
  const found: Difference[] = [];
  walkBoth(mine, theirs, 'state', 0, found, most);
  return found;
}

function walkBoth(mine: unknown, theirs: unknown, path: string, depth: number, found: Difference[], most: number): void {
  if (found.length >= most || Object.is(mine, theirs)) return;
  const shape = shapeOf(mine);
  if (shape === 'plain' || shape === undefined || shape !== shapeOf(theirs) || depth >= MAX_DATA_DEPTH) {
    found.push({ path, mine, theirs });
    return;
  }
  if (shape === 'list' || shape === 'numbers') {
    const [a, b] = [mine as ArrayLike<unknown>, theirs as ArrayLike<unknown>];
    if (a.length !== b.length) found.push({ path: `${path}.length`, mine: a.length, theirs: b.length });
    for (let i = 0; i < Math.min(a.length, b.length); i++) walkBoth(a[i], b[i], `${path}[${i}]`, depth + 1, found, most);
    return;
  }
  const [a, b] = [entriesOf(mine, shape), entriesOf(theirs, shape)];
  for (const [key, value] of a) walkBoth(value, b.get(key), nameOf(path, shape, key), depth + 1, found, most);
  for (const [key, value] of b) if (!a.has(key)) walkBoth(undefined, value, nameOf(path, shape, key), depth + 1, found, most);
  // The same in another order is another state: a step walks it in that order.
  const [first, second] = [[...a.keys()], [...b.keys()]];
  if (shape !== 'record' && found.length < most && first.length === second.length && first.some((key, i) => !Object.is(key, second[i])))
    found.push({ path: `${path} (order)`, mine: first.slice(0, 8), theirs: second.slice(0, 8) });
}

function entriesOf(value: unknown, shape: 'record' | 'map' | 'set'): ReadonlyMap<unknown, unknown> {
  if (shape === 'map') return value as ReadonlyMap<unknown, unknown>;
  if (shape === 'set') return new Map([...(value as ReadonlySet<unknown>)].map((key) => [key, true]));
  return new Map(Object.entries(value as object));
}

function nameOf(path: string, shape: DataShape, key: unknown): string {
  if (shape !== 'record') return `${path}.get(${JSON.stringify(key)})`;
  const name = String(key);
  return /^[A-Za-z_$][\w$]*$/.test(name) ? `${path}.${name}` : `${path}[${JSON.stringify(name)}]`;
}
