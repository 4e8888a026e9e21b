/**
 * The recent past of one entity: rows of quantised integers, each with the tick and the room time it is true for.
 *
 * It serves two masters. Deltas are coded against the row at the tick the receiver acked, on both sides, so a row must be found
 * by tick; drawing reads between rows, by time. Rows are written only when something changed, so a row stands until the next. Each names what
 * changed since the one before: what changed since a tick is all that is named after it, and no tick per field is kept.
 *
 *   head ─► newest row … oldest row      cap grows 4 → 8 → … → HISTORY_ROWS, then the oldest is overwritten
 */
import { HISTORY_ROWS } from '../wire/limits.ts';

/** A row is the tick, a bit per integer that changed in it, where in its tick it was taken (in 128ths), and the integers: one stretch of memory. */
export const ROW_HEAD = 3;

export class Track {
  /** Integers of one row, its head included. */
  readonly stride: number;
  readonly #tickMs: number;
  /** The rows one after the other; for the inner loops of encoder and decoder. */
  rows: Int32Array;
  /** Slots less one; their count is a power of two, so this is the mask that wraps a slot. */
  wrap = 3;
  /** Slot of the newest row. */
  head = -1;
  size = 0;

  /** @param tickMs ms of one tick of room time. */
  constructor(width: number, tickMs: number) {
    this.stride = width + ROW_HEAD;
    this.#tickMs = tickMs;
    this.rows = new Int32Array((this.wrap + 1) * this.stride);
  }

  clear(): void {
    this.size = 0;
    this.head = -1;
  }

  /** Where the row `age` rows before the newest begins in `rows`; 0 is the newest. */
  at(age: number): number {
    return ((this.head - age) & this.wrap) * this.stride;
  }

  tick(age: number): number {
    return this.rows[this.at(age)]!;
  }

  /** Room time of a row, ms. */
  time(age: number): number {
    const at = this.at(age);
    return (this.rows[at]! + this.rows[at + 2]! / 128) * this.#tickMs;
  }

  value(age: number, field: number): number {
    return this.rows[this.at(age) + ROW_HEAD + field]!;
  }

  /** Writes the row of `tick`; a second row of the newest tick replaces it. */
  push(tick: number, phase: number, ints: Int32Array, mask: number): void {
    let changed = mask;
    if (this.size > 0 && this.rows[this.head * this.stride] === tick) changed |= this.rows[this.head * this.stride + 1]!;
    else this.#advance();
    const { rows, stride } = this;
    const at = this.head * stride;
    rows[at] = tick;
    rows[at + 1] = changed;
    rows[at + 2] = phase;
    const first = at + ROW_HEAD;
    const count = stride - ROW_HEAD;
    for (let i = 0; i < count; i++) rows[first + i] = ints[i]!;
  }

  /** Repeats the newest row at a later tick: the entity is known to have rested until then. */
  rest(tick: number, phase: number): void {
    this.#advance();
    const from = this.at(1);
    const at = this.at(0);
    this.rows.copyWithin(at, from, from + this.stride);
    this.rows[at] = tick;
    this.rows[at + 1] = 0;
    this.rows[at + 2] = phase;
  }

  /** Age of the newest row at or before `tick`; -1 when the history does not reach back that far. */
  ageAtTick(tick: number): number {
    for (let age = 0; age < this.size; age++) if (this.rows[this.at(age)]! <= tick) return age;
    return -1;
  }

  /** Age of the newest row at or before room time `time`; -1 when every row is later. */
  ageAtTime(time: number): number {
    for (let age = 0; age < this.size; age++) if (this.time(age) <= time) return age;
    return -1;
  }

  #advance(): void {
    if (this.size === this.wrap + 1 && this.size < HISTORY_ROWS) this.#grow();
    this.head = (this.head + 1) & this.wrap;
    if (this.size <= this.wrap) this.size++;
  }

  #grow(): void {
    const { stride } = this;
    const rows = new Int32Array((this.wrap + 1) * 2 * stride);
    for (let i = 0; i < this.size; i++) {
      const from = this.at(this.size - 1 - i);
      rows.set(this.rows.subarray(from, from + stride), i * stride);
    }
    this.rows = rows;
    this.wrap = this.wrap * 2 + 1;
    this.head = this.size - 1;
  }
}
