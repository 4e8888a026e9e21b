/**
 * A child of the runner: fuzzes the targets it is given, one after another. Inputs that reach code nobody
 * reached before are kept and mutated further.
 *
 * A finding is an exception; an input that takes over 5 ms and over fifty times what the target's inputs
 * usually take, at its best of seven; a changed `Object.prototype`; or 256 MB more memory after a target than before.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { createRng } from '../../sdk/base/rng.ts';
import { Coverage, linesOf, type LineState } from './coverage.ts';
import { mutate } from './mutate.ts';
import type { Target } from './target.ts';

/** What a worker is asked. */
export interface Job {
  readonly target: string;
  readonly seed: number;
  /** Ends at whichever comes first. */
  readonly execs: number;
  readonly ms: number;
}

/** What it answers, per job. */
export interface JobReport {
  readonly target: string;
  readonly execs: number;
  readonly perSecond: number;
  readonly corpus: number;
  readonly kept: readonly string[];
  readonly slowestMs: number;
  readonly rssGrowthMb: number;
  readonly findings: readonly { readonly input: string; readonly problem: string }[];
}

/** State of each line of each decoder, by file. */
export type Lines = Readonly<Record<string, Readonly<Record<number, LineState>>>>;

const SLOW_MS = 5;
const SLOW_TIMES = 50;
const MAX_RSS_GROWTH_MB = 256;
const root = fileURLToPath(new URL('../..', import.meta.url));

const coverage = new Coverage((url) => url.includes('/sdk/'));
const { DECODERS, TARGETS } = await import('./targets/index.ts');
const pristine = prototypes();

process.on('message', (message: Job | 'lines') => {
  if (message === 'lines') {
    process.send!({ lines: lines() });
    return;
  }
  void fuzz(message).then((report) => process.send!({ report }));
});
process.on('disconnect', () => process.exit(0));
process.send!({ ready: Object.keys(TARGETS) });

async function fuzz(job: Job): Promise<JobReport> {
  const target = await TARGETS[job.target]!();
  const rng = createRng(job.seed);
  const corpus = [new Uint8Array(0), ...target.seeds, ...kept(job.target)];
  const begun = corpus.length;
  const findings: { input: string; problem: string }[] = [];
  let slowestMs = 0;
  const suspects: Uint8Array[] = [];
  const run = (bytes: Uint8Array): void => {
    try {
      const began = performance.now();
      target.run(bytes);
      if (performance.now() - began > SLOW_MS && suspects.length < 20) suspects.push(bytes);
    } catch (error) {
      add(bytes, error instanceof Error ? (error.stack ?? error.message).split('\n').slice(0, 4).join(' ') : String(error));
    }
  };
  /** What was slow once was mostly somebody else's doing: measured again when all is warm, the best of seven counts. */
  const judge = (usualMs: number): void => {
    for (const bytes of suspects) {
      let least = Infinity;
      for (let again = 0; again < 7; again++) {
        const began = performance.now();
        target.run(bytes);
        least = Math.min(least, performance.now() - began);
      }
      if (least > slowestMs) slowestMs = least;
      if (least > SLOW_MS && least > SLOW_TIMES * usualMs) add(bytes, `takes ${least.toFixed(1)} ms, others ${usualMs.toFixed(3)}`);
    }
  };
  const add = (bytes: Uint8Array, problem: string): void => void findings.push({ input: Buffer.from(bytes).toString('hex'), problem });
  for (const bytes of corpus) run(bytes);
  coverage.read();
  const before = process.memoryUsage().rss;
  const started = performance.now();
  let execs = corpus.length;
  // A reading costs about a millisecond: rare while nothing new comes.
  let size = 50;
  while (execs < job.execs && performance.now() - started < job.ms && findings.length < 5) {
    const batch = Array.from({ length: Math.min(size, job.execs - execs) }, () => mutate(rng, corpus));
    for (const bytes of batch) run(bytes);
    execs += batch.length;
    if (prototypes() !== pristine) {
      add(batch.at(-1)!, 'Object.prototype is another than before');
      break;
    }
    if (coverage.read() === 0) {
      size = Math.min(2_000, size * 2);
      continue;
    }
    size = 50;
    // Which one it was is not told, so the batch joins the corpus; it is small while there is much to find.
    if (corpus.length < 1_500) corpus.push(...batch.slice(0, 50));
  }
  const seconds = (performance.now() - started) / 1_000;
  if (findings.length === 0) judge((seconds * 1_000) / execs);
  const rssGrowthMb = Math.round((process.memoryUsage().rss - before) / 1e6);
  if (rssGrowthMb > MAX_RSS_GROWTH_MB) add(new Uint8Array(0), `${rssGrowthMb} MB more memory than before`);
  return {
    target: job.target,
    execs,
    perSecond: Math.round(execs / Math.max(seconds, 0.001)),
    corpus: begun,
    kept: corpus.slice(begun).map((bytes) => Buffer.from(bytes).toString('hex')),
    slowestMs: Math.round(slowestMs * 100) / 100,
    rssGrowthMb,
    findings,
  };
}

/** Kept inputs: one file per target, one hexadecimal input per line. */
function kept(name: string): Uint8Array[] {
  const folder = new URL('./corpus/', import.meta.url);
  if (!readdirSync(folder).includes(`${name}.hex`)) return [];
  return readFileSync(new URL(`${name}.hex`, folder), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => new Uint8Array(Buffer.from(line, 'hex')));
}

function prototypes(): string {
  return [Object.prototype, Array.prototype, Uint8Array.prototype].map((one) => Reflect.ownKeys(one).map(String).join()).join(';');
}

function lines(): Lines {
  const all = coverage.lines();
  const out: Record<string, Record<number, LineState>> = {};
  for (const [path, parts] of DECODERS) {
    const wanted = linesOf(root + path, parts);
    const states = (out[path] = {} as Record<number, LineState>);
    for (const [line, state] of all.get(root + path) ?? []) if (wanted.has(line)) states[line] = state;
  }
  return out;
}

export type { Target };
