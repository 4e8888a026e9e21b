/**
 * `room.rollback`: a simulation that this room plays, one at a time. What of it is the room's is here; what is the simulation's, in `sync/rollback/`.
 */
import type { PeerId } from '../base/brand.ts';
import { assertCallback } from '../base/callback.ts';
import { disposable, Emitter } from '../base/emitter.ts';
import { LanError } from '../base/errors.ts';
import { among, checkCall, show } from '../sync/definition.ts';
import type { PortRoster } from '../port/port.ts';
import type { Fields, Infer } from '../sync/field.ts';
import { Deputies } from '../sync/rollback/deputy.ts';
import { RollbackSession } from '../sync/rollback/session.ts';
import type { Simulation, SimulationPlayer } from '../sync/rollback/simulation.ts';
import type {
  Rollback,
  RollbackCloseReason,
  RollbackEvents,
  RollbackOptions,
  RollbackStats,
  RollbackStatus,
  RollbackWorld,
  SessionOptions,
} from '../sync/rollback/types.ts';
import { deputy, heldNothing, here, readDeputy, readHere, readTerm } from '../sync/rollback/words.ts';
import { CONFIRMS, DEPUTY, INPUTS, QUIT, STATE_ASK, TAKEOVER } from '../sync/wire.ts';
import { MAX_INPUT_DELAY_TICKS, MAX_KNOWN_IDS } from '../wire/limits.ts';
import type { PackReader } from '../wire/pack.ts';

/** Who waits for a state of the deputy tells the host this often that it is here, ms. */
const HERE_MS = 250;
/** A host that plays after all follows its deputy for so long, so that it knows what anybody may lack, ms; … */
const FOLLOWS_MS = 1_000;
/** … and waits for its state no longer than this, ms. */
const WAITS_MS = 1_000;

const OPTIONS = ['inputDelay', 'maxRollback', 'patienceTicks', 'play', 'onDesync'];
const EVENTS: Readonly<Record<keyof RollbackEvents<unknown>, true>> = {
  start: true,
  confirm: true,
  stall: true,
  resume: true,
  desync: true,
  resync: true,
  restart: true,
  close: true,
};

/** Whom a host that does not play has named to do its part. */
interface Named {
  readonly host: PeerId;
  readonly term: number;
  readonly game: number;
  readonly peer: PeerId;
}

/** The parts of the room this one speaks to. */
export interface DeskRoom extends Omit<RollbackWorld, 'emit' | 'hears' | 'reign' | 'tooLarge'> {
  /** The room instance of another peer. */
  sessionOf(peer: PeerId): number | undefined;
  /** `peer` plays another build of the simulation. */
  foreign(peer: PeerId): void;
  /** A state is too large to travel. */
  tooLarge(detail: string): void;
  wake(): void;
}

export class RollbackDesk {
  readonly #room: DeskRoom;
  /** What is played here. */
  session: RollbackSession | undefined;
  #events: Emitter<RollbackEvents<unknown>> | undefined;
  /** While nothing is played here: who plays, and who of them does the host's part. */
  readonly #deputies = new Deputies();
  /** While something is: whom the host has named. */
  #deputy: Named | undefined;
  /** Grows with each change of that. */
  #reign = 0;
  /** The list as the simulation sees it, with the deputy as host, and that of which it was made. */
  #seen: { readonly roster: PortRoster; readonly deputy: PeerId; readonly made: PortRoster } | undefined;
  #hereAt = Number.NEGATIVE_INFINITY;
  #openedAt = 0;
  #playsSince = Number.POSITIVE_INFINITY;
  readonly #foreign = new Set<PeerId>();
  /** The page of each peer that was heard last. */
  readonly #tags = new Map<PeerId, number>();

  constructor(room: DeskRoom) {
    this.#room = room;
  }

  open<F extends Fields, S, V>(simulation: Simulation<F, S, V>, options: RollbackOptions): Rollback<F, S, V> {
    const checked = checkOptions(simulation, options);
    if (this.session !== undefined)
      throw new LanError('bad-argument', 'rollback: expected one simulation at a time, got another.', { hint: 'Dispose of the one that is played.' });
    const room = this.#room;
    const events = new Emitter<RollbackEvents<unknown>>((name, cause) => room.failed(`rollback.on('${name}')`, cause));
    const session: RollbackSession = new RollbackSession(simulation, checked, {
      ...room,
      roster: () => this.#roster(simulation.hash),
      reign: () => this.#reign,
      // What ends within an event has the rest of its turn before it.
      send: (to, how, bytes) => this.session === session && room.send(to, how, bytes),
      failed: (what, cause) => room.failed(`rollback: ${what}`, cause),
      tooLarge: (detail, ends) => {
        if (this.session !== session) return;
        room.tooLarge(`rollback: ${detail}`);
        if (ends) this.close('too-large');
      },
      emit: (event, value) => this.session === session && events.emit(event, value),
      hears: (event) => this.session === session && events.has(event),
    });
    this.session = session;
    this.#events = events;
    const named = this.#deputies.of(simulation.hash);
    this.#deputies.clear();
    const { host, term } = room.roster();
    // It comes late as anybody, and takes its part back when it has what the others may need of it.
    if (named !== undefined && host === room.self) this.#appoint({ host, term, game: simulation.hash, peer: named });
    this.#openedAt = room.now();
    this.#playsSince = Number.POSITIVE_INFINITY;
    room.wake();
    const end = disposable(() => {
      if (this.session !== session) return;
      this.close('disposed');
      room.wake();
    });
    return new OpenRollback<F, S, V>(session, events, () => this.session === session, end);
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
      this.session?.startedAnew(from);
    }
    if (type === DEPUTY) return this.#handleDeputy(from, game, count, input);
    // The host plays after all.
    if ((type === TAKEOVER || type === CONFIRMS) && this.#deputy?.game === game && from === room.roster().host) this.#appoint(undefined);
    if (this.session?.simulation.hash === game) return this.session.handle(from, type, count, input);
    if (this.session !== undefined && !this.#foreign.has(from)) {
      if (this.#foreign.size >= MAX_KNOWN_IDS) this.#foreign.clear();
      this.#foreign.add(from);
      room.foreign(from);
    }
    // A new host need not wait for who does not play.
    if (type === TAKEOVER) room.send(from, 'reliable', heldNothing(room.session, game, readTerm(input)));
    if (this.session !== undefined) return;
    if (type === QUIT) this.#deputies.quit(from);
    const words = type === INPUTS ? readHere(input) : undefined;
    if (input.ok && (type === INPUTS || type === STATE_ASK || type === TAKEOVER))
      this.#deputies.heard(room.now(), from, game, words?.confirmed, words?.first);
  }

  #handleDeputy(from: PeerId, game: number, count: number, input: PackReader): void {
    const word = readDeputy(count, input);
    if (word === undefined) return this.#room.drop('rollback-malformed');
    const { host, term } = this.#room.roster();
    if (from !== host || word.term !== term) return this.#room.drop('rollback-stale');
    if (this.session?.simulation.hash !== game) return;
    const named = this.#deputy;
    if (named?.peer === word.peer && named.host === host && named.term === term && named.game === game) return;
    this.#appoint({ host, term, game, peer: word.peer });
  }

  #appoint(deputy: Named | undefined): void {
    this.#deputy = deputy;
    this.#reign++;
  }

  /** Whom the host of this list has named, and who is there. */
  #named(roster: PortRoster, game: number): PeerId | undefined {
    const named = this.#deputy;
    if (named === undefined || named.host !== roster.host || named.term !== roster.term || named.game !== game) return undefined;
    return roster.peers.some(({ id, status }) => id === named.peer && status === 'present') ? named.peer : undefined;
  }

  #roster(game: number): PortRoster {
    const roster = this.#room.roster();
    const deputy = this.#named(roster, game);
    if (deputy === undefined) return roster;
    if (this.#seen?.roster !== roster || this.#seen.deputy !== deputy) this.#seen = { roster, deputy, made: { ...roster, host: deputy } };
    return this.#seen.made;
  }

  /** What was on its way to `peer` may be lost. */
  linkAnew(peer: PeerId): void {
    this.session?.startedAnew(peer);
  }

  run(now: number): void {
    if (this.#isHeld && this.session !== undefined) this.#takeBack(now, this.session);
    this.session?.run(now);
    if (this.session === undefined) this.#runDeputies(now);
    else if (this.session.status === 'waiting') this.#sayHere(now, this.session);
  }

  /** This peer, which is host and plays, still follows whom it had named. */
  get #isHeld(): boolean {
    return this.#deputy?.host === this.#room.self;
  }

  #takeBack(now: number, { status, simulation }: RollbackSession): void {
    if (status === 'playing') this.#playsSince = Math.min(this.#playsSince, now);
    const isTime = status === 'waiting' ? now - this.#openedAt >= WAITS_MS : status !== 'playing' || now - this.#playsSince >= FOLLOWS_MS;
    // Who is gone is not waited for, nor followed when it is back.
    if (isTime || this.#named(this.#room.roster(), simulation.hash) === undefined) this.#appoint(undefined);
  }

  #runDeputies(now: number): void {
    const room = this.#room;
    const { host, term } = room.roster();
    if (host !== room.self) this.#deputies.clear();
    else this.#deputies.run(now, term, room.present(), (to, game, peer) => room.send(to, 'reliable', deputy(room.session, game, term, peer)));
  }

  /** Who plays tells everybody; who waits asks the deputy alone, and the host would not know of it. */
  #sayHere(now: number, { simulation, pieces }: RollbackSession): void {
    const room = this.#room;
    const roster = room.roster();
    if (now - this.#hereAt < HERE_MS || roster.host === room.self || this.#named(roster, simulation.hash) === undefined) return;
    this.#hereAt = now;
    room.send(roster.host, 'unreliable', here(room.session, simulation.hash, pieces));
  }

  /** Room time at which `run` is to be called next, ms. */
  deadline(): number {
    return this.session?.deadline() ?? Number.POSITIVE_INFINITY;
  }

  /** What is played here ends; the others are told, where they can be. */
  close(reason: RollbackCloseReason = 'left'): void {
    const events = this.#events;
    if (this.#isHeld) this.#appoint(undefined);
    this.session?.quit();
    this.session = undefined;
    this.#events = undefined;
    events?.emit('close', { reason });
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
  get isHost(): boolean {
    return this.#isOpen() && this.#session.conducts;
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

  restart(seed?: number): void {
    if (!this.#isOpen()) throw new LanError('closed', 'restart: this simulation is not played any more.');
    if (seed !== undefined && (!Number.isInteger(seed) || seed < 0 || seed > 0xffff_ffff))
      throw new LanError('bad-argument', `restart: expected a seed from 0 to ${0xffff_ffff}, got ${show(seed)}.`);
    this.#session.restart(seed);
  }

  on<E extends keyof RollbackEvents<V>>(event: E, fn: (value: RollbackEvents<V, Infer<F>>[E]) => void): Disposable {
    if (typeof event !== 'string' || !Object.hasOwn(EVENTS, event))
      throw new LanError('unknown-name', `on: there is no event ${show(event)}.`, { hint: among('Events', Object.keys(EVENTS)) });
    assertCallback(`rollback.on('${event}')`, fn);
    return this.#events.on(event, fn as (value: RollbackEvents<unknown>[E]) => void);
  }

  stats(): RollbackStats {
    const { timeline, stalls, lateInputs, inputDelay } = this.#session;
    return { ...timeline.stats, stalls, lateInputs, inputDelay, players: this.#session.playerStats() };
  }

  [Symbol.dispose](): void {
    this.#end[Symbol.dispose]();
  }
}
