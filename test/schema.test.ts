/**
 * Fields: what goes in, what comes back after the wire, what is refused, and what a definition may not say.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defineGame, entity, type LanError, message, request, s } from 'lanista';
import { bodyCodec } from '../sdk/sync/body.ts';
import type { NumberCodec } from '../sdk/sync/field.ts';
import { specOf } from '../sdk/sync/field.ts';
import { KindSpec } from '../sdk/sync/kind.ts';
import { PackReader, PackWriter } from '../sdk/wire/pack.ts';
import { openRooms } from './open-rooms.ts';

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

  it('[SY25] whatever the bounds and the step, all that fits has its integer, and comes back within half a step and the bounds', () => {
    const decimal = (most: number): fc.Arbitrary<number> => fc.integer({ min: -most, max: most }).map((n) => n / 1_000);
    fc.assert(
      fc.property(
        decimal(5_000),
        fc.integer({ min: 1, max: 900 }),
        fc.integer({ min: 1, max: 9_000 }),
        fc.constantFrom(0, 0.5, 1),
        (min, a, b, share) => {
          const step = a / 1_000;
          // Half-way between two points, where what is reckoned may fall either way, or anywhere.
          const max = share === 0.5 ? Math.round((min + (b + 0.5) * step) * 1e4) / 1e4 : min + b / 1_000;
          const kind = new KindSpec(0, 'k', entity({ authority: 'spawner', fields: { x: s.num({ min, max, step }) } }), 30);
          const codec = kind.fields[0]!.codec as NumberCodec;
          for (const value of [min, max, max - step / 5, max - step / 2, max - 0.6 * step, min + share * (max - min)]) {
            if (value < min) continue;
            // `expect` is slow, and this is looked at 80,000 times.
            const int = kind.quantise(0, value);
            assert.equal(codec.quantise(value), int);
            assert.ok(int >= codec.low && int <= codec.high, `${int} of ${codec.low} to ${codec.high}`);
            const back = kind.dequantise(0, int);
            assert.equal(codec.dequantise(int), back);
            assert.ok(back >= min && back <= max, `${back} of ${min} to ${max}`);
            assert.ok(Math.abs(back - value) <= step / 2 + 1e-9, `${value} came back as ${back}`);
          }
        },
      ),
      { numRuns: 2_000 },
    );
    // What is on the grid comes back as it is, also where step by step is a little beside it.
    const codec = specOf(s.num({ min: 0, max: 2.1, step: 0.7 })).codec as NumberCodec;
    expect(codec.dequantise(codec.quantise(2.1))).toBe(2.1);
  });

  it('[SY25] a number at the upper bound of a grid that does not meet it reaches the others', async () => {
    const half = defineGame({
      id: 'half',
      version: 1,
      entities: { bar: entity({ authority: 'spawner', fields: { x: s.num({ min: 0, max: 0.3, step: 0.2 }), n: s.u8() } }) },
    });
    const { hub, rooms } = await openRooms(half, 2);
    const bar = rooms[0]!.entities.spawn('bar', { x: 0, n: 0 });
    await hub.play(100);
    Object.assign(bar, { x: 0.3, n: 1 });
    await hub.play(200);
    const seen = rooms[1]!.entities.get('bar', bar.id)!;
    expect([seen.x, seen.n]).toEqual([0.3, 1]);
    expect(rooms[1]!.stats().drops).toEqual({});
  });

  it('[SY26] angles are taken from -1,000,000 to 1,000,000, and a refusal says so', () => {
    for (const fits of [-1e6, 0, 1e6]) expect(specOf(s.angle()).flaw(fits)).toBeUndefined();
    for (const wide of [-1_000_001, 2e6, Infinity])
      expect(specOf(s.angle()).flaw(wide)?.expected).toBe('an angle in radians from -1000000 to 1000000');
    expect((specOf(s.angle()).codec as NumberCodec).wrapBits).toBe(8);
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
      () => entity({ authority: 'spawner', fields: { x: s.u8().lerp('hermite', { velocity: 'toString' }) } }),
      () => entity({ authority: 'spawner', fields: { x: s.u8().lerp('hermite', { velocity: 'way' }), way: s.oneOf('left', 'right') } }),
      () => entity({ authority: 'spawner', fields: { x: s.u8().lerp('hermite', { velocity: 'on' }), on: s.bool() } }),
      () => entity({ authority: 'spawner', rate: 0, fields: { x: s.u8() } }),
      // Full to its bounds no message would take it, and nobody would hear anything of its owner any more.
      () => entity({ authority: 'spawner', fields: { a: s.list(s.text(900), 256), b: s.list(s.bytes(900), 40) } }),
      () => defineGame({ id: 'a', version: 1, presence: { a: s.list(s.text(900), 256), b: s.list(s.bytes(900), 40) } }),
      () => message({ a: 5 } as never),
      () => defineGame({ id: 'Big', version: 1 }),
      () => defineGame({ id: 'a', version: -1 }),
    ];
    for (const define of refused) expect(define).toThrow(expect.objectContaining({ code: 'bad-definition' }) as LanError);
  });

  it('[SY29] what is missing altogether is refused by its code, and not in the words of the engine', () => {
    const none = undefined as never;
    const refused: readonly (() => unknown)[] = [
      ...[none, null as never, 5 as never].flatMap((nothing) => [
        () => s.num(nothing),
        () => s.list(nothing, 3),
        () => s.oneOf(nothing),
        () => s.flags(nothing),
        () => s.ref(nothing),
        () => s.bytes((nothing as unknown) === 5 ? 0 : nothing),
        () => entity(nothing),
        () => message(nothing),
        () => request(nothing, {}),
        () => request({}, nothing),
        () => defineGame(nothing),
      ]),
      () => s.oneOf(...([] as never as ['a'])),
      () => message({}, null as never),
      () => request({}, {}, null as never),
      () => s.u8().lerp(none),
      () => s.u8().lerp('linear', null as never),
      () => defineGame({ id: 'g', version: 1, entities: 5 as never }),
      () => defineGame({ id: 'g', version: 1, presence: null as never, messages: null as never, requests: 'r' as never }),
    ];
    for (const define of refused) expect(define, String(define)).toThrow(expect.objectContaining({ code: 'bad-definition' }) as LanError);
  });

  it('[SY29] what would mean nothing is refused by its path and name', () => {
    const fields = { x: s.u8() };
    const game = (parts: object) => () => defineGame({ id: 'g', version: 1, ...parts });
    const thing = (field: object) => ({ entities: { thing: entity({ authority: 'spawner', fields: { friend: field as never } }) } });
    const refused: readonly (readonly [define: () => unknown, words: string])[] = [
      [() => s.oneOf('a', 'b', 'a' as never), "oneOf: expected different names, got 'a' twice."],
      [() => s.flags('p', 'p' as never), "flags: expected different names, got 'p' twice."],
      [() => s.oneOf(['a', 'b'] as never), "oneOf: expected names, got an array of 2. Write s.oneOf('a', 'b')."],
      [() => s.u8().lerp('lineal' as never), "lerp of a u8 field: expected 'linear', 'hermite', 'angle', 'step', got 'lineal'."],
      [() => s.u8().lerp('hermite', { speed: 'x' } as never), "lerp of a u8 field: there is no 'speed'. It takes velocity."],
      [() => s.num({ min: 0, max: 1, step: 1, size: 2 } as never), "num: there is no 'size'. It takes min, max, step."],
      [() => entity({ authority: 'spawner', fields, owner: 'x' } as never), "entity: there is no 'owner'."],
      [() => message(fields, { deliver: 'unreliable' } as never), "message: there is no 'deliver'. It takes delivery, redundancy."],
      [() => message(fields, { redundancy: 2 }), "redundancy: a 'reliable' message arrives once by itself, got 2."],
      [() => request(fields, fields, { too: 'host' } as never), "request: there is no 'too'. It takes to."],
      [() => request(fields, fields, { to: 'all' as never }), "to: expected 'host', 'peer' or 'owner', got 'all'."],
      [game({ entites: {} }), "defineGame: there is no 'entites'. It takes id, version, presence, entities, messages, requests."],
      [game({ entities: { thing: { fields } } }), 'entities.thing: expected what entity() makes, got an object. Write entity(…).'],
      [game({ messages: { say: { text: s.text(5) } } }), 'messages.say: expected what message() makes, got an object.'],
      [game({ messages: { say: { delivery: s.u8() } } }), 'messages.say: expected what message() makes, got an object.'],
      [game({ requests: { ask: () => 5 } }), 'requests.ask: expected what request() makes, got a function.'],
      [game(thing(s.ref('zzz'))), "entities.thing.friend: there is no entity kind 'zzz' to refer to. Kinds are thing."],
      [game(thing(s.list(s.ref('zzz'), 3))), "entities.thing.friend: there is no entity kind 'zzz'"],
      [game({ presence: { of: s.ref('zzz') } }), "presence.of: there is no entity kind 'zzz'"],
      [game({ messages: { say: message({ of: s.ref('toString').default(5 as never) }) } }), "messages.say.of: there is no entity kind 'toString'"],
      [game({ requests: { ask: request(fields, { of: s.ref('zzz') }) } }), "requests.ask output.of: there is no entity kind 'zzz'"],
    ];
    for (const [define, words] of refused) {
      expect(define).toThrow(words);
      expect(define).toThrow(expect.objectContaining({ code: 'bad-definition' }) as LanError);
    }
  });

  it('[SY29] what means something is taken: a kind that refers to itself, one copy, and a game spread into another', () => {
    const things = { thing: entity({ authority: 'spawner', fields: { friend: s.ref('thing'), friends: s.list(s.ref('thing'), 3).default([]) } }) };
    const first = defineGame({ id: 'g', version: 1, entities: things, messages: { say: message({ rate: s.u8() }, { redundancy: 1 }) } });
    const second = defineGame({ ...first, version: 2 });
    expect([second.version, second.schemaHash]).toEqual([2, first.schemaHash]);
  });

  it('[SY21] an empty text is no peer on the way in either', () => {
    for (const [field, bytes] of [
      [s.peer(), [0x91, 0xa0]],
      [s.list(s.peer(), 2), [0x91, 0x92, 0xa1, 0x61, 0xa0]],
    ] as const) {
      expect(bodyCodec({ field }).read(new PackReader(Uint8Array.from(bytes)))).toBeUndefined();
      expect(specOf(field).flaw(field.kind === 'peer' ? '' : [''])).toBeDefined();
    }
  });

  it('[SY21] a float that is none becomes 0 where it is read', () => {
    const codec = specOf(s.f32()).codec as NumberCodec;
    for (const bits of [0x7f80_0000, -0x80_0000, 0x7fc0_0000, 0x7f80_0001]) expect(codec.dequantise(bits)).toBe(0);
    expect(codec.dequantise(codec.quantise(1.5))).toBe(1.5);
  });

  it('[SY29] fields, kinds and rates are within their bounds', () => {
    const of = (count: number): Record<string, ReturnType<typeof s.u8>> =>
      Object.fromEntries(Array.from({ length: count }, (_, i) => [`f${i}`, s.u8()]));
    const bad = expect.objectContaining({ code: 'bad-definition' });
    const kind = (count: number, rate = 30) => entity({ authority: 'spawner', rate, fields: of(count) });
    expect([kind(1), kind(28), kind(1, 1), kind(1, 60)]).toHaveLength(4);
    for (const wrong of [() => kind(0), () => kind(29), () => kind(1, 0.5), () => kind(1, 61)]) expect(wrong).toThrow(bad);
    const kinds = (count: number) =>
      defineGame({ id: 'g', version: 1, messages: Object.fromEntries(Array.from({ length: count }, (_, i) => [`m${i}`, message({})])) });
    expect(Object.keys(kinds(127).messages)).toHaveLength(127);
    expect(() => kinds(128)).toThrow(bad);
    expect(() => s.angle(17)).toThrow(bad);
    expect(() => s.num({ min: 0, max: 2 ** 31, step: 1 })).toThrow(bad);
    expect(s.num({ min: 0, max: 2 ** 31 - 2, step: 1 })).toBeDefined();
  });

  it('[SY29] an id and a version are within their bounds', () => {
    const id = 'a'.repeat(32);
    expect(defineGame({ id, version: 0xffff }).id).toBe(id);
    for (const wrong of [
      { id: `${id}a`, version: 1 },
      { id: '', version: 1 },
      { id: '-a', version: 1 },
      { id: 'g', version: 0x1_0000 },
      { id: 'g', version: -1 },
      { id: 'g', version: 1.5 },
    ])
      expect(() => defineGame(wrong), JSON.stringify(wrong)).toThrow(expect.objectContaining({ code: 'bad-definition' }));
  });

  it('[SY30] the schema hash follows everything both sides must agree on', () => {
    const hash = (field: ReturnType<typeof s.u8>, rate = 30): number =>
      defineGame({ id: 'g', version: 1, entities: { e: entity({ authority: 'spawner', rate, fields: { x: field } }) } }).schemaHash;
    expect(hash(s.u8())).toBe(hash(s.u8()));
    expect(
      new Set([hash(s.u8()), hash(s.u16()), hash(s.num({ min: 0, max: 1, step: 0.1 })), hash(s.u8(), 20), hash(s.u8().lerp('linear'))]).size,
    ).toBe(5);
    // Names are names, whatever is in them.
    const named = (...of: [string, ...string[]]): number[] =>
      [s.oneOf(...of), s.flags(...of)].map((f) => defineGame({ id: 'g', version: 1, presence: { f } }).schemaHash);
    const lists: [string, ...string[]][] = [['a', 'b', 'c'], ['a|b', 'c'], ['a', 'b|c'], ['a|b|c'], ['a","b', 'c'], ['a,b,c']];
    expect(new Set(lists.flatMap((of) => named(...of))).size).toBe(2 * lists.length);
    // And so is every rule of what is declared.
    const rules = [{}, { transfer: 'never' }, { transfer: 'take' }, { onOwnerLeave: 'host' }, { onOwnerLeave: 'despawn' }].map((rule) =>
      defineGame({ id: 'g', version: 1, entities: { e: entity({ authority: 'distributed', fields: { x: s.u8() }, ...(rule as object) }) } }),
    );
    const said = (['reliable', 'sequenced', 'unreliable'] as const).map((delivery) =>
      defineGame({ id: 'g', version: 1, messages: { e: message({ x: s.u8() }, { delivery }) } }),
    );
    const asked = (['host', 'peer', 'owner'] as const).map((to) =>
      defineGame({ id: 'g', version: 1, requests: { e: request({ x: s.u8() }, {}, { to }) } }),
    );
    expect(new Set([...rules, ...said, ...asked].map(({ schemaHash }) => schemaHash)).size).toBe(11);
  });
});
