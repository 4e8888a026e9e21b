/**
 * `npm test`: everything that can run on this machine, with one honest total.
 *
 * Unit tests, the simulator's smoke run and loopback tests always run. Browser and lab tests run
 * where Chromium and root are there; where not, each is named on a line `skipped: <name> (reason)`
 * and counted as skipped. A part that does not end is ended, and what it was at is printed.
 * The last line is `N passed, N failed, N skipped`.
 */
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { avahiUnavailable } from './lab/avahi.ts';
import { labUnavailable } from './lab/netns.ts';
import { findChromium } from './lab/page.ts';
import { repositoryRoot, sourceFlags } from './lab/process.ts';
import { allWaited, runPart, type PartResult } from './part.ts';
import { runningFile } from './progress-reporter.ts';

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** The part of vitest's JSON report that is read here. */
interface VitestReport {
  readonly success: boolean;
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

/** Limits of a part, several times what it takes on a slow machine, in ms. */
const TESTS_MAX_MS = 600_000;
const COMMAND_MAX_MS = 300_000;

const total: Counts = { passed: 0, failed: 0, skipped: 0 };
const reports = join(repositoryRoot, 'test/out');
mkdirSync(reports, { recursive: true });
const noChromium = findChromium() === undefined ? 'no Chromium on this machine' : undefined;
const noLab = labUnavailable();

// The first of the unit tests wait for sockets and other processes: what the processor has left then is enough for the simulator.
await Promise.all([
  vitest('unit', []),
  command('sim smoke', [process.execPath, ...sourceFlags, 'test/sim/run.ts', '--seeds', '10', '--workers', '1', '--json'], undefined),
]);
if (noChromium === undefined) await vitest('e2e', ['--config', 'test/e2e/vitest.config.ts']);
else skip('e2e two-players', noChromium);
for (const [lab, reason] of [
  ['avahi', noLab ?? avahiUnavailable()],
  ['no-multicast', noLab],
  ['doctor', noLab],
  ['eight', noLab],
  ['party', noLab ?? noChromium],
  ['phone', noLab ?? noChromium],
] as const) {
  await command(`lab ${lab}`, [process.execPath, ...sourceFlags, 'test/lab/run.ts', lab], reason, 2);
}

process.stdout.write(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`);
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;

/**
 * Runs vitest with its own reporter on the screen and a JSON report for the sums. A run that stands still while all its
 * processes wait is the runner's own fault, since a test that waits ends by its time-out: that is tried once more.
 */
async function vitest(name: string, args: readonly string[]): Promise<void> {
  const file = join(reports, `${name}.json`);
  let result: PartResult;
  let attempt = 0;
  do {
    if (attempt++ > 0) process.stdout.write(`\n── ${name} (again: nothing of it was computing)\n`);
    for (const old of [file, runningFile]) rmSync(old, { force: true });
    result = await runPart(
      [
        process.execPath,
        'node_modules/vitest/vitest.mjs',
        'run',
        '--reporter=default',
        '--reporter=json',
        '--reporter=./test/progress-reporter.ts',
        `--outputFile.json=${file}`,
        ...args,
      ],
      TESTS_MAX_MS,
    );
    if (result.stuck !== undefined && existsSync(runningFile)) process.stdout.write(`at: ${readFileSync(runningFile, 'utf8')}\n`);
    tellStuck(name, result);
  } while (attempt < 2 && result.stuck !== undefined && allWaited(result.stuck));
  const { code } = result;
  if (!existsSync(file)) {
    total.failed += 1;
    process.stdout.write(`failed: ${name} (vitest ended with ${code} and no report)\n`);
    return;
  }
  const report = JSON.parse(readFileSync(file, 'utf8')) as VitestReport;
  total.passed += report.numPassedTests;
  total.failed += report.numFailedTests;
  total.skipped += report.numPendingTests + report.numTodoTests;
  for (const suite of report.testResults) {
    for (const result of suite.assertionResults) {
      if (result.status === 'pending' || result.status === 'skipped' || result.status === 'todo') {
        process.stdout.write(`skipped: ${result.fullName} (${suite.name.slice(repositoryRoot.length)})\n`);
      }
    }
    // A file that cannot even be loaded has no tests to count, so it counts as one failure itself.
    if (suite.status === 'failed' && !suite.assertionResults.some((result) => result.status === 'failed')) total.failed += 1;
  }
  if (code !== 0 && total.failed === 0) total.failed += 1;
}

/**
 * Runs one command that is one test: passed when it ends with 0, skipped when there is a reason.
 * Labs measure wall-clock targets with real browsers on whatever machine this is, so they may try
 * twice; both results stay on the screen.
 */
async function command(name: string, argv: readonly string[], reason: string | undefined, tries = 1): Promise<void> {
  if (reason !== undefined) return skip(name, reason);
  let code = 1;
  for (let attempt = 1; attempt <= tries && code !== 0; attempt++) {
    process.stdout.write(`\n── ${name}${attempt > 1 ? ' (again: the first try missed its target)' : ''}\n`);
    const result = await runPart(argv, COMMAND_MAX_MS);
    tellStuck(name, result);
    code = result.code;
  }
  if (code === 0) total.passed += 1;
  else total.failed += 1;
  process.stdout.write(`${code === 0 ? 'passed' : 'failed'}: ${name}\n`);
}

function skip(name: string, reason: string): void {
  total.skipped += 1;
  process.stdout.write(`skipped: ${name} (${reason})\n`);
}

function tellStuck(name: string, { stuck }: PartResult): void {
  if (stuck === undefined) return;
  process.stdout.write(`\n${name} did not end, and was ended. Its processes:\n`);
  for (const { command, busy } of stuck)
    process.stdout.write(`  ${busy < 0.5 ? 'waited' : 'computed'} (${Math.round(busy * 100)} %): ${command.slice(0, 160)}\n`);
}
