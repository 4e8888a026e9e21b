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
 *          gap, -1                          despawned
 *          0, origin                        the ids that follow are of this origin, counted from 0 again
 *
 * `gap` is the distance of the entity's counter from the entry before. A body that is too large is cut into parts, each of
 * which applies alone.
 */
import type { PackReader, PackWriter } from '../wire/pack.ts';
import { MAX_DATAGRAM_MESSAGE_BYTES, MAX_STATE_PARTS } from '../wire/limits.ts';
import { finish, mix } from './det.ts';
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
  const limit = head.baseline < 0 ? FULL_PART_BYTES : MAX_DATAGRAM_MESSAGE_BYTES - FRAME_HEAD_BYTES;
  const parts: BodyParts = { starts: [], ends: [] };
  const patches: number[] = [];
  let count = 0;
  let origin = head.session;
  let previous = -1;
  let arrayAt = 0;
  const open = (): void => {
    parts.starts.push(out.offset);
    arrayAt = out.openArray();
    out.int(head.baseline < 0 ? -1 : head.tick - head.baseline);
    // A number of a part above 127 takes more bytes, so it is patched only where it is known to take one.
    if (head.baseline < 0) {
      out.int(0xffff);
      patches.push(out.offset - 2);
      out.int(0xffff);
      patches.push(out.offset - 2);
    } else {
      patches.push(out.offset);
      out.int(0);
      patches.push(out.offset);
      out.int(0);
    }
    out.int(head.phase);
    out.int(head.quiet);
    out.int(head.hash);
    count = 6;
    origin = head.session;
    previous = -1;
  };
  const close = (): void => {
    out.endArray(arrayAt, count);
    parts.ends.push(out.offset);
  };
  const begin = (ofOrigin: number, counter: number): void => {
    if (ofOrigin !== origin || counter <= previous) {
      out.int(0);
      out.int(ofOrigin);
      origin = ofOrigin;
      previous = -1;
      count += 2;
    }
    out.int(counter - previous);
    previous = counter;
    count++;
  };
  const entry = (ofOrigin: number, counter: number, body: () => number): void => {
    const at = out.offset;
    const empty = count === 6;
    const countBefore = count;
    begin(ofOrigin, counter);
    count += body();
    if (empty || out.offset - parts.starts.at(-1)! <= limit) return;
    // Does not fit: take it back and say it again in a part of its own.
    if (head.baseline >= 0 && parts.starts.length >= MAX_STATE_PARTS) {
      out.offset = at;
      count = countBefore;
      return;
    }
    out.offset = at;
    count = countBefore;
    close();
    open();
    begin(ofOrigin, counter);
    count += body();
  };
  open();
  let core!: EntityCore;
  const changedBody = (): number => encodeChanged(out, core, head.baseline);
  const wholeBody = (): number => encodeWhole(out, core);
  for (core of owned) {
    if (head.baseline >= 0 && core.lastChange <= head.baseline && core.bornTick <= head.baseline) continue;
    entry(core.origin, core.counter, head.baseline < 0 || core.bornTick > head.baseline ? wholeBody : changedBody);
  }
  const gone = (): number => {
    out.int(-1);
    return 1;
  };
  if (head.baseline >= 0) for (const tomb of tombs) if (tomb.tick > head.baseline) entry(tomb.origin, tomb.counter, gone);
  close();
  const total = parts.starts.length;
  for (let i = 0; i < total; i++) {
    patch(out, patches[2 * i]!, i, head.baseline < 0);
    patch(out, patches[2 * i + 1]!, total, head.baseline < 0);
  }
  return parts;
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
  let mask = 0;
  for (let i = 0; i <= kind.count; i++) if (changed[i]! > baseline) mask |= 1 << i;
  const age = track.ageAtTick(baseline);
  // The history does not reach back: all of it, whole.
  if (age < 0) return encodeWhole(out, core);
  const rows = track.rows;
  const base = track.base(age);
  out.int(mask);
  let written = 1;
  for (let i = 0; i <= kind.count; i++) {
    if ((mask & (1 << i)) === 0) continue;
    written++;
    if (i === kind.count) {
      out.int(ints[i]!);
      continue;
    }
    const { codec } = kind.fields[i]!;
    if (codec.storage === 'boxed') {
      codec.write(out, core.boxed[i]);
      continue;
    }
    let delta = (ints[i]! - rows[base + i]!) | 0;
    // An angle turns the short way.
    if (codec.wrapBits > 0) delta = (delta << (32 - codec.wrapBits)) >> (32 - codec.wrapBits);
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
export function decodeWhole(input: PackReader, kinds: readonly KindSpec[], into: { readonly ints: Int32Array; readonly boxed: unknown[] }): WholeValues | undefined {
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
