/**
 * Lab `transfer`: a 64 MiB transfer on `reliable` beside a 60 Hz `unreliable` stream, two processes, 1 %
 * of all frames lost. On each path and in each round: the stream alone, the stream beside the transfer,
 * then the same bytes over TCP between the same two processes, once with each congestion control the
 * machine has; the fastest of those is what counts. Passes when on 100 Mbit/s and 1 Gbit/s the 99th
 * percentile of the stream's delay beside the transfer is at most 5 ms above that of the stream alone
 * (a tick's delay counts from when it was due), and the transfer moves at least 60 % of what TCP moves.
 * The `unlimited` path is measured and shown, but compares how cheaply a process sends, not how well it
 * uses a network: a datagram costs one system call, 64 KiB of TCP do too.
 *
 *   npm run lab -- transfer [MiB] [rounds] [path…] [native]        paths: 100mbit 1gbit unlimited
 *
 * With `native` both sides seal by `sodium-native` (where it is installed) and no longer by WebAssembly.
 */
import { Lab, run } from './netns.ts';
import { ProcessGroup, sleep } from './process.ts';
import { LinkPeer } from './link-peers.ts';
import type { LabResult } from './run.ts';

const LOSS = 0.01;
const ALONE_MS = 3_000;
const MAX_ADDED_MS = 5;
const MIN_SHARE = 0.6;

/** Paths by name and rate. The last is wider than either transport can fill here, so it measures processes, not a network. */
const PATHS: Readonly<Record<string, { readonly rate: string; readonly counts: boolean }>> = {
  '100mbit': { rate: '100mbit', counts: true },
  '1gbit': { rate: '1gbit', counts: true },
  unlimited: { rate: '10gbit', counts: false },
};

/** What was measured on one path, over all rounds. */
export interface PathFigures {
  readonly path: string;
  /** Whether the promise is about this path. */
  readonly counts: boolean;
  readonly link_mb_per_s: number;
  readonly tcp_mb_per_s: number;
  readonly share_of_tcp: number;
  /** MB/s of each round, of the link and of TCP by its congestion control. */
  readonly rounds: Readonly<Record<string, readonly number[]>>;
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
  const sealedBy = args.includes('native') ? 'native' : 'wasm';
  const named = args.slice(2).filter((arg) => arg !== 'native');
  const names = named.length > 0 ? named : Object.keys(PATHS);
  const bytes = mebibytes * 1_024 * 1_024;
  using network = new Lab(2);
  network.setLoss(LOSS);
  await using processes = new ProcessGroup();
  const [from, to] = network.hosts.map((host) => processes.use(new LinkPeer(network, host, sealedBy))) as [LinkPeer, LinkPeer];
  await from.answer('ready');
  const ready = await to.answer('ready');
  const there = network.host(1).address;
  from.order({ do: 'connect', host: there, port: ready['port'] as number });
  const { by } = await from.answer('linked');
  const algorithms = run('sysctl', ['-n', 'net.ipv4.tcp_available_congestion_control']).stdout.trim().split(/\s+/);
  const paths: PathFigures[] = [];
  for (const name of names) {
    const path = PATHS[name];
    if (path === undefined) throw new Error(`no path ${name}; there are ${Object.keys(PATHS).join(', ')}`);
    network.setRate(path.rate);
    await sleep(500);
    const alone: number[] = [];
    const beside: number[] = [];
    const link: number[] = [];
    const tcp = new Map<string, number[]>(algorithms.map((algorithm) => [algorithm, []]));
    for (let round = 0; round < rounds; round++) {
      await measured(from, to, { do: 'stream', ms: ALONE_MS, bytes: 0 }, alone);
      const told = await measured(from, to, { do: 'stream', ms: 0, bytes }, beside);
      link.push(rate(bytes, told.bulkMs));
      for (const [algorithm, speeds] of tcp) {
        for (const host of network.hosts) {
          run('ip', ['netns', 'exec', host.namespace, 'sysctl', '-qw', `net.ipv4.tcp_congestion_control=${algorithm}`]);
        }
        from.order({ do: 'tcp', host: there, port: ready['tcp'] as number, bytes });
        speeds.push(rate(bytes, (await to.answer('tcp'))['ms'] as number));
      }
    }
    const best = Math.max(...[...tcp.values()].map(median));
    const share = median(link) / best;
    const addedMs = quantile(beside, 0.99) - quantile(alone, 0.99);
    paths.push({
      path: name,
      counts: path.counts,
      link_mb_per_s: median(link),
      tcp_mb_per_s: best,
      share_of_tcp: fixed(share),
      rounds: { link, ...Object.fromEntries(tcp) },
      stream_alone_ms: streamFigures(alone),
      stream_beside_ms: streamFigures(beside),
      added_p99_ms: fixed(addedMs),
      pass: addedMs <= MAX_ADDED_MS && share >= MIN_SHARE,
    });
  }
  return { lab: 'transfer', mebibytes, loss_ratio: LOSS, sealed_by: by, paths, pass: paths.every((path) => path.pass || !path.counts) };
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
