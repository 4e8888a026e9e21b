/**
 * Who gives: each question is answered by one piece, or by the word that there is none, or not at all while too much is on its way to that peer. Nothing
 * is kept of who asked but this:
 *
 * One block that fifteen want at once would leave here fifteen times, and all of them would have it last. So a large one is given to a few at a time; the
 * others get a piece without bytes, and the word that there is none when they ask who has it. Soon those who were served first have it, and say so. What is
 * small is given to everybody at once.
 */
import type { PeerId } from '../../base/brand.ts';
import { CONTENT_PIECE_BYTES, CONTENT_QUEUE_BYTES, CONTENT_WINDOW, MAX_CONTENT_QUEUE_BYTES, MAX_CONTENT_TAKERS } from '../../wire/limits.ts';
import { encodeNone, encodePiece, WHETHER } from './words.ts';

/** Who has not asked for so long takes nothing any more, ms. */
const TAKING_MS = 1_000;

/** What a window takes at once is gone before anybody could wait for it. */
const SMALL_BYTES = CONTENT_WINDOW * CONTENT_PIECE_BYTES;

const NOTHING = new Uint8Array(0);

export interface GiverWorld {
  now(): number;
  /** Present peers but this one. */
  present(): readonly PeerId[];
  send(to: PeerId, bytes: Uint8Array): boolean;
  /** Bytes of content on their way to `peer`. */
  queued(peer: PeerId): number;
}

export class ContentGiver {
  readonly #world: GiverWorld;
  /** Whom large blocks are given to, and when each asked last. */
  readonly #takers = new Map<PeerId, number>();

  constructor(world: GiverWorld) {
    this.#world = world;
  }

  /** @param held the block that is asked for; undefined when it is not here. */
  answer(from: PeerId, hash: Uint8Array, offset: number, held: Uint8Array | undefined): void {
    const world = this.#world;
    const queued = world.queued(from);
    const isFull = this.#isFull();
    // Whoever hears nothing at all stops asking.
    if (isFull && queued === 0 && offset === WHETHER) return void world.send(from, encodeNone(hash));
    if (isFull || queued > CONTENT_QUEUE_BYTES) return;
    const isLarge = held !== undefined && held.length > SMALL_BYTES;
    const serves = !isLarge || this.#serves(from);
    if (held === undefined || (!serves && offset === WHETHER)) return void world.send(from, encodeNone(hash));
    const bytes = serves && offset < held.length ? held.subarray(offset, offset + CONTENT_PIECE_BYTES) : NOTHING;
    if (!world.send(from, encodePiece(hash, held.length, offset, bytes)) || !isLarge || bytes.length === 0) return;
    if (offset + bytes.length < held.length) this.#takers.set(from, world.now());
    else this.#takers.delete(from);
  }

  #isFull(): boolean {
    let sum = 0;
    for (const peer of this.#world.present()) sum += this.#world.queued(peer);
    return sum > MAX_CONTENT_QUEUE_BYTES;
  }

  /** Whether `peer` is one of the few, or may become one. */
  #serves(peer: PeerId): boolean {
    if (this.#takers.has(peer) || this.#takers.size < MAX_CONTENT_TAKERS) return true;
    const now = this.#world.now();
    for (const [taker, at] of this.#takers) if (now - at >= TAKING_MS) this.#takers.delete(taker);
    return this.#takers.size < MAX_CONTENT_TAKERS;
  }

  /** `peer` takes nothing any more. */
  forget(peer: PeerId): void {
    this.#takers.delete(peer);
  }
}
