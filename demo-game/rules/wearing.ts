/**
 * Which paint this player wears. Two players must not share one while others are free: who had it first keeps it, for the floor in it
 * is theirs; a newcomer moves on, whatever its seat. Nor does a newcomer take a paint in which bots, or players who left, have painted
 * this round: that floor would count for it. Who was there this round and comes back gets its own paint again.
 */
import type { PeerId } from 'lanista';
import { paintCount } from './arena.ts';
import type { ChromaRoom } from './game.ts';
import { bareHue, freeHue, hadEarlier, noHue } from './game.ts';
import { Held } from './held.ts';

/** Worn this long, a paint is somebody's: who has just come may have to take another one. */
export const settledMs = 3000;

export class Wearing implements Disposable {
  readonly #room: ChromaRoom;
  readonly #off = new Held();
  /** Who wore what in this round, as far as this peer saw. */
  readonly #worn = new Map<PeerId, number>();
  #claimed = false;

  constructor(room: ChromaRoom) {
    this.#room = room;
    this.#tend();
    this.#off.use(room.on('presence', () => this.#tend()));
    this.#off.use(room.on('join', () => this.#tend()));
    this.#off.use(room.on('merge', () => this.#tend()));
    this.#off.use(room.clock.every(1, () => this.#tend()));
  }

  /** A round begins, and with it another story of who wore what. */
  startRound(): void {
    this.#worn.clear();
    this.#note(0);
  }

  /** What somebody wore last in this round, or `noHue`. */
  wornBy(peer: PeerId): number {
    return this.#worn.get(peer) ?? noHue;
  }

  /**
   * For who comes into a running round, once its floor is there.
   * @param before the hue that this player wore in it before, or `noHue`.
   * @param coverage cells per paint, index 0 bare.
   */
  settle(before: number, coverage: readonly number[]): void {
    const taken = this.#taken();
    const mayHave = before < paintCount && !taken.has(before);
    this.#wear(mayHave ? before : bareHue(this.#room.self.presence.hue, taken, coverage));
  }

  [Symbol.dispose](): void {
    this.#off[Symbol.dispose]();
  }

  #tend(): void {
    const { self, peers } = this.#room;
    let clash = false;
    for (const peer of peers.values())
      clash ||= wears(peer) && peer.presence.hue % paintCount === self.presence.hue % paintCount && hadEarlier(peer, self);
    this.#wear(clash ? freeHue(self.presence.hue, this.#taken()) : self.presence.hue % paintCount);
    this.#note(settledMs);
  }

  #wear(hue: number): void {
    const { self, clock } = this.#room;
    if (!this.#claimed || hue !== self.presence.hue % paintCount) this.#room.setPresence({ hue, hueSince: Math.round(clock.now()) });
    this.#claimed = true;
  }

  #taken(): Set<number> {
    return new Set([...this.#room.peers.values()].filter(wears).map((peer) => peer.presence.hue % paintCount));
  }

  #note(forMs: number): void {
    const now = this.#room.clock.now();
    for (const peer of this.#room.peers.values())
      if (wears(peer) && now - peer.presence.hueSince >= forMs) this.#worn.set(peer.id, peer.presence.hue % paintCount);
  }
}

/** Somebody else who plays, and has said its paint. */
function wears(peer: { readonly isSelf: boolean; readonly spectator: boolean; readonly presence: { readonly hue?: number } }): boolean {
  return !peer.isSelf && !peer.spectator && peer.presence.hue !== undefined;
}
