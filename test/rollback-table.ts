/** Players of one simulation at a rig, each with what its game was told: 5 ms from one to another, and a millisecond is a step. */
import { s, simulation } from 'lanista';
import type { Rollback, RollbackEvents, RollbackOptions } from 'lanista';
import type { RollbackSession } from '../sdk/sync/rollback/session.ts';
import type { Simulation } from '../sdk/sync/rollback/simulation.ts';
import type { RigSeat } from './rollback-rig.ts';
import { Rig } from './rollback-rig.ts';

export interface Count {
  tick: number;
  sum: number;
  players: number;
  away: number;
}

export const input = { by: s.i8().default(0) };

export const counting = simulation({
  id: 'counting',
  input,
  start: (): Count => ({ tick: 0, sum: 0, players: 0, away: 0 }),
  step(state, players, tick) {
    state.tick = tick;
    state.players = players.length;
    for (const player of players) {
      state.sum += (player.slot + 1) * player.input.by;
      if (player.away) state.away++;
    }
  },
});

const OPTIONS: RollbackOptions = { inputDelay: 1, maxRollback: 8, patienceTicks: 6 };
const EVENTS = ['start', 'restart', 'stall', 'resume', 'desync', 'resync', 'close'] as const satisfies readonly (keyof RollbackEvents<Count>)[];

/** One peer: its page, its simulation, and what its game heard. */
export class Player {
  readonly seat: RigSeat;
  readonly run: Rollback<any, Count>;
  readonly events: { readonly event: string; readonly value: unknown }[] = [];

  constructor(seat: RigSeat, options: RollbackOptions, of: Simulation) {
    this.seat = seat;
    this.run = seat.open<Count>(of, { ...OPTIONS, ...options });
    for (const event of EVENTS) this.run.on(event, (value) => void this.events.push({ event, value }));
  }

  get session(): RollbackSession {
    return this.seat.playing;
  }

  get state(): Count {
    return this.run.state as Count;
  }

  told(): readonly string[] {
    return this.events.map(({ event }) => event);
  }
}

export class Table extends Rig {
  latencyMs = 5;
  readonly players: Player[] = [];

  constructor(count: number, options: RollbackOptions = {}, of: Simulation = counting) {
    super(count);
    this.delay = () => this.latencyMs;
    for (const seat of this.seats) this.players.push(new Player(seat, options, of));
  }

  /** Begins on a new page of this peer, as after a reload. */
  open(index: number, of: Simulation = counting): Player {
    return (this.players[index] = new Player(this.sit(index), {}, of));
  }

  /** Hands `to` a word that `from` never said. */
  forge(from: number, to: Player, bytes: Uint8Array): void {
    to.seat.hear(from, bytes.slice());
  }

  override play(ms: number): void {
    super.play(ms, 1);
  }
}
