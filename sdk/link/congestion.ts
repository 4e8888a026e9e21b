/**
 * How much reliable data may be in flight, and how fast it leaves. Only `reliable` is held back: realtime
 * frames go first in every packet and never wait here.
 *
 * The window follows delay, not loss (Vegas, Brakmo 1995; LEDBAT, RFC 6817): once a round trip, the least
 * RTT of that round is compared with the least of the last seconds. The difference is the queue we built
 * ourselves. Below `TARGET_QUEUE_MS` the window grows, above it shrinks. Wi-Fi loses packets without
 * being full, so loss counts only when a sixth of a round is gone: then a shallow buffer overflows.
 */
import { MAX_WINDOW_BYTES, MIN_WINDOW_BYTES, MTU_FLOOR_BYTES, TARGET_QUEUE_MS } from '../wire/limits.ts';
import type { RttEstimator } from './rtt.ts';

/** Loss of a round that means "full", not "radio". */
const HEAVY_LOSS = 1 / 6;

/**
 * What may leave together: at 100 Mbit/s it takes 1.2 ms. More at once would not be faster (acknowledgements let the
 * next ones go), but a tick that falls due meanwhile would wait behind it, here and in the receiver's queue.
 */
const BURST_BYTES = 12 * MTU_FLOOR_BYTES;

/**
 * On a path that is fast enough a burst is what the path carries in this time instead (ms): the timers of a process count
 * whole milliseconds, and what they miss would hold the transfer up.
 */
const BURST_MS = 0.8;

/**
 * A burst leaves in turns of at most this much: a process is busy with one for a fifth of a millisecond, and between
 * two it hears acknowledgements and lets a tick go that fell due meanwhile.
 */
const TURN_BYTES = 8 * MTU_FLOOR_BYTES;

/** From one turn to the next (ms): sooner than any timer, and later than now, so that time goes on. */
const TURN_GAP_MS = 0.01;

export class Congestion {
  windowBytes = 16 * MTU_FLOOR_BYTES;
  readonly #rtt: RttEstimator;
  #starting = true;
  #roundEnd = 0;
  #roundLeastMs = Infinity;
  #roundAcked = 0;
  #roundLost = 0;
  #roundBusy = false;
  #tokens = BURST_BYTES;
  #tokensAt = 0;
  /** What is left of this turn, which is everything that happens at one time. */
  #turn = TURN_BYTES;

  constructor(rtt: RttEstimator) {
    this.#rtt = rtt;
  }

  /** After every ACK. `flightBytes` is what was in flight before it. */
  onAck(now: number, ackedBytes: number, ackedPackets: number, lostPackets: number, rttMs: number | undefined, flightBytes: number): void {
    if (rttMs !== undefined && rttMs < this.#roundLeastMs) this.#roundLeastMs = rttMs;
    this.#roundAcked += ackedPackets;
    this.#roundLost += lostPackets;
    if (flightBytes * 2 >= this.windowBytes) this.#roundBusy = true;
    if (this.#starting && this.#roundBusy) this.#grow(ackedBytes);
    if (now >= this.#roundEnd && this.#roundLeastMs !== Infinity) this.#endRound(now);
  }

  #endRound(now: number): void {
    const queueMs = this.#roundLeastMs - this.#rtt.baseMs;
    const total = this.#roundAcked + this.#roundLost;
    const heavy = total >= 8 && this.#roundLost > total * HEAVY_LOSS;
    if (queueMs > TARGET_QUEUE_MS || heavy) {
      this.#starting = false;
      const excess = queueMs > TARGET_QUEUE_MS ? (queueMs - TARGET_QUEUE_MS) / queueMs : 0.3;
      this.windowBytes = Math.max(MIN_WINDOW_BYTES, this.windowBytes * (1 - Math.min(0.5, Math.max(heavy ? 0.2 : 0.05, excess / 2))));
    } else if (this.#roundBusy && !this.#starting) {
      this.#grow(queueMs < TARGET_QUEUE_MS / 2 ? this.windowBytes / 8 : MTU_FLOOR_BYTES);
    }
    this.#roundEnd = now + Math.max(1, this.#rtt.smoothedMs);
    this.#roundLeastMs = Infinity;
    this.#roundAcked = 0;
    this.#roundLost = 0;
    this.#roundBusy = false;
  }

  #grow(bytes: number): void {
    this.windowBytes = Math.min(MAX_WINDOW_BYTES, this.windowBytes + bytes);
  }

  /** Nothing was acknowledged for a whole time-out: start small. */
  onTimeout(): void {
    this.#starting = false;
    this.windowBytes = Math.max(MIN_WINDOW_BYTES, this.windowBytes / 2);
  }

  /** Bytes per ms at which reliable data leaves: a little faster than the window would over one round trip. */
  #rate(): number {
    return (1.5 * this.windowBytes) / Math.max(1, this.#rtt.smoothedMs);
  }

  /** True when a packet with reliable data may leave now. */
  mayLeave(now: number, flightBytes: number): boolean {
    if (flightBytes >= this.windowBytes) return false;
    const rate = this.#rate();
    if (now > this.#tokensAt) {
      // Before the first round trip nothing says that the path is fast.
      const burst = this.#rtt.known ? Math.max(BURST_BYTES, rate * BURST_MS) : BURST_BYTES;
      this.#tokens = Math.min(burst, this.#tokens + rate * (now - this.#tokensAt));
      this.#tokensAt = now;
      this.#turn = TURN_BYTES;
    }
    return this.#tokens > 0 && this.#turn > 0;
  }

  /** When more may leave: in the next turn, or once the path has carried what left. */
  paceAt(now: number): number {
    return now + (this.#tokens > 0 ? TURN_GAP_MS : Math.max(0.5, (1 - this.#tokens) / this.#rate()));
  }

  onSent(bytes: number): void {
    this.#tokens -= bytes;
    this.#turn -= bytes;
  }
}
