/**
 * Replication: what this peer owns goes out, what others own comes in.
 *
 * Outgoing there is one stream: the state of all own entities at each tick. A peer first gets all of it on the reliable channel (`full`), acks
 * its tick, and from then on gets bodies coded against the newest tick it acked. Peers with the same ack share one encoding.
 * Incoming there is one stream per peer, which applies bodies in order of their ticks and acks those that arrived whole.
 *
 *   per peer:  none ──full sent──► waiting ──ack──► following ──ack too old, resync asked, link reset──► none
 */
import type { PeerId } from '../base/brand.ts';
import type { RoomPort } from '../port/port.ts';
import { HISTORY_ROWS, MAX_DATAGRAM_MESSAGE_BYTES, MAX_STATE_QUEUED_BYTES, REFRESH_BYTES_PER_S } from '../wire/limits.ts';
import { PackWriter } from '../wire/pack.ts';
import { Anchors } from './anchor.ts';
import type { BodyHead } from './body-encoder.ts';
import { BodyEncoder } from './body-encoder.ts';
import type { BudgetRule } from './budget.ts';
import { Debts, tellWhole } from './budget.ts';
import { collectChanges } from './collect.ts';
import type { Tombstone } from './delta.ts';
import { FRAME, FULL_FRAME, PARTIAL, encodeWhole, hashEntity } from './delta.ts';
import type { EntityCore } from './entity.ts';
import { UNBORN } from './entity.ts';
import type { Inbound } from './inbound.ts';
import type { Outbound } from './outbound.ts';
import type { EntityStore } from './store.ts';

/** Lane of the reliable channel for full states and authority; messages have their own, so neither waits for the other. */
export const CONTROL_LANE = 1;

/** How often a whole state may be sent to one peer, ms: what asks for it must not be able to flood. */
const FULL_EVERY_MS = 500;
/** A full state that is not acked for so long is sent again. */
const FULL_AGAIN_MS = 3_000;
/** Within a budget what only a whole state can tell waits until that is saved up for, but no longer than this, ms. */
const FULL_WITHIN_MS = 5_000;
/** How often there is a look whether more of a full state has room, ms: at the ticks alone a room of few would take long over it. */
const REST_MS = 8;
/** Full states whose ack counts, the newest ones: in a slow link one may wait for longer than it is waited for. */
const MAX_FULLS = 4;
/** Seconds between hashes of the whole state. */
const HASH_EVERY_S = 2;
/** An entity of more bytes is not told anew in its turn: it, its origin and the heads of body and frame have to fit a datagram. */
const MAX_REFRESHED_BYTES = MAX_DATAGRAM_MESSAGE_BYTES - 64;
/** What is owed when there is no budget any more goes at once. */
const NO_BUDGET: BudgetRule = { bytesPerTick: Number.POSITIVE_INFINITY, priority: () => 1 };

/** It has a text or the like that waits for its sample: nobody can have the same yet. Numbers wait in a place of their own. */
function isAhead(core: EntityCore): boolean {
  return (core.dirty & core.kind.boxedMask) !== 0;
}

export class Replication {
  readonly store: EntityStore;
  readonly hz: number;
  readonly session: number;
  readonly #port: RoomPort;
  readonly outbound = new Map<PeerId, Outbound>();
  readonly inbound = new Map<PeerId, Inbound>();
  /** Sorted by origin (own session first), then counter. */
  #owned: EntityCore[] = [];
  #unsorted = false;
  #tombs: Tombstone[] = [];
  /** Despawned or given away since the last tick. */
  #dying: (Pick<Tombstone, 'origin' | 'counter' | 'epoch'> & { readonly isGiven: boolean })[] = [];
  /** Newest tick that was collected, and the newest with a change. */
  tick = -1;
  #changeTick = -1;
  /** The newest tick with a change before `tick`. */
  #changedBefore = -1;
  /** The tick that was collected before `tick`. */
  #previous = -1;
  #quiet = 127;
  /** The others are to be told the hash of everything at the next tick that has one to tell. */
  #hashDue = false;
  readonly #body = new PackWriter(8_192);
  readonly #message = new PackWriter(64);
  readonly #head: BodyHead;
  /** The bodies of this tick, one per baseline: peers with the same ack share one. */
  readonly #encoders: BodyEncoder[] = [];
  #encoded = 0;
  readonly #anchors = new Anchors();
  /** For bodies that are one peer's alone. */
  #within: BodyEncoder | undefined;
  /** Of the slow refresh: whose turn it is, bytes it may spend, and how many entities it may still tell until it saves up again. */
  #turn = 0;
  #allowance = 0;
  #turns = 0;
  bytesOut = 0;
  bytesIn = 0;
  /** Of the state for each peer, per tick; undefined for none. */
  budget: BudgetRule | undefined;

  constructor(port: RoomPort, store: EntityStore, hz: number, session: number) {
    this.#port = port;
    this.store = store;
    this.hz = hz;
    this.session = session;
    this.#head = { tick: -1, phase: 0, quiet: 127, hash: 0, session };
  }

  get owned(): readonly EntityCore[] {
    return this.#owned;
  }

  /** `core` is ours from now on: new, or handed to us. Everything about it is told anew. */
  own(core: EntityCore): void {
    core.mine = true;
    core.source = undefined;
    core.bornTick = UNBORN;
    this.#owned.push(core);
    this.#unsorted = true;
    // It was despawned here before, and is back by the word of another part.
    const again = (one: Pick<Tombstone, 'origin' | 'counter'>): boolean => one.origin === core.origin && one.counter === core.counter;
    if (this.#tombs.some(again)) this.#tombs = this.#tombs.filter((tomb) => !again(tomb));
    if (this.#dying.some(again)) this.#dying = this.#dying.filter((one) => !again(one));
  }

  /** `core` is somebody else's from now on. */
  disown(core: EntityCore): void {
    core.mine = false;
    core.clean();
    const at = this.#owned.indexOf(core);
    if (at >= 0) this.#owned.splice(at, 1);
  }

  /** What `core`, which is ours, did not do until now is known: whoever tells of it next need not say that it stood. */
  rest(core: EntityCore): void {
    const { track, kind } = core;
    const sampled = this.tick - (this.tick % kind.every);
    if (track.size > 0 && track.tick(0) < sampled) track.rest(sampled, 0);
  }

  /** An own entity is gone; the others are told until each has acked it. */
  bury(core: EntityCore): void {
    this.disown(core);
    const { origin, counter, epoch } = core;
    this.#dying.push({ origin, counter, epoch, isGiven: false });
  }

  /** An own entity, of `epoch`, is somebody else's, whose word is to come; the others are told, who would take our silence for its rest. */
  give({ origin, counter }: EntityCore, epoch: number): void {
    this.#dying.push({ origin, counter, epoch, isGiven: true });
  }

  /** The owner of `core` started anew, and has not said that it has it. */
  isOfFormer({ owner, source }: EntityCore): boolean {
    const stream = this.inbound.get(owner);
    return stream !== undefined && source !== undefined && source !== stream;
  }

  /** The tick that room time `time` lies in. */
  tickAt(time: number): number {
    return Math.floor((time * this.hz) / 1_000);
  }

  /** How far into `tick` room time `time` lies, in 128ths. */
  phaseAt(tick: number, time: number): number {
    return Math.min(127, Math.max(0, Math.floor(((time * this.hz) / 1_000 - tick) * 128)));
  }

  /** Something that is interpolated was assigned since the last tick; what is not sampled at every tick may be so since an earlier one, and does not count. */
  get hasMoved(): boolean {
    for (const core of this.#owned) if (core.kind.every === 1 && (core.dirty & core.kind.movingMask) !== 0) return true;
    return false;
  }

  /**
   * Takes over what the game assigned since the last tick.
   * @param phase where in the tick that is, in 128ths: two whole numbers, which no call has to box.
   */
  collect(tick: number, phase: number): void {
    this.#previous = this.tick;
    this.tick = tick;
    this.#changedBefore = this.#changeTick;
    this.#head.phase = phase;
    // The tick itself may be left out, and a rate that is no whole number never meets it.
    const period = this.hz * HASH_EVERY_S;
    if (this.#previous >= 0 && Math.floor(tick / period) !== Math.floor(this.#previous / period)) this.#hashDue = true;
    const changed = collectChanges(this.#owned, tick, this.#previous, phase);
    for (const { isGiven, ...one } of this.#dying) this.#tombs.push({ ...one, tick, given: isGiven ? tick : undefined });
    if (changed || this.#dying.length > 0) {
      if (this.#dying.length > 0) this.#dying = [];
      // Of two ticks with a change and none collected between them nobody knows when the second one's came about: just before it, at the latest.
      const since = this.#changeTick === this.#previous ? 1 : tick - this.#changeTick;
      this.#quiet = this.#changeTick < 0 ? 127 : Math.min(127, since);
      this.#changeTick = tick;
    }
  }

  /** Says to every present peer what it does not know yet. */
  send(now: number, peers: readonly PeerId[]): void {
    if (this.#unsorted) this.#sort();
    this.#body.reset();
    this.#encoded = 0;
    const hashed = this.#hashDue && !this.#owned.some(isAhead);
    if (hashed) this.#hashDue = false;
    const hash = hashed ? this.hash(undefined) : 0;
    const refreshed = this.#refresh();
    for (const peer of peers) {
      const out = this.outbound.get(peer);
      const input = this.inbound.get(peer);
      if (out === undefined || input === undefined) continue;
      const ack = input.completeTick;
      // Who has all there was until now does not lag, however long ago there was anything.
      if (out.acked >= this.#changedBefore) out.lagsFrom = this.tick;
      if (out.acked >= 0 && this.tick - out.lagsFrom >= HISTORY_ROWS - 2 && this.#changeTick > out.acked) out.restart();
      if (out.acked < 0) this.#sendFull(now, out, ack);
      // Bodies that tell nothing new tell that things came to rest.
      const owing = out.debts !== undefined && out.debts.size > 0;
      if (out.acked >= 0 && (this.#changeTick >= out.acked || out.awaitsRest(this.tick) || hashed || refreshed || owing)) {
        if (this.budget === undefined && !owing) this.#sendBody(now, out, ack, hash);
        else this.#sendWithin(this.budget ?? NO_BUDGET, now, out, ack, hash);
      } else if (ack !== out.ackSent) this.#sendAck(now, out, ack);
      out.ackSent = ack;
      this.#confirmWhole(now, out, input);
    }
    this.#forgetTombs(now);
    this.#anchors.weigh(this.outbound);
  }

  /** Only says what arrived: for a replica that does not know the room yet. */
  sendAcks(now: number, peers: readonly PeerId[]): void {
    for (const peer of peers) {
      const out = this.outbound.get(peer);
      const input = this.inbound.get(peer);
      if (out === undefined || input === undefined) continue;
      const ack = input.completeTick;
      if (ack !== out.ackSent) this.#sendAck(now, out, ack);
      out.ackSent = ack;
      this.#confirmWhole(now, out, input);
    }
  }

  /**
   * Says once more, where it cannot be lost, that a whole state is here: its owner says nothing else until it knows, so nothing would ask for that
   * word again.
   */
  #confirmWhole(now: number, out: Outbound, input: Inbound): void {
    if (input.wholeTick !== out.wholeSaid && this.#sendAck(now, out, input.completeTick, 'reliable')) out.wholeSaid = input.wholeTick;
  }

  /**
   * Chooses the entities that are told anew at this tick; true when there are any. Once a second, in turn, and only at ticks at which their kind is
   * sampled: their values are those of this tick then.
   */
  #refresh(): boolean {
    this.#allowance = Math.min(REFRESH_BYTES_PER_S, this.#allowance + REFRESH_BYTES_PER_S / this.hz);
    if (this.#allowance >= REFRESH_BYTES_PER_S) this.#turns = this.#owned.length;
    if (this.#turns === 0) return false;
    let any = false;
    for (; this.#turns > 0 && this.#owned.length > 0; this.#turns--) {
      const core = this.#owned[this.#turn % this.#owned.length]!;
      if (!core.kind.sampledAt(this.tick, this.#previous)) return any;
      this.#message.reset();
      encodeWhole(this.#message, core);
      this.#turn = (this.#turn + 1) % this.#owned.length;
      // What no datagram takes would bring everything else along, on the reliable channel: what is wrong with it the hash finds.
      if (this.#message.offset > MAX_REFRESHED_BYTES) continue;
      // One that is larger than what is left goes all the same, and those after it wait the longer.
      this.#allowance -= this.#message.offset;
      core.refreshTick = this.tick;
      any = true;
      if (this.#allowance <= 0) break;
    }
    this.#turns = 0;
    // Once round is enough: what a few entities do not need is no reason to tell them at every other tick.
    this.#allowance = Math.min(this.#allowance, 0);
    return any;
  }

  #sendFull(now: number, out: Outbound, ack: number): void {
    if (out.rest.length > 0) return void this.#sendRest(now, out);
    const since = now - out.fullAt;
    if (since < FULL_EVERY_MS || (out.fullTick >= 0 && since < FULL_AGAIN_MS)) return;
    out.fulls.push(this.tick);
    if (out.fulls.length > MAX_FULLS) out.fulls.shift();
    out.fullAt = now;
    const body = this.#encode(-1, 0);
    out.fullBytes = body.bytes;
    this.#anchors.drop(this.tick, this.#owned);
    for (let i = 0; i < body.parts; i++) {
      const part = this.#framed(FULL_FRAME, ack, body.starts[i]!, body.ends[i]!);
      // Behind one that waits for room the others wait, too: they are read in order.
      if (out.rest.length > 0 || !this.#sendWholePart(now, out, part)) out.rest.push(part.slice());
    }
  }

  #sendRest(now: number, out: Outbound): boolean {
    const { length } = out.rest;
    while (out.rest.length > 0 && this.#sendWholePart(now, out, out.rest[0]!)) out.rest.shift();
    // Until all of it has left there is nothing to be acked.
    out.fullAt = now;
    return out.rest.length < length;
  }

  /** Of a whole state, which leaves room for others. False when it has to wait. */
  #sendWholePart(now: number, out: Outbound, part: Uint8Array): boolean {
    const queued = this.#port.queued(out.peer, CONTROL_LANE);
    return (queued === 0 || queued + part.length <= MAX_STATE_QUEUED_BYTES) && this.#sendPart(now, out, 'reliable', part);
  }

  /** When there may be room for more of a whole state; Infinity when nothing waits. */
  nextRest(now: number): number {
    for (const out of this.outbound.values()) if (out.rest.length > 0) return now + REST_MS;
    return Number.POSITIVE_INFINITY;
  }

  /** Between two ticks: parts for which there is room by now. True when any left. */
  sendRests(now: number, peers: readonly PeerId[]): boolean {
    let any = false;
    for (const peer of peers) {
      const out = this.outbound.get(peer);
      if (out !== undefined && out.rest.length > 0 && this.#sendRest(now, out)) any = true;
    }
    return any;
  }

  #sendBody(now: number, out: Outbound, ack: number, hash: number): void {
    const body = this.#encode(out.acked, hash);
    if (body.short) {
      // More changed than one tick may carry. To send a part of it would be to have all of it acked: it goes whole, on the reliable channel.
      out.restartSlowly();
      this.#sendFull(now, out, ack);
      if (out.fullTick < 0) this.#sendAck(now, out, ack);
      return;
    }
    this.#sendParts(now, out, ack, body);
  }

  /** As `#sendBody`, within a budget. */
  #sendWithin(budget: BudgetRule, now: number, out: Outbound, ack: number, hash: number): void {
    const debts = (out.debts ??= new Debts());
    if (debts.size === 0) {
      const body = this.#encode(out.acked, hash);
      if (!body.short && body.bytes <= budget.bytesPerTick) return this.#sendBody(now, out, ack, hash);
    }
    this.#setHead(0);
    const savedMs = ((out.fullBytes / budget.bytesPerTick) * 1_000) / this.hz;
    const mayGoWhole = now - out.fullAt >= Math.min(FULL_WITHIN_MS, savedMs);
    const { cores, whole, pieces, tombs, partial } = debts.choose(
      this.#head,
      this.#previous,
      out.acked,
      out.peer,
      this.#owned,
      this.#tombs,
      budget,
      mayGoWhole,
    );
    if (cores.length === 0 && tombs.length === 0) {
      if (ack !== out.ackSent) this.#sendAck(now, out, ack);
      return;
    }
    if (partial) this.#head.quiet = PARTIAL;
    else this.#head.hash = hash;
    const from = this.#body.offset;
    const body = (this.#within ??= new BodyEncoder(this.#body));
    tellWhole(whole, this.tick, () => body.encode(this.#head, out.acked, cores, tombs, undefined, pieces));
    this.#sendParts(now, out, ack, body);
    this.#body.offset = from;
    // It cannot be told in parts of which one is left out: see `#sendBody`.
    if (body.short) out.restartSlowly();
  }

  #setHead(hash: number): void {
    const head = this.#head;
    head.tick = this.tick;
    head.quiet = this.tick === this.#changeTick ? this.#quiet : Math.min(127, this.tick - this.#changeTick);
    head.hash = hash;
  }

  #encode(baseline: number, hash: number): BodyEncoder {
    for (let i = 0; i < this.#encoded; i++) if (this.#encoders[i]!.baseline === baseline) return this.#encoders[i]!;
    const body = (this.#encoders[this.#encoded++] ??= new BodyEncoder(this.#body));
    this.#setHead(hash);
    body.encode(this.#head, baseline, this.#owned, this.#tombs, this.#anchors.of(baseline));
    return body;
  }

  /** The head of a frame, in the writer for it. */
  #frame(type: number, ack: number): PackWriter {
    const head = this.#message;
    head.reset();
    head.array(5);
    head.int(type);
    head.int(this.session & 0xffff);
    head.int(this.tick);
    if (ack < 0) head.nil();
    else head.int(this.tick - ack);
    return head;
  }

  /** False when the port did not take it. */
  #sendAck(now: number, out: Outbound, ack: number, channel: 'unreliable' | 'reliable' = 'unreliable'): boolean {
    const message = this.#frame(FRAME, ack);
    message.nil();
    const taken = this.#port.send(now, out.peer, channel, message.view(), CONTROL_LANE);
    if (taken) this.bytesOut += message.offset;
    return taken;
  }

  #sendParts(now: number, out: Outbound, ack: number, body: BodyEncoder): void {
    for (let i = 0; i < body.parts; i++) this.#sendPart(now, out, 'unreliable', this.#framed(FRAME, ack, body.starts[i]!, body.ends[i]!));
  }

  /** False when the port did not take it. */
  #sendPart(now: number, out: Outbound, channel: 'unreliable' | 'reliable', part: Uint8Array): boolean {
    const taken = this.#port.send(now, out.peer, channel, part, CONTROL_LANE);
    if (taken) this.bytesOut += part.length;
    return taken;
  }

  /** One part of a body with its frame's head, which goes into the room before it: so the part itself is never copied here. */
  #framed(type: number, ack: number, start: number, end: number): Uint8Array {
    const head = this.#frame(type, ack);
    const { bytes } = this.#body;
    const from = start - head.offset;
    for (let i = 0; i < head.offset; i++) bytes[from + i] = head.bytes[i]!;
    return bytes.subarray(from, end);
  }

  /** `peer` says it has all of our state up to `tick`. */
  handleAck(peer: PeerId, tick: number): void {
    const out = this.outbound.get(peer);
    // Only ticks sent since the last full state count: an older ack speaks of a baseline that is gone.
    if (out === undefined || out.fullTick < 0 || tick < out.fullTick || tick > this.tick) return;
    if (tick <= out.acked) return;
    for (const kind of this.store.kinds)
      // What this ack is the first to cover may have come with this very tick; only the next sample says that it rests.
      if (kind.moves && kind.changeTick > out.acked && kind.changeTick <= tick) out.rests[kind.index] = tick - (tick % kind.every) + kind.every;
    out.lagsFrom = out.acked < 0 ? this.tick : tick;
    // Of one that was sent after that, in vain.
    if (out.rest.length > 0) out.rest = [];
    out.acked = tick;
    out.debts?.acked(tick);
  }

  /** Hash over what `peer` owns here, or what we own. */
  hash(peer: PeerId | undefined): number {
    let sum = 0;
    if (peer === undefined) for (const core of this.#owned) sum = (sum + hashEntity(core)) >>> 0;
    else
      for (const core of this.store.all())
        if (core.owner === peer && !core.mine && !core.isAway && !this.isOfFormer(core)) sum = (sum + hashEntity(core)) >>> 0;
    return sum === 0 ? 1 : sum;
  }

  #sort(): void {
    const { session } = this;
    this.#owned.sort((a, b) =>
      a.origin === b.origin ? a.counter - b.counter : a.origin === session ? -1 : b.origin === session ? 1 : a.origin - b.origin,
    );
    this.#unsorted = false;
  }

  #forgetTombs(now: number): void {
    if (this.#tombs.length === 0) return;
    let oldest = this.tick;
    for (const out of this.outbound.values()) {
      // Who has a full state on the way will ack that, until it is sent again; who lags past the history will get everything anew.
      const base = out.acked >= 0 ? out.acked : out.fullTick;
      const follows = out.acked >= 0 ? this.tick - out.lagsFrom < HISTORY_ROWS : now - out.fullAt <= FULL_AGAIN_MS;
      if (base >= 0 && base < oldest && follows) oldest = base;
    }
    this.#tombs = this.#tombs.filter((tomb) => tomb.tick > oldest);
  }
}
