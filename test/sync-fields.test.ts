/**
 * What a game does with the fields of its entities (`docs/spec.md`, Sync): values of every kind through a room, how often a kind is sampled, and the
 * ways to read: the entity itself, `view`, `at(time)`, `onChange`.
 */
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { defineGame, entity, s } from 'lanista';
import type { EntityId, PeerId } from 'lanista';
import { PackReader } from '../sdk/wire/pack.ts';
import { openRooms } from './open-rooms.ts';
import { only } from './room-party.ts';

const game = defineGame({
  id: 'fields',
  version: 1,
  entities: {
    thing: entity({
      authority: 'spawner',
      fields: {
        marks: s.flags('wet', 'fast', 'hot'),
        friend: s.ref('thing'),
        by: s.peer(),
        bytes: s.list(s.bytes(4), 4).default([]),
        peers: s.list(s.peer(), 4).default([]),
        friends: s.list(s.ref('thing'), 4).default([]),
        states: s.list(s.oneOf('a', 'b'), 4).default([]),
        grid: s.list(s.num({ min: 0, max: 1, step: 0.25 }), 4).default([]),
        sets: s.list(s.flags('p', 'q'), 4).default([]),
      },
    }),
    mover: entity({
      authority: 'spawner',
      rate: 30,
      fields: {
        x: s.num({ min: 0, max: 1000, step: 1 / 8 }).lerp('linear'),
        n: s.u32().default(0),
        mood: s.oneOf('up', 'down').default('up'),
        name: s.text(8).default(''),
      },
    }),
    slow: entity({ authority: 'spawner', rate: 5, fields: { n: s.u32().default(0) } }),
    mid: entity({ authority: 'spawner', rate: 10, fields: { n: s.u32().default(0) } }),
  },
});

describe('values', () => {
  it('[SY42] flags, refs, peers and lists of every kind come back from another peer as they were assigned', async () => {
    const { hub, rooms } = await openRooms(game, 2);
    const [ann, bob] = [rooms[0]!, rooms[1]!];
    const other = ann.entities.spawn('thing', {});
    const mine = ann.entities.spawn('thing', {});
    expect([[...mine.marks], mine.friend, mine.by, mine.bytes]).toEqual([[], null, null, []]);
    mine.marks = new Set(['wet', 'hot']);
    mine.friend = other.id;
    mine.by = bob.self.id;
    mine.bytes = [Uint8Array.of(1, 2), new Uint8Array(0)];
    mine.peers = [null, ann.self.id];
    mine.friends = [other.id, null, mine.id];
    mine.states = ['b', 'a', 'b', 'b'];
    mine.grid = [0, 0.25, 1];
    mine.sets = [new Set(['q']), new Set()];
    await hub.play(100);
    const theirs = bob.entities.get('thing', mine.id)!;
    expect([...theirs.marks].sort()).toEqual(['hot', 'wet']);
    expect(bob.entities.get('thing', theirs.friend!)?.id).toBe(other.id);
    expect(bob.peers.get(theirs.by!)?.isSelf).toBe(true);
    expect(theirs.bytes).toEqual([Uint8Array.of(1, 2), new Uint8Array(0)]);
    expect(theirs.peers).toEqual([null, ann.self.id]);
    expect(theirs.friends).toEqual([other.id, null, mine.id]);
    expect(theirs.states).toEqual(['b', 'a', 'b', 'b']);
    expect(theirs.grid).toEqual([0, 0.25, 1]);
    expect(theirs.sets.map((set) => [...set])).toEqual([['q'], []]);
    // An id goes to its entity alone: another kind's are none of its own, and one that is gone leads nowhere.
    expect(bob.entities.get('mover', theirs.friend!)).toBeUndefined();
    other.despawn();
    await hub.play(100);
    expect(bob.entities.get('thing', theirs.friend!)).toBeUndefined();
    mine.friend = null;
    mine.by = null;
    mine.marks = new Set();
    mine.friends = [];
    await hub.play(100);
    expect([theirs.friend, theirs.by, [...theirs.marks], theirs.friends]).toEqual([null, null, [], []]);
  });

  it('[SY42] bytes are a copy, of a Buffer too: what the game does to its own afterwards is no assignment, and the next one is', async () => {
    const tape = defineGame({
      id: 'tape',
      version: 1,
      entities: {
        reel: entity({ authority: 'spawner', fields: { raw: s.bytes(8).default(Buffer.from([9])), all: s.list(s.bytes(4), 2).default([]) } }),
      },
    });
    const { hub, rooms } = await openRooms(tape, 2);
    const reel = rooms[0]!.entities.spawn('reel', {});
    const mine = Buffer.from([1, 2, 3]);
    reel.raw = mine;
    reel.all = [mine];
    await hub.play(100);
    const seen = rooms[1]!.entities.get('reel', reel.id)!;
    const told: number[][] = [];
    seen.onChange('raw', (raw) => told.push([...raw]));
    mine[0] = 7;
    expect([[...reel.raw], [...reel.all[0]!]]).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]);
    reel.raw = mine;
    reel.all = [mine];
    await hub.play(60);
    expect(told).toEqual([[7, 2, 3]]);
    expect([...seen.all[0]!]).toEqual([7, 2, 3]);
    // What is read is a copy as well.
    const input = Buffer.from([0xc4, 2, 5, 6]);
    const read = new PackReader(input).binary(8);
    input[2] = 0;
    expect([...read]).toEqual([5, 6]);
  });

  it('[SY42] a list is a copy, frozen: what the game does to its own afterwards is no assignment', async () => {
    const { hub, rooms } = await openRooms(game, 2);
    const states: ('a' | 'b')[] = ['a'];
    const raw = Uint8Array.of(1);
    const set = new Set<'p' | 'q'>(['p']);
    const mine = rooms[0]!.entities.spawn('thing', { states, bytes: [raw], sets: [set] });
    set.add('q');
    states.push('b');
    raw[0] = 9;
    expect(() => (mine.states as string[]).push('b')).toThrow(TypeError);
    await hub.play(100);
    const theirs = only(rooms[1]!.entities.all('thing'));
    for (const one of [mine, theirs]) expect([one.states, one.bytes, one.sets]).toEqual([['a'], [Uint8Array.of(1)], [new Set(['p'])]]);
    expect(() => (theirs.states as string[]).push('b')).toThrow(TypeError);
  });
});

describe('rates', () => {
  it('[SY43] a kind is sampled as often as it says, and what is between two samples is never seen elsewhere', async () => {
    const { hub, rooms } = await openRooms(game, 2);
    const [ann, bob] = [rooms[0]!, rooms[1]!];
    const own = { mover: ann.entities.spawn('mover', { x: 0 }), mid: ann.entities.spawn('mid', {}), slow: ann.entities.spawn('slow', {}) };
    await hub.play(1_000);
    const seen: Record<string, number[]> = { mover: [], mid: [], slow: [] };
    for (const kind of ['mover', 'mid', 'slow'] as const)
      only<{ onChange(field: 'n', fn: (value: number) => void): Disposable }>(bob.entities.all(kind)).onChange('n', () =>
        seen[kind]!.push(hub.now()),
      );
    for (let i = 0; i < 1_000; i++) {
      for (const one of Object.values(own)) one.n++;
      await hub.play(4, 4);
    }
    const rates = Object.fromEntries(Object.entries(seen).map(([kind, times]) => [kind, Math.round(times.length / 4)]));
    expect(rates).toEqual({ mover: 30, mid: 10, slow: 5 });
    for (const [kind, times] of Object.entries(seen)) {
      const gaps = times.slice(1).map((at, i) => at - times[i]!);
      expect(Math.min(...gaps), kind).toBeGreaterThan(500 / rates[kind]!);
    }
    await hub.play(500);
    expect([only(bob.entities.all('mover')).n, only(bob.entities.all('mid')).n, only(bob.entities.all('slow')).n]).toEqual([1_000, 1_000, 1_000]);
  });
});

describe('reading', () => {
  it('[SY44] the past of what moves is two seconds long, one at 60 Hz', async () => {
    for (const [rate, pastMs] of [
      [30, 2_000],
      [60, 1_000],
    ] as const) {
      const { hub, rooms } = await openRooms(
        defineGame({ id: 'past', version: 1, entities: { dot: entity({ authority: 'spawner', rate, fields: { x: s.u16() } }) } }),
        2,
      );
      const own = rooms[0]!.entities.spawn('dot', { x: 0 });
      using moving = rooms[0]!.clock.every(60, () => (own.x += 1));
      void moving;
      await hub.play(5_000);
      for (const one of [own, rooms[1]!.entities.get('dot', own.id)!]) {
        expect(one.at(hub.startMs + hub.now() - pastMs)?.x, `${rate} Hz`).toBeDefined();
        expect(one.at(hub.startMs + hub.now() - pastMs - 300), `${rate} Hz`).toBeUndefined();
      }
    }
  });

  it('[SY44] `at(time)` gives the values of a moment of the last two seconds, own and remote, and nothing outside them', async () => {
    const { hub, rooms } = await openRooms(game, 2);
    const [ann, bob] = [rooms[0]!, rooms[1]!];
    const mine = ann.entities.spawn('mover', { x: 0 });
    await hub.play(500);
    const began = ann.clock.now();
    // 100 units a second, so that a place tells its time.
    const place = (time: number): number => ((time - began) / 1_000) * 100;
    for (let i = 0; i < 300; i++) {
      mine.x = place(ann.clock.now());
      mine.mood = mine.x < 150 ? 'up' : 'down';
      await hub.play(10, 10);
    }
    const theirs = only(bob.entities.all('mover'));
    const now = bob.clock.now();
    for (const one of [mine, theirs])
      for (const back of [1_900, 1_000, 300, 150]) {
        const then = one.at(now - back)!;
        expect(Math.abs(then.x - place(now - back)), `${one.mine} ${back}`).toBeLessThan(2);
        expect(then.mood).toBe(place(now - back) < 150 ? 'up' : 'down');
      }
    expect(theirs.at(now + 50)).toBeUndefined();
    // What is no number is no moment.
    expect([mine.at(Number.NaN), theirs.at(Number.NaN), theirs.at(undefined as never)]).toEqual([undefined, undefined, undefined]);
    expect(theirs.at(began - 60_000)).toBeUndefined();
    expect(mine.at(began - 60_000)).toBeUndefined();
    // The shooter and the target's owner mean the same place by the same time.
    expect(Math.abs(mine.at(now - 400)!.x - theirs.at(now - 400)!.x)).toBeLessThan(0.5);
  });

  it('[SY45] `view` is live for an own entity, late by the delay for another, and always the same object', async () => {
    const { hub, rooms } = await openRooms(game, 2);
    const [ann, bob] = [rooms[0]!, rooms[1]!];
    const mine = ann.entities.spawn('mover', { x: 0 });
    await hub.play(500);
    const theirs = only(bob.entities.all('mover'));
    const drawn = theirs.view;
    for (let i = 0; i < 100; i++) {
      mine.x = i * 2;
      mine.name = `n${i}`;
      expect([mine.view.x, mine.view.name]).toEqual([mine.x, mine.name]);
      expect(mine.viewTime).toBe(ann.clock.now());
      await hub.play(20, 10);
    }
    expect(theirs.view).toBe(drawn);
    const late = bob.clock.now() - theirs.viewTime;
    expect(late).toBeGreaterThan(30);
    expect(late).toBeLessThan(150);
    expect(Math.abs(theirs.view.x - theirs.at(theirs.viewTime)!.x)).toBeLessThan(0.5);
    expect(theirs.view.x).toBeLessThan(theirs.x);
  });

  it('[SY45] an entity and its `view` print and stringify as their values', async () => {
    const { hub, rooms } = await openRooms(game, 2);
    const [ann, bob] = [rooms[0]!, rooms[1]!];
    const mine = ann.entities.spawn('mover', { x: 7, name: 'Ann' });
    await hub.play(500);
    const theirs = only(bob.entities.all('mover'));
    const values = { x: 7, n: 0, mood: 'up', name: 'Ann' };
    for (const one of [mine, theirs]) {
      const whole = { id: mine.id, kind: 'mover', owner: ann.self.id, ...values };
      expect(JSON.parse(JSON.stringify([one, one.view]))).toEqual([whole, values]);
      expect(inspect(one)).toBe(inspect(whole));
      expect(inspect(one.view)).toBe(inspect(values));
    }
  });

  it('[SY35] `teleport()` is for who has the entity; what it marks is a jump for everybody, at `view` and `at`', async () => {
    const { hub, rooms } = await openRooms(game, 2);
    const [ann, bob] = [rooms[0]!, rooms[1]!];
    const mine = ann.entities.spawn('mover', { x: 100 });
    await hub.play(500);
    const theirs = only(bob.entities.all('mover')) as typeof mine;
    expect(() => theirs.teleport()).toThrow(expect.objectContaining({ code: 'not-owner' }));
    mine.teleport();
    mine.x = 900;
    const places = new Set<number>();
    const jumped = ann.clock.now();
    for (let i = 0; i < 150; i++) {
      await hub.play(2, 2);
      places.add(theirs.view.x);
    }
    expect([...places]).toEqual([100, 900]);
    for (let back = -100; back < 200; back += 3) expect([100, 900, undefined]).toContain(theirs.at(jumped + back)?.x);
    mine.despawn();
    expect(() => mine.teleport()).toThrow(expect.objectContaining({ code: 'closed' }));
  });

  it('[SY10] `onChange` of a name that is no field is refused; disposed, it tells nothing more; a listener may dispose itself', async () => {
    const { hub, rooms } = await openRooms(game, 2);
    const [ann, bob] = [rooms[0]!, rooms[1]!];
    const mine = ann.entities.spawn('mover', { x: 0 });
    await hub.play(200);
    const theirs = only(bob.entities.all('mover'));
    expect(() => theirs.onChange('typo' as never, () => undefined)).toThrow(expect.objectContaining({ code: 'unknown-name' }));
    const log: string[] = [];
    const first = theirs.onChange('n', (value, old) => {
      log.push(`first ${old}>${value}`);
      first[Symbol.dispose]();
    });
    using second = theirs.onChange('n', (value, old) => log.push(`second ${old}>${value}`));
    theirs.onChange('name', (value, old) => log.push(`name '${old}'>'${value}'`));
    mine.n = 5;
    await hub.play(100);
    mine.n = 6;
    mine.name = 'x';
    await hub.play(100);
    // Assigned and taken back within a tick: nobody elsewhere ever saw it.
    mine.n = 7;
    mine.n = 6;
    await hub.play(100);
    second[Symbol.dispose]();
    mine.n = 8;
    await hub.play(100);
    expect(log).toEqual(['first 0>5', 'second 0>5', 'second 5>6', "name ''>'x'"]);
  });
});

/** Types that are inferred; a wrong one does not compile. */
type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(..._: Equal<A, B> extends true ? [] : [never]): void {}

describe('types', () => {
  it('[SY41] fields with a default may be left out of `spawn`, and remote values are read-only, to the letter', async () => {
    const { rooms } = await openRooms(game, 1);
    const room = rooms[0]!;
    type Init = Parameters<typeof room.entities.spawn<'mover'>>[1];
    same<
      Init,
      Omit<{ x: number; n: number; mood: 'up' | 'down'; name: string }, 'n' | 'mood' | 'name'> &
        Partial<Pick<{ x: number; n: number; mood: 'up' | 'down'; name: string }, 'n' | 'mood' | 'name'>>
    >();
    const thing = room.entities.spawn('thing', {});
    same<typeof thing.marks, ReadonlySet<'wet' | 'fast' | 'hot'>>();
    same<typeof thing.friend, EntityId | null>();
    same<typeof thing.by, PeerId | null>();
    same<typeof thing.bytes, readonly Uint8Array[]>();
    same<typeof thing.states, readonly ('a' | 'b')[]>();
    same<typeof thing.sets, readonly ReadonlySet<'p' | 'q'>[]>();
    for (const one of room.entities.all('mover')) {
      same<typeof one.x, number>();
      // @ts-expect-error not known to be one's own
      one.x = 1;
      if (one.mine) one.x = 1;
    }
    // @ts-expect-error a list is not written to, it is assigned
    expect(() => thing.states.push('a')).toThrow(TypeError);
    expect(thing.states).toEqual([]);
  });
});
