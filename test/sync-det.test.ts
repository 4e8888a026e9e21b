/**
 * Deterministic maths: golden bits (the same wherever this runs), accuracy against the engine's own, and a generator that can be saved.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { det } from 'lanista';
import { goldenHashes } from './det-golden.ts';

describe('det', () => {
  it('[SY23] gives the same bits everywhere', () => {
    // These are not Node's: Chromium, SpiderMonkey and JavaScriptCore come to the same (e2e/engines.e2e.ts).
    expect(goldenHashes()).toMatchInlineSnapshot(`
      {
        "acos": 3549298304,
        "asin": 52566752,
        "atan": 3056716615,
        "atan2": 1586290583,
        "cos": 3560684114,
        "cosTurn": 2745971928,
        "exp": 504301171,
        "hashState": 610608880,
        "hypot": 2051382861,
        "log": 4080222275,
        "pow": 567193238,
        "powInt": 3754282130,
        "rng": 528034370,
        "sin": 2509760821,
        "sinTurn": 3908337552,
        "sqrt": 1318692984,
        "tan": 2720164494,
      }
    `);
    expect(det.hashText('lanista')).toBe(595_217_412);
  });

  it('[SY24] is as good as the engine to a few units in the last place', () => {
    const near = (mine: number, theirs: number): void =>
      void (Object.is(mine, theirs) || expect(Math.abs(mine - theirs)).toBeLessThanOrEqual(4e-15 * Math.max(1, Math.abs(theirs))));
    fc.assert(
      fc.property(fc.double({ min: -1_000, max: 1_000, noNaN: true }), fc.double({ min: -1_000, max: 1_000, noNaN: true }), (x, y) => {
        near(det.sin(x), Math.sin(x));
        near(det.cos(x), Math.cos(x));
        near(det.atan(x), Math.atan(x));
        if (x !== 0 && y !== 0) near(det.atan2(y, x), Math.atan2(y, x));
        near(det.asin(x / 1_000), Math.asin(x / 1_000));
        near(det.acos(x / 1_000), Math.acos(x / 1_000));
        near(det.hypot(x, y), Math.hypot(x, y));
        near(det.exp(x / 10), Math.exp(x / 10));
        near(det.log(Math.abs(x)), Math.log(Math.abs(x)));
      }),
      { seed: 7, numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.double({ min: 1e-3, max: 1_000, noNaN: true }), fc.double({ min: -40, max: 40, noNaN: true }), (base, exponent) => {
        const theirs = base ** exponent;
        expect(Math.abs(det.pow(base, exponent) - theirs)).toBeLessThanOrEqual(1e-13 * theirs);
      }),
      { seed: 7, numRuns: 500 },
    );
    expect(det.asin(1.1)).toBeNaN();
    expect(det.atan2(Number.NaN, 1)).toBeNaN();
    expect(det.exp(710)).toBe(Number.POSITIVE_INFINITY);
    expect(det.log(-1)).toBeNaN();
    expect(det.sin(Number.NaN)).toBeNaN();
    expect(det.powInt(2, -3)).toBe(0.125);
  });

  it('[SY62] a generator that is restored goes on with the same numbers', () => {
    const rng = det.rng(42);
    rng.u32();
    const kept = rng.save();
    const first = [rng.u32(), rng.float(), rng.int(100)];
    const other = det.rng(1);
    other.restore(kept);
    expect([other.u32(), other.float(), other.int(100)]).toEqual(first);
    expect(det.rng(43).u32()).not.toBe(det.rng(42).u32());
  });

  it('[SY63] the hash of a state is that of its values, not of how they came there', () => {
    const a = { x: 1, y: [2, 3], who: { name: 'Ann', hp: 3 } };
    const b = { who: { hp: 3, name: 'Ann' }, y: [2, 3], x: 1 };
    expect(det.hashState(a)).toBe(det.hashState(b));
    expect(det.hashState(structuredClone(a))).toBe(det.hashState(a));
    const different: readonly unknown[] = [
      undefined,
      null,
      false,
      true,
      0,
      -0,
      1,
      '',
      '0',
      [],
      [0],
      [[], 0],
      [0, []],
      {},
      { a: undefined },
      { a: 0 },
      { b: 0 },
      new Map([['a', 0]]),
      new Set(['a', 0]),
      Uint8Array.of(0),
      Uint8Array.of(0, 0),
      Number.NaN,
      Number.POSITIVE_INFINITY,
    ];
    expect(new Set(different.map((value) => det.hashState(value))).size).toBe(different.length);
    expect(
      det.hashState(
        new Map([
          [1, 2],
          [3, 4],
        ]),
      ),
    ).not.toBe(
      det.hashState(
        new Map([
          [3, 4],
          [1, 2],
        ]),
      ),
    );
    expect(det.hashState(a, 1)).not.toBe(det.hashState(a, 2));
  });

  it('[SY63] what cannot be hashed is refused at once', () => {
    const circle: unknown[] = [];
    circle.push(circle);
    const bytes = new ArrayBuffer(8);
    const hidden = [new Date(0), /x/, new Error('x'), bytes, new DataView(bytes), Promise.resolve(), new WeakMap(), Object(1) as object];
    for (const value of [() => 0, Symbol('x'), 1n, { deep: [() => 0] }, circle, new BigInt64Array(1), ...hidden, { at: new Date(1) }])
      expect(() => det.hashState(value)).toThrowError(expect.objectContaining({ code: 'bad-argument' }) as Error);
  });

  it('[SY63] one changed value changes the hash', () => {
    fc.assert(
      fc.property(fc.array(fc.double(), { minLength: 1, maxLength: 40 }), fc.nat(), fc.double(), (numbers, where, value) => {
        const other = [...numbers];
        other[where % other.length] = value;
        const same = numbers.every((one, i) => Object.is(one, other[i]));
        expect(det.hashState(numbers) === det.hashState(other)).toBe(same);
      }),
      { seed: 7, numRuns: 500 },
    );
  });
});
