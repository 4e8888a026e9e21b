/**
 * Randomness is a parameter. Layers below the edges take an `Rng`; tests pass `createRng(seed)`,
 * the edges pass one seeded from the operating system. Nothing secret may come from it: keys and
 * nonces come from the crypto provider.
 */

export interface Rng {
  /** Uniform 32-bit unsigned integer. */
  u32(): number;
  /** Uniform in [0, 1). */
  float(): number;
  /** Uniform integer in [0, bound), bound in 1 to 2^32. */
  int(bound: number): number;
  /** True with the given probability in [0, 1]. */
  chance(probability: number): boolean;
  /** Four 32-bit words; `restore` continues the same sequence. */
  save(): readonly [number, number, number, number];
  restore(state: readonly [number, number, number, number]): void;
}

/** A seeded generator: sfc32 (Chris Doty-Humphrey, PractRand). Same sequence on every engine. */
export function createRng(seed: number): Rng {
  let a = seed | 0;
  let b = 0x9e37_79b9 | 0;
  let c = 0x243f_6a88 | 0;
  let d = 1;
  const u32 = (): number => {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return t >>> 0;
  };
  // Warm-up: neighbouring seeds give unrelated streams only after the state has been mixed.
  for (let i = 0; i < 20; i++) u32();
  const float = (): number => u32() / 4_294_967_296;
  return {
    u32,
    float,
    int: (bound) => Math.floor(float() * bound),
    chance: (probability) => float() < probability,
    save: () => [a, b, c, d],
    restore: (state) => {
      [a, b, c, d] = state;
    },
  };
}
