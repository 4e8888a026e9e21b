/**
 * What must never happen to a simulation that the rooms play beside everything else (RB1 to RB3, RB9, RB10, RB26):
 *
 *  - settled ticks are told in order, each once, but after a new start or a resync; and what was settled does not change before one;
 *  - a round that begins anew does so at a tick that is told of, at all the same;
 *  - nobody ever hears `desync`: the simulation is deterministic, so whoever has the same inputs has the same state;
 *  - after the quiet all who play are at one tick, more or less, and what they settle is the same.
 */
import { det, s, simulation } from 'lanista';
import type { Rollback, RollbackOptions } from 'lanista';
import type { Rng } from '../../sdk/base/rng.ts';
import type { Ledger, Replica } from './game-ledger.ts';

const input = { by: s.i8().default(0), fire: s.bool().default(false) };

interface Sum {
  tick: number;
  /** Of this round, and its first tick. */
  seed: number;
  since: number;
  dice: readonly [number, number, number, number];
  sums: Map<number, number>;
  grid: Uint16Array;
}

export const sum = simulation({
  id: 'sum',
  hz: 30,
  input,
  start: (seed): Sum => ({ tick: 0, seed, since: -1, dice: det.rng(seed).save(), sums: new Map(), grid: new Uint16Array(64) }),
  step(state, players, tick) {
    state.tick = tick;
    if (state.since < 0) state.since = tick;
    const rng = det.rng(0);
    rng.restore(state.dice);
    for (const slot of [...state.sums.keys()]) if (!players.some((player) => player.slot === slot)) state.sums.delete(slot);
    for (const { slot, away, input: held } of players) {
      state.sums.set(slot, (state.sums.get(slot) ?? 0) + held.by + (away ? 0.25 : 0));
      if (held.fire) state.grid[rng.int(64)]!++;
    }
    state.dice = rng.save();
  },
});

const TUNINGS: readonly RollbackOptions[] = [{}, {}, { maxRollback: 0 }, { inputDelay: 0 }, { maxRollback: 20, inputDelay: 4 }, { patienceTicks: 1 }];
/** Settled ticks whose states are kept for comparing. */
const KEPT_TICKS = 256;

interface Playing {
  readonly run: Rollback<typeof input, Sum>;
  /** Hash of the state of each settled tick. */
  readonly settled: Map<number, number>;
  newest: number;
  /** The game has begun anew at this tick, which is settled next. */
  anew: number;
}

export class Duel {
  readonly #ledger: Ledger;
  /** Of the lives these look on for long; where it is 1 the founder does. */
  readonly #shy: number;
  readonly #playing = new Map<number, Playing>();
  settled = 0;
  resyncs = 0;
  restarts = 0;
  /** Turns of somebody who said what counts for a host that did not play. */
  deputyTurns = 0;
  rollbacks = 0;

  constructor(ledger: Ledger, seed: number) {
    this.#ledger = ledger;
    this.#shy = Math.floor(seed / 3) % 3;
  }

  /** `replica` plays from now on, if it does not yet. */
  enter(replica: Replica, rng: Rng): void {
    if (this.#playing.has(replica.life)) return;
    const run = replica.room.rollback(sum, TUNINGS[rng.int(TUNINGS.length)]!);
    const playing: Playing = { run, settled: new Map(), newest: 0, anew: 0 };
    this.#playing.set(replica.life, playing);
    const anew = (what: string, tick: number): void => {
      this.#ledger.trace?.(`${Math.round(this.#ledger.now())} ${replica.index} ${what} at tick ${tick}`);
      playing.settled.clear();
      playing.newest = 0;
    };
    run.on('start', ({ tick }) => anew('start', tick));
    run.on('resync', ({ tick }) => {
      this.resyncs++;
      anew('resync', tick);
    });
    run.on('stall', ({ waitingFor }) =>
      this.#ledger.trace?.(`${Math.round(this.#ledger.now())} ${replica.index} waits for ${waitingFor.slice(0, 4)}`),
    );
    run.on('desync', ({ tick, peer, diff }) =>
      this.#ledger.violate('RB10', replica, `differs from ${peer.slice(0, 4)} at tick ${tick}: ${diff.map(({ path }) => path).join(' ')}`),
    );
    run.on('restart', ({ tick }) => {
      this.restarts++;
      playing.anew = tick;
    });
    run.on('confirm', ({ tick, state }) => {
      if (playing.anew !== 0 && (tick !== playing.anew || state.tick !== 0 || state.since !== -1))
        this.#ledger.violate('RB26', replica, `began anew at ${playing.anew}, and settled tick ${tick} of a round since ${state.since}`);
      if (playing.anew === 0 && state.since === -1 && playing.newest !== 0)
        this.#ledger.violate('RB26', replica, `tick ${tick} begins anew, of which nobody has told`);
      playing.anew = 0;
      if (playing.newest !== 0 && tick !== playing.newest + 1) this.#ledger.violate('RB3', replica, `tick ${tick} settled after ${playing.newest}`);
      playing.newest = tick;
      const hash = det.hashState(state);
      playing.settled.set(tick, hash);
      playing.settled.delete(tick - KEPT_TICKS);
      this.settled++;
      this.#ledger.mix(replica.index, tick, hash);
    });
  }

  /** `replica` may press something, leave the game, or come back to it. */
  turn(replica: Replica, rng: Rng, quiet: boolean): void {
    const playing = this.#playing.get(replica.life);
    if (playing === undefined) {
      // Some look on for long, also where they are host of the room: somebody else says what counts then.
      if (quiet || rng.chance(replica.life % 3 === this.#shy ? 0.004 : 0.2)) this.enter(replica, rng);
      return;
    }
    if (playing.run.isHost && !replica.room.isHost) this.deputyTurns++;
    if (rng.chance(0.3)) playing.run.setInput({ by: rng.int(200) - 100, fire: rng.chance(0.5) });
    if (playing.run.isHost && rng.chance(0.01)) playing.run.restart(rng.chance(0.5) ? rng.u32() : undefined);
    if (!quiet && rng.chance(0.003)) this.leave(replica.life);
  }

  leave(life: number): void {
    const playing = this.#playing.get(life);
    if (playing === undefined) return;
    this.rollbacks += playing.run.stats().rollbacks;
    playing.run[Symbol.dispose]();
    this.#playing.delete(life);
  }

  /** What differs among `replicas`, all of which should play the same by now. */
  difference(replicas: readonly Replica[]): string | undefined {
    const all = replicas.map((replica) => ({ index: replica.index, playing: this.#playing.get(replica.life) }));
    const [first] = all;
    if (first === undefined) return undefined;
    for (const { index, playing } of all) {
      if (playing === undefined) return `${index} does not play`;
      if (playing.run.status !== 'playing') return `${index} is ${playing.run.status}`;
      if (Math.abs(playing.run.tick - first.playing!.run.tick) > 30)
        return `${index} is at tick ${playing.run.tick}, ${first.index} at ${first.playing!.run.tick}`;
    }
    const newest = Math.min(...all.map(({ playing }) => playing!.newest));
    for (let tick = newest; tick > newest - 15; tick--)
      for (const { index, playing } of all)
        if (playing!.settled.get(tick) !== first.playing!.settled.get(tick)) return `${index} and ${first.index} differ at tick ${tick}`;
    return undefined;
  }
}
