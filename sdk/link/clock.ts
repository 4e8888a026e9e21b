/**
 * The peer's clock, seen through pings. Each exchange carries four times (sent, received, answered,
 * returned), as in NTP (RFC 5905 §8). The sample with the least round trip of the last sixteen is the
 * one to believe: delay is never negative, so the shortest trip has the least error.
 */
import { CLOCK_SAMPLES, CLOCK_SAMPLE_MS } from '../wire/limits.ts';
import type { LinkClock } from './endpoint-types.ts';

export class ClockFilter implements LinkClock {
  readonly #at = new Float64Array(CLOCK_SAMPLES).fill(-Infinity);
  readonly #rtt = new Float64Array(CLOCK_SAMPLES);
  readonly #offset = new Float64Array(CLOCK_SAMPLES);
  #next = 0;
  offsetMs: number | undefined;
  errorMs = Infinity;

  /** All four in ms: `t1`, `t4` by our clock, `t2`, `t3` by the peer's. */
  sample(t1: number, t2: number, t3: number, t4: number): void {
    const rtt = t4 - t1 - (t3 - t2);
    // The peer chooses t2 and t3: an impossible pair teaches nothing.
    if (!(rtt >= 0) || t3 < t2 || rtt > t4 - t1) return;
    const slot = this.#next++ % CLOCK_SAMPLES;
    this.#at[slot] = t4;
    this.#rtt[slot] = rtt;
    this.#offset[slot] = (t2 - t1 + (t3 - t4)) / 2;
    let best = slot;
    for (let i = 0; i < CLOCK_SAMPLES; i++) {
      if (t4 - this.#at[i]! <= CLOCK_SAMPLE_MS && this.#rtt[i]! < this.#rtt[best]!) best = i;
    }
    this.offsetMs = this.#offset[best]!;
    this.errorMs = this.#rtt[best]! / 2;
  }
}
