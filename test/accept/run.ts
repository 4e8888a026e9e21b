/**
 * `npm run accept [-- <name>] [--json]`: measures the promises of `docs/guarantees.md`. A promise is
 * a file of this folder that exports `accept(): Promise<AcceptResult>`; without a name all of them
 * run, one JSON line each.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';

/** One measured promise. */
export interface AcceptResult {
  readonly value: number;
  readonly target: string;
  readonly pass: boolean;
  readonly seed?: number;
}

const folder = new URL('.', import.meta.url);
const asked = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const all = readdirSync(folder)
  .filter((file) => file.endsWith('.ts') && file !== 'run.ts')
  .map((file) => file.slice(0, -3))
  .toSorted();
const names = asked.length === 0 ? all : asked;
const commit = currentCommit();
let failed = names.length === 0 ? 1 : 0;
if (names.length === 0) process.stderr.write('no promise is measured here yet\n');
for (const name of names) {
  if (!all.includes(name)) {
    process.stderr.write(`no promise named ${name}; there are: ${all.join(', ') || 'none yet'}\n`);
    process.exit(2);
  }
  const { accept } = (await import(new URL(`./${name}.ts`, folder).href)) as { accept: () => Promise<AcceptResult> };
  const result = await accept();
  process.stdout.write(`${JSON.stringify({ accept: name, ...result, commit })}\n`);
  if (!result.pass) failed += 1;
}
process.exit(failed === 0 ? 0 : 1);

function currentCommit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  } catch {
    return 'unknown';
  }
}
