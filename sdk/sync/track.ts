/**
 * The recent past of one entity: rows of quantised integers, each with the tick and the room time it is true for.
 *
 * It serves two masters. Deltas are coded against the row at the tick the receiver acked, on both sides, so a row must be found
 * by tick; drawing reads between rows, by time. Rows are written only when something changed, so a row stands until the next. Each names what
 * changed since the one before, and what it was: what changed since a tick is all that is named after it, and no tick per field is kept.
 *
 *   head ─► newest row … oldest row      slots grow 4 → 8 → … → HISTORY_ROWS, then the oldest is overwritten
 *
 * The rows lie on a shelf, beside those of other entities.
 */
import type { Shelf } from './shelf.ts';

export class Track {
  readonly #tickMs: number;
  shelf: Shelf;
  place: number;

  /** @param tickMs ms of one tick of room time. */
  constructor(shelf: Shelf, place: number, tickMs: number) {
    this.shelf = shelf;
    this.place = place;
    this.#tickMs = tickMs;
  }

  get size(): number {
    return this.shelf.sizeOf(this.place);
  }

  /** Where the row `age` rows before the newest begins in the shelf's `rows`; 0 is the newest. */
  at(age: number): number {
    const { shelf, place } = this;
    return ((shelf.marks[2 * place]! - age) & shelf.wrap) * shelf.pitch + place * shelf.stride;
  }

  tick(age: number): number {
    return this.shelf.rows[this.at(age)]!;
  }

  /** Where in its tick a row was taken, in 128ths. */
  phase(age: number): number {
    return this.shelf.rows[this.at(age) + 2]!;
  }

  /** Room time of a row, ms. */
  time(age: number): number {
    const at = this.at(age);
    const { rows } = this.shelf;
    return (rows[at]! + rows[at + 2]! / 128) * this.#tickMs;
  }

  value(age: number, field: number): number {
    return this.shelf.value(this.place, age, field);
  }

  /**
   * Writes the row of `tick`, whose integers the entity has already; a second row of the newest tick adds to it.
   * @param mask what changed.
   * @param before what of that was there before, by number of the field.
   */
  push(tick: number, phase: number, mask: number, before: Int32Array): void {
    this.shelf.push(this.place, tick, phase, mask, before);
  }

  /** A row of no change at a later tick than the newest: the entity is known to have rested until then. */
  rest(tick: number, phase: number): void {
    this.shelf.rest(this.place, tick, phase);
  }

  /** As `Shelf.cut`. */
  cut(tick: number, before: Int32Array): number {
    return this.shelf.cut(this.place, tick, before);
  }

  /** Age of the newest row at or before `tick`; -1 when the history does not reach back that far. */
  ageAtTick(tick: number): number {
    const { size } = this;
    for (let age = 0; age < size; age++) if (this.tick(age) <= tick) return age;
    return -1;
  }

  /** Age of the newest row at or before room time `time`; -1 when every row is later. */
  ageAtTime(time: number): number {
    const { size } = this;
    for (let age = 0; age < size; age++) if (this.time(age) <= time) return age;
    return -1;
  }
}
