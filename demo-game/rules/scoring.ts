/**
 * Who is winning: shares of the floor per paint, and the table at the end of a round.
 */

/**
 * After the end of a round the last strokes of the others are still under way, and who counted at once counted other floors than they
 * did. This much later all have come, or the network is in such a state that it makes no odds.
 */
export const countingMs = 900;

/** One line of the table. */
export interface Standing {
  /** 1 is the first place; equal floors share one. */
  readonly rank: number;
  readonly paint: number;
  /** Cells. */
  readonly cells: number;
  /** Of all cells that can be painted, 0 to 1. */
  readonly share: number;
  readonly names: readonly string[];
}

/**
 * The table: most floor first, equal floors in order of paint so that all players read the same list.
 * @param coverage cells per paint, index 0 bare.
 * @param names who plays which paint.
 */
export function standings(coverage: readonly number[], names: ReadonlyMap<number, readonly string[]>): Standing[] {
  const total = coverage.reduce((sum, cells) => sum + cells, 0);
  const lines: Omit<Standing, 'rank'>[] = [];
  coverage.forEach((cells, paint) => {
    const who = names.get(paint) ?? [];
    if (paint === 0 || (cells === 0 && who.length === 0)) return;
    lines.push({ paint, cells, share: total === 0 ? 0 : cells / total, names: who });
  });
  lines.sort((a, b) => b.cells - a.cells || a.paint - b.paint);
  return lines.map((line) => ({ ...line, rank: lines.findIndex(({ cells }) => cells === line.cells) + 1 }));
}

/** Who has most floor: several where they have equally much, nobody where there is none. */
export function winners(table: readonly Standing[]): Standing[] {
  return table.filter(({ rank, cells }) => rank === 1 && cells > 0);
}

/** The paint in front, or 0 when nobody has any floor. */
export function leader(coverage: readonly number[]): number {
  let best = 0;
  let cells = 0;
  coverage.forEach((count, paint) => {
    if (paint > 0 && count > cells) {
      best = paint;
      cells = count;
    }
  });
  return best;
}
