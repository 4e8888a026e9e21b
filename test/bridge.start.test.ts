/** What `startBridge` refuses before it listens. */
import { createServer } from 'node:http';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { attachBridge, startBridge } from '../sdk/node/bridge-server.ts';
import type { StartBridgeOptions } from '../sdk/node/bridge-server.ts';
import { Bench } from './bridge-fake.ts';

test('[BR17] a port that no machine has is refused in words', async () => {
  await using bench = new Bench();
  for (const port of [99_999, -1, 1.5, '80']) {
    await expect(bench.start({ port } as Partial<StartBridgeOptions>)).rejects.toMatchObject({ code: 'bad-argument' });
  }
});

test('[RO28] what startBridge does not know, or misses, is told before anything is opened', async () => {
  const { lan } = new Bench();
  for (const [options, words] of [
    [undefined, 'lan'],
    [{}, 'lan'],
    [{ start: () => lan }, 'start'],
    [{ lan, prot: 5400 }, 'prot'],
    [{ lan: 'ann' }, 'openNodeLanPort'],
  ] as const)
    await expect(startBridge(options as unknown as StartBridgeOptions)).rejects.toMatchObject({
      code: 'bad-argument',
      message: expect.stringContaining(words) as string,
    });
});

test('[BR22] a folder that is not there is refused with its whole path', async () => {
  await using bench = new Bench();
  for (const root of ['no-such-folder', 'package.json']) {
    await expect(bench.start({ root })).rejects.toMatchObject({ code: 'bad-argument', message: expect.stringContaining(resolve(root)) as string });
  }
});

test('[BR20] the bridge listens on loopback and nowhere else', async () => {
  await using bench = new Bench();
  for (const host of ['0.0.0.0', '::', 'localhost', '127.0.0.2']) {
    await expect(bench.start({ host } as unknown as Partial<StartBridgeOptions>)).rejects.toMatchObject({ code: 'bad-argument' });
  }
});

test('[BR21] a token that no page would take is refused, and not printed in a link', async () => {
  await using bench = new Bench();
  for (const token of ['', 'hockey', 'a secret of more than twenty', 't'.repeat(65)])
    await expect(bench.start({ token })).rejects.toMatchObject({ code: 'bad-argument' });
  const bridge = await bench.start({ token: 'the-key-of-this-table' });
  expect(bridge.url).toMatch(/#the-key-of-this-table$/);
});

test('[BR11] a seat cannot be kept for a time that no timer takes: it would be left at once', async () => {
  await using bench = new Bench();
  for (const keepMs of [Infinity, 2 ** 31, -1, Number.NaN, '15000']) {
    const options = { keepMs } as Partial<StartBridgeOptions>;
    await expect(bench.start(options), String(keepMs)).rejects.toMatchObject({ code: 'bad-argument' });
    expect(() => attachBridge(createServer(), { ...options, lan: bench.lan }), String(keepMs)).toThrow(
      expect.objectContaining({ code: 'bad-argument' }),
    );
  }
  for (const keepMs of [0, 2 ** 31 - 1]) await bench.start({ keepMs });
});
