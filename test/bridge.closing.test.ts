/** The end of a bridge, while pages come and go: it ends, and leaves nothing behind. */
import { expect, test } from 'vitest';
import { BRIDGE_CLOSE, BRIDGE_VERSION } from '../sdk/bridge/index.ts';
import { openNodeLanPort } from '../sdk/node/index.ts';
import { BridgeSession } from '../sdk/node/bridge-session.ts';
import { Bench, GAME, join, ScriptedLan, until } from './bridge-fake.ts';

test('[BR33] a bridge that closes while its page comes again ends, and so does that page', async () => {
  await using bench = new Bench();
  let closed = (): void => undefined;
  bench.lan.close = () => new Promise((resolve) => (closed = resolve));
  const bridge = await bench.start({ lan: () => bench.lan });
  const page = await bench.page(bridge);
  await page.open(join());
  const closing = bridge.close();
  // The network half takes longer to say goodbye than the page waits before it comes again.
  await until(() => page.sockets.length > 1 && page.state.type === 'waiting');
  let over = 0;
  void closing.then(() => over++);
  const again = bridge.close().then(() => expect(over).toBe(1));
  closed();
  await Promise.all([closing, again]);
  expect(bench.lan.rooms[0]!.left).toBe(true);
}, 5_000);

test('[BR33] a page that says hello while the bridge closes is sent away, and gets no room', async () => {
  const lan = new ScriptedLan();
  const session = new BridgeSession({ lan });
  const closing = session.close();
  const codes: number[] = [];
  const page = { send: () => expect.fail('nothing is said to it'), close: (code: number) => void codes.push(code), bufferedAmount: 0 };
  expect(session.attach(page, { type: 'hello', version: BRIDGE_VERSION, token: '', game: GAME, page: '' })).toBe(false);
  expect(codes).toEqual([BRIDGE_CLOSE.ending]);
  await closing;
});

test('[BR33] a page that watches rooms when the network half is closed before its bridge ends nothing', async () => {
  await using bench = new Bench();
  const lan = await openNodeLanPort(GAME, { interfaces: ['127.0.0.1'], profile: false, discovery: { mdns: false, beacon: false, local: false } });
  const bridge = await bench.start({ lan });
  const page = await bench.page(bridge);
  await lan.close();
  const lists: unknown[] = [];
  page.watchRooms((rooms) => lists.push(rooms));
  await until(() => bridge.stats().drops['bridge-no-lan'] === 1);
  await expect(page.open(join())).rejects.toMatchObject({ code: 'closed' });
  expect([page.state.type, lists]).toEqual(['open', [[]]]);
});
