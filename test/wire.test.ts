/**
 * Every encoding of the wire: what is written is read back, what is not canonical is refused.
 */
import { decode as independentDecode } from '@msgpack/msgpack';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PeerId, RoomId } from '../sdk/base/brand.ts';
import { Sheets, copyBytes } from '../sdk/base/bytes.ts';
import {
  decodeCookie,
  decodeFin,
  decodeHello,
  decodeHere,
  decodeInit,
  decodeResp,
  decodeWho,
  encodeCookie,
  encodeFin,
  encodeHello,
  encodeHere,
  encodeInit,
  encodeResp,
  encodeWho,
  isData,
  readDataCid,
  readDataEpoch,
  readDataSeq,
  writeDataHeader,
} from '../sdk/wire/datagram.ts';
import {
  FRAME_ACK,
  FRAME_FRAGMENT,
  FRAME_MTU_PROBE,
  FRAME_PATH_CHALLENGE,
  FRAME_PATH_RESPONSE,
  FRAME_PONG,
  FRAME_RELIABLE,
  FRAME_SEQUENCED,
  FRAME_UNRELIABLE,
  FrameReader,
  FrameWriter,
  fragmentCount,
  fragmentStride,
} from '../sdk/wire/frame.ts';
import { HELLO_BYTES, INIT_BYTES, MAX_FRAGMENTS, MAX_HERE_BYTES, MAX_MESSAGE_BYTES, MAX_WHOLE_BYTES, WHO_BYTES } from '../sdk/wire/limits.ts';
import { decodePayload, encodePayload, scanPayload, type PayloadValue } from '../sdk/wire/payload.ts';
import { expectSame } from './same.ts';

const bytes = (size: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: size, maxLength: size });
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u48 = fc.integer({ min: 0, max: 2 ** 48 - 1 });

describe('datagrams', () => {
  it('[WI1] are read back as they were written', () => {
    fc.assert(
      fc.property(
        bytes(8),
        bytes(8),
        bytes(20),
        u32,
        fc.uint8Array({ minLength: 1, maxLength: 180, size: 'max' }),
        (nonce, roomTag, cookie, cid, noise) => {
          expectSame(decodeHello(encodeHello({ nonce, roomTag })), { nonce, roomTag });
          expectSame(decodeCookie(encodeCookie({ nonce, cookie })), { nonce, cookie });
          expectSame(decodeInit(encodeInit({ cid, nonce, cookie, roomTag, noise })), { cid, nonce, cookie, roomTag, noise });
          expectSame(decodeResp(encodeResp({ cid, noise })), { cid, noise });
          expectSame(decodeFin(encodeFin({ cid, noise })), { cid, noise });
        },
      ),
    );
    fc.assert(
      fc.property(
        bytes(8),
        fc.option(bytes(8), { nil: undefined }),
        fc.option(fc.stringMatching(/^[a-z0-9-]{1,32}$/), { nil: undefined }),
        (nonce, roomTag, gameId) => {
          expectSame(decodeWho(encodeWho({ nonce, roomTag, gameId })), { nonce, roomTag, gameId });
        },
      ),
    );
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 3 }), u32, u48, (epoch, cid, seq) => {
        const header = new Uint8Array(11);
        writeDataHeader(header, epoch, cid, seq);
        expect([isData(header), readDataEpoch(header), readDataCid(header), readDataSeq(header)]).toEqual([true, epoch, cid, seq]);
      }),
    );
  });

  it('[WI2] carry the room facts of HERE within 256 bytes, dropping members that do not fit', () => {
    const facts = {
      roomId: '00112233445566778899aabbccddeeff' as RoomId,
      name: 'Freitag — ünïcödé',
      players: 3,
      max: 16,
      locked: true,
      gameId: 'chroma-rush',
      version: 2,
      schemaHash: 0xdead_beef,
      peer: 'abcdefghijklmnop' as PeerId,
      joinPort: 47_700,
      members: Array.from({ length: 8 }, (_, i) => ({ host: `fe80::1234:5678:9abc:${i}`, port: 47_700 + i })),
    };
    const nonce = new Uint8Array(8).fill(3);
    const encoded = encodeHere({ nonce, facts });
    expect(encoded.length).toBeLessThanOrEqual(MAX_HERE_BYTES);
    const here = decodeHere(encoded)!;
    expect(here.nonce).toEqual(nonce);
    expect(here.facts).toEqual({ ...facts, members: facts.members.slice(0, here.facts.members.length) });
    expect(here.facts.members.length).toBeGreaterThan(3);
    const named = encodeHere({ nonce, facts: { ...facts, members: [{ host: 'evil.example', port: 1 }] } });
    expect(decodeHere(named)).toBeUndefined();
    // A name has at most 32 bytes, not characters.
    const long = (name: string) => decodeHere(encodeHere({ nonce, facts: { ...facts, name, members: [] } }));
    expect(long('€'.repeat(10) + 'ab')?.facts.name).toBe('€'.repeat(10) + 'ab');
    expect(long('€'.repeat(11))).toBeUndefined();
    expect(decodeHere(encodeHere({ nonce, facts: { ...facts, gameId: '€'.repeat(11), members: [] } }))).toBeUndefined();
  });

  it('[WI3] that answer a stranger are at most half of what they answer', () => {
    expect(encodeCookie({ nonce: new Uint8Array(8), cookie: new Uint8Array(20) }).length).toBeLessThanOrEqual(HELLO_BYTES / 2);
    expect(decodeResp(new Uint8Array(INIT_BYTES / 2 + 1).fill(4))).toBeUndefined();
    expect(MAX_HERE_BYTES).toBeLessThanOrEqual(WHO_BYTES / 2);
  });

  it('[WI4] have one encoding: padding is zero, sizes are exact', () => {
    const hello = encodeHello({ nonce: new Uint8Array(8), roomTag: new Uint8Array(8) }).slice();
    for (let i = 18; i < hello.length; i++) {
      const copy = hello.slice();
      copy[i] = 1;
      expect(decodeHello(copy)).toBeUndefined();
    }
    expect(decodeHello(hello.slice(0, -1))).toBeUndefined();
    expect(decodeHello(new Uint8Array([...hello, 0]))).toBeUndefined();
  });
});

describe('frames', () => {
  const reader = new FrameReader();

  it('[WI5] are read back as they were written, one after the other', () => {
    const writer = new FrameWriter(1_500);
    fc.assert(
      fc.property(
        u48,
        u32,
        u32,
        fc.integer({ min: 0, max: 7 }),
        u32,
        fc.uint8Array({ maxLength: 300, size: 'max' }),
        (seq, near, far, lane, id, body) => {
          writer.begin(1_500);
          writer.ack(seq, near, far, 12.5);
          writer.pong(seq, seq, seq);
          writer.reliable(lane, id, body);
          writer.sequenced(lane, id, body);
          writer.unreliable(lane, body);
          writer.mtuProbe(1_500);
          reader.reset(writer.bytes, writer.at);
          expect([reader.next(), reader.id, reader.a, reader.b, reader.c]).toEqual([FRAME_ACK, seq, near, far, 12.5]);
          expect([reader.next(), reader.id, reader.a, reader.b]).toEqual([FRAME_PONG, seq, seq, seq]);
          for (const type of [FRAME_RELIABLE, FRAME_SEQUENCED, FRAME_UNRELIABLE]) {
            expect([reader.next(), reader.lane]).toEqual([type, lane]);
            if (type !== FRAME_UNRELIABLE) expect(reader.id).toBe(id);
            expectSame(reader.bytes.subarray(reader.bodyAt, reader.bodyAt + reader.bodySize), body);
          }
          expect([reader.next(), reader.c]).toEqual([FRAME_MTU_PROBE, 1_500]);
          expect(reader.next()).toBe(0);
        },
      ),
    );
  });

  it('[WI6] cut any message into fragments that cover it exactly', () => {
    const writer = new FrameWriter(1_500);
    fc.assert(
      fc.property(fc.integer({ min: MAX_WHOLE_BYTES + 1, max: MAX_MESSAGE_BYTES }), (length) => {
        const count = fragmentCount(length);
        expect(count).toBeLessThanOrEqual(MAX_FRAGMENTS);
        const body = new Uint8Array(length);
        let covered = 0;
        for (let index = 0; index < count; index++) {
          writer.begin(1_200 - 27 - 17);
          writer.fragment(3, 9, index, count, body);
          reader.reset(writer.bytes, writer.at);
          expectSame([reader.next(), reader.a, reader.b, reader.c], [FRAME_FRAGMENT, index, count, length]);
          expectSame(fragmentStride(length, count) * index, covered);
          covered += reader.bodySize;
        }
        expect(covered).toBe(length);
      }),
      { numRuns: 40 },
    );
  });

  it('[WI7] with counts, lengths or sizes that do not agree are refused', () => {
    const writer = new FrameWriter(1_500);
    const body = new Uint8Array(3_000);
    writer.begin(1_400);
    writer.fragment(0, 1, 0, 12, body);
    const good = writer.bytes.slice(0, writer.at);
    const broken = (at: number, value: number): number => {
      const copy = good.slice();
      copy[at] = value;
      reader.reset(copy, copy.length);
      return reader.next();
    };
    expect(broken(8, 13)).toBe(-1); // another count than the length asks for
    expect(broken(6, 12)).toBe(-1); // index beyond the count
    expect(broken(9, 0xff)).toBe(-1); // a length of gigabytes
    expect(broken(8, 0)).toBe(-1); // no fragments at all
    for (let cut = 1; cut < good.length; cut += 37) {
      reader.reset(good, good.length - cut);
      expect(reader.next()).toBe(-1);
    }
  });

  it('[WI7] that are too large to travel whole are refused', () => {
    const writer = new FrameWriter(1_500);
    const readWhole = (size: number): number => {
      writer.begin(1_400);
      writer.reliable(0, 1, new Uint8Array(size));
      reader.reset(writer.bytes, writer.at);
      return reader.next();
    };
    expect(readWhole(MAX_WHOLE_BYTES)).toBe(FRAME_RELIABLE);
    expect(readWhole(MAX_WHOLE_BYTES + 1)).toBe(-1);
  });

  it('[WI13] of control come once per packet at most, and an ACK only as the first', () => {
    const writer = new FrameWriter(1_500);
    const kinds: readonly ((w: FrameWriter) => void)[] = [
      (w) => w.ping(1),
      (w) => w.pong(1, 2, 3),
      (w) => w.close(0),
      (w) => w.path(FRAME_PATH_CHALLENGE, new Uint8Array(8)),
      (w) => w.path(FRAME_PATH_RESPONSE, new Uint8Array(8)),
      (w) => w.mtuAck(1_200),
    ];
    const frames = (...write: readonly ((w: FrameWriter) => void)[]): number => {
      writer.begin(1_400);
      for (const one of write) one(writer);
      reader.reset(writer.bytes, writer.at);
      let count = 0;
      for (let type = reader.next(); type !== 0; type = reader.next()) {
        if (type < 0) return -1 - count;
        count++;
      }
      return count;
    };
    const ack = (w: FrameWriter): void => w.ack(1, 0, 0, 0);
    const message = (w: FrameWriter): void => w.unreliable(0, new Uint8Array(3));
    expect(frames(ack, ...kinds, message, message)).toBe(kinds.length + 3);
    for (const kind of kinds) {
      expect(frames(kind, kind)).toBe(-2);
      expect(frames(ack, kind, message, kind)).toBe(-4);
    }
    expect(frames(ack, ack)).toBe(-2);
    expect(frames(message, ack)).toBe(-2);
    expect(frames(...kinds, ack)).toBe(-1 - kinds.length);
  });
});

describe('payloads', () => {
  const value: fc.Arbitrary<PayloadValue> = fc.letrec<{ value: PayloadValue }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 5 },
      fc.constant(null),
      fc.boolean(),
      fc.integer(),
      u32,
      fc.double({ noNaN: true }),
      fc.string({ maxLength: 60 }),
      fc.uint8Array({ maxLength: 60 }),
      fc.array(tie('value'), { maxLength: 20 }),
      fc.dictionary(
        fc.string({ maxLength: 40 }).filter((k) => !['__proto__', 'constructor', 'prototype'].includes(k)),
        tie('value'),
        { maxKeys: 10, noNullPrototype: true },
      ),
    ),
  })).value;
  const plain = (v: unknown): unknown => {
    // Whole numbers go as integers, which have one zero.
    if (Object.is(v, -0)) return 0;
    if (v instanceof Uint8Array) return { bytes: [...v] };
    if (Array.isArray(v)) return v.map(plain);
    if (v !== null && typeof v === 'object') return Object.fromEntries(Object.entries(v).map(([k, x]) => [k, plain(x)]));
    return v;
  };

  it('[WI8] survive the trip, and an independent decoder reads the same', () => {
    fc.assert(
      fc.property(value, (v) => {
        const encoded = encodePayload(v);
        expect(scanPayload(encoded)).toBeUndefined();
        expectSame(plain(decodePayload(encoded)), plain(v));
        expectSame(plain(independentDecode(encoded)), plain(v));
      }),
    );
  });

  it('[WI8] keep a text that begins with U+FEFF, however long it is and wherever it stands', () => {
    const sizes = [1, 20, 60, 61, 62, 63, 64, 100, 251, 252, 253, 254, 300, 4_000];
    for (const size of sizes) {
      const text = `\ufeff${'a'.repeat(size)}`;
      for (const v of [text, [text, 1, text], { [text]: [null, { a: text }], b: new Uint8Array([0xef, 0xbb, 0xbf]) }, `\ufeff${text}`, `b${text}`]) {
        expect(plain(decodePayload(encodePayload(v))), `${size}`).toEqual(plain(v));
      }
    }
    // A length in two bytes where one would do.
    const wide = [0xda, 0, 66, 0xef, 0xbb, 0xbf, ...Array<number>(63).fill(0x61)];
    expect(decodePayload(Uint8Array.from(wide))).toBe(`\ufeff${'a'.repeat(63)}`);
  });

  it('[WI9] are refused with a reason before a decoder sees them', () => {
    const hostile: readonly [string, readonly number[], string][] = [
      ['nothing', [], 'truncated'],
      ['reserved byte', [0xc1], 'type'],
      ['fixext', [0xd4, 0, 0], 'type'],
      ['structured clone reference', [0xd6, 0x70, 0, 0, 0, 1], 'type'],
      ['record definition', [0xd4, 0x72, 0x40], 'type'],
      ['bundled strings', [0xd6, 0x62, 0, 0, 0, 9], 'type'],
      ['date', [0xd6, 0xff, 0, 0, 0, 0], 'type'],
      ['ext8', [0xc7, 1, 0x42, 0], 'type'],
      ['uint64', [0xcf, 0, 0, 0, 0, 0, 0, 0, 1], 'type'],
      ['int64', [0xd3, 0, 0, 0, 0, 0, 0, 0, 1], 'type'],
      ['bin32', [0xc6, 0xff, 0xff, 0xff, 0xff], 'type'],
      ['str32', [0xdb, 0xff, 0xff, 0xff, 0xff], 'type'],
      ['array32', [0xdd, 0xff, 0xff, 0xff, 0xff], 'type'],
      ['map32', [0xdf, 0xff, 0xff, 0xff, 0xff], 'type'],
      ['array16 that lies', [0xdc, 0xff, 0xff, 0], 'truncated'],
      ['string past the end', [0xa5, 0x61], 'truncated'],
      ['trailing bytes', [0x01, 0x02], 'trailing'],
      ['number as key', [0x81, 0x01, 0x02], 'key'],
      ['__proto__', [0x81, 0xa9, ...Buffer.from('__proto__'), 0x01], 'key'],
      ['constructor', [0x81, 0xab, ...Buffer.from('constructor'), 0x01], 'key'],
      ['prototype behind str8', [0x81, 0xd9, 9, ...Buffer.from('prototype'), 0x01], 'key'],
      ['nesting', [...Array.from({ length: 17 }, () => 0x91), 0x01], 'depth'],
      ['long string', [0xda, 0x10, 0x01, ...Array.from({ length: 4_097 }, () => 0x61)], 'string'],
      ['many nodes', [0xdc, 0x10, 0x00, ...Array.from({ length: 4_096 }, () => 0)], 'nodes'],
    ];
    for (const [name, input, reason] of hostile) {
      const packet = Uint8Array.from(input);
      expect([name, scanPayload(packet)]).toEqual([name, reason]);
      expect(decodePayload(packet)).toBeUndefined();
    }
    expect(scanPayload(Uint8Array.from([...Array.from({ length: 16 }, () => 0x91), 0x01]))).toBeUndefined();
  });

  it('[WI10] that a receiver would refuse are refused when they are written', () => {
    for (const bad of [undefined, new Date(), 10n, new Map([[1, 2]]), { a: undefined }, 'x'.repeat(5_000), Symbol('s'), () => 1]) {
      expect(() => encodePayload(bad as never)).toThrow(expect.objectContaining({ code: 'bad-value' }));
    }
  });
});

it('[WI14] copies are exact at every size and place, and stay what they were', () => {
  const sheets = new Sheets();
  const sources = [new Uint8Array(3_000).map((_, i) => i * 7), new Uint8Array(3_000).map((_, i) => i * 31 + 5)];
  const kept: [Uint8Array, Uint8Array][] = [];
  fc.assert(
    fc.property(fc.nat(1), fc.nat(300), fc.nat(2_600), (which, start, size) => {
      const source = sources[which]!;
      const copy = sheets.copy(source, start, start + size);
      const plain = new Uint8Array(size + 3);
      copyBytes(source, start, start + size, plain, 3);
      kept.push([copy, source.slice(start, start + size)], [plain.subarray(3), source.slice(start, start + size)]);
    }),
    { numRuns: 500 },
  );
  for (const source of sources) source.fill(0);
  for (const [copy, expected] of kept) expect(Buffer.compare(copy, expected)).toBe(0);
});
