/**
 * The people of a room as the game sees them: the roster, with presence.
 */
import type { PeerId, Slot } from '../base/brand.ts';
import type { PortPeer, PortRoster, SeatStatus } from '../port/port.ts';
import type { AnyGame } from '../sync/definition.ts';
import type { Peer, Presence } from './types.ts';

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
  /** Of the last hello on the lane that decides. */
  greeting: number | undefined;
  /** It had the whole room when it said hello: there is something to wait for. */
  ready = false;

  constructor(seat: PortPeer, isSelf: boolean, presence: Presence<G>) {
    this.id = seat.id;
    this.isSelf = isSelf;
    this.slot = seat.slot;
    this.status = seat.status;
    this.spectator = seat.spectator;
    this.via = seat.via;
    this.presence = presence;
  }

  update(seat: PortPeer, roster: PortRoster): void {
    this.slot = seat.slot;
    this.status = seat.status;
    this.spectator = seat.spectator;
    this.via = seat.via;
    this.isHost = roster.host === this.id;
  }
}
