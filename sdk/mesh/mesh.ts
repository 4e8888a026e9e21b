/**
 * One seat in one room over real links: the network half's `RoomPort`. It composes the parts and owns
 * the order in which they run; it decides nothing itself.
 *
 *   datagrams -> endpoint -> events -> control messages -> membership, link state, relay
 *                                   -> game messages    -> port events
 *   tick (every MESH_TICK_MS, or at once after `hurry`):
 *     link state -> membership (election, host's duties) -> routes -> dialer -> time -> beats
 *
 * Methods come in four classes: getters (`roster`, `facts`, `stats`, `time`), in (`handle*`), commands
 * (`send`, `kick`, `leave`, …), out (`poll*`). After every call from the second and third class drain
 * `pollTransmit`, then `poll`, then ask `pollTimeout`.
 */
import type { PeerId } from '../base/brand.ts';
import { ByteWriter, asciiBytes, concatBytes } from '../base/bytes.ts';
import { LanError } from '../base/errors.ts';
import { Endpoint } from '../link/endpoint.ts';
import type { Address, EndpointEvent, EndpointLike, EndpointOptions, SocketKind, Transmit } from '../link/endpoint-types.ts';
import type { Channel, PeerStats, PortDeparture, PortEvent, PortPeer, PortRoster, PortStats } from '../port/port.ts';
import { KIND_WHO } from '../wire/datagram.ts';
import { MAX_DATAGRAM_MESSAGE_BYTES, MAX_LANES, MAX_MESSAGE_BYTES, MESH_LANE, MESH_TICK_MS, STALL_MS } from '../wire/limits.ts';
import { Beats } from './beats.ts';
import { Delivery } from './delivery.ts';
import { Dialer } from './dialer.ts';
import { LinkState } from './link-state.ts';
import { isRelayed, isRelayedHost } from '../link/path.ts';
import { Links } from './links.ts';
import { Membership } from './membership.ts';
import type { JoinState, MeshLike, MeshOptions, RoomFacts } from './mesh-types.ts';
import { decodeMessage, encodeMessage, type RelayPart } from './messages.ts';
import type { Party } from './party.ts';
import { Relay } from './relay.ts';
import { RoomTime } from './room-time.ts';
import { seatOf } from './roster.ts';
import { WhoAnswers } from './who.ts';

/** Reliable lanes from here on are the mesh's own. */
const FIRST_MESH_LANE = 6;

export class Mesh implements MeshLike {
  readonly self: PeerId;
  onWake: (() => void) | undefined;
  readonly #options: MeshOptions;
  readonly #endpoint: EndpointLike;
  readonly #linkState: LinkState;
  readonly #links: Links;
  readonly #membership: Membership;
  readonly #dialer: Dialer;
  readonly #relay: Relay;
  readonly #time: RoomTime;
  readonly #beats: Beats;
  readonly #who: WhoAnswers;
  readonly #delivery: Delivery;
  readonly #events: PortEvent[] = [];
  readonly #drops: Record<string, number> = {};
  #roster: PortRoster | undefined;
  #tickAt: number;
  #seenAt: number;

  constructor(now: number, options: MeshOptions, createEndpoint: (options: EndpointOptions) => EndpointLike = (endpoint) => new Endpoint(endpoint)) {
    const { crypto, rng, identity, roomId, joinPort, sessionPort, code } = options;
    this.#options = options;
    this.#endpoint = createEndpoint({
      crypto,
      rng,
      identity,
      roomId,
      joinPort,
      sessionPort,
      prologue: prologueOf(options),
      needs: (peer) => this.#needs(peer),
    });
    this.self = this.#endpoint.self;
    this.#linkState = new LinkState(this.self);
    this.#links = new Links(this.#endpoint, this.#linkState);
    this.#dialer = new Dialer(this.#endpoint, this.#links, this.#linkState, code, options.mayCall);
    this.#relay = new Relay(this.self);
    this.#time = new RoomTime(now, options.wallClockMs);
    this.#who = new WhoAnswers(crypto, roomId);
    this.#tickAt = now;
    this.#seenAt = now;
    const party: Party = {
      self: this.self,
      instance: rng.u32(),
      options,
      endpoint: this.#endpoint,
      links: this.#links,
      linkState: this.#linkState,
      time: this.#time,
      send: (at, peer, message) => this.#links.send(at, peer, 'reliable', encodeMessage(message)),
      emit: (event) => this.#emit(event),
      call: (at, address) => this.#dialer.addCandidate(at, address),
      onRoster: (left) => this.#onRoster(left),
      hurry: (at) => this.#hurry(at),
    };
    const membership = new Membership(now, party);
    this.#membership = membership;
    this.#delivery = new Delivery(this.#endpoint, this.#links, {
      get roster() {
        return membership.roster;
      },
      emit: party.emit,
      drop: (reason) => this.#drop(reason),
    });
    this.#beats = new Beats(party, this.#membership);
    if (options.entry === 'found') this.#membership.found(now, rng.u32() >>> 8);
    this.#openDoor();
  }

  // ── getters ───────────────────────────────────────────────────────────────────────────────────────

  get joinState(): JoinState {
    return this.#membership.joinState;
  }

  /** Before the first seat: a room with nobody in it. */
  roster(): PortRoster {
    if (this.#roster !== undefined) return this.#roster;
    const { roomId, name, max, code } = this.#options;
    return { roomId, name, max, locked: code !== undefined, epoch: 0, term: 0, host: this.self, peers: [] };
  }

  get over(): boolean {
    return this.#membership.isOver;
  }

  facts(_now: number): RoomFacts {
    const { roomId, name, max, code, game, joinPort } = this.#options;
    const roster = this.#membership.roster;
    const members: Address[] = [];
    const endpoints: Address[] = [];
    for (const { id, status, addresses } of roster?.seats ?? []) {
      if (id === this.self || status !== 'present' || addresses[0] === undefined) continue;
      members.push(addresses[0]);
      endpoints.push(...addresses);
    }
    const players = roster?.seats.filter((seat) => !seat.spectator).length ?? 0;
    return {
      roomId,
      name: roster?.name ?? name,
      players,
      max: roster?.max ?? max,
      locked: roster?.locked ?? code !== undefined,
      gameId: game.id,
      version: game.version,
      schemaHash: game.schemaHash,
      peer: this.self,
      joinPort,
      members,
      endpoints,
    };
  }

  time(now: number): number {
    return this.#time.time(now);
  }

  timeErrorMs(now: number): number {
    return this.#time.errorMs(now);
  }

  stats(now: number): PortStats {
    const peers = new Map<PeerId, PeerStats>();
    for (const link of this.#links.all()) {
      const stats = this.#endpoint.stats(now, link.id);
      if (stats !== undefined && seatOf(this.#membership.roster ?? EMPTY, link.peer) !== undefined) peers.set(link.peer, stats);
    }
    return { peers, drops: { ...this.#endpoint.drops, ...this.#drops } };
  }

  // ── in ────────────────────────────────────────────────────────────────────────────────────────────

  handleDatagram(now: number, socket: SocketKind, host: string, port: number, bytes: Uint8Array): void {
    this.#noticeStall(now);
    if (socket === 'join' && bytes[0] === KIND_WHO) {
      if (this.joinState.type !== 'joined') return this.#drop('who-other');
      const drop = this.#who.handle(now, { host, port }, bytes, () => this.facts(now));
      if (drop !== undefined) this.#drop(drop);
      return;
    }
    this.#endpoint.handleDatagram(now, socket, host, port, bytes);
    this.#drain(now);
  }

  handleTimeout(now: number): void {
    this.#noticeStall(now);
    if (this.#endpoint.pollTimeout() <= now) {
      this.#endpoint.handleTimeout(now);
      this.#drain(now);
    }
    if (this.#tickAt <= now) this.#tick(now);
  }

  /** Called much later than we asked: the silence was ours, so nobody is away because of it. */
  #noticeStall(now: number): void {
    const late = now - Math.max(this.#tickAt, this.#seenAt);
    this.#seenAt = now;
    if (late <= STALL_MS) return;
    this.#linkState.excuse(now);
    this.#membership.excuse(late);
    this.#tickAt = now + 2 * MESH_TICK_MS;
  }

  // ── commands ──────────────────────────────────────────────────────────────────────────────────────

  addCandidate(now: number, address: Address): void {
    if (this.#membership.isOver) return;
    this.#dialer.addCandidate(now, address);
    this.#hurry(now);
  }

  setAddresses(now: number, addresses: readonly Address[]): void {
    this.#membership.setAddresses(now, addresses);
    this.#dialer.onMoved();
  }

  send(now: number, to: PeerId, channel: Channel, bytes: Uint8Array, lane = 0): boolean {
    const lanes = channel === 'reliable' ? FIRST_MESH_LANE : MAX_LANES - 1;
    if (!Number.isInteger(lane) || lane < 0 || lane >= lanes)
      throw new LanError('bad-argument', `Expected a lane of 0 to ${lanes - 1} on ${channel}, got ${lane}.`);
    const seat = this.#membership.roster === undefined ? undefined : seatOf(this.#membership.roster, to);
    if (to === this.self || seat?.status !== 'present' || this.#membership.isOver || this.#membership.isLeaving) return false;
    if (bytes.length > (channel === 'reliable' ? MAX_MESSAGE_BYTES : MAX_DATAGRAM_MESSAGE_BYTES)) return false;
    const link = this.#links.get(to);
    if (link !== undefined && !this.#delivery.waits(to)) return this.#endpoint.send(now, link.id, channel, bytes, lane);
    return channel === 'reliable' && this.#delivery.hold(now, to, { channel, lane, bytes: bytes.slice() });
  }

  queued(to: PeerId, lane: number): number {
    const link = this.#links.get(to);
    return this.#delivery.heldBytes(to, lane) + (link === undefined ? 0 : this.#endpoint.queued(link.id, lane));
  }

  flush(now: number): void {
    if (!this.#membership.isOver && !this.#membership.isLeaving) this.#beats.ride(now);
    this.#endpoint.flush(now);
  }

  setEligible(now: number, eligible: boolean): void {
    this.#membership.setEligible(now, eligible);
  }

  kick(now: number, peer: PeerId): boolean {
    return this.#membership.kick(now, peer);
  }

  leave(now: number): void {
    this.#membership.leave(now);
    // Who calls from now on is for the next process of our key, which may be on the way into this room already, and must not meet us as a double.
    this.#endpoint.shut();
    this.#endpoint.flush(now);
  }

  // ── out ───────────────────────────────────────────────────────────────────────────────────────────

  get waiting(): boolean {
    return this.#endpoint.waiting || this.#who.waiting;
  }

  pollTransmit(now: number): Transmit | undefined {
    const answer = this.#who.poll();
    if (answer !== undefined) return { socket: 'join', host: answer.host, port: answer.port, bytes: answer.bytes };
    for (;;) {
      const transmit = this.#endpoint.pollTransmit(now);
      if (transmit === undefined) return undefined;
      if (!isRelayedHost(transmit.host)) return transmit;
      const to = transmit.host.slice(1) as PeerId;
      const parts = this.#relay.wrap(to, transmit.socket, transmit.bytes).map((part) => encodeMessage({ type: 'relay', relay: part }));
      for (const bytes of parts) this.#pass(now, to, undefined, bytes);
    }
  }

  poll(): PortEvent | undefined {
    return this.#events.shift();
  }

  pollTimeout(): number {
    return Math.min(this.#endpoint.pollTimeout(), this.#membership.isOver ? Infinity : this.#tickAt);
  }

  // ── the parts at work ─────────────────────────────────────────────────────────────────────────────

  #hurry(now: number): void {
    this.#tickAt = Math.min(this.#tickAt, now);
  }

  #tick(now: number): void {
    this.#tickAt = now + MESH_TICK_MS;
    this.#linkState.refresh(now, this.#links.neighbours(now));
    this.#membership.tick(now);
    this.#delivery.closeBroken(now);
    const roster = this.#membership.roster;
    if (this.#links.route(now)) this.#onRoster([]);
    if (!this.#membership.isOver && !this.#membership.isLeaving) {
      this.#dialer.tick(now, roster, this.#membership.newcomer);
      if (roster !== undefined) this.#membership.newcomer = false;
    }
    this.#followTime(now);
    this.#beats.tick(now);
    this.#delivery.expire(now);
    this.#drain(now);
    if (this.#membership.isOver) return;
    this.#tickAt = Math.max(Math.min(this.#tickAt, this.#beats.nextAt), now + 1);
    this.#endpoint.flush(now);
  }

  #followTime(now: number): void {
    const roster = this.#membership.roster;
    if (roster === undefined) return;
    if (roster.host === this.self) return this.#time.lead(now);
    const link = this.#links.get(roster.host);
    const offset = this.#beats.timeOf(roster.host);
    if (link !== undefined && offset !== undefined) this.#time.follow(now, offset, this.#endpoint.clock(link.id));
  }

  /** Members, and whoever may seat us while we have no list. */
  #needs(peer: PeerId): boolean {
    const { roster } = this.#membership;
    return roster === undefined || seatOf(roster, peer) !== undefined;
  }

  #openDoor(): void {
    if (this.#membership.isOver || this.#membership.isLeaving) return;
    const { code } = this.#options;
    const roomKey = this.#membership.roomKey;
    this.#dialer.hasRoomKey = roomKey !== undefined;
    this.#endpoint.setDoor({ open: code === undefined, code, roomKey });
  }

  #drain(now: number): void {
    for (let event = this.#endpoint.pollEvent(); event !== undefined; event = this.#endpoint.pollEvent()) this.#handleEvent(now, event);
  }

  #handleEvent(now: number, event: EndpointEvent): void {
    switch (event.type) {
      case 'message':
        return this.#handleMessage(now, event);
      case 'linked':
        return this.#handleLinked(now, event);
      case 'failed':
        this.#dialer.onFailed(now, event.attempt, event.reason, event.found);
        return this.#membership.onDialFailed(now, event.reason, this.#dialer.hasHope);
      case 'stray':
        if (this.#dialer.onStray(now, event.host)) this.#hurry(now);
        return;
      case 'silent':
      case 'heard':
      case 'moved':
      case 'closed':
        return this.#handleLinkChange(now, event);
    }
  }

  #handleLinked(now: number, event: Extract<EndpointEvent, { type: 'linked' }>): void {
    const { peer } = event;
    // Somebody's last word was under way when our room was over.
    if (this.#membership.isOver) return this.#endpoint.close(now, event.link, 'refused');
    this.#dialer.onLinked(event.attempt, peer, event.door);
    this.#links.add(now, event);
    this.#delivery.onLinked(event);
    this.#membership.onLinked(now, peer);
    this.#hurry(now);
  }

  #handleLinkChange(now: number, event: Extract<EndpointEvent, { type: 'silent' | 'heard' | 'moved' | 'closed' }>): void {
    const link = this.#links.current(event.peer, event.link);
    if (link === undefined) return;
    switch (event.type) {
      case 'silent':
        this.#links.fellSilent(now, link);
        break;
      case 'heard':
        this.#links.heard(now, link);
        break;
      case 'moved':
        this.#links.moved(now, link, event.address);
        if (this.#roster?.peers.some((peer) => peer.id === event.peer && peer.via !== undefined) === true) this.#onRoster([]);
        break;
      case 'closed':
        this.#links.remove(event.peer);
        this.#delivery.onClosed(event.peer);
        if (event.reason === 'bye' && event.byPeer) this.#membership.onGoodbye(now, event.peer);
        if (event.reason === 'replaced' && event.byPeer) this.#membership.onReplaced(now);
        break;
    }
    this.#hurry(now);
  }

  #handleMessage(now: number, event: Extract<EndpointEvent, { type: 'message' }>): void {
    const { peer, channel, lane, bytes } = event;
    if (channel === 'reliable' ? lane >= FIRST_MESH_LANE : lane === MESH_LANE) return this.#handleControl(now, peer, bytes);
    this.#delivery.onMessage(now, event);
  }

  #handleControl(now: number, peer: PeerId, bytes: Uint8Array): void {
    const message = decodeMessage(bytes);
    if (message === undefined) return this.#drop('mesh-malformed');
    if (message.type === 'beat') {
      const isNew = this.#beats.handle(now, peer, message);
      if (this.#delivery.onWords(now, peer, message.words) || isNew) this.#hurry(now);
    } else if (message.type === 'relay') this.#handleRelay(now, peer, message.relay);
    else {
      const roster = this.#membership.roster;
      this.#membership.handle(now, peer, message);
      if (roster !== this.#membership.roster) this.#openDoor();
    }
  }

  // ── detours ───────────────────────────────────────────────────────────────────────────────────────

  #handleRelay(now: number, peer: PeerId, part: RelayPart): void {
    if (part.to === this.self) {
      const carried = this.#relay.unwrap(part);
      if (carried === undefined || carried.from === this.self) return;
      // No drain here: this runs inside one, which goes on until no event is left.
      this.#endpoint.handleDatagram(now, carried.socket, `~${carried.from}`, 0, carried.bytes);
      return;
    }
    const next = this.#relay.forward(part);
    if (next === undefined || this.#membership.roster === undefined) return this.#drop('relay');
    this.#pass(now, part.to, peer, encodeMessage({ type: 'relay', relay: next }));
  }

  /** One step towards `to`, never back to where it came from, never over a detour itself. */
  #pass(now: number, to: PeerId, from: PeerId | undefined, bytes: Uint8Array): void {
    const next = this.#linkState.route(to)?.next;
    const link = next === undefined || next === from ? undefined : this.#links.get(next);
    if (link === undefined || isRelayed(link.address) || !this.#endpoint.send(now, link.id, 'unreliable', bytes, MESH_LANE)) this.#drop('relay');
    else this.#endpoint.flush(now, link.id);
  }

  // ── what the game half sees ───────────────────────────────────────────────────────────────────────

  #onRoster(left: readonly PortDeparture[]): void {
    const roster = this.#membership.roster;
    if (roster === undefined) return;
    const peers = roster.seats.map((seat): PortPeer => {
      const link = this.#links.get(seat.id);
      const via = link !== undefined && isRelayed(link.address) ? this.#linkState.route(seat.id)?.next : undefined;
      return { id: seat.id, slot: seat.slot, status: seat.status, spectator: seat.spectator, eligible: seat.eligible, via };
    });
    const { roomId, name, max, locked, epoch, term, host } = roster;
    this.#roster = { roomId, name, max, locked, epoch, term, host, peers };
    this.#emit({ type: 'roster', roster: this.#roster, left });
    this.#delivery.onRoster(roster, left);
  }

  #emit(event: PortEvent): void {
    this.#events.push(event);
    this.onWake?.();
  }

  #drop(reason: string): void {
    this.#drops[reason] = (this.#drops[reason] ?? 0) + 1;
  }
}

const EMPTY = { seats: [] } as unknown as NonNullable<Membership['roster']>;

/** Whatever has to be equal for two peers to understand each other; another game cannot link at all. */
function prologueOf(options: MeshOptions): Uint8Array {
  const { id, version, schemaHash } = options.game;
  return concatBytes(new Uint8Array([id.length]), asciiBytes(id), new ByteWriter(6).u16(version).u32(schemaHash).copy());
}
