/** A game that begins anew, for all at one tick, without anybody leaving the room. */
import { simulation } from 'lanista';
import { openMemoryRooms } from 'lanista/testing';
import { describe, expect, it } from 'vitest';
import { InputCodec, Row, sameRow } from '../sdk/sync/rollback/input.ts';
import { Timeline } from '../sdk/sync/rollback/timeline.ts';
import { Words } from '../sdk/sync/rollback/words.ts';
import { MAX_DATAGRAM_MESSAGE_BYTES, MAX_INPUT_BYTES } from '../sdk/wire/limits.ts';
import { PackReader } from '../sdk/wire/pack.ts';
import type { Duel } from './rollback-arena.ts';
import { Arena, arena, BAD, duel, game, input, WIFI } from './rollback-arena.ts';
import { Rig } from './rollback-rig.ts';
import type { Sum } from './rollback-two.ts';
import { codec, count, two } from './rollback-two.ts';

const TAKEOVER = 19;

describe('a rematch', () => {
  for (const [name, network, options] of [
    ['WIFI', WIFI, {}],
    ['BAD', BAD, {}],
    ['lockstep', WIFI, { maxRollback: 0 }],
  ] as const)
    it(`[RB26] begins for everybody at one tick, which is told once, ${name}`, async () => {
      const { all, rooms, join } = await arena(4, { ...network, seed: 31 }, options);
      await all.fight(2_000);
      const told: string[] = [];
      all.runs.forEach((run, i) => run.on('restart', ({ tick }) => told.push(`${i} at ${tick}`)));
      const [host] = all.runs;
      expect(host!.isHost).toBe(true);
      const hits = host!.state!.fighters.map((fighter) => fighter.hits);
      expect(Math.min(...hits)).toBeGreaterThan(3);
      // However often it is asked for until it has come.
      for (let i = 0; i < 5; i++) host!.restart();
      host!.restart(7);
      await all.fight(1_500);
      const ticks = new Set(told.map((one) => one.slice(5)));
      expect([told.length, ticks.size]).toEqual([4, 1]);
      const at = Number([...ticks][0]);
      for (const [i, settled] of all.settled.entries()) {
        expect(JSON.parse(settled.get(at - 1)!)).toMatchObject({ tick: at - 1 });
        // What `start` makes, of the same seed everywhere.
        expect(JSON.parse(settled.get(at)!)).toMatchObject({ tick: 0, fighters: [] });
        expect(settled.get(at)).toBe(all.settled[0]!.get(at));
        expect(JSON.parse(settled.get(at + 1)!), `${i}`).toMatchObject({ tick: at + 1 });
      }
      // And another one, which a late comer and the next host know nothing special of.
      all.enter(await join({}));
      await all.fight(600);
      host!.restart(5);
      await all.fight(800);
      expect(told).toHaveLength(8);
      expect([all.broken, all.compare().different, all.desyncs, all.warnings]).toEqual([[], [], [], []]);
      expect(all.compare().shared).toBeGreaterThan(200);
      expect(rooms[0].isHost).toBe(true);
    });

  it('[RB26] is for all or for nobody when its host goes at once', async () => {
    for (const ms of [0, 5, 17, 34, 60]) {
      const { all, rooms, settled } = await arena(4, { ...WIFI, seed: 32 + ms });
      await all.fight(1_000);
      const told: number[] = [];
      for (const run of all.runs.slice(1)) run.on('restart', ({ tick }) => told.push(tick));
      all.runs[0]!.restart();
      await all.play(ms);
      await settled(rooms[0].leave());
      await all.fight(1_500);
      expect([0, 3]).toContain(told.length);
      expect(new Set(told).size).toBeLessThanOrEqual(1);
      all.settled.shift();
      expect([all.broken, all.compare().different]).toEqual([[], []]);
      for (const run of all.runs.slice(1)) expect(run.status).toBe('playing');
    }
  });

  it('[RB26] takes the seed that is given, and draws another one each time where none is', () => {
    const { rig, runs } = two();
    runs[0][Symbol.dispose]();
    runs[1][Symbol.dispose]();
    const seeds: (readonly number[])[] = [[], []];
    const opened = rig.seats.map((seat, i) =>
      seat.open(
        simulation({
          id: 'seeds',
          input,
          start: (seed) => {
            (seeds[i] as number[]).push(seed);
            return { seed };
          },
          step: () => undefined,
        }),
      ),
    );
    rig.play(1_000);
    for (const seed of [0, 0xffff_ffff, undefined, undefined]) {
      opened[0]!.restart(seed);
      rig.play(300);
      expect((opened[1]!.state as { seed: number }).seed).toBe((opened[0]!.state as { seed: number }).seed);
    }
    const [first, ...more] = seeds[0]!;
    expect(first).toBe(100);
    // The other one guessed that the game goes on: it makes each once, too.
    expect(seeds[1]).toEqual(more);
    expect(more.slice(0, 2)).toEqual([0, 0xffff_ffff]);
    expect(new Set(more).size).toBe(4);
    for (const seed of more) expect(Number.isInteger(seed) && seed >= 0 && seed <= 0xffff_ffff).toBe(true);
  });

  it('[RB3] [RB26] what is told of settled ticks makes a replay, new beginnings and all', async () => {
    const { all, play } = await arena(3, { ...WIFI, seed: 36 });
    const guest = all.runs[2]!;
    let replayed: Duel | undefined;
    let seed: number | undefined;
    const wrong: number[] = [];
    let ticks = 0;
    guest.on('restart', (word) => void (seed = word.seed));
    guest.on('confirm', ({ tick, state, players }) => {
      if (replayed === undefined) replayed = structuredClone(state);
      else if (seed !== undefined) replayed = duel.start(seed);
      else duel.step(replayed, players, tick);
      seed = undefined;
      ticks++;
      if (JSON.stringify(replayed) !== JSON.stringify(state)) wrong.push(tick);
    });
    for (let i = 0; i < 3; i++) {
      await all.fight(700);
      all.runs[0]!.restart();
    }
    await play(300);
    expect(ticks).toBeGreaterThan(120);
    expect(wrong).toEqual([]);
  });

  it('[RB26] begins with the state before at hand, to keep a score of', async () => {
    const { rooms, play } = await openMemoryRooms(game, 3, { ...WIFI, seed: 35 });
    interface Match {
      score: number[];
      left: number;
    }
    const match = simulation({
      id: 'match',
      input,
      start: (_seed, before?: Match): Match => ({ score: before?.score ?? [], left: 20 }),
      step(state) {
        if (--state.left === 0) state.score.push(state.score.length);
      },
    });
    const runs = rooms.map((room) => room.rollback(match));
    const desyncs: number[] = [];
    for (const run of runs) run.on('desync', ({ tick }) => desyncs.push(tick));
    for (let round = 0; round < 4; round++) {
      await play(700);
      runs[0]!.restart();
    }
    await play(100);
    expect(runs.map((run) => run.state!.score)).toEqual(runs.map(() => [0, 1, 2, 3]));
    expect(runs.map((run) => run.previous!.score === run.state!.score)).toEqual([false, false, false]);
    expect(desyncs).toEqual([]);
  });

  it('[RB26] a game that begins is its host’s as that is told', () => {
    const rig = new Rig(2);
    const told: boolean[] = [];
    for (const seat of rig.seats) {
      const run = seat.open<Sum>(count);
      run.on('start', () => told.push(run.isHost));
    }
    rig.play(1_000);
    expect(told).toEqual([true, false]);
  });

  for (const how of ['rows', 'a state'] as const)
    it(`[RB26] that a host asked for before it slept is none where another one began the game anew meanwhile, as ${how} tell`, () => {
      const rig = new Rig(3);
      const runs = rig.seats.map((seat) => seat.open<Sum>(count));
      const told: string[] = [];
      runs.forEach((run, i) => run.on('restart', ({ seed }) => void told.push(`${i}: ${seed}`)));
      rig.play(1_000);
      runs[0]!.restart(7);
      rig.seats[0]!.awake = false;
      rig.moveHost(1);
      rig.play(1_000);
      runs[1]!.restart(8);
      rig.play(how === 'rows' ? 1_000 : 25_000);
      rig.queue = rig.queue.filter(({ to, type }) => how === 'rows' || to !== 0 || type === TAKEOVER);
      rig.moveHost(0);
      rig.seats[0]!.awake = true;
      rig.play(2_000);
      expect(told).toEqual(how === 'rows' ? ['1: 8', '2: 8', '0: 8'] : ['1: 8', '2: 8']);
      for (const run of runs) expect([run.status, run.state]).toEqual(['playing', runs[0]!.state]);
    });

  it('[RB26] [RB18] is the host’s word alone, and a whole number', () => {
    const { rig, runs } = two();
    const [host, guest] = runs;
    expect([host.isHost, guest.isHost]).toEqual([true, false]);
    expect(() => guest.restart()).toThrow(expect.objectContaining({ code: 'not-owner' }));
    for (const seed of [-1, 1.5, 2 ** 32, '1', null, Number.NaN])
      expect(() => host.restart(seed as number)).toThrow(expect.objectContaining({ code: 'bad-argument' }));
    rig.moveHost(1);
    rig.play(500);
    expect([host.isHost, guest.isHost]).toEqual([false, true]);
    guest.restart();
    expect(() => host.restart()).toThrow(expect.objectContaining({ code: 'not-owner' }));
    host[Symbol.dispose]();
    expect(() => host.restart()).toThrow(expect.objectContaining({ code: 'closed' }));
    const waiting = new Rig(2).seats[1]!.open<Sum>(count);
    expect(() => waiting.restart()).toThrow(expect.objectContaining({ code: 'not-owner' }));
  });

  it('[RB26] may be asked for at the end of a round, by whoever is host then, and is one', async () => {
    const { rooms, play } = await openMemoryRooms(game, 3, { ...WIFI, seed: 33 });
    const rounds = simulation({
      id: 'rounds',
      input,
      start: (seed) => ({ seed, left: 40 }),
      step: (state) => void (state.left = Math.max(0, state.left - 1)),
    });
    const runs = rooms.map((room) => room.rollback(rounds));
    const told: (readonly number[])[] = runs.map((run) => {
      const mine: number[] = [];
      run.on('restart', ({ tick }) => mine.push(tick));
      run.on('confirm', ({ state }) => state.left === 0 && run.isHost && run.restart());
      return mine;
    });
    await play(6_000);
    expect(told[0]!.length).toBeGreaterThanOrEqual(6);
    for (const mine of told) expect(mine.slice(0, 6)).toEqual(told[0]!.slice(0, 6));
    // A round, and the few ticks until all know that it is over.
    const lengths = told[0]!.slice(1).map((tick, i) => tick - told[0]![i]!);
    expect(Math.min(...lengths)).toBeGreaterThanOrEqual(41);
    expect(Math.max(...lengths)).toBeLessThan(60);
  });

  it('[RB26] [RB15] of a game that cannot begin again is told of, and the game goes on as it was, everywhere', async () => {
    let calls = 0;
    const once = simulation({
      id: 'once',
      input,
      start: (seed) => {
        if (seed === 9) throw new Error(`no map ${++calls}`);
        return duel.start(seed);
      },
      step: duel.step,
    });
    const { rooms, play } = await openMemoryRooms(game, 2, { latencyMs: 2, seed: 34 });
    const all = new Arena(play);
    for (const room of rooms) all.enter(room, {}, once as typeof duel);
    await all.fight(1_000);
    all.runs[0]!.restart(9);
    await all.fight(1_000);
    expect(all.warnings.some((detail) => detail.startsWith('rollback: start: Error: no map'))).toBe(true);
    expect([all.broken, all.compare().different]).toEqual([[], []]);
    expect(all.runs[0]!.state!.fighters).toHaveLength(2);
  });
});

describe('a new beginning in a timeline', () => {
  it('[RB26] [RB2] that was not guessed is simulated again from there, and no guess begins anew by itself', () => {
    const settled: Sum[] = [];
    const timeline = new Timeline(count, codec, 8, { settled: (_tick, state) => settled.push({ ...(state as Sum) }), failed: () => undefined });
    timeline.begin(count.start(0));
    const by = codec.encode({ by: 1 }, undefined);
    const row = new Row([{ slot: 0, away: false, input: by }]);
    timeline.confirm(row);
    timeline.advance(6, 64);
    expect(timeline.state).toEqual({ tick: 6, sum: 6 });
    timeline.confirm(row);
    timeline.confirm(new Row(row.entries, 5));
    timeline.advance(6, 64);
    expect(timeline.state).toEqual({ tick: 6, sum: 3 });
    expect(settled).toEqual([
      { tick: 1, sum: 1 },
      { tick: 2, sum: 2 },
      { tick: 0, sum: 0 },
    ]);
    // Its tick is the newest that is confirmed, and what is guessed after it plays on.
    expect(timeline.guess(4).seed).toBeUndefined();
    expect(timeline.guess(4)).toBe(timeline.guess(5));
    timeline.confirm(new Row(row.entries));
    expect(timeline.row(4).seed).toBeUndefined();
    expect(timeline.chain(4)).not.toBe(timeline.chain(3));
  });

  it('[RB26] [RB20] travels with its row, which fits a datagram', () => {
    const fields = Object.fromEntries('abcde'.split('').map((name) => [name, input.left]));
    expect(Object.keys(fields)).toHaveLength(5);
    const words = new Words(codec, 1, count.hash);
    const held = codec.encode({ by: 3 }, undefined);
    const entries = Array.from({ length: 32 }, (_, slot) => ({ slot, away: true, input: held }));
    const rows = [new Row(entries), new Row(entries, 0xffff_ffff), new Row(entries), new Row([], 0), new Row([])];
    const [bytes] = words.confirms(
      1,
      { tick: 0, sum: 0 },
      1,
      4,
      (tick) => rows[tick]!,
      () => 5,
    );
    // Each entry could be as long as an input may be.
    expect(bytes!.length + 32 * (MAX_INPUT_BYTES - held.bytes.length)).toBeGreaterThan(MAX_DATAGRAM_MESSAGE_BYTES);
    const reader = new PackReader(bytes!);
    const items = reader.array(0xffff);
    for (let i = 0; i < 3; i++) reader.int();
    const read = words.readConfirms(items, reader, () => rows[0])!;
    expect(read.rows.map((row) => row.seed)).toEqual([0xffff_ffff, undefined, 0, undefined]);
    expect(read.rows.every((row, i) => sameRow(row, rows[i + 1]!) && row.hash === rows[i + 1]!.hash)).toBe(true);
    expect(sameRow(rows[0]!, rows[1]!)).toBe(false);
    expect(rows[1]!.plain.hash).toBe(rows[0]!.hash);
    expect(new InputCodec(count).neutral.bytes.length).toBeLessThanOrEqual(MAX_INPUT_BYTES);
  });
});
