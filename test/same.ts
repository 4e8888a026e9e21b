/** Equality for many values or large ones. */
import { isDeepStrictEqual } from 'node:util';
import { expect } from 'vitest';

/**
 * What `expect(actual).toEqual(expected)` says, a hundred times as fast when they are equal: its own comparison costs microseconds per byte,
 * and tests that decode thousands of packets would do little else.
 */
export function expectSame(actual: unknown, expected: unknown, message?: string): void {
  if (!isDeepStrictEqual(actual, expected)) expect(actual, message).toEqual(expected);
}

/** The same for `toBeLessThanOrEqual`, of thousands of numbers. */
export function expectAtMost(actual: number, bound: number, message?: string): void {
  if (!(actual <= bound)) expect(actual, message).toBeLessThanOrEqual(bound);
}
