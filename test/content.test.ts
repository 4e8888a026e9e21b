/** `room.content` over rooms in memory. */
import { describe, expect, it } from 'vitest';
import { defineGame, s } from '../sdk/index.ts';
import { openMemoryRooms } from '../sdk/testing/index.ts';

const game = defineGame({ id: 'den', version: 1, presence: { name: s.text(8).default('') } });

function bytesOf(size: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let i = 0, x = seed; i < size; i++) {
    x = (Math.imul(x, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[i] = x >>> 24;
  }
  return bytes;
}

describe('content', () => {
  it('what one shares, another fetches by its name', async () => {
    const { rooms, settled } = await openMemoryRooms(game, 2);
    const [ann, bob] = rooms;
    for (const size of [1, 16_383, 16_384, 16_385, 1_000_000, 4 * 1_024 * 1_024]) {
      const bytes = bytesOf(size);
      const id = await settled(ann.content.share(bytes));
      expect(id).toMatch(/^[A-Za-z0-9_-]{43}$/);
      const found = await settled(bob.content.fetch(id));
      expect(found.length === size && found.every((byte, i) => byte === bytes[i])).toBe(true);
    }
    expect(bob.stats().drops).toEqual({});
  });
});
