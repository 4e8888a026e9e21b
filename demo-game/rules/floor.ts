/**
 * The floor: who painted which cell last. It is a last-writer-wins register per cell, ordered by
 * `(time, who, paint)`, so it depends on which strokes arrived and never on their order; halves of a
 * split network paint on and merge by exchanging cells.
 *
 * A stroke is a disc in sixteenths of a world unit, rasterised with integers only, so every engine
 * fills the same cells. A round begins by `startAt(time)`: older cells become bare, strokes of
 * the new round that came early stay.
 *
 * Chunks (12 x 9 cells, 48 of them) are the unit of repair. Their encoding:
 *
 *   chunk   := index u8, runs until 108 cells are covered
 *   run     := cells u8 (1..108), paint u8 (0 = bare), then for paint > 0: who u8, time u32 big-endian
 */
import { cellCount, cellSize, gridHeight, gridWidth, paintCount } from './arena.ts';

export const chunkColumns = 8;
export const chunkRows = 6;
export const chunkCount = chunkColumns * chunkRows;
const chunkWidth = gridWidth / chunkColumns;
const chunkHeight = gridHeight / chunkRows;
export const chunkCells = chunkWidth * chunkHeight;

/** Most bytes a chunk can take: every cell a run of its own. */
export const chunkBytes = 1 + chunkCells * 7;

/** Positions of strokes are sent in these fractions of a world unit. */
export const strokeScale = 16;

/** One disc of paint. */
export interface Stroke {
  /** Centre, in 1/16 world units, 0 to 30720 and 0 to 17280. */
  readonly x: number;
  readonly y: number;
  /** Radius, world units, 1 to 255. */
  readonly radius: number;
  /** Shared room time, ms. */
  readonly time: number;
  /** Slot of the painter (bots: 64 and up); settles equal times. */
  readonly who: number;
  /** 1 to 8. */
  readonly paint: number;
}

export class Floor {
  readonly paint = new Uint8Array(cellCount);
  readonly who = new Uint8Array(cellCount);
  readonly time = new Uint32Array(cellCount);
  /** Grows with every change; lets a view skip what it has drawn. */
  version = 0;
  #since = 0;

  /** Strokes older than this are void. */
  get since(): number {
    return this.#since;
  }

  /** Paints a disc; returns how many cells changed hands or age. */
  stroke(stroke: Stroke): number {
    return this.#visit(stroke, (index) => this.#write(index, stroke.time, stroke.who, stroke.paint));
  }

  /** How many cells the disc would newly give to its paint: 0 means it is not worth sending. */
  gain(stroke: Stroke): number {
    return this.#visit(stroke, (index) => this.paint[index] !== stroke.paint);
  }

  /**
   * Starts a round: everything painted before `time` is bare again. An earlier time than before (a merge
   * chose the other half's round) only lets older cells back in; repair brings them.
   */
  startAt(time: number): void {
    if (time === this.#since) return;
    this.#since = time;
    for (let i = 0; i < cellCount; i++) if ((this.time[i] ?? 0) < time) this.#erase(i);
    this.version++;
  }

  /** Cells per paint, index 0 being bare floor; cells under `mask` count for nobody. */
  coverage(mask: Uint8Array): number[] {
    const counts = new Array<number>(paintCount + 1).fill(0);
    for (let i = 0; i < cellCount; i++) {
      if (mask[i] === 1) continue;
      const paint = this.paint[i] ?? 0;
      counts[paint] = (counts[paint] ?? 0) + 1;
    }
    return counts;
  }

  /** FNV-1a over every cell: equal floors have equal hashes. */
  hash(): number {
    let hash = 0x811c9dc5;
    for (let i = 0; i < cellCount; i++) hash = this.#mix(hash, i);
    return hash >>> 0;
  }

  /**
   * Hash of one chunk over cells painted before `before`. Younger cells are left out because their
   * strokes may still be under way to the other side.
   */
  chunkHash(chunk: number, before: number): number {
    let hash = 0x811c9dc5;
    for (let k = 0; k < chunkCells; k++) {
      const index = cellOfChunk(chunk, k);
      if ((this.time[index] ?? 0) < before) hash = this.#mix(hash, index);
      else hash = Math.imul(hash ^ 0xff, 0x01000193);
    }
    return hash >>> 0;
  }

  encodeChunks(chunks: readonly number[]): Uint8Array {
    const bytes: number[] = [];
    for (const chunk of chunks) {
      bytes.push(chunk);
      for (let k = 0; k < chunkCells;) {
        const index = cellOfChunk(chunk, k);
        let run = 1;
        while (k + run < chunkCells && this.#same(index, cellOfChunk(chunk, k + run))) run++;
        const paint = this.paint[index] ?? 0;
        bytes.push(run, paint);
        if (paint > 0) {
          const time = this.time[index] ?? 0;
          bytes.push(this.who[index] ?? 0, time >>> 24, (time >>> 16) & 255, (time >>> 8) & 255, time & 255);
        }
        k += run;
      }
    }
    return Uint8Array.from(bytes);
  }

  /**
   * Merges chunks of another floor into this one, newest paint winning cell by cell.
   * Cells painted after `newest` are refused: a wrong clock must not own a cell for ever.
   * Returns the number of changed cells, or `undefined` when the bytes are not chunks (nothing is then applied).
   */
  mergeChunks(bytes: Uint8Array, newest: number): number | undefined {
    const cells = decodeChunks(bytes);
    if (cells === undefined) return undefined;
    let changed = 0;
    for (const cell of cells) if (cell.time <= newest && this.#write(cell.index, cell.time, cell.who, cell.paint)) changed++;
    if (changed > 0) this.version++;
    return changed;
  }

  #visit(stroke: Stroke, act: (index: number) => boolean): number {
    const radius = stroke.radius * strokeScale;
    const cell = cellSize * strokeScale;
    const left = Math.max(0, Math.floor((stroke.x - radius) / cell));
    const right = Math.min(gridWidth - 1, Math.floor((stroke.x + radius) / cell));
    const top = Math.max(0, Math.floor((stroke.y - radius) / cell));
    const bottom = Math.min(gridHeight - 1, Math.floor((stroke.y + radius) / cell));
    let count = 0;
    for (let cy = top; cy <= bottom; cy++) {
      const dy = cy * cell + cell / 2 - stroke.y;
      for (let cx = left; cx <= right; cx++) {
        const dx = cx * cell + cell / 2 - stroke.x;
        if (dx * dx + dy * dy <= radius * radius && act(cy * gridWidth + cx)) count++;
      }
    }
    if (count > 0) this.version++;
    return count;
  }

  #write(index: number, time: number, who: number, paint: number): boolean {
    if (time < this.#since || paint < 1 || paint > paintCount) return false;
    const oldTime = this.time[index] ?? 0;
    const oldWho = this.who[index] ?? 0;
    const oldPaint = this.paint[index] ?? 0;
    const newer = oldPaint === 0 || (time !== oldTime ? time > oldTime : who !== oldWho ? who > oldWho : paint > oldPaint);
    if (!newer) return false;
    this.time[index] = time;
    this.who[index] = who;
    this.paint[index] = paint;
    return true;
  }

  #erase(index: number): void {
    this.time[index] = 0;
    this.who[index] = 0;
    this.paint[index] = 0;
  }

  #same(a: number, b: number): boolean {
    return this.paint[a] === this.paint[b] && this.who[a] === this.who[b] && this.time[a] === this.time[b];
  }

  #mix(hash: number, index: number): number {
    let mixed = Math.imul(hash ^ (this.paint[index] ?? 0), 0x01000193);
    mixed = Math.imul(mixed ^ (this.who[index] ?? 0), 0x01000193);
    return Math.imul(mixed ^ (this.time[index] ?? 0), 0x01000193);
  }
}

/** Index in the grid of the `k`-th cell of a chunk, row by row. */
function cellOfChunk(chunk: number, k: number): number {
  const x = (chunk % chunkColumns) * chunkWidth + (k % chunkWidth);
  const y = Math.floor(chunk / chunkColumns) * chunkHeight + Math.floor(k / chunkWidth);
  return y * gridWidth + x;
}

interface Cell {
  readonly index: number;
  readonly time: number;
  readonly who: number;
  readonly paint: number;
}

/** Painted cells of the encoded chunks; `undefined` when a byte is out of place. */
function decodeChunks(bytes: Uint8Array): Cell[] | undefined {
  if (bytes.length > chunkCount * chunkBytes) return undefined;
  const cells: Cell[] = [];
  const seen = new Set<number>();
  let at = 0;
  while (at < bytes.length) {
    const chunk = bytes[at++] ?? chunkCount;
    if (chunk >= chunkCount || seen.has(chunk)) return undefined;
    seen.add(chunk);
    for (let k = 0; k < chunkCells;) {
      const run = bytes[at++] ?? 0;
      const paint = bytes[at++] ?? 255;
      if (run === 0 || k + run > chunkCells || paint > paintCount) return undefined;
      if (paint > 0) {
        if (at + 5 > bytes.length) return undefined;
        const who = bytes[at] ?? 0;
        const time = new DataView(bytes.buffer, bytes.byteOffset + at + 1, 4).getUint32(0);
        at += 5;
        for (let i = 0; i < run; i++) cells.push({ index: cellOfChunk(chunk, k + i), time, who, paint });
      }
      k += run;
    }
  }
  return cells;
}
