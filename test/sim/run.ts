/**
 * `npm run sim -- --seeds 200 --json [--seed X] [--peers 8] [--seconds 30] [--trace] [--workers 2]`
 *
 * With `--game`: the game's own simulator, `game-run.ts`.
 *
 * Runs seeds on all cores and prints one JSON line. Every tenth seed runs twice and must leave the same
 * trace hash. A seed that fails prints the command that repeats it.
 */
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { fork, type ChildProcess } from 'node:child_process';
import { parseArgs } from 'node:util';
import { simulate, type SimResult } from './scenario.ts';

interface Job {
  readonly seed: number;
  readonly again: boolean;
}

interface Report extends SimResult {
  readonly again: string | undefined;
}

const game = process.argv.includes('--game');
const { values } = parseArgs({
  strict: !game,
  options: {
    seeds: { type: 'string', default: '20' },
    seed: { type: 'string' },
    first: { type: 'string', default: '1' },
    peers: { type: 'string', default: '8' },
    seconds: { type: 'string', default: '30' },
    trace: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    workers: { type: 'string' },
    worker: { type: 'boolean', default: false },
  },
});
const peers = Number(values.peers);
const seconds = Number(values.seconds);

function runJob(job: Job): Report {
  const result = simulate({ seed: job.seed, peers, seconds });
  const again = job.again ? simulate({ seed: job.seed, peers, seconds }).hash : undefined;
  return { ...result, again };
}

/** One worker process: a job comes in, a report goes out. */
function work(): void {
  process.on('message', (job: Job) => process.send?.(runJob(job)));
}

function runAll(jobs: Job[], workers: number): Promise<Report[]> {
  return new Promise((resolve) => {
    const reports: Report[] = [];
    const total = jobs.length;
    const children: ChildProcess[] = [];
    const give = (child: ChildProcess): void => {
      const job = jobs.shift();
      if (job !== undefined) child.send(job);
    };
    for (let i = 0; i < Math.min(workers, total); i++) {
      const child = fork(fileURLToPath(import.meta.url), [...process.argv.slice(2), '--worker'], { execArgv: process.execArgv });
      children.push(child);
      child.on('message', (report: Report) => {
        reports.push(report);
        announce(report);
        give(child);
        if (reports.length < total) return;
        for (const one of children) one.disconnect();
        resolve(reports);
      });
      give(child);
    }
  });
}

function announce(report: Report): void {
  const differs = report.again !== undefined && report.again !== report.hash;
  if (report.violations.length === 0 && report.converged && !differs) return;
  process.stderr.write(
    `seed ${report.seed} failed${differs ? ' (trace differs when repeated)' : ''}: npm run sim -- --seed ${report.seed} --peers ${peers} --seconds ${seconds} --trace\n`,
  );
  for (const violation of report.violations.slice(0, 5)) process.stderr.write(`  ${violation.split('\n', 3).join(' ')}\n`);
}

function percentile(values: readonly number[], ratio: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * ratio))] ?? 0);
}

async function main(): Promise<void> {
  const started = process.hrtime.bigint();
  if (values.seed !== undefined) {
    const trace = values.trace ? (line: string): void => void process.stdout.write(`${line}\n`) : undefined;
    const result = simulate({ seed: Number(values.seed), peers, seconds, ...(trace === undefined ? {} : { trace }) });
    process.stdout.write(`${JSON.stringify({ sim: 'seed', ...result })}\n`);
    process.exitCode = result.violations.length === 0 && result.converged ? 0 : 1;
    return;
  }
  const first = Number(values.first);
  const jobs = Array.from({ length: Number(values.seeds) }, (_, i): Job => ({ seed: first + i, again: i % 10 === 0 }));
  const reports = await runAll(jobs, values.workers === undefined ? availableParallelism() : Number(values.workers));
  const violations = reports.reduce((sum, one) => sum + one.violations.length, 0);
  const converged = reports.filter((one) => one.converged).length;
  const checked = reports.filter((one) => one.again !== undefined);
  const equal = checked.filter((one) => one.again === one.hash).length;
  const times = reports.filter((one) => one.converged).map((one) => one.convergeMs);
  const pass = violations === 0 && converged === reports.length && equal === checked.length;
  const line = {
    sim: 'membership',
    seeds: reports.length,
    peers,
    seconds,
    violations,
    converged,
    hash_rechecks: checked.length,
    hash_equal: equal,
    converge_p50_ms: percentile(times, 0.5),
    converge_p95_ms: percentile(times, 0.95),
    converge_max_ms: percentile(times, 1),
    messages: reports.reduce((sum, one) => sum + one.delivered, 0),
    ms: Number((process.hrtime.bigint() - started) / 1_000_000n),
    pass,
  };
  process.stdout.write(values.json ? `${JSON.stringify(line)}\n` : `${JSON.stringify(line, undefined, 2)}\n`);
  process.exitCode = pass ? 0 : 1;
}

if (game) await import('./game-run.ts');
else if (values.worker) work();
else await main();
