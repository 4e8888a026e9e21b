/**
 * The links of an endpoint with their keys: which there are, which of two twins stays, which has something
 * to send, and the sealing of what leaves.
 */
import type { PeerId } from '../base/brand.ts';
import { assert } from '../base/assert.ts';
import { Sheets } from '../base/bytes.ts';
import type { Channel } from '../port/port.ts';
import type { FarSide } from '../secure/handshake.ts';
import { SEAL_OVERHEAD_BYTES, type Session } from '../secure/session.ts';
import { MAX_LINKS } from '../wire/limits.ts';
import type { Attempt } from './attempt.ts';
import type { Attempts } from './attempts.ts';
import type { DropReason } from './drops.ts';
import type { Address, CloseReason, LinkId, SocketKind } from './endpoint-types.ts';
import type { HeldBudget } from './held-budget.ts';
import { Link, type LinkSink } from './link.ts';
import type { Premises } from './premises.ts';

/** Sessions of the same pair that were set up this close together are twins: one rule picks the same on both sides (ms). */
const TWIN_MS = 3_000;
/** So long a link has to be of use to somebody: to ask for a seat, or for the other part of a room to come together with ours (ms). */
const IDLE_MS = 5_000;
/** A twin has to be alive; a session of a process that died is no twin of its successor's (ms). */
const TWIN_ALIVE_MS = 500;

/** One link with its keys. */
export interface Entry {
  readonly link: Link;
  readonly session: Session;
  readonly cid: number;
  readonly publicKey: Uint8Array;
  readonly since: number;
  readonly initiator: PeerId;
  readonly initiatorCid: number;
  /** Its place in the table of deadlines. */
  readonly slot: number;
  dirty: boolean;
}

/** A session both of whose sides proved their keys, about to become a link. */
export interface NewSession {
  readonly session: Session;
  readonly far: FarSide;
  readonly cid: number;
  readonly address: Address;
  /** Its join socket, as this side knows it. */
  readonly door: Address;
  readonly initiator: PeerId;
  readonly initiatorCid: number;
  /** Ours that led to it, or that it makes needless. */
  readonly attempt: Attempt | undefined;
}

/** One datagram on its way out; the object is used again for the next. */
export interface OutgoingDatagram {
  socket: SocketKind;
  host: string;
  port: number;
  bytes: Uint8Array;
}

export class LinkTable implements LinkSink {
  readonly #premises: Premises;
  readonly #attempts: Attempts;
  readonly #budget: HeldBudget;
  readonly #byId = new Map<LinkId, Entry>();
  /** The same, as a list: walked once per turn and packet. */
  readonly #all: Entry[] = [];
  readonly #byCid = new Map<number, Entry>();
  readonly #byPeer = new Map<PeerId, Entry>();
  /** When each wants `handleTimeout`, by slot: side by side, since all are looked at after every datagram. */
  readonly #wakeAt = new Float64Array(MAX_LINKS).fill(Infinity);
  readonly #freeSlots = Array.from({ length: MAX_LINKS }, (_, i) => MAX_LINKS - 1 - i);
  /** No slot from here on was ever used. */
  #slots = 0;
  /** Those that may have something to send. */
  readonly #dirty: Entry[] = [];
  /** A socket may still read a datagram when the next is sealed, so each has memory of its own. */
  readonly #sheets = new Sheets();
  #nextId = 1;
  #muted = false;

  constructor(premises: Premises, attempts: Attempts, budget: HeldBudget) {
    this.#premises = premises;
    this.#attempts = attempts;
    this.#budget = budget;
    premises.cidHolders.push(this);
  }

  get size(): number {
    return this.#byId.size;
  }

  isFull(now: number): boolean {
    return this.#byId.size >= MAX_LINKS && this.#spare(now) === undefined;
  }

  /**
   * Which link gives its place to another: the oldest that says goodbye, since a peer that comes again and again leaves dozens of them, or
   * else of those nobody needs: a stranger may have any number of keys, and take no seat with one of them.
   */
  #spare(now: number): Entry | undefined {
    const { needs } = this.#premises.options;
    const isIdle = (entry: Entry): boolean => needs !== undefined && now - entry.since > IDLE_MS && !needs(entry.link.peer);
    return this.#all.find((entry) => entry.link.closing) ?? this.#all.find(isIdle);
  }

  hasCid(cid: number): boolean {
    return this.#byCid.has(cid);
  }

  hasPeer(peer: PeerId): boolean {
    return this.#byPeer.has(peer);
  }

  /** True when this peer was heard just now. */
  isAlive(now: number, peer: PeerId): boolean {
    const entry = this.#byPeer.get(peer);
    return entry !== undefined && now - entry.link.heardAt < TWIN_ALIVE_MS;
  }

  byId(id: LinkId): Entry | undefined {
    return this.#byId.get(id);
  }

  byCid(cid: number): Entry | undefined {
    return this.#byCid.get(cid);
  }

  // ── in ────────────────────────────────────────────────────────────────────────────────────────────

  handleTimeout(now: number): void {
    for (const entry of this.#all) {
      if (this.#wakeAt[entry.slot]! > now) continue;
      entry.link.handleTimeout(now);
      this.touch(entry);
    }
  }

  handleStall(now: number, lateMs: number): void {
    for (const entry of this.#all) entry.link.handleStall(now, lateMs);
  }

  /** Undefined when an older twin of this session stays. */
  establish(now: number, made: NewSession): Entry | undefined {
    const { session, far, cid, address, door, attempt, initiator, initiatorCid } = made;
    const { options } = this.#premises;
    const twin = this.#byPeer.get(far.peer);
    const gives = twin !== undefined && isTwin(twin, now) && prefers(twin, made);
    if (this.#freeSlots.length === 0) {
      // Nobody gives up a place for a goodbye.
      if (gives) return this.#giveUp(attempt);
      this.#makeRoom(now);
    }
    const id = this.#nextId++ as LinkId;
    const link = new Link(now, {
      id,
      peer: far.peer,
      address,
      rng: options.rng,
      random: options.crypto.randomBytes,
      budget: this.#budget,
      sink: this,
    });
    const slot = this.#freeSlots.pop();
    assert(slot !== undefined, 'whoever establishes a link has asked whether the table is full');
    this.#slots = Math.max(this.#slots, slot + 1);
    this.#wakeAt[slot] = now;
    const entry: Entry = { link, session, cid, publicKey: far.publicKey, since: now, initiator, initiatorCid, slot, dirty: false };
    this.#byId.set(id, entry);
    this.#all.push(entry);
    this.#byCid.set(cid, entry);
    if (gives) {
      // The other side drops this one by the same rule; the goodbye is for when it timed the two differently.
      this.#muted = true;
      link.close(now, 'replaced');
      this.#muted = false;
      return this.#giveUp(attempt);
    }
    if (attempt !== undefined) this.#attempts.forget(attempt);
    const old = this.#byPeer.get(far.peer);
    old?.link.close(now, 'replaced');
    this.#byPeer.set(far.peer, entry);
    this.#premises.tell({
      type: 'linked',
      link: id,
      peer: far.peer,
      publicKey: far.publicKey,
      mode: far.mode,
      address,
      door,
      attempt: attempt?.id,
      replaces: old?.link.id,
    });
    this.touch(entry);
    return entry;
  }

  #giveUp(attempt: Attempt | undefined): undefined {
    if (attempt !== undefined) this.#attempts.fail(attempt, 'aborted');
  }

  #makeRoom(now: number): void {
    const spare = this.#spare(now);
    if (spare === undefined) return;
    spare.link.close(now, 'refused');
    spare.link.abandon();
    this.#remove(spare);
  }

  #remove(entry: Entry): void {
    this.#wakeAt[entry.slot] = Infinity;
    this.#freeSlots.push(entry.slot);
    this.#byId.delete(entry.link.id);
    this.#all.splice(this.#all.indexOf(entry), 1);
    this.#byCid.delete(entry.cid);
  }

  // ── commands ──────────────────────────────────────────────────────────────────────────────────────

  /** Opens the gates of all links, or of one; only those with something to say are asked at the next poll. */
  flush(now: number, only: Entry | undefined): void {
    if (only !== undefined) {
      if (only.link.flush()) this.touch(only);
      return;
    }
    for (let i = 0; i < this.#all.length; i++) {
      const entry = this.#all[i]!;
      if (entry.link.flush() || this.#wakeAt[entry.slot]! <= now) this.touch(entry);
    }
  }

  /** A packet came for this link: it is asked at the next poll, unless there is nothing to ask. */
  settle(now: number, entry: Entry): void {
    if (entry.dirty) return;
    if (entry.link.waiting(now)) this.touch(entry);
    else this.#wakeAt[entry.slot] = entry.link.nextTimeout();
  }

  /** True when `poll` has a link to ask. */
  get waiting(): boolean {
    return this.#dirty.length > 0;
  }

  /** This link may have something to send: it is asked at the next poll. */
  touch(entry: Entry): void {
    if (entry.dirty) return;
    entry.dirty = true;
    this.#dirty.push(entry);
  }

  // ── out ───────────────────────────────────────────────────────────────────────────────────────────

  /** Seals the next packet of any link into `out`; false when none has anything to send. */
  poll(now: number, out: OutgoingDatagram): boolean {
    for (let entry = this.#dirty.at(-1); entry !== undefined; entry = this.#dirty.at(-1)) {
      const link = entry.link;
      if (link.pollPacket(now)) {
        while (entry.session.nextSeq < link.outSeq) entry.session.skipSeq();
        const bytes = this.#sheets.cut(link.packetBytes + SEAL_OVERHEAD_BYTES);
        entry.session.seal(now, link.packetBuffer, bytes, link.packetBytes);
        out.socket = 'session';
        out.host = link.outTo.host;
        out.port = link.outTo.port;
        out.bytes = bytes;
        return true;
      }
      this.#dirty.pop();
      entry.dirty = false;
      // One that gave up its place has it no more.
      if (this.#byId.get(link.id) !== entry) continue;
      if (link.finished) this.#remove(entry);
      else this.#wakeAt[entry.slot] = link.nextTimeout();
    }
    return false;
  }

  wakeAt(): number {
    let at = Infinity;
    for (let i = 0; i < this.#slots; i++) if (this.#wakeAt[i]! < at) at = this.#wakeAt[i]!;
    return at;
  }

  // ── what links tell us (LinkSink) ─────────────────────────────────────────────────────────────────

  onMessage(link: Link, channel: Channel, lane: number, bytes: Uint8Array): void {
    this.#premises.tell({ type: 'message', link: link.id, peer: link.peer, channel, lane, bytes });
  }

  onSilent(link: Link, silent: boolean): void {
    this.#premises.tell({ type: silent ? 'silent' : 'heard', link: link.id, peer: link.peer });
  }

  onMoved(link: Link): void {
    this.#premises.tell({ type: 'moved', link: link.id, peer: link.peer, address: link.path.address });
  }

  onClosed(link: Link, reason: CloseReason, byPeer: boolean): void {
    const entry = this.#byId.get(link.id);
    if (entry !== undefined) {
      if (this.#byPeer.get(link.peer) === entry) this.#byPeer.delete(link.peer);
      // Another link's need for memory may have ended this one: nobody else asks it for its goodbye.
      this.touch(entry);
    }
    if (!this.#muted) this.#premises.tell({ type: 'closed', link: link.id, peer: link.peer, reason, byPeer });
  }

  onDrop(reason: DropReason): void {
    this.#premises.drops.count(reason);
  }
}

function isTwin(old: Entry, now: number): boolean {
  return now - old.since < TWIN_MS && now - old.link.heardAt < TWIN_ALIVE_MS;
}

/** Between twins: the one whose initiator has the lower peer id, then the one with the lower connection id of the initiator. */
function prefers(a: Entry, b: Pick<NewSession, 'initiator' | 'initiatorCid'>): boolean {
  return a.initiator === b.initiator ? a.initiatorCid < b.initiatorCid : a.initiator < b.initiator;
}
