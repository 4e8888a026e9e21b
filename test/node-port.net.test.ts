/** The network of one process from the outside: what it opens, tells and lets go of. On loopback only. */
import { mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { KnownPeers } from '../sdk/node/discovery/known-peers.ts';
import { Driver } from '../sdk/node/driver.ts';
import { openNodeLanPort, type NodeLanOptions, type NodeLanPort } from '../sdk/node/lan-port.ts';
import type { OpenRequest, RoomListing } from '../sdk/port/lan-port.ts';
import type { RoomPort } from '../sdk/port/port.ts';

const open: NodeLanPort[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((port) => port.close()));
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

const folder = (): string => mkdtempSync(join(tmpdir(), 'lanista-port-'));
const localDirectory = join(folder(), 'local');
const game = { id: `node-port-${process.pid}`, version: 1, schemaHash: 1 };
const none = { mdns: false, beacon: false, local: false };
const local = { mdns: false, beacon: false, localDirectory };

async function lan(options: NodeLanOptions = {}): Promise<NodeLanPort> {
  const port = await openNodeLanPort(game, { interfaces: ['127.0.0.1'], profile: false, discovery: local, ...options });
  open.push(port);
  return port;
}

async function until(condition: () => boolean, withinMs: number): Promise<number> {
  const start = performance.now();
  while (!condition()) {
    if (performance.now() - start > withinMs) throw new Error(`not within ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return performance.now() - start;
}

const request = (type: 'create' | 'join-or-create', name: string, code?: string): OpenRequest => ({ type, name, max: 4, code, spectate: false });
const at = (target: string, code?: string): OpenRequest => ({ type: 'join', target, code, spectate: false });
const idOf = (room: RoomPort): string => room.roster().roomId;

it('[DI31] that a seat is not kept is said beside what the network lacks, and hides it not', async () => {
  const file = join(folder(), 'file');
  writeFileSync(file, '');
  vi.stubEnv('LANISTA_HOME', file);
  const { lo } = networkInterfaces();
  const blind = await lan({ interfaces: [], readInterfaces: () => ({ lo }), profile: 'ann', discovery: none });
  expect(blind.discovery().level).toBe('unavailable');
  expect(blind.discovery().reasons).toHaveLength(2);
  const well = await lan({ profile: 'ann', discovery: none });
  expect(well.discovery()).toMatchObject({ level: 'degraded', reasons: [expect.stringMatching(/cannot be used/)] });
});

it('[DI20] who is closed has given its profile back, and waits for no answer any more', async () => {
  const home = folder();
  vi.stubEnv('LANISTA_HOME', home);
  const port = await lan({ profile: 'ann', discovery: none });
  expect(readdirSync(home)).toContain('ann.lock');
  const joining = expect(port.open(at('127.0.0.1:9'))).rejects.toMatchObject({ code: 'closed' });
  const start = performance.now();
  await port.close();
  await joining;
  // An address may take three seconds to answer.
  expect(performance.now() - start).toBeLessThan(2_000);
  expect(readdirSync(home)).toEqual(['ann.key']);
});

it('[DI35] a room that was left is told about no more, and driven until the others know', async () => {
  const remove = vi.spyOn(Driver.prototype, 'remove');
  const [a, b] = [await lan(), await lan()];
  let rooms: readonly RoomListing[] = [];
  using watch = b.watchRooms((list) => void (rooms = list));
  void watch;
  const room = await a.open(request('create', 'Left'));
  await until(() => rooms.length === 1, 3_000);
  expect(readdirSync(localDirectory)).toHaveLength(1);
  room.leave(a.time.now());
  expect(readdirSync(localDirectory)).toEqual([]);
  expect(remove).not.toHaveBeenCalled();
  await until(() => rooms.length === 0, 5_000);
  await until(() => remove.mock.calls.length > 0, 5_000);
});

it('[DI14] whoever joins is found like who was there first, and keeps the addresses for the next time', async () => {
  const add = vi.spyOn(KnownPeers.prototype, 'add');
  const [a, b, c] = [await lan(), await lan(), await lan()];
  const room = await a.open(request('create', 'Three'));
  await b.open(at(`127.0.0.1:${a.joinPort}`));
  expect(readdirSync(localDirectory)).toHaveLength(2);
  expect(add.mock.calls.some(([address]) => address.port === a.joinPort)).toBe(true);
  const third = await c.open(at(`127.0.0.1:${b.joinPort}`));
  expect(idOf(third)).toBe(idOf(room));
});

it('[DI28] a code opens also a room that has none, and a room of that name without a code is another one', async () => {
  const [a, b, c] = [await lan(), await lan(), await lan()];
  const plain = await a.open(request('join-or-create', 'Friday'));
  const locked = await b.open(request('join-or-create', 'Friday', 'k7q2'));
  expect(idOf(locked)).not.toBe(idOf(plain));
  let rooms: readonly RoomListing[] = [];
  using watch = c.watchRooms((list) => void (rooms = list));
  void watch;
  await until(() => rooms.length === 2, 3_000);
  expect(rooms.map((room) => room.locked).toSorted()).toEqual([false, true]);
  expect(idOf(await c.open(at(idOf(plain), 'k7q2')))).toBe(idOf(plain));
});
