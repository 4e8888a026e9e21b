/**
 * Assertions for our own bugs. They are always on, in production too: a violated invariant that
 * runs on turns one bug into many. Bytes from outside are never checked here (they are dropped with
 * a reason), callers' mistakes are never checked here (they throw `LanError`).
 */

/** Throws when `condition` is false: this is our bug, not the caller's and not the network's. */
export function assert(condition: unknown, claim: string): asserts condition {
  if (!condition) throw new Error(`lanista: broken invariant: ${claim}`);
}
