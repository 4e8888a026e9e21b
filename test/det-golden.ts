/**
 * The same arguments for every engine: each function of `det` at a million places, half of them where games are, half anywhere, and one
 * hash over the bits of all its answers. Runs in Node (sync-det.test.ts), and bundled in other engines (e2e/engines.e2e.ts), so it
 * uses nothing but the language.
 */
import { det } from 'lanista';

// Taken out once: reaching through a namespace costs more than a sine.
const { sin, cos, tan, asin, acos, atan, atan2, hypot, sqrt, exp, log, pow, powInt, sinTurn, cosTurn, mix } = det;

export const INPUTS = 1_000_000;

const bits = new Float64Array(1);
/** Low word first, as every processor that runs a browser has it. */
const words = new Int32Array(bits.buffer);

/** Powers of two from 2^-60 to 2^60: exact everywhere. */
const SCALES = Array.from({ length: 121 }, (_, i) => powInt(2, i - 60));

type Draw = () => number;

const zero: Draw = () => 0;

function functions(near: Draw, wide: Draw, rng: ReturnType<typeof det.rng>): Readonly<Record<string, () => number>> {
  /** In [-1, 1]. */
  const ratio = (): number => rng.float() * 2 - 1;
  return {
    sin: () => sin(near()),
    cos: () => cos(near()),
    tan: () => tan(near()),
    asin: () => asin(ratio()),
    acos: () => acos(ratio()),
    atan: () => atan(wide()),
    atan2: () => atan2(wide(), wide()),
    hypot: () => hypot(wide(), wide()),
    sqrt: () => sqrt(Math.abs(wide())),
    exp: () => exp(near() / 4),
    log: () => log(Math.abs(wide())),
    pow: () => pow(Math.abs(near()) / 16, ratio() * 8),
    powInt: () => powInt(near() / 16, rng.int(21) - 10),
    sinTurn: () => sinTurn(rng.int(131_072) - 65_536),
    cosTurn: () => cosTurn(rng.int(131_072) - 65_536),
    rng: () => rng.float(),
  };
}

/** One hash (u32) per function over `count` answers, and one of a state that has every kind of value in it. */
export function goldenHashes(count: number = INPUTS): Record<string, number> {
  const hashes: Record<string, number> = {};
  for (const name of Object.keys(functions(zero, zero, det.rng(0)))) {
    const rng = det.rng(det.hashText(name));
    // Half within a few turns of zero, half up to the 2^20 that the trigonometry takes.
    const near = (): number => (rng.float() - 0.5) * (rng.u32() % 2 === 0 ? 64 : 2 ** 21);
    const wide = (): number => (rng.float() - 0.5) * (rng.u32() % 2 === 0 ? 4_000 : SCALES[rng.int(SCALES.length)]!);
    const answer = functions(near, wide, rng)[name]!;
    let hash = 0;
    for (let i = 0; i < count; i++) {
      const value = answer();
      bits[0] = value;
      const nan = value !== value;
      hash = mix(mix(hash, nan ? 0 : words[0]!), nan ? 0x7ff8_0000 : words[1]!);
    }
    hashes[name] = det.finish(hash);
  }
  const state = {
    tick: 7,
    seed: [1, -0, Number.NaN, 0.1 + 0.2, 1e300],
    ships: new Map([['b', { x: 1.5, alive: true, target: undefined, tags: new Set(['fast', 'Ärger']) }]]),
    floor: Uint8Array.from({ length: 999 }, (_, i) => i),
    speeds: Float32Array.of(0.1, 0.2),
    winner: null,
  };
  hashes['hashState'] = det.hashState(state);
  return hashes;
}
