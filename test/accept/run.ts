/**
 * `npm run accept [-- <name>…] [--json] [--size full|small] [--seed n]`: measures the promises of
 * `docs/guarantees.md`, all of them without a name. `full` (the default) is the size the promise is stated
 * for, `small` a part of it that takes seconds. With `--json` one line per row: id, value, unit, target,
 * pass, seed, commit, size, seconds, details. What could not be measured here has `pass: null` and says
 * why in `notRun`; it is not a pass, and a failure when it broke off.
 *
 * Each row runs in a process of its own. Rows that time something on the wall run alone, the others
 * two at a time. Ends with 0 when every row that ran has passed, 1 when one failed, 2 on a wrong name.
 */
import { execFileSync, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ROWS, type AcceptModule, type AcceptOutcome, type AcceptRow } from './rows.ts';

const AT_ONCE = 2;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean' },
    size: { type: 'string', default: 'full' },
    seed: { type: 'string', default: '1' },
    // Given by this file to its own children.
    row: { type: 'string' },
  },
});
const seed = Number(values.seed);
const size = values.size;

if (values.row !== undefined) await measure(values.row);
else await runAll();

/** The child's side: one row, told to the parent. */
async function measure(name: string): Promise<void> {
  const row = rowNamed(name);
  let outcome: AcceptOutcome;
  try {
    const module = (await import(new URL(row.module, import.meta.url).href)) as AcceptModule;
    outcome = await module.accept({ small: size === 'small', seed });
  } catch (error) {
    outcome = broken(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  await new Promise<void>((resolve) => process.send!(outcome, () => resolve()));
  process.exit(0);
}

async function runAll(): Promise<void> {
  if (size !== 'full' && size !== 'small') wrong(`--size is full or small, not ${size}`);
  if (!Number.isSafeInteger(seed)) wrong(`--seed is a whole number, not ${values.seed}`);
  const rows = positionals.length === 0 ? ROWS : positionals.map(rowNamed);
  const commit = currentCommit();
  let failed = 0;
  const one = async (row: AcceptRow): Promise<void> => {
    const started = Date.now();
    const outcome = await inChild(row);
    const seconds = Math.round((Date.now() - started) / 100) / 10;
    if ('notRun' in outcome ? outcome.broken === true : !outcome.pass) failed++;
    report(row, outcome, seconds, commit);
  };
  const waiting = rows.filter((row) => !row.alone);
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await one(next);
    }),
  );
  for (const row of rows.filter((candidate) => candidate.alone)) await one(row);
  process.exit(failed === 0 ? 0 : 1);
}

/** Runs one row in a child process. */
function inChild(row: AcceptRow): Promise<AcceptOutcome> {
  return new Promise((resolve) => {
    const child = fork(fileURLToPath(import.meta.url), ['--row', row.name, '--size', size, '--seed', String(seed)], { execArgv: process.execArgv });
    let outcome: AcceptOutcome | undefined;
    const timer = setTimeout(() => {
      outcome = broken(`not done after ${row.limitMs / 1_000} s`);
      child.kill('SIGKILL');
    }, row.limitMs);
    child.once('message', (message) => (outcome ??= message as AcceptOutcome));
    child.once('exit', (code) => {
      clearTimeout(timer);
      resolve(outcome ?? broken(`its process ended with ${code}`));
    });
  });
}

function report(row: AcceptRow, outcome: AcceptOutcome, seconds: number, commit: string): void {
  const ran = !('notRun' in outcome);
  if (values.json === true) {
    const { details, ...figures } = ran ? outcome : { ...outcome, value: null, pass: null, details: undefined };
    process.stdout.write(`${JSON.stringify({ id: row.name, ...figures, seed, commit, size, seconds, details })}\n`);
    return;
  }
  const word = ran ? (outcome.pass ? 'pass' : 'FAIL') : outcome.broken === true ? 'BROKE' : 'not run';
  const text = ran ? `${outcome.value} ${outcome.unit}; target ${outcome.target}` : outcome.notRun;
  process.stdout.write(`${word.padEnd(8)} ${row.name.padEnd(22)} ${text} (${size}, ${seconds} s)\n`);
}

function broken(why: string): AcceptOutcome {
  return { notRun: why, broken: true };
}

function rowNamed(name: string): AcceptRow {
  return ROWS.find((row) => row.name === name) ?? wrong(`no promise named ${name}; there are: ${ROWS.map((row) => row.name).join(', ')}`);
}

function wrong(text: string): never {
  process.stderr.write(`${text}\n`);
  process.exit(2);
}

/** With a plus when the tree is not what was committed. */
function currentCommit(): string {
  const git = (...args: string[]): string => execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    return git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain') === '' ? '' : '+');
  } catch {
    return 'unknown';
  }
}
