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
 *          gap, 0, kind, epoch, hop, value… all of it: new to the receiver, no baseline, or its turn to be told anew
 *          gap, nil, mask, value per bit    a piece of it, whole: where a budget left out what no datagram takes at once
 *          gap, -2 - age, one of these      of values that were taken `age` ticks before this one
 *          gap, -1, epoch                   despawned by the sender, who had it in this epoch
 *          gap, -2 - age, -1, epoch         given away by the sender, who had it in this epoch; another one's word is to come
 *          0, origin                        the ids that follow are of this origin, counted from 0 again
 *
 * Values without an age were taken when their kind was due, at the newest multiple of its `every` up to this tick: so what was lost and is told again between
 * two samples is dated as it was. An age is said where that is not so: the tick was left out, the entity came between two, or it has rested since.
 *
 * `quiet` is how many ticks before this one anything changed last, so that a receiver knows what it missed, and what rested; where ticks were skipped
 * between two with a change it is 1, for what moves did so in between. -1 says that a budget (`budget.ts`) left something
 * out, and that nothing follows from what is not in the body.
 *
 * `gap` is the distance of the entity's counter from the entry before. A body that is too large is cut into parts, each of
 * which applies alone.
 */
import type { PackReader, PackWriter } from '../wire/pack.ts';
import { finish, mix } from './hash.ts';
import type { EntityCore } from './entity.ts';
import type { BoxedCodec } from './field.ts';
import type { KindSpec } from './kind.ts';
import { BOXED, HIGH, LOW, WRAP } from './kind.ts';
import { PackWriter as Writer } from '../wire/pack.ts';

export const FRAME = 3;
export const FULL_FRAME = 4;

/** Bytes a frame's head may take before its body: array, kind, tag, tick, ack. */
export const FRAME_HEAD_BYTES = 16;

/** Before a mask, less an age: when the values were taken. */
export const TAKEN = -2;

/** In place of `quiet`: what is not in this body may have changed (a budget left something out), so its silence tells nothing. */
export const PARTIAL = -1;

/** Moves the one-byte range of differences from -32..127 to -80..79: movement has no preferred sign. */
export const BIAS = 48;

export interface Tombstone {
  readonly origin: number;
  readonly counter: number;
  /** Of the reign that ended with it. */
  readonly epoch: number;
  readonly tick: number;
  /** When it was given away, and not despawned. */
  readonly given?: number | undefined;
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
 * Reads the values of `mask` over the row `age` rows before the newest into `ints` and `boxed`; nothing else of them is touched.
 * False when something is out of its bounds: the frame is not to be trusted.
 */
export function decodeChanged(input: PackReader, core: EntityCore, mask: number, age: number, ints: Int32Array, boxed: unknown[]): boolean {
  const { kind, track } = core;
  const { count, way, bounds } = kind;
  for (let left = mask & ((2 << count) - 1); left !== 0; left &= left - 1) {
    const i = 31 - Math.clz32(left & -left);
    if (i === count) ints[i] = input.count(0x7fff_ffff);
    else if (way[i] === BOXED) boxed[i] = (kind.fields[i]!.codec as BoxedCodec).read(input);
    else {
      let value = (track.value(age, i) + ((input.int() - BIAS) | 0)) | 0;
      const wrap = bounds[4 * i + WRAP]!;
      if (wrap > 0) value &= (1 << wrap) - 1;
      if (value < bounds[4 * i + LOW]! || value > bounds[4 * i + HIGH]!) return false;
      ints[i] = value;
    }
  }
  return input.ok && mask >>> (count + 1) === 0;
}

/** Those values of `mask` as they are; returns how many that are. */
export function encodePiece(out: PackWriter, core: EntityCore, mask: number): number {
  const { kind } = core;
  for (let left = mask; left !== 0; left &= left - 1) {
    const i = 31 - Math.clz32(left & -left);
    const codec = kind.fields[i]?.codec;
    if (codec?.storage === 'boxed') codec.write(out, core.boxed[i]);
    else out.int(core.ints[i]!);
  }
  return bitCount(mask);
}

/** As `decodeChanged`, of values as they are. */
export function decodePiece(input: PackReader, core: EntityCore, mask: number, ints: Int32Array, boxed: unknown[]): boolean {
  const { kind } = core;
  if (mask <= 0 || mask >>> (kind.count + 1) !== 0) return false;
  for (let left = mask; left !== 0; left &= left - 1) {
    const i = 31 - Math.clz32(left & -left);
    const codec = kind.fields[i]?.codec;
    if (codec?.storage === 'boxed') boxed[i] = codec.read(input);
    else {
      const int = codec === undefined ? input.count(0x7fff_ffff) : input.int();
      if (codec !== undefined && (int < codec.low || int > codec.high)) return false;
      ints[i] = int;
    }
  }
  return input.ok;
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
