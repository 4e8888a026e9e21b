/**
 * Whether a simulation is one: the same inputs, the same states, however often it has to go back.
 */
import { LanError } from '../base/errors.ts';
import type { Rng } from '../base/rng.ts';
import { createRng } from '../base/rng.ts';
import { checkCall, show } from '../sync/definition.ts';
import type { Fields, Infer } from '../sync/field.ts';
import { specOf } from '../sync/field.ts';
import { hashState } from '../sync/hash.ts';
import type { Difference } from '../sync/rollback/data.ts';
import { copyData, diffData } from '../sync/rollback/data.ts';
import type { Input } from '../sync/rollback/input.ts';
import { InputCodec, Row } from '../sync/rollback/input.ts';
import type { Simulation } from '../sync/rollback/simulation.ts';
import { decodeState, encodeState } from '../sync/rollback/state-codec.ts';

export interface SyncTestOptions<F extends Fields> {
  /** Default 600. */
  readonly ticks?: number;
  /** How far it goes back at every tick, 1 to 30. Default 7. */
  readonly distanceTicks?: number;
  /** 1 to 32. Default 2. */
  readonly players?: number;
  /** Of inputs and of `start`. Default 1. */
  readonly seed?: number;
  /** What a player holds down from a tick on. Default: now and then something else, drawn from the fields. */
  readonly input?: (rng: Rng, slot: number, tick: number) => Partial<Infer<F>>;
}

/**
 * What is wrong. `start`: called twice, it gave two states. `step`: simulated again, a tick came out otherwise, so something else than state and
 * inputs matters: a variable outside, `Math.random`, the time; or two places of the state are one object, which they are not once it was copied.
 * `travel`: who comes late would get another state than was sent.
 */
export type SyncTestResult =
  | { readonly ok: true; readonly ticks: number }
  | { readonly ok: false; readonly what: 'start' | 'step' | 'travel'; readonly tick: number; readonly diff: readonly Difference[] };

const OPTIONS = ['ticks', 'distanceTicks', 'players', 'seed', 'input'];

/**
 * Plays `simulation` with random inputs, going back at every tick and simulating again, beside a copy that never does, and says where the two first differ:
 * what a game sees as `desync` between two machines, found on one. Throws `bad-argument`, and `bad-value` for a state that is no data.
 */
export function syncTest<F extends Fields, S, V>(simulation: Simulation<F, S, V>, options: SyncTestOptions<F> = {}): SyncTestResult {
  checkCall('syncTest', options, OPTIONS);
  const whole = (name: string, value: number, low: number, high: number): number => {
    if (!Number.isInteger(value) || value < low || value > high)
      throw new LanError('bad-argument', `syncTest: expected ${name} from ${low} to ${high}, got ${show(value)}.`);
    return value;
  };
  const ticks = whole('ticks', options.ticks ?? 600, 1, 1_000_000);
  const distance = whole('distanceTicks', options.distanceTicks ?? 7, 1, 30);
  const players = whole('players', options.players ?? 2, 1, 32);
  const seed = whole('seed', options.seed ?? 1, 0, 0xffff_ffff);

  const straight = new Copy(simulation, seed);
  const winding = new Copy(simulation, seed);
  const rows = new Rows(simulation, players, seed, options.input);
  const saves: unknown[] = [winding.save()];
  let diff = differ(straight.save(), saves[0]);
  if (diff !== undefined) return { ok: false, what: 'start', tick: 0, diff };
  for (let tick = 1; tick <= ticks; tick++) {
    const row = rows.next(tick);
    straight.step(row, tick);
    winding.step(row, tick);
    saves.push(winding.save());
    const from = Math.max(0, tick - distance);
    winding.load(saves[saves.length - 1 - (tick - from)]);
    for (let again = from + 1; again <= tick; again++) {
      winding.step(rows.of(again), again);
      const at = saves.length - 1 - (tick - again);
      const saved = winding.save();
      diff = differ(saves[at], saved);
      if (diff !== undefined) return { ok: false, what: 'step', tick: again, diff };
    }
    const saved = straight.save();
    diff = differ(saved, saves.at(-1));
    if (diff !== undefined) return { ok: false, what: 'step', tick, diff };
    diff = differ(saved, decodeState(encodeState(saved))?.state);
    if (diff !== undefined) return { ok: false, what: 'travel', tick, diff };
    if (saves.length > distance + 1) saves.shift();
  }
  return { ok: true, ticks };
}

function differ(a: unknown, b: unknown): readonly Difference[] | undefined {
  if (hashState(a) === hashState(b)) return undefined;
  const diff = diffData(a, b);
  // Only the order of keys, which a walk would see; the hash leaves it out for records, so this is a rest.
  return diff.length === 0 ? [{ path: 'state', mine: a, theirs: b }] : diff;
}

class Copy {
  readonly #simulation: Simulation;
  #state: unknown;

  constructor(simulation: Simulation, seed: number) {
    this.#simulation = simulation;
    this.#state = simulation.start(seed);
  }

  step(row: Row, tick: number): void {
    const made = this.#simulation.step(this.#state, row.players, tick) as unknown;
    if (made !== undefined) this.#state = made;
  }

  save(): unknown {
    const { save } = this.#simulation;
    return copyData(save === undefined ? this.#state : save(this.#state));
  }

  load(saved: unknown): void {
    const { load } = this.#simulation;
    this.#state = load === undefined ? copyData(saved, this.#state) : load(copyData(saved), this.#state);
  }
}

type Draw = (rng: Rng, slot: number, tick: number) => Readonly<Record<string, unknown>>;

/** Random inputs, the last few of which are kept. */
class Rows {
  readonly #codec: InputCodec;
  readonly #rng: Rng;
  readonly #draw: Draw;
  readonly #held: Input[];
  readonly #rows = new Map<number, Row>();

  constructor(simulation: Simulation, players: number, seed: number, draw: Draw | undefined) {
    this.#codec = new InputCodec(simulation);
    this.#rng = createRng(seed ^ 0x5eed);
    this.#held = Array.from({ length: players }, () => this.#codec.neutral);
    this.#draw = draw ?? ((rng) => (rng.float() < 0.2 ? drawFields(simulation.input as Fields, rng) : {}));
  }

  next(tick: number): Row {
    const entries = this.#held.map((last, slot) => {
      const input = (this.#held[slot] = this.#codec.change(last, this.#draw(this.#rng, slot, tick)));
      return { slot, away: false, input };
    });
    const row = new Row(entries);
    this.#rows.set(tick, row);
    this.#rows.delete(tick - 31);
    return row;
  }

  of(tick: number): Row {
    return this.#rows.get(tick)!;
  }
}

/** A value of each field that is a number inside; others keep theirs. */
function drawFields(fields: Fields, rng: Rng): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(fields)) {
    const { codec } = specOf(field);
    if (codec.storage !== 'number') continue;
    const int = codec.low + Math.floor(rng.float() * (codec.high - codec.low + 1));
    values[name] = codec.fromLive(codec.dequantise(int));
  }
  return values;
}
