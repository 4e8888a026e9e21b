/** A small fight, and everybody who plays it: what the tests of rollback share. */
import { defineGame, det, s, simulation } from 'lanista';
import type { DesyncReport, Rollback, RollbackOptions, Room } from 'lanista';
import type { MemoryRoomsOptions } from 'lanista/testing';
import { openMemoryRooms } from 'lanista/testing';

export const game = defineGame({ id: 'duel', version: 1 });

interface Fighter {
  slot: number;
  x: number;
  hits: number;
  away: boolean;
}

export interface Duel {
  tick: number;
  dice: readonly [number, number, number, number];
  fighters: Fighter[];
}

export const input = { left: s.bool().default(false), right: s.bool().default(false), fire: s.bool().default(false) };

export const duel = simulation({
  id: 'duel',
  input,
  start: (seed): Duel => ({ tick: 0, dice: det.rng(seed).save(), fighters: [] }),
  step: (state, players, tick) => fight(state, players, tick),
});

export function fight(
  state: Duel,
  players: readonly { slot: number; away: boolean; input: Readonly<{ left: boolean; right: boolean; fire: boolean }> }[],
  tick: number,
): void {
  state.tick = tick;
  const rng = det.rng(0);
  rng.restore(state.dice);
  state.fighters = state.fighters.filter(({ slot }) => players.some((player) => player.slot === slot));
  for (const player of players) {
    let fighter = state.fighters.find(({ slot }) => slot === player.slot);
    if (fighter === undefined) state.fighters.push((fighter = { slot: player.slot, x: 0, hits: 0, away: false }));
    fighter.away = player.away;
    fighter.x += Number(player.input.right) - Number(player.input.left);
    if (player.input.fire) fighter.hits += rng.float();
  }
  state.dice = rng.save();
}

export type Run = Rollback<typeof input, Duel>;

/** Four players, a simulation each, and what was settled where. */
export class Arena {
  readonly runs: Run[] = [];
  readonly settled: Map<number, string>[] = [];
  readonly events: string[] = [];
  readonly warnings: string[] = [];
  readonly desyncs: DesyncReport[] = [];
  readonly rng = det.rng(11);
  /** Whose settled ticks changed, or did not come in order. */
  readonly broken: string[] = [];

  readonly play: (ms: number) => Promise<void>;

  constructor(play: (ms: number) => Promise<void>) {
    this.play = play;
  }

  enter(room: Room<typeof game>, options?: RollbackOptions, of = duel): Run {
    const run = room.rollback(of, options);
    const name = `${this.runs.length}`;
    const settled = new Map<number, string>();
    let newest = 0;
    this.runs.push(run);
    this.settled.push(settled);
    for (const event of ['start', 'stall', 'resume', 'resync'] as const)
      run.on(event, () => {
        this.events.push(`${name} ${event}`);
        if (event === 'start' || event === 'resync') newest = 0;
      });
    run.on('desync', (report) => this.desyncs.push(report));
    run.on('confirm', ({ tick, state }) => {
      const text = JSON.stringify(state);
      if (newest !== 0 && tick !== newest + 1) this.broken.push(`${name} says ${tick} after ${newest}`);
      if (settled.has(tick) && settled.get(tick) !== text && !this.events.includes(`${name} resync`)) this.broken.push(`${name} changed ${tick}`);
      newest = tick;
      settled.set(tick, text);
    });
    room.on('warn', ({ detail }) => this.warnings.push(detail));
    return run;
  }

  /** Everybody presses something now and then. */
  async fight(ms: number): Promise<void> {
    for (let at = 0; at < ms; at += 20) {
      for (const run of this.runs)
        if (run.status !== 'closed' && this.rng.float() < 0.3)
          run.setInput({ left: this.rng.float() < 0.4, right: this.rng.float() < 0.5, fire: this.rng.float() < 0.3 });
      await this.play(20);
    }
  }

  /** Ticks that were settled at two peers or more, and those at which they were not the same. */
  compare(from = 1): { readonly shared: number; readonly different: readonly number[] } {
    const ticks = new Set(this.settled.flatMap((settled) => [...settled.keys()]));
    let shared = 0;
    const different: number[] = [];
    for (const tick of ticks) {
      const all = this.settled.flatMap((settled) => settled.get(tick) ?? []);
      if (tick < from || all.length < 2) continue;
      shared++;
      if (all.some((one) => one !== all[0])) different.push(tick);
    }
    return { shared, different };
  }
}

/** A room of `count` who all play. */
export async function arena<const N extends number>(count: N, network: MemoryRoomsOptions<typeof game>, options?: RollbackOptions) {
  const rooms = await openMemoryRooms(game, count, network);
  const all = new Arena(rooms.play);
  for (const room of rooms.rooms as readonly Room<typeof game>[]) all.enter(room, options);
  return { ...rooms, all };
}

export const WIFI = { latencyMs: 3, jitterMs: 25, lossRatio: 0.1 };
export const BAD = { latencyMs: 20, jitterMs: 60, lossRatio: 0.3 };
