/**
 * What the mesh sees of the links below it. `Endpoint` (endpoint.ts) keeps this contract; the mesh is
 * written against these types only.
 *
 * An address is a `host` and a `port`. `host` is an IP address, or `~` followed by a `PeerId` when the
 * datagram has to be carried to that peer by another member (the mesh takes those out of `pollTransmit`
 * and wraps them into relay frames; it puts unwrapped ones back in with the same kind of address).
 *
 * Each process has two sockets: `join` takes strangers' handshakes and queries, `session` takes sealed
 * packets only. A flood on the first cannot fill the second's kernel buffer.
 */
import type { Brand, PeerId, RoomId } from '../base/brand.ts';
import type { Rng } from '../base/rng.ts';
import type { PeerStats, Channel } from '../port/port.ts';
import type { CryptoProvider, KeyPair } from '../secure/provider.ts';

/** Names one link of an endpoint; never reused in its life. */
export type LinkId = Brand<number, 'LinkId'>;
/** Names one attempt to connect. */
export type AttemptId = Brand<number, 'AttemptId'>;

export type SocketKind = 'join' | 'session';

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Transmit {
  readonly socket: SocketKind;
  readonly host: string;
  readonly port: number;
  /** Whoever takes it may keep it: never written again. */
  readonly bytes: Uint8Array;
}

/**
 * How the two sides prove they may talk.
 * - `open`: public room; the psk is derived from the room id and proves nothing but "same room".
 * - `code`: CPace with the room's code; only at the door.
 * - `member`: psk from the room key both got from the room; between members of a locked room.
 */
export type DoorMode = 'open' | 'code' | 'member';

export interface EndpointOptions {
  readonly crypto: CryptoProvider;
  readonly rng: Rng;
  readonly identity: KeyPair;
  readonly roomId: RoomId;
  /** Ports of our two sockets, told to the far side inside the handshake. */
  readonly joinPort: number;
  readonly sessionPort: number;
  /** Bytes mixed into the prologue: game id, version, schema hash. Different bytes cannot link. */
  readonly prologue: Uint8Array;
  /** Whether the link to this peer stays when every place is taken. By default each does, and then nobody else comes in. */
  readonly needs?: (peer: PeerId) => boolean;
}

export type CloseReason =
  | 'bye' // closed by a call, here or there
  | 'timeout' // silent for LINK_TIMEOUT_MS
  | 'replaced' // a newer session of the same peer took over
  | 'protocol' // the peer broke a rule that honest code cannot break
  | 'refused' // closed by the mesh (banned, full)
  | 'exhausted'; // sequence numbers or a queue bound ran out

/** `double`: another process with our own key answered. `linked`: a `probe` was answered by a peer whose link is alive. */
export type ConnectFailure = 'timeout' | 'wrong-code' | 'incompatible' | 'self' | 'double' | 'busy' | 'aborted' | 'linked';

export type EndpointEvent =
  /**
   * A peer proved its key. `attempt` is set on the side that called `connect`. `door` is where its join socket was: called, or calling.
   * `mode` is what it proved with. If `replaces` is set, that link is closed with `replaced` first.
   */
  | {
      readonly type: 'linked';
      readonly link: LinkId;
      readonly peer: PeerId;
      readonly publicKey: Uint8Array;
      readonly mode: DoorMode;
      readonly address: Address;
      readonly door: Address;
      readonly attempt: AttemptId | undefined;
      readonly replaces: LinkId | undefined;
    }
  | {
      readonly type: 'message';
      readonly link: LinkId;
      readonly peer: PeerId;
      readonly channel: Channel;
      readonly lane: number;
      readonly bytes: Uint8Array;
    }
  /** Nothing authentic was heard for SILENT_MS (adapted to loss); `heard` undoes it. */
  | { readonly type: 'silent'; readonly link: LinkId; readonly peer: PeerId }
  | { readonly type: 'heard'; readonly link: LinkId; readonly peer: PeerId }
  /** The peer's address changed and the new path was validated. */
  | { readonly type: 'moved'; readonly link: LinkId; readonly peer: PeerId; readonly address: Address }
  /**
   * A sealed packet came from there for a connection we do not have, as from a peer that slept until we gave its link up. It proves
   * nothing. Told of at most once in `STRAY_MS`.
   */
  | { readonly type: 'stray'; readonly host: string }
  | { readonly type: 'closed'; readonly link: LinkId; readonly peer: PeerId; readonly reason: CloseReason; readonly byPeer: boolean }
  /** `found`: who answered there, of `linked` and where it was not the peer that was expected. */
  | { readonly type: 'failed'; readonly attempt: AttemptId; readonly reason: ConnectFailure; readonly found?: PeerId | undefined };

export interface LinkClock {
  /** Peer's monotonic clock minus ours, ms, by the best sample; undefined before the first. */
  readonly offsetMs: number | undefined;
  /** Bound of its error, ms: half that sample's round trip, and what clocks may have drifted between it and the newest one. */
  readonly errorMs: number;
  /** When the newest sample was taken, ms of our clock: since then the error has grown by `CLOCK_DRIFT_RATIO`. */
  readonly at: number;
}

/**
 * Methods come in four classes (quinn's order): getters; `handle*` (network and time in); commands;
 * `poll*` (out). After every `handle*` or command, all `poll*` are drained until each returns
 * `undefined`, in this order: transmit, event, timeout.
 */
/** How an attempt proves that it may come in; `code` goes with the mode of that name. */
export interface DoorKey {
  readonly mode: DoorMode;
  readonly code?: string;
}

export interface EndpointLike {
  // getters
  readonly self: PeerId;
  stats(now: number, link: LinkId): PeerStats | undefined;
  /** Reliable bytes of one lane that wait or are not settled. */
  queued(link: LinkId, lane: number): number;
  clock(link: LinkId): LinkClock;
  address(link: LinkId): Address | undefined;
  /** False while all that is heard of the peer comes over a relay. */
  hearsDirectly(link: LinkId): boolean;
  readonly drops: Readonly<Record<string, number>>;

  // in
  handleDatagram(now: number, socket: SocketKind, host: string, port: number, bytes: Uint8Array): void;
  handleTimeout(now: number): void;

  // commands
  /**
   * Starts a handshake with the join socket at `address`. `expect` refuses anybody else's key. A `probe` asks who is there: where it is
   * a peer whose link is alive, it ends before it makes another link.
   */
  connect(now: number, address: Address, door: DoorKey, expect?: PeerId, probe?: boolean): AttemptId;
  /** What we accept as responder. `code`/`roomKey` are set on members of a locked room. */
  setDoor(door: { readonly open: boolean; readonly code: string | undefined; readonly roomKey: Uint8Array | undefined }): void;
  /** Nobody is answered or called any more: handshakes end, but those whose last word has left. Links go on. */
  shut(): void;
  /** False when not taken (closed, over a bound, queue full). Copies `bytes`. */
  send(now: number, link: LinkId, channel: Channel, bytes: Uint8Array, lane?: number): boolean;
  /** Lets queued data leave as soon as pacing allows instead of waiting for company: on all links, or on one. */
  flush(now: number, only?: LinkId): void;
  /** Moves a live link to another address without waiting for a packet from there (relay on/off). */
  setAddress(now: number, link: LinkId, address: Address): void;
  close(now: number, link: LinkId, reason: CloseReason): void;

  // out
  /** False when `pollTransmit` would give nothing: after most packets that came, so that their turn need not end with a poll. */
  readonly waiting: boolean;
  pollTransmit(now: number): Transmit | undefined;
  pollEvent(): EndpointEvent | undefined;
  /** Next time `handleTimeout` wants to be called, monotonic ms; Infinity for never. */
  pollTimeout(): number;
}
