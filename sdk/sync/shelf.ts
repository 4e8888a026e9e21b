/**
 * Where the numbers of a few entities of one kind lie: side by side, in four arrays for all of them.
 *
 * A tick walks through everything that moves, and by then little of it is in the processor's caches: each array of its own costs an entity
 * two reaches into memory, one for the array and one for what it holds. Side by side, neighbours share the array, and what comes next is
 * fetched before it is asked for. Entities that spawn together lie together.
 *
 *   live   | ship 1 | ship 2 | …        what the game assigns and reads
 *   ints   | ship 1 | ship 2 | …        the same, quantised, as last sent or received
 *   rows   | slot 0: ship 1 | ship 2 | … | slot 1: ship 1 | ship 2 | … |        the past: a ring of slots for each
 *   marks  | head, size | head, size | …        slot of the newest row of each, and how many it has
 *
 * A row keeps what its tick ended, not what it began: a tick changes few of the values, and only those are written. What a field was at a row is in
 * the next newer row that names it, or, when none does, what it is now.
 */
import { HISTORY_ROWS } from '../wire/limits.ts';

/** A row is the tick, a bit per integer that changed in it, where in its tick it was taken (in 128ths), and of each that changed what it was before. */
export const ROW_HEAD = 3;

/** What a change to one entity replaces, by number of the field, until it is in a row: for whoever is at work, which nobody interrupts. */
export const replaced = new Int32Array(32);

/** A mask: after so many teleports, which a peer may have made up, they are counted from 0. More is not read. As a literal, whose type is the number. */
export const MAX_HOPS = 0x7fff_ffff;

/** Entities on one shelf: enough for neighbours to matter, few enough that a shelf with a single one left wastes little. */
const PLACES = 16;
/** Slots of a new shelf. */
const FIRST_SLOTS = 4;

export class Shelf {
  /** Fields of the kind: an entity has as many live numbers, and one integer more, which counts teleports. */
  readonly count: number;
  readonly live: Float64Array;
  readonly ints: Int32Array;
  rows: Int32Array;
  /** Slots less one; their count is a power of two, so this is the mask that wraps a slot. */
  wrap: number;
  /** Integers of one row, its head included, and of one slot: the rows of everybody here. */
  readonly stride: number;
  readonly pitch: number;
  readonly marks: Int32Array;
  readonly #boxedMask: number;
  /** A bit per place that is free. */
  #free: number;

  /** @param boxedMask a bit per field that is no integer: of those a row keeps only that they changed. */
  constructor(count: number, boxedMask: number, places: number, slots = FIRST_SLOTS) {
    this.count = count;
    this.#boxedMask = boxedMask;
    this.live = new Float64Array(places * count);
    this.ints = new Int32Array(places * (count + 1));
    this.stride = ROW_HEAD + count + 1;
    this.pitch = places * this.stride;
    this.rows = new Int32Array(slots * this.pitch);
    this.wrap = slots - 1;
    this.marks = new Int32Array(2 * places);
    this.#free = (1 << places) - 1;
  }

  get full(): boolean {
    return this.#free === 0;
  }

  get empty(): boolean {
    return this.#free === (1 << (this.marks.length >> 1)) - 1;
  }

  /** The lowest free place, taken; there has to be one. */
  take(): number {
    const bit = this.#free & -this.#free;
    this.#free &= ~bit;
    return 31 - Math.clz32(bit);
  }

  release(place: number): void {
    this.#free |= 1 << place;
  }

  /** How many rows `place` has. */
  sizeOf(place: number): number {
    return this.marks[2 * place + 1]!;
  }

  /** Tick of the newest row of `place`, which has one. */
  newestTick(place: number): number {
    return this.rows[this.marks[2 * place]! * this.pitch + place * this.stride]!;
  }

  /** Brings the numbers and the past of `from`'s `place` to the place `to` here. */
  copy(from: Shelf, place: number, to: number): void {
    const { count, stride } = this;
    const size = from.marks[2 * place + 1]!;
    while (this.wrap + 1 < size) this.#grow();
    this.live.set(from.live.subarray(place * count, (place + 1) * count), to * count);
    this.ints.set(from.ints.subarray(place * (count + 1), (place + 1) * (count + 1)), to * (count + 1));
    for (let age = 0; age < size; age++) {
      const at = ((from.marks[2 * place]! - age) & from.wrap) * from.pitch + place * stride;
      this.rows.set(from.rows.subarray(at, at + stride), (size - 1 - age) * this.pitch + to * stride);
    }
    this.marks[2 * to] = size - 1;
    this.marks[2 * to + 1] = size;
  }

  /** Integer `field` of `place` as it was at the row `age` rows before the newest. */
  value(place: number, age: number, field: number): number {
    const { rows, marks, pitch, wrap } = this;
    const first = place * this.stride;
    const head = marks[2 * place]!;
    const bit = 1 << field;
    for (let newer = age - 1; newer >= 0; newer--) {
      const at = ((head - newer) & wrap) * pitch + first;
      if ((rows[at + 1]! & bit) !== 0) return rows[at + ROW_HEAD + field]!;
    }
    return this.ints[place * (this.count + 1) + field]!;
  }

  /**
   * Writes the row of `tick`, whose new integers `place` has already; a second row of the newest tick adds to it.
   * @param mask what changed.
   * @param before what of that was there before, by number of the field.
   */
  push(place: number, tick: number, phase: number, mask: number, before: Int32Array): void {
    const { pitch, marks } = this;
    const first = place * this.stride;
    let at = marks[2 * place]! * pitch + first;
    let fresh = mask;
    if (marks[2 * place + 1]! > 0 && this.rows[at] === tick) {
      // What the tick ended is what was there before its first word.
      fresh &= ~this.rows[at + 1]!;
      this.rows[at + 1]! |= fresh;
    } else {
      at = this.#advance(place) * pitch + first;
      this.rows[at] = tick;
      this.rows[at + 1] = fresh;
    }
    const { rows } = this;
    rows[at + 2] = phase;
    for (let left = fresh & ~this.#boxedMask; left !== 0; left &= left - 1) {
      const i = 31 - Math.clz32(left & -left);
      rows[at + ROW_HEAD + i] = before[i]!;
    }
  }

  /** The integers of `place` were replaced without a tick of their own: the newest row, if there is one, names what of them changed. */
  amend(place: number, mask: number, before: Int32Array): void {
    if (this.sizeOf(place) > 0) this.push(place, this.newestTick(place), this.#newestPhase(place), mask, before);
  }

  #newestPhase(place: number): number {
    return this.rows[this.marks[2 * place]! * this.pitch + place * this.stride + 2]!;
  }

  /** A row at a later tick than the newest of `place`, of no change: the entity is known to have rested until then. */
  rest(place: number, tick: number, phase: number): void {
    const at = this.#advance(place) * this.pitch + place * this.stride;
    this.rows[at] = tick;
    this.rows[at + 1] = 0;
    this.rows[at + 2] = phase;
  }

  /**
   * Takes back the rows of `place` that are later than `tick`: `before` is given what the integers were then, where the mask that is returned names them.
   */
  cut(place: number, tick: number, before: Int32Array): number {
    const { rows, marks, pitch, wrap } = this;
    let mask = 0;
    for (let size = this.sizeOf(place); size > 0 && this.newestTick(place) > tick; size--) {
      const at = marks[2 * place]! * pitch + place * this.stride;
      mask |= rows[at + 1]!;
      for (let left = rows[at + 1]! & ~this.#boxedMask; left !== 0; left &= left - 1) {
        const i = 31 - Math.clz32(left & -left);
        before[i] = rows[at + ROW_HEAD + i]!;
      }
      marks[2 * place] = (marks[2 * place]! - 1) & wrap;
      marks[2 * place + 1] = size - 1;
    }
    return mask;
  }

  /** Makes room for a row of `place`; returns its slot. */
  #advance(place: number): number {
    const { marks } = this;
    const size = marks[2 * place + 1]!;
    if (size > this.wrap && size < HISTORY_ROWS) this.#grow();
    if (size <= this.wrap) marks[2 * place + 1] = size + 1;
    return (marks[2 * place] = (marks[2 * place]! + 1) & this.wrap);
  }

  /** Twice the slots. Each row stands in both halves then, so that it is found at its old distance from the newest of its place. */
  #grow(): void {
    const rows = new Int32Array(2 * this.rows.length);
    rows.set(this.rows);
    rows.set(this.rows, this.rows.length);
    this.rows = rows;
    this.wrap = 2 * this.wrap + 1;
  }
}

/** The shelves of one kind in one room. */
export class Shelves {
  readonly #count: number;
  readonly #boxedMask: number;
  /** Those with a free place. */
  readonly #open = new Set<Shelf>();

  constructor(count: number, boxedMask: number) {
    this.#count = count;
    this.#boxedMask = boxedMask;
  }

  /** A shelf with a free place. */
  open(): Shelf {
    for (const shelf of this.#open) return shelf;
    const shelf = new Shelf(this.#count, this.#boxedMask, PLACES);
    this.#open.add(shelf);
    return shelf;
  }

  /** A place of `shelf` was taken. */
  taken(shelf: Shelf): void {
    if (shelf.full) this.#open.delete(shelf);
  }

  /** A place of `shelf` was given back. An empty shelf is kept where no other has room: what spawns and goes one at a time needs no new one each time. */
  released(shelf: Shelf): void {
    this.#open.add(shelf);
    if (shelf.empty && this.#open.size > 1) this.#open.delete(shelf);
  }
}
