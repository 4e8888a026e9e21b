/**
 * Where on a map a blob fits, told for points half a cell apart. Walls have their edges on cells: between two neighbours that fit there
 * is a way for a blob, and where the four points around a place fit, the place does. What holds for these points holds for the floor.
 */
import { blobRadius, cellSize, gridHeight, gridWidth } from './arena.ts';
import type { ArenaMap } from './arena.ts';

const apart = cellSize / 2;
const columns = gridWidth * 2 + 1;
const rows = gridHeight * 2 + 1;

export class Footing {
  /** 1 where a blob's centre may be. */
  readonly #fits = new Uint8Array(columns * rows);

  constructor(map: ArenaMap) {
    const rim = blobRadius / apart;
    for (let row = rim; row < rows - rim; row++) this.#fits.fill(1, row * columns + rim, (row + 1) * columns - rim);
    for (const { x, y, width, height } of map.walls) {
      const left = Math.max(0, x / apart - rim);
      const right = Math.min(columns - 1, (x + width) / apart + rim);
      const bottom = Math.min(rows - 1, (y + height) / apart + rim);
      for (let row = Math.max(0, y / apart - rim); row <= bottom; row++) {
        const dy = Math.max(y - row * apart, row * apart - y - height, 0);
        for (let column = left; column <= right; column++) {
          const dx = Math.max(x - column * apart, column * apart - x - width, 0);
          if (dx * dx + dy * dy < blobRadius * blobRadius) this.#fits[row * columns + column] = 0;
        }
      }
    }
  }

  /** Whether a blob fits at a place of the arena. */
  fitsAt(x: number, y: number): boolean {
    const [left, right, top, bottom] = [Math.floor(x / apart), Math.ceil(x / apart), Math.floor(y / apart), Math.ceil(y / apart)];
    return this.#at(left, top) && this.#at(right, top) && this.#at(left, bottom) && this.#at(right, bottom);
  }

  /** Whether a blob reaches every place at which one fits from every other. */
  isOne(): boolean {
    const first = this.#fits.indexOf(1);
    if (first < 0) return false;
    const left = this.#fits.slice();
    const way = [first];
    left[first] = 0;
    for (let at = way.pop(); at !== undefined; at = way.pop()) {
      // The rim does not fit, so that neighbours of what fits are on the lattice.
      for (const next of [at - 1, at + 1, at - columns, at + columns]) {
        if (left[next] !== 1) continue;
        left[next] = 0;
        way.push(next);
      }
    }
    return !left.includes(1);
  }

  /** Whether a blob somewhere lies over the middle of a cell. */
  covers(cx: number, cy: number): boolean {
    const [column, row, reach] = [cx * 2 + 1, cy * 2 + 1, blobRadius / apart];
    for (let dy = -reach; dy <= reach; dy++)
      for (let dx = -reach; dx <= reach; dx++) if (dx * dx + dy * dy <= reach * reach && this.#at(column + dx, row + dy)) return true;
    return false;
  }

  /**
   * The place nearest to (x, y) at which a blob fits; (x, y) itself on a map that has none. In rings outwards: whoever puts a blob into a wall
   * has it looked for at every picture.
   */
  nearest(x: number, y: number): { readonly x: number; readonly y: number } {
    const [column, row] = [Math.round(x / apart), Math.round(y / apart)];
    let best = { x, y };
    let least = Number.POSITIVE_INFINITY;
    const look = (dx: number, dy: number): void => {
      if (!this.#at(column + dx, row + dy)) return;
      const far = Math.hypot((column + dx) * apart - x, (row + dy) * apart - y);
      if (far < least) [best, least] = [{ x: (column + dx) * apart, y: (row + dy) * apart }, far];
    };
    // A point of a ring may be half a step nearer than the ring's number says.
    for (let ring = 0; ring < columns && (ring - 0.5) * apart < least; ring++) {
      for (let along = -ring; along <= ring; along++) {
        look(along, -ring);
        look(along, ring);
        look(-ring, along);
        look(ring, along);
      }
    }
    return best;
  }

  #at(column: number, row: number): boolean {
    return column >= 0 && column < columns && row >= 0 && row < rows && this.#fits[row * columns + column] === 1;
  }
}

const known = new WeakMap<ArenaMap, Footing>();

/** Of a map that is being played. */
export function footingOf(map: ArenaMap): Footing {
  let footing = known.get(map);
  if (footing === undefined) known.set(map, (footing = new Footing(map)));
  return footing;
}
