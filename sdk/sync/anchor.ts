/**
 * What everything was at the tick of a whole state, kept while that is on its way. It may take longer than the past of what it tells reaches back: of what changes
 * all the time the row of that tick is gone when the peer acks it. Without what is kept here all of it would be told anew, take as long, and be acked too late again.
 */
import type { EntityCore } from './entity.ts';
import type { BoxedCodec } from './field.ts';
import { BOXED } from './kind.ts';

/** What one entity was. */
export interface Moment {
  readonly ints: Int32Array;
  readonly boxed: readonly unknown[];
}

const NOTHING: readonly unknown[] = [];

export class Anchor {
  readonly tick: number;
  readonly #moments = new Map<EntityCore, Moment>();

  constructor(tick: number, owned: readonly EntityCore[]) {
    this.tick = tick;
    for (const core of owned) this.#moments.set(core, { ints: core.ints.slice(), boxed: core.kind.boxedMask === 0 ? NOTHING : core.boxed.slice() });
  }

  /** Undefined for what was not there. */
  of(core: EntityCore): Moment | undefined {
    return this.#moments.get(core);
  }
}

/** Those of whole states that are on their way, or that a peer has acked, and nothing newer. */
export class Anchors {
  #anchors: Anchor[] = [];

  of(tick: number): Anchor | undefined {
    for (const anchor of this.#anchors) if (anchor.tick === tick) return anchor;
    return undefined;
  }

  /** A whole state of `tick` leaves. */
  drop(tick: number, owned: readonly EntityCore[]): void {
    if (this.of(tick) === undefined) this.#anchors.push(new Anchor(tick, owned));
  }

  /** Ends those that no peer needs any more. */
  weigh(peers: ReadonlyMap<unknown, { readonly acked: number; readonly fulls: readonly number[] }>): void {
    if (this.#anchors.length === 0) return;
    const all = [...peers.values()];
    this.#anchors = this.#anchors.filter(({ tick }) => all.some(({ acked, fulls }) => acked === tick || (acked < tick && fulls.includes(tick))));
  }
}

/**
 * A bit per value that may be another one at the peer than now, where its past begins after `moment`: what changed in that past, and what differs. What
 * changed and changed back before it was never told.
 */
export function changedSince(core: EntityCore, moment: Moment): number {
  const { track, shelf, ints, kind } = core;
  let mask = 0;
  for (let age = 0; age < track.size; age++) mask |= shelf.rows[track.at(age) + 1]!;
  for (let i = 0; i <= kind.count; i++) {
    const isSame =
      i < kind.count && kind.way[i] === BOXED
        ? (kind.fields[i]!.codec as BoxedCodec).same(core.boxed[i] ?? null, moment.boxed[i] ?? null)
        : ints[i] === moment.ints[i];
    if (!isSame) mask |= 1 << i;
  }
  return mask;
}
