/** Words of a simulation as `docs/protocol.md` has them, written from that page alone: what is said, and what it comes to. Throws `Malformed` at anything else. */
import { isBin, isUint, items } from './decoder.ts';
import { decodePayload } from './payload.ts';
import { Malformed, Reader, hex, must } from './reader.ts';

const U32 = 0xffff_ffff;
const TICK = 2 ** 31 - 1;

export interface Entry {
  readonly slot: number;
  readonly away: boolean;
  readonly input: readonly unknown[];
}
export interface PageRow {
  /** The game begins anew with it. */
  readonly seed: number | null;
  readonly who: readonly Entry[];
}
/** 'same' as at the tick before. */
export type RowWord = 'same' | PageRow;

interface Rows {
  readonly first: number;
  readonly chain: number;
  readonly rows: readonly RowWord[];
}

interface Head {
  readonly tag: number;
  readonly game: number;
}

export type Word = Head &
  (
    | { readonly type: 'inputs'; readonly confirmed: number | null; readonly first: number; readonly inputs: readonly (readonly unknown[])[] }
    | ({ readonly type: 'confirms'; readonly base: number; readonly checked: number; readonly checksum: number } & Rows)
    | { readonly type: 'state-ask'; readonly tick: number | null }
    | {
        readonly type: 'state';
        readonly kind: number;
        readonly base: number;
        readonly tick: number;
        readonly chain: number;
        readonly row: PageRow;
        readonly pieces: number;
        readonly index: number;
        readonly bytes: string;
      }
    | { readonly type: 'takeover'; readonly term: number; readonly confirmed: number | null }
    | ({ readonly type: 'held'; readonly term: number; readonly confirmed: number | null; readonly base: number } & Rows)
    | { readonly type: 'quit' }
    | { readonly type: 'deputy'; readonly term: number; readonly peer: string }
  );

/** Whether an array is the fields of the simulation's input, each in its bounds. */
export type IsInput = (fields: readonly unknown[]) => boolean;

function number(value: unknown, max: number, least = 0): number {
  if (!isUint(value, max) || value < least) throw new Malformed(`a number from ${least} to ${max}`);
  return value;
}
const optional = (value: unknown): number | null => (value === null ? null : number(value, TICK));

export function decodeWord(bytes: Uint8Array, isInput: IsInput): Word {
  const [kind, tag, game, ...rest] = items(decodePayload(bytes, Number.POSITIVE_INFINITY), 3, 0xffff);
  const head = { tag: number(tag, 0xffff), game: number(game, U32) };
  const input = (value: unknown): readonly unknown[] => {
    const fields = items(value, 0, 64);
    must(isInput(fields), 'an input');
    return fields;
  };
  const entries = (value: unknown): PageRow => {
    const parts = items(value, 0, 97);
    const begins = parts.length % 3;
    must(begins !== 2, 'three for each who plays, and a seed');
    const seed = begins === 1 ? number(parts[0], U32) : null;
    const out: Entry[] = [];
    for (let i = begins; i < parts.length; i += 3) {
      const slot = number(parts[i], 31, out.length === 0 ? 0 : out.at(-1)!.slot + 1);
      out.push({ slot, away: number(parts[i + 1], 2, 1) === 2, input: input(parts[i + 2]) });
    }
    return { seed, who: out };
  };
  const rows = ([first, chain, ...all]: readonly unknown[]): Rows => {
    must(all.length <= 1_024, 'too many rows');
    return { first: number(first, TICK, 1), chain: number(chain, U32), rows: all.map((one) => (one === 0 ? 'same' : entries(one))) };
  };
  switch (kind) {
    case 15: {
      const [confirmed, first, ...runs] = items(rest, 2, 258);
      must(runs.length % 2 === 0, 'a count without an input');
      const inputs: (readonly unknown[])[] = [];
      for (let i = 0; i < runs.length; i += 2) {
        const held = input(runs[i + 1]);
        for (let n = number(runs[i], 64, 1); n > 0; n--) inputs.push(held);
      }
      must(inputs.length <= 128, 'too many ticks');
      return { ...head, type: 'inputs', confirmed: optional(confirmed), first: number(first, TICK), inputs };
    }
    case 16: {
      const [base, checked, checksum, ...more] = items(rest, 5, 3 + 2 + 1_024);
      return { ...head, type: 'confirms', base: number(base, U32), checked: number(checked, TICK), checksum: number(checksum, U32), ...rows(more) };
    }
    case 17:
      return { ...head, type: 'state-ask', tick: optional(items(rest, 1)[0]) };
    case 18: {
      const [why, base, tick, chain, row, pieces, index, part] = items(rest, 8);
      if (!isBin(part) || part.length > 32_768) throw new Malformed('a piece');
      return {
        ...head,
        type: 'state',
        kind: number(why, 1),
        base: number(base, U32),
        tick: number(tick, 2 ** 30 - 1),
        chain: number(chain, U32),
        row: row === 0 ? { seed: null, who: [] } : entries(row),
        pieces: number(pieces, 16),
        index: number(index, 16),
        bytes: hex(part),
      };
    }
    case 19: {
      const [term, confirmed] = items(rest, 2);
      return { ...head, type: 'takeover', term: number(term, 2 ** 53 - 1), confirmed: optional(confirmed) };
    }
    case 20: {
      const [term, confirmed, base, ...more] = items(rest, 5, 3 + 2 + 1_024);
      return { ...head, type: 'held', term: number(term, 2 ** 53 - 1), confirmed: optional(confirmed), base: number(base, U32), ...rows(more) };
    }
    case 21:
      items(rest, 0);
      return { ...head, type: 'quit' };
    case 22: {
      const [term, peer] = items(rest, 2);
      // Bytes that are no UTF-8 are no text.
      if (typeof peer !== 'string' || Buffer.byteLength(peer) > 64 || peer.includes('\ufffd')) throw new Malformed('a peer');
      return { ...head, type: 'deputy', term: number(term, 2 ** 53 - 1), peer };
    }
    default:
      throw new Malformed('a kind of a simulation');
  }
}

/** A round of murmur3. */
function stir(h: number, k: number): number {
  const left = (value: number, by: number): number => (value << by) | (value >>> (32 - by));
  const word = Math.imul(left(Math.imul(k, 0xcc9e2d51), 15), 0x1b873593);
  return (Math.imul(left(h ^ word, 13), 5) + 0xe6546b64) | 0;
}

const stirAll = (h: number, words: Iterable<number>): number => [...words].reduce(stir, h);

export function rowHash(row: PageRow, inputBytes: (input: readonly unknown[]) => Uint8Array): number {
  let h = row.who.length;
  for (const { slot, away, input } of row.who) {
    const bytes = inputBytes(input);
    h = stir(stir(h, slot * 2 + Number(away)), stirAll(bytes.length, bytes));
  }
  return row.seed === null ? h : stir(h, row.seed);
}

/** The chain after a tick with this row, as it travels. */
export function chainAfter(chain: number, row: PageRow, inputBytes: (input: readonly unknown[]) => Uint8Array): number {
  return stir(chain, rowHash(row, inputBytes)) >>> 0;
}

/** Small whole numbers, and arrays of them, in the fewest bytes. */
export function pack(value: unknown): Uint8Array {
  if (Array.isArray(value)) return Uint8Array.from([0x90 + value.length, ...value.flatMap((one) => [...pack(one)])]);
  const n = value as number;
  if (n >= -32 && n <= 127) return Uint8Array.of(n & 0xff);
  if (n >= 0 && n <= 0xff) return Uint8Array.of(0xcc, n);
  if (n >= -128 && n < 0) return Uint8Array.of(0xd0, n & 0xff);
  throw new Malformed('no input of these tests');
}

const NUMBERS = [Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, Float32Array, Float64Array] as const;
const WIDTHS = [1, 1, 1, 2, 2, 4, 4, 4, 8];

/** What the pieces of a state come to, as plain values: a `Map` for records, too, under the name 'record'. */
export type State =
  | { readonly what: 'plain'; readonly value: null | boolean | number | string | undefined }
  | { readonly what: 'list' | 'set'; readonly values: readonly State[] }
  | { readonly what: 'record' | 'map'; readonly entries: readonly (readonly [State, State])[] }
  | { readonly what: 'numbers'; readonly type: number; readonly values: readonly number[] };

export function decodeStateBytes(bytes: Uint8Array): State {
  return stateOf(decodePayload(bytes, Number.POSITIVE_INFINITY), 0);
}

function stateOf(value: unknown, depth: number): State {
  if (!Array.isArray(value)) {
    must(value === null || ['boolean', 'number', 'string'].includes(typeof value), 'a value of a state');
    return { what: 'plain', value: value as null | boolean | number | string };
  }
  const [what, ...parts] = value as unknown[];
  must(depth < 64 || what === 5 || what === 6, 'too deep');
  const key = (part: unknown): State => {
    const read = stateOf(part, 64);
    must(read.what === 'plain', 'a key');
    return read;
  };
  switch (what) {
    case 0:
      return { what: 'list', values: parts.map((part) => stateOf(part, depth + 1)) };
    case 3:
      return { what: 'set', values: parts.map(key) };
    case 1:
    case 2: {
      must(parts.length % 2 === 0, 'a key without a value');
      const entries: (readonly [State, State])[] = [];
      for (let i = 0; i < parts.length; i += 2) entries.push([key(parts[i]), stateOf(parts[i + 1], depth + 1)]);
      return { what: what === 1 ? 'record' : 'map', entries };
    }
    case 4: {
      const [type, ...pieces] = parts;
      const all = Buffer.concat(
        pieces.map((piece) => {
          if (!isBin(piece) || piece.length > 32_768) throw new Malformed('numbers');
          return piece;
        }),
      );
      const index = number(type, NUMBERS.length - 1);
      must(all.length % WIDTHS[index]! === 0, 'half a number');
      return { what: 'numbers', type: index, values: [...new NUMBERS[index]!(new Uint8Array(all).buffer)] };
    }
    case 5:
      must(parts.length === 0, 'undefined');
      return { what: 'plain', value: undefined };
    case 6: {
      const [units] = parts;
      if (parts.length !== 1 || !isBin(units)) throw new Malformed('a text');
      const reader = new Reader(units);
      let text = '';
      while (reader.left > 0) text += String.fromCharCode(reader.uint(1) + 256 * reader.uint(1));
      return { what: 'plain', value: text };
    }
    default:
      throw new Malformed('a part of a state');
  }
}

/** The checksum of a state. */
export function checksum(state: State): number {
  let h = stirState(0, state);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function halves(value: number): readonly [number, number] {
  if (Number.isNaN(value)) return [0, 0x7ff8_0000];
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value, true);
  return [view.getInt32(0, true), view.getInt32(4, true)];
}

const units = (text: string): number[] => Array.from({ length: text.length }, (_, i) => text.charCodeAt(i));

function stirState(h: number, state: State): number {
  switch (state.what) {
    case 'plain': {
      const { value } = state;
      if (value === undefined) return stir(h, 1);
      if (value === null) return stir(h, 2);
      if (typeof value === 'boolean') return stir(h, value ? 4 : 3);
      if (typeof value === 'number') return stirAll(h, [5, ...halves(value)]);
      return stirAll(h, [6, value.length, ...units(value)]);
    }
    case 'list':
    case 'set':
      return state.values.reduce(stirState, stirAll(h, [state.what === 'list' ? 7 : 10, state.values.length]));
    case 'record': {
      const texts = state.entries.map(([key, value]) => [key.what === 'plain' ? (key.value as string) : '', value] as const);
      let out = stirAll(h, [8, texts.length]);
      for (const [key, value] of texts.toSorted(([a], [b]) => (a < b ? -1 : 1))) out = stirState(stirAll(out, [key.length, ...units(key)]), value);
      return out;
    }
    case 'map':
      return state.entries.reduce((out, [key, value]) => stirState(stirState(out, key), value), stirAll(h, [9, state.entries.length]));
    case 'numbers':
      return stirAll(h, [11, state.values.length, ...state.values.flatMap(halves)]);
  }
}
