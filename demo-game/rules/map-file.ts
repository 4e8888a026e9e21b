/**
 * A map as players make them, with a text editor:
 *
 *   { "name": "Maze", "walls": [[22, 13, 8, 3], [45, 24, 6, 6]] }
 *
 * Each wall is [x, y, width, height] in cells of the floor, which has 96 x 54 of them. Files come from anybody's disk and from other
 * players: they are read as any bytes from outside, and refused in words that help whoever wrote one.
 */
import { cellCount, cellSize, gridHeight, gridWidth, placeCount, startPosition, wallMask } from './arena.ts';
import type { ArenaMap, Wall } from './arena.ts';
import { Footing } from './footing.ts';

/** The largest map, written as widely as anybody would, is a tenth of it. */
export const maxMapBytes = 16 * 1024;
export const maxMapName = 24;
/** More would make every shot and every step look at more walls than a phone likes. */
export const maxWalls = 64;
/** Maps of players that take their turns in a room. */
export const mostBrought = 8;
/** Less is not worth a paint brawl. */
const leastOpen = cellCount / 2;

/** A map, or why it cannot be played: a sentence, without its subject ("has no name"). */
export type ReadMap = { readonly map: ArenaMap; readonly problem?: undefined } | { readonly map?: undefined; readonly problem: string };

type Cells = readonly [x: number, y: number, width: number, height: number];

/** Reads a map from bytes of anybody. Never throws. */
export function readMap(bytes: Uint8Array): ReadMap {
  if (bytes.length > maxMapBytes) return { problem: `is larger than ${maxMapBytes / 1024} KiB` };
  const parsed = parse(bytes);
  if (typeof parsed !== 'object' || parsed === null)
    return { problem: 'is no map: it should be JSON like { "name": "…", "walls": [[x, y, width, height]] }' };
  const { name, walls } = parsed as { readonly name?: unknown; readonly walls?: unknown };
  if (typeof name !== 'string' || !isName(name)) return { problem: `needs a "name" of 1 to ${maxMapName} plain letters` };
  if (!Array.isArray(walls)) return { problem: 'needs "walls": a list of [x, y, width, height]' };
  if (walls.length > maxWalls) return { problem: `has ${walls.length} walls, and may have ${maxWalls}` };
  const cells: Cells[] = [];
  for (const [i, wall] of walls.entries()) {
    const read = readWall(wall);
    if (typeof read === 'string') return { problem: `has a wall, number ${i + 1}, that ${read}` };
    cells.push(read);
  }
  const map = mapFrom(name, cells);
  const problem = unplayable(map);
  return problem === undefined ? { map } : { problem };
}

/** The bytes of a map: the same for the same map, however it was written. */
export function encodeMap({ name, walls }: ArenaMap): Uint8Array {
  const cells = walls.map(({ x, y, width, height }) => [x / cellSize, y / cellSize, width / cellSize, height / cellSize]);
  return new TextEncoder().encode(`${JSON.stringify({ name, walls: cells })}\n`);
}

/** A map of these walls, in the one order there is, and none of them twice. */
export function mapFrom(name: string, cells: readonly Cells[]): ArenaMap {
  const sorted = [...cells].sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2] || a[3] - b[3]);
  const walls = sorted.filter((wall, i) => i === 0 || wall.some((value, part) => value !== sorted[i - 1]?.[part])).map(wallOf);
  return { name, walls };
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}

/** One line, nothing that only does mischief in it, and something to read. */
function isName(name: string): boolean {
  const letters = Array.from(name).length;
  return letters >= 1 && letters <= maxMapName && name === name.trim() && !/\p{C}|[\p{Zl}\p{Zp}]/u.test(name) && /[\p{L}\p{N}\p{P}\p{S}]/u.test(name);
}

/** A wall, or what it does that it must not. */
function readWall(wall: unknown): Cells | string {
  if (!Array.isArray(wall) || wall.length !== 4 || !wall.every((value) => Number.isInteger(value)))
    return 'is not [x, y, width, height] in whole cells';
  const [x = 0, y = 0, width = 0, height = 0] = wall as number[];
  if (width < 1 || height < 1) return 'has no size';
  if (x < 0 || y < 0 || x + width > gridWidth || y + height > gridHeight) return `leaves the floor of ${gridWidth} x ${gridHeight} cells`;
  // JSON knows a zero below zero.
  return [x + 0, y + 0, width, height];
}

function wallOf([x, y, width, height]: Cells): Wall {
  return { x: x * cellSize, y: y * cellSize, width: width * cellSize, height: height * cellSize };
}

/** What keeps blobs from playing on it. */
function unplayable(map: ArenaMap): string | undefined {
  const mask = wallMask(map);
  const open = cellCount - mask.reduce((sum, cell) => sum + cell, 0);
  if (open < leastOpen) return `leaves ${Math.floor((open * 100) / cellCount)} % of the floor open, and must leave half of it`;
  const footing = new Footing(map);
  for (let place = 0; place < placeCount; place++) {
    const { x, y } = startPosition(place);
    if (!footing.fitsAt(x, y)) return `has a wall where a player starts, near cell ${Math.floor(x / cellSize)}, ${Math.floor(y / cellSize)}`;
  }
  for (let cell = 0; cell < cellCount; cell++) {
    const [cx, cy] = [cell % gridWidth, Math.floor(cell / gridWidth)];
    if (mask[cell] === 0 && !footing.covers(cx, cy))
      return `has a gap too narrow for a blob at cell ${cx}, ${cy}: leave 3 cells between walls, or none`;
  }
  return footing.isOne() ? undefined : 'cuts the floor in parts that no blob can walk between';
}
