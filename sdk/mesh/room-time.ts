/**
 * Room time: milliseconds that are the same for every member, within what links can measure. The host
 * tells how far room time is from its own monotonic clock; the link clock tells how far the host's
 * clock is from ours. Followers slew towards it; nobody's room time ever runs backwards.
 *
 *   room time = our monotonic now + offset
 *
 * Seeded at the founding from the wall clock modulo 2^30 ms, so that parts that merge are close and a
 * room that lives 37 days still fits 32 bits. A new host goes on with its own estimate.
 */
import type { LinkClock } from '../link/endpoint-types.ts';
import { CLOCK_DRIFT_RATIO, TIME_SLEW_RATIO, TIME_STEP_MS } from '../wire/limits.ts';

const SEED_SPAN_MS = 2 ** 30;
/** A room time beyond this would not fit 32 bits for long; nobody honest says it. */
const LIMIT_MS = 2 ** 32 - 2 ** 24;
/** Nor do we step beyond this for anybody: a room whose time is up to there has twelve days left in which all can follow it. */
const STEP_LIMIT_MS = 3 * 2 ** 30;

export class RoomTime {
  #offset: number;
  #synced = false;
  #lastAt: number;
  #last = 0;
  /** How far off room time may have been at `#measuredAt`. */
  #errorMs = Infinity;
  #measuredAt = 0;

  constructor(now: number, wallClockMs: number) {
    this.#offset = (((Math.floor(wallClockMs) % SEED_SPAN_MS) + SEED_SPAN_MS) % SEED_SPAN_MS) - now;
    this.#lastAt = now;
  }

  /** Room time less our monotonic clock, ms: what a host tells the others. */
  get offset(): number {
    return this.#offset;
  }

  time(now: number): number {
    this.#last = Math.max(this.#last, now + this.#offset);
    return this.#last;
  }

  /** Bound of the distance from the host's room time, ms; Infinity before the first measurement. It grows while nothing is measured. */
  errorMs(now: number): number {
    return this.#errorMs + Math.max(0, now - this.#measuredAt) * CLOCK_DRIFT_RATIO;
  }

  /** As host our word is the time. */
  lead(now: number): void {
    this.#synced = true;
    this.#errorMs = 0;
    this.#lastAt = now;
    this.#measuredAt = now;
  }

  /** Steps forward to a time somebody else already showed its game. */
  advanceTo(now: number, time: number): void {
    if (time > now + this.#offset && time < STEP_LIMIT_MS) this.#offset = time - now;
  }

  /** Follows the host: `hostOffset` is its room time less its monotonic clock. */
  follow(now: number, hostOffset: number, clock: LinkClock): void {
    const elapsed = Math.max(0, now - this.#lastAt);
    this.#lastAt = now;
    if (clock.offsetMs === undefined) return;
    const target = hostOffset + clock.offsetMs;
    if (!(target + now < LIMIT_MS && target + now >= 0)) return;
    this.#measuredAt = now;
    const behind = target - this.#offset;
    this.#errorMs = clock.errorMs + (now - clock.at) * CLOCK_DRIFT_RATIO + Math.abs(behind);
    if (!this.#synced) {
      this.#synced = true;
      // Before the first agreement nobody has seen our time, so it may jump either way.
      this.#offset = target;
      this.#last = Math.min(this.#last, now + target);
      return;
    }
    if (behind > TIME_STEP_MS) this.#offset = target;
    else this.#offset += Math.sign(behind) * Math.min(Math.abs(behind), elapsed * TIME_SLEW_RATIO);
  }
}
