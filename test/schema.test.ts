/**
 * Fields: what goes in, what comes back after the wire, what is refused, and what a definition may not say.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defineGame, entity, type LanError, message, s } from 'lanista';
import { bodyCodec } from '../sdk/sync/body.ts';
import type { NumberCodec } from '../sdk/sync/field.ts';
import { specOf } from '../sdk/sync/field.ts';
import { PackReader, PackWriter } from '../sdk/wire/pack.ts';

describe('fields', () => {
  it('[SY25] a number comes back on its grid, within half a step', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.constantFrom([0, 1920, 1 / 16], [-5, 5, 0.3], [0, 1, 1e-6], [-1000, 1000, 1]),
        (share, [min, max, step]) => {
          const codec = specOf(s.num({ min: min!, max: max!, step: step! })).codec as NumberCodec;
          const value = min! + share * (max! - min!);
          const int = codec.quantise(value);
          expect(int).toBeGreaterThanOrEqual(codec.low);
          expect(int).toBeLessThanOrEqual(codec.high);
          expect(Math.abs(codec.dequantise(int) - value)).toBeLessThanOrEqual(step! / 2 + 1e-9);
          expect(codec.quantise(codec.dequantise(int))).toBe(int);
        },
      ),
    );
  });

  it('[SY26] angles wrap, and come back in [0, 2 pi)', () => {
    const codec = specOf(s.angle(8)).codec as NumberCodec;
    expect(codec.quantise(-Math.PI / 2)).toBe(192);
    expect(codec.quantise(5 * Math.PI)).toBe(128);
    expect(codec.dequantise(64)).toBeCloseTo(Math.PI / 2);
  });

  it('[SY27] every kind survives the wire, and refuses what does not fit', () => {
    const codec = bodyCodec({
      a: s.bool(),
      b: s.u32(),
      c: s.i32(),
      d: s.oneOf('x', 'y'),
      e: s.flags('p', 'q'),
      f: s.text(8),
      g: s.bytes(4),
      h: s.ref('k'),
      i: s.peer(),
      j: s.list(s.u8(), 3),
      k: s.u8().default(5),
      l: s.list(s.text(3), 2),
    });
    const body = {
      a: true,
      b: 2 ** 32 - 1,
      c: -(2 ** 31),
      d: 'y',
      e: new Set(['q']),
      f: 'é€😀'.slice(0, 2),
      g: Uint8Array.of(1, 2),
      h: 2 ** 50 + 3,
      i: 'abcdefgh',
      j: [1, 2],
      l: ['ab'],
    };
    const out = new PackWriter(8);
    codec.write(out, body, 'm');
    expect(codec.read(new PackReader(out.view()))?.body).toEqual({ ...body, k: 5 });
    const refused: readonly [string, unknown][] = [
      ['a', 1],
      ['b', -1],
      ['b', 2 ** 32],
      ['c', 1.5],
      ['d', 'z'],
      ['e', new Set(['z'])],
      ['f', 'too long text'],
      ['g', new Uint8Array(5)],
      ['h', -1],
      ['i', 7],
      ['j', [256]],
      ['j', [1, 2, 3, 4]],
      ['l', ['long']],
      ['zz', 1],
    ];
    for (const [name, value] of refused) {
      expect(() => codec.write(new PackWriter(), { ...body, [name]: value }, 'm'), name).toThrow(
        expect.objectContaining({ code: 'bad-value', message: expect.stringContaining(`m.${name}`) }),
      );
    }
    for (let size = 0; size < out.offset; size++) expect(codec.read(new PackReader(out.view().subarray(0, size)))).toBeUndefined();
  });

  it('[SY28] a field is a Standard Schema, and a message takes any', () => {
    const standard = s.u8()['~standard'];
    expect(standard.version).toBe(1);
    expect(standard.validate(7)).toEqual({ value: 7 });
    expect(standard.validate('7')).toEqual({ issues: [{ message: "expected a whole number from 0 to 255, got '7'" }] });
    const codec = bodyCodec({
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: (value) => (typeof (value as { n?: unknown }).n === 'number' ? { value } : { issues: [{ message: 'n is missing' }] }),
      },
    });
    const out = new PackWriter();
    codec.write(out, { n: 5, deep: [{ a: null }] }, 'm');
    expect(codec.read(new PackReader(out.view()))?.body).toEqual({ n: 5, deep: [{ a: null }] });
    expect(() => codec.write(out, { m: 5 }, 'm')).toThrow(/m: n is missing/);
    expect(codec.read(new PackReader(Uint8Array.of(0x80)))).toBeUndefined();
  });

  it('[SY29] a definition that cannot work is refused at once, in words', () => {
    const refused: readonly (() => unknown)[] = [
      () => s.num({ min: 1, max: 0, step: 1 }),
      () => s.angle(3),
      () => s.oneOf('a', 'a'),
      () => s.text(0),
      () => s.u8().default(256),
      () => s.text(5).lerp('linear'),
      () => entity({ authority: 'spawner', fields: {} }),
      () => entity({ authority: 'spawner', fields: { owner: s.u8() } }),
      () => entity({ authority: 'spawner', fields: { x: s.u8().lerp('hermite', { velocity: 'vx' }) } }),
      () => entity({ authority: 'spawner', rate: 0, fields: { x: s.u8() } }),
      () => message({ a: 5 } as never),
      () => defineGame({ id: 'Big', version: 1 }),
      () => defineGame({ id: 'a', version: -1 }),
    ];
    for (const define of refused) expect(define).toThrow(expect.objectContaining({ code: 'bad-definition' }) as LanError);
  });

  it('[SY30] the schema hash follows everything both sides must agree on', () => {
    const hash = (field: ReturnType<typeof s.u8>, rate = 30): number =>
      defineGame({ id: 'g', version: 1, entities: { e: entity({ authority: 'spawner', rate, fields: { x: field } }) } }).schemaHash;
    expect(hash(s.u8())).toBe(hash(s.u8()));
    expect(
      new Set([hash(s.u8()), hash(s.u16()), hash(s.num({ min: 0, max: 1, step: 0.1 })), hash(s.u8(), 20), hash(s.u8().lerp('linear'))]).size,
    ).toBe(5);
  });
});
