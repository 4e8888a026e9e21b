/**
 * State frames: what an owner says about its entities at one tick, as flat msgpack integers.
 *
 * A body is coded against a baseline: the tick the receiver acked. Every field that changed after it is there, as the difference
 * from its value at the baseline, so each body replaces all those before it and loss needs no repair. A field counts as changed by the tick of
 * its last change, never by comparing values: a receiver may hold a newer value than the baseline's from a body whose ack was lost.
 *
 *   frame  [3 | 4, tag, tick, ackAge | nil, body | nil]      4 on the reliable channel
 *   body   [baseAge | -1, part, parts, phase, quiet, hash, entry…]
 *   entry  gap, mask > 0, value per bit     changed: integers as difference + 48 (so -80..79 is one byte), the rest whole
 *          gap, 0, kind, epoch, hop, value… all of it: new to the receiver, or no baseline
 *          gap, -1, epoch                   despawned by the sender, who had it in this epoch
 *          0, origin                        the ids that follow are of this origin, counted from 0 again
 *
 * `gap` is the distance of the entity's counter from the entry before. A body that is too large is cut into parts, each of
 * which applies alone.
 */
import type { PackReader, PackWriter } from '../wire/pack.ts';
import { MAX_DATAGRAM_MESSAGE_BYTES, MAX_STATE_PARTS } from '../wire/limits.ts';
import { finish, mix } from './hash.ts';
import type { EntityCore, KindSpec } from './entity.ts';
import { PackWriter as Writer } from '../wire/pack.ts';

export const FRAME = 3;
export const FULL_FRAME = 4;

/** Bytes a frame's head may take before its body: array, kind, tag, tick, ack. */
export const FRAME_HEAD_BYTES = 16;

/** Moves the one-byte range of differences from -32..127 to -80..79: movement has no preferred sign. */
const BIAS = 48;

/** Bytes of one part of a full state on the reliable channel: large, yet no part blocks its lane for long. */
const FULL_PART_BYTES = 16_000;

export interface Tombstone {
  readonly origin: number;
  readonly counter: number;
  /** Of the reign that ended with it. */
  readonly epoch: number;
  readonly tick: number;
}

export interface BodyHead {
  readonly tick: number;
  /** The tick to code against; -1 for none: everything whole. */
  readonly baseline: number;
  /** Where in the tick the sample was taken, in 128ths. */
  readonly phase: number;
  /** Ticks since anything changed before this tick, at most 127. */
  readonly quiet: number;
  /** Hash over all of the sender's entities, or 0 for none. */
  readonly hash: number;
  /** The sender's session: the origin that need not be named. */
  readonly session: number;
}

/** Where each part of an encoded body lies in the writer. */
export interface BodyParts {
  readonly starts: number[];
  readonly ends: number[];
}

/**
 * Writes all parts of a body into `out`, one after the other.
 * @param owned sorted by (origin, counter), the sender's own session first.
 */
export function encodeBody(out: PackWriter, head: BodyHead, owned: readonly EntityCore[], tombs: readonly Tombstone[]): BodyParts {
  const { baseline } = head;
  const cutter = new PartCutter(out, head);
  cutter.open();
  for (let i = 0; i < owned.length; i++) {
    const core = owned[i]!;
    const isNew = core.bornTick > baseline;
    if (baseline >= 0 && core.lastChange <= baseline && !isNew) continue;
    do {
      cutter.begin(core.origin, core.counter);
      cutter.count += baseline < 0 || isNew ? encodeWhole(out, core) : encodeChanged(out, core, baseline);
    } while (cutter.overflows());
  }
  if (baseline >= 0)
    for (const tomb of tombs)
      if (tomb.tick > baseline)
        do {
          cutter.begin(tomb.origin, tomb.counter);
          out.int(-1);
          out.int(tomb.epoch);
          cutter.count += 2;
        } while (cutter.overflows());
  cutter.close();
  cutter.number();
  return { starts: cutter.starts, ends: cutter.ends };
}

/** Values of a part's head. */
const HEAD_VALUES = 6;

/** Cuts a body into parts as it is written. One per body, with no function made per entity: this runs for everything that moves. */
class PartCutter {
  readonly starts: number[] = [];
  readonly ends: number[] = [];
  /** Values in the open part. */
  count = 0;
  readonly #out: PackWriter;
  readonly #head: BodyHead;
  readonly #limit: number;
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

  constructor(out: PackWriter, head: BodyHead) {
    this.#out = out;
    this.#head = head;
    this.#limit = head.baseline < 0 ? FULL_PART_BYTES : MAX_DATAGRAM_MESSAGE_BYTES - FRAME_HEAD_BYTES;
  }

  open(): void {
    const out = this.#out;
    const { baseline, tick, phase, quiet, hash, session } = this.#head;
    this.#start = out.offset;
    this.starts.push(out.offset);
    this.#arrayAt = out.openArray();
    out.int(baseline < 0 ? -1 : tick - baseline);
    // A number of a part above 127 takes more bytes, so it is patched only where it is known to take one.
    const wide = baseline < 0;
    for (let i = 0; i < 2; i++) {
      out.int(wide ? 0xffff : 0);
      this.#patches.push(out.offset - (wide ? 2 : 1));
    }
    out.int(phase);
    out.int(quiet);
    out.int(hash);
    this.count = HEAD_VALUES;
    this.#origin = session;
    this.#previous = -1;
  }

  close(): void {
    this.#out.endArray(this.#arrayAt, this.count);
    this.ends.push(this.#out.offset);
  }

  /** Begins the entry of an entity. */
  begin(origin: number, counter: number): void {
    const out = this.#out;
    this.#alone = this.count === HEAD_VALUES;
    this.#entryAt = out.offset;
    this.#entryCount = this.count;
    if (origin !== this.#origin || counter <= this.#previous) {
      out.int(0);
      out.int(origin);
      this.#origin = origin;
      this.#previous = -1;
      this.count += 2;
    }
    out.int(counter - this.#previous);
    this.#previous = counter;
    this.count++;
  }

  /** After an entry: true when it did not fit, was taken back, and has to be written again into the part now open. */
  overflows(): boolean {
    const out = this.#out;
    if (out.offset - this.#start <= this.#limit || this.#alone) return false;
    out.offset = this.#entryAt;
    this.count = this.#entryCount;
    if (this.#head.baseline >= 0 && this.starts.length >= MAX_STATE_PARTS) {
      // No more parts: what is left is dropped, and what follows may still be smaller. Its ids count from a name of their origin.
      this.#origin = -1;
      return false;
    }
    this.close();
    this.open();
    return true;
  }

  /** Fills in each part's number and how many there are. */
  number(): void {
    const wide = this.#head.baseline < 0;
    const total = this.starts.length;
    for (let i = 0; i < total; i++) {
      patch(this.#out, this.#patches[2 * i]!, i, wide);
      patch(this.#out, this.#patches[2 * i + 1]!, total, wide);
    }
  }
}

function patch(out: PackWriter, at: number, value: number, wide: boolean): void {
  if (wide) {
    out.bytes[at] = value >>> 8;
    out.bytes[at + 1] = value;
  } else out.bytes[at] = value;
}

/** The mask and the changed values; returns how many values were written. */
function encodeChanged(out: PackWriter, core: EntityCore, baseline: number): number {
  const { kind, changed, ints, track } = core;
  const { count, wraps } = kind;
  const age = track.ageAtTick(baseline);
  // The history does not reach back: all of it, whole.
  if (age < 0) return encodeWhole(out, core);
  let mask = 0;
  for (let i = 0; i <= count; i++) if (changed[i]! > baseline) mask |= 1 << i;
  const rows = track.rows;
  const base = track.base(age);
  out.int(mask);
  let written = 1;
  for (let left = mask; left !== 0; left &= left - 1) {
    const i = 31 - Math.clz32(left & -left);
    written++;
    if (i === count) {
      out.int(ints[i]!);
      continue;
    }
    const wrap = wraps[i]!;
    if (wrap < 0) {
      const { codec } = kind.fields[i]!;
      if (codec.storage === 'boxed') codec.write(out, core.boxed[i]);
      continue;
    }
    let delta = (ints[i]! - rows[base + i]!) | 0;
    // An angle turns the short way.
    if (wrap > 0) delta = (delta << (32 - wrap)) >> (32 - wrap);
    out.int((delta + BIAS) | 0);
  }
  return written;
}

/** Mark, kind, epoch, teleport count and every value; returns how many values were written. */
export function encodeWhole(out: PackWriter, core: EntityCore): number {
  const { kind } = core;
  out.int(0);
  out.int(kind.index);
  out.int(core.epoch);
  out.int(core.ints[kind.count]!);
  for (let i = 0; i < kind.count; i++) {
    const { codec } = kind.fields[i]!;
    if (codec.storage === 'boxed') codec.write(out, core.boxed[i]);
    else out.int(core.ints[i]!);
  }
  return kind.count + 4;
}

/** Values of a whole entity as they were read; the arrays are reused from entity to entity. */
export interface WholeValues {
  kind: KindSpec;
  epoch: number;
  readonly ints: Int32Array;
  readonly boxed: unknown[];
}

/** Reads what follows the 0 of a whole entity. Undefined when it is not valid. */
export function decodeWhole(
  input: PackReader,
  kinds: readonly KindSpec[],
  into: { readonly ints: Int32Array; readonly boxed: unknown[] },
): WholeValues | undefined {
  const kind = kinds[input.int()];
  const epoch = input.count(0x7fff_ffff);
  const hop = input.count(0x7fff_ffff);
  if (kind === undefined || !input.ok) return undefined;
  for (let i = 0; i < kind.count; i++) {
    const { codec } = kind.fields[i]!;
    if (codec.storage === 'boxed') into.boxed[i] = codec.read(input);
    else {
      const int = input.int();
      if (int < codec.low || int > codec.high) return undefined;
      into.ints[i] = int;
    }
    if (!input.ok) return undefined;
  }
  into.ints[kind.count] = hop;
  return { kind, epoch, ints: into.ints, boxed: into.boxed };
}

/**
 * Reads the values of `mask` over the row at `age` into `ints` and `boxed`, which hold the newest values.
 * False when something is out of its bounds: the frame is not to be trusted.
 */
export function decodeChanged(input: PackReader, core: EntityCore, mask: number, age: number, ints: Int32Array, boxed: unknown[]): boolean {
  const { kind, track } = core;
  const rows = track.rows;
  const base = track.base(age);
  for (let i = 0; i <= kind.count; i++) {
    if ((mask & (1 << i)) === 0) continue;
    if (i === kind.count) {
      ints[i] = input.count(0x7fff_ffff);
      continue;
    }
    const { codec } = kind.fields[i]!;
    if (codec.storage === 'boxed') {
      boxed[i] = codec.read(input);
      continue;
    }
    let value = (rows[base + i]! + ((input.int() - BIAS) | 0)) | 0;
    if (codec.wrapBits > 0) value &= (1 << codec.wrapBits) - 1;
    if (value < codec.low || value > codec.high) return false;
    ints[i] = value;
  }
  return input.ok && mask >>> (kind.count + 1) === 0;
}

/** How many values a mask announces. */
export function bitCount(mask: number): number {
  let bits = mask >>> 0;
  let count = 0;
  for (; bits !== 0; bits &= bits - 1) count++;
  return count;
}

const hashScratch = new Writer(1_024);

/** What one entity adds to the hash of a state: the sum does not depend on the order. */
export function hashEntity(core: EntityCore): number {
  let hash = mix(mix(0x51ed, core.origin), core.counter);
  hash = mix(hash, core.kind.index);
  for (let i = 0; i <= core.kind.count; i++) {
    const codec = core.kind.fields[i]?.codec;
    if (codec === undefined || codec.storage === 'number') {
      hash = mix(hash, core.ints[i]!);
      continue;
    }
    hashScratch.reset();
    codec.write(hashScratch, core.boxed[i]);
    for (let at = 0; at < hashScratch.offset; at++) hash = mix(hash, hashScratch.bytes[at]!);
  }
  return finish(hash);
}
