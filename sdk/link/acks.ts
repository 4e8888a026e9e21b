/**
 * Acknowledgements, both sides. What arrived is a number and 64 bits, so no peer can make us loop or
 * allocate; what was sent is a ring.
 */
import { ACK_BITS, SENT_WINDOW_PACKETS } from '../wire/limits.ts';
import type { OutMessage } from './reliable-send.ts';

/** What we have received: the newest sequence number and the 64 before it. */
export class ReceivedPackets {
  newest = -1;
  /** Bit i stands for newest - 1 - i. */
  near = 0;
  /** Bit i stands for newest - 33 - i. */
  far = 0;
  newestAt = 0;

  record(now: number, seq: number): void {
    if (seq > this.newest) {
      const shift = seq - this.newest;
      if (this.newest < 0 || shift > ACK_BITS) {
        this.near = 0;
        this.far = 0;
      } else {
        // The old newest becomes bit shift - 1; the rest moves along.
        if (shift < 32) {
          this.far = ((this.far << shift) | (this.near >>> (32 - shift))) >>> 0;
          this.near = ((this.near << shift) | (1 << (shift - 1))) >>> 0;
        } else if (shift === 32) {
          this.far = this.near;
          this.near = 0x8000_0000;
        } else {
          this.far = shift === 64 ? 0 : (this.near << (shift - 32)) >>> 0;
          this.far = (this.far | (1 << (shift - 33))) >>> 0;
          this.near = 0;
        }
      }
      this.newest = seq;
      this.newestAt = now;
    } else {
      const back = this.newest - 1 - seq;
      if (back < 0) return;
      if (back < 32) this.near = (this.near | (1 << back)) >>> 0;
      else if (back < ACK_BITS) this.far = (this.far | (1 << (back - 32))) >>> 0;
    }
  }
}

/** The bits of the newest ACK, moved along as the newest number grows. */
class NamedPackets {
  newest = -1;
  near = 0;
  far = 0;

  /** Moves the bits along; false for an ACK that was overtaken, of which nothing is known. */
  relativeTo(newest: number): boolean {
    const shift = newest - this.newest;
    if (shift < 0) return false;
    if (this.newest < 0 || shift > ACK_BITS) {
      this.near = 0;
      this.far = 0;
    } else if (shift > 0) {
      const { near, far } = this;
      this.near = shift < 32 ? (near << shift) | (1 << (shift - 1)) : shift === 32 ? 1 << 31 : 0;
      this.far =
        shift < 32
          ? (far << shift) | (near >>> (32 - shift))
          : shift === 32
            ? near
            : shift === 64
              ? 1 << 31
              : (near << (shift - 32)) | (1 << (shift - 33));
    }
    this.newest = newest;
    return true;
  }

  add(newest: number, near: number, far: number): void {
    if (newest < this.newest) return;
    this.near |= near;
    this.far |= far;
  }
}

/** What a slot holds before its first piece. Never written to. */
const NO_MESSAGES: OutMessage[] = [];
const NO_INDEXES: number[] = [];

/** Slots of a new ring; it doubles, up to the window, while it would overwrite what it remembers. */
const FIRST_SLOTS = 64;

/** Numbers of one slot's record: its sequence number, and as follows. */
const RECORD = 4;
/** When it left. */
const AT = 1;
/** Reliable bytes in flight. */
const BYTES = 2;
/** Its state, whether the peer is to answer, whether it is larger than the floor, and how many reliable pieces are in flight, in bits. */
const MARK = 3;

const STATE_BITS = 7;
const FREE = 0;
const IN_FLIGHT = 1;
const ACKED = 2;
const LOST = 3;
const SKIPPED = 4;
const ELICITING_BIT = 8;
const LARGE_BIT = 16;
const PIECE = 32;
const PIECE_SHIFT = 5;

export type AckVerdict = 'ok' | 'unsent';

/** Told about the fate of each packet. */
export interface SentFate {
  onPieceAcked(message: OutMessage, index: number): void;
  onPieceLost(message: OutMessage, index: number): void;
}

/** What we have sent, the last 1,024 packets: when, how much, and which reliable pieces were in it. */
export class SentPackets {
  /** Slots in the ring: a link that sends little needs little. */
  #slots = FIRST_SLOTS;
  /** What is known of each packet, `RECORD` numbers side by side: a link's last packet is long out of the processor's caches. */
  #records = new Float64Array(FIRST_SLOTS * RECORD);
  /**
   * The pieces in each packet: the lists are made when a slot first holds one, since most links never fill them all, and
   * never shortened, since that would give their memory back with every packet.
   */
  readonly #messages: OutMessage[][] = new Array<OutMessage[]>(FIRST_SLOTS).fill(NO_MESSAGES);
  readonly #indexes: number[][] = new Array<number[]>(FIRST_SLOTS).fill(NO_INDEXES);

  /** Sequence number of the newest packet (or skipped number). */
  last = -1;
  /** Newest number the peer has acknowledged. */
  acked = -1;
  /** No packet below this is in flight. */
  #floor = 0;
  /** Reliable bytes in flight. */
  flightBytes = 0;
  /** Packets with reliable pieces in flight. */
  flightPackets = 0;
  /** No packet below this has reliable pieces in flight. */
  #oldestReliable = 0;
  /** Packets larger than the floor that were lost since the newest such one that arrived. */
  largeLost = 0;
  #largeAcked = -1;
  /** What the newest ACK named already. */
  readonly #seen = new NamedPackets();
  /** Result of the last `handleAck`. */
  newlyAckedBytes = 0;
  newlyLostPackets = 0;
  newlyAckedPackets = 0;
  /** When the newest newly acknowledged, answer-eliciting packet was sent; -1 for none. */
  sampleSentAt = -1;

  /** A number that is never sent: whoever acknowledges it is guessing. */
  skip(seq: number, fate: SentFate): void {
    // Claimed first: it may put a longer array in place of the one that is written to.
    const record = this.#claim(seq, fate);
    this.#records[record + MARK] = SKIPPED;
    this.last = seq;
  }

  /** Opens the record of packet `seq`; pieces are added by `piece`. */
  begin(now: number, seq: number, eliciting: boolean, fate: SentFate): void {
    const record = this.#claim(seq, fate);
    this.#records[record + AT] = now;
    this.#records[record + MARK] = eliciting ? IN_FLIGHT | ELICITING_BIT : IN_FLIGHT;
    this.last = seq;
  }

  piece(seq: number, message: OutMessage, index: number, bytes: number): void {
    const slot = seq % this.#slots;
    const record = slot * RECORD;
    if (this.#messages[slot] === NO_MESSAGES) {
      this.#messages[slot] = [];
      this.#indexes[slot] = [];
    }
    const at = this.#pieces(record);
    if (at === 0 && this.flightPackets++ === 0) this.#oldestReliable = seq;
    this.#messages[slot]![at] = message;
    this.#indexes[slot]![at] = index;
    this.#records[record + MARK]! += PIECE;
    this.#records[record + BYTES]! += bytes;
    this.flightBytes += bytes;
  }

  /** Packet `seq` is larger than what passes every path. */
  large(seq: number): void {
    this.#records[(seq % this.#slots) * RECORD + MARK]! |= LARGE_BIT;
  }

  #state(record: number): number {
    return this.#records[record + MARK]! & STATE_BITS;
  }

  #setState(record: number, state: number): void {
    this.#records[record + MARK] = (this.#records[record + MARK]! & ~STATE_BITS) | state;
  }

  #pieces(record: number): number {
    return this.#records[record + MARK]! >> PIECE_SHIFT;
  }

  /** True when reliable pieces are in flight in it. */
  #hasPieces(record: number): boolean {
    return this.#records[record + MARK]! >= PIECE;
  }

  #claim(seq: number, fate: SentFate): number {
    if (seq >= this.#slots && this.#slots < SENT_WINDOW_PACKETS) this.#grow(seq);
    const record = (seq % this.#slots) * RECORD;
    // A packet that is overwritten while in flight will never be acknowledged.
    if (this.#state(record) === IN_FLIGHT) this.#lose(record, fate);
    this.#records[record] = seq;
    return record;
  }

  /** Until the ring has its full size nothing was overwritten, so every number lies in the slot of its own. */
  #grow(seq: number): void {
    const before = this.#slots;
    let slots = before;
    while (slots <= seq && slots < SENT_WINDOW_PACKETS) slots *= 2;
    const records = new Float64Array(slots * RECORD);
    records.set(this.#records);
    this.#records = records;
    this.#slots = slots;
    for (let i = before; i < slots; i++) {
      this.#messages.push(NO_MESSAGES);
      this.#indexes.push(NO_INDEXES);
    }
  }

  #release(record: number): void {
    if (this.#pieces(record) === 0) return;
    this.flightPackets--;
    this.flightBytes -= this.#records[record + BYTES]!;
    this.#records[record + MARK]! &= PIECE - 1;
    this.#records[record + BYTES] = 0;
  }

  #lose(record: number, fate: SentFate): void {
    this.#setState(record, LOST);
    this.newlyLostPackets++;
    if ((this.#records[record + MARK]! & LARGE_BIT) !== 0 && this.#records[record]! > this.#largeAcked) this.largeLost++;
    const messages = this.#messages[record / RECORD]!;
    const indexes = this.#indexes[record / RECORD]!;
    const count = this.#pieces(record);
    for (let i = 0; i < count; i++) fate.onPieceLost(messages[i]!, indexes[i]!);
    this.#release(record);
  }

  #ack(seq: number, fate: SentFate): AckVerdict {
    if (seq < 0) return 'unsent';
    const slot = seq % this.#slots;
    const record = slot * RECORD;
    const mark = this.#records[record + MARK]!;
    const state = mark & STATE_BITS;
    if (this.#records[record] !== seq) return 'ok'; // Older than we remember.
    if (state === SKIPPED) return 'unsent';
    if (state === ACKED || state === FREE) return 'ok';
    const sentAt = this.#records[record + AT]!;
    if ((mark & ELICITING_BIT) !== 0 && sentAt > this.sampleSentAt) this.sampleSentAt = sentAt;
    this.newlyAckedPackets++;
    if ((mark & LARGE_BIT) !== 0 && seq > this.#largeAcked) {
      this.#largeAcked = seq;
      this.largeLost = 0;
    }
    // A packet that was taken for lost may still arrive: it has no pieces any more. They went back to the queue, where
    // the receiver's own bookkeeping makes the second copy harmless.
    if (mark >= PIECE) {
      this.newlyAckedBytes += this.#records[record + BYTES]!;
      const messages = this.#messages[slot]!;
      const indexes = this.#indexes[slot]!;
      const count = mark >> PIECE_SHIFT;
      for (let i = 0; i < count; i++) fate.onPieceAcked(messages[i]!, indexes[i]!);
      this.#release(record);
    }
    this.#setState(record, ACKED);
    return 'ok';
  }

  /**
   * Takes one ACK frame. `unsent` means it names a packet that never left: the peer is lying.
   * Packets more than three behind the newest and older than `lostBefore` count as lost.
   */
  handleAck(newest: number, near: number, far: number, fate: SentFate): AckVerdict {
    this.newlyAckedBytes = 0;
    this.newlyAckedPackets = 0;
    this.newlyLostPackets = 0;
    this.sampleSentAt = -1;
    if (newest > this.last) return 'unsent';
    if (this.#ack(newest, fate) === 'unsent') return 'unsent';
    // Most bits were in the ACK before: only those that are new are looked at.
    const known = this.#seen.relativeTo(newest);
    let fresh = known ? near & ~this.#seen.near : near;
    while (fresh !== 0) {
      const bit = 31 - Math.clz32(fresh);
      fresh ^= 1 << bit;
      if (this.#ack(newest - 1 - bit, fate) === 'unsent') return 'unsent';
    }
    fresh = known ? far & ~this.#seen.far : far;
    while (fresh !== 0) {
      const bit = 31 - Math.clz32(fresh);
      fresh ^= 1 << bit;
      if (this.#ack(newest - 33 - bit, fate) === 'unsent') return 'unsent';
    }
    this.#seen.add(newest, near, far);
    if (newest > this.acked) this.acked = newest;
    return 'ok';
  }

  /** Declares lost what was sent before `before` and is at least `gap` behind `upTo`, and what acks can no longer name. */
  detectLost(before: number, gap: number, fate: SentFate): void {
    const upTo = Math.max(0, this.last + 1 - SENT_WINDOW_PACKETS);
    if (this.#floor < upTo) this.#floor = upTo;
    let settled = true;
    for (let seq = this.#floor; seq <= this.acked - gap; seq++) {
      const record = (seq % this.#slots) * RECORD;
      if (this.#state(record) === IN_FLIGHT) {
        if (this.#records[record + AT]! <= before || seq < this.acked - ACK_BITS) this.#lose(record, fate);
        else settled = false;
      }
      if (settled) this.#floor = seq + 1;
    }
  }

  /** Declares lost every packet with reliable pieces sent at or before `before`, acknowledged neighbours or not. */
  expire(before: number, fate: SentFate): void {
    this.newlyLostPackets = 0;
    if (this.flightPackets === 0) return;
    for (let seq = this.#firstReliable(); seq <= this.last; seq++) {
      const record = (seq % this.#slots) * RECORD;
      if (this.#hasPieces(record) && this.#records[record + AT]! <= before) this.#lose(record, fate);
    }
  }

  /** When the oldest packet with reliable pieces in flight was sent; Infinity for none. */
  oldestReliableAt(): number {
    if (this.flightPackets === 0) return Infinity;
    const seq = this.#firstReliable();
    return seq > this.last ? Infinity : this.#records[(seq % this.#slots) * RECORD + AT]!;
  }

  /** The oldest packet with reliable pieces in flight; where the last search ended is where this one begins. */
  #firstReliable(): number {
    let seq = Math.max(this.#floor, this.#oldestReliable, this.last + 1 - SENT_WINDOW_PACKETS);
    for (; seq <= this.last; seq++) {
      if (this.#hasPieces((seq % this.#slots) * RECORD)) break;
    }
    return (this.#oldestReliable = seq);
  }
}
