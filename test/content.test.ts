/** `room.content` over rooms in memory: what a game sees of it. */
import { describe, expect, it } from 'vitest';
import { defineGame, entity, s } from '../sdk/index.ts';
import { openMemoryRooms } from '../sdk/testing/index.ts';
import { bytesOf, code, same } from './content-rig.ts';

const game = defineGame({
  id: 'den',
  version: 1,
  presence: { name: s.text(8).default('') },
  entities: { board: entity({ authority: 'host', fields: { map: s.text(43).default('') } }) },
});

const LARGEST = 4 * 1_024 * 1_024;
describe('content', () => {
  it('[CO1] what one shares another fetches by the name in the state, whatever its size', async () => {
    const { rooms, settled, play } = await openMemoryRooms(game, 3);
    const [ann, bob, eve] = rooms;
    const board = ann.entities.spawn('board', {});
    for (const size of [1, 2, 16_383, 16_384, 16_385, 32_768, 100_000, LARGEST]) {
      const bytes = bytesOf(size);
      board.map = await settled(ann.content.share(bytes));
      await play(200);
      const told = [...bob.entities.all('board')][0]!.map;
      expect(told).toMatch(/^[A-Za-z0-9_-]{43}$/);
      expect([ann.content.has(told), bob.content.has(told)]).toEqual([true, false]);
      expect(same(await settled(bob.content.fetch(told)), bytes)).toBe(true);
      expect(bob.content.has(told)).toBe(true);
    }
    expect(eve.content.has(board.map)).toBe(false);
    for (const room of rooms) expect(room.stats().drops).toEqual({});
  });

  it('[CO1] a newcomer and a page that was reloaded fetch what the others have, also after the one who shared it left', async () => {
    const { rooms, settled, play, join } = await openMemoryRooms(game, 2);
    const [ann, bob] = rooms;
    const bytes = bytesOf(300_000);
    const id = await settled(ann.content.share(bytes));
    await settled(bob.content.fetch(id));
    await settled(ann.leave());
    const eve = await join({});
    expect(same(await settled(eve.content.fetch(id)), bytes)).toBe(true);
    const anew = await join({}, { id: bob.self.id });
    expect(anew.content.has(id)).toBe(false);
    expect(same(await settled(anew.content.fetch(id)), bytes)).toBe(true);
    await play(100);
    expect([eve.stats().drops, anew.stats().drops]).toEqual([{}, {}]);
  });

  it('[CO6] a page that is reloaded while it gives or takes costs nobody the block', async () => {
    const { rooms, settled, play, join } = await openMemoryRooms(game, 3);
    const [ann, bob, eve] = rooms;
    const bytes = bytesOf(2_000_000);
    const id = await settled(ann.content.share(bytes));
    await settled(bob.content.fetch(id));
    const fetched = eve.content.fetch(id);
    await play(40);
    // Both begin anew, one with nothing.
    const gives = await join({}, { id: ann.self.id });
    expect(same(await settled(fetched), bytes)).toBe(true);
    expect(await code(bob.content.fetch(id))).toBe('resolved');
    void code(gives.content.fetch(id));
    await play(40);
    const again = await join({}, { id: ann.self.id });
    expect(same(await settled(again.content.fetch(id)), bytes)).toBe(true);
  });

  it('[CO7] goes on looking while nobody has it, until its time is over, and finds it with who comes, or shares it', async () => {
    const { rooms, settled, play, join, hub } = await openMemoryRooms(game, 2);
    const [ann, bob] = rooms;
    const bytes = bytesOf(50_000);
    const id = await settled(ann.content.share(bytes));
    expect(ann.content.forget(id)).toBe(true);
    const began = hub.now();
    expect(await settled(code(bob.content.fetch(id, { timeoutMs: 3_000 })))).toBe('timeout');
    expect(hub.now() - began).toBeGreaterThanOrEqual(3_000);
    expect(hub.now() - began).toBeLessThan(3_020);
    const found = bob.content.fetch(id);
    const shared = ann.content.fetch(id);
    await play(1_500);
    const eve = await join({});
    void eve.content.share(bytes);
    expect(same(await settled(found), bytes)).toBe(true);
    expect(same(await settled(shared), bytes)).toBe(true);
    // Who is away for a moment is asked when it is back.
    const away = await openMemoryRooms(game, 2);
    const name = await away.settled(away.rooms[0].content.share(bytes));
    away.setAway(away.rooms[0], true);
    const waits = away.rooms[1].content.fetch(name);
    await away.play(2_000);
    away.setAway(away.rooms[0], false);
    expect(same(await away.settled(waits), bytes)).toBe(true);
  });

  it('[CO8] two fetches of one name are one transfer, with a copy each', async () => {
    const { rooms, settled } = await openMemoryRooms(game, 2);
    const [ann, bob] = rooms;
    const bytes = bytesOf(200_000);
    const id = await settled(ann.content.share(bytes));
    const before = bob.stats().peers.get(ann.self.id)!.bytesIn;
    const [one, two] = await settled(Promise.all([bob.content.fetch(id), bob.content.fetch(id)]));
    expect(bob.stats().peers.get(ann.self.id)!.bytesIn - before).toBeLessThan(210_000);
    one!.fill(0);
    expect(same(two!, bytes)).toBe(true);
  });

  it('[CO8] each has a signal and a time of its own, and the transfer ends with the last of them', async () => {
    const { rooms, settled, play } = await openMemoryRooms(game, 2);
    const [ann, bob] = rooms;
    const bytes = bytesOf(LARGEST);
    const id = await settled(ann.content.share(bytes));
    const stop = new AbortController();
    const aborted = code(bob.content.fetch(id, { signal: stop.signal }));
    const late = code(bob.content.fetch(id, { timeoutMs: 60 }));
    const found = bob.content.fetch(id);
    await play(30);
    stop.abort('no more');
    expect(await settled(aborted)).toBe('aborted');
    expect(await settled(late)).toBe('timeout');
    expect(same(await settled(found), bytes)).toBe(true);
    expect(bob.content.forget(id)).toBe(true);
    const last = new AbortController();
    const alone = bob.content.fetch(id, { signal: last.signal });
    const codes = code(alone);
    await play(30);
    last.abort();
    expect(await settled(codes)).toBe('aborted');
    await play(50);
    const before = bob.stats().peers.get(ann.self.id)!.bytesIn;
    await play(1_000);
    expect(bob.stats().peers.get(ann.self.id)!.bytesIn - before).toBeLessThan(8_000);
    expect(bob.content.has(id)).toBe(false);
  });

  it('[CO13] what the game does to bytes it gave or got changes nothing, and what is forgotten is given to nobody', async () => {
    const { rooms, settled, play } = await openMemoryRooms(game, 3);
    const [ann, bob, eve] = rooms;
    const bytes = bytesOf(70_000);
    const mine = bytes.slice();
    const sharing = ann.content.share(mine);
    mine.fill(0);
    const id = await settled(sharing);
    (await settled(bob.content.fetch(id))).fill(0);
    (await settled(bob.content.fetch(id))).fill(1);
    await settled(ann.leave());
    expect(same(await settled(eve.content.fetch(id)), bytes)).toBe(true);
    expect([eve.content.forget(id), eve.content.forget(id), eve.content.has(id)]).toEqual([true, false, false]);
    expect(bob.content.forget(id)).toBe(true);
    expect(await settled(code(eve.content.fetch(id, { timeoutMs: 1_000 })))).toBe('timeout');
    // Shared again, it has the name it had.
    expect(await settled(bob.content.share(bytes))).toBe(id);
    await play(100);
    expect(bob.stats().drops).toEqual({});
  });

  it('[CO12] what is shared never gives way, what was fetched does, the oldest first; too much is refused', async () => {
    const { rooms, settled } = await openMemoryRooms(game, 2);
    const [ann, bob] = rooms;
    const ids: string[] = [];
    for (let i = 0; i < 7; i++) ids.push(await settled(ann.content.share(bytesOf(LARGEST, i))));
    const own = await settled(bob.content.share(bytesOf(LARGEST, 100)));
    for (const id of ids) await settled(bob.content.fetch(id));
    expect(ids.every((id) => bob.content.has(id))).toBe(true);
    const more = await settled(ann.content.share(bytesOf(1_000, 200)));
    await settled(bob.content.fetch(more));
    expect(ids.map((id) => bob.content.has(id))).toEqual([false, true, true, true, true, true, true]);
    expect([bob.content.has(own), bob.content.has(more)]).toEqual([true, true]);
    // Of what is on the way nothing is held yet, but it counts.
    const both = [ann.content.share(bytesOf(LARGEST - 1_000, 300)), ann.content.share(bytesOf(1_000, 301))];
    expect(await settled(Promise.all(both.map(code)))).toEqual(['resolved', 'too-large']);
    expect(await settled(code(ann.content.share(bytesOf(1, 302))))).toBe('too-large');
    expect(ids.every((id) => ann.content.has(id))).toBe(true);
    ann.content.forget(ids[0]!);
    expect(await settled(code(ann.content.share(bytesOf(1, 302))))).toBe('resolved');
    // What the game shares itself is its own from then on.
    for (let i = 0; i < 7; i++) await settled(bob.content.share(bytesOf(LARGEST, i === 0 ? 400 : i)));
    expect(ids.slice(1).every((id) => bob.content.has(id))).toBe(true);
    expect(await settled(code(bob.content.share(bytesOf(1, 500))))).toBe('too-large');
    // There is no place for it here, and the game gets it all the same.
    expect((await settled(bob.content.fetch(more))).length).toBe(1_000);
    expect(bob.content.has(more)).toBe(false);
  });

  it('[CO16] refuses what is no content, no name and no option, and ends with the room', async () => {
    const { rooms, settled, play } = await openMemoryRooms(game, 2);
    const [ann, bob] = rooms;
    const share = ann.content.share as (bytes: unknown) => Promise<string>;
    const fetch = ann.content.fetch as (id: unknown, options?: unknown) => Promise<Uint8Array>;
    for (const wrong of [undefined, null, 'text', [1, 2], new Uint16Array(2), new ArrayBuffer(4), new Uint8Array(0)])
      expect(await code(share(wrong))).toBe('bad-argument');
    expect(await code(share(new Uint8Array(LARGEST + 1)))).toBe('too-large');
    // Node's own kind of bytes is one.
    const id = await settled(share(Buffer.from('hello')));
    for (const wrong of [undefined, 7, '', id.slice(1), `${id}A`, `${id.slice(0, 42)}!`, id.replace(/.$/, 'B')])
      expect(await code(fetch(wrong))).toBe('bad-argument');
    for (const wrong of [
      null,
      [],
      { timeout: 3 },
      { timeoutMs: 'x' },
      { timeoutMs: Number.NaN },
      { maxBytes: 0 },
      { maxBytes: 1.5 },
      { maxBytes: LARGEST + 1 },
      { signal: {} },
    ])
      expect(await code(fetch(id, wrong))).toBe('bad-argument');
    expect(await code(fetch(id, { signal: AbortSignal.abort() }))).toBe('aborted');
    // At once, without anybody.
    expect(Buffer.from(await ann.content.fetch(id)).toString()).toBe('hello');
    const waits = [code(ann.content.fetch('A'.repeat(43))), code(ann.content.share(bytesOf(9)))];
    await settled(ann.leave());
    expect(await Promise.all(waits)).toEqual(['closed', 'closed']);
    expect([await code(ann.content.fetch(id)), await code(ann.content.share(bytesOf(9))), ann.content.has(id)]).toEqual(['closed', 'closed', false]);
    expect(Object.keys(ann.content)).toEqual(['share', 'fetch', 'has', 'forget']);
    // So many are looked for, and not one more.
    const names = Array.from({ length: 65 }, (_, i) => `${String.fromCharCode(65 + (i % 26))}${Math.floor(i / 26)}${'A'.repeat(41)}`);
    const asked = names.map((name) => code(bob.content.fetch(name, { timeoutMs: 500 })));
    expect(await asked[64]).toBe('queue-full');
    await play(600);
    expect(new Set(await Promise.all(asked.slice(0, 64)))).toEqual(new Set(['timeout']));
  });
});
