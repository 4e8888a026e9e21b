/**
 * `room.rollback`: a simulation that this room plays, one at a time. What of it is the room's is here; what is the simulation's, in `sync/rollback/`.
 */
import type { PeerId } from '../base/brand.ts';
import { assertCallback } from '../base/callback.ts';
import { disposable, Emitter } from '../base/emitter.ts';
import { LanError } from '../base/errors.ts';
import { among, checkCall, show } from '../sync/definition.ts';
import type { Fields, Infer } from '../sync/field.ts';
import { RollbackSession } from '../sync/rollback/session.ts';
import type { Simulation, SimulationPlayer } from '../sync/rollback/simulation.ts';
import type {
  Rollback,
  RollbackEvents,
  RollbackOptions,
  RollbackStats,
  RollbackStatus,
  RollbackWorld,
  SessionOptions,
} from '../sync/rollback/types.ts';
import { heldNothing, readTerm } from '../sync/rollback/words.ts';
import { INPUTS, STATE_ASK, TAKEOVER } from '../sync/wire.ts';
import { MAX_INPUT_DELAY_TICKS, MAX_KNOWN_IDS } from '../wire/limits.ts';
import type { PackReader } from '../wire/pack.ts';

/** Others play, and this peer, which is host, does not: after so long somebody of them should be host, ms. */
const SITS_OUT_MS = 2_000;
/** Who was not heard playing for so long does not, ms. */
const HEARD_MS = 1_000;

const OPTIONS = ['inputDelay', 'maxRollback', 'patienceTicks', 'play', 'onDesync'];
const EVENTS: Readonly<Record<keyof RollbackEvents<unknown>, true>> = {
  start: true,
  confirm: true,
  stall: true,
  resume: true,
  desync: true,
  resync: true,
};

/** The parts of the room this one speaks to. */
export interface DeskRoom extends Omit<RollbackWorld, 'emit' | 'hears'> {
  /** The room instance of another peer. */
  sessionOf(peer: PeerId): number | undefined;
  /** `peer` plays another build of the simulation. */
  foreign(peer: PeerId): void;
  setEligible(eligible: boolean): void;
  wake(): void;
}

export class RollbackDesk {
  readonly #room: DeskRoom;
  #session: RollbackSession | undefined;
  /** While nothing is played here: since when others are heard playing, and when last. */
  #heardSince = Number.POSITIVE_INFINITY;
  #heardAt = Number.NEGATIVE_INFINITY;
  readonly #foreign = new Set<PeerId>();
  /** What the game said of this peer. */
  #eligible = true;
  /** A simulation is played, and not here. */
  #sitsOut = false;
  /** The page of each peer that was heard last. */
  readonly #tags = new Map<PeerId, number>();

  constructor(room: DeskRoom) {
    this.#room = room;
  }

  open<F extends Fields, S, V>(simulation: Simulation<F, S, V>, options: RollbackOptions): Rollback<F, S, V> {
    const checked = checkOptions(simulation, options);
    if (this.#session !== undefined)
      throw new LanError('bad-argument', 'rollback: expected one simulation at a time, got another.', { hint: 'Dispose of the one that is played.' });
    const room = this.#room;
    const events = new Emitter<RollbackEvents<unknown>>((name, cause) => room.failed(`rollback.on('${name}')`, cause));
    const session: RollbackSession = new RollbackSession(simulation, checked, {
      ...room,
      // What ends within an event has the rest of its turn before it.
      send: (to, how, bytes) => this.#session === session && room.send(to, how, bytes),
      failed: (what, cause) => room.failed(`rollback: ${what}`, cause),
      emit: (event, value) => this.#session === session && events.emit(event, value),
      hears: (event) => this.#session === session && events.has(event),
    });
    this.#session = session;
    this.#heardSince = Number.POSITIVE_INFINITY;
    room.wake();
    const end = disposable(() => {
      if (this.#session !== session) return;
      this.close();
      room.wake();
    });
    return new OpenRollback<F, S, V>(session, events, () => this.#session === session, end);
  }

  /** A message of a simulation. `count` is that of the array, of which the kind is read. */
  receive(from: PeerId, type: number, count: number, input: PackReader): void {
    const room = this.#room;
    const tag = input.count(0xffff);
    const game = input.count(0xffff_ffff);
    if (!input.ok) return room.drop('rollback-malformed');
    // Of its former page.
    if (tag !== ((room.sessionOf(from) ?? -1) & 0xffff)) return room.drop('rollback-stale');
    if (this.#tags.get(from) !== tag) {
      // Also of those who have left: a room knows few.
      if (this.#tags.size >= MAX_KNOWN_IDS) this.#tags.clear();
      this.#tags.set(from, tag);
      this.#session?.startedAnew(from);
    }
    if (this.#session?.simulation.hash === game) return this.#session.handle(from, type, count, input);
    if (this.#session !== undefined && !this.#foreign.has(from)) {
      if (this.#foreign.size >= MAX_KNOWN_IDS) this.#foreign.clear();
      this.#foreign.add(from);
      room.foreign(from);
    }
    // A new host need not wait for who does not play.
    if (type === TAKEOVER) room.send(from, 'reliable', heldNothing(room.session, game, readTerm(input)));
    if (this.#session !== undefined || (type !== INPUTS && type !== STATE_ASK && type !== TAKEOVER)) return;
    const now = room.now();
    if (now - this.#heardAt >= HEARD_MS) this.#heardSince = now;
    this.#heardAt = now;
  }

  /** What was on its way to `peer` may be lost. */
  linkAnew(peer: PeerId): void {
    this.#session?.startedAnew(peer);
  }

  /** Whether this peer may be host, as the game sees it; while others play and it does not, somebody of them should be. */
  setEligible(eligible: boolean): void {
    this.#eligible = eligible;
    this.#room.setEligible(eligible && !this.#sitsOut);
  }

  run(now: number): void {
    this.#session?.run(now);
    const sitsOut = this.#session === undefined && now - this.#heardAt < HEARD_MS && now - this.#heardSince >= SITS_OUT_MS;
    if (sitsOut === this.#sitsOut) return;
    this.#sitsOut = sitsOut;
    this.setEligible(this.#eligible);
  }

  /** Room time at which `run` is to be called next, ms. */
  deadline(): number {
    return this.#session?.deadline() ?? Number.POSITIVE_INFINITY;
  }

  /** What is played here ends; the others are told, where they can be. */
  close(): void {
    this.#session?.quit();
    this.#session = undefined;
  }
}

function checkOptions(simulation: Simulation, options: RollbackOptions): SessionOptions {
  if (typeof simulation !== 'object' || simulation === null || typeof simulation.step !== 'function' || typeof simulation.hash !== 'number')
    throw new LanError('bad-argument', `rollback: expected what simulation() makes, got ${show(simulation)}.`, { hint: 'Write simulation({ … }).' });
  checkCall('rollback', options, OPTIONS);
  const whole = (name: string, value: number, low: number, high: number): number => {
    if (!Number.isInteger(value) || value < low || value > high)
      throw new LanError('bad-argument', `rollback: expected ${name} from ${low} to ${high}, got ${show(value)}.`);
    return value;
  };
  const { inputDelay = 'auto', play = true, onDesync = 'resync' } = options;
  const maxRollback = whole('maxRollback', options.maxRollback ?? 8, 0, 30);
  const patience = maxRollback === 0 ? 15 : Math.max(1, maxRollback - 2);
  if (typeof play !== 'boolean') throw new LanError('bad-argument', `rollback: expected play to be true or false, got ${show(play)}.`);
  if (onDesync !== 'resync' && onDesync !== 'report')
    throw new LanError('bad-argument', `rollback: expected onDesync to be 'resync' or 'report', got ${show(onDesync)}.`);
  return {
    inputDelay: inputDelay === 'auto' ? 'auto' : whole('inputDelay', inputDelay, 0, MAX_INPUT_DELAY_TICKS),
    maxRollback,
    patienceTicks: whole('patienceTicks', options.patienceTicks ?? patience, 1, 60),
    play,
    onDesync,
  };
}

class OpenRollback<F extends Fields, S, V> implements Rollback<F, S, V> {
  readonly #session: RollbackSession;
  readonly #events: Emitter<RollbackEvents<unknown>>;
  readonly #isOpen: () => boolean;
  readonly #end: Disposable;

  constructor(session: RollbackSession, events: Emitter<RollbackEvents<unknown>>, isOpen: () => boolean, end: Disposable) {
    this.#session = session;
    this.#events = events;
    this.#isOpen = isOpen;
    this.#end = end;
  }

  get status(): RollbackStatus {
    return this.#isOpen() ? this.#session.status : 'closed';
  }
  get state(): Readonly<S> | undefined {
    return this.#session.status === 'waiting' ? undefined : (this.#session.timeline.state as S);
  }
  get previous(): Readonly<V> | undefined {
    const { timeline, status } = this.#session;
    return status === 'waiting' ? undefined : (timeline.saved(Math.max(0, timeline.next - 2)) as V);
  }
  get fraction(): number {
    return this.#session.status === 'waiting' ? 0 : this.#session.fraction;
  }
  get tick(): number {
    return this.#session.timeline.next - 1;
  }
  get confirmedTick(): number {
    return this.#session.timeline.confirmed;
  }
  get players(): readonly SimulationPlayer<Infer<F>>[] {
    const { timeline } = this.#session;
    return timeline.row(timeline.confirmed).players as readonly SimulationPlayer<Infer<F>>[];
  }

  setInput(values: Partial<Infer<F>>): void {
    if (!this.#isOpen()) throw new LanError('closed', 'setInput: this simulation is not played any more.');
    this.#session.setInput(values);
  }

  on<E extends keyof RollbackEvents<V>>(event: E, fn: (value: RollbackEvents<V>[E]) => void): Disposable {
    if (typeof event !== 'string' || !Object.hasOwn(EVENTS, event))
      throw new LanError('unknown-name', `on: there is no event ${show(event)}.`, { hint: among('Events', Object.keys(EVENTS)) });
    assertCallback(`rollback.on('${event}')`, fn);
    return this.#events.on(event, fn as (value: RollbackEvents<unknown>[E]) => void);
  }

  stats(): RollbackStats {
    const { timeline, stalls, lateInputs, inputDelay } = this.#session;
    return { ...timeline.stats, stalls, lateInputs, inputDelay };
  }

  [Symbol.dispose](): void {
    this.#end[Symbol.dispose]();
  }
}
