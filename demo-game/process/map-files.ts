/** Maps that a player brings along with `--map`: read and checked at the start, and served beside the page, which shares them with the room. */
import { cpSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { encodeMap, maxMapBytes, readMap } from '../rules/map-file.ts';
import type { ArenaMap } from '../rules/arena.ts';

/** Where the page finds them. */
const servedAs = 'maps.json';
const copyTries = 5;

/** The maps of these files. Throws `Error` with one plain sentence. */
export function readMapFiles(paths: readonly string[]): ArenaMap[] {
  return paths.map((path) => {
    const { map, problem } = readMap(readSmallFile(path));
    if (map === undefined) throw new Error(`The map ${path} ${problem}.`);
    return map;
  });
}

/** Of a file that is larger than any map, so many bytes as to tell. */
function readSmallFile(path: string): Uint8Array {
  let problem: string;
  try {
    // npm runs the game in the folder of its package, wherever the player typed.
    const file = resolve(process.env['INIT_CWD'] ?? '.', path);
    return statSync(file).size > maxMapBytes ? new Uint8Array(maxMapBytes + 1) : readFileSync(file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    problem = code === 'ENOENT' ? 'There is no such file.' : code === 'EISDIR' ? 'It is a folder.' : `It cannot be read (${code}).`;
  }
  throw new Error(`--map ${path}: ${problem}`);
}

/** A folder with nothing but the maps in it, gone with this process. */
export function folderWith(maps: readonly ArenaMap[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'chroma-maps-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const texts = maps.map((map) => new TextDecoder().decode(encodeMap(map)));
  writeFileSync(join(folder, servedAs), `[${texts.join(',')}]`);
  return folder;
}

/** A folder with the page of `root` and the maps. The page's own folder is everybody's who plays on this machine. */
export function pageWith(root: string, maps: readonly ArenaMap[]): string {
  const folder = folderWith(maps);
  for (let tries = 1; ; tries++) {
    try {
      // Another game on this machine may put a page that it has built into that place meanwhile: what serves is all of one page.
      const before = statSync(root).ino;
      cpSync(root, folder, { recursive: true });
      if (statSync(root).ino === before || tries === copyTries) return folder;
    } catch (error) {
      if (tries === copyTries) throw error;
    }
  }
}
