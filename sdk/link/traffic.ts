/**
 * Counters of one link, and the loss ratios of the last seconds.
 */

/** Weight of one second's loss in the running ratio. */
const BLEND = 0.4;
const SPAN_MS = 1_000;

/** Share of numbers that senders skip on purpose (one in 64 to 512); it is not loss. */
const SKIPPED_RATIO = 1 / 288;

export class Traffic {
  bytesOut = 0;
  bytesIn = 0;
  packetsOut = 0;
  packetsIn = 0;
  lossOutRatio = 0;
  lossInRatio = 0;
  #spanAt = 0;
  #spanAcked = 0;
  #spanLost = 0;
  #spanReceived = 0;
  #spanFirst = -1;
  #newest = -1;

  onAcked(acked: number, lost: number): void {
    this.#spanAcked += acked;
    this.#spanLost += lost;
  }

  /** A packet was taken, the newest or one that was overtaken: that is late, not lost. */
  onReceived(now: number, seq: number): void {
    if (this.#spanFirst < 0) {
      this.#spanFirst = seq;
      this.#newest = seq;
      this.#spanAt = now;
      return;
    }
    this.#spanReceived++;
    if (seq < this.#newest) return;
    this.#newest = seq;
    const expected = seq - this.#spanFirst;
    // Too few packets say nothing: three keep-alives lost out of five would look like a broken path.
    if (now - this.#spanAt < SPAN_MS || expected < 8) return;
    // Less than none, where packets of the span before came in this one: it takes back what that one missed.
    const missing = 1 - this.#spanReceived / expected - SKIPPED_RATIO;
    this.lossInRatio = Math.max(0, this.lossInRatio + (missing - this.lossInRatio) * BLEND);
    const settled = this.#spanAcked + this.#spanLost;
    if (settled > 0) this.lossOutRatio += (this.#spanLost / settled - this.lossOutRatio) * BLEND;
    this.#spanAcked = 0;
    this.#spanLost = 0;
    this.#spanReceived = 0;
    this.#spanFirst = seq;
    this.#spanAt = now;
  }
}
