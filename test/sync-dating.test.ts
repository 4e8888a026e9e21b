/**
 * When what an owner says was so (`docs/spec.md`, Sync): of kinds that are sampled less often than the room ticks, and what was lost and is told again.
 */
import { decode } from '@msgpack/msgpack';
import { describe, expect, it } from 'vitest';
import { defineGame, entity, s } from 'lanista';
import type { PeerId, Room } from 'lanista';
import type { LanPort, LocalTime } from '../sdk/port/lan-port.ts';
import type { MemoryHub } from '../sdk/port/memory.ts';
import { createMemoryLan } from '../sdk/port/memory-lan.ts';
import type { RoomPort } from '../sdk/port/port.ts';
import { createLan } from '../sdk/room/lan.ts';
import { BodyEncoder } from '../sdk/sync/body-encoder.ts';
import { EntityCore, initialise } from '../sdk/sync/entity.ts';
import { Inbound } from '../sdk/sync/inbound.ts';
import { Replication } from '../sdk/sync/replication.ts';
import { EntityStore } from '../sdk/sync/store.ts';
import { PackReader, PackWriter } from '../sdk/wire/pack.ts';
import { soleOwnerRules } from './bench/parts/rules.ts';
import { openRooms, settled } from './open-rooms.ts';

const place = s.num({ min: 0, max: 100_000, step: 1 / 16 }).lerp('linear');
const RATES = [60, 30, 20, 10] as const;
const paces = defineGame({
  id: 'paces',
  version: 1,
  entities: Object.fromEntries(RATES.map((rate) => [`at${rate}`, entity({ authority: 'spawner', rate, fields: { x: place } })])),
});
type Paces = Room<typeof paces>;

/** What a test needs of an entity of any of the kinds. */
interface Runner {
  x: number;
  readonly id: never;
  readonly kind: string;
  readonly view: { readonly x: number };
  readonly viewTime: number;
  at(time: number): { readonly x: number } | undefined;
}

/** One runner of each kind. */
const spawn = (room: Paces): Runner[] => RATES.map((rate) => room.entities.spawn(`at${rate}`, { x: 0 }) as unknown as Runner);
const seenBy = (room: Paces, own: readonly Runner[]): Runner[] => own.map(({ kind, id }) => room.entities.get(kind, id) as unknown as Runner);

/** One more member, whose loop turns `turnsHz` times a second only. */
async function joinSlow(hub: MemoryHub, turnsHz: number): Promise<Paces> {
  const port = createMemoryLan(hub, paces);
  const turn = 1_000 / turnsHz;
  const time: LocalTime = {
    now: () => port.time.now(),
    schedule: (at, tick) => port.time.schedule(Math.ceil(Math.max(at, port.time.now() + 0.01) / turn) * turn, tick),
    cancel: () => port.time.cancel(),
  };
  const lan = createLan(paces, Object.create(port, { time: { value: time } }) as LanPort, { presence: {}, randomU32: () => hub.rng.u32() });
  return settled(hub, lan.joinOrCreate({ name: 'den' }));
}

describe('what is lost and told again', () => {
  it('[SY111] is drawn where it was, and its past is that of its owner, whatever the rate of its kind and of what moves it', async () => {
    for (const lossRatio of [0.05, 0.2])
      for (const latencyMs of [2, 15])
        // The game's own steps: at each tick of the room, and at every third only.
        for (const stepHz of [60, 20]) {
          const { hub, rooms } = await openRooms(paces, 2, { latencyMs, seed: 7 });
          const [ann, bob] = rooms as [Paces, Paces];
          const own = spawn(ann);
          const began = ann.clock.now();
          // 300 units a second.
          using moving = ann.clock.every(stepHz, (_tick, time) => own.forEach((one) => (one.x = 0.3 * (time - began))));
          void moving;
          await hub.play(1_000);
          const seen = seenBy(bob, own);
          hub.lossRatio = lossRatio;
          await hub.play(500);
          const off = RATES.map(() => 0);
          for (let i = 0; i < 500; i++) {
            await hub.play(10);
            const then = bob.clock.now() - 400;
            for (const [k, one] of seen.entries())
              // What moves in steps is not where it would be between them.
              if (RATES[k]! <= stepHz)
                off[k] = Math.max(
                  off[k]!,
                  Math.abs(one.view.x - 0.3 * (one.viewTime - began)),
                  Math.abs((one.at(then)?.x ?? Number.POSITIVE_INFINITY) - own[k]!.at(then)!.x),
                );
          }
          for (const [k, most] of off.entries()) expect(most, `${lossRatio}, ${latencyMs} ms, ${stepHz} Hz, ${RATES[k]}`).toBeLessThan(1 / 8);
        }
  });

  it('[SY111] is dated right also of an owner whose loop leaves ticks out', async () => {
    for (const turnsHz of [30, 45, 55, 144]) {
      const { hub, rooms } = await openRooms(paces, 1, { latencyMs: 2, seed: 5 });
      const slow = await joinSlow(hub, turnsHz);
      await hub.play(500);
      const own = spawn(slow);
      const began = slow.clock.now();
      using moving = slow.clock.every(60, (_tick, time) => own.forEach((one) => (one.x = 0.3 * Math.max(0, time - began))));
      void moving;
      await hub.play(1_000);
      const seen = seenBy(rooms[0] as Paces, own);
      hub.lossRatio = 0.1;
      await hub.play(500);
      const off = RATES.map(() => 0);
      for (let i = 0; i < 500; i++) {
        await hub.play(10);
        const then = slow.clock.now() - 400;
        for (const [k, one] of seen.entries()) off[k] = Math.max(off[k]!, Math.abs(one.at(then)!.x - own[k]!.at(then)!.x));
      }
      for (const [k, most] of off.entries()) expect(most, `${turnsHz} Hz, ${RATES[k]}`).toBeLessThan(1 / 8);
    }
  });

  it('[SY111] [SY37] came to rest when it did, though that is told a sample later', async () => {
    const { hub, rooms } = await openRooms(paces, 2, { latencyMs: 2, seed: 3 });
    const [ann, bob] = rooms as [Paces, Paces];
    const own = spawn(ann);
    const began = ann.clock.now();
    // 300 ms on its way, and 300 at rest.
    const way = (time: number): number => 0.3 * (300 * Math.floor(time / 600) + Math.min(300, time % 600));
    using moving = ann.clock.every(60, (_tick, time) => own.forEach((one) => (one.x = way(Math.max(0, time - began)))));
    void moving;
    await hub.play(1_000);
    const seen = seenBy(bob, own);
    hub.lossRatio = 0.2;
    await hub.play(500);
    let off = 0;
    for (let i = 0; i < 1_000; i++) {
      await hub.play(10);
      const then = bob.clock.now() - 400;
      // At 20 Hz no sample is lost for good: between two of them three bodies tell it.
      off += Math.abs(seen[2]!.at(then)!.x - own[2]!.at(then)!.x) / 1_000;
    }
    expect(off).toBeLessThan(1 / 8);
  });
});

describe('a body', () => {
  const game = defineGame({
    id: 'dated',
    version: 1,
    entities: {
      quick: entity({ authority: 'spawner', rate: 30, fields: { x: s.u8() } }),
      slow: entity({ authority: 'spawner', rate: 10, fields: { x: s.u8() } }),
    },
  });
  const home = { roomTime: () => 0, failed: () => undefined, despawn: () => undefined, requestAuthority: async () => undefined };
  const OWNER = 'owner' as PeerId;
  const BIAS = 48;

  function open() {
    const store = new EntityStore(game);
    const rules = soleOwnerRules({ self: 'viewer', home, hash: () => 0, diverged: () => undefined });
    const stream = new Inbound(OWNER, 7, 30, store, rules);
    const next = new Inbound('next' as PeerId, 8, 30, store, rules);
    const take = (tick: number, values: readonly number[], { quiet = 1, from = stream } = {}): string | undefined => {
      const out = new PackWriter(64);
      const all = [values[0]!, 0, 1, 0, quiet, 0, ...values.slice(1)];
      out.array(all.length);
      for (const value of all) out.int(value);
      return from.handleBody((tick * 1_000) / 30, tick, values[0]! < 0, new PackReader(out.view()));
    };
    const rows = (counter: number): number[][] => {
      const { track } = store.find(7, counter)!;
      return Array.from({ length: track.size }, (_, age) => [track.tick(age), track.value(age, 0)]).reverse();
    };
    return { store, stream, next, take, rows };
  }
  /** A quick one and a slow one. */
  const both = (x: number, epoch = 1): number[] => [1, 0, 0, epoch, 0, x, 1, 0, 1, epoch, 0, x];

  it('[SY111] tells values of the newest tick at which their kind is due, or of the one it names', () => {
    for (const watched of [false, true]) {
      const { store, stream, take, rows } = open();
      expect(take(10, [-1, ...both(5)])).toBeUndefined();
      if (watched) for (const core of store.all()) core.onChange('x', () => undefined);
      expect([rows(0), rows(1)]).toEqual([[[10, 5]], [[9, 5]]]);
      // What was taken at 12 is told at 13.
      expect(take(13, [3, 1, 1, 1 + BIAS, 1, 1, 1 + BIAS])).toBeUndefined();
      expect([rows(0).at(-1), rows(1).at(-1)]).toEqual([
        [13, 6],
        [12, 6],
      ]);
      // Marks: of this very tick, and of two ticks before it.
      expect(take(16, [3, 2, -2, 1, 1 + BIAS])).toBeUndefined();
      expect(rows(1).at(-1)).toEqual([16, 7]);
      expect(take(20, [4, 1, 1, 1 + BIAS, 1, -2 - 1, 1, 1 + BIAS])).toBeUndefined();
      expect(rows(1).at(-1)).toEqual([19, 8]);
      // Told after the next sample was due, too: it has not changed since.
      expect(take(25, [5, 2, -2 - 3, 1, 1 + BIAS])).toBeUndefined();
      expect(rows(1).slice(-2)).toEqual([
        [22, 9],
        [24, 9],
      ]);
      // Nobody knows better than by what is here: never before it.
      expect(take(26, [1, 2, -2 - 20, 1, 1 + BIAS])).toBeUndefined();
      expect(rows(1).slice(-2)).toEqual([
        [22, 9],
        [24, 10],
      ]);
      expect([stream.completeTick, store.find(7, 1)!.ints[0]]).toEqual([26, 10]);
    }
  });

  it('[SY111] names the tick of a whole entity as well, and is malformed where there is none such', () => {
    const { store, take, rows } = open();
    expect(take(10, [-1, ...both(5), 1, -2, 0, 1, 1, 0, 7])).toBeUndefined();
    expect(rows(2)).toEqual([[10, 7]]);
    for (const entry of [
      // Before the first tick.
      [2, -2 - 12, 1, 1 + BIAS],
      // Twice.
      [2, -2, -2, 1, 1 + BIAS],
      // Of nothing.
      [2, -2],
    ]) {
      expect(take(11, [1, ...entry]), String(entry)).toBe('state-malformed');
      expect([rows(1), store.find(7, 1)!.ints[0]]).toEqual([[[9, 5]], 5]);
    }
    expect(take(11, [1, 2, -2 - 11, 1, 1 + BIAS])).toBeUndefined();
  });

  it('[SY111] whose marks contradict its silence leaves a past in order, and a despawn is no mark', () => {
    for (const watched of [false, true]) {
      const { store, take, rows } = open();
      take(10, [-1, ...both(5)]);
      if (watched) for (const core of store.all()) core.onChange('x', () => undefined);
      // Nothing changed at 11 and 12, it says, and of one thing that it did.
      take(13, [3, 1, -2 - 2, 1, 1 + BIAS], { quiet: 3 });
      expect(rows(0)).toEqual([
        [10, 5],
        [11, 6],
        [13, 6],
      ]);
      take(14, [1, 1, -1, 1, 2 + BIAS, -1, 1]);
      expect(store.find(7, 0)!.ints[0]).toBe(6);
    }
  });

  it('[SY115] says what was given away: that is there, known to rest until then only, and not in the hash', () => {
    const { store, stream, next, take } = open();
    take(10, [-1], { from: next });
    take(10, [-1, ...both(5)]);
    const [quick, slow] = [0, 1].map((counter) => store.find(7, counter)!) as [EntityCore, EntityCore];
    const replication = new Replication({} as RoomPort, store, 30, 9);
    const hashes = [replication.hash(OWNER)];
    // Of another reign, of nobody, and before the first tick.
    for (const entry of [
      [1, -2, -1, 0],
      [9, -2, -1, 1],
    ])
      expect(take(11, [1, ...entry])).not.toBe('state-malformed');
    expect(take(12, [2, 1, -2 - 13, -1, 1])).toBe('state-malformed');
    expect([quick.parted, slow.parted]).toEqual([-1, -1]);
    expect(take(13, [3, 1, -2 - 1, -1, 1])).toBeUndefined();
    take(19, [6]);
    hashes.push(replication.hash(OWNER));
    expect([quick.alive, quick.parted, quick.restTick, slow.restTick]).toEqual([true, 11, 11, 18]);
    // Whoever got it may be gone: for as long as the past reaches back it is not counted.
    for (const [tick, away] of [
      [74, true],
      [75, false],
    ] as const) {
      stream.soundTick = tick;
      expect([quick.isAway, replication.hash(OWNER) === hashes[1]], String(tick)).toEqual([away, away]);
    }
    stream.soundTick = 19;
    quick.given = true;
    expect(replication.hash(OWNER)).toBe(hashes[0]);
    quick.given = false;
    // The word of whoever has it.
    take(20, [10, 0, 7, 1, 0, 0, 2, 0, 6], { from: next });
    expect([quick.owner, quick.parted, quick.restTick]).toEqual(['next', -1, 20]);
    // And the former one's comes too late.
    take(21, [2, 1, -2, -1, 9]);
    expect(quick.parted).toBe(-1);
    take(22, [1, 2, -1, 1]);
    hashes.push(replication.hash(OWNER));
    expect(new Set(hashes).size).toBe(2);
  });

  it('[SY44] [SY111] takes back what a former owner said of later ticks than those it tells of', () => {
    const { store, next, take, rows } = open();
    take(10, [-1], { from: next });
    take(10, [-1, ...both(5)]);
    take(13, [3, 2, -2, 1, 4 + BIAS]);
    expect(rows(1).at(-1)).toEqual([13, 9]);
    // What it took at 12, told at 14.
    expect(take(14, [4, 0, 7, 2, 0, 1, 2, 0, 20], { from: next })).toBeUndefined();
    expect(rows(1)).toEqual([
      [9, 5],
      [12, 20],
    ]);
    expect([store.find(7, 1)!.owner, store.find(7, 1)!.heardSince]).toEqual(['next', 12]);
  });

  it('[SY111] [SY57] marks nothing that is told at the tick at which it is due, nor what rests, nor anything of a kind of the room’s rate', () => {
    const store = new EntityStore(game);
    const replication = new Replication({} as RoomPort, store, 30, 7);
    const ships = (['quick', 'slow'] as const).map((kind, i) => {
      const core = new EntityCore(home, store.kind(kind), 7, i, OWNER);
      initialise(core, { x: 5 });
      replication.own(core);
      return core.handle as { x: number; teleport(): void };
    });
    const out = new PackWriter(256);
    const encoder = new BodyEncoder(out);
    /** The entries of the body of `tick`. */
    const told = (tick: number, baseline: number): unknown => {
      out.reset();
      encoder.encode({ tick, phase: 0, quiet: 1, hash: 0, session: 7 }, baseline, replication.owned, []);
      return (decode(out.bytes.subarray(encoder.starts[0], encoder.ends[0])) as unknown[]).slice(6);
    };
    const change = (x: number): void => ships.forEach((ship) => (ship.x = x));
    replication.collect(9, 0);
    expect(told(9, -1)).toEqual(both(5, 0));
    change(6);
    for (let tick = 10; tick <= 12; tick++) replication.collect(tick, 0);
    for (const tick of [12, 13, 14]) {
      if (tick > 12) replication.collect(tick, 0);
      expect(told(tick, 9)).toEqual([1, 1, 1 + BIAS, 1, 1, 1 + BIAS]);
    }
    replication.collect(15, 0);
    expect(told(15, 9)).toEqual([1, 1, 1 + BIAS, 1, -2 - 3, 1, 1 + BIAS]);
    expect(told(15, -1)).toEqual(both(6, 0));
    // As far as one byte goes, and further.
    for (let tick = 16; tick <= 43; tick++) replication.collect(tick, 0);
    for (const tick of [42, 43]) expect(told(tick, 9)).toEqual([1, 1, 1 + BIAS, 1, -2 - (tick - 12), 1, 1 + BIAS]);
    // Where the tick was left out, it is told by its own; born, it is there at once.
    change(7);
    replication.collect(46, 0);
    expect(told(46, 43)).toEqual([1, 1, 1 + BIAS, 1, -2, 1, 1 + BIAS]);
    expect(told(47, -1)).toEqual([1, 0, 0, 0, 0, 7, 1, -2 - 1, 0, 1, 0, 0, 7]);
    // Teleports are told in the general way.
    for (const ship of ships) ship.teleport();
    for (const tick of [48, 49]) replication.collect(tick, 0);
    expect(told(49, 47)).toEqual([1, 2, 1, 1, 2, 1]);
    expect(told(52, 47)).toEqual([1, 2, 1, 1, -2 - 4, 2, 1]);
  });
});
