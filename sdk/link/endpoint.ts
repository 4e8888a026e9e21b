/**
 * All links of one process in one room: handshakes, keys, routing of datagrams to links.
 *
 * What arrives on the join socket is from anybody. A receiver's obligations, in this order:
 *   1. size, kind, version, padding; 2. room tag; 3. cookie (nothing is stored, nothing is computed before
 *   it verifies); 4. the source's allowance; 5. Noise; and only then state. Every refusal is silent.
 * What arrives on the session socket is opened by its connection id or dropped.
 *
 * A link exists for the responder when FIN verifies, for the initiator when the first sealed packet
 * opens: before that, no application data goes either way.
 *
 * WHO and HERE are not for the endpoint: the mesh, which knows the room's facts, takes them before.
 */
import type { PeerId } from '../base/brand.ts';
import { ByteWriter, asciiBytes, concatBytes, equalBytes, fromHex } from '../base/bytes.ts';
import { LanError } from '../base/errors.ts';
import type { Channel, PeerStats } from '../port/port.ts';
import { CookieJar } from '../secure/cookie.ts';
import {
  InitiatorHandshake,
  ResponderHandshake,
  type FarSide,
  type HandshakeContext,
  type HandshakeKeys,
  type HandshakeMode,
} from '../secure/handshake.ts';
import { peerIdOf } from '../secure/identity.ts';
import { Session } from '../secure/session.ts';
import {
  DATA_HEADER_BYTES,
  KIND_COOKIE,
  KIND_FIN,
  KIND_HELLO,
  KIND_INIT,
  KIND_RESP,
  NONCE_BYTES,
  ROOM_TAG_BYTES,
  TAG_BYTES,
  decodeCookie,
  decodeFin,
  decodeHello,
  decodeInit,
  decodeResp,
  encodeCookie,
  encodeFin,
  encodeHello,
  encodeInit,
  encodeResp,
  isData,
  readDataCid,
  readDataSeq,
} from '../wire/datagram.ts';
import { MAX_ATTEMPTS, MAX_DATAGRAM_BYTES, MAX_LINKS, PROTOCOL_VERSION, STALL_MS } from '../wire/limits.ts';
import { Attempt } from './attempt.ts';
import { Drops, type DropReason } from './drops.ts';
import type {
  Address,
  AttemptId,
  CloseReason,
  ConnectFailure,
  DoorMode,
  EndpointEvent,
  EndpointLike,
  EndpointOptions,
  LinkClock,
  LinkId,
  SocketKind,
  Transmit,
} from './endpoint-types.ts';
import { HalfOpenTable } from './half-open.ts';
import { HeldBudget } from './held-budget.ts';
import { JoinGuard } from './join-guard.ts';
import { Link, type LinkSink } from './link.ts';

/** Sessions of the same pair that were set up this close together are twins: one rule picks the same on both sides (ms). */
const TWIN_MS = 3_000;
/** A twin has to be alive; a session of a process that died is no twin of its successor's (ms). */
const TWIN_ALIVE_MS = 500;
/** For so long the side with the lower nonce does not answer an INIT that crossed its own (ms). */
const CROSSING_MS = 300;
/** For so long the other side waits with its own handshake (ms). */
const PARK_MS = 1_000;
/** RESPs that fail to verify before an attempt gives up: one may be forged, three are another game. */
const MAX_RESTARTS = 2;

const NO_CLOCK: LinkClock = { offsetMs: undefined, errorMs: Infinity };

/** One link with its keys. */
interface Entry {
  readonly link: Link;
  readonly session: Session;
  readonly cid: number;
  readonly publicKey: Uint8Array;
  readonly since: number;
  readonly initiator: PeerId;
  readonly initiatorCid: number;
  dirty: boolean;
  wakeAt: number;
}

interface Outgoing {
  readonly host: string;
  readonly port: number;
  readonly bytes: Uint8Array;
}

export class Endpoint implements EndpointLike, LinkSink {
  readonly self: PeerId;
  readonly #options: EndpointOptions;
  readonly #roomId: Uint8Array;
  readonly #roomTag: Uint8Array;
  readonly #budget: HeldBudget;
  readonly #drops = new Drops();
  readonly #guard = new JoinGuard();
  readonly #halfOpen = new HalfOpenTable();
  readonly #attempts = new Map<AttemptId, Attempt>();
  readonly #attemptsByCid = new Map<number, Attempt>();
  readonly #byId = new Map<LinkId, Entry>();
  readonly #byCid = new Map<number, Entry>();
  readonly #byPeer = new Map<PeerId, Entry>();
  readonly #dirty: Entry[] = [];
  readonly #outgoing: Outgoing[] = [];
  readonly #events: EndpointEvent[] = [];
  readonly #opened = new Uint8Array(MAX_DATAGRAM_BYTES);
  readonly #sealed = new Uint8Array(MAX_DATAGRAM_BYTES + TAG_BYTES);
  readonly #transmit: { socket: SocketKind; host: string; port: number; bytes: Uint8Array } = {
    socket: 'session',
    host: '',
    port: 0,
    bytes: this.#sealed,
  };
  #door: { readonly open: boolean; readonly code: string | undefined; readonly roomKey: Uint8Array | undefined } = {
    open: false,
    code: undefined,
    roomKey: undefined,
  };
  #cookies: CookieJar | undefined;
  #nextLink = 1;
  #nextAttempt = 1;
  #deadline = Infinity;
  #seenAt = -Infinity;
  #eventHead = 0;
  #muted = false;

  constructor(options: EndpointOptions, budget: HeldBudget = new HeldBudget()) {
    const roomId = fromHex(options.roomId);
    if (roomId === undefined || roomId.length !== 16) throw new LanError('bad-argument', 'A room id is 32 hexadecimal characters.');
    this.#options = options;
    this.#budget = budget;
    this.#roomId = roomId;
    this.#roomTag = options.crypto.sha256(asciiBytes('lanista room'), roomId).slice(0, ROOM_TAG_BYTES);
    this.self = peerIdOf(options.identity.publicKey, options.crypto);
  }

  // ── getters ───────────────────────────────────────────────────────────────────────────────────────

  get drops(): Readonly<Record<string, number>> {
    return this.#drops.counts;
  }

  stats(_now: number, link: LinkId): PeerStats | undefined {
    return this.#byId.get(link)?.link.stats();
  }

  clock(link: LinkId): LinkClock {
    return this.#byId.get(link)?.link.clock ?? NO_CLOCK;
  }

  address(link: LinkId): Address | undefined {
    return this.#byId.get(link)?.link.path.address;
  }

  /** Largest `sequenced` or `unreliable` message the link takes now. */
  maxDatagramMessageBytes(link: LinkId): number {
    return this.#byId.get(link)?.link.maxDatagramMessageBytes ?? 0;
  }

  /** Handshakes being answered, and bytes held by all links: for tests of the bounds. */
  get load(): { readonly halfOpen: number; readonly attempts: number; readonly links: number; readonly heldBytes: number } {
    return { halfOpen: this.#halfOpen.size, attempts: this.#attempts.size, links: this.#byId.size, heldBytes: this.#budget.usedBytes };
  }

  // ── in ────────────────────────────────────────────────────────────────────────────────────────────

  handleDatagram(now: number, socket: SocketKind, host: string, port: number, bytes: Uint8Array): void {
    this.#noticeStall(now);
    if (bytes.length === 0) return this.#drops.count('empty');
    if (bytes.length > MAX_DATAGRAM_BYTES) return this.#drops.count('oversize');
    const data = isData(bytes);
    if (data !== (socket === 'session')) return this.#drops.count('kind');
    if (data) return this.#handleData(now, host, port, bytes);
    switch (bytes[0]) {
      case KIND_HELLO:
        return this.#handleHello(now, host, port, bytes);
      case KIND_COOKIE:
        return this.#handleCookie(now, bytes);
      case KIND_INIT:
        return this.#handleInit(now, host, port, bytes);
      case KIND_RESP:
        return this.#handleResp(now, bytes);
      case KIND_FIN:
        return this.#handleFin(now, host, port, bytes);
      default:
        return this.#drops.count('kind');
    }
  }

  handleTimeout(now: number): void {
    this.#noticeStall(now);
    this.#halfOpen.expire(now);
    for (const attempt of this.#attempts.values()) {
      if (now >= attempt.deadline) this.#fail(attempt, 'timeout');
      else if (attempt.isUnheard(now)) {
        if (attempt.state.type === 'fin' && this.#byPeer.has(attempt.state.far.peer)) this.#fail(attempt, 'aborted');
        else if (attempt.mode === 'code') this.#fail(attempt, 'wrong-code');
        else this.#restart(now, attempt);
      }
    }
    for (const entry of this.#byId.values()) {
      if (entry.wakeAt > now) continue;
      entry.link.handleTimeout(now);
      this.#touch(entry);
    }
  }

  /** We were called much later than we asked: the silence of that time was ours. */
  #noticeStall(now: number): void {
    const late = now - Math.max(this.#deadline, this.#seenAt);
    this.#seenAt = now;
    if (!(late > STALL_MS) || this.#deadline === Infinity) return;
    this.#deadline = Infinity;
    for (const entry of this.#byId.values()) entry.link.handleStall(late);
    for (const attempt of this.#attempts.values()) attempt.deadline += late;
  }

  #jar(now: number): CookieJar {
    return (this.#cookies ??= new CookieJar(now, this.#options.crypto));
  }

  #handleHello(now: number, host: string, port: number, bytes: Uint8Array): void {
    const hello = decodeHello(bytes);
    if (hello === undefined) return this.#drops.count('malformed');
    if (!equalBytes(hello.roomTag, this.#roomTag)) return this.#drops.count('room');
    const door = this.#door;
    if (!door.open && door.code === undefined && door.roomKey === undefined) return this.#drops.count('door');
    const cookie = this.#jar(now).issue(now, host, port, hello.nonce);
    this.#outgoing.push({ host, port, bytes: encodeCookie({ nonce: hello.nonce, cookie }).slice() });
  }

  #handleCookie(now: number, bytes: Uint8Array): void {
    const message = decodeCookie(bytes);
    if (message === undefined) return this.#drops.count('malformed');
    for (const attempt of this.#attempts.values()) {
      if (attempt.state.type !== 'hello' || !equalBytes(attempt.nonce, message.nonce)) continue;
      const cid = this.#newCid();
      const handshake = new InitiatorHandshake(this.#context(cid, message.cookie), attempt.mode, { code: attempt.code, roomKey: this.#door.roomKey });
      const init = encodeInit({ cid, nonce: attempt.nonce, cookie: message.cookie, roomTag: this.#roomTag, noise: handshake.message1 }).slice();
      this.#attemptsByCid.set(cid, attempt);
      attempt.enter(now, { type: 'init', cid, handshake }, init);
      return;
    }
    this.#drops.count('unexpected');
  }

  #handleInit(now: number, host: string, port: number, bytes: Uint8Array): void {
    const init = decodeInit(bytes);
    if (init === undefined) return this.#drops.count('malformed');
    if (!equalBytes(init.roomTag, this.#roomTag)) return this.#drops.count('room');
    if (!this.#jar(now).verify(now, init.cookie, host, port, init.nonce)) return this.#drops.count('cookie');
    const known = this.#halfOpen.find(init.cid, host, port, init.nonce);
    if (known !== undefined) {
      if (!this.#halfOpen.mayReplay(known)) return this.#drops.count('duplicate');
      this.#outgoing.push({ host, port, bytes: known.resp });
      return;
    }
    if (this.#crosses(now, host, port, init.nonce)) return this.#drops.count('unexpected');
    if (!this.#guard.allow(now, host)) return this.#drops.count('rate');
    let refusal: DropReason = 'handshake';
    const allows = (mode: HandshakeMode): boolean => {
      refusal = this.#refusal(now, host, mode) ?? refusal;
      return this.#refusal(now, host, mode) === undefined;
    };
    const handshake = ResponderHandshake.start(
      this.#context(init.cid, init.cookie),
      init.noise,
      { code: this.#door.code, roomKey: this.#door.roomKey },
      allows,
    );
    if (handshake === undefined) return this.#drops.count(refusal);
    const cid = this.#newCid();
    const resp = encodeResp({ cid: init.cid, senderCid: cid, noise: handshake.message2 }).slice();
    const evicted = this.#halfOpen.add({
      cid,
      remoteCid: init.cid,
      host,
      port,
      nonce: init.nonce.slice(),
      handshake,
      resp,
      startedAt: now,
      replays: 0,
    });
    if (evicted) this.#drops.count('half-open');
    this.#outgoing.push({ host, port, bytes: resp });
  }

  #refusal(now: number, host: string, mode: HandshakeMode): DropReason | undefined {
    if (mode === 'open') return this.#door.open ? undefined : 'door';
    if (mode === 'member') return this.#door.roomKey === undefined ? 'door' : undefined;
    if (this.#door.code === undefined) return 'door';
    return this.#guard.allowsCode(now, host) ? undefined : 'code-guess';
  }

  /**
   * Both sides opened at once. The one with the higher nonce lets its own handshake rest and answers; the
   * other one expects that and stays silent for a moment. True when this INIT is not to be answered.
   */
  #crosses(now: number, host: string, port: number, nonce: Uint8Array): boolean {
    for (const attempt of this.#attempts.values()) {
      if (attempt.state.type === 'fin' || attempt.address.port !== port || attempt.address.host !== host) continue;
      if (isLower(attempt.nonce, nonce)) return now - attempt.startedAt < CROSSING_MS;
      attempt.park(now + PARK_MS);
    }
    return false;
  }

  #handleResp(now: number, bytes: Uint8Array): void {
    const resp = decodeResp(bytes);
    if (resp === undefined) return this.#drops.count('malformed');
    const attempt = this.#attemptsByCid.get(resp.cid);
    if (attempt === undefined || attempt.state.type !== 'init') return this.#drops.count('unexpected');
    const { cid, handshake } = attempt.state;
    const result = handshake.handleMessage2(resp.noise);
    if (result === undefined) {
      this.#drops.count('handshake');
      // The Noise state is spent. A forged RESP must not end the attempt, another game's should.
      if (attempt.restarts < MAX_RESTARTS) this.#restart(now, attempt);
      else this.#fail(attempt, 'incompatible');
      return;
    }
    if (result.far.peer === this.self) return this.#fail(attempt, 'self');
    if (attempt.expect !== undefined && attempt.expect !== result.far.peer) return this.#fail(attempt, 'incompatible');
    const session = this.#session(now, result.keys, resp.senderCid);
    const fin = encodeFin({ cid: resp.senderCid, noise: result.message3 }).slice();
    attempt.enter(now, { type: 'fin', cid, since: now, session, far: result.far }, fin);
  }

  #handleFin(now: number, host: string, port: number, bytes: Uint8Array): void {
    const fin = decodeFin(bytes);
    if (fin === undefined) return this.#drops.count('malformed');
    const half = this.#halfOpen.take(fin.cid, host, port);
    if (half === undefined) {
      // Our first packet was lost, so the initiator asks again: prove the keys once more.
      const entry = this.#byCid.get(fin.cid);
      if (entry === undefined || entry.link.traffic.packetsIn > 0) return this.#drops.count('unexpected');
      entry.link.confirm();
      return this.#touch(entry);
    }
    const result = half.handshake.handleMessage3(fin.noise);
    if (result === 'wrong-psk') {
      if (half.handshake.mode === 'code') this.#guard.onWrongCode(now, host);
      return this.#drops.count('handshake');
    }
    if (result.far.peer === this.self) return this.#drops.count('handshake');
    if (this.#byId.size >= MAX_LINKS) return this.#drops.count('links');
    const session = this.#session(now, result.keys, half.remoteCid);
    this.#establish(
      now,
      result.far,
      session,
      half.cid,
      sessionAddress({ host, port }, result.far),
      this.#attemptFor(result.far.peer, host, port),
      half.remoteCid,
      result.far.peer,
    );
  }

  #handleData(now: number, host: string, port: number, bytes: Uint8Array): void {
    if (bytes.length < DATA_HEADER_BYTES + TAG_BYTES) return this.#drops.count('malformed');
    const cid = readDataCid(bytes);
    const entry = this.#byCid.get(cid);
    if (entry !== undefined) return this.#open(now, entry, host, port, bytes);
    const attempt = this.#attemptsByCid.get(cid);
    if (attempt === undefined || attempt.state.type !== 'fin') return this.#drops.count('link');
    const { session, far } = attempt.state;
    const size = session.open(now, bytes, this.#opened);
    if (typeof size !== 'number') return this.#drops.count('seal');
    if (this.#byId.size >= MAX_LINKS) return this.#fail(attempt, 'busy');
    this.#forget(attempt);
    const made = this.#establish(now, far, session, cid, sessionAddress(attempt.address, far), attempt, cid, this.self);
    if (made === undefined) return;
    made.link.handlePacket(now, readDataSeq(bytes), this.#opened, size, bytes.length, host, port);
  }

  #open(now: number, entry: Entry, host: string, port: number, bytes: Uint8Array): void {
    const size = entry.session.open(now, bytes, this.#opened);
    if (typeof size !== 'number') return this.#drops.count(size === 'replayed' || size === 'stale' ? 'replay' : 'seal');
    entry.link.handlePacket(now, readDataSeq(bytes), this.#opened, size, bytes.length, host, port);
    this.#touch(entry);
  }

  // ── commands ──────────────────────────────────────────────────────────────────────────────────────

  connect(now: number, address: Address, door: { readonly mode: DoorMode; readonly code?: string }, expect?: PeerId): AttemptId {
    if (door.mode === 'code' && door.code === undefined) throw new LanError('bad-argument', 'Connecting with a code needs the code.');
    const id = this.#nextAttempt++ as AttemptId;
    if (this.#attempts.size >= MAX_ATTEMPTS || (door.mode === 'member' && this.#door.roomKey === undefined)) {
      this.#events.push({ type: 'failed', attempt: id, reason: this.#attempts.size >= MAX_ATTEMPTS ? 'busy' : 'aborted' });
      return id;
    }
    const nonce = this.#options.crypto.randomBytes(NONCE_BYTES);
    const attempt = new Attempt(now, id, { host: address.host, port: address.port }, door.mode, door.code, expect, nonce, this.#hello(nonce));
    this.#attempts.set(id, attempt);
    return id;
  }

  setDoor(door: { readonly open: boolean; readonly code: string | undefined; readonly roomKey: Uint8Array | undefined }): void {
    this.#door = { open: door.open, code: door.code, roomKey: door.roomKey?.slice() };
  }

  send(now: number, link: LinkId, channel: Channel, bytes: Uint8Array, lane = 0): boolean {
    const entry = this.#byId.get(link);
    if (entry === undefined || !entry.link.send(now, channel, bytes, lane)) return false;
    this.#touch(entry);
    return true;
  }

  flush(_now: number): void {
    for (const entry of this.#byId.values()) {
      entry.link.flush();
      this.#touch(entry);
    }
  }

  setAddress(now: number, link: LinkId, address: Address): void {
    const entry = this.#byId.get(link);
    if (entry === undefined) return;
    entry.link.setAddress(now, { host: address.host, port: address.port });
    this.#touch(entry);
  }

  close(now: number, link: LinkId, reason: CloseReason): void {
    const entry = this.#byId.get(link);
    if (entry === undefined) return;
    entry.link.close(now, reason);
    this.#touch(entry);
  }

  // ── out ───────────────────────────────────────────────────────────────────────────────────────────

  pollTransmit(now: number): Transmit | undefined {
    const out = this.#transmit;
    const first = this.#outgoing.shift();
    if (first !== undefined) return this.#emitJoin(first.host, first.port, first.bytes);
    for (const attempt of this.#attempts.values()) {
      if (attempt.nextAt > now) continue;
      attempt.onSent(now, this.#options.rng);
      return this.#emitJoin(attempt.address.host, attempt.address.port, attempt.datagram);
    }
    for (let entry = this.#dirty.at(-1); entry !== undefined; entry = this.#dirty.at(-1)) {
      const link = entry.link;
      if (link.pollPacket(now)) {
        while (entry.session.nextSeq < link.outSeq) entry.session.skipSeq();
        const size = entry.session.seal(now, link.packet, this.#sealed);
        out.socket = 'session';
        out.host = link.outTo.host;
        out.port = link.outTo.port;
        out.bytes = this.#sealed.subarray(0, size);
        return out;
      }
      this.#dirty.pop();
      entry.dirty = false;
      entry.wakeAt = link.nextTimeout();
      if (link.finished) this.#remove(entry);
    }
    return undefined;
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
    const event = this.#events[this.#eventHead];
    if (event === undefined) {
      this.#events.length = 0;
      this.#eventHead = 0;
      return undefined;
    }
    this.#eventHead++;
    return event;
  }

  pollTimeout(): number {
    let at = Infinity;
    for (const attempt of this.#attempts.values()) at = Math.min(at, attempt.wakeAt);
    for (const entry of this.#byId.values()) if (entry.wakeAt < at) at = entry.wakeAt;
    this.#deadline = at;
    return at;
  }

  // ── what links tell us ────────────────────────────────────────────────────────────────────────────

  onMessage(link: Link, channel: Channel, lane: number, bytes: Uint8Array): void {
    this.#events.push({ type: 'message', link: link.id, peer: link.peer, channel, lane, bytes });
  }

  onSilent(link: Link, silent: boolean): void {
    this.#events.push({ type: silent ? 'silent' : 'heard', link: link.id, peer: link.peer });
  }

  onMoved(link: Link): void {
    this.#events.push({ type: 'moved', link: link.id, peer: link.peer, address: link.path.address });
  }

  onClosed(link: Link, reason: CloseReason, byPeer: boolean): void {
    const entry = this.#byId.get(link.id);
    if (entry !== undefined && this.#byPeer.get(link.peer) === entry) this.#byPeer.delete(link.peer);
    if (!this.#muted) this.#events.push({ type: 'closed', link: link.id, peer: link.peer, reason, byPeer });
  }

  onDrop(reason: DropReason): void {
    this.#drops.count(reason);
  }

  // ── links ─────────────────────────────────────────────────────────────────────────────────────────

  #session(now: number, keys: HandshakeKeys, remoteCid: number): Session {
    return new Session({ crypto: this.#options.crypto, sendKey: keys.send, receiveKey: keys.receive, remoteCid, now });
  }

  /** Both sides proved their keys. Undefined when an older twin of this session stays. */
  #establish(
    now: number,
    far: FarSide,
    session: Session,
    cid: number,
    address: Address,
    attempt: Attempt | undefined,
    initiatorCid: number,
    initiator: PeerId,
  ): Entry | undefined {
    const id = this.#nextLink++ as LinkId;
    const link = new Link(now, {
      id,
      peer: far.peer,
      address,
      rng: this.#options.rng,
      random: this.#options.crypto.randomBytes,
      budget: this.#budget,
      sink: this,
    });
    const entry: Entry = { link, session, cid, publicKey: far.publicKey, since: now, initiator, initiatorCid, dirty: false, wakeAt: now };
    const old = this.#byPeer.get(far.peer);
    if (old !== undefined && isTwin(old, now) && prefers(old, entry)) {
      // The other side drops this one by the same rule; the goodbye is for when it timed the two differently.
      this.#byId.set(id, entry);
      this.#byCid.set(cid, entry);
      this.#muted = true;
      link.close(now, 'replaced');
      this.#muted = false;
      this.#touch(entry);
      if (attempt !== undefined) this.#fail(attempt, 'aborted');
      return undefined;
    }
    if (attempt !== undefined) this.#forget(attempt);
    if (old !== undefined) {
      old.link.close(now, 'replaced');
      this.#touch(old);
    }
    this.#byId.set(id, entry);
    this.#byCid.set(cid, entry);
    this.#byPeer.set(far.peer, entry);
    this.#events.push({
      type: 'linked',
      link: id,
      peer: far.peer,
      publicKey: far.publicKey,
      mode: far.mode,
      address,
      attempt: attempt?.id,
      replaces: old?.link.id,
    });
    this.#touch(entry);
    return entry;
  }

  /**
   * An attempt of ours that this link, opened by the other side, makes needless. Not one that has sent FIN:
   * its session may already stand on the other side, and only the rule for twins picks the same one there.
   */
  #attemptFor(peer: PeerId, host: string, port: number): Attempt | undefined {
    for (const attempt of this.#attempts.values()) {
      if (attempt.state.type === 'fin') continue;
      if (attempt.expect === peer) return attempt;
      if (attempt.address.host === host && attempt.address.port === port) return attempt;
    }
    return undefined;
  }

  #touch(entry: Entry): void {
    if (entry.dirty) return;
    entry.dirty = true;
    this.#dirty.push(entry);
  }

  #remove(entry: Entry): void {
    this.#byId.delete(entry.link.id);
    this.#byCid.delete(entry.cid);
  }

  // ── handshakes ────────────────────────────────────────────────────────────────────────────────────

  #hello(nonce: Uint8Array): Uint8Array {
    return encodeHello({ nonce, roomTag: this.#roomTag }).slice();
  }

  /** Back to the start of an attempt, with everything fresh; its deadline stays. */
  #restart(now: number, attempt: Attempt): void {
    attempt.restarts++;
    if (attempt.cid !== undefined) this.#attemptsByCid.delete(attempt.cid);
    attempt.nonce = this.#options.crypto.randomBytes(NONCE_BYTES);
    attempt.enter(now, { type: 'hello' }, this.#hello(attempt.nonce));
  }

  #forget(attempt: Attempt): void {
    this.#attempts.delete(attempt.id);
    if (attempt.cid !== undefined) this.#attemptsByCid.delete(attempt.cid);
  }

  #fail(attempt: Attempt, reason: ConnectFailure): void {
    this.#forget(attempt);
    this.#events.push({ type: 'failed', attempt: attempt.id, reason });
  }

  #context(initiatorCid: number, cookie: Uint8Array): HandshakeContext {
    const { crypto, identity, sessionPort, joinPort, prologue } = this.#options;
    const cid = new ByteWriter(4).u32(initiatorCid).copy();
    const bound = concatBytes(
      asciiBytes('lanista'),
      new Uint8Array([PROTOCOL_VERSION]),
      new ByteWriter(2).u16(prologue.length).copy(),
      prologue,
      this.#roomId,
      cid,
    );
    return { crypto, identity, roomId: this.#roomId, prologue: bound, sid: concatBytes(cid, cookie), sessionPort, joinPort };
  }

  /** Random, so that a stranger cannot aim at a link; unique among everything that is addressed by one. */
  #newCid(): number {
    for (;;) {
      const bytes = this.#options.crypto.randomBytes(4);
      const cid = ((bytes[0]! << 24) | (bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]!) >>> 0;
      if (cid !== 0 && !this.#byCid.has(cid) && !this.#attemptsByCid.has(cid) && !this.#halfOpen.has(cid)) return cid;
    }
  }
}

/** Where the sealed packets go: same host, the port told in the handshake. A relayed path has no ports. */
function sessionAddress(join: Address, far: FarSide): Address {
  return join.host.startsWith('~') ? { host: join.host, port: join.port } : { host: join.host, port: far.sessionPort };
}

function isLower(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! < b[i]!;
  return false;
}

function isTwin(old: Entry, now: number): boolean {
  return now - old.since < TWIN_MS && now - old.link.heardAt < TWIN_ALIVE_MS;
}

/** Between twins: the one whose initiator has the lower peer id, then the one with the lower connection id of the initiator. */
function prefers(a: Entry, b: Entry): boolean {
  return a.initiator === b.initiator ? a.initiatorCid < b.initiatorCid : a.initiator < b.initiator;
}
