/** A simulation of which something is not as it should be: states that differ, code that fails, calls that make no sense. */
import { strict as assert } from 'node:assert';
import { s, simulation } from 'lanista';
import { openMemoryRooms } from 'lanista/testing';
import { describe, expect, it } from 'vitest';
import { transitMs } from '../sdk/room/stats.ts';
import type { Duel } from './rollback-arena.ts';
import { Arena, duel, fight, game, input, WIFI } from './rollback-arena.ts';

describe('when something is not as it should be', () => {
  it('[RB10] a desync is found within a second, named by its field on the machine that differs, and mended', async () => {
    const { rooms, play } = await openMemoryRooms(game, 3, { ...WIFI, seed: 13 });
    const all = new Arena(play);
    let spoil = false;
    const spoilt = simulation({
      ...{ id: duel.id, input, start: duel.start },
      step(state: Duel, players, tick) {
        fight(state, players, tick);
        if (spoil && state.fighters[1] !== undefined) state.fighters[1].x += 0.5;
      },
    });
    all.enter(rooms[0]);
    all.enter(rooms[1]);
    all.enter(rooms[2], {}, spoilt);
    await all.fight(1_000);
    expect(all.desyncs).toEqual([]);
    spoil = true;
    await all.fight(100);
    spoil = false;
    await all.fight(1_200);
    const host = all.desyncs.filter((report) => report.peer === rooms[2].self.id);
    const own = all.desyncs.filter((report) => report.peer === rooms[0].self.id);
    expect(host).toHaveLength(1);
    expect(own).toHaveLength(1);
    expect(own[0]!.diff.map((place) => place.path)).toEqual(['state.fighters[1].x']);
    expect(own[0]!.mine).not.toBe(own[0]!.theirs);
    expect(own[0]!.tick - own[0]!.lastGood).toBeLessThanOrEqual(30);
    expect(all.events).toContain('2 resync');
    const newest = Math.min(...all.runs.map((run) => run.confirmedTick));
    expect(all.compare(newest - 20).different).toEqual([]);
  });

  it('[RB10] with `report` it goes on as it is, and says it once', async () => {
    const { rooms, play } = await openMemoryRooms(game, 2, { latencyMs: 2, seed: 14 });
    const all = new Arena(play);
    const other = simulation({
      ...{ id: duel.id, input, start: duel.start },
      step(state: Duel, players, tick) {
        fight(state, players, tick);
        if (tick > 60) state.fighters[0]!.hits = -1;
      },
    });
    all.enter(rooms[0]);
    all.enter(rooms[1], { onDesync: 'report' }, other);
    await all.fight(4_000);
    expect(all.desyncs.filter((report) => report.peer === rooms[0].self.id)).toHaveLength(1);
    expect(all.events).not.toContain('1 resync');
    expect(all.runs[1]!.state!.fighters[0]!.hits).toBe(-1);
  });

  it('[RB15] a step that throws is told of, and the game goes on everywhere', async () => {
    const { rooms, play } = await openMemoryRooms(game, 2, { latencyMs: 2, seed: 15 });
    const all = new Arena(play);
    const failing = simulation({
      ...{ id: duel.id, input, start: duel.start },
      step(state: Duel, players, tick) {
        fight(state, players, tick);
        if (tick === 30) throw new Error('no such weapon');
      },
    });
    all.enter(rooms[0], {}, failing);
    all.enter(rooms[1], {}, failing);
    await all.fight(1_500);
    expect(all.warnings.length).toBeGreaterThan(1);
    expect(all.warnings.every((detail) => detail.startsWith('rollback: step: Error: no such weapon'))).toBe(true);
    expect(all.runs[0]!.tick).toBeGreaterThan(60);
    expect(all.compare().different).toEqual([]);
  });

  it('[RB15] a `predict` that throws, or gives what is no input, is told of, and the same is guessed instead', async () => {
    for (const predict of [
      () => {
        throw new Error('no idea');
      },
      () => ({ left: 7 }),
      () => undefined,
    ]) {
      const { rooms, play } = await openMemoryRooms(game, 2, { ...WIFI, seed: 20 });
      const all = new Arena(play);
      const guessing = simulation({ id: duel.id, input, start: duel.start, step: duel.step, predict: predict as () => object });
      all.enter(rooms[0], {}, guessing);
      all.enter(rooms[1], {}, guessing);
      await all.fight(1_500);
      expect(all.warnings.length).toBeGreaterThan(0);
      expect(all.warnings.every((detail) => detail.startsWith('rollback: predict: '))).toBe(true);
      for (const run of all.runs) expect(run.confirmedTick).toBeGreaterThan(60);
      expect(all.compare().different).toEqual([]);
    }
  });

  it('[RB11] a state that is no data is told of, with the place', async () => {
    const { rooms, play } = await openMemoryRooms(game, 1, { seed: 16 });
    const all = new Arena(play);
    all.warnings.length = 0;
    rooms[0].on('warn', ({ detail }) => all.warnings.push(detail));
    class Ball {
      x = 0;
    }
    const run = rooms[0].rollback(simulation({ id: 'ball', input, start: () => ({ balls: [new Ball()] }), step: () => undefined }));
    await play(200);
    expect(run.status).toBe('waiting');
    expect(run.state).toBeUndefined();
    expect(all.warnings).toHaveLength(1);
    expect(all.warnings[0]).toContain('state.balls[0]: expected data, got a Ball');
  });

  it('[RB12] another build of the simulation is named, and does not disturb', async () => {
    const { rooms, play } = await openMemoryRooms(game, 2, { latencyMs: 2, seed: 17 });
    const all = new Arena(play);
    all.enter(rooms[0]);
    const other = simulation({ id: 'duel', hz: 30, input, start: duel.start, step: duel.step });
    all.enter(rooms[1], {}, other as typeof duel);
    await all.fight(1_000);
    expect(all.runs.map((run) => run.status)).toEqual(['playing', 'waiting']);
    expect(all.warnings.filter((detail) => detail.includes('plays another simulation, or another build of this one'))).toHaveLength(2);
  });

  it('[RB24] who ends its simulation within an event hears no more of it, and may begin another one there', async () => {
    const { rooms, play } = await openMemoryRooms(game, 2, { latencyMs: 5, jitterMs: 40, lossRatio: 0.6, seed: 24 });
    rooms[0].rollback(duel);
    let run = rooms[1].rollback(duel);
    let ended = 0;
    const late: string[] = [];
    const listen = (): void => {
      const mine = run;
      run.on('confirm', ({ tick }) => {
        if (mine !== run) late.push(`tick ${tick}`);
        else if (tick % 40 === 0 && ended < 3) {
          ended++;
          run[Symbol.dispose]();
          run = rooms[1].rollback(duel);
          listen();
        }
      });
    };
    listen();
    await play(6_000);
    expect(ended).toBe(3);
    expect(late).toEqual([]);
    expect(run.status).toBe('playing');
    expect(run.players.map((player) => player.slot)).toEqual([0, 1]);
  });

  it('[RB18] what cannot be is refused at once', async () => {
    const { rooms, settled } = await openMemoryRooms(game, 1, { seed: 18 });
    const [room] = rooms;
    const code = (run: () => unknown): unknown => {
      try {
        run();
        return undefined;
      } catch (error) {
        return (error as { code?: unknown }).code;
      }
    };
    assert.equal(
      code(() => room.rollback({} as never)),
      'bad-argument',
    );
    for (const options of [
      { maxRollback: 31 },
      { maxRollback: 1.5 },
      { inputDelay: 9 },
      { inputDelay: -1 },
      { patienceTicks: 0 },
      { speed: 1 },
      { play: 1 },
      { onDesync: 'x' },
    ])
      assert.equal(
        code(() => room.rollback(duel, options as never)),
        'bad-argument',
        JSON.stringify(options),
      );
    for (const options of [
      { maxRollback: 0, inputDelay: 0, patienceTicks: 1 },
      { maxRollback: 30, inputDelay: 8, patienceTicks: 60 },
      { inputDelay: 'auto', play: false, onDesync: 'report' },
    ] as const)
      room.rollback(duel, options)[Symbol.dispose]();
    for (const none of [undefined, null, 5, { step: duel.step }, { ...duel, step: 1 }, { ...duel, hash: '1' }])
      assert.equal(
        code(() => room.rollback(none as never)),
        'bad-argument',
      );
    for (const change of [{ hz: 10 }, { hz: 120 }, { id: 'a' }, { id: '0-9' }, { id: 'a'.repeat(32) }, { predict: () => ({}) }])
      assert.equal(
        code(() => simulation({ id: 'duel', input, start: duel.start, step: duel.step, ...change } as never)),
        undefined,
        JSON.stringify(change),
      );
    const hashes = [
      duel,
      simulation({ id: 'duel-2', input, start: duel.start, step: duel.step }),
      simulation({ id: 'duel', hz: 30, input, start: duel.start, step: duel.step }),
      simulation({ id: 'duel', input: { ...input, more: s.bool().default(false) }, start: duel.start, step: duel.step as never }),
      simulation({ id: 'duel', input: { a: input.left, right: input.right, fire: input.fire }, start: duel.start, step: duel.step as never }),
    ].map(({ hash }) => hash);
    assert.equal(new Set(hashes).size, hashes.length);
    assert.equal(simulation({ id: 'duel', input, start: () => 1, step: () => undefined }).hash, duel.hash);
    for (const change of [
      { id: 'No' },
      { id: '' },
      { id: '-a' },
      { id: 'a'.repeat(33) },
      { id: 5 },
      { hz: '60' },
      { hz: Number.NaN },
      { input: null },
      { input: 5 },
      { input: { a: 1 } },
      { input: { a: null } },
      { start: undefined },
      { step: undefined },
      { predict: 1 },
      { load: () => 1 },
      { save: 1, load: 1 },
      { input: { a: s.text(63).default('') } },
      { speed: 1 },
      { hz: 5 },
      { hz: 121 },
      { input: {} },
      { input: { a: s.u8() } },
      { input: { a: s.text(100).default('') } },
      { step: 1 },
      { save: () => 1 },
    ])
      assert.equal(
        code(() => simulation({ id: 'duel', input, start: duel.start, step: duel.step, ...change } as never)),
        'bad-definition',
        JSON.stringify(change),
      );
    using run = room.rollback(duel);
    assert.equal(
      code(() => room.rollback(duel)),
      'bad-argument',
    );
    assert.equal(
      code(() => run.setInput({ left: 1 as never })),
      'bad-value',
    );
    assert.equal(
      code(() => run.setInput({ up: true } as never)),
      'bad-value',
    );
    for (const event of ['end', 5, 'toString', undefined])
      assert.equal(
        code(() => run.on(event as never, () => undefined)),
        'unknown-name',
      );
    assert.equal(
      code(() => run.on('start', 5 as never)),
      'bad-argument',
    );
    run[Symbol.dispose]();
    assert.equal(run.status, 'closed');
    using next = room.rollback(duel);
    assert.equal(next.status, 'waiting');
    await settled(room.leave());
    assert.equal(next.status, 'closed');
    assert.equal(
      code(() => room.rollback(duel)),
      'closed',
    );
  });

  it('[RB4] words take half of the slowest round trip, and twice its jitter', () => {
    const stats = (...peers: readonly (readonly [number, number])[]) =>
      transitMs({ peers: new Map(peers.map(([rttMs, jitterMs], i) => [`${i}`, { rttMs, jitterMs }])), drops: {} } as never);
    expect([stats(), stats([20, 0]), stats([20, 5]), stats([8, 1], [20, 5], [30, 0])]).toEqual([0, 10, 20, 20]);
  });
});
