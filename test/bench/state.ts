/**
 * Bytes and time of entity state.
 *
 * `entities`: 256 entities of 8 fields, 3 changed per tick, 8 peers: assigning and encoding for all of them, and decoding at one, against
 * @colyseus/schema (delta), msgpackr and JSON (whole state) and a packer written by hand (the limit). Transports are left out on all sides; every
 * peer's bytes are copied once. After each round what a peer sees is compared with what was assigned.
 *
 * `cubes`: the trace of `cubes-trace.ts` as 901 entities of one owner at 60 Hz, acked six ticks and one tick late, lossless on its integers, beside
 * @colyseus/schema over a reliable stream. Every payload is decoded by @msgpack/msgpack too.
 */
import { decode } from '@msgpack/msgpack';
import { defineGame, entity, s } from 'lanista';
import type { PeerId } from 'lanista';
import type { RoomPort } from '../../sdk/port/port.ts';
import { BodyEncoder } from '../../sdk/sync/body-encoder.ts';
import { FRAME_HEAD_BYTES } from '../../sdk/sync/delta.ts';
import { EntityCore, initialise } from '../../sdk/sync/entity.ts';
import { Inbound } from '../../sdk/sync/inbound.ts';
import { Replication } from '../../sdk/sync/replication.ts';
import { EntityStore } from '../../sdk/sync/store.ts';
import { PackReader, PackWriter } from '../../sdk/wire/pack.ts';
import { CUBES, cubesTrace, FRAMES, PARTS, TRACE_SHA256 } from './cubes-trace.ts';
import type { Rival } from './state-rivals.ts';
import { colyseus, dataView, home, json, lanista, msgpackr, PEERS, rulesOf, SHIPS } from './state-rivals.ts';

const round = (value: number, digits: number): number => Math.round(value * 10 ** digits) / 10 ** digits;
const low = (list: readonly number[]): number => [...list].sort((a, b) => a - b)[Math.floor(list.length / 10)]!;

type Cube = Record<'a' | 'b' | 'c' | 'x' | 'y' | 'z' | 'largest' | 'touched', number>;
/** Which part of the trace each field is. */
const FIELDS = { a: 1, b: 2, c: 3, x: 4, y: 5, z: 6, largest: 0, touched: 7 } as const;
const NAMES = Object.keys(FIELDS) as (keyof Cube)[];

function assignCubes(cubes: readonly Cube[], frame: Int32Array): void {
  for (let cube = 0; cube < CUBES; cube++) {
    const to = cubes[cube]!;
    const at = cube * PARTS;
    for (const name of NAMES) {
      const value = frame[at + FIELDS[name]]!;
      if (to[name] !== value) to[name] = value;
    }
  }
}

function cubes(lag: number, trace: readonly Int32Array[]): Record<string, number> {
  const whole = s.num({ min: 0, max: 511, step: 1 });
  const game = defineGame({
    id: 'bench',
    version: 1,
    entities: {
      cube: entity({
        authority: 'spawner',
        rate: 60,
        fields: { a: whole, b: whole, c: whole, x: s.i16(), y: s.i16(), z: s.i16(), largest: s.u8(), touched: s.u8() },
      }),
    },
  });
  const store = new EntityStore(game);
  const replication = new Replication({} as RoomPort, store, 60, 7);
  const handles = Array.from({ length: CUBES }, (_, cube) => {
    const core = new EntityCore(home, store.kind('cube'), 7, cube + 1, 'a' as PeerId);
    initialise(core, { a: 0, b: 0, c: 0, x: 0, y: 0, z: 0, largest: 0, touched: 0 });
    replication.own(core);
    store.add(core);
    return core.handle as Cube;
  });
  const replica = new EntityStore(game);
  const stream = new Inbound(
    'a' as PeerId,
    7,
    60,
    replica,
    rulesOf(() => 0),
  );
  const out = new PackWriter(1 << 17);
  const encoder = new BodyEncoder(out);
  let bytes = 0;
  let ticks = 0;
  let encoding = 0n;
  let decoding = 0n;
  for (let tick = 0; tick < FRAMES; tick++) {
    assignCubes(handles, trace[tick]!);
    // The first body is a whole state, and then one per tick against what was acked `lag` ticks ago.
    const baseline = tick === 0 ? -1 : Math.max(0, tick - lag);
    const begin = process.hrtime.bigint();
    replication.collect(tick, 0);
    out.reset();
    encoder.encode({ tick, phase: 0, quiet: 1, hash: 0, session: 7 }, baseline, replication.owned, []);
    encoding += process.hrtime.bigint() - begin;
    for (let part = 0; part < encoder.parts; part++) {
      const [from, to] = [encoder.starts[part]!, encoder.ends[part]!];
      // What comes around a body in its frame: array, kind, tag, tick, ack.
      if (baseline >= 0) bytes += to - from + FRAME_HEAD_BYTES - 4;
      if (!Array.isArray(decode(out.bytes.subarray(from, to)))) throw new Error('not an array to an independent decoder');
      const start = process.hrtime.bigint();
      const drop = stream.handleBody((tick * 1_000) / 60, tick, baseline < 0, new PackReader(out.bytes, from, to));
      decoding += process.hrtime.bigint() - start;
      if (drop !== undefined) throw new Error(drop);
    }
    if (baseline >= 0) ticks++;
    if (tick % 100 === 99) for (const core of replica.all()) checkCube(core.handle as Cube, trace[tick]!, core.counter - 1);
  }
  return {
    ackLag: lag,
    ticks,
    bytesPerTick: round(bytes / ticks, 1),
    encodeMicrosPerTick: Math.round(Number(encoding) / ticks / 1_000),
    decodeMicrosPerTick: Math.round(Number(decoding) / ticks / 1_000),
  };
}

function checkCube(seen: Cube, frame: Int32Array, cube: number): void {
  for (const name of NAMES)
    if (seen[name] !== frame[cube * PARTS + FIELDS[name]])
      throw new Error(`cube ${cube}.${name}: ${seen[name]}, not ${frame[cube * PARTS + FIELDS[name]]}`);
}

async function colyseusCubes(trace: readonly Int32Array[]): Promise<Record<string, number>> {
  const { schema, t, Encoder } = (await import('@colyseus/schema')) as unknown as Record<string, any>;
  const fields = { largest: t.uint8(), a: t.uint16(), b: t.uint16(), c: t.uint16(), x: t.int16(), y: t.int16(), z: t.int16(), touched: t.uint8() };
  const CubeState = schema(fields, 'Cube');
  const State = schema({ cubes: t.map(CubeState) }, 'Cubes');
  const state = new State();
  const handles = Array.from({ length: CUBES }, (_, cube) => {
    const item = new CubeState();
    Object.assign(item, { a: 0, b: 0, c: 0, x: 0, y: 0, z: 0, largest: 0, touched: 0 });
    state.cubes.set(String(cube), item);
    return item as Cube;
  });
  const encoder = new Encoder(state);
  encoder.encodeAll();
  encoder.discardChanges();
  let bytes = 0;
  let nanos = 0n;
  trace.forEach((frame, tick) => {
    assignCubes(handles, frame);
    const begin = process.hrtime.bigint();
    const patch = encoder.encode() as Uint8Array;
    encoder.discardChanges();
    nanos += process.hrtime.bigint() - begin;
    if (tick > 0) bytes += patch.byteLength;
  });
  return { ackLag: 1, bytesPerTick: round(bytes / (FRAMES - 1), 1), encodeMicrosPerTick: Math.round(Number(nanos) / FRAMES / 1_000) };
}

const ROUNDS = 80;
const WARM = 20;
const TICKS = 20;

/** Micros per tick, rounds interleaved; each the 10th percentile of its rounds, since what else runs on the machine only ever adds. */
async function entities(): Promise<Record<string, unknown>> {
  const rivals = [lanista(), dataView(), msgpackr(), json(), await colyseus()];
  const encoding: Record<string, number[]> = {};
  const decoding: Record<string, number[]> = {};
  const sizes: Record<string, number> = {};
  for (let turn = 0; turn < ROUNDS; turn++)
    for (const rival of rivals) {
      let spent = 0n;
      let read = 0n;
      for (let i = 0; i < TICKS; i++) {
        const begin = process.hrtime.bigint();
        rival.mutate();
        sizes[rival.name] = rival.encode();
        const middle = process.hrtime.bigint();
        rival.decode();
        spent += middle - begin;
        read += process.hrtime.bigint() - middle;
      }
      compare(rival);
      if (turn < WARM) continue;
      (encoding[rival.name] ??= []).push(Number(spent) / TICKS / 1_000);
      (decoding[rival.name] ??= []).push(Number(read) / TICKS / 1_000);
    }
  const table = Object.fromEntries(
    rivals.map(({ name }) => {
      const [encode, decodeOne] = [low(encoding[name]!), low(decoding[name]!)];
      return [
        name,
        { bytesPerPeer: sizes[name]!, encodeMicros: round(encode, 1), decodeMicros: round(decodeOne, 1), total: encode + PEERS * decodeOne },
      ];
    }),
  );
  const over = (a: string, b: string) => ({
    encode: round(table[a]!.encodeMicros / table[b]!.encodeMicros, 2),
    decode: round(table[a]!.decodeMicros / table[b]!.decodeMicros, 2),
    all: round(table[a]!.total / table[b]!.total, 2),
  });
  for (const row of Object.values(table)) row.total = round(row.total, 1);
  return { ships: SHIPS, peers: PEERS, perTick: table, colyseusOverOurs: over('colyseus', 'lanista'), oursOverDataView: over('lanista', 'dataview') };
}

/** What is compared must do the work: every peer sees what was assigned, within the coarsest step of them all. */
function compare(rival: Rival): void {
  rival.seen().forEach((ship, i) => {
    const own = rival.ships[i]!;
    if (Math.abs(ship.x - own.x) > 0.13 || Math.abs(ship.y - own.y) > 0.13 || Math.abs(ship.rot - own.rot) > 1e-3)
      throw new Error(`${rival.name}: a peer sees ship ${i} at ${ship.x}, ${ship.y}, ${ship.rot}, not ${own.x}, ${own.y}, ${own.rot}`);
  });
}

export async function bench(args: readonly string[]): Promise<object> {
  const small = await entities();
  const { colyseusOverOurs: won, oursOverDataView: lost } = small as { colyseusOverOurs: { all: number }; oursOverDataView: { all: number } };
  if (args.includes('--entities')) return { entities: small, pass: won.all >= 5 && lost.all <= 3 };
  const trace = cubesTrace();
  const six = cubes(6, trace);
  return {
    entities: small,
    cubes: { trace: TRACE_SHA256, frames: FRAMES, ackSixLate: six, ackOneLate: cubes(1, trace), colyseusReliable: await colyseusCubes(trace) },
    pass: won.all >= 5 && lost.all <= 3 && six['bytesPerTick']! <= 830,
  };
}
