/** Two who play a small sum, and words of it that anybody may say: what the tests of one peer's part share. */
import { s, simulation } from 'lanista';
import type { Rollback, RollbackOptions } from 'lanista';
import { InputCodec, Row } from '../sdk/sync/rollback/input.ts';
import { Words } from '../sdk/sync/rollback/words.ts';
import type { Said } from './rollback-rig.ts';
import { Rig } from './rollback-rig.ts';

export interface Sum {
  tick: number;
  sum: number;
}

export const input = { by: s.i8().default(0), fire: s.bool().default(false) };

export const count = simulation({
  id: 'count',
  hz: 50,
  input,
  start: (): Sum => ({ tick: 0, sum: 0 }),
  step(state, players, tick) {
    state.tick = tick;
    for (const player of players) state.sum += player.input.by;
  },
});

/** What somebody says who says what he likes. */
export const codec = new InputCodec(count);
export const wordsOf = (seat: number): Words => new Words(codec, 100 + seat, count.hash);
export const row = new Row([{ slot: 0, away: false, input: codec.neutral }]);

/** As many rows as follow `first`, of a past with this `chain`. */
export function confirms(base: number, first: number, last: number, chain = 0): Uint8Array {
  return wordsOf(0).confirms(
    base,
    { tick: 0, sum: 0 },
    first,
    last,
    () => row,
    () => chain,
  )[0]!;
}

export const kindOf = (bytes: Uint8Array): number => bytes[3]!;

/** Two who play since a second, and all that was said since. */
export function two(options: RollbackOptions = {}) {
  const rig = new Rig(2);
  const runs = rig.seats.map((seat) => seat.open<Sum>(count, options)) as unknown as readonly [Rollback<any, Sum>, Rollback<any, Sum>];
  rig.play(1_000);
  if (runs.some((run) => run.status !== 'playing')) throw new Error('not both play');
  const said: Said[] = [];
  rig.onSend = (one) => void said.push(one);
  return { rig, runs, said };
}
