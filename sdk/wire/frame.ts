/**
 * Frames: the typed units inside an opened packet. One packet carries any number of them, in any order;
 * `MTU_PROBE` is always the last. Big-endian.
 *
 *   0x01 ACK            newest u48 · bits u64 · delay u16 (1/32 ms)   newest received, and the 64 before it
 *   0x02 PING           t1 u48 (µs of the sender's monotonic clock)
 *   0x03 PONG           t1 u48 echoed · t2 u48 received · t3 u48 sent (µs of the answerer's clock)
 *   0x04 CLOSE          reason u8
 *   0x05 PATH_CHALLENGE token[8]
 *   0x06 PATH_RESPONSE  token[8]
 *   0x07 MTU_PROBE      size u16 · zero padding to the end of the packet
 *   0x08 MTU_ACK        size u16
 *   0x40 + lane  RELIABLE    id u32 · size u16 · bytes                a whole message
 *   0x48 + lane  FRAGMENT    id u32 · index u16 · count u16 · length u32 · bytes
 *   0x50 + lane  SEQUENCED   id u32 · size u16 · bytes
 *   0x58 + lane  UNRELIABLE  size u16 · bytes
 *
 * A FRAGMENT has no size: `count` and `length` give it. Every fragment of a message repeats both, every
 * fragment but the last has `ceil(length / count)` bytes, none is empty, and `count` is the least that
 * keeps them within `FRAGMENT_BYTES`. So each message has one encoding, and no later fragment can
 * disagree with an earlier one unnoticed.
 *
 * An ACK covers what arrived: bit i (0 = least) of `bits` stands for `newest - 1 - i`. It is the first frame of
 * its packet or not there, and no frame below 0x40 comes twice in one: whatever a peer fills a packet with,
 * the work it makes is that of one honest packet.
 */
import { WORDS_BYTES, copyBytes, copyWords, viewOf } from '../base/bytes.ts';
import { FRAGMENT_BYTES, MAX_FRAGMENTS, MAX_MESSAGE_BYTES, MAX_WHOLE_BYTES } from './limits.ts';

export const FRAME_ACK = 0x01;
export const FRAME_PING = 0x02;
export const FRAME_PONG = 0x03;
export const FRAME_CLOSE = 0x04;
export const FRAME_PATH_CHALLENGE = 0x05;
export const FRAME_PATH_RESPONSE = 0x06;
export const FRAME_MTU_PROBE = 0x07;
export const FRAME_MTU_ACK = 0x08;
export const FRAME_RELIABLE = 0x40;
export const FRAME_FRAGMENT = 0x48;
export const FRAME_SEQUENCED = 0x50;
export const FRAME_UNRELIABLE = 0x58;

export const ACK_FRAME_BYTES = 17;
export const PING_FRAME_BYTES = 7;
export const PONG_FRAME_BYTES = 19;
export const CLOSE_FRAME_BYTES = 2;
export const PATH_FRAME_BYTES = 9;
export const MTU_FRAME_BYTES = 3;
export const RELIABLE_HEAD_BYTES = 7;
export const FRAGMENT_HEAD_BYTES = 13;
export const SEQUENCED_HEAD_BYTES = 7;
export const UNRELIABLE_HEAD_BYTES = 3;

/** Units of the ACK's delay per ms. */
export const ACK_DELAY_UNITS = 32;

/** Reasons of CLOSE on the wire, by position. */
export const CLOSE_REASONS = ['bye', 'timeout', 'replaced', 'protocol', 'refused', 'exhausted'] as const;

/** Number of fragments a message of `length` bytes is cut into; 1 means it travels whole. */
export function fragmentCount(length: number): number {
  return length <= MAX_WHOLE_BYTES ? 1 : Math.ceil(length / FRAGMENT_BYTES);
}

/** Size of every fragment but the last. */
export function fragmentStride(length: number, count: number): number {
  return Math.ceil(length / count);
}

/**
 * Reads one frame after the other into its own fields, without allocating. `next()` returns the base type
 * (lane removed), 0 at the end, -1 on malformed input. Fields not named for a type keep old values.
 */
export class FrameReader {
  bytes: Uint8Array = new Uint8Array(0);
  end = 0;
  #at = 0;
  /** Control types that this packet has had, one bit each. */
  #had = 0;

  lane = 0;
  /** ACK newest; PING and PONG t1; message id of RELIABLE, FRAGMENT, SEQUENCED. */
  id = 0;
  /** ACK: bits for newest-1 .. newest-32, and newest-33 .. newest-64. PONG: t2, t3. FRAGMENT: index, count. */
  a = 0;
  b = 0;
  /** FRAGMENT: length of the message. ACK: delay in ms. CLOSE: reason. MTU frames: size. */
  c = 0;
  /** Body of message frames and tokens: `bytes[bodyAt .. bodyAt + bodySize)`. */
  bodyAt = 0;
  bodySize = 0;

  reset(bytes: Uint8Array, end: number): void {
    this.bytes = bytes;
    this.end = end;
    this.#at = 0;
    this.#had = 0;
  }

  next(): number {
    const b = this.bytes;
    const at = this.#at;
    const left = this.end - at;
    if (left <= 0) return 0;
    const type = b[at]!;
    if (type >= FRAME_RELIABLE && type < FRAME_UNRELIABLE + 8) return this.#message(type, at, left);
    // A type past the control frames has no case below, whatever bit it would be.
    if ((this.#had & (1 << type)) !== 0) return -1;
    this.#had |= 1 << type;
    switch (type) {
      case FRAME_ACK:
        if (left < ACK_FRAME_BYTES || at !== 0) return -1;
        this.id = u48(b, at + 1);
        this.b = u32(b, at + 7);
        this.a = u32(b, at + 11);
        this.c = u16(b, at + 15) / ACK_DELAY_UNITS;
        this.#at = at + ACK_FRAME_BYTES;
        return type;
      case FRAME_PING:
        if (left < PING_FRAME_BYTES) return -1;
        this.id = u48(b, at + 1);
        this.#at = at + PING_FRAME_BYTES;
        return type;
      case FRAME_PONG:
        if (left < PONG_FRAME_BYTES) return -1;
        this.id = u48(b, at + 1);
        this.a = u48(b, at + 7);
        this.b = u48(b, at + 13);
        this.#at = at + PONG_FRAME_BYTES;
        return type;
      case FRAME_CLOSE:
        if (left < CLOSE_FRAME_BYTES || b[at + 1]! >= CLOSE_REASONS.length) return -1;
        this.c = b[at + 1]!;
        this.#at = at + CLOSE_FRAME_BYTES;
        return type;
      case FRAME_PATH_CHALLENGE:
      case FRAME_PATH_RESPONSE:
        if (left < PATH_FRAME_BYTES) return -1;
        this.bodyAt = at + 1;
        this.bodySize = 8;
        this.#at = at + PATH_FRAME_BYTES;
        return type;
      case FRAME_MTU_PROBE:
        if (left < MTU_FRAME_BYTES) return -1;
        this.c = u16(b, at + 1);
        for (let i = at + MTU_FRAME_BYTES; i < this.end; i++) if (b[i] !== 0) return -1;
        this.#at = this.end;
        return type;
      case FRAME_MTU_ACK:
        if (left < MTU_FRAME_BYTES) return -1;
        this.c = u16(b, at + 1);
        this.#at = at + MTU_FRAME_BYTES;
        return type;
      default:
        return -1;
    }
  }

  #message(type: number, at: number, left: number): number {
    const b = this.bytes;
    const base = type & 0xf8;
    this.lane = type & 7;
    if (base === FRAME_FRAGMENT) {
      if (left < FRAGMENT_HEAD_BYTES) return -1;
      const index = u16(b, at + 5);
      const count = u16(b, at + 7);
      const length = u32(b, at + 9);
      if (length > MAX_MESSAGE_BYTES || count < 2 || count > MAX_FRAGMENTS || index >= count || count !== fragmentCount(length)) return -1;
      const stride = fragmentStride(length, count);
      const size = index === count - 1 ? length - stride * index : stride;
      if (size <= 0 || size > left - FRAGMENT_HEAD_BYTES) return -1;
      this.id = u32(b, at + 1);
      this.a = index;
      this.b = count;
      this.c = length;
      this.bodyAt = at + FRAGMENT_HEAD_BYTES;
      this.bodySize = size;
      this.#at = this.bodyAt + size;
      return base;
    }
    const head = base === FRAME_UNRELIABLE ? UNRELIABLE_HEAD_BYTES : RELIABLE_HEAD_BYTES;
    if (left < head) return -1;
    const size = u16(b, at + head - 2);
    if (size > left - head || (base === FRAME_RELIABLE && size > MAX_WHOLE_BYTES)) return -1;
    if (base !== FRAME_UNRELIABLE) this.id = u32(b, at + 1);
    this.bodyAt = at + head;
    this.bodySize = size;
    this.#at = this.bodyAt + size;
    return base;
  }
}

/** Writes frames into one packet of bounded size. The caller asks `room` first; overflow is our bug and throws. */
export class FrameWriter {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  at = 0;
  /** Where this packet has to end. */
  limit = 0;

  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity);
    this.#view = viewOf(this.bytes);
  }

  begin(limit: number): void {
    this.at = 0;
    this.limit = Math.min(limit, this.bytes.length);
  }

  get room(): number {
    return this.limit - this.at;
  }

  ack(newest: number, near: number, far: number, delayMs: number): void {
    const at = this.#take(ACK_FRAME_BYTES, FRAME_ACK);
    put48(this.bytes, at + 1, newest);
    put32(this.bytes, at + 7, far);
    put32(this.bytes, at + 11, near);
    put16(this.bytes, at + 15, Math.min(0xffff, Math.max(0, Math.round(delayMs * ACK_DELAY_UNITS))));
  }

  ping(t1: number): void {
    put48(this.bytes, this.#take(PING_FRAME_BYTES, FRAME_PING) + 1, t1);
  }

  pong(t1: number, t2: number, t3: number): void {
    const at = this.#take(PONG_FRAME_BYTES, FRAME_PONG);
    put48(this.bytes, at + 1, t1);
    put48(this.bytes, at + 7, t2);
    put48(this.bytes, at + 13, t3);
  }

  close(reason: number): void {
    this.bytes[this.#take(CLOSE_FRAME_BYTES, FRAME_CLOSE) + 1] = reason;
  }

  path(type: typeof FRAME_PATH_CHALLENGE | typeof FRAME_PATH_RESPONSE, token: Uint8Array): void {
    this.bytes.set(token, this.#take(PATH_FRAME_BYTES, type) + 1);
  }

  mtuAck(size: number): void {
    put16(this.bytes, this.#take(MTU_FRAME_BYTES, FRAME_MTU_ACK) + 1, size);
  }

  /** Fills the packet to its limit. */
  mtuProbe(size: number): void {
    put16(this.bytes, this.#take(MTU_FRAME_BYTES, FRAME_MTU_PROBE) + 1, size);
    this.bytes.fill(0, this.at, this.limit);
    this.at = this.limit;
  }

  reliable(lane: number, id: number, body: Uint8Array): void {
    const at = this.#take(RELIABLE_HEAD_BYTES + body.length, FRAME_RELIABLE | lane);
    put32(this.bytes, at + 1, id);
    put16(this.bytes, at + 5, body.length);
    copyBytes(body, 0, body.length, this.bytes, at + RELIABLE_HEAD_BYTES);
  }

  fragment(lane: number, id: number, index: number, count: number, body: Uint8Array): void {
    const stride = fragmentStride(body.length, count);
    const start = stride * index;
    const size = Math.min(stride, body.length - start);
    const at = this.#take(FRAGMENT_HEAD_BYTES + size, FRAME_FRAGMENT | lane);
    put32(this.bytes, at + 1, id);
    put16(this.bytes, at + 5, index);
    put16(this.bytes, at + 7, count);
    put32(this.bytes, at + 9, body.length);
    copyBytes(body, start, start + size, this.bytes, at + FRAGMENT_HEAD_BYTES);
  }

  sequenced(lane: number, id: number, body: Uint8Array): void {
    const at = this.#take(SEQUENCED_HEAD_BYTES + body.length, FRAME_SEQUENCED | lane);
    put32(this.bytes, at + 1, id);
    put16(this.bytes, at + 5, body.length);
    copyBytes(body, 0, body.length, this.bytes, at + SEQUENCED_HEAD_BYTES);
  }

  unreliable(lane: number, body: Uint8Array): void {
    const at = this.#take(UNRELIABLE_HEAD_BYTES + body.length, FRAME_UNRELIABLE | lane);
    put16(this.bytes, at + 1, body.length);
    copyBytes(body, 0, body.length, this.bytes, at + UNRELIABLE_HEAD_BYTES);
  }

  /** Copies frames that were encoded earlier (the realtime queue keeps them so). */
  raw(source: FrameWriter, start: number, end: number): void {
    if (end - start > WORDS_BYTES) this.bytes.set(source.bytes.subarray(start, end), this.at);
    else copyWords(source.#view, start, end, this.#view, this.at);
    this.at += end - start;
  }

  #take(size: number, type: number): number {
    const at = this.at;
    if (size > this.limit - at) throw new RangeError('frame does not fit its packet');
    this.bytes[at] = type;
    this.at = at + size;
    return at;
  }
}

function u16(b: Uint8Array, at: number): number {
  return (b[at]! << 8) | b[at + 1]!;
}

function u32(b: Uint8Array, at: number): number {
  return ((b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!) >>> 0;
}

function u48(b: Uint8Array, at: number): number {
  return u16(b, at) * 0x1_0000_0000 + u32(b, at + 2);
}

function put16(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 8;
  b[at + 1] = value;
}

function put32(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 24;
  b[at + 1] = value >>> 16;
  b[at + 2] = value >>> 8;
  b[at + 3] = value;
}

function put48(b: Uint8Array, at: number, value: number): void {
  put16(b, at, Math.floor(value / 0x1_0000_0000));
  put32(b, at + 2, value >>> 0);
}
