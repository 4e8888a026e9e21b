/** A simulation whose host moves, differs or lies: what one peer says then, and what it makes of what it hears. */
import type { DesyncReport } from 'lanista';
import { describe, expect, it } from 'vitest';
import { encodeState } from '../sdk/sync/rollback/state-codec.ts';
import { NEWEST } from '../sdk/sync/rollback/words.ts';
import { IDS, Rig } from './rollback-rig.ts';
import type { Sum } from './rollback-two.ts';
import { confirms, count, kindOf, row, two, wordsOf } from './rollback-two.ts';

describe('when the host moves', () => {
  it('[RB7] a new host goes on from what was confirmed to anybody, and the old one yields to it', () => {
    const rig = new Rig(3);
    const runs = rig.seats.map((seat) => seat.open<Sum>(count));
    rig.play(1_000);
    // What was confirmed last came to the third alone.
    rig.onSend = ({ to, bytes }) => !(to === 1 && kindOf(bytes) === 16);
    runs[0]!.setInput({ by: 5 });
    rig.play(60);
    expect(runs[2]!.confirmedTick).toBeGreaterThan(runs[1]!.confirmedTick);
    const known = runs[2]!.confirmedTick;
    const settled: number[] = [];
    runs[2]!.on('resync', () => settled.push(-1));
    rig.onSend = undefined;
    rig.queue.length = 0;
    rig.list[0]!.status = 'away';
    rig.moveHost(1);
    rig.play(600);
    expect(settled).toEqual([]);
    expect(runs[1]!.confirmedTick).toBeGreaterThan(known);
    expect(runs[1]!.state).toEqual(runs[2]!.state);
  });

  it('[RB7] a host that goes says so as its last word, and settles nothing more by itself', () => {
    const { rig, runs, said } = two();
    said.length = 0;
    const { confirmedTick } = runs[0];
    rig.seats[0]!.desk.close();
    rig.play(500);
    expect(said.filter(({ from }) => from === 0).map(({ bytes }) => kindOf(bytes))).toEqual([21]);
    expect([runs[0].confirmedTick, runs[0].status]).toEqual([confirmedTick, 'closed']);
  });

  it('[RB7] its question goes to all at once, with its term and how far it has come', () => {
    const { rig, runs, said } = two();
    const { confirmedTick } = runs[1];
    rig.moveHost(1);
    rig.now += 1;
    rig.seats[1]!.desk.run(rig.now);
    expect(said.map(({ to, how, bytes }) => [to, how, kindOf(bytes)])).toContainEqual([0, 'reliable', 19]);
    expect(said.filter(({ bytes }) => kindOf(bytes) === 19).map(({ bytes }) => Buffer.from(bytes).toString('hex'))).toEqual([
      Buffer.from(wordsOf(1).takeover(2, confirmedTick)).toString('hex'),
    ]);
    rig.deliver();
    rig.seats[1]!.desk.run(rig.now);
    rig.play(300);
    expect(said.filter(({ bytes }) => kindOf(bytes) === 19)).toHaveLength(1);
    expect(said.filter(({ from, bytes }) => kindOf(bytes) === 16 && from === 1).length).toBeGreaterThan(5);
  });

  it('[RB7] a host whose list is older than that of who takes over says nothing more for two seconds', () => {
    const { rig, said } = two();
    rig.seats[0]!.hear(1, wordsOf(1).takeover(1, 5).slice());
    rig.play(100);
    expect(said.some(({ bytes }) => kindOf(bytes) === 16)).toBe(true);
    said.length = 0;
    rig.seats[0]!.hear(1, wordsOf(1).takeover(2, 5).slice());
    const from = rig.now;
    rig.play(3_000);
    const first = said.find(({ bytes }) => kindOf(bytes) === 16)!.at;
    expect(first - from).toBeGreaterThanOrEqual(2_000);
    expect(first - from).toBeLessThan(2_200);
  });

  it('[RB8] [RB7] a host without a state asks whoever has come furthest, and the next when nothing comes', () => {
    const rig = new Rig(4, 3);
    const runs = rig.seats.map((seat) => seat.open<Sum>(count));
    rig.play(1_000);
    runs[0]![Symbol.dispose]();
    const asked: number[] = [];
    rig.onSend = ({ from, to, bytes }) => {
      if (from === 0 && kindOf(bytes) === 17) asked.push(to);
      return !(from === 0 && to === asked[0] && kindOf(bytes) === 17);
    };
    const again = rig.seats[0]!.open<Sum>(count);
    // The fourth never answers.
    rig.play(480);
    expect(asked).toEqual([]);
    rig.play(100);
    expect(asked).toHaveLength(1);
    rig.play(1_400);
    expect([asked.length, again.status]).toEqual([1, 'waiting']);
    rig.play(400);
    expect(asked).toHaveLength(2);
    expect(new Set(asked).size).toBe(2);
    expect(again.status).toBe('playing');
    expect(again.tick).toBeGreaterThan(40);
  });

  it('[RB7] a host that took a state goes on from what its owner knew of the ticks after it', () => {
    const { rig, runs } = two({ inputDelay: 8 });
    const resyncs: number[] = [];
    runs[1].on('resync', ({ tick }) => resyncs.push(tick));
    runs[1].setInput({ by: 5 });
    rig.play(60);
    const { confirmedTick } = runs[1];
    expect(confirmedTick).toBeGreaterThan(runs[1].tick + 4);
    runs[0][Symbol.dispose]();
    const again = rig.seats[0]!.open<Sum>(count, { inputDelay: 8 });
    rig.play(1_000);
    expect([again.status, runs[1].status, resyncs]).toEqual(['playing', 'playing', []]);
    expect(again.confirmedTick).toBeGreaterThan(confirmedTick + 30);
    expect(again.state).toEqual(runs[1].state);
  });

  it('[RB7] nobody waits for who does not play here', () => {
    const rig = new Rig(3);
    rig.seats[0]!.open<Sum>(count);
    rig.play(60);
    // Both have said that they play nothing.
    expect(rig.seats[0]!.desk.deadline()).toBeGreaterThan(rig.now);
    const run = rig.seats[1]!.open<Sum>(count);
    rig.play(200);
    expect(run.status).toBe('playing');
  });

  it('[RB6] who ends it tells everybody present, once, and ends nothing that began since', () => {
    const { rig, runs, said } = two();
    runs[1][Symbol.dispose]();
    expect(said.map(({ to, how, bytes }) => [to, how, kindOf(bytes)])).toEqual([[0, 'reliable', 21]]);
    const next = rig.seats[1]!.open<Sum>(count);
    runs[1][Symbol.dispose]();
    rig.play(1_000);
    expect(said.filter(({ bytes }) => kindOf(bytes) === 21)).toHaveLength(1);
    expect([runs[1].status, next.status]).toEqual(['closed', 'playing']);
    expect(() => runs[1].setInput({ by: 1 })).toThrow(expect.objectContaining({ code: 'closed' }));
  });
});

describe('what differs', () => {
  it('[RB10] the host’s state of that tick is asked for, given and compared, and then its newest', () => {
    const { rig, runs, said } = two();
    const reports: (readonly DesyncReport[])[] = [[], []];
    runs.forEach((run, i) => run.on('desync', (report) => void (reports[i] as DesyncReport[]).push(report)));
    const resyncs: number[] = [];
    runs[1].on('resync', ({ tick }) => resyncs.push(tick));
    // Who is no host has none to give, and accuses nobody.
    rig.seats[1]!.hear(0, wordsOf(0).stateAsk(25).slice());
    rig.play(50);
    const [none] = said.filter(({ from, bytes }) => from === 1 && kindOf(bytes) === 18);
    expect([...none!.bytes.subarray(-4)]).toEqual([0, 0, 0xc4, 0]);
    expect(reports).toEqual([[], []]);
    said.length = 0;
    (runs[1].state as Sum).sum = 1_000;
    rig.play(1_500);
    expect(reports.map((all) => all.length)).toEqual([1, 1]);
    const [own] = reports[1]!;
    expect(own).toMatchObject({ peer: IDS[0], diff: [{ path: 'state.sum', mine: 1_000, theirs: 0 }] });
    expect(reports[0]![0]).toMatchObject({ peer: IDS[1], tick: own!.tick, theirs: undefined, diff: [] });
    expect(resyncs).toHaveLength(1);
    expect(said.filter(({ bytes }) => kindOf(bytes) === 17)).toHaveLength(2);
    expect(said.filter(({ bytes }) => kindOf(bytes) === 18)).toHaveLength(2);
    expect(runs[1].state).toEqual(runs[0].state);
  });
});

describe('words of a host that are not true', () => {
  it('[RB7] time that has not come yet holds up nobody, once another one is host', () => {
    const rig = new Rig(2);
    const runs = rig.seats.map((seat) => seat.open(count));
    rig.play(1_000);
    expect(runs.map((run) => run.status)).toEqual(['playing', 'playing']);
    const before = runs[1]!.tick;
    // A week from now.
    const { confirmedTick } = runs[1]!;
    rig.seats[1]!.hear(0, confirms(rig.now + 604_800_000, confirmedTick + 1, confirmedTick));
    rig.moveHost(1);
    rig.play(2_000);
    expect(runs[1]!.tick).toBeGreaterThan(before + 50);
    expect(runs[0]!.tick).toBeGreaterThan(before + 50);
  });

  it('[RB12] a state of a tick to which no room lives is none', () => {
    const rig = new Rig(2);
    const runs = rig.seats.map((seat) => seat.open(count));
    rig.play(1_000);
    const state = (tick: number): Uint8Array =>
      wordsOf(0)
        .state({ kind: NEWEST, base: 900, tick, chain: 5, row, pieces: 1, index: 0, bytes: encodeState({ tick, sum: 0 }) })
        .slice();
    rig.seats[1]!.hear(0, state(0x7fff_ffff));
    expect(rig.seats[1]!.drops).toEqual(['rollback-malformed']);
    expect(runs[1]!.tick).toBeLessThan(60);
    // The newest there can be is taken, and left again for the host's, which understands what is said of it.
    rig.seats[1]!.hear(0, state(0x3fff_ffff));
    expect(runs[1]!.tick).toBe(0x3fff_ffff);
    rig.play(2_000);
    expect(rig.seats[0]!.drops).toEqual([]);
    expect(runs[1]!.tick).toBe(runs[0]!.tick);
  });
});
