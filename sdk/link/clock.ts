/**
 * The peer's clock, seen through pings. Each exchange carries four times (sent, received, answered,
 * returned), as in NTP (RFC 5905 §8). Delay is never negative, so a sample is off by half its round trip at
 * most, and by what both clocks have drifted apart since; the one of the last sixteen for which that sum is least is the one to believe.
 */
import { CLOCK_DRIFT_RATIO, CLOCK_SAMPLES, CLOCK_SAMPLE_MS } from '../wire/limits.ts';
import type { LinkClock } from './endpoint-types.ts';

export class ClockFilter implements LinkClock {
  readonly #at = new Float64Array(CLOCK_SAMPLES).fill(-Infinity);
  readonly #rtt = new Float64Array(CLOCK_SAMPLES);
  readonly #offset = new Float64Array(CLOCK_SAMPLES);
  #next = 0;
  offsetMs: number | undefined;
  errorMs = Infinity;
  at = -Infinity;

  /** All four in ms: `t1`, `t4` by our clock, `t2`, `t3` by the peer's. */
  sample(t1: number, t2: number, t3: number, t4: number): void {
    const rtt = t4 - t1 - (t3 - t2);
    // The peer chooses t2 and t3: an impossible pair teaches nothing.
    if (!(rtt >= 0) || t3 < t2) return;
    const slot = this.#next++ % CLOCK_SAMPLES;
    this.#at[slot] = t4;
    this.#rtt[slot] = rtt;
    this.#offset[slot] = (t2 - t1 + (t3 - t4)) / 2;
    this.at = t4;
    this.errorMs = Infinity;
    for (let i = 0; i < CLOCK_SAMPLES; i++) {
      const age = t4 - this.#at[i]!;
      const error = this.#rtt[i]! / 2 + age * CLOCK_DRIFT_RATIO;
      if (age > CLOCK_SAMPLE_MS || error >= this.errorMs) continue;
      this.offsetMs = this.#offset[i]!;
      this.errorMs = error;
    }
  }
}
