/**
 * Questions to the peer's clock, and what keeps a quiet path open.
 *
 * The first few pings come fast, so that a newcomer has the clock when it needs it; then one a second, on the
 * next packet that leaves anyway. Where nothing else was sent for `KEEP_ALIVE_MS`, an acknowledgement leaves alone.
 */
import type { FrameWriter } from '../wire/frame.ts';
import { KEEP_ALIVE_MS, PING_FAST_COUNT, PING_FAST_MS, PING_MS, PING_RIDE_MS } from '../wire/limits.ts';
import { ClockFilter } from './clock.ts';

export class Pings {
  readonly clock = new ClockFilter();
  /** The next packet carries a ping. The first one does: it confirms the keys to the other side. */
  wanted = true;
  /** A packet leaves though there is nothing to say. */
  keepAliveWanted = false;
  /** When the next ping may ride on a packet, and how much later it leaves without one (ms). */
  #nextAt: number;
  #patienceMs = 0;
  #sent = 0;
  /** Times of the pings that still wait for their pong. */
  readonly #waiting = new Float64Array(4).fill(-1);
  #pongT1 = -1;
  #pongT2 = 0;

  constructor(now: number) {
    this.#nextAt = now;
  }

  /** True when a ping or pong has to leave. */
  get due(): boolean {
    return this.wanted || this.#pongT1 >= 0;
  }

  /** True when a packet that leaves anyway takes a ping along. */
  mayRide(now: number): boolean {
    return now >= this.#nextAt;
  }

  /** True when a packet has to leave for one of the reasons here. */
  get waiting(): boolean {
    return this.due || this.keepAliveWanted;
  }

  /** When `handleTimeout` is wanted, for a link that last sent at `sentAt`. */
  wakeAt(now: number, sentAt: number): number {
    return Math.max(now + 1, Math.min(this.#nextAt + this.#patienceMs, sentAt + KEEP_ALIVE_MS));
  }

  handleTimeout(now: number, sentAt: number): void {
    const quiet = now >= sentAt + KEEP_ALIVE_MS;
    if (now >= this.#nextAt + (quiet ? 0 : this.#patienceMs)) this.wanted = true;
    else if (quiet) this.keepAliveWanted = true;
  }

  /** The peer asks: the next packet answers. A newer question replaces one that waits. */
  handlePing(now: number, t1: number): void {
    this.#pongT1 = t1;
    this.#pongT2 = now;
  }

  /**
   * The peer answered; `t1`, `t2`, `t3` in µs. Returns the round trip in ms, -1 when it teaches nothing, and
   * undefined for an answer to nothing we asked.
   */
  handlePong(now: number, t1: number, t2: number, t3: number): number | undefined {
    const slot = this.#waiting.indexOf(t1);
    if (slot < 0) return undefined;
    this.#waiting[slot] = -1;
    const asked = t1 / 1_000;
    this.clock.sample(asked, t2 / 1_000, t3 / 1_000, now);
    const rttMs = now - asked - (t3 - t2) / 1_000;
    return rttMs >= 0 && rttMs <= now - asked + 0.001 ? rttMs : -1;
  }

  /** Writes what is due into a packet that has room for both. */
  fill(now: number, writer: FrameWriter): void {
    this.keepAliveWanted = false;
    if (this.#pongT1 >= 0) {
      writer.pong(this.#pongT1, micros(this.#pongT2), micros(now));
      this.#pongT1 = -1;
    }
    if (!this.wanted) return;
    this.wanted = false;
    const t1 = micros(now);
    this.#waiting[this.#sent++ % this.#waiting.length] = t1;
    const fast = this.#sent < PING_FAST_COUNT;
    this.#nextAt = now + (fast ? PING_FAST_MS : PING_MS);
    this.#patienceMs = fast ? 0 : PING_RIDE_MS;
    writer.ping(t1);
  }
}

function micros(ms: number): number {
  return Math.round(ms * 1_000) % 2 ** 48;
}
