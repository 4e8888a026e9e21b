/**
 * Compiles, before the tests with processes, what these run (`built.ts`): into a folder of this run alone, below the packages
 * that the sources import.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'vite';
import { BUILT, PLACE } from './built.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

export default async function setup(): Promise<() => void> {
  mkdirSync(join(root, 'test/out'), { recursive: true });
  const place = mkdtempSync(join(root, 'test/out/built-'));
  await build({
    root,
    configFile: false,
    logLevel: 'silent',
    ssr: { noExternal: ['lanista'], resolve: { conditions: ['@lanista/source', 'node', 'import', 'module', 'default'] } },
    plugins: [
      {
        // Each module is where it was, in its own eyes: the page and the packages are found from there.
        name: 'own-place',
        transform: (code, id) =>
          id.startsWith(root) && code.includes('import.meta.url')
            ? { code: code.replaceAll('import.meta.url', JSON.stringify(pathToFileURL(id).href)), map: null }
            : undefined,
      },
    ],
    build: {
      ssr: true,
      outDir: place,
      rollupOptions: {
        input: Object.fromEntries(BUILT.map((source) => [source.slice(0, -'.ts'.length), join(root, source)])),
        output: { format: 'es', entryFileNames: '[name].mjs', chunkFileNames: 'shared/[name]-[hash].mjs' },
      },
    },
  });
  // One test starts the game as another user.
  chmodSync(place, 0o755);
  process.env[PLACE] = place;
  return () => {
    delete process.env[PLACE];
    rmSync(place, { recursive: true, force: true });
  };
}
