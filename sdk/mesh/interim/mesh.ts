/**
 * One seat in one room over UDP links: the network half's `RoomPort`. READ THIS FIRST in `mesh/`.
 *
 * ```
 *             no seat                                 seated
 *   knock at candidates ── linked, join ──► roster with our seat ──► link to every other seat,
 *                                                                    heartbeats, host's duties
 * ```
 * - getters: `self`, `joinState`, `roster`, `facts`, `stats`, `time`
 * - in: `handleDatagram`, `handleTimeout`
 * - commands: `addCandidate`, `setAddresses`, `send`, `flush`, `setEligible`, `kick`, `leave`
 * - out, drained in this order after every one of the above: `pollTransmit`, `poll`, `pollTimeout`
 *
 * Host = the lowest slot present and eligible when the last one was lost; it stays host while it can.
 * Two parts of a room that meet are told apart by their terms; the heavier one's host absorbs the other.
 */
import { asciiBytes, concatBytes, fromHex } from '../../base/bytes.ts';
import type { PeerId, Slot } from '../../base/brand.ts';
import { LanError } from '../../base/errors.ts';
import { Endpoint } from '../../link/endpoint.ts';
import type { Address, DoorMode, EndpointEvent, EndpointLike, EndpointOptions, SocketKind, Transmit } from '../../link/endpoint-types.ts';
import type { Channel, LeaveReason, PeerStats, PortEvent, PortRoster, PortStats } from '../../port/port.ts';
import { decodeWho, encodeHere, KIND_WHO } from '../../wire/datagram.ts';
import { DEFAULT_GRACE_MS, HEARTBEAT_MIN_MS, HEARTBEAT_MS, JOIN_TIMEOUT_MS, MAX_EARLY_MESSAGES, MAX_HERE_MEMBERS, MESH_LANE, STALL_MS } from '../../wire/limits.ts';
import { decodeControl, encodeControl, type Control, type Heartbeat } from './control.ts';
import { claim, hostDuties, Reachability, successor } from './host-duties.ts';
import { LinkState } from './link-state.ts';
import type { JoinState, MeshLike, MeshOptions, RoomFacts } from '../mesh-types.ts';
import { isDirect, Knocker, type Neighbour } from './neighbours.ts';
import { decodeRelay, encodeRelay, RELAY_KIND, RelayParts, type RelayFrame } from './relay.ts';
import { RoomTime } from './room-time.ts';
import { absorb, admit, departuresBetween, isLater, nextTerm, outweighs, playerCount, remove, seatOf, succeed, type Roster, type Seat } from './seats.ts';

/** How often `handleTimeout` looks at everything (ms). */
const PULSE_MS = 50;
/** The seat that joined first waits this long for the other one to call (ms). */
const CALL_DELAY_MS = 500;
/** A newcomer repeats its request until it has a seat (ms). */
const JOIN_RETRY_MS = 300;
/** The last words of somebody who leaves need no longer than this (ms). */
const LEAVE_MS = 300;
/** Room time is seeded from the wall clock modulo this: it fits 32 bits for weeks to come. */
const TIME_SEED_SIZE = 2 ** 30;
/** Least time between two absorptions of the same other part (ms); doubles while they do not take. */
const ABSORB_RETRY_MS = 1_000;
const ABSORB_RETRY_MAX_MS = 30_000;
/** Answers to WHO per second, over all askers. */
const HERE_RATE = 200;

export class Mesh implements MeshLike {
  readonly self: PeerId;
  readonly #options: MeshOptions;
  readonly #endpoint: EndpointLike;
  readonly #events: PortEvent[] = [];
  readonly #answers: Transmit[] = [];
  readonly #neighbours = new Map<PeerId, Neighbour>();
  readonly #early = new Map<PeerId, PortEvent[]>();
  readonly #knocker = new Knocker();
  readonly #links = new LinkState();
  readonly #reach = new Reachability();
  readonly #relay = new RelayParts();
  readonly #time: RoomTime;
  readonly #absorbed = new Map<PeerId, { nextAt: number; waitMs: number }>();
  #roster: Roster | undefined;
  #portRoster: PortRoster | undefined;
  #roomKey: Uint8Array | undefined;
  #joinState: JoinState;
  #addresses: readonly Address[];
  #eligible = true;
  #reportSeq: number;
  #routes: ReadonlyMap<number, number> = new Map();
  #nextPulse: number;
  #nextHeartbeat: number;
  #joinDeadline: number;
  #nextJoin = 0;
  #leaveAt: number | undefined;
  #leaveReason: LeaveReason = 'bye';
  #hereBudget = HERE_RATE;
  #hereAt: number;
  #drops = 0;
  onWake: (() => void) | undefined;

  constructor(now: number, options: MeshOptions, createEndpoint: (options: EndpointOptions) => EndpointLike = (o) => new Endpoint(o)) {
    this.#options = options;
    const { game } = options;
    const prologue = asciiBytes(`${game.id}\n${game.version}\n${game.schemaHash >>> 0}`);
    const { crypto, rng, identity, roomId, joinPort, sessionPort } = options;
    this.#endpoint = createEndpoint({ crypto, rng, identity, roomId, joinPort, sessionPort, prologue });
    this.self = this.#endpoint.self;
    this.#addresses = options.addresses;
    // Reports of a restarted process must be newer than those of the one before.
    this.#reportSeq = Math.floor(options.wallClockMs / 100) % 0x8000_0000;
    this.#time = new RoomTime(now, Math.floor(options.wallClockMs) % TIME_SEED_SIZE);
    this.#nextPulse = now;
    this.#nextHeartbeat = now;
    this.#hereAt = now;
    this.#joinDeadline = now + JOIN_TIMEOUT_MS;
    this.#joinState = { type: 'joining' };
    this.#setDoor();
    if (options.entry === 'found') this.#found(now);
  }

  // ---- getters ----

  get joinState(): JoinState {
    return this.#joinState;
  }

  roster(): PortRoster {
    if (this.#portRoster === undefined) throw new LanError('closed', 'This seat is not taken yet.');
    return this.#portRoster;
  }

  facts(_now: number): RoomFacts {
    const { roomId, game, joinPort, name, max, code } = this.#options;
    const roster = this.#roster;
    return {
      roomId,
      name: roster?.name ?? name,
      players: roster === undefined ? 0 : playerCount(roster),
      max: roster?.max ?? max,
      locked: roster?.locked ?? code !== undefined,
      gameId: game.id,
      version: game.version,
      schemaHash: game.schemaHash >>> 0,
      peer: this.self,
      joinPort,
      members: (roster?.seats ?? []).filter((seat) => seat.id !== this.self).flatMap((seat) => seat.addresses.slice(0, 1)).slice(0, MAX_HERE_MEMBERS),
    };
  }

  time(now: number): number {
    return this.#time.time(now);
  }

  timeErrorMs(_now: number): number {
    return this.#isHost ? 0 : this.#time.errorMs;
  }

  stats(now: number): PortStats {
    const peers = new Map<PeerId, PeerStats>();
    for (const neighbour of this.#neighbours.values()) {
      const stats = this.#endpoint.stats(now, neighbour.link);
      if (stats !== undefined && seatOf(this.#roster!, neighbour.peer) !== undefined) peers.set(neighbour.peer, stats);
    }
    return { peers, drops: { ...this.#endpoint.drops, mesh: this.#drops } };
  }

  get #isHost(): boolean {
    return this.#roster?.host === this.self;
  }

  get #mySeat(): Seat | undefined {
    return this.#roster === undefined ? undefined : seatOf(this.#roster, this.self);
  }

  // ---- in ----

  handleDatagram(now: number, socket: SocketKind, host: string, port: number, bytes: Uint8Array): void {
    if (socket === 'join' && bytes[0] === KIND_WHO) this.#answerWho(now, host, port, bytes);
    else this.#endpoint.handleDatagram(now, socket, host, port, bytes);
    this.#drain(now);
  }

  handleTimeout(now: number): void {
    this.#endpoint.handleTimeout(now);
    this.#drain(now);
    if (now < this.#nextPulse) return;
    const lateMs = now - this.#nextPulse;
    if (lateMs > STALL_MS) this.#reach.forgive(lateMs);
    this.#nextPulse = now + PULSE_MS;
    this.#pulse(now);
    this.#drain(now);
  }

  #pulse(now: number): void {
    if (this.#leaveAt !== undefined) {
      if (now >= this.#leaveAt) this.#finishLeave(now);
      return;
    }
    if (this.#joinState.type === 'failed' || this.#joinState.type === 'left') return;
    this.#route(now);
    this.#knock(now);
    if (this.#roster === undefined || this.#mySeat === undefined) {
      this.#askForSeat(now);
      return;
    }
    this.#switchPaths(now);
    this.#keepTime(now);
    this.#elect(now);
    if (this.#isHost) this.#attend(now);
    if (now >= this.#nextHeartbeat) this.#heartbeat(now);
  }

  // ---- commands ----

  addCandidate(now: number, address: Address): void {
    this.#knocker.addCandidate(now, address);
    this.#nextPulse = Math.min(this.#nextPulse, now);
  }

  setAddresses(now: number, addresses: readonly Address[]): void {
    this.#addresses = addresses;
    if (this.#roster !== undefined && !this.#isHost) this.#sayToHost(now, { type: 'join', spectator: this.#options.spectate, addresses });
  }

  send(now: number, to: PeerId, channel: Channel, bytes: Uint8Array, lane = 0): boolean {
    const neighbour = this.#neighbours.get(to);
    if (neighbour === undefined || this.#roster === undefined || this.#leaveAt !== undefined) return false;
    if (seatOf(this.#roster, to)?.status !== 'present') return false;
    return this.#endpoint.send(now, neighbour.link, channel, bytes, lane);
  }

  flush(now: number): void {
    this.#endpoint.flush(now);
  }

  setEligible(now: number, eligible: boolean): void {
    if (this.#eligible === eligible) return;
    this.#eligible = eligible;
    this.#soon(now);
  }

  kick(now: number, peer: PeerId): boolean {
    const roster = this.#roster;
    if (roster === undefined || !this.#isHost || peer === this.self || seatOf(roster, peer) === undefined) return false;
    this.#write(now, remove(roster, peer, 'kicked'));
    const neighbour = this.#neighbours.get(peer);
    if (neighbour !== undefined) this.#say(now, neighbour, { type: 'deny', peer, reason: 'kicked' });
    return true;
  }

  leave(now: number): void {
    if (this.#leaveAt !== undefined || this.#joinState.type === 'left') return;
    const roster = this.#roster;
    if (roster !== undefined && this.#mySeat !== undefined) {
      if (this.#isHost) {
        const next = successor(roster, (id) => seatOf(roster, id)?.status === 'present' && this.#reach.isReachable(id), this.self);
        if (next !== undefined) this.#broadcast(now, remove(succeed(roster, next), this.self, 'bye'));
      } else {
        for (const neighbour of this.#neighbours.values()) this.#say(now, neighbour, { type: 'leave' });
      }
      this.#endpoint.flush(now);
    }
    this.#leaveAt = now + (this.#neighbours.size === 0 ? 0 : LEAVE_MS);
    this.#nextPulse = Math.min(this.#nextPulse, this.#leaveAt);
    this.onWake?.();
  }

  // ---- out ----

  pollTransmit(now: number): Transmit | undefined {
    const answer = this.#answers.shift();
    if (answer !== undefined) return answer;
    for (;;) {
      const transmit = this.#endpoint.pollTransmit(now);
      if (transmit === undefined) return undefined;
      if (!transmit.host.startsWith('~')) return transmit;
      const target = transmit.host.slice(1) as PeerId;
      for (const frame of this.#relay.split(this.self, target, transmit.socket, transmit.bytes)) this.#carry(now, target, frame);
    }
  }

  poll(): PortEvent | undefined {
    return this.#events.shift();
  }

  pollTimeout(): number {
    if (this.#joinState.type === 'left') return Infinity;
    return Math.min(this.#nextPulse, this.#endpoint.pollTimeout());
  }

  #emit(event: PortEvent): void {
    this.#events.push(event);
    this.onWake?.();
  }

  /** Something the others should hear about soon. */
  #soon(now: number): void {
    this.#nextHeartbeat = Math.min(this.#nextHeartbeat, now + HEARTBEAT_MIN_MS);
    this.#nextPulse = Math.min(this.#nextPulse, now + HEARTBEAT_MIN_MS);
  }

  // ---- entry ----

  #found(now: number): void {
    const { roomId, name, max, code, spectate, crypto } = this.#options;
    const term = nextTerm(0, this.self);
    const seat: Seat = { id: this.self, slot: 0 as Slot, status: 'present', spectator: spectate, eligible: true, addresses: this.#addresses };
    if (code !== undefined) this.#roomKey = crypto.randomBytes(32);
    this.#setDoor();
    this.#install(now, { roomId, name, max, locked: code !== undefined, term, lineage: term, epoch: 1, host: this.self, seats: [seat], departures: [], banned: [] });
  }

  #setDoor(): void {
    const { code } = this.#options;
    this.#endpoint.setDoor({ open: code === undefined, code, roomKey: this.#roomKey });
  }

  #askForSeat(now: number): void {
    if (now >= this.#nextJoin) {
      this.#nextJoin = now + JOIN_RETRY_MS;
      for (const neighbour of this.#neighbours.values()) this.#say(now, neighbour, { type: 'join', spectator: this.#options.spectate, addresses: this.#addresses });
    }
    if (this.#knocker.lastFailure === 'wrong-code' && this.#neighbours.size === 0) this.#fail(now, 'wrong-code');
    else if (now >= this.#joinDeadline) this.#fail(now, this.#knocker.lastFailure === 'incompatible' ? 'incompatible' : 'unreachable');
  }

  #fail(now: number, reason: Extract<JoinState, { type: 'failed' }>['reason']): void {
    if (this.#joinState.type !== 'joining') return;
    this.#joinState = { type: 'failed', reason };
    for (const neighbour of this.#neighbours.values()) this.#endpoint.close(now, neighbour.link, 'bye');
    this.onWake?.();
  }

  #finishLeave(now: number): void {
    for (const neighbour of this.#neighbours.values()) this.#endpoint.close(now, neighbour.link, 'bye');
    this.#joinState = { type: 'left' };
    this.#emit({ type: 'closed', reason: this.#leaveReason });
  }

  #dismissed(now: number, reason: LeaveReason): void {
    if (this.#leaveAt !== undefined) return;
    if (this.#joinState.type === 'joining') {
      this.#fail(now, 'kicked');
      return;
    }
    this.#leaveReason = reason;
    this.#leaveAt = now;
    this.#nextPulse = now;
  }

  // ---- knocking at doors ----

  #knock(now: number): void {
    const { code } = this.#options;
    const door = (mode: DoorMode) => (code === undefined ? { mode } : { mode, code });
    const isLinked = (peer: PeerId): boolean => this.#neighbours.get(peer)?.isSilent === false;
    for (const candidate of this.#knocker.dueCandidates(now, isLinked)) {
      this.#knocker.started(now, candidate, this.#endpoint.connect(now, candidate.address, door(code === undefined ? 'open' : 'code')));
    }
    const mine = this.#mySeat;
    if (mine === undefined) return;
    for (const seat of this.#roster!.seats) {
      if (seat.id === this.self || isLinked(seat.id)) continue;
      const knock = this.#knocker.dueSeat(now, seat.id, mine.slot > seat.slot ? 0 : CALL_DELAY_MS);
      if (knock === undefined) continue;
      const isRouted = this.#routes.has(seat.slot);
      const turn = knock.turn++;
      // Every other try goes through another member, where one reaches it.
      const direct = seat.addresses[(isRouted ? turn >> 1 : turn) % Math.max(1, seat.addresses.length)];
      const address: Address | undefined = isRouted && (turn % 2 === 1 || direct === undefined) ? { host: `~${seat.id}`, port: 0 } : direct;
      if (address === undefined) continue;
      const mode: DoorMode = code === undefined ? 'open' : this.#roomKey !== undefined && knock.tries % 3 !== 2 ? 'member' : 'code';
      this.#knocker.started(now, knock, this.#endpoint.connect(now, address, door(mode), seat.id));
    }
  }

  #linked(now: number, event: Extract<EndpointEvent, { type: 'linked' }>): void {
    const { peer, link, address, mode } = event;
    if (this.#roster?.banned.includes(peer)) {
      this.#endpoint.close(now, link, 'refused');
      return;
    }
    const isNew = !this.#neighbours.has(peer);
    this.#neighbours.set(peer, { peer, link, address, mode, isSilent: false, linkedAt: now });
    this.#early.delete(peer);
    if (event.attempt !== undefined) this.#knocker.ended(now, event.attempt, { peer });
    const seat = this.#roster === undefined ? undefined : seatOf(this.#roster, peer);
    if (seat !== undefined) {
      if (!isNew) this.#links.forget(seat.slot);
      this.#emit({ type: 'reset', peer });
    }
    this.#nextJoin = now;
    this.#soon(now);
    if (this.#mySeat === undefined) this.#nextPulse = now;
    else this.#greet(now, this.#neighbours.get(peer)!);
  }

  #closed(now: number, event: Extract<EndpointEvent, { type: 'closed' }>): void {
    const neighbour = this.#neighbours.get(event.peer);
    if (neighbour === undefined || neighbour.link !== event.link) return;
    this.#neighbours.delete(event.peer);
    this.#knocker.again(now, event.peer);
    this.#soon(now);
    if (event.reason === 'refused' && event.byPeer && this.#joinState.type === 'joining') this.#fail(now, 'kicked');
  }

  // ---- endpoint events ----

  #drain(now: number): void {
    for (let event = this.#endpoint.pollEvent(); event !== undefined; event = this.#endpoint.pollEvent()) this.#handleEvent(now, event);
  }

  #handleEvent(now: number, event: EndpointEvent): void {
    switch (event.type) {
      case 'linked':
        this.#linked(now, event);
        return;
      case 'message':
        this.#message(now, event);
        return;
      case 'silent':
      case 'heard': {
        const neighbour = this.#neighbours.get(event.peer);
        if (neighbour === undefined || neighbour.link !== event.link) return;
        neighbour.isSilent = event.type === 'silent';
        if (neighbour.isSilent) this.#knocker.again(now, event.peer);
        this.#soon(now);
        return;
      }
      case 'moved': {
        const neighbour = this.#neighbours.get(event.peer);
        if (neighbour?.link === event.link) neighbour.address = event.address;
        this.#soon(now);
        return;
      }
      case 'closed':
        this.#closed(now, event);
        return;
      case 'failed':
        this.#knocker.ended(now, event.attempt, { reason: event.reason });
        return;
      default:
        event satisfies never;
    }
  }

  #message(now: number, event: Extract<EndpointEvent, { type: 'message' }>): void {
    if (event.lane === MESH_LANE) {
      this.#control(now, event.peer, event.bytes);
      return;
    }
    const message: PortEvent = { type: 'message', from: event.peer, channel: event.channel, lane: event.lane, bytes: event.bytes };
    if (this.#roster !== undefined && seatOf(this.#roster, event.peer) !== undefined) {
      this.#emit(message);
      return;
    }
    // Its roster was faster than ours: keep what it said until ours names it.
    const early = this.#early.get(event.peer) ?? [];
    if (early.length < MAX_EARLY_MESSAGES) this.#early.set(event.peer, [...early, message]);
  }

  #control(now: number, from: PeerId, bytes: Uint8Array): void {
    if (bytes[0] === RELAY_KIND) {
      this.#relayed(now, bytes);
      return;
    }
    if (this.#leaveAt !== undefined) return;
    const control = decodeControl(this.#options.roomId, bytes);
    if (control === undefined) {
      this.#drops++;
      return;
    }
    switch (control.type) {
      case 'heartbeat':
        this.#heard(now, from, control);
        return;
      case 'roster':
      case 'foreign':
        this.#consider(now, control.roster, control.roomKey);
        return;
      case 'join':
        this.#admit(now, from, from, control.spectator, control.addresses);
        return;
      case 'forward':
        if (this.#isHost && this.#roster !== undefined && seatOf(this.#roster, from) !== undefined) this.#admit(now, from, control.peer, control.spectator, control.addresses);
        return;
      case 'deny':
        this.#denied(now, control);
        return;
      case 'leave':
        this.#left(now, from);
        return;
      default:
        control satisfies never;
    }
  }

  // ---- seats ----

  #admit(now: number, from: PeerId, peer: PeerId, spectator: boolean, told: readonly Address[]): void {
    const roster = this.#roster;
    if (roster === undefined || this.#mySeat === undefined) return;
    const observed = from === peer ? this.#observed(peer) : undefined;
    const addresses = observed === undefined ? told : [observed, ...told.filter((a) => a.host !== observed.host || a.port !== observed.port)].slice(0, 4);
    if (!this.#isHost) {
      this.#sayToHost(now, { type: 'forward', peer, spectator, addresses });
      return;
    }
    const seat = seatOf(roster, peer);
    const isSame = seat !== undefined && seat.status === 'present' && seat.spectator === spectator && JSON.stringify(seat.addresses) === JSON.stringify(addresses);
    if (isSame) {
      const neighbour = this.#neighbours.get(from);
      if (neighbour !== undefined) this.#sayRoster(now, neighbour);
      return;
    }
    const next = admit(roster, peer, spectator, addresses);
    const door = this.#neighbours.get(from);
    if (typeof next === 'string') {
      if (door !== undefined) this.#say(now, door, { type: 'deny', peer, reason: next });
      return;
    }
    this.#write(now, next);
    // The newcomer hears it from whoever let it in.
    if (door !== undefined) this.#sayRoster(now, door);
  }

  /** Where a directly linked peer's join socket is, as far as its packets tell. */
  #observed(peer: PeerId): Address | undefined {
    const neighbour = this.#neighbours.get(peer);
    if (neighbour === undefined || !isDirect(neighbour)) return undefined;
    const seat = this.#roster === undefined ? undefined : seatOf(this.#roster, peer);
    return seat?.addresses.find((address) => address.host === neighbour.address.host);
  }

  #denied(now: number, control: Extract<Control, { type: 'deny' }>): void {
    if (control.peer !== this.self) {
      const neighbour = this.#neighbours.get(control.peer);
      if (neighbour !== undefined) this.#say(now, neighbour, control);
    } else if (control.reason === 'kicked') this.#dismissed(now, 'kicked');
    else if (this.#joinState.type === 'joining') this.#fail(now, control.reason);
  }

  #left(now: number, peer: PeerId): void {
    if (this.#isHost && this.#roster !== undefined && seatOf(this.#roster, peer) !== undefined) this.#write(now, remove(this.#roster, peer, 'bye'));
  }

  // ---- rosters ----

  /** The host's word: install it here, tell everybody. */
  #write(now: number, roster: Roster): void {
    if (roster === this.#roster) return;
    this.#install(now, roster);
    this.#broadcast(now, roster);
  }

  #broadcast(now: number, roster: Roster): void {
    const bytes = encodeControl({ type: 'roster', roster, roomKey: this.#roomKey });
    for (const neighbour of this.#neighbours.values()) {
      if (seatOf(roster, neighbour.peer) !== undefined) this.#endpoint.send(now, neighbour.link, 'reliable', bytes, MESH_LANE);
    }
    this.#endpoint.flush(now);
  }

  #sayRoster(now: number, neighbour: Neighbour): void {
    const roster = this.#roster;
    if (roster === undefined || this.#mySeat === undefined) return;
    const isSeated = seatOf(roster, neighbour.peer) !== undefined;
    this.#say(now, neighbour, { type: isSeated ? 'roster' : 'foreign', roster, roomKey: isSeated ? this.#roomKey : undefined });
  }

  /** A roster from outside: ours and later, another part's, or old news. */
  #consider(now: number, theirs: Roster, roomKey: Uint8Array | undefined): void {
    const mine = this.#roster;
    if (theirs.banned.includes(this.self)) {
      if (mine === undefined || theirs.term >= mine.term) this.#dismissed(now, 'kicked');
      return;
    }
    const seat = seatOf(theirs, this.self);
    const isFollowing = mine === undefined || this.#mySeat === undefined || isLater(theirs, mine);
    if (seat !== undefined && isFollowing && (seat.status === 'present' || mine === undefined || theirs.term === mine.term)) {
      const isMerge = mine !== undefined && theirs.lineage !== mine.lineage;
      if (roomKey !== undefined && this.#options.code !== undefined) {
        this.#roomKey = roomKey;
        this.#setDoor();
      }
      this.#install(now, theirs, isMerge);
      return;
    }
    if (mine === undefined || this.#mySeat === undefined || theirs.host === mine.host || theirs.term === mine.term) return;
    if (!this.#isHost) this.#sayToHost(now, { type: 'foreign', roster: theirs, roomKey });
    else if (outweighs(mine, theirs)) this.#absorb(now, mine, theirs);
    else {
      // They should absorb us: make sure that their host knows what we are.
      const host = this.#neighbours.get(theirs.host);
      if (host !== undefined) this.#sayRoster(now, host);
    }
  }

  #absorb(now: number, mine: Roster, theirs: Roster): void {
    const wait = this.#absorbed.get(theirs.host) ?? { nextAt: 0, waitMs: ABSORB_RETRY_MS };
    if (now < wait.nextAt) return;
    this.#absorbed.set(theirs.host, { nextAt: now + wait.waitMs, waitMs: Math.min(ABSORB_RETRY_MAX_MS, wait.waitMs * 2) });
    const next = absorb(mine, theirs);
    const joined = theirs.seats.filter((seat) => seat.status === 'present' && seatOf(mine, seat.id)?.status !== 'present' && seatOf(next, seat.id) !== undefined);
    if (joined.length === 0 && theirs.term < mine.term) return;
    this.#write(now, next);
    if (joined.length > 0) this.#emit({ type: 'merge', lost: false, joined: joined.map((seat) => seat.id) });
  }

  /** Makes `roster` the one we follow. */
  #install(now: number, roster: Roster, isMerge = false): void {
    const before = this.#roster;
    this.#roster = roster;
    if (before !== undefined && before.lineage !== roster.lineage) {
      this.#links.clear();
      this.#reach.restart();
    }
    if (before === undefined || before.host !== roster.host) this.#nextHeartbeat = now;
    if (this.#joinState.type === 'joining' && seatOf(roster, this.self) !== undefined) this.#joinState = { type: 'joined' };
    if (isMerge && before !== undefined) {
      const joined = roster.seats.filter((seat) => seat.status === 'present' && seatOf(before, seat.id)?.status !== 'present').map((seat) => seat.id);
      this.#emit({ type: 'merge', lost: true, joined });
    }
    const left = before === undefined ? [] : departuresBetween(before, roster);
    for (const gone of left) this.#knocker.forget(gone.id);
    this.#route(now);
    this.#publish(left);
    for (const seat of roster.seats) {
      for (const message of this.#early.get(seat.id) ?? []) this.#emit(message);
      this.#early.delete(seat.id);
    }
    this.#soon(now);
    for (const gone of left) {
      const neighbour = this.#neighbours.get(gone.id);
      if (neighbour !== undefined && gone.reason !== 'kicked') this.#endpoint.close(now, neighbour.link, 'bye');
    }
  }

  /** Tells the game half, when what it can see has changed. */
  #publish(left: PortRoster extends never ? never : readonly { readonly id: PeerId; readonly slot: Slot; readonly reason: LeaveReason }[] = []): void {
    const roster = this.#roster!;
    const peers = roster.seats.map((seat) => {
      const { id, slot, status, spectator, eligible } = seat;
      const neighbour = this.#neighbours.get(id);
      const isRelayed = neighbour?.address.host.startsWith('~') === true;
      const hop = isRelayed ? this.#routes.get(slot) : undefined;
      const via = hop === undefined || hop === slot ? undefined : roster.seats.find((other) => other.slot === hop)?.id;
      return { id, slot, status, spectator, eligible, via };
    });
    const { roomId, name, max, locked, epoch, term, host } = roster;
    this.#portRoster = { roomId, name, max, locked, epoch, term, host, peers };
    if (seatOf(roster, this.self) !== undefined) this.#emit({ type: 'roster', roster: this.#portRoster, left });
  }

  // ---- who hears whom ----

  #heardMask(): number {
    let mask = 0;
    for (const seat of this.#roster?.seats ?? []) {
      const neighbour = this.#neighbours.get(seat.id);
      if (neighbour !== undefined && isDirect(neighbour)) mask |= 1 << seat.slot;
    }
    return mask >>> 0;
  }

  #route(now: number): void {
    const mine = this.#mySeat;
    if (this.#roster === undefined || mine === undefined) return;
    this.#routes = this.#links.routes(now, mine.slot, this.#heardMask());
    this.#reach.observe(now, this.#roster.seats, (seat) => this.#routes.has(seat.slot));
  }

  #heartbeat(now: number): void {
    this.#nextHeartbeat = now + HEARTBEAT_MS;
    const roster = this.#roster!;
    const slot = this.#mySeat!.slot;
    this.#reportSeq = (this.#reportSeq + 1) >>> 0;
    const own = { slot, seq: this.#reportSeq, mask: this.#heardMask(), eligible: this.#eligible };
    const entries = [own, ...this.#links.fresh(now, slot)];
    const timeOffset = this.#isHost ? this.#time.offset : undefined;
    const bytes = encodeControl({ type: 'heartbeat', term: roster.term, epoch: roster.epoch, lineage: roster.lineage, timeOffset, entries });
    for (const neighbour of this.#neighbours.values()) this.#endpoint.send(now, neighbour.link, 'unreliable', bytes, MESH_LANE);
    this.#endpoint.flush(now);
  }

  /** First words to a new neighbour: what room we think this is. */
  #greet(now: number, neighbour: Neighbour): void {
    if (this.#mySeat !== undefined) this.#sayRoster(now, neighbour);
  }

  #heard(now: number, from: PeerId, heartbeat: Heartbeat): void {
    const roster = this.#roster;
    const neighbour = this.#neighbours.get(from);
    if (roster === undefined || this.#mySeat === undefined || neighbour === undefined) return;
    if (heartbeat.timeOffset !== undefined && from === roster.host) this.#hostOffset = { from, offset: heartbeat.timeOffset };
    if (heartbeat.lineage === roster.lineage) {
      let isNews = false;
      const mine = this.#mySeat.slot;
      for (const entry of heartbeat.entries) if (entry.slot !== mine) isNews = this.#links.learn(now, entry) || isNews;
      if (isNews) {
        this.#route(now);
        this.#soon(now);
      }
    }
    // Whoever has the older roster, or another part's, is told.
    const isBehind = heartbeat.term < roster.term || (heartbeat.term === roster.term && heartbeat.epoch < roster.epoch);
    if (isBehind && now - (this.#toldAt.get(from) ?? -Infinity) >= HEARTBEAT_MS * 2) {
      this.#toldAt.set(from, now);
      this.#sayRoster(now, neighbour);
    }
  }

  #hostOffset: { readonly from: PeerId; readonly offset: number } | undefined;
  readonly #toldAt = new Map<PeerId, number>();

  #keepTime(now: number): void {
    const host = this.#roster!.host;
    if (this.#isHost || this.#hostOffset?.from !== host) return;
    const neighbour = this.#neighbours.get(host);
    const clock = neighbour === undefined ? undefined : this.#endpoint.clock(neighbour.link);
    if (clock?.offsetMs === undefined) return;
    const target = clock.offsetMs + this.#hostOffset.offset;
    if (this.#timeHost === undefined) this.#time.adopt(now, target);
    this.#timeHost = host;
    this.#time.follow(now, target, clock.errorMs);
  }

  #timeHost: PeerId | undefined;

  /** Links whose direct path fails one way or both go through another member, where there is a way. */
  #switchPaths(now: number): void {
    const mine = this.#mySeat!;
    let isChanged = false;
    for (const seat of this.#roster!.seats) {
      const neighbour = this.#neighbours.get(seat.id);
      if (neighbour === undefined || neighbour.address.host.startsWith('~')) continue;
      const report = this.#links.report(now, seat.slot);
      const isDeaf = report !== undefined && ((report.mask >>> mine.slot) & 1) === 0 && now - neighbour.linkedAt > 1_000;
      const hop = this.#routes.get(seat.slot);
      if (!(neighbour.isSilent || isDeaf) || hop === undefined || hop === seat.slot) continue;
      neighbour.address = { host: `~${seat.id}`, port: 0 };
      this.#endpoint.setAddress(now, neighbour.link, neighbour.address);
      isChanged = true;
    }
    if (isChanged) this.#publish();
  }

  // ---- host ----

  #elect(now: number): void {
    const roster = this.#roster!;
    const isReachable = (id: PeerId): boolean => id === this.self || this.#reach.isReachable(id);
    if (this.#isHost || !this.#reach.isLost(now, roster.host)) return;
    if (successor(roster, isReachable, roster.host) === this.self) this.#write(now, claim(roster, this.self, isReachable));
  }

  #attend(now: number): void {
    const roster = this.#roster!;
    const eligible = (seat: Seat): boolean => (seat.id === this.self ? this.#eligible : (this.#links.report(now, seat.slot)?.eligible ?? seat.eligible));
    let next = hostDuties(now, roster, { self: this.self, reach: this.#reach, graceMs: this.#options.graceMs ?? DEFAULT_GRACE_MS, eligible });
    if (!this.#eligible) {
      const heir = next.seats.find((seat) => seat.id !== this.self && seat.status === 'present' && seat.eligible && !seat.spectator && this.#neighbours.has(seat.id));
      if (heir !== undefined) next = succeed(next, heir.id);
    }
    this.#write(now, next);
  }

  // ---- relay ----

  #carry(now: number, target: PeerId, frame: Uint8Array): void {
    const roster = this.#roster;
    const seat = roster === undefined ? undefined : seatOf(roster, target);
    const hop = seat === undefined ? undefined : this.#routes.get(seat.slot);
    const next = hop === undefined ? undefined : roster!.seats.find((other) => other.slot === hop)?.id;
    const neighbour = next === undefined ? undefined : this.#neighbours.get(next);
    // Never into a relayed link: that would wrap a wrapped datagram again.
    if (neighbour === undefined || !isDirect(neighbour)) {
      this.#drops++;
      return;
    }
    this.#endpoint.send(now, neighbour.link, 'unreliable', frame, MESH_LANE);
    this.#endpoint.flush(now);
  }

  #relayed(now: number, bytes: Uint8Array): void {
    const frame: RelayFrame | undefined = decodeRelay(bytes);
    if (frame === undefined) {
      this.#drops++;
      return;
    }
    if (frame.target !== this.self) {
      if (frame.ttl > 0) this.#carry(now, frame.target, encodeRelay({ ...frame, ttl: frame.ttl - 1 }));
      return;
    }
    const datagram = this.#relay.join(frame);
    if (datagram !== undefined) this.#endpoint.handleDatagram(now, frame.socket, `~${frame.source}`, 0, datagram);
  }

  // ---- words ----

  #say(now: number, neighbour: Neighbour, control: Control): void {
    this.#endpoint.send(now, neighbour.link, 'reliable', encodeControl(control), MESH_LANE);
    this.#endpoint.flush(now);
  }

  #sayToHost(now: number, control: Control): void {
    const host = this.#roster === undefined ? undefined : this.#neighbours.get(this.#roster.host);
    if (host !== undefined) this.#say(now, host, control);
  }

  #answerWho(now: number, host: string, port: number, bytes: Uint8Array): void {
    const who = decodeWho(bytes);
    this.#hereBudget = Math.min(HERE_RATE, this.#hereBudget + ((now - this.#hereAt) * HERE_RATE) / 1_000);
    this.#hereAt = now;
    if (who === undefined || this.#mySeat === undefined || this.#hereBudget < 1 || host.startsWith('~')) {
      this.#drops++;
      return;
    }
    if (who.gameId !== undefined && who.gameId !== this.#options.game.id) return;
    if (who.roomTag !== undefined && !isTagOf(who.roomTag, this.#roomTag)) return;
    this.#hereBudget--;
    this.#answers.push({ socket: 'join', host, port, bytes: encodeHere({ nonce: who.nonce, facts: this.facts(now) }).slice() });
  }

  get #roomTag(): Uint8Array {
    const id = fromHex(this.#options.roomId)!;
    return this.#options.crypto.sha256(concatBytes(asciiBytes('lanista room'), id)).subarray(0, 8);
  }
}

function isTagOf(tag: Uint8Array, ours: Uint8Array): boolean {
  return tag.every((byte, i) => byte === ours[i]);
}
