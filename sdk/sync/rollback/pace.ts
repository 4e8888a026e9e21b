/** When ticks are due: at `base`, the room time of tick 0, and then `hz` times a second. It moves on where the time that passed does not count. */
import { ROLLBACK_AHEAD_TICKS } from '../../wire/limits.ts';

export class Pace {
  readonly #hz: number;
  /** Ticks that are caught up after a host stood still; what is more did not pass. */
  readonly slackTicks: number;
  readonly #patienceTicks: number;
  base = 0;

  constructor(hz: number, slackTicks: number, patienceTicks: number) {
    this.#hz = hz;
    this.slackTicks = slackTicks;
    this.#patienceTicks = patienceTicks;
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
