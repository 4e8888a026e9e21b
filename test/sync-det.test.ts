/**
 * Deterministic maths: golden bits (the same wherever this runs), accuracy against the engine's own, and a generator that can be saved.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { det } from 'lanista';

const bits = new Float64Array(1);
const words = new Uint32Array(bits.buffer);

/** Hash over the bits of `fn` at fixed arguments. */
function golden(fn: (x: number) => number, from: number, to: number): number {
  const out: number[] = [];
  for (let i = 0; i <= 5_000; i++) {
    bits[0] = fn(from + ((to - from) * i) / 5_000);
    out.push(words[0]!, words[1]!);
  }
  return det.hash(out);
}

describe('det', () => {
  it('[SY23] gives the same bits everywhere', () => {
    expect({
      sin: golden(det.sin, -50, 50),
      cos: golden(det.cos, -50, 50),
      tan: golden(det.tan, -1.5, 1.5),
      atan2: golden((x) => det.atan2(x, 1.5 - x), -4, 4),
      exp: golden(det.exp, -20, 20),
      log: golden(det.log, 0.001, 1_000),
      powInt: golden((x) => det.powInt(x, 7), -3, 3),
      hypot: golden((x) => det.hypot(x, 2), -9, 9),
      sinTurn: golden((x) => det.sinTurn(Math.floor(x)), -70_000, 70_000),
      text: det.hashText('lanista'),
      rng: ((r) => [r.u32(), r.u32(), r.int(100)])(det.rng(42)),
    }).toMatchInlineSnapshot(`
      {
        "atan2": 1148907686,
        "cos": 446699991,
        "exp": 4012303570,
        "hypot": 1178216331,
        "log": 655641303,
        "powInt": 4159063235,
        "rng": [
          2185889307,
          1359810132,
          48,
        ],
        "sin": 4003171557,
        "sinTurn": 3914905206,
        "tan": 3138295327,
        "text": 595217412,
      }
    `);
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
        near(det.hypot(x, y), Math.hypot(x, y));
        near(det.exp(x / 10), Math.exp(x / 10));
        near(det.log(Math.abs(x)), Math.log(Math.abs(x)));
      }),
      { seed: 7, numRuns: 500 },
    );
    expect(det.exp(710)).toBe(Number.POSITIVE_INFINITY);
    expect(det.log(-1)).toBeNaN();
    expect(det.sin(Number.NaN)).toBeNaN();
    expect(det.powInt(2, -3)).toBe(0.125);
  });
});
