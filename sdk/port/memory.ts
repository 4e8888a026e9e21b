/**
 * Rooms inside one process: the third implementation of the seam, for single player and for tests.
 *
 * A `MemoryHub` is the network and the clock. Its members find each other's rooms at once; messages take `latencyMs`, and datagrams
 * may be lost. With `time` given it runs on the edge's loop (single player); without, it has a virtual clock that
 * `advance` turns, jumping from one deadline to the next, so that tests run as fast as they compute.
 */
import type { PeerId, RoomId, Slot } from '../base/brand.ts';
import { LanError } from '../base/errors.ts';
import type { Rng } from '../base/rng.ts';
import { createRng } from '../base/rng.ts';
import { MAX_DATAGRAM_MESSAGE_BYTES, MAX_LANES, MAX_MESSAGE_BYTES, MAX_PEERS } from '../wire/limits.ts';
import type { GameFacts, LocalTime } from './lan-port.ts';
import type { Channel, LeaveReason, PeerStats, PortDeparture, PortEvent, PortPeer, PortRoster, PortStats, RoomPort } from './port.ts';

export interface MemoryHubOptions {
  /** Of the losses and of peer names; default 1. */
  readonly seed?: number;
  /** One way, ms; default 0. */
  readonly latencyMs?: number;
  /** Added to the latency of each datagram, uniformly from 0; reorders them. */
  readonly jitterMs?: number;
  /** Share of datagrams lost, 0 to 1; the reliable channel loses nothing. */
  readonly lossRatio?: number;
  /** The loop to run on; a virtual clock when absent. */
  readonly time?: LocalTime;
  /** Room time at the start, ms. */
  readonly startMs?: number;
}

interface Timer {
  at: number;
  run: (() => void) | undefined;
}

interface Parcel {
  readonly at: number;
  readonly order: number;
  readonly deliver: () => void;
}

export class MemoryHub {
  readonly rng: Rng;
  readonly rooms = new Map<RoomId, MemoryRoom>();
  readonly watchers = new Set<() => void>();
  latencyMs: number;
  jitterMs: number;
  lossRatio: number;
  readonly startMs: number;
  readonly #real: LocalTime | undefined;
  readonly #timers = new Set<Timer>();
  #parcels: Parcel[] = [];
  #now = 0;
  #order = 0;
  #names = 0;

  constructor(options: MemoryHubOptions = {}) {
    this.rng = createRng(options.seed ?? 1);
    this.latencyMs = options.latencyMs ?? 0;
    this.jitterMs = options.jitterMs ?? 0;
    this.lossRatio = options.lossRatio ?? 0;
    this.startMs = options.startMs ?? 1_000_000;
    this.#real = options.time;
  }

  now(): number {
    return this.#real?.now() ?? this.#now;
  }

  /** A clock for one member. */
  clock(): LocalTime {
    const timer: Timer = { at: Number.POSITIVE_INFINITY, run: undefined };
    return {
      now: () => this.now(),
      schedule: (at, tick) => {
        timer.at = at;
        timer.run = tick;
        this.#timers.add(timer);
        this.#arm();
      },
      cancel: () => {
        timer.at = Number.POSITIVE_INFINITY;
        timer.run = undefined;
        this.#timers.delete(timer);
      },
    };
  }

  /** Calls `deliver` after `delayMs`; never within the caller's turn. */
  post(delayMs: number, deliver: () => void): void {
    const parcel = { at: this.now() + delayMs, order: this.#order++, deliver };
    let at = this.#parcels.length;
    while (at > 0 && this.#parcels[at - 1]!.at > parcel.at) at--;
    this.#parcels.splice(at, 0, parcel);
    this.#arm();
  }

  #deadline(): number {
    let earliest = this.#parcels[0]?.at ?? Number.POSITIVE_INFINITY;
    for (const timer of this.#timers) earliest = Math.min(earliest, timer.at);
    return earliest;
  }

  #arm(): void {
    if (this.#real === undefined) return;
    const at = this.#deadline();
    if (at === Number.POSITIVE_INFINITY) this.#real.cancel();
    else this.#real.schedule(at, () => this.#runDue());
  }

  #runDue(): void {
    const now = this.now();
    while ((this.#parcels[0]?.at ?? Number.POSITIVE_INFINITY) <= now) this.#parcels.shift()!.deliver();
    for (const timer of [...this.#timers]) {
      if (timer.at > now || timer.run === undefined) continue;
      const { run } = timer;
      timer.at = Number.POSITIVE_INFINITY;
      timer.run = undefined;
      run();
    }
    this.#arm();
  }

  /** Virtual clock only: lets `ms` pass, running everything that falls due, in order. */
  advance(ms: number): void {
    const end = this.#now + ms;
    // What is due now may schedule more for now; a thousand rounds without time passing is a loop, not a game.
    for (let still = 0; still < 1_000;) {
      const at = this.#deadline();
      if (at > end) break;
      still = at > this.#now ? 0 : still + 1;
      this.#now = Math.max(this.#now, at);
      this.#runDue();
    }
    this.#now = end;
  }

  /** As `advance`, but gives promises their turns: for code that awaits. */
  async play(ms: number, stepMs = 5): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      this.advance(Math.min(stepMs, left));
      for (let i = 0; i < 4; i++) await Promise.resolve();
    }
  }

  /** A new member's name. */
  name(): PeerId {
    const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';
    let name = alphabet[this.#names % 32]! + alphabet[Math.floor(this.#names / 32) % 32]!;
    this.#names++;
    while (name.length < 16) name += alphabet[this.rng.int(32)]!;
    return name as PeerId;
  }

  changed(): void {
    for (const watcher of [...this.watchers]) watcher();
  }
}

interface Seat {
  readonly port: MemoryRoomPort;
  status: 'present' | 'away';
  eligible: boolean;
  readonly slot: Slot;
}

/** The room itself: what the mesh's members agree on, held in one place. */
export class MemoryRoom {
  readonly hub: MemoryHub;
  readonly id: RoomId;
  readonly name: string;
  readonly max: number;
  readonly code: string | undefined;
  readonly facts: GameFacts;
  readonly seats = new Map<PeerId, Seat>();
  /** By sender, receiver and lane: when the last reliable message arrives; a page that is reloaded goes on where it was. */
  readonly newestAt = new Map<string, number>();
  readonly #banned = new Set<PeerId>();
  #epoch = 0;
  #term = 1;
  #host: PeerId;
  roster: PortRoster;

  constructor(hub: MemoryHub, facts: GameFacts, name: string, max: number, code: string | undefined, founder: PeerId) {
    this.hub = hub;
    this.facts = facts;
    this.name = name;
    this.max = max;
    this.code = code;
    this.#host = founder;
    let id = '';
    while (id.length < 32) id += hub.rng.int(16).toString(16);
    this.id = id as RoomId;
    this.roster = this.#snapshot();
    hub.rooms.set(this.id, this);
  }

  get players(): number {
    return [...this.seats.values()].filter((seat) => !seat.port.spectator).length;
  }

  enter(self: PeerId, spectate: boolean): MemoryRoomPort {
    if (this.#banned.has(self)) throw new LanError('kicked', `you were removed from '${this.name}'.`);
    const former = this.seats.get(self);
    const isPlaying = former !== undefined && !former.port.spectator;
    if (!isPlaying && !spectate && this.players >= this.max) throw new LanError('room-full', `'${this.name}' is full (${this.max} players).`);
    if (this.seats.size >= MAX_PEERS && former === undefined) throw new LanError('room-full', `'${this.name}' has no seat left.`);
    const taken = new Set([...this.seats.values()].map((seat) => seat.slot));
    let slot = 0;
    while (taken.has(slot as Slot)) slot++;
    former?.port.replaced();
    const port = new MemoryRoomPort(this, self, spectate);
    this.seats.set(self, { port, status: 'present', eligible: true, slot: former?.slot ?? (slot as Slot) });
    this.changed([]);
    if (former !== undefined) for (const seat of this.seats.values()) if (seat.port !== port) seat.port.push({ type: 'reset', peer: self });
    return port;
  }

  remove(self: PeerId, reason: LeaveReason): void {
    const seat = this.seats.get(self);
    if (seat === undefined) return;
    if (reason === 'kicked') this.#banned.add(self);
    this.seats.delete(self);
    seat.port.push({ type: 'closed', reason });
    if (this.seats.size === 0) this.hub.rooms.delete(this.id);
    this.changed([{ id: self, slot: seat.slot, reason }]);
  }

  /** For tests: the seat stays, its peer is cut off. */
  setAway(self: PeerId, away: boolean): void {
    const seat = this.seats.get(self);
    if (seat === undefined) return;
    seat.status = away ? 'away' : 'present';
    this.changed([]);
    if (away) return;
    for (const other of this.seats.values()) {
      if (other === seat) continue;
      other.port.push({ type: 'reset', peer: self });
      seat.port.push({ type: 'reset', peer: other.port.self });
    }
  }

  changed(left: readonly PortDeparture[]): void {
    const able = [...this.seats.values()]
      .filter((seat) => seat.status === 'present')
      .sort((a, b) => Number(b.eligible) - Number(a.eligible) || a.slot - b.slot);
    const host = this.seats.get(this.#host);
    const staying = host?.status === 'present' && (host.eligible || !able.some((seat) => seat.eligible));
    if (!staying && able[0] !== undefined) {
      this.#host = able[0].port.self;
      this.#term++;
    }
    this.#epoch++;
    this.roster = this.#snapshot();
    for (const seat of this.seats.values()) {
      if (seat.status === 'present') seat.port.push({ type: 'roster', roster: this.roster, left });
      else seat.port.cutOff(this.roster);
    }
    this.hub.changed();
  }

  #snapshot(): PortRoster {
    const peers: PortPeer[] = [...this.seats.values()]
      .sort((a, b) => a.slot - b.slot)
      .map((seat) => ({
        id: seat.port.self,
        slot: seat.slot,
        status: seat.status,
        spectator: seat.port.spectator,
        eligible: seat.eligible,
        via: undefined,
      }));
    return {
      roomId: this.id,
      name: this.name,
      max: this.max,
      locked: this.code !== undefined,
      epoch: this.#epoch,
      term: this.#term,
      host: this.#host,
      peers,
    };
  }
}

export class MemoryRoomPort implements RoomPort {
  readonly self: PeerId;
  readonly spectator: boolean;
  onWake: (() => void) | undefined;
  readonly #room: MemoryRoom;
  readonly #events: PortEvent[] = [];
  readonly #newest = new Map<string, number>();
  readonly #traffic = new Map<PeerId, { bytesOut: number; bytesIn: number; packetsOut: number; packetsIn: number }>();
  #roster: PortRoster;
  #gone = false;
  #sequence = 0;
  #lastTime = 0;

  constructor(room: MemoryRoom, self: PeerId, spectator: boolean) {
    this.#room = room;
    this.self = self;
    this.spectator = spectator;
    this.#roster = room.roster;
  }

  roster(): PortRoster {
    return this.#roster;
  }

  get over(): boolean {
    return this.#gone;
  }

  send(_now: number, to: PeerId, channel: Channel, bytes: Uint8Array, lane = 0): boolean {
    const { hub, seats, newestAt } = this.#room;
    const mine = seats.get(this.self);
    const seat = seats.get(to);
    const limit = channel === 'reliable' ? MAX_MESSAGE_BYTES : MAX_DATAGRAM_MESSAGE_BYTES;
    if (this.#gone || to === this.self || seat === undefined || mine?.port !== this || lane < 0 || lane >= MAX_LANES || bytes.length > limit)
      return false;
    if (seat.status !== 'present' || mine.status !== 'present') return false;
    const count = this.#count(to);
    count.bytesOut += bytes.length;
    count.packetsOut++;
    const copy = bytes.slice();
    const sequence = this.#sequence++;
    if (channel !== 'reliable' && hub.rng.chance(hub.lossRatio)) return true;
    const { port } = seat;
    let at = hub.now() + hub.latencyMs + (hub.jitterMs > 0 ? hub.rng.float() * hub.jitterMs : 0);
    if (channel === 'reliable') {
      // In order within its lane; lanes overtake each other, as they do over a real link.
      const key = `${this.self} ${to} ${lane}`;
      at = Math.max(at, newestAt.get(key) ?? at);
      newestAt.set(key, at);
    }
    hub.post(at - hub.now(), () => port.receive(this.self, channel, lane, copy, sequence));
    return true;
  }

  receive(from: PeerId, channel: Channel, lane: number, bytes: Uint8Array, sequence: number): void {
    const seat = this.#room.seats.get(this.self);
    if (this.#gone || seat?.port !== this || seat.status !== 'present') return;
    const count = this.#count(from);
    count.bytesIn += bytes.length;
    count.packetsIn++;
    if (channel === 'sequenced') {
      const key = `${from} ${lane}`;
      if ((this.#newest.get(key) ?? -1) > sequence) return;
      this.#newest.set(key, sequence);
    }
    this.push({ type: 'message', from, channel, lane, bytes });
  }

  #count(peer: PeerId): { bytesOut: number; bytesIn: number; packetsOut: number; packetsIn: number } {
    let count = this.#traffic.get(peer);
    if (count === undefined) this.#traffic.set(peer, (count = { bytesOut: 0, bytesIn: 0, packetsOut: 0, packetsIn: 0 }));
    return count;
  }

  push(event: PortEvent): void {
    if (this.#gone) return;
    if (event.type === 'closed') this.#gone = true;
    if (event.type === 'roster') this.#roster = event.roster;
    if (event.type === 'reset') for (const key of [...this.#newest.keys()]) if (key.startsWith(event.peer)) this.#newest.delete(key);
    this.#events.push(event);
    this.onWake?.();
  }

  /** Its room is told of nothing, as nothing comes; the port knows. */
  cutOff(roster: PortRoster): void {
    this.#roster = roster;
  }

  /** The same peer took its seat again with another port: this one is dead. */
  replaced(): void {
    this.push({ type: 'closed', reason: 'timeout' });
  }

  /** What is sent has arrived, or will. */
  queued(_to: PeerId, _lane: number): number {
    return 0;
  }

  flush(): void {}

  poll(): PortEvent | undefined {
    return this.#events.shift();
  }

  time(now: number): number {
    this.#lastTime = Math.max(this.#lastTime, now + this.#room.hub.startMs);
    return this.#lastTime;
  }

  timeErrorMs(): number {
    return 0;
  }

  setEligible(_now: number, eligible: boolean): void {
    const seat = this.#room.seats.get(this.self);
    if (seat === undefined || seat.port !== this || seat.eligible === eligible) return;
    seat.eligible = eligible;
    this.#room.changed([]);
  }

  kick(_now: number, peer: PeerId): boolean {
    if (this.#gone || this.#roster.host !== this.self || peer === this.self || !this.#room.seats.has(peer)) return false;
    this.#room.remove(peer, 'kicked');
    return true;
  }

  leave(): void {
    if (!this.#gone && this.#room.seats.get(this.self)?.port === this) this.#room.remove(this.self, 'bye');
  }

  stats(): PortStats {
    const peers = new Map<PeerId, PeerStats>();
    for (const [id, count] of this.#traffic)
      peers.set(id, {
        rttMs: 2 * this.#room.hub.latencyMs,
        jitterMs: 0,
        lossOutRatio: this.#room.hub.lossRatio,
        lossInRatio: this.#room.hub.lossRatio,
        ...count,
        queuedBytes: 0,
      });
    return { peers, drops: {} };
  }
}
