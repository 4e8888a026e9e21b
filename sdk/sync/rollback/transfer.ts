/**
 * States on their way: out to whoever asked, a piece at a time as the link takes them, and in from whoever was asked.
 */
import type { PeerId } from '../../base/brand.ts';
import { MAX_ROLLBACK_STATE_BYTES, ROLLBACK_PIECE_BYTES } from '../../wire/limits.ts';
import type { Row } from './input.ts';
import type { StatePiece, Words } from './words.ts';

/** A state was given a moment ago: who asks again so soon has not seen it yet, ms. */
const GIVEN_MS = 250;

/** What a state comes with. */
export type StateHead = Omit<StatePiece, 'pieces' | 'index' | 'bytes'>;

interface Outgoing {
  readonly head: StateHead;
  readonly bytes: Uint8Array;
  next: number;
  doneAt: number;
}

export class StateGiver {
  readonly #words: Words;
  readonly #outgoing = new Map<PeerId, Outgoing>();

  constructor(words: Words) {
    this.#words = words;
  }

  /** Whether `peer` is being given a state of this kind, or was a moment ago. */
  isGiving(now: number, peer: PeerId, kind: number): boolean {
    const going = this.#outgoing.get(peer);
    return going !== undefined && going.head.kind === kind && now - going.doneAt < GIVEN_MS;
  }

  /** `bytes` empty: there is no such state. */
  give(peer: PeerId, head: StateHead, bytes: Uint8Array): void {
    this.#outgoing.set(peer, { head, bytes, next: 0, doneAt: Number.POSITIVE_INFINITY });
  }

  /** Sends as much as `send` takes. */
  pump(now: number, present: readonly PeerId[], send: (to: PeerId, bytes: Uint8Array) => boolean): void {
    for (const [peer, going] of this.#outgoing) {
      if (!present.includes(peer) || now - going.doneAt >= GIVEN_MS) {
        this.#outgoing.delete(peer);
        continue;
      }
      const pieces = Math.ceil(going.bytes.length / ROLLBACK_PIECE_BYTES);
      while (going.next < Math.max(1, pieces)) {
        const at = going.next * ROLLBACK_PIECE_BYTES;
        const bytes = going.bytes.subarray(at, at + ROLLBACK_PIECE_BYTES);
        if (!send(peer, this.#words.state({ ...going.head, pieces, index: going.next, bytes }))) break;
        going.next++;
        if (going.next >= pieces) going.doneAt = now;
      }
    }
  }

  get isBusy(): boolean {
    for (const going of this.#outgoing.values()) if (going.doneAt === Number.POSITIVE_INFINITY) return true;
    return false;
  }
}

/** A state that has arrived. */
export interface TakenState extends StateHead {
  readonly row: Row;
  /** Undefined when the other one has it no longer. */
  readonly bytes: Uint8Array | undefined;
}

/** Puts together the pieces of one state; another one that begins takes its place. */
export class StateTaker {
  #head: StatePiece | undefined;
  #bytes = new Uint8Array(0);
  #have = 0;

  take(piece: StatePiece): TakenState | undefined {
    if (piece.pieces === 0) return { ...piece, bytes: undefined };
    if (piece.index === 0) {
      this.#head = piece;
      this.#have = 0;
      // By what is promised, which is bounded; what comes is looked at piece by piece.
      this.#bytes = new Uint8Array(Math.min(piece.pieces * ROLLBACK_PIECE_BYTES, MAX_ROLLBACK_STATE_BYTES));
    }
    const head = this.#head;
    // They come in order: what does not fit is the rest of one that was given up.
    if (head === undefined || head.tick !== piece.tick || head.kind !== piece.kind || head.pieces !== piece.pieces) return undefined;
    const at = piece.index * ROLLBACK_PIECE_BYTES;
    const isLast = piece.index === piece.pieces - 1;
    if (at !== this.#have || at + piece.bytes.length > this.#bytes.length || (!isLast && piece.bytes.length !== ROLLBACK_PIECE_BYTES))
      return undefined;
    this.#bytes.set(piece.bytes, at);
    this.#have += piece.bytes.length;
    if (!isLast) return undefined;
    this.#head = undefined;
    return { ...head, bytes: this.#bytes.subarray(0, this.#have) };
  }
}
