/** A simulation over real sockets on loopback: two processes' worth of network, a crash of the host, and a page's port would be the same. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineGame } from 'lanista';
import type { Lan } from 'lanista';
import { openLan } from 'lanista/node';
import { afterEach, expect, it } from 'vitest';
import { Arena } from './rollback-arena.ts';

const localDirectory = mkdtempSync(join(tmpdir(), 'lanista-test-'));
const game = defineGame({ id: `rollback-net-${process.pid}`, version: 1 });

const lans: Lan<typeof game>[] = [];
afterEach(async () => {
  await Promise.all(lans.splice(0).map((lan) => lan.close()));
});

async function lan(): Promise<Lan<typeof game>> {
  const opened = await openLan(game, {
    presence: {},
    interfaces: ['127.0.0.1'],
    profile: false,
    discovery: { mdns: false, beacon: false, localDirectory },
  });
  lans.push(opened);
  return opened;
}

it('[RB1] [RB7] [RB8] three processes play, a fourth comes late, the host leaves, and all have the same state throughout', async () => {
  const rooms = [await (await lan()).create({ name: 'Friday' })];
  for (let i = 0; i < 2; i++) rooms.push(await (await lan()).joinOrCreate({ name: 'Friday' }));
  const all = new Arena((ms) => new Promise((resolve) => setTimeout(resolve, ms)));
  for (const room of rooms) all.enter(room as never);
  await all.fight(1_000);
  expect(all.runs.map((run) => run.status)).toEqual(['playing', 'playing', 'playing']);
  expect(all.runs[0]!.players).toHaveLength(3);

  const late = await (await lan()).joinOrCreate({ name: 'Friday' });
  all.enter(late as never);
  await all.fight(600);
  expect(all.runs[3]!.status).toBe('playing');
  expect(all.runs[0]!.players).toHaveLength(4);

  const before = all.runs[1]!.confirmedTick;
  await rooms[0]!.leave();
  await all.fight(1_000);
  expect(all.runs[1]!.confirmedTick).toBeGreaterThan(before + 30);
  expect(all.runs[1]!.players).toHaveLength(3);
  expect(all.compare().different).toEqual([]);
  expect(all.compare().shared).toBeGreaterThan(100);
  expect([all.broken, all.desyncs, all.events.filter((event) => event.endsWith('resync'))]).toEqual([[], [], []]);
  for (const room of rooms.slice(1)) expect(Object.keys(room.stats().drops).filter((reason) => reason.startsWith('rollback'))).toEqual([]);
});
