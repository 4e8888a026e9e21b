/**
 * One seat (`RoomPort`) held for a page: turns what the port says into events, and holds reliable
 * messages the port cannot take yet, in order per peer. Without a page it drains the port and forgets.
 */
import type { PeerId } from '../base/brand.ts';
import { BRIDGE_TAKEN_BYTES } from '../bridge/index.ts';
import type { BridgeRoster, ProcessEvent } from '../bridge/index.ts';
import type { OpenRequest } from '../port/lan-port.ts';
import type { Channel, PortEvent, PortRoster, RoomPort } from '../port/port.ts';
import { MAX_HELD_BYTES, MAX_HELD_BYTES_PER_PEER } from '../wire/limits.ts';
import { normaliseRoomCode } from './discovery/join-code.ts';

/** What a seat needs of the page that holds it. */
export interface SeatHolder {
  readonly room: number;
  tell(event: ProcessEvent): void;
  /** The page's number for a peer; tells the page first if it is a new one. */
  number(id: PeerId): number;
  /** Whether the page may send more; it does, as soon as it hears what was taken. */
  hasRoom(): boolean;
  /** True while the page is too far behind for messages that may be lost. */
  lagging(): boolean;
  drop(reason: string): void;
  /** The seat is gone; nothing follows. */
  closed(): void;
}

interface Waiting {
  readonly channel: Channel;
  readonly lane: number;
  readonly bytes: Uint8Array;
}

interface PeerQueue {
  readonly waiting: Waiting[];
  waitingBytes: number;
  /** Reliable bytes handed on or given up, since the page took the seat. */
  takenBytes: number;
  toldBytes: number;
}

const fold = (code: string | undefined): string => normaliseRoomCode(code ?? '');

const RETRY_MS = 10;
const TIME_EVERY_MS = 100;

export class BridgeSeat {
  readonly port: RoomPort;
  /** What it was opened with. */
  readonly code: string | undefined;
  /** True once the port said `closed`. */
  over = false;
  /** True once the page asked to leave: such a seat is not kept. */
  leaving = false;
  onOver: (() => void) | undefined;
  readonly #now: () => number;
  readonly #queues = new Map<PeerId, PeerQueue>();
  #holder: SeatHolder | undefined;
  #retryTimer: NodeJS.Timeout | undefined;
  #heldBytes = 0;
  #timeTold = -Infinity;

  constructor(port: RoomPort, now: () => number, code: string | undefined) {
    this.port = port;
    this.#now = now;
    this.code = code;
    port.onWake = () => this.drain();
  }

  /**
   * From here on the page hears of this seat, starting with the roster as it is. What the port has to say from before goes with it, less
   * what that roster says already: a peer greets a newcomer once, and may do so before the newcomer's page has its room.
   */
  give(holder: SeatHolder): void {
    if (this.over) {
      holder.tell({ type: 'failed', room: holder.room, code: 'closed', message: 'The room was closed while it opened.', hint: undefined });
      return holder.closed();
    }
    this.#holder = holder;
    this.#queues.clear();
    this.#timeTold = -Infinity;
    const roster = this.#roster(holder, this.port.roster());
    holder.tell({ type: 'opened', room: holder.room, roster });
    for (let event = this.port.poll(); event !== undefined; event = this.port.poll()) {
      if (event.type !== 'roster' && event.type !== 'reset' && event.type !== 'merge') this.#pass(event);
    }
    this.tellStats();
  }

  /** The page is gone; the seat stays. */
  takeBack(): void {
    this.#holder = undefined;
    this.onOver = undefined;
    this.#queues.clear();
    this.#heldBytes = 0;
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
  }

  /** Whether this is the seat that `request` would lead to. */
  answers(request: OpenRequest): boolean {
    const { roomId, name, locked, peers } = this.port.roster();
    const isWatching = peers.find(({ id }) => id === this.port.self)?.spectator ?? false;
    if (request.type === 'create' || request.spectate !== isWatching) return false;
    if (request.type === 'join') return request.target === roomId;
    // Rooms of one name with a code and without, or with another code, are not the same.
    return request.name === name && (locked ? fold(request.code) === fold(this.code) : request.code === undefined);
  }

  /** Leaves the room; resolves once the others were told, or after `timeoutMs`. */
  async clear(timeoutMs: number): Promise<void> {
    this.takeBack();
    if (this.over) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.onOver = () => {
        clearTimeout(timer);
        resolve();
      };
      this.leave();
    });
  }

  leave(): void {
    this.leaving = true;
    this.port.leave(this.#now());
    this.drain();
  }

  send(to: PeerId, channel: Channel, lane: number, bytes: Uint8Array): void {
    if (channel !== 'reliable') {
      if (!this.port.send(this.#now(), to, channel, bytes, lane)) this.#holder?.drop(`bridge-${channel}-refused`);
      return;
    }
    const queue = this.#queue(to);
    if (queue.waiting.length === 0 && this.port.send(this.#now(), to, channel, bytes, lane)) {
      queue.takenBytes += bytes.length;
      return;
    }
    if (!this.#isPresent(to)) return this.#giveUp(queue, bytes.length, 'bridge-peer-not-present');
    // The page counts what was taken and stays below these; only a broken page gets here.
    const over = queue.waitingBytes + bytes.length > MAX_HELD_BYTES_PER_PEER || this.#heldBytes + bytes.length > MAX_HELD_BYTES;
    if (over) return this.#giveUp(queue, bytes.length, 'bridge-queue-full');
    queue.waiting.push({ channel, lane, bytes: bytes.slice() });
    queue.waitingBytes += bytes.length;
    this.#heldBytes += bytes.length;
    this.#armRetry();
  }

  flush(): void {
    this.port.flush(this.#now());
    this.#retry();
    this.drain();
  }

  /** Takes everything the port has to say. */
  drain(): void {
    for (let event = this.port.poll(); event !== undefined; event = this.port.poll()) this.#pass(event);
  }

  tellStats(): void {
    const holder = this.#holder;
    if (holder === undefined) return;
    const stats = this.port.stats(this.#now());
    const peers = [...stats.peers].map(([id, of]) => ({ peer: holder.number(id), ...of }));
    const drops = Object.entries(stats.drops).map(([reason, count]) => ({ reason, count }));
    holder.tell({ type: 'stats', room: holder.room, peers, drops });
  }

  /** What rides along with a batch that leaves anyway: the time, and what was taken. */
  tellWithBatch(add: (event: ProcessEvent) => void): void {
    const holder = this.#holder;
    if (holder === undefined) return;
    const now = this.#now();
    if (now - this.#timeTold >= TIME_EVERY_MS) {
      this.#timeTold = now;
      add({ type: 'time', room: holder.room, at: now, time: this.port.time(now), errorMs: this.port.timeErrorMs(now) });
    }
    if (!holder.hasRoom()) return;
    for (const [id, queue] of this.#queues) {
      if (queue.takenBytes === queue.toldBytes) continue;
      queue.toldBytes = queue.takenBytes;
      add({ type: 'taken', room: holder.room, peer: holder.number(id), bytes: queue.takenBytes });
    }
  }

  #queue(id: PeerId): PeerQueue {
    let queue = this.#queues.get(id);
    if (queue === undefined) this.#queues.set(id, (queue = { waiting: [], waitingBytes: 0, takenBytes: 0, toldBytes: 0 }));
    return queue;
  }

  #isPresent(id: PeerId): boolean {
    return this.port.roster().peers.some((peer) => peer.id === id && peer.status === 'present');
  }

  #giveUp(queue: PeerQueue, bytes: number, reason: string): void {
    queue.takenBytes += bytes;
    this.#holder?.drop(reason);
  }

  #armRetry(): void {
    this.#retryTimer ??= setTimeout(() => {
      this.#retryTimer = undefined;
      this.#retry();
      this.port.flush(this.#now());
      this.drain();
    }, RETRY_MS);
  }

  #retry(): void {
    for (const [id, queue] of this.#queues) {
      while (queue.waiting.length > 0) {
        const next = queue.waiting[0]!;
        if (!this.port.send(this.#now(), id, next.channel, next.bytes, next.lane)) {
          if (this.#isPresent(id)) break;
          this.#holder?.drop('bridge-peer-not-present');
        }
        queue.waiting.shift();
        queue.waitingBytes -= next.bytes.length;
        this.#heldBytes -= next.bytes.length;
        queue.takenBytes += next.bytes.length;
      }
      if (queue.waiting.length > 0) this.#armRetry();
      this.#tellTaken(id, queue);
    }
  }

  #tellTaken(id: PeerId, queue: PeerQueue): void {
    const holder = this.#holder;
    if (holder === undefined || queue.takenBytes - queue.toldBytes < BRIDGE_TAKEN_BYTES || !holder.hasRoom()) return;
    queue.toldBytes = queue.takenBytes;
    holder.tell({ type: 'taken', room: holder.room, peer: holder.number(id), bytes: queue.takenBytes });
  }

  #roster(holder: SeatHolder, roster: PortRoster): BridgeRoster {
    const number = (id: PeerId): number => holder.number(id);
    return {
      roomId: roster.roomId,
      name: roster.name,
      max: roster.max,
      locked: roster.locked,
      epoch: roster.epoch,
      term: roster.term,
      host: number(roster.host),
      peers: roster.peers.map((peer) => ({
        peer: number(peer.id),
        slot: peer.slot,
        status: peer.status,
        spectator: peer.spectator,
        eligible: peer.eligible,
        via: peer.via === undefined ? undefined : number(peer.via),
      })),
    };
  }

  #pass(event: PortEvent): void {
    if (event.type === 'closed') this.over = true;
    const holder = this.#holder;
    if (holder !== undefined) this.#tell(holder, event);
    if (event.type !== 'closed') return;
    this.#holder = undefined;
    clearTimeout(this.#retryTimer);
    holder?.closed();
    this.onOver?.();
  }

  #tell(holder: SeatHolder, event: PortEvent): void {
    const { room } = holder;
    switch (event.type) {
      case 'message':
        if (event.channel !== 'reliable' && holder.lagging()) return holder.drop('bridge-page-lagging');
        return holder.tell({ type: 'message', room, peer: holder.number(event.from), channel: event.channel, lane: event.lane, bytes: event.bytes });
      case 'roster': {
        const left = event.left.map(({ id, slot, reason }) => ({ peer: holder.number(id), slot, reason }));
        return holder.tell({ type: 'roster', room, roster: this.#roster(holder, event.roster), left });
      }
      case 'reset':
        return holder.tell({ type: 'reset', room, peer: holder.number(event.peer) });
      case 'merge':
        return holder.tell({ type: 'merge', room, lost: event.lost, joined: event.joined.map((id) => holder.number(id)) });
      case 'closed':
        return holder.tell({ type: 'closed', room, reason: event.reason });
    }
  }
}
