/**
 * `npm run sim -- --game --seeds 500 --json [--seed X] [--stage memory|mesh] [--members 5] [--seconds 8] [--trace] [--workers 2]`
 *
 * Runs seeds of the game's simulator on all cores and prints one JSON line. Every tenth seed runs twice and must leave the
 * same trace hash. A seed that fails prints the command that repeats it.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { simulateGame, type GameSimOptions, type GameSimResult } from './game-scenario.ts';

interface Job {
  readonly seed: number;
  readonly again: boolean;
}

interface Report extends GameSimResult {
  readonly again: string | undefined;
}

const { values } = parseArgs({
  options: {
    game: { type: 'boolean', default: true },
    seeds: { type: 'string', default: '20' },
    seed: { type: 'string' },
    first: { type: 'string', default: '1' },
    stage: { type: 'string' },
    members: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '8' },
    trace: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    workers: { type: 'string' },
    worker: { type: 'boolean', default: false },
  },
});
const size = { members: Number(values.members), seconds: Number(values.seconds) };
const stage: Pick<GameSimOptions, 'stage'> = values.stage === 'memory' || values.stage === 'mesh' ? { stage: values.stage } : {};

async function runJob({ seed, again }: Job): Promise<Report> {
  const result = await simulateGame({ seed, ...size, ...stage });
  return { ...result, again: again ? (await simulateGame({ seed, ...size, ...stage })).hash : undefined };
}

function runAll(jobs: Job[], workers: number): Promise<Report[]> {
  return new Promise((resolve, reject) => {
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
      child.on('exit', (code) => code !== 0 && reject(new Error(`a worker ended with ${code}`)));
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

function replay(seed: number): string {
  const which = values.stage === undefined ? '' : ` --stage ${values.stage}`;
  return `npm run sim -- --game --seed ${seed} --members ${size.members} --seconds ${size.seconds}${which} --trace`;
}

function announce(report: Report): void {
  const differs = report.again !== undefined && report.again !== report.hash;
  if (report.violations.length === 0 && report.converged && !differs) return;
  process.stderr.write(`seed ${report.seed} (${report.stage}) failed${differs ? ' (trace differs when repeated)' : ''}: ${replay(report.seed)}\n`);
  for (const violation of report.violations.slice(0, 5)) process.stderr.write(`  ${violation.split('\n', 3).join(' ')}\n`);
}

function percentile(values_: readonly number[], ratio: number): number {
  const sorted = [...values_].sort((a, b) => a - b);
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * ratio))] ?? 0);
}

async function one(seed: number): Promise<void> {
  const trace = values.trace ? { trace: (line: string): void => void process.stdout.write(`${line}\n`) } : {};
  const result = await simulateGame({ seed, ...size, ...stage, ...trace });
  process.stdout.write(`${JSON.stringify({ sim: 'game-seed', ...result })}\n`);
  process.exitCode = result.violations.length === 0 && result.converged ? 0 : 1;
}

async function main(): Promise<void> {
  const started = process.hrtime.bigint();
  const first = Number(values.first);
  const jobs = Array.from({ length: Number(values.seeds) }, (_, i): Job => ({ seed: first + i, again: i % 10 === 0 }));
  const reports = await runAll(jobs, values.workers === undefined ? availableParallelism() : Number(values.workers));
  const sum = (of: (report: Report) => number): number => reports.reduce((total, report) => total + of(report), 0);
  const checked = reports.filter(({ again }) => again !== undefined);
  const equal = checked.filter(({ again, hash }) => again === hash).length;
  const converged = reports.filter((report) => report.converged);
  const times = converged.map(({ convergeMs }) => convergeMs);
  const outcomes: Record<string, number> = {};
  for (const report of reports) for (const [what, count] of Object.entries(report.outcomes)) outcomes[what] = (outcomes[what] ?? 0) + count;
  const violations = sum((report) => report.violations.length);
  const line = {
    sim: 'game',
    seeds: reports.length,
    on_mesh: reports.filter((report) => report.stage === 'mesh').length,
    ...size,
    violations,
    converged: converged.length,
    hash_rechecks: checked.length,
    hash_equal: equal,
    converge_p50_ms: percentile(times, 0.5),
    converge_p95_ms: percentile(times, 0.95),
    converge_max_ms: percentile(times, 1),
    rooms: sum((report) => report.rooms),
    writes: sum((report) => report.writes),
    applied: sum((report) => report.applied),
    authority_moves: sum((report) => report.moves),
    disputes: sum((report) => report.disputes),
    messages: sum((report) => report.delivered),
    settled_ticks: sum((report) => report.settledTicks),
    resyncs: sum((report) => report.resyncs),
    restarts: sum((report) => report.restarts),
    deputy_turns: sum((report) => report.deputyTurns),
    rollbacks: sum((report) => report.rollbacks),
    found: sum((report) => report.found),
    missed: sum((report) => report.missed),
    outcomes,
    ms: Number((process.hrtime.bigint() - started) / 1_000_000n),
    pass: violations === 0 && converged.length === reports.length && equal === checked.length,
  };
  process.stdout.write(values.json ? `${JSON.stringify(line)}\n` : `${JSON.stringify(line, undefined, 2)}\n`);
  process.exitCode = line.pass ? 0 : 1;
}

if (values.worker) process.on('message', (job: Job) => void runJob(job).then((report) => process.send?.(report)));
else if (values.seed !== undefined) await one(Number(values.seed));
else await main();
