/**
 * What a host that started anew is told of what its former self owned. Everybody there tells all they know; who was away meanwhile tells of what has
 * been despawned since, and nothing of what came. So nothing is taken up before all have told, and then from those who had followed the host longest.
 *
 *   told, told, told from each ──► `settle`, when the room opens ──► what comes later counts where it is no older than that
 */
import type { PeerId } from '../base/brand.ts';
import { MAX_ENTITIES } from '../wire/limits.ts';
import type { WholeValues } from './delta.ts';

/** Who had followed a former self until this much earlier than another, s, may know what that one was not told, for a budget's sake; longer, and it was cut off. */
const TOGETHER_S = 0.25;

/** One entity, as one peer tells it. */
export interface Telling extends WholeValues {
  readonly from: PeerId;
  readonly origin: number;
  readonly counter: number;
  /** Newest tick of our former self that the teller had; -1 for none. */
  readonly knew: number;
}

export class Retold {
  readonly #slack: number;
  readonly #tellers = new Map<PeerId, Map<number, Telling>>();
  /** What those had of our former self who have told all they know. */
  #newest = -1;
  /** The same of each who has not told all of it yet. */
  readonly #telling = new Map<PeerId, number>();

  constructor(hz: number) {
    this.#slack = hz * TOGETHER_S;
  }

  /** `from` tells, or has told all it knows. */
  heard(from: PeerId, knew: number, isAll: boolean): void {
    const most = Math.max(this.#telling.get(from) ?? -1, knew);
    if (isAll) {
      this.#newest = Math.max(this.#newest, most);
      this.#telling.delete(from);
    } else this.#telling.set(from, most);
  }

  /** Keeps it until `settle`. Its values may be written over by what is read next. */
  keep(telling: Telling): void {
    const { from, origin, counter, ints, boxed } = telling;
    let told = this.#tellers.get(from);
    if (told === undefined) this.#tellers.set(from, (told = new Map()));
    const id = origin * 0x10_0000 + counter;
    if (told.size < MAX_ENTITIES || told.has(id)) told.set(id, { ...telling, ints: ints.slice(), boxed: [...boxed] });
  }

  /** Others had followed our former self for longer than who `knew` that much of it. */
  isOutdated(knew: number): boolean {
    let newest = this.#newest;
    for (const one of this.#telling.values()) newest = Math.max(newest, one);
    return knew < newest - this.#slack;
  }

  /**
   * The newest of each entity, in a reign that nobody knows a later one of.
   * @param present who of those who have not told all of it yet may go on.
   */
  settle(present: readonly PeerId[]): readonly Telling[] {
    for (const from of this.#telling.keys()) if (!present.includes(from)) this.#telling.delete(from);
    const newest = new Map<number, Telling>();
    const epochs = new Map<number, number>();
    for (const told of this.#tellers.values())
      for (const [id, telling] of told) {
        epochs.set(id, Math.max(epochs.get(id) ?? 0, telling.epoch));
        if (this.isOutdated(telling.knew)) continue;
        const other = newest.get(id);
        if (other === undefined || telling.epoch > other.epoch || (telling.epoch === other.epoch && telling.knew > other.knew))
          newest.set(id, telling);
      }
    this.#tellers.clear();
    return [...newest].map(([id, telling]) => ({ ...telling, epoch: epochs.get(id)! }));
  }
}
