/**
 * One peer's part in a simulation that a room plays. READ THIS FIRST of this folder.
 *
 * Every player tells everybody what it holds down, a few ticks before it counts; so mostly nothing is guessed. The host says, for each tick, what counted
 * (`Conductor`), and everybody's `Timeline` follows: what was guessed otherwise is simulated again. All of it is said again until it is acknowledged, so
 * losses cost nothing but time.
 *
 *   waiting ──the host has one: its state──► playing ◄──► stalled
 *      └──────this is the host, and nobody has one: a new one──────┘
 *
 * A new host first asks everybody how far they have come (`TAKEOVER`), so that what was confirmed to anybody stays confirmed. Time stands still meanwhile:
 * `base`, the room time of tick 0, moves on by as much. Each tick carries a hash of all inputs until then (`chain`): who has another past, as the half of a
 * room that gives way when two become one, takes the host's state. So does who comes late, or was away for too long.
 *
 * `roster().host` is whose word counts here: the host of the room, or the deputy it names while it does not play (`deputy.ts`).
 */
import type { PeerId } from '../../base/brand.ts';
import { LanError } from '../../base/errors.ts';
import type { PortRoster } from '../../port/port.ts';
import { ROLLBACK_AHEAD_TICKS } from '../../wire/limits.ts';
import type { PackReader } from '../../wire/pack.ts';
import { mix } from '../hash.ts';
import { CONFIRMS, HELD, INPUTS, QUIT, STATE, STATE_ASK, TAKEOVER } from '../wire.ts';
import { Comparison } from './comparison.ts';
import { Conductor } from './conductor.ts';
import { StateExchange } from './exchange.ts';
import type { Row } from './input.ts';
import { InputCodec, sameRow } from './input.ts';
import { Lateness } from './lateness.ts';
import { Pace } from './pace.ts';
import type { Simulation } from './simulation.ts';
import { Speech } from './speech.ts';
import { StallWatch } from './stall-watch.ts';
import { decodeState, encodeState } from './state-codec.ts';
import type { HeldAnswer } from './takeover.ts';
import { Rivals, SHOWN_TICKS, Takeover } from './takeover.ts';
import { Timeline } from './timeline.ts';
import type { TakenState } from './transfer.ts';
import type { PlayerStats, RollbackStatus, RollbackWorld, SessionOptions } from './types.ts';
import type { RowsWords } from './words.ts';
import { EVIDENCE, NEWEST, readOptional, readTerm, Words } from './words.ts';

/** Who has not had a turn for so long has stood still, ms. */
const SLEPT_MS = 500;
/** New ticks in one turn: after a stall the rest waits for the next one, and messages are taken in between. */
const TURN_TICKS = 64;
/** … and where a step takes long, no more than the page can stand still for, ms. */
const TURN_MS = 50;

export class RollbackSession {
  readonly simulation: Simulation;
  readonly #options: SessionOptions;
  readonly #world: RollbackWorld;
  readonly #codec: InputCodec;
  readonly #words: Words;
  readonly #conductor: Conductor;
  readonly #comparison: Comparison;
  readonly #exchange: StateExchange;
  readonly #lateness: Lateness;
  readonly timeline: Timeline;
  status: RollbackStatus = 'waiting';
  #conducts = false;
  /** The host's, when this peer last was host, and which of those within it. */
  #term = -1;
  #reign = -1;
  #takeover: Takeover | undefined;
  readonly #rivals = new Rivals();
  readonly #pace: Pace;
  readonly #speech: Speech;
  #roster: PortRoster | undefined;
  #ranAt = Number.NEGATIVE_INFINITY;
  /** The state that comes takes the place of ours, whatever ours is. */
  #replaces = false;
  readonly #watch = new StallWatch();
  /** The game cannot even begin. */
  #broken = false;
  stalls = 0;

  constructor(simulation: Simulation, options: SessionOptions, world: RollbackWorld) {
    this.simulation = simulation;
    this.#options = options;
    this.#world = world;
    this.#codec = new InputCodec(simulation, (what, cause) => world.failed(what, cause));
    this.#words = new Words(this.#codec, world.session, simulation.hash);
    this.#comparison = new Comparison(Math.round(simulation.hz / 2), options.onDesync, {
      ask: (tick) => void world.send(world.roster().host, 'reliable', this.#words.stateAsk(tick)),
      report: (report) => world.emit('desync', report),
      failed: (cause) => world.failed('the state', cause),
    });
    this.#pace = new Pace(simulation.hz, options);
    this.timeline = new Timeline(simulation, this.#codec, options.maxRollback, {
      settled: (tick, saved) => this.#settled(tick, saved),
      changed: (row) => this.#conductor.follow(row, world.roster()),
      failed: (what, cause) => world.failed(what, cause),
    });
    this.#conductor = new Conductor(this.timeline, this.#codec, world.self, options.play);
    const { timeline } = this;
    this.#exchange = new StateExchange({ timeline, world, words: this.#words, pace: this.#pace, comparison: this.#comparison });
    this.#lateness = new Lateness(timeline, this.#conductor, world.self);
    this.#speech = new Speech(
      {
        ...{ timeline, world, codec: this.#codec, words: this.#words, pace: this.#pace, hz: simulation.hz },
        ...{ conductor: this.#conductor, comparison: this.#comparison, exchange: this.#exchange },
      },
      options.inputDelay,
    );
  }

  get inputDelay(): number {
    return this.#speech.inputDelay;
  }

  /** Of everybody who plays, by slot. */
  playerStats(): PlayerStats[] {
    return this.#lateness.stats(this.#world.now(), this.#world.roster());
  }

  /** This peer says what counts. */
  get conducts(): boolean {
    return this.#conducts;
  }

  /** Of states, that have come. */
  get pieces(): number {
    return this.#exchange.pieces;
  }

  get lateInputs(): number {
    return this.#conductor.lateInputs;
  }

  /** How much of the tick that comes has passed, 0 to 1. */
  get fraction(): number {
    return this.#pace.fraction(this.#world.roomTime(), this.timeline.next);
  }

  setInput(values: unknown): void {
    this.#speech.setInput(values);
  }

  /** Asked for again before it has come, it is the same one. Throws `not-owner`. */
  restart(seed: number | undefined): void {
    const { timeline } = this;
    if (!this.#conducts) {
      throw new LanError('not-owner', 'restart: only the peer whose word counts begins the game anew.', { hint: 'Check isHost of the simulation.' });
    }
    if (this.#conductor.seed !== undefined || timeline.restarted > timeline.final) return;
    this.#conductor.seed = seed ?? mix(mix(this.#world.session, timeline.confirmed), timeline.chain(timeline.confirmed)) >>> 0;
  }

  /** The room time at which the next tick is due, ms: `run` is to be called then, and whenever something arrived. */
  deadline(): number {
    if (this.status === 'waiting') return this.#broken ? Number.POSITIVE_INFINITY : this.#world.roomTime() + 50;
    if (this.timeline.next <= Math.min(this.#due(), this.timeline.confirmed)) return this.#world.roomTime();
    return this.#pace.at(this.#due() + 1);
  }

  #due(): number {
    return this.#pace.due(this.#world.roomTime());
  }

  run(now: number): void {
    const roster = this.#world.roster();
    const sleptMs = now - this.#ranAt;
    this.#ranAt = now;
    if (sleptMs >= SLEPT_MS) {
      this.#conductor.slept(now, sleptMs);
      this.#takeover?.slept(sleptMs);
    }
    if (roster !== this.#roster) this.#keepOnly((this.#roster = roster));
    this.#lead(now, roster);
    if (this.status !== 'waiting') this.#play(now, roster);
    else if (this.#takeover === undefined && !this.#broken) this.#exchange.ask(now, roster.host);
    this.#exchange.run(now, this.status === 'waiting');
  }

  #keepOnly(roster: PortRoster): void {
    this.#conductor.keepOnly(roster);
    this.#lateness.keepOnly(roster);
  }

  /** `peer` has another page now, or another link: nothing is on its way to it. */
  startedAnew(peer: PeerId): void {
    this.#exchange.forget(peer);
    this.#lateness.forget(peer);
  }

  /** The others play on without this peer. */
  quit(): void {
    for (const peer of this.#world.present()) this.#world.send(peer, 'reliable', this.#words.quit());
  }

  // ── being host

  #lead(now: number, roster: PortRoster): void {
    if (roster.host !== this.#world.self || this.#rivals.yields(now)) {
      this.#conducts = false;
      this.#conductor.seed = undefined;
      this.#takeover = undefined;
      return;
    }
    const reign = this.#world.reign();
    if (roster.term !== this.#term || reign !== this.#reign) {
      // Another one may have been host since.
      this.#term = roster.term;
      this.#reign = reign;
      this.#conducts = false;
      this.#takeover = undefined;
    }
    if (this.#conducts || this.#broken) return;
    const takeover = (this.#takeover ??= this.#ask(now, roster.term));
    if (!takeover.isDone(now, this.#world.present())) return;
    for (let answer = takeover.next(); answer !== undefined; answer = takeover.next()) {
      if (!this.#catchUp(answer)) return this.#askSource(now, takeover, answer.peer);
    }
    const isNew = this.status === 'waiting';
    if (isNew) {
      // Somebody who has not answered may be heard playing all the same.
      const player = this.#conductor.furthest(now, (peer) => takeover.mayAsk(peer));
      if (player !== undefined) return this.#askSource(now, takeover, player);
      if (takeover.isRefused) return this.#tooLarge('nobody who plays can send the state of the simulation, which is too large');
      if (!this.#begin()) return;
    } else if (takeover.hasState && !takeover.isLast && takeover.furthest > this.timeline.confirmed) {
      // A state is of the newest settled tick, and its owner knew what counts in some after it.
      this.#takeover = this.#ask(now, roster.term, true);
      return;
    }
    this.#takeover = undefined;
    this.#conducts = true;
    this.#conductor.takeOver();
    if (isNew) this.#world.emit('start', { tick: 0 });
  }

  /** How far everybody has come. */
  #ask(now: number, term: number, isLast = false): Takeover {
    const present = this.#world.present();
    const confirmed = this.status === 'waiting' ? undefined : this.timeline.confirmed;
    for (const peer of present) this.#world.send(peer, 'reliable', this.#words.takeover(term, confirmed));
    return new Takeover(now, term, present, isLast);
  }

  /** False when only the state of who answered can bring this peer as far as that one is. */
  #catchUp(answer: HeldAnswer): boolean {
    if (this.status === 'waiting') return false;
    const { confirmed = 0 } = answer;
    // Another past is not ours to follow.
    if (!this.#follow(answer) || confirmed > this.#due() + ROLLBACK_AHEAD_TICKS) return true;
    // So little further it can show us; what it only says is no reason to put its state in the place of everybody's.
    return confirmed - this.timeline.confirmed < SHOWN_TICKS;
  }

  #askSource(now: number, takeover: Takeover, peer: PeerId): void {
    takeover.ask(now, peer);
    this.#world.send(peer, 'reliable', this.#words.stateAsk(undefined));
  }

  /** Nobody plays yet. */
  #begin(): boolean {
    const world = this.#world;
    try {
      this.timeline.begin(this.simulation.start(world.session));
      // Now, and not when somebody comes late.
      encodeState(this.timeline.saved(0));
    } catch (error) {
      this.#broken = true;
      if (error instanceof LanError && error.code === 'too-large') this.#tooLarge(error.message);
      else world.failed('start', error);
      return false;
    }
    this.#pace.base = Math.floor(world.roomTime());
    this.status = 'playing';
    return true;
  }

  // ── playing

  #play(now: number, roster: PortRoster): void {
    const { timeline } = this;
    if (this.#conducts) this.#pace.hold(this.#world.roomTime(), timeline.confirmed);
    const due = this.#due();
    const slot = this.#slot(roster);
    this.#speech.sample(slot, due);
    if (this.#conducts) {
      // No further than its own machine follows: the others would play on without it.
      const limit = Math.min(due + this.inputDelay, timeline.next + this.#pace.slackTicks);
      for (let i = 0; i < TURN_TICKS; i++) {
        if (!this.#conductor.confirm(now, roster, due, limit, this.#options.patienceTicks)) break;
        this.#speech.sample(slot, due);
      }
    }
    const end = this.#world.now() + TURN_MS;
    if (timeline.next <= due) timeline.advance(due, TURN_TICKS, () => this.#world.now() >= end);
    this.#watchStall(now, roster, due);
    if (this.#speech.say(now, slot, roster.host, due) && this.#conducts) this.#speech.sayConfirmed(now);
  }

  /** This peer's seat, when it plays. */
  #slot(roster: PortRoster): number | undefined {
    const seat = roster.peers.find((peer) => peer.id === this.#world.self);
    return seat === undefined || seat.spectator || !this.#options.play ? undefined : seat.slot;
  }

  #watchStall(now: number, roster: PortRoster, due: number): void {
    const { next } = this.timeline;
    const isStalled = this.#watch.isStalled(now, next, due);
    if (isStalled === (this.status === 'stalled')) return;
    this.status = isStalled ? 'stalled' : 'playing';
    if (!isStalled) return this.#world.emit('resume', { tick: next - 1 });
    this.stalls++;
    this.#world.emit('stall', { waitingFor: this.#lateness.waitsFor(now, roster) });
  }

  // ── what the others say

  /** @param count of the array, of which the kind, the tag and the game's hash are read. */
  handle(from: PeerId, type: number, count: number, input: PackReader): void {
    const done = this.#handle(from, type, count, input);
    if (done !== undefined) this.#world.drop(done);
  }

  #handle(from: PeerId, type: number, count: number, input: PackReader): 'rollback-malformed' | 'rollback-stale' | undefined {
    const now = this.#world.now();
    const roster = this.#world.roster();
    switch (type) {
      case INPUTS:
        return this.#handleInputs(now, roster, from, count, input);
      case CONFIRMS:
        return this.#handleConfirms(now, roster, from, count, input);
      case STATE_ASK: {
        const tick = readOptional(input);
        if (!input.done || count !== 4) return 'rollback-malformed';
        return void this.#exchange.handleAsk(now, from, tick, this.status === 'waiting', this.#conducts);
      }
      case STATE: {
        const piece = this.#words.readState(count, input);
        if (piece === undefined) return 'rollback-malformed';
        if (from !== roster.host && from !== this.#takeover?.source) return 'rollback-stale';
        if (from === this.#takeover?.source) this.#takeover.progress(now);
        const taken = this.#exchange.take(now, piece);
        return taken === undefined ? undefined : this.#handleState(now, from, taken);
      }
      case TAKEOVER: {
        const term = readTerm(input);
        const confirmed = readOptional(input);
        return input.done && count === 5 ? this.#handleTakeover(now, roster, from, term, confirmed) : 'rollback-malformed';
      }
      case HELD: {
        const words = this.#words.readHeld(count, input, (first) => this.#rowBefore(first));
        return words === undefined ? 'rollback-malformed' : void this.#takeover?.handle(from, words);
      }
      case QUIT:
        return input.done && count === 3 ? void this.#conductor.quit(now, from) : 'rollback-malformed';
      default:
        return 'rollback-malformed';
    }
  }

  #handleInputs(now: number, roster: PortRoster, from: PeerId, count: number, input: PackReader): 'rollback-malformed' | undefined {
    const seat = roster.peers.find((peer) => peer.id === from);
    if (seat === undefined) return undefined;
    const { timeline } = this;
    const words = this.#words.readInputs(count, input, timeline.row(timeline.confirmed).of(seat.slot)?.input);
    if (words === undefined) return 'rollback-malformed';
    this.#conductor.heard(now, from, words.confirmed, words.inputs.length > 0);
    if (this.status === 'waiting' || seat.spectator) return undefined;
    if (words.inputs.length > 0) this.#lateness.heard(from, words.first + words.inputs.length - 1, this.#due());
    words.inputs.forEach((held, i) => timeline.hear(seat.slot, words.first + i, held));
    return undefined;
  }

  #handleConfirms(
    now: number,
    roster: PortRoster,
    from: PeerId,
    count: number,
    input: PackReader,
  ): 'rollback-malformed' | 'rollback-stale' | undefined {
    if (from !== roster.host || this.status === 'waiting') return 'rollback-stale';
    const words = this.#words.readConfirms(count, input, (first) => this.#rowBefore(first));
    if (words === undefined) return 'rollback-malformed';
    // Before all that is kept here: it has hardly begun, while we played for long.
    if (words.first <= this.timeline.oldest) this.#exchange.ask(now, from);
    if (this.#rowBefore(words.first) === undefined) return 'rollback-stale';
    if (words.first + words.rows.length > this.timeline.confirmed) this.#pace.base = words.base;
    if (!this.#follow(words)) {
      this.#replaces = true;
      this.#exchange.ask(now, from);
    } else this.#comparison.compare(now, words.check);
    // Too slow, or asleep for too long, to come up with the others by itself.
    if (this.timeline.isFull) this.#exchange.ask(now, from);
    return undefined;
  }

  #rowBefore(first: number): Row | undefined {
    const { timeline } = this;
    return this.status !== 'waiting' && first - 1 >= timeline.oldest && first - 1 <= timeline.confirmed ? timeline.row(first - 1) : undefined;
  }

  /** Takes what somebody says was confirmed; false when its past is another one. */
  #follow({ first, chain, rows }: RowsWords): boolean {
    const { timeline } = this;
    if (this.#rowBefore(first) === undefined) return true;
    if (timeline.chain(first - 1) !== chain) return false;
    const latest = this.#due() + ROLLBACK_AHEAD_TICKS;
    for (const [i, row] of rows.entries()) {
      const tick = first + i;
      if (tick > timeline.confirmed) {
        if (timeline.isFull || tick > latest) return true;
        timeline.confirm(row);
      } else if (!sameRow(timeline.row(tick), row)) return false;
    }
    return true;
  }

  #handleTakeover(now: number, roster: PortRoster, from: PeerId, term: number, theirs: number | undefined): undefined {
    if (!this.#rivals.handle(now, from, term, roster.term)) return undefined;
    const { timeline } = this;
    const confirmed = this.status === 'waiting' ? undefined : timeline.confirmed;
    const first = confirmed === undefined ? 1 : Math.max(timeline.oldest, Math.min(confirmed, theirs ?? confirmed)) + 1;
    const chain = confirmed === undefined ? 0 : timeline.chain(first - 1);
    this.#world.send(
      from,
      'reliable',
      this.#words.held(term, confirmed, this.#pace.base, first, chain, confirmed ?? 0, (tick) => timeline.row(tick)),
    );
    return undefined;
  }

  // ── states

  #handleState(now: number, from: PeerId, taken: TakenState): 'rollback-malformed' | undefined {
    if (taken.kind === NEWEST && from === this.#takeover?.source) this.#takeover.came();
    const decoded = taken.bytes === undefined ? undefined : decodeState(taken.bytes);
    if (taken.bytes !== undefined && decoded === undefined) return 'rollback-malformed';
    if (taken.kind === EVIDENCE) return this.#handleEvidence(now, from, taken.tick, decoded);
    if (decoded === undefined) return this.#handleTooLarge(now, from);
    // The one we play from, asked for once too often.
    const { timeline } = this;
    const isOurs = taken.tick >= timeline.oldest && taken.tick <= timeline.confirmed && timeline.chain(taken.tick) === taken.chain;
    if (this.#conducts || (this.status !== 'waiting' && isOurs && !this.#replaces)) return undefined;
    const isFirst = this.status === 'waiting';
    try {
      timeline.reset(taken.tick, decoded.state, taken.row, taken.chain);
    } catch (error) {
      this.#world.failed('load', error);
      return undefined;
    }
    this.#pace.base = taken.base;
    this.#speech.beginAnew();
    this.#lateness.clear();
    this.#replaces = false;
    this.#comparison.clear();
    this.#conductor.begin(this.#world.roster());
    // Who was stalled is told that it goes on when it does.
    if (isFirst) this.status = 'playing';
    this.#world.emit(isFirst ? 'start' : 'resync', { tick: taken.tick });
    return undefined;
  }

  /** There is a state, and it cannot be sent. */
  #handleTooLarge(now: number, from: PeerId): undefined {
    this.#exchange.refused(now);
    // Another one may be asked.
    if (this.#takeover !== undefined) this.#takeover.isRefused = true;
    else this.#tooLarge(`${from} cannot send the state of the simulation, which is too large: who plays has to be there from the start`);
    return undefined;
  }

  #tooLarge(detail: string): undefined {
    const isWaiting = this.status === 'waiting';
    if (isWaiting) this.#broken = true;
    this.#world.tooLarge(detail, isWaiting);
    return undefined;
  }

  #settled(tick: number, saved: unknown): void {
    this.#comparison.settled(this.#world.now(), tick, saved);
    const { seed, players } = this.timeline.row(tick);
    if (seed !== undefined) this.#world.emit('restart', { tick, seed });
    if (this.#world.hears('confirm')) this.#world.emit('confirm', { tick, state: saved as object, players });
  }

  /** The host's state at the tick where ours differs has come. */
  #handleEvidence(now: number, from: PeerId, tick: number, decoded: { readonly state: unknown } | undefined): undefined {
    if (!this.#comparison.judge(from, tick, decoded) || this.#options.onDesync === 'report') return undefined;
    this.#replaces = true;
    this.#exchange.askAtOnce(now, from);
    return undefined;
  }
}
