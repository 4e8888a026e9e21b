/**
 * Round-trip time, jitter and the least RTT of the last seconds (RFC 6298, RFC 9002 §5).
 */
import { ACK_DELAY_MS, MAX_RESEND_MS, MIN_RESEND_MS } from '../wire/limits.ts';

/** The least RTT is looked for in the current and the previous span of this length (ms). */
const BASE_SPAN_MS = 10_000;

export class RttEstimator {
  /** Smoothed, ms; 0 before the first sample. */
  smoothedMs = 0;
  /** Mean deviation, ms: what players feel as jitter. */
  variationMs = 0;
  latestMs = 0;
  #samples = 0;
  #spanStart = 0;
  #spanLeast = Infinity;
  #lastLeast = Infinity;

  get known(): boolean {
    return this.#samples > 0;
  }

  /** Path delay without queues, as far as the last 10 to 20 s show it. */
  get baseMs(): number {
    return Math.min(this.#spanLeast, this.#lastLeast);
  }

  sample(now: number, rttMs: number): void {
    const rtt = Math.max(0, rttMs);
    this.latestMs = rtt;
    if (this.#samples++ === 0) {
      this.smoothedMs = rtt;
      this.variationMs = rtt / 2;
      this.#spanStart = now;
    } else {
      this.variationMs += (Math.abs(rtt - this.smoothedMs) - this.variationMs) / 4;
      this.smoothedMs += (rtt - this.smoothedMs) / 8;
    }
    if (now - this.#spanStart > BASE_SPAN_MS) {
      this.#lastLeast = this.#spanLeast;
      this.#spanLeast = Infinity;
      this.#spanStart = now;
    }
    if (rtt < this.#spanLeast) this.#spanLeast = rtt;
  }

  /** How long an acknowledgement may take before the data counts as lost, ms. */
  resendMs(backoff: number): number {
    if (this.#samples === 0) return Math.min(MAX_RESEND_MS, 100 * 2 ** Math.min(backoff, 3));
    const wait = this.smoothedMs + Math.max(2, 4 * this.variationMs) + ACK_DELAY_MS;
    return Math.min(Math.max(MIN_RESEND_MS, wait) * 2 ** Math.min(backoff, 6), Math.max(MAX_RESEND_MS, wait));
  }

  /** How far behind the newest acknowledged packet another may be before it counts as lost, ms. */
  reorderMs(): number {
    return Math.max(1, this.smoothedMs / 8, 2 * this.variationMs) + Math.max(this.smoothedMs, this.latestMs);
  }

  /** A new path has its own delay. */
  reset(): void {
    this.#samples = 0;
    this.smoothedMs = 0;
    this.variationMs = 0;
    this.#spanLeast = Infinity;
    this.#lastLeast = Infinity;
  }
}
