/**
 * `npm run sim -- --seeds 2000 --json [--first 1] [--workers 2]`: seeds on all cores, one JSON line.
 * `npm run sim -- --seed X [--peers 8] [--seconds 60] [--without a,b] [--trace] [--shrink]`: one seed.
 * `npm run sim -- --planted --json [--only name]`: every planted bug has to be found (`planted.ts`).
 * `npm run sim -- --game …`: the game's own simulator (`game-run.ts`).
 *
 * Every tenth seed runs twice and must leave the same trace hash. A seed that fails prints the command
 * that repeats it; the first three are made smaller.
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import type { SimOptions, SimResult } from './plan.ts';
import { isClean, runJobs, work, type Job, type Report } from './pool.ts';
import { replayCommand, shrink } from './shrink.ts';
import { simulate } from './simulate.ts';

const MOST_SHRUNK = 3;

const game = process.argv.includes('--game');
const { values } = parseArgs({
  strict: !game,
  options: {
    seeds: { type: 'string' },
    seed: { type: 'string' },
    first: { type: 'string', default: '1' },
    peers: { type: 'string' },
    seconds: { type: 'string' },
    without: { type: 'string' },
    trace: { type: 'boolean', default: false },
    shrink: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    workers: { type: 'string' },
    worker: { type: 'boolean', default: false },
    planted: { type: 'boolean', default: false },
    only: { type: 'string' },
  },
});
const workers = typeof values.workers === 'string' ? Number(values.workers) : availableParallelism();

/** What the command line says of how each seed is run. */
const given: Omit<SimOptions, 'seed' | 'trace'> = {
  ...(typeof values.peers === 'string' ? { peers: Number(values.peers) } : {}),
  ...(typeof values.seconds === 'string' ? { seconds: Number(values.seconds) } : {}),
  ...(typeof values.without === 'string' ? { without: values.without.split(',') } : {}),
};

function print(line: unknown): void {
  process.stdout.write(values.json === true ? `${JSON.stringify(line)}\n` : `${JSON.stringify(line, undefined, 2)}\n`);
}

const secondsSince = (start: bigint): number => Math.round(Number((process.hrtime.bigint() - start) / 1_000_000n) / 100) / 10;

function tell(options: SimOptions, result: SimResult, what: string): void {
  process.stderr.write(`seed ${options.seed} ${what}: ${replayCommand(options)}\n`);
  for (const violation of result.violations.slice(0, 5)) process.stderr.write(`  ${violation.split('\n', 3).join(' ')}\n`);
}

function runOne(seed: number): void {
  const options: SimOptions = { ...given, seed };
  const trace = values.trace === true ? (line: string): void => void process.stdout.write(`${line}\n`) : undefined;
  const result = simulate({ ...options, trace });
  print({ sim: 'seed', ...result });
  process.exitCode = result.violations.length === 0 ? 0 : 1;
  if (values.shrink !== true) return;
  const shrunk = shrink(options);
  if (shrunk !== undefined) tell(shrunk.options, shrunk.result, `made smaller in ${shrunk.runs} runs`);
}

function percentile(values: readonly number[], ratio: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * ratio))] ?? 0);
}

function countClasses(reports: readonly Report[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const report of reports) for (const name of report.classes) counts[name] = (counts[name] ?? 0) + 1;
  return Object.fromEntries(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)));
}

async function runMany(): Promise<void> {
  const started = process.hrtime.bigint();
  const first = Number(values.first);
  const jobs = Array.from({ length: Number(values.seeds ?? 20) }, (_, i): Job => ({ ...given, seed: first + i, again: i % 10 === 0 }));
  const reports: Report[] = [];
  await runJobs(jobs, workers, (report) => {
    reports.push(report);
    if (isClean(report)) return true;
    const differs = report.again !== undefined && report.again !== report.hash;
    tell({ ...given, seed: report.seed }, report, differs ? 'leaves another trace when repeated' : 'failed');
    return true;
  });
  const seconds = secondsSince(started);
  const failed = reports.filter((report) => report.violations.length > 0);
  for (const { seed } of failed.slice(0, MOST_SHRUNK)) {
    const shrunk = shrink({ ...given, seed });
    if (shrunk !== undefined) tell(shrunk.options, shrunk.result, `made smaller in ${shrunk.runs} runs`);
  }
  const checked = reports.filter((report) => report.again !== undefined);
  const equal = checked.filter((report) => report.again === report.hash).length;
  const ofMesh = reports.filter((report) => report.kind === 'mesh');
  const times = ofMesh.filter((report) => report.convergeMs !== Infinity).map((report) => report.convergeMs);
  const changes = reports.flatMap((report) => report.hostChangesPerMinute ?? []);
  const pass = failed.length === 0 && equal === checked.length;
  print({
    sim: 'network',
    seeds: reports.length,
    mesh_seeds: ofMesh.length,
    link_seeds: reports.length - ofMesh.length,
    violations: reports.reduce((sum, report) => sum + report.violations.length, 0),
    failed_seeds: failed.map((report) => report.seed),
    hash_rechecked: checked.length,
    hash_equal: equal,
    converge_p50_ms: percentile(times, 0.5),
    converge_p95_ms: percentile(times, 0.95),
    converge_max_ms: percentile(times, 1),
    host_changes_per_minute_max: Math.max(0, ...changes),
    one_way_minutes: changes.length,
    simulated_hours: Math.round(reports.reduce((sum, report) => sum + report.seconds, 0) / 360) / 10,
    messages: reports.reduce((sum, report) => sum + report.delivered, 0),
    steps: reports.reduce((sum, report) => sum + report.steps, 0),
    seconds,
    classes: countClasses(reports),
    pass,
  });
  process.exitCode = pass ? 0 : 1;
}

if (game) await import('./game-run.ts');
else if (values.worker === true) work();
else if (values.planted === true) await import('./planted.ts');
else if (typeof values.seed === 'string') runOne(Number(values.seed));
else await runMany();
