/** `connectLan` where there is no page, or no socket to open: what the caller is told, and that nothing comes after. */
import { afterEach, expect, test, vi } from 'vitest';
import { defineGame, s } from 'lanista';
import { connectLan, openPageLan } from '../sdk/browser/connect-lan.ts';
import { Bench } from './bridge-fake.ts';

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

test('[BR30] connectLan outside a page says where it belongs', async () => {
  const expected = { code: 'bad-argument', message: expect.stringContaining("openLan from 'lanista/node'") as string };
  await expect(connectLan(game, { presence: { name: 'Ann' } })).rejects.toMatchObject(expected);
  await expect(connectLan(game, { presence: { name: 'Ann' }, token: TOKEN })).rejects.toMatchObject(expected);
});
