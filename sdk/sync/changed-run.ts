/**
 * Applies the entries of a body that need no thought: an entity known here, of this sender and no other, that nobody watches or draws, and
 * integers alone. Nearly all entries of nearly all bodies are of this kind, so they are read and applied in one loop without a call per value.
 *
 * Whatever is not of this kind, or not valid, is left where it is: the loop ends at the beginning of that entry, nothing of which was applied, and
 * `Inbound` reads it in the general way. So this loop decides nothing; with it or without, a body means the same.
 */
import type { PackReader } from '../wire/pack.ts';
import type { BIAS, TAKEN } from './delta.ts';
import type { EntityCore } from './entity.ts';
import type { Inbound } from './inbound.ts';
import type { KindSpec } from './kind.ts';
import type { BASE, CALL, HIGH, LOW, STEP, TOP, WAY, WRAP } from './kind.ts';
import type { Page, Siblings } from './siblings.ts';
import type { PAGE_MASK } from './siblings.ts';
import { replaced, type ROW_HEAD, type Shelf } from './shelf.ts';

/** What the entries of one body have in common. */
export interface RunHead {
  readonly tick: number;
  readonly phase: number;
  readonly baseline: number;
  readonly quiet: number;
}

const NO_INTEGERS = new Int32Array(0);
const NO_NUMBERS = new Float64Array(0);

/**
 * Applies entries from where `input` stands, and moves it behind the last of them.
 * @param counter of the entry before.
 * @returns that of the last entry applied.
 */
export function applyChangedRun(input: PackReader, from: Inbound, known: Siblings, head: RunHead, counter: number): number {
  const { bytes, end } = input;
  const { tick, phase, baseline } = head;
  const { peer } = from;
  // An import is looked up wherever it is used; a number written here is part of the code. Its type keeps it what it is there.
  const bias: typeof BIAS = 48;
  const mark: typeof TAKEN = -2;
  const rowHead: typeof ROW_HEAD = 3;
  const call: typeof CALL = 1;
  const low: typeof LOW = 0;
  const high: typeof HIGH = 1;
  const wraps: typeof WRAP = 2;
  const way: typeof WAY = 3;
  const zero: typeof BASE = 0;
  const step: typeof STEP = 1;
  const top: typeof TOP = 3;
  const pageMask: typeof PAGE_MASK = 31;
  const before = replaced;
  let page: Readonly<Page> = known.pageOf(counter);
  let kind: KindSpec | undefined;
  let quick = 0;
  let restTick = 0;
  let due = 0;
  let scale: Float64Array = NO_NUMBERS;
  let bounds: Int32Array = NO_INTEGERS;
  let shelf: Shelf | undefined;
  let rows: Int32Array = NO_INTEGERS;
  let marks: Int32Array = NO_INTEGERS;
  let ints: Int32Array = NO_INTEGERS;
  let live: Float64Array = NO_NUMBERS;
  let stride = 0;
  let pitch = 0;
  let lastSlot = 0;
  // Two bytes for gap and mask and one for a value, at least.
  let begin = input.offset;
  while (begin + 2 < end) {
    const gap = bytes[begin]!;
    let mask = bytes[begin + 1]!;
    let at = begin + 2;
    // When its values were taken, where that is told in one byte.
    let taken = -1;
    if (mask >= 0xe0 && mask < 0xff) {
      taken = tick + ((mask << 24) >> 24) - mark;
      if (taken < 0) break;
      mask = bytes[at++]!;
    }
    if (mask >= 0x80) {
      if (mask !== 0xcc || at >= end) break;
      mask = bytes[at++]!;
    }
    if (gap === 0 || gap >= 0x80 || mask === 0) break;
    // Most often the neighbour of the entity before.
    if (((counter + gap) & pageMask) < gap) page = known.pageOf(counter + gap);
    const core = page[(counter + gap) & pageMask];
    if (core === undefined || core.source !== from || core.owner !== peer || !core.unseen || core.lastChange < 0 || baseline < core.heardSince) break;
    if (core.kind !== kind) {
      ({ kind } = core);
      ({ scale, bounds } = kind);
      quick = kind.integerMask;
      restTick = from.restTick(kind, head);
      due = kind.dueAt(tick);
    }
    if ((mask & ~quick) !== 0) break;
    if (core.shelf !== shelf) {
      ({ shelf } = core);
      ({ rows, stride, pitch, marks, ints, live, wrap: lastSlot } = shelf);
    }
    const { place } = core;
    const first = place * stride;
    const newest = marks[2 * place]!;
    const size = marks[2 * place + 1]!;
    let slot = newest;
    let age = 0;
    // All own, as differences to the state at the baseline: what a field was there stands in the first row after it which names the field.
    let oldest = 0;
    for (; age < size; age++) {
      const row = slot * pitch + first;
      if (rows[row]! <= baseline) break;
      oldest = row;
      slot = (slot - 1) & lastSlot;
    }
    if (age === size) break;
    const early = age === 0 ? 0 : rows[oldest + 1]!;
    const liveAt = place * kind.count;
    const intAt = liveAt + place;
    let changed = 0;
    let left = mask;
    for (; left !== 0; left &= left - 1) {
      if (at >= end) break;
      const form = bytes[at++]!;
      let delta: number;
      if (form < 0x80 || form >= 0xe0) delta = (form << 24) >> 24;
      else if ((form === 0xcd || form === 0xd1) && at + 1 < end) {
        delta = (bytes[at]! << 8) | bytes[at + 1]!;
        if (form === 0xd1) delta = (delta << 16) >> 16;
        at += 2;
      } else if ((form === 0xcc || form === 0xd0) && at < end) {
        delta = bytes[at++]!;
        if (form === 0xd0) delta = (delta << 24) >> 24;
      } else if ((form === 0xce || form === 0xd2) && at + 3 < end) {
        delta = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
        at += 4;
      } else break;
      const bit = left & -left;
      const i = 31 - Math.clz32(bit);
      const old = ints[intAt + i]!;
      const was = (early & bit) !== 0 ? rows[oldest + rowHead + i]! : age < 2 ? old : shelf.value(place, age, i);
      let int = (was + ((delta - bias) | 0)) | 0;
      const four = i * 4;
      const bits = bounds[four + wraps]!;
      if (bits > 0) int &= (1 << bits) - 1;
      if (int < bounds[four + low]! || int > bounds[four + high]!) break;
      if (old === int) continue;
      before[i] = old;
      ints[intAt + i] = int;
      changed |= bit;
      if (bounds[four + way] === call) live[liveAt + i] = kind.dequantise(i, int);
      else live[liveAt + i] = int === bounds[four + high] ? scale[four + top]! : scale[four + zero]! + int * scale[four + step]!;
    }
    if (left !== 0) {
      // Not valid, or not whole: nothing of it happened.
      takeBack(core, shelf, changed, before);
      break;
    }
    begin = at;
    counter += gap;
    core.lastChange = tick;
    let newestTick = rows[newest * pitch + first]!;
    if (changed !== 0) {
      const since = Math.max(newestTick, taken < 0 ? due : taken);
      // As `phaseAt` of `inbound.ts`.
      const within = since === tick ? phase : rows[newest * pitch + first + 2]!;
      if (restTick > newestTick && restTick < since) shelf.rest(place, restTick, phase);
      shelf.push(place, since, within, changed, before);
      newestTick = since;
    }
    if (due > newestTick && marks[2 * place + 1]! > 1) shelf.rest(place, due, phase);
    else if (changed === 0) continue;
    // A shelf that had to grow has others now.
    ({ rows, wrap: lastSlot } = shelf);
  }
  input.offset = begin;
  return counter;
}

/** The values that were there before, where `changed` names others. */
function takeBack(core: EntityCore, shelf: Shelf, changed: number, before: Int32Array): void {
  const { kind, place } = core;
  for (let left = changed; left !== 0; left &= left - 1) {
    const i = 31 - Math.clz32(left & -left);
    shelf.ints[place * (kind.count + 1) + i] = before[i]!;
    shelf.live[place * kind.count + i] = kind.dequantise(i, before[i]!);
  }
}
