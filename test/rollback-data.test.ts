/** The state of a simulation: copied, compared, sent; and a simulation that is none, found on one machine. */
import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { det, s, simulation } from 'lanista';
import { syncTest } from 'lanista/testing';
import { describe, expect, it } from 'vitest';
import { assertData, copyData, diffData } from '../sdk/sync/rollback/data.ts';
import { decodeState, encodeState } from '../sdk/sync/rollback/state-codec.ts';

/** As people type it, and cut in the middle of an emoji. */
const text = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 12 }), fc.string({ unit: fc.constantFrom('a', '\ud83c', '\udfae'), maxLength: 4 }));
const key = fc.oneof(text, fc.integer(), fc.boolean(), fc.constant(null), fc.constant(undefined));
const numbers = fc.oneof(
  fc.int8Array({ maxLength: 9 }),
  fc.uint8Array({ maxLength: 9 }),
  fc.uint8ClampedArray({ maxLength: 9 }),
  fc.int16Array({ maxLength: 9 }),
  fc.uint16Array({ maxLength: 9 }),
  fc.int32Array({ maxLength: 9 }),
  fc.uint32Array({ maxLength: 9 }),
  fc.float32Array({ maxLength: 9 }),
  fc.float64Array({ maxLength: 9 }),
);
const { data } = fc.letrec((tie) => ({
  data: fc.oneof(
    { maxDepth: 5 },
    fc.oneof(fc.double(), fc.integer(), text, fc.boolean(), fc.constant(null), fc.constant(undefined), numbers),
    fc.array(tie('data'), { maxLength: 5 }),
    fc.dictionary(
      text.filter((name) => name !== '__proto__'),
      tie('data'),
      { maxKeys: 5 },
    ),
    fc.array(fc.tuple(key, tie('data')), { maxLength: 4 }).map((entries) => new Map(entries)),
    fc.array(key, { maxLength: 4 }).map((keys) => new Set(keys)),
  ),
}));

function nested(levels: number, inside: unknown): unknown {
  return levels === 0 ? inside : [nested(levels - 1, inside)];
}

/** As `deepStrictEqual`, which tells 0 from -0 and knows NaN; a dictionary of fast-check may have no prototype. */
function assertSame(a: unknown, b: unknown): void {
  assert.deepEqual(diffData(a, b), []);
  assert.equal(det.hashState(a), det.hashState(b));
}

describe('data', () => {
  it('[RB11] a copy says the same, shares nothing, and an old copy is used again whatever it was', () => {
    fc.assert(
      fc.property(data, data, (value, old) => {
        const into = copyData(old);
        const copy = copyData(value, into);
        assertSame(copy, value);
        const parts = new Set<unknown>();
        const walk = (at: unknown, visit: (part: object) => void): void => {
          if (typeof at !== 'object' || at === null) return;
          visit(at);
          if (ArrayBuffer.isView(at)) return;
          for (const part of at instanceof Map ? at.values() : at instanceof Set ? [] : Object.values(at)) walk(part, visit);
        };
        walk(value, (part) => parts.add(part));
        walk(copy, (part) => assert.ok(!parts.has(part)));
        // And back again, as a rollback does.
        assertSame(copyData(value, copy), value);
      }),
      { numRuns: 500 },
    );
  });

  it('[RB11] what is frozen is copied, and never filled: a step may keep the inputs it is given', () => {
    const at = (n: number) => Object.freeze({ list: Object.freeze([n, Object.freeze({ n })]), n });
    const into = at(1);
    assertSame(copyData(at(2), into), at(2));
    assertSame(into, at(1));
    const keeping = simulation({
      id: 'keeping',
      input,
      start: (): { last: unknown[]; before: unknown[] } => ({ last: [], before: [] }),
      step(state, players) {
        state.before = state.last;
        state.last = players.map((player) => player.input);
      },
    });
    expect(syncTest(keeping, { ticks: 60 })).toEqual({ ok: true, ticks: 60 });
  });

  it('[RB11] a copy is made in the parts of an old one that have the same shape, and never in those of another', () => {
    const numbers = Float32Array.of(1, 2);
    for (const [source, into] of [
      [[1, 2], [7]],
      [[], [7, 8]],
      [
        { a: 1, b: 2 },
        { a: 3, b: { c: 1 } },
      ],
      [numbers, new Float32Array(2)],
    ] as const) {
      expect(copyData(source, into)).toBe(into);
      assertSame(into, source);
    }
    for (const [source, into] of [
      [[1, 2], { 0: 1, 1: 2 }],
      [[1, 2], null],
      [
        { a: 1, b: 2 },
        { b: 1, a: 2 },
      ],
      [{ a: 1, b: 2 }, { a: 1 }],
      [{ a: 1 }, { a: 1, b: 2 }],
      [{ a: 1 }, null],
      [{ a: 1 }, 'a'],
      [{ length: 0 }, []],
      [{}, new Map()],
      [numbers, new Float32Array(3)],
      [numbers, new Float64Array(2)],
      [numbers, null],
      [numbers, 5],
      [numbers, undefined],
    ] as const) {
      const copy = copyData(source, into);
      expect(copy).not.toBe(into);
      assertSame(copy, source);
      expect(copy.constructor).toBe(source.constructor);
    }
    // Of itself it would be none.
    for (const source of [[1], { a: 1 }, numbers]) expect(copyData(source, source)).not.toBe(source);
    const inner = { x: 1 };
    expect(copyData({ inner, y: 2 }, { inner, y: 1 }).inner).not.toBe(inner);
    const kept = [{ x: 5 }, 3];
    const part = kept[0];
    expect(copyData([{ x: 1 }], kept)[0]).toBe(part);
    expect(kept).toEqual([{ x: 1 }]);
    // Keys in the order of the source: a step may walk them.
    expect(Object.keys(copyData({ a: 1, b: 2 }, { b: 1, a: 2 }))).toEqual(['a', 'b']);
  });

  it('[RB11] 64 levels are copied, sent and compared, and one more is refused', () => {
    const deep = nested(63, { x: 1 });
    assertSame(copyData(deep), deep);
    assertSame(decodeState(encodeState(deep))?.state, deep);
    for (const refuse of [copyData, assertData, encodeState])
      expect(() => refuse(nested(64, {}))).toThrow(expect.objectContaining({ code: 'bad-value' }));
    for (const wrap of [(part: unknown) => ({ part }), (part: unknown) => new Map([['part', part]])]) {
      const levels = (count: number): unknown => {
        let state: unknown = 1;
        for (let i = 0; i < count; i++) state = wrap(state);
        return state;
      };
      assertSame(copyData(levels(64)), levels(64));
      assertSame(decodeState(encodeState(levels(64)))?.state, levels(64));
      for (const refuse of [copyData, assertData, encodeState])
        expect(() => refuse(levels(65))).toThrow(expect.objectContaining({ code: 'bad-value' }));
    }
    assertSame(copyData(nested(64, 'x')), nested(64, 'x'));
    assertSame(decodeState(encodeState(nested(64, undefined)))?.state, nested(64, undefined));
    assertSame(decodeState(encodeState(nested(64, '\ud83c')))?.state, nested(64, '\ud83c'));
    const round = (): object => {
      const state: { self?: unknown; map?: unknown; list?: unknown } = {};
      state.self = state;
      state.map = new Map([['x', state]]);
      state.list = [state];
      return state;
    };
    // At the end of what is looked at they are not the same.
    expect(diffData(round(), round(), 1)).toHaveLength(1);
    const [first, second]: [unknown[], unknown[]] = [[], []];
    first.push(first);
    second.push(second);
    expect(diffData(first, second)).toHaveLength(1);
    expect(diffData(nested(64, 1), nested(64, 2))[0]).toMatchObject({ mine: 1, theirs: 2 });
  });

  it('[RB11] what is no data is refused with its place', () => {
    class Ball {
      x = 0;
    }
    const round: { self?: unknown } = {};
    round.self = round;
    for (const [state, place] of [
      [{ balls: [1, new Ball()] }, 'state.balls[1]: expected data, got a Ball'],
      [{ when: new Date(0) }, 'state.when: expected data, got a Date'],
      [{ go: () => 1 }, 'state.go: expected data, got a function'],
      [[{ 'a b': Symbol('x') }], 'state[0]["a b"]: expected data, got a symbol'],
      [new Map([['x', 1n]]), 'state.get("x"): expected data, got a bigint'],
      [new Map([[{}, 1]]), 'state: a key: expected data, got a Object'],
      [{ bits: new BigInt64Array(1) }, 'state.bits: expected data, got a BigInt64Array'],
      [round, 'expected at most 64 levels'],
      [nested(64, new Uint8Array(1)), 'expected at most 64 levels'],
    ] as const) {
      for (const refuse of [copyData, assertData, encodeState])
        assert.throws(
          () => refuse(state),
          (error: { code?: string; message: string }) => error.code === 'bad-value' && error.message.includes(place),
          place,
        );
    }
  });

  it('[RB10] differences are named as code would reach them', () => {
    const mine = { a: 1, list: [{ x: 0 }, { x: 0 }], grid: new Uint8Array([1, 2]), of: new Map([['p', { hp: 3 }]]), tags: new Set(['a', 'b']) };
    const theirs = {
      a: -0,
      list: [{ x: 0 }, { x: 2 }, 7],
      grid: new Uint8Array([1, 3]),
      of: new Map([['p', { hp: 2 }]]),
      tags: new Set(['b', 'a']),
      more: 1,
    };
    expect(diffData(mine, theirs).map(({ path }) => path)).toEqual([
      'state.a',
      'state.list.length',
      'state.list[1].x',
      'state.grid[1]',
      'state.of.get("p").hp',
      'state.tags (order)',
      'state.more',
    ]);
    expect(diffData(mine, theirs, 2)).toHaveLength(2);
    expect(diffData(mine, theirs, 0)).toEqual([]);
    // Keys of a record have no order that counts; those of a map and a set do, unless other keys say it already.
    expect(diffData({ a: 1, b: 2 }, { b: 2, a: 1 })).toEqual([]);
    expect(diffData(new Map([[1, 1]]), new Map([[2, 1]])).map(({ path }) => path)).toEqual(['state.get(1)', 'state.get(2)', 'state (order)']);
    expect(diffData(new Set([1, 2, 3]), new Set([3, 2]))).toHaveLength(1);
    expect(diffData(new Set([1, 2]), new Set([2, 1]), 0)).toEqual([]);
    expect(diffData([1], { 0: 1 })).toEqual([{ path: 'state', mine: [1], theirs: { 0: 1 } }]);
    expect(diffData({ a: undefined }, {})).toEqual([]);
    expect(diffData([1, 2], [1])).toEqual([{ path: 'state.length', mine: 2, theirs: 1 }]);
    expect(diffData([0], [-0])).toHaveLength(1);
    expect(diffData([Number.NaN], [Number.NaN])).toEqual([]);
  });

  it('[RB13] a state that travels is the same at the other end', () => {
    fc.assert(
      fc.property(data, (value) => {
        const decoded = decodeState(encodeState(value));
        assert.ok(decoded !== undefined);
        assertSame(decoded.state, value);
      }),
      { numRuns: 500 },
    );
  });

  it('[RB13] what is too large is refused, and what is long goes', () => {
    const grid = new Float64Array(50_000).map((_, i) => i / 3);
    assertSame(decodeState(encodeState({ grid, list: Array.from({ length: 60_000 }, () => 1) }))?.state, {
      grid,
      list: Array.from({ length: 60_000 }, () => 1),
    });
    expect(decodeState(encodeState('x'.repeat(65_535)))?.state).toHaveLength(65_535);
    for (const state of [
      new Uint8Array(600_000),
      Array.from({ length: 70_000 }, () => 1),
      'x'.repeat(70_000),
      Array.from({ length: 60_000 }, () => 'a word of it'),
    ])
      expect(() => encodeState(state)).toThrow(expect.objectContaining({ code: 'too-large' }));
  });

  it('[RB13] bytes from outside never throw, and make nothing larger than a multiple of them', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      // Near to what is right: one byte of a state is another.
      fc.tuple(data, fc.nat(), fc.nat(255)).map(([value, at, byte]) => {
        const right = encodeState(value);
        right[at % right.length] = byte;
        return right;
      }),
    );
    fc.assert(
      fc.property(bytes, (input) => {
        const decoded = decodeState(input);
        if (decoded !== undefined) assertData(decoded.state);
      }),
      { numRuns: 3_000 },
    );
    // The prototype, keys that come twice, an odd count, a half number.
    for (const input of [
      [0x93, 1, 0xa9, 0x5f, 0x5f, 0x70, 0x72, 0x6f, 0x74, 0x6f, 0x5f, 0x5f, 1],
      [0x95, 1, 0xa1, 0x61, 1, 0xa1, 0x61, 2],
      [0x92, 1, 0xa1, 0x61],
      [0x93, 4, 5, 0xc4, 1, 0],
      [0x92, 4, 9],
      [0x94, 3, 1, 1],
      [0x92, 6, 0xc4, 2, 0x61, 0],
      [0x92, 6, 0xc4, 3, 0, 0xd8, 0],
      [0x91, 6],
      [0x93, 0, 0x92, 5, 7],
      [0x91, 9],
      [0x90],
      [],
      [0xdc, 0xff, 0xff, 0],
    ])
      assert.equal(decodeState(new Uint8Array(input)), undefined, String(input));
    // 130,000 maps of nothing, in lists of 65,000.
    const maps = new Uint8Array(2 + 2 * (4 + 2 * 0xfde8));
    maps.set([0x93, 0]);
    for (const start of [2, 2 + 4 + 2 * 0xfde8]) {
      maps.set([0xdc, 0xfd, 0xe9, 0], start);
      for (let i = 0; i < 0xfde8; i++) maps.set([0x91, 2], start + 4 + 2 * i);
    }
    assert.equal(decodeState(maps), undefined);
    assert.throws(() => encodeState(Array.from({ length: 40_000 }, () => ({}))), { code: 'too-large' });
    assert.ok(decodeState(encodeState(Array.from({ length: 30_000 }, () => ({})))) !== undefined);
    const deep = new Uint8Array(10_000);
    for (let at = 0; at < deep.length; at += 2) deep.set([0x92, 0], at);
    assert.equal(decodeState(deep), undefined);
  });
});

const input = { roll: s.bool().default(false), power: s.u8().default(0) };

describe('syncTest', () => {
  it('[RB14] passes what depends on state and inputs alone', () => {
    const seen = new Set<string>();
    const result = syncTest(
      simulation({
        id: 'dice',
        input,
        start: (seed) => ({ dice: det.rng(seed).save(), sum: 0, at: new Map<number, number>(), grid: new Float64Array(8) }),
        step(state, players, tick) {
          const rng = det.rng(0);
          rng.restore(state.dice);
          for (const { slot, input: held } of players) {
            seen.add(`${slot} ${held.roll}`);
            if (held.roll) state.sum += rng.float() * held.power;
            state.at.set(slot, tick);
            state.grid[tick % 8]! += held.power;
          }
          state.dice = rng.save();
        },
      }),
      { ticks: 400, players: 3 },
    );
    expect(result).toEqual({ ok: true, ticks: 400 });
    expect(seen.size).toBe(6);
  });

  it('[RB14] passes states that bring save and load, and steps that return another state', () => {
    class World {
      readonly x: number;
      constructor(x = 0) {
        this.x = x;
      }
    }
    const world = simulation({
      id: 'world',
      input,
      start: () => new World(),
      step: (state, players) => new World(state.x + players.filter((player) => player.input.roll).length),
      save: (state) => ({ x: state.x }),
      load: (saved) => new World(saved.x),
    });
    expect(syncTest(world)).toMatchObject({ ok: true });
  });

  const outside = { count: 0 };
  const shared = { x: 0 };
  for (const [name, what, path, step, start] of [
    ['chance', 'step', 'state.sum', (state: { sum: number }) => void (state.sum += Math.random()), undefined],
    ['a variable outside', 'step', 'state.sum', (state: { sum: number }) => void (state.sum = ++outside.count), undefined],
    ['a part in two places', 'step', undefined, undefined, () => ({ sum: 0, a: shared, b: shared })],
    ['a start by chance', 'start', 'state.sum', undefined, () => ({ sum: Math.random() })],
  ] as const)
    it(`[RB14] finds ${name}`, () => {
      const spoilt = simulation({
        id: 'spoilt',
        input,
        start: (start ?? (() => ({ sum: 0 }))) as () => { sum: number; a?: { x: number }; b?: { x: number } },
        step: (state) => {
          step?.(state);
          // Seen through the other one, as long as they are one.
          if (state.a !== undefined) state.sum = state.b!.x + ++state.a.x;
        },
      });
      const result = syncTest(spoilt, { ticks: 50 });
      expect(result).toMatchObject({ ok: false, what });
      if (!result.ok && path !== undefined) expect(result.diff[0]!.path).toBe(path);
    });

  it('[RB14] plays what is drawn of every field that is a number, or what it is given, and goes back as far as it is told', () => {
    const seen = { by: new Set<number>(), half: new Set<number>(), side: new Set<string>(), name: new Set<string>() };
    const steps: number[] = [];
    const fields = {
      by: s.i8().default(0),
      half: s.num({ min: 1, max: 3, step: 0.5 }).default(1),
      side: s.oneOf('left', 'right').default('left'),
      name: s.text(4).default('x'),
    };
    const many = simulation({
      id: 'many',
      input: fields,
      start: () => ({ sum: 0 }),
      step(state, players, tick) {
        steps.push(tick);
        for (const { input: held } of players) {
          for (const [name, all] of Object.entries(seen)) (all as Set<unknown>).add(held[name as keyof typeof held]);
          state.sum += held.by;
        }
        return { sum: state.sum };
      },
    });
    expect(syncTest(many, { ticks: 300, distanceTicks: 3 })).toEqual({ ok: true, ticks: 300 });
    expect(seen.by.size).toBeGreaterThan(20);
    expect(Math.min(...seen.by)).toBeLessThan(-90);
    expect(Math.max(...seen.by)).toBeGreaterThan(90);
    expect([...seen.half].sort()).toEqual([1, 1.5, 2, 2.5, 3]);
    expect([...seen.side].sort()).toEqual(['left', 'right']);
    expect([...seen.name]).toEqual(['x']);
    // Once without going back, once with, and three more.
    expect(steps.filter((tick) => tick === 200)).toHaveLength(2 + 3);
    expect(steps.filter((tick) => tick === 300)).toHaveLength(2 + 1);
    steps.length = 0;
    const asked: string[] = [];
    const own = syncTest(many, {
      ticks: 2,
      players: 2,
      distanceTicks: 30,
      input: (_rng, slot, tick) => {
        asked.push(`${slot} at ${tick}`);
        return { by: slot + tick };
      },
    });
    expect(own).toEqual({ ok: true, ticks: 2 });
    expect(asked).toEqual(['0 at 1', '1 at 1', '0 at 2', '1 at 2']);
    for (const options of [
      { players: 32, ticks: 1 },
      { players: 1, ticks: 40, distanceTicks: 30 },
      { seed: 0xffff_ffff, ticks: 1 },
    ])
      expect(syncTest(many, options)).toMatchObject({ ok: true });
  });

  it('[RB14] finds a state that another one is made of, and one that only came wrong after going back', () => {
    let returned = 0;
    const last: number[] = [];
    const fresh = simulation({
      id: 'fresh',
      input,
      start: () => ({ x: 0 }),
      step: (state) => {
        last.push(state.x);
        return { x: state.x + 1 };
      },
    });
    expect(syncTest(fresh, { ticks: 20, distanceTicks: 1 })).toEqual({ ok: true, ticks: 20 });
    expect(Math.max(...last)).toBe(19);
    // Right for as long as nobody goes back: each save is counted.
    const counting = simulation({
      id: 'counting',
      input,
      start: () => ({ x: 0 }),
      step: (state) => void state.x++,
      save: (state) => ({ x: state.x }),
      load: (saved) => ({ x: saved.x + Number(++returned > 5) }),
    });
    expect(syncTest(counting, { ticks: 20 })).toMatchObject({ ok: false, what: 'step', tick: 1, diff: [{ path: 'state.x' }] });
  });

  it('[RB18] refuses what cannot be', () => {
    const dice = simulation({ id: 'dice', input, start: () => ({}), step: () => undefined });
    for (const options of [
      { ticks: 0 },
      { ticks: 1_000_001 },
      { ticks: 1.5 },
      { distanceTicks: 0 },
      { distanceTicks: 31 },
      { players: 0 },
      { players: 33 },
      { seed: -1 },
      { seed: 2 ** 32 },
      { rounds: 1 },
    ])
      expect(() => syncTest(dice, options as never)).toThrow(expect.objectContaining({ code: 'bad-argument' }));
    const ball = simulation({ id: 'dice', input, start: () => ({ when: new Date() }), step: () => undefined });
    expect(() => syncTest(ball)).toThrow(expect.objectContaining({ code: 'bad-value' }));
  });
});
