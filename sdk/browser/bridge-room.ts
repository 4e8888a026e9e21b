/**
 * A seat seen from the page: `RoomPort` over the bridge. The process holds the real one; here is what it
 * last said (roster, statistics, time), what has arrived and waits for `poll`, and how much reliable data
 * the process has not taken yet, so that `send` can answer at once.
 */
import type { PeerId } from '../base/brand.ts';
import type { Outbox, BridgeRoster, PageCommand, ProcessEvent } from '../bridge/index.ts';
import { BRIDGE_CREDIT_BYTES } from '../bridge/index.ts';
import type { Channel, PeerStats, PortEvent, PortRoster, PortStats, RoomPort } from '../port/port.ts';
import { MAX_DATAGRAM_MESSAGE_BYTES, MAX_LANES, MAX_MESSAGE_BYTES } from '../wire/limits.ts';
import { RoomTime } from './process-clock.ts';
import type { ProcessClock } from './process-clock.ts';

/** What a seat needs of the client it belongs to. */
export interface SeatLine {
  readonly self: PeerId;
  readonly clock: ProcessClock;
  readonly out: Outbox<PageCommand>;
  /** Sends what is in `out`, now. */
  post(): void;
  /** Unsent bytes of the page's own socket. */
  unsent(): number;
  peerId(number: number): PeerId | undefined;
  peerNumber(id: PeerId): number | undefined;
}

/** Unsent bytes beyond which unreliable and sequenced messages are not taken. */
const LAG_BYTES = 256 * 1_024;

/** Reliable bytes that were sent to one peer since the seat opened, and that the process has not taken: it takes them in their order. */
class Credit {
  readonly lanes = Array.from({ length: MAX_LANES }, () => 0);
  readonly #waiting: { readonly lane: number; readonly bytes: number }[] = [];
  #spent = 0;
  #taken = 0;
  /** Of those taken, what is out of `lanes`. */
  #counted = 0;

  /** False when that would be too much. */
  spend(lane: number, bytes: number): boolean {
    if (this.#spent + bytes - this.#taken > BRIDGE_CREDIT_BYTES) return false;
    this.#spent += bytes;
    this.lanes[lane]! += bytes;
    this.#waiting.push({ lane, bytes });
    return true;
  }

  /** @param taken how many the process has taken since the seat opened. */
  giveBack(taken: number): void {
    this.#taken = taken;
    for (let next = this.#waiting[0]; next !== undefined && this.#counted + next.bytes <= taken; next = this.#waiting[0]) {
      this.#counted += next.bytes;
      this.lanes[next.lane]! -= next.bytes;
      this.#waiting.shift();
    }
  }
}

type RoomEvent = Extract<ProcessEvent, { room: number }>;

export class BridgeRoomPort implements RoomPort {
  readonly self: PeerId;
  readonly room: number;
  onWake: (() => void) | undefined;
  readonly #line: SeatLine;
  readonly #time: RoomTime;
  readonly #events: PortEvent[] = [];
  #roster: PortRoster;
  #stats: PortStats = { peers: new Map(), drops: {} };
  readonly #credits = new Map<PeerId, Credit>();
  /** Something was sent since the last flush; it may have left with another batch already. */
  #unflushed = false;
  #over = false;
  /** What the game last said of itself as host. */
  #wanted = true;
  #hidden = false;

  constructor(line: SeatLine, room: number, roster: BridgeRoster) {
    this.#line = line;
    this.self = line.self;
    this.room = room;
    this.#time = new RoomTime(line.clock);
    this.#roster = this.#readRoster(roster);
  }

  roster(): PortRoster {
    return this.#roster;
  }

  send(_now: number, to: PeerId, channel: Channel, bytes: Uint8Array, lane = 0): boolean {
    const bound = channel === 'reliable' ? MAX_MESSAGE_BYTES : MAX_DATAGRAM_MESSAGE_BYTES;
    if (this.#over || bytes.length > bound || lane < 0 || lane >= MAX_LANES) return false;
    const peer = this.#line.peerNumber(to);
    if (peer === undefined || to === this.self || !this.#isPresent(to)) return false;
    if (channel === 'reliable') {
      let credit = this.#credits.get(to);
      if (credit === undefined) this.#credits.set(to, (credit = new Credit()));
      if (!credit.spend(lane, bytes.length)) return false;
    } else if (this.#line.unsent() > LAG_BYTES) return false;
    this.#line.out.add({ type: 'send', room: this.room, peer, channel, lane, bytes });
    this.#unflushed = true;
    return true;
  }

  queued(to: PeerId, lane: number): number {
    return this.#credits.get(to)?.lanes[lane] ?? 0;
  }

  flush(_now: number): void {
    if (!this.#unflushed) return;
    this.#unflushed = false;
    this.#command({ type: 'flush', room: this.room });
  }

  poll(): PortEvent | undefined {
    return this.#events.shift();
  }

  time(now: number): number {
    return this.#time.now(now);
  }

  timeErrorMs(_now: number): number {
    return this.#time.errorMs();
  }

  setEligible(_now: number, eligible: boolean): void {
    this.#wanted = eligible;
    this.#tellEligible();
  }

  /** A hidden page is no host, whatever the game says; a visible one is what the game says. */
  setHidden(hidden: boolean): void {
    this.#hidden = hidden;
    this.#tellEligible();
  }

  #tellEligible(): void {
    this.#command({ type: 'eligible', room: this.room, eligible: this.#wanted && !this.#hidden });
  }

  kick(_now: number, peer: PeerId): boolean {
    const number = this.#line.peerNumber(peer);
    const known = this.#roster.peers.some((entry) => entry.id === peer);
    if (this.#over || number === undefined || !known || this.#roster.host !== this.self || peer === this.self) return false;
    this.#command({ type: 'kick', room: this.room, peer: number });
    return true;
  }

  leave(_now: number): void {
    this.#command({ type: 'leave', room: this.room });
  }

  stats(_now: number): PortStats {
    return this.#stats;
  }

  /** The socket is gone and the seat with it, as far as this page goes. */
  lose(): void {
    this.#push({ type: 'closed', reason: 'bridge' });
  }

  /** One event of this room. Waking is left to the caller, once per batch. */
  handle(event: RoomEvent): void {
    switch (event.type) {
      case 'message': {
        const from = this.#line.peerId(event.peer);
        if (from !== undefined) this.#push({ type: 'message', from, channel: event.channel, lane: event.lane, bytes: event.bytes });
        return;
      }
      case 'roster': {
        this.#roster = this.#readRoster(event.roster);
        const left = event.left.flatMap(({ peer, slot, reason }) => {
          const id = this.#line.peerId(peer);
          return id === undefined ? [] : [{ id, slot, reason }];
        });
        return this.#push({ type: 'roster', roster: this.#roster, left });
      }
      case 'reset': {
        const peer = this.#line.peerId(event.peer);
        if (peer !== undefined) this.#push({ type: 'reset', peer });
        return;
      }
      case 'merge': {
        const joined = event.joined.map((number) => this.#line.peerId(number)).filter((id) => id !== undefined);
        return this.#push({ type: 'merge', lost: event.lost, joined });
      }
      case 'closed':
        return this.#push({ type: 'closed', reason: event.reason });
      case 'taken': {
        const peer = this.#line.peerId(event.peer);
        if (peer !== undefined) this.#credits.get(peer)?.giveBack(event.bytes);
        return;
      }
      case 'time':
        return this.#time.sample(event.at, event.time, event.errorMs);
      case 'stats':
        return this.#readStats(event);
      case 'opened':
      case 'failed':
        return;
    }
  }

  get over(): boolean {
    return this.#over;
  }

  get waiting(): boolean {
    return this.#events.length > 0;
  }

  #push(event: PortEvent): void {
    if (this.#over) return;
    if (event.type === 'closed') this.#over = true;
    this.#events.push(event);
  }

  #command(command: PageCommand): void {
    if (this.#over) return;
    this.#line.out.add(command);
    this.#line.post();
  }

  #isPresent(id: PeerId): boolean {
    return this.#roster.peers.some((peer) => peer.id === id && peer.status === 'present');
  }

  #readRoster(from: BridgeRoster): PortRoster {
    const id = (number: number): PeerId => this.#line.peerId(number) ?? ('' as PeerId);
    const peers = from.peers.map(({ peer, via, ...rest }) => ({ ...rest, id: id(peer), via: via === undefined ? undefined : id(via) }));
    return { ...from, host: id(from.host), peers };
  }

  #readStats(event: Extract<ProcessEvent, { type: 'stats' }>): void {
    const peers = new Map<PeerId, PeerStats>();
    for (const { peer, ...of } of event.peers) {
      const id = this.#line.peerId(peer);
      if (id !== undefined) peers.set(id, of);
    }
    const drops: Record<string, number> = {};
    for (const { reason, count } of event.drops) drops[reason] = count;
    this.#stats = { peers, drops };
  }
}
