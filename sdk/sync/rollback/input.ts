/**
 * What players hold down, tick by tick. An `Input` is never changed, and where it is the same as the one before it is the same object: so whole rows of
 * them are compared by looking at a few pointers, and a player who does nothing costs nothing.
 */
import { LanError } from '../../base/errors.ts';
import { MAX_INPUT_BYTES } from '../../wire/limits.ts';
import { PackReader, PackWriter } from '../../wire/pack.ts';
import type { BodyCodec } from '../body.ts';
import { bodyCodec } from '../body.ts';
import { show } from '../definition.ts';
import { mix } from '../hash.ts';
import type { Simulation, SimulationPlayer } from './simulation.ts';

export interface Input {
  /** As it travels: an array of its fields. */
  readonly bytes: Uint8Array;
  readonly value: Readonly<Record<string, unknown>>;
  readonly hash: number;
  /** What is guessed to follow it, by slot, once that was asked. */
  guesses: Map<number, Input> | undefined;
}

export class InputCodec {
  readonly #simulation: Simulation;
  readonly #codec: BodyCodec;
  readonly #out = new PackWriter(2 * MAX_INPUT_BYTES);
  readonly #failed: (what: string, cause: unknown) => void;
  /** Nothing held down. */
  readonly neutral: Input;

  /** @param failed told of what the game's `predict` throws, or gives that is no input. */
  constructor(simulation: Simulation, failed: (what: string, cause: unknown) => void = () => undefined) {
    this.#simulation = simulation;
    this.#failed = failed;
    this.#codec = bodyCodec(simulation.input);
    this.neutral = this.encode({}, undefined);
  }

  /** `last` itself when that says the same. Throws `bad-value`. */
  encode(values: unknown, last: Input | undefined): Input {
    this.#out.reset();
    this.#codec.write(this.#out, values, 'input');
    const bytes = this.#out.view();
    if (last !== undefined && sameBytes(bytes, last.bytes)) return last;
    return this.#made(bytes.slice());
  }

  /** Changes some fields of `last`. Throws `bad-value`. */
  change(last: Input, values: unknown): Input {
    if (typeof values !== 'object' || values === null) throw new LanError('bad-value', `input: expected fields of it, got ${show(values)}.`);
    return this.encode({ ...last.value, ...values }, last);
  }

  /** The next value of `input`; `last` itself when that says the same, undefined when it is none. */
  read(input: PackReader, last: Input | undefined): Input | undefined {
    const start = input.offset;
    input.skip(1);
    const size = input.offset - start;
    if (!input.ok || size > MAX_INPUT_BYTES) return undefined;
    const bytes = input.bytes.subarray(start, input.offset);
    if (last !== undefined && sameBytes(bytes, last.bytes)) return last;
    const read = this.#codec.read(new PackReader(bytes));
    if (read === undefined) return undefined;
    // Written anew, for the same value may be said in more than one way, and all have to come to one hash.
    return this.encode(read.body, last);
  }

  /** What `slot` is guessed to hold down after `last`; the same where `predict` fails. */
  guess(last: Input, slot: number): Input {
    const { predict } = this.#simulation;
    if (predict === undefined) return last;
    let guess = last.guesses?.get(slot);
    if (guess !== undefined) return guess;
    try {
      guess = this.encode(predict(last.value, slot), last);
    } catch (error) {
      guess = last;
      this.#failed('predict', error);
    }
    (last.guesses ??= new Map()).set(slot, guess);
    return guess;
  }

  #made(bytes: Uint8Array): Input {
    let hash = bytes.length;
    for (const byte of bytes) hash = mix(hash, byte);
    const value = Object.freeze(this.#codec.read(new PackReader(bytes))!.body) as Readonly<Record<string, unknown>>;
    return { bytes, value, hash, guesses: undefined };
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

export function sameInput(a: Input, b: Input): boolean {
  return a === b || (a.hash === b.hash && sameBytes(a.bytes, b.bytes));
}

export interface RowEntry {
  readonly slot: number;
  readonly away: boolean;
  readonly input: Input;
}

/** Who plays at one tick, by slot, with what they hold down; and whether the game begins anew there. */
export class Row {
  readonly entries: readonly RowEntry[];
  /** The state of this tick is a new one, started with this. */
  readonly seed: number | undefined;
  /** The same for `step`. */
  readonly players: readonly SimulationPlayer<Record<string, unknown>>[];
  readonly hash: number;
  #plain: Row | undefined;

  constructor(entries: readonly RowEntry[], seed?: number) {
    this.entries = entries;
    this.seed = seed;
    this.players = Object.freeze(entries.map(({ slot, away, input }) => Object.freeze({ slot, away, input: input.value })));
    let hash = entries.length;
    for (const { slot, away, input } of entries) hash = mix(mix(hash, (slot << 1) | Number(away)), input.hash);
    this.hash = seed === undefined ? hash : mix(hash, seed);
  }

  /** The same without a new beginning. */
  get plain(): Row {
    return this.seed === undefined ? this : (this.#plain ??= new Row(this.entries));
  }

  of(slot: number): RowEntry | undefined {
    // A handful: a loop is quicker than a map.
    for (const entry of this.entries) if (entry.slot === slot) return entry;
    return undefined;
  }
}

export const EMPTY_ROW = new Row([]);

export function sameRow(a: Row, b: Row): boolean {
  if (a === b) return true;
  if (a.hash !== b.hash || a.seed !== b.seed || a.entries.length !== b.entries.length) return false;
  return a.entries.every((entry, i) => sameEntry(entry, b.entries[i]!));
}

export function sameEntry(a: RowEntry, b: RowEntry): boolean {
  return a === b || (a.slot === b.slot && a.away === b.away && sameInput(a.input, b.input));
}
