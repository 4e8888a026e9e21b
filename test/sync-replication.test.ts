/**
 * Replication under a bad network: random changes, loss, reordering and late acks, and at the end every replica is equal to its
 * owner; on the way no field ever goes back, and every byte is msgpack that an independent decoder reads.
 */
import { decode } from '@msgpack/msgpack';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { defineGame, entity, s } from 'lanista';
import type { Room } from 'lanista';
import { createMemoryLan } from '../sdk/port/memory-lan.ts';
import { MemoryHub, MemoryRoomPort } from '../sdk/port/memory.ts';
import { createLan } from '../sdk/room/lan.ts';
import { coreOf } from '../sdk/sync/handle.ts';
import { Replication } from '../sdk/sync/replication.ts';
import { RealtimeQueue } from '../sdk/link/realtime.ts';
import { MAX_STATE_BUDGET_BYTES, MAX_STATE_PARTS, REFRESH_BYTES_PER_S } from '../sdk/wire/limits.ts';
import { PackReader, PackWriter } from '../sdk/wire/pack.ts';
import { openRooms } from './open-rooms.ts';

const game = defineGame({
  id: 'delta',
  version: 1,
  entities: {
    thing: entity({
      authority: 'spawner',
      fields: {
        x: s.num({ min: -1000, max: 1000, step: 1 / 64 }).default(0),
        aim: s.angle(10).default(0),
        n: s.u32().default(0),
        i: s.i16().default(0),
        f: s.f32().default(0),
        on: s.bool().default(false),
        state: s.oneOf('a', 'b', 'c').default('a'),
        marks: s.flags('p', 'q', 'r'),
        name: s.text(20).default(''),
        raw: s.bytes(8).default(new Uint8Array(0)),
        list: s.list(s.i8(), 5).default([]),
        friend: s.ref('thing'),
      },
    }),
    slow: entity({ authority: 'spawner', rate: 6, fields: { n: s.u16().default(0) } }),
  },
});
type G = typeof game;

const crowd = defineGame({ id: 'crowd', version: 1, entities: { page: entity({ authority: 'spawner', fields: { text: s.text(900) } }) } });

/** Puts a wrong number into a replica's field `n`, as a bug would. */
function spoil(replica: object, wrong: number): void {
  const core = coreOf(replica)!;
  const field = core.kind.names.indexOf('n');
  core.ints[field] = wrong;
  core.live[field] = wrong;
}

async function open(hub: MemoryHub, count: number): Promise<Room<G>[]> {
  const rooms: Room<G>[] = [];
  for (let i = 0; i < count; i++) {
    const lan = createLan(game, createMemoryLan(hub, game), { presence: {} });
    void lan.joinOrCreate({ name: 'r' }).then((room) => rooms.push(room));
    for (let k = 0; k < 1_500 && rooms.length <= i; k++) await hub.play(5);
  }
  expect(rooms).toHaveLength(count);
  return rooms;
}

/** Values as they are after quantisation: what both sides must agree on. */
function picture(room: Room<G>, kind: 'thing' | 'slow'): Map<number, string> {
  const out = new Map<number, string>();
  for (const item of room.entities.all(kind)) {
    const values: Record<string, unknown> = { ...(JSON.parse(JSON.stringify(item)) as object) };
    if (item.kind === 'thing') {
      const thing = item as unknown as { x: number; aim: number; f: number; marks: Iterable<string>; raw: Iterable<number> };
      values['x'] = Math.floor((thing.x + 1000) * 64 + 0.5);
      values['aim'] = Math.floor((thing.aim * 1024) / (2 * Math.PI) + 0.5) & 1023;
      values['f'] = Math.fround(thing.f);
      values['marks'] = [...thing.marks].sort();
      values['raw'] = [...thing.raw];
    }
    out.set(item.id, JSON.stringify(values));
  }
  return out;
}

function change(room: Room<G>, rng: MemoryHub['rng']): void {
  for (const thing of [...room.entities.mine('thing')]) {
    if (!rng.chance(0.5)) continue;
    thing.n++;
    thing.x = Math.max(-1000, Math.min(1000, thing.x + (rng.float() - 0.5) * 5));
    if (rng.chance(0.3)) thing.aim += (rng.float() - 0.5) * 2;
    if (rng.chance(0.2)) thing.i = rng.int(65_536) - 32_768;
    if (rng.chance(0.2)) thing.f = rng.float() * 1e6;
    if (rng.chance(0.1)) thing.on = !thing.on;
    if (rng.chance(0.1)) thing.state = (['a', 'b', 'c'] as const)[rng.int(3)]!;
    if (rng.chance(0.1)) thing.marks = new Set((['p', 'q', 'r'] as const).filter(() => rng.chance(0.5)));
    if (rng.chance(0.05)) thing.name = `n${rng.int(1e6)}é`;
    if (rng.chance(0.05)) thing.raw = Uint8Array.from({ length: rng.int(9) }, () => rng.int(256));
    if (rng.chance(0.05)) thing.list = Array.from({ length: rng.int(6) }, () => rng.int(256) - 128);
    if (rng.chance(0.05)) thing.friend = thing.friend === null ? thing.id : null;
    if (rng.chance(0.05)) thing.teleport();
    if (rng.chance(0.02)) thing.despawn();
  }
  for (const slow of room.entities.mine('slow')) slow.n++;
  if (rng.chance(0.1)) room.entities.spawn('thing', { n: 1 });
}

afterEach(() => vi.restoreAllMocks());

describe('replication', () => {
  it('[SY17] any loss, reordering and delay: equal in the end, never back on the way', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          seed: fc.nat(1e6),
          lossRatio: fc.constantFrom(0, 0.05, 0.3, 0.6),
          jitterMs: fc.constantFrom(0, 40, 150),
          latencyMs: fc.constantFrom(1, 30, 200),
        }),
        async (options) => {
          const hub = new MemoryHub(options);
          const rooms = await open(hub, 3);
          const highest = new Map<string, number>();
          // What a callback throws is a warning of the room and no failure of the test.
          const back: string[] = [];
          rooms.forEach((room, index) => {
            for (const kind of ['thing', 'slow'] as const) {
              room.entities.on(kind, {
                spawn: (item) => {
                  item.onChange('n', (value) => {
                    const key = `${index} ${item.id}`;
                    if (value <= (highest.get(key) ?? -1)) back.push(`${key}: ${highest.get(key)}, then ${value}`);
                    highest.set(key, value);
                  });
                },
              });
            }
            room.entities.spawn('slow', {});
            for (let i = 0; i < 10; i++) room.entities.spawn('thing', {});
          });
          for (let i = 0; i < 100; i++) {
            for (const room of rooms) change(room, hub.rng);
            await hub.play(1 + hub.rng.int(60), 20);
          }
          hub.lossRatio = 0;
          await hub.play(5_000, 20);
          for (const kind of ['thing', 'slow'] as const) {
            const pictures = rooms.map((room) => picture(room, kind));
            expect(pictures[1]).toEqual(pictures[0]);
            expect(pictures[2]).toEqual(pictures[0]);
          }
          expect(highest.size).toBeGreaterThan(30);
          expect(back).toEqual([]);
          for (const room of rooms) {
            expect(room.stats().drops['state-diverged'] ?? 0).toBe(0);
            expect(room.stats().drops['state-malformed'] ?? 0).toBe(0);
            expect(room.stats().drops['state-value'] ?? 0).toBe(0);
          }
        },
      ),
      { numRuns: 12, seed: 5 },
    );
  }, 60_000);

  it('[SY18] no datagram of state is larger than one datagram may be', async () => {
    const sizes: number[] = [];
    const { send } = MemoryRoomPort.prototype;
    vi.spyOn(MemoryRoomPort.prototype, 'send').mockImplementation(function (this: MemoryRoomPort, ...args: Parameters<typeof send>) {
      if (args[2] === 'unreliable') sizes.push(args[3].length);
      return send.apply(this, args);
    });
    const hub = new MemoryHub({ seed: 3, latencyMs: 5 });
    const rooms = await open(hub, 2);
    for (const room of rooms) for (let i = 0; i < 120; i++) room.entities.spawn('thing', { n: 1, name: `thing ${i}` });
    for (let i = 0; i < 60; i++) {
      for (const room of rooms) change(room, hub.rng);
      await hub.play(33);
    }
    expect(sizes.length).toBeGreaterThan(100);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(1_100);
    expect(Math.max(...sizes)).toBeGreaterThan(900);
  });

  it('[SY19] a state larger than a datagram is cut into parts that each decode alone', async () => {
    const sizes: number[] = [];
    const types = new Map<number, number>();
    const { receive } = MemoryRoomPort.prototype;
    vi.spyOn(MemoryRoomPort.prototype, 'receive').mockImplementation(function (this: MemoryRoomPort, ...args: Parameters<typeof receive>) {
      const value = decode(args[3]) as unknown[];
      const type = value[0] as number;
      types.set(type, (types.get(type) ?? 0) + 1);
      if (type === 3 && Array.isArray(value[4])) expect((value[4] as unknown[]).slice(0, 6).every((head) => typeof head === 'number')).toBe(true);
      sizes.push(args[3].length);
      return receive.apply(this, args);
    });
    const hub = new MemoryHub({ seed: 4, latencyMs: 5 });
    const rooms = await open(hub, 2);
    for (let i = 0; i < 400; i++) rooms[0]!.entities.spawn('thing', { n: 1, name: `thing ${i}` });
    await hub.play(500);
    for (let i = 0; i < 30; i++) {
      for (const thing of rooms[0]!.entities.mine('thing')) thing.x += 0.5;
      await hub.play(33);
    }
    await hub.play(500);
    expect(picture(rooms[1]!, 'thing')).toEqual(picture(rooms[0]!, 'thing'));
    expect(types.get(3)!).toBeGreaterThan(60);
    expect(Math.max(...sizes.filter((size) => size > 0))).toBeLessThanOrEqual(16_200);
  });

  it('[SY20] a replica that differs is found by the hash and repaired', async () => {
    const hub = new MemoryHub({ seed: 5, latencyMs: 5 });
    const [a, b] = (await open(hub, 2)) as [Room<G>, Room<G>];
    // More than the slow refresh comes by before the hash does.
    const mine = Array.from({ length: 40 }, () => a.entities.spawn('thing', { n: 7 }));
    await hub.play(300);
    const replicas = mine.map(({ id }) => b.entities.get('thing', id)!);
    for (const replica of replicas) spoil(replica, 99);
    expect(replicas.map(({ n }) => n)).toEqual(replicas.map(() => 99));
    await hub.play(4_000);
    expect(replicas.map(({ n }) => n)).toEqual(replicas.map(() => 7));
    expect(b.stats().drops['state-diverged']).toBe(1);
  });

  it('[SY20] what waits for its sample is not in the hash, and rates that are no whole numbers have one', async () => {
    for (const [rate, rare] of [
      [60, 9],
      [29.97, 10 / 3],
    ] as const) {
      const diary = defineGame({
        id: 'diary',
        version: 1,
        entities: {
          thing: entity({ authority: 'spawner', rate, fields: { n: s.u32() } }),
          page: entity({ authority: 'spawner', rate: rare, fields: { text: s.text(20) } }),
        },
      });
      const { hub, rooms } = await openRooms(diary, 2, { latencyMs: 5 });
      const [a, b] = rooms as [Room<typeof diary>, Room<typeof diary>];
      const page = a.entities.spawn('page', { text: '' });
      // More than the slow refresh comes by before the hash does.
      const mine = Array.from({ length: 300 }, () => a.entities.spawn('thing', { n: 7 }));
      using writing = a.clock.every(60, (tick) => (page.text = `at ${tick}`));
      void writing;
      await hub.play(20_000);
      expect(b.stats().drops['state-diverged'] ?? 0, `${rate} Hz`).toBe(0);
      const replicas = mine.map(({ id }) => b.entities.get('thing', id)!);
      for (const replica of replicas) spoil(replica, 99);
      await hub.play(4_000);
      expect(
        replicas.map(({ n }) => n),
        `${rate} Hz`,
      ).toEqual(replicas.map(() => 7));
      expect(b.stats().drops['state-diverged']).toBe(1);
    }
  });

  it('[SY83] what a replica got wrong is mended by the slow refresh alone, at a bounded cost, and at rest too', async () => {
    vi.spyOn(Replication.prototype, 'hash').mockReturnValue(1);
    const hub = new MemoryHub({ seed: 8, latencyMs: 5 });
    const [a, b] = (await open(hub, 2)) as [Room<G>, Room<G>];
    const mine = Array.from({ length: 30 }, () => a.entities.spawn('thing', { n: 7, name: 'at rest' }));
    const slow = a.entities.spawn('slow', { n: 7 });
    await hub.play(2_000);
    const replicas = [...mine.map(({ id }) => b.entities.get('thing', id)!), b.entities.get('slow', slow.id)!];
    for (const replica of replicas) spoil(replica, 99);
    const before = a.stats().peers.get(b.self.id)!.bytesOut;
    await hub.play(10_000);
    expect(replicas.map(({ n }) => n)).toEqual(replicas.map(() => 7));
    expect(b.stats().drops['state-diverged'] ?? 0).toBe(0);
    // The entities themselves, and a frame's head a second; acks and hashes are the rest of it.
    const spent = (a.stats().peers.get(b.self.id)!.bytesOut - before) / 10;
    expect(spent).toBeLessThan(2 * REFRESH_BYTES_PER_S);
    expect(spent).toBeGreaterThan(REFRESH_BYTES_PER_S / 2);
  });

  it('[SY83] a few entities at rest are told anew once a second, and not as often as the bytes of many would allow', async () => {
    for (const count of [1, 3, 12]) {
      const { hub, rooms } = await openRooms(game, 2, { latencyMs: 5 });
      const [a, b] = rooms as [Room<G>, Room<G>];
      const mine = Array.from({ length: count }, () => a.entities.spawn('thing', { n: 7 }));
      await hub.play(3_000);
      const packets = (): number => a.stats().peers.get(b.self.id)!.packetsOut + b.stats().peers.get(a.self.id)!.packetsOut;
      const before = packets();
      await hub.play(10_000);
      // A frame and its ack, those of the hash, and the hash of who owns nothing.
      expect((packets() - before) / 10, `${count}`).toBeLessThanOrEqual(5);
      const replicas = mine.map(({ id }) => b.entities.get('thing', id)!);
      for (const replica of replicas) spoil(replica, 99);
      await hub.play(2_500);
      expect(replicas.map(({ n }) => n)).toEqual(replicas.map(() => 7));
    }
  });

  it('[SY84] more than one tick may carry goes whole: nothing is left to the hash', async () => {
    vi.spyOn(Replication.prototype, 'hash').mockReturnValue(1);
    const hub = new MemoryHub({ seed: 9, latencyMs: 5 });
    const lans = [0, 1].map(() => createLan(crowd, createMemoryLan(hub, crowd), { presence: {} }));
    const rooms: Room<typeof crowd>[] = [];
    for (const lan of lans) {
      void lan.joinOrCreate({ name: 'r' }).then((room) => rooms.push(room));
      for (let k = 0; k < 1_500 && rooms.length < lans.indexOf(lan) + 1; k++) await hub.play(5);
    }
    const [a, b] = rooms as [Room<typeof crowd>, Room<typeof crowd>];
    const pages = Array.from({ length: MAX_STATE_PARTS + 40 }, () => a.entities.spawn('page', { text: '' }));
    await hub.play(2_000);
    // Each fills a datagram of its own.
    for (const page of pages) page.text = 'x'.repeat(900);
    await hub.play(1_500);
    expect([...b.entities.all('page')].map(({ text }) => text.length)).toEqual(pages.map(() => 900));
    for (const page of pages) page.text = 'short';
    await hub.play(500);
    expect([...b.entities.all('page')].map(({ text }) => text)).toEqual(pages.map(() => 'short'));
  });

  it('[SY84] what is sent in one tick is no more than a link takes in one, with a budget and without', async () => {
    for (const bytesPerTick of [undefined, MAX_STATE_BUDGET_BYTES]) {
      const { hub, rooms } = await openRooms(crowd, 2, { latencyMs: 5 });
      const [a, b] = rooms as [Room<typeof crowd>, Room<typeof crowd>];
      if (bytesPerTick !== undefined) a.setStateBudget({ bytesPerTick });
      const queue = new RealtimeQueue();
      let refused = 0;
      const { send, flush } = MemoryRoomPort.prototype;
      vi.spyOn(MemoryRoomPort.prototype, 'send').mockImplementation(function (this: MemoryRoomPort, ...args: Parameters<typeof send>) {
        if (this.self !== a.self.id || args[2] !== 'unreliable') return send.apply(this, args);
        if (queue.unreliable(args[4] ?? 0, args[3])) return send.apply(this, args);
        refused++;
        return false;
      });
      vi.spyOn(MemoryRoomPort.prototype, 'flush').mockImplementation(function (this: MemoryRoomPort) {
        if (this.self === a.self.id) queue.clear();
        flush.apply(this);
      });
      for (const count of [30, 55, 60, 80, 110, 200]) {
        const pages = Array.from({ length: count }, () => a.entities.spawn('page', { text: '' }));
        await hub.play(1_500);
        for (const page of pages) page.text = 'x'.repeat(900);
        await hub.play(600);
        expect([...b.entities.all('page')].filter(({ text }) => text.length === 900).length, `${count}`).toBe(count);
        for (const page of pages) page.despawn();
        await hub.play(500);
      }
      expect(refused).toBe(0);
      vi.restoreAllMocks();
    }
  });

  it('[SY84] an entity that no datagram takes goes whole as well, when it comes and when it changes, with a budget and without', async () => {
    const atlas = defineGame({
      id: 'atlas',
      version: 1,
      entities: {
        map: entity({ authority: 'spawner', fields: { cells: s.list(s.u32(), 256), name: s.text(20).default('') } }),
        ship: entity({ authority: 'spawner', fields: { x: s.u16() } }),
      },
    });
    for (const bytesPerTick of [undefined, 200]) {
      const { hub, rooms } = await openRooms(atlas, 2, { latencyMs: 5 });
      const [a, b] = rooms as [Room<typeof atlas>, Room<typeof atlas>];
      if (bytesPerTick !== undefined) a.setStateBudget({ bytesPerTick });
      const ship = a.entities.spawn('ship', { x: 0 });
      const cells = Array.from({ length: 256 }, (_, i) => 4_000_000_000 + i);
      // Longer than a whole state is not sent again.
      await hub.play(1_000);
      const map = a.entities.spawn('map', { cells });
      await hub.play(200);
      const seen = b.entities.get('map', map.id)!;
      expect(seen.cells).toEqual(cells);
      await hub.play(1_000);
      map.cells = cells.toReversed();
      await hub.play(200);
      expect(seen.cells).toEqual(map.cells);
      // What does not touch the large part is a small difference, and the others go on beside it.
      await hub.play(1_000);
      map.name = 'Atlas';
      ship.x = 7;
      await hub.play(100);
      expect([seen.name, b.entities.get('ship', ship.id)!.x]).toEqual(['Atlas', 7]);
      // At rest it costs nothing but what everything costs.
      const before = a.stats().stateBytesOut;
      await hub.play(10_000);
      expect(a.stats().stateBytesOut - before).toBeLessThan(10 * 2 * REFRESH_BYTES_PER_S);
      expect(b.stats().drops).toEqual({});
    }
  });

  it('[SY17] the ack of a whole state is not lost with a datagram: what follows it flows at once', async () => {
    const hub = new MemoryHub({ seed: 10, latencyMs: 10 });
    const [a, b] = (await open(hub, 2)) as [Room<G>, Room<G>];
    const mine = a.entities.spawn('thing', { n: 0 });
    a.clock.every(30, () => void mine.n++);
    await hub.play(500);
    const room = hub.rooms.get(a.id)!;
    room.setAway(b.self.id, true);
    await hub.play(300);
    room.setAway(b.self.id, false);
    // Long enough for the state that was sent at once, and for the only word that it arrived.
    hub.lossRatio = 1;
    await hub.play(100);
    hub.lossRatio = 0;
    await hub.play(200);
    expect(mine.n - b.entities.get('thing', mine.id)!.n).toBeLessThan(5);
  });

  it('[SY21] mutated frames never throw and never reach the game as nonsense', async () => {
    const hub = new MemoryHub({ seed: 6, latencyMs: 5 });
    const { receive } = MemoryRoomPort.prototype;
    let mutate = false;
    let mutated = 0;
    vi.spyOn(MemoryRoomPort.prototype, 'receive').mockImplementation(function (this: MemoryRoomPort, from, channel, lane, bytes, sequence) {
      // Many spoilt copies of every frame, so that ten thousand reach the decoders in a few seconds of play.
      for (let copy = 0; mutate && copy < 24; copy++) {
        const spoilt = bytes.slice();
        for (let k = 0; k < 1 + hub.rng.int(3); k++) spoilt[hub.rng.int(spoilt.length)] = hub.rng.int(256);
        mutated++;
        receive.call(this, from, channel, lane, hub.rng.chance(0.1) ? spoilt.subarray(0, hub.rng.int(spoilt.length)) : spoilt, sequence);
      }
      if (mutate && hub.rng.chance(0.5)) for (let k = 0; k < 1 + hub.rng.int(3); k++) bytes[hub.rng.int(bytes.length)] = hub.rng.int(256);
      return receive.call(this, from, channel, lane, hub.rng.chance(0.1) && mutate ? bytes.subarray(0, hub.rng.int(bytes.length)) : bytes, sequence);
    });
    const rooms = await open(hub, 2);
    for (let i = 0; i < 20; i++) rooms[0]!.entities.spawn('thing', { n: 1 });
    await hub.play(200);
    mutate = true;
    for (let i = 0; i < 300; i++) {
      change(rooms[0]!, hub.rng);
      await hub.play(33, 11);
    }
    for (const thing of rooms[1]!.entities.all('thing')) {
      expect(thing.x).toBeGreaterThanOrEqual(-1000);
      expect(thing.x).toBeLessThanOrEqual(1000);
      expect(['a', 'b', 'c']).toContain(thing.state);
      expect(Number.isFinite(thing.f)).toBe(true);
    }
    expect(Object.values(rooms[1]!.stats().drops).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(20);
    mutate = false;
    expect(mutated).toBeGreaterThan(10_000);
  });
});

describe('the packer', () => {
  it('[SY22] integers, texts and bytes come back, and an independent decoder agrees', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.integer({ min: -(2 ** 31), max: 2 ** 32 - 1 }),
            fc.string({ unit: 'grapheme', maxLength: 60 }),
            fc.uint8Array({ maxLength: 300 }),
          ),
          { maxLength: 40 },
        ),
        (values) => {
          const out = new PackWriter(4);
          out.array(values.length);
          for (const value of values) {
            if (typeof value === 'number') out.int(value);
            else if (typeof value === 'string') out.text(value);
            else out.binary(value);
          }
          expect(decode(out.view())).toEqual(values.map((value) => (value instanceof Uint8Array ? new Uint8Array(value) : value)));
          const input = new PackReader(out.view());
          input.array(40);
          for (const value of values)
            expect(typeof value === 'number' ? input.int() : typeof value === 'string' ? input.text(2_000) : input.binary(300)).toEqual(value);
          expect(input.done).toBe(true);
          const skipping = new PackReader(out.view());
          skipping.skip(1);
          expect(skipping.done).toBe(true);
        },
      ),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        for (const read of [
          (r: PackReader) => r.int(),
          (r: PackReader) => r.text(20),
          (r: PackReader) => r.binary(20),
          (r: PackReader) => r.array(20),
          (r: PackReader) => r.number(),
          (r: PackReader) => r.skip(3),
        ]) {
          const input = new PackReader(bytes);
          read(input);
          expect(input.offset).toBeLessThanOrEqual(bytes.length);
        }
      }),
    );
  });
});
