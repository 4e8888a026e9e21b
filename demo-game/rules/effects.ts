/**
 * What just happened, for eyes and ears. The rules put effects into a queue; the page takes them out and
 * draws or plays them. Nothing depends on them.
 */
export interface Effect {
  readonly type: 'shot' | 'splash' | 'burst' | 'hurt' | 'dash' | 'dry' | 'respawn' | 'pickup' | 'kick' | 'phase' | 'emote';
  readonly x: number;
  readonly y: number;
  readonly paint: number;
  /** Who it happened to or who did it. */
  readonly who: number;
  /** `emote`: which one; `pickup`: which kind; `splash`: its radius. */
  readonly amount?: number;
}

/** A queue that forgets its oldest when nobody looks: a hidden page must not hoard. */
export class EffectQueue {
  readonly #effects: Effect[] = [];

  push(effect: Effect): void {
    this.#effects.push(effect);
    if (this.#effects.length > 256) this.#effects.shift();
  }

  poll(): Effect | undefined {
    return this.#effects.shift();
  }
}
