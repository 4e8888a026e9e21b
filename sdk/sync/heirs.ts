/**
 * Who inherits the entities of somebody who is gone, by the rule `redistribute`: the present seats in turn, kind by kind, so that each
 * kind is spread evenly whatever order it was spawned in.
 *
 * Every peer computes this by itself from what it knows. What was spawned last comes last, so that a peer that missed the end of the owner's words still
 * shares out the rest as the others do. Where they differ all the same, two claims are settled as all claims are; what nobody claimed has
 * a second heir, which depends on the entity alone (`secondHeir`).
 */
import type { PeerId } from '../base/brand.ts';
import type { EntityCore } from './entity.ts';

/** An entity whose owner is gone and whose heir has not claimed it falls to its second heir after this, ms. */
export const SECOND_HEIR_MS = 1_000;
/**
 * What was taken from us by somebody who is gone within so long, ms, is ours again: its heir may not have heard of the claim, think that it is ours, and wait
 * for us. A claim is told again in every tick until it is acked, and who falls silent is away within a second.
 */
export const RETAKE_MS = 2_000;
/** One that its second heir has not claimed either, or of a host that is host no more, is dropped after this, ms. */
export const ORPHAN_MS = 4_000;

export class Heirs {
  readonly #heirs = new Map<EntityCore, PeerId>();

  /**
   * Names an heir for each orphan. One that has an heir keeps it as long as that peer is present: its claim may be on the way.
   * @param present by slot; the same on every peer.
   */
  share(orphans: readonly EntityCore[], present: readonly PeerId[]): void {
    for (const core of [...this.#heirs.keys()]) if (!orphans.includes(core) || !present.includes(this.#heirs.get(core)!)) this.#heirs.delete(core);
    if (present.length === 0) return;
    const rest = orphans
      .filter((core) => !this.#heirs.has(core))
      .sort((a, b) => a.kind.index - b.kind.index || a.origin - b.origin || a.counter - b.counter);
    let kind = -1;
    let turn = 0;
    for (const core of rest) {
      // Each kind begins with another seat: else single entities of many kinds would all fall to the first.
      if (core.kind.index !== kind) turn = kind = core.kind.index;
      this.#heirs.set(core, present[turn++ % present.length]!);
    }
  }

  of(core: EntityCore): PeerId | undefined {
    return this.#heirs.get(core);
  }
}

/**
 * Who claims an orphan that its heir, for whatever reason, did not: every peer that knows the entity names the same one.
 * @param host where its owner started anew: others may have, too, just before, and the host is the likeliest to know it.
 */
export function secondHeir(core: EntityCore, present: readonly PeerId[], host?: PeerId): PeerId | undefined {
  if (host !== undefined && host !== core.owner) return host;
  const others = present.filter((id) => id !== core.owner);
  return others[core.counter % Math.max(1, others.length)];
}
