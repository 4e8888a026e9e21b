/** Content over real sockets on loopback: processes, and a page behind the bridge of one, with real SHA-256 at both. */
import { createHash } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineGame } from 'lanista';
import type { Lan } from 'lanista';
import { openLan, openNodeLanPort, startBridge } from 'lanista/node';
import { afterEach, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { BridgeClient } from '../sdk/browser/bridge-client.ts';
import { openPageLan } from '../sdk/browser/connect-lan.ts';
import type { PageWebSocket } from '../sdk/browser/page-socket.ts';
import { bytesOf, same } from './content-rig.ts';

const localDirectory = mkdtempSync(join(tmpdir(), 'lanista-test-'));
const game = defineGame({ id: `content-net-${process.pid}`, version: 1 });
const network = { interfaces: ['127.0.0.1'], profile: false, discovery: { mdns: false, beacon: false, localDirectory } } as const;

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function lan(): Promise<Lan<typeof game>> {
  const opened = await openLan(game, { presence: {}, ...network });
  closing.push(() => opened.close());
  return opened;
}

/** One whose game runs in a page. */
async function pageLan(): Promise<Lan<typeof game>> {
  const facts = { id: game.id, version: game.version, schemaHash: game.schemaHash };
  const port = await openNodeLanPort(facts, network);
  const bridge = await startBridge({ lan: port, game: facts });
  const page = await BridgeClient.connect({
    url: `ws://127.0.0.1:${bridge.port}/__lanista`,
    token: bridge.token,
    game: facts,
    openSocket: (url) => new WebSocket(url, { origin: `http://127.0.0.1:${bridge.port}` }) as unknown as PageWebSocket,
  });
  const opened = openPageLan(game, page, { presence: {} });
  closing.push(
    () => port.close(),
    () => bridge.close(),
    () => opened.close(),
  );
  return opened;
}

it('[CO1] [CO2] [CO6] goes from a process to a page and from that to a third, while the one who shared it leaves', async () => {
  // Where the machine does much else beside, a mebibyte takes seconds.
  const bytes = bytesOf(1_024 * 1_024);
  const ann = await (await lan()).create({ name: 'Friday' });
  const bob = await (await pageLan()).joinOrCreate({ name: 'Friday' });
  const id = await ann.content.share(bytes);
  expect(id).toBe(createHash('sha256').update(bytes).digest('base64url'));
  expect(same(await bob.content.fetch(id), bytes)).toBe(true);
  const cid = await (await lan()).joinOrCreate({ name: 'Friday' });
  const fetched = cid.content.fetch(id);
  await new Promise((resolve) => setTimeout(resolve, 30));
  await ann.leave();
  expect(same(await fetched, bytes)).toBe(true);
  expect(cid.content.has(id)).toBe(true);
  // A page has the same name for the same bytes.
  const mine = bytesOf(100_000, 9);
  expect(await bob.content.share(mine)).toBe(createHash('sha256').update(mine).digest('base64url'));
  for (const room of [bob, cid]) {
    const reasons = Object.keys(room.stats().drops).filter((reason) => reason.startsWith('content') && reason !== 'content-unasked');
    expect(reasons).toEqual([]);
  }
}, 60_000);
