/**
 * What one seed decides. Swarm testing: every seed has some classes of faults and not others, each in a
 * range of its own. Every class draws from a stream of its own, so that leaving one out (which is how a
 * failing seed is made smaller) moves nothing else.
 */
import { createRng, type Rng } from '../../sdk/base/rng.ts';

export type SimKind = 'link' | 'mesh';

export interface SimOptions {
  readonly seed: number;
  /** Hosts of a mesh; a world of links has two to four. By default the seed says: `hostsOf`. */
  readonly peers?: number;
  /** Simulated time, about. Default 60. */
  readonly seconds?: number;
  /** Classes of faults to leave out though the seed draws them. */
  readonly without?: readonly string[];
  /** Called with a line for everything that happens. */
  readonly trace?: ((line: string) => void) | undefined;
}

export interface SimResult {
  readonly seed: number;
  readonly kind: SimKind;
  /** Classes of faults that were at work. */
  readonly classes: readonly string[];
  /** `rule at … ms: what happened`; empty when every promise held. */
  readonly violations: readonly string[];
  /** From healing to agreement that stood, ms; Infinity when there was none. */
  readonly convergeMs: number;
  readonly hash: string;
  readonly steps: number;
  readonly sent: number;
  readonly delivered: number;
  /** Most host changes within a minute of a permanent one-way block; undefined where there was none. */
  readonly hostChangesPerMinute: number | undefined;
  readonly seconds: number;
}

/** Most hosts of a mesh; half of the seeds have so many, the others three to seven. */
export const MOST_PEERS = 8;
const LEAST_PEERS = 3;
/** Members of a room with real crypto: eight would cost as much as twenty seeds without. */
export const REAL_CRYPTO_PEERS = 4;
export const DEFAULT_SECONDS = 60;

/** Share of seeds that are a mesh; the others are two to four endpoints. */
const MESH_SHARE = 0.4;

function mix(seed: number, name: string): number {
  let hash = 0x811c_9dc5 ^ seed;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x0100_0193);
  return hash ^ Math.imul(seed, 0x9e37_79b1);
}

export function kindOf(seed: number): SimKind {
  return createRng(mix(seed, 'kind')).chance(MESH_SHARE) ? 'mesh' : 'link';
}

/** How many hosts a seed of a mesh has, the newcomer at the end not counted. */
export function hostsOf(options: SimOptions): number {
  if (options.peers !== undefined) return Math.min(options.peers, MOST_PEERS);
  const rng = createRng(mix(options.seed, 'hosts of a mesh'));
  return rng.chance(0.5) ? MOST_PEERS : LEAST_PEERS + rng.int(MOST_PEERS - LEAST_PEERS);
}

/** The seed's decisions, by name. */
export class Draw {
  readonly seed: number;
  /** Classes present, in the order they were asked for. */
  readonly classes: string[] = [];
  readonly #without: ReadonlySet<string>;

  constructor(options: SimOptions) {
    this.seed = options.seed;
    this.#without = new Set(options.without);
  }

  /** A stream of its own for every name. */
  rng(name: string): Rng {
    return createRng(mix(this.seed, name));
  }

  /** True when the seed has this class of faults. */
  has(name: string, chance = 0.5): boolean {
    if (!this.rng(`has ${name}`).chance(chance) || this.#without.has(name)) return false;
    this.classes.push(name);
    return true;
  }

  /** Uniform from `least` to `most` when the seed has the class, else undefined. */
  amount(name: string, least: number, most: number, chance = 0.5): number | undefined {
    return this.has(name, chance) ? least + (most - least) * this.rng(name).float() : undefined;
  }
}

/** Uniform on a logarithmic scale. */
export function logUniform(rng: Rng, least: number, most: number): number {
  return least * (most / least) ** rng.float();
}

export function pick<T>(rng: Rng, from: readonly T[]): T {
  return from[rng.int(from.length)]!;
}

/** `count` different ones, in random order. */
export function sample<T>(rng: Rng, from: readonly T[], count: number): T[] {
  const left = [...from];
  const out: T[] = [];
  while (out.length < count && left.length > 0) out.push(...left.splice(rng.int(left.length), 1));
  return out;
}

/** Fails a run that breaks an invariant inside: an exception is a violation, not the end of the runner. */
export function guarded(violations: string[], now: () => number, run: () => void): void {
  try {
    run();
  } catch (error) {
    violations.push(`S11 at ${Math.round(now())} ms: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  }
}
