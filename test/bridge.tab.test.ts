/** `connectLan` in a tab: the key in its address and its storage, and what a page does with the connection it has. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { defineGame, s } from 'lanista';
import type { RoomId } from '../sdk/base/brand.ts';
import { connectLan, openPageLan } from '../sdk/browser/connect-lan.ts';
import { connected, roster, turn } from './bridge-page-fake.ts';

const game = defineGame({ id: 'tab', version: 1, presence: { name: s.text(24) }, entities: {}, messages: {}, requests: {} });
const presence = { name: 'Ann' };
const TOKEN = 'abcdefghijklmnopqrstuv';

afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

/** A tab at `address`, whose storage may be forbidden, and whose sockets say where they were opened, and fail. */
function tab(address: string, storage: Map<string, string> | null = new Map()) {
  const url = new URL(address);
  const seen = { sockets: [] as string[], listeners: 0, shown: [] as string[] };
  const { protocol, host, pathname, search, hash } = url;
  vi.stubGlobal('location', { protocol, host, pathname, search, hash });
  vi.stubGlobal('history', {
    state: { mine: 1 },
    replaceState: (state: { mine: number }, _title: string, to: string) => seen.shown.push(`${state.mine} ${to}`),
  });
  const forbidden = (): never => {
    throw new Error('SecurityError');
  };
  vi.stubGlobal('sessionStorage', {
    getItem: (key: string) => (storage === null ? forbidden() : (storage.get(key) ?? null)),
    setItem: (key: string, value: string) => (storage === null ? forbidden() : storage.set(key, value)),
  });
  vi.stubGlobal('addEventListener', (type: string) => (type === 'hashchange' ? seen.listeners++ : undefined));
  vi.stubGlobal('WebSocket', function opened(to: string) {
    seen.sockets.push(to);
    throw new Error('no socket');
  });
  return seen;
}
const connect = () => connectLan(game, { presence }).catch(({ code, message }: { code: string; message: string }) => `${code} ${message}`);

describe('the key', () => {
  test('[BR32] leaves the address and nothing else of it, is kept for a reload, and is asked of the same server', async () => {
    const kept = new Map<string, string>();
    const first = tab(`https://127.0.0.1:5173/play/?room=7#${TOKEN}`, kept);
    expect(await connect()).toContain('no socket');
    expect([first.shown, first.sockets]).toEqual([['1 /play/?room=7'], ['wss://127.0.0.1:5173/__lanista']]);
    const second = tab('http://127.0.0.1:5173/#lobby', kept);
    expect(await connect()).toContain('no socket');
    expect([second.shown, second.sockets]).toEqual([[], ['ws://127.0.0.1:5173/__lanista']]);
    // However often a page connects, it listens for links once.
    expect(first.listeners + second.listeners).toBeLessThanOrEqual(1);
  });

  test('[BR32] is of use where storage is forbidden; without one the page says so, and opens no socket', async () => {
    const first = tab(`http://127.0.0.1:5173/#${TOKEN}`, null);
    expect(await connect()).toContain('no socket');
    expect(first.shown).toEqual(['1 /']);
    const second = tab('http://127.0.0.1:5173/', null);
    expect(await connect()).toBe('bridge This page was opened without its key. Open the link the game printed when it started.');
    expect(second.sockets).toEqual([]);
  });

  test('[BR30] is not asked for where the options are wrong, nor is a socket opened', async () => {
    const seen = tab(`http://127.0.0.1:5173/#${TOKEN}`);
    await expect(connectLan(game, { presence: { name: 7 } } as never)).rejects.toMatchObject({ code: 'bad-value' });
    await expect(connectLan(game, undefined as never)).rejects.toMatchObject({ code: 'bad-argument' });
    expect([seen.sockets, seen.shown]).toEqual([[], []]);
    vi.unstubAllGlobals();
    await expect(connectLan(game, { presence, url: 'ws://127.0.0.1:1/' })).rejects.toMatchObject({ code: 'bad-argument' });
  });
});

describe('a connection', () => {
  beforeEach(() => void vi.spyOn(console, 'error').mockImplementation(() => undefined));

  test('[RO29] is told to each listener until it is disposed, also by another one of them', async () => {
    const { client, socket } = await connected();
    const lan = openPageLan(game, client, { presence });
    const heard: string[] = [];
    const offs: Disposable[] = [];
    lan.onConnection(({ type }) => {
      heard.push(`first ${type}`);
      offs[0]![Symbol.dispose]();
    });
    offs.push(lan.onConnection(({ type }) => heard.push(`second ${type}`)));
    lan.onConnection(({ type }) => heard.push(`third ${type}`))[Symbol.dispose]();
    socket.lose();
    expect([heard, lan.connection.type]).toEqual([['first waiting'], 'waiting']);
  });

  test('[BR11] claims a seat where it resumes, and there alone; without one it asks for nothing', async () => {
    const { client, socket } = await connected();
    const lan = openPageLan(game, client, { presence });
    await expect(lan.resume()).rejects.toMatchObject({ code: 'closed' });
    const kept = { roomId: '00' as RoomId, name: 'den' };
    socket.tell({ type: 'discovery', state: client.discovery(), joinCode: undefined, kept });
    expect(lan.resumed).toEqual(kept);
    const resuming = lan.resume();
    const joining = lan.joinOrCreate({ name: 'den' });
    await turn();
    const asked = socket.said.filter(({ type }) => type === 'claim' || type === 'open').map(({ type }) => type);
    expect(asked).toEqual(['claim', 'open']);
    for (const one of [...socket.of('claim'), ...socket.of('open')])
      socket.tell({ type: 'failed', room: one.room, code: 'room-full', message: roster.name, hint: undefined });
    for (const one of [resuming, joining]) await expect(one).rejects.toMatchObject({ code: 'room-full' });
  });
});
