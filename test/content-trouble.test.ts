/** Content among peers who lag, leave, and say what nobody asked for; what they may make each other keep and do. */
import { describe, expect, it } from 'vitest';
import { WHETHER } from '../sdk/sync/content/words.ts';
import { CONTENT_PIECE_BYTES, CONTENT_QUEUE_BYTES, CONTENT_WINDOW, MAX_CONTENT_BYTES, MAX_CONTENT_QUEUE_BYTES } from '../sdk/wire/limits.ts';
import type { Said } from './content-rig.ts';
import {
  asked,
  bytesOf,
  code,
  ContentRig,
  encodeAsk,
  encodeNone,
  encodePiece,
  gives,
  IDS,
  idOf,
  liar,
  pieces,
  same,
  sha256,
  wordsOf,
} from './content-rig.ts';

const PIECE = CONTENT_PIECE_BYTES;

describe('who gives', () => {
  it('[CO9] is asked for four pieces at a time, and again for one that it did not answer', async () => {
    const bytes = bytesOf(64 * PIECE);
    const rig = new ContentRig(2);
    const [ann, bob] = rig.seats;
    await rig.settled(bob!.content.share(bytes));
    const all = asked(rig);
    let under = 0;
    let most = 0;
    const lost = new Set([0, 7 * PIECE, 21 * PIECE, 63 * PIECE]);
    const before = rig.onSend;
    rig.onSend = (said: Said) => {
      const words = wordsOf(said.bytes)!;
      if (words.type === 23 && words.offset !== WHETHER) most = Math.max(most, ++under);
      if (words.type === 24 && words.offset !== WHETHER) {
        under--;
        // Not answered, once.
        if (lost.delete(words.offset)) return false;
      }
      return before?.(said);
    };
    const began = rig.now;
    expect(same(await rig.settled(ann!.content.fetch(idOf(bytes))), bytes)).toBe(true);
    expect(most).toBe(CONTENT_WINDOW);
    const offsets = pieces(all, 1);
    for (const offset of [7 * PIECE, 21 * PIECE]) expect(offsets.filter((one) => one === offset)).toHaveLength(2);
    expect(offsets).toHaveLength(64 + 4);
    // One in the middle costs no time: the next one shows that it is missing. The first and the last wait for it, that one for longer.
    expect(rig.now - began).toBeLessThan(1_800);
    expect([ann!.drops, bob!.drops]).toEqual([[], []]);
  });

  it('[CO9] a piece in the middle that is not answered costs no time, and a silence between pieces makes nobody one who lags', async () => {
    const bytes = bytesOf(64 * PIECE);
    for (const silent of [false, true]) {
      const rig = new ContentRig(2);
      const [ann, bob] = rig.seats;
      await rig.settled(bob!.content.share(bytes));
      const all = asked(rig);
      const lost = new Set([7 * PIECE, 8 * PIECE, 30 * PIECE]);
      const before = rig.onSend;
      let silence = 0;
      rig.onSend = (said: Said) => {
        const words = wordsOf(said.bytes)!;
        if (words.type !== 24 || words.offset === WHETHER) return before?.(said);
        // A window of them, twice.
        if (silent && silence < 2 && words.offset >= (silence + 1) * 20 * PIECE) {
          if (words.offset === ((silence + 1) * 20 + CONTENT_WINDOW - 1) * PIECE) silence++;
          return false;
        }
        if (!silent && lost.delete(words.offset)) return false;
        return before?.(said);
      };
      const began = rig.now;
      expect(same(await rig.settled(ann!.content.fetch(idOf(bytes))), bytes)).toBe(true);
      expect(rig.now - began).toBeLessThan(silent ? 1_800 : 200);
      expect(all.filter(({ offset }) => offset === WHETHER)).toHaveLength(1);
      expect(ann!.drops).toEqual([]);
    }
  });

  it('[CO6] who lagged is asked again only when nobody else answers within a moment', async () => {
    const bytes = bytesOf(2 * PIECE);
    const rig = new ContentRig(3, 2);
    const [ann, bob] = rig.seats;
    await rig.settled(bob!.content.share(bytes));
    // The other one says at once that it has it, and gives nothing; Bob's first answers are lost, and the next come a little later.
    const late: Said[] = [];
    rig.onSend = (said) => {
      if (said.from !== 1) return true;
      if (wordsOf(said.bytes)!.type === 24 && said.at < 1_300) return false;
      late.push(said);
      return false;
    };
    liar(rig, 2, (hash, offset) => (offset === WHETHER ? gives(bytes)(hash, offset) : undefined));
    const all = asked(rig);
    let isOver = false;
    const found = ann!.content.fetch(idOf(bytes)).finally(() => (isOver = true));
    while (!isOver && rig.now < 20_000) {
      await rig.play(1);
      for (const said of late.splice(0).filter((one) => one.at + 60 > rig.now || rig.say(1, 0, one.bytes))) late.push(said);
    }
    expect(same(await found, bytes)).toBe(true);
    expect(pieces(all, 2)).toEqual([0]);
  });

  it('[CO7] who comes is asked at once', async () => {
    const rig = new ContentRig(3, 1);
    const [ann] = rig.seats;
    const all = asked(rig);
    rig.present.delete(2);
    const wakes = ann!.wakes;
    const wait = code(ann!.content.fetch(idOf(bytesOf(9)), { timeoutMs: 6_000 }));
    expect(ann!.wakes).toBe(wakes + 1);
    await rig.play(3_100);
    all.length = 0;
    rig.come(2);
    await rig.play(2);
    expect(all.map(({ to }) => to)).toEqual([2]);
    await rig.play(3_000);
    expect(await wait).toBe('timeout');
  });

  it('[CO9] what nobody asked for is dropped and counted: of another block, of another peer, twice', async () => {
    const bytes = bytesOf(5 * PIECE);
    const rig = new ContentRig(3, 2);
    const [ann, bob] = rig.seats;
    const hash = sha256(bytes);
    const piece = (at: number): Uint8Array => encodePiece(hash, bytes.length, at * PIECE, bytes.subarray(at * PIECE, (at + 1) * PIECE)).slice();
    for (const said of [piece(0), encodePiece(hash, 7, WHETHER, new Uint8Array(0)).slice()]) rig.say(2, 0, said);
    await rig.play(5);
    expect(ann!.drops.splice(0)).toEqual(['content-unasked', 'content-unasked']);
    await rig.settled(bob!.content.share(bytes));
    const found = ann!.content.fetch(idOf(bytes));
    await rig.play(4);
    // Asked of Bob.
    for (let i = 0; i < 5; i++) rig.say(2, 0, piece(i));
    rig.say(1, 0, piece(4));
    await rig.settled(found);
    rig.say(1, 0, piece(1));
    await rig.play(5);
    expect(new Set(ann!.drops)).toEqual(new Set(['content-unasked']));
    expect(ann!.drops.length).toBeGreaterThanOrEqual(6);
  });

  it('[CO6] is left for another one when it goes, says that it has none, or stops answering, and what has come is not asked for again', async () => {
    const bytes = bytesOf(60 * PIECE);
    for (const how of ['leaves', 'none', 'silent', 'reloaded'] as const) {
      const rig = new ContentRig(3);
      const [ann, bob, eve] = rig.seats;
      for (const seat of [bob!, eve!]) await rig.settled(seat.content.share(bytes));
      const all = asked(rig);
      let quiet = -1;
      const before = rig.onSend;
      rig.onSend = (said) => (said.from === quiet ? false : before?.(said));
      const found = ann!.content.fetch(idOf(bytes));
      await rig.play(25);
      const first = all.find(({ offset }) => offset === 0)!.to;
      const had = pieces(all, first).length - CONTENT_WINDOW;
      expect(had).toBeGreaterThan(10);
      if (how === 'leaves') rig.leave(first);
      if (how === 'none') rig.seats[first]!.content.forget(idOf(bytes));
      if (how === 'silent') quiet = first;
      if (how === 'reloaded') rig.come(first);
      const began = rig.now;
      expect(same(await rig.settled(found), bytes)).toBe(true);
      expect(rig.now - began).toBeLessThan(how === 'silent' ? 2_500 : 200);
      expect(pieces(all, 3 - first).length).toBeLessThanOrEqual(60 - had);
      expect(ann!.drops.filter((drop) => drop !== 'content-unasked')).toEqual([]);
    }
  });

  it('[CO6] a little at a time gives way to somebody else who has it', async () => {
    const bytes = bytesOf(50 * PIECE);
    const rig = new ContentRig(3, 2);
    const [ann, bob] = rig.seats;
    const all = asked(rig);
    // A piece every 400 ms.
    const before = rig.onSend;
    let last = 0;
    rig.onSend = before;
    liar(rig, 2, (hash, offset) => {
      if (offset === WHETHER) return gives(bytes)(hash, offset);
      if (rig.now - last < 400) return undefined;
      last = rig.now;
      return gives(bytes)(hash, offset);
    });
    const found = ann!.content.fetch(idOf(bytes));
    await rig.play(1_000);
    await rig.settled(bob!.content.share(bytes));
    const began = rig.now;
    expect(same(await rig.settled(found), bytes)).toBe(true);
    expect(rig.now - began).toBeLessThan(8_000);
    expect(pieces(all, 1).length).toBeGreaterThan(20);
  });

  it('[CO6] on a line that takes two seconds there and back is waited for', async () => {
    const rig = new ContentRig(2);
    const [ann, bob] = rig.seats;
    const bytes = bytesOf(12 * PIECE);
    await rig.settled(bob!.content.share(bytes));
    rig.delayMs = 1_000;
    const all = asked(rig);
    expect(same(await rig.settled(ann!.content.fetch(idOf(bytes), { timeoutMs: 60_000 }), 60_000), bytes)).toBe(true);
    expect(pieces(all, 1).length).toBeLessThan(30);
  });

  it('[CO6] a link that began anew is asked again at once', async () => {
    const rig = new ContentRig(2);
    const [ann, bob] = rig.seats;
    const bytes = bytesOf(40 * PIECE);
    await rig.settled(bob!.content.share(bytes));
    const found = ann!.content.fetch(idOf(bytes));
    await rig.play(20);
    rig.queue = [];
    ann!.desk.linkAnew(IDS[1]!);
    const began = rig.now;
    expect(same(await rig.settled(found), bytes)).toBe(true);
    expect(rig.now - began).toBeLessThan(100);
  });

  it('[CO10] answers each question with one piece or none, and not at all while too much is on its way', async () => {
    const rig = new ContentRig(2, 1);
    const [ann] = rig.seats;
    const bytes = bytesOf(3 * PIECE + 5);
    await rig.settled(ann!.content.share(bytes));
    const hash = sha256(bytes);
    const heard: unknown[] = [];
    rig.onSend = ({ bytes: said }) => {
      const words = wordsOf(said)!;
      heard.push(words.type === 24 ? [words.size, words.offset, words.bytes.length] : words.type);
      return false;
    };
    const ask = async (of: Uint8Array, offset: number): Promise<unknown[]> => {
      rig.say(1, 0, encodeAsk(of, offset));
      await rig.play(3);
      return heard.splice(0);
    };
    const size = bytes.length;
    expect(await ask(hash, 0)).toEqual([[size, 0, PIECE]]);
    expect(await ask(hash, 3 * PIECE)).toEqual([[size, 3 * PIECE, 5]]);
    expect(await ask(hash, 17)).toEqual([[size, 17, PIECE]]);
    for (const beyond of [size, size + 1, MAX_CONTENT_BYTES, WHETHER]) expect(await ask(hash, beyond)).toEqual([[size, beyond, 0]]);
    expect(await ask(sha256(bytesOf(9)), 0)).toEqual([25]);
    ann!.queued = CONTENT_QUEUE_BYTES;
    expect(await ask(hash, 0)).toEqual([[size, 0, PIECE]]);
    ann!.queued = CONTENT_QUEUE_BYTES + 1;
    expect([await ask(hash, 0), await ask(hash, WHETHER), await ask(sha256(bytesOf(9)), 0)]).toEqual([[], [], []]);
    expect(ann!.drops).toEqual([]);
  });

  it('[CO10] answers nobody while a mebibyte is on its way to all of them, and everybody when it is less', async () => {
    const rig = new ContentRig(12, 1);
    const [ann] = rig.seats;
    const bytes = bytesOf(100);
    await rig.settled(ann!.content.share(bytes));
    let answers = 0;
    rig.onSend = () => {
      answers++;
      return false;
    };
    const ask = async (): Promise<number> => {
      for (const from of [1, 11]) rig.say(from, 0, encodeAsk(sha256(bytes), 0));
      await rig.play(3);
      return answers;
    };
    for (let i = 2; i < 11; i++) ann!.queuedTo.set(i, 120_000);
    expect(await ask()).toBe(0);
    ann!.queuedTo.set(2, 80_000);
    expect(await ask()).toBe(2);
  });

  it('[CO11] gives a large block to three at a time, and the next as soon as one has it or stops asking', async () => {
    const rig = new ContentRig(8, 1);
    const [ann] = rig.seats;
    const large = bytesOf(5 * PIECE);
    const small = bytesOf(4 * PIECE);
    for (const bytes of [large, small]) await rig.settled(ann!.content.share(bytes));
    const heard: [number, number, number][] = [];
    rig.onSend = ({ to, bytes }) => {
      const words = wordsOf(bytes)!;
      if (words.type === 24) heard.push([to, words.offset, words.bytes.length]);
      return false;
    };
    const ask = async (from: number, of: Uint8Array, offset: number): Promise<[number, number, number][]> => {
      rig.say(from, 0, encodeAsk(sha256(of), offset));
      await rig.play(3);
      return heard.splice(0);
    };
    for (const from of [1, 2, 3]) expect(await ask(from, large, PIECE)).toEqual([[from, PIECE, PIECE]]);
    expect([await ask(4, large, 0), await ask(4, large, WHETHER)]).toEqual([[[4, 0, 0]], []]);
    for (const from of [1, 4, 5]) expect(await ask(from, small, 0)).toEqual([[from, 0, PIECE]]);
    // The last of it, and the next one comes in.
    expect(await ask(2, large, 4 * PIECE)).toEqual([[2, 4 * PIECE, PIECE]]);
    expect([await ask(4, large, WHETHER), await ask(4, large, 0), await ask(5, large, 0)]).toEqual([[[4, WHETHER, 0]], [[4, 0, PIECE]], [[5, 0, 0]]]);
    ann!.desk.peerGone(IDS[1]!);
    expect([await ask(5, large, 0), await ask(6, large, 0)]).toEqual([[[5, 0, PIECE]], [[6, 0, 0]]]);
    // Who does not ask for a second takes nothing.
    await rig.play(900);
    expect(await ask(3, large, 0)).toEqual([[3, 0, PIECE]]);
    await rig.play(200);
    expect([(await ask(6, large, 0))[0]![2], (await ask(7, large, 0))[0]![2], (await ask(1, large, 0))[0]![2]]).toEqual([PIECE, PIECE, 0]);
  });
});

describe('words', () => {
  it('[CO15] of one peer make nobody look around more than four times a second, whatever it says', async () => {
    const bytes = bytesOf(6 * PIECE);
    const answers: readonly ((hash: Uint8Array, offset: number) => Uint8Array)[] = [
      // It has it and gives nothing; it has it, and then it has not; it gives something else each time under another name.
      (hash, offset) => encodePiece(hash, bytes.length, offset, new Uint8Array(0)),
      (hash, offset) => (offset === WHETHER ? encodePiece(hash, bytes.length, offset, new Uint8Array(0)) : encodeNone(hash)),
      (hash) => encodeNone(hash),
      (hash, offset) => encodePiece(hash, 1 + (offset % 7), offset, new Uint8Array(offset === WHETHER ? 0 : 1)),
    ];
    for (const answer of answers) {
      const rig = new ContentRig(3, 2);
      liar(rig, 2, answer);
      const all = asked(rig);
      const wait = code(rig.seats[0]!.content.fetch(idOf(bytes), { timeoutMs: 10_000 }));
      await rig.play(10_100);
      expect(await wait).toBe('timeout');
      expect(all.filter(({ to }) => to === 1).length).toBeLessThanOrEqual(41);
      expect(all.filter(({ to }) => to === 2).length).toBeLessThanOrEqual(2 * 41);
    }
  });

  it('[CO15] who says nothing is asked 32 times at most whether it has something, and again when it has said something', async () => {
    const rig = new ContentRig(2, 1);
    const [ann] = rig.seats;
    const all = asked(rig);
    const waits = Array.from({ length: 20 }, (_, i) => code(ann!.content.fetch(idOf(bytesOf(9, i)), { timeoutMs: 20_000 })));
    await rig.play(8_000);
    expect(all).toHaveLength(32);
    rig.say(1, 0, encodeNone(sha256(bytesOf(1))));
    await rig.play(2_500);
    expect(all).toHaveLength(64);
    ann!.desk.linkAnew(IDS[1]!);
    await rig.play(2_500);
    expect(all).toHaveLength(96);
    // What it asks itself counts as well.
    rig.say(1, 0, encodeAsk(sha256(bytesOf(1)), 0));
    await rig.play(9_000);
    expect(all).toHaveLength(128);
    expect(new Set(await Promise.all(waits))).toEqual(new Set(['timeout']));
  });

  it('[CO15] who has no place for another one says so, and is asked until it has', async () => {
    const rig = new ContentRig(5, 2);
    const [gives, ann] = rig.seats;
    const blocks = Array.from({ length: 9 }, (_, i) => bytesOf(6 * PIECE, i));
    for (const bytes of blocks) await rig.settled(gives!.content.share(bytes));
    // Three others take one for a while, and have none of what is wanted.
    const take = (): void => [2, 3, 4].forEach((taker) => rig.say(taker, 0, encodeAsk(sha256(blocks[0]!), 0)));
    take();
    await rig.play(2);
    const found = blocks.slice(1).map((bytes) => code(ann!.content.fetch(idOf(bytes))));
    for (let i = 0; i < 12; i++) {
      take();
      await rig.play(500);
    }
    for (const taker of [2, 3, 4]) rig.leave(taker);
    expect(await rig.settled(Promise.all(found))).toEqual(Array(8).fill('resolved'));
  });

  it('[CO10] [CO15] who has too much on its way to others says that it gives none, and is asked until it does', async () => {
    const rig = new ContentRig(3, 2);
    const [gives, ann] = rig.seats;
    const blocks = Array.from({ length: 16 }, (_, i) => bytesOf(30, i));
    for (const bytes of blocks) await rig.settled(gives!.content.share(bytes));
    gives!.queuedTo.set(2, MAX_CONTENT_QUEUE_BYTES + 1);
    const found = blocks.map((bytes) => code(ann!.content.fetch(idOf(bytes))));
    await rig.play(3_000);
    gives!.queuedTo.clear();
    expect(await rig.settled(Promise.all(found))).toEqual(Array(16).fill('resolved'));
  });

  it('[CO9] of a small block wait for no large one of the same peer', async () => {
    const rig = new ContentRig(2);
    const [gives, ann] = rig.seats;
    const [large, small] = [bytesOf(64 * PIECE), bytesOf(1_000, 2)];
    for (const bytes of [large, small]) await rig.settled(gives!.content.share(bytes));
    // 100 KB/s: ten seconds for all of it.
    let free = 0;
    rig.onSend = (said) => {
      if (said.from !== 0) return true;
      free = Math.max(free, rig.now) + said.bytes.length / 100;
      rig.queue.push({ ...said, at: free });
      return false;
    };
    const all = code(ann!.content.fetch(idOf(large)));
    await rig.play(500);
    const began = rig.now;
    expect(await rig.settled(code(ann!.content.fetch(idOf(small))))).toBe('resolved');
    expect(rig.now - began).toBeLessThan(3_000);
    expect(await rig.settled(all)).toBe('resolved');
  });

  it('[CO16] a hash that cannot be taken rejects whoever waits for it, and another one is taken', async () => {
    const rig = new ContentRig(2);
    const [ann, bob] = rig.seats;
    const bytes = bytesOf(30);
    await rig.settled(bob!.content.share(bytes));
    const good = ann!.digest;
    ann!.digest = async () => Promise.reject(new Error('no hands'));
    expect(await rig.settled(code(ann!.content.fetch(idOf(bytes))))).toBe('bridge');
    expect(await rig.settled(code(ann!.content.share(bytes)))).toBe('bridge');
    ann!.digest = async () => new Uint8Array(31);
    expect(await rig.settled(code(ann!.content.share(bytes)))).toBe('bridge');
    ann!.digest = good;
    expect(await rig.settled(code(ann!.content.fetch(idOf(bytes))))).toBe('resolved');
  });

  it('[CO8] what is shared here while it is looked for is found, and a hash that comes too late counts for nothing', async () => {
    const rig = new ContentRig(2);
    const [ann, bob] = rig.seats;
    const bytes = bytesOf(3 * PIECE);
    await rig.settled(bob!.content.share(bytes));
    // The hash of what was fetched takes its time.
    const slow: (() => void)[] = [];
    ann!.digest = async (of) => new Promise((resolve) => slow.push(() => resolve(sha256(of))));
    const stop = new AbortController();
    const aborted = code(ann!.content.fetch(idOf(bytes), { signal: stop.signal }));
    await rig.play(40, () => slow.length === 1);
    stop.abort();
    expect(await aborted).toBe('aborted');
    const found = ann!.content.fetch(idOf(bytes));
    await rig.play(40, () => slow.length === 2);
    slow[0]!();
    await rig.play(10);
    expect(ann!.content.has(idOf(bytes))).toBe(false);
    // Meanwhile the game has it by itself.
    const shared = ann!.content.share(bytes);
    slow[2]!();
    expect(await rig.settled(shared)).toBe(idOf(bytes));
    expect(same(await rig.settled(found), bytes)).toBe(true);
    slow[1]!();
    await rig.play(10);
    expect(ann!.drops).toEqual([]);
  });
});
