/**
 * A deterministic game: `state`, and a `step` that makes the next one of it from what every player holds down. Everybody runs it, and only inputs travel.
 *
 *   start(seed) ─► state 0 ─► step(state, players, 1) ─► state 1 ─► …
 */
import { LanError } from '../../base/errors.ts';
import { MAX_INPUT_BYTES } from '../../wire/limits.ts';
import { checkField, checkOptions, show } from '../definition.ts';
import type { Fields, Infer, Init } from '../field.ts';
import type { BoxedCodec, NumberCodec } from '../field.ts';
import { specOf } from '../field.ts';
import { hashText } from '../hash.ts';

/** One player at one tick. */
export interface SimulationPlayer<I> {
  /** The seat, as in `room.peers`. */
  readonly slot: number;
  /** Its peer cannot be heard: `input` has the defaults until it is back. */
  readonly away: boolean;
  readonly input: Readonly<I>;
}

export interface SimulationInit<F extends Fields, S, V> {
  /** 1 to 32 characters of a-z, 0-9 and `-`. */
  readonly id: string;
  /** Ticks a second, 10 to 120. Default 60. */
  readonly hz?: number;
  /** What a player holds down. Every field has a default, which stands for nothing held; all together take 30 bytes at most. */
  readonly input: F;
  /**
   * The state before the first tick. Whoever is host then draws `seed`, a u32; everybody gets the same. Where the game begins anew (`restart`), `before` is the state
   * it had, to keep a score of: undefined at first.
   */
  start(seed: number, before?: S): S;
  /**
   * Makes the state of tick `tick` (1 for the first) of the one before: changes `state`, or returns another one. It must come to the same bits everywhere:
   * nothing but `state`, `players` (by slot: those who play at this tick) and `det` may matter. It is called again for a tick whose inputs
   * were guessed wrong, so it does nothing else: what is to be heard or counted once belongs into `on('confirm')`.
   */
  step(state: S, players: readonly SimulationPlayer<Infer<F>>[], tick: number): S | void;
  /** What a player holds down that is not known yet, from the last that is. Default: the same. */
  predict?(last: Readonly<Infer<F>>, slot: number): Init<F>;
  /**
   * For states that are no plain data: the state as data, and back. `load` gets the present state, too, to fill it in place. Default: the state is data
   * (numbers, texts, plain objects, arrays, typed arrays, `Map`, `Set`), and is copied.
   */
  save?(state: S): V;
  load?(saved: V, state: S | undefined): S;
}

/** Made by `simulation()`. */
export interface Simulation<F extends Fields = any, S = any, V = any> extends Required<Omit<SimulationInit<F, S, V>, 'predict' | 'save' | 'load'>> {
  readonly predict: SimulationInit<F, S, V>['predict'];
  readonly save: SimulationInit<F, S, V>['save'];
  readonly load: SimulationInit<F, S, V>['load'];
  /** Of id, rate and inputs: what two peers must have in common to play together. */
  readonly hash: number;
}

const KEYS = ['id', 'hz', 'input', 'start', 'step', 'predict', 'save', 'load'];

/** Declares a deterministic game for `room.rollback` and `syncTest`. Throws `bad-definition`. */
export function simulation<const F extends Fields, S, V = S>(init: SimulationInit<F, S, V>): Simulation<F, S, V> {
  checkOptions('simulation', init, KEYS);
  const { id, hz = 60, input, start, step, predict, save, load } = init;
  if (typeof id !== 'string' || !/^[a-z0-9][a-z0-9-]{0,31}$/.test(id))
    throw bad(`id: expected 1 to 32 characters of a-z, 0-9 and '-', got ${show(id)}`);
  if (typeof hz !== 'number' || !(hz >= 10 && hz <= 120)) throw bad(`hz: expected 10 to 120 ticks a second, got ${show(hz)}`);
  for (const [name, fn] of Object.entries({ start, step, predict, save, load }))
    if (typeof fn !== 'function' && (fn !== undefined || name === 'start' || name === 'step'))
      throw bad(`${name}: expected a function, got ${show(fn)}`);
  if ((save === undefined) !== (load === undefined)) throw bad('save and load: expected both or none', 'One undoes the other.');
  const signature = checkInput(input);
  const hash = hashText(`lanista simulation 1 ${id} ${hz} ${signature}`);
  return Object.freeze({ id, hz, input, start, step, predict, save, load, hash });
}

function checkInput(input: Fields): string {
  if (typeof input !== 'object' || input === null || Object.keys(input).length === 0)
    throw bad(`input: expected 1 field or more, got ${show(input)}`, 'Write { left: s.bool().default(false), … }.');
  let most = 1;
  const parts: string[] = [];
  for (const [name, field] of Object.entries(input)) {
    checkField(`simulation: input.${name}`, field);
    const spec = specOf(field);
    if (!field.optional) throw bad(`input.${name}: expected a field with a default, which stands for nothing held down`, 'Write .default(…).');
    most += mostBytes(spec.codec);
    parts.push(`${name}:${spec.signature}`);
  }
  if (most > MAX_INPUT_BYTES) throw bad(`input may take ${MAX_INPUT_BYTES} bytes, got fields that take up to ${most}`, 'What is pressed is small.');
  return parts.join(',');
}

/** Of any value of the field, packed. */
function mostBytes(codec: NumberCodec | BoxedCodec): number {
  if (codec.storage === 'boxed') return codec.maxBytes;
  const { low, high } = codec;
  if (low >= -0x20 && high <= 0x7f) return 1;
  if (low >= -0x80 && high <= 0xff) return 2;
  return low >= -0x8000 && high <= 0xffff ? 3 : 5;
}

function bad(what: string, hint = ''): LanError {
  return new LanError('bad-definition', `simulation: ${what}.`, hint === '' ? {} : { hint });
}
