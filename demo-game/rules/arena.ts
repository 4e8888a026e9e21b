/**
 * The place: its size, its grid, its own maps. Everything here is a constant of the game, equal for all
 * players, so nothing of it travels. What else is played on, players bring: see map-file.ts.
 *
 * Lengths are in world units ("px" of a 1920 x 1080 world); the page scales the world to its canvas.
 */

export const worldWidth = 1920;
export const worldHeight = 1080;

/** Side of a floor cell. 20 keeps the grid at 96 x 54, which a full repair sends in a few datagrams. */
export const cellSize = 20;
export const gridWidth = worldWidth / cellSize;
export const gridHeight = worldHeight / cellSize;
export const cellCount = gridWidth * gridHeight;

export const blobRadius = 30;

/** Paints a player can have: 1 to 8; 0 is bare floor. */
export const paintCount = 8;

/** An obstacle, in world units. */
export interface Wall {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface ArenaMap {
  readonly name: string;
  readonly walls: readonly Wall[];
}

/** A wall given in cells, so that walls and floor cells share their edges. */
function block(cx: number, cy: number, width: number, height: number): Wall {
  return { x: cx * cellSize, y: cy * cellSize, width: width * cellSize, height: height * cellSize };
}

/** The game's own. */
export const maps: readonly ArenaMap[] = [
  { name: 'Four Corners', walls: [block(22, 13, 8, 3), block(22, 38, 8, 3), block(45, 24, 6, 6), block(66, 13, 8, 3), block(66, 38, 8, 3)] },
  { name: 'Wide Open', walls: [block(30, 25, 4, 4), block(62, 25, 4, 4)] },
  { name: 'Crossing', walls: [block(18, 25, 14, 4), block(46, 8, 4, 12), block(46, 34, 4, 12), block(64, 25, 14, 4)] },
];

/** A floor without walls: what is played on until the map is here. */
export const plainMap: ArenaMap = { name: '', walls: [] };

/** Which cells lie under walls: these count for nobody. */
export function wallMask(map: ArenaMap): Uint8Array {
  const mask = new Uint8Array(cellCount);
  for (const wall of map.walls) {
    const left = wall.x / cellSize;
    const top = wall.y / cellSize;
    for (let y = top; y < top + wall.height / cellSize; y++) mask.fill(1, y * gridWidth + left, y * gridWidth + left + wall.width / cellSize);
  }
  return mask;
}

export function insideWall(map: ArenaMap, x: number, y: number): boolean {
  return map.walls.some((wall) => x >= wall.x && x < wall.x + wall.width && y >= wall.y && y < wall.y + wall.height);
}

/** Index of the cell under a point of the world; points outside count as the nearest cell. */
export function cellAt(x: number, y: number): number {
  const cx = Math.min(gridWidth - 1, Math.max(0, Math.floor(x / cellSize)));
  const cy = Math.min(gridHeight - 1, Math.max(0, Math.floor(y / cellSize)));
  return cy * gridWidth + cx;
}

/** Different starts: the slots from 16 on share those of the first. */
export const placeCount = 16;

/** Where the player of a slot starts: around the arena, far from its neighbours in number. */
export function startPosition(slot: number): { readonly x: number; readonly y: number } {
  // Steps of 7 of 16 visit every place once and put slots 0 and 1 on opposite sides.
  const turn = (((slot * 7 + 5) % placeCount) / placeCount) * Math.PI * 2;
  return { x: Math.round(worldWidth / 2 + Math.cos(turn) * worldWidth * 0.41), y: Math.round(worldHeight / 2 + Math.sin(turn) * worldHeight * 0.39) };
}
