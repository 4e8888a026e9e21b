/**
 * The sending half of `reliable`: messages wait per lane, are cut into fragments, leave as room and
 * window allow, and stay until everything before them on their lane has been acknowledged.
 *
 * The promises towards the receiver, which it checks: never more than `LANE_WINDOW_MESSAGES` between the
 * oldest unsettled message of a lane and the newest sent, never more than `MAX_OPEN_REASSEMBLIES`
 * fragmented messages incomplete, never more than `MAX_RECEIVE_HELD_BYTES` sent but not settled.
 */
import {
  HELD_OVERHEAD_BYTES,
  LANE_WINDOW_MESSAGES,
  MAX_LANES,
  MAX_MESSAGE_BYTES,
  MAX_OPEN_REASSEMBLIES,
  MAX_RECEIVE_HELD_BYTES,
  MAX_SEND_HELD_BYTES,
} from '../wire/limits.ts';
import { FRAGMENT_HEAD_BYTES, RELIABLE_HEAD_BYTES, fragmentCount, fragmentStride, type FrameWriter } from '../wire/frame.ts';
import type { SentFate, SentPackets } from './acks.ts';
import type { HeldAccount, HeldBudget, HeldOwner } from './held-budget.ts';

const EMPTY = new Uint8Array(0);

/** One message on its way. Fragments are settled one by one. */
export interface OutMessage {
  readonly lane: number;
  readonly id: number;
  readonly cost: number;
  readonly count: number;
  readonly since: number;
  bytes: Uint8Array;
  /** Next fragment that has never been sent. */
  next: number;
  /** Fragments not yet acknowledged. */
  open: number;
  /** One byte per fragment, 1 when acknowledged; undefined for whole messages. */
  readonly done: Uint8Array | undefined;
}

interface Lane {
  nextId: number;
  /** From the oldest unsettled to the newest queued. */
  readonly messages: Queue<OutMessage>;
  /** How many of `messages` have been started. */
  started: number;
  /** Bytes of `messages`, with overhead. */
  heldBytes: number;
}

/** A first-in first-out list without the cost of `shift`. */
class Queue<T> {
  #items: T[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  at(index: number): T | undefined {
    return this.#items[this.#head + index];
  }

  push(item: T): void {
    this.#items.push(item);
  }

  clear(): void {
    this.#items = [];
    this.#head = 0;
  }

  shift(): T | undefined {
    const item = this.#items[this.#head];
    if (item === undefined) return undefined;
    this.#items[this.#head++] = undefined as T;
    if (this.#head === this.#items.length) {
      this.#items.length = 0;
      this.#head = 0;
    } else if (this.#head > 1_024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }
}

/** The mesh's lanes go first: a roster behind a map transfer would be a room that falls apart. */
const URGENT_LANES = [7, 6] as const;

export class ReliableSend implements SentFate {
  readonly #lanes: Lane[] = [];
  readonly #again: { message: OutMessage; index: number }[] = [];
  readonly #account: HeldAccount;
  #turn = 0;
  #openFragmented = 0;
  #startedBytes = 0;
  #unsent = 0;
  #released = false;

  constructor(budget: HeldBudget, owner: HeldOwner) {
    this.#account = budget.open(owner, (now) => this.#byteMs(now));
    for (let i = 0; i < MAX_LANES; i++) this.#lanes.push({ nextId: 0, messages: new Queue(), started: 0, heldBytes: 0 });
  }

  /** Bytes queued or unsettled, with overhead. */
  get heldBytes(): number {
    return this.#account.usedBytes;
  }

  /** Those of one lane. */
  laneBytes(lane: number): number {
    return this.#lanes[lane]?.heldBytes ?? 0;
  }

  /** True when something waits to be sent for the first time or again. */
  get waiting(): boolean {
    return this.#unsent > 0 || this.#again.length > 0;
  }

  /** True when something lost waits to be sent again. */
  get hasLost(): boolean {
    return this.#again.length > 0;
  }

  /** True when a lane has a piece that the promises allow to leave now. */
  get mayFill(): boolean {
    if (this.#again.length > 0) return true;
    if (this.#unsent === 0) return false;
    for (const lane of this.#lanes) {
      const last = lane.started > 0 ? lane.messages.at(lane.started - 1) : undefined;
      if (last !== undefined && last.next < last.count) return true;
      const first = lane.messages.at(lane.started);
      if (first !== undefined && this.#mayStart(lane, first)) return true;
    }
    return false;
  }

  /** Copies `bytes`; false when a bound stands in the way. */
  push(now: number, lane: number, bytes: Uint8Array): boolean {
    if (bytes.length > MAX_MESSAGE_BYTES) return false;
    const cost = bytes.length + HELD_OVERHEAD_BYTES;
    const target = this.#lanes[lane]!;
    // Ids never wrap: at 300,000 messages a second that takes four hours of nothing else.
    if (target.nextId > 0xffff_ffff) return false;
    if (this.#account.usedBytes + cost > MAX_SEND_HELD_BYTES || !this.#account.take(now, cost)) return false;
    const count = fragmentCount(bytes.length);
    this.#unsent++;
    target.heldBytes += cost;
    target.messages.push({
      lane,
      id: target.nextId++,
      cost,
      count,
      since: now,
      bytes: bytes.slice(),
      next: 0,
      open: count,
      done: count > 1 ? new Uint8Array(count) : undefined,
    });
    return true;
  }

  /** Writes as many pieces as fit; returns true when at least one was written. */
  fill(writer: FrameWriter, packets: SentPackets, seq: number): boolean {
    let wrote = this.#fillAgain(writer, packets, seq);
    for (const lane of URGENT_LANES) if (this.#fillLane(this.#lanes[lane]!, writer, packets, seq)) wrote = true;
    const plain = MAX_LANES - URGENT_LANES.length;
    for (let i = 0; i < plain; i++) {
      if (this.#fillLane(this.#lanes[(this.#turn + i) % plain]!, writer, packets, seq)) wrote = true;
    }
    // The next packet starts with the next lane, so that a long message on one does not hold up the others.
    this.#turn = (this.#turn + 1) % plain;
    return wrote;
  }

  #fillAgain(writer: FrameWriter, packets: SentPackets, seq: number): boolean {
    const again = this.#again;
    if (again.length === 0) return false;
    let kept = 0;
    let wrote = false;
    let full = false;
    for (let i = 0; i < again.length; i++) {
      const item = again[i]!;
      if (item.message.open === 0 || item.message.done?.[item.index] === 1) continue;
      if (!full && this.#write(item.message, item.index, writer, packets, seq)) {
        wrote = true;
      } else {
        full = writer.room < RELIABLE_HEAD_BYTES;
        again[kept++] = item;
      }
    }
    again.length = kept;
    return wrote;
  }

  #fillLane(lane: Lane, writer: FrameWriter, packets: SentPackets, seq: number): boolean {
    let wrote = false;
    for (;;) {
      // The message being sent is the last started one while it has fragments left, else the next in line.
      let message = lane.started > 0 ? lane.messages.at(lane.started - 1) : undefined;
      if (message === undefined || message.next >= message.count) {
        message = lane.messages.at(lane.started);
        if (message === undefined || !this.#mayStart(lane, message) || !fits(message, 0, writer)) return wrote;
        lane.started++;
        this.#startedBytes += message.cost;
        if (message.count > 1) this.#openFragmented++;
      }
      if (!this.#write(message, message.next, writer, packets, seq)) return wrote;
      wrote = true;
      if (++message.next === message.count) this.#unsent--;
    }
  }

  #mayStart(lane: Lane, message: OutMessage): boolean {
    if (lane.started >= LANE_WINDOW_MESSAGES) return false;
    if (message.count > 1 && this.#openFragmented >= MAX_OPEN_REASSEMBLIES) return false;
    return this.#startedBytes === 0 || this.#startedBytes + message.cost <= MAX_RECEIVE_HELD_BYTES;
  }

  #write(message: OutMessage, index: number, writer: FrameWriter, packets: SentPackets, seq: number): boolean {
    if (!fits(message, index, writer)) return false;
    const before = writer.at;
    if (message.count === 1) writer.reliable(message.lane, message.id, message.bytes);
    else writer.fragment(message.lane, message.id, index, message.count, message.bytes);
    packets.piece(seq, message, index, writer.at - before);
    return true;
  }

  onPieceAcked(message: OutMessage, index: number): void {
    if (message.open === 0) return;
    if (message.done !== undefined) {
      if (message.done[index] === 1) return;
      message.done[index] = 1;
    }
    if (--message.open > 0) return;
    if (message.count > 1) this.#openFragmented--;
    message.bytes = EMPTY;
    // Settled in order: the receiver holds what came early until the gap before it is filled.
    const lane = this.#lanes[message.lane]!;
    for (let head = lane.messages.at(0); head !== undefined && head.open === 0; head = lane.messages.at(0)) {
      lane.messages.shift();
      lane.started--;
      lane.heldBytes -= head.cost;
      this.#startedBytes -= head.cost;
      this.#account.give(head.cost);
    }
  }

  onPieceLost(message: OutMessage, index: number): void {
    if (this.#released || message.open === 0 || message.done?.[index] === 1) return;
    this.#again.push({ message, index });
  }

  #byteMs(now: number): number {
    let sum = 0;
    for (const lane of this.#lanes)
      for (let i = 0; i < lane.messages.length; i++) sum += lane.messages.at(i)!.cost * (now - lane.messages.at(i)!.since);
    return sum;
  }

  /** Forgets everything: nothing is sent any more. */
  release(): void {
    this.#released = true;
    this.#account.close();
    this.#unsent = 0;
    this.#again.length = 0;
    for (const lane of this.#lanes) {
      lane.messages.clear();
      lane.started = lane.heldBytes = 0;
    }
  }
}

function fits(message: OutMessage, index: number, writer: FrameWriter): boolean {
  if (message.count === 1) return RELIABLE_HEAD_BYTES + message.bytes.length <= writer.room;
  const stride = fragmentStride(message.bytes.length, message.count);
  const size = Math.min(stride, message.bytes.length - stride * index);
  return FRAGMENT_HEAD_BYTES + size <= writer.room;
}
