/**
 * Calling what somebody else wrote. A callback may throw, or be async and reject later: both are told to the same place, and neither stops who calls.
 */
import { LanError } from './errors.ts';

/** Runs `run` and gives what it hands back; undefined when it throws. `failed` is told of what it throws, or rejects with. */
export function callGuarded<T>(run: () => T, failed: (cause: unknown) => void): T | undefined {
  try {
    const result = run();
    // A promise that nobody waits for would end a Node process when it rejects.
    if (isThenable(result)) result.then(undefined, failed);
    return result;
  } catch (error) {
    failed(error);
    return undefined;
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as Partial<PromiseLike<unknown>>).then === 'function';
}

/** Refuses what cannot be called where it is given, not where it would be called. Throws `bad-argument`. */
export function assertCallback(what: string, fn: unknown): void {
  if (typeof fn !== 'function') throw new LanError('bad-argument', `${what}: expected a function, got ${fn === null ? 'null' : typeof fn}.`);
}
