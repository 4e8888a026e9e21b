/** One peer's part in a simulation, word by word: what it says, what it makes of what others say, and when. */
import { simulation } from 'lanista';
import { describe, expect, it } from 'vitest';
import { EMPTY_ROW } from '../sdk/sync/rollback/input.ts';
import { encodeState } from '../sdk/sync/rollback/state-codec.ts';
import { NEWEST, Words } from '../sdk/sync/rollback/words.ts';
import { PackReader } from '../sdk/wire/pack.ts';
import { IDS, Rig } from './rollback-rig.ts';
import type { Sum } from './rollback-two.ts';
import { codec, confirms, count, input, kindOf, row, two, wordsOf } from './rollback-two.ts';

describe('time', () => {
  it('[RB19] every tick is due at its time, and a run at that time makes it', () => {
    const rig = new Rig(1);
    const [seat] = rig.seats;
    const sixty = simulation({ id: 'sixty', input, start: () => ({}), step: () => undefined });
    const run = seat!.open(sixty);
    expect(seat!.desk.deadline()).toBe(rig.now + 50);
    expect([run.status, run.state, run.previous, run.fraction, run.tick, run.players]).toEqual(['waiting', undefined, undefined, 0, 0, []]);
    seat!.desk.run(rig.now);
    expect([run.status, run.tick, run.fraction]).toEqual(['playing', 0, 0]);
    for (let tick = 1; tick <= 500; tick++) {
      rig.now = seat!.desk.deadline();
      expect(run.tick).toBe(tick - 1);
      expect(run.fraction).toBeGreaterThan(0.999);
      seat!.desk.run(rig.now);
      expect(run.tick).toBe(tick);
    }
    expect(rig.now).toBeCloseTo(1_000 + 500_000 / 60, 3);
    rig.now += 10;
    expect(run.fraction).toBeCloseTo(0.6, 5);
    run[Symbol.dispose]();
    expect(seat!.desk.deadline()).toBe(Number.POSITIVE_INFINITY);
  });

  it('[RB4] what is pressed counts as many ticks later as the input delay has, alone and for others', () => {
    for (const inputDelay of [0, 1, 4, 8]) {
      const { rig, runs } = two({ inputDelay });
      expect(runs[0].stats().inputDelay).toBe(inputDelay);
      expect(runs[0].confirmedTick - runs[0].tick).toBeLessThanOrEqual(inputDelay);
      const before = runs[0].tick;
      for (const run of runs) run.setInput({ by: 1 });
      rig.play(400);
      // Each tick from then on counts two.
      for (const run of runs) expect(run.state!.sum).toBe(2 * (run.tick - before - inputDelay));
    }
    const rig = new Rig(1);
    const run = rig.seats[0]!.open<Sum>(count, { inputDelay: 3 });
    rig.play(1_000);
    expect(run.confirmedTick).toBe(run.tick + 3);
  });

  it('[RB4] the input delay is that of the slowest, a tick at least and three at most, once a second', () => {
    const delay = (transitMs: number): number => {
      const rig = new Rig(1);
      const run = rig.seats[0]!.open<Sum>(count);
      expect(run.stats().inputDelay).toBe(2);
      rig.seats[0]!.transitMs = transitMs;
      rig.play(100);
      return run.stats().inputDelay;
    };
    expect([0, 19, 21, 41, 90].map(delay)).toEqual([1, 1, 2, 3, 3]);
    const rig = new Rig(1);
    const run = rig.seats[0]!.open<Sum>(count);
    rig.play(100);
    rig.seats[0]!.transitMs = 50;
    rig.play(800);
    expect(run.stats().inputDelay).toBe(1);
    rig.play(300);
    expect(run.stats().inputDelay).toBe(3);
  });

  it('[RB7] a stall is told of after a quarter of a second, once, and so is its end; a host that stood still counts none of the time', () => {
    const { rig, runs } = two();
    const events: unknown[] = [];
    runs[1].on('stall', ({ waitingFor }) => events.push(waitingFor));
    runs[1].on('resume', ({ tick }) => events.push(tick));
    const [, seat] = rig.seats;
    const { confirmedTick } = runs[1];
    let stalledAt = 0;
    for (let at = 10; at <= 1_000; at += 10) {
      rig.now += 10;
      seat!.desk.run(rig.now);
      if (events.length === 1 && stalledAt === 0) stalledAt = at;
    }
    expect(events).toEqual([IDS[0]]);
    // As far as may be guessed, and then a quarter of a second.
    expect(runs[1].tick).toBe(confirmedTick + 8);
    expect(stalledAt).toBeGreaterThanOrEqual(7 * 20 + 250);
    expect(stalledAt).toBeLessThanOrEqual(10 * 20 + 250);
    expect(runs[1].status).toBe('stalled');
    rig.queue.length = 0;
    const before = runs[0].tick;
    rig.play(100);
    expect(runs[1].status).toBe('playing');
    expect(events).toHaveLength(2);
    expect(events[1]).toBeGreaterThan(confirmedTick);
    expect(runs.map((run) => run.stats().stalls)).toEqual([0, 1]);
    expect(runs[0].tick - before).toBeLessThan(20);
    rig.play(200);
    expect(events).toHaveLength(2);
  });

  it('[RB7] what is late is made up for, 64 ticks in a turn', () => {
    const { rig, runs } = two({ maxRollback: 0, patienceTicks: 60 });
    const { tick } = runs[1];
    for (let i = 0; i < 150; i++) {
      rig.now += 20;
      rig.seats[0]!.desk.run(rig.now);
      rig.seats[0]!.hear(
        1,
        wordsOf(1).inputs(runs[0].confirmedTick, runs[0].confirmedTick + 1, runs[0].confirmedTick + 3, () => codec.neutral),
      );
    }
    expect(runs[0].tick).toBeGreaterThan(tick + 130);
    rig.deliver();
    expect(runs[1].confirmedTick).toBeGreaterThan(tick + 130);
    for (const more of [64, 128]) {
      rig.seats[1]!.desk.run(rig.now);
      expect(runs[1].tick).toBe(tick + more);
      expect(rig.seats[1]!.desk.deadline()).toBe(rig.now);
    }
  });
});

describe('who has no state', () => {
  it('[RB8] asks the host for it twice a second, and plays as soon as it comes', () => {
    const rig = new Rig(2);
    const asks: number[] = [];
    rig.onSend = ({ at, from, to, bytes }) => void (kindOf(bytes) === 17 && from === 1 && to === 0 && asks.push(at));
    const late = rig.seats[1]!.open<Sum>(count);
    rig.play(1_800);
    expect(asks).toHaveLength(4);
    expect(asks.slice(1).map((at, i) => at - asks[i]!)).toEqual([500, 500, 500]);
    const early = rig.seats[0]!.open<Sum>(count);
    const starts: number[] = [];
    late.on('start', ({ tick }) => starts.push(tick));
    rig.play(1_200);
    expect([early.status, late.status]).toEqual(['playing', 'playing']);
    expect(starts).toHaveLength(1);
    expect(asks.length).toBeLessThanOrEqual(7);
    // Not taken: tried again at once.
    const other = new Rig(2);
    other.takes = () => false;
    other.seats[1]!.open<Sum>(count);
    other.play(100);
    other.takes = () => true;
    const tried: number[] = [];
    other.onSend = ({ bytes }) => void tried.push(kindOf(bytes));
    other.play(50);
    expect(tried).toEqual([17]);
  });

  it('[RB8] who asks a host before it has one is given it when it has', () => {
    const rig = new Rig(2);
    const [host, guest] = rig.seats;
    host!.open<Sum>(count);
    const run = guest!.open<Sum>(count);
    // The host waits for what the other has to say, for half a second.
    rig.onSend = ({ bytes }) => kindOf(bytes) !== 20;
    rig.play(600);
    expect(run.status).toBe('playing');
  });

  it('[RB8] who was left behind by more than all keep is given a state', () => {
    const { rig, runs, said } = two({ patienceTicks: 1 });
    rig.onSend = (one) => {
      said.push(one);
      return kindOf(one.bytes) !== 16;
    };
    rig.play(20_000);
    expect(said.filter(({ bytes }) => kindOf(bytes) === 18)).toEqual([]);
    const resyncs: number[] = [];
    runs[1].on('resync', ({ tick }) => resyncs.push(tick));
    rig.play(1_500);
    expect(resyncs.length).toBeGreaterThan(0);
    rig.onSend = undefined;
    rig.play(300);
    expect(runs[1].status).toBe('playing');
    expect(runs[1].state).toEqual(runs[0].state);
  });

  it('[RB15] a game that cannot begin is told of once, and asks for nothing', () => {
    const rig = new Rig(1);
    const broken = simulation({
      id: 'broken',
      input,
      start: () => {
        throw new Error('no map');
      },
      step: () => undefined,
    });
    const run = rig.seats[0]!.open(broken);
    rig.play(1_000);
    expect(rig.seats[0]!.failures).toEqual(['rollback: start: Error: no map']);
    expect(run.status).toBe('waiting');
    expect(rig.seats[0]!.desk.deadline()).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('whose word counts', () => {
  const state = (tick: number, chain: number, sum: number): Uint8Array =>
    wordsOf(0)
      .state({ kind: NEWEST, base: 1_000, tick, chain, row, pieces: 1, index: 0, bytes: encodeState({ tick, sum }) })
      .slice();

  it('[RB12] states are the host’s, or of whom one asked, and a host that plays takes none', () => {
    const { rig, runs } = two();
    const before = runs.map((run) => run.tick);
    rig.seats[0]!.hear(1, state(5_000, 1, 9));
    expect(rig.seats[0]!.drops).toEqual(['rollback-stale']);
    rig.seats[1]!.session = 101;
    rig.moveHost(1);
    rig.play(100);
    rig.seats[1]!.hear(1, state(5_000, 1, 9));
    rig.moveHost(0);
    rig.play(100);
    expect(runs.map((run) => run.tick > 4_000)).toEqual([false, false]);
    expect(runs[0].tick).toBeGreaterThan(before[0]!);
  });

  it('[RB9] the state one plays from changes nothing, and any other of the host’s takes the place of ours', () => {
    const { rig, runs, said } = two();
    const resyncs: number[] = [];
    runs[1].on('resync', ({ tick }) => resyncs.push(tick));
    // As if it had asked once too often.
    rig.seats[0]!.hear(1, wordsOf(1).stateAsk(undefined).slice());
    rig.play(200);
    expect(said.filter(({ bytes }) => kindOf(bytes) === 18)).toHaveLength(1);
    expect(resyncs).toEqual([]);
    rig.seats[1]!.hear(0, state(10, 5, 7));
    expect(resyncs).toEqual([10]);
    rig.play(1_000);
    expect(resyncs.length).toBeGreaterThan(1);
    expect(runs[1].state).toEqual(runs[0].state);
  });

  it('[RB12] what counted is the host’s word alone, and old words of it move no time', () => {
    const { rig, runs } = two();
    const [, seat] = rig.seats;
    const { confirmedTick } = runs[1];
    const old = (base: number): Uint8Array => confirms(base, 1, 0);
    seat!.hear(0, old(500));
    seat!.hear(1, old(500));
    expect(seat!.drops).toEqual(['rollback-stale']);
    expect([runs[1].confirmedTick, runs[1].fraction < 1]).toEqual([confirmedTick, true]);
    // What comes after more than is known here says nothing.
    seat!.hear(0, confirms(500, confirmedTick + 2, confirmedTick + 2));
    expect(seat!.drops).toEqual(['rollback-stale', 'rollback-stale']);
    expect(runs[1].confirmedTick).toBe(confirmedTick);
  });

  it('[RB9] another row of a tick that was confirmed is another past; to who has no state yet it says nothing', () => {
    const { rig, runs, said } = two();
    rig.play(100);
    const last = said.findLast(({ to, bytes }) => to === 1 && kindOf(bytes) === 16)!.bytes;
    const input = new PackReader(last);
    const items = input.array(0xffff);
    for (let i = 0; i < 3; i++) input.int();
    const { first, chain } = new Words(codec, 1, count.hash).readConfirms(items, input, () => row)!;
    rig.play(100);
    expect(runs[1].confirmedTick).toBeGreaterThan(first);
    said.length = 0;
    const again = (): readonly number[] => said.filter(({ from }) => from === 1).map(({ bytes }) => kindOf(bytes));
    // The same said again: nothing is asked.
    rig.seats[1]!.hear(0, last);
    expect(again()).toEqual([]);
    const [other] = wordsOf(0).confirms(
      1_000,
      { tick: 0, sum: 0 },
      first,
      first,
      (tick) => (tick === first ? row : EMPTY_ROW),
      () => chain,
    );
    rig.seats[1]!.hear(0, other!);
    expect(again()).toEqual([17]);
    const waiting = new Rig(2);
    waiting.seats[1]!.open(count);
    waiting.seats[1]!.hear(0, confirms(1_000, 1, 1));
    expect(waiting.seats[1]!.drops).toEqual(['rollback-stale']);
  });

  it('[RB6] the host waits two ticks less than may be guessed, one at least, and 15 in lockstep', () => {
    const waits = (maxRollback: number): number => {
      const { rig, runs } = two({ maxRollback, inputDelay: 1 });
      rig.onSend = ({ from }) => from !== 1;
      const { tick } = runs[0];
      for (let i = 0; i < 60 && runs[0].stats().lateInputs === 0; i++) rig.play(20, 20);
      return Math.round((rig.now - 2_000) / 20) - (tick - 49);
    };
    const [least, ...others] = [1, 2, 3, 4, 8, 20, 0].map(waits);
    expect(others.map((ticks) => ticks - least!)).toEqual([0, 0, 1, 5, 17, 14]);
  });

  it('[RB6] what who only looks on says counts for nothing', () => {
    const { rig, runs } = two();
    rig.list[1]!.spectator = true;
    rig.play(200);
    expect(runs[0].players.map(({ slot }) => slot)).toEqual([0]);
    rig.seats[0]!.hear(
      1,
      wordsOf(1)
        .inputs(runs[0].confirmedTick, runs[0].confirmedTick + 1, runs[0].confirmedTick + 9, () => codec.neutral)
        .slice(),
    );
    rig.play(300);
    expect(runs[0].players.map(({ slot }) => slot)).toEqual([0]);
    const looking = two({ play: false });
    expect(looking.runs.map((run) => run.players)).toEqual([[], []]);
    expect(looking.runs[1].tick).toBeGreaterThan(20);
    // Nor does a host that only looks on hold anybody up.
    const third = new Rig(2);
    const [host, guest] = third.seats.map((seat, i) => seat.open<Sum>(count, { play: i === 1 }));
    third.play(2_000);
    expect(host!.players.map(({ slot }) => slot)).toEqual([1]);
    expect([host!.stats().lateInputs, guest!.status]).toEqual([0, 'playing']);
    host![Symbol.dispose]();
    const again = third.seats[0]!.open<Sum>(count);
    third.play(1_000);
    expect(again.players.map(({ slot }) => slot)).toEqual([0, 1]);
  });

  it('[RB12] words that are none are counted, and none of a former page or another game is looked at', () => {
    const { rig, runs } = two();
    const [seat] = rig.seats;
    const broken = (bytes: Uint8Array): Uint8Array => bytes.slice(0, -1);
    for (const bytes of [
      broken(wordsOf(1).inputs(1, 1, 5, () => codec.neutral)),
      broken(wordsOf(1).stateAsk(500)),
      broken(wordsOf(1).takeover(9, 500)),
      broken(wordsOf(1).held(9, 5, 900, 1, 0, 3, () => row)),
    ])
      seat!.hear(1, bytes);
    expect(seat!.drops).toEqual(Array.from({ length: 4 }, () => 'rollback-malformed'));
    const state = { kind: NEWEST, base: 900, tick: 9, chain: 0, row, index: 0 };
    rig.seats[1]!.hear(
      0,
      wordsOf(0)
        .state({ ...state, pieces: 1, bytes: Uint8Array.of(0xc1) })
        .slice(),
    );
    expect(rig.seats[1]!.drops).toEqual(['rollback-malformed']);
    rig.seats[1]!.hear(
      0,
      wordsOf(0)
        .state({ ...state, pieces: 0, bytes: new Uint8Array(0) })
        .slice(),
    );
    expect(rig.seats[1]!.drops).toEqual(['rollback-malformed']);
    expect(runs[1].tick).toBeGreaterThan(20);
    rig.seats[1]!.session = 200;
    seat!.hear(1, wordsOf(1).quit().slice());
    expect(seat!.drops.at(-1)).toBe('rollback-stale');
    rig.seats[1]!.session = 101;
    seat!.hear(1, new Words(codec, 101, 77).quit().slice());
    seat!.hear(1, new Words(codec, 101, 77).quit().slice());
    expect(seat!.strangers).toEqual([IDS[1]]);
    expect(seat!.drops).toHaveLength(5);
    expect(runs[0].players).toHaveLength(2);
  });
});
