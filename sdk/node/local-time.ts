/**
 * Monotonic time and one wake-up, on absolute deadlines: a late timer does not push the next one.
 */
import { performance } from 'node:perf_hooks';

import type { LocalTime } from '../port/lan-port.ts';

/** Largest delay `setTimeout` takes; a longer one fires at once. */
const MAX_DELAY_MS = 2_147_483_647;

/**
 * ms since the process began; never steps, stands still while the machine sleeps. From the module: the global of the
 * same name is found anew at every use.
 */
export function monotonicMs(): number {
  return performance.now();
}

/** One scheduled call at a time, as `LocalTime` asks; each part of the process has its own. */
export class NodeTime implements LocalTime {
  #timer: NodeJS.Timeout | undefined;
  /** In place of a timer, for what is due already: a timer waits a whole millisecond at least. */
  #turn: NodeJS.Immediate | undefined;
  /** When the timer fires: at the deadline, or earlier for one that has moved since. */
  #armedAt = Number.POSITIVE_INFINITY;
  #at = Number.POSITIVE_INFINITY;
  #tick: () => void = () => undefined;

  now(): number {
    return performance.now();
  }

  schedule(at: number, tick: () => void): void {
    this.#at = at;
    this.#tick = tick;
    // Deadlines mostly move away, with every packet; a timer that fires for nothing costs less than a new one each time.
    const isArmed = this.#timer !== undefined || this.#turn !== undefined;
    if (isArmed && this.#armedAt <= at && at !== Number.POSITIVE_INFINITY) return;
    this.#disarm();
    if (at !== Number.POSITIVE_INFINITY) this.#arm(at);
  }

  #arm(at: number): void {
    this.#armedAt = at;
    const delay = Math.ceil(at - performance.now());
    if (delay <= 0) this.#turn = setImmediate(() => this.#fire());
    else this.#timer = setTimeout(() => this.#fire(), Math.min(delay, MAX_DELAY_MS));
  }

  #disarm(): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    if (this.#turn !== undefined) clearImmediate(this.#turn);
    this.#timer = this.#turn = undefined;
  }

  #fire(): void {
    this.#timer = this.#turn = undefined;
    // The deadline has moved, or the timer, which counts whole milliseconds, fired a fraction early: a tick before its
    // time would see nothing due and be lost.
    if (performance.now() < this.#at) this.#arm(this.#at);
    else this.#tick();
  }

  cancel(): void {
    this.#disarm();
    this.#at = Number.POSITIVE_INFINITY;
  }
}
