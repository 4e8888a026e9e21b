/**
 * Makes a failing seed smaller, so that what is left is what matters: leaves out classes of faults, then
 * hosts, then time, as long as the same rule is still broken. A minute at most.
 */
import { DEFAULT_SECONDS, MOST_PEERS, hostsOf, kindOf, type SimOptions, type SimResult } from './plan.ts';
import { simulate } from './simulate.ts';

const LIMIT_MS = 60_000;

export interface Shrunk {
  readonly options: SimOptions;
  readonly result: SimResult;
  /** Runs it took. */
  readonly runs: number;
}

/** The rule that a violation names first: `S1`, `L2`, … */
export function ruleOf(violation: string): string {
  return /^[A-Z]+\d*/.exec(violation)?.[0] ?? violation;
}

/** Undefined when the seed does not fail at all. */
export function shrink(start: SimOptions): Shrunk | undefined {
  const deadline = process.hrtime.bigint() + BigInt(LIMIT_MS) * 1_000_000n;
  let runs = 1;
  let result = simulate(start);
  let options = start;
  if (result.violations.length === 0) return undefined;
  const rule = ruleOf(result.violations[0]!);
  const still = (attempt: SimOptions): boolean => {
    if (process.hrtime.bigint() > deadline) return false;
    runs++;
    const found = simulate(attempt);
    if (!found.violations.some((violation) => ruleOf(violation) === rule)) return false;
    options = attempt;
    result = found;
    return true;
  };
  // Half of the classes at a time, then fewer, down to one.
  for (let size = Math.ceil(result.classes.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    const candidates = [...result.classes];
    for (let at = 0; at < candidates.length; at += size)
      still({ ...options, without: [...(options.without ?? []), ...candidates.slice(at, at + size)] });
  }
  const hosts = kindOf(options.seed) === 'mesh' ? hostsOf(options) : MOST_PEERS;
  for (let peers = hosts - 1; peers >= 2; peers--) if (!still({ ...options, peers })) break;
  let [fails, passes] = [options.seconds ?? DEFAULT_SECONDS, 4];
  while (fails - passes > 1) {
    const middle = Math.round((fails + passes) / 2);
    if (still({ ...options, seconds: middle })) fails = middle;
    else passes = middle;
  }
  return { options, result, runs };
}

/** The command that repeats a run. */
export function replayCommand(options: SimOptions): string {
  const parts = [`npm run sim -- --seed ${options.seed}`];
  if (options.peers !== undefined) parts.push(`--peers ${options.peers}`);
  if (options.seconds !== undefined) parts.push(`--seconds ${options.seconds}`);
  if (options.without !== undefined && options.without.length > 0) parts.push(`--without ${options.without.join(',')}`);
  return `${parts.join(' ')} --trace`;
}
