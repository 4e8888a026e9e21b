/**
 * Remembers which of the last `REPLAY_WINDOW_PACKETS` sequence numbers were opened.
 *
 * It is asked before a packet is opened and told only after the tag was right, so that a forgery can
 * never move it. All comparisons subtract; nothing is ever added to a sequence number from outside.
 */
import { REPLAY_WINDOW_PACKETS } from '../wire/limits.ts';

const WORDS = REPLAY_WINDOW_PACKETS / 32;

export class ReplayWindow {
  readonly #bits = new Uint32Array(WORDS);
  #newest = -1;

  /** Newest sequence number accepted, -1 before the first. */
  get newest(): number {
    return this.#newest;
  }

  /** `replayed`, `stale` (older than the window), or undefined when the number is new. */
  check(seq: number): 'replayed' | 'stale' | undefined {
    const behind = this.#newest - seq;
    if (behind < 0) return undefined;
    if (behind >= REPLAY_WINDOW_PACKETS) return 'stale';
    return (this.#bits[(seq % REPLAY_WINDOW_PACKETS) >>> 5]! >>> (seq & 31)) & 1 ? 'replayed' : undefined;
  }

  /** Marks a number whose packet was opened; only after `check` found it new. */
  accept(seq: number): void {
    const ahead = seq - this.#newest;
    if (ahead >= REPLAY_WINDOW_PACKETS) {
      this.#bits.fill(0);
    } else if (ahead > 0) {
      for (let s = this.#newest + 1; s < seq; s++) this.#clear(s);
    }
    if (ahead > 0) this.#newest = seq;
    this.#bits[(seq % REPLAY_WINDOW_PACKETS) >>> 5]! |= 1 << (seq & 31);
  }

  #clear(seq: number): void {
    this.#bits[(seq % REPLAY_WINDOW_PACKETS) >>> 5]! &= ~(1 << (seq & 31));
  }
}
