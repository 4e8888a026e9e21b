/**
 * The people of a room as the game sees them: the roster, with presence.
 */
import type { PeerId, Slot } from '../base/brand.ts';
import type { LeaveReason, PortDeparture, PortPeer, PortRoster, RoomPort, SeatStatus } from '../port/port.ts';
import type { AnyGame } from '../sync/definition.ts';
import type { Peer, Presence } from './types.ts';

/** Whether the port itself still has this peer present, and us: what it says of others, or of its end, may not have been read yet. */
export function isHere(port: RoomPort, peer: PeerId): boolean {
  const { peers } = port.roster();
  const isPresent = (one: PeerId): boolean => peers.some(({ id, status }) => id === one && status === 'present');
  return !port.over && isPresent(peer) && isPresent(port.self);
}

const INNER = ['session', 'former', 'greeting', 'ready', 'owes', 'followed'] as const satisfies readonly (keyof SeatView<AnyGame>)[];

/** One seat; the same object for as long as it is kept. */
export class SeatView<G extends AnyGame> implements Peer<G> {
  readonly id: PeerId;
  readonly isSelf: boolean;
  slot: Slot;
  status: SeatStatus;
  spectator: boolean;
  via: PeerId | undefined;
  isHost = false;
  presence: Presence<G>;
  /** The other side's Room instance; undefined until it said hello. */
  session: number | undefined;
  /** Those before it since the link began: what one lane still brings of them is old. */
  readonly former = new Set<number>();
  /** Of the last hello on the lane that decides. */
  greeting: number | undefined;
  /** It had the whole room when it said hello: there is something to wait for. */
  ready = false;
  /** It knew us before we started anew, and has not told all of that yet. */
  owes = false;
  /** Newest tick that we had of those sessions of it that are over; -1 for none. */
  followed = -1;

  constructor(seat: PortPeer, isSelf: boolean, presence: Presence<G>) {
    this.id = seat.id;
    this.isSelf = isSelf;
    this.slot = seat.slot;
    this.status = seat.status;
    this.spectator = seat.spectator;
    this.via = seat.via;
    this.presence = presence;
    // What is printed, or made JSON of, is what the game knows of a peer.
    for (const inner of INNER) Object.defineProperty(this, inner, { enumerable: false });
  }

  update(seat: PortPeer, roster: PortRoster): void {
    this.slot = seat.slot;
    this.status = seat.status;
    this.spectator = seat.spectator;
    this.via = seat.via;
    this.isHost = roster.host === this.id;
  }
}

/** What another roster means to people. */
export interface SeatChanges<G extends AnyGame> {
  readonly moved: readonly { readonly seat: SeatView<G>; readonly event: 'away' | 'back' }[];
  readonly gone: readonly { readonly seat: SeatView<G>; readonly reason: LeaveReason }[];
}

/**
 * Seats by their peer. A walk sees who was there when it began and still is, each once: in a plain `Map` whoever comes moves those behind it, and a game
 * that waits on the way would meet them again.
 */
class SeatMap<G extends AnyGame> extends Map<PeerId, SeatView<G>> {
  override *entries(): Generator<[PeerId, SeatView<G>], undefined> {
    for (const id of [...super.keys()]) {
      // Who left and came back has another seat.
      const seat = super.get(id);
      if (seat !== undefined) yield [id, seat];
    }
  }
  override *keys(): Generator<PeerId, undefined> {
    for (const [id] of this.entries()) yield id;
  }
  override *values(): Generator<SeatView<G>, undefined> {
    for (const [, seat] of this.entries()) yield seat;
  }
  override [Symbol.iterator](): Generator<[PeerId, SeatView<G>], undefined> {
    return this.entries();
  }
}

/** All seats, in the order of their slots. */
export class Seats<G extends AnyGame> {
  readonly byPeer = new SeatMap<G>();
  /** Who is present, this peer not counted. */
  present: readonly PeerId[] = [];
  readonly #self: PeerId;

  constructor(self: PeerId) {
    this.#self = self;
  }

  /** @param presence what this peer says of itself, for the roster that seats it first. */
  apply(roster: PortRoster, left: readonly Pick<PortDeparture, 'id' | 'reason'>[], presence: Presence<G>): SeatChanges<G> {
    const moved: { readonly seat: SeatView<G>; readonly event: 'away' | 'back' }[] = [];
    const gone: { readonly seat: SeatView<G>; readonly reason: LeaveReason }[] = [];
    for (const seat of roster.peers) {
      const isSelf = seat.id === this.#self;
      let view = this.byPeer.get(seat.id);
      if (view === undefined) {
        view = new SeatView<G>(seat, isSelf, isSelf ? presence : ({} as Presence<G>));
        this.byPeer.set(seat.id, view);
      } else if (view.status !== seat.status && !isSelf) moved.push({ seat: view, event: seat.status === 'away' ? 'away' : 'back' });
      view.update(seat, roster);
    }
    for (const view of [...this.byPeer.values()]) {
      // A roster that leaves this peer out is followed by `closed`; until then it still is itself.
      if (view.isSelf || roster.peers.some((seat) => seat.id === view.id)) continue;
      this.byPeer.delete(view.id);
      gone.push({ seat: view, reason: left.find((departure) => departure.id === view.id)?.reason ?? 'timeout' });
    }
    this.#sort();
    this.present = roster.peers.filter((seat) => seat.status === 'present' && seat.id !== this.#self).map((seat) => seat.id);
    return { moved, gone };
  }

  /** A Map lists in order of insertion, and people expect the order of seats. */
  #sort(): void {
    const seats = [...this.byPeer.values()];
    if (seats.every((seat, i) => i === 0 || seats[i - 1]!.slot <= seat.slot)) return;
    this.byPeer.clear();
    for (const seat of seats.sort((a, b) => a.slot - b.slot)) this.byPeer.set(seat.id, seat);
  }
}
