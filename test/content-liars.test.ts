/** Content among peers who lie about bytes, sizes and offsets. */
import { describe, expect, it } from 'vitest';
import { WHETHER } from '../sdk/sync/content/words.ts';
import { CONTENT_PIECE_BYTES, MAX_CONTENT_BYTES } from '../sdk/wire/limits.ts';
import { asked, bytesOf, code, ContentRig, encodePiece, gives, idOf, liar, pieces, same, wordsOf } from './content-rig.ts';

const PIECE = CONTENT_PIECE_BYTES;

describe('who lies', () => {
  it('[CO3] [CO4] about the bytes is found out by the hash, not asked again, and an honest one gives them', async () => {
    const bytes = bytesOf(100_000);
    for (const other of [bytesOf(100_000, 2), bytesOf(90_000), bytesOf(100_001), Uint8Array.from([...bytes.subarray(0, 99_999), 1])]) {
      const rig = new ContentRig(3, 2);
      await rig.settled(rig.seats[1]!.content.share(bytes));
      // The honest one is slower to answer.
      rig.onSend = ({ from, at }) => from !== 1 || at > 1_003;
      liar(rig, 2, gives(other));
      const all = asked(rig);
      const [ann] = rig.seats;
      const found = ann!.content.fetch(idOf(bytes));
      expect(same(await rig.settled(found), bytes)).toBe(true);
      expect(ann!.drops).toEqual(['content-hash']);
      expect(pieces(all, 2)).toHaveLength(Math.ceil(other.length / PIECE));
      // Nor is it when the same is looked for anew.
      ann!.content.forget(idOf(bytes));
      all.length = 0;
      expect(same(await rig.settled(ann!.content.fetch(idOf(bytes))), bytes)).toBe(true);
      expect(all.filter(({ to }) => to === 2)).toEqual([]);
      // Another block may be the truth.
      expect(await rig.settled(code(ann!.content.fetch(idOf(other))))).toBe('resolved');
    }
  });

  it('[CO3] alone with who looks for it gives nothing to the game, and nothing is held or given on', async () => {
    const rig = new ContentRig(3, 2);
    liar(rig, 2, gives(bytesOf(50_000, 7)));
    const [ann, bob] = rig.seats;
    const id = idOf(bytesOf(50_000));
    expect(await rig.settled(code(ann!.content.fetch(id, { timeoutMs: 3_000 })))).toBe('timeout');
    expect([ann!.content.has(id), ann!.drops]).toEqual([false, ['content-hash']]);
    expect(await rig.settled(code(bob!.content.fetch(id, { timeoutMs: 1_000 })))).toBe('timeout');
  });

  it('[CO4] in the middle of somebody else’s block spoils that one time, and then all of it comes from one', async () => {
    const bytes = bytesOf(20 * PIECE);
    const rig = new ContentRig(4, 3);
    for (const seat of rig.seats.slice(1)) await rig.settled(seat.content.share(bytes));
    liar(rig, 3, gives(bytesOf(20 * PIECE, 9)));
    // The liar is the only one who answers quickly, then leaves it to others; first of all an honest one gives a part.
    const all = asked(rig);
    const ann = rig.seats[0]!;
    const found = ann.content.fetch(idOf(bytes));
    await rig.play(9);
    const first = all.find(({ offset }) => offset === 0)!.to;
    rig.leave(first);
    expect(same(await rig.settled(found), bytes)).toBe(true);
    rig.come(first);
    if (first !== 3) expect(ann.drops.filter((reason) => reason === 'content-hash').length).toBeLessThanOrEqual(2);
  });

  it('[CO4] with parts of several, nobody is accused for it: the honest ones give it from its beginning', async () => {
    const bytes = bytesOf(12 * PIECE);
    const rig = new ContentRig(3, 2);
    const [ann, bob] = rig.seats;
    await rig.settled(bob!.content.share(bytes));
    // It gives four pieces of something else and is gone; Bob gives the rest, and the whole is wrong.
    const other = bytesOf(12 * PIECE, 3);
    rig.onSend = ({ from, at }) => from !== 1 || at > 1_030;
    liar(rig, 2, (hash, offset) => (offset !== WHETHER && offset >= 4 * PIECE ? undefined : gives(other)(hash, offset)));
    const all = asked(rig);
    const found = ann!.content.fetch(idOf(bytes));
    await rig.play(40);
    rig.leave(2);
    expect(same(await rig.settled(found), bytes)).toBe(true);
    expect(ann!.drops).toEqual(['content-hash']);
    expect(pieces(all, 1).filter((offset) => offset === 5 * PIECE)).toHaveLength(2);
    expect(pieces(all, 1).filter((offset) => offset === 0)).toHaveLength(1);
  });

  it('[CO4] now and then, between pieces of one who lags, spoils a block once: from then on it is not mixed', async () => {
    const bytes = bytesOf(12 * PIECE);
    const rig = new ContentRig(3, 2);
    const [ann, bob] = rig.seats;
    await rig.settled(bob!.content.share(bytes));
    // Bob says nothing after each sixth piece, for as long as he is waited for; the liar gives two pieces at a time.
    let given = 0;
    let quietUntil = 0;
    let quiets = 0;
    rig.onSend = ({ from, bytes: said }) => {
      if (from !== 1) return true;
      if (rig.now < quietUntil) return false;
      const words = wordsOf(said)!;
      if (words.type === 24 && words.offset !== WHETHER && ++given % 6 === 0 && quiets < 4) {
        quiets++;
        quietUntil = rig.now + 2_500;
      }
      return true;
    };
    let lies = 0;
    let liedAt = 0;
    liar(rig, 2, (hash, offset) => {
      if (offset === WHETHER) return gives(bytes)(hash, offset);
      if (rig.now - liedAt > 400) lies = 0;
      liedAt = rig.now;
      return ++lies > 2 ? undefined : gives(bytesOf(12 * PIECE, 8))(hash, offset);
    });
    expect(same(await rig.settled(ann!.content.fetch(idOf(bytes), { timeoutMs: 60_000 })), bytes)).toBe(true);
    expect(quiets).toBe(4);
    // Once mixed, and once the liar's own, which names it.
    expect(ann!.drops.filter((drop) => drop === 'content-hash')).toHaveLength(2);
  });

  it('[CO3] [CO5] about sizes and offsets is refused at once, and honest pieces that have come are not thrown away for it', async () => {
    const bytes = bytesOf(40 * PIECE);
    const full = bytesOf(PIECE, 5);
    type Answer = (hash: Uint8Array, offset: number) => Uint8Array;
    const lies: readonly (readonly [string, Answer])[] = [
      ['content-size', (hash, offset) => encodePiece(hash, bytes.length, offset, full.subarray(1))],
      ['content-size', (hash, offset) => encodePiece(hash, Math.max(1, offset), offset, full)],
      ['content-size', (hash, offset) => encodePiece(hash, offset + 5, offset, full)],
      ['content-unasked', (hash, offset) => encodePiece(hash, bytes.length, offset + PIECE * 30, full)],
      ['content-unasked', (hash, offset) => encodePiece(hash, bytes.length, offset + 1, full)],
      ['content-unasked', (hash) => encodePiece(hash, bytes.length, WHETHER, full)],
      ['content-malformed', (hash, offset) => encodePiece(hash, MAX_CONTENT_BYTES + 1, offset, full)],
      ['content-malformed', (hash, offset) => encodePiece(hash, 0, offset, full)],
      ['content-malformed', (hash, offset) => encodePiece(hash, bytes.length, offset, bytesOf(PIECE + 1))],
      ['content-malformed', (hash, offset) => encodePiece(hash.subarray(1), bytes.length, offset, full)],
    ];
    for (const [reason, lie] of lies) {
      const rig = new ContentRig(3, 2);
      const [ann, bob] = rig.seats;
      await rig.settled(bob!.content.share(bytes));
      // Ten pieces of Bob's come first.
      const all = asked(rig);
      let isBobQuiet = false;
      const before = rig.onSend;
      rig.onSend = (said) => (said.from === 1 && isBobQuiet ? false : before?.(said));
      let lied = 0;
      const whether = new Uint8Array(0);
      liar(rig, 2, (hash, offset) => {
        if (offset === WHETHER) return isBobQuiet ? encodePiece(hash, bytes.length, WHETHER, whether) : undefined;
        lied++;
        return lie(hash, offset);
      });
      const found = ann!.content.fetch(idOf(bytes));
      await rig.play(200, () => pieces(all, 1).length >= 14);
      isBobQuiet = true;
      await rig.play(60_000, () => lied > 0);
      await rig.play(20);
      isBobQuiet = false;
      expect(same(await rig.settled(found), bytes)).toBe(true);
      expect(ann!.drops).toContain(reason);
      expect(ann!.drops.filter((drop) => drop === 'content-hash')).toEqual([]);
      // What was here was not asked for again.
      expect(pieces(all, 1).filter((offset) => offset < 8 * PIECE)).toHaveLength(8);
    }
  });

  it('[CO17] about how large it is takes up nobody who fetches a small block, and keeps nobody from it', async () => {
    const bytes = bytesOf(3 * PIECE);
    const rig = new ContentRig(3, 2);
    const [ann, bob] = rig.seats;
    await rig.settled(bob!.content.share(bytes));
    const all = asked(rig);
    // The first to answer says that it is small, and gives a large one.
    const before = rig.onSend;
    rig.onSend = (said) => (said.from === 1 && said.at < 3_000 ? false : before?.(said));
    liar(rig, 2, (hash, offset) =>
      offset === WHETHER ? encodePiece(hash, PIECE, WHETHER, new Uint8Array(0)) : gives(bytesOf(MAX_CONTENT_BYTES))(hash, offset),
    );
    expect(same(await rig.settled(ann!.content.fetch(idOf(bytes), { maxBytes: bytes.length })), bytes)).toBe(true);
    expect(pieces(all, 2).length).toBeLessThan(12);
    expect(new Set(ann!.drops)).toEqual(new Set(['content-size']));
  });

  it('[CO4] that there is more of it than there is, and is gone, keeps nobody from finding it', async () => {
    for (const size of [PIECE - 1, 3 * PIECE]) {
      const bytes = bytesOf(size);
      const rig = new ContentRig(3, 2);
      const [ann, bob] = rig.seats;
      await rig.settled(bob!.content.share(bytes));
      rig.onSend = ({ from, at }) => from !== 1 || at > 1_010;
      liar(rig, 2, (hash, offset) => (offset === WHETHER || offset === 0 ? gives(bytesOf(MAX_CONTENT_BYTES))(hash, offset) : undefined));
      const found = ann!.content.fetch(idOf(bytes));
      await rig.play(10);
      rig.leave(2);
      expect(same(await rig.settled(found, 3_000), bytes)).toBe(true);
    }
  });

  it('[CO4] about the size of a block of which others gave a part, has its way once at most', async () => {
    const bytes = bytesOf(30 * PIECE);
    const rig = new ContentRig(3, 2);
    const [ann, bob] = rig.seats;
    await rig.settled(bob!.content.share(bytes));
    let isBobQuiet = false;
    const all = asked(rig);
    const before = rig.onSend;
    rig.onSend = (said) => (said.from === 1 && isBobQuiet ? false : before?.(said));
    liar(rig, 2, (hash, offset) => (isBobQuiet ? gives(bytesOf(31 * PIECE, 4))(hash, offset) : undefined));
    const found = ann!.content.fetch(idOf(bytes));
    for (let i = 0; i < 3; i++) {
      await rig.play(10);
      isBobQuiet = true;
      await rig.play(2_500);
      isBobQuiet = false;
    }
    expect(same(await rig.settled(found), bytes)).toBe(true);
    expect(ann!.drops.filter((drop) => drop === 'content-hash').length).toBeLessThanOrEqual(1);
    expect(pieces(all, 2).length).toBeLessThanOrEqual(2 * 31);
  });
});
