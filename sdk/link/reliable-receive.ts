/**
 * The receiving half of `reliable`: reorders, reassembles, delivers exactly once and in order per lane.
 *
 * Everything a peer could make us hold is bounded by what an honest sender promises (reliable-send.ts); a
 * piece beyond that is a broken rule. A piece that only finds the process short of memory is not: its packet
 * is not acknowledged, so it comes again.
 */
import { HELD_OVERHEAD_BYTES, LANE_WINDOW_MESSAGES, MAX_LANES, MAX_OPEN_REASSEMBLIES, MAX_RECEIVE_HELD_BYTES } from '../wire/limits.ts';
import { fragmentStride } from '../wire/frame.ts';
import type { HeldAccount, HeldBudget, HeldOwner } from './held-budget.ts';

interface Partial {
  readonly bytes: Uint8Array;
  readonly count: number;
  readonly seen: Uint8Array;
  readonly since: number;
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

/**
 * Views of the places in the buffers that packets are opened into, by where they begin: in a transfer's packets fragments lie
 * at the same places again and again, and a new view for each would be most of the garbage it makes.
 */
const places = new WeakMap<Uint8Array, (Uint8Array | undefined)[]>();

function placeOf(source: Uint8Array, at: number, size: number): Uint8Array {
  let kept = places.get(source);
  if (kept === undefined) places.set(source, (kept = new Array<Uint8Array | undefined>(source.length).fill(undefined)));
  const place = kept[at];
  return place?.length === size ? place : (kept[at] = source.subarray(at, at + size));
}

export class ReliableReceive {
  readonly #lanes: Lane[] = [];
  readonly #account: HeldAccount;
  readonly #deliver: (lane: number, bytes: Uint8Array) => void;
  #open = 0;

  constructor(budget: HeldBudget, owner: HeldOwner, deliver: (lane: number, bytes: Uint8Array) => void) {
    this.#account = budget.open(owner, (now) => this.#byteMs(now));
    this.#deliver = deliver;
    for (let i = 0; i < MAX_LANES; i++) this.#lanes.push({ next: 0, held: new Map() });
  }

  /** A whole message at `source[at .. at + size)`; copied. */
  whole(now: number, laneIndex: number, id: number, source: Uint8Array, at: number, size: number): PieceVerdict {
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
    const room = this.#take(now, size);
    if (room !== 'ok') return room;
    lane.held.set(id, { bytes: source.slice(at, at + size), count: 1, seen: WHOLE, since: now, missing: 0 });
    return 'ok';
  }

  /** One fragment; its size was checked by the frame reader against `count` and `length`. */
  fragment(
    now: number,
    laneIndex: number,
    id: number,
    index: number,
    count: number,
    length: number,
    source: Uint8Array,
    at: number,
    size: number,
  ): PieceVerdict {
    const lane = this.#lanes[laneIndex]!;
    if (id < lane.next) return 'ok';
    if (id >= lane.next + LANE_WINDOW_MESSAGES) return 'broken';
    let held = lane.held.get(id);
    if (held === undefined) {
      if (this.#open >= MAX_OPEN_REASSEMBLIES) return 'broken';
      const room = this.#take(now, length);
      if (room !== 'ok') return room;
      held = { bytes: new Uint8Array(length), count, seen: new Uint8Array(count), since: now, missing: count };
      lane.held.set(id, held);
      this.#open++;
    } else if (held.count !== count || held.bytes.length !== length) {
      return 'broken';
    }
    if (held.seen[index] === 1) return 'ok';
    held.seen[index] = 1;
    held.bytes.set(placeOf(source, at, size), fragmentStride(length, count) * index);
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

  #take(now: number, size: number): PieceVerdict {
    const cost = size + HELD_OVERHEAD_BYTES;
    if (this.#account.usedBytes + cost > MAX_RECEIVE_HELD_BYTES + HELD_OVERHEAD_BYTES) return 'broken';
    return this.#account.take(now, cost) ? 'ok' : 'full';
  }

  #give(size: number): void {
    this.#account.give(size + HELD_OVERHEAD_BYTES);
  }

  #byteMs(now: number): number {
    let sum = 0;
    for (const lane of this.#lanes) for (const held of lane.held.values()) sum += (held.bytes.length + HELD_OVERHEAD_BYTES) * (now - held.since);
    return sum;
  }

  /** Forgets everything: nothing is received any more. */
  release(): void {
    this.#account.close();
    for (const lane of this.#lanes) lane.held.clear();
  }
}
