/**
 * Bytes and time of entity state. What is compared is encoding alone: quantise, delta and bytes; decoding is not measured here.
 *
 * `entities`: 256 entities of 8 fields, 3 changed per tick, one-tick-old acks, against @colyseus/schema (delta), JSON and a hand-written DataView packer.
 * `cubes`: a trace of 901 colliding cubes at 60 Hz as entities of one owner, acked six and one ticks late. The trace is a file of
 * 8 little-endian int32 per cube and frame (`--trace <file>`); without one, cubes that move at random stand in, and `source` says so.
 */
import { readFileSync } from 'node:fs';
import { decode } from '@msgpack/msgpack';
import { defineGame, entity, s } from 'lanista';
import type { PeerId } from 'lanista';
import type { AnyEntityDef } from '../../sdk/sync/definition.ts';
import type { RoomPort } from '../../sdk/port/port.ts';
import { Replication } from '../../sdk/sync/replication.ts';
import { EntityStore } from '../../sdk/sync/store.ts';
import { encodeBody, FRAME_HEAD_BYTES } from '../../sdk/sync/delta.ts';
import type { EntityHome } from '../../sdk/sync/entity.ts';
import { EntityCore, initialise, KindSpec } from '../../sdk/sync/entity.ts';
import { PackWriter } from '../../sdk/wire/pack.ts';

const CUBES = 901;
const whole = (bits: number): ReturnType<typeof s.num> => s.num({ min: 0, max: 2 ** bits - 1, step: 1 });
const game = defineGame({
  id: 'bench',
  version: 1,
  entities: {
    cube: entity({
      authority: 'spawner',
      rate: 60,
      fields: { a: whole(9), b: whole(9), c: whole(9), x: s.i16(), y: s.i16(), z: s.i16(), largest: s.u8(), touched: s.u8() },
    }),
  },
});

const home: EntityHome = { roomTime: () => 0, despawn: () => undefined, requestAuthority: async () => undefined };

function trace(args: readonly string[]): {
  readonly frames: number;
  readonly source: string;
  value(frame: number, cube: number, part: number): number;
} {
  const at = args.indexOf('--trace');
  const file = at < 0 ? undefined : args[at + 1];
  if (file !== undefined) {
    const bytes = readFileSync(file);
    return {
      frames: Math.floor(bytes.length / (CUBES * 32)),
      source: 'trace',
      value: (frame, cube, part) => bytes.readInt32LE((frame * CUBES + cube) * 32 + part * 4),
    };
  }
  const frames = 600;
  const values = new Int32Array(frames * CUBES * 8);
  let seed = 1;
  const random = (): number => (seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32;
  for (let frame = 1; frame < frames; frame++) {
    for (let cube = 0; cube < CUBES; cube++) {
      const moving = cube < 90;
      for (let part = 0; part < 8; part++) {
        const old = values[((frame - 1) * CUBES + cube) * 8 + part]!;
        const moves = moving && part > 0 && part < 7;
        values[(frame * CUBES + cube) * 8 + part] = moves ? Math.max(0, Math.min(511, old + Math.floor((random() - 0.5) * 40))) : old;
      }
    }
  }
  return { frames, source: 'stand-in', value: (frame, cube, part) => values[(frame * CUBES + cube) * 8 + part]! };
}

/** Order of the trace's parts in our fields. */
const PARTS = [1, 2, 3, 4, 5, 6, 0, 7] as const;

function cubes(lag: number, args: readonly string[]): Record<string, unknown> {
  const { frames, source, value } = trace(args);
  const kind = new KindSpec(0, 'cube', game.entities.cube as AnyEntityDef, 60);
  const owned: EntityCore[] = [];
  for (let cube = 0; cube < CUBES; cube++) {
    const core = new EntityCore(home, kind, 7, cube + 1, 'a' as PeerId);
    initialise(core, { a: 0, b: 0, c: 0, x: 0, y: 0, z: 0, largest: 0, touched: 0 });
    core.bornTick = 0;
    owned.push(core);
  }
  const out = new PackWriter(1 << 16);
  let bytes = 0;
  let ticks = 0;
  let nanos = 0n;
  for (let frame = 0; frame < frames; frame++) {
    for (let cube = 0; cube < CUBES; cube++) {
      const core = owned[cube]!;
      let changed = false;
      PARTS.forEach((part, field) => {
        const int = value(frame, cube, part);
        if (core.ints[field] === int) return;
        core.ints[field] = int;
        core.changed[field] = frame;
        changed = true;
      });
      if (frame === 0 || changed) {
        core.lastChange = frame;
        core.track.push(frame, frame, core.ints);
      }
    }
    const baseline = frame - lag;
    if (baseline < 0) continue;
    const begin = process.hrtime.bigint();
    out.reset();
    const parts = encodeBody(out, { tick: frame, baseline, phase: 0, quiet: 1, hash: 0, session: 7 }, owned, []);
    nanos += process.hrtime.bigint() - begin;
    parts.starts.forEach((start, i) => {
      bytes += parts.ends[i]! - start + FRAME_HEAD_BYTES - 4;
      if (frame % 50 === 0) decode(out.bytes.subarray(start, parts.ends[i]));
    });
    ticks++;
  }
  return {
    source,
    ackLag: lag,
    ticks,
    bytesPerTick: Math.round((bytes / ticks) * 10) / 10,
    encodeMicrosPerTick: Math.round(Number(nanos) / ticks / 1_000),
  };
}

const N = 256;
const FIELDS = ['x', 'y', 'vx', 'vy', 'rot', 'hp', 'ammo', 'flags'] as const;

interface Rival {
  readonly name: string;
  mutate(): void;
  encode(): number;
}

function ours(): Rival {
  const def = entity({
    authority: 'spawner',
    fields: {
      x: s.num({ min: -4096, max: 4096, step: 1 / 8 }),
      y: s.num({ min: -4096, max: 4096, step: 1 / 8 }),
      vx: s.i16(),
      vy: s.i16(),
      rot: s.angle(16),
      hp: s.u8(),
      ammo: s.u8(),
      flags: s.u8(),
    },
  });
  const bench = defineGame({ id: 'bench', version: 1, entities: { ship: def } });
  const store = new EntityStore(bench);
  const port = {} as RoomPort;
  const replication = new Replication(port, store, 30, 7);
  const world = home;
  const ships = Array.from({ length: N }, (_, i) => {
    const core = new EntityCore(world, store.kind('ship'), 7, i + 1, 'a' as PeerId);
    initialise(core, { x: i, y: i, vx: 0, vy: 0, rot: 0, hp: 0, ammo: 0, flags: 0 });
    replication.own(core);
    return core.handle as Record<(typeof FIELDS)[number], number>;
  });
  const out = new PackWriter(1 << 16);
  let tick = 0;
  return {
    name: 'lanista',
    mutate: () => {
      for (const ship of ships) {
        ship.x = ship.x > 4000 ? 0 : ship.x + 1;
        ship.y = ship.y > 4000 ? 0 : ship.y + 2;
        ship.rot = ship.rot > 6 ? 0 : ship.rot + 0.1;
      }
    },
    encode: () => {
      tick++;
      replication.collect(tick, 0);
      out.reset();
      encodeBody(out, { tick, baseline: tick === 1 ? -1 : tick - 1, phase: 0, quiet: 1, hash: 0, session: 7 }, replication.owned, []);
      return out.offset;
    },
  };
}

function plain(name: string, encode: (ships: readonly Record<(typeof FIELDS)[number], number>[]) => number): Rival {
  const ships = Array.from({ length: N }, (_, i) => ({ x: i, y: i, vx: 0, vy: 0, rot: 0, hp: 0, ammo: 0, flags: 0 }));
  return {
    name,
    mutate: () => {
      for (const ship of ships) {
        ship.x = ship.x > 4000 ? 0 : ship.x + 1;
        ship.y = ship.y > 4000 ? 0 : ship.y + 2;
        ship.rot = ship.rot > 6 ? 0 : ship.rot + 0.1;
      }
    },
    encode: () => encode(ships),
  };
}

function dataView(): Rival {
  const view = new DataView(new ArrayBuffer(65_536));
  const shadow = new Int32Array(N * 8);
  return plain('dataview', (ships) => {
    let at = 0;
    for (let i = 0; i < N; i++) {
      const ship = ships[i]!;
      const maskAt = at + 2;
      let mask = 0;
      view.setUint16(at, i);
      at += 3;
      for (let f = 0; f < 8; f++) {
        const int = Math.round(ship[FIELDS[f]!] * 8);
        if (shadow[i * 8 + f] === int) continue;
        shadow[i * 8 + f] = int;
        mask |= 1 << f;
        view.setInt16(at, int);
        at += 2;
      }
      view.setUint8(maskAt, mask);
    }
    return at;
  });
}

async function colyseus(): Promise<Rival> {
  const { schema, t, Encoder } = (await import('@colyseus/schema')) as unknown as Record<string, any>;
  const Ship = schema(
    {
      x: t.quantized({ min: -4096, max: 4096 }),
      y: t.quantized({ min: -4096, max: 4096 }),
      vx: t.int16(),
      vy: t.int16(),
      rot: t.quantized({ min: 0, max: 6.2831853, mode: 'wrap' }),
      hp: t.uint8(),
      ammo: t.uint8(),
      flags: t.uint8(),
    },
    'Ship',
  );
  const State = schema({ ships: t.map(Ship) }, 'State');
  const state = new State();
  const ships = Array.from({ length: N }, (_, i) => {
    const ship = new Ship();
    ship.x = ship.y = i;
    ship.vx = ship.vy = ship.rot = ship.hp = ship.ammo = ship.flags = 0;
    state.ships.set(String(i), ship);
    return ship;
  });
  Encoder.BUFFER_SIZE = 64 * 1024;
  const encoder = new Encoder(state);
  encoder.encodeAll();
  encoder.discardChanges();
  return {
    name: 'colyseus',
    mutate: () => {
      for (const ship of ships) {
        ship.x = ship.x > 4000 ? 0 : ship.x + 1;
        ship.y = ship.y > 4000 ? 0 : ship.y + 2;
        ship.rot = ship.rot > 6 ? 0 : ship.rot + 0.1;
      }
    },
    encode: () => {
      const bytes = encoder.encode();
      encoder.discardChanges();
      return bytes.byteLength;
    },
  };
}

/** Median micros per tick of mutate + encode, rounds interleaved, each with its last size. */
async function entities(): Promise<Record<string, unknown>> {
  const rivals = [ours(), dataView(), plain('json', (ships) => JSON.stringify(ships).length), await colyseus()];
  const times = new Map<string, number[]>(rivals.map(({ name }) => [name, []]));
  const sizes: Record<string, number> = {};
  for (let round = 0; round < 12; round++) {
    for (const rival of rivals) {
      const begin = process.hrtime.bigint();
      for (let i = 0; i < 200; i++) {
        rival.mutate();
        sizes[rival.name] = rival.encode();
      }
      // The first rounds are the compiler's.
      if (round >= 3) times.get(rival.name)!.push(Number(process.hrtime.bigint() - begin) / 200_000);
    }
  }
  const micros = Object.fromEntries([...times].map(([name, list]) => [name, Math.round(list.sort((a, b) => a - b)[list.length >> 1]! * 10) / 10]));
  return {
    microsPerTick: micros,
    bytesPerTick: sizes,
    colyseusOverOurs: Math.round((micros['colyseus']! / micros['lanista']!) * 10) / 10,
    oursOverDataView: Math.round((micros['lanista']! / micros['dataview']!) * 10) / 10,
  };
}

export async function bench(args: readonly string[]): Promise<object> {
  const late = cubes(6, args);
  return { entities: await entities(), cubesAckSixLate: late, cubesAckOneLate: cubes(1, args) };
}
