/**
 * What peers of one simulation say to each other, as bytes. `tag` is the sender's session, `game` the simulation's hash; ticks count from its start.
 *
 *   INPUTS    [15, tag, game, confirmed or nil, first, count, input, count, input, …]                            unreliable
 *   CONFIRMS  [16, tag, game, base, checked tick, checksum, first, chain, row, …]                                  unreliable, from the host
 *   STATE_ASK [17, tag, game, tick or nil]                                                                         reliable
 *   STATE     [18, tag, game, kind, base, tick, chain, row, pieces, index, bytes]                                  reliable
 *   TAKEOVER  [19, tag, game, term, confirmed or nil]                                                              reliable, from a new host
 *   HELD      [20, tag, game, term, confirmed or nil, base, first, chain, row, …]                                  reliable, the answer
 *   QUIT      [21, tag, game]                                                                                      reliable
 *   DEPUTY    [22, tag, game, term, peer]                                                                          reliable, from a host that does not play
 *
 * `term` is the host's, a whole number up to 2^53. A row is 0 when it is the one before, else an array of who plays: slot, state (1 plays, 2 away), input, …,
 * with a seed before them where the game begins anew. `chain` is the hash of all rows before `first`
 * (in STATE of all until `tick`): who has another one has another past.
 */
import type { PeerId } from '../../base/brand.ts';
import {
  MAX_CONFIRMS_DATAGRAMS,
  MAX_DATAGRAM_MESSAGE_BYTES,
  MAX_MESSAGE_BYTES,
  MAX_PEERS,
  MAX_ROLLBACK_STATE_BYTES,
  ROLLBACK_AHEAD_TICKS,
  ROLLBACK_KEPT_TICKS,
  ROLLBACK_PIECE_BYTES,
} from '../../wire/limits.ts';
import type { PackReader } from '../../wire/pack.ts';
import { PackWriter } from '../../wire/pack.ts';
import { CONFIRMS, DEPUTY, HELD, INPUTS, QUIT, STATE, STATE_ASK, TAKEOVER } from '../wire.ts';
import type { Input, InputCodec, RowEntry } from './input.ts';
import { EMPTY_ROW, Row } from './input.ts';

export const MAX_TICK = 0x7fff_ffff;
/** Of a state: a room's time ends after 49 days, which are half as many ticks; and who begins at such a one can still say what follows. */
const MAX_STATE_TICK = 0x3fff_ffff;
const U32 = 0xffff_ffff;
/** Of a peer's name, which is 16 characters. */
const MAX_PEER_ID_BYTES = 64;
export const MAX_PIECES = Math.ceil(MAX_ROLLBACK_STATE_BYTES / ROLLBACK_PIECE_BYTES);

/** Why a state comes: to play on from it, or to compare it. */
export const NEWEST = 0;
export const EVIDENCE = 1;

/** The checksum of a settled state; tick 0 for none yet. */
export interface Check {
  readonly tick: number;
  readonly sum: number;
}

export interface InputsWords {
  /** Undefined while the sender has no state. */
  readonly confirmed: number | undefined;
  readonly first: number;
  readonly inputs: readonly Input[];
}

export interface RowsWords {
  readonly first: number;
  /** Hash of all rows before `first`. */
  readonly chain: number;
  readonly rows: readonly Row[];
}

export interface ConfirmsWords extends RowsWords {
  /** Room time of tick 0, ms. */
  readonly base: number;
  readonly check: Check;
}

export interface StatePiece {
  readonly kind: number;
  readonly base: number;
  readonly tick: number;
  readonly chain: number;
  readonly row: Row;
  /** 0 when there is no such state. */
  readonly pieces: number;
  readonly index: number;
  readonly bytes: Uint8Array;
}

export interface HeldWords extends RowsWords {
  readonly term: number;
  readonly confirmed: number | undefined;
  readonly base: number;
}

export class Words {
  readonly #out = new PackWriter(1_024);
  readonly #codec: InputCodec;
  readonly #tag: number;
  readonly #game: number;

  constructor(codec: InputCodec, session: number, game: number) {
    this.#codec = codec;
    this.#tag = session & 0xffff;
    this.#game = game;
  }

  /** Count of the array is filled in by `#end`. */
  #begin(type: number): number {
    this.#out.reset();
    const at = this.#out.openArray();
    this.#out.int(type);
    this.#out.int(this.#tag);
    this.#out.int(this.#game);
    return at;
  }

  #end(at: number, count: number): Uint8Array {
    this.#out.endArray(at, count);
    return this.#out.view();
  }

  #optional(value: number | undefined): void {
    if (value === undefined) this.#out.nil();
    else this.#out.int(value);
  }

  /** All of these are views, valid until the next. `of(tick)`: what is held down from `first` to `last`. */
  inputs(confirmed: number | undefined, first: number, last: number, of: (tick: number) => Input | undefined): Uint8Array {
    const at = this.#begin(INPUTS);
    this.#optional(confirmed);
    this.#out.int(first);
    let count = 5;
    for (let tick = first; tick <= last;) {
      const input = of(tick);
      if (input === undefined || this.#out.offset + 1 + input.bytes.length > MAX_DATAGRAM_MESSAGE_BYTES) break;
      let run = 1;
      while (tick + run <= last && of(tick + run) === input) run++;
      this.#out.int(run);
      this.#out.raw(input.bytes);
      count += 2;
      tick += run;
    }
    return this.#end(at, count);
  }

  /** What counted from `first` to `last`, as datagrams; what does not fit so many of them is left for the next time. These are copies. */
  confirms(base: number, check: Check, first: number, last: number, row: (tick: number) => Row, chain: (tick: number) => number): Uint8Array[] {
    const datagrams: Uint8Array[] = [];
    let next = first;
    do {
      const at = this.#begin(CONFIRMS);
      this.#out.int(base);
      this.#out.int(check.tick);
      this.#out.int(check.sum);
      const count = this.#rows(next, chain(next - 1), last, row, MAX_DATAGRAM_MESSAGE_BYTES);
      datagrams.push(this.#end(at, 6 + count).slice());
      next += count - 2;
    } while (next <= last && datagrams.length < MAX_CONFIRMS_DATAGRAMS);
    return datagrams;
  }

  /** As many rows as one message carries; who needs more of them needs a state. */
  held(term: number, confirmed: number | undefined, base: number, first: number, chain: number, last: number, of: (tick: number) => Row): Uint8Array {
    const at = this.#begin(HELD);
    this.#out.number(term);
    this.#optional(confirmed);
    this.#out.int(base);
    return this.#end(at, 6 + this.#rows(first, chain, last, of, MAX_MESSAGE_BYTES));
  }

  #rows(first: number, chain: number, last: number, of: (tick: number) => Row, bytes: number): number {
    this.#out.int(first);
    this.#out.int(chain >>> 0);
    let count = 2;
    let before = of(first - 1);
    for (let tick = first; tick <= last; tick++) {
      const row = of(tick);
      const start = this.#out.offset;
      if (row === before) this.#out.int(0);
      else this.#row(row);
      if (this.#out.offset > bytes) {
        this.#out.offset = start;
        break;
      }
      before = row;
      count++;
    }
    return count;
  }

  #row(row: Row): void {
    this.#out.array(3 * row.entries.length + Number(row.seed !== undefined));
    if (row.seed !== undefined) this.#out.int(row.seed);
    for (const { slot, away, input } of row.entries) {
      this.#out.int(slot);
      this.#out.int(away ? 2 : 1);
      this.#out.raw(input.bytes);
    }
  }

  stateAsk(tick: number | undefined): Uint8Array {
    const at = this.#begin(STATE_ASK);
    this.#optional(tick);
    return this.#end(at, 4);
  }

  state(piece: StatePiece): Uint8Array {
    const at = this.#begin(STATE);
    const out = this.#out;
    out.int(piece.kind);
    out.int(piece.base);
    out.int(piece.tick);
    out.int(piece.chain >>> 0);
    this.#row(piece.row);
    out.int(piece.pieces);
    out.int(piece.index);
    out.binary(piece.bytes);
    return this.#end(at, 11);
  }

  takeover(term: number, confirmed: number | undefined): Uint8Array {
    const at = this.#begin(TAKEOVER);
    this.#out.number(term);
    this.#optional(confirmed);
    return this.#end(at, 5);
  }

  quit(): Uint8Array {
    return this.#end(this.#begin(QUIT), 3);
  }

  /** The readers take what follows the game's hash; `count` is that of the whole array. Undefined for what is none. `last`: what was held down before. */
  readInputs(count: number, input: PackReader, last: Input | undefined): InputsWords | undefined {
    const confirmed = readOptional(input);
    const first = input.count(MAX_TICK);
    if (count % 2 === 0) return undefined;
    const inputs: Input[] = [];
    let before = last;
    for (let i = 5; i + 1 < count && input.ok; i += 2) {
      const run = input.count(ROLLBACK_AHEAD_TICKS);
      const held = this.#codec.read(input, before);
      if (held === undefined || run === 0 || inputs.length + run > 2 * ROLLBACK_AHEAD_TICKS) return undefined;
      for (let n = 0; n < run; n++) inputs.push(held);
      before = held;
    }
    return input.done ? { confirmed, first, inputs } : undefined;
  }

  /** @param before the confirmed row before `first`, for what is left out because it is the same; undefined when it is not known here. */
  readConfirms(count: number, input: PackReader, before: (first: number) => Row | undefined): ConfirmsWords | undefined {
    const base = input.count(U32);
    const check = readCheck(input);
    const rows = this.#readRows(count - 6, input, before);
    return rows === undefined ? undefined : { base, check, ...rows };
  }

  readHeld(count: number, input: PackReader, before: (first: number) => Row | undefined): HeldWords | undefined {
    const term = readTerm(input);
    const confirmed = readOptional(input);
    const base = input.count(U32);
    const rows = this.#readRows(count - 6, input, before);
    return rows === undefined ? undefined : { term, confirmed, base, ...rows };
  }

  #readRows(count: number, input: PackReader, rowBefore: (first: number) => Row | undefined): RowsWords | undefined {
    const first = input.count(MAX_TICK);
    const chain = input.count(U32) | 0;
    if (!input.ok || first === 0 || count < 2 || count - 2 > ROLLBACK_KEPT_TICKS) return undefined;
    const known = rowBefore(first);
    let before = known ?? EMPTY_ROW;
    // Without the row before, those that say "the same" mean nothing: the words are only that somebody is at `first`.
    if (known === undefined) return { first, chain, rows: [] };
    const rows: Row[] = [];
    for (let i = 2; i < count && input.ok; i++) {
      const row = this.#readRow(input, before);
      if (row === undefined) return undefined;
      rows.push(row);
      before = row;
    }
    return input.done ? { first, chain, rows } : undefined;
  }

  #readRow(input: PackReader, before: Row): Row | undefined {
    if (input.bytes[input.offset] === 0 && input.int() === 0) return before;
    const count = input.array(3 * MAX_PEERS * 2);
    if (!input.ok || count % 3 === 2) return undefined;
    const seed = count % 3 === 1 ? input.count(U32) : undefined;
    const entries: RowEntry[] = [];
    for (let i = count % 3; i < count && input.ok; i += 3) {
      const slot = input.count(MAX_PEERS - 1);
      const state = input.count(2);
      const held = this.#codec.read(input, before.of(slot)?.input);
      // By slot, each once.
      if (held === undefined || state === 0 || slot <= (entries.at(-1)?.slot ?? -1)) return undefined;
      entries.push({ slot, away: state === 2, input: held });
    }
    return input.ok ? new Row(entries, seed) : undefined;
  }

  readState(count: number, input: PackReader): StatePiece | undefined {
    const kind = input.count(EVIDENCE);
    const base = input.count(U32);
    const tick = input.count(MAX_STATE_TICK);
    const chain = input.count(U32) | 0;
    const row = this.#readRow(input, EMPTY_ROW);
    const pieces = input.count(MAX_PIECES);
    const index = input.count(MAX_PIECES);
    const bytes = input.binary(ROLLBACK_PIECE_BYTES);
    if (row === undefined || count !== 11 || !input.done) return undefined;
    return { kind, base, tick, chain, row, pieces, index, bytes };
  }
}

/** How far who says INPUTS has come, and the `first` of them. */
export function readHere(input: PackReader): { readonly confirmed: number | undefined; readonly first: number } | undefined {
  const confirmed = readOptional(input);
  const first = input.count(MAX_TICK);
  return input.ok ? { confirmed, first } : undefined;
}

export function readOptional(input: PackReader): number | undefined {
  return input.nil() ? undefined : input.count(MAX_TICK);
}

/** Of a host: a whole number up to 2^53. */
export function readTerm(input: PackReader): number {
  const term = input.number();
  if (Number.isSafeInteger(term) && term >= 0) return term;
  input.fail();
  return 0;
}

function readCheck(input: PackReader): Check {
  return { tick: input.count(MAX_TICK), sum: input.count(U32) };
}

/** Words of a peer that has no session of `game`, or is not asked as one. */
function aside(count: number, type: number, session: number, game: number): PackWriter {
  const out = new PackWriter(64);
  out.endArray(out.openArray(), count);
  for (const value of [type, session & 0xffff, game]) out.int(value);
  return out;
}

/** Who has no state yet is here all the same, and has been given so many pieces of one. */
export function here(session: number, game: number, pieces: number): Uint8Array {
  const out = aside(5, INPUTS, session, game);
  out.nil();
  out.int(1 + pieces);
  return out.copy();
}

/** `peer` says what counts, for a host that does not play. */
export function deputy(session: number, game: number, term: number, peer: PeerId): Uint8Array {
  const out = aside(5, DEPUTY, session, game);
  out.number(term);
  out.text(peer);
  return out.copy();
}

/** Undefined for what is none; what names nobody in the room is for the reader to see. */
export function readDeputy(count: number, input: PackReader): { readonly term: number; readonly peer: PeerId } | undefined {
  const term = readTerm(input);
  const peer = input.text(MAX_PEER_ID_BYTES) as PeerId;
  return count === 5 && input.done ? { term, peer } : undefined;
}

/** The answer to a TAKEOVER where nothing is played. */
export function heldNothing(session: number, game: number, term: number): Uint8Array {
  const out = aside(8, HELD, session, game);
  out.number(term);
  out.nil();
  for (const value of [0, 1, 0]) out.int(value);
  return out.copy();
}
