/**
 * Sources that are compiled once for a whole run (`build-sources.ts`), for the processes that tests start: one of these begins
 * in a third of the time of one that compiles what it runs, and a run starts some forty.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** What the processes of tests run or import. */
export const BUILT = [
  'demo-game/process/main.ts',
  'demo-game/process/page-files.ts',
  'sdk/index.ts',
  'sdk/node/cli/main.ts',
  'sdk/node/crypto-node.ts',
  'sdk/node/index.ts',
  'sdk/node/lan-port.ts',
  'sdk/node/profile.ts',
  'sdk/node/udp.ts',
  'sdk/vite/index.ts',
] as const;

/** Where this run's are, told to its workers by the environment. */
export const PLACE = 'LANISTA_TESTS_BUILT';

/** The file of a compiled module. */
export function builtFile(source: (typeof BUILT)[number]): string {
  const place = process.env[PLACE];
  const path = join(place ?? '', source.replace(/\.ts$/u, '.mjs'));
  if (place === undefined || !existsSync(path)) throw new Error(`${source} is not compiled in this run`);
  return path;
}

/** A compiled module as the text of a script names it in `import … from`. */
export const builtModule = (source: (typeof BUILT)[number]): string => JSON.stringify(pathToFileURL(builtFile(source)).href);

/** What Node is started with to run `script`. */
export const scriptFlags = (script: string): string[] => ['--input-type=module', '-e', script];
