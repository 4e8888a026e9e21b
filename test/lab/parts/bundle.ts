/**
 * One JavaScript file out of a TypeScript script and the part of the SDK it uses.
 *
 * A lab of 32 hosts starts 32 processes on few cores; translating the sources in each of them costs
 * half a second of CPU apiece, which would be measured as a slow network.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { build } from 'vite';
import { repositoryRoot } from '../process.ts';

export interface Bundle extends Disposable {
  readonly path: string;
}

/** @param script path from the root of the repository. The file is removed when the bundle is disposed. */
export async function bundleScript(script: string): Promise<Bundle> {
  // Inside the repository, so that packages are found from there.
  const folder = join(repositoryRoot, 'test/out', `lab-${process.pid}`);
  mkdirSync(folder, { recursive: true });
  const name = basename(script, '.ts');
  await build({
    root: repositoryRoot,
    configFile: false,
    logLevel: 'error',
    resolve: { conditions: ['@lanista/source'] },
    ssr: { resolve: { conditions: ['@lanista/source'] } },
    build: {
      ssr: join(repositoryRoot, script),
      outDir: folder,
      emptyOutDir: false,
      minify: false,
      target: 'node20',
      rollupOptions: { output: { entryFileNames: `${name}.mjs` } },
    },
  });
  return { path: join(folder, `${name}.mjs`), [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
}
