/**
 * States on their way: out to whoever asked, a piece at a time as the link takes them, and in from whoever was asked.
 */
import type { PeerId } from '../../base/brand.ts';
import { MAX_ROLLBACK_STATE_BYTES, ROLLBACK_PIECE_BYTES } from '../../wire/limits.ts';
import type { Row } from './input.ts';
import { encodeState } from './state-codec.ts';
import type { StatePiece, Words } from './words.ts';

/** A state was given a moment ago: who asks again so soon has not seen it yet, ms, … */
const GIVEN_MS = 250;
/** … and for a large one longer, by a line that carries so many bytes in each ms. */
const SLOW_BYTES_PER_MS = 64;

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
  readonly #failed: (what: string, cause: unknown) => void;
  /** One of each kind at most, in the order in which they were asked for. */
  readonly #outgoing = new Map<PeerId, Outgoing[]>();

  /** @param failed told of a state that cannot travel. */
  constructor(words: Words, failed: (what: string, cause: unknown) => void) {
    this.#words = words;
    this.#failed = failed;
  }

  /** Whether `peer` is being given a state of this kind, or has been and may not have seen it yet. */
  isGiving(now: number, peer: PeerId, kind: number): boolean {
    return this.#outgoing.get(peer)?.some((going) => going.head.kind === kind && !isOver(now, going)) === true;
  }

  /** `saved` undefined: there is no such state. */
  give(peer: PeerId, head: StateHead, saved: unknown): void {
    const bytes = saved === undefined ? new Uint8Array(0) : this.#encode(saved);
    const others = this.#outgoing.get(peer)?.filter((going) => going.head.kind !== head.kind) ?? [];
    this.#outgoing.set(peer, [...others, { head, bytes, next: 0, doneAt: Number.POSITIVE_INFINITY }]);
  }

  /** Empty for what cannot travel; the game is told why. */
  #encode(saved: unknown): Uint8Array {
    try {
      return encodeState(saved);
    } catch (error) {
      this.#failed('the state', error);
      return new Uint8Array(0);
    }
  }

  /** `peer` begins anew, and has nothing of what it was given. */
  forget(peer: PeerId): void {
    this.#outgoing.delete(peer);
  }

  /** Sends as much as `send` takes. */
  pump(now: number, present: readonly PeerId[], send: (to: PeerId, bytes: Uint8Array) => boolean): void {
    for (const [peer, all] of this.#outgoing) {
      const going = all.filter((one) => !isOver(now, one));
      if (going.length === 0 || !present.includes(peer)) this.#outgoing.delete(peer);
      else {
        if (going.length < all.length) this.#outgoing.set(peer, going);
        // Whoever takes them puts one together at a time.
        going.every((one) => this.#send(now, one, (bytes) => send(peer, bytes)));
      }
    }
  }

  /** True when all of it is on its way. */
  #send(now: number, going: Outgoing, send: (bytes: Uint8Array) => boolean): boolean {
    const pieces = Math.ceil(going.bytes.length / ROLLBACK_PIECE_BYTES);
    while (going.next < Math.max(1, pieces)) {
      const at = going.next * ROLLBACK_PIECE_BYTES;
      const bytes = going.bytes.subarray(at, at + ROLLBACK_PIECE_BYTES);
      if (!send(this.#words.state({ ...going.head, pieces, index: going.next, bytes }))) return false;
      going.next++;
      if (going.next >= pieces) going.doneAt = now;
    }
    return true;
  }
}

function isOver(now: number, { doneAt, bytes }: Outgoing): boolean {
  return now - doneAt >= GIVEN_MS + bytes.length / SLOW_BYTES_PER_MS;
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
    const isLast = piece.index === piece.pieces - 1;
    if (!isLast && piece.bytes.length !== ROLLBACK_PIECE_BYTES) return undefined;
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
    if (at !== this.#have || at + piece.bytes.length > this.#bytes.length) return undefined;
    this.#bytes.set(piece.bytes, at);
    this.#have += piece.bytes.length;
    if (!isLast) return undefined;
    this.#head = undefined;
    return { ...head, bytes: this.#bytes.subarray(0, this.#have) };
  }
}
