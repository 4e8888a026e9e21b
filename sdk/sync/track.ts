/**
 * The recent past of one entity: rows of quantised integers, each with the tick and the room time it is true for.
 *
 * It serves two masters. Deltas are coded against the row at the tick the receiver acked, on both sides, so a row must be found
 * by tick; drawing reads between rows, by time. Rows are written only when something changed, so a row stands until the next.
 *
 *   head ─► newest row … oldest row      cap grows 4 → 8 → … → HISTORY_ROWS, then the oldest is overwritten
 */
import { HISTORY_ROWS } from '../wire/limits.ts';

export class Track {
  readonly width: number;
  #rows: Int32Array;
  #ticks: Int32Array;
  #times: Float64Array;
  #capacity = 4;
  /** Slot of the newest row. */
  #head = -1;
  size = 0;

  constructor(width: number) {
    this.width = width;
    this.#rows = new Int32Array(this.#capacity * width);
    this.#ticks = new Int32Array(this.#capacity);
    this.#times = new Float64Array(this.#capacity);
  }

  clear(): void {
    this.size = 0;
    this.#head = -1;
  }

  /** Slot of the row `age` rows before the newest; 0 is the newest. */
  slot(age: number): number {
    const at = this.#head - age;
    return at < 0 ? at + this.#capacity : at;
  }

  tick(age: number): number {
    return this.#ticks[this.slot(age)]!;
  }

  time(age: number): number {
    return this.#times[this.slot(age)]!;
  }

  value(age: number, field: number): number {
    return this.#rows[this.slot(age) * this.width + field]!;
  }

  /** Writes the row of `tick`; a second row of the newest tick replaces it. */
  push(tick: number, time: number, ints: Int32Array): void {
    if (this.size === 0 || this.#ticks[this.#head] !== tick) {
      if (this.size === this.#capacity && this.#capacity < HISTORY_ROWS) this.#grow();
      // The capacity is a power of two.
      this.#head = (this.#head + 1) & (this.#capacity - 1);
      if (this.size < this.#capacity) this.size++;
    }
    this.#ticks[this.#head] = tick;
    this.#times[this.#head] = time;
    const start = this.#head * this.width;
    const rows = this.#rows;
    for (let i = 0; i < this.width; i++) rows[start + i] = ints[i]!;
  }

  /** Repeats the newest row at a later tick: the entity is known to have rested until then. */
  rest(tick: number, time: number): void {
    const start = this.#head * this.width;
    const row = this.#rows.slice(start, start + this.width);
    this.push(tick, time, row);
  }

  /** Age of the newest row at or before `tick`; -1 when the history does not reach back that far. */
  ageAtTick(tick: number): number {
    for (let age = 0; age < this.size; age++) if (this.#ticks[this.slot(age)]! <= tick) return age;
    return -1;
  }

  /** Age of the newest row at or before room time `time`; -1 when every row is later. */
  ageAtTime(time: number): number {
    for (let age = 0; age < this.size; age++) if (this.#times[this.slot(age)]! <= time) return age;
    return -1;
  }

  /** Where the row of `age` begins in `rows`; for the inner loops of encoder and decoder. */
  base(age: number): number {
    return this.slot(age) * this.width;
  }

  get rows(): Int32Array {
    return this.#rows;
  }

  #grow(): void {
    const capacity = this.#capacity * 2;
    const rows = new Int32Array(capacity * this.width);
    const ticks = new Int32Array(capacity);
    const times = new Float64Array(capacity);
    for (let i = 0; i < this.size; i++) {
      const from = this.slot(this.size - 1 - i);
      rows.set(this.#rows.subarray(from * this.width, (from + 1) * this.width), i * this.width);
      ticks[i] = this.#ticks[from]!;
      times[i] = this.#times[from]!;
    }
    this.#rows = rows;
    this.#ticks = ticks;
    this.#times = times;
    this.#capacity = capacity;
    this.#head = this.size - 1;
  }
}
