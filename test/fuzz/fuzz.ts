/** Runs targets in two worker processes and adds up what they report. */
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Job, JobReport, Lines } from './worker.ts';

export interface FuzzOptions {
  /** All of them when undefined. */
  readonly target?: string | undefined;
  readonly seed: number;
  /** Over all targets. */
  readonly execs: number;
  readonly seconds: number;
  readonly workers?: number;
}

export interface FuzzReport {
  readonly execs: number;
  readonly seconds: number;
  readonly findings: number;
  /** Lines of the decoders' code that ran, and that ran with every branch on them. */
  readonly lines: number;
  readonly linesCovered: number;
  readonly linesCoveredWholly: number;
  readonly lineRatio: number;
  /** `path:line` of what never ran. */
  readonly uncovered: readonly string[];
  readonly targets: readonly JobReport[];
}

interface Worker {
  readonly child: ChildProcess;
  ask(what: Job | 'lines'): Promise<{ readonly report?: JobReport; readonly lines?: Lines }>;
}

export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  const pool = await Promise.all(Array.from({ length: options.workers ?? 2 }, startWorker));
  const names = pool[0]!.names.filter((name) => options.target === undefined || name === options.target);
  if (names.length === 0) throw new Error(`no target ${options.target}; there are: ${pool[0]!.names.join(', ')}`);
  const started = performance.now();
  const until = started + options.seconds * 1_000;
  const reports: JobReport[] = [];
  const waiting = [...names];
  let spent = 0;
  await Promise.all(
    pool.map(async ({ worker }) => {
      for (let target = waiting.shift(); target !== undefined; target = waiting.shift()) {
        // What slow targets could not use of their share is left to those after them.
        const left = waiting.length + 1;
        const execs = Math.ceil((options.execs - spent) / left);
        const ms = ((until - performance.now()) * pool.length) / (left + pool.length - 1);
        const { report } = await worker.ask({ target, seed: options.seed, execs, ms });
        spent += report!.execs;
        reports.push(report!);
      }
    }),
  );
  // The fast ones fill up what is missing, while there is time.
  const fastest = reports.toSorted((a, b) => b.perSecond - a.perSecond).slice(0, 8);
  for (let round = 1; spent < options.execs && performance.now() < until - 500 && reports.every((one) => one.findings.length === 0); round++) {
    const more = await Promise.all(
      pool.map(({ worker }, i) =>
        worker.ask({
          target: fastest[(round * pool.length + i) % fastest.length]!.target,
          seed: options.seed + round * 1_000,
          execs: Math.ceil((options.execs - spent) / pool.length),
          ms: Math.min(5_000, until - performance.now()),
        }),
      ),
    );
    for (const { report } of more) {
      spent += report!.execs;
      const at = reports.findIndex((one) => one.target === report!.target);
      const one = reports[at]!;
      reports[at] = {
        ...one,
        execs: one.execs + report!.execs,
        kept: [...one.kept, ...report!.kept],
        findings: [...one.findings, ...report!.findings],
      };
    }
  }
  const seconds = (performance.now() - started) / 1_000;
  const lines = await Promise.all(pool.map(async ({ worker }) => (await worker.ask('lines')).lines!));
  for (const { worker } of pool) worker.child.disconnect();
  return {
    execs: spent,
    seconds: Math.round(seconds * 10) / 10,
    findings: reports.reduce((sum, one) => sum + one.findings.length, 0),
    ...sum(lines),
    targets: reports,
  };
}

function sum(parts: readonly Lines[]): Pick<FuzzReport, 'lines' | 'linesCovered' | 'linesCoveredWholly' | 'lineRatio' | 'uncovered'> {
  const states = new Map<string, number>();
  for (const part of parts) {
    for (const [path, file] of Object.entries(part)) {
      for (const [line, state] of Object.entries(file)) states.set(`${path}:${line}`, Math.max(states.get(`${path}:${line}`) ?? 0, state));
    }
  }
  const values = [...states.values()];
  const covered = values.filter((state) => state > 0).length;
  return {
    lines: values.length,
    linesCovered: covered,
    linesCoveredWholly: values.filter((state) => state === 2).length,
    lineRatio: Math.round((covered / Math.max(1, values.length)) * 10_000) / 10_000,
    uncovered: [...states].filter(([, state]) => state === 0).map(([line]) => line),
  };
}

async function startWorker(): Promise<{ readonly worker: Worker; readonly names: readonly string[] }> {
  const child = fork(fileURLToPath(new URL('worker.ts', import.meta.url)), [], { execArgv: process.execArgv });
  const answer = (): Promise<never> =>
    new Promise((resolve, reject) => {
      const died = (code: number | null): void => reject(new Error(`a fuzz worker ended with ${code}`));
      child.once('exit', died);
      child.once('message', (message) => {
        child.off('exit', died);
        resolve(message as never);
      });
    });
  const { ready } = (await answer()) as { ready: readonly string[] };
  const worker: Worker = {
    child,
    ask(what) {
      const reply = answer();
      child.send(what);
      return reply;
    },
  };
  return { worker, names: ready };
}
