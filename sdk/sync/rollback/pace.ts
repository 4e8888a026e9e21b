/** When ticks are due: at `base`, the room time of tick 0, and then `hz` times a second. It moves on where the time that passed does not count. */
import { MAX_INPUT_DELAY_TICKS, ROLLBACK_AHEAD_TICKS } from '../../wire/limits.ts';
import type { SessionOptions } from './types.ts';

/** Whoever guesses little says its own inputs so far ahead of what is confirmed all the same, ms: the host has to have them before it gives up waiting. */
const AHEAD_MS = 250;

export class Pace {
  readonly #hz: number;
  readonly #patienceTicks: number;
  /** Ticks after the confirmed ones for which a player says its inputs, besides its input delay. */
  readonly aheadTicks: number;
  /** Ticks that are caught up after a host stood still; what is more did not pass. */
  readonly slackTicks: number;
  base = 0;

  constructor(hz: number, { maxRollback, patienceTicks }: SessionOptions) {
    this.#hz = hz;
    this.#patienceTicks = patienceTicks;
    this.slackTicks = maxRollback + patienceTicks + 2;
    const ahead = Math.max(maxRollback, patienceTicks, Math.ceil((AHEAD_MS * hz) / 1_000));
    this.aheadTicks = Math.min(ahead, ROLLBACK_AHEAD_TICKS - MAX_INPUT_DELAY_TICKS);
  }

  /** The newest tick that should be over at room time `time`. */
  due(time: number): number {
    return Math.floor(((time - this.base) * this.#hz) / 1_000 + 1e-6);
  }

  /** Room time of `tick`. */
  at(tick: number): number {
    return this.base + (tick * 1_000) / this.#hz;
  }

  /** How much of tick `next` has passed, 0 to 1. */
  fraction(time: number, next: number): number {
    return Math.min(1, Math.max(0, ((time - this.base) * this.#hz) / 1_000 - (next - 1)));
  }

  /** At the host: nobody could go on while it stood still, or there was none; and nobody has come further than inputs are said ahead. */
  hold(time: number, confirmed: number): void {
    const behind = this.due(time) - confirmed;
    if (behind > this.slackTicks) this.base += Math.ceil(((behind - this.#patienceTicks) * 1_000) / this.#hz);
    // What the host before said of the time was wrong, or the room's clock has not come there yet: nobody would play until then.
    else if (behind < -ROLLBACK_AHEAD_TICKS) this.base = Math.max(0, Math.floor(time - (confirmed * 1_000) / this.#hz));
  }
}
