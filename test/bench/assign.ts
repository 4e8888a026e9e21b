/**
 * What an assignment costs: `entity.x = v` against the same assignment to a plain object and to a class with a checking setter, and what the
 * heap grows by over 10,000 ticks of assigning, collecting and encoding (2 peers' worth of acks) in steady state.
 *
 * Times are of one run, rounds interleaved, medians; the heap is asked after a full collection where `--expose-gc` allows, and the sum of what
 * was allocated is measured by the heap's own growth between collections otherwise.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { defineGame, entity, s } from 'lanista';
import type { PeerId } from 'lanista';
import type { RoomPort } from '../../sdk/port/port.ts';
import { encodeBody } from '../../sdk/sync/delta.ts';
import type { EntityHome } from '../../sdk/sync/entity.ts';
import { EntityCore, initialise } from '../../sdk/sync/entity.ts';
import { Replication } from '../../sdk/sync/replication.ts';
import { EntityStore } from '../../sdk/sync/store.ts';
import { PackWriter } from '../../sdk/wire/pack.ts';

const COUNT = 64;
const TICKS = 10_000;

interface Ship {
  x: number;
  y: number;
  hp: number;
}

class Checked implements Ship {
  #x = 0;
  #y = 0;
  #hp = 0;
  get x(): number {
    return this.#x;
  }
  set x(value: number) {
    if (!(value >= -4_096 && value <= 4_096)) throw new RangeError('x');
    this.#x = value;
  }
  get y(): number {
    return this.#y;
  }
  set y(value: number) {
    if (!(value >= -4_096 && value <= 4_096)) throw new RangeError('y');
    this.#y = value;
  }
  get hp(): number {
    return this.#hp;
  }
  set hp(value: number) {
    if (!(value >= 0 && value <= 255)) throw new RangeError('hp');
    this.#hp = value;
  }
}

function world() {
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
    queue: (core) => store.enqueue(core),
    despawn: () => undefined,
    requestAuthority: async () => undefined,
  };
  const ships = Array.from({ length: COUNT }, (_, i) => {
    const core = new EntityCore(home, store.kind('ship'), 7, i + 1, 'a' as PeerId);
    initialise(core, { x: i, y: i, hp: 0 });
    replication.own(core);
    return core.handle as Ship;
  });
  return { replication, ships };
}

const assignPlain = (ships: readonly Ship[], tick: number): void => {
  for (const ship of ships) {
    ship.x = tick & 1_023;
    ship.y = (tick * 3) & 1_023;
    ship.hp = tick & 127;
  }
};
// The same code again, so that each kind of object has a call site of its own, as in a game.
const assignOurs = (ships: readonly Ship[], tick: number): void => {
  for (const ship of ships) {
    ship.x = tick & 1_023;
    ship.y = (tick * 3) & 1_023;
    ship.hp = tick & 127;
  }
};
const assignChecked = (ships: readonly Ship[], tick: number): void => {
  for (const ship of ships) {
    ship.x = tick & 1_023;
    ship.y = (tick * 3) & 1_023;
    ship.hp = tick & 127;
  }
};

function cost(): Record<string, number> {
  const { ships, replication } = world();
  const plain = Array.from({ length: COUNT }, (_, i) => ({ x: i, y: i, hp: 0 }));
  const checked = Array.from({ length: COUNT }, () => new Checked());
  const times: Record<'plain' | 'checked' | 'lanista', number[]> = { plain: [], checked: [], lanista: [] };
  const clock = (name: keyof typeof times, run: () => void): void => {
    const begin = process.hrtime.bigint();
    run();
    times[name].push(Number(process.hrtime.bigint() - begin) / (2_000 * COUNT * 3));
  };
  let tick = 0;
  for (let round = 0; round < 30; round++) {
    tick += 2_000;
    clock('plain', () => {
      for (let i = 0; i < 2_000; i++) assignPlain(plain, tick + i);
    });
    clock('checked', () => {
      for (let i = 0; i < 2_000; i++) assignChecked(checked, tick + i);
    });
    clock('lanista', () => {
      for (let i = 0; i < 2_000; i++) assignOurs(ships, tick + i);
    });
    replication.collect(round, (round * 1_000) / 30);
  }
  const median = (list: number[]): number => list.slice(5).sort((a, b) => a - b)[12]!;
  const nanos = Object.fromEntries(Object.entries(times).map(([name, list]) => [name, Math.round(median(list) * 100) / 100]));
  return {
    ...nanos,
    oursOverPlain: Math.round((median(times.lanista) / median(times.plain)) * 100) / 100,
    oursOverChecked: Math.round((median(times.lanista) / median(times.checked)) * 100) / 100,
  };
}

function heap(): Record<string, number> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const { ships, replication } = world();
  const out = new PackWriter(1 << 16);
  let tick = 0;
  const one = (encode: boolean): void => {
    tick++;
    assignOurs(ships, tick);
    replication.collect(tick, (tick * 1_000) / 30);
    if (!encode) return;
    out.reset();
    encodeBody(out, { tick, baseline: tick < 8 ? -1 : tick - 2, phase: 0, quiet: 1, hash: 0, session: 7 }, replication.owned, []);
  };
  const run = (encode: boolean): { retained: number; allocated: number } => {
    for (let i = 0; i < 3_000; i++) one(encode);
    collect();
    const before = process.memoryUsage().heapUsed;
    let allocated = 0;
    let last = before;
    for (let i = 0; i < TICKS; i++) {
      one(encode);
      // Growth between two looks; a collection in between shows as a fall and is not counted. The look itself allocates, so few are taken.
      if (i % 250 === 249) {
        const used = process.memoryUsage().heapUsed;
        if (used > last) allocated += used - last;
        last = used;
      }
    }
    collect();
    return { retained: process.memoryUsage().heapUsed - before, allocated };
  };
  const assigning = run(false);
  const encoding = run(true);
  return {
    ticks: TICKS,
    retainedBytes: assigning.retained,
    allocatedBytesPerTick: Math.round((assigning.allocated / TICKS) * 10) / 10,
    retainedBytesWithEncoding: encoding.retained,
    allocatedBytesPerTickWithEncoding: Math.round((encoding.allocated / TICKS) * 10) / 10,
  };
}

export async function bench(): Promise<object> {
  const nanosPerAssignment = cost();
  return { nanosPerAssignment, heap: heap(), pass: nanosPerAssignment['oursOverPlain']! <= 3 };
}
