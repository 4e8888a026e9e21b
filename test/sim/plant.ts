/** Puts a planted bug into a throw-away copy of the tree. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const plantedFolder = fileURLToPath(new URL('planted', import.meta.url));
const root = fileURLToPath(new URL('../..', import.meta.url));
/** What a simulation needs of the tree. */
const parts = ['sdk', 'test/sim', 'package.json', 'tsconfig.json'];

/** Returns the folder of the copy; whoever asked for it removes it. Throws when the patch does not apply. */
export function plant(patch: string): string {
  const copy = mkdtempSync(join(tmpdir(), 'lanista-planted-'));
  for (const part of parts) cpSync(join(root, part), join(copy, part), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  const applied = spawnSync('git', ['apply', '--unsafe-paths', `--directory=${copy}`, join(plantedFolder, patch)], {
    cwd: tmpdir(),
    encoding: 'utf8',
  });
  if (applied.status === 0) return copy;
  rmSync(copy, { recursive: true, force: true });
  throw new Error(`${patch} does not apply: ${applied.stderr}`);
}
