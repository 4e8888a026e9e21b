/** Datagrams, frames and payloads at the edges of what they may be: one byte, one number or one place further is refused. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PeerId, RoomId } from '../sdk/base/brand.ts';
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
} from '../sdk/wire/datagram.ts';
import {
  FRAME_FRAGMENT,
  FRAME_MTU_PROBE,
  FRAME_PATH_CHALLENGE,
  FRAME_PATH_RESPONSE,
  FrameReader,
  FrameWriter,
  fragmentCount,
} from '../sdk/wire/frame.ts';
import { MAX_HERE_BYTES, MAX_MESSAGE_BYTES, MAX_PAYLOAD_NODES, MAX_PAYLOAD_STRING_BYTES, MAX_WHOLE_BYTES } from '../sdk/wire/limits.ts';
import { decodePayload, encodePayload, scanPayload, type PayloadValue } from '../sdk/wire/payload.ts';

const nonce = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
const roomTag = new Uint8Array(8).fill(9);
const cookie = new Uint8Array(20).fill(7);

describe('datagrams', () => {
  const init = encodeInit({ cid: 7, nonce, cookie, roomTag, noise: new Uint8Array(85).fill(5) }).slice();
  const exact: readonly (readonly [string, Uint8Array, (bytes: Uint8Array) => unknown, number])[] = [
    ['HELLO', encodeHello({ nonce, roomTag }).slice(), decodeHello, 18],
    ['COOKIE', encodeCookie({ nonce, cookie }).slice(), decodeCookie, 29],
    ['INIT', init, decodeInit, 129],
    ['WHO about a room and a game', encodeWho({ nonce, roomTag, gameId: 'game' }).slice(), decodeWho, 24],
    ['WHO about nothing', encodeWho({ nonce, roomTag: undefined, gameId: undefined }).slice(), decodeWho, 11],
  ];

  it.each(exact)('[WI4] %s has its size, its kind, its version and no byte in its padding', (name, good, decode, used) => {
    const changed = (at: number, value: number): unknown => {
      const copy = good.slice();
      copy[at] = value;
      return decode(copy);
    };
    expect(decode(good)).toBeDefined();
    expect([decode(good.subarray(0, -1)), decode(Uint8Array.from([...good, 0])), decode(new Uint8Array(0))]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    for (let kind = 0; kind < 256; kind++) if (kind !== good[0]) expect(changed(0, kind)).toBeUndefined();
    if (name !== 'COOKIE') for (const version of [0, 2, 255]) expect(changed(1, version)).toBeUndefined();
    for (let at = used; at < good.length; at++) expect(changed(at, 1), String(at)).toBeUndefined();
  });

  it.each([
    ['RESP', encodeResp, decodeResp],
    ['FIN', encodeFin, decodeFin],
  ] as const)('[WI4] %s carries something, and has at most half the bytes of an INIT', (_name, encode, decode) => {
    expect([1, 187].map((size) => decode(encode({ cid: 7, noise: new Uint8Array(size) }).slice())?.noise.length)).toEqual([1, 187]);
    expect([0, 188].map((size) => decode(encode({ cid: 7, noise: new Uint8Array(size) }).slice()))).toEqual([undefined, undefined]);
    const good = encode({ cid: 7, noise: Uint8Array.of(1) }).slice();
    for (let size = 0; size < good.length; size++) expect(decode(good.subarray(0, size))).toBeUndefined();
  });

  it('[WI4] a length inside a datagram keeps within it; WHO knows two flags and a game id of 32 ASCII characters', () => {
    for (const size of [341, 0xffff]) {
      const long = init.slice();
      long.set([size >>> 8, size & 255], 42);
      expect(decodeInit(long)).toBeUndefined();
      // Nor where all that follows could be padding.
      expect(decodeInit(long.fill(0, 44))).toBeUndefined();
    }
    const who = (flags: number, ...more: readonly number[]): unknown => {
      const bytes = new Uint8Array(512);
      bytes.set([6, 1, ...nonce, flags, ...more]);
      return decodeWho(bytes);
    };
    for (let flags = 0; flags < 256; flags++) expect(who(flags) !== undefined, String(flags)).toBe(flags < 4);
    const id = (size: number, char: number): unknown => who(2, size, ...new Uint8Array(size).fill(char));
    expect([id(32, 0x61), id(0, 0), id(2, 0x7f)].every((one) => one !== undefined)).toBe(true);
    expect([id(33, 0x61), id(255, 0x61), id(2, 0x80), id(2, 0xff)]).toEqual([undefined, undefined, undefined, undefined]);
  });

  it('[WI4] sealed datagrams are of four kinds', () => {
    const kinds = Array.from({ length: 256 }, (_, kind) => kind).filter((kind) => isData(Uint8Array.of(kind)));
    expect([kinds, isData(new Uint8Array(0))]).toEqual([[0x80, 0x81, 0x82, 0x83], false]);
  });

  it('[WI2] every fact of HERE is within its bounds, or there is none', () => {
    const good: PayloadValue[] = [new Uint8Array(16), 'n', 3, 16, false, 'g', 2, 5, 'abcdefghijklmnop', 29_798, [['10.0.0.1', 1]]];
    const read = (items: PayloadValue): unknown => decodeHere(Uint8Array.from([7, 1, ...nonce, ...encodePayload(items)]));
    const changed = (at: number, value: PayloadValue): unknown => read(good.with(at, value));
    const member = (host: PayloadValue, port: PayloadValue): PayloadValue => [[host, port]];
    const refused: Readonly<Record<number, readonly PayloadValue[]>> = {
      0: [new Uint8Array(15), new Uint8Array(17), '0'.repeat(16), null],
      1: ['x'.repeat(33), 5, null],
      2: [256, -1, 0.5, '3', null],
      3: [256, -1, 0.5, '3', null],
      4: [0, 1, null],
      5: ['x'.repeat(33), 5, null],
      6: [65_536, -1, 0.5, '3'],
      7: [2 ** 32, -1, 0.5, '3'],
      8: ['abcdefghijklmno', 'abcdefghijklmnopq', 'abcdefghijklmno1', 'Abcdefghijklmnop', new Uint8Array(16)],
      9: [65_536, -1, 0.5, '3'],
      10: [
        ...[null, 'x', [5], [['10.0.0.1']], [['10.0.0.1', 1, 1]], member(5, 1), member('10.0.0.1', '1')],
        ...[0, -1, 65_536, 0.5].map((port) => member('10.0.0.1', port)),
        ...['', '1', 'example', '10.0.0.1 ', '1'.repeat(46), 'fe80::1%eth0'].map((host) => member(host, 1)),
        Array.from({ length: 9 }, () => ['::', 1]),
      ],
    };
    expect(read(good)).toBeDefined();
    for (const [at, values] of Object.entries(refused))
      for (const value of values) expect(changed(Number(at), value), `${at} ${JSON.stringify(value)}`).toBeUndefined();
    for (const [at, value] of [
      ...[1, 5].map((one) => [one, 'x'.repeat(32)] as const),
      ...[2, 3].flatMap((one) => [0, 255].map((value) => [one, value] as const)),
      ...[
        [6, 65_535],
        [7, 2 ** 32 - 1],
        [9, 0],
        [9, 65_535],
        [8, 'abcdefghijkl2567'],
      ].map(([one, value]) => [one as number, value as PayloadValue] as const),
      [10, Array.from({ length: 8 }, () => ['::', 65_535])] as const,
    ])
      expect(changed(at, value), String(at)).toBeDefined();
    expect([read(good.slice(0, 10)), read([...good, null]), read('x'), read({})]).toEqual([undefined, undefined, undefined, undefined]);
    const bytes = Uint8Array.from([7, 1, ...nonce, ...encodePayload(good)]);
    for (let size = 0; size < bytes.length; size++) expect(decodeHere(bytes.subarray(0, size))).toBeUndefined();
    expect(decodeHere(Uint8Array.from([...bytes, 0]))).toBeUndefined();
    expect(decodeHere(Uint8Array.from([7, 2, ...bytes.subarray(2)]))).toBeUndefined();
    // At 256 bytes it is read, at 257 not.
    const sized = (extra: number): Uint8Array => {
      const members = [...Array.from({ length: 3 }, () => ['1'.repeat(45), 65_535]), ['1'.repeat(extra), 65_535]];
      return Uint8Array.from([7, 1, ...nonce, ...encodePayload(good.with(10, members as PayloadValue))]);
    };
    const sizes = Array.from({ length: 44 }, (_, i) => sized(2 + i)).map((one) => [one.length, decodeHere(one) !== undefined] as const);
    expect(sizes.map(([size]) => size)).toContain(256);
    expect(sizes.map(([size]) => size)).toContain(257);
    for (const [size, taken] of sizes) expect([size, taken]).toEqual([size, size <= MAX_HERE_BYTES]);
  });

  it('[WI2] HERE is never written larger than it is read, whoever is a member', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 2, max: 45 }), { maxLength: 12, size: 'max' }),
        fc.string({ maxLength: 10 }),
        fc.integer({ min: 1, max: 32 }),
        (hosts, name, idBytes) => {
          const facts = {
            ...{ roomId: '00112233445566778899aabbccddeeff' as RoomId, name, players: 3, max: 16, locked: true, gameId: 'g'.repeat(idBytes) },
            ...{ version: 2, schemaHash: 0xdead_beef, peer: 'abcdefghijklmnop' as PeerId, joinPort: 47_700 },
            members: hosts.map((size) => ({ host: '1'.repeat(size), port: 29_798 })),
          };
          const encoded = encodeHere({ nonce, facts }).slice();
          expect(encoded.length).toBeLessThanOrEqual(MAX_HERE_BYTES);
          const read = decodeHere(encoded)!.facts;
          expect(read).toEqual({ ...facts, members: facts.members.slice(0, read.members.length) });
        },
      ),
    );
  });
});

describe('frames', () => {
  const reader = new FrameReader();
  const writer = new FrameWriter(1_500);
  const body = new Uint8Array(3_000).fill(0xff);
  const kinds: Readonly<Record<string, (w: FrameWriter) => void>> = {
    ACK: (w) => w.ack(2 ** 47, 1, 2, 3),
    PING: (w) => w.ping(2 ** 47),
    PONG: (w) => w.pong(1, 2, 3),
    CLOSE: (w) => w.close(5),
    PATH_CHALLENGE: (w) => w.path(FRAME_PATH_CHALLENGE, nonce),
    PATH_RESPONSE: (w) => w.path(FRAME_PATH_RESPONSE, nonce),
    MTU_ACK: (w) => w.mtuAck(1_452),
    RELIABLE: (w) => w.reliable(3, 9, body.subarray(0, 40)),
    FRAGMENT: (w) => w.fragment(3, 9, 2, 12, body),
    SEQUENCED: (w) => w.sequenced(3, 9, body.subarray(0, 40)),
    UNRELIABLE: (w) => w.unreliable(3, body.subarray(0, 40)),
    'empty RELIABLE': (w) => w.reliable(3, 9, body.subarray(0, 0)),
    'empty SEQUENCED': (w) => w.sequenced(3, 9, body.subarray(0, 0)),
    'empty UNRELIABLE': (w) => w.unreliable(3, body.subarray(0, 0)),
  };
  const first = (bytes: Uint8Array, end = bytes.length): number => {
    reader.reset(bytes, end);
    return reader.next();
  };

  it.each(Object.entries(kinds))('[PR10] %s that ends beyond its packet is refused, whatever lies behind', (_name, write) => {
    writer.begin(1_400);
    write(writer);
    expect(first(writer.bytes, writer.at)).toBeGreaterThan(0);
    expect(reader.next()).toBe(0);
    for (let end = 1; end < writer.at; end++) expect(first(writer.bytes, end), String(end)).toBe(-1);
  });

  it('[PR10] there are no other types, and no other reasons of a CLOSE', () => {
    for (let type = 0; type < 256; type++)
      if (type === 0 || (type > 8 && type < 0x40) || type >= 0x60)
        expect(first(Uint8Array.from([type, ...new Uint8Array(40)])), String(type)).toBe(-1);
    for (let reason = 0; reason < 256; reason++) expect(first(Uint8Array.of(4, reason))).toBe(reason < 6 ? 4 : -1);
  });

  it('[PR10] an MTU_PROBE is nothing but zeros to the end of its packet, and is written so over whatever was there', () => {
    writer.begin(100);
    writer.reliable(0, 1, body.subarray(0, 90));
    writer.begin(100);
    writer.ack(1, 2, 3, 4);
    writer.mtuProbe(127);
    expect(writer.at).toBe(100);
    reader.reset(writer.bytes, 100);
    expect([reader.next(), reader.next(), reader.c, reader.next()]).toEqual([1, FRAME_MTU_PROBE, 127, 0]);
    for (let at = 20; at < 100; at++) {
      writer.bytes[at] = 1;
      reader.reset(writer.bytes, 100);
      expect([reader.next(), reader.next()]).toEqual([1, -1]);
      writer.bytes[at] = 0;
    }
    for (const end of [1, 2]) expect(first(Uint8Array.of(7, 0, 9), end)).toBe(-1);
  });

  it('[WI7] a fragment is of a message that is cut, in as many as it is cut into, and none larger than the largest', () => {
    const read = (index: number, count: number, length: number): number =>
      first(
        Uint8Array.from([FRAME_FRAGMENT, 0, 0, 0, 1, index >> 8, index & 255, count >> 8, count & 255, ...u32(length), ...new Uint8Array(1_200)]),
      );
    const most = fragmentCount(MAX_MESSAGE_BYTES);
    expect([read(0, most, MAX_MESSAGE_BYTES), read(most - 1, most, MAX_MESSAGE_BYTES), read(4, 5, MAX_WHOLE_BYTES + 1)]).toEqual([0x48, 0x48, 0x48]);
    // As many pieces as the largest has, of a message that is a little larger.
    for (const length of [MAX_MESSAGE_BYTES + 1, most * 268]) expect(read(0, most, length)).toBe(-1);
    // What travels whole is no fragment of itself, nor of five.
    for (const length of [0, 1, 100, MAX_WHOLE_BYTES]) expect([read(0, 1, length), read(0, 5, length), read(0, 0, length)]).toEqual([-1, -1, -1]);
    expect([read(5, 5, 1_200), read(6, 5, 1_200), read(0, 4, 1_200), read(0, 6, 1_200)]).toEqual([-1, -1, -1, -1]);
  });

  it('[WI5] an ACK says the longest delay it can where more time has passed, and none where the clock went back', () => {
    const delay = (ms: number): number => {
      writer.begin(100);
      writer.ack(1, 0, 0, ms);
      expect(first(writer.bytes, writer.at)).toBe(1);
      return reader.c;
    };
    expect([2_047, 2_047.97, 2_048, 3_000, 1e9, -5].map(delay)).toEqual([2_047, 65_535 / 32, 65_535 / 32, 65_535 / 32, 65_535 / 32, 0]);
  });

  it('[WI5] nothing is written past the end of a packet, nor of the memory for it', () => {
    const small = new FrameWriter(20);
    small.begin(100);
    expect(small.room).toBe(20);
    small.begin(12);
    small.ping(1);
    expect(small.room).toBe(5);
    for (const write of [kinds['PING']!, kinds['PATH_RESPONSE']!, kinds['empty RELIABLE']!]) expect(() => write(small)).toThrow(RangeError);
    small.close(0);
    expect(first(small.bytes, small.at)).toBe(2);
  });
});

const u32 = (value: number): number[] => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];

describe('payloads', () => {
  it('[WI9] may have 4,096 values and strings of 4,096 bytes, and bytes of any length', () => {
    const list = (count: number): PayloadValue => new Array<PayloadValue>(count).fill(0);
    expect(decodePayload(encodePayload(list(MAX_PAYLOAD_NODES - 1)))).toHaveLength(MAX_PAYLOAD_NODES - 1);
    expect(() => encodePayload(list(MAX_PAYLOAD_NODES))).toThrow('nodes');
    expect(decodePayload(encodePayload('x'.repeat(MAX_PAYLOAD_STRING_BYTES)))).toHaveLength(MAX_PAYLOAD_STRING_BYTES);
    expect(() => encodePayload('x'.repeat(MAX_PAYLOAD_STRING_BYTES + 1))).toThrow('string');
    expect(decodePayload(encodePayload(new Uint8Array(60_000)))).toHaveLength(60_000);
    expect(() => encodePayload(new Uint8Array(70_000))).toThrow('type');
  });

  it('[WI9] a value of any form that ends beyond the payload is refused', () => {
    const forms: readonly (readonly [number, number])[] = [
      ...([0xcc, 0xd0].map((head) => [head, 1]) as [number, number][]),
      ...([0xcd, 0xd1].map((head) => [head, 2]) as [number, number][]),
      ...([0xca, 0xce, 0xd2].map((head) => [head, 4]) as [number, number][]),
      [0xcb, 8],
    ];
    for (const [head, size] of forms) {
      expect(scanPayload(Uint8Array.from([head, ...new Uint8Array(size)]))).toBeUndefined();
      for (let short = 0; short < size; short++) expect(scanPayload(Uint8Array.from([head, ...new Uint8Array(short)]))).toBe('truncated');
    }
    for (const head of [[0xa3], [0xd9, 3], [0xda, 0, 3], [0xc4, 3], [0xc5, 0, 3]]) {
      expect(scanPayload(Uint8Array.from([...head, 1, 1, 1]))).toBeUndefined();
      for (let size = 1; size < head.length + 3; size++) expect(scanPayload(Uint8Array.from([...head, 1, 1, 1].slice(0, size)))).toBe('truncated');
    }
  });

  it('[WI9] keys are strings of any form but bytes, and the three that reach a prototype are refused however deep', () => {
    const text = (name: string, form: number): number[] =>
      form === 0
        ? [0xa0 | name.length, ...Buffer.from(name)]
        : form === 1
          ? [0xd9, name.length, ...Buffer.from(name)]
          : [0xda, 0, name.length, ...Buffer.from(name)];
    for (let depth = 0; depth < 8; depth++) {
      const inside = (...bytes: readonly number[]): Uint8Array =>
        Uint8Array.from([...Array.from({ length: depth }, () => [0x81, 0xa1, 0x61, 0x91]).flat(), 0x81, ...bytes, 1]);
      for (const form of [0, 1, 2]) {
        expect(scanPayload(inside(...text('key', form)))).toBeUndefined();
        for (const name of ['__proto__', 'constructor', 'prototype']) expect(scanPayload(inside(...text(name, form)))).toBe('key');
        // One letter from it is another word.
        for (const name of ['__proto_x', '_-proto__', 'constructoR', 'Constructor', 'prototypE', '__proto___', 'prototyp'])
          expect(scanPayload(inside(...text(name, form)))).toBeUndefined();
      }
      for (const head of [[0xc4, 1], [0xc5, 0, 1], [0x91], [0xcc], [0xc0]]) expect(scanPayload(inside(...head, 0x61))).toBe('key');
    }
    // As a value each of them is a word.
    expect(decodePayload(encodePayload({ a: '__proto__', b: ['constructor'] }))).toEqual({ a: '__proto__', b: ['constructor'] });
  });

  it('[WI12] what is decoded keeps no view into the bytes it came from', () => {
    const bytes = encodePayload({ a: new Uint8Array(40).fill(5), b: [new Uint8Array(300).fill(6)], c: 'text' }).slice();
    const value = decodePayload(bytes) as { a: Uint8Array; b: Uint8Array[]; c: string };
    bytes.fill(0);
    expect([value.a.every((byte) => byte === 5), value.b[0]!.every((byte) => byte === 6), value.c]).toEqual([true, true, 'text']);
  });
});
