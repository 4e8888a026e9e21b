/**
 * Lab `reliable`: 100,000 messages on `reliable`, between two processes on hosts of their own, while a
 * quarter of all frames is lost, each way. Most are small, every 97th travels in pieces; each carries its
 * number and bytes that follow from it. Passes when none is lost, doubled, out of order or changed, and
 * the link never closed.
 *
 *   npm run lab -- reliable [messages]
 */
import { Lab } from './netns.ts';
import { LinkPeer } from './link-peers.ts';
import { ProcessGroup, sleep } from './process.ts';
import type { LabResult } from './run.ts';

const LOSS = 0.25;
const WALL_MS = 300_000;

export async function lab(args: readonly string[] = []): Promise<LabResult> {
  const messages = Number(args[0] ?? 100_000);
  using network = new Lab(2);
  await using processes = new ProcessGroup();
  const [from, to] = network.hosts.map((host) => processes.use(new LinkPeer(network, host))) as [LinkPeer, LinkPeer];
  await from.answer('ready');
  const ready = await to.answer('ready');
  network.setLoss(LOSS);
  const started = performance.now();
  from.order({ do: 'connect', host: network.host(1).address, port: ready['port'] as number });
  await from.answer('linked');
  const linkedMs = Math.round(performance.now() - started);
  from.order({ do: 'numbers', count: messages });
  let told = await to.tell();
  while (told.next < messages && told.closed === 0 && performance.now() - started < WALL_MS) {
    await sleep(250);
    told = await to.tell();
  }
  const seconds = (performance.now() - started - linkedMs) / 1_000;
  // What came twice would come now.
  await sleep(2_000);
  told = await to.tell();
  const sender = await from.tell();
  const lost = Math.max(0, messages - told.next);
  const doubled = Math.max(0, told.next - messages);
  const closed = told.closed + sender.closed;
  return {
    lab: 'reliable',
    messages,
    loss_ratio: LOSS,
    linked_ms: linkedMs,
    seconds: Math.round(seconds * 10) / 10,
    delivered: told.next,
    lost,
    doubled,
    misordered_or_changed: told.wrong,
    disconnects: closed,
    loss_measured: sender.lossOutRatio,
    pass: lost === 0 && doubled === 0 && told.wrong === 0 && closed === 0,
  };
}
