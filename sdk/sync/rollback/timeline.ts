/**
 * One peer's copy of a simulation: what is confirmed, what is guessed beyond it, and the states to go back to.
 *
 *        confirmed rows            guessed rows
 *   ──●────●────●────●────┊────○────○────○────┊
 *                  confirmed                  next (not simulated yet)
 *
 * Inputs arrive early (`hear`, from their players) and for good (`confirm`, from the host). What was guessed otherwise makes its tick dirty; `advance`
 * goes back to the state before the first dirty tick and simulates again from there, once, however many there are (GGPO's way).
 */
import { assert } from '../../base/assert.ts';
import { ROLLBACK_AHEAD_TICKS, ROLLBACK_KEPT_TICKS } from '../../wire/limits.ts';
import { mix } from '../hash.ts';
import { copyData } from './data.ts';
import type { Input, InputCodec, RowEntry } from './input.ts';
import { EMPTY_ROW, Row, sameEntry, sameInput, sameRow } from './input.ts';
import type { Simulation } from './simulation.ts';

/** What one slot was heard to hold down, by tick. */
interface Heard {
  readonly inputs: (Input | undefined)[];
  readonly ticks: Float64Array;
  /** The newest tick. */
  last: number;
  /** What was said of a later tick than `last` when that was confirmed already. */
  late: Input | undefined;
}

export interface TimelineStats {
  /** Times that guesses were wrong. */
  rollbacks: number;
  /** Ticks that were simulated again. */
  resimulatedTicks: number;
  /** Most ticks that were simulated again at once. */
  deepestRollbackTicks: number;
}

export interface TimelineWatcher {
  /** `tick` is simulated from nothing but confirmed inputs. The state is the timeline's own. */
  settled(tick: number, saved: unknown): void;
  /** `row` was confirmed, and is another one than that of the tick before. */
  changed?(row: Row): void;
  /** The game's own code threw in `what`. It did so everywhere, if it is deterministic, so the timeline goes on. */
  failed(what: string, cause: unknown): void;
}

/** One saved state more than are to go back to: the one before the newest, to draw between them. */
const MORE_SAVES = 3;

export class Timeline {
  readonly #simulation: Simulation;
  readonly #codec: InputCodec;
  readonly maxRollback: number;
  readonly stats: TimelineStats = { rollbacks: 0, resimulatedTicks: 0, deepestRollbackTicks: 0 };
  readonly #saves: unknown[];
  readonly #rows = new Array<Row>(ROLLBACK_KEPT_TICKS).fill(EMPTY_ROW);
  readonly #chains = new Int32Array(ROLLBACK_KEPT_TICKS);
  /** With which row a tick beyond the confirmed ones was simulated. */
  readonly #used: Row[];
  readonly #heard = new Map<number, Heard>();
  readonly #watcher: TimelineWatcher;
  #state: unknown;
  /** The oldest tick of which the row is kept. */
  oldest = 0;
  confirmed = 0;
  next = 1;
  /** Newest tick that the watcher was told of. */
  final = 0;
  /** The newest confirmed tick at which the game begins anew; 0 for none that is known. */
  restarted = 0;
  #dirty = Number.POSITIVE_INFINITY;

  constructor(simulation: Simulation, codec: InputCodec, maxRollback: number, watcher: TimelineWatcher) {
    this.#simulation = simulation;
    this.#codec = codec;
    this.maxRollback = maxRollback;
    this.#watcher = watcher;
    this.#saves = new Array<unknown>(maxRollback + MORE_SAVES);
    this.#used = new Array<Row>(maxRollback + MORE_SAVES).fill(EMPTY_ROW);
  }

  /** The newest state, of tick `next - 1`. */
  get state(): unknown {
    return this.#state;
  }

  /** The saved state of `tick`, one of the last `maxRollback + 3`. */
  saved(tick: number): unknown {
    return this.#saves[tick % this.#saves.length];
  }

  /** Begins at `tick` with what somebody saved there. `row` is that of the tick, `chain` the hash of all rows until it. */
  reset(tick: number, saved: unknown, row: Row, chain: number): void {
    const { load } = this.#simulation;
    this.#state = load === undefined ? copyData(saved) : load(copyData(saved), this.#state);
    this.oldest = tick;
    this.confirmed = tick;
    this.final = tick;
    this.next = tick + 1;
    this.restarted = 0;
    this.#dirty = Number.POSITIVE_INFINITY;
    this.#rows[tick % ROLLBACK_KEPT_TICKS] = row;
    this.#chains[tick % ROLLBACK_KEPT_TICKS] = chain;
    this.#save(tick);
    // There is none before it to draw from.
    if (tick > 0) this.#save(tick - 1);
    // Said of another past, perhaps; who still means it says it again.
    this.#heard.clear();
  }

  /** The state before the first tick, as a game has it. */
  begin(state: unknown): void {
    this.#state = state;
    this.reset(0, this.#simulation.save === undefined ? state : this.#simulation.save(state), EMPTY_ROW, 0);
  }

  /** The row of a confirmed tick from `oldest` on. */
  row(tick: number): Row {
    return this.#rows[tick % ROLLBACK_KEPT_TICKS]!;
  }

  /** Hash of all confirmed rows until `tick`, from `oldest` on. */
  chain(tick: number): number {
    return this.#chains[tick % ROLLBACK_KEPT_TICKS]!;
  }

  /** What `slot` was heard to hold down at a tick after `confirmed`. */
  heard(slot: number, tick: number): Input | undefined {
    const heard = this.#heard.get(slot);
    const at = tick % ROLLBACK_AHEAD_TICKS;
    return heard !== undefined && heard.ticks[at] === tick ? heard.inputs[at] : undefined;
  }

  /** What `slot` said last when it came too late for its tick: once. */
  takeLate(slot: number): Input | undefined {
    const heard = this.#heard.get(slot);
    const late = heard?.late;
    if (late !== undefined) heard!.late = undefined;
    return late;
  }

  /** The newest tick of which `slot` was heard; 0 for none. */
  lastHeard(slot: number): number {
    return this.#heard.get(slot)?.last ?? 0;
  }

  /** A player says what it holds down at `tick`. The first word counts; what is too far ahead does not matter. */
  hear(slot: number, tick: number, input: Input): void {
    if (tick > this.confirmed + ROLLBACK_AHEAD_TICKS) return;
    let heard = this.#heard.get(slot);
    if (heard === undefined) {
      const ticks = new Float64Array(ROLLBACK_AHEAD_TICKS).fill(-1);
      heard = { inputs: new Array<Input | undefined>(ROLLBACK_AHEAD_TICKS), ticks, last: 0, late: undefined };
      this.#heard.set(slot, heard);
    }
    if (tick <= this.confirmed) {
      if (tick <= heard.last) return;
      heard.last = tick;
      heard.late = input;
      return;
    }
    const at = tick % ROLLBACK_AHEAD_TICKS;
    if (heard.ticks[at] === tick) return;
    heard.ticks[at] = tick;
    // The same as a tick before: the same object, so that rows of them are seen to be the same.
    const before = this.heard(slot, tick - 1) ?? this.row(this.confirmed).of(slot)?.input;
    heard.inputs[at] = before !== undefined && sameInput(before, input) ? before : input;
    if (tick > heard.last) {
      heard.last = tick;
      heard.late = undefined;
    }
    if (tick >= this.next) return;
    const entry = this.#usedAt(tick).of(slot);
    if (entry !== undefined && !entry.away && !sameInput(entry.input, input)) this.#dirty = Math.min(this.#dirty, tick);
  }

  /** Whether what `slot` holds down until `last` is what everybody guesses who knows the confirmed ticks alone. */
  isAsGuessed(slot: number, last: number): boolean {
    const entry = this.row(this.confirmed).of(slot);
    // Of who is away, or no player yet, nothing is guessed.
    if (entry === undefined || entry.away) return true;
    if (this.#simulation.predict !== undefined) return false;
    for (let tick = this.confirmed + 1; tick <= last; tick++) {
      const held = this.heard(slot, tick);
      if (held === undefined || !sameInput(held, entry.input)) return false;
    }
    return true;
  }

  /** Nothing that `slot` said counts any more: somebody else has its seat. */
  forget(slot: number): void {
    this.#heard.delete(slot);
  }

  /** The host's word on the tick after the newest confirmed one. */
  confirm(row: Row): void {
    const tick = this.confirmed + 1;
    const before = this.row(this.confirmed);
    // Mostly nothing has changed, and one object says so for all ticks.
    const kept = sameRow(before, row) ? before : row;
    const chain = mix(this.chain(this.confirmed), kept.hash);
    this.#rows[tick % ROLLBACK_KEPT_TICKS] = kept;
    this.#chains[tick % ROLLBACK_KEPT_TICKS] = chain;
    this.confirmed = tick;
    this.oldest = Math.max(this.oldest, tick - ROLLBACK_KEPT_TICKS + 1);
    if (tick < this.next && !sameRow(this.#usedAt(tick), kept)) this.#dirty = Math.min(this.#dirty, tick);
    if (kept.seed !== undefined) this.restarted = tick;
    if (kept !== before) this.#watcher.changed?.(kept);
  }

  #usedAt(tick: number): Row {
    return this.#used[tick % this.#used.length]!;
  }

  /** The row a tick beyond the confirmed ones is simulated with: those who play now, with what they were heard or are guessed to hold down. */
  guess(tick: number): Row {
    const base = this.row(this.confirmed).plain;
    let changed: RowEntry[] | undefined;
    base.entries.forEach((entry, i) => {
      const input = entry.away ? entry.input : this.#guessOf(entry, tick);
      if (input === entry.input) return;
      changed ??= [...base.entries];
      changed[i] = { slot: entry.slot, away: false, input };
    });
    if (changed === undefined) return base;
    const before = this.#usedAt(tick - 1);
    const isSame =
      tick - 1 > this.confirmed && before.entries.length === changed.length && changed.every((entry, i) => sameEntry(entry, before.entries[i]!));
    return isSame ? before : new Row(changed);
  }

  #guessOf(entry: RowEntry, tick: number): Input {
    const { slot } = entry;
    const now = this.heard(slot, tick);
    if (now !== undefined) return now;
    for (let t = Math.min(tick - 1, this.lastHeard(slot)); t > this.confirmed; t--) {
      const input = this.heard(slot, t);
      if (input !== undefined) return this.#codec.guess(input, slot);
    }
    return this.#codec.guess(entry.input, slot);
  }

  /** So many ticks are confirmed and not simulated that another one would take the place of the row that comes next. */
  get isFull(): boolean {
    return this.confirmed + 2 - this.next >= ROLLBACK_KEPT_TICKS;
  }

  /**
   * Simulates again what was guessed wrong, then on until `limit`, or as far as may be guessed; at most `budget` new ticks, and none but the first once
   * `isOver`.
   */
  advance(limit: number, budget: number, isOver: () => boolean = () => false): void {
    if (this.#dirty < this.next) {
      const until = this.next;
      const from = this.#dirty;
      assert(from > this.final, 'what is settled is not simulated again');
      this.#load(from - 1);
      this.next = from;
      this.#dirty = Number.POSITIVE_INFINITY;
      while (this.next < until) this.#step();
      this.stats.rollbacks++;
      this.stats.resimulatedTicks += until - from;
      this.stats.deepestRollbackTicks = Math.max(this.stats.deepestRollbackTicks, until - from);
    }
    this.#settle();
    for (let i = 0; i < budget && this.next <= limit && this.next <= this.confirmed + this.maxRollback; i++) {
      if (i > 0 && isOver()) return;
      this.#step();
    }
  }

  #step(): void {
    const tick = this.next;
    const row = tick <= this.confirmed ? this.row(tick) : this.guess(tick);
    this.#used[tick % this.#used.length] = row;
    if (row.seed === undefined) this.#make(row, tick);
    else this.#restart(row.seed);
    this.next = tick + 1;
    this.#save(tick);
    this.#settle();
  }

  #make(row: Row, tick: number): void {
    try {
      const made = this.#simulation.step(this.#state, row.players, tick) as unknown;
      if (made !== undefined) this.#state = made;
    } catch (error) {
      this.#watcher.failed('step', error);
    }
  }

  /** Where the game cannot, it goes on as it is, and does so everywhere. */
  #restart(seed: number): void {
    const { start, save } = this.#simulation;
    try {
      const made: unknown = start(seed, this.#state);
      this.#state = save === undefined ? copyData(made) : made;
    } catch (error) {
      this.#watcher.failed('start', error);
    }
  }

  #settle(): void {
    const until = Math.min(this.confirmed, this.next - 1, this.#dirty - 1);
    while (this.final < until) {
      this.final++;
      this.#watcher.settled(this.final, this.saved(this.final));
    }
  }

  #save(tick: number): void {
    const at = tick % this.#saves.length;
    const { save } = this.#simulation;
    try {
      this.#saves[at] = copyData(save === undefined ? this.#state : save(this.#state), this.#saves[at]);
    } catch (error) {
      this.#watcher.failed(save === undefined ? 'the state' : 'save', error);
    }
  }

  #load(tick: number): void {
    const saved = this.saved(tick);
    const { load } = this.#simulation;
    try {
      this.#state = load === undefined ? copyData(saved, this.#state) : load(copyData(saved), this.#state);
    } catch (error) {
      this.#watcher.failed('load', error);
    }
  }
}
