/**
 * A new host's first question: how far has everybody come? It waits for those who are present, for a moment, for one of them may have died.
 */
import type { PeerId } from '../../base/brand.ts';
import type { HeldWords } from './words.ts';

/** Who has not answered by then is not waited for, ms. */
const ANSWER_MS = 500;
/** Of a state that was asked for nothing more has come by then: another one is asked, ms. */
const STATE_MS = 1_500;
/** However slowly it comes, ms. */
const LONGEST_MS = 30_000;
/** Rows of as many players as there may be that one message holds, and some less: who is further by no more shows all of it in the answer. */
export const SHOWN_TICKS = 200;
/** Somebody who plays is asked so often before this host takes it that nobody does. */
const MAX_ASKS = 3;

export interface HeldAnswer extends HeldWords {
  readonly peer: PeerId;
}

export class Takeover {
  readonly term: number;
  readonly #waiting: Set<PeerId>;
  readonly #answers: HeldAnswer[] = [];
  readonly #asks = new Map<PeerId, number>();
  #until: number;
  #latest = Number.POSITIVE_INFINITY;
  /** Whose state is on its way. */
  source: PeerId | undefined;
  /** The newest tick that anybody has answered with. */
  furthest = 0;
  hasState = false;
  /** Somebody has one, and cannot send it. */
  isRefused = false;
  readonly isLast: boolean;

  /** @param isLast nobody is asked once more where a state came that is older than what its owner knew. */
  constructor(now: number, term: number, present: readonly PeerId[], isLast = false) {
    this.term = term;
    this.isLast = isLast;
    this.#waiting = new Set(present);
    this.#until = now + ANSWER_MS;
  }

  handle(peer: PeerId, words: HeldWords): void {
    if (words.term !== this.term || !this.#waiting.delete(peer) || words.confirmed === undefined) return;
    this.#answers.push({ peer, ...words });
    this.furthest = Math.max(this.furthest, words.confirmed);
  }

  /** Whether nothing is to be waited for any more: answers, or the state of `source`. */
  isDone(now: number, present: readonly PeerId[]): boolean {
    if (now >= this.#until) return true;
    if (this.source !== undefined) return !present.includes(this.source);
    for (const peer of this.#waiting) if (!present.includes(peer)) this.#waiting.delete(peer);
    return this.#waiting.size === 0;
  }

  /** The answers, who has come furthest first; each once. */
  next(): HeldAnswer | undefined {
    this.#answers.sort((a, b) => b.confirmed! - a.confirmed!);
    return this.#answers.shift();
  }

  mayAsk(peer: PeerId): boolean {
    return (this.#asks.get(peer) ?? 0) < MAX_ASKS;
  }

  /** The state of `peer` is asked for. */
  ask(now: number, peer: PeerId): void {
    this.source = peer;
    this.#asks.set(peer, (this.#asks.get(peer) ?? 0) + 1);
    this.#until = now + STATE_MS;
    this.#latest = now + LONGEST_MS;
  }

  /** This peer stood still for `ms`, and answers may wait to be read. */
  slept(ms: number): void {
    this.#until += ms;
    this.#latest += ms;
  }

  /** A piece of it has come. */
  progress(now: number): void {
    this.#until = Math.min(now + STATE_MS, this.#latest);
  }

  /** All of it has come, or its owner has none: nothing is left to wait for. */
  came(): void {
    this.hasState = true;
    this.source = undefined;
    this.#until = Number.NEGATIVE_INFINITY;
  }
}

/** Whoever takes over with a newer list is believed for this long, until ours shows it, ms. */
const YIELD_MS = 2_000;
/** Nobody takes over more often than this in a second; each answer may be long. */
const MAX_ANSWERS_PER_S = 8;

/** Others who say that they are host now. */
export class Rivals {
  #yieldsUntil = Number.NEGATIVE_INFINITY;
  #term = -1;
  /** Who was believed since the list showed another host; once is enough. */
  readonly #believed = new Set<PeerId>();
  readonly #answers = new Map<PeerId, number>();
  #secondAt = Number.NEGATIVE_INFINITY;

  /** `peer` takes over with `term`; `ours` is that of the list here. False when it does so too often to be answered. */
  handle(now: number, peer: PeerId, term: number, ours: number): boolean {
    if (ours !== this.#term) this.#believed.clear();
    this.#term = ours;
    if (term > ours && !this.#believed.has(peer)) {
      this.#believed.add(peer);
      this.#yieldsUntil = now + YIELD_MS;
    }
    if (now - this.#secondAt >= 1_000) {
      this.#secondAt = now;
      this.#answers.clear();
    }
    const answers = (this.#answers.get(peer) ?? 0) + 1;
    this.#answers.set(peer, answers);
    return answers <= MAX_ANSWERS_PER_S;
  }

  /** Whether this peer says nothing as host, for another one may be. */
  yields(now: number): boolean {
    return now < this.#yieldsUntil;
  }
}
