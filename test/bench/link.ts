/**
 * `npm run bench -- link [--rounds N] [--count N] [--only a,b]`: what our link costs beside a bare socket and beside
 * what others offer.
 *
 * Round trips: 64 bytes to and fro between two processes over loopback, the next when the last is back, both processes
 * pinned to one core. All pairs are started and warmed up first, then take turns within every round, so that a busy
 * machine is busy for all of them; ratios to the bare connected socket are taken within a round, then their median.
 * `dgram-wasm` and its like are that socket with a header and the seal, and nothing else: less no link can take.
 * Then one peer of a full mesh, and many small messages on one link (parts/rows.ts): `mesh` and `many` for `--only`.
 */
import type { ChildProcess } from 'node:child_process';
import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { bundleScript } from '../lab/parts/bundle.ts';
import { child, hasTaskset, median, quartiles, round2, told } from './parts/processes.ts';
import { manyRow, meshRow } from './parts/rows.ts';

const BASE = 'dgram';
const CONTENDERS = [
  BASE,
  'dgram-native',
  'dgram-wasm',
  'dgram-node',
  'link-none',
  'link-native',
  'link-wasm',
  'link-node',
  'ws',
  'socket.io',
  'colyseus',
  'node-datachannel',
  'secret-stream',
] as const;
/** Times the bare socket's median. */
const TARGETS: Readonly<Record<string, number>> = { 'link-none': 1.25, 'link-native': 1.6, 'link-node': 2.3 };

/** V8 has the hot path compiled by then, for the floor as for everybody. */
const WARM_COUNT = 20_000;
const WARM_MS = 3_000;

interface Sample {
  readonly p50Us: number;
  readonly p99Us: number;
  /** CPU of both processes per round trip. */
  readonly cpuUs: number;
  /** Round trips whose echo never came. */
  readonly lost: number;
}

export async function bench(args: readonly string[]): Promise<object> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      json: { type: 'boolean' },
      rounds: { type: 'string', default: '15' },
      count: { type: 'string', default: '2000' },
      only: { type: 'string' },
    },
  });
  const rounds = Math.min(100, Number(values.rounds));
  const count = Math.min(50_000, Number(values.count));
  const only = values.only?.split(',');
  const wanted = (name: string): boolean => only?.includes(name) ?? true;
  const names = CONTENDERS.filter((name) => name === BASE || wanted(name));
  const loadBefore = loadavg()[0];
  const notRun: Record<string, string> = {};
  const pairs: Pair[] = [];
  using bundle = await bundleScript('test/bench/parts/link-child.ts');
  try {
    for (const name of names) {
      const pair = new Pair(bundle.path, name);
      try {
        await pair.start();
        pairs.push(pair);
      } catch (error) {
        pair.close();
        notRun[name] = (error as Error).message;
      }
    }
    for (const pair of pairs) await pair.warmUp();
    for (let round = 0; round < rounds; round++) for (const pair of pairs) pair.samples.push(await pair.measure(count));
  } finally {
    for (const pair of pairs) pair.close();
  }
  const others: { readonly pass: boolean }[] = [];
  if (wanted('mesh')) others.push(await meshRow(Math.min(9, rounds), 1_500));
  if (wanted('many')) others.push(await manyRow(Math.min(9, rounds), 500));
  const roundTrips = pairs.map((pair) => row(pair, pairs[0]!));
  return {
    rounds,
    count,
    bytes: 64,
    pinned: hasTaskset ? 'each pair to one core' : 'no: this machine has no taskset',
    cores: cpus().length,
    loadBefore,
    load: loadavg()[0],
    roundTrips,
    others,
    notRun,
    pass:
      others.every((one) => one.pass) &&
      roundTrips.every((one) => !('pass' in one) || one.pass === true) &&
      Object.keys(TARGETS).every((name) => !(name in notRun)),
  };
}

function row(pair: Pair, base: Pair): Record<string, unknown> {
  const ratios = (of: (sample: Sample) => number): number[] => pair.samples.map((sample, i) => of(sample) / of(base.samples[i]!));
  const p50 = ratios((s) => s.p50Us);
  const p50Ratio = round2(median(p50));
  const target = TARGETS[pair.name];
  return {
    name: pair.name,
    p50Us: round2(median(pair.samples.map((s) => s.p50Us))),
    p99Us: round2(median(pair.samples.map((s) => s.p99Us))),
    p50Ratio,
    /** First and third quartile of the rounds. */
    p50Spread: quartiles(p50),
    p99Ratio: round2(median(ratios((s) => s.p99Us))),
    cpuRatio: round2(median(ratios((s) => s.cpuUs))),
    lost: pair.samples.reduce((sum, s) => sum + s.lost, 0),
    ...(target === undefined ? {} : { target, pass: p50Ratio <= target }),
  };
}

/** An echo and its caller, alive for the whole run. */
class Pair {
  readonly name: string;
  readonly samples: Sample[] = [];
  readonly #echo: ChildProcess;
  readonly #caller: ChildProcess;

  constructor(path: string, name: string) {
    this.name = name;
    this.#echo = child(path, ['echo', name], 0);
    this.#caller = child(path, ['call', name], 0);
    for (const [from, to] of [
      [this.#echo, this.#caller],
      [this.#caller, this.#echo],
    ] as const) {
      from.on('message', (message: object) => void ('signal' in message && to.connected && to.send(message)));
    }
  }

  async start(): Promise<void> {
    const [{ at }] = await Promise.all([told<{ at: unknown }>(this.#echo, 'at'), told(this.#caller, 'up')]);
    const ready = told(this.#caller, 'ready');
    this.#caller.send({ at });
    await ready;
  }

  async warmUp(): Promise<void> {
    const end = performance.now() + WARM_MS;
    for (let count = 0; count < WARM_COUNT && performance.now() < end; count += 1_000) await this.#ask(1_000);
  }

  async measure(count: number): Promise<Sample> {
    // The first round trips pay for caches that the pair before has filled.
    await this.#ask(100);
    const before = await this.#echoCpuUs();
    const sample = await this.#ask(count);
    return { ...sample, cpuUs: sample.cpuUs + ((await this.#echoCpuUs()) - before) / count };
  }

  #ask(count: number): Promise<Sample> {
    const answer = told<Sample>(this.#caller, 'p50Us');
    this.#caller.send({ count });
    return answer;
  }

  async #echoCpuUs(): Promise<number> {
    const answer = told<{ cpuUs: number }>(this.#echo, 'cpuUs');
    this.#echo.send({ cpu: true });
    return (await answer).cpuUs;
  }

  close(): void {
    this.#echo.kill('SIGKILL');
    this.#caller.kill('SIGKILL');
  }
}
