/**
 * The built page: whether it is there and newer than its sources, and building it when not. The build goes
 * into a folder of its own and is moved into place whole, so two games starting at once on one machine
 * never serve half a page.
 */
import { existsSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
export const pageRoot = join(root, 'dist-page');
export const viteConfig = join(root, 'demo-game/page/vite.config.ts');

/** What the page is made of; a change in any of these makes it stale. */
const sources = [
  'demo-game/page',
  'demo-game/rules',
  'sdk/base',
  'sdk/wire',
  'sdk/port',
  'sdk/sync',
  'sdk/room',
  'sdk/bridge',
  'sdk/browser',
  'package-lock.json',
];

const heldCodes: readonly string[] = ['EPERM', 'EACCES', 'EBUSY'];
const heldTries = 25;
const heldMs = 100;

/** True when the page must be built before it can be served. */
export function pageIsStale(): boolean {
  const built = join(pageRoot, 'index.html');
  if (!existsSync(built)) return true;
  const builtMs = statSync(built).mtimeMs;
  return sources.some((source) => newestMs(join(root, source)) > builtMs);
}

/** Builds the page. Rejects with what the builder says. */
export async function buildPage(): Promise<void> {
  const { build } = await import('vite');
  const fresh = `${pageRoot}-${process.pid}`;
  await build({ configFile: viteConfig, logLevel: 'error', build: { outDir: fresh } });
  putInPlace(fresh, pageRoot);
}

/** Moves the folder `fresh` to where `place` is; another game on this machine may do the same at the same moment. */
export function putInPlace(fresh: string, place: string): void {
  const old = `${fresh}-old`;
  const isThere = (): boolean => existsSync(join(place, 'index.html'));
  // Moved away whole, not emptied: what is being emptied here could be filled by the other at the same time.
  if (existsSync(place))
    ignoring(() =>
      patiently(
        () => renameSync(place, old),
        () => false,
      ),
    );
  try {
    patiently(() => renameSync(fresh, place), isThere);
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    // The other was quicker, and its page is as good as ours; Windows says of a folder that is there that it may not.
    const there = ['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '') || isThere();
    if (!there) throw error;
  } finally {
    rmSync(old, { recursive: true, force: true });
  }
}

/**
 * Windows does not move a folder while anybody has a file in it open, and a virus scanner opens what was just written: for a
 * second or two that says nothing, unless it `isVain` by now. Elsewhere these codes are final, and as rare.
 */
function patiently(move: () => void, isVain: () => boolean): void {
  for (let tries = 1; ; tries++) {
    try {
      return move();
    } catch (error) {
      if (tries === heldTries || isVain() || !heldCodes.includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, heldMs);
    }
  }
}

/** The other game moved it away first. */
function ignoring(move: () => void): void {
  try {
    move();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

function newestMs(path: string): number {
  if (!existsSync(path)) return 0;
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return readdirSync(path).reduce((newest, name) => Math.max(newest, newestMs(join(path, name))), 0);
}
