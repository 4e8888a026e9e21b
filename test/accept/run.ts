/**
 * `npm run accept [-- <name>…] [--json] [--size small|full] [--seed n]`: measures the promises of
 * `docs/guarantees.md`. A promise is a file of this folder that exports `accept`; without a name all
 * of them run, one JSON line each. `small` (the default) finishes in seconds, `full` is the size the
 * promise is stated for; the line says which it was and what was really done.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { parseArgs } from 'node:util';

export interface AcceptOptions {
  readonly small: boolean;
  readonly seed: number;
}

/** One measured promise. */
export interface AcceptResult {
  readonly value: number;
  readonly unit: string;
  readonly target: string;
  readonly pass: boolean;
  /** What the value is made of: counts, percentiles, how much was really tried. */
  readonly details?: Readonly<Record<string, unknown>>;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean' }, size: { type: 'string', default: 'small' }, seed: { type: 'string', default: '1' } },
});
const folder = new URL('.', import.meta.url);
const all = readdirSync(folder)
  .filter((file) => file.endsWith('.ts') && file !== 'run.ts')
  .map((file) => file.slice(0, -3))
  .toSorted();
const names = positionals.length === 0 ? all : positionals;
const seed = Number(values.seed);
const commit = currentCommit();
let failed = names.length === 0 ? 1 : 0;
for (const name of names) {
  if (!all.includes(name)) {
    process.stderr.write(`no promise named ${name}; there are: ${all.join(', ') || 'none yet'}\n`);
    process.exit(2);
  }
  const { accept } = (await import(new URL(`./${name}.ts`, folder).href)) as { accept: (options: AcceptOptions) => Promise<AcceptResult> };
  const { value, unit, target, pass, details } = await accept({ small: values.size !== 'full', seed });
  process.stdout.write(`${JSON.stringify({ id: name, value, unit, target, pass, seed, commit, size: values.size, details })}\n`);
  if (!pass) failed += 1;
}
process.exit(failed === 0 ? 0 : 1);

function currentCommit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  } catch {
    return 'unknown';
  }
}
