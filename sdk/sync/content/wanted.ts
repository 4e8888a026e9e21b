/**
 * One block that is wanted: who may have it, who is asked for it, and what has come.
 *
 *   looking ──somebody has it, a place among the transfers is free──► transferring ──all is here──► checking ──the hash is right──► found
 *      ▲                                                                  │                            │
 *      └───────── the peer left, lags, or has it no longer ◄──────────────┴──── the hash is wrong ◄────┘
 *
 * **Whom to ask.** Everybody at once is asked whether it is there: one round trip, however many have it not. Whoever says so first is asked for the
 * pieces: who is near and has little to do is the first to answer, so that those who want one block at the same time spread over those who have it.
 *
 * **Whom to believe.** Nobody, until the hash of the whole was taken. Pieces of several peers may be mixed, as when one leaves in the middle; when the
 * whole turns out wrong then, nobody knows who lied, and from there on all of it has to come from one.
 */
import type { PeerId } from '../../base/brand.ts';
import { CONTENT_PIECE_BYTES, CONTENT_WINDOW } from '../../wire/limits.ts';
import { WHETHER } from './words.ts';

/** Everybody is asked again after this, doubling to the longest, ms. Who comes is asked at once. */
const LOOK_MS = 250;
const LOOK_MAX_MS = 1_000;
/** Answers are waited for so long where the first is of somebody who did not give before, ms. */
const GATHER_MS = 100;
/** Without a piece for so long what was asked for is asked for again, doubling to the longest, ms: on a slow line they only take their time. */
const PATIENCE_MS = 500;
const PATIENCE_MAX_MS = 4_000;
/** Who did not answer so often in a row lags. */
const STRIKES = 2;
/** What a peer gives is looked at after this, doubling each time, ms; who gave less than this in a second of it lags, where somebody else has it. */
const REVIEW_MS = 3_000;
const SLOW_BYTES_PER_S = 64 * 1_024;

export interface WantedWorld {
  ask(to: PeerId, hash: Uint8Array, offset: number): boolean;
  /** Pieces asked of `peer` and not here yet, of all blocks. */
  outstanding(peer: PeerId): number;
  /** Whoever waits takes no more than this. */
  maxBytes(): number;
  /** How many of them may be of one block: what is small does not wait until all of a large one is here. */
  share(peer: PeerId): number;
  /** Whether `peer` gave out something else as this block. */
  isLiar(peer: PeerId): boolean;
  /** It gave out something else as this block. */
  accuse(peer: PeerId): void;
}

/** What became of a piece: `whole` when nothing is missing any more; else why it was dropped. */
export type Taken = 'taken' | 'whole' | 'content-unasked' | 'content-size';

export class Wanted {
  readonly hash: Uint8Array;
  readonly #world: WantedWorld;
  /** Who was asked whether it is there, and has not said. */
  readonly #asked = new Set<PeerId>();
  /** Who came, and is to be asked. */
  readonly #comers = new Set<PeerId>();
  /** Who says so, the first first. */
  readonly #holders = new Set<PeerId>();
  /** How often each was asked for pieces and lagged. */
  readonly #failures = new Map<PeerId, number>();
  /** All of it has to come from one. */
  #alone = false;
  /** Who gives. */
  #source: PeerId | undefined;
  /** What was asked of it and is not here, in that order. */
  #asking: number[] = [];
  #strikes = 0;
  #patienceMs = PATIENCE_MS;
  #heardAt = 0;
  #reviewAt = 0;
  #reviewMs = REVIEW_MS;
  #reviewed = 0;
  #lookAt = 0;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #lookMs = LOOK_MS;
  #gatherAt = 0;
  #size: number | undefined;
  #pieces: (Uint8Array | undefined)[] = [];
  #have = 0;
  /** The first that may be missing. */
  #next = 0;
  /** Of whom the pieces are. */
  readonly #givers = new Set<PeerId>();
  /** The hash of the whole is being taken. */
  isChecked = false;
  /** Somebody said that it is larger than anybody here takes. */
  isLarger = false;

  constructor(hash: Uint8Array, world: WantedWorld) {
    this.hash = hash;
    this.#world = world;
  }

  get source(): PeerId | undefined {
    return this.#source;
  }

  get outstanding(): number {
    return this.#asking.length;
  }

  /** Something of it has come, and nobody gives the rest. */
  get isHalf(): boolean {
    return this.#source === undefined && this.#have > 0;
  }

  /** @param isFree whether one more may travel. */
  run(now: number, present: readonly PeerId[], isFree: boolean): void {
    if (this.isChecked) return;
    if (this.#lookAt <= now) this.#look(now, present);
    for (const peer of this.#comers) this.#askWhether(peer);
    this.#comers.clear();
    if (this.#source !== undefined) this.#watch(now);
    if (this.#source === undefined && isFree) this.#choose(now);
    if (this.#source !== undefined) this.#fill(this.#source);
  }

  /** When `run` is to be called next. */
  deadline(isFree: boolean): number {
    if (this.isChecked) return Number.POSITIVE_INFINITY;
    if (this.#source !== undefined) return Math.min(this.#lookAt, this.#heardAt + this.#patienceMs, this.#reviewAt);
    return isFree && this.#holders.size > 0 ? Math.min(this.#lookAt, this.#gatherAt) : this.#lookAt;
  }

  /** `peer` has come: it may have it. */
  meet(peer: PeerId): void {
    this.#holders.delete(peer);
    this.#comers.add(peer);
  }

  /** `peer` is gone, or has it no longer. */
  lose(now: number, peer: PeerId): void {
    this.#asked.delete(peer);
    this.#comers.delete(peer);
    this.#holders.delete(peer);
    if (this.#source === peer && !this.isChecked) this.#drop(now);
  }

  /** What was asked of `peer` may be lost on the way. */
  linkAnew(now: number, peer: PeerId): void {
    if (this.#source !== peer) return this.meet(peer);
    this.#asking = [];
    this.#heardAt = now;
  }

  take(now: number, from: PeerId, size: number, offset: number, bytes: Uint8Array): Taken {
    const isTooLarge = size > this.#world.maxBytes();
    if (offset === WHETHER && this.#asked.delete(from)) {
      if (isTooLarge) this.isLarger = true;
      else this.#holders.add(from);
      return 'taken';
    }
    const at = this.#asking.indexOf(offset);
    if (this.isChecked || from !== this.#source || at < 0) return 'content-unasked';
    const isNone = bytes.length === 0;
    const isOdd = !isNone && (offset >= size || bytes.length !== Math.min(CONTENT_PIECE_BYTES, size - offset));
    const isOther = this.#size !== undefined && this.#size !== size;
    if (isOdd || (isOther && this.#givers.has(from))) return this.#refuse(now, from);
    if (isTooLarge) {
      // It said so before, but for somebody who waits no longer; or it says now one thing and now another.
      if (this.#size === size) this.clear();
      this.#lag(now, from);
      return 'content-size';
    }
    if (isOther) {
      // One of them lies. Whoever it is, with all of it from one it comes out.
      this.#alone = true;
      this.clear();
    }
    if (isNone) {
      // It gives to others now, and soon they have it, too; or nothing is where somebody made us look for it.
      this.#lag(now, from);
      return 'taken';
    }
    this.#size = size;
    this.#givers.add(from);
    // They come in the order of the questions: those before it were not answered.
    this.#asking.splice(0, at + 1);
    this.#heardAt = now;
    this.#strikes = 0;
    this.#pieces[offset / CONTENT_PIECE_BYTES] = bytes;
    this.#have += bytes.length;
    return this.#have === size ? 'whole' : 'taken';
  }

  #refuse(now: number, from: PeerId): Taken {
    this.#world.accuse(from);
    if (this.#givers.has(from)) this.clear();
    this.lose(now, from);
    return 'content-size';
  }

  /** All of it, once nothing is missing. */
  whole(): Uint8Array {
    const whole = new Uint8Array(this.#have);
    this.#pieces.forEach((piece, i) => whole.set(piece!, i * CONTENT_PIECE_BYTES));
    this.#pieces = [];
    return whole;
  }

  /** It is something else than what is wanted. */
  deny(now: number): void {
    this.isChecked = false;
    const [giver, ...others] = this.#givers;
    if (others.length > 0) this.#alone = true;
    else if (giver !== undefined) {
      this.#world.accuse(giver);
      this.#holders.delete(giver);
    }
    this.clear();
    this.#drop(now);
  }

  #look(now: number, present: readonly PeerId[]): void {
    for (const peer of present) if (peer !== this.#source) this.#askWhether(peer);
    this.#comers.clear();
    this.#lookedAt = now;
    this.#gatherAt = now + GATHER_MS;
    this.#lookAt = this.#source === undefined ? now + this.#lookMs : Number.POSITIVE_INFINITY;
    this.#lookMs = Math.min(2 * this.#lookMs, LOOK_MAX_MS);
  }

  /** Now, but not again and again: somebody may say each time that he has it, and give nothing. */
  #lookSoon(now: number): void {
    this.#lookMs = LOOK_MS;
    this.#lookAt = Math.max(now, this.#lookedAt + LOOK_MS);
  }

  #askWhether(peer: PeerId): void {
    if (!this.#world.isLiar(peer) && this.#world.ask(peer, this.hash, WHETHER)) this.#asked.add(peer);
  }

  /** Whoever lagged least, and of those the first; while others may still answer, only one who never did. */
  #choose(now: number): void {
    let best: PeerId | undefined;
    for (const peer of this.#holders) if (best === undefined || this.#failed(peer) < this.#failed(best)) best = peer;
    if (best === undefined || (this.#failed(best) > 0 && now < this.#gatherAt)) return;
    this.#begin(now, best);
  }

  #failed(peer: PeerId): number {
    return this.#failures.get(peer) ?? 0;
  }

  #begin(now: number, peer: PeerId): void {
    if (this.#alone && [...this.#givers].some((giver) => giver !== peer)) this.clear();
    this.#source = peer;
    this.#strikes = 0;
    this.#patienceMs = Math.min(PATIENCE_MS * 2 ** this.#failed(peer), PATIENCE_MAX_MS);
    this.#heardAt = now;
    this.#reviewAt = now + this.#reviewMs;
    this.#reviewed = this.#have;
    this.#lookAt = Number.POSITIVE_INFINITY;
  }

  /** Whether who gives does. */
  #watch(now: number): void {
    if (now >= this.#reviewAt) this.#review(now);
    if (this.#source === undefined || now < this.#heardAt + this.#patienceMs) return;
    this.#heardAt = now;
    // Its window is used up by others that are wanted of it, until their next pieces are here.
    if (this.#asking.length === 0) return;
    this.#strikes++;
    this.#patienceMs = Math.min(2 * this.#patienceMs, PATIENCE_MAX_MS);
    this.#asking = [];
    // Of whom nothing has come yet nothing is expected.
    if (this.#strikes >= STRIKES || !this.#givers.has(this.#source)) this.#lag(now, this.#source);
    else this.#lookSoon(now);
  }

  /** Who gives little gives way to somebody else who has it; whether there is one is asked before. */
  #review(now: number): void {
    const isSlow = this.#have - this.#reviewed < (SLOW_BYTES_PER_S * this.#reviewMs) / 1_000;
    const hasOther = [...this.#holders].some((peer) => peer !== this.#source);
    if (isSlow && hasOther) {
      this.#reviewMs *= 2;
      return this.#lag(now, this.#source!);
    }
    this.#reviewed = this.#have;
    this.#reviewAt = now + this.#reviewMs;
    if (isSlow) this.#lookSoon(now);
  }

  #lag(now: number, peer: PeerId): void {
    this.#failures.set(peer, this.#failed(peer) + 1);
    this.lose(now, peer);
  }

  /** Nobody gives; what has come is kept. */
  #drop(now: number): void {
    this.#source = undefined;
    this.#asking = [];
    this.#lookSoon(now);
  }

  /** What has come is thrown away. */
  clear(): void {
    this.#size = undefined;
    this.#pieces = [];
    this.#have = 0;
    this.#next = 0;
    this.#givers.clear();
    this.#asking = [];
  }

  /** Asks for what is missing, as far as the window goes; for one piece alone until the size is known. */
  #fill(source: PeerId): void {
    const size = this.#size ?? 1;
    const share = this.#world.share(source);
    while (this.#asking.length < share && this.#world.outstanding(source) < CONTENT_WINDOW) {
      while (this.#pieces[this.#next] !== undefined) this.#next++;
      let index = this.#next;
      while (this.#pieces[index] !== undefined || this.#asking.includes(index * CONTENT_PIECE_BYTES)) index++;
      const offset = index * CONTENT_PIECE_BYTES;
      if (offset >= size || !this.#world.ask(source, this.hash, offset)) return;
      this.#asking.push(offset);
    }
  }
}
