/**
 * What a rollback costs besides the game's own steps: two players, the other one's input seven ticks late and never the one that was guessed, so that every
 * tick goes back by seven and simulates eight. The state is 32 bodies of 8 numbers, once as a typed array, once as plain objects, and once each as objects
 * that are saved by `structuredClone` and by JSON, as other libraries do by default.
 *
 * Times are of one run, rounds interleaved, medians with their quartiles. The steps alone are measured, too, and taken off.
 */
import { s, simulation } from 'lanista';
import type { Simulation } from 'lanista';
import type { Input } from '../../sdk/sync/rollback/input.ts';
import { InputCodec, Row } from '../../sdk/sync/rollback/input.ts';
import { Timeline } from '../../sdk/sync/rollback/timeline.ts';

const BODIES = 32;
const FIELDS = 8;
const LATE_TICKS = 7;
const TICKS = 2_000;
const ROUNDS = 9;

const input = { push: s.u8().default(0) };

interface Body {
  x: number;
  y: number;
  vx: number;
  vy: number;
  turn: number;
  spin: number;
  hp: number;
  heat: number;
}

function pushOf(players: readonly { readonly input: Readonly<{ push: number }> }[]): number {
  let push = 0;
  for (const player of players) push += player.input.push;
  return push / 256;
}

const numbers = simulation({
  id: 'numbers',
  input,
  start: () => new Float64Array(BODIES * FIELDS).map((_, i) => i / 7),
  step(state, players) {
    const push = pushOf(players);
    for (let i = 0; i < state.length; i += FIELDS) {
      state[i]! += state[i + 2]!;
      state[i + 1]! += state[i + 3]!;
      state[i + 2] = state[i + 2]! * 0.99 + push;
      state[i + 3] = state[i + 3]! * 0.99 - push;
      state[i + 4]! += state[i + 5]!;
    }
  },
});

const start = (): Body[] =>
  Array.from({ length: BODIES }, (_, i) => ({ x: i / 7, y: i / 3, vx: i / 9, vy: 0.5, turn: 0.1, spin: 0.2, hp: 3, heat: 0.5 }));
function stepBodies(bodies: Body[], players: readonly { readonly input: Readonly<{ push: number }> }[]): void {
  const push = pushOf(players);
  for (const body of bodies) {
    body.x += body.vx;
    body.y += body.vy;
    body.vx = body.vx * 0.99 + push;
    body.vy = body.vy * 0.99 - push;
    body.turn += body.spin;
  }
}

const objects = simulation({ id: 'objects', input, start, step: stepBodies });
/** Copies are made by the game and not by the timeline, which sees one number; so what is measured is that way of copying alone. */
function copied(id: string, copy: (bodies: Body[]) => unknown, back: (saved: unknown) => Body[]): Simulation {
  const slots: unknown[] = [];
  let next = 0;
  return simulation({
    id,
    input,
    start,
    step: stepBodies,
    save(bodies) {
      next = (next + 1) % 64;
      slots[next] = copy(bodies);
      return next;
    },
    load: (at) => back(slots[at]),
  });
}

const WAYS: Readonly<Record<string, Simulation>> = {
  typed_array: numbers,
  plain_objects: objects,
  structured_clone: copied(
    'clone',
    (bodies) => structuredClone(bodies),
    (saved) => structuredClone(saved) as Body[],
  ),
  json: copied(
    'json',
    (bodies) => JSON.stringify(bodies),
    (saved) => JSON.parse(saved as string) as Body[],
  ),
};

/** One run of `TICKS`; microseconds a tick. */
function play(of: Simulation): { readonly us: number; readonly resimulated: number } {
  const codec = new InputCodec(of);
  const timeline = new Timeline(of, codec, LATE_TICKS + 1, {
    settled: () => undefined,
    failed: (what, cause) => {
      throw new Error(what, { cause });
    },
  });
  timeline.begin(of.start(1));
  const held: Input[] = Array.from({ length: 251 }, (_, i) => codec.encode({ push: i }, undefined));
  const rows = Array.from(
    { length: TICKS + 1 },
    (_, tick) =>
      new Row([
        { slot: 0, away: false, input: held[0]! },
        { slot: 1, away: false, input: held[tick % 251]! },
      ]),
  );
  const begin = process.hrtime.bigint();
  for (let tick = 1; tick <= TICKS; tick++) {
    if (tick > LATE_TICKS) timeline.confirm(rows[tick - LATE_TICKS]!);
    timeline.advance(tick, 1);
  }
  return { us: Number(process.hrtime.bigint() - begin) / 1_000 / TICKS, resimulated: timeline.stats.resimulatedTicks / TICKS };
}

/** The same count of steps, and nothing else. */
function stepsAlone(of: Simulation, steps: number): number {
  const state: unknown = of.start(1);
  const players = [0, 1].map((slot) => ({ slot, away: false, input: { push: 3 } }));
  const begin = process.hrtime.bigint();
  for (let i = 0; i < steps; i++) of.step(state, players, i);
  return Number(process.hrtime.bigint() - begin) / 1_000 / TICKS;
}

function spread(values: readonly number[]): { readonly median: number; readonly q1: number; readonly q3: number } {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (ratio: number): number => Math.round(sorted[Math.floor((sorted.length - 1) * ratio)]! * 100) / 100;
  return { median: at(0.5), q1: at(0.25), q3: at(0.75) };
}

export async function bench(): Promise<object> {
  const whole: Record<string, number[]> = {};
  const alone: Record<string, number[]> = {};
  let resimulated = 0;
  for (let round = -1; round < ROUNDS; round++)
    for (const [name, of] of Object.entries(WAYS)) {
      const run = play(of);
      const steps = stepsAlone(of, Math.round((run.resimulated + 1) * TICKS));
      resimulated = run.resimulated;
      // The first round is for the compiler.
      if (round < 0) continue;
      (whole[name] ??= []).push(run.us);
      (alone[name] ??= []).push(steps);
    }
  const rows = Object.fromEntries(
    Object.keys(WAYS).map((name) => {
      const over = spread(whole[name]!.map((us, i) => us - alone[name]![i]!));
      return [name, { us_per_tick: spread(whole[name]!), steps_us: spread(alone[name]!).median, overhead_us: over }];
    }),
  );
  const overhead = (name: string): number => rows[name]!.overhead_us.median;
  return {
    bodies: BODIES,
    fields: FIELDS,
    resimulated_per_tick: Math.round(resimulated * 100) / 100,
    rows,
    json_x: Math.round((overhead('json') / overhead('typed_array')) * 10) / 10,
    structured_clone_x: Math.round((overhead('structured_clone') / overhead('typed_array')) * 10) / 10,
  };
}
