/** The codec that the game half writes by hand: every value at each edge of its forms, and everything that is no such value. */
import { decode as independentDecode } from '@msgpack/msgpack';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PackReader, PackWriter, utf8Length } from '../sdk/wire/pack.ts';
import { encodePayload, type PayloadValue } from '../sdk/wire/payload.ts';
import { expectSame } from './same.ts';

/** A writer that has to grow, so that what grows keeps what was there. */
const written = (write: (out: PackWriter) => void): Uint8Array => {
  const out = new PackWriter(1);
  write(out);
  return out.copy();
};

/** Refused, and from then on nothing is read any more, though there are bytes. */
function refuses(bytes: readonly number[] | Uint8Array, read: (from: PackReader) => unknown, end = bytes.length): void {
  const more = new Uint8Array(bytes.length + 9).fill(1);
  more.set(bytes);
  const reader = new PackReader(more, 0, end);
  read(reader);
  const left = [reader.ok, reader.done, reader.more, reader.int(), reader.nil(), reader.bool(), reader.text(9), reader.binary(9).length, reader.ok];
  expectSame(left, [false, false, false, 0, false, false, '', 0, false], `${bytes.slice(0, 8).join(' ')} of ${end}`);
}

/** The value comes back, as it was and to its last byte; of no part of its bytes does one come. */
function survives<T>(bytes: Uint8Array, value: T, read: (from: PackReader) => T, cuts = bytes.length): void {
  const reader = new PackReader(bytes);
  expect(read(reader)).toEqual(value);
  expect(reader.done).toBe(true);
  for (let end = 0; end < cuts; end++) refuses(bytes, read, end);
}

describe('the hand-written codec', () => {
  it('[WI15] writes each integer in the fewest bytes, and reads it back', () => {
    for (const [size, ...values] of [
      [1, 0, 1, 127, -1, -32],
      [2, 128, 255, -33, -128],
      [3, 256, 65_535, -129, -32_768],
      [5, 65_536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, -32_769, -(2 ** 31)],
    ] as const)
      for (const value of values) {
        const bytes = written((out) => out.int(value));
        expect([value, bytes.length, independentDecode(bytes)]).toEqual([value, size, value]);
        survives(bytes, value, (from) => from.int());
        expect(written((out) => out.number(value))).toEqual(bytes);
      }
    for (const head of [0x80, 0x90, 0xa0, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xca, 0xcb, 0xcf, 0xd3, 0xd4, 0xd9, 0xdc, 0xde, 0xdf])
      refuses([head, 0, 0, 0, 0, 0, 0, 0, 0], (from) => from.int());
  });

  it('[WI15] writes every other number as a float of 64 bits, with its sign', () => {
    for (const value of [0.5, -0, NaN, Infinity, -Infinity, 2 ** 32, -(2 ** 31) - 1, 2 ** 53, Number.MIN_VALUE]) {
      const bytes = written((out) => out.number(value));
      expect([bytes.length, independentDecode(bytes)]).toEqual([9, value]);
      survives(bytes, value, (from) => from.number());
    }
  });

  it('[WI15] reads a count only within its bound, and nothing but true and false as a yes or no', () => {
    const count = (value: number, bound: number): [number, boolean] => {
      const reader = new PackReader(written((out) => out.int(value)));
      return [reader.count(bound), reader.ok];
    };
    expect([count(0, 5), count(5, 5), count(6, 5), count(-1, 5)]).toEqual([
      [0, true],
      [5, true],
      [0, false],
      [0, false],
    ]);
    for (const value of [true, false])
      survives(
        written((out) => out.bool(value)),
        value,
        (from) => from.bool(),
      );
    for (const head of [0, 1, 0xc0, 0xc1, 0xc4]) refuses([head], (from) => from.bool());
    survives(
      written((out) => out.nil()),
      true,
      (from) => from.nil(),
      0,
    );
    expect(new PackReader(Uint8Array.of(0xc2)).nil()).toBe(false);
    expect(new PackReader(Uint8Array.of(0xc0), 0, 0).nil()).toBe(false);
  });

  it('[WI15] writes the head of an array in the fewest bytes; one that promises more than is there, or than may be, is refused', () => {
    for (const [count, size] of [
      [0, 1],
      [15, 1],
      [16, 3],
      [65_535, 3],
    ] as const) {
      const bytes = written((out) => {
        out.array(count);
        for (let i = 0; i < count; i++) out.nil();
      });
      expect(bytes.length).toBe(size + count);
      expect((independentDecode(bytes) as unknown[]).length).toBe(count);
      const reader = new PackReader(bytes);
      expect([reader.array(count), reader.ok, reader.offset]).toEqual([count, true, size]);
      if (count > 0) refuses(bytes, (from) => from.array(count - 1));
      for (const end of [0, 1, 2, bytes.length - 1]) if (end < bytes.length && count > 0) refuses(bytes, (from) => from.array(count), end);
    }
    const open = written((out) => {
      const at = out.openArray();
      for (let i = 0; i < 300; i++) out.int(1);
      out.endArray(at, 300);
    });
    expect((independentDecode(open) as unknown[]).length).toBe(300);
    expect(new PackReader(open).array(300)).toBe(300);
    for (const head of [0x80, 0xa1, 0xdd, 0xde, 0xc0]) refuses([head, 0, 1], (from) => from.array(9));
    expect(() => new PackWriter().array(65_536)).toThrow('65,535');
  });

  it('[WI15] writes text and bytes of every length in the fewest bytes; past its bound or its end neither is read', () => {
    for (const [size, head, binaryHead] of [
      [0, 1, 2],
      [31, 1, 2],
      [32, 2, 2],
      [255, 2, 2],
      [256, 3, 3],
      [65_535, 3, 3],
    ] as const) {
      const value = 'x'.repeat(size);
      const text = written((out) => out.text(value));
      expect([text.length, independentDecode(text)]).toEqual([head + size, value]);
      const cuts = Math.min(40, size + head);
      survives(text, value, (from) => from.text(size), cuts);
      refuses(text, (from) => from.text(size), text.length - 1);
      if (size > 0) refuses(text, (from) => from.text(size - 1));
      const body = new Uint8Array(size).fill(7);
      const binary = written((out) => out.binary(body));
      expect([binary.length, Buffer.compare(independentDecode(binary) as Uint8Array, body)]).toEqual([binaryHead + size, 0]);
      expect(Buffer.compare(new PackReader(binary).binary(size), body)).toBe(0);
      for (const end of [0, 1, 2, binary.length - 1].filter((one) => one < binary.length)) refuses(binary, (from) => from.binary(size), end);
      if (size > 0) refuses(binary, (from) => from.binary(size - 1));
    }
    for (const head of [0, 0x80, 0x90, 0xc0, 0xc4, 0xdb]) refuses([head, 1, 0x61], (from) => from.text(9));
    for (const head of [0, 0xa1, 0xc0, 0xc6, 0xd9]) refuses([head, 1, 0x61], (from) => from.binary(9));
  });

  it('[WI15] gives bytes as a copy, and as a view only to who asks for one', () => {
    // Of Node's own kind, whose `slice` makes none.
    const source = Buffer.from([0xc4, 2, 5, 6]);
    const copy = new PackReader(source).binary(2);
    const view = new PackReader(source).binaryView(2);
    source[2] = 9;
    expect([[...copy], [...view]]).toEqual([
      [5, 6],
      [9, 6],
    ]);
  });

  it('[WI15] takes no text but well-formed UTF-8, and no character that ends past its text', () => {
    for (const bad of [
      [0x80],
      [0xbf],
      [0xc0, 0x80],
      [0xc1, 0xbf],
      [0xc2],
      [0xc2, 0x41],
      [0xc2, 0xc2],
      [0xe0, 0x80, 0x80],
      [0xe0, 0x9f, 0xbf],
      [0xe2, 0x82],
      [0xe2, 0x41, 0x80],
      [0xed, 0xa0, 0x80],
      [0xed, 0xaf, 0xbf],
      [0xed, 0xb0, 0x80],
      [0xed, 0xbf, 0xbf],
      [0xf0, 0x80, 0x80, 0x80],
      [0xf0, 0x8f, 0xbf, 0xbf],
      [0xf0, 0x9f, 0x98],
      [0xf4, 0x90, 0x80, 0x80],
      [0xf5, 0x80, 0x80, 0x80],
      [0xff],
    ]) {
      refuses([0xa0 | bad.length, ...bad], (from) => from.text(9));
      // The bytes that would complete it belong to the next value.
      refuses([0xa0 | bad.length, ...bad, 0x80, 0x80, 0x80], (from) => from.text(9));
    }
    for (const good of ['\u0080', '\u07ff', '\u0800', '\ud7ff', '\ue000', '\uffff', '\u{10000}', '\u{10ffff}'])
      survives(
        written((out) => out.text(good)),
        good,
        (from) => from.text(9),
      );
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.nat(0xffff), fc.integer({ min: 0xd7f0, max: 0xe010 })), { maxLength: 40, size: 'max' }), (units) => {
        const text = String.fromCharCode(...units);
        // What stands for half a character becomes U+FFFD, as everywhere.
        const whole = Buffer.from(text).toString();
        const bytes = written((out) => out.text(text));
        expect(utf8Length(text)).toBe(Buffer.byteLength(text));
        expect(independentDecode(bytes)).toBe(whole);
        survives(bytes, whole, (from) => from.text(200), 0);
      }),
    );
  });

  it('[WI15] steps over any value that it can write, and over no part of one', () => {
    const value: fc.Arbitrary<PayloadValue> = fc.letrec<{ value: PayloadValue }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.constant(null),
        fc.boolean(),
        fc.integer(),
        fc.constantFrom(127, 128, 255, 256, 65_535, 65_536, -32, -33, -128, -129, -32_768, -32_769),
        fc.double({ noNaN: true }),
        fc.string({ maxLength: 60, size: 'max' }),
        fc.constantFrom('y'.repeat(32), 'y'.repeat(255), 'y'.repeat(256)),
        fc.integer({ min: 0, max: 300 }).map((size) => new Uint8Array(size).fill(0x91)),
        fc.array(tie('value'), { maxLength: 20 }),
      ),
    })).value;
    fc.assert(
      fc.property(value, value, (first, second) => {
        const bytes = Uint8Array.from([...encodePayload(first), ...encodePayload(second), 0x2a]);
        const reader = new PackReader(bytes);
        reader.skip(2);
        expect([reader.ok, reader.int(), reader.done]).toEqual([true, 0x2a, true]);
        for (let end = 0; end < bytes.length - 1; end += 1 + (end >> 4)) refuses(bytes, (from) => from.skip(2), end);
      }),
      { numRuns: 60 },
    );
    // Maps, extensions and 64-bit integers are not of this codec.
    for (const head of [0x80, 0x81, 0xc1, 0xc6, 0xc7, 0xca, 0xcf, 0xd3, 0xd4, 0xdb, 0xdd, 0xde]) refuses([head], (from) => from.skip(1), 9);
  });
});
