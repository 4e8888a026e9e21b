/**
 * Writes the bodies of state frames; what they look like is at the head of `delta.ts`.
 *
 * One encoder per baseline of a tick, kept from tick to tick: this runs for everything that moves, and allocates nothing. Bodies that are too
 * large are cut into parts as they are written.
 */
import type { PackWriter } from '../wire/pack.ts';
import { MAX_DATAGRAM_MESSAGE_BYTES, MAX_STATE_PARTS } from '../wire/limits.ts';
import type { Anchor } from './anchor.ts';
import { changedSince } from './anchor.ts';
import type { Tombstone } from './delta.ts';
import { BIAS, FRAME_HEAD_BYTES, TAKEN, encodePiece, encodeWhole } from './delta.ts';
import type { EntityCore } from './entity.ts';
import type { BoxedCodec } from './field.ts';
import type { KindSpec } from './kind.ts';
import { BOXED, WRAP } from './kind.ts';
import type { ROW_HEAD, Shelf } from './shelf.ts';

/** Bytes of one part of a full state on the reliable channel: large, yet no part blocks its lane for long. */
const FULL_PART_BYTES = 16_000;

/** What all bodies of one tick say in their heads. */
export interface BodyHead {
  tick: number;
  /** Where in the tick the sample was taken, in 128ths. */
  phase: number;
  /** Ticks since anything changed before this tick, at most 127; `PARTIAL` when something was left out. */
  quiet: number;
  /** Hash over all of the sender's entities, or 0 for none. */
  hash: number;
  /** The sender's session: the origin that need not be named. */
  session: number;
}

const NO_INTEGERS: Int32Array = new Int32Array(0);
const NO_PIECES: ReadonlyMap<EntityCore, number> = new Map();

/** Most ticks that the mark of `TAKEN` tells in one byte. */
const SHORT_AGE = 30;

/** Values of a part's head. */
const HEAD_VALUES = 6;

export class BodyEncoder {
  readonly #out: PackWriter;
  /** The tick coded against; -1 for none: everything whole. */
  baseline = -1;
  /** Parts written, and where each lies in the writer; before each there are `FRAME_HEAD_BYTES` for whoever frames it. */
  parts = 0;
  readonly starts: number[] = [];
  readonly ends: number[] = [];
  /** There was more than `MAX_STATE_PARTS` datagrams hold, or an entity that none holds: what was written is not all of it, or cannot be sent. */
  short = false;
  #head!: BodyHead;
  #anchor: Anchor | undefined;
  #pieces: ReadonlyMap<EntityCore, number> = NO_PIECES;
  #limit = 0;
  /** Values in the open part. */
  #count = 0;
  /** Where the numbers of the parts stand, to be filled in when their count is known. */
  readonly #patches: number[] = [];
  #arrayAt = 0;
  #origin = 0;
  #previous = -1;
  #start = 0;
  /** Where the entry being written began, to take it back. */
  #entryAt = 0;
  #entryCount = 0;
  #alone = false;

  constructor(out: PackWriter) {
    this.#out = out;
  }

  /** Of all parts, the heads of their frames included. */
  get bytes(): number {
    return this.parts === 0 ? 0 : this.ends[this.parts - 1]! - this.starts[0]! + FRAME_HEAD_BYTES;
  }

  /**
   * Appends all parts of a body to the writer, one after the other.
   * @param baseline the tick to code against; -1 for none: everything whole.
   * @param owned sorted by (origin, counter), the sender's own session first.
   * @param anchor of the baseline, where that is of a whole state that took long.
   * @param pieces of what is to be told anew, but not all of: a bit per value that is.
   */
  encode(
    head: BodyHead,
    baseline: number,
    owned: readonly EntityCore[],
    tombs: readonly Tombstone[],
    anchor?: Anchor,
    pieces: ReadonlyMap<EntityCore, number> = NO_PIECES,
  ): void {
    this.baseline = baseline;
    this.#anchor = anchor;
    this.#pieces = pieces;
    this.parts = 0;
    this.short = false;
    this.#head = head;
    this.#limit = baseline < 0 ? FULL_PART_BYTES : MAX_DATAGRAM_MESSAGE_BYTES - FRAME_HEAD_BYTES;
    this.#open();
    for (let i = 0; i < owned.length; i++) {
      if (baseline >= 0) i = this.#run(owned, i);
      const core = owned[i];
      if (core === undefined) break;
      if (core.lastChange <= baseline && core.bornTick <= baseline && core.refreshTick !== head.tick) continue;
      do this.#entity(core);
      while (this.#overflows());
    }
    if (baseline >= 0)
      for (const tomb of tombs)
        if (tomb.tick > baseline)
          do {
            this.#begin(tomb.origin, tomb.counter);
            if (tomb.given !== undefined) this.#taken(tomb.given);
            this.#out.int(-1);
            this.#out.int(tomb.epoch);
            this.#count += 2;
          } while (this.#overflows());
    this.#close();
    this.#number();
  }

  /**
   * Writes from `owned[first]` on what needs no thought: integers that changed, of the origin that is named already, with a short gap. No call per
   * value and no look at a limit per byte; what is written is what `#entity` writes.
   * @returns the first that is not of this kind or does not fit, of which nothing was written.
   */
  #run(owned: readonly EntityCore[], first: number): number {
    const out = this.#out;
    const { baseline } = this;
    const { tick } = this.#head;
    const limit = this.#start + this.#limit;
    const origin = this.#origin;
    // An import is looked up wherever it is used; a number written here is part of the code. Its type keeps it what it is there.
    const bias: typeof BIAS = 48;
    const rowHead: typeof ROW_HEAD = 3;
    const wraps: typeof WRAP = 2;
    const mark: typeof TAKEN = -2;
    let previous = this.#previous;
    let written = this.#count;
    let { bytes, offset } = out;
    let shelf: Shelf | undefined;
    let rows = NO_INTEGERS;
    let marks = NO_INTEGERS;
    let ints = NO_INTEGERS;
    let stride = 0;
    let pitch = 0;
    let lastSlot = 0;
    let dueKind: KindSpec | undefined;
    let due = 0;
    let i = first;
    for (; i < owned.length; i++) {
      const core = owned[i]!;
      const { bornTick, refreshTick } = core;
      if (core.lastChange <= baseline && bornTick <= baseline && refreshTick !== tick) continue;
      const gap = core.counter - previous;
      if (bornTick > baseline || refreshTick === tick || core.origin !== origin || gap <= 0 || gap >= 0x80) break;
      const { kind, place, lastChange } = core;
      if (kind !== dueKind) {
        dueKind = kind;
        due = tick - (tick % kind.every);
      }
      const isMarked = lastChange !== due && kind.every > 1;
      if (isMarked && tick - lastChange > SHORT_AGE) break;
      if (core.shelf !== shelf) {
        ({ shelf } = core);
        ({ rows, stride, pitch, marks, ints, wrap: lastSlot } = shelf);
      }
      const place0 = place * stride;
      const head = marks[2 * place]!;
      const size = marks[2 * place + 1]!;
      let mask = 0;
      let slot = head;
      let depth = 0;
      let oldest = 0;
      for (; depth < size; depth++) {
        const row = slot * pitch + place0;
        if (rows[row]! <= baseline) break;
        oldest = row;
        mask |= rows[row + 1]!;
        slot = (slot - 1) & lastSlot;
      }
      if (depth === size || mask === 0 || mask >= 0x100 || (mask & ~kind.integerMask) !== 0) break;
      if (offset + 5 * stride > bytes.length) {
        out.offset = offset;
        out.reserve(5 * stride);
        ({ bytes } = out);
      }
      let at = offset;
      bytes[at++] = gap;
      let values = 2;
      if (isMarked) {
        bytes[at++] = mark - (tick - lastChange);
        values++;
      }
      if (mask >= 0x80) bytes[at++] = 0xcc;
      bytes[at++] = mask;
      const { bounds } = kind;
      const now = place * (kind.count + 1);
      const early = rows[oldest + 1]!;
      for (let left = mask; left !== 0; left &= left - 1) {
        const f = 31 - Math.clz32(left & -left);
        // What it was at the baseline stands in the first row after that which names it; most often that is the very first.
        const was = (early & (1 << f)) !== 0 ? rows[oldest + rowHead + f]! : shelf.value(place, depth, f);
        let delta = (ints[now + f]! - was) | 0;
        const wrap = bounds[4 * f + wraps]!;
        // An angle turns the short way.
        if (wrap > 0) delta = (delta << (32 - wrap)) >> (32 - wrap);
        delta = (delta + bias) | 0;
        values++;
        if (delta >= -32 && delta < 0x80) bytes[at++] = delta;
        else if (delta >= -0x8000 && delta < 0x1_0000) {
          if (delta >= 0x100 || delta < -0x80) {
            bytes[at++] = delta < 0 ? 0xd1 : 0xcd;
            bytes[at++] = delta >> 8;
          } else bytes[at++] = delta < 0 ? 0xd0 : 0xcc;
          bytes[at++] = delta;
        } else {
          bytes[at] = delta < 0 ? 0xd2 : 0xce;
          bytes[at + 1] = delta >> 24;
          bytes[at + 2] = delta >> 16;
          bytes[at + 3] = delta >> 8;
          bytes[at + 4] = delta;
          at += 5;
        }
      }
      if (at > limit) break;
      offset = at;
      previous = core.counter;
      written += values;
    }
    out.offset = offset;
    this.#previous = previous;
    this.#count = written;
    return i;
  }

  #entity(core: EntityCore): void {
    const { baseline } = this;
    this.#begin(core.origin, core.counter);
    const { kind, track, ints } = core;
    const { size } = track;
    const { rows } = core.shelf;
    // What changed since the baseline.
    let mask = 0;
    let age = 0;
    let row = track.at(0);
    while (age < size && rows[row]! > baseline) {
      mask |= rows[row + 1]!;
      row = track.at(++age);
    }
    const out = this.#out;
    const { tick } = this.#head;
    const due = kind.dueAt(tick);
    const moment = age === size ? this.#anchor?.of(core) : undefined;
    if (moment !== undefined) mask = changedSince(core, moment);
    // New to the receiver, or the history does not reach back, or its turn to be told anew: all of it, whole.
    const isForgotten = age === size && moment === undefined;
    if (baseline < 0 || core.bornTick > baseline || isForgotten || mask === 0 || core.refreshTick === tick) {
      // What rests was the same when it was due.
      if (core.lastChange > due) this.#taken(core.lastChange);
      const piece = this.#pieces.get(core);
      if (piece === undefined) this.#count += encodeWhole(out, core);
      else {
        out.nil();
        out.int(piece);
        this.#count += 2 + encodePiece(out, core, piece);
      }
      return;
    }
    if (core.lastChange !== due && kind.every > 1) this.#taken(core.lastChange);
    const { count, bounds, way } = kind;
    out.int(mask);
    this.#count++;
    for (let left = mask; left !== 0; left &= left - 1) {
      const i = 31 - Math.clz32(left & -left);
      this.#count++;
      if (i === count) out.int(ints[i]!);
      else if (way[i] === BOXED) (kind.fields[i]!.codec as BoxedCodec).write(out, core.boxed[i]);
      else {
        const delta = (ints[i]! - (moment === undefined ? track.value(age, i) : moment.ints[i]!)) | 0;
        const wrap = bounds[4 * i + WRAP]!;
        // An angle turns the short way.
        out.int(((wrap > 0 ? (delta << (32 - wrap)) >> (32 - wrap) : delta) + BIAS) | 0);
      }
    }
  }

  /** Says at which tick the values were taken that follow. */
  #taken(at: number): void {
    this.#out.int(TAKEN - (this.#head.tick - at));
    this.#count++;
  }

  #open(): void {
    const out = this.#out;
    const { tick, phase, quiet, hash, session } = this.#head;
    const { baseline } = this;
    // Room for the head of its frame, which differs from peer to peer.
    out.reserve(FRAME_HEAD_BYTES);
    out.offset += FRAME_HEAD_BYTES;
    this.#start = out.offset;
    this.starts[this.parts] = out.offset;
    this.#arrayAt = out.openArray();
    out.int(baseline < 0 ? -1 : tick - baseline);
    // A number of a part above 127 takes more bytes, so it is patched only where it is known to take one.
    const wide = baseline < 0;
    for (let i = 0; i < 2; i++) {
      out.int(wide ? 0xffff : 0);
      this.#patches[2 * this.parts + i] = out.offset - (wide ? 2 : 1);
    }
    out.int(phase);
    out.int(quiet);
    out.int(hash);
    this.#count = HEAD_VALUES;
    this.#origin = session;
    this.#previous = -1;
  }

  #close(): void {
    this.#out.endArray(this.#arrayAt, this.#count);
    this.ends[this.parts++] = this.#out.offset;
  }

  /** Begins the entry of an entity. */
  #begin(origin: number, counter: number): void {
    const out = this.#out;
    this.#alone = this.#count === HEAD_VALUES;
    this.#entryAt = out.offset;
    this.#entryCount = this.#count;
    if (origin !== this.#origin || counter <= this.#previous) {
      out.int(0);
      out.int(origin);
      this.#origin = origin;
      this.#previous = -1;
      this.#count += 2;
    }
    out.int(counter - this.#previous);
    this.#previous = counter;
    this.#count++;
  }

  /** After an entry: true when it did not fit, was taken back, and has to be written again into the part now open. */
  #overflows(): boolean {
    const out = this.#out;
    if (out.offset - this.#start <= this.#limit) return false;
    if (this.#alone) {
      // No datagram takes it. The reliable channel cuts it into pieces.
      if (this.baseline >= 0) this.short = true;
      return false;
    }
    out.offset = this.#entryAt;
    this.#count = this.#entryCount;
    if (this.baseline >= 0 && this.parts + 1 >= MAX_STATE_PARTS) {
      // No more parts: what is left is dropped, and what follows may still be smaller. Its ids count from a name of their origin.
      this.#origin = -1;
      this.short = true;
      return false;
    }
    this.#close();
    this.#open();
    return true;
  }

  /** Fills in each part's number and how many there are. */
  #number(): void {
    const wide = this.baseline < 0;
    for (let i = 0; i < this.parts; i++) {
      patch(this.#out, this.#patches[2 * i]!, i, wide);
      patch(this.#out, this.#patches[2 * i + 1]!, this.parts, wide);
    }
  }
}

function patch(out: PackWriter, at: number, value: number, wide: boolean): void {
  if (wide) {
    out.bytes[at] = value >>> 8;
    out.bytes[at + 1] = value;
  } else out.bytes[at] = value;
}
