/** How much of content is taken, and kept while it comes. */
import { describe, expect, it } from 'vitest';
import type { LanError } from '../sdk/base/errors.ts';
import { WHETHER } from '../sdk/sync/content/words.ts';
import { CONTENT_PIECE_BYTES, MAX_CONTENT_BYTES, MAX_CONTENT_TRANSFERS } from '../sdk/wire/limits.ts';
import { asked, bytesOf, code, ContentRig, encodePiece, idOf, liar, pieces, same } from './content-rig.ts';

const PIECE = CONTENT_PIECE_BYTES;

describe('how much is taken', () => {
  it('[CO17] is told: of a larger block no piece is asked for, and who fetches it hears why', async () => {
    const rig = new ContentRig(2);
    const [ann, bob] = rig.seats;
    const bytes = bytesOf(2 * PIECE);
    const id = await rig.settled(bob!.content.share(bytes));
    const all = asked(rig);
    const failed = ann!.content.fetch(id, { maxBytes: bytes.length - 1, timeoutMs: 3_000 }).catch((error: LanError) => error);
    expect(await rig.settled(failed)).toMatchObject({ code: 'timeout', hint: expect.stringContaining('larger than maxBytes') });
    expect([pieces(all, 1), ann!.drops, ann!.content.has(id)]).toEqual([[], [], false]);
    expect(same(await rig.settled(ann!.content.fetch(id, { maxBytes: bytes.length })), bytes)).toBe(true);
    expect(await code(ann!.content.fetch(id, { maxBytes: bytes.length - 1 }))).toBe('too-large');
  });

  it('[CO17] is each caller’s own: one that takes less hears of it, and one that took more takes its transfer along', async () => {
    const rig = new ContentRig(2);
    const [ann, bob] = rig.seats;
    const bytes = bytesOf(100 * PIECE);
    const id = await rig.settled(bob!.content.share(bytes));
    const all = asked(rig);
    const less = code(ann!.content.fetch(id, { maxBytes: PIECE, timeoutMs: 5_000 }));
    const leaving = new AbortController();
    const more = code(ann!.content.fetch(id, { signal: leaving.signal }));
    await rig.play(30);
    leaving.abort();
    await rig.play(20);
    const { length } = pieces(all, 1);
    expect([await more, length > 8, length < 60]).toEqual(['aborted', true, true]);
    await rig.play(3_000);
    // No piece more, though it goes on looking.
    expect(pieces(all, 1)).toHaveLength(length);
    expect(same(await rig.settled(ann!.content.fetch(id)), bytes)).toBe(true);
    expect(await less).toBe('too-large');
  });
});

describe('memory', () => {
  it('[CO5] grows with what has come: of what is only promised nothing is kept, and of unfinished blocks four', async () => {
    const rig = new ContentRig(2, 1);
    const [ann] = rig.seats;
    // It says 4 MiB of each, gives some pieces of each, and then nothing more.
    const given = new Map<string, number>();
    liar(rig, 1, (hash, offset) => {
      const key = Buffer.from(hash).toString('hex');
      if (offset !== WHETHER && (given.get(key) ?? 0) >= 3) return undefined;
      if (offset !== WHETHER) given.set(key, (given.get(key) ?? 0) + 1);
      return encodePiece(hash, MAX_CONTENT_BYTES, offset, new Uint8Array(offset === WHETHER ? 0 : PIECE));
    });
    const all = asked(rig);
    const names = Array.from({ length: 12 }, (_, i) => idOf(bytesOf(10, i)));
    const waits = names.map((name) => code(ann!.content.fetch(name, { timeoutMs: 20_000 })));
    await rig.play(19_000);
    // Each had its turn, and none of them kept the others from it.
    expect([...given.values()]).toEqual(names.map(() => 3));
    // What gave way is asked for from its beginning.
    expect(all.filter(({ offset }) => offset === 0).length).toBeGreaterThan(names.length);
    expect(all.filter(({ offset }) => offset === 3 * PIECE).length).toBeGreaterThan(MAX_CONTENT_TRANSFERS);
    await rig.play(1_100);
    expect(new Set(await Promise.all(waits))).toEqual(new Set(['timeout']));
  });
});
