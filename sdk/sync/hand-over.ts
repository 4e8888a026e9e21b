/** The values of an entity when it changes hands: what they were before stays in its past, for whoever is coded against that. */
import type { EntityCore } from './entity.ts';
import { MAX_HOPS, replaced } from './shelf.ts';

/** What was assigned since the last tick counts now. */
export function settleInts(core: EntityCore): void {
  const { kind, ints, live } = core;
  const hop = kind.count;
  replaced.set(ints);
  if ((core.dirty & (1 << hop)) !== 0) ints[hop] = (ints[hop]! + 1) & MAX_HOPS;
  kind.fields.forEach(({ codec }, i) => {
    if (codec.storage === 'number') ints[i] = codec.quantise(live[i]!);
  });
  amend(core);
}

/** Gives `core` the values that somebody else says it has. */
export function fill(core: EntityCore, values: Int32Array, boxed: readonly unknown[]): void {
  const { kind, ints, live } = core;
  replaced.set(ints);
  kind.fields.forEach(({ codec }, i) => {
    if (codec.storage === 'boxed') core.boxed[i] = boxed[i];
    else live[i] = codec.dequantise(values[i]!);
    ints[i] = values[i]!;
  });
  ints[kind.count] = values[kind.count]!;
  amend(core);
}

/** Keeps in the past of `core` what its integers were before these. */
function amend({ shelf, place, ints }: EntityCore): void {
  let mask = 0;
  for (let i = 0; i < ints.length; i++) if (ints[i] !== replaced[i]) mask |= 1 << i;
  shelf.amend(place, mask, replaced);
}
