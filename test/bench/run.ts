/**
 * `npm run bench -- <name> [--json]`: runs one benchmark. A benchmark is a file of this folder that
 * exports `bench(args): Promise<object>`; what it resolves with is printed as one JSON line.
 */
import { readdirSync } from 'node:fs';

interface BenchModule {
  readonly bench?: (args: readonly string[]) => Promise<object>;
}

const folder = new URL('.', import.meta.url);
const [name, ...args] = process.argv.slice(2);
const files = readdirSync(folder).filter((file) => file.endsWith('.ts') && file !== 'run.ts');
if (name === undefined || !files.includes(`${name}.ts`)) {
  process.stderr.write(`usage: npm run bench -- <name> [--json]\nbenchmarks: ${files.map((file) => file.slice(0, -3)).join(', ') || 'none yet'}\n`);
  process.exit(2);
}
const { bench } = (await import(new URL(`./${name}.ts`, folder).href)) as BenchModule;
if (bench === undefined) {
  process.stderr.write(`${name} is a part of another benchmark, not one of its own\n`);
  process.exit(2);
}
const result = await bench(args);
process.stdout.write(`${JSON.stringify({ bench: name, ...result })}\n`);
process.exit('pass' in result && result.pass === false ? 1 : 0);
