/** `openLan` as a game calls it: by package name, on loopback. */
import type dns from 'node:dns/promises';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { defineGame, entity, message, s } from 'lanista';
import { openLan, openNodeLanPort } from 'lanista/node';
import { Mesh } from '../sdk/mesh/mesh.ts';
import type { MeshLike } from '../sdk/mesh/mesh-types.ts';
import { encodeJoinCode } from '../sdk/node/discovery/join-code.ts';
import { Driver } from '../sdk/node/driver.ts';
import { resolveTarget } from '../sdk/node/room-request.ts';

const slowNames = vi.hoisted(() => ({ on: false, called: undefined as string | undefined }));
vi.mock('node:dns/promises', async (original) => {
  const real = await original<typeof dns>();
  const lookup = (...how: Parameters<typeof real.lookup>): Promise<unknown> => {
    if (slowNames.on) return new Promise(() => undefined);
    if (how[0] === slowNames.called) return Promise.resolve({ address: '127.0.0.1', family: 4 });
    return slowNames.called === undefined ? real.lookup(...how) : Promise.reject(new Error('ENOTFOUND'));
  };
  return { ...real, lookup };
});

const localDirectory = mkdtempSync(join(tmpdir(), 'lanista-test-'));
const game = defineGame({
  id: `open-lan-${process.pid}`,
  version: 1,
  presence: { name: s.text(24) },
  entities: { blob: entity({ authority: 'spawner', onOwnerLeave: 'despawn', fields: { x: s.num({ min: 0, max: 100, step: 0.5 }) } }) },
  messages: { chat: message({ text: s.text(200) }) },
  requests: {},
});

it('[DI30] three open the LAN by the public API, find each other, chat and see each other move', async () => {
  const open = (name: string) =>
    openLan(game, { presence: { name }, interfaces: ['127.0.0.1'], profile: false, discovery: { mdns: false, beacon: false, localDirectory } });
  await using ann = await open('Ann');
  await using bob = await open('Bob');
  await using cid = await open('Cid');
  await using a = await ann.create({ name: 'Friday', max: 4 });
  // A room that `create` made has an id of its own: who does not see it in time founds another, and the two stay apart.
  for (const lan of [bob, cid]) {
    for await (const rooms of lan.browse()) {
      if (rooms.length === 0) continue;
      expect(rooms[0]).toMatchObject({ name: 'Friday', max: 4, compatible: true });
      break;
    }
  }
  await using b = await bob.joinOrCreate({ name: 'Friday' });
  await using c = await cid.joinOrCreate({ name: 'Friday' });
  const heard: string[] = [];
  a.onMessage('chat', (body) => void heard.push(body.text));
  const until = async (condition: () => boolean): Promise<void> => {
    const end = performance.now() + 8_000;
    while (!condition()) {
      if (performance.now() > end) throw new Error('took too long');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  await until(() => [a, b, c].every((room) => [...room.peers].length === 3));
  const blob = b.entities.spawn('blob', { x: 1 });
  b.send('chat', { text: 'gg' });
  await until(() => heard.includes('gg'));
  blob.x = 42;
  await until(() => [a, c].every((room) => [...room.entities.all('blob')].some((one) => one.x === 42)));
});

it('[DI26] openLan tells the join code that others take', async () => {
  const open = (name: string) =>
    openLan(game, { presence: { name }, interfaces: ['127.0.0.1'], profile: false, discovery: { mdns: false, beacon: false, local: false } });
  await using ann = await open('Ann');
  await using bob = await open('Bob');
  await using a = await ann.create({ name: 'Code', max: 4 });
  await using b = await bob.join(ann.joinCode()!);
  expect(b.id).toBe(a.id);
});

it('[DI9] a machine whose name is a join code by chance is found by its name, and a code by itself', async () => {
  slowNames.called = 'livingroom';
  const codes = ['192.168.1.20', '10.0.0.1', '169.254.7.7', '127.0.0.1', '130.60.4.9'].map((host) => ({ host, port: 29_798 }));
  const found = await Promise.all(['livingroom', ...codes.map((one) => encodeJoinCode(one)!)].map((target) => resolveTarget(target)));
  const spaced = await resolveTarget(` ${encodeJoinCode(codes[4]!)!.replace('-', ' ')} `);
  slowNames.called = undefined;
  expect(found).toEqual([{ host: '127.0.0.1', port: 29_798 }, ...codes]);
  expect(spaced).toEqual(codes[4]);
});

it('[RO28] openLan refuses what is no game, and a presence that is missing, before it opens a socket', async () => {
  for (const given of [[], [game], [game, {}], [undefined, { presence: { name: 'Ann' } }]])
    await expect(openLan(...(given as unknown as Parameters<typeof openLan>))).rejects.toMatchObject({ name: 'LanError', code: 'bad-argument' });
});

it('[RO28] openNodeLanPort refuses what is no game: options in its place would open every interface', async () => {
  for (const given of [[], [{ interfaces: ['127.0.0.1'] }], [{ id: 'moths', version: 1 }, { interfaces: ['127.0.0.1'] }]])
    await expect(openNodeLanPort(...(given as unknown as Parameters<typeof openNodeLanPort>))).rejects.toMatchObject({
      code: 'bad-argument',
      message: expect.stringContaining('defineGame') as string,
    });
});

it('[DI30] a lan that is closed while it looks for a room opens none', async () => {
  const lan = await openLan(game, {
    presence: { name: 'Ann' },
    interfaces: ['127.0.0.1'],
    profile: false,
    discovery: { mdns: false, beacon: false, localDirectory },
  });
  const opening = Promise.allSettled([lan.joinOrCreate({ name: 'Never' })]);
  await lan.close();
  const [end] = await opening;
  expect(end).toMatchObject({ status: 'rejected', reason: { code: 'closed' } });
});

it('[DI30] a lan that is closed twice, as by Ctrl-C while it ends, is closed once, and both calls wait for that', async () => {
  const options = { interfaces: ['127.0.0.1'], profile: false as const, discovery: { mdns: false, beacon: false, local: false } };
  const lan = await openLan(game, { presence: { name: 'Ann' }, ...options });
  const port = await openNodeLanPort({ id: game.id, version: 1, schemaHash: 1 }, options);
  for (const closing of [lan, port]) {
    const done: string[] = [];
    await Promise.all([closing.close().then(() => done.push('first')), closing.close().then(() => done.push('second'))]);
    expect(done).toEqual(['first', 'second']);
  }
});

it('[RO31] who calls a room off, while it is looked for or its machine is, gets another one at once', async () => {
  const lan = await openLan(game, {
    presence: { name: 'Ann' },
    interfaces: ['127.0.0.1'],
    profile: false,
    discovery: { mdns: false, beacon: false, local: false },
  });
  const callOff = async (open: (signal: AbortSignal) => Promise<unknown>, afterMs: number): Promise<void> => {
    const abort = new AbortController();
    const opening = open(abort.signal);
    const ended = expect(opening).rejects.toMatchObject({ code: 'aborted' });
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    abort.abort();
    const room = await lan.create({ name: 'Another' });
    await room.leave();
    await ended;
  };
  await callOff((signal) => lan.joinOrCreate({ name: 'Never', signal }), 0);
  await callOff((signal) => lan.joinOrCreate({ name: 'Never', signal }), 30);
  await callOff((signal) => lan.join('127.0.0.1:9', { signal }), 30);
  // The system may look for a name for half a minute.
  slowNames.on = true;
  await callOff((signal) => lan.join('annes-laptop', { signal }), 30);
  slowNames.on = false;
  await lan.close();
});

it('[RO31] who leaves a room and is back in the same moment asks for the new seat when the others know of the goodbye', async () => {
  const open = (name: string) =>
    openLan(game, { presence: { name }, interfaces: ['127.0.0.1'], profile: false, discovery: { mdns: false, beacon: false, localDirectory } });
  await using ann = await open('Ann');
  await using bob = await open('Bob');
  await using friday = await ann.joinOrCreate({ name: 'Back again' });
  const seen: string[] = [];
  friday.on('join', () => seen.push('join'));
  friday.on('leave', () => seen.push('leave'));
  const { leave } = Mesh.prototype;
  const slowly = vi.spyOn(Mesh.prototype, 'leave').mockImplementation(function slow(this: Mesh, now: number) {
    setTimeout(() => leave.call(this, now + 150), 150);
  });
  const add = vi.spyOn(Driver.prototype, 'add');
  const meshes: MeshLike[] = [];
  for (let i = 0; i < 3; i++) {
    add.mockClear();
    const room = await bob.joinOrCreate({ name: 'Back again' });
    expect(meshes.map(({ joinState }) => joinState.type)).toEqual(Array(i).fill('left'));
    meshes.push(add.mock.calls[0]![0]);
    void room.leave();
  }
  await bob.close();
  expect(meshes.at(-1)!.joinState.type).toBe('left');
  await expect.poll(() => seen).toEqual(Array(3).fill(['join', 'leave']).flat());
  slowly.mockRestore();
  add.mockRestore();
});

it('[DI27] who meets a double on the way into a room is told so, however that was found out', async () => {
  const open = (name: string) =>
    openLan(game, { presence: { name }, interfaces: ['127.0.0.1'], profile: false, discovery: { mdns: false, beacon: false, localDirectory } });
  await using ann = await open('Ann');
  await using bob = await open('Bob');
  await using friday = await ann.joinOrCreate({ name: 'Doubles' });
  expect(friday.isHost).toBe(true);
  const state = vi.spyOn(Mesh.prototype, 'joinState', 'get').mockImplementation(function met(this: Mesh) {
    return this.self === bob.self ? { type: 'left', reason: 'copied' } : { type: 'joined' };
  });
  await expect(bob.joinOrCreate({ name: 'Doubles' })).rejects.toMatchObject({ code: 'refused' });
  state.mockRestore();
});

it('[SY50] a room is there once its time is, however far the clock of this machine is off', async () => {
  const open = (name: string) =>
    openLan(game, { presence: { name }, interfaces: ['127.0.0.1'], profile: false, discovery: { mdns: false, beacon: false, localDirectory } });
  await using ann = await open('Ann');
  await using bob = await open('Bob');
  await using friday = await ann.joinOrCreate({ name: 'Clocks' });
  const { now } = Date;
  const { timeErrorMs } = Mesh.prototype;
  let asked = 0;
  const error = vi.spyOn(Mesh.prototype, 'timeErrorMs').mockImplementation(function late(this: Mesh, at: number) {
    return this.self === bob.self && asked++ < 5 ? Infinity : timeErrorMs.call(this, at);
  });
  const clock = vi.spyOn(Date, 'now').mockImplementation(() => now() + 3_600_000);
  try {
    await using room = await bob.joinOrCreate({ name: 'Clocks' });
    expect(asked).toBeGreaterThan(5);
    expect(Math.abs(room.clock.now() - friday.clock.now())).toBeLessThan(50);
    const blob = room.entities.spawn('blob', { x: 1 });
    await expect.poll(() => friday.entities.get('blob', blob.id)?.x).toBe(1);
  } finally {
    error.mockRestore();
    clock.mockRestore();
  }
});

it('[RO28] a second room is refused in words that say whether the first is open or being opened', async () => {
  await using lan = await openLan(game, {
    presence: { name: 'Ann' },
    interfaces: ['127.0.0.1'],
    profile: false,
    discovery: { mdns: false, beacon: false, localDirectory },
  });
  const refused = (what: string) => ({ code: 'bad-argument', message: expect.stringContaining(what) as string });
  const first = lan.joinOrCreate({ name: 'One' });
  await expect(lan.create({ name: 'Two' })).rejects.toMatchObject(refused('on the way into a room'));
  await first;
  await expect(lan.create({ name: 'Two' })).rejects.toMatchObject(refused('sits in a room'));
});

it('[RO28] openLan refuses an option that there is not: a misspelt `interfaces` would open them all', async () => {
  const options = { presence: { name: 'Ann' }, interfaces: ['127.0.0.1'], profile: false as const };
  const opening = openLan(game, { ...options, interface: '127.0.0.1' } as typeof options);
  await expect(opening.then((lan) => lan.close())).rejects.toMatchObject({
    code: 'bad-argument',
    message: expect.stringContaining('interfaces') as string,
  });
});

it('[DI30] openLan refuses what no machine has, before a socket is opened', async () => {
  const wrong = [
    ...[99_999, -1, 1.5, Number.NaN, 'abc', null].map((port) => ({ port })),
    ...[-1, Number.NaN, '5'].map((graceMs) => ({ graceMs })),
    ...['127.0.0.1', [1]].map((interfaces) => ({ interfaces })),
    ...[null, true, 7].map((profile) => ({ profile })),
    ...[null, true, { mdsn: false }, { mdns: 'off' }, { beaconPort: 0 }, { beaconPort: 99_999 }, { localDirectory: 5 }].map((discovery) => ({
      discovery,
    })),
  ];
  for (const one of wrong) {
    const options = { presence: { name: 'Ann' }, interfaces: ['127.0.0.1'], profile: false as const, ...(one as object) };
    await expect(openLan(game, options), JSON.stringify(one)).rejects.toMatchObject({ code: 'bad-argument' });
  }
});
