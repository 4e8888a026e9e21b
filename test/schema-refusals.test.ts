/**
 * What an entity refuses at the assignment, by the rules of `docs/spec.md`: every kind of field, every way to be wrong, each with the field's path.
 */
import { describe, expect, it } from 'vitest';
import { defineGame, entity, message, s } from 'lanista';
import type { LanError, Room } from 'lanista';
import type { MemoryHub } from '../sdk/port/memory.ts';
import { openRooms } from './open-rooms.ts';

const game = defineGame({
  id: 'refusals',
  version: 1,
  entities: {
    thing: entity({
      authority: 'spawner',
      fields: {
        u8: s.u8().default(1),
        i16: s.i16().default(0),
        u32: s.u32().default(0),
        num: s.num({ min: -10, max: 10, step: 0.5 }).default(0),
        angle: s.angle(8).default(0),
        f32: s.f32().default(0),
        bool: s.bool().default(false),
        oneOf: s.oneOf('a', 'b').default('a'),
        flags: s.flags('p', 'q'),
        text: s.text(4).default('x'),
        bytes: s.bytes(2).default(new Uint8Array(0)),
        ref: s.ref('thing'),
        peer: s.peer(),
        list: s.list(s.u8(), 3).default([]),
        names: s.list(s.text(3), 3).default([]),
      },
    }),
  },
  messages: { say: message({ words: s.list(s.text(3), 4), to: s.peer().default('nobody' as never), n: s.u8().default(5) }) },
});
type G = typeof game;

async function room(): Promise<{ readonly hub: MemoryHub; readonly room: Room<G>; readonly other: Room<G> }> {
  const { hub, rooms } = await openRooms(game, 2);
  return { hub, room: rooms[0]!, other: rooms[1]! };
}

/** The words of the `LanError` that `run` throws. */
function refusal(run: () => unknown, code = 'bad-value'): string {
  try {
    run();
  } catch (error) {
    expect((error as LanError).code, String(error)).toBe(code);
    return (error as LanError).message;
  }
  throw new Error('it was not refused');
}

/** Values that do not fit, by field, and the path that is named. */
const WRONG: readonly (readonly [field: string, value: unknown, path?: string])[] = [
  ...['7', null, undefined, Number.NaN, Infinity, -1, 256, 1.5, true].map((value) => ['u8', value] as const),
  ...['7', null, Number.NaN, -32_769, 32_768, 0.5].map((value) => ['i16', value] as const),
  ...['7', null, Number.NaN, -1, 2 ** 32].map((value) => ['u32', value] as const),
  ...['7', null, undefined, Number.NaN, Infinity, -10.01, 10.01, [1]].map((value) => ['num', value] as const),
  ...['7', null, Number.NaN, Infinity, -Infinity, 1e9].map((value) => ['angle', value] as const),
  ...['7', null, Number.NaN, Infinity, 1e39].map((value) => ['f32', value] as const),
  ...[0, 1, 'true', null, undefined].map((value) => ['bool', value] as const),
  ...['c', 0, null, undefined].map((value) => ['oneOf', value] as const),
  ...[['p'], 'p', null, new Set(['r'])].map((value) => ['flags', value] as const),
  ...['12345', '€€', 7, null, undefined].map((value) => ['text', value] as const),
  ...[[1], 'ab', new Uint8Array(3), null].map((value) => ['bytes', value] as const),
  ...[-1, 1.5, '7', undefined, 2 ** 53, {}].map((value) => ['ref', value] as const),
  ...['', 7, undefined, 'x'.repeat(40)].map((value) => ['peer', value] as const),
  ...['1', null, { length: 1 }, [1, 2, 3, 4]].map((value) => ['list', value] as const),
  ['list', [1, 256], 'list[1]'],
  ['list', [1, 2, Number.NaN], 'list[2]'],
  ['list', ['1'], 'list[0]'],
  ['names', ['abc', 'abcd'], 'names[1]'],
  ['names', [7], 'names[0]'],
];

describe('an assignment', () => {
  it('[SY3] of any kind of field refuses wrong types, NaN and what is out of range, with the path', async () => {
    const { room: own } = await room();
    const thing = own.entities.spawn('thing', {}) as unknown as Record<string, unknown>;
    const before = JSON.stringify(thing);
    for (const [field, value, path = field] of WRONG) {
      const words = refusal(() => (thing[field] = value));
      expect(words.startsWith(`thing.${path}: expected `), `${field} = ${String(value)}: ${words}`).toBe(true);
      expect(words).toContain(', got ');
    }
    expect(JSON.stringify(thing)).toBe(before);
  });

  it('[SY3] of a watched entity, or one of another peer, is refused in the same words', async () => {
    const { hub, room: own, other } = await room();
    const thing = own.entities.spawn('thing', {});
    let told = 0;
    for (const name of ['u8', 'num', 'list'] as const) thing.onChange(name, () => told++);
    expect(refusal(() => (thing.num = 11))).toBe('thing.num: expected a number from -10 to 10, got 11.');
    expect(refusal(() => (thing.list = [300]))).toBe('thing.list[0]: expected a whole number from 0 to 255, got 300.');
    expect(told).toBe(0);
    await hub.play(200);
    const theirs = [...other.entities.all('thing')][0] as unknown as { num: number; list: number[] };
    expect(refusal(() => (theirs.num = 1), 'not-owner')).toMatch(/^thing\.num: /);
    expect(refusal(() => (theirs.list = []), 'not-owner')).toMatch(/^thing\.list: /);
    thing.despawn();
    expect(refusal(() => (thing.num = 1), 'closed')).toMatch(/^thing\.num: /);
  });

  it('[SY39] to a name that is no field is refused, own or remote, and leaves nothing behind', async () => {
    const { hub, room: own, other } = await room();
    const thing = own.entities.spawn('thing', {});
    await hub.play(200);
    const theirs = [...other.entities.all('thing')][0]!;
    for (const one of [thing, theirs] as unknown as Record<string, unknown>[]) {
      const keys = Reflect.ownKeys(one);
      expect(refusal(() => (one['typo'] = 3))).toMatch(/^thing\.typo: there is no such field\. Fields are u8, i16, /);
      expect(refusal(() => Object.assign(one, { hp: 3 }))).toMatch(/^thing\.hp: there is no such field/);
      for (const name of ['id', 'kind', 'owner', 'mine', 'alive', 'view', 'viewTime', 'at', 'onChange', 'despawn', 'teleport', 'requestAuthority'])
        expect(
          refusal(() => (one[name] = 3)),
          name,
        ).toMatch(new RegExp(`^thing\\.${name}: `));
      expect(one['typo']).toBeUndefined();
      expect('typo' in one).toBe(false);
      expect(Reflect.ownKeys(one)).toEqual(keys);
      const view = one['view'] as Record<string, unknown>;
      expect(refusal(() => (view['num'] = 3))).toMatch(/^thing\.view\.num: /);
      expect(refusal(() => (view['typo'] = 3))).toMatch(/^thing\.view\.typo: there is no such field/);
    }
    // What it is not asked to hold it still is: an object that prints, compares, and can be awaited.
    expect(await Promise.resolve(thing)).toBe(thing);
    expect(Object.prototype.toString.call(thing)).toBe('[object Object]');
    expect(thing).toBeInstanceOf(Object);
    expect({ ...(JSON.parse(JSON.stringify(thing)) as object) }).toMatchObject({ kind: 'thing', num: 0 });
  });

  it('[SY39] `spawn` and bodies name what they do not know, and an item of a list by its index', async () => {
    const { room: own } = await room();
    expect(refusal(() => own.entities.spawn('thing', { typo: 1 } as never))).toMatch(/^thing\.typo: there is no such field/);
    expect(refusal(() => own.entities.spawn('thing', { names: ['a', 'long'] }))).toMatch(/^thing\.names\[1\]: expected text of at most 3 bytes/);
    expect(refusal(() => own.entities.spawn('thing', undefined as never))).toMatch(/^thing: expected an object, got undefined/);
    expect(refusal(() => own.send('say', { words: ['ok', 'wrong'] } as never))).toMatch(
      /^say\.words\[1\]: expected text of at most 3 bytes, got 'wrong'/,
    );
    expect(refusal(() => own.send('say', { words: [], typo: 1 } as never))).toMatch(/^say\.typo: there is no such field/);
    expect(refusal(() => own.send('say', null as never))).toMatch(/^say: expected an object/);
  });

  it('[SY40] a default fills in what is left out, and nothing else', async () => {
    const { hub, room: own, other } = await room();
    const thing = own.entities.spawn('thing', { u8: undefined as never, peer: null, text: '' });
    expect([thing.u8, thing.peer, thing.text, thing.ref, [...thing.flags], thing.list]).toEqual([1, null, '', null, [], []]);
    expect(refusal(() => own.entities.spawn('thing', { u8: null } as never))).toMatch(/^thing\.u8: /);
    const got: unknown[] = [];
    other.onMessage('say', (body) => got.push(body));
    own.send('say', { words: [] } as never);
    own.send('say', { words: [], to: null, n: 0 });
    await hub.play(50);
    expect(got).toEqual([
      { words: [], to: 'nobody', n: 5 },
      { words: [], to: null, n: 0 },
    ]);
    expect(refusal(() => own.send('say', { words: [], n: null } as never))).toMatch(/^say\.n: expected a whole number from 0 to 255, got null/);
  });
});
