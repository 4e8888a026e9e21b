/**
 * Takes over what the game assigned since the last tick: live numbers become integers, and what changed becomes a row of the entity's track.
 *
 * This runs over every own entity at every tick, so the commonest ways of a field are reckoned here without a call.
 */
import type { EntityCore } from './entity.ts';
import { UNBORN } from './entity.ts';
import type { KindSpec } from './kind.ts';
import { BASE, CALL, HIGH, RATE, WRAP } from './kind.ts';

const NO_NUMBERS: Float64Array = new Float64Array(0);
const NO_INTEGERS: Int32Array = new Int32Array(0);
const NO_WAYS: Uint8Array = new Uint8Array(0);

/**
 * @param phase where in the tick that is, in 128ths: two whole numbers, which no call has to box.
 * @returns whether anything changed.
 */
export function collectChanges(owned: readonly EntityCore[], tick: number, phase: number): boolean {
  // An import is looked up wherever it is used; a local is a register.
  const unborn = UNBORN;
  const call = CALL;
  const zero = BASE;
  const rate = RATE;
  const high = HIGH;
  const wraps = WRAP;
  let any = false;
  let kind: KindSpec | undefined;
  let sampled = false;
  let integers = 0;
  let hop = 0;
  let every = 1;
  let scale = NO_NUMBERS;
  let bounds = NO_INTEGERS;
  let way = NO_WAYS;
  for (let k = 0; k < owned.length; k++) {
    const core = owned[k]!;
    const born = core.bornTick === unborn;
    const { dirty } = core;
    if (dirty === 0 && !born) continue;
    if (core.kind !== kind) {
      ({ kind } = core);
      ({ scale, bounds, way, every } = kind);
      integers = kind.integerMask;
      hop = 1 << kind.count;
      sampled = tick % every === 0;
    }
    // The kind is not sampled at this tick: the bits wait.
    if (!sampled && core.bornTick < tick) continue;
    const { ints, live, track } = core;
    core.clean();
    if ((dirty & hop) !== 0) ints[kind.count] = ints[kind.count]! + 1;
    let mask = born ? (hop << 1) - 1 : dirty;
    for (let left = mask & integers; left !== 0; left &= left - 1) {
      const bit = left & -left;
      const i = 31 - Math.clz32(bit);
      const at = 4 * i;
      let int: number;
      if (way[i] === call) int = kind.quantise(i, live[i]!);
      else {
        int = Math.floor((live[i]! - scale[at + zero]!) * scale[at + rate]! + 0.5) | 0;
        if (bounds[at + wraps]! > 0) int &= bounds[at + high]!;
      }
      if (int !== ints[i]) ints[i] = int;
      else if (!born) mask &= ~bit;
    }
    if (mask === 0) continue;
    any = true;
    if (born) core.bornTick = tick;
    // At rest until now: without this row, whoever interpolates `at` would glide from the distant past.
    if (track.size > 0 && track.tick(0) < tick - every) track.rest(tick - every, phase);
    core.lastChange = tick;
    track.push(tick, phase, ints, mask);
  }
  return any;
}
