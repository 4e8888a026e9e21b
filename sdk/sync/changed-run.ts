/**
 * Applies the entries of a body that need no thought: an entity known here, of this sender and no other, that nobody watches or draws, and
 * integers alone. Nearly all entries of nearly all bodies are of this kind, so they are read and applied in one loop without a call per value.
 *
 * Whatever is not of this kind, or not valid, is left where it is: the loop ends at the beginning of that entry, nothing of which was applied, and
 * `Inbound` reads it in the general way. So this loop decides nothing; with it or without, a body means the same.
 */
import type { PackReader } from '../wire/pack.ts';
import { BIAS } from './delta.ts';
import type { Inbound } from './inbound.ts';
import type { KindSpec } from './kind.ts';
import { BASE, CALL, HIGH, LOW, STEP, TOP, WRAP } from './kind.ts';
import type { Page, Siblings } from './siblings.ts';
import { PAGE_MASK } from './siblings.ts';
import { ROW_HEAD } from './track.ts';

/** What the entries of one body have in common. */
export interface RunHead {
  readonly tick: number;
  readonly phase: number;
  readonly baseline: number;
  readonly quiet: number;
}

/** Values of one entry, until all of it was read. */
const values = new Int32Array(32);
const NONE = new Float64Array(0);
const NO_WAY = new Uint8Array(0);

/**
 * Applies entries from where `input` stands, and moves it behind the last of them.
 * @param counter of the entry before.
 * @returns that of the last entry applied.
 */
export function applyChangedRun(input: PackReader, from: Inbound, known: Siblings, head: RunHead, counter: number): number {
  const { bytes, end } = input;
  const { tick, phase, baseline } = head;
  const { peer } = from;
  // An import is looked up wherever it is used; a local is a register.
  const bias = BIAS;
  const rowHead = ROW_HEAD;
  const call = CALL;
  const low = LOW;
  const high = HIGH;
  const wraps = WRAP;
  const zero = BASE;
  const step = STEP;
  const top = TOP;
  const pageMask = PAGE_MASK;
  const own = values;
  let page: Readonly<Page> = known.pageOf(counter);
  let kind: KindSpec | undefined;
  let quick = 0;
  let restTick = 0;
  let scale: Float64Array = NONE;
  let bounds: Int32Array = values;
  let way: Uint8Array = NO_WAY;
  // Two bytes for gap and mask and one for a value, at least.
  for (let begin = input.offset; begin + 2 < end;) {
    const gap = bytes[begin]!;
    let mask = bytes[begin + 1]!;
    let at = begin + 2;
    if (mask >= 0x80) {
      if (mask !== 0xcc) break;
      mask = bytes[at++]!;
    }
    if (gap === 0 || gap >= 0x80 || mask === 0) break;
    // Most often the neighbour of the entity before.
    if (((counter + gap) & pageMask) < gap) page = known.pageOf(counter + gap);
    const core = page[(counter + gap) & pageMask];
    if (core === undefined || core.source !== from || core.owner !== peer || !core.unseen || core.lastChange < 0 || baseline < core.heardSince) break;
    if (core.kind !== kind) {
      ({ kind } = core);
      ({ scale, bounds, way } = kind);
      quick = kind.integerMask;
      restTick = from.restTick(kind, head);
    }
    if ((mask & ~quick) !== 0) break;
    const { track } = core;
    const { rows, stride, wrap: lastSlot } = track;
    let slot = track.head;
    for (let age = 0; rows[slot * stride]! > baseline; slot = (slot - 1) & lastSlot)
      if (++age >= track.size) {
        slot = -1;
        break;
      }
    if (slot < 0) break;
    // All own, as differences to the row at the baseline.
    const base = slot * stride + rowHead;
    let left = mask;
    for (; left !== 0; left &= left - 1) {
      if (at >= end) break;
      const first = bytes[at++]!;
      let delta: number;
      if (first < 0x80 || first >= 0xe0) delta = (first << 24) >> 24;
      else if ((first === 0xcd || first === 0xd1) && at + 1 < end) {
        delta = (bytes[at]! << 8) | bytes[at + 1]!;
        if (first === 0xd1) delta = (delta << 16) >> 16;
        at += 2;
      } else if ((first === 0xcc || first === 0xd0) && at < end) {
        delta = bytes[at++]!;
        if (first === 0xd0) delta = (delta << 24) >> 24;
      } else if ((first === 0xce || first === 0xd2) && at + 3 < end) {
        delta = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
        at += 4;
      } else break;
      const i = 31 - Math.clz32(left & -left);
      let value = (rows[base + i]! + ((delta - bias) | 0)) | 0;
      const bound = i * 4;
      const bits = bounds[bound + wraps]!;
      if (bits > 0) value &= (1 << bits) - 1;
      if (value < bounds[bound + low]! || value > bounds[bound + high]!) break;
      own[i] = value;
    }
    if (left !== 0) break;
    // It is valid: from here on everything happens.
    begin = at;
    counter += gap;
    const { ints, live } = core;
    let changed = 0;
    for (left = mask; left !== 0; left &= left - 1) {
      const bit = left & -left;
      const i = 31 - Math.clz32(bit);
      const int = own[i]!;
      if (ints[i] === int) continue;
      ints[i] = int;
      changed |= bit;
      if (way[i] === call) live[i] = kind.dequantise(i, int);
      else live[i] = int === bounds[i * 4 + high] ? scale[i * 4 + top]! : scale[i * 4 + zero]! + int * scale[i * 4 + step]!;
    }
    core.lastChange = tick;
    if (changed !== 0) {
      if (restTick > rows[track.head * stride]!) track.rest(restTick, phase);
    } else if (track.size === 1) {
      input.offset = begin;
      continue;
    }
    track.push(tick, phase, ints, changed);
    input.offset = begin;
  }
  return counter;
}
