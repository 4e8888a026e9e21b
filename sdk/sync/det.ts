/**
 * Maths with the same bits in every engine. `Math.sin`, `exp`, `pow` and friends differ between browsers, Node and
 * their versions (measured: 3 to 28 % of arguments by an ulp or two), and one ulp is a desync. Here everything is
 * built from what IEEE 754 pins down: + - * / and `Math.sqrt`, `floor`, `fround`, `imul`.
 *
 * The kernels follow the published fdlibm algorithms and coefficients (Sun Microsystems, 1993): argument reduction, then a
 * minimax polynomial. Errors are below 2 ulp within the ranges stated.
 */
import { createRng } from '../base/rng.ts';
import type { Rng } from '../base/rng.ts';

export { finish, hash, hashState, hashText, mix } from './hash.ts';

export const PI = 3.141592653589793;
export const TAU = 6.283185307179586;

const HALF_PI_HIGH = 1.57079632673412561417;
const HALF_PI_MIDDLE = 6.0771005063039659766e-11;
const HALF_PI_LOW = 2.02226624879595063154e-21;
const TWO_OVER_PI = 6.36619772367581382433e-1;

function sinKernel(x: number): number {
  const z = x * x;
  return (
    x +
    x *
      z *
      (-1.66666666666666324348e-1 +
        z *
          (8.33333333332248946124e-3 +
            z * (-1.98412698298579493134e-4 + z * (2.75573137070700676789e-6 + z * (-2.50507602534068634195e-8 + z * 1.58969099521155010221e-10)))))
  );
}

function cosKernel(x: number): number {
  const z = x * x;
  return (
    1 -
    (0.5 * z -
      z *
        z *
        (4.16666666666666019037e-2 +
          z *
            (-1.38888888888741095749e-3 +
              z * (2.48015872894767294178e-5 + z * (-2.75573143513906633035e-7 + z * (2.0875723212981748279e-9 + z * -1.13596475577881948265e-11))))))
  );
}

/** Sine or cosine (`shift` 1) of `x` radians by quarter turns. */
function quarter(x: number, shift: number): number {
  // Past 2^20 the reduction in three parts loses bits; a game's angle has no business there. NaN for what is not finite.
  const n = Math.floor(x * TWO_OVER_PI + 0.5);
  const y = x - n * HALF_PI_HIGH - n * HALF_PI_MIDDLE - n * HALF_PI_LOW;
  const turn = (n + shift) % 4;
  switch (turn < 0 ? turn + 4 : turn) {
    case 0:
      return sinKernel(y);
    case 1:
      return cosKernel(y);
    case 2:
      return -sinKernel(y);
    case 3:
      return -cosKernel(y);
    default:
      return Number.NaN;
  }
}

/** Sine of `x` radians, |x| <= 2^20. */
export function sin(x: number): number {
  return quarter(x, 0);
}

/** Cosine of `x` radians, |x| <= 2^20. */
export function cos(x: number): number {
  return quarter(x, 1);
}

/** Tangent of `x` radians, |x| <= 2^20. */
export function tan(x: number): number {
  return quarter(x, 0) / quarter(x, 1);
}

const ATAN_HIGH = [4.63647609000806093515e-1, 7.85398163397448278999e-1, 9.82793723247329054082e-1, 1.570796326794896558] as const;
const ATAN_LOW = [2.26987774529616870924e-17, 3.06161699786838301793e-17, 1.39033110312309984516e-17, 6.12323399573676603587e-17] as const;

/** Arc tangent, radians in [-pi/2, pi/2]. */
export function atan(x: number): number {
  const negative = x < 0;
  let a = negative ? -x : x;
  if (a >= 7.378697629483821e19) return negative ? -ATAN_HIGH[3] : ATAN_HIGH[3];
  let part: 0 | 1 | 2 | 3 | undefined;
  if (a >= 0.4375) {
    if (a < 0.6875) {
      part = 0;
      a = (2 * a - 1) / (2 + a);
    } else if (a < 1.1875) {
      part = 1;
      a = (a - 1) / (a + 1);
    } else if (a < 2.4375) {
      part = 2;
      a = (a - 1.5) / (1 + 1.5 * a);
    } else {
      part = 3;
      a = -1 / a;
    }
  }
  const z = a * a;
  const w = z * z;
  const odd =
    z *
    (3.33333333333329318027e-1 +
      w *
        (1.42857142725034663711e-1 +
          w * (9.09088713343650656196e-2 + w * (6.66107313738753120669e-2 + w * (4.97687799461593236017e-2 + w * 1.62858201153657823623e-2)))));
  const even =
    w *
    (-1.99999999998764832476e-1 +
      w * (-1.1111110405462355788e-1 + w * (-7.69187620504482999495e-2 + w * (-5.83357013379057348645e-2 + w * -3.6531572744216915527e-2))));
  const result = part === undefined ? a - a * (odd + even) : ATAN_HIGH[part] - (a * (odd + even) - ATAN_LOW[part] - a);
  return negative ? -result : result;
}

/** Angle of the vector (x, y), both finite, radians in (-pi, pi]; 0 for the null vector. */
export function atan2(y: number, x: number): number {
  if (x !== x || y !== y) return Number.NaN;
  if (x > 0) return atan(y / x);
  if (x < 0) return y >= 0 ? atan(y / x) + PI : atan(y / x) - PI;
  return y > 0 ? PI / 2 : y < 0 ? -PI / 2 : 0;
}

/** Arc sine, radians in [-pi/2, pi/2]; NaN outside [-1, 1]. */
export function asin(x: number): number {
  return atan2(x, Math.sqrt((1 - x) * (1 + x)));
}

/** Arc cosine, radians in [0, pi]; NaN outside [-1, 1]. */
export function acos(x: number): number {
  return atan2(Math.sqrt((1 - x) * (1 + x)), x);
}

/** Length of (x, y). Overflows past 1e154, which `Math.hypot` does not. */
export function hypot(x: number, y: number): number {
  return Math.sqrt(x * x + y * y);
}

export function sqrt(x: number): number {
  return Math.sqrt(x);
}

const LN2_HIGH = 6.9314718036912381649e-1;
const LN2_LOW = 1.90821492927058770002e-10;

/** 2^n for a whole `n` in [-1022, 1023], by exact products. */
function powerOfTwo(n: number): number {
  let result = 1;
  let base = n < 0 ? 0.5 : 2;
  for (let left = n < 0 ? -n : n; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) result *= base;
    base *= base;
  }
  return result;
}

/** e^x. 0 below -708, Infinity above 709.78. */
export function exp(x: number): number {
  if (x !== x) return x;
  if (x > 709.782712893384) return Number.POSITIVE_INFINITY;
  if (x < -708) return 0;
  const n = Math.floor(x * 1.442695040888963387 + 0.5);
  const high = x - n * LN2_HIGH;
  const low = n * LN2_LOW;
  const r = high - low;
  const t = r * r;
  const c =
    r -
    t *
      (1.66666666666666019037e-1 +
        t * (-2.77777777770155933842e-3 + t * (6.61375632143793436117e-5 + t * (-1.6533902205465251539e-6 + t * 4.13813679705723846039e-8))));
  const y = 1 - (low - (r * c) / (2 - c) - high);
  // 2^1024 is not a double, its half is.
  return n === 1024 ? y * 2 * powerOfTwo(1023) : y * powerOfTwo(n);
}

/** Natural logarithm. NaN below 0, -Infinity at 0. */
export function log(x: number): number {
  if (x !== x || x < 0) return Number.NaN;
  if (x === 0) return Number.NEGATIVE_INFINITY;
  if (x === Number.POSITIVE_INFINITY) return x;
  let m = x;
  let k = 0;
  while (m >= 1.4142135623730951) {
    m /= 2;
    k++;
  }
  while (m < 0.7071067811865476) {
    m *= 2;
    k--;
  }
  const f = m - 1;
  const s = f / (2 + f);
  const z = s * s;
  const w = z * z;
  const t1 = w * (3.999999999940941908e-1 + w * (2.222219843214978396e-1 + w * 1.531383769920937332e-1));
  const t2 = z * (6.66666666666673513e-1 + w * (2.857142874366239149e-1 + w * (1.818357216161805012e-1 + w * 1.479819860511658591e-1)));
  const half = 0.5 * f * f;
  return k * LN2_HIGH - (half - (s * (half + t1 + t2) + k * LN2_LOW) - f);
}

/** `base` to a whole power in [-1024, 1024], by squaring. */
export function powInt(base: number, exponent: number): number {
  let left = exponent < 0 ? -exponent : exponent;
  if (!Number.isInteger(left) || left > 1024) return Number.NaN;
  let result = 1;
  let factor = base;
  for (; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) result *= factor;
    factor *= factor;
  }
  return exponent < 0 ? 1 / result : result;
}

/**
 * `base` to any power, for 0 < base and results within 1e-300 to 1e300: e to the product, so its relative error grows with the exponent
 * of the result (below 1e-13). For whole powers `powInt` is exact to a few units in the last place.
 */
export function pow(base: number, exponent: number): number {
  if (exponent === 0) return 1;
  if (base === 0) return exponent > 0 ? 0 : Number.POSITIVE_INFINITY;
  return exp(exponent * log(base));
}

const TURN = new Float64Array(1025);
for (let i = 0; i <= 1024; i++) TURN[i] = sin((i * TAU) / 1024);

/** Sine of an angle of 65,536 units a turn, by a table: three times as fast, error below 5e-6. */
export function sinTurn(angle: number): number {
  const a = angle & 0xffff;
  const low = TURN[a >> 6]!;
  return low + ((TURN[(a >> 6) + 1]! - low) * (a & 63)) / 64;
}

/** Cosine of an angle of 65,536 units a turn. */
export function cosTurn(angle: number): number {
  return sinTurn(angle + 0x4000);
}

/** A seeded generator; `save` and `restore` make it part of a game's state. */
export function rng(seed: number): Rng {
  return createRng(seed);
}
