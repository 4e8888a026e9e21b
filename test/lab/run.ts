/**
 * `npm run lab -- <name>`: runs one lab test and prints one JSON line with its figures and `pass`.
 * A lab test is a file of this folder that exports `lab(): Promise<LabResult>`.
 */
import { readdirSync } from 'node:fs';
import { labUnavailable } from './netns.ts';
import { findChromium } from './page.ts';

/** One line of figures; `pass` says whether every target was met. */
export interface LabResult {
  readonly lab: string;
  readonly pass: boolean;
  readonly [figure: string]: unknown;
}

interface LabModule {
  readonly lab: (args: readonly string[]) => Promise<LabResult>;
  readonly needsChromium?: boolean;
}

const folder = new URL('.', import.meta.url);
const parts = new Set(['netns.ts', 'process.ts', 'page.ts', 'chroma.ts', 'members.ts', 'link-peers.ts', 'run.ts']);
const names = readdirSync(folder)
  .filter((file) => file.endsWith('.ts') && !file.endsWith('-peer.ts') && !parts.has(file))
  .map((file) => file.slice(0, -3))
  .toSorted();

/** Always one JSON line, so `--json`, as the bench and the acceptance runs take it, changes nothing. */
const [name, ...args] = process.argv.slice(2).filter((arg) => arg !== '--json');
if (name === undefined || !names.includes(name)) {
  process.stderr.write(`usage: npm run lab -- <name>\nlabs: ${names.join(', ')}\n`);
  process.exit(2);
}

const module_ = (await import(new URL(`./${name}.ts`, folder).href)) as LabModule;
const reason = labUnavailable() ?? (module_.needsChromium === true && findChromium() === undefined ? 'needs Chromium' : undefined);
if (reason !== undefined) {
  process.stdout.write(`skipped: lab ${name} (${reason})\n`);
  process.exit(0);
}
let result: LabResult;
try {
  result = await module_.lab(args);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  result = { lab: name, pass: false, error: error instanceof Error ? error.message.split('\n')[0] : String(error) };
}
process.stdout.write(`${JSON.stringify(result)}\n`);
process.exit(result.pass ? 0 : 1);
