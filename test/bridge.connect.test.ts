/** `connectLan` where there is no page, or no socket to open: what the caller is told, and that nothing comes after. */
import { afterEach, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { defineGame, s } from 'lanista';
import { BRIDGE_VERSION, createEventOutbox } from '../sdk/bridge/index.ts';
import { connectLan, openPageLan } from '../sdk/browser/connect-lan.ts';
import type { NetworkCheck } from '../sdk/port/lan-port.ts';
import { Bench, GAME, ME, OTHER, until } from './bridge-fake.ts';

const game = defineGame({ id: 'connect-lan', version: 1, presence: { name: s.text(24) }, entities: {}, messages: {}, requests: {} });
const TOKEN = 'abcdefghijklmnopqrstuv';

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

test('[BR30] connectLan rejects with bridge when no socket can be opened, and leaves no timer', async () => {
  vi.useFakeTimers();
  vi.stubGlobal('WebSocket', undefined);
  const options = { presence: { name: 'Ann' }, url: 'ws://127.0.0.1:1/__lanista', token: TOKEN };
  await expect(connectLan(game, options)).rejects.toMatchObject({ code: 'bridge', message: expect.stringContaining('lanista/node') as string });
  expect(vi.getTimerCount()).toBe(0);
  class Refusing {
    constructor(url: string) {
      throw new SyntaxError(`The URL '${url}' is invalid.`);
    }
  }
  vi.stubGlobal('WebSocket', Refusing);
  await expect(connectLan(game, { ...options, url: 'ws://no way' })).rejects.toMatchObject({ code: 'bridge', cause: { name: 'SyntaxError' } });
  expect(vi.getTimerCount()).toBe(0);
});

test('[BR30] connecting can be called off: at once, while nobody answers, and in the moment it is let in', async () => {
  vi.useFakeTimers();
  const sockets: { onopen?: () => void; onmessage?: (event: { data: ArrayBuffer }) => void; sent: number; closed: number }[] = [];
  vi.stubGlobal('WebSocket', function opened() {
    const socket = { readyState: 1, bufferedAmount: 0, sent: 0, closed: 0, send: () => void socket.sent++, close: () => void socket.closed++ };
    sockets.push(socket);
    return socket;
  });
  const connect = (signal: AbortSignal) => connectLan(game, { presence: { name: 'Ann' }, url: 'ws://127.0.0.1:1/__lanista', token: TOKEN, signal });
  await expect(connect(AbortSignal.abort('no'))).rejects.toMatchObject({ code: 'aborted', cause: 'no' });
  expect(sockets).toEqual([]);
  for (const isLetIn of [false, true]) {
    const stop = new AbortController();
    const connecting = connect(stop.signal);
    const socket = sockets.at(-1)!;
    socket.onopen!();
    const out = createEventOutbox();
    const discovery = { level: 'ok', reasons: [] } as const;
    out.add({ type: 'welcome', version: BRIDGE_VERSION, self: ME, kept: undefined, discovery, joinCode: undefined, guests: undefined });
    if (isLetIn) socket.onmessage!({ data: out.take()!.buffer as ArrayBuffer });
    stop.abort();
    await expect(connecting).rejects.toMatchObject({ code: 'aborted' });
    expect([socket.closed, vi.getTimerCount()]).toEqual([1, 0]);
  }
  await expect(connect(7 as never)).rejects.toMatchObject({ code: 'bad-argument' });
  await expect(connectLan(game, { presence: { name: 'Ann' }, tokn: TOKEN } as never)).rejects.toMatchObject({ code: 'bad-argument' });
});

test('[BR27] who asked for the checks and gives up hears so at once; the examination is for the others', async () => {
  await using bench = new Bench();
  const lan = openPageLan(game, await bench.page(await bench.start()), { presence: { name: 'Ann' } });
  let found = (_checks: readonly NetworkCheck[]): void => undefined;
  let asked = 0;
  bench.lan.diagnose = () => {
    asked++;
    return new Promise((resolve) => (found = resolve));
  };
  await expect(lan.diagnose({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'aborted' });
  const stop = new AbortController();
  const [one, other] = [lan.diagnose({ signal: stop.signal }), lan.diagnose({ signal: new AbortController().signal })];
  stop.abort('later');
  await expect(one).rejects.toMatchObject({ code: 'aborted', cause: 'later' });
  await until(() => asked === 1);
  found([]);
  expect(await other).toEqual([]);
  for (const how of [{ signal: 7 }, { sginal: stop.signal }, null])
    await expect(lan.diagnose(how as never)).rejects.toMatchObject({ code: 'bad-argument' });
});

test('[BR11] taking a seat up again can be called off: before, and on the way, when the seat is left', async () => {
  await using bench = new Bench();
  const bridge = await bench.start();
  const before = await bench.page(bridge);
  await before.open({ type: 'join-or-create', name: 'Friday', max: 8, code: undefined, spectate: false });
  const lan = openPageLan(game, await bench.page(bridge), { presence: { name: 'Ann' } });
  await expect(lan.resume({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'aborted' });
  for (const how of [{ signal: 7 }, { sginal: 1 }, null]) await expect(lan.resume(how as never)).rejects.toMatchObject({ code: 'bad-argument' });
  expect([lan.resumed?.name, bench.lan.rooms[0]!.left]).toEqual(['Friday', false]);
  const stop = new AbortController();
  const resuming = lan.resume({ signal: stop.signal });
  stop.abort();
  await expect(resuming).rejects.toMatchObject({ code: 'aborted' });
  await until(() => bench.lan.rooms[0]!.left);
});

test('[BR31] a page knows the join code of its process, and when it changes', async () => {
  await using bench = new Bench();
  const bridge = await bench.start();
  const page = await bench.page(bridge);
  const lan = openPageLan(game, page, { presence: { name: 'Ann' } });
  expect(lan.joinCode()).toBe('p4aaa-amgt4');
  bench.lan.code = 'aaaaa-aaaaa';
  await expect.poll(() => lan.joinCode(), { timeout: 4_000 }).toBe('aaaaa-aaaaa');
  await bridge.close();
  await expect.poll(() => lan.joinCode()).toBeUndefined();
});

test('[BR11] resume takes up the seat that was kept, whatever its room is called, and rejects when it is gone', async () => {
  await using bench = new Bench();
  const bridge = await bench.start({ keepMs: 200 });
  const before = await bench.page(bridge);
  await before.open({ type: 'join-or-create', name: ' ', max: 8, code: 'abcd', spectate: false });
  const [room] = bench.lan.rooms;
  const { peers, ...facts } = room!.roster();
  room!.say({ type: 'roster', roster: { ...facts, locked: true, peers: peers.slice(0, 1) }, left: [] });
  const resume = async (waitMs: number) => {
    const lan = openPageLan(game, await bench.page(bridge), { presence: { name: 'Ann' } });
    expect(lan.resumed?.name).toBe(' ');
    await new Promise((resolve) => setTimeout(resolve, waitMs));
    return lan.resume();
  };
  expect((await resume(0)).id).toBe(facts.roomId);
  await expect(resume(400)).rejects.toMatchObject({ code: 'closed' });
  expect(bench.lan.rooms).toHaveLength(1);
});

test('[BR11] a page knows when the seat it could take up is gone', async () => {
  await using bench = new Bench();
  const bridge = await bench.start({ keepMs: 200 });
  const before = await bench.page(bridge);
  await before.open({ type: 'join-or-create', name: 'Friday', max: 8, code: undefined, spectate: false });
  const lan = openPageLan(game, await bench.page(bridge), { presence: { name: 'Ann' } });
  const told: string[] = [];
  lan.onConnection(({ type }) => told.push(type));
  expect(lan.resumed?.name).toBe('Friday');
  await expect.poll(() => lan.resumed, { timeout: 4_000 }).toBeUndefined();
  expect([bench.lan.rooms[0]!.left, told]).toEqual([true, []]);
});

test('[BR14] a listener of the connection that throws keeps no page from coming back, and the console says so', async () => {
  const written = vi.spyOn(console, 'error').mockImplementation(() => undefined);
  await using bench = new Bench();
  const page = await bench.page(await bench.start());
  const lan = openPageLan(game, page, { presence: { name: 'Ann' } });
  const heard: string[] = [];
  const offs = [
    lan.onConnection(({ type }) => {
      throw new Error(`no more ${type}`);
    }),
    lan.onConnection(({ type }) => Promise.reject(new Error(`later ${type}`)) as unknown as void),
    lan.onConnection(({ type }) => heard.push(type)),
  ];
  page.sockets[0]!.terminate();
  await expect.poll(() => heard).toEqual(['waiting', 'connecting', 'open']);
  expect(written.mock.calls.map(([, cause]) => (cause as Error).message)).toEqual(
    ['waiting', 'connecting', 'open'].flatMap((type) => [`no more ${type}`, `later ${type}`]),
  );
  for (const off of offs) off[Symbol.dispose]();
  expect(() => lan.onConnection(null as never)).toThrow(expect.objectContaining({ code: 'bad-argument' }));
  written.mockRestore();
});

test('[BR14] a page whose process was started anew as somebody else is that one', async () => {
  await using bench = new Bench();
  const first = await bench.start({ token: TOKEN });
  const lan = openPageLan(game, await bench.page(first), { presence: { name: 'Ann' } });
  expect(lan.self).toBe(ME);
  await first.close();
  await expect.poll(() => lan.connection.type).toBe('waiting');
  Object.assign(bench.lan, { self: OTHER });
  await bench.start({ token: TOKEN, port: first.port });
  await expect.poll(() => lan.connection.type, { timeout: 5_000 }).toBe('open');
  expect(lan.self).toBe(OTHER);
});

test('[BR30] connectLan outside a page says where it belongs', async () => {
  const expected = { code: 'bad-argument', message: expect.stringContaining("openLan from 'lanista/node'") as string };
  await expect(connectLan(game, { presence: { name: 'Ann' } })).rejects.toMatchObject(expected);
  await expect(connectLan(game, { presence: { name: 'Ann' }, token: TOKEN })).rejects.toMatchObject(expected);
});

/** Address bar, storage and sockets of one tab, and what its page listens to. */
function stubTab(port: number) {
  const kept = new Map<string, string>();
  const tab = { hash: '', loads: 0, changed: (): void => undefined };
  const place = { protocol: 'http:', host: `127.0.0.1:${port}`, pathname: '/', search: '', reload: () => void tab.loads++ };
  vi.stubGlobal('location', Object.defineProperty(place, 'hash', { get: () => tab.hash }));
  vi.stubGlobal('history', { state: null, replaceState: () => void (tab.hash = '') });
  vi.stubGlobal('sessionStorage', { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => kept.set(key, value) });
  vi.stubGlobal('addEventListener', (type: string, fn: () => void) => (type === 'hashchange' ? (tab.changed = fn) : undefined));
  const open = (url: string): WebSocket => new WebSocket(url, { origin: `http://127.0.0.1:${port}` });
  vi.stubGlobal('WebSocket', function opened(url: string) {
    return open(url);
  });
  return Object.assign(tab, {
    /** What a browser does with an address that differs in its fragment alone. */
    follow(hash: string): void {
      tab.hash = hash;
      tab.changed();
    },
  });
}

test('[BR32] a link opened in the tab of its own page, which has no key or an old one, loads the page anew', async () => {
  await using bench = new Bench();
  const bridge = await bench.start({ game: { ...GAME, id: game.id, schemaHash: game.schemaHash } });
  const tab = stubTab(bridge.port);
  vi.resetModules();
  const page = await import('../sdk/browser/connect-lan.ts');
  const connect = () => page.connectLan(game, { presence: { name: 'Ann' } });
  await expect(connect()).rejects.toMatchObject({ code: 'bridge', hint: expect.stringContaining('Open the link') as string });
  tab.follow('#lobby');
  expect(tab.loads).toBe(0);
  tab.follow(`#${bridge.token}`);
  expect(tab.loads).toBe(1);

  const lan = await connect();
  expect(tab.hash).toBe('');
  // The page plays: the key is hidden again, and what is no key of ours is the game's.
  tab.follow(`#${bridge.token}`);
  expect([tab.loads, tab.hash]).toEqual([1, '']);
  tab.follow('#chapter-one-the-meadow');
  expect([tab.loads, tab.hash]).toEqual([1, '#chapter-one-the-meadow']);
  await bridge.close();
  await expect.poll(() => lan.connection.type).not.toBe('open');
  tab.follow('#abcdefghijklmnopqrstuv');
  expect(tab.loads).toBe(2);
  await lan.close();
});
