/**
 * `det` in other engines than Node's: Chromium (another V8), and SpiderMonkey and JavaScriptCore where their shells are on this
 * machine (`gjs`, `jsc`; Debian packages gjs and libjavascriptcoregtk-4.0-bin). Each answers the million places of `det-golden.ts` per
 * function, and has to come to the same bits as Node.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'vite';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { goldenHashes } from '../det-golden.ts';
import { openBrowser } from '../lab/page.ts';
import { repositoryRoot } from '../lab/process.ts';

const folder = mkdtempSync(join(tmpdir(), 'lanista-engines-'));
const shells = ['gjs', 'jsc'].filter(installed);
let script = '';
let expected: Record<string, number> = {};

beforeAll(async () => {
  const built = await build({
    root: repositoryRoot,
    configFile: false,
    logLevel: 'error',
    resolve: { conditions: ['@lanista/source'] },
    build: {
      write: false,
      // Smaller names must not change a bit either.
      minify: true,
      lib: { entry: join(repositoryRoot, 'test/det-golden.ts'), name: 'golden', formats: ['iife'] },
    },
  });
  const [output] = Array.isArray(built) ? built : [built];
  if (output === undefined || !('output' in output)) throw new Error('vite gave no bundle');
  script = output.output[0].code;
  expected = goldenHashes();
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('[SY23] Chromium comes to the bits of Node', async () => {
  await using browser = await openBrowser(undefined);
  const page = await browser.open('about:blank');
  const answers = await page.evaluate<Record<string, number>>(`${script}; golden.goldenHashes()`);
  expect(answers).toEqual(expected);
});

for (const shell of shells) {
  it(`[SY23] ${shell} comes to the bits of Node`, () => {
    const file = join(folder, `${shell}.js`);
    writeFileSync(file, `${script}\nprint(JSON.stringify(golden.goldenHashes()));\n`);
    const answers = JSON.parse(execFileSync(shell, [file], { encoding: 'utf8' })) as unknown;
    expect(answers).toEqual(expected);
  });
}

function installed(command: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${command}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
