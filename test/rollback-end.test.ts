/** How a simulation ends, for one or for all: told of once; and one whose state is too large for others. */
import { simulation } from 'lanista';
import { openMemoryRooms } from 'lanista/testing';
import { describe, expect, it } from 'vitest';
import { Arena, arena, duel, game, input } from './rollback-arena.ts';
import { Rig } from './rollback-rig.ts';
import type { Sum } from './rollback-two.ts';
import { count, kindOf } from './rollback-two.ts';

/** As large as `words` 64-bit numbers from tick `from` on. */
const growing = (words: number, from = 0) =>
  simulation({
    id: 'growing',
    hz: 50,
    input,
    start: () => ({ tick: 0, grid: new Float64Array(from === 0 ? words : 4) }),
    step(state, _players, tick) {
      state.tick = tick;
      if (tick === from) state.grid = new Float64Array(words);
    },
  });
const TOO_MANY = 65_536;

describe('the end of a simulation', () => {
  it('[RB27] is told once, as its last word, with its reason', async () => {
    const { rooms, settled, play } = await openMemoryRooms(game, 3, { latencyMs: 2, seed: 41 });
    const told: string[] = [];
    const runs = rooms.map((room, i) => {
      const run = room.rollback(duel);
      for (const event of ['confirm', 'start'] as const)
        run.on(event, () => told.at(-1)?.startsWith(`${i} close`) && told.push(`${i} ${event} late`));
      run.on('close', ({ reason }) => told.push(`${i} close ${reason} ${run.status}`));
      return run;
    });
    await play(500);
    runs[1]![Symbol.dispose]();
    runs[1]![Symbol.dispose]();
    expect(told).toEqual(['1 close disposed closed']);
    await settled(rooms[2].leave());
    expect(told).toEqual(['1 close disposed closed', '2 close left closed']);
    await play(200);
    rooms[0].kick(rooms[1].self.id);
    const again = rooms[0].rollback;
    expect(typeof again).toBe('function');
    await settled(rooms[0].leave());
    await play(200);
    expect(told).toEqual(['1 close disposed closed', '2 close left closed', '0 close left closed']);
  });

  it('[RB27] comes with the room’s, where that is lost', async () => {
    const { rooms, play } = await openMemoryRooms(game, 2, { latencyMs: 2, seed: 42 });
    const told: string[] = [];
    rooms[0].rollback(duel);
    const run = rooms[1].rollback(duel);
    run.on('close', ({ reason }) => told.push(`run ${reason}`));
    rooms[1].on('close', ({ reason }) => told.push(`room ${reason}`));
    await play(300);
    rooms[0].kick(rooms[1].self.id);
    await play(300);
    expect(told).toEqual(['run left', 'room kicked']);
    expect(run.status).toBe('closed');
  });

  it('[RB27] [RB24] another one may begin as it is told', async () => {
    const { all, rooms } = await arena(2, { latencyMs: 2, seed: 43 });
    await all.fight(500);
    all.runs[1]!.on('close', () => void all.enter(rooms[1]));
    all.runs[1]![Symbol.dispose]();
    await all.fight(1_000);
    expect(all.runs.map((run) => run.status)).toEqual(['playing', 'closed', 'playing']);
    expect(all.compare().different).toEqual([]);
  });
});

describe('a state that is too large to travel', () => {
  it('[RB28] is refused as the game begins, everywhere, in words, and nobody waits for it', async () => {
    const { rooms, play } = await openMemoryRooms(game, 3, { latencyMs: 2, seed: 44 });
    const told: string[] = [];
    for (const [i, room] of rooms.entries()) {
      room.on('warn', ({ code, detail }) => told.push(`${i} ${code}: ${detail}`));
      room.rollback(growing(TOO_MANY)).on('close', ({ reason }) => told.push(`${i} ${reason}`));
    }
    await play(8_000);
    const words = 'too-large: rollback: state: expected at most 524288 bytes, got 524';
    for (const i of [0, 1, 2]) {
      expect(told.filter((one) => one.startsWith(`${i} ${words}`))).toHaveLength(1);
      expect(told.filter((one) => one === `${i} too-large`)).toHaveLength(1);
    }
    expect(told).toHaveLength(6);
  });

  it('[RB28] one that has grown keeps out who comes late, who is told and asks no more, and those who play go on', async () => {
    const { rooms, play, join } = await openMemoryRooms(game, 2, { latencyMs: 2, seed: 45 });
    const told: string[] = [];
    const large = growing(TOO_MANY, 20);
    const runs = rooms.map((room, i) => {
      room.on('warn', ({ code }) => told.push(`${i} ${code}`));
      return room.rollback(large);
    });
    await play(1_000);
    expect(told).toEqual([]);
    const late = await join({});
    late.on('warn', ({ code, detail }) => told.push(`late ${code}: ${detail}`));
    const run = late.rollback(large);
    run.on('close', ({ reason }) => told.push(`late ${reason}`));
    await play(8_000);
    expect(told).toHaveLength(3);
    expect(told).toContain('0 too-large');
    expect(told).toContain('late too-large');
    expect(told.find((one) => one.startsWith('late too-large: '))).toContain('cannot send the state of the simulation, which is too large');
    expect(run.status).toBe('closed');
    for (const one of runs) {
      expect(one.status).toBe('playing');
      expect(one.confirmedTick).toBeGreaterThan(400);
      expect(one.players.map(({ slot }) => slot)).toEqual([0, 1]);
    }
  });

  it('[RB28] a host that is reloaded then plays no more, and ends nobody’s game', async () => {
    const { rooms, play, join } = await openMemoryRooms(game, 3, { latencyMs: 2, seed: 46 });
    const large = growing(TOO_MANY, 20);
    const runs = rooms.map((room) => room.rollback(large));
    await play(1_000);
    const told: string[] = [];
    const again = await join({}, { id: rooms[0].self.id });
    expect(again.isHost).toBe(true);
    again.on('warn', ({ code }) => told.push(code));
    again.rollback(large).on('close', ({ reason }) => told.push(`closed ${reason}`));
    const resyncs: number[] = [];
    for (const run of runs.slice(1)) run.on('resync', ({ tick }) => resyncs.push(tick));
    await play(12_000);
    expect(told).toEqual(['too-large', 'closed too-large']);
    expect(resyncs).toEqual([]);
    for (const run of runs.slice(1)) {
      expect(run.status).toBe('playing');
      expect(run.confirmedTick).toBeGreaterThan(250);
    }
  });

  it('[RB28] who differs is told of it, and does not ask for a state again and again', () => {
    const rig = new Rig(2);
    const runs = rig.seats.map((seat) => seat.open<{ grid: Float64Array }>(growing(TOO_MANY, 20) as never));
    rig.play(2_000);
    const asks: number[] = [];
    rig.onSend = ({ at, bytes }) => void (kindOf(bytes) === 17 && asks.push(at));
    (runs[1]!.state as { grid: Float64Array }).grid[3] = 1;
    rig.play(20_000);
    expect(runs.map((run) => run.status)).toEqual(['playing', 'playing']);
    // Of evidence, and of a state to take instead: a few of each in twenty seconds.
    expect(asks.length).toBeLessThanOrEqual(2 + 10 + 2);
    expect(rig.seats[1]!.tooLarge.length).toBeLessThanOrEqual(2);
    expect(rig.seats[1]!.tooLarge.length).toBeGreaterThanOrEqual(1);
  });
});

describe('a page that is reloaded, and plays no more', () => {
  it('[RB6] is away for as long as the seat of who is gone is kept, and no player then, until it plays again', async () => {
    const { rooms, play, join } = await openMemoryRooms(game, 3, { latencyMs: 2, seed: 47 });
    const all = new Arena(play);
    for (const room of rooms) all.enter(room);
    await all.fight(1_000);
    const again = await join({}, { id: rooms[2].self.id });
    await all.fight(3_000);
    const players = (): readonly string[] => all.runs[0]!.players.map(({ slot, away }) => `${slot}${away ? ' away' : ''}`);
    expect(players()).toEqual(['0', '1', '2 away']);
    await play(15_000);
    expect(players()).toEqual(['0', '1', '2 away']);
    await play(4_000);
    expect(players()).toEqual(['0', '1']);
    // Also at the next host, which has seen none of it.
    all.runs[0]![Symbol.dispose]();
    await play(4_000);
    expect(all.runs[1]!.players.map(({ slot }) => slot)).toEqual([1]);
    all.enter(again);
    await all.fight(1_000);
    expect(all.runs[1]!.players.map(({ slot }) => slot)).toEqual([1, 2]);
    expect([all.broken, all.compare().different]).toEqual([[], []]);
  });

  it('[RB6] time in which the host stood still counts for nobody', () => {
    const rig = new Rig(2);
    const runs = rig.seats.map((seat) => seat.open<Sum>(count));
    rig.play(1_000);
    rig.onSend = ({ from }) => from !== 1;
    rig.play(4_000);
    const away = (): readonly boolean[] => runs[0]!.players.map((player) => player.away);
    expect(away()).toEqual([false, true]);
    rig.now += 30_000;
    rig.play(1_000);
    expect(away()).toEqual([false, true]);
    rig.onSend = undefined;
    rig.play(1_000);
    expect(away()).toEqual([false, false]);
  });
});
