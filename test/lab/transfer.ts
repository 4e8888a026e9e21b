/**
 * Lab `transfer`: a 64 MiB transfer on `reliable` beside a 60 Hz `unreliable` stream, two processes, 1 %
 * of all frames lost. On each path and in each round: the stream alone, the stream beside the transfer,
 * then the same bytes over TCP between the same two processes. Passes when, on every path, the 99th
 * percentile of the stream's delay beside the transfer is at most 5 ms above that of the stream alone
 * (a tick's delay counts from when it was due), and the transfer moves at least 60 % of what TCP moves.
 *
 *   npm run lab -- transfer [MiB] [rounds] [path…]        paths: 100mbit 1gbit unlimited
 */
import { Lab, run } from './netns.ts';
import { ProcessGroup, sleep } from './process.ts';
import { LinkPeer } from './link-peers.ts';
import type { LabResult } from './run.ts';

const LOSS = 0.01;
const ALONE_MS = 3_000;
const MAX_ADDED_MS = 5;
const MIN_SHARE = 0.6;

/** Paths by name; a rate is a token bucket with a queue of 50 ms at the switch's port, both ways. */
const PATHS: Readonly<Record<string, string | undefined>> = { '100mbit': '100mbit', '1gbit': '1gbit', unlimited: undefined };

/** What was measured on one path, over all rounds. */
export interface PathFigures {
  readonly path: string;
  readonly link_mb_per_s: number;
  readonly tcp_mb_per_s: number;
  readonly share_of_tcp: number;
  readonly rounds: readonly { readonly linkMBps: number; readonly tcpMBps: number }[];
  readonly stream_alone_ms: StreamFigures;
  readonly stream_beside_ms: StreamFigures;
  readonly added_p99_ms: number;
  readonly pass: boolean;
}

/** One-way delay of the stream's messages, from when their tick was due. */
interface StreamFigures {
  readonly p50: number;
  readonly p99: number;
  readonly received: number;
}

export async function lab(args: readonly string[] = []): Promise<LabResult> {
  const mebibytes = Number(args[0] ?? 64);
  const rounds = Number(args[1] ?? 3);
  const names = args.length > 2 ? args.slice(2) : Object.keys(PATHS);
  const bytes = mebibytes * 1_024 * 1_024;
  using network = new Lab(2);
  network.setFramesOnly();
  network.setLoss(LOSS);
  await using processes = new ProcessGroup();
  const [from, to] = network.hosts.map((host) => processes.use(new LinkPeer(network, host))) as [LinkPeer, LinkPeer];
  await from.answer('ready');
  const ready = await to.answer('ready');
  const there = network.host(1).address;
  from.order({ do: 'connect', host: there, port: ready['port'] as number });
  const { by } = await from.answer('linked');
  const congestion = run('sysctl', ['-n', 'net.ipv4.tcp_congestion_control']).stdout.trim();
  const paths: PathFigures[] = [];
  for (const name of names) {
    network.setRate(PATHS[name]);
    await sleep(500);
    const alone: number[] = [];
    const beside: number[] = [];
    const perRound: { linkMBps: number; tcpMBps: number }[] = [];
    for (let round = 0; round < rounds; round++) {
      await measured(from, to, { do: 'stream', ms: ALONE_MS, bytes: 0 }, alone);
      const told = await measured(from, to, { do: 'stream', ms: 0, bytes }, beside);
      from.order({ do: 'tcp', host: there, port: ready['tcp'] as number, bytes });
      const tcp = await to.answer('tcp');
      perRound.push({ linkMBps: rate(bytes, told.bulkMs), tcpMBps: rate(bytes, tcp['ms'] as number) });
    }
    const share = median(perRound.map((round) => round.linkMBps / round.tcpMBps));
    const addedMs = quantile(beside, 0.99) - quantile(alone, 0.99);
    paths.push({
      path: name,
      link_mb_per_s: median(perRound.map((round) => round.linkMBps)),
      tcp_mb_per_s: median(perRound.map((round) => round.tcpMBps)),
      share_of_tcp: fixed(share),
      rounds: perRound,
      stream_alone_ms: streamFigures(alone),
      stream_beside_ms: streamFigures(beside),
      added_p99_ms: fixed(addedMs),
      pass: addedMs <= MAX_ADDED_MS && share >= MIN_SHARE,
    });
  }
  return { lab: 'transfer', mebibytes, loss_ratio: LOSS, sealed_by: by, tcp_congestion: congestion, paths, pass: paths.every((path) => path.pass) };
}

/** Lets one order run to its end and adds the delays that the far side saw. */
async function measured(from: LinkPeer, to: LinkPeer, order: Parameters<LinkPeer['order']>[0], delays: number[]) {
  from.order(order);
  await from.answer('streamed');
  await sleep(200);
  const told = await to.tell();
  delays.push(...told.delaysMs);
  return told;
}

function streamFigures(delaysMs: readonly number[]): StreamFigures {
  return { p50: fixed(quantile(delaysMs, 0.5)), p99: fixed(quantile(delaysMs, 0.99)), received: delaysMs.length };
}

function rate(bytes: number, ms: number): number {
  return fixed(bytes / 1_000 / ms);
}

function fixed(value: number): number {
  return Math.round(value * 100) / 100;
}

function quantile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.max(0, Math.ceil(values.length * share) - 1)] ?? Number.NaN;
}

function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}
