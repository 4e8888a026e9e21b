/**
 * The seam between the network half and the game half.
 *
 * A `RoomPort` is one seat in one room, seen from above: who is there, who is host, what time it is,
 * bytes out, bytes in. It knows nothing of games, and the game half knows nothing of sockets. Three
 * implementations keep the same contract (`test/port.contract.ts`): the UDP mesh (`mesh/`), the
 * WebSocket bridge of a page (`browser/`), and an in-memory room (`port/memory.ts`).
 *
 * Sans-IO: `now` (monotonic ms of this process or page) comes in as the first parameter; after every
 * call that may change something, `poll()` is drained until it returns `undefined`.
 */
import type { PeerId, RoomId, Slot } from '../base/brand.ts';

/**
 * How bytes travel.
 * - `reliable`: exactly once, in order per lane, up to `MAX_MESSAGE_BYTES`.
 * - `sequenced`: newest wins per lane; an older one that comes late is dropped. One datagram at most.
 * - `unreliable`: as it comes, at most once, perhaps never. One datagram at most.
 */
export type Channel = 'reliable' | 'sequenced' | 'unreliable';

export type SeatStatus = 'present' | 'away';

/** One line of the roster. */
export interface PortPeer {
  readonly id: PeerId;
  readonly slot: Slot;
  /** `away` peers keep their seat for the grace period; nothing can be sent to them meanwhile. */
  readonly status: SeatStatus;
  readonly spectator: boolean;
  /** False while the peer should not be host (a hidden page). */
  readonly eligible: boolean;
  /** Set when frames to this peer are relayed through another member. */
  readonly via: PeerId | undefined;
}

/** The agreed list of a room, as this seat sees it now. Immutable; a change is a new object. */
export interface PortRoster {
  readonly roomId: RoomId;
  readonly name: string;
  /** Most players; spectators come on top. */
  readonly max: number;
  readonly locked: boolean;
  /** Grows with every change of the list. */
  readonly epoch: number;
  /** Grows with every host change. */
  readonly term: number;
  readonly host: PeerId;
  /** Sorted by slot; includes this peer. */
  readonly peers: readonly PortPeer[];
}

/** Why a seat is gone for good. */
export type LeaveReason =
  /** The peer left by itself, and said so. */
  | 'bye'
  /** It was not heard of for the whole grace period, 20 s by default. */
  | 'timeout'
  /** The host removed it; it cannot come back while the room lives. */
  | 'kicked';

/** Why one's own seat is gone. */
export type PortCloseReason =
  | LeaveReason
  /** The local process behind this page is gone. */
  | 'bridge'
  /** Another process in the room plays with this player's key, as after copying a disk or a profile. */
  | 'copied';

export interface PortDeparture {
  readonly id: PeerId;
  readonly slot: Slot;
  readonly reason: LeaveReason;
}

export type PortEvent =
  /** The roster changed. `left` names who is gone for good since the last roster, and why. */
  | { readonly type: 'roster'; readonly roster: PortRoster; readonly left: readonly PortDeparture[] }
  | { readonly type: 'message'; readonly from: PeerId; readonly channel: Channel; readonly lane: number; readonly bytes: Uint8Array }
  /** The link to this peer started anew: reliable messages under way may be lost, both ways. */
  | { readonly type: 'reset'; readonly peer: PeerId }
  /**
   * Two parts of the room (or two rooms started at once) became one.
   * `lost` is true when this side's host-owned state gives way to the other side's.
   */
  | { readonly type: 'merge'; readonly lost: boolean; readonly joined: readonly PeerId[] }
  /** This seat is gone; nothing follows. */
  | { readonly type: 'closed'; readonly reason: PortCloseReason };

/** What is known of the path to one peer. Ratios are 0 to 1, over the last seconds. */
export interface PeerStats {
  readonly rttMs: number;
  readonly jitterMs: number;
  readonly lossOutRatio: number;
  readonly lossInRatio: number;
  readonly bytesOut: number;
  readonly bytesIn: number;
  readonly packetsOut: number;
  readonly packetsIn: number;
  /** Reliable bytes queued or in flight. */
  readonly queuedBytes: number;
}

export interface PortStats {
  readonly peers: ReadonlyMap<PeerId, PeerStats>;
  /** Refused input, by reason, since the start. */
  readonly drops: Readonly<Record<string, number>>;
}

/** The three moments at which the page and process trade places, and everything between. */
export interface RoomPort {
  readonly self: PeerId;
  roster(): PortRoster;
  /** The seat is gone: `closed` was said, or is about to be. */
  readonly over: boolean;

  /**
   * Queues `bytes` for one present peer. The bytes are copied before this returns.
   * Returns false when they were not taken: the peer is not present, the queue is full
   * (`reliable`), or the message is over the channel's bound.
   * @param lane 0 to 7; each lane of `reliable` and `sequenced` is ordered on its own.
   */
  send(now: number, to: PeerId, channel: Channel, bytes: Uint8Array, lane?: number): boolean;

  /**
   * Bytes on a lane of `reliable` for one peer that were taken and are not settled, as far as this port knows; one that is behind another knows of those
   * alone that wait for that one. Whoever has much to say looks here, and leaves room for others.
   */
  queued(to: PeerId, lane: number): number;

  /** Ends the tick: what is queued may leave now, bundled into as few datagrams as possible. */
  flush(now: number): void;

  /** Next thing that happened, or `undefined`. */
  poll(): PortEvent | undefined;

  /** Set by whoever drains this port: called when `poll()` may have something new. */
  onWake: (() => void) | undefined;

  /** Shared room time in ms: the same everywhere within `timeErrorMs`, never runs backwards, fits u32. */
  time(now: number): number;
  /** Estimated bound of the error of `time`, ms. */
  timeErrorMs(now: number): number;

  /** False: this seat gives the host's duties to somebody else if anybody can take them. */
  setEligible(now: number, eligible: boolean): void;

  /** Host only: removes a peer and bans its key for the room's life. Others: returns false. */
  kick(now: number, peer: PeerId): boolean;

  /** Leaves gracefully; `closed` follows once the others were told (or cannot be). */
  leave(now: number): void;

  stats(now: number): PortStats;
}
