/**
 * The receiving half of `reliable`: reorders, reassembles, delivers exactly once and in order per lane.
 *
 * Everything a peer could make us hold is bounded by what an honest sender promises (reliable-send.ts).
 * A piece beyond that is refused, and the packet it came in is not acknowledged.
 */
import { HELD_OVERHEAD_BYTES, LANE_WINDOW_MESSAGES, MAX_LANES, MAX_OPEN_REASSEMBLIES, MAX_RECEIVE_HELD_BYTES } from '../wire/limits.ts';
import { fragmentStride } from '../wire/frame.ts';
import type { HeldBudget } from './held-budget.ts';

interface Partial {
  readonly bytes: Uint8Array;
  readonly count: number;
  readonly seen: Uint8Array;
  missing: number;
}

interface Lane {
  /** Id of the next message to deliver. */
  next: number;
  /** Messages beyond `next`, complete or not, by id. */
  readonly held: Map<number, Partial>;
}

/**
 * - `ok`: taken, or an old copy of something taken.
 * - `full`: no memory for it now; the packet must not be acknowledged, so that it comes again.
 * - `broken`: honest code cannot have sent it.
 */
export type PieceVerdict = 'ok' | 'full' | 'broken';

const WHOLE = new Uint8Array(0);

export class ReliableReceive {
  readonly #lanes: Lane[] = [];
  readonly #budget: HeldBudget;
  readonly #deliver: (lane: number, bytes: Uint8Array) => void;
  #open = 0;
  heldBytes = 0;

  constructor(budget: HeldBudget, deliver: (lane: number, bytes: Uint8Array) => void) {
    this.#budget = budget;
    this.#deliver = deliver;
    for (let i = 0; i < MAX_LANES; i++) this.#lanes.push({ next: 0, held: new Map() });
  }

  /** A whole message at `source[at .. at + size)`; copied. */
  whole(laneIndex: number, id: number, source: Uint8Array, at: number, size: number): PieceVerdict {
    const lane = this.#lanes[laneIndex]!;
    if (id < lane.next) return 'ok';
    if (id === lane.next) {
      // A partial one under this id was announced as fragmented before: one of the two is a lie.
      if (lane.held.size > 0 && lane.held.has(id)) return 'broken';
      lane.next++;
      this.#deliver(laneIndex, source.slice(at, at + size));
      this.#advance(laneIndex, lane);
      return 'ok';
    }
    if (id >= lane.next + LANE_WINDOW_MESSAGES) return 'broken';
    const held = lane.held.get(id);
    if (held !== undefined) return held.seen === WHOLE ? 'ok' : 'broken';
    if (!this.#take(size)) return 'full';
    lane.held.set(id, { bytes: source.slice(at, at + size), count: 1, seen: WHOLE, missing: 0 });
    return 'ok';
  }

  /** One fragment; its size was checked by the frame reader against `count` and `length`. */
  fragment(laneIndex: number, id: number, index: number, count: number, length: number, source: Uint8Array, at: number, size: number): PieceVerdict {
    const lane = this.#lanes[laneIndex]!;
    if (id < lane.next) return 'ok';
    if (id >= lane.next + LANE_WINDOW_MESSAGES) return 'broken';
    let held = lane.held.get(id);
    if (held === undefined) {
      if (this.#open >= MAX_OPEN_REASSEMBLIES) return 'broken';
      if (!this.#take(length)) return 'full';
      held = { bytes: new Uint8Array(length), count, seen: new Uint8Array(count), missing: count };
      lane.held.set(id, held);
      this.#open++;
    } else if (held.count !== count || held.bytes.length !== length) {
      return 'broken';
    }
    if (held.seen[index] === 1) return 'ok';
    held.seen[index] = 1;
    held.bytes.set(source.subarray(at, at + size), fragmentStride(length, count) * index);
    if (--held.missing > 0) return 'ok';
    this.#open--;
    if (id === lane.next) this.#advance(laneIndex, lane);
    return 'ok';
  }

  #advance(laneIndex: number, lane: Lane): void {
    while (lane.held.size > 0) {
      const held = lane.held.get(lane.next);
      if (held === undefined || held.missing > 0) return;
      lane.held.delete(lane.next++);
      this.#give(held.bytes.length);
      this.#deliver(laneIndex, held.bytes);
    }
  }

  #take(size: number): boolean {
    const cost = size + HELD_OVERHEAD_BYTES;
    if (this.heldBytes + cost > MAX_RECEIVE_HELD_BYTES + HELD_OVERHEAD_BYTES || !this.#budget.take(cost)) return false;
    this.heldBytes += cost;
    return true;
  }

  #give(size: number): void {
    this.heldBytes -= size + HELD_OVERHEAD_BYTES;
    this.#budget.give(size + HELD_OVERHEAD_BYTES);
  }

  /** Gives back what the process budget lent. */
  release(): void {
    this.#budget.give(this.heldBytes);
    this.heldBytes = 0;
    for (const lane of this.#lanes) lane.held.clear();
  }
}
