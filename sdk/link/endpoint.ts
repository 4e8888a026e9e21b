/**
 * All links of one process in one room: where datagrams come in and go out.
 *
 * What arrives on the join socket is from anybody: `Door` answers it, `Attempts` takes the answers to what we
 * asked. What arrives on the session socket is opened by its connection id or dropped.
 *
 * A link exists for the responder when FIN verifies, for the initiator when the first sealed packet
 * opens: before that, no application data goes either way.
 *
 * WHO and HERE are not for the endpoint: the mesh, which knows the room's facts, takes them before.
 */
import type { PeerId } from '../base/brand.ts';
import type { Channel, PeerStats } from '../port/port.ts';
import { peerIdOf } from '../secure/identity.ts';
import { Session } from '../secure/session.ts';
import {
  DATA_HEADER_BYTES,
  KIND_COOKIE,
  KIND_FIN,
  KIND_HELLO,
  KIND_INIT,
  KIND_RESP,
  TAG_BYTES,
  isData,
  readDataCid,
  readDataSeq,
} from '../wire/datagram.ts';
import { MAX_DATAGRAM_BYTES, STALL_MS, STRAY_MS } from '../wire/limits.ts';
import type { Attempt } from './attempt.ts';
import { Attempts } from './attempts.ts';
import { Door } from './door.ts';
import type {
  Address,
  AttemptId,
  CloseReason,
  DoorKey,
  EndpointEvent,
  EndpointLike,
  EndpointOptions,
  LinkClock,
  LinkId,
  SocketKind,
  Transmit,
} from './endpoint-types.ts';
import { HeldBudget } from './held-budget.ts';
import { LinkTable, type Entry, type OutgoingDatagram } from './link-table.ts';
import { isRelayedHost } from './path.ts';
import { Premises, sessionAddress } from './premises.ts';

const NO_CLOCK: LinkClock = { offsetMs: undefined, errorMs: Infinity, at: -Infinity };

export class Endpoint implements EndpointLike {
  readonly self: PeerId;
  readonly #premises: Premises;
  readonly #budget: HeldBudget;
  readonly #attempts: Attempts;
  readonly #door: Door;
  readonly #links: LinkTable;
  readonly #opened = new Uint8Array(MAX_DATAGRAM_BYTES);
  readonly #transmit: OutgoingDatagram = { socket: 'session', host: '', port: 0, bytes: this.#opened };
  #deadline = Infinity;
  #seenAt = -Infinity;
  #strayAt = -Infinity;

  constructor(options: EndpointOptions, budget: HeldBudget = new HeldBudget()) {
    this.self = peerIdOf(options.identity.publicKey, options.crypto);
    this.#premises = new Premises(options);
    this.#budget = budget;
    this.#attempts = new Attempts(this.#premises, this.self);
    this.#door = new Door(this.#premises, this.#attempts);
    this.#links = new LinkTable(this.#premises, this.#attempts, budget);
  }

  // ── getters ───────────────────────────────────────────────────────────────────────────────────────

  get drops(): Readonly<Record<string, number>> {
    return this.#premises.drops.counts;
  }

  stats(_now: number, link: LinkId): PeerStats | undefined {
    return this.#links.byId(link)?.link.stats();
  }

  queued(link: LinkId, lane: number): number {
    return this.#links.byId(link)?.link.laneBytes(lane) ?? 0;
  }

  hearsDirectly(link: LinkId): boolean {
    return this.#links.byId(link)?.link.hearsDirectly === true;
  }

  clock(link: LinkId): LinkClock {
    return this.#links.byId(link)?.link.clock ?? NO_CLOCK;
  }

  address(link: LinkId): Address | undefined {
    return this.#links.byId(link)?.link.path.address;
  }

  /** Largest `sequenced` or `unreliable` message the link takes now. */
  maxDatagramMessageBytes(link: LinkId): number {
    return this.#links.byId(link)?.link.maxDatagramMessageBytes ?? 0;
  }

  /** Handshakes being answered, and bytes held by all links: for tests of the bounds. */
  get load(): { readonly halfOpen: number; readonly attempts: number; readonly links: number; readonly heldBytes: number } {
    return { halfOpen: this.#door.size, attempts: this.#attempts.size, links: this.#links.size, heldBytes: this.#budget.usedBytes };
  }

  // ── in ────────────────────────────────────────────────────────────────────────────────────────────

  handleDatagram(now: number, socket: SocketKind, host: string, port: number, bytes: Uint8Array): void {
    this.#noticeStall(now);
    const { drops } = this.#premises;
    if (bytes.length === 0) return drops.count('empty');
    if (bytes.length > MAX_DATAGRAM_BYTES) return drops.count('oversize');
    const data = isData(bytes);
    if (data !== (socket === 'session')) return drops.count('kind');
    if (data) return this.#handleData(now, host, port, bytes);
    switch (bytes[0]) {
      case KIND_HELLO:
        return this.#door.handleHello(now, host, port, bytes);
      case KIND_COOKIE:
        return this.#attempts.handleCookie(now, bytes);
      case KIND_INIT:
        return this.#door.handleInit(now, host, port, bytes);
      case KIND_RESP:
        return this.#attempts.handleResp(now, bytes, (peer) => this.#links.isAlive(now, peer));
      case KIND_FIN:
        return this.#handleFin(now, host, port, bytes);
      default:
        return drops.count('kind');
    }
  }

  handleTimeout(now: number): void {
    this.#noticeStall(now);
    this.#door.handleTimeout(now);
    this.#attempts.handleTimeout(now, (peer) => this.#links.hasPeer(peer));
    this.#links.handleTimeout(now);
  }

  /** We were called much later than we asked: the silence of that time was ours. */
  #noticeStall(now: number): void {
    const late = now - Math.max(this.#deadline, this.#seenAt);
    this.#seenAt = now;
    if (!(late > STALL_MS) || this.#deadline === Infinity) return;
    this.#deadline = Infinity;
    this.#links.handleStall(now, late);
    this.#attempts.handleStall(late);
  }

  #handleFin(now: number, host: string, port: number, bytes: Uint8Array): void {
    const { drops, options } = this.#premises;
    const came = this.#door.handleFin(now, host, port, bytes);
    if (came === undefined) return;
    if ('unknown' in came) {
      // Our first packet was lost, so the initiator asks again: prove the keys once more.
      const entry = this.#links.byCid(came.unknown);
      if (entry === undefined || entry.link.traffic.packetsIn > 0) return drops.count('unexpected');
      entry.link.confirm();
      return this.#links.touch(entry);
    }
    const { half, far, keys } = came;
    if (far.peer === this.self) return drops.count('handshake');
    if (this.#links.isFull(now)) return drops.count('links');
    this.#links.establish(now, {
      session: new Session({ crypto: options.crypto, sendKey: keys.send, receiveKey: keys.receive, remoteCid: half.remoteCid, now }),
      far,
      cid: half.cid,
      address: sessionAddress({ host, port }, far.sessionPort),
      door: { host, port },
      initiator: far.peer,
      initiatorCid: half.remoteCid,
      attempt: this.#attempts.neededNoMore(far.peer, host, port),
    });
  }

  #handleData(now: number, host: string, port: number, bytes: Uint8Array): void {
    const { drops } = this.#premises;
    if (bytes.length < DATA_HEADER_BYTES + TAG_BYTES) return drops.count('malformed');
    const cid = readDataCid(bytes);
    const entry = this.#links.byCid(cid);
    if (entry !== undefined) return this.#open(now, entry, host, port, bytes);
    const attempt = this.#attempts.awaiting(cid);
    if (attempt === undefined) {
      drops.count('link');
      if (now - this.#strayAt < STRAY_MS || isRelayedHost(host)) return;
      this.#strayAt = now;
      return this.#premises.tell({ type: 'stray', host });
    }
    this.#openFirst(now, attempt, host, port, bytes);
  }

  #open(now: number, entry: Entry, host: string, port: number, bytes: Uint8Array): void {
    const size = entry.session.open(now, bytes, this.#opened);
    if (typeof size !== 'number') return this.#premises.drops.count(size === 'replayed' || size === 'stale' ? 'replay' : 'seal');
    entry.link.handlePacket(now, readDataSeq(bytes), this.#opened, size, bytes.length, host, port);
    this.#links.settle(now, entry);
  }

  /** The first sealed packet proves the responder's keys: the attempt becomes a link. */
  #openFirst(now: number, attempt: Attempt, host: string, port: number, bytes: Uint8Array): void {
    if (attempt.state.type !== 'fin') return;
    const { session, far, cid } = attempt.state;
    const size = session.open(now, bytes, this.#opened);
    if (typeof size !== 'number') return this.#premises.drops.count('seal');
    if (this.#links.isFull(now)) return this.#attempts.fail(attempt, 'busy');
    const address = sessionAddress(attempt.address, far.sessionPort);
    const made = this.#links.establish(now, {
      session,
      far,
      cid,
      address,
      door: attempt.address,
      initiator: this.self,
      initiatorCid: cid,
      attempt,
    });
    made?.link.handlePacket(now, readDataSeq(bytes), this.#opened, size, bytes.length, host, port);
  }

  // ── commands ──────────────────────────────────────────────────────────────────────────────────────

  connect(now: number, address: Address, door: DoorKey, expect?: PeerId, probe = false): AttemptId {
    return this.#attempts.connect(now, address, door, expect, probe);
  }

  setDoor(door: { readonly open: boolean; readonly code: string | undefined; readonly roomKey: Uint8Array | undefined }): void {
    this.#premises.door = { open: door.open, code: door.code, roomKey: door.roomKey?.slice() };
  }

  shut(): void {
    this.setDoor({ open: false, code: undefined, roomKey: undefined });
    this.#attempts.abort();
  }

  send(now: number, link: LinkId, channel: Channel, bytes: Uint8Array, lane = 0): boolean {
    const entry = this.#links.byId(link);
    if (entry === undefined || !entry.link.send(now, channel, bytes, lane)) return false;
    this.#links.touch(entry);
    return true;
  }

  flush(now: number, only?: LinkId): void {
    const entry = only === undefined ? undefined : this.#links.byId(only);
    if (only === undefined || entry !== undefined) this.#links.flush(now, entry);
  }

  setAddress(now: number, link: LinkId, address: Address): void {
    const entry = this.#links.byId(link);
    if (entry === undefined) return;
    entry.link.setAddress(now, { host: address.host, port: address.port });
    this.#links.touch(entry);
  }

  close(now: number, link: LinkId, reason: CloseReason): void {
    const entry = this.#links.byId(link);
    if (entry === undefined) return;
    entry.link.close(now, reason);
    this.#links.touch(entry);
  }

  // ── out ───────────────────────────────────────────────────────────────────────────────────────────

  get waiting(): boolean {
    return this.#links.waiting || this.#premises.answers.length > 0 || this.#attempts.size > 0;
  }

  pollTransmit(now: number): Transmit | undefined {
    const out = this.#transmit;
    const { answers } = this.#premises;
    const answer = answers.length === 0 ? undefined : answers.shift();
    if (answer !== undefined) return this.#emitJoin(answer.host, answer.port, answer.bytes);
    const attempt = this.#attempts.size === 0 ? undefined : this.#attempts.pollDue(now);
    if (attempt !== undefined) return this.#emitJoin(attempt.address.host, attempt.address.port, attempt.datagram);
    return this.#links.poll(now, out) ? out : undefined;
  }

  #emitJoin(host: string, port: number, bytes: Uint8Array): Transmit {
    const out = this.#transmit;
    out.socket = 'join';
    out.host = host;
    out.port = port;
    out.bytes = bytes;
    return out;
  }

  pollEvent(): EndpointEvent | undefined {
    return this.#premises.pollEvent();
  }

  pollTimeout(): number {
    return (this.#deadline = Math.min(this.#attempts.wakeAt(), this.#links.wakeAt()));
  }
}
