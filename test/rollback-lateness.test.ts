/** Who holds a simulation up: what `stats` and `stall` say of each player. */
import { describe, expect, it } from 'vitest';
import { arena } from './rollback-arena.ts';
import { Table } from './rollback-table.ts';
import { IDS, Rig } from './rollback-rig.ts';
import type { Sum } from './rollback-two.ts';
import { codec, count, two, wordsOf } from './rollback-two.ts';

describe('who is late', () => {
  it('[RB29] is told of each player, by everybody, in ticks', () => {
    for (const [lateMs, least, most] of [
      [5, -3, 0],
      [60, 1, 4],
      [200, 9, 13],
    ] as const) {
      const table = new Table(3);
      table.delay = ({ from }) => (from === 2 ? lateMs : 5);
      table.play(4_000);
      for (const who of [0, 1]) {
        const stats = table.players[who]!.run.stats().players;
        expect(stats.map(({ slot }) => slot)).toEqual([0, 1, 2]);
        expect(stats[2]!.lateTicks).toBeGreaterThan(least);
        expect(stats[2]!.lateTicks).toBeLessThan(most);
        expect(stats[who]).toMatchObject({ lateTicks: 0, silentMs: 0 });
        expect(stats[1 - who]!.lateTicks).toBeLessThanOrEqual(0);
        expect(stats[2]!.silentMs).toBeLessThan(200);
      }
      // Whom the host has passed over, which it alone knows.
      const [ann, bob] = table.players.map(({ run }) => run.stats());
      expect(ann!.players[2]!.passedOver > 0).toBe(lateMs === 200);
      expect(ann!.players[1]!.passedOver).toBe(0);
      expect(ann!.lateInputs).toBe(ann!.players[2]!.passedOver);
      expect(bob!.players.map(({ passedOver }) => passedOver)).toEqual([0, 0, 0]);
    }
  });

  it('[RB29] is nobody any more when the line is well again, and silence is told in ms', () => {
    const rig = new Rig(2);
    const runs = rig.seats.map((seat) => seat.open<Sum>(count));
    rig.play(1_000);
    rig.onSend = ({ from }) => from !== 1;
    rig.play(700);
    const silence = runs[0]!.stats().players[1]!.silentMs;
    expect(silence).toBeGreaterThan(600);
    expect(silence).toBeLessThanOrEqual(720);
    rig.onSend = undefined;
    rig.play(2_000);
    expect(runs[0]!.stats().players[1]!.silentMs).toBeLessThan(50);
    expect(runs[0]!.stats().players[1]!.lateTicks).toBeLessThanOrEqual(0.5);
    runs[1]![Symbol.dispose]();
    rig.play(100);
    expect(runs[0]!.stats().players.map(({ slot }) => slot)).toEqual([0]);
  });

  it('[RB29] who plays anew was not passed over, also as who is host no longer says', () => {
    const table = new Table(3);
    table.delay = ({ from }) => (from === 2 ? 200 : 5);
    table.play(2_000);
    const passed = (): number | undefined => table.players[0]!.run.stats().players[2]?.passedOver;
    expect(passed()).toBeGreaterThan(0);
    table.moveHost(1);
    table.players[2]!.run[Symbol.dispose]();
    table.play(1_000);
    expect(passed()).toBeUndefined();
    table.delay = () => 5;
    table.open(2);
    table.play(1_000);
    expect(passed()).toBe(0);
  });

  it('[RB29] what a player of another past said, whose ticks had come much further, counts for nothing', () => {
    const { rig, runs } = two();
    const other = wordsOf(1).inputs(5_000, 5_001, 5_003, () => codec.neutral);
    rig.seats[0]!.hear(1, other.slice());
    rig.play(500);
    const { lateTicks } = runs[0].stats().players[1]!;
    expect(Math.abs(lateTicks)).toBeLessThan(4);
    rig.delay = ({ from }) => (from === 1 ? 200 : 0);
    rig.play(2_000);
    expect(runs[0].stats().players[1]!.lateTicks).toBeGreaterThan(lateTicks + 5);
  });

  it('[RB29] a host that waits for a player in lockstep says for whom, and so do the others who hear the host', () => {
    const rig = new Rig(3);
    const runs = rig.seats.map((seat) => seat.open<Sum>(count, { maxRollback: 0, patienceTicks: 60 }));
    rig.play(1_000);
    const waits: (readonly [number, unknown])[] = [];
    runs.forEach((run, i) => run.on('stall', ({ waitingFor }) => waits.push([i, waitingFor])));
    rig.onSend = ({ from }) => from !== 2;
    rig.play(600);
    expect(waits.filter(([i]) => i !== 2)).toEqual([
      [0, IDS[2]],
      [1, IDS[2]],
    ]);
    rig.onSend = undefined;
    rig.play(2_000);
    waits.length = 0;
    rig.onSend = ({ from }) => from !== 0;
    rig.play(600);
    for (const [, who] of waits.filter(([i]) => i !== 0)) expect(who).toBe(IDS[0]);
    expect(waits.some(([i]) => i === 1)).toBe(true);
  });

  it('[RB29] is nobody in a room on a good network', async () => {
    const { all } = await arena(4, { latencyMs: 3, seed: 51 });
    await all.fight(3_000);
    for (const run of all.runs) {
      const { players } = run.stats();
      expect(players.map(({ slot }) => slot)).toEqual([0, 1, 2, 3]);
      for (const player of players) expect(player.lateTicks).toBeLessThanOrEqual(0.5);
      expect(players.reduce((sum, { passedOver }) => sum + passedOver, 0)).toBe(run.stats().lateInputs);
    }
  });
});
