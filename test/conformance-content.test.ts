/** `docs/protocol.md` against the code: what peers say to each other about content. */
import { describe, expect, it } from 'vitest';
import { createRng } from '../sdk/base/rng.ts';
import type { Said } from './content-rig.ts';
import { bytesOf, ContentRig, wordsOf } from './content-rig.ts';
import type { ContentWord } from './protocol/content.ts';
import { decodeContent, hashOf, nameOf, PIECE_BYTES, WHETHER } from './protocol/content.ts';
import { Malformed } from './protocol/reader.ts';

interface Heard {
  readonly from: number;
  readonly to: number;
  readonly word: ContentWord;
}

/** Five want what one has, on a bad line; one of them wants what nobody has. */
async function capture(bytes: Uint8Array): Promise<{ readonly said: readonly Uint8Array[]; readonly heard: readonly Heard[] }> {
  const rig = new ContentRig(6);
  const rng = createRng(7);
  const said: Uint8Array[] = [];
  const heard: Heard[] = [];
  rig.onSend = ({ from, to, bytes: of }: Said) => {
    said.push(of);
    heard.push({ from, to, word: decodeContent(of) });
    return !rng.chance(0.02);
  };
  const id = await rig.settled(rig.seats[0]!.content.share(bytes));
  expect(id).toBe(nameOf(bytes));
  const nobody = rig.seats[5]!.content.fetch(nameOf(bytesOf(3)), { timeoutMs: 2_000 }).catch(() => undefined);
  await rig.settled(Promise.all(rig.seats.slice(1).map((seat) => seat.content.fetch(id))));
  await rig.settled(nobody);
  return { said, heard };
}

const block = bytesOf(9 * PIECE_BYTES + 77);
const { said, heard } = await capture(block);

describe('the page and content', () => {
  it('[PR12] every word is read with the page alone, and the pieces of a block come to what its name says', () => {
    expect(new Set(heard.map(({ word }) => word.type))).toEqual(new Set(['ask', 'piece', 'none']));
    const name = hashOf(block);
    for (let taker = 1; taker < 6; taker++) {
      const whole = new Uint8Array(block.length);
      let have = 0;
      const seen = new Set<number>();
      for (const { to, word } of heard) {
        if (to !== taker || word.type !== 'piece' || word.bytes.length === 0 || seen.has(word.offset)) continue;
        expect([word.hash, word.size, word.offset % PIECE_BYTES]).toEqual([name, block.length, 0]);
        expect(word.bytes.length).toBe(Math.min(PIECE_BYTES, block.length - word.offset));
        seen.add(word.offset);
        whole.set(word.bytes, word.offset);
        have += word.bytes.length;
      }
      expect([have, hashOf(whole)]).toEqual([block.length, name]);
    }
  });

  it('[PR12] a piece answers what was asked for, a large block goes to three at a time, and pieces without bytes to the others', () => {
    const open = new Map<string, number>();
    const taking = new Set<number>();
    let refused = 0;
    for (const { from, to, word } of heard) {
      if (word.type === 'ask')
        open.set(`${to} ${from} ${word.hash} ${word.offset}`, (open.get(`${to} ${from} ${word.hash} ${word.offset}`) ?? 0) + 1);
      if (word.type !== 'piece') continue;
      const left = (open.get(`${from} ${to} ${word.hash} ${word.offset}`) ?? 0) - 1;
      expect(left).toBeGreaterThanOrEqual(0);
      open.set(`${from} ${to} ${word.hash} ${word.offset}`, left);
      if (from !== 0 || word.offset === WHETHER) continue;
      if (word.bytes.length === 0) refused++;
      else {
        taking.add(to);
        expect(taking.size).toBeLessThanOrEqual(3);
        if (word.offset + PIECE_BYTES >= block.length) taking.delete(to);
      }
    }
    expect(refused).toBeGreaterThan(0);
  });

  it('[PR10] damaged words are refused by the page exactly where the project refuses them', () => {
    const rng = createRng(11);
    const short = said.filter((of) => of.length < 100);
    const counts = { taken: 0, refused: 0 };
    for (let i = 0; i < 20_000; i++) {
      const of = (i % 50 === 0 ? said : short)[rng.int(i % 50 === 0 ? said.length : short.length)]!;
      let damaged = of.slice();
      for (let n = 1 + rng.int(2); n > 0; n--)
        damaged[rng.chance(0.7) ? rng.int(Math.min(50, damaged.length)) : rng.int(damaged.length)] = rng.int(256);
      if (rng.chance(0.2)) damaged = damaged.slice(0, rng.int(damaged.length));
      let read: ContentWord | undefined;
      try {
        read = decodeContent(damaged);
      } catch (error) {
        if (!(error instanceof Malformed)) throw error;
      }
      const ours = wordsOf(damaged);
      if ((read === undefined) !== (ours === undefined)) throw new Error(`one of both takes ${Buffer.from(damaged).toString('hex').slice(0, 200)}`);
      if (read === undefined) counts.refused++;
      else counts.taken++;
    }
    expect(counts.taken).toBeGreaterThan(1_000);
    expect(counts.refused).toBeGreaterThan(1_000);
  });
});
