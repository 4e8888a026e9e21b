/** What the host does for a simulation, without a network: whom it waits for, and for how long. */
import { s, simulation } from 'lanista';
import { describe, expect, it } from 'vitest';
import type { PeerId, RoomId, Slot } from '../sdk/base/brand.ts';
import type { PortRoster, SeatStatus } from '../sdk/port/port.ts';
import { Conductor } from '../sdk/sync/rollback/conductor.ts';
import { InputCodec, Row, sameRow } from '../sdk/sync/rollback/input.ts';
import type { Input } from '../sdk/sync/rollback/input.ts';
import { Timeline } from '../sdk/sync/rollback/timeline.ts';
import { MAX_TICK, Words } from '../sdk/sync/rollback/words.ts';
import { MAX_CONFIRMS_DATAGRAMS, MAX_DATAGRAM_MESSAGE_BYTES, MAX_INPUT_BYTES, MAX_MESSAGE_BYTES, MAX_PEERS } from '../sdk/wire/limits.ts';
import { PackReader } from '../sdk/wire/pack.ts';

const count = simulation({ id: 'count', input: { fire: s.bool().default(false) }, start: () => ({ shots: 0 }), step: () => undefined });

const [ann, bob, cid] = ['ann', 'bob', 'cid'] as unknown as [PeerId, PeerId, PeerId];

function roster(seats: readonly { id: PeerId; slot: number; status?: SeatStatus; spectator?: boolean }[]): PortRoster {
  const peers = seats.map(({ id, slot, status = 'present', spectator = false }) => ({
    id,
    slot: slot as Slot,
    status,
    spectator,
    eligible: true,
    via: undefined,
  }));
  return { roomId: 'room' as RoomId, name: 'room', max: 8, locked: false, epoch: 1, term: 1, host: ann, peers };
}

const BOTH = roster([
  { id: ann, slot: 0 },
  { id: bob, slot: 1 },
]);

class Table {
  readonly codec = new InputCodec(count);
  readonly timeline = new Timeline(count, this.codec, 8, { settled: () => undefined, failed: () => undefined });
  readonly conductor = new Conductor(this.timeline, this.codec, ann);
  readonly fire = this.codec.encode({ fire: true }, undefined);

  constructor() {
    this.timeline.begin({ shots: 0 });
  }

  /** Confirms what can be at tick `due`; how far it has come. */
  at(now: number, seats: PortRoster, due: number, patienceTicks = 6): number {
    while (this.conductor.confirm(now, seats, due, due + 1, patienceTicks)) {
      // Its own inputs are always there.
      this.timeline.hear(0, this.timeline.confirmed + 1, this.codec.neutral);
    }
    return this.timeline.confirmed;
  }

  hear(now: number, peer: PeerId, slot: number, from: number, until: number): void {
    this.conductor.heard(now, peer, this.timeline.confirmed, true);
    for (let tick = from; tick <= until; tick++) this.timeline.hear(slot, tick, this.fire);
  }

  row(): readonly string[] {
    return this.timeline
      .row(this.timeline.confirmed)
      .entries.map(({ slot, away, input }) => `${slot}${away ? ' away' : ''}${input.value['fire'] === true ? ' fire' : ''}`);
  }
}

describe('words', () => {
  it('[RB20] what all 32 hold down at one tick fits a datagram, however large; inputs of many ticks go in one as far as it reaches', () => {
    const [a, b, c, d, e] = Array.from({ length: 5 }, () => s.u32().default(0));
    const fields = { a: a!, b: b!, c: c!, d: d!, e: e!, f: s.u16().default(0), g: s.bool().default(false) };
    const large = simulation({ id: 'large', input: fields, start: () => 0, step: () => undefined });
    const codec = new InputCodec(large);
    const words = new Words(codec, 0xffff_ffff, 0xffff_ffff);
    const inputOf = (n: number): Input => codec.encode({ a: 2 ** 31 - n, b: n + 2 ** 30, c: 2 ** 30, d: 2 ** 29, e: 2 ** 28, f: 60_000 }, undefined);
    expect(inputOf(1).bytes.length).toBe(MAX_INPUT_BYTES);
    const rows = [0, 1, 2, 3, 4, 5, 6].map(
      (n) => new Row(Array.from({ length: MAX_PEERS }, (_, slot) => ({ slot, away: true, input: inputOf(40 * n + slot) }))),
    );
    const first = MAX_TICK - 5;
    const check = { tick: MAX_TICK, sum: 0xffff_ffff };
    const sent = words.confirms(
      0xffff_ffff,
      check,
      first,
      MAX_TICK,
      (tick) => rows[tick - first + 1]!,
      () => -1,
    );
    expect(sent).toHaveLength(MAX_CONFIRMS_DATAGRAMS);
    sent.forEach((bytes, i) => {
      expect(bytes.length).toBeLessThanOrEqual(MAX_DATAGRAM_MESSAGE_BYTES);
      const input = new PackReader(bytes);
      const count = input.array(0xffff);
      for (let head = 0; head < 3; head++) input.int();
      const read = words.readConfirms(count, input, () => rows[i]);
      expect(read).toMatchObject({ base: 0xffff_ffff, check, first: first + i, chain: -1 });
      expect(read!.rows).toHaveLength(1);
      expect(sameRow(read!.rows[0]!, rows[i + 1]!)).toBe(true);
    });
    const held = words.held(1, 1_024, 0, 1, 0, 1_024, (tick) => rows[tick % 7]!);
    expect(held.length).toBeLessThanOrEqual(MAX_MESSAGE_BYTES);
    expect(held.length).toBeGreaterThan(MAX_MESSAGE_BYTES - 1_100);
    const inputs = words.inputs(MAX_TICK, MAX_TICK - 60, MAX_TICK, inputOf);
    expect(inputs.length).toBeLessThanOrEqual(MAX_DATAGRAM_MESSAGE_BYTES);
    const input = new PackReader(inputs);
    const count = input.array(0xffff);
    for (let head = 0; head < 3; head++) input.int();
    expect(words.readInputs(count, input, undefined)!.inputs.length).toBeGreaterThan(30);
  });
});

describe('a timeline', () => {
  it('[RB23] is full before the rows that come next are overwritten', () => {
    const states: unknown[] = [];
    const sum = simulation({
      id: 'sum',
      input: { by: s.u8().default(0) },
      start: () => ({ sum: 0 }),
      step: (state, players) => {
        for (const player of players) state.sum += player.input.by;
      },
    });
    const codec = new InputCodec(sum);
    const timeline = new Timeline(sum, codec, 8, { settled: (_tick, state) => states.push({ ...(state as object) }), failed: () => undefined });
    timeline.begin({ sum: 0 });
    const sums = [0];
    for (let tick = 1; tick <= 3_000; tick++) {
      const by = tick % 251;
      sums.push(sums.at(-1)! + by);
      while (timeline.isFull) timeline.advance(timeline.confirmed, 1);
      timeline.confirm(new Row([{ slot: 0, away: false, input: codec.encode({ by }, undefined) }]));
    }
    expect(timeline.confirmed - timeline.next).toBeGreaterThan(1_000);
    timeline.advance(3_000, 3_000);
    expect(states).toEqual(sums.slice(1).map((one) => ({ sum: one })));
    // What somebody is given who comes then: the newest settled tick, with its row.
    expect(timeline.oldest).toBeLessThanOrEqual(timeline.final);
  });
});

describe('the host of a simulation', () => {
  it('[RB6] waits for a player’s input until its patience ends, and then takes what was held down before', () => {
    const table = new Table();
    table.timeline.hear(0, 1, table.codec.neutral);
    table.hear(0, bob, 1, 1, 3);
    expect(table.at(0, BOTH, 3)).toBe(3);
    expect(table.row()).toEqual(['0', '1 fire']);
    // From its first tick on.
    expect(table.timeline.row(1).of(1)!.input).toBe(table.timeline.row(3).of(1)!.input);
    for (const due of [4, 5, 9]) expect(table.at(100, BOTH, due)).toBe(3);
    expect(table.at(110, BOTH, 10)).toBe(4);
    expect(table.row()).toEqual(['0', '1 fire']);
    expect(table.conductor.lateInputs).toBe(1);
    // What comes after all counts from the next tick on.
    table.hear(120, bob, 1, 4, 12);
    expect(table.at(120, BOTH, 11)).toBe(12);
    expect(table.conductor.lateInputs).toBe(1);
  });

  it('[RB6] what always comes too late counts at the next tick that is not waited for, once', () => {
    const table = new Table();
    table.timeline.hear(0, 1, table.codec.neutral);
    table.hear(0, bob, 1, 1, 3);
    table.timeline.hear(1, 4, table.codec.neutral);
    expect(table.at(0, BOTH, 4)).toBe(4);
    expect(table.at(0, BOTH, 11)).toBe(5);
    expect(table.row()).toEqual(['0', '1']);
    // For ticks that are confirmed, and the older after the newer.
    for (const tick of [5, 3]) table.timeline.hear(1, tick, tick === 5 ? table.fire : table.codec.neutral);
    expect(table.at(0, BOTH, 12)).toBe(6);
    expect(table.row()).toEqual(['0', '1 fire']);
    table.timeline.hear(1, 7, table.codec.neutral);
    expect(table.at(0, BOTH, 12)).toBe(7);
    table.timeline.hear(1, 6, table.fire);
    expect(table.at(0, BOTH, 14)).toBe(8);
    expect(table.row()).toEqual(['0', '1']);
  });

  it('[RB6] takes who was not heard for a second for away, at once, and back as soon as it is heard', () => {
    const table = new Table();
    table.timeline.hear(0, 1, table.codec.neutral);
    table.hear(0, bob, 1, 1, 2);
    table.at(0, BOTH, 1);
    expect(table.at(999, BOTH, 6)).toBe(2);
    expect(table.at(1_000, BOTH, 6)).toBe(7);
    expect(table.row()).toEqual(['0', '1 away']);
    table.hear(1_100, bob, 1, 8, 20);
    expect(table.at(1_100, BOTH, 8)).toBe(9);
    expect(table.row()).toEqual(['0', '1 fire']);
  });

  it('[RB6] does not wait for a seat that is away', () => {
    const table = new Table();
    table.timeline.hear(0, 1, table.codec.neutral);
    table.hear(0, bob, 1, 1, 1);
    table.at(0, BOTH, 1);
    const away = roster([
      { id: ann, slot: 0 },
      { id: bob, slot: 1, status: 'away' },
    ]);
    expect(table.at(10, away, 3)).toBe(4);
    expect(table.row()).toEqual(['0', '1 away']);
  });

  it('[RB17] between two peers in one seat lies a tick in which nobody plays there', () => {
    const table = new Table();
    table.timeline.hear(0, 1, table.codec.neutral);
    table.hear(0, bob, 1, 1, 5);
    expect(table.at(0, BOTH, 1)).toBe(2);
    const other = roster([
      { id: ann, slot: 0 },
      { id: cid, slot: 1 },
    ]);
    table.conductor.heard(5, cid, 2, true);
    const rows: (readonly string[])[] = [];
    for (let due = 2; due <= 5; due++) {
      table.hear(5, cid, 1, table.timeline.confirmed + 1, table.timeline.confirmed + 1);
      table.conductor.confirm(5, other, due, due + 1, 6);
      table.timeline.hear(0, table.timeline.confirmed + 1, table.codec.neutral);
      rows.push(table.row());
    }
    expect(rows[0]).toEqual(['0']);
    expect(rows.at(-1)).toEqual(['0', '1 fire']);
  });

  it('[RB8] plays with who says something, from the next tick on, and not with who only listens', () => {
    const table = new Table();
    table.timeline.hear(0, 1, table.codec.neutral);
    table.conductor.heard(0, bob, 0, false);
    expect(table.at(0, BOTH, 2)).toBe(3);
    expect(table.row()).toEqual(['0']);
    table.conductor.heard(10, bob, 3, true);
    expect(table.at(10, BOTH, 3)).toBe(4);
    expect(table.row()).toEqual(['0', '1']);
    // It was heard of, so it is waited for.
    expect(table.at(20, BOTH, 5)).toBe(4);
  });

  it('[RB6] who quits is gone at once, though datagrams of it still come', () => {
    const table = new Table();
    table.timeline.hear(0, 1, table.codec.neutral);
    table.hear(0, bob, 1, 1, 9);
    table.at(0, BOTH, 1);
    table.conductor.quit(10, bob);
    table.hear(20, bob, 1, 3, 12);
    expect(table.at(20, BOTH, 4)).toBe(5);
    expect(table.row()).toEqual(['0']);
  });

  it('[RB6] who only looks on from now on is gone at once, be it the host itself', () => {
    for (const [who, left] of [
      [ann, ['1 fire']],
      [bob, ['0']],
    ] as const) {
      const table = new Table();
      table.timeline.hear(0, 1, table.codec.neutral);
      table.hear(0, bob, 1, 1, 9);
      table.at(0, BOTH, 1);
      expect(table.row()).toEqual(['0', '1 fire']);
      const seats = roster([
        { id: ann, slot: 0, spectator: who === ann },
        { id: bob, slot: 1, spectator: who === bob },
      ]);
      expect(table.at(10, seats, 2)).toBe(3);
      expect(table.row()).toEqual(left);
      // And heard no more, though it said more before.
      expect(table.timeline.heard(who === ann ? 0 : 1, 5)).toBeUndefined();
    }
  });

  it('[RB6] goes on at once from who is heard again after it quit, half a second later', () => {
    const table = new Table();
    table.timeline.hear(0, 1, table.codec.neutral);
    table.hear(0, bob, 1, 1, 4);
    table.at(0, BOTH, 1);
    table.conductor.quit(10, bob);
    expect(table.at(20, BOTH, 3)).toBe(4);
    expect(table.row()).toEqual(['0']);
    table.hear(509, bob, 1, 5, 9);
    expect(table.at(509, BOTH, 4)).toBe(5);
    expect(table.row()).toEqual(['0']);
    table.hear(510, bob, 1, 6, 9);
    expect(table.at(510, BOTH, 5)).toBe(6);
    expect(table.row()).toEqual(['0', '1 fire']);
  });

  it('[RB8] plays only with who was heard in the last quarter of a second, and is present', () => {
    for (const [heardAt, status, plays] of [
      [751, 'present', true],
      [750, 'present', false],
      [900, 'away', false],
    ] as const) {
      const table = new Table();
      table.timeline.hear(0, 1, table.codec.neutral);
      table.conductor.heard(heardAt, bob, 0, true);
      const seats = roster([
        { id: ann, slot: 0 },
        { id: bob, slot: 1, status },
      ]);
      table.conductor.confirm(1_000, seats, 1, 2, 6);
      expect(table.row()).toEqual(plays ? ['0', '1'] : ['0']);
    }
  });

  it('[RB6] who says nothing is no player any more after 20 s under one host, and counts none of the time under another', () => {
    const table = new Table();
    const quiet = (from: number, until: number): void => {
      for (let now = from; now <= until; now += 100) {
        table.timeline.hear(0, table.timeline.confirmed + 1, table.codec.neutral);
        table.conductor.confirm(now, BOTH, table.timeline.confirmed + 1, table.timeline.confirmed + 1, 6);
      }
    };
    table.timeline.hear(0, 1, table.codec.neutral);
    table.hear(0, bob, 1, 1, 1);
    table.at(0, BOTH, 1);
    quiet(1_000, 15_000);
    expect(table.row()).toEqual(['0', '1 away']);
    // Somebody else is host for a minute, under whom bob plays.
    table.conductor.takeOver();
    quiet(75_000, 94_900);
    expect(table.row()).toEqual(['0', '1 away']);
    quiet(95_000, 95_200);
    expect(table.row()).toEqual(['0']);
    // Heard for a moment, all of it counts anew.
    table.hear(96_000, bob, 1, table.timeline.confirmed + 1, table.timeline.confirmed + 2);
    quiet(96_000, 115_000);
    expect(table.row()).toEqual(['0', '1 away']);
  });

  it('[RB7] goes on with whom the last row names, and knows nobody from before', () => {
    const table = new Table();
    table.timeline.hear(0, 1, table.codec.neutral);
    table.hear(0, bob, 1, 1, 2);
    table.at(0, BOTH, 1);
    const next = new Conductor(table.timeline, table.codec, ann);
    next.heard(0, bob, 1, true);
    next.begin(BOTH);
    // Nothing of bob yet: it is waited for, as one who plays.
    expect(next.confirm(0, BOTH, 2, 9, 6)).toBe(false);
    expect(next.lateInputs).toBe(0);
    next.heard(5, bob, 1, true);
    expect(next.confirm(5, BOTH, 9, 9, 6)).toBe(true);
    expect(next.lateInputs).toBe(1);
    expect(table.row()).toEqual(['0', '1 fire']);
    next.begin(roster([{ id: ann, slot: 0 }]));
    table.timeline.hear(0, table.timeline.confirmed + 1, table.codec.neutral);
    expect(next.confirm(5, roster([{ id: ann, slot: 0 }]), 9, 9, 6)).toBe(true);
    expect(table.row()).toEqual(['0']);
    expect(next.confirm(5, BOTH, 99, table.timeline.confirmed, 6)).toBe(false);
    next.keepOnly(roster([{ id: ann, slot: 0 }]));
    expect(next.listeners.size).toBe(0);
  });

  it('[RB6] what one listener has is what it said last, and of two who are late both count', () => {
    const table = new Table();
    table.conductor.heard(0, bob, 7, false);
    table.conductor.heard(5, bob, 3, true);
    expect(table.conductor.listeners.get(bob)).toEqual({ heardAt: 5, confirmed: 3, plays: true });
    const three = roster([
      { id: ann, slot: 0 },
      { id: bob, slot: 1 },
      { id: cid, slot: 2 },
    ]);
    table.conductor.heard(5, cid, 3, true);
    table.timeline.hear(0, 1, table.codec.neutral);
    expect(table.at(5, three, 1)).toBe(1);
    expect(table.row()).toEqual(['0', '1', '2']);
    expect(table.at(5, three, 7)).toBe(1);
    expect(table.at(5, three, 8)).toBe(2);
    expect(table.conductor.lateInputs).toBe(2);
  });
});
