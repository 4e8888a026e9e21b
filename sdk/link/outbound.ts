/**
 * The sending half of a link: queues, what is in flight, and the building of packets.
 *
 * A packet is filled in this order: acknowledgement, control frames, realtime frames, reliable pieces.
 * So a tick's state leaves with the tick, and bulk takes what room is left.
 */
import type { Rng } from '../base/rng.ts';
import type { Channel } from '../port/port.ts';
import { DATA_HEADER_BYTES, TAG_BYTES } from '../wire/datagram.ts';
import {
  ACK_FRAME_BYTES,
  CLOSE_REASONS,
  FRAME_PATH_CHALLENGE,
  FRAME_PATH_RESPONSE,
  FrameWriter,
  MTU_FRAME_BYTES,
  PING_FRAME_BYTES,
  PONG_FRAME_BYTES,
  SEQUENCED_HEAD_BYTES,
} from '../wire/frame.ts';
import {
  ACK_COPIES,
  ACK_DELAY_MS,
  ACK_DELAY_REALTIME_MS,
  ACK_EVERY_PACKETS,
  ACK_EVERY_REALTIME_PACKETS,
  ACK_RIDE_MS,
  FLUSH_MS,
  MAX_DATAGRAM_BYTES,
  MAX_DATAGRAM_MESSAGE_BYTES,
  MTU_FLOOR_BYTES,
  SKIP_SEQ_MAX,
  SKIP_SEQ_MIN,
} from '../wire/limits.ts';
import { ReceivedPackets, SentPackets } from './acks.ts';
import { Congestion } from './congestion.ts';
import type { Address } from './endpoint-types.ts';
import type { Farewell } from './farewell.ts';
import type { HeldBudget, HeldOwner } from './held-budget.ts';
import { MtuProbe } from './mtu.ts';
import { isRelayed, type Path } from './path.ts';
import { Pings } from './pings.ts';
import { RealtimeQueue } from './realtime.ts';
import { ReliableSend } from './reliable-send.ts';
import { RttEstimator } from './rtt.ts';
import { TIMER, type Timers } from './timers.ts';
import { Traffic } from './traffic.ts';

/** Bytes of a datagram around the frames. */
const ENVELOPE_BYTES = DATA_HEADER_BYTES + TAG_BYTES;

/** Frames that may stand before a realtime frame in its packet. */
const CONTROL_BYTES = ACK_FRAME_BYTES + PING_FRAME_BYTES + PONG_FRAME_BYTES + MTU_FRAME_BYTES;

const LAST_SEQ = 2 ** 48 - 2;

/** So many datagrams above the floor lost, and none between them that arrived: the path carries them no more. */
const LARGE_LOST = 16;

/** One writer serves all links: it is not used across calls. */
const writer = new FrameWriter(MAX_DATAGRAM_BYTES);

export class Outbound {
  readonly rtt = new RttEstimator();
  readonly traffic = new Traffic();
  readonly received = new ReceivedPackets();
  readonly pings: Pings;
  readonly #rng: Rng;
  readonly #timers: Timers;
  readonly #path: Path;
  readonly #sent = new SentPackets();
  readonly #reliable: ReliableSend;
  readonly #realtime = new RealtimeQueue();
  readonly #congestion = new Congestion(this.rtt);
  readonly #mtu = new MtuProbe();
  #nextSeq = 0;
  #skipSeq: number;
  #realtimeOpen = false;
  #reliableOpen = false;
  #unackedReliable = 0;
  /** Packets that want an acknowledgement and have none, and since when. */
  #unacked = 0;
  #unackedSince = 0;
  #ackCopies = 0;
  #backoff = 0;
  /** Only what was sent from then on measures the round trip (ms). */
  #measuredFrom = 0;
  #mtuAckSize = 0;
  #probeWanted = false;

  /** When the last packet left. */
  sentAt: number;
  /** Sequence numbers ran out: nothing can leave any more. */
  exhausted = false;
  /** Of the packet last built: its number and where it goes. */
  outSeq = 0;
  outTo: Address;

  constructor(now: number, rng: Rng, timers: Timers, path: Path, budget: HeldBudget, owner: HeldOwner) {
    this.#rng = rng;
    this.#timers = timers;
    this.#path = path;
    this.#reliable = new ReliableSend(budget, owner);
    this.pings = new Pings(now);
    this.sentAt = now;
    this.outTo = path.address;
    this.#skipSeq = this.#drawSkip(0);
    if (isRelayed(path.address)) this.#mtu.settle();
    timers.set(TIMER.ping, now);
    if (this.#mtu.size > 0) timers.set(TIMER.mtu, now + this.#mtu.waitMs);
  }

  get mtuBytes(): number {
    return this.#mtu.currentBytes;
  }

  get queuedBytes(): number {
    return this.#reliable.heldBytes;
  }

  /** Reliable bytes of one lane that wait or are not settled. */
  laneBytes(lane: number): number {
    return this.#reliable.laneBytes(lane);
  }

  /** The plain packet that was built last is the first `packetBytes` of this; valid until the next one of any link. */
  get packetBuffer(): Uint8Array {
    return writer.bytes;
  }

  get packetBytes(): number {
    return writer.at;
  }

  /** Largest `sequenced` or `unreliable` message now. */
  get maxDatagramMessageBytes(): number {
    return Math.max(MAX_DATAGRAM_MESSAGE_BYTES, this.#mtu.currentBytes - ENVELOPE_BYTES - CONTROL_BYTES - SEQUENCED_HEAD_BYTES);
  }

  release(): void {
    this.#reliable.release();
  }

  // ── in ────────────────────────────────────────────────────────────────────────────────────────────

  /** A packet of the peer was taken that wants to be acknowledged. */
  wantAck(now: number, reliable: boolean): void {
    if (this.#unacked++ === 0) this.#unackedSince = now;
    if (!reliable) {
      if (this.#unacked >= ACK_EVERY_REALTIME_PACKETS) this.#timers.set(TIMER.ack, now);
      else this.#timers.advance(TIMER.ack, now + ACK_DELAY_REALTIME_MS);
      return;
    }
    this.#ackCopies = ACK_COPIES;
    if (++this.#unackedReliable >= ACK_EVERY_PACKETS) this.#timers.set(TIMER.ack, now);
    else this.#timers.advance(TIMER.ack, now + ACK_DELAY_MS);
  }

  /** False when it names a packet that never left. */
  handleAck(now: number, newest: number, near: number, far: number, delayMs: number): boolean {
    const flight = this.#sent.flightBytes;
    if (this.#sent.handleAck(newest, near, far, this.#reliable) === 'unsent') return false;
    let rttMs: number | undefined;
    if (this.#sent.sampleSentAt >= this.#measuredFrom) {
      const raw = now - this.#sent.sampleSentAt;
      rttMs = delayMs <= raw ? raw - delayMs : raw;
      this.rtt.sample(now, rttMs);
    }
    this.#sent.detectLost(now - this.rtt.reorderMs(), 3, this.#reliable);
    this.traffic.onAcked(this.#sent.newlyAckedPackets, this.#sent.newlyLostPackets);
    if (this.#sent.newlyAckedBytes > 0) this.#backoff = 0;
    if (this.#sent.largeLost >= LARGE_LOST) {
      this.#sent.largeLost = 0;
      this.#restartMtu(now);
    }
    this.#congestion.onAck(now, this.#sent.newlyAckedBytes, this.#sent.newlyAckedPackets, this.#sent.newlyLostPackets, rttMs, flight);
    this.#armResend();
    return true;
  }

  /** False for an answer to nothing we asked. */
  handlePong(now: number, t1: number, t2: number, t3: number): boolean {
    const rttMs = this.pings.handlePong(now, t1, t2, t3);
    if (rttMs !== undefined && rttMs >= 0 && t1 / 1_000 >= this.#measuredFrom) this.rtt.sample(now, rttMs);
    return rttMs !== undefined;
  }

  /** A probe of the peer came whole: the next packet says so. */
  confirmMtu(datagramBytes: number): void {
    this.#mtuAckSize = datagramBytes;
  }

  handleMtuAck(size: number): void {
    if (this.#mtu.onConfirmed(size)) this.#timers.stop(TIMER.mtu);
  }

  handleTimeout(now: number): void {
    const timers = this.#timers;
    if (timers.due(TIMER.resend, now)) this.#resend(now);
    if (timers.due(TIMER.ping, now)) {
      this.pings.handleTimeout(now, this.sentAt);
      timers.set(TIMER.ping, this.pings.wakeAt(now, this.sentAt));
    }
    if (timers.due(TIMER.mtu, now)) {
      this.#mtu.step();
      this.#probeWanted = this.#mtu.size > 0;
      timers.stop(TIMER.mtu);
    }
  }

  /** The path is another one: nothing learned about the old one holds. */
  onNewPath(now: number): void {
    this.rtt.reset();
    this.#restartMtu(now);
  }

  /**
   * The peer or we ourselves did not run for a while. What left before is no measure of the path: its answer waited for
   * that, and a round trip of seconds would keep what is lost from being sent again.
   */
  measureFrom(now: number): void {
    this.#measuredFrom = now;
  }

  /** A silence ended: what is due does not sit out the wait that grew meanwhile. */
  onHeard(now: number): void {
    this.measureFrom(now);
    this.#backoff = 0;
    this.#armResend();
  }

  #armResend(): void {
    if (this.#sent.flightPackets === 0) return this.#timers.stop(TIMER.resend);
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
    if (this.#backoff >= 4 && !isRelayed(this.#path.address) && this.#mtu.currentBytes !== 0 && this.#mtu.size === 0) this.#restartMtu(now);
    this.#armResend();
  }

  #restartMtu(now: number): void {
    if (isRelayed(this.#path.address)) {
      this.#mtu.settle();
      this.#timers.stop(TIMER.mtu);
    } else {
      this.#mtu.reset();
      // Not at once: the old path's trouble would eat the probes.
      this.#timers.set(TIMER.mtu, now + 1_000);
    }
  }

  // ── commands ──────────────────────────────────────────────────────────────────────────────────────

  send(now: number, channel: Channel, bytes: Uint8Array, lane: number): boolean {
    let taken: boolean;
    if (channel === 'reliable') {
      taken = this.#reliable.push(now, lane, bytes);
    } else {
      if (bytes.length > this.maxDatagramMessageBytes) return false;
      taken = channel === 'sequenced' ? this.#realtime.sequenced(lane, bytes) : this.#realtime.unreliable(lane, bytes);
    }
    if (taken) this.#timers.advance(TIMER.flush, now + FLUSH_MS);
    return taken;
  }

  /** Opens the gates: what is queued leaves now, as far as the window allows. False when nothing is. */
  flush(): boolean {
    this.#realtimeOpen = this.#realtime.waiting;
    this.#reliableOpen = this.#reliable.waiting;
    this.#timers.stop(TIMER.flush);
    return this.#realtimeOpen || this.#reliableOpen;
  }

  // ── out ───────────────────────────────────────────────────────────────────────────────────────────

  /** Builds the next packet of a live link: then `packetBuffer`, `outSeq` and `outTo` are set. False when nothing has to leave. */
  poll(now: number): boolean {
    if (!this.waiting(now)) return false;
    this.outTo = this.#path.address;
    const left = this.#pollPath(now) || this.#pollProbe(now) || this.#pollQueued(now);
    if (left) this.#timers.set(TIMER.ping, this.pings.wakeAt(now, now));
    return left;
  }

  /** False when `poll` would build nothing: so it mostly is after a packet that came, and after each that left. */
  waiting(now: number): boolean {
    if (this.#realtime.waiting || this.#reliable.waiting || this.#probeWanted || this.#mtuAckSize > 0 || this.#path.waiting) return true;
    if (this.pings.waiting || this.#timers.due(TIMER.ack, now)) return true;
    this.#timers.stop(TIMER.flush);
    this.#timers.stop(TIMER.pace);
    return false;
  }

  /** Builds the next packet of a closing link: what is queued, with the goodbye in the last of them. */
  pollGoodbye(now: number, farewell: Farewell): boolean {
    this.outTo = this.#path.address;
    const more = (this.#realtime.waiting || this.#reliable.waiting) && farewell.takeLastWords();
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
    writer.close(CLOSE_REASONS.indexOf(farewell.reason));
    this.#timers.set(TIMER.closing, farewell.onSaid(now));
    // What has not been acknowledged by the next goodbye goes along with it.
    if (farewell.more) this.#sent.expire(now, this.#reliable);
    return this.#end(now, seq);
  }

  #pollQueued(now: number): boolean {
    if (this.#timers.due(TIMER.flush, now)) this.flush();
    const realtime = this.#realtimeOpen && this.#realtime.waiting;
    const reliable = this.#mayReliable(now);
    const eliciting = realtime || reliable || this.pings.due || this.#mtuAckSize > 0;
    if (!eliciting && !this.pings.keepAliveWanted && !this.#timers.due(TIMER.ack, now)) return false;
    const seq = this.#begin(now, this.#mtu.currentBytes, !realtime || reliable || this.#ackWorth(now));
    if (seq < 0) return false;
    this.#sent.begin(now, seq, eliciting, this.#reliable);
    if ((realtime || reliable) && this.pings.mayRide(now)) this.pings.wanted = true;
    this.pings.fill(now, writer);
    if (this.#mtuAckSize > 0) {
      writer.mtuAck(this.#mtuAckSize);
      this.#mtuAckSize = 0;
    }
    if (realtime) this.#fillRealtime();
    else if (this.#realtime.waiting) this.#realtime.fill(writer); // Company is here: no need to wait for the flush.
    if (reliable) this.#fillReliable(seq);
    if (writer.at > MTU_FLOOR_BYTES - ENVELOPE_BYTES) this.#sent.large(seq);
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

  /** True when the next packet should carry an acknowledgement: of reliable data in any case, of other once it is old. */
  #ackWorth(now: number): boolean {
    if (this.#ackCopies > 0 || this.#unacked >= ACK_EVERY_PACKETS) return true;
    return this.#unacked > 0 && now - this.#unackedSince >= ACK_RIDE_MS;
  }

  /** Claims a sequence number and starts a packet, with the acknowledgement as a rule; -1 when numbers ran out. */
  #begin(now: number, limit = this.#mtu.currentBytes, acknowledge = true): number {
    if (this.#nextSeq >= LAST_SEQ) {
      this.exhausted = true;
      return -1;
    }
    if (this.#nextSeq === this.#skipSeq) {
      this.#sent.skip(this.#nextSeq++, this.#reliable);
      this.#skipSeq = this.#drawSkip(this.#nextSeq);
    }
    writer.begin(limit - ENVELOPE_BYTES);
    const received = this.received;
    if (acknowledge && received.newest >= 0) {
      writer.ack(received.newest, received.near, received.far, now - received.newestAt);
      this.#unackedReliable = 0;
      this.#unacked = 0;
      if (this.#ackCopies > 0) this.#ackCopies--;
      this.#timers.stop(TIMER.ack);
    }
    return this.#nextSeq++;
  }

  #drawSkip(from: number): number {
    return from + SKIP_SEQ_MIN + this.#rng.int(SKIP_SEQ_MAX - SKIP_SEQ_MIN);
  }

  #fillRealtime(): void {
    // A frame that was taken on a larger path and no longer fits is gone: it is not reliable.
    while (!this.#realtime.fill(writer) && this.#realtime.waiting && writer.at <= CONTROL_BYTES) this.#realtime.dropFirst();
    if (!this.#realtime.waiting) this.#realtimeOpen = false;
  }

  #fillReliable(seq: number): void {
    const before = this.#sent.flightBytes;
    if (!this.#reliable.fill(writer, this.#sent, seq)) return;
    if (!this.#reliable.waiting) this.#reliableOpen = false;
    this.#congestion.onSent(this.#sent.flightBytes - before);
    this.#armResend();
  }

  #end(now: number, seq: number): boolean {
    this.outSeq = seq;
    this.sentAt = now;
    this.traffic.packetsOut++;
    this.traffic.bytesOut += writer.at + ENVELOPE_BYTES;
    return true;
  }

  #pollPath(now: number): boolean {
    const frames = this.#path.poll();
    if (frames === undefined) return false;
    // Without an acknowledgement: the address may be somebody else's, who never asked for any of this.
    const seq = this.#begin(now, this.#mtu.currentBytes, false);
    if (seq < 0) return false;
    this.#sent.begin(now, seq, false, this.#reliable);
    if (frames.answer !== undefined) writer.path(FRAME_PATH_RESPONSE, frames.answer);
    if (frames.challenge !== undefined) writer.path(FRAME_PATH_CHALLENGE, frames.challenge);
    this.outTo = frames.to;
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
}
