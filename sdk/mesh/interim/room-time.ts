/**
 * Shared room time: one number everywhere, carried by the host, that never runs backwards.
 *
 * Room time is our monotonic clock plus an offset. The host's offset is the truth; the others slew
 * theirs towards it, at most 0.5 %, and step only forward and only when far off. A new host goes on
 * with its own estimate. A part of the room that was ahead when it merged runs at half speed until
 * the other has caught up.
 */

/** Largest correction while within a step's distance, ms per ms. */
const SLEW = 0.005;
/** Behind by more than this: step (ms). */
const STEP_MS = 250;
/** Speed while far ahead. */
const HOLD_RATE = 0.5;

export class RoomTime {
  #offset: number;
  #at: number;
  #last = 0;
  #errorMs = 0;

  /** @param start room time at `now`. */
  constructor(now: number, start: number) {
    this.#offset = start - now;
    this.#at = now;
  }

  /** Room time less our monotonic clock. */
  get offset(): number {
    return this.#offset;
  }

  get errorMs(): number {
    return this.#errorMs;
  }

  /** Takes the host's word for what the offset should be. */
  follow(now: number, target: number, errorMs: number): void {
    const elapsed = Math.max(0, now - this.#at);
    this.#at = now;
    const off = target - this.#offset;
    this.#errorMs = errorMs + Math.abs(off);
    if (off > STEP_MS) this.#offset = target;
    else if (off < -STEP_MS) this.#offset += Math.max(off, -elapsed * HOLD_RATE);
    else this.#offset += Math.max(-elapsed * SLEW, Math.min(elapsed * SLEW, off));
  }

  /** First word from a host, before anybody read this clock: no need to be gentle. */
  adopt(now: number, target: number): void {
    if (this.#last === 0 || target > this.#offset) this.#offset = target;
    this.#at = now;
  }

  time(now: number): number {
    const value = now + this.#offset;
    if (value > this.#last) this.#last = value;
    return this.#last;
  }
}
