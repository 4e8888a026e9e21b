/** A simulation that is played in a room, as a game sees it. */
import type { PeerId } from '../../base/brand.ts';
import type { PortRoster } from '../../port/port.ts';
import type { Fields, Infer } from '../field.ts';
import type { Difference } from './data.ts';
import type { SimulationPlayer } from './simulation.ts';

export interface RollbackOptions {
  /**
   * Ticks after which what a player holds down counts, 0 to 8: the more, the fewer guesses. Default `auto`: 1 to 3, by the round trips measured. Each
   * player has its own.
   */
  readonly inputDelay?: number | 'auto';
  /** Ticks that this peer simulates ahead of what is confirmed, 0 to 30. Default 8. With 0 nothing is guessed: lockstep. */
  readonly maxRollback?: number;
  /**
   * Ticks that the host waits for somebody's input, 1 to 60, before the game goes on without it: what was held down before counts on, for that tick.
   * Default two less than `maxRollback` (1 at least), or 15 in lockstep.
   */
  readonly patienceTicks?: number;
  /** False: only looks on. Default: true, but for spectators. */
  readonly play?: boolean;
  /** After a desync, take the host's state (the default), or go on with one's own, to look at it. */
  readonly onDesync?: 'resync' | 'report';
}

/**
 * `waiting`: there is no state yet, of whoever plays already. `playing`. `stalled`: nothing was confirmed for as long as may be guessed; it goes on by
 * itself when the host is heard again, or another one is host. `closed`: it was disposed of, or the room was left; `state` stays as it was.
 */
export type RollbackStatus = 'waiting' | 'playing' | 'stalled' | 'closed';

/** Two peers came to different states from the same inputs. */
export interface DesyncReport {
  /** Somewhere after `lastGood` and until this tick. */
  readonly tick: number;
  /** Newest tick at which both were the same; 0 for none that is known. */
  readonly lastGood: number;
  /** The host, or at the host whoever differs. */
  readonly peer: PeerId;
  /** Checksums of the states at `tick`; at the host, where it is not known, `mine` only. */
  readonly mine: number;
  readonly theirs: number | undefined;
  /** Where they differ, 16 places at most; empty at the host, and where the host has that state no longer. */
  readonly diff: readonly Difference[];
}

/** `V` is what `save` makes of a state, or the state itself where there is none; `I` is what a player holds down. */
export interface RollbackEvents<V, I = any> {
  /** There is a state: a new one, or that of those who play already. */
  start: { readonly tick: number };
  /** `tick` is settled: its state, and all before, will not change. In order, each once; for whoever comes late from then on. `state` is as it was
   * saved, valid during the call; `players` are those with whom it was made, to keep a replay of. */
  confirm: { readonly tick: number; readonly state: Readonly<V>; readonly players: readonly SimulationPlayer<I>[] };
  /** Nothing was confirmed for a quarter of a second and more. `waitingFor`: the host; or, where the host can be heard, the player it waits for. */
  stall: { readonly waitingFor: PeerId };
  resume: { readonly tick: number };
  /** The game has begun anew at `tick`, for everybody, after `restart`: its state is what `start` made of `seed`. Once, before the `confirm` of that tick. */
  restart: { readonly tick: number; readonly seed: number };
  desync: DesyncReport;
  /** This peer's state was replaced by another peer's, confirmed ticks too: after a desync, or when two parts of a room became one and this one gave way. */
  resync: { readonly tick: number };
  /**
   * It is over here, and nothing more is told: it was disposed of, the room was left or lost (`left`), or its state is `too-large` to be given to others; then a
   * `warn` of the room says more, and who began it does not play, nor who came late.
   */
  close: { readonly reason: RollbackCloseReason };
}

/** One of those who play, as this peer sees it. */
export interface PlayerStats {
  /** The seat, as in `players`. */
  readonly slot: number;
  /**
   * How long after its tick was due a player's newest input comes, in ticks, averaged over the last words: 0 and less is in time (-3 is three ticks early),
   * above `maxRollback` it holds up whoever waits for it. 0 for this peer itself, and while nothing is known.
   */
  readonly lateTicks: number;
  /** Ticks at which its input was not waited for any longer, since this peer is `isHost`; 0 where it never was. */
  readonly passedOver: number;
  /** Since when nothing came of it, ms: 0 for this peer itself, `Infinity` for never. After 1,000 it is `away`. */
  readonly silentMs: number;
}

/** Why a simulation ended here: `RollbackEvents.close` says when. */
export type RollbackCloseReason = 'disposed' | 'left' | 'too-large';

export interface RollbackStats {
  /** Times that a guess was wrong. */
  readonly rollbacks: number;
  readonly resimulatedTicks: number;
  readonly deepestRollbackTicks: number;
  readonly stalls: number;
  /** While this peer was host: inputs that were not waited for any longer. */
  readonly lateInputs: number;
  /** In use now, ticks. */
  readonly inputDelay: number;
  /** Of everybody in `players`, by slot: who holds things up. */
  readonly players: readonly PlayerStats[];
}

/** Ends on disposal, for this peer; the others play on without it. */
export interface Rollback<F extends Fields, S, V = S> extends Disposable {
  readonly status: RollbackStatus;
  /** This peer says what counts: as host of the room, or for a host that does not play. */
  readonly isHost: boolean;
  /** Newest state, guesses included: draw it, never change it. Undefined while `waiting`. */
  readonly state: Readonly<S> | undefined;
  /** The state one tick before, as it was saved, to draw between the two by `fraction`; valid until the next tick. Undefined while `waiting`. */
  readonly previous: Readonly<V> | undefined;
  /** How much of the tick after `tick` has passed, 0 to 1. */
  readonly fraction: number;
  /** Tick of `state`, 0 at the start. */
  readonly tick: number;
  readonly confirmedTick: number;
  /** Who plays at `confirmedTick`, by slot. */
  readonly players: readonly SimulationPlayer<Infer<F>>[];
  /** What this player holds down from now on; fields that are left out stay as they are. Throws `bad-value`, `closed`. */
  setInput(values: Partial<Infer<F>>): void;
  /**
   * Begins the game anew for everybody, at one tick: the state of that tick is what `start` makes of `seed`, a u32, drawn where none is given; ticks count
   * on. Asked for again before it has come it does nothing more. Of `isHost` only: throws `not-owner` elsewhere, `bad-argument`, `closed`.
   */
  restart(seed?: number): void;
  /** Throws `unknown-name`, `bad-argument`. */
  on<E extends keyof RollbackEvents<V>>(event: E, fn: (value: RollbackEvents<V, Infer<F>>[E]) => void): Disposable;
  stats(): RollbackStats;
}

/** What a session needs of its room. */
export interface RollbackWorld {
  readonly self: PeerId;
  /** Random u32 of this room instance. */
  readonly session: number;
  /** `host` is whose word counts in this simulation: the room's, or who does it for one that does not play. */
  roster(): PortRoster;
  /** Grows when that is another one while the term is the same. */
  reign(): number;
  /** Present peers but this one. */
  present(): readonly PeerId[];
  now(): number;
  roomTime(): number;
  /** How long the slowest of them takes to hear this peer, jitter included, ms. */
  transitMs(): number;
  send(to: PeerId, how: 'reliable' | 'unreliable', bytes: Uint8Array): boolean;
  drop(reason: 'rollback-malformed' | 'rollback-stale'): void;
  /** A state is too large to travel. `ends`: nothing can be played here. */
  tooLarge(detail: string, ends: boolean): void;
  /** The game's own code threw. */
  failed(what: string, cause: unknown): void;
  emit<E extends keyof RollbackEvents<unknown>>(event: E, value: RollbackEvents<unknown>[E]): void;
  /** Whether anybody hears of it. */
  hears(event: keyof RollbackEvents<unknown>): boolean;
}

/** `RollbackOptions`, checked, with every default filled in. */
export interface SessionOptions {
  readonly inputDelay: number | 'auto';
  readonly maxRollback: number;
  readonly patienceTicks: number;
  readonly play: boolean;
  readonly onDesync: 'resync' | 'report';
}
