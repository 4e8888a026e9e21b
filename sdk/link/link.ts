/**
 * One peer: an authenticated pair and everything that travels between the two.
 *
 * A link knows packets and frames, not keys and sockets: the endpoint opens what arrives and seals what
 * leaves. Methods come in four classes: getters; `handle*` (packets and time in); commands (`send`, `flush`,
 * `close`, `setAddress`); `poll*` (packets out). After any of the middle two, `pollPacket` is drained until
 * it returns false, then `nextTimeout` is asked.
 *
 * A packet is filled in this order: acknowledgement, control frames, realtime frames, reliable pieces.
 * So a tick's state leaves with the tick, and bulk takes what room is left.
 *
 *   live --close()--> closing --goodbye said 3 times, and 1.5 s for a peer that missed them--> finished
 *   live --time-out, broken rule--> closing           live --CLOSE from the peer--> finished
 *   `silent` is a remark on `live`, not a state: everything goes on, in case it is heard.
 */
import type { PeerId } from '../base/brand.ts';
import type { Rng } from '../base/rng.ts';
import type { Channel, PeerStats } from '../port/port.ts';
import { DATA_HEADER_BYTES, TAG_BYTES } from '../wire/datagram.ts';
import {
  ACK_FRAME_BYTES,
  CLOSE_REASONS,
  FRAME_ACK,
  FRAME_CLOSE,
  FRAME_FRAGMENT,
  FRAME_MTU_ACK,
  FRAME_MTU_PROBE,
  FRAME_PATH_CHALLENGE,
  FRAME_PATH_RESPONSE,
  FRAME_PING,
  FRAME_PONG,
  FRAME_RELIABLE,
  FRAME_SEQUENCED,
  FRAME_UNRELIABLE,
  FrameReader,
  FrameWriter,
  MTU_FRAME_BYTES,
  PING_FRAME_BYTES,
  PONG_FRAME_BYTES,
  SEQUENCED_HEAD_BYTES,
} from '../wire/frame.ts';
import {
  ACK_DELAY_MS,
  ACK_DELAY_REALTIME_MS,
  ACK_EVERY_PACKETS,
  ERROR_BUDGET,
  ERROR_WINDOW_MS,
  FLUSH_MS,
  KEEP_ALIVE_MS,
  LINK_TIMEOUT_MS,
  MAX_DATAGRAM_BYTES,
  MAX_DATAGRAM_MESSAGE_BYTES,
  MAX_LANES,
  PING_FAST_COUNT,
  PING_FAST_MS,
  PING_MS,
  SILENT_MS,
  SKIP_SEQ_MAX,
  SKIP_SEQ_MIN,
} from '../wire/limits.ts';
import { ReceivedPackets, SentPackets } from './acks.ts';
import { ClockFilter } from './clock.ts';
import { Congestion } from './congestion.ts';
import type { DropReason } from './drops.ts';
import type { Address, CloseReason, LinkId } from './endpoint-types.ts';
import type { HeldBudget } from './held-budget.ts';
import { MtuProbe } from './mtu.ts';
import { Path, isRelayed } from './path.ts';
import { RealtimeQueue, SequencedReceive } from './realtime.ts';
import { ReliableReceive, type PieceVerdict } from './reliable-receive.ts';
import { ReliableSend } from './reliable-send.ts';
import { RttEstimator } from './rtt.ts';
import { TIMER, Timers } from './timers.ts';
import { Traffic } from './traffic.ts';

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

/** Bytes of a datagram around the frames. */
const ENVELOPE_BYTES = DATA_HEADER_BYTES + TAG_BYTES;

/** Frames that may stand before a realtime frame in its packet. */
const CONTROL_BYTES = ACK_FRAME_BYTES + PING_FRAME_BYTES + PONG_FRAME_BYTES + MTU_FRAME_BYTES;

const GOODBYES = 3;
const GOODBYE_MS = 40;
/** A peer that still sends after the last goodbye has not heard it: so long it is said again, this often. */
const LINGER_MS = 1_500;
const GOODBYE_AGAIN_MS = 100;
/** Packets of queued data that still leave with a goodbye. */
const LAST_WORDS_PACKETS = 64;
const LAST_SEQ = 2 ** 48 - 2;

/** One reader and one writer serve all links: neither is used across calls. */
const reader = new FrameReader();
const writer = new FrameWriter(MAX_DATAGRAM_BYTES);

export class Link {
  readonly id: LinkId;
  readonly peer: PeerId;
  readonly clock = new ClockFilter();
  readonly rtt = new RttEstimator();
  readonly traffic = new Traffic();
  readonly path: Path;
  readonly #rng: Rng;
  readonly #sink: LinkSink;
  readonly #timers = new Timers();
  readonly #received = new ReceivedPackets();
  readonly #sent = new SentPackets();
  readonly #reliable: ReliableSend;
  readonly #reliableIn: ReliableReceive;
  readonly #realtime = new RealtimeQueue();
  readonly #sequencedIn = new SequencedReceive();
  readonly #congestion = new Congestion(this.rtt);
  readonly #mtu = new MtuProbe();

  #phase: 'live' | 'closing' | 'finished' = 'live';
  #closeReason: CloseReason = 'bye';
  #goodbyesLeft = 0;
  #lastWords = 0;
  #lingerUntil = Infinity;
  silent = false;
  #heardAt: number;
  #sentAt: number;
  #nextSeq = 0;
  #skipSeq: number;
  #realtimeOpen = false;
  #reliableOpen = false;
  #unackedReliable = 0;
  #backoff = 0;
  #pingsSent = 0;
  #nextPingAt: number;
  #pingWanted = false;
  #keepAliveWanted = false;
  readonly #pings = new Float64Array(4).fill(-1);
  #pongT1 = -1;
  #pongT2 = 0;
  #mtuAckSize = 0;
  #probeWanted = false;
  #errors = 0;
  #errorsSince = 0;

  /** Set by `pollPacket`. */
  outSeq = 0;
  outTo: Address;

  constructor(now: number, options: LinkOptions) {
    this.id = options.id;
    this.peer = options.peer;
    this.path = new Path(options.address, options.random);
    this.outTo = options.address;
    this.#rng = options.rng;
    this.#sink = options.sink;
    this.#reliable = new ReliableSend(options.budget);
    this.#reliableIn = new ReliableReceive(options.budget, (lane, bytes) => this.#sink.onMessage(this, 'reliable', lane, bytes));
    this.#heardAt = now;
    this.#sentAt = now;
    this.#nextPingAt = now;
    this.#skipSeq = this.#drawSkip(0);
    // The first packet confirms the keys to the other side, so it leaves at once.
    this.#pingWanted = true;
    if (isRelayed(options.address)) this.#mtu.settle();
    this.#timers.set(TIMER.ping, now);
    this.#timers.set(TIMER.silent, now + SILENT_MS);
    this.#timers.set(TIMER.timeout, now + LINK_TIMEOUT_MS);
    if (this.#mtu.size > 0) this.#timers.set(TIMER.mtu, now + this.#mtu.waitMs);
  }

  get finished(): boolean {
    return this.#phase === 'finished';
  }

  get live(): boolean {
    return this.#phase === 'live';
  }

  get heardAt(): number {
    return this.#heardAt;
  }

  get mtuBytes(): number {
    return this.#mtu.currentBytes;
  }

  /** The plain packet of the last successful `pollPacket`; valid until the next one of any link. */
  get packet(): Uint8Array {
    return writer.bytes.subarray(0, writer.at);
  }

  /** Largest `sequenced` or `unreliable` message now; at least `MAX_DATAGRAM_MESSAGE_BYTES`, more where the path carries it. */
  get maxDatagramMessageBytes(): number {
    return Math.max(MAX_DATAGRAM_MESSAGE_BYTES, this.#mtu.currentBytes - ENVELOPE_BYTES - CONTROL_BYTES - SEQUENCED_HEAD_BYTES);
  }

  stats(): PeerStats {
    const t = this.traffic;
    return {
      rttMs: this.rtt.smoothedMs,
      jitterMs: this.rtt.variationMs,
      lossOutRatio: t.lossOutRatio,
      lossInRatio: t.lossInRatio,
      bytesOut: t.bytesOut,
      bytesIn: t.bytesIn,
      packetsOut: t.packetsOut,
      packetsIn: t.packetsIn,
      queuedBytes: this.#reliable.heldBytes,
    };
  }

  /** Silence that means something, given how much is lost anyway: the chance of losing that many in a row is 10^-6. */
  silentMs(): number {
    const loss = Math.min(0.6, this.traffic.lossInRatio);
    if (loss < 0.02) return SILENT_MS;
    return Math.max(SILENT_MS, (Math.ceil(Math.log(1e-6) / Math.log(loss)) + 1) * KEEP_ALIVE_MS);
  }

  // ── in ────────────────────────────────────────────────────────────────────────────────────────────

  /** One opened packet. `datagramBytes` is its size on the wire. */
  handlePacket(now: number, seq: number, plain: Uint8Array, size: number, datagramBytes: number, host: string, port: number): void {
    if (this.#phase === 'finished') return this.#sink.onDrop('closing');
    this.traffic.packetsIn++;
    this.traffic.bytesIn += datagramBytes;
    this.#heardAt = now;
    if (this.silent && this.#phase === 'live') {
      this.silent = false;
      this.#timers.set(TIMER.silent, now + this.silentMs());
      this.#sink.onSilent(this, false);
    }
    if (this.#phase === 'closing' && this.#goodbyesLeft === 0 && now - this.#sentAt >= GOODBYE_AGAIN_MS) {
      this.#goodbyesLeft = 1;
      this.#timers.set(TIMER.closing, now);
    }
    const newest = seq > this.#received.newest;
    if (newest && !this.path.isCurrent(host, port)) this.path.onElsewhere(now, host, port);

    reader.reset(plain, size);
    let eliciting = false;
    let reliable = false;
    let refused: DropReason | undefined;
    for (;;) {
      const type = reader.next();
      if (type === 0) break;
      if (type < 0) {
        refused = 'frame';
        break;
      }
      if (type !== FRAME_ACK && type !== FRAME_CLOSE) eliciting = true;
      if (this.#phase === 'closing' && type !== FRAME_ACK && type !== FRAME_CLOSE) continue;
      let verdict: PieceVerdict = 'ok';
      switch (type) {
        case FRAME_ACK:
          if (!this.#handleAck(now)) return this.#break(now, 'unsent-ack', true);
          break;
        case FRAME_PING:
          this.#pongT1 = reader.id;
          this.#pongT2 = now;
          break;
        case FRAME_PONG:
          this.#handlePong(now);
          break;
        case FRAME_CLOSE:
          return this.#finish(CLOSE_REASONS[reader.c]!, true);
        case FRAME_PATH_CHALLENGE:
          this.path.onChallenge(host, port, plain.slice(reader.bodyAt, reader.bodyAt + reader.bodySize));
          break;
        case FRAME_PATH_RESPONSE: {
          const moved = this.path.onResponse(now, host, port, plain.subarray(reader.bodyAt, reader.bodyAt + reader.bodySize));
          if (moved === undefined) this.#sink.onDrop('path');
          else this.#onNewPath(now);
          break;
        }
        case FRAME_MTU_PROBE:
          if (reader.c === datagramBytes) this.#mtuAckSize = datagramBytes;
          else refused = 'frame';
          break;
        case FRAME_MTU_ACK:
          if (this.#mtu.onConfirmed(reader.c)) this.#timers.stop(TIMER.mtu);
          break;
        case FRAME_RELIABLE:
          reliable = true;
          verdict = this.#reliableIn.whole(reader.lane, reader.id, plain, reader.bodyAt, reader.bodySize);
          break;
        case FRAME_FRAGMENT:
          reliable = true;
          verdict = this.#reliableIn.fragment(reader.lane, reader.id, reader.a, reader.b, reader.c, plain, reader.bodyAt, reader.bodySize);
          break;
        case FRAME_SEQUENCED:
          if (this.#sequencedIn.accept(reader.lane, reader.id))
            this.#sink.onMessage(this, 'sequenced', reader.lane, plain.slice(reader.bodyAt, reader.bodyAt + reader.bodySize));
          else this.#sink.onDrop('late');
          break;
        case FRAME_UNRELIABLE:
          this.#sink.onMessage(this, 'unreliable', reader.lane, plain.slice(reader.bodyAt, reader.bodyAt + reader.bodySize));
          break;
      }
      if (verdict !== 'ok') {
        refused = verdict === 'full' ? 'held' : 'reliable';
        break;
      }
      // A message handler's effects may have closed us; nothing of the rest counts then.
      if (this.finished) return;
    }
    if (refused !== undefined) return this.#break(now, refused, false);
    this.#received.record(now, seq);
    if (newest) this.traffic.onReceived(now, seq);
    if (eliciting) this.#scheduleAck(now, reliable);
  }

  #scheduleAck(now: number, reliable: boolean): void {
    if (!reliable) return this.#timers.advance(TIMER.ack, now + ACK_DELAY_REALTIME_MS);
    if (++this.#unackedReliable >= ACK_EVERY_PACKETS) this.#timers.set(TIMER.ack, now);
    else this.#timers.advance(TIMER.ack, now + ACK_DELAY_MS);
  }

  #handleAck(now: number): boolean {
    const flight = this.#sent.flightBytes;
    const delayMs = reader.c;
    if (this.#sent.handleAck(reader.id, reader.a, reader.b, this.#reliable) === 'unsent') return false;
    let rttMs: number | undefined;
    if (this.#sent.sampleSentAt >= 0) {
      const raw = now - this.#sent.sampleSentAt;
      rttMs = delayMs <= raw ? raw - delayMs : raw;
      this.rtt.sample(now, rttMs);
    }
    this.#sent.detectLost(now - this.rtt.reorderMs(), 3, this.#reliable);
    this.traffic.onAcked(this.#sent.newlyAckedPackets, this.#sent.newlyLostPackets);
    if (this.#sent.newlyAckedBytes > 0) this.#backoff = 0;
    this.#congestion.onAck(now, this.#sent.newlyAckedBytes, this.#sent.newlyAckedPackets, this.#sent.newlyLostPackets, rttMs, flight);
    this.#armResend();
    return true;
  }

  #handlePong(now: number): void {
    const slot = this.#pings.indexOf(reader.id);
    if (slot < 0) return this.#sink.onDrop('pong');
    this.#pings[slot] = -1;
    const t1 = reader.id / 1_000;
    this.clock.sample(t1, reader.a / 1_000, reader.b / 1_000, now);
    const rttMs = now - t1 - (reader.b - reader.a) / 1_000;
    if (rttMs >= 0 && rttMs <= now - t1 + 0.001) this.rtt.sample(now, rttMs);
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
  handleStall(stallMs: number): void {
    this.#heardAt += stallMs;
  }

  handleTimeout(now: number): void {
    const timers = this.#timers;
    if (this.#phase === 'finished') return;
    if (timers.due(TIMER.silent, now)) {
      const at = this.#heardAt + this.silentMs();
      if (at > now) {
        timers.set(TIMER.silent, at);
      } else {
        timers.stop(TIMER.silent);
        this.silent = true;
        this.#sink.onSilent(this, true);
      }
    }
    if (timers.due(TIMER.timeout, now)) {
      const at = this.#heardAt + LINK_TIMEOUT_MS;
      if (at <= now) return this.close(now, 'timeout');
      timers.set(TIMER.timeout, at);
    }
    if (timers.due(TIMER.resend, now)) this.#resend(now);
    if (timers.due(TIMER.ping, now)) {
      if (now >= this.#nextPingAt) this.#pingWanted = true;
      else if (now >= this.#sentAt + KEEP_ALIVE_MS) this.#keepAliveWanted = true;
      this.#armPing(now);
    }
    if (timers.due(TIMER.mtu, now)) {
      this.#mtu.step();
      this.#probeWanted = this.#mtu.size > 0;
      timers.stop(TIMER.mtu);
    }
    if (timers.due(TIMER.path, now)) timers.stop(TIMER.path);
    this.path.handleTimeout(now);
  }

  #armPing(now: number): void {
    this.#timers.set(TIMER.ping, Math.max(now + 1, Math.min(this.#nextPingAt, this.#sentAt + KEEP_ALIVE_MS)));
  }

  #armResend(): void {
    const oldest = this.#sent.oldestReliableAt();
    this.#timers.set(TIMER.resend, oldest + this.rtt.resendMs(this.#backoff));
  }

  #resend(now: number): void {
    // The timer was the oldest packet's time plus this wait; the margin keeps rounding from missing that packet.
    this.#sent.expire(now - this.rtt.resendMs(this.#backoff) + 0.01, this.#reliable);
    this.traffic.onAcked(0, this.#sent.newlyLostPackets);
    this.#backoff++;
    // One time-out is a lost tail; two in a row are a path in trouble.
    if (this.#backoff >= 2) this.#congestion.onTimeout();
    if (this.#backoff >= 4 && !isRelayed(this.path.address) && this.#mtu.currentBytes !== 0 && this.#mtu.size === 0) this.#restartMtu(now);
    this.#armResend();
  }

  #restartMtu(now: number): void {
    if (isRelayed(this.path.address)) {
      this.#mtu.settle();
      this.#timers.stop(TIMER.mtu);
    } else {
      this.#mtu.reset();
      // Not at once: the old path's trouble would eat the probes.
      this.#timers.set(TIMER.mtu, now + 1_000);
    }
  }

  #onNewPath(now: number): void {
    this.rtt.reset();
    this.#restartMtu(now);
    this.#sink.onMoved(this);
  }

  // ── commands ──────────────────────────────────────────────────────────────────────────────────────

  send(now: number, channel: Channel, bytes: Uint8Array, lane: number): boolean {
    if (this.#phase !== 'live' || lane < 0 || lane >= MAX_LANES || !Number.isInteger(lane)) return false;
    let taken: boolean;
    if (channel === 'reliable') {
      taken = this.#reliable.push(lane, bytes);
    } else {
      if (bytes.length > this.maxDatagramMessageBytes) return false;
      taken = channel === 'sequenced' ? this.#realtime.sequenced(lane, bytes) : this.#realtime.unreliable(lane, bytes);
    }
    if (taken) this.#timers.advance(TIMER.flush, now + FLUSH_MS);
    return taken;
  }

  /** Opens the gates: what is queued leaves now, as far as the window allows. */
  flush(): void {
    this.#realtimeOpen = this.#realtime.waiting;
    this.#reliableOpen = this.#reliable.waiting;
    this.#timers.stop(TIMER.flush);
  }

  setAddress(now: number, address: Address): void {
    if (this.path.isCurrent(address.host, address.port)) return;
    this.path.move(now, address);
    this.rtt.reset();
    this.#restartMtu(now);
  }

  /** Proves our keys to the peer once more (its handshake still waits for a packet of ours). */
  confirm(): void {
    this.#pingWanted = true;
  }

  /** Says goodbye, three times, with what is still queued; the link counts as closed from now on. */
  close(now: number, reason: CloseReason): void {
    if (this.#phase !== 'live') return;
    this.#phase = 'closing';
    this.#closeReason = reason;
    this.#goodbyesLeft = GOODBYES;
    this.#timers.stopAll();
    this.#timers.set(TIMER.closing, now);
    this.#sink.onClosed(this, reason, false);
  }

  #finish(reason: CloseReason, byPeer: boolean): void {
    const wasLive = this.#phase === 'live';
    this.#phase = 'finished';
    this.#timers.stopAll();
    this.path.wakeAt = Infinity;
    this.#reliable.release();
    this.#reliableIn.release();
    if (wasLive) this.#sink.onClosed(this, reason, byPeer);
  }

  // ── out ───────────────────────────────────────────────────────────────────────────────────────────

  nextTimeout(): number {
    // While closing only goodbyes leave: an acknowledgement that came due would be due for ever.
    if (this.#phase === 'closing') return this.#timers.at(TIMER.closing);
    return Math.min(this.#timers.next(), this.path.wakeAt);
  }

  /** Builds the next packet: then `packet`, `outSeq` and `outTo` are set. False when nothing has to leave. */
  pollPacket(now: number): boolean {
    if (this.#phase === 'finished') return false;
    this.outTo = this.path.address;
    if (this.#phase === 'closing') return this.#pollGoodbye(now);
    if (this.#pollPath(now) || this.#pollProbe(now)) return true;
    if (this.#timers.due(TIMER.flush, now)) this.flush();

    const realtime = this.#realtimeOpen && this.#realtime.waiting;
    const reliable = this.#mayReliable(now);
    const control = this.#pingWanted || this.#keepAliveWanted || this.#pongT1 >= 0 || this.#mtuAckSize > 0 || this.#timers.due(TIMER.ack, now);
    if (!realtime && !reliable && !control) return false;
    const seq = this.#begin(now);
    if (seq < 0) return false;
    const eliciting = realtime || reliable || this.#pingWanted || this.#pongT1 >= 0 || this.#mtuAckSize > 0;
    this.#sent.begin(now, seq, eliciting, this.#reliable);
    this.#fillControl(now);
    if (realtime) this.#fillRealtime();
    else if (this.#realtime.waiting) this.#realtime.fill(writer); // Company is here: no need to wait for the flush.
    if (reliable) this.#fillReliable(seq);
    return this.#end(now, seq);
  }

  #mayReliable(now: number): boolean {
    this.#timers.stop(TIMER.pace);
    if (!this.#reliable.waiting) {
      this.#reliableOpen = false;
      return false;
    }
    if (!this.#reliableOpen && !this.#reliable.hasLost) return false;
    const flight = this.#sent.flightBytes;
    if (this.#congestion.mayLeave(now, flight)) return this.#reliable.hasLost || this.#reliable.mayFill;
    if (flight < this.#congestion.windowBytes) this.#timers.set(TIMER.pace, this.#congestion.paceAt(now));
    return false;
  }

  /** Claims a sequence number and starts an empty packet; -1 when numbers ran out. */
  #begin(now: number, limit = this.#mtu.currentBytes): number {
    if (this.#nextSeq >= LAST_SEQ) {
      this.#finish('exhausted', false);
      return -1;
    }
    if (this.#nextSeq === this.#skipSeq) {
      this.#sent.skip(this.#nextSeq++, this.#reliable);
      this.#skipSeq = this.#drawSkip(this.#nextSeq);
    }
    writer.begin(limit - ENVELOPE_BYTES);
    if (this.#received.newest >= 0) {
      writer.ack(this.#received.newest, this.#received.near, this.#received.far, now - this.#received.newestAt);
      this.#unackedReliable = 0;
      this.#timers.stop(TIMER.ack);
    }
    return this.#nextSeq++;
  }

  #drawSkip(from: number): number {
    return from + SKIP_SEQ_MIN + this.#rng.int(SKIP_SEQ_MAX - SKIP_SEQ_MIN);
  }

  #fillControl(now: number): void {
    this.#keepAliveWanted = false;
    if (this.#pongT1 >= 0) {
      writer.pong(this.#pongT1, micros(this.#pongT2), micros(now));
      this.#pongT1 = -1;
    }
    if (this.#pingWanted) {
      this.#pingWanted = false;
      const t1 = micros(now);
      this.#pings[this.#pingsSent++ % this.#pings.length] = t1;
      this.#nextPingAt = now + (this.#pingsSent < PING_FAST_COUNT ? PING_FAST_MS : PING_MS);
      writer.ping(t1);
    }
    if (this.#mtuAckSize > 0) {
      writer.mtuAck(this.#mtuAckSize);
      this.#mtuAckSize = 0;
    }
  }

  #fillRealtime(): void {
    // A frame that was taken on a larger path and no longer fits is gone: it is not reliable.
    while (!this.#realtime.fill(writer) && this.#realtime.waiting && writer.at <= CONTROL_BYTES) this.#realtime.dropFirst();
    if (!this.#realtime.waiting) this.#realtimeOpen = false;
  }

  #fillReliable(seq: number): void {
    const before = this.#sent.flightBytes;
    if (!this.#reliable.fill(writer, this.#sent, seq)) return;
    this.#congestion.onSent(this.#sent.flightBytes - before);
    this.#armResend();
  }

  #end(now: number, seq: number): boolean {
    this.outSeq = seq;
    this.#sentAt = now;
    this.traffic.packetsOut++;
    this.traffic.bytesOut += writer.at + ENVELOPE_BYTES;
    if (this.#phase === 'live') this.#armPing(now);
    return true;
  }

  #pollPath(now: number): boolean {
    const answer = this.path.pollAnswer();
    const ask = answer === undefined ? this.path.pollChallenge() : undefined;
    const it = answer ?? ask;
    if (it === undefined) return false;
    const seq = this.#begin(now);
    if (seq < 0) return false;
    this.#sent.begin(now, seq, false, this.#reliable);
    writer.path(answer === undefined ? FRAME_PATH_CHALLENGE : FRAME_PATH_RESPONSE, it.token);
    this.outTo = it.to;
    return this.#end(now, seq);
  }

  #pollProbe(now: number): boolean {
    if (!this.#probeWanted) return false;
    this.#probeWanted = false;
    const size = this.#mtu.size;
    const seq = size === 0 ? -1 : this.#begin(now, size);
    if (seq < 0) return false;
    this.#sent.begin(now, seq, false, this.#reliable);
    writer.mtuProbe(size);
    this.#mtu.onSent();
    this.#timers.set(TIMER.mtu, now + this.#mtu.waitMs);
    return this.#end(now, seq);
  }

  #pollGoodbye(now: number): boolean {
    if (!this.#timers.due(TIMER.closing, now)) return false;
    if (this.#goodbyesLeft === 0) {
      this.#finish(this.#closeReason, false);
      return false;
    }
    const more = (this.#realtime.waiting || this.#reliable.waiting) && this.#lastWords++ < LAST_WORDS_PACKETS;
    const seq = this.#begin(now);
    if (seq < 0) return false;
    this.#sent.begin(now, seq, false, this.#reliable);
    const empty = writer.at;
    if (more) {
      this.#fillRealtime();
      this.#reliable.fill(writer, this.#sent, seq);
      if (writer.at > empty && (this.#realtime.waiting || (this.#reliable.waiting && this.#reliable.mayFill))) return this.#end(now, seq);
      if (writer.room < 2) return this.#end(now, seq);
    }
    writer.close(CLOSE_REASONS.indexOf(this.#closeReason));
    this.#end(now, seq);
    if (--this.#goodbyesLeft > 0) {
      // What has not been acknowledged by the next goodbye goes along with it.
      this.#timers.set(TIMER.closing, now + GOODBYE_MS * (GOODBYES - this.#goodbyesLeft));
      this.#sent.expire(now, this.#reliable);
    } else {
      if (this.#lingerUntil === Infinity) this.#lingerUntil = now + LINGER_MS;
      this.#timers.set(TIMER.closing, this.#lingerUntil);
    }
    return true;
  }
}

function micros(ms: number): number {
  return Math.round(ms * 1_000) % 2 ** 48;
}
