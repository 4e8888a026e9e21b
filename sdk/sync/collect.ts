/**
 * Takes over what the game assigned since the last tick: live numbers become integers, and what changed becomes a row of the entity's track.
 *
 * This runs over every own entity at every tick, so the commonest ways of a field are reckoned here without a call.
 */
import type { EntityCore, UNBORN } from './entity.ts';
import type { KindSpec } from './kind.ts';
import type { BASE, CALL, HIGH, RATE, WAY, WRAP } from './kind.ts';
import { replaced, type MAX_HOPS, type Shelf } from './shelf.ts';

const NO_NUMBERS: Float64Array = new Float64Array(0);
const NO_INTEGERS: Int32Array = new Int32Array(0);

/**
 * @param previous the tick that was collected before, -1 for none.
 * @param phase where in the tick that is, in 128ths: two whole numbers, which no call has to box.
 * @returns whether anything changed.
 */
export function collectChanges(owned: readonly EntityCore[], tick: number, previous: number, phase: number): boolean {
  // An import is looked up wherever it is used; a number written here is part of the code. Its type keeps it what it is there.
  const unborn: typeof UNBORN = 0x7fff_ffff;
  const call: typeof CALL = 1;
  const zero: typeof BASE = 0;
  const rate: typeof RATE = 2;
  const high: typeof HIGH = 1;
  const wraps: typeof WRAP = 2;
  const way: typeof WAY = 3;
  const hops: typeof MAX_HOPS = 0x7fff_ffff;
  const before = replaced;
  let any = false;
  let kind: KindSpec | undefined;
  let shelf: Shelf | undefined;
  let ints = NO_INTEGERS;
  let live = NO_NUMBERS;
  let sampled = false;
  let integers = 0;
  let hop = 0;
  let rested = -1;
  let scale = NO_NUMBERS;
  let bounds = NO_INTEGERS;
  for (let k = 0; k < owned.length; k++) {
    const core = owned[k]!;
    const born = core.bornTick === unborn;
    const { dirty } = core;
    if (dirty === 0 && !born) continue;
    if (core.kind !== kind) {
      ({ kind } = core);
      ({ scale, bounds } = kind);
      integers = kind.integerMask;
      hop = 1 << kind.count;
      sampled = kind.sampledAt(tick, previous);
      rested = previous - (previous % kind.every);
    }
    // The kind is not sampled at this tick: the bits wait.
    if (!sampled && core.bornTick < tick) continue;
    if (core.shelf !== shelf) {
      ({ shelf } = core);
      ({ ints, live } = shelf);
    }
    const { place } = core;
    const liveAt = place * kind.count;
    const intAt = liveAt + place;
    core.clean();
    let mask = dirty;
    if (born) {
      mask = (hop << 1) - 1;
      for (let i = 0; i <= kind.count; i++) before[i] = ints[intAt + i]!;
    }
    if ((dirty & hop) !== 0) {
      before[kind.count] = ints[intAt + kind.count]!;
      ints[intAt + kind.count] = (before[kind.count]! + 1) & hops;
    }
    for (let left = mask & integers; left !== 0; left &= left - 1) {
      const bit = left & -left;
      const i = 31 - Math.clz32(bit);
      const at = 4 * i;
      let int: number;
      if (bounds[at + way] === call) int = kind.quantise(i, live[liveAt + i]!);
      else {
        int = Math.floor((live[liveAt + i]! - scale[at + zero]!) * scale[at + rate]! + 0.5) | 0;
        if (bounds[at + wraps]! > 0) int &= bounds[at + high]!;
      }
      const old = ints[intAt + i]!;
      if (int !== old) {
        before[i] = old;
        ints[intAt + i] = int;
      } else if (!born) mask &= ~bit;
    }
    if (mask === 0) continue;
    any = true;
    kind.changeTick = tick;
    if (born) core.bornTick = tick;
    // At rest until it was sampled last: without this row, whoever interpolates `at` would glide from the distant past.
    if (shelf.sizeOf(place) > 0 && shelf.newestTick(place) < rested) shelf.rest(place, rested, phase);
    core.lastChange = tick;
    shelf.push(place, tick, phase, mask, before);
  }
  return any;
}
