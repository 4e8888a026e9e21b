/**
 * What an owner's body says is what a replica has (`docs/spec.md`, Sync), at every bound of the coding: differences, masks, gaps, origins, wraps and grids; in a run
 * of common entries and in the general way.
 */
import { describe, expect, it } from 'vitest';
import { defineGame, entity, s } from 'lanista';
import type { PeerId } from 'lanista';
import type { RoomPort } from '../sdk/port/port.ts';
import { BodyEncoder } from '../sdk/sync/body-encoder.ts';
import { decodeWhole, encodeWhole, hashEntity } from '../sdk/sync/delta.ts';
import type { EntityHome } from '../sdk/sync/entity.ts';
import { EntityCore, initialise } from '../sdk/sync/entity.ts';
import { fill, settleInts } from '../sdk/sync/hand-over.ts';
import { Heirs, secondHeir } from '../sdk/sync/heirs.ts';
import { Inbound } from '../sdk/sync/inbound.ts';
import { Replication } from '../sdk/sync/replication.ts';
import { EntityStore } from '../sdk/sync/store.ts';
import { Metronome } from '../sdk/sync/clock.ts';
import { MAX_ENTITIES, MAX_STATE_PARTS } from '../sdk/wire/limits.ts';
import { PackReader, PackWriter } from '../sdk/wire/pack.ts';
import { expectSame } from './same.ts';

const [SELF, OTHER] = ['self', 'other'] as PeerId[] as [PeerId, PeerId];
const SESSION = 100;
const home: EntityHome = { roomTime: () => 0, failed: () => undefined, despawn: () => undefined, requestAuthority: async () => undefined };
const bytes = Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`b${i}`, s.u8().default(0)]));
const game = defineGame({
  id: 'codec',
  version: 1,
  entities: {
    one: entity({ authority: 'spawner', fields: { i: s.i32().default(0) } }),
    many: entity({ authority: 'distributed', fields: bytes }),
    turn: entity({ authority: 'spawner', fields: { aim: s.angle(8).default(0), x: s.num({ min: 0, max: 1, step: 0.3 }).default(0) } }),
    big: entity({
      authority: 'spawner',
      fields: { u: s.u32().default(0), aim: s.angle(8).default(0), tenth: s.num({ min: 0, max: 0.3, step: 0.1 }).default(0) },
    }),
    page: entity({
      authority: 'spawner',
      fields: { text: s.text(900).default(''), raw: s.bytes(8).default(new Uint8Array(0)), list: s.list(s.u8(), 3).default([]) },
    }),
  },
});
type Kind = keyof typeof game.entities;

/** An owner and two replicas: at the second one everything is watched, so that nothing is applied in a run. */
class Line {
  readonly store = new EntityStore(game);
  readonly replication = new Replication({} as RoomPort, this.store, 30, SESSION);
  readonly replicas = [false, true].map((watched) => ({ watched, store: new EntityStore(game) }));
  readonly streams = this.replicas.map(
    ({ store }) =>
      new Inbound(SELF, SESSION, 30, store, {
        home,
        self: OTHER,
        judge: () => 'accept',
        judgeEnd: () => 'accept',
        tellBuried: () => undefined,
        tellNewer: () => undefined,
        bury: (core, grave) => store.remove(core, grave),
        abandoned: () => true,
        yielded: () => undefined,
        settled: () => undefined,
        diverged: () => expect.unreachable(),
        hash: () => 0,
      }),
  );
  /** Of the first field of everything, where it is watched. */
  readonly seen: unknown[] = [];
  tick = 10;

  spawn(kind: Kind, counter: number, origin = SESSION): EntityCore {
    const core = new EntityCore(home, this.store.kind(kind), origin, counter, SELF);
    initialise(core, {});
    this.replication.own(core);
    this.store.add(core);
    return core;
  }

  /** Tells what changed since `baseline`, whole for -1, and looks whether it came. */
  tell(baseline: number): void {
    this.replication.collect(this.tick, 0);
    const out = new PackWriter(64);
    const encoder = new BodyEncoder(out);
    encoder.encode({ tick: this.tick, phase: 0, quiet: 1, hash: 0, session: SESSION }, baseline, this.replication.owned, []);
    for (const [k, stream] of this.streams.entries()) {
      for (let part = 0; part < encoder.parts; part++) {
        const input = new PackReader(out.bytes.slice(encoder.starts[part], encoder.ends[part]));
        expect(stream.handleBody(this.tick * 33, this.tick, baseline < 0, input)).toBeUndefined();
      }
      const { watched, store } = this.replicas[k]!;
      if (watched) for (const core of store.all()) if (!core.watched) core.onChange(core.kind.names[0]!, (value) => this.seen.push(value));
      for (const core of this.replication.owned) {
        const replica = store.find(core.origin, core.counter)!;
        expectSame([...replica.ints], [...core.ints], `${core.kind.name} ${core.counter}`);
        for (let i = 0; i < core.kind.count; i++)
          if (core.kind.fields[i]!.codec.storage === 'number') expect(replica.live[i]).toBe(core.kind.dequantise(i, core.ints[i]!));
          else expect(replica.boxed[i]).toEqual(core.boxed[i]);
      }
    }
    this.tick++;
  }
}

describe('a body', () => {
  it('[SY17] [SY106] carries every difference there is, by its size and sign', () => {
    const line = new Line();
    const one = line.spawn('one', 1);
    line.tell(-1);
    const edges = [
      0, 31, 32, 47, 48, 79, 80, 81, 127, 128, 175, 176, 207, 208, 209, 255, 256, 32_719, 32_720, 32_767, 32_768, 65_487, 65_488, 65_535, 65_536,
    ];
    const steps = [...edges, ...edges.map((edge) => -edge), 0x7fff_ffff, -0x7fff_ffff, 0x7fff_ffff - 48, -0x7fff_ffff + 48];
    for (const step of steps)
      for (const from of [0, 1_000_000]) {
        one.assign(0, from);
        line.tell(line.tick - 1);
        one.assign(0, Math.min(0x7fff_ffff, from + step));
        line.tell(line.tick - 1);
        // And over what lay between, from two ticks before.
        one.assign(0, -5);
        line.tell(line.tick - 2);
      }
    // The whole of the range at once, and round its end.
    for (const value of [-0x8000_0000, 0x7fff_ffff, -0x8000_0000, 0]) {
      one.assign(0, value);
      line.tell(line.tick - 1);
    }
  });

  it('[SY17] [SY106] names each field by its bit, in one byte of mask and in more, and each entity by its distance and origin', () => {
    const line = new Line();
    const counters = [1, 2, 129, 130, 257, 258, 386, 387, 1_000, 70_000];
    const cores = [
      ...counters.map((counter) => line.spawn('many', counter)),
      ...[3, 4, 200].map((counter) => line.spawn('many', counter, 5)),
      line.spawn('many', 1, 130),
      line.spawn('many', 2, 0xffff_ffff),
    ];
    // Sorted as a room does it: its own origin first.
    (line.replication.owned as EntityCore[]).sort(
      (a, b) => Number(b.origin === SESSION) - Number(a.origin === SESSION) || a.origin - b.origin || a.counter - b.counter,
    );
    line.tell(-1);
    for (let field = 0; field < 10; field++) {
      for (const core of cores) core.assign(field, field + 1);
      line.tell(line.tick - 1);
      for (const [k, core] of cores.entries()) if (k % 3 === field % 3) core.assign(field, 200 + field);
      line.tell(line.tick - 1);
      for (const core of cores) for (let other = 0; other <= field; other++) core.assign(other, (core.ints[other]! + 7) & 255);
      line.tell(line.tick - 2);
    }
    for (const core of cores) core.mark(1 << 10);
    line.tell(line.tick - 1);
    expect(cores.every(({ ints }) => ints[10] === 1)).toBe(true);
  });

  it('[SY26] [SY25] carries angles round their end, and the last point of a grid as the bound it stands for', () => {
    const line = new Line();
    const turn = line.spawn('turn', 1);
    line.tell(-1);
    for (const aim of [0, 6.2, 0.05, 3.2, 3.1, 6.27, 0, 3.14159]) {
      turn.assign(0, aim);
      line.tell(line.tick - 1);
      line.tell(line.tick - 2);
    }
    for (const x of [0.9, 1, 0.61, 0, 1]) {
      turn.assign(1, x);
      line.tell(line.tick - 1);
    }
    expect(line.replicas.map(({ store }) => store.find(SESSION, 1)!.live[1])).toEqual([0.8999999999999999, 0.8999999999999999]);
  });

  it('[SY17] carries the whole of a u32, and what an angle was assigned beyond its turn', () => {
    const line = new Line();
    const big = line.spawn('big', 1);
    line.tell(-1);
    for (const u of [4_000_000_000, 1, 0xffff_ffff, 0x8000_0000, 0x7fff_ffff, 0]) {
      big.assign(0, u);
      line.tell(line.tick - 1);
      expect([line.seen.at(-1), ...line.replicas.map(({ store }) => store.find(SESSION, 1)!.live[0])]).toEqual([u, u, u]);
    }
    // Where reckoning ends a hair above the bound.
    big.assign(2, 0.3);
    line.tell(line.tick - 1);
    expect(line.replicas.map(({ store }) => store.find(SESSION, 1)!.live[2])).toEqual([0.3, 0.3]);
    for (const [aim, int] of [
      [7, 29],
      [-1, 215],
      [1e6, 241],
    ] as const)
      expect(big.kind.quantise(1, aim)).toBe(int);
  });

  it('[SY25] what an entity is given in between is quantised as at its tick, to the nearest', () => {
    const store = new EntityStore(game);
    for (const kind of store.kinds)
      kind.fields.forEach(({ codec }, i) => {
        if (codec.storage !== 'number') return;
        for (let k = 0; k <= 100; k++) {
          const live = Math.max(codec.min, Math.min(codec.max, k / 100));
          if (!codec.whole || Number.isInteger(live)) expect(kind.quantise(i, live), `${kind.name} ${live}`).toBe(codec.quantise(live));
        }
      });
    expect(store.kind('turn').quantise(1, 0.16)).toBe(1);
  });

  it('[SY43] a kind is sampled every so many ticks of the fastest one, by the nearest whole number', () => {
    const of = (rates: readonly number[]): readonly number[] => {
      const paces = defineGame({
        id: 'paces',
        version: 1,
        entities: Object.fromEntries(rates.map((rate, i) => [`k${i}`, entity({ authority: 'spawner', rate, fields: { n: s.u8() } })])),
      });
      return new EntityStore(paces).kinds.map(({ every }) => every);
    };
    expect(of([60, 40, 45, 30, 25, 24, 10, 1])).toEqual([1, 2, 1, 2, 2, 3, 6, 60]);
  });

  it('[SY17] carries texts, bytes and lists that begin like those before', () => {
    const line = new Line();
    const page = line.spawn('page', 1);
    line.tell(-1);
    for (const [text, raw, list] of [
      ['a', [1], [1]],
      ['ab', [1, 2], [1, 2]],
      ['ab', [1, 2, 3], [1, 2, 3]],
      ['a', [1], [1]],
      ['', [], []],
    ] as const) {
      page.assign(0, text);
      page.assign(1, Uint8Array.from(raw));
      page.assign(2, list);
      expect([page.boxed[0], [...(page.boxed[1] as Uint8Array)], page.boxed[2]]).toEqual([text, [...raw], [...list]]);
      line.tell(line.tick - 1);
    }
  });

  it('[SY85] tells what is ours anew whole, though it has a past that the others know', () => {
    const line = new Line();
    const one = line.spawn('one', 1);
    const other = line.spawn('one', 2);
    line.tell(-1);
    one.assign(0, 5);
    line.tell(line.tick - 1);
    line.replication.disown(one);
    one.epoch = 3;
    line.replication.own(one);
    other.assign(0, 8);
    line.replication.collect(line.tick, 0);
    const out = new PackWriter(64);
    const encoder = new BodyEncoder(out);
    encoder.encode({ tick: line.tick, phase: 0, quiet: 1, hash: 0, session: SESSION }, line.tick - 1, [one, other], []);
    const input = new PackReader(out.bytes.slice(encoder.starts[0], encoder.ends[0]));
    input.array(99);
    // The head; then gap, 0, kind and epoch.
    for (let i = 0; i < 6; i++) input.int();
    expect([input.int(), input.int(), input.int(), input.int()]).toEqual([2, 0, 0, 3]);
  });

  it('[SY84] is short when more changed than its parts hold, and not before', () => {
    const line = new Line();
    const cores = Array.from({ length: MAX_STATE_PARTS + 1 }, (_, i) => line.spawn('page', i + 1));
    line.replication.collect(10, 0);
    for (const core of cores) core.assign(0, 'x'.repeat(900));
    line.replication.collect(11, 0);
    for (const count of [MAX_STATE_PARTS, MAX_STATE_PARTS + 1]) {
      const encoder = new BodyEncoder(new PackWriter(64));
      encoder.encode({ tick: 11, phase: 0, quiet: 1, hash: 0, session: SESSION }, 10, cores.slice(0, count), []);
      expect([encoder.parts, encoder.short]).toEqual([MAX_STATE_PARTS, count > MAX_STATE_PARTS]);
    }
  });
});

describe('a whole entity', () => {
  it('[SY21] is refused with an epoch, a count of teleports or a value past its bound, and with what is too long', () => {
    const store = new EntityStore(game);
    const read = (values: readonly (number | string | Uint8Array | readonly number[])[]): boolean => {
      const out = new PackWriter(64);
      for (const value of values)
        if (typeof value === 'number') out.int(value);
        else if (typeof value === 'string') out.text(value);
        else if (value instanceof Uint8Array) out.binary(value);
        else {
          out.array(value.length);
          for (const item of value) out.int(item);
        }
      return decodeWhole(new PackReader(out.copy()), store.kinds, { ints: new Int32Array(32), boxed: [] }) !== undefined;
    };
    expect(read([2, 0x7fff_ffff, 0x7fff_ffff, 255, 3])).toBe(true);
    for (const values of [
      [2, 0x8000_0000, 0, 255, 3],
      [2, -1, 0, 255, 3],
      [2, 1, 0x8000_0000, 255, 3],
      [2, 1, -1, 255, 3],
      [2, 1, 0, 256, 3],
      [2, 1, 0, -1, 3],
      [2, 1, 0, 255, 4],
      [9, 1, 0, 255, 3],
    ])
      expect(read(values), values.join()).toBe(false);
    const page = (text: number, raw: number, list: number): boolean =>
      read([4, 1, 0, 'x'.repeat(text), new Uint8Array(raw), Array.from({ length: list }, () => 1)]);
    expect([page(900, 8, 3), page(901, 8, 3), page(900, 9, 3), page(900, 8, 4)]).toEqual([true, false, false, false]);
    expect(read([4, 1, 0, '', new Uint8Array(0), [256]])).toBe(false);
  });

  it('[SY20] adds all of itself to the hash of a state', () => {
    const store = new EntityStore(game);
    const hashes = new Set<number>();
    const of = (kind: Kind, origin: number, counter: number, change: (core: EntityCore) => void): void => {
      const core = new EntityCore(home, store.kind(kind), origin, counter, SELF);
      initialise(core, {});
      change(core);
      hashes.add(hashEntity(core));
    };
    of('page', 1, 1, () => undefined);
    of('page', 2, 1, () => undefined);
    of('page', 1, 2, () => undefined);
    of('page', 1, 1, (core) => core.ints[3]!++);
    of('page', 1, 1, (core) => (core.boxed[0] = 'a'));
    of('page', 1, 1, (core) => (core.boxed[1] = Uint8Array.of(0)));
    of('page', 1, 1, (core) => (core.boxed[2] = [0]));
    of('one', 1, 1, () => undefined);
    of('one', 1, 1, (core) => (core.ints[0] = 1));
    expect(hashes.size).toBe(9);
  });

  it('[SY7] that changes hands takes along what was assigned last, its teleports and its past', () => {
    const store = new EntityStore(game);
    const core = new EntityCore(home, store.kind('many'), 1, 1, SELF);
    initialise(core, {});
    const replication = new Replication({} as RoomPort, store, 30, SESSION);
    replication.own(core);
    store.add(core);
    replication.collect(5, 0);
    core.assign(2, 9);
    core.mark(1 << 10);
    settleInts(core);
    expect([core.ints[2], core.ints[10], core.track.size, core.track.value(0, 2)]).toEqual([9, 1, 1, 9]);
    // What its fields were at a row stays so, whatever replaces them between two.
    core.assign(0, 1);
    replication.collect(6, 0);
    core.assign(3, 4);
    settleInts(core);
    expect([0, 2, 3].map((field) => [core.track.value(1, field), core.track.value(0, field)])).toEqual([
      [0, 1],
      [9, 9],
      [0, 4],
    ]);
    fill(core, Int32Array.from([1, 0, 9, 4, 0, 60, 0, 0, 0, 0, 1]), []);
    expect([core.track.size, core.track.value(1, 5), core.track.value(0, 5)]).toEqual([2, 0, 60]);
    fill(core, Int32Array.from([0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1]), []);
    const out = new PackWriter(64);
    encodeWhole(out, core);
    const input = new PackReader(out.copy());
    input.int();
    const values = decodeWhole(input, store.kinds, { ints: new Int32Array(32), boxed: [] })!;
    const taken = new EntityCore(home, store.kind('many'), 1, 1, OTHER);
    initialise(taken, {});
    fill(taken, values.ints, values.boxed);
    expect([[...taken.ints], taken.live[2]]).toEqual([[...core.ints], 9]);
  });
});

describe('the store', () => {
  it('[SY81] remembers how what is gone was ended, four thousand of them, and nothing of what is here', () => {
    const store = new EntityStore(game);
    const spawn = (counter: number): EntityCore => {
      const core = new EntityCore(home, store.kind('one'), 1, counter, SELF);
      store.add(core);
      return core;
    };
    store.remove(spawn(1), { epoch: 4, owner: SELF, lost: true });
    store.deepen(1, 1, { epoch: 3, owner: SELF });
    expect(store.grave(1, 1)).toEqual({ epoch: 4, owner: SELF, lost: true });
    store.deepen(1, 1, { epoch: 4, owner: SELF });
    expect(store.grave(1, 1)).toEqual({ epoch: 4, owner: SELF });
    store.deepen(1, 1, { epoch: 4, owner: SELF, tick: 5 });
    expect(store.grave(1, 1)).toEqual({ epoch: 4, owner: SELF });
    store.deepen(1, 1, { epoch: 4, owner: OTHER });
    expect(store.grave(1, 1)).toEqual({ epoch: 4, owner: OTHER });
    store.deepen(1, 2, { epoch: 4, owner: OTHER });
    expect(store.grave(1, 2)).toBeUndefined();
    store.remove(spawn(1), undefined);
    expect(store.grave(1, 1)).toBeUndefined();
    for (let counter = 2; counter <= 4_098; counter++) store.remove(spawn(counter), { epoch: 1, owner: SELF });
    expect([store.grave(1, 2), store.grave(1, 3)]).toEqual([undefined, { epoch: 1, owner: SELF }]);
    // Where its last was, the next one has its numbers.
    const shelves = new Set(
      Array.from({ length: 40 }, (_, i) => {
        const core = spawn(5_000 + i);
        const { shelf } = core;
        store.remove(core, undefined);
        return shelf;
      }),
    );
    expect(shelves.size).toBe(1);
    Object.defineProperty(store, 'size', { value: 0 });
    for (let counter = 10_000; counter < 10_000 + MAX_ENTITIES - 1; counter++) spawn(counter);
    expect(store.full).toBe(false);
    spawn(9_999);
    expect(store.full).toBe(true);
  });

  it('[SY108] tells nothing to who is disposed while it is told of others', () => {
    const store = new EntityStore(game);
    const told: string[] = [];
    for (const counter of [1, 2, 3]) store.add(new EntityCore(home, store.kind('one'), 1, counter, SELF));
    let late: Disposable | undefined;
    store.watch(store.kind('one'), { spawn: () => void (told.length === 3 && late![Symbol.dispose]()), despawn: () => undefined });
    late = store.watch(store.kind('one'), {
      spawn: (handle) => void told.push(`spawn ${(handle as { id: number }).id & 0xff}`),
      despawn: () => void told.push('despawn'),
    });
    expect(told).toEqual(['spawn 1', 'spawn 2', 'spawn 3']);
    const fourth = new EntityCore(home, store.kind('one'), 1, 4, SELF);
    store.add(fourth);
    store.remove(fourth, undefined);
    expect(told).toEqual(['spawn 1', 'spawn 2', 'spawn 3']);
  });

  it('[SY108] tells of an end once, and not to who is disposed by another who hears of it', () => {
    const store = new EntityStore(game);
    const told: string[] = [];
    let second: Disposable | undefined;
    store.watch(store.kind('one'), {
      despawn: (handle) => {
        told.push(`first ${(handle as { id: number }).id & 0xff}`);
        second![Symbol.dispose]();
        store.remove(cores[0]!, undefined);
      },
    });
    second = store.watch(store.kind('one'), { despawn: () => void told.push('second') });
    const cores = [1, 2].map((counter) => new EntityCore(home, store.kind('one'), 1, counter, SELF));
    for (const core of cores) store.add(core);
    store.remove(cores[0]!, undefined);
    store.remove(cores[0]!, { epoch: 1, owner: SELF });
    expect([told, store.size, store.grave(1, 1), store.find(1, 2) === cores[1]]).toEqual([['first 1'], 1, undefined, true]);
  });

  it('[SY9] an heir stays one while it is here, whoever comes', () => {
    const store = new EntityStore(game);
    const orphans = Array.from({ length: 6 }, (_, i) => new EntityCore(home, store.kind('one'), 1, i + 1, SELF));
    const heirs = new Heirs();
    const peers = ['a', 'b', 'c', 'd'] as PeerId[];
    heirs.share(orphans, peers.slice(0, 2));
    const before = orphans.map((core) => heirs.of(core));
    heirs.share(orphans, peers);
    expect(orphans.map((core) => heirs.of(core))).toEqual(before);
    heirs.share(orphans, peers.slice(1));
    for (const [i, core] of orphans.entries()) expect(heirs.of(core) === before[i], String(i)).toBe(before[i] === 'b');
    // Who was taken up is shared out anew when it is left once more, as by those who see it for the first time.
    heirs.share([], peers);
    heirs.share(orphans.slice(3), peers);
    const anew = new Heirs();
    anew.share(orphans.slice(3), peers);
    expect(orphans.map((core) => heirs.of(core))).toEqual(orphans.map((core) => anew.of(core)));
    expect(orphans.map((core) => secondHeir(core, peers))).toEqual(['b', 'c', 'd', 'a', 'b', 'c']);
    expect(secondHeir(orphans[0]!, [])).toBeUndefined();
  });
});

it('[SY16] a clock that is stopped ticks no more, not even what was due', () => {
  const beats = new Metronome(() => undefined);
  const ran: number[] = [];
  beats.every(0, 10, (tick) => {
    ran.push(tick);
    if (tick === 2) beats.stop();
  });
  beats.every(0, 10, (tick) => ran.push(100 + tick));
  beats.run(250);
  expect([ran, beats.deadline()]).toEqual([[1, 101, 2], Number.POSITIVE_INFINITY]);
  beats.run(1_000);
  expect(ran).toHaveLength(3);
});
