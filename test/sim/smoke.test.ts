/**
 * A few seeds of the simulator in every test run; what `npm run sim` does with two thousand.
 */
import { describe, expect, it } from 'vitest';
import { Draw, kindOf } from './plan.ts';
import { shrink } from './shrink.ts';
import { simulate } from './simulate.ts';

const seedsOf = (kind: 'mesh' | 'link', count: number): number[] => {
  const seeds: number[] = [];
  for (let seed = 1; seeds.length < count; seed++) if (kindOf(seed) === kind && !drawsRealCrypto(seed)) seeds.push(seed);
  return seeds;
};
const drawsRealCrypto = (seed: number): boolean => new Draw({ seed }).has('real-crypto', 0.1);

describe('bad luck', () => {
  for (const seed of seedsOf('mesh', 3)) {
    it(`[ME20] seed ${seed}: no promise of a room is broken, and it comes together again`, () => {
      const result = simulate({ seed, peers: 5, seconds: 15 });
      expect(result.violations).toEqual([]);
      expect(result.convergeMs).toBeLessThanOrEqual(3_000);
    });
  }

  for (const seed of seedsOf('link', 6)) {
    it(`[LK41] seed ${seed}: no promise of a link is broken, and all are linked again`, () => {
      const result = simulate({ seed, seconds: 20 });
      expect(result.violations).toEqual([]);
      expect(result.convergeMs).toBeLessThanOrEqual(5_000);
    });
  }

  it('[ME21] the same seed leaves the same trace', () => {
    const [mesh] = seedsOf('mesh', 1);
    const [link] = seedsOf('link', 1);
    for (const seed of [mesh!, link!]) {
      const options = { seed, peers: 4, seconds: 8 };
      const { hash, classes } = simulate(options);
      expect(simulate(options).hash).toBe(hash);
      expect(simulate({ ...options, without: classes }).hash).not.toBe(hash);
    }
  });

  it('a class of faults left out moves no other', () => {
    const all = new Draw({ seed: 5 });
    const names = ['loss', 'delay', 'crash', 'kick'];
    const chosen = names.filter((name) => all.has(name, 0.9));
    const less = new Draw({ seed: 5, without: [chosen[0]!] });
    expect(names.filter((name) => less.has(name, 0.9))).toEqual(chosen.slice(1));
    expect(less.rng('delay').u32()).toBe(all.rng('delay').u32());
  });

  it('a seed that keeps every promise cannot be made smaller', () => {
    expect(shrink({ seed: seedsOf('link', 1)[0]!, seconds: 5 })).toBeUndefined();
  });
});
