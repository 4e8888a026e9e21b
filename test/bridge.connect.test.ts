/** `connectLan` where there is no page, or no socket to open: what the caller is told, and that nothing comes after. */
import { afterEach, expect, test, vi } from 'vitest';
import { defineGame, s } from 'lanista';
import { connectLan } from '../sdk/browser/connect-lan.ts';

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

test('[BR30] connectLan outside a page says where it belongs', async () => {
  const expected = { code: 'bad-argument', message: expect.stringContaining("openLan from 'lanista/node'") as string };
  await expect(connectLan(game, { presence: { name: 'Ann' } })).rejects.toMatchObject(expected);
  await expect(connectLan(game, { presence: { name: 'Ann' }, token: TOKEN })).rejects.toMatchObject(expected);
});
