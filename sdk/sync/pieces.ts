/**
 * What a peer may have another value of, of one entity that a budget left out and no datagram takes as a whole: it is told in pieces, as many of those values as
 * fit, until each has been acked. Whole it could go only with everything else, on the reliable channel, and again at every turn of it.
 */
import { MAX_DATAGRAM_MESSAGE_BYTES } from '../wire/limits.ts';
import type { PackWriter } from '../wire/pack.ts';
import { encodePiece } from './delta.ts';
import type { EntityCore } from './entity.ts';

/** Bytes of the values of one piece: it, its origin and the heads of body and frame have to fit a datagram. */
export const PIECE_BYTES = MAX_DATAGRAM_MESSAGE_BYTES - 64;
/** Of an entity that was told whole, or as a difference to all of it. */
const ALL = -1;

export class Pieces {
  /** A bit per value that may be another one at the peer. */
  #owed = 0;
  /** It may be new to the peer, who can do nothing with pieces of it. */
  #isNew = false;
  /** By tick: which values its body held. */
  readonly #told = new Map<number, number>();
  /** A bit per value that was told in this round: the others are next, so that none waits for what changes at every tick. */
  #done = 0;

  /** `core` was left out of a body coded against `baseline`. */
  leaveOut(core: EntityCore, baseline: number): void {
    if (core.bornTick > baseline) this.#isNew = true;
    // Where nothing differs, that it rests is to be told.
    this.#owed |= changedSince(core, baseline) || core.kind.movingMask;
  }

  /** Which values of `core` go into the next body; 0 where it has to go with everything else: new to the peer, or one value alone is too large. */
  next(core: EntityCore, baseline: number, scratch: PackWriter): number {
    this.leaveOut(core, baseline);
    if (this.#isNew) return 0;
    scratch.reset();
    if ((this.#owed & ~this.#done) === 0) this.#done = 0;
    let piece = 0;
    for (const some of [this.#owed & ~this.#done, this.#owed & this.#done])
      for (let left = some; left !== 0; left &= left - 1) {
        const bit = left & -left;
        const before = scratch.offset;
        encodePiece(scratch, core, bit);
        if (scratch.offset - before > PIECE_BYTES) return 0;
        if (scratch.offset > PIECE_BYTES) scratch.offset = before;
        else piece |= bit;
      }
    return piece;
  }

  /** The body of `tick` holds these values, or all that is owed; true where some are not among them. */
  tell(tick: number, piece = ALL): boolean {
    this.#told.set(tick, piece);
    if (piece !== ALL) this.#done |= piece;
    return (this.#owed & ~piece) !== 0;
  }

  /** The peer has the body of `tick`; true when it may still have another value of something than was so at that tick. */
  acked(core: EntityCore, tick: number): boolean {
    const piece = this.#told.get(tick) ?? 0;
    for (const told of this.#told.keys()) if (told <= tick) this.#told.delete(told);
    if (piece === ALL) this.#isNew = false;
    const rest = this.#owed & ~piece;
    this.#owed = rest | changedSince(core, tick);
    return rest !== 0;
  }
}

/** A bit per value that changed after `baseline`; all where the past does not reach back so far. */
function changedSince(core: EntityCore, baseline: number): number {
  const { track, shelf } = core;
  let mask = 0;
  for (let age = 0; age < track.size; age++) {
    const row = track.at(age);
    if (shelf.rows[row]! <= baseline) return mask;
    mask |= shelf.rows[row + 1]!;
  }
  return (2 << core.kind.count) - 1;
}
