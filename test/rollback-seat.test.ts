/** One peer's part in a simulation, word by word: what it says, what it makes of what others say, and when. */
import { s, simulation } from 'lanista';
import { describe, expect, it } from 'vitest';
import { InputCodec, Row } from '../sdk/sync/rollback/input.ts';
import { encodeState } from '../sdk/sync/rollback/state-codec.ts';
import { NEWEST, Words } from '../sdk/sync/rollback/words.ts';
import { Rig } from './rollback-rig.ts';

const input = { by: s.i8().default(0), fire: s.bool().default(false) };
const count = simulation({
  id: 'count',
  hz: 50,
  input,
  start: () => ({ tick: 0, sum: 0 }),
  step(state, players, tick) {
    state.tick = tick;
    for (const player of players) state.sum += player.input.by;
  },
});

/** What somebody says who says what he likes. */
const codec = new InputCodec(count);
const wordsOf = (seat: number): Words => new Words(codec, 100 + seat, count.hash);
const row = new Row([{ slot: 0, away: false, input: codec.neutral }]);

describe('words of a host that are not true', () => {
  it('[RB7] time that has not come yet holds up nobody, once another one is host', () => {
    const rig = new Rig(2);
    const runs = rig.seats.map((seat) => seat.open(count));
    rig.play(1_000);
    expect(runs.map((run) => run.status)).toEqual(['playing', 'playing']);
    const before = runs[1]!.tick;
    // A week from now.
    const { confirmedTick } = runs[1]!;
    rig.seats[1]!.hear(
      0,
      wordsOf(0)
        .confirms(rig.now + 604_800_000, { tick: 0, sum: 0 }, confirmedTick + 1, 0, confirmedTick, () => row)
        .slice(),
    );
    rig.moveHost(1);
    rig.play(2_000);
    expect(runs[1]!.tick).toBeGreaterThan(before + 50);
    expect(runs[0]!.tick).toBeGreaterThan(before + 50);
  });

  it('[RB12] a state of a tick to which no room lives is none', () => {
    const rig = new Rig(2);
    const runs = rig.seats.map((seat) => seat.open(count));
    rig.play(1_000);
    const state = (tick: number): Uint8Array =>
      wordsOf(0)
        .state({ kind: NEWEST, base: 900, tick, chain: 5, row, pieces: 1, index: 0, bytes: encodeState({ tick, sum: 0 }) })
        .slice();
    rig.seats[1]!.hear(0, state(0x7fff_ffff));
    expect(rig.seats[1]!.drops).toEqual(['rollback-malformed']);
    expect(runs[1]!.tick).toBeLessThan(60);
    // The newest there can be is taken, and left again for the host's, which understands what is said of it.
    rig.seats[1]!.hear(0, state(0x3fff_ffff));
    expect(runs[1]!.tick).toBe(0x3fff_ffff);
    rig.play(2_000);
    expect(rig.seats[0]!.drops).toEqual([]);
    expect(runs[1]!.tick).toBe(runs[0]!.tick);
  });
});
