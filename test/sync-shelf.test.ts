/** Where entities keep their numbers: neighbours share arrays, and never each other's values. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defineGame, entity, s } from 'lanista';
import type { PeerId } from 'lanista';
import type { EntityHome } from '../sdk/sync/entity.ts';
import { EntityCore, initialise } from '../sdk/sync/entity.ts';
import { EntityStore } from '../sdk/sync/store.ts';
import { HISTORY_ROWS } from '../sdk/wire/limits.ts';
import { expectSame } from './same.ts';

const game = defineGame({
  id: 'shelf',
  version: 1,
  entities: { dot: entity({ authority: 'spawner', fields: { x: s.i32(), y: s.num({ min: 0, max: 100, step: 0.5 }) } }) },
});
const home: EntityHome = { roomTime: () => 0, failed: () => undefined, despawn: () => undefined, requestAuthority: async () => undefined };

/** An entity and what its numbers and its past have to be. */
interface Model {
  readonly core: EntityCore;
  x: number;
  /** Ticks and values of its rows, newest first. */
  readonly past: [tick: number, x: number][];
}

function check({ core, x, past }: Model): void {
  expectSame([core.value(0), (core.handle as { x: number }).x, core.ints[0]], [x, x, x]);
  const { track } = core;
  expectSame(track.size, Math.min(past.length, HISTORY_ROWS));
  for (let age = 0; age < track.size; age++) expectSame([track.tick(age), track.value(age, 0)], past[age]);
}

const action = fc.oneof(
  { weight: 3, arbitrary: fc.record({ type: fc.constant('spawn' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('remove' as const), which: fc.nat(99) }) },
  { weight: 8, arbitrary: fc.record({ type: fc.constant('move' as const), which: fc.nat(99), rows: fc.integer({ min: 1, max: 80 }) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('rest' as const), which: fc.nat(99) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('amend' as const), which: fc.nat(99), x: fc.nat(1_000) }) },
);

describe('the shelves of a kind', () => {
  it('[SY107] keep the numbers and the past of each entity apart, while others come, go and move', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        const store = new EntityStore(game);
        const kind = store.kind('dot');
        const all: Model[] = [];
        const living: Model[] = [];
        let tick = 0;
        const set = (model: Model, x: number): void => {
          const before = model.core.ints[0]!;
          model.x = x;
          model.core.live[0] = x;
          model.core.ints[0] = x;
          model.core.track.push(++tick, 0, 1, Int32Array.of(before));
          model.past.unshift([tick, x]);
        };
        for (const step of actions) {
          if (step.type === 'spawn') {
            const core = new EntityCore(home, kind, 1, all.length + 1, 'a' as PeerId);
            initialise(core, { x: 0, y: 0 });
            const model: Model = { core, x: 0, past: [] };
            // It has a past before the store has it.
            set(model, -all.length - 1);
            store.add(core);
            all.push(model);
            living.push(model);
            continue;
          }
          const model = living[step.which % Math.max(1, living.length)];
          if (model === undefined) continue;
          if (step.type === 'remove') {
            living.splice(living.indexOf(model), 1);
            store.remove(model.core, undefined);
          } else if (step.type === 'amend') {
            // A change of authority brings values between two ticks: the newest row has them, the ones before keep theirs.
            const { core, x: old } = model;
            model.x = core.live[0] = core.ints[0] = step.x;
            core.shelf.amend(core.place, step.x === old ? 0 : 1, Int32Array.of(old));
            model.past[0] = [model.past[0]![0], step.x];
          } else if (step.type === 'move') for (let i = 0; i < step.rows; i++) set(model, tick * 7);
          else {
            model.core.track.rest(++tick, 0);
            model.past.unshift([tick, model.x]);
          }
        }
        // Those who are gone show what they last showed, whoever has their place now.
        for (const model of all) check(model);
      }),
      { numRuns: 300 },
    );
  });

  it('[SY107] give the place of who is gone to who comes next', () => {
    const store = new EntityStore(game);
    const kind = store.kind('dot');
    const shelves = new Set<unknown>();
    for (let i = 1; i <= 1_000; i++) {
      const core = new EntityCore(home, kind, 1, i, 'a' as PeerId);
      store.add(core);
      shelves.add(core.shelf);
      store.remove(core, undefined);
    }
    expect(shelves.size).toBe(1);
    const stay = Array.from({ length: 40 }, (_, i) => new EntityCore(home, kind, 2, i + 1, 'a' as PeerId));
    for (const core of stay) store.add(core);
    const held = new Set(stay.map((core) => core.shelf));
    for (let i = 1; i <= 1_000; i++) {
      const core = new EntityCore(home, kind, 3, i, 'a' as PeerId);
      store.add(core);
      held.add(core.shelf);
      store.remove(core, undefined);
    }
    expect(held.size).toBe(3);
  });
});
