/** Peers with content joined by a queue, under a clock, a list and words that are moved by hand: what tests and fuzzing of it share. */
import { createHash } from 'node:crypto';
import type { Content } from 'lanista';
import type { PeerId } from '../sdk/base/brand.ts';
import { ContentDesk } from '../sdk/room/content.ts';
import { encodeAsk, encodeNone, encodePiece, readContentWords, WHETHER } from '../sdk/sync/content/words.ts';
import type { ContentWords } from '../sdk/sync/content/words.ts';
import { CONTENT_PIECE_BYTES } from '../sdk/wire/limits.ts';
import { PackReader } from '../sdk/wire/pack.ts';

export const IDS = Array.from({ length: 32 }, (_, i) => 'abcdefghijklmnopqrstuvwxyz234567'[i]!.repeat(16)) as unknown as readonly PeerId[];

export const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(bytes).digest());
export const idOf = (bytes: Uint8Array): string => Buffer.from(sha256(bytes)).toString('base64url');

/** Bytes that are others for another seed. */
export function bytesOf(size: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let i = 0, x = seed; i < size; i++) {
    x = (Math.imul(x, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[i] = x >>> 24;
  }
  return bytes;
}

export interface Said {
  readonly at: number;
  readonly from: number;
  readonly to: number;
  readonly bytes: Uint8Array;
}

/** What was said, read. */
export function wordsOf(bytes: Uint8Array): ContentWords | undefined {
  const input = new PackReader(bytes);
  const count = input.array(0xffff);
  return readContentWords(input.int(), count, input);
}

export class ContentRig {
  now = 1_000;
  readonly seats: ContentSeat[] = [];
  /** Who is there, by number. */
  readonly present: Set<number>;
  queue: Said[] = [];
  /** Sees what one says to another; false: it is lost, true and nothing: it arrives. */
  onSend: ((said: Said) => boolean | void) | undefined;
  /** How long words take, ms. */
  delayMs = 1;

  /** @param count of peers; those beyond `honest` only say what they are made to. */
  constructor(count: number, honest = count) {
    this.present = new Set(Array.from({ length: count }, (_, i) => i));
    for (let i = 0; i < honest; i++) this.seats.push(new ContentSeat(this, i));
  }

  send(said: Said): boolean {
    if (!this.present.has(said.to) || !this.present.has(said.from)) return false;
    if (this.onSend?.(said) !== false) this.queue.push(said);
    return true;
  }

  /** Somebody who is no honest one says this. */
  say(from: number, to: number, bytes: Uint8Array): void {
    this.queue.push({ at: this.now, from, to, bytes: bytes.slice() });
  }

  deliver(): void {
    const due = this.queue.filter(({ at }) => at + this.delayMs <= this.now);
    this.queue = this.queue.filter(({ at }) => at + this.delayMs > this.now);
    for (const { from, to, bytes } of due) this.seats[to]?.hear(from, bytes);
  }

  /** Lets `ms` pass, a millisecond at a time; promises get their turns. */
  async play(ms: number, done: () => boolean = () => false): Promise<void> {
    for (let left = ms; left > 0 && !done(); left--) {
      this.now++;
      this.deliver();
      for (const seat of this.seats) seat.turn();
      for (let i = 0; i < 6; i++) await Promise.resolve();
    }
  }

  /** Lets time pass until it settles, at most `ms`. */
  async settled<T>(promise: Promise<T>, ms = 60_000): Promise<T> {
    let isOver = false;
    const over = (): void => void (isOver = true);
    promise.then(over, over);
    await this.play(ms, () => isOver);
    if (!isOver) throw new Error(`nothing after ${ms} ms`);
    return promise;
  }

  /** Gone, for others and for itself. */
  leave(index: number): void {
    this.present.delete(index);
    for (const seat of this.seats) if (this.present.has(seat.index)) seat.desk.peerGone(IDS[index]!);
  }

  /** As somebody new, or after a reload. */
  come(index: number): void {
    this.present.add(index);
    if (index < this.seats.length) this.seats[index] = new ContentSeat(this, index);
    for (const seat of this.seats) if (seat.index !== index) seat.desk.peerCame(IDS[index]!);
  }
}

export class ContentSeat {
  readonly desk: ContentDesk;
  readonly content: Content;
  readonly index: number;
  readonly rig: ContentRig;
  readonly drops: string[] = [];
  /** What `queued` says of everybody, and of each. */
  queued = 0;
  readonly queuedTo = new Map<number, number>();
  /** What a hash comes to. */
  digest: (bytes: Uint8Array) => Promise<Uint8Array> = async (bytes) => sha256(bytes);
  wakes = 0;
  #later: (() => void)[] = [];

  constructor(rig: ContentRig, index: number) {
    this.rig = rig;
    this.index = index;
    this.desk = new ContentDesk({
      now: () => rig.now,
      present: () => IDS.filter((_, i) => i !== index && rig.present.has(i)),
      send: (to, bytes) => rig.send({ at: rig.now, from: index, to: IDS.indexOf(to), bytes: bytes.slice() }),
      queued: (peer) => this.queuedTo.get(IDS.indexOf(peer)) ?? this.queued,
      digest: (bytes) => this.digest(bytes),
      drop: (reason) => void this.drops.push(reason),
      later: (fn) => void this.#later.push(fn),
      wake: () => void this.wakes++,
    });
    this.content = this.desk.face;
  }

  hear(from: number, bytes: Uint8Array): void {
    if (!this.rig.present.has(this.index)) return;
    const input = new PackReader(bytes);
    const count = input.array(0xffff);
    const type = input.int();
    this.desk.receive(IDS[from]!, type, count, input);
  }

  /** What a room does in each turn: it runs when that is due. */
  turn(): void {
    for (const fn of this.#later.splice(0)) fn();
    this.desk.run(this.rig.now);
  }
}

/** A peer that says what a test makes of each question, and is asked as the others are. */
export function liar(rig: ContentRig, index: number, answer: (hash: Uint8Array, offset: number, to: number) => Uint8Array | undefined): void {
  const before = rig.onSend;
  rig.onSend = (said) => {
    const seen = before?.(said);
    if (said.to !== index) return seen;
    const words = wordsOf(said.bytes);
    if (words?.type !== 23) return false;
    const bytes = answer(words.hash, words.offset, said.from);
    if (bytes !== undefined) rig.say(index, said.from, bytes);
    return false;
  };
}

export { encodeAsk, encodeNone, encodePiece };

const PIECE = CONTENT_PIECE_BYTES;
export const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
export const code = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'resolved',
    (error: { code: string }) => error.code,
  );
/** As an honest one would, of other bytes. */
export const gives = (bytes: Uint8Array) => (hash: Uint8Array, offset: number) =>
  encodePiece(hash, bytes.length, offset, offset === WHETHER ? bytes.subarray(0, 0) : bytes.subarray(offset, offset + PIECE));
/** Offsets that were asked of whom. */
export function asked(rig: ContentRig): { readonly to: number; readonly offset: number; readonly at: number }[] {
  const all: { readonly to: number; readonly offset: number; readonly at: number }[] = [];
  const before = rig.onSend;
  rig.onSend = (said) => {
    const words = wordsOf(said.bytes);
    if (words?.type === 23) all.push({ to: said.to, offset: words.offset, at: said.at });
    return before?.(said);
  };
  return all;
}
export const pieces = (all: readonly { readonly to: number; readonly offset: number }[], to: number): number[] =>
  all.filter((one) => one.to === to && one.offset !== WHETHER).map(({ offset }) => offset);
