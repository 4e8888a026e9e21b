/**
 * `npm test`: everything that can run on this machine, one after another, with one honest total.
 *
 * Unit tests, the simulator's smoke run and loopback tests always run. Browser and lab tests run
 * where Chromium and root are there; where not, each is named on a line `skipped: <name> (reason)`
 * and counted as skipped. The last line is `N passed, N failed, N skipped`.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { avahiUnavailable } from './lab/avahi.ts';
import { labUnavailable } from './lab/netns.ts';
import { findChromium } from './lab/page.ts';
import { repositoryRoot, sourceFlags } from './lab/process.ts';

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

const total: Counts = { passed: 0, failed: 0, skipped: 0 };
const reports = join(repositoryRoot, 'test/out');
mkdirSync(reports, { recursive: true });
const noChromium = findChromium() === undefined ? 'no Chromium on this machine' : undefined;
const noLab = labUnavailable();

await vitest('unit', []);
await command('sim smoke', [process.execPath, ...sourceFlags, 'test/sim/run.ts', '--seeds', '10', '--json'], undefined);
if (noChromium === undefined) await vitest('e2e', ['--config', 'test/e2e/vitest.config.ts']);
else skip('e2e two-players', noChromium);
for (const [lab, reason] of [
  ['avahi', noLab ?? avahiUnavailable()],
  ['no-multicast', noLab],
  ['doctor', noLab],
  ['eight', noLab],
  ['party', noLab ?? noChromium],
] as const) {
  await command(`lab ${lab}`, [process.execPath, ...sourceFlags, 'test/lab/run.ts', lab], reason, 2);
}

process.stdout.write(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`);
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;

/** Runs vitest with its own reporter on the screen and a JSON report for the sums. */
async function vitest(name: string, args: readonly string[]): Promise<void> {
  const file = join(reports, `${name}.json`);
  rmSync(file, { force: true });
  const code = await start([
    process.execPath,
    'node_modules/vitest/vitest.mjs',
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${file}`,
    ...args,
  ]);
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
    code = await start(argv);
  }
  if (code === 0) total.passed += 1;
  else total.failed += 1;
  process.stdout.write(`${code === 0 ? 'passed' : 'failed'}: ${name}\n`);
}

function skip(name: string, reason: string): void {
  total.skipped += 1;
  process.stdout.write(`skipped: ${name} (${reason})\n`);
}

function start(argv: readonly string[]): Promise<number> {
  const [file, ...args] = argv;
  return new Promise((resolve) => {
    const child = spawn(file ?? '', args, { cwd: repositoryRoot, stdio: 'inherit' });
    child.once('error', () => resolve(127));
    child.once('exit', (code) => resolve(code ?? 1));
  });
}
