/**
 * Rooms by the public API over real sockets on loopback: clocks that are set, profiles that are shared, rooms of one name.
 */
import { copyFileSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { defineGame, entity, message, s } from 'lanista';
import type { Lan, RoomListing } from 'lanista';
import { openLan } from 'lanista/node';
import { Attempts } from '../sdk/link/attempts.ts';

const localDirectory = mkdtempSync(join(tmpdir(), 'lanista-test-'));
const game = defineGame({
  id: `node-room-${process.pid}`,
  version: 1,
  entities: { blob: entity({ authority: 'spawner', fields: { n: s.u32().default(0) } }) },
  messages: { say: message({ n: s.u32() }) },
});

const lans: Lan<typeof game>[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  await Promise.all(lans.splice(0).map((lan) => lan.close()));
});

async function lan(profile: string | false = false): Promise<Lan<typeof game>> {
  const opened = await openLan(game, { presence: {}, interfaces: ['127.0.0.1'], profile, discovery: { mdns: false, beacon: false, localDirectory } });
  lans.push(opened);
  return opened;
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 8_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`took too long: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

it('[RO26] a wall clock that is set back or forward by an hour, again and again, loses nothing and is not even noticed', async () => {
  const rooms = [await (await lan()).create({ name: 'Friday' })];
  for (let i = 0; i < 2; i++) rooms.push(await (await lan()).joinOrCreate({ name: 'Friday' }));
  await until(() => rooms.every((room) => room.peers.size === 3), 'three');
  const trouble: string[] = [];
  for (const room of rooms)
    for (const event of ['away', 'back', 'leave', 'host', 'merge', 'warn', 'close'] as const) room.on(event, () => trouble.push(event));
  const heard = rooms.map((): number[] => []);
  rooms.forEach((room, i) => room.onMessage('say', ({ n }, { from }) => from === rooms[0]!.self.id && heard[i]!.push(n)));
  const blob = rooms[0]!.entities.spawn('blob', {});
  const real = Date.now.bind(Date);
  let stepMs = 0;
  vi.spyOn(Date, 'now').mockImplementation(() => real() + stepMs);
  const times = rooms.map((room) => room.clock.now());
  let gaps = 0;
  let last = performance.now();
  for (let n = 1; n <= 150; n++) {
    if (n % 10 === 0) stepMs += (n % 20 === 0 ? -1 : 1) * (n > 75 ? 86_400_000 : 3_600_000);
    rooms[0]!.send('say', { n });
    blob.n = n;
    await new Promise((resolve) => setTimeout(resolve, 10));
    const passed = performance.now() - last;
    last += passed;
    rooms.forEach((room, i) => {
      const time = room.clock.now();
      const moved = time - times[i]!;
      times[i] = time;
      // Room time goes with the monotonic clock, slewed a little; no step of the wall clock, an hour or a day, is in it.
      if (!(moved >= 0 && Math.abs(moved - passed) < 1_000)) gaps++;
    });
  }
  await until(() => heard[1]!.length === 150 && heard[2]!.length === 150, 'messages');
  await until(() => rooms.slice(1).every((room) => [...room.entities.all('blob')].some((one) => one.n === 150)), 'state');
  expect(heard[1]).toEqual(Array.from({ length: 150 }, (_, i) => i + 1));
  expect(heard[2]).toEqual(heard[1]);
  expect([trouble, gaps]).toEqual([[], 0]);
});

it('[RO27] rooms of one name that were made by `create` stay apart, are two lines of the list, and each is joined as itself', async () => {
  const [ann, bob, eve] = [await lan(), await lan(), await lan()];
  const a = await ann.create({ name: 'Same' });
  const b = await bob.create({ name: 'Same' });
  let list: readonly RoomListing[] = [];
  for await (const rooms of eve.browse({ signal: AbortSignal.timeout(8_000) })) {
    list = rooms;
    if (rooms.length === 2) break;
  }
  expect(list.map((room) => room.name)).toEqual(['Same', 'Same']);
  expect(a.id).not.toBe(b.id);
  // Long enough for several rounds of discovery, and for a merge, were they one room.
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  expect([a.peers.size, b.peers.size]).toEqual([1, 1]);
  const joined = await eve.join(list.find((room) => room.id === b.id)!);
  await until(() => b.peers.size === 2, 'joined');
  expect([joined.id, a.peers.size, joined.peers.has(b.self.id)]).toEqual([b.id, 1, true]);
});

it('[ME80] who leaves a room and is back in the same moment is not taken for a copy of itself', async () => {
  const { fail } = Attempts.prototype;
  const failed: string[] = [];
  vi.spyOn(Attempts.prototype, 'fail').mockImplementation(function note(this: Attempts, ...how) {
    failed.push(how[1]);
    fail.apply(this, how);
  });
  const opened = [await lan(), await lan(), await lan()];
  const rooms = [await opened[0]!.create({ name: 'Again' })];
  for (const one of opened.slice(1)) rooms.push(await one.joinOrCreate({ name: 'Again' }));
  await until(() => rooms.every((room) => room.peers.size === 3), 'three');
  for (let n = 0; n < 5; n++) {
    void rooms[2]!.leave();
    rooms[2] = await opened[2]!.joinOrCreate({ name: 'Again' });
    await until(() => rooms.every((room) => room.peers.size === 3), 'back');
    // The others tell it where it is itself.
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  expect(failed).not.toContain('double');
});

it('[DI20] lans of one profile have a key each, however many one process or several open', async () => {
  vi.stubEnv('LANISTA_HOME', mkdtempSync(join(tmpdir(), 'lanista-test-')));
  try {
    const opened = [await lan('ann'), await lan('ann'), await lan('ann')];
    expect(new Set(opened.map(({ self }) => self)).size).toBe(3);
    await opened[0]!.close();
    // What is free again is taken up again: the same player as before.
    expect((await lan('ann')).self).toBe(opened[0]!.self);
  } finally {
    vi.unstubAllEnvs();
  }
});

it('[RO35] a game that talks on while its room is being left hears of no full queue', async () => {
  const opened: Lan<typeof game>[] = [];
  const trouble: string[] = [];
  for (let i = 0; i < 4; i++) {
    opened.push(await lan());
    const room = i === 0 ? await opened[0]!.create({ name: 'Leaving' }) : await opened[i]!.joinOrCreate({ name: 'Leaving' });
    room.on('warn', ({ code, detail }) => void trouble.push(`${code}: ${detail}`));
    let n = 0;
    room.clock.every(60, () => room.send('say', { n: n++ }));
  }
  await new Promise((resolve) => setTimeout(resolve, 500));
  for (const one of opened) await one.close();
  expect(trouble).toEqual([]);
});

it('[ME77] of two players with one key one is told, and has another key from then on; nobody else is disturbed for long', async () => {
  const homes = ['original', 'copy'].map((name) => mkdtempSync(join(tmpdir(), `lanista-${name}-`)));
  const before = process.env['LANISTA_HOME'];
  const at = async (home: string): Promise<Lan<typeof game>> => {
    process.env['LANISTA_HOME'] = home;
    try {
      return await lan('ann');
    } finally {
      if (before === undefined) delete process.env['LANISTA_HOME'];
      else process.env['LANISTA_HOME'] = before;
    }
  };
  const other = await (await lan()).create({ name: 'Copies' });
  const lansOf = [await at(homes[0]!)];
  copyFileSync(join(homes[0]!, 'ann.key'), join(homes[1]!, 'ann.key'));
  lansOf.push(await at(homes[1]!));
  const ended: (readonly [number, string])[] = [];
  const open = async (n: number): Promise<void> => {
    try {
      const room = await lansOf[n]!.joinOrCreate({ name: 'Copies' });
      room.on('close', ({ reason }) => ended.push([n, reason]));
    } catch (error) {
      ended.push([n, (error as { code: string }).code]);
    }
  };
  await open(0);
  await until(() => other.peers.size === 2, 'the first');
  const { id } = [...other.peers.values()].find((peer) => peer.id !== other.self.id)!;
  void open(1);
  await until(() => ended.length > 0, 'one of them is told');
  const [[gone, why]] = ended as [readonly [number, string]];
  expect(['copied', 'refused']).toContain(why);
  await expect(lansOf[gone]!.joinOrCreate({ name: 'Copies' })).rejects.toMatchObject({ code: 'refused', message: expect.stringMatching(/new key/) });
  await until(() => other.peers.get(id)?.status === 'present', 'the other one plays on');
  // Started again, it is somebody else.
  await lansOf[gone]!.close();
  const again = await (await at(homes[gone]!)).joinOrCreate({ name: 'Copies' });
  expect(again.self.id).not.toBe(id);
  await until(() => [...other.peers.values()].filter((peer) => peer.status === 'present').length === 3, 'all three');
  expect(ended).toHaveLength(1);
});
