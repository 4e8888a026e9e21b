/**
 * The goodbye of one link: said three times with what is still queued, then again to a peer that goes on
 * sending because it missed them all.
 *
 *   saying --3 times--> lingering --1.5 s--> over        lingering --packet from the peer--> saying, once
 */
import type { CloseReason } from './endpoint-types.ts';

const GOODBYES = 3;
const GOODBYE_MS = 40;
/** A peer that still sends after the last goodbye has not heard it: so long it is said again, this often. */
const LINGER_MS = 1_500;
const GOODBYE_AGAIN_MS = 100;
/** Packets of queued data that still leave with a goodbye. */
const LAST_WORDS_PACKETS = 64;

export class Farewell {
  readonly reason: CloseReason;
  #left = GOODBYES;
  #lastWords = 0;
  #lingerUntil = Infinity;

  constructor(reason: CloseReason) {
    this.reason = reason;
  }

  /** All was said, and time was given to those who missed it. Asked when the timer is due. */
  get over(): boolean {
    return this.#left === 0;
  }

  /** A packet came though we said goodbye; true when it is to be said once more, now. */
  hear(now: number, sentAt: number): boolean {
    if (this.#left > 0 || now - sentAt < GOODBYE_AGAIN_MS) return false;
    this.#left = 1;
    return true;
  }

  /** True while packets of queued data may go before the goodbye. */
  takeLastWords(): boolean {
    return this.#lastWords++ < LAST_WORDS_PACKETS;
  }

  /** One goodbye was said. Returns when the timer is due next. */
  onSaid(now: number): number {
    if (--this.#left > 0) return now + GOODBYE_MS * (GOODBYES - this.#left);
    if (this.#lingerUntil === Infinity) this.#lingerUntil = now + LINGER_MS;
    return this.#lingerUntil;
  }

  /** True when another goodbye follows by itself. */
  get more(): boolean {
    return this.#left > 0;
  }
}
