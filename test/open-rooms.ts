/**
 * Rooms of any game over the in-memory port under a virtual clock: for tests that need a game of their own.
 */
import type { AnyGame, Room } from 'lanista';
import { openMemoryRooms } from 'lanista/testing';
import type { MemoryHub, MemoryHubOptions } from '../sdk/port/memory.ts';

/** `count` members of one room, all of whom know each other. */
export async function openRooms<G extends AnyGame>(
  game: G,
  count: number,
  options: MemoryHubOptions = {},
): Promise<{ readonly hub: MemoryHub; readonly rooms: readonly Room<G>[] }> {
  return openMemoryRooms(game, count, { ...options, name: 'den', presence: () => ({}) as never });
}

/** Lets time pass until `promise` settles. */
export async function settled<T>(hub: MemoryHub, promise: Promise<T>): Promise<T> {
  let done = false;
  const seen = promise.finally(() => (done = true));
  seen.catch(() => undefined);
  for (let i = 0; i < 4_000 && !done; i++) await hub.play(5);
  if (!done) throw new Error('still waiting after 20 s');
  return seen;
}
