/**
 * Monotonic time and one wake-up, on absolute deadlines: a late timer does not push the next one.
 */
import type { LocalTime } from '../port/lan-port.ts';

/** Largest delay `setTimeout` takes; a longer one fires at once. */
const MAX_DELAY_MS = 2_147_483_647;

/** ms since the process began; never steps, stands still while the machine sleeps. */
export function monotonicMs(): number {
  return performance.now();
}

/** One scheduled call at a time, as `LocalTime` asks; each part of the process has its own. */
export class NodeTime implements LocalTime {
  #timer: NodeJS.Timeout | undefined;
  #at = Number.POSITIVE_INFINITY;

  now(): number {
    return performance.now();
  }

  schedule(at: number, tick: () => void): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#at = at;
    if (at === Number.POSITIVE_INFINITY) {
      this.#timer = undefined;
      return;
    }
    const delay = Math.min(Math.max(Math.ceil(at - performance.now()), 0), MAX_DELAY_MS);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      // Timers count whole milliseconds and may fire a fraction early; a tick before its time would
      // see nothing due and be lost.
      if (performance.now() < this.#at) this.schedule(this.#at, tick);
      else tick();
    }, delay);
  }

  cancel(): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#at = Number.POSITIVE_INFINITY;
  }
}
