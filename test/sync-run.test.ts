/**
 * The common way of a body and the general one mean the same. One owner's bodies go to two replicas: at one nobody watches anything, so that its
 * entries are applied in a run; at the other somebody watches every entity, so that each takes the general way.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defineGame, entity, s } from 'lanista';
import type { PeerId } from 'lanista';
import type { RoomPort } from '../sdk/port/port.ts';
import { BodyEncoder } from '../sdk/sync/body-encoder.ts';
import type { EntityHome } from '../sdk/sync/entity.ts';
import { EntityCore, initialise } from '../sdk/sync/entity.ts';
import { Inbound } from '../sdk/sync/inbound.ts';
import { Replication } from '../sdk/sync/replication.ts';
import { EntityStore } from '../sdk/sync/store.ts';
import { PackReader, PackWriter } from '../sdk/wire/pack.ts';

const SESSION = 7;
const OWNER = 'owner' as PeerId;
const home: EntityHome = { roomTime: () => 0, failed: () => undefined, despawn: () => undefined, requestAuthority: async () => undefined };

const game = defineGame({
  id: 'run',
  version: 1,
  entities: {
    ship: entity({
      authority: 'spawner',
      fields: { x: s.num({ min: -50, max: 50.3, step: 0.3 }), turn: s.angle(12), i: s.i32(), u: s.u32(), f: s.f32(), on: s.bool(), hp: s.u8() },
    }),
    sign: entity({
      authority: 'spawner',
      rate: 10,
      fields: { n: s.i16(), text: s.text(8), a: s.u8(), b: s.u8(), c: s.u8(), d: s.u8(), e: s.u8(), f: s.u8() },
    }),
  },
});

class Replica {
  readonly store = new EntityStore(game);
  readonly stream: Inbound;
  readonly watched: boolean;
  diverged = 0;

  constructor(watched: boolean) {
    this.watched = watched;
    this.stream = new Inbound(OWNER, SESSION, 30, this.store, {
      home,
      self: 'viewer' as PeerId,
      judge: () => 'accept',
      judgeEnd: () => 'accept',
      tellBuried: () => undefined,
      tellNewer: () => undefined,
      bury: (core, grave) => this.store.remove(core, grave),
      abandoned: () => true,
      yielded: () => undefined,
      settled: () => undefined,
      diverged: () => this.diverged++,
      hash: () => 0,
    });
  }

  take(tick: number, full: boolean, body: Uint8Array): string | undefined {
    const drop = this.stream.handleBody(tick * 33, tick, full, new PackReader(body));
    if (this.watched) for (const core of this.store.all()) if (!core.watched) core.onChange(core.kind.names[0]!, () => undefined);
    return drop;
  }

  /** All that a game or a later body can see of it. */
  state(): unknown {
    const { completeTick } = this.stream;
    const entities = [...this.store.all()].map(({ counter, ints, live, boxed, lastChange, track }) => ({
      ...{ counter, ints: [...ints], live: [...live], boxed, lastChange },
      rows: Array.from({ length: track.size }, (_, age) => [
        ...track.shelf.rows.subarray(track.at(age), track.at(age) + 3),
        ...Array.from(ints, (_int, field) => track.value(age, field)),
      ]),
    }));
    return { completeTick, diverged: this.diverged, entities };
  }
}

const ship = fc.record({
  x: fc.double({ min: -50, max: 50.3, noNaN: true }),
  turn: fc.double({ min: -9, max: 9, noNaN: true }),
  i: fc.oneof(fc.integer({ min: -100, max: 100 }), fc.integer()),
  u: fc.oneof(fc.nat(300), fc.integer({ min: 0, max: 0xffff_ffff })),
  f: fc.float({ noNaN: true, noDefaultInfinity: true }),
  on: fc.boolean(),
  hp: fc.nat(255),
});
const small = fc.nat(255);
const sign = fc.record({
  n: fc.integer({ min: -0x8000, max: 0x7fff }),
  text: fc.string({ maxLength: 2 }),
  a: small,
  b: small,
  c: small,
  d: small,
  e: small,
  f: small,
});

const step = fc.record({
  assign: fc.array(fc.record({ entity: fc.nat(11), ship, sign, fields: fc.oneof(fc.nat(255), fc.constantFrom(1, 2, 64, 128)) }), { maxLength: 8 }),
  /** Which entity hops; most often none. */
  teleport: fc.option(fc.nat(11), { freq: 8 }),
  lost: fc.boolean(),
  lag: fc.integer({ min: 1, max: 6 }),
  /** Ticks left out before it. */
  skipped: fc.oneof(fc.constant(0), fc.nat(5), fc.nat(40)),
  /** Bytes to write over the body, by place and value. */
  damage: fc.option(fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { minLength: 1, maxLength: 3 }), { freq: 1 }),
});

describe('a run of entries', () => {
  it('[SY106] leaves a replica as the general way does, for bodies that are whole, lost or damaged', () => {
    fc.assert(
      fc.property(fc.boolean(), fc.array(step, { maxLength: 30 }), (hostile, steps) => {
        const store = new EntityStore(game);
        const replication = new Replication({} as RoomPort, store, 30, SESSION);
        const cores = Array.from({ length: 12 }, (_, i) => {
          const kind = store.kind(i % 4 === 3 ? 'sign' : 'ship');
          const core = new EntityCore(home, kind, SESSION, i + 1, OWNER);
          const zero = { x: 0, turn: 0, i: 0, u: 0, f: 0, on: false, hp: 0, n: 0, text: '', a: 0, b: 0, c: 0, d: 0, e: 0 };
          initialise(core, Object.fromEntries(kind.names.map((name) => [name, zero[name as keyof typeof zero]])));
          replication.own(core);
          return core;
        });
        const out = new PackWriter(4_096);
        const encoder = new BodyEncoder(out);
        const replicas = [new Replica(false), new Replica(true)] as const;
        const send = (tick: number, baseline: number, damage?: readonly (readonly [number, number])[] | null): void => {
          out.reset();
          encoder.encode({ tick, phase: tick % 128, quiet: 1, hash: 0, session: SESSION }, baseline, replication.owned, []);
          for (let part = 0; part < encoder.parts; part++) {
            const body = out.bytes.slice(encoder.starts[part], encoder.ends[part]);
            for (const [at, value] of damage ?? []) body[at % body.length] = value;
            const [run, general] = replicas.map((replica) => replica.take(tick, baseline < 0, body));
            assert.equal(run, general);
            if (!hostile) assert.equal(run, undefined);
          }
        };
        // From here on a damaged body may have been believed.
        let spoilt = false;
        const completed: number[] = [];
        replication.collect(0, 0);
        send(0, -1);
        assert.deepEqual(replicas[0].state(), replicas[1].state());
        let tick = 0;
        steps.forEach(({ assign, teleport, lost, lag, skipped, ...more }) => {
          const damage = hostile ? more.damage : null;
          tick += 1 + skipped;
          for (const { entity: which, fields, ...values } of assign) {
            const core = cores[which]!;
            const given = values[core.kind.name as 'ship' | 'sign'] as Record<string, unknown>;
            core.kind.names.forEach((name, f) => {
              if ((fields & (1 << f)) !== 0) (core.handle as Record<string, unknown>)[name] = given[name];
            });
          }
          if (teleport !== null) (cores[teleport]!.handle as { teleport(): void }).teleport();
          replication.collect(tick, tick % 128);
          if (lost) return;
          const { completeTick } = replicas[0].stream;
          if (completeTick < 0) return;
          if (damage !== null) spoilt = true;
          // Only what the replica has had in full can have been acked.
          if (completed.at(-1) !== completeTick) completed.push(completeTick);
          send(tick, completed[Math.max(0, completed.length - lag)]!, damage);
          assert.deepEqual(replicas[0].state(), replicas[1].state());
          if (damage === null && replicas[0].stream.completeTick === tick && !spoilt)
            for (const core of cores) assert.deepEqual(replicas[0].store.find(SESSION, core.counter)!.ints, core.ints);
        });
      }),
      { numRuns: 500 },
    );
  });
});

it('[SY84] a whole state that a newer tick has overtaken does not hide what of that tick cannot be decided yet', () => {
  const rules = { home, self: 'viewer' as PeerId, judge: () => 'later', abandoned: () => true, settled: () => undefined, hash: () => 0 };
  const stream = new Inbound(OWNER, SESSION, 30, new EntityStore(game), rules as never);
  const take = (tick: number, values: readonly number[]): string | undefined => {
    const out = new PackWriter(64);
    out.array(values.length);
    for (const value of values) out.int(value);
    return stream.handleBody(tick * 33, tick, values[0]! < 0, new PackReader(out.view()));
  };
  const born = [1, 0, 0, 1, 0, ...Array<number>(7).fill(0)];
  expect([take(10, [-1, 0, 1, 0, 1, 0]), take(12, [2, 0, 2, 0, 1, 0, ...born]), take(11, [-1, 0, 1, 0, 1, 0]), take(12, [2, 1, 2, 0, 1, 0])]).toEqual(
    [undefined, undefined, undefined, undefined],
  );
  expect([stream.completeTick, stream.wholeTick]).toEqual([11, 11]);
});
