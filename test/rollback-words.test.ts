/** What peers of a simulation say to each other, as bytes: what fits, what is left out, what is refused; and states on their way. */
import { s, simulation } from 'lanista';
import { describe, expect, it } from 'vitest';
import type { PeerId } from '../sdk/base/brand.ts';
import { Comparison } from '../sdk/sync/rollback/comparison.ts';
import type { Input } from '../sdk/sync/rollback/input.ts';
import { EMPTY_ROW, InputCodec, Row, sameRow } from '../sdk/sync/rollback/input.ts';
import { encodeState } from '../sdk/sync/rollback/state-codec.ts';
import { Takeover } from '../sdk/sync/rollback/takeover.ts';
import { StateGiver, StateTaker } from '../sdk/sync/rollback/transfer.ts';
import type { DesyncReport } from '../sdk/sync/rollback/types.ts';
import type { HeldWords, StatePiece } from '../sdk/sync/rollback/words.ts';
import { EVIDENCE, heldNothing, NEWEST, Words } from '../sdk/sync/rollback/words.ts';
import { PackReader, PackWriter } from '../sdk/wire/pack.ts';

const [ann, bob, cid] = ['ann', 'bob', 'cid'] as unknown as [PeerId, PeerId, PeerId];
const count = simulation({
  id: 'count',
  input: { by: s.u8().default(0), word: s.text(9).default('') },
  start: () => ({}),
  step: () => undefined,
});
const codec = new InputCodec(count);
const words = new Words(codec, 0x1_0005, count.hash);
const held = (by: number, word = ''): Input => codec.encode({ by, word }, undefined);
const row = (...by: readonly number[]): Row => new Row(by.map((one, slot) => ({ slot, away: false, input: held(one) })));

/** Past the head, as a session gets it. */
function open(bytes: Uint8Array): { readonly type: number; readonly count: number; readonly input: PackReader } {
  const reader = new PackReader(bytes.slice());
  const items = reader.array(0xffff);
  const type = reader.int();
  expect([reader.int(), reader.int()]).toEqual([5, count.hash]);
  return { type, count: items, input: reader };
}

function inputsOf(bytes: Uint8Array, last?: Input): unknown {
  const { count: items, input } = open(bytes);
  const read = words.readInputs(items, input, last);
  return read === undefined ? undefined : [read.confirmed, read.first, read.inputs.map(({ value }) => value['by'])];
}

/** By hand: kind 15 with these items after the head. */
function said(type: number, ...items: readonly (number | null | Uint8Array)[]): Uint8Array {
  const out = new PackWriter();
  out.array(3 + items.length);
  for (const value of [type, 5, count.hash]) out.int(value);
  for (const item of items) {
    if (item === null) out.nil();
    else if (typeof item === 'number') out.int(item);
    else out.raw(item);
  }
  return out.copy();
}

/** One datagram of what counted. */
function confirms(first: number, last: number, of: (tick: number) => Row, chain = 0): Uint8Array {
  const [only, ...more] = words.confirms(900, CHECK, first, last, of, () => chain);
  expect(more).toEqual([]);
  return only!;
}
const CHECK = { tick: 60, sum: 0xffff_fff0 };

const { bytes: one } = held(1);

describe('INPUTS', () => {
  it('[RB1] says runs of the same once, from the first tick to the last that is known', () => {
    const list = [held(1), held(1), held(2), held(2), held(2), held(1)];
    // The same object for the same, as a timeline has it.
    const same = list.map((input) => list.find((other) => other.hash === input.hash)!);
    const of = (tick: number): Input | undefined => same[tick - 11];
    const bytes = words.inputs(10, 11, 16, of).slice();
    expect(inputsOf(bytes)).toEqual([10, 11, [1, 1, 2, 2, 2, 1]]);
    expect(open(bytes).count).toBe(5 + 3 * 2);
    expect(inputsOf(words.inputs(10, 11, 15, of))).toEqual([10, 11, [1, 1, 2, 2, 2]]);
    expect(open(words.inputs(10, 11, 15, of)).count).toBe(5 + 2 * 2);
    expect(inputsOf(words.inputs(10, 11, 11, of))).toEqual([10, 11, [1]]);
    expect(inputsOf(words.inputs(10, 11, 40, of))).toEqual([10, 11, [1, 1, 2, 2, 2, 1]]);
    expect(inputsOf(words.inputs(10, 11, 10, of))).toEqual([10, 11, []]);
    expect(inputsOf(words.inputs(undefined, 1, 0, of))).toEqual([undefined, 1, []]);
  });

  it('[RB1] fits a datagram whatever is pressed', () => {
    const bytes = words.inputs(10, 11, 74, (tick) => held(tick, 'word word')).slice();
    expect(bytes.length).toBeLessThanOrEqual(1_100);
    expect((inputsOf(bytes) as [number, number, number[]])[2].length).toBe(64);
    const wide = simulation({ id: 'wide', input: { word: s.text(26).default('') }, start: () => ({}), step: () => undefined });
    const wideCodec = new InputCodec(wide);
    const wideWords = new Words(wideCodec, 5, wide.hash);
    const long = wideWords.inputs(10, 11, 74, (tick) => wideCodec.encode({ word: `${tick}`.padEnd(26, 'x') }, undefined));
    expect(long.length).toBeLessThanOrEqual(1_100);
    expect(long.length).toBeGreaterThan(1_060);
  });

  it('[RB12] takes what is the same as before for the same object, however it is written', () => {
    const last = held(5);
    const { input, count: items } = open(said(15, 1, 2, 3, Uint8Array.of(0x92, 0xcc, 5, 0xa0)));
    expect(words.readInputs(items, input, last)!.inputs.every((read) => read === last)).toBe(true);
    const { input: again, count: more } = open(said(15, 1, 2, 1, last.bytes, 1, one, 1, one));
    const [first, second, third] = words.readInputs(more, again, last)!.inputs;
    expect(first).toBe(last);
    expect(third).toBe(second);
  });

  it('[RB12] refuses what nobody says', () => {
    expect(inputsOf(said(15, 1, 2, 64, one))).toEqual([1, 2, Array.from({ length: 64 }, () => 1)]);
    expect(inputsOf(said(15, 1, 2, 64, one, 64, held(2).bytes))).toBeDefined();
    for (const items of [
      [1, 2, 0, one],
      [1, 2, 65, one],
      [1, 2, 64, one, 64, one, 1, one],
      [1, 2, 1],
      [1, 2, 1, one, 1],
      [1, -1, 1, one],
      [-1, 2, 1, one],
      [1, null, 1, one],
      [1, 2, 1, Uint8Array.of(0x91, 1)],
      [1, 2, 1, Uint8Array.of(0x92, 1, 2)],
      [1, 2, 1, Uint8Array.of(0x92, 1, 0xda, 0, 70, ...new Uint8Array(70).fill(0x61))],
      [1, 2, 1, 7],
    ])
      expect(inputsOf(said(15, ...items)), String(items)).toBeUndefined();
    expect(inputsOf(Uint8Array.from([...said(15, 1, 2, 1, one), 1]))).toBeUndefined();
  });
});

describe('rows', () => {
  const rows = [row(), row(1, 2), row(1, 2), row(3, 2), row(3)];
  // What is the same is one object.
  rows[2] = rows[1]!;
  const of = (tick: number): Row => rows[tick]!;
  const check = CHECK;

  it('[RB1] says what changed, and what did not by a zero', () => {
    const bytes = confirms(1, 4, of, -5);
    const { type, count: items, input } = open(bytes);
    expect(type).toBe(16);
    expect(items).toBe(12);
    const read = words.readConfirms(items, input, () => EMPTY_ROW)!;
    expect(read).toMatchObject({ base: 900, check, first: 1, chain: -5 });
    expect(read.rows.map((each, i) => sameRow(each, rows[i + 1]!))).toEqual([true, true, true, true]);
    expect(read.rows[1]).toBe(read.rows[0]);
    expect(read.rows[2]!.of(1)!.input).toBe(read.rows[1]!.of(1)!.input);
    // Nothing new: only that the sender is there.
    const none = open(confirms(5, 4, of, 7));
    expect(words.readConfirms(none.count, none.input, () => EMPTY_ROW)).toEqual({ base: 900, check, first: 5, chain: 7, rows: [] });
    // Without the row before, "the same" says nothing.
    const lost = open(confirms(3, 4, of, 7));
    expect(words.readConfirms(lost.count, lost.input, () => undefined)).toEqual({ base: 900, check, first: 3, chain: 7, rows: [] });
  });

  it('[RB1] as many as fit a datagram, each whole', () => {
    const many = Array.from({ length: 200 }, (_, tick) => row(tick, 1, 2, 3));
    const datagrams = words.confirms(
      900,
      check,
      1,
      199,
      (tick) => many[tick]!,
      (tick) => tick,
    );
    expect(datagrams.length).toBeGreaterThan(2);
    let next = 1;
    datagrams.forEach((bytes, i) => {
      expect(bytes.length).toBeLessThanOrEqual(1_100);
      if (i + 1 < datagrams.length) expect(bytes.length).toBeGreaterThan(1_050);
      const { count: items, input } = open(bytes);
      const read = words.readConfirms(items, input, () => many[next - 1])!;
      expect([read.first, read.chain]).toEqual([next, next - 1]);
      expect(read.rows.every((each, n) => sameRow(each, many[next + n]!))).toBe(true);
      next += read.rows.length;
    });
    expect(next).toBe(200);
    // More than four datagrams are left for the next time.
    expect(
      words.confirms(
        900,
        check,
        1,
        1_000,
        (tick) => many[tick % 200]!,
        () => 0,
      ),
    ).toHaveLength(4);
    // In an answer that is reliable, all.
    const whole = open(words.held(2 ** 40, 199, 900, 1, 0, 199, (tick) => many[tick]!));
    const answer = words.readHeld(whole.count, whole.input, () => many[0])!;
    expect(answer).toMatchObject({ term: 2 ** 40, confirmed: 199, base: 900, first: 1 });
    expect(answer.rows).toHaveLength(199);
  });

  it('[RB12] refuses what nobody says', () => {
    const entry = (slot: number, state: number, input = one): readonly (number | Uint8Array)[] => [slot, state, input];
    const array = (...items: readonly (number | Uint8Array)[]): Uint8Array => {
      const out = new PackWriter();
      out.array(items.length);
      for (const item of items) {
        if (typeof item === 'number') out.int(item);
        else out.raw(item);
      }
      return out.copy();
    };
    const read = (...items: readonly (number | Uint8Array)[]): unknown => {
      const { count: total, input } = open(said(16, ...items));
      return words.readConfirms(total, input, () => EMPTY_ROW);
    };
    expect(read(900, 0, 0, 1, 0, array(...entry(0, 1), ...entry(31, 2)))).toBeDefined();
    for (const bad of [
      [900, 0, 0, 0, 0, 0],
      [900, 0, 0, 1],
      [900, 0, 0, 1, 0, 1],
      [900, 0, 0, 1, 0, array(0, 1)],
      [900, 0, 0, 1, 0, array(...entry(0, 0))],
      [900, 0, 0, 1, 0, array(...entry(0, 3))],
      [900, 0, 0, 1, 0, array(...entry(32, 1))],
      [900, 0, 0, 1, 0, array(...entry(1, 1), ...entry(1, 1))],
      [900, 0, 0, 1, 0, array(...entry(1, 1), ...entry(0, 1))],
      [900, 0, 0, 1, 0, array(0, 1, Uint8Array.of(0x91, 1))],
      [900, 0, 0, 1, 0, array(...entry(0, 1)), 1],
      [900, 0, 0, 1, 0, ...new Array<number>(1_025).fill(0)],
      [-1, 0, 0, 1, 0],
      [900, -1, 0, 1, 0],
      [900, 0, 0, 1, -1],
    ])
      expect(read(...bad), String(bad).slice(0, 60)).toBeUndefined();
    expect(read(900, 0, 0, 1, 0, ...new Array<number>(1_024).fill(0))).toBeDefined();
  });

  it('[RB7] the answer of who plays nothing is one', () => {
    const { type, count: items, input } = open(heldNothing(0x1_0005, count.hash, 2 ** 40));
    expect(type).toBe(20);
    expect(words.readHeld(items, input, () => EMPTY_ROW)).toEqual({ term: 2 ** 40, confirmed: undefined, base: 0, first: 1, chain: 0, rows: [] });
  });
});

const head = { kind: NEWEST, base: 900, tick: 50, chain: -7, row: row(1) };

describe('states on their way', () => {
  const PIECE = 32_768;

  function giver(): {
    readonly giver: StateGiver;
    readonly sent: StatePiece[];
    pump(now: number, present?: readonly PeerId[], takes?: number): void;
  } {
    const sent: StatePiece[] = [];
    const giving = new StateGiver(words, () => undefined);
    return {
      giver: giving,
      sent,
      pump: (now, present = [bob, cid], takes = 99) => {
        let left = takes;
        giving.pump(now, present, (_to, bytes) => {
          if (left-- <= 0) return false;
          const { count: items, input } = open(bytes);
          sent.push(words.readState(items, input)!);
          return true;
        });
      },
    };
  }

  /** A state of so many bytes, as it travels. */
  function sized(bytes: number): unknown {
    if (bytes === 0) return undefined;
    if (bytes === 3) return 'ab';
    // Its head, and three more for each part of numbers.
    const state = new Uint8Array(bytes - 3 - 3 * Math.ceil(bytes / PIECE - 0.01)).map((_, i) => (i * 7) >> 3);
    expect(encodeState(state)).toHaveLength(bytes);
    return state;
  }
  const large = sized(2 * PIECE + 5);

  it('[RB8] goes piece by piece as the link takes them, and comes together again', () => {
    const { giver: giving, sent, pump } = giver();
    giving.give(bob, head, large);
    pump(0, [bob], 1);
    expect(sent).toHaveLength(1);
    expect(giving.isGiving(0, bob, NEWEST)).toBe(true);
    expect(giving.isGiving(0, bob, EVIDENCE)).toBe(false);
    expect(giving.isGiving(0, cid, NEWEST)).toBe(false);
    pump(5_000, [bob]);
    expect(sent.map(({ pieces, index, bytes }) => [pieces, index, bytes.length])).toEqual([
      [3, 0, PIECE],
      [3, 1, PIECE],
      [3, 2, 5],
    ]);
    // For a moment who asks again has not seen it yet.
    expect(giving.isGiving(6_274, bob, NEWEST)).toBe(true);
    expect(giving.isGiving(6_275, bob, NEWEST)).toBe(false);
    pump(5_100, [bob]);
    expect(sent).toHaveLength(3);
    const taker = new StateTaker();
    expect(taker.take(sent[0]!)).toBeUndefined();
    expect(taker.take(sent[1]!)).toBeUndefined();
    const taken = taker.take(sent[2]!)!;
    expect(taken).toMatchObject({ kind: NEWEST, base: 900, tick: 50, chain: -7 });
    expect(sameRow(taken.row, head.row)).toBe(true);
    expect(Buffer.compare(taken.bytes!, encodeState(large))).toBe(0);
  });

  it('[RB8] of exactly some pieces, of a few bytes, and of none', () => {
    for (const size of [PIECE, 2 * PIECE, 3, 0]) {
      const { giver: giving, sent, pump } = giver();
      giving.give(bob, head, sized(size));
      pump(0);
      const taker = new StateTaker();
      const taken = sent.map((piece) => taker.take(piece)).filter((one) => one !== undefined);
      expect(sent).toHaveLength(Math.max(1, size / PIECE) | 0);
      expect(taken).toHaveLength(1);
      expect(taken[0]!.bytes?.length).toBe(size === 0 ? undefined : size);
      pump(10);
      expect(sent).toHaveLength(Math.max(1, size / PIECE) | 0);
    }
  });

  it('[RB8] to who is away nothing goes on, and others do not wait for it', () => {
    const { giver: giving, sent, pump } = giver();
    giving.give(bob, head, large);
    giving.give(cid, { ...head, tick: 51 }, sized(3));
    pump(0, [cid]);
    expect(sent.map(({ tick }) => tick)).toEqual([51]);
    expect(giving.isGiving(0, bob, NEWEST)).toBe(false);
    pump(10);
    expect(sent).toHaveLength(1);
  });

  it('[RB12] pieces of another state, twice or out of order, come to nothing, and one that begins anew is taken', () => {
    const { giver: giving, sent, pump } = giver();
    giving.give(bob, head, large);
    pump(0);
    const [a, b, c] = sent as [StatePiece, StatePiece, StatePiece];
    const take = (...pieces: readonly StatePiece[]): boolean => {
      const taker = new StateTaker();
      return pieces.map((piece) => taker.take(piece)).some((one) => one !== undefined);
    };
    expect(take(a, b, c)).toBe(true);
    expect(take(b, c)).toBe(false);
    expect(take(a, c)).toBe(false);
    expect(take(a, a, b, c)).toBe(true);
    expect(take(a, b, a, c)).toBe(false);
    for (const other of [{ tick: 51 }, { kind: EVIDENCE }, { pieces: 4 }]) expect(take(a, { ...b, ...other }, { ...c, ...other })).toBe(false);
    expect(take(a, { ...b, tick: 51 }, b, c)).toBe(true);
    expect(take(a, { ...b, bytes: b.bytes.subarray(1) }, c)).toBe(false);
    expect(take({ ...a, pieces: 1, bytes: new Uint8Array(0) })).toBe(true);
    const taker = new StateTaker();
    expect(taker.take({ ...a, pieces: 0 })).toMatchObject({ tick: 50, bytes: undefined });
    // What is done is done: a last piece that comes again is none of it.
    expect([a, b, c, c].map((piece) => taker.take(piece) !== undefined)).toEqual([false, false, true, false]);
  });
});

describe('what was checked', () => {
  function comparing(onDesync: 'resync' | 'report' = 'resync') {
    const asked: number[] = [];
    const reports: DesyncReport[] = [];
    const failures: unknown[] = [];
    const comparison = new Comparison(30, onDesync, {
      ask: (tick) => void asked.push(tick),
      report: (report) => void reports.push(report),
      failed: (cause) => void failures.push(cause),
    });
    return { comparison, asked, reports, failures };
  }
  const sumOf = (state: unknown): number => {
    const { comparison } = comparing();
    comparison.settled(0, 30, state);
    return comparison.newest.sum;
  };

  it('[RB10] every half second, of the state as it was then', () => {
    const { comparison } = comparing();
    expect(comparison.newest).toEqual({ tick: 0, sum: 0 });
    comparison.settled(0, 29, { x: 1 });
    comparison.settled(0, 31, { x: 1 });
    expect(comparison.newest).toEqual({ tick: 0, sum: 0 });
    const state = { x: 1 };
    comparison.settled(0, 30, state);
    state.x = 2;
    comparison.settled(0, 60, state);
    expect(comparison.newest).toMatchObject({ tick: 60, sum: sumOf({ x: 2 }) });
    expect(comparison.accuse(ann, 30)).toMatchObject({ tick: 30, sum: sumOf({ x: 1 }), state: { x: 1 } });
    for (const tick of [90, 120]) comparison.settled(0, tick, state);
    expect(comparison.accuse(ann, 30)?.tick).toBe(30);
    comparison.settled(0, 150, state);
    expect(comparison.accuse(ann, 30)).toBeUndefined();
    expect(comparison.accuse(ann, 45)).toBeUndefined();
  });

  it('[RB10] asks for the host’s state once it differs, whichever comes first, and again when none came in two seconds', () => {
    const { comparison, asked, reports } = comparing();
    comparison.settled(0, 30, { x: 1 });
    comparison.compare(0, { tick: 30, sum: sumOf({ x: 1 }) });
    expect(asked).toEqual([]);
    // Theirs first.
    comparison.compare(10, { tick: 60, sum: sumOf({ x: 5 }) });
    expect(asked).toEqual([]);
    comparison.settled(20, 60, { x: 1 });
    expect(asked).toEqual([60]);
    comparison.settled(500, 90, { x: 1 });
    comparison.compare(500, { tick: 90, sum: 7 });
    comparison.compare(2_019, { tick: 90, sum: 7 });
    expect(asked).toEqual([60]);
    expect(comparison.judge(ann, 30, { state: { x: 5 } })).toBe(false);
    comparison.compare(2_020, { tick: 90, sum: 7 });
    expect(asked).toEqual([60, 90]);
    expect(comparison.judge(ann, 60, { state: { x: 5 } })).toBe(false);
    expect(comparison.judge(ann, 90, { state: { x: 5 } })).toBe(true);
    expect(reports).toEqual([
      { tick: 90, lastGood: 30, peer: ann, mine: sumOf({ x: 1 }), theirs: 7, diff: [{ path: 'state.x', mine: 1, theirs: 5 }] },
    ]);
    // What was the same once stays so, though it is said again otherwise.
    comparison.compare(9_000, { tick: 30, sum: 1 });
    expect(asked).toEqual([60, 90]);
  });

  it('[RB10] says only what it knows, where a state is there no longer', () => {
    const { comparison, reports } = comparing();
    comparison.settled(0, 30, { x: 1 });
    comparison.compare(0, { tick: 30, sum: 7 });
    expect(comparison.judge(ann, 30, undefined)).toBe(true);
    expect(reports.at(-1)).toEqual({ tick: 30, lastGood: 0, peer: ann, mine: sumOf({ x: 1 }), theirs: 7, diff: [] });
    for (const tick of [60, 90, 120, 150]) comparison.settled(0, tick, { x: 1 });
    expect(comparison.judge(ann, 30, { state: { x: 2 } })).toBe(true);
    expect(reports.at(-1)).toEqual({ tick: 30, lastGood: 0, peer: ann, mine: 0, theirs: 7, diff: [] });
    expect(comparison.accuse(bob, 150)).toBeDefined();
    expect(reports.at(-1)).toEqual({ tick: 150, lastGood: 0, peer: bob, mine: sumOf({ x: 1 }), theirs: undefined, diff: [] });
  });

  it('[RB10] once is enough with `report`, and what is the same again begins anew', () => {
    const { comparison, asked } = comparing('report');
    comparison.settled(0, 30, { x: 1 });
    comparison.compare(0, { tick: 30, sum: 7 });
    comparison.settled(9_000, 60, { x: 1 });
    comparison.compare(9_000, { tick: 60, sum: 7 });
    expect(asked).toEqual([30]);
    comparison.settled(9_000, 90, { x: 1 });
    comparison.compare(9_500, { tick: 90, sum: sumOf({ x: 1 }) });
    comparison.settled(9_900, 120, { x: 1 });
    comparison.compare(9_900, { tick: 120, sum: 7 });
    expect(asked).toEqual([30, 120]);
  });

  it('[RB9] forgets all of another past', () => {
    const { comparison, asked, reports, failures } = comparing();
    comparison.settled(0, 30, { x: 1 });
    comparison.compare(0, { tick: 30, sum: sumOf({ x: 1 }) });
    comparison.compare(0, { tick: 60, sum: 7 });
    comparison.clear();
    expect(comparison.newest).toEqual({ tick: 0, sum: 0 });
    expect(comparison.accuse(ann, 30)).toBeUndefined();
    comparison.settled(0, 60, { x: 1 });
    expect(asked).toEqual([]);
    comparison.settled(0, 30, { x: 3 });
    comparison.compare(0, { tick: 30, sum: 9 });
    expect(asked).toEqual([30]);
    comparison.clear();
    expect(comparison.judge(ann, 30, undefined)).toBe(false);
    expect(reports).toEqual([]);
    comparison.settled(0, 90, { f: () => 1 });
    expect(failures).toHaveLength(1);
    expect(comparison.newest.tick).toBe(0);
  });
});

describe('a new host’s question', () => {
  const answer = (confirmed: number | undefined, term = 5): HeldWords => ({ term, confirmed, base: 0, first: 1, chain: 0, rows: [] });

  it('[RB7] waits for all who are present, for half a second, and takes who has come furthest first', () => {
    const takeover = new Takeover(100, 5, [ann, bob, cid]);
    expect(takeover.isDone(599, [ann, bob, cid])).toBe(false);
    expect(takeover.isDone(600, [ann, bob, cid])).toBe(true);
    takeover.handle(bob, answer(30));
    takeover.handle(bob, answer(99));
    takeover.handle(ann, answer(40));
    takeover.handle(ann, answer(20, 4));
    expect(takeover.isDone(200, [ann, bob, cid])).toBe(false);
    takeover.handle(cid, answer(90, 4));
    expect(takeover.isDone(200, [ann, bob, cid])).toBe(false);
    // Who is gone is not waited for.
    expect(takeover.isDone(200, [ann, bob])).toBe(true);
    expect([takeover.next(), takeover.next(), takeover.next()].map((one) => one?.peer)).toEqual([ann, bob, undefined]);
  });

  it('[RB7] waits for the state that was asked for, while its owner is there', () => {
    const takeover = new Takeover(0, 5, [ann, bob]);
    takeover.handle(ann, answer(undefined));
    takeover.handle(bob, answer(7));
    expect(takeover.isDone(10, [ann, bob])).toBe(true);
    expect(takeover.next()!.peer).toBe(bob);
    takeover.ask(10, bob);
    expect(takeover.source).toBe(bob);
    expect(takeover.isDone(1_509, [ann, bob])).toBe(false);
    expect(takeover.isDone(1_510, [ann, bob])).toBe(true);
    expect(takeover.isDone(20, [ann])).toBe(true);
    expect(takeover.next()).toBeUndefined();
  });
});
