/**
 * Which map comes next: the game's own and those that players brought take turns, and one that was just brought comes first. All of it is in
 * the round, so that a new host goes on with it; what a host of another mind has put there is tidied up by the next.
 */
import { maps } from './arena.ts';
import { mostBrought } from './map-file.ts';

/** Characters of a content id. */
export const idLength = 43;
/** The game's own, and those that were brought. */
export const mostMaps = maps.length + mostBrought;

/** The part of the round that is about maps, all of them content ids. */
export interface Rotation {
  /** Played now; empty before the first. */
  readonly map: string;
  /** The others, the next one first. */
  readonly queue: readonly string[];
  /** So many at the head of `queue` were brought and have not been played. */
  readonly waiting: number;
}

/** What became of a map that a player brought. */
export type Brought = { readonly rotation: Rotation; readonly before: number } | 'playing' | 'full';

/** As it should be: every map of the game in it, no map twice, at most `mostBrought` besides, and none that `isRefused`. */
export function tidy({ map, queue, waiting }: Rotation, own: readonly string[], isRefused: (id: string) => boolean): Rotation {
  const seen = new Set([map]);
  const fresh: string[] = [];
  const played: string[] = [];
  let foreign = map === '' || own.includes(map) ? 0 : 1;
  for (const [i, id] of [...queue, ...own].entries()) {
    const isOwn = own.includes(id);
    if (id.length !== idLength || seen.has(id) || isRefused(id) || (!isOwn && foreign === mostBrought)) continue;
    seen.add(id);
    if (!isOwn) foreign++;
    (i < waiting ? fresh : played).push(id);
  }
  return { map, queue: [...fresh, ...played], waiting: fresh.length };
}

/** The next map's turn: the first of those that are `here`. What is being fetched keeps its place. */
export function turn({ map, queue, waiting }: Rotation, isHere: (id: string) => boolean): Rotation {
  const at = queue.findIndex(isHere);
  const next = queue[at];
  if (next === undefined) return { map, queue, waiting };
  const left = queue.filter((id) => id !== next);
  return { map: next, queue: map === '' ? left : [...left, map], waiting: at < waiting ? waiting - 1 : waiting };
}

/** Puts a map next, behind those that were brought before it and wait. For it the one goes that was brought and has not been played for longest. */
export function bring(rotation: Rotation, id: string, own: readonly string[]): Brought {
  const { map, queue, waiting } = rotation;
  if (id === map) return 'playing';
  const at = queue.indexOf(id);
  if (at >= 0 && at < waiting) return { rotation, before: at };
  const others = queue.filter((one) => one !== id);
  const foreign = others.filter((one) => !own.includes(one));
  if (!own.includes(id) && foreign.length + (own.includes(map) ? 0 : 1) >= mostBrought) {
    const oldest = others.findIndex((one, i) => i >= waiting && !own.includes(one));
    if (oldest < 0) return 'full';
    others.splice(oldest, 1);
  }
  others.splice(waiting, 0, id);
  return { rotation: { map, queue: others, waiting: waiting + 1 }, before: waiting };
}

/** Two rooms that became one play on the maps of both. */
export function unite(ours: Rotation, theirs: Rotation): Rotation {
  return { ...ours, queue: [...ours.queue, ...theirs.queue, theirs.map] };
}
