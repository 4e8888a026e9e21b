/**
 * What an assignment costs: `entity.x = v` against the same assignment to a plain object, with whole numbers and with fractions
 * (a plain object keeps the first without a box, and its shape is not shared between the two); and what the heap grows by over 10,000 ticks of it.
 *
 * Nothing here can be left out by a compiler: every object is read after each round, and the sum must be right. Times are of one run, rounds
 * interleaved, medians. Bytes are the growth of the heap over the ticks with no collection in between, less that of looking at it.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { defineGame, entity, s } from 'lanista';
import type { PeerId } from 'lanista';
import type { RoomPort } from '../../sdk/port/port.ts';
import { BodyEncoder } from '../../sdk/sync/body-encoder.ts';
import type { Tombstone } from '../../sdk/sync/delta.ts';
import type { EntityHome } from '../../sdk/sync/entity.ts';
import { EntityCore, initialise } from '../../sdk/sync/entity.ts';
import { Replication } from '../../sdk/sync/replication.ts';
import { EntityStore } from '../../sdk/sync/store.ts';
import { PackWriter } from '../../sdk/wire/pack.ts';

const COUNT = 64;
const TICKS = 10_000;
const NO_TOMBS: readonly Tombstone[] = [];

interface Ship {
  x: number;
  y: number;
  hp: number;
}

function world(start: number) {
  const game = defineGame({
    id: 'assign',
    version: 1,
    entities: {
      ship: entity({
        authority: 'spawner',
        fields: { x: s.num({ min: -4096, max: 4096, step: 1 / 8 }), y: s.num({ min: -4096, max: 4096, step: 1 / 8 }), hp: s.u8() },
      }),
    },
  });
  const store = new EntityStore(game);
  const replication = new Replication({} as RoomPort, store, 30, 7);
  const home: EntityHome = {
    roomTime: () => 0,
    despawn: () => undefined,
    failed: () => undefined,
    requestAuthority: async () => undefined,
  };
  const ships = Array.from({ length: COUNT }, (_, i) => {
    const core = new EntityCore(home, store.kind('ship'), 7, i + 1, 'a' as PeerId);
    initialise(core, { x: i + start, y: i + start, hp: 0 });
    replication.own(core);
    store.add(core);
    return core.handle as Ship;
  });
  return { replication, ships };
}

type Assign = (ships: readonly Ship[], tick: number) => void;

/** The same code for each kind of object, so that each has a call site of its own, as in a game. */
const WHOLE: Record<Kind, Assign> = {
  plain: (ships, tick) => {
    for (const ship of ships) {
      ship.x = tick & 1_023;
      ship.y = (tick * 3) & 1_023;
      ship.hp = tick & 127;
    }
  },
  lanista: (ships, tick) => {
    for (const ship of ships) {
      ship.x = tick & 1_023;
      ship.y = (tick * 3) & 1_023;
      ship.hp = tick & 127;
    }
  },
};
const FRACTIONS: Record<Kind, Assign> = {
  plain: (ships, tick) => {
    for (const ship of ships) {
      ship.x = (tick & 1_023) + 0.25;
      ship.y = ((tick * 3) & 1_023) + 0.5;
      ship.hp = tick & 127;
    }
  },
  lanista: (ships, tick) => {
    for (const ship of ships) {
      ship.x = (tick & 1_023) + 0.25;
      ship.y = ((tick * 3) & 1_023) + 0.5;
      ship.hp = tick & 127;
    }
  },
};

type Kind = 'plain' | 'lanista';
const ROUNDS = 41;
const WARM = 12;

function cost(assign: Record<Kind, Assign>, start: number): Record<string, number> {
  const { ships, replication } = world(start);
  const subjects: Record<Kind, readonly Ship[]> = {
    // The engine keeps what it knows of an object's fields with its shape, so the two measurements have a shape each.
    plain: Array.from({ length: COUNT }, (_, i) => (start === 0 ? { x: i, y: i, hp: 0 } : { fraction: true, x: i + start, y: i + start, hp: 0 })),
    lanista: ships,
  };
  const times: Record<Kind, number[]> = { plain: [], lanista: [] };
  let tick = 0;
  for (let round = 0; round < ROUNDS; round++) {
    tick += 2_000;
    const sums: number[] = [];
    for (const kind of ['plain', 'lanista'] as const) {
      const subject = subjects[kind];
      const run = assign[kind];
      const begin = process.hrtime.bigint();
      for (let i = 0; i < 2_000; i++) run(subject, tick + i);
      times[kind].push(Number(process.hrtime.bigint() - begin) / (2_000 * COUNT * 3));
      sums.push(subject.reduce((sum, ship) => sum + ship.x + ship.y + ship.hp, 0));
    }
    if (sums.some((sum) => sum !== sums[0])) throw new Error(`the assignments were not all made: ${sums.join(', ')}`);
    replication.collect(round, 0);
  }
  const median = (list: number[]): number => list.slice(WARM).sort((a, b) => a - b)[(ROUNDS - WARM) >> 1]!;
  const nanos = Object.fromEntries(Object.entries(times).map(([name, list]) => [name, Math.round(median(list) * 100) / 100]));
  return { ...nanos, oursOverPlain: Math.round((median(times.lanista) / median(times.plain)) * 100) / 100 };
}

function heap(): Record<string, number> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const { ships, replication } = world(0.25);
  const out = new PackWriter(1 << 16);
  const encoder = new BodyEncoder(out);
  const head = { tick: 0, phase: 0, quiet: 1, hash: 0, session: 7 };
  let tick = 0;
  const nothing = (): void => {
    tick++;
  };
  const assigning = (): void => {
    tick++;
    FRACTIONS.lanista(ships, tick);
    replication.collect(tick, 0);
  };
  const encoding = (): void => {
    assigning();
    out.reset();
    head.tick = tick;
    encoder.encode(head, tick < 8 ? -1 : tick - 2, replication.owned, NO_TOMBS);
  };
  /** The least of five runs: what the engine itself allocates now and then (compiled code, feedback) is not the loop's. */
  const grown = (one: () => void): number => {
    for (let i = 0; i < 20_000; i++) one();
    let least = Number.POSITIVE_INFINITY;
    for (let run = 0; run < 5; run++) {
      collect();
      const before = process.memoryUsage().heapUsed;
      for (let i = 0; i < TICKS; i++) one();
      least = Math.min(least, process.memoryUsage().heapUsed - before);
    }
    return least;
  };
  const look = grown(nothing);
  return { ticks: TICKS, bytesAssigning: grown(assigning) - look, bytesAssigningAndEncoding: grown(encoding) - look };
}

export async function bench(): Promise<object> {
  const whole = cost(WHOLE, 0);
  const fractions = cost(FRACTIONS, 0.5);
  const grown = heap();
  const pass =
    whole['oursOverPlain']! <= 3 && fractions['oursOverPlain']! <= 3 && grown['bytesAssigning']! <= 0 && grown['bytesAssigningAndEncoding']! <= 0;
  return { nanosPerAssignment: { whole, fractions }, heap: grown, pass };
}
