/**
 * Runs seeds on all cores: one process per worker, a job in, a report out.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { SimOptions, SimResult } from './plan.ts';
import { simulate } from './simulate.ts';

export interface Job extends Omit<SimOptions, 'trace'> {
  /** Run it twice and compare the traces. */
  readonly again: boolean;
}

export interface Report extends SimResult {
  readonly again: string | undefined;
}

/** True when the seed kept every promise, and the same way when it was repeated. */
export function isClean(report: Report): boolean {
  return report.violations.length === 0 && (report.again === undefined || report.again === report.hash);
}

/** What a worker process does. */
export function work(): void {
  process.on('message', (job: Job) => {
    const result = simulate(job);
    process.send?.({ ...result, again: job.again ? simulate(job).hash : undefined } satisfies Report);
  });
  process.on('disconnect', () => process.exit());
}

/**
 * Runs `jobs` in order; `onReport` hears of each as it comes and ends the run early by returning false.
 * @param cwd where the tree lies whose `test/sim/run.ts` is to work; this one by default.
 */
export function runJobs(jobs: readonly Job[], workers: number, onReport: (report: Report) => boolean, cwd?: string): Promise<void> {
  const script = cwd === undefined ? fileURLToPath(new URL('./run.ts', import.meta.url)) : `${cwd}/test/sim/run.ts`;
  // Young garbage is most of the garbage here: a larger nursery saves a tenth of the time.
  const execArgv = ['--max-semi-space-size=16', '--single-threaded-gc', ...process.execArgv];
  return new Promise((resolve, reject) => {
    const children: ChildProcess[] = [];
    let next = 0;
    let open = 0;
    let over = false;
    const end = (error?: Error): void => {
      over = true;
      for (const child of children) child.kill();
      if (error === undefined) resolve();
      else reject(error);
    };
    const give = (child: ChildProcess): void => {
      const job = jobs[next++];
      if (job === undefined) return;
      open++;
      child.send(job);
    };
    for (let i = 0; i < Math.min(workers, jobs.length); i++) {
      const child = fork(script, ['--worker'], { execArgv, ...(cwd === undefined ? {} : { cwd }) });
      children.push(child);
      child.on('exit', (code) => {
        if (!over) end(new Error(`a worker ended with ${code}`));
      });
      child.on('message', (report: Report) => {
        if (over) return;
        open--;
        if (!onReport(report)) return end();
        give(child);
        if (open === 0 && next >= jobs.length) end();
      });
      give(child);
    }
    if (jobs.length === 0) resolve();
  });
}
