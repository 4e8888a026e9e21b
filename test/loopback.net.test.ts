/**
 * Real processes' worth of network on loopback: sockets, discovery, handshake, mesh. Several ports in
 * one process, and one in a child process that is killed.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';

import { toHex } from '../sdk/base/bytes.ts';
import { loadCrypto } from '../sdk/node/crypto.ts';
import { nodeCrypto } from '../sdk/node/crypto-node.ts';
import { openNodeLanPort, type NodeLanOptions, type NodeLanPort } from '../sdk/node/lan-port.ts';
import { monotonicMs } from '../sdk/node/local-time.ts';
import type { OpenRequest, RoomListing } from '../sdk/port/lan-port.ts';
import type { PortEvent, RoomPort } from '../sdk/port/port.ts';
import { builtModule, scriptFlags } from './built.ts';

const localDirectory = mkdtempSync(join(tmpdir(), 'lanista-test-'));
const beaconPort = 20_000 + (process.pid % 10_000);
const GAME = { id: `t${toHex(nodeCrypto.randomBytes(5))}`, version: 1, schemaHash: 5 };
const ONLY = {
  local: { local: true, beacon: false, mdns: false, localDirectory },
  beacon: { local: false, beacon: true, mdns: false, beaconPort },
  mdns: { local: false, beacon: false, mdns: true },
  none: { local: false, beacon: false, mdns: false },
};

const open: NodeLanPort[] = [];
const children: ChildProcess[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await Promise.all(open.splice(0).map((port) => port.close()));
});

async function lan(options: Partial<NodeLanOptions> = {}, game = GAME): Promise<NodeLanPort> {
  const port = await openNodeLanPort(game, { interfaces: ['127.0.0.1'], profile: false, discovery: ONLY.local, ...options });
  open.push(port);
  return port;
}

/** A room as the layer above drives it: drained whenever it wakes. */
function seat(room: RoomPort) {
  const events: PortEvent[] = [];
  const drain = (): void => {
    for (let event = room.poll(); event !== undefined; event = room.poll()) events.push(event);
  };
  room.onWake = drain;
  drain();
  return {
    room,
    events,
    present: () => room.roster().peers.filter((peer) => peer.status === 'present').length,
    heard: () => events.flatMap((event) => (event.type === 'message' ? [Buffer.from(event.bytes).toString()] : [])),
    say(text: string) {
      const left = new Set(
        room
          .roster()
          .peers.filter((peer) => peer.id !== room.self)
          .map((peer) => peer.id),
      );
      const attempt = (): void => {
        // A seat may be known a moment before the link to it stands.
        for (const id of left) if (room.send(monotonicMs(), id, 'reliable', Buffer.from(text))) left.delete(id);
        room.flush(monotonicMs());
        if (left.size > 0) setTimeout(attempt, 20).unref();
      };
      attempt();
    },
  };
}

async function until(condition: () => boolean, withinMs: number, what = ''): Promise<number> {
  const start = performance.now();
  while (!condition()) {
    if (performance.now() - start > withinMs) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return performance.now() - start;
}

const create = (name: string, part: Partial<{ max: number; code: string }> = {}): OpenRequest => ({
  type: 'create',
  name,
  max: 8,
  code: undefined,
  spectate: false,
  ...part,
});
const either = (name: string, part: Partial<{ max: number; code: string }> = {}): OpenRequest => ({
  type: 'join-or-create',
  name,
  max: 8,
  code: undefined,
  spectate: false,
  ...part,
});
const join_ = (target: string, code?: string): OpenRequest => ({ type: 'join', target, code, spectate: false });

it('[SE14] what a process opens is sealed by the fastest provider that works here', async () => {
  expect((await lan({ discovery: ONLY.none })).sealedBy).toBe((await loadCrypto()).name);
});

for (const source of ['local', 'beacon', 'mdns'] as const) {
  it(`[DI24] two find each other by ${source} alone, join, and talk`, async () => {
    const [a, b] = [await lan({ discovery: ONLY[source] }), await lan({ discovery: ONLY[source] })];
    const first = seat(await a.open(create('Friday')));
    let rooms: readonly RoomListing[] = [];
    using watch = b.watchRooms((list) => void (rooms = list));
    void watch;
    await until(() => rooms.length === 1, 1_500, 'listed');
    expect(rooms[0]).toMatchObject({ name: 'Friday', players: 1, max: 8, compatible: true });
    const second = seat(await b.open(join_(rooms[0]!.id)));
    await until(() => first.present() === 2 && second.present() === 2, 2_000, 'rosters');
    first.say('hello from a');
    second.say('hello from b');
    await until(() => first.heard().includes('hello from b') && second.heard().includes('hello from a'), 2_000, 'messages');
    second.room.leave(monotonicMs());
    await until(() => first.present() === 1, 500, 'left');
    expect(first.events.some((event) => event.type === 'roster' && event.left.some((left) => left.reason === 'bye'))).toBe(true);
  });
}

it('[DI25] three that joinOrCreate at the same instant end in one room', async () => {
  const ports = [await lan(), await lan(), await lan()];
  const seats = (await Promise.all(ports.map((port) => port.open(either('Same'))))).map(seat);
  await until(() => seats.every((one) => one.present() === 3), 8_000, 'one room');
  expect(new Set(seats.map((one) => one.room.roster().host)).size).toBe(1);
  expect(new Set(seats[0]!.room.roster().peers.map((peer) => peer.slot)).size).toBe(3);
  for (const one of seats) one.say(`I am ${one.room.self}`);
  await until(() => seats.every((one) => one.heard().length === 2), 2_000, 'all hear all');
});

it('[DI26] joins by host:port and by join code, with no discovery at all', async () => {
  const [a, b, c] = [await lan({ discovery: ONLY.none }), await lan({ discovery: ONLY.none }), await lan({ discovery: ONLY.none })];
  const first = seat(await a.open(create('Hidden')));
  seat(await b.open(join_(`127.0.0.1:${a.joinPort}`)));
  seat(await c.open(join_(a.joinCode()!.toUpperCase())));
  await until(() => first.present() === 3, 2_000, 'three');
});

it('[DI27] says why a room cannot be joined: nobody there, full, another version, nonsense', async () => {
  const [a, b, c] = [await lan(), await lan(), await lan()];
  await expect(b.open(join_('127.0.0.1:9'))).rejects.toMatchObject({ code: 'unreachable', hint: expect.any(String) });
  await expect(b.open(join_('what is this?'))).rejects.toMatchObject({ code: 'bad-argument' });
  await expect(b.open(create(''))).rejects.toMatchObject({ code: 'bad-argument' });
  const gone = new AbortController();
  const waiting = b.open(join_('ab'.repeat(16)), gone.signal);
  gone.abort();
  await expect(waiting).rejects.toMatchObject({ code: 'aborted' });
  const room = await a.open(create('Tiny', { max: 2 }));
  seat(room);
  await expect(a.open(create('Second'))).rejects.toMatchObject({ code: 'bad-argument' });
  seat(await b.open(join_(room.roster().roomId)));
  await expect(c.open(join_(room.roster().roomId))).rejects.toMatchObject({ code: 'room-full' });
  const old = await lan({}, { ...GAME, version: 2 });
  let rooms: readonly RoomListing[] = [];
  using watch = old.watchRooms((list) => void (rooms = list));
  void watch;
  await until(() => rooms.length === 1, 1_500, 'listed');
  expect(rooms[0]).toMatchObject({ compatible: false, reason: 'runs version 1, you run version 2' });
  await expect(old.open(join_(rooms[0]!.id))).rejects.toMatchObject({ code: 'incompatible' });
});

it('[DI32] joinOrCreate beside a room of the same name and another version opens its own; each lists the other with the reason', async () => {
  const [a, b] = [await lan(), await lan({}, { ...GAME, version: 2 })];
  const first = seat(await a.open(either('Friday')));
  const second = seat(await b.open(either('Friday')));
  expect(second.room.roster().roomId).not.toBe(first.room.roster().roomId);
  let rooms: readonly RoomListing[] = [];
  using watch = b.watchRooms((list) => void (rooms = list));
  void watch;
  await until(() => rooms.length === 1, 1_500, 'listed');
  expect(rooms[0]).toMatchObject({ name: 'Friday', compatible: false, reason: 'runs version 1, you run version 2' });
});

it('[DI28] a locked room opens to its code however it is typed, and to nothing else', async () => {
  const [a, b] = [await lan(), await lan()];
  const first = seat(await a.open(create('Secret', { code: 'Blue Cat' })));
  const id = first.room.roster().roomId;
  await expect(b.open(join_(id))).rejects.toMatchObject({ code: 'wrong-code' });
  await expect(b.open(join_(id, 'red-dog'))).rejects.toMatchObject({ code: 'wrong-code' });
  seat(await b.open(join_(id, 'blue-cat')));
  await until(() => first.present() === 2, 2_000, 'in');
});

const CHILD = `
import { openNodeLanPort } from ${builtModule('sdk/node/lan-port.ts')};
const port = await openNodeLanPort(${JSON.stringify(GAME)}, { interfaces: ['127.0.0.1'], profile: false, discovery: ${JSON.stringify(ONLY.local)} });
const room = await port.open({ type: 'join-or-create', name: 'Kill', max: 8, code: undefined, spectate: false });
const drain = () => { while (room.poll() !== undefined); };
room.onWake = drain;
drain();
process.on('SIGTERM', () => port.close().then(() => process.exit(0)));
console.log('in');
`;

async function child(): Promise<ChildProcess> {
  const process_ = spawn(process.execPath, scriptFlags(CHILD), {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(process_);
  await new Promise<void>((resolve, reject) => {
    process_.stdout!.once('data', () => resolve());
    process_.once('exit', (code) => reject(new Error(`child ended with ${code}`)));
  });
  return process_;
}

it('[DI29] kill -9 is noticed within 1 s by the room and within 3 s by the list; SIGTERM leaves at once', async () => {
  const one = await child();
  const a = await lan();
  const first = seat(await a.open(either('Kill')));
  await until(() => first.present() === 2, 3_000, 'child in');
  const watcher = await lan();
  let rooms: readonly RoomListing[] = [];
  using watch = watcher.watchRooms((list) => void (rooms = list));
  void watch;
  await until(() => rooms.length === 1, 1_500, 'listed');
  one.kill('SIGKILL');
  const noticed = await until(() => first.present() === 1, 3_000, 'away');
  // Silence is called after 600 ms; the rest is a busy machine's.
  expect(noticed).toBeLessThan(2_500);
  const two = await child();
  await until(() => first.present() === 2, 5_000, 'second child in');
  two.kill('SIGTERM');
  // The reason tells a farewell from silence; the time is that of a busy machine.
  await until(() => first.events.some((event) => event.type === 'roster' && event.left.some((left) => left.reason === 'bye')), 6_000, 'bye');
  expect(first.present()).toBe(1);
  await a.close();
  // The two that ended before may stand by in the list still; they answer no more than this one.
  await until(() => rooms.length === 0, 3_000, 'room gone');
});

it('[DI29] a room whose only member is killed leaves the list within 3 s', async () => {
  const one = await child();
  const watcher = await lan();
  let rooms: readonly RoomListing[] = [];
  using watch = watcher.watchRooms((list) => void (rooms = list));
  void watch;
  await until(() => rooms.length === 1, 1_500, 'listed');
  one.kill('SIGKILL');
  expect(await until(() => rooms.length === 0, 4_000, 'gone')).toBeLessThan(3_200);
});

it('[DI29] a terminal that is closed cuts no farewell short, whatever is still printed', async () => {
  const ending = spawn(process.execPath, scriptFlags(two(200)), {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(ending);
  ending.stdout.once('data', () => {
    for (const stream of [ending.stdout, ending.stderr]) stream.destroy();
    setTimeout(() => ending.kill('SIGHUP'), 50);
  });
  expect(await new Promise<number | null>((resolve) => ending.once('exit', resolve))).toBe(0);
});

/** Presses Ctrl-C while it awaits a room, as whoever changed their mind does. */
const HASTY = `
import { defineGame } from ${builtModule('sdk/index.ts')};
import { closeOnSignal, openLan } from ${builtModule('sdk/node/index.ts')};
const lan = await openLan(defineGame({ id: 'hasty', version: 1 }), {
  presence: {}, interfaces: ['127.0.0.1'], profile: false, discovery: ${JSON.stringify({ ...ONLY.local, local: false })},
});
closeOnSignal(() => lan.close());
setTimeout(() => process.kill(process.pid, 'SIGINT'), 50);
const room = await lan.joinOrCreate({ name: 'Never' });
console.log('in', room.name);
`;

/** Two things to close, the second of which takes so long, ms; says so when each is done. `isTakenBack`: the game lets go of both while it closes. */
const two = (slowMs: number, isTakenBack = false): string => `
import { closeOnSignal } from ${builtModule('sdk/node/index.ts')};
const later = (word, ms) => () => new Promise((resolve) => setTimeout(() => (console.log(word), resolve()), ms));
const handles = [closeOnSignal(later('bridge', 50)), closeOnSignal(() => {
  if (${isTakenBack}) for (const handle of handles) handle[Symbol.dispose]();
  return later('lan', ${slowMs})();
})];
setInterval(() => undefined, 1_000);
console.log('up');
`;

it('[DI29] Ctrl-C that comes twice, as npm passes it on, cuts no farewell short, nor does another that is done sooner; a second one does', async () => {
  const run = async (slowMs: number, signalsAtMs: readonly number[], isTakenBack = false): Promise<[number | null, string]> => {
    const script = two(slowMs, isTakenBack);
    const ending = spawn(process.execPath, scriptFlags(script));
    children.push(ending);
    let said = '';
    ending.stdout.on('data', (part) => {
      said += String(part);
      if (said === 'up\n') for (const ms of signalsAtMs) setTimeout(() => ending.kill('SIGINT'), ms);
    });
    const code = await new Promise<number | null>((resolve) => ending.once('close', resolve));
    return [code, said];
  };
  expect(await run(400, [0, 20])).toEqual([0, 'up\nbridge\nlan\n']);
  expect(await run(1_900, [0, 700])).toEqual([1, 'up\nbridge\n']);
  // A game that closes all it holds may take back what it gave.
  expect(await run(400, [0, 20], true)).toEqual([0, 'up\nbridge\nlan\n']);
  expect(await run(1_900, [0, 700], true)).toEqual([1, 'up\nbridge\n']);
});

it('[DI29] who is told to end while a room is being opened ends in peace, without the error of what was awaited', async () => {
  const hasty = spawn(process.execPath, scriptFlags(HASTY));
  children.push(hasty);
  let said = '';
  for (const stream of [hasty.stdout, hasty.stderr]) stream.on('data', (part) => (said += String(part)));
  const code = await new Promise((resolve) => hasty.once('close', resolve));
  expect([code, said]).toEqual([0, '']);
});
