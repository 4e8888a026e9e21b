/**
 * One peer: an authenticated pair and everything that travels between the two.
 *
 * A link knows packets and frames, not keys and sockets: the endpoint opens what arrives and seals what
 * leaves. This file is its life; what arrives is taken apart by `Inbound`, what leaves is built by `Outbound`.
 *
 * Methods come in four classes: getters; `handle*` (packets and time in); commands (`send`, `flush`,
 * `close`, `setAddress`); `poll*` (packets out). After any of the middle two, `pollPacket` is drained until
 * it returns false, then `nextTimeout` is asked.
 *
 *   live --close()--> closing --goodbye said 3 times, and 1.5 s for a peer that missed them--> finished
 *   live --time-out, broken rule--> closing           live --CLOSE from the peer--> finished
 *   `silent` is a remark on `live`, not a state: everything goes on, in case it is heard.
 */
import type { PeerId } from '../base/brand.ts';
import type { Rng } from '../base/rng.ts';
import type { Channel, PeerStats } from '../port/port.ts';
import { ERROR_BUDGET, ERROR_WINDOW_MS, LINK_TIMEOUT_MS, MAX_LANES } from '../wire/limits.ts';
import type { DropReason } from './drops.ts';
import type { Address, CloseReason, LinkClock, LinkId } from './endpoint-types.ts';
import { Farewell } from './farewell.ts';
import type { HeldBudget } from './held-budget.ts';
import { Inbound } from './inbound.ts';
import { Outbound } from './outbound.ts';
import { Path, isRelayedHost } from './path.ts';
import { Silence } from './silence.ts';
import { TIMER, Timers } from './timers.ts';
import type { Traffic } from './traffic.ts';

/** What a link tells its endpoint. */
export interface LinkSink {
  onMessage(link: Link, channel: Channel, lane: number, bytes: Uint8Array): void;
  onSilent(link: Link, silent: boolean): void;
  onMoved(link: Link): void;
  onClosed(link: Link, reason: CloseReason, byPeer: boolean): void;
  onDrop(reason: DropReason): void;
}

export interface LinkOptions {
  readonly id: LinkId;
  readonly peer: PeerId;
  readonly address: Address;
  readonly rng: Rng;
  readonly random: (size: number) => Uint8Array;
  readonly budget: HeldBudget;
  readonly sink: LinkSink;
}

export class Link {
  readonly id: LinkId;
  readonly peer: PeerId;
  readonly path: Path;
  readonly #sink: LinkSink;
  readonly #timers = new Timers();
  readonly #out: Outbound;
  readonly #in: Inbound;
  readonly #silence: Silence;

  #phase: 'live' | 'closing' | 'finished' = 'live';
  #farewell: Farewell | undefined;
  #errors = 0;
  #errorsSince = 0;

  constructor(now: number, options: LinkOptions) {
    const { sink } = options;
    this.id = options.id;
    this.peer = options.peer;
    this.#sink = sink;
    this.path = new Path(options.address, options.random);
    this.#out = new Outbound(now, options.rng, this.#timers, this.path, options.budget, this);
    this.#in = new Inbound(this, this.path, this.#out, options.budget);
    this.#silence = new Silence(now, this.#out.traffic, this.#out.rtt);
    this.#timers.set(TIMER.silent, this.#silence.wakeAt);
    this.#timers.set(TIMER.timeout, now + LINK_TIMEOUT_MS);
  }

  get finished(): boolean {
    return this.#phase === 'finished';
  }

  /** True while only the goodbye is left to say. */
  get closing(): boolean {
    return this.#phase === 'closing';
  }

  get heardAt(): number {
    return this.#silence.heardAt;
  }

  /** False while all that is heard comes over a relay. */
  get hearsDirectly(): boolean {
    return this.#silence.hearsDirectly;
  }

  get traffic(): Traffic {
    return this.#out.traffic;
  }

  get clock(): LinkClock {
    return this.#out.pings.clock;
  }

  /** Largest `sequenced` or `unreliable` message now; at least `MAX_DATAGRAM_MESSAGE_BYTES`, more where the path carries it. */
  get maxDatagramMessageBytes(): number {
    return this.#out.maxDatagramMessageBytes;
  }

  /** Reliable bytes of one lane that wait or are not settled. */
  laneBytes(lane: number): number {
    return this.#out.laneBytes(lane);
  }

  stats(): PeerStats {
    const { traffic: t, rtt } = this.#out;
    return {
      rttMs: rtt.smoothedMs,
      jitterMs: rtt.variationMs,
      lossOutRatio: t.lossOutRatio,
      lossInRatio: t.lossInRatio,
      bytesOut: t.bytesOut,
      bytesIn: t.bytesIn,
      packetsOut: t.packetsOut,
      packetsIn: t.packetsIn,
      queuedBytes: this.#out.queuedBytes,
    };
  }

  // ── in ────────────────────────────────────────────────────────────────────────────────────────────

  /** One opened packet. `datagramBytes` is its size on the wire. */
  handlePacket(now: number, seq: number, plain: Uint8Array, size: number, datagramBytes: number, host: string, port: number): void {
    if (this.#phase === 'finished') return this.#sink.onDrop('closing');
    const { traffic, received } = this.#out;
    traffic.packetsIn++;
    traffic.bytesIn += datagramBytes;
    const wasSilent = this.#silence.hear(now, isRelayedHost(host));
    if (this.#phase === 'live') {
      // Put off with every packet: a process of many links is not woken for each of them in turn, to find that it was heard.
      this.#timers.set(TIMER.silent, this.#silence.wakeAt);
      if (wasSilent) {
        this.#out.onHeard(now);
        this.#sink.onSilent(this, false);
      }
    }
    if (this.#farewell?.hear(now, this.#out.sentAt) === true) this.#timers.set(TIMER.closing, now);
    const newest = seq > received.newest;
    if (newest && !this.path.isCurrent(host, port)) this.path.onElsewhere(now, host, port);

    const verdict = this.#in.read(now, plain, size, datagramBytes, host, port, this.#phase === 'closing');
    if (verdict === 'taken') {
      received.record(now, seq);
      traffic.onReceived(now, seq);
      if (this.#in.eliciting) this.#out.wantAck(now, this.#in.reliable);
    } else if (verdict === 'later') this.#sink.onDrop('held');
    else if (verdict === 'refused') this.#break(now, this.#in.refusal, false);
    else if (verdict === 'lied') this.#break(now, 'unsent-ack', true);
    else if (verdict === 'closed') this.#finish(this.#in.closeReason, true);
  }

  /** A rule was broken. Some cannot happen by accident and close at once, others a few times are forgiven. */
  #break(now: number, reason: DropReason, fatal: boolean): void {
    this.#sink.onDrop(reason);
    if (now - this.#errorsSince > ERROR_WINDOW_MS) {
      this.#errorsSince = now;
      this.#errors = 0;
    }
    this.#errors++;
    if (fatal || this.#errors > ERROR_BUDGET) this.close(now, 'protocol');
  }

  /** We did not run for `stallMs`: what we did not hear in that time says nothing about the peer. */
  handleStall(now: number, stallMs: number): void {
    this.#silence.excuse(stallMs);
    this.#out.measureFrom(now);
  }

  handleTimeout(now: number): void {
    const timers = this.#timers;
    if (this.#phase === 'finished') return;
    if (timers.due(TIMER.silent, now)) {
      const verdict = this.#silence.handleTimeout(now);
      timers.set(TIMER.silent, this.#silence.wakeAt);
      if (verdict === 'ask') this.#out.pings.wanted = true;
      else if (verdict === 'silent') this.#sink.onSilent(this, true);
    }
    if (timers.due(TIMER.timeout, now)) {
      const at = this.heardAt + LINK_TIMEOUT_MS;
      if (at <= now) return this.close(now, 'timeout');
      timers.set(TIMER.timeout, at);
    }
    this.#out.handleTimeout(now);
    if (timers.due(TIMER.path, now)) timers.stop(TIMER.path);
    this.path.handleTimeout(now);
  }

  // ── what the frames of a packet do (InboundOwner) ─────────────────────────────────────────────────

  deliver(channel: Channel, lane: number, bytes: Uint8Array): void {
    this.#sink.onMessage(this, channel, lane, bytes);
  }

  drop(reason: DropReason): void {
    this.#sink.onDrop(reason);
  }

  moved(now: number): void {
    this.#out.onNewPath(now);
    this.#sink.onMoved(this);
  }

  // ── commands ──────────────────────────────────────────────────────────────────────────────────────

  send(now: number, channel: Channel, bytes: Uint8Array, lane: number): boolean {
    if (this.#phase !== 'live' || lane < 0 || lane >= MAX_LANES || !Number.isInteger(lane)) return false;
    return this.#out.send(now, channel, bytes, lane);
  }

  /** Opens the gates: what is queued leaves now, as far as the window allows. False when nothing is. */
  flush(): boolean {
    return this.#out.flush();
  }

  setAddress(now: number, address: Address): void {
    if (this.path.isCurrent(address.host, address.port)) return;
    this.path.move(now, address);
    this.#out.onNewPath(now);
  }

  /** Proves our keys to the peer once more (its handshake still waits for a packet of ours). */
  confirm(): void {
    this.#out.pings.wanted = true;
  }

  /** Says goodbye, three times, with what is still queued; the link counts as closed from now on. */
  close(now: number, reason: CloseReason): void {
    if (this.#phase !== 'live') return;
    this.#phase = 'closing';
    this.#farewell = new Farewell(reason);
    this.#timers.stopAll();
    this.#timers.set(TIMER.closing, now);
    // Nothing is received any more. What is queued goes along with a goodbye that was meant, and with no other.
    this.#in.release();
    if (reason !== 'bye' && reason !== 'refused') this.#out.release();
    this.#sink.onClosed(this, reason, false);
  }

  /** Memory is short, and this link has held too much for too long (HeldOwner). */
  evict(now: number): void {
    // A link that says goodbye already has its last words left.
    this.#out.release();
    this.close(now, 'exhausted');
  }

  /** What is left of the goodbye stays unsaid: somebody needs the place. */
  abandon(): void {
    if (this.#farewell !== undefined) this.#finish(this.#farewell.reason, false);
  }

  #finish(reason: CloseReason, byPeer: boolean): void {
    const wasLive = this.#phase === 'live';
    this.#phase = 'finished';
    this.#timers.stopAll();
    this.path.wakeAt = Infinity;
    this.#out.release();
    this.#in.release();
    if (wasLive) this.#sink.onClosed(this, reason, byPeer);
  }

  // ── out ───────────────────────────────────────────────────────────────────────────────────────────

  nextTimeout(): number {
    // While closing only goodbyes leave: an acknowledgement that came due would be due for ever.
    if (this.#phase === 'closing') return this.#timers.at(TIMER.closing);
    return Math.min(this.#timers.next(), this.path.wakeAt);
  }

  /** The plain packet of the last successful `pollPacket`: the first `packetBytes` of this; valid until the next one of any link. */
  get packetBuffer(): Uint8Array {
    return this.#out.packetBuffer;
  }

  get packetBytes(): number {
    return this.#out.packetBytes;
  }

  /** Its sequence number. */
  get outSeq(): number {
    return this.#out.outSeq;
  }

  /** Where it goes. */
  get outTo(): Address {
    return this.#out.outTo;
  }

  /** False when `pollPacket` would do nothing. */
  waiting(now: number): boolean {
    return this.#phase !== 'live' || this.#out.waiting(now);
  }

  /** Builds the next packet: then `packetBuffer`, `outSeq` and `outTo` are set. False when nothing has to leave. */
  pollPacket(now: number): boolean {
    if (this.#phase === 'finished') return false;
    const left = this.#farewell === undefined ? this.#out.poll(now) : this.#pollGoodbye(now, this.#farewell);
    if (this.#out.exhausted) this.#finish('exhausted', false);
    return left;
  }

  #pollGoodbye(now: number, farewell: Farewell): boolean {
    if (!this.#timers.due(TIMER.closing, now)) return false;
    if (!farewell.over) return this.#out.pollGoodbye(now, farewell);
    this.#finish(farewell.reason, false);
    return false;
  }
}
