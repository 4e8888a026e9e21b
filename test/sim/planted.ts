/**
 * `npm run sim -- --planted --json [--only name] [--seeds 2000] [--workers 2]`: does the simulator find what
 * is wrong? Every patch in `planted/` puts one bug into a throw-away copy of the tree; the seeds run there
 * until one of them breaks a promise that it keeps without the bug. One line per bug, then one for all; passes when every bug is found.
 *
 * A patch starts with a line that says what it does. The product has no switch for any of them.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { plant, plantedFolder as folder } from './plant.ts';
import { runJobs, type Job } from './pool.ts';
import { simulate } from './simulate.ts';

interface Planted {
  readonly name: string;
  readonly words: string;
  readonly found: boolean;
  /** The first seed that broke a promise, and which. */
  readonly seed: number | undefined;
  readonly violation: string | undefined;
  /** The command that repeats the seed made smaller, and whether it fails again; of the first bug only. */
  readonly smaller: { readonly command: string; readonly runs: number; readonly fails_again: boolean } | undefined;
  readonly seeds_run: number;
  readonly seconds: number;
}

const { values } = parseArgs({
  strict: false,
  options: {
    only: { type: 'string' },
    seeds: { type: 'string', default: '2000' },
    json: { type: 'boolean', default: false },
    workers: { type: 'string' },
  },
});
const workers = typeof values.workers === 'string' ? Number(values.workers) : availableParallelism();
const print = (line: unknown): void => void process.stdout.write(`${JSON.stringify(line, undefined, values.json === true ? 0 : 2)}\n`);

/** Runs `test/sim/run.ts` in the copy. */
function runIn(copy: string, args: readonly string[]): { readonly status: number | null; readonly stderr: string } {
  return spawnSync(process.execPath, [...process.execArgv, 'test/sim/run.ts', ...args], { cwd: copy, encoding: 'utf8', maxBuffer: 2 ** 28 });
}

function makeSmaller(copy: string, seed: number): Planted['smaller'] {
  const told = /made smaller in (\d+) runs: (npm run sim -- (.*) --trace)/u.exec(runIn(copy, ['--seed', String(seed), '--shrink', '--json']).stderr);
  if (told === null) return undefined;
  const [, runs = '', command = '', args = ''] = told;
  return { command, runs: Number(runs), fails_again: runIn(copy, [...args.split(' '), '--json']).status === 1 };
}

/** A seed that fails in this tree as well says nothing about the bug. */
const clean = new Map<number, boolean>();
function isCleanHere(seed: number): boolean {
  let known = clean.get(seed);
  if (known === undefined) clean.set(seed, (known = simulate({ seed }).violations.length === 0));
  return known;
}

async function find(patch: string, seeds: number, shrinks: boolean): Promise<Planted> {
  const startedAt = performance.now();
  const copy = plant(patch);
  let seed: number | undefined;
  let violation: string | undefined;
  let seedsRun = 0;
  let smaller: Planted['smaller'];
  try {
    const jobs = Array.from({ length: seeds }, (_, i): Job => ({ seed: i + 1, again: false }));
    await runJobs(
      jobs,
      workers,
      (report) => {
        seedsRun++;
        if (report.violations.length === 0 || !isCleanHere(report.seed)) return true;
        seed = report.seed;
        violation = report.violations[0]?.split('\n', 1)[0];
        return false;
      },
      copy,
    );
    if (shrinks && seed !== undefined) smaller = makeSmaller(copy, seed);
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
  return {
    name: basename(patch, '.patch'),
    words: readFileSync(join(folder, patch), 'utf8').split('\n', 1)[0] ?? '',
    found: seed !== undefined,
    seed,
    violation,
    smaller,
    seeds_run: seedsRun,
    seconds: Math.round((performance.now() - startedAt) / 100) / 10,
  };
}

const patches = readdirSync(folder)
  .filter((name) => name.endsWith('.patch') && (values.only === undefined || basename(name, '.patch') === values.only))
  .sort();
const all: Planted[] = [];
for (const patch of patches) {
  const one = await find(patch, Number(values.seeds), all.length === 0);
  all.push(one);
  print({ sim: 'planted-one', ...one });
}
const missed = all.filter((one) => !one.found).map((one) => one.name);
const pass = all.length > 0 && missed.length === 0 && all[0]?.smaller?.fails_again === true;
print({ sim: 'planted', planted: all.length, found: all.length - missed.length, missed, seeds_limit: Number(values.seeds), pass });
process.exitCode = pass ? 0 : 1;
