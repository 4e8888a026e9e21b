/**
 * One link's timers: a fixed table, so that nothing a peer does can create another one.
 */

/** Which timer; the value is its place in the table. */
export const TIMER = {
  /** Queued data has waited long enough for company: it leaves. */
  flush: 0,
  /** Received packets have waited long enough for a packet to ride on: an acknowledgement leaves alone. */
  ack: 1,
  /** The oldest reliable data in flight was not acknowledged in time: it is sent again. */
  resend: 2,
  /** The pacer has tokens again: more reliable data may leave. */
  pace: 3,
  /** Nothing was sent for `KEEP_ALIVE_MS`, or a clock sample is due: a ping leaves. */
  ping: 4,
  /** Nothing authentic was heard: the peer is asked, and in the end the link becomes `silent`. */
  silent: 5,
  /** Nothing authentic was heard for `LINK_TIMEOUT_MS`: the link is closed, its keys are gone. */
  timeout: 6,
  /** An MTU probe is due, or was lost. */
  mtu: 7,
  /** A path challenge is due again, or has failed. */
  path: 8,
  /** The next repetition of the goodbye leaves; after the last one the link is forgotten. */
  closing: 9,
} as const;

export type Timer = (typeof TIMER)[keyof typeof TIMER];

const COUNT = 10;

/** Deadlines in monotonic ms; `Infinity` when not running. */
export class Timers {
  readonly #at = new Float64Array(COUNT).fill(Infinity);

  set(timer: Timer, at: number): void {
    this.#at[timer] = at;
  }

  /** Keeps the earlier of what is set and `at`. */
  advance(timer: Timer, at: number): void {
    if (at < this.#at[timer]!) this.#at[timer] = at;
  }

  stop(timer: Timer): void {
    this.#at[timer] = Infinity;
  }

  stopAll(): void {
    this.#at.fill(Infinity);
  }

  at(timer: Timer): number {
    return this.#at[timer]!;
  }

  due(timer: Timer, now: number): boolean {
    return this.#at[timer]! <= now;
  }

  next(): number {
    let least = Infinity;
    for (let i = 0; i < COUNT; i++) if (this.#at[i]! < least) least = this.#at[i]!;
    return least;
  }
}
