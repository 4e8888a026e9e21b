/** Names of content, and what peers say to each other about it, as bytes; and the digest of rooms in memory. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memoryDigest } from '../sdk/port/memory-digest.ts';
import { contentId, readContentId } from '../sdk/sync/content/id.ts';
import { ContentStore } from '../sdk/sync/content/store.ts';
import { encodeAsk, encodeNone, encodePiece, readContentWords, WHETHER } from '../sdk/sync/content/words.ts';
import { CONTENT_PIECE_BYTES, MAX_CONTENT_BYTES } from '../sdk/wire/limits.ts';
import { PackReader, PackWriter } from '../sdk/wire/pack.ts';
import { bytesOf, ContentRig, sha256, wordsOf } from './content-rig.ts';

const hash = sha256(bytesOf(5));

describe('names', () => {
  it('[CO2] are those of everybody else’s base64url, there and back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (of) => {
        const id = contentId(of);
        expect(id).toBe(Buffer.from(of).toString('base64url'));
        expect(Buffer.from(readContentId(id)!).equals(Buffer.from(of))).toBe(true);
      }),
    );
    for (const byte of [0, 255]) expect(readContentId(contentId(new Uint8Array(32).fill(byte)))).toEqual(new Uint8Array(32).fill(byte));
  });

  it('[CO2] are written in one way: a text that says the same hash otherwise is none', () => {
    const id = contentId(hash);
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'.split('');
    // 43 characters say two bits more than a hash has.
    expect(alphabet.filter((last) => readContentId(id.slice(0, 42) + last) !== undefined)).toHaveLength(16);
    for (const text of ['', id.slice(1), `${id}=`, `${id}A`, ` ${id.slice(1)}`, `${id.slice(1)}\n`, id.replace(/./, '+'), id.replace(/./, 'ä')])
      expect(readContentId(text)).toBeUndefined();
  });
});

describe('words', () => {
  const any = fc.oneof(
    fc.integer({ min: 0, max: 0xffff_ffff }).map((offset) => encodeAsk(hash, offset).slice()),
    fc
      .tuple(
        fc.integer({ min: 1, max: MAX_CONTENT_BYTES }),
        fc.integer({ min: 0, max: 0xffff_ffff }),
        fc.integer({ min: 0, max: CONTENT_PIECE_BYTES }),
      )
      .map(([size, offset, length]) => encodePiece(hash, size, offset, bytesOf(length)).slice()),
    fc.constant(encodeNone(hash).slice()),
  );

  it('[CO15] read as they were written, and are copies', () => {
    expect(wordsOf(encodeAsk(hash, 0))).toEqual({ type: 23, hash, offset: 0 });
    expect(wordsOf(encodeAsk(hash, WHETHER))).toEqual({ type: 23, hash, offset: WHETHER });
    expect(wordsOf(encodeNone(hash))).toEqual({ type: 25, hash });
    const bytes = bytesOf(CONTENT_PIECE_BYTES);
    const said = encodePiece(hash, MAX_CONTENT_BYTES, 3 * CONTENT_PIECE_BYTES, bytes).slice();
    const read = wordsOf(said);
    said.fill(0);
    expect(read).toEqual({ type: 24, hash, size: MAX_CONTENT_BYTES, offset: 3 * CONTENT_PIECE_BYTES, bytes });
  });

  it('[CO15] that are cut, longer, of another kind or out of bounds are none', () => {
    fc.assert(
      fc.property(any, fc.nat(), (said, at) => {
        expect(wordsOf(said)).toBeDefined();
        expect(wordsOf(said.subarray(0, at % said.length))).toBeUndefined();
        expect(wordsOf(Uint8Array.from([...said, 0]))).toBeUndefined();
      }),
      { numRuns: 60 },
    );
    const said = (type: number, ...items: readonly (number | Uint8Array)[]): unknown => {
      const out = new PackWriter();
      out.array(1 + items.length);
      out.int(type);
      for (const item of items) {
        if (typeof item === 'number') out.int(item);
        else out.binary(item);
      }
      const input = new PackReader(out.copy());
      const count = input.array(0xffff);
      return readContentWords(input.int(), count, input);
    };
    const some = bytesOf(7);
    expect([said(23, hash, 5), said(24, hash, 7, 0, some), said(25, hash)].every((read) => read !== undefined)).toBe(true);
    for (const wrong of [
      said(23, hash.subarray(1), 5),
      said(23, Uint8Array.from([...hash, 0]), 5),
      said(23, hash, -1),
      said(23, hash),
      said(23, hash, 5, 5),
      said(24, hash, 0, 0, some),
      said(24, hash, MAX_CONTENT_BYTES + 1, 0, some),
      said(24, hash, 7, -1, some),
      said(24, hash, 7, 0, bytesOf(CONTENT_PIECE_BYTES + 1)),
      said(24, hash, 7, 0),
      said(24, hash, 7, 0, some, 1),
      said(24, 7, 7, 0, some),
      said(25, hash, 1),
      said(25, 1),
      said(22, hash),
      said(26, hash),
    ])
      expect(wrong).toBeUndefined();
  });

  it('[CO15] that are malformed change nothing, and are counted', async () => {
    const rig = new ContentRig(2, 1);
    const [ann] = rig.seats;
    rig.onSend = () => false;
    for (const said of [encodeAsk(hash.subarray(1), 0), encodeNone(hash).subarray(0, 30), encodeAsk(hash, 5).subarray(0, 36)]) rig.say(1, 0, said);
    await rig.play(5);
    expect(ann!.drops).toEqual(['content-malformed', 'content-malformed', 'content-malformed']);
  });
});

it('[CO12] what was fetched and then shared is the game’s own, and gives way to nothing', () => {
  const store = new ContentStore();
  const block = new Uint8Array(MAX_CONTENT_BYTES);
  for (let i = 0; i < 7; i++) expect(store.put(`f${i}`, block, false)).toBe(true);
  for (const id of ['f0', 'f2', 'f2', 'f3']) expect(store.put(id, block, true)).toBe(true);
  for (let i = 0; i < 6; i++) expect(store.put(`g${i}`, block, false)).toBe(true);
  expect(['f0', 'f1', 'f2', 'f3', 'f4', 'g0', 'g1', 'g2', 'g5'].map((id) => store.has(id))).toEqual([
    true,
    false,
    true,
    true,
    false,
    false,
    true,
    true,
    true,
  ]);
  expect(store.bytes).toBe(8 * MAX_CONTENT_BYTES);
  expect([store.forget('f0'), store.forget('f0'), store.bytes]).toEqual([true, false, 7 * MAX_CONTENT_BYTES]);
  expect([store.takesOwn(6 * MAX_CONTENT_BYTES), store.takesOwn(6 * MAX_CONTENT_BYTES + 1)]).toEqual([true, false]);
});

describe('the digest of rooms in memory', () => {
  it('[RO42] is well mixed: one bit of what goes in turns half of those that come out, wherever it stands', () => {
    const count = (a: Uint8Array, b: Uint8Array): number => {
      let bits = 0;
      for (let i = 0; i < 32; i++) for (let of = a[i]! ^ b[i]!; of > 0; of &= of - 1) bits++;
      return bits;
    };
    for (const size of [1, 3, 4, 7, 32, 33, 1_000]) {
      const bytes = bytesOf(size);
      const before = memoryDigest(bytes);
      let sum = 0;
      for (let n = 0; n < 64; n++) {
        const at = Math.floor((n * size) / 64);
        bytes[at]! ^= 1 << (n & 7);
        const turned = count(before, memoryDigest(bytes));
        sum += turned;
        expect(turned).toBeGreaterThan(85);
        expect(turned).toBeLessThan(171);
        bytes[at]! ^= 1 << (n & 7);
      }
      expect(sum / 64).toBeGreaterThan(122);
      expect(sum / 64).toBeLessThan(134);
    }
  });

  it('[RO42] differs for what differs in nothing but its length, its order or where it lies', () => {
    const seen = new Set<string>();
    for (let size = 0; size < 300; size++)
      for (const byte of [0, 1, 255])
        if (size > 0 || byte === 0) seen.add(Buffer.from(memoryDigest(new Uint8Array(size).fill(byte))).toString('hex'));
    expect(seen.size).toBe(1 + 299 * 3);
    const words = Array.from({ length: 16 }, (_, i) => i);
    for (let i = 0; i + 1 < 16; i++) {
      const other = [...words];
      [other[i], other[i + 1]] = [other[i + 1]!, other[i]!];
      seen.add(Buffer.from(memoryDigest(Uint8Array.from(other))).toString('hex'));
    }
    expect(seen.size).toBe(1 + 299 * 3 + 15);
    const padded = Uint8Array.from([9, ...bytesOf(50)]);
    expect(memoryDigest(padded.subarray(1))).toEqual(memoryDigest(bytesOf(50)));
  });
});
