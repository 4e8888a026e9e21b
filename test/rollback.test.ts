/** A simulation that a room plays, with everything that a network and its people do to it. */
import { s, simulation } from 'lanista';
import type { Room } from 'lanista';
import { openMemoryRooms } from 'lanista/testing';
import { describe, expect, it } from 'vitest';
import type { Run } from './rollback-arena.ts';
import { Arena, arena, BAD, game, WIFI } from './rollback-arena.ts';

describe('a simulation in a room', () => {
  for (const [name, network] of Object.entries({ wire: { latencyMs: 0.3 }, WIFI, BAD }))
    for (const seed of [1, 2, 3])
      it(`[RB1] [RB3] four players come to the same state at every tick, network ${name}, seed ${seed}`, async () => {
        const { all } = await arena(4, { ...network, seed });
        await all.fight(4_000);
        const { shared, different } = all.compare();
        expect(different).toEqual([]);
        expect(all.broken).toEqual([]);
        expect(all.warnings).toEqual([]);
        expect(shared).toBeGreaterThan(200);
        const state = all.runs[0]!.state!;
        expect(state.fighters).toHaveLength(4);
        expect(state.fighters.every((fighter) => fighter.hits > 0)).toBe(true);
        for (const run of all.runs) expect(run.tick - run.confirmedTick).toBeLessThanOrEqual(8);
        expect(all.runs.map((run) => run.status)).toEqual(all.runs.map(() => 'playing'));
      });

  it('[RB2] what is guessed wrong is simulated again; what is known comes out as if nobody had guessed', async () => {
    const { all, play } = await arena(2, { ...WIFI, seed: 4 });
    await all.fight(2_000);
    const [ann, bob] = all.runs as [Run, Run];
    expect(ann.stats().rollbacks).toBeGreaterThan(5);
    expect(ann.stats().resimulatedTicks).toBeGreaterThanOrEqual(ann.stats().rollbacks);
    expect(ann.stats().deepestRollbackTicks).toBeLessThanOrEqual(8);
    // Nothing is pressed any more, so that every guess is right: both see the same newest state.
    for (const run of all.runs) run.setInput({ left: false, right: false, fire: false });
    await play(500);
    const [mine, theirs] = [structuredClone(ann.state!), structuredClone(bob.state!)];
    expect(ann.tick).toBe(bob.tick);
    expect(mine).toEqual(theirs);
  });

  it('[RB4] with inputs that come in time nothing is guessed wrong', async () => {
    const { all } = await arena(3, { latencyMs: 5, seed: 1 }, { inputDelay: 3 });
    await all.fight(500);
    // That somebody has come could only be guessed.
    const before = all.runs.map((run) => run.stats().rollbacks);
    await all.fight(3_000);
    expect(all.runs.map((run) => run.stats().rollbacks)).toEqual(before);
    expect(all.compare().shared).toBeGreaterThan(150);
    expect(all.compare().different).toEqual([]);
  });

  it('[RB4] the input delay follows the network, and each player has its own', async () => {
    const near = await arena(2, { latencyMs: 1, seed: 1 });
    const far = await arena(2, { latencyMs: 40, seed: 1 });
    await near.all.fight(2_000);
    await far.all.fight(2_000);
    expect(near.all.runs.map((run) => run.stats().inputDelay)).toEqual([1, 1]);
    expect(far.all.runs.map((run) => run.stats().inputDelay)).toEqual([3, 3]);
  });

  it('[RB5] lockstep guesses nothing, waits for everybody, and goes on at its pace', async () => {
    const { all } = await arena(3, { ...WIFI, seed: 5 }, { maxRollback: 0 });
    await all.fight(3_000);
    for (const run of all.runs) {
      expect(run.stats().rollbacks).toBe(0);
      expect(run.tick).toBeLessThanOrEqual(run.confirmedTick);
      expect(run.tick).toBeGreaterThan(150);
      expect(run.status).toBe('playing');
    }
    expect(all.compare().different).toEqual([]);
  });

  for (const [latencyMs, options] of [
    [20, { maxRollback: 0, inputDelay: 0 }],
    [60, { maxRollback: 0 }],
    [60, { maxRollback: 1 }],
    [60, { maxRollback: 30, patienceTicks: 60 }],
    [60, { inputDelay: 0, patienceTicks: 1 }],
    [250, {}],
  ] as const)
    it(`[RB4] what is pressed counts, over ${latencyMs} ms one way, with ${JSON.stringify(options)}`, async () => {
      const { all, play } = await arena(2, { latencyMs, seed: 21 }, options);
      await play(2_000);
      const before = all.runs[0]!.tick;
      all.runs[1]!.setInput({ right: true });
      await play(2_000);
      expect(all.runs[0]!.tick - before).toBeGreaterThan(110);
      expect(all.runs[0]!.state!.fighters[1]!.x).toBeGreaterThan(50);
      expect(all.compare().different).toEqual([]);
    });

  it('[RB20] sixteen players who all press something new at every tick play at full pace', async () => {
    const { rooms, play } = await openMemoryRooms(game, 16, { latencyMs: 4, seed: 22 });
    const fields = { a: s.u32().default(0), b: s.u32().default(0), c: s.u32().default(0), d: s.u32().default(0), e: s.u32().default(0) };
    const crowd = simulation({ id: 'crowd', input: fields, start: () => ({ sum: 0 }), step: () => undefined });
    const runs = (rooms as readonly Room<typeof game>[]).map((room) => room.rollback(crowd));
    await play(500);
    const before = runs.map((run) => run.confirmedTick);
    for (let at = 0; at < 50; at++) {
      runs.forEach((run, slot) => run.setInput({ a: 2 ** 31 + at, b: 2 ** 30 + slot, c: 2 ** 29 + at, d: 2 ** 28 + at, e: 2 ** 27 + at }));
      await play(20);
    }
    for (const [i, run] of runs.entries()) expect(run.confirmedTick - before[i]!).toBeGreaterThan(56);
    expect(Math.max(...runs.map((run) => run.stats().lateInputs))).toBeLessThan(10);
  });

  it('[RB6] who ends its simulation is no player any more, and may come again', async () => {
    const { all, rooms, play } = await arena(3, { latencyMs: 2, seed: 6 });
    await all.fight(1_000);
    const before = all.runs[0]!.tick;
    all.runs[1]![Symbol.dispose]();
    await play(300);
    expect(all.runs[0]!.tick - before).toBeGreaterThan(14);
    expect(all.runs[0]!.players.map((player) => player.slot)).toEqual([0, 2]);
    const again = all.enter(rooms[1]);
    await all.fight(1_000);
    expect(again.status).toBe('playing');
    expect(all.runs[0]!.players.map((player) => player.slot)).toEqual([0, 1, 2]);
    expect(all.compare().different).toEqual([]);
  });

  it('[RB6] who cannot be heard is away for the game, and comes back to its own', async () => {
    const { all, rooms, setAway } = await arena(3, { latencyMs: 2, seed: 7 });
    await all.fight(1_000);
    setAway(rooms[2], true);
    await all.fight(600);
    const [ann, , cid] = all.runs as [Run, Run, Run];
    expect(ann.state!.fighters.map((fighter) => fighter.away)).toEqual([false, false, true]);
    expect(ann.players[2]).toMatchObject({ slot: 2, away: true, input: { left: false, right: false, fire: false } });
    const from = ann.confirmedTick;
    setAway(rooms[2], false);
    await all.fight(1_000);
    expect(ann.state!.fighters.map((fighter) => fighter.away)).toEqual([false, false, false]);
    expect(cid.status).toBe('playing');
    expect(all.compare(from + 1).different.filter((tick) => tick > from + 60)).toEqual([]);
  });

  for (const how of ['leaves', 'is cut off'] as const)
    it(`[RB7] the host ${how}: another one goes on from what was confirmed to anybody, and time stood still meanwhile`, async () => {
      const { all, rooms, settled, setAway } = await arena(4, { ...WIFI, seed: 8 });
      await all.fight(1_500);
      const survivors = all.runs.slice(1);
      const before = Math.max(...survivors.map((run) => run.confirmedTick));
      if (how === 'leaves') await settled(rooms[0].leave());
      else setAway(rooms[0], true);
      await all.fight(1_500);
      expect(all.events.filter((event) => event.endsWith('resync'))).toEqual([]);
      expect(all.broken).toEqual([]);
      for (const run of survivors) expect(run.confirmedTick).toBeGreaterThan(before + 60);
      const others = new Arena(async () => undefined);
      others.settled.push(...all.settled.slice(1));
      expect(others.compare().different).toEqual([]);
      expect(others.compare().shared).toBeGreaterThan(130);
      if (how === 'leaves') {
        expect(all.runs[0]!.status).toBe('closed');
        expect(() => all.runs[0]!.setInput({ left: true })).toThrow(expect.objectContaining({ code: 'closed' }));
      }
    });

  it('[RB8] who comes late gets the state, plays within a fraction of a second, and everybody sees it', async () => {
    const { all, join } = await arena(2, { ...WIFI, seed: 9 });
    await all.fight(1_500);
    const late = all.enter(await join({}));
    const from = all.runs[0]!.tick;
    await all.fight(1_000);
    expect(late.status).toBe('playing');
    expect(Math.min(...all.settled[2]!.keys())).toBeGreaterThan(60);
    expect(Math.min(...all.settled[2]!.keys())).toBeLessThan(from + 15);
    expect(all.runs[0]!.players).toHaveLength(3);
    expect(all.compare().different).toEqual([]);
    const watcher = all.enter(await join({}, { spectate: true }));
    await all.fight(1_000);
    expect(watcher.status).toBe('playing');
    expect(all.runs[0]!.players).toHaveLength(3);
    expect(all.compare().different).toEqual([]);
  });

  it('[RB8] a host that only looks on is no player, and nobody waits for it', async () => {
    const { rooms, play, settled } = await openMemoryRooms(game, 3, { latencyMs: 2, seed: 23 });
    const all = new Arena(play);
    for (const [i, room] of rooms.entries()) all.enter(room, { play: i !== 0 });
    await all.fight(2_000);
    for (const run of all.runs) expect(run.players.map((player) => player.slot)).toEqual([1, 2]);
    expect(all.runs[0]!.stats().lateInputs).toBe(0);
    // Who played, and comes again to look on, is none from then on either.
    await settled(rooms[0].leave());
    all.runs[1]![Symbol.dispose]();
    const again = all.enter(rooms[1], { play: false });
    await all.fight(1_000);
    // The last ticks under the host before may have come late.
    const { lateInputs } = again.stats();
    await all.fight(3_000);
    expect(rooms[1].isHost).toBe(true);
    expect(all.runs.map((run) => run.isHost)).toEqual([false, false, false, true]);
    expect(again.players.map((player) => player.slot)).toEqual([2]);
    expect(again.stats().lateInputs).toBe(lateInputs);
    // What only those two knew has gone with them.
    all.settled.splice(0, 2);
    expect(all.compare().different).toEqual([]);
  });

  it('[RB8] a page that is reloaded, the host’s too, finds the game as it was', async () => {
    for (const which of [0, 1]) {
      const { all, rooms, join } = await arena(3, { ...WIFI, seed: 10 });
      await all.fight(1_500);
      const again = all.enter(await join({}, { id: (rooms as readonly Room<typeof game>[])[which]!.self.id }));
      await all.fight(1_500);
      expect(again.status).toBe('playing');
      expect(again.tick).toBeGreaterThan(120);
      expect(all.compare().different).toEqual([]);
      expect(all.runs[2]!.players.map((player) => player.slot)).toEqual([0, 1, 2]);
    }
  });

  it('[RB9] the half of a room that gives way takes the other’s state, and says so', async () => {
    const { all, rooms, setAway } = await arena(3, { latencyMs: 2, seed: 11 });
    await all.fight(1_000);
    setAway(rooms[0], true);
    await all.fight(1_000);
    setAway(rooms[0], false);
    await all.fight(1_500);
    expect(all.events.filter((event) => event.endsWith('resync'))).toEqual(['0 resync']);
    const newest = Math.min(...all.runs.map((run) => run.confirmedTick));
    expect(all.compare(newest - 30).different).toEqual([]);
    expect(all.compare(newest - 30).shared).toBeGreaterThan(20);
  });

  it('[RB9] who played for long takes the state of a host that has only just begun', async () => {
    const { all, rooms, play, setAway } = await arena(2, { latencyMs: 2, seed: 20 });
    // Longer than anybody keeps what was confirmed.
    await play(20_000);
    setAway(rooms[1], true);
    await play(100);
    all.runs[0]![Symbol.dispose]();
    const anew = all.enter(rooms[0]);
    await play(1_500);
    setAway(rooms[1], false);
    await all.fight(1_500);
    const [host, other] = rooms[0].isHost ? [anew, all.runs[1]!] : [all.runs[1]!, anew];
    expect(host.status).toBe('playing');
    expect(other.status).toBe('playing');
    expect(Math.abs(host.tick - other.tick)).toBeLessThan(10);
    expect(all.events.filter((event) => event.endsWith('resync'))).toHaveLength(1);
  });
});

describe('drawing', () => {
  it('[RB19] gives what was saved where there is a save, typed as such: as `previous`, and by `confirm`', async () => {
    class World {
      x = 0;
    }
    const world = simulation({
      id: 'world',
      input: { by: s.u8().default(1) },
      start: () => new World(),
      step: (state) => void state.x++,
      save: (state) => ({ at: state.x }),
      load: (saved) => Object.assign(new World(), { x: saved.at }),
    });
    const { rooms, play } = await openMemoryRooms(game, 1, { seed: 25 });
    const run = rooms[0].rollback(world);
    const seen: number[] = [];
    run.on('confirm', ({ tick, state }) => seen.push(tick - state.at));
    await play(500);
    expect(run.state).toBeInstanceOf(World);
    expect(run.state!.x - run.previous!.at).toBe(1);
    expect(seen.length).toBeGreaterThan(20);
    expect(seen.every((off) => off === 0)).toBe(true);
  });

  it('[RB19] shows the newest state, the one before it, and how far between them it is', async () => {
    const { all, play } = await arena(1, { seed: 19 });
    await play(100);
    const run = all.runs[0]!;
    run.setInput({ right: true });
    await play(200);
    const seen: { tick: number; fraction: number; before: number; now: number }[] = [];
    for (let i = 0; i < 40; i++) {
      await play(5);
      seen.push({ tick: run.tick, fraction: run.fraction, before: run.previous!.tick, now: run.state!.tick });
    }
    expect(seen.every(({ tick, before, now }) => now === tick && before === tick - 1)).toBe(true);
    expect(Math.max(...seen.map(({ fraction }) => fraction))).toBeLessThanOrEqual(1);
    // What is drawn between the two moves evenly: 0.3 ticks in 5 ms.
    const drawn = seen.map(({ tick, fraction }) => tick + fraction);
    const steps = drawn.slice(1).map((at, i) => at - drawn[i]!);
    expect(Math.max(...steps)).toBeLessThan(0.31);
    expect(Math.min(...steps)).toBeGreaterThan(0.29);
    expect(run.state!.fighters[0]!.x - run.previous!.fighters[0]!.x).toBe(1);
  });
});
