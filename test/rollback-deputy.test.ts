/** A host in whose page nothing is played: who does its part for those who play, and what a liar can make of that. */
import { simulation } from 'lanista';
import { openMemoryRooms } from 'lanista/testing';
import { describe, expect, it } from 'vitest';
import { deputy } from '../sdk/sync/rollback/words.ts';
import { Arena, game, WIFI } from './rollback-arena.ts';
import { IDS, Rig } from './rollback-rig.ts';
import type { Sum } from './rollback-two.ts';
import { codec, count, input, kindOf, two, wordsOf } from './rollback-two.ts';

const STATE = 18;
const DEPUTY = 22;

describe('a host that does not play', () => {
  it('[RB16] names one of those who play, who says in its place what counts; it stays host, and is one of them when it plays', async () => {
    const { rooms, play } = await openMemoryRooms(game, 4, { ...WIFI, seed: 12 });
    const hosts: string[] = [];
    for (const room of rooms) room.on('host', ({ host }) => hosts.push(host));
    const all = new Arena(play);
    for (const room of rooms.slice(1)) all.enter(room);
    await all.fight(900);
    expect(all.runs.map((run) => run.status)).toEqual(['waiting', 'waiting', 'waiting']);
    await all.fight(3_100);
    expect(all.runs.map((run) => run.status)).toEqual(['playing', 'playing', 'playing']);
    const before = all.runs[0]!.confirmedTick;
    expect(before).toBeGreaterThan(60);
    const late = all.enter(rooms[0]);
    await all.fight(1_500);
    expect(late.status).toBe('playing');
    expect(late.tick).toBeGreaterThan(before + 60);
    expect(late.players.map(({ slot }) => slot)).toEqual([0, 1, 2, 3]);
    // And goes again, and they play on.
    late[Symbol.dispose]();
    await all.fight(4_000);
    expect(all.runs[0]!.confirmedTick).toBeGreaterThan(before + 180);
    expect(all.runs[0]!.players.map(({ slot }) => slot)).toEqual([1, 2, 3]);
    expect([all.broken, all.compare().different, hosts]).toEqual([[], [], []]);
    expect(all.events.filter((event) => event.endsWith('resync'))).toEqual([]);
    expect(all.compare().shared).toBeGreaterThan(250);
  });

  for (const how of ['leaves', 'ends its simulation', 'is cut off'] as const)
    it(`[RB16] names another one when its deputy ${how}`, async () => {
      const { rooms, play, settled, setAway } = await openMemoryRooms(game, 4, { latencyMs: 2, seed: 13 });
      const all = new Arena(play);
      for (const room of rooms.slice(1)) all.enter(room);
      await all.fight(3_500);
      const before = Math.max(...all.runs.map((run) => run.confirmedTick));
      if (how === 'leaves') await settled(rooms[1].leave());
      else if (how === 'is cut off') setAway(rooms[1], true);
      else all.runs[0]![Symbol.dispose]();
      await all.fight(2_000);
      for (const run of all.runs.slice(1)) {
        expect(run.status).toBe('playing');
        expect(run.confirmedTick).toBeGreaterThan(before + 80);
      }
      expect(rooms[0].isHost).toBe(true);
      expect(all.broken).toEqual([]);
      all.settled.shift();
      expect(all.compare().different).toEqual([]);
    });

  it('[RB16] whose page is reloaded leaves the deputy as it is, until it plays itself', async () => {
    const { rooms, play, join } = await openMemoryRooms(game, 3, { ...WIFI, seed: 14 });
    const all = new Arena(play);
    for (const room of rooms.slice(1)) all.enter(room);
    await all.fight(3_500);
    const before = all.runs[0]!.confirmedTick;
    const again = await join({}, { id: rooms[0].self.id });
    await all.fight(3_000);
    expect(all.runs[0]!.confirmedTick).toBeGreaterThan(before + 170);
    expect(all.events.filter((event) => !event.endsWith('start'))).toEqual([]);
    all.enter(again);
    await all.fight(1_500);
    expect(all.runs.map((run) => run.status)).toEqual(['playing', 'playing', 'playing']);
    expect([all.broken, all.compare().different]).toEqual([[], []]);
  });

  it('[RB16] that leaves takes no deputy with it: the next host plays, and says itself what counts', async () => {
    const { rooms, play, settled } = await openMemoryRooms(game, 4, { latencyMs: 2, seed: 15 });
    const all = new Arena(play);
    for (const room of rooms.slice(1)) all.enter(room);
    await all.fight(3_500);
    const before = all.runs[0]!.confirmedTick;
    await settled(rooms[0].leave());
    await all.fight(1_500);
    for (const run of all.runs) expect(run.confirmedTick).toBeGreaterThan(before + 60);
    expect([all.broken, all.compare().different]).toEqual([[], []]);
    expect(all.events.filter((event) => event.endsWith('resync'))).toEqual([]);
  });

  it('[RB16] says who is deputy once a second, to those who play, and asks nobody who plays seldom', () => {
    const rig = new Rig(3);
    const said: (readonly [number, number])[] = [];
    rig.onSend = ({ at, from, to, bytes }) => void (from === 0 && kindOf(bytes) === DEPUTY && said.push([to, at - 1_000]));
    // Seldom words are no play.
    for (let i = 0; i < 4; i++) {
      rig.play(1_100);
      rig.seats[0]!.hear(1, wordsOf(1).stateAsk(undefined).slice());
    }
    expect(said).toEqual([]);
    const from = rig.now - 1_000;
    const run = rig.seats[2]!.open<Sum>(count);
    rig.play(4_000);
    expect(run.status).toBe('playing');
    expect(said.map(([to]) => to)).toEqual(said.map(() => 2));
    expect(said[0]![1] - from).toBeGreaterThanOrEqual(2_000);
    expect(said[0]![1] - from).toBeLessThan(2_100);
    expect(said.slice(1).every(([, at], i) => at - said[i]![1] >= 1_000)).toBe(true);
    said.length = 0;
    rig.seats[0]!.open<Sum>(count);
    rig.play(3_000);
    expect(said).toEqual([]);
    expect(run.players.map(({ slot }) => slot)).toEqual([0, 2]);
  });

  it('[RB16] that begins to play follows nobody who is gone meanwhile, nor again when that one is back', () => {
    const rig = new Rig(4);
    const runs = [1, 2, 3].map((i) => rig.seats[i]!.open<Sum>(count));
    rig.play(4_000);
    const at = runs.findIndex((run) => run.isHost);
    expect(at).toBeGreaterThanOrEqual(0);
    const host = rig.seats[0]!.open<Sum>(count);
    rig.play(300);
    expect([host.status, host.isHost]).toEqual(['playing', false]);
    rig.list[1 + at]!.status = 'away';
    rig.onSend = ({ from, to }) => from !== 1 + at && to !== 1 + at;
    rig.play(200);
    rig.list[1 + at]!.status = 'present';
    rig.onSend = undefined;
    rig.play(300);
    expect([host.isHost, ...runs.map((run) => run.isHost)]).toEqual([true, false, false, false]);
    rig.play(2_000);
    for (const run of runs) expect([run.status, run.state]).toEqual(['playing', host.state]);
    // Twice, so that nothing of the first time is left.
    host[Symbol.dispose]();
    rig.play(4_000);
    expect(runs.filter((run) => run.isHost)).toHaveLength(1);
    const again = rig.seats[0]!.open<Sum>(count);
    rig.play(300);
    again[Symbol.dispose]();
    const third = rig.seats[0]!.open<Sum>(count);
    rig.play(3_000);
    expect([third.isHost, ...runs.map((run) => run.isHost)]).toEqual([true, false, false, false]);
    for (const run of runs) expect(run.state).toEqual(third.state);
  });

  for (const players of [[1], [1, 2]])
    it(`[RB16] names the same one for the game that ${players.length === 1 ? 'one plays' : 'two play'} after another`, () => {
      const next = simulation({ id: 'next', input, start: (): Sum => ({ tick: 0, sum: 0 }), step: (state) => void state.tick++ });
      const rig = new Rig(3);
      const runs = players.map((i) => rig.seats[i]!.open<Sum>(count));
      rig.play(4_000);
      expect(runs.map((run) => run.isHost)).toEqual(players.map((i) => i === 1));
      for (const run of runs) run[Symbol.dispose]();
      rig.play(1_000);
      const others = players.map((i) => rig.seats[i]!.open<Sum>(next));
      rig.play(3_000);
      expect(others.map((run) => run.status)).toEqual(players.map(() => 'playing'));
      expect(others.map((run) => run.isHost)).toEqual(players.map((i) => i === 1));
    });

  it('[RB16] names its deputy at once for another term of its own, as when two halves become one', () => {
    const rig = new Rig(4);
    const runs = [1, 2, 3].map((i) => rig.seats[i]!.open<Sum>(count));
    rig.play(4_100);
    const told: string[] = [];
    for (const run of runs) for (const event of ['stall', 'resync'] as const) run.on(event, () => void told.push(event));
    const { tick } = runs[0]!;
    rig.moveHost(0);
    rig.play(1_000);
    expect([told, runs.map((run) => run.isHost)]).toEqual([[], [true, false, false]]);
    for (const run of runs) expect(run.tick).toBeGreaterThan(tick + 40);
  });

  it('[RB16] keeps the deputy that gives a large state over a slow line, and lets it play on', () => {
    const big = simulation({
      id: 'big',
      hz: 50,
      input,
      start: () => ({ tick: 0, much: new Uint8Array(400_000).fill(7) }),
      step: (state) => void state.tick++,
    });
    const rig = new Rig(3);
    // A piece of it every 400 ms.
    let freeAt = 0;
    rig.takes = ({ type }) => {
      if (type !== STATE) return true;
      if (rig.now < freeAt) return false;
      freeAt = rig.now + 400;
      return true;
    };
    const first = rig.seats[1]!.open<{ tick: number }>(big);
    rig.play(3_000);
    const told: string[] = [];
    for (const event of ['stall', 'resync'] as const) first.on(event, () => void told.push(event));
    const late = rig.seats[2]!.open<{ tick: number }>(big);
    const { tick } = first;
    rig.play(7_000);
    expect([first.isHost, late.isHost, late.status, told]).toEqual([true, false, 'playing', []]);
    expect(first.tick - tick).toBe(350);
    // One that gives nothing has its time all the same.
    late[Symbol.dispose]();
    rig.takes = ({ type }) => type !== STATE;
    const again = rig.seats[2]!.open<{ tick: number }>(big);
    rig.play(4_000);
    expect(again.status).toBe('waiting');
    expect(told).toContain('stall');
  });

  it('[RB16] takes its part back also when nobody hears its question', () => {
    const rig = new Rig(3);
    const runs = [1, 2].map((i) => rig.seats[i]!.open<Sum>(count));
    rig.play(3_500);
    rig.onSend = ({ from, bytes }) => !(from === 0 && kindOf(bytes) === 19);
    const host = rig.seats[0]!.open<Sum>(count);
    rig.play(4_000);
    for (const run of [host, ...runs]) {
      expect(run.status).toBe('playing');
      expect(run.players.map(({ slot }) => slot)).toEqual([0, 1, 2]);
      expect(run.confirmedTick).toBeGreaterThan(200);
    }
    expect(host.state).toEqual(runs[0]!.state);
  });
});

describe('a liar', () => {
  /** Says that it plays `count`, and has come as far as it likes, every 50 ms. */
  const lie = (rig: Rig, liar: number, ms: number, to: readonly number[]): void => {
    for (let at = 0; at < ms; at += 50) {
      rig.play(50);
      for (const seat of to)
        rig.seats[seat]!.hear(
          liar,
          wordsOf(liar)
            .inputs(at, at + 1, at + 2, () => codec.neutral)
            .slice(),
        );
    }
  };

  it('[RB16] that says to play where nobody does changes nothing', () => {
    const rig = new Rig(4, 3);
    const hosts = new Set<number>();
    lie(rig, 3, 10_000, [0, 1, 2]);
    hosts.add(rig.host);
    expect([...hosts]).toEqual([0]);
    const runs = rig.seats.map((seat) => seat.open<Sum>(count));
    lie(rig, 3, 3_000, []);
    expect(runs.map((run) => run.status)).toEqual(['playing', 'playing', 'playing']);
  });

  it('[RB16] that is deputy and says nothing is so for a few seconds', () => {
    const rig = new Rig(4, 3);
    // In the lowest seat, and first.
    rig.moveHost(2);
    const liar = 0;
    rig.seats[0]!.desk.close();
    lie(rig, liar, 2_500, [2]);
    rig.onSend = ({ from }) => from !== liar;
    const run = rig.seats[1]!.open<Sum>(count);
    lie(rig, liar, 10_000, [1, 2]);
    expect(run.status).toBe('playing');
    const { tick } = run;
    lie(rig, liar, 10_000, [1, 2]);
    expect(run.tick - tick).toBeGreaterThan(200);
  });

  it('[RB16] names no deputy in place of the host', () => {
    const { rig, runs } = two();
    const name = (from: number, term: number, peer: string): void => rig.seats[1]!.hear(from, deputy(100 + from, count.hash, term, peer as never));
    name(1, 1, IDS[1]!);
    name(0, 0, IDS[1]!);
    name(0, 2, IDS[1]!);
    expect(rig.seats[1]!.drops).toEqual(['rollback-stale', 'rollback-stale', 'rollback-stale']);
    // Nobody of the room, or what is no word at all.
    name(0, 1, 'somebody else');
    rig.seats[1]!.hear(0, deputy(100, count.hash, 1, IDS[1]!).slice(0, -1));
    expect(rig.seats[1]!.drops).toHaveLength(4);
    const { confirmedTick } = runs[1];
    rig.play(1_000);
    expect(runs[1].confirmedTick).toBeGreaterThan(confirmedTick + 40);
    // The host's own word counts again with the next thing it says, whomever it had named.
    name(0, 1, IDS[1]!);
    rig.play(2_000);
    expect(runs.map((run) => run.status)).toEqual(['playing', 'playing']);
    expect(runs[1].state).toEqual(runs[0].state);
  });
});
