/**
 * Rooms of any game over the in-memory port under a virtual clock: for tests that need a game of their own.
 */
import { expect } from 'vitest';
import type { AnyGame, Room } from 'lanista';
import type { MemoryHubOptions } from '../sdk/port/memory.ts';
import { createMemoryLan, MemoryHub } from '../sdk/port/memory.ts';
import { createLan } from '../sdk/room/lan.ts';

/** `count` members of one room, all of whom know each other. */
export async function openRooms<G extends AnyGame>(
  game: G,
  count: number,
  options: MemoryHubOptions = {},
): Promise<{ readonly hub: MemoryHub; readonly rooms: readonly Room<G>[] }> {
  const hub = new MemoryHub({ latencyMs: 2, ...options });
  const rooms: Room<G>[] = [];
  for (let i = 0; i < count; i++) {
    const lan = createLan(game, createMemoryLan(hub, game), { presence: {} as never, randomU32: () => hub.rng.u32() });
    void lan.joinOrCreate({ name: 'den' }).then((room) => rooms.push(room));
    for (let k = 0; k < 1_500 && rooms.length <= i; k++) await hub.play(5);
  }
  expect(rooms).toHaveLength(count);
  await hub.play(100);
  return { hub, rooms };
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
