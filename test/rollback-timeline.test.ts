/** One peer's copy of a simulation, without a network: what it guesses, what it simulates again, and what it keeps. */
import { s, simulation } from 'lanista';
import { describe, expect, it } from 'vitest';
import type { Input } from '../sdk/sync/rollback/input.ts';
import { EMPTY_ROW, InputCodec, Row, sameInput, sameRow } from '../sdk/sync/rollback/input.ts';
import { Timeline } from '../sdk/sync/rollback/timeline.ts';

interface Log {
  tick: number;
  seen: string[];
}

const input = { by: s.u8().default(0) };

class Table {
  /** Each step that was made: tick and what every player was taken to hold down. */
  readonly steps: string[] = [];
  readonly settled: number[] = [];
  readonly failures: string[] = [];
  readonly codec: InputCodec;
  readonly timeline: Timeline;

  constructor(maxRollback = 8, predict?: (last: { by: number }, slot: number) => { by: number }) {
    const log = simulation({
      id: 'log',
      input,
      start: (): Log => ({ tick: 0, seen: [] }),
      step: (state, players, tick) => {
        const text = `${tick}: ${players.map(({ slot, away, input: { by } }) => `${slot}${away ? ' away' : ''} ${by}`).join(', ')}`;
        this.steps.push(text);
        state.seen.push(text);
        state.tick = tick;
      },
      ...(predict === undefined ? {} : { predict }),
    });
    this.codec = new InputCodec(log);
    this.timeline = new Timeline(log, this.codec, maxRollback, {
      settled: (tick) => void this.settled.push(tick),
      failed: (what, cause) => void this.failures.push(`${what}: ${String(cause)}`),
    });
    this.timeline.begin(log.start(0));
  }

  held(by: number): Input {
    return this.codec.encode({ by }, undefined);
  }

  row(...by: readonly (number | 'away')[]): Row {
    return new Row(by.map((one, slot) => ({ slot, away: one === 'away', input: this.held(one === 'away' ? 0 : one) })));
  }

  get state(): Log {
    return this.timeline.state as Log;
  }
}

describe('a timeline', () => {
  it('[RB2] goes back to the first tick that was guessed wrong, once, and on from there', () => {
    const table = new Table();
    const { timeline } = table;
    timeline.confirm(table.row(1, 1));
    timeline.advance(5, 64);
    expect(table.steps).toEqual(['1: 0 1, 1 1', '2: 0 1, 1 1', '3: 0 1, 1 1', '4: 0 1, 1 1', '5: 0 1, 1 1']);
    expect(table.settled).toEqual([1]);
    table.steps.length = 0;
    timeline.confirm(table.row(1, 1));
    timeline.confirm(table.row(1, 2));
    timeline.hear(1, 5, table.held(3));
    timeline.advance(5, 64);
    expect(table.steps).toEqual(['3: 0 1, 1 2', '4: 0 1, 1 2', '5: 0 1, 1 3']);
    expect(table.state.seen).toEqual(['1: 0 1, 1 1', '2: 0 1, 1 1', ...table.steps]);
    expect(table.settled).toEqual([1, 2, 3]);
    expect(timeline.stats).toEqual({ rollbacks: 1, resimulatedTicks: 3, deepestRollbackTicks: 3 });
    timeline.confirm(table.row(1, 9));
    timeline.advance(5, 64);
    expect(timeline.stats).toEqual({ rollbacks: 2, resimulatedTicks: 5, deepestRollbackTicks: 3 });
    expect(table.failures).toEqual([]);
  });

  it('[RB2] what is heard of a tick that was simulated otherwise counts at once, and the same, or of one who is away, does not', () => {
    const table = new Table();
    const { timeline } = table;
    timeline.confirm(table.row(1, 'away'));
    timeline.advance(4, 64);
    for (const [slot, tick, by] of [
      [0, 3, 1],
      [1, 3, 7],
      [2, 3, 7],
      [0, 5, 2],
    ] as const) {
      timeline.hear(slot, tick, table.held(by));
      timeline.advance(4, 64);
      expect(table.steps).toHaveLength(4);
    }
    timeline.hear(0, 4, table.held(2));
    timeline.advance(4, 64);
    expect(table.steps.slice(4)).toEqual(['4: 0 2, 1 away 0']);
  });

  it('[RB2] the first word on a tick counts, within bounds, and what is not known is guessed from the last that is', () => {
    const table = new Table();
    const { timeline } = table;
    timeline.confirm(table.row(1));
    timeline.hear(0, 3, table.held(3));
    timeline.hear(0, 3, table.held(4));
    timeline.hear(0, 1, table.held(5));
    timeline.hear(0, 65, table.held(6));
    timeline.hear(0, 66, table.held(7));
    expect([1, 3, 65, 66].map((tick) => timeline.heard(0, tick)?.value['by'])).toEqual([undefined, 3, 6, undefined]);
    expect(timeline.heard(1, 3)).toBeUndefined();
    expect(timeline.lastHeard(0)).toBe(65);
    expect(timeline.lastHeard(1)).toBe(0);
    timeline.hear(0, 2, table.held(9));
    expect(timeline.lastHeard(0)).toBe(65);
    timeline.advance(6, 64);
    expect(table.steps).toEqual(['1: 0 1', '2: 0 9', '3: 0 3', '4: 0 3', '5: 0 3', '6: 0 3']);
    timeline.forget(0);
    expect(timeline.heard(0, 3)).toBeUndefined();
  });

  it('[RB2] guesses by the simulation’s own `predict`, by slot, from what was heard or was confirmed last', () => {
    const table = new Table(8, ({ by }, slot) => ({ by: by + slot + 1 }));
    const { timeline } = table;
    timeline.confirm(table.row(10, 20));
    timeline.hear(1, 3, table.held(50));
    timeline.advance(4, 64);
    expect(table.steps).toEqual(['1: 0 10, 1 20', '2: 0 11, 1 22', '3: 0 11, 1 50', '4: 0 11, 1 52']);
  });

  it('[RB2] what is the same is one object, so that nothing is compared twice', () => {
    const table = new Table();
    const { timeline } = table;
    timeline.confirm(table.row(1, 2));
    timeline.confirm(table.row(1, 2));
    expect(timeline.row(2)).toBe(timeline.row(1));
    expect(timeline.guess(3)).toBe(timeline.row(2));
    timeline.hear(0, 3, table.held(1));
    expect(timeline.heard(0, 3)).toBe(timeline.row(2).of(0)!.input);
    for (const tick of [4, 5, 6]) timeline.hear(0, tick, table.held(8));
    expect(timeline.heard(0, 5)).toBe(timeline.heard(0, 4));
    timeline.advance(5, 64);
    expect(timeline.guess(5)).toBe(timeline.guess(6));
    timeline.confirm(table.row(1, 3));
    expect(timeline.row(3)).not.toBe(timeline.row(2));
    expect(timeline.row(2)).toBe(timeline.row(1));
  });

  it('[RB5] goes as far as it may: to the limit, the budget, and what may be guessed', () => {
    const table = new Table(3);
    const { timeline } = table;
    timeline.advance(10, 64);
    expect(timeline.next).toBe(4);
    for (let i = 0; i < 8; i++) timeline.confirm(table.row(1));
    timeline.advance(10, 2);
    // What was guessed wrong comes again, and two more.
    expect(timeline.next).toBe(6);
    timeline.advance(7, 64);
    expect(timeline.next).toBe(8);
    timeline.advance(20, 64);
    expect(timeline.next).toBe(12);
    const lockstep = new Table(0);
    lockstep.timeline.advance(10, 64);
    expect(lockstep.steps).toEqual([]);
    lockstep.timeline.confirm(lockstep.row(1));
    lockstep.timeline.advance(10, 64);
    expect(lockstep.steps).toEqual(['1: 0 1']);
  });

  it('[RB7] keeps the rows and chains of 1,024 ticks, and a chain tells every past from any other', () => {
    const table = new Table();
    const { timeline } = table;
    const other = new Table().timeline;
    for (let tick = 1; tick <= 1_023; tick++) for (const one of [timeline, other]) one.confirm(table.row(tick % 7));
    expect([timeline.oldest, timeline.chain(1_023)]).toEqual([0, other.chain(1_023)]);
    timeline.confirm(table.row(1));
    other.confirm(table.row(2));
    expect([timeline.oldest, other.oldest]).toEqual([1, 1]);
    expect(timeline.chain(1_024)).not.toBe(other.chain(1_024));
    timeline.confirm(table.row(3));
    other.confirm(table.row(3));
    expect(timeline.oldest).toBe(2);
    expect(timeline.chain(1_025)).not.toBe(other.chain(1_025));
    expect(timeline.row(2).entries[0]!.input.value['by']).toBe(2);
  });

  it('[RB8] begins anew where another one is, with what that one says, and forgets what it heard', () => {
    const table = new Table();
    const { timeline } = table;
    timeline.confirm(table.row(1));
    timeline.hear(0, 4, table.held(9));
    timeline.advance(4, 64);
    const saved = { tick: 500, seen: ['so it was'] };
    timeline.reset(500, saved, table.row(7), 12_345);
    expect([timeline.next, timeline.confirmed, timeline.final, timeline.oldest]).toEqual([501, 500, 500, 500]);
    expect(timeline.chain(500)).toBe(12_345);
    expect(timeline.row(500).players).toEqual([{ slot: 0, away: false, input: { by: 7 } }]);
    expect(timeline.saved(500)).toEqual(saved);
    // There is none before, to draw from.
    expect(timeline.saved(499)).toEqual(saved);
    expect(table.state).toEqual(saved);
    expect(table.state).not.toBe(saved);
    timeline.advance(502, 64);
    expect(table.state.seen).toEqual(['so it was', '501: 0 7', '502: 0 7']);
    expect(saved.seen).toEqual(['so it was']);
    timeline.confirm(table.row(7));
    timeline.advance(502, 64);
    expect(table.settled.at(-1)).toBe(501);
  });
});

describe('a timeline of a game that brings save and load', () => {
  class World {
    x: number;
    constructor(x: number) {
      this.x = x;
    }
  }

  function table(fails: { save?: boolean; load?: boolean }) {
    const loads: unknown[] = [];
    const failures: string[] = [];
    const world = simulation({
      id: 'world',
      input,
      start: () => new World(0),
      step: (state, players) => void (state.x += players[0]?.input.by ?? 0),
      save: ({ x }) => {
        if (fails.save === true) throw new Error('no room');
        return { x };
      },
      load: (saved, state) => {
        if (fails.load === true) throw new Error('no map');
        loads.push([{ ...saved }, state?.x]);
        return new World(saved.x);
      },
    });
    const codec = new InputCodec(world);
    const timeline = new Timeline(world, codec, 8, {
      settled: () => undefined,
      failed: (what, cause) => void failures.push(`${what}: ${String(cause)}`),
    });
    const rowOf = (by: number): Row => new Row([{ slot: 0, away: false, input: codec.encode({ by }, undefined) }]);
    return { timeline, loads, failures, rowOf };
  }

  it('[RB2] goes back by them', () => {
    const { timeline, loads, failures, rowOf } = table({});
    timeline.begin(new World(5));
    timeline.confirm(rowOf(1));
    timeline.advance(4, 64);
    expect(timeline.state).toEqual(new World(9));
    timeline.confirm(rowOf(3));
    loads.length = 0;
    timeline.advance(4, 64);
    expect(loads).toEqual([[{ x: 6 }, 9]]);
    expect(timeline.state).toEqual(new World(15));
    expect(timeline.state).toBeInstanceOf(World);
    expect(timeline.saved(3)).toEqual({ x: 12 });
    expect(failures).toEqual([]);
  });

  it('[RB15] says which of them failed', () => {
    const fails: { save?: boolean; load?: boolean } = {};
    const { timeline, failures, rowOf } = table(fails);
    timeline.begin(new World(5));
    timeline.confirm(rowOf(1));
    timeline.advance(4, 64);
    fails.load = true;
    timeline.confirm(rowOf(3));
    timeline.advance(4, 64);
    expect(failures).toEqual(['load: Error: no map']);
    fails.load = false;
    fails.save = true;
    timeline.advance(5, 64);
    expect(failures.slice(1)).toEqual(['save: Error: no room']);
  });
});

describe('rows and inputs', () => {
  it('[RB1] two are the same when they say the same, whatever their hashes', () => {
    const table = new Table();
    const [a, b] = [table.held(1), table.held(1)];
    expect(sameInput(a, b)).toBe(true);
    expect(sameInput(a, table.held(2))).toBe(false);
    expect(sameInput(a, { ...table.held(2), hash: a.hash })).toBe(false);
    expect(sameRow(table.row(1, 2), table.row(1, 2))).toBe(true);
    const like = (row: Row): Row => Object.assign(Object.create(Row.prototype) as Row, row, { hash: table.row(1, 2).hash });
    for (const other of [
      table.row(1, 3),
      table.row(1),
      table.row(1, 'away'),
      new Row([{ slot: 3, away: false, input: a }, table.row(1, 2).entries[1]!]),
      EMPTY_ROW,
    ])
      expect([sameRow(table.row(1, 2), other), sameRow(table.row(1, 2), like(other)), sameRow(like(other), table.row(1, 2))]).toEqual([
        false,
        false,
        false,
      ]);
  });

  it('[RB1] another slot, another state, another input: another hash', () => {
    const table = new Table();
    const one = (slot: number, away: boolean, by: number): number => new Row([{ slot, away, input: table.held(by) }]).hash;
    const hashes = [
      one(0, false, 0),
      one(0, true, 0),
      one(1, false, 0),
      one(1, true, 0),
      one(2, false, 0),
      one(3, true, 0),
      one(0, false, 1),
      EMPTY_ROW.hash,
    ];
    expect(new Set(hashes).size).toBe(hashes.length);
    expect(table.row(1, 2).hash).not.toBe(table.row(2, 1).hash);
  });

  it('[RB12] what changes nothing is the input before, itself', () => {
    const table = new Table();
    const held = table.held(5);
    expect(table.codec.change(held, {})).toBe(held);
    expect(table.codec.change(held, { by: 5 })).toBe(held);
    expect(table.codec.change(held, { by: 6 }).value).toEqual({ by: 6 });
    expect(() => table.codec.change(held, null)).toThrow(expect.objectContaining({ code: 'bad-value' }));
    expect(() => table.codec.change(held, 7)).toThrow(expect.objectContaining({ code: 'bad-value' }));
    expect(() => table.codec.change(held, { by: 256 })).toThrow(expect.objectContaining({ code: 'bad-value' }));
    expect(table.codec.guess(held, 0)).toBe(held);
    const predicting = new Table(8, ({ by }) => ({ by: by + 1 }));
    expect(predicting.codec.guess(held, 0)).toBe(predicting.codec.guess(held, 0));
  });
});
