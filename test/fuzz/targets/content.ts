/**
 * Two honest peers who give each other blocks, and two liars who say anything about them: as an answer to what they were asked, too early, too late, to
 * the wrong one. Nothing throws, what is found is what its name says, what nobody has is never found, and the honest ones find what the other has.
 */
import { createHash } from 'node:crypto';
import type { PeerId } from '../../../sdk/base/brand.ts';
import { ContentExchange } from '../../../sdk/sync/content/exchange.ts';
import { contentId, readContentId } from '../../../sdk/sync/content/id.ts';
import { encodeAsk, encodeNone, encodePiece, WHETHER } from '../../../sdk/sync/content/words.ts';
import { CONTENT_PIECE_BYTES, MAX_CONTENT_BYTES } from '../../../sdk/wire/limits.ts';
import { PackReader } from '../../../sdk/wire/pack.ts';
import { broken, sameBytes, type Target, type TargetFile } from '../target.ts';

const IDS = ['aaaaaaaaaaaaaaaa', 'bbbbbbbbbbbbbbbb', 'cccccccccccccccc', 'dddddddddddddddd'] as unknown as readonly PeerId[];
/** Time in which the honest ones find what the other has, whatever was said before. */
const RECOVERY_MS = 20_000;

const block = (size: number, fill: number): Uint8Array => new Uint8Array(size).fill(fill);
const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(bytes).digest());
/** By whom each is held; the last by nobody. */
const BLOCKS = [block(3 * CONTENT_PIECE_BYTES + 100, 1), block(80, 2), block(CONTENT_PIECE_BYTES, 3), block(5 * CONTENT_PIECE_BYTES, 4), block(9, 5)];
const HELD_BY = [1, 0, 1, 1, -1];
const HASHES = BLOCKS.map(sha256);
const NAMES = HASHES.map(contentId);

class Seat {
  readonly exchange: ContentExchange;
  readonly drops: string[] = [];
  later: (() => void)[] = [];
  found = new Set<number>();

  constructor(table: Table, index: number) {
    this.exchange = new ContentExchange({
      now: () => table.now,
      present: () => IDS.filter((_, i) => i !== index),
      send: (to, bytes) => table.send(index, IDS.indexOf(to), bytes.slice()),
      queued: () => 0,
      digest: (bytes, done) => void this.later.push(() => done(sha256(bytes))),
      drop: (reason) => void this.drops.push(reason),
    });
  }

  hear(from: number, bytes: Uint8Array): void {
    const input = new PackReader(bytes);
    const count = input.array(0xffff);
    const type = input.int();
    if (input.ok) this.exchange.receive(IDS[from]!, type, count, input);
  }

  want(n: number, now: number): void {
    this.exchange.forget(NAMES[n]!);
    // As much as it is, and no more.
    const terms = { deadline: now + 60_000, maxBytes: BLOCKS[n]!.length };
    this.exchange.fetch(NAMES[n]!, HASHES[n]!, terms, (found) => {
      if (!(found instanceof Uint8Array)) return;
      if (!sameBytes(found, BLOCKS[n]!)) broken(`block ${n} is not what its name says`);
      this.found.add(n);
    });
  }
}

class Table {
  now = 1_000;
  readonly seats: readonly [Seat, Seat];
  #queue: { readonly from: number; readonly to: number; readonly bytes: Uint8Array }[] = [];
  /** Sees what the honest ones say. */
  onSend: ((to: number, bytes: Uint8Array) => void) | undefined;

  constructor() {
    this.seats = [new Seat(this, 0), new Seat(this, 1)];
    HELD_BY.forEach((who, n) => this.seats[who as 0 | 1]?.exchange.share(BLOCKS[n]!.slice(), () => undefined));
    this.step();
    this.want();
  }

  /** Each what it has not, anew. */
  want(): void {
    this.seats.forEach((seat, i) => {
      for (let n = 0; n < BLOCKS.length; n++) if (HELD_BY[n] !== i) seat.want(n, this.now);
      seat.found.clear();
    });
  }

  send(from: number, to: number, bytes: Uint8Array): boolean {
    this.onSend?.(to, bytes);
    if (to < 2) this.#queue.push({ from, to, bytes });
    return true;
  }

  step(): void {
    this.now++;
    const queue = this.#queue;
    this.#queue = [];
    for (const { from, to, bytes } of queue) {
      const seat = this.seats[to as 0 | 1];
      seat.drops.length = 0;
      seat.hear(from, bytes);
      if (seat.drops.includes('content-malformed')) broken('honest words were not understood');
    }
    for (const { exchange, later } of this.seats) {
      for (const fn of later.splice(0)) fn();
      exchange.run(this.now);
      if (exchange.has(NAMES.at(-1)!)) broken('what nobody has was found');
    }
  }

  /** Everything that somebody has. */
  get isDone(): boolean {
    return this.seats.every((seat, i) => HELD_BY.every((who, n) => who === i || who < 0 || seat.found.has(n)));
  }
}

/** To whom, from whom, whether it is made by rule, and how long it takes afterwards. */
const FROM_OTHER_LIAR = 2;
const BY_RULE = 4;
const PASS_MS = 4;

const wrap = (how: number, bytes: Uint8Array): Uint8Array => Uint8Array.from([how, bytes.length >>> 8, bytes.length, ...bytes]);

const SIZES = [3 * CONTENT_PIECE_BYTES + 100, 80, CONTENT_PIECE_BYTES, 1, MAX_CONTENT_BYTES, 2 * CONTENT_PIECE_BYTES];
const LENGTHS = [CONTENT_PIECE_BYTES, 100, 80, 0, 1];

/** Words in a few bytes, so that chance comes to pieces of the right size: block, kind, place, size, length, fill. */
function made([which = 0, kind = 0, place = 0, size = 0, length = 0, fill = 0]: Uint8Array): Uint8Array {
  const hash = HASHES[which % HASHES.length]!;
  const offset = place === 255 ? WHETHER : place * CONTENT_PIECE_BYTES;
  if (kind % 4 === 3) return encodeNone(hash).slice();
  if (kind % 4 === 2) return encodeAsk(hash, offset).slice();
  return encodePiece(hash, SIZES[size % SIZES.length]!, offset, block(LENGTHS[length % LENGTHS.length]!, fill)).slice();
}

function hand(table: Table, bytes: Uint8Array): void {
  for (let at = 0, n = 0; at + 3 <= bytes.length && n < 40; n++) {
    const how = bytes[at]!;
    const size = (bytes[at + 1]! << 8) | bytes[at + 2]!;
    const said = bytes.slice(at + 3, at + 3 + size);
    const seat = table.seats[(how & 1) as 0 | 1];
    seat.hear((how & FROM_OTHER_LIAR) === 0 ? 2 : 3, (how & BY_RULE) === 0 ? said : made(said));
    for (let ms = (how >>> PASS_MS) & 7; ms > 0; ms--) table.step();
    at += 3 + size;
  }
}

function content(): Target {
  const seeds: Uint8Array[] = [];
  {
    const table = new Table();
    table.onSend = (to, bytes) => {
      // What is long is what `made` says shortly.
      if (to < 2 && bytes.length < 300) for (const how of [0, 0x20, FROM_OTHER_LIAR]) seeds.push(wrap(how | to, bytes));
    };
    for (let i = 0; i < 100; i++) table.step();
    if (!table.isDone) broken('the honest ones do not find each other’s blocks');
  }
  const rule = (how: number, ...bytes: readonly number[]): Uint8Array => wrap(how | BY_RULE, Uint8Array.from(bytes));
  // Who says that it has it, and then gives: the right bytes, others, another size, a bit at a time, nothing.
  for (const fill of [1, 9]) {
    const pieces = [0, 1, 2, 3].map((place) => rule(0x10, 0, 0, place, 0, place === 3 ? 1 : 0, fill));
    seeds.push(Uint8Array.from([rule(0x10, 0, 0, 255, 0, 3), ...pieces].flatMap((one) => [...one])));
    seeds.push(Uint8Array.from([rule(0x11, 1, 0, 255, 1, 3), rule(0x21, 1, 0, 0, 1, 2, fill)].flatMap((one) => [...one])));
  }
  for (const size of [1, 3, 4])
    seeds.push(Uint8Array.from([rule(0x10, 0, 0, 255, size, 3), rule(0x20, 0, 0, 0, size, 0)].flatMap((one) => [...one])));
  seeds.push(Uint8Array.from([rule(0x10, 4, 0, 255, 1, 3), rule(0x30, 4, 0, 0, 3, 4, 5), rule(0x10, 4, 3)].flatMap((one) => [...one])));
  seeds.push(
    Uint8Array.from([rule(0x10, 0, 0, 255, 0, 3), rule(0x10, 0, 0, 0, 0, 3), rule(0x10, 0, 2, 1), rule(0x10, 0, 3)].flatMap((one) => [...one])),
  );

  let table = new Table();
  let runs = 0;
  return {
    seeds,
    run: (bytes) => {
      runs++;
      // Once found out a liar is asked no more; and what is found is looked for anew.
      if (runs % 64 === 0) table = new Table();
      else if (table.isDone) table.want();
      hand(table, bytes);
      table.step();
      if (runs % 32 !== 0) return;
      for (let ms = 0; ms < RECOVERY_MS && !table.isDone; ms++) table.step();
      if (!table.isDone) {
        table = new Table();
        broken('the honest ones do not find each other’s blocks any more');
      }
    },
  };
}

/** Texts that are names are those that are written so. */
function names(): Target {
  return {
    seeds: NAMES.map((name) => Uint8Array.from(name, (char) => char.charCodeAt(0))),
    run: (bytes) => {
      const text = String.fromCharCode(...bytes.subarray(0, 100));
      const hash = readContentId(text);
      if (hash !== undefined && contentId(hash) !== text) broken('a name that is written in two ways');
    },
  };
}

export const contents: TargetFile = {
  targets: { content, names },
  decoders: {
    'sdk/sync/content/words.ts': ['function readContentWords'],
    'sdk/sync/content/id.ts': ['function readContentId'],
    'sdk/sync/content/exchange.ts': ['receive('],
    'sdk/sync/content/wanted.ts': ['take(', '#refuse('],
    'sdk/sync/content/giver.ts': ['answer('],
  },
};
