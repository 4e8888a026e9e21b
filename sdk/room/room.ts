/**
 * READ THIS FIRST. The room a game talks to, composed of the parts of `sync/` over a `RoomPort`.
 *
 * Everything happens in `pump`, which runs when the port has something (`onWake`) and when something is due (`LocalTime`):
 *
 *   drain port ─► roster: seats, authority, host duty     message: hello │ state │ messages │ control
 *   due beats of clock.every ─► the game assigns to entities
 *   due state tick ─► collect what changed ─► one frame per peer, full state for newcomers ─► port.flush
 *   schedule the next deadline
 *
 * A peer is known by its key, and each Room instance by a random `session`: a page that was reloaded is the same peer with a new session,
 * and starts from nothing. Hello tells the session; until it came, whatever else a peer sends is dropped.
 *
 *   opening ──hello and full state of everyone who was ready──► ready ──leave, or the port closes──► closed
 */
import type { PeerId, RoomId } from '../base/brand.ts';
import { assertCallback } from '../base/callback.ts';
import { LanError } from '../base/errors.ts';
import type { LocalTime } from '../port/lan-port.ts';
import type { Channel, LeaveReason, PortCloseReason, PortEvent, PortRoster, RoomPort } from '../port/port.ts';
import { AuthorityRules } from '../sync/authority.ts';
import { Metronome } from '../sync/clock.ts';
import { checkCall, checkFlag } from '../sync/definition.ts';
import type { AnyGame } from '../sync/definition.ts';
import type { MessageWorld } from '../sync/messages.ts';
import { Messages } from '../sync/messages.ts';
import type { Fields } from '../sync/field.ts';
import { CONTENT_LANE } from '../sync/content/exchange.ts';
import { CONTROL_LANE, Replication } from '../sync/replication.ts';
import { askAll, Requests } from '../sync/requests.ts';
import type { Simulation } from '../sync/rollback/simulation.ts';
import type { Rollback, RollbackOptions } from '../sync/rollback/types.ts';
import { EntityStore } from '../sync/store.ts';
import { budgetRule } from './budget.ts';
import { createRoomClock } from './clock.ts';
import { ContentDesk } from './content.ts';
import { HostDuties } from './duty.ts';
import { Opening } from './opening.ts';
import { RoomEntities } from './entities.ts';
import { RoomEmitter } from './events.ts';
import { Reception } from './reception.ts';
import { RollbackDesk } from './rollback.ts';
import { isHere, Seats } from './seats.ts';
import { roomStats, transitMs } from './stats.ts';
import type {
  Answer,
  CallOptions,
  Content,
  Entities,
  HostDuty,
  Peer,
  Presence,
  Room,
  RoomClock,
  RoomEvents,
  RoomStats,
  SendOptions,
  StateBudget,
} from './types.ts';

export interface RoomSetup {
  readonly time: LocalTime;
  /** Random u32 of this instance. */
  readonly session: number;
  readonly presence: Readonly<Record<string, unknown>>;
  /** SHA-256, by whoever can. */
  readonly digest: (bytes: Uint8Array) => Promise<Uint8Array>;
  readonly onClosed?: () => void;
}

export class GameRoom<G extends AnyGame> implements Room<G> {
  readonly #port: RoomPort;
  readonly #time: LocalTime;
  readonly #events = new RoomEmitter<G>();
  readonly #seats: Seats<G>;
  readonly #store: EntityStore;
  readonly #replication: Replication;
  readonly #entities: RoomEntities;
  readonly #authority: AuthorityRules;
  readonly #messages: Messages;
  readonly #requests: Requests;
  readonly #beats: Metronome;
  readonly #duties: HostDuties;
  readonly #reception: Reception<G>;
  readonly #rollback: RollbackDesk;
  readonly #content: ContentDesk;
  readonly #control = new AbortController();
  readonly #drops: Record<string, number> = {};
  #roster: PortRoster;
  #later: (() => void)[] = [];
  #pumping = false;
  #again = false;
  #unsent = false;
  #closed: PortCloseReason | undefined;
  readonly #opening: Opening;
  readonly #closing: (() => void)[] = [];
  /** The others are being told; links may be over. */
  #leaving = false;
  readonly #onClosed: (() => void) | undefined;
  readonly clock: RoomClock;
  readonly entities: Entities<G>;
  readonly content: Content;
  readonly peers: ReadonlyMap<PeerId, Peer<G>>;

  constructor(game: G, port: RoomPort, setup: RoomSetup) {
    this.#port = port;
    this.#time = setup.time;
    this.#onClosed = setup.onClosed;
    const failed = (what: string, cause: unknown): void => this.#events.failed(what, cause);
    this.#roster = port.roster();
    this.#seats = new Seats<G>(port.self);
    this.#opening = new Opening(this.#time.now(), {
      isMissing: () => this.#seats.present.some((peer) => this.#isMissing(peer)),
      open: () => {
        this.#authority.opened();
        this.#updateDuty();
      },
      listen: () => this.#reception.listen(),
      incomplete: () => this.#events.emit('warn', { code: 'stall', detail: 'not everybody in the room sent their state in time' }),
    });
    this.#store = new EntityStore(game, failed);
    this.#replication = new Replication(port, this.#store, game.stateHz, setup.session);
    const roomTime = (): number => port.time(this.#time.now());
    this.#entities = new RoomEntities(
      {
        self: port.self,
        session: setup.session,
        roomTime,
        isHost: () => this.isHost,
        closed: () => this.#closed !== undefined,
        failed,
      },
      this.#store,
      this.#replication,
    );
    const control = (to: PeerId, bytes: Uint8Array): boolean => this.#send(to, 'reliable', bytes, CONTROL_LANE);
    this.#authority = new AuthorityRules(
      { self: port.self, roster: () => this.#roster, now: () => this.#time.now(), isReady: () => this.#opening.isReady, control },
      this.#store,
      this.#replication,
      this.#entities,
    );
    this.#entities.govern(this.#authority);
    this.entities = this.#entities.facade<G>();
    const words = {
      self: port.self,
      session: setup.session,
      sessionOf: (peer) => this.#seats.byPeer.get(peer)?.session,
      now: () => this.#time.now(),
      roomTime,
      host: () => this.#roster.host,
      present: () => this.#seats.present,
      send: (to, channel, bytes) => this.#send(to, channel, bytes, 0),
      isFull: (peer) => !this.#leaving && this.#seats.present.includes(peer) && isHere(port, peer),
      later: (fn) => {
        this.#later.push(fn);
        this.#wake();
      },
      drop: (reason: string) => this.#drop(reason),
      failed,
      wake: () => this.#wake(),
    } satisfies MessageWorld & { wake(): void };
    this.#messages = new Messages(game, words);
    this.#requests = new Requests(game, words);
    this.#rollback = new RollbackDesk({
      ...words,
      roster: () => this.#roster,
      transitMs: () => transitMs(port.stats(this.#time.now())),
      send: (to, how, bytes) => this.#send(to, how, bytes, CONTROL_LANE),
      foreign: (peer) => this.#events.emit('warn', { code: 'schema', detail: `${peer} plays another simulation, or another build of this one` }),
      tooLarge: (detail) => this.#events.emit('warn', { code: 'too-large', detail }),
    });
    this.#content = new ContentDesk({
      ...words,
      send: (to, bytes) => this.#send(to, 'reliable', bytes, CONTENT_LANE),
      queued: (peer) => port.queued(peer, CONTENT_LANE),
      digest: setup.digest,
    });
    this.content = this.#content.face;
    this.#beats = new Metronome(() => this.#schedule());
    this.#duties = new HostDuties((cause) => failed('whileHost', cause));
    this.clock = createRoomClock(port, setup.time, this.#beats, failed);
    this.peers = this.#seats.byPeer;
    this.#reception = new Reception<G>(
      {
        game,
        port,
        time: setup.time,
        session: setup.session,
        seats: this.#seats.byPeer,
        store: this.#store,
        replication: this.#replication,
        authority: this.#authority,
        messages: this.#messages,
        requests: this.#requests,
        rollback: this.#rollback,
        content: this.#content,
        entities: this.#entities,
        events: this.#events,
        present: () => this.#seats.present,
        isReady: () => this.#opening.isReady,
        send: (to, channel, bytes, lane) => this.#send(to, channel, bytes, lane),
        sent: () => (this.#unsent = true),
        drop: (reason) => this.#drop(reason),
      },
      setup.presence,
    );
    this.#applyRoster(this.#roster, []);
    port.onWake = () => this.#wake();
    this.#wake();
  }

  /** Resolves when this replica has the room: every ready member's state, or `OPENING_MS` passed. With the reason when the room was closed first. */
  async opened(): Promise<PortCloseReason | undefined> {
    if (this.#closed === undefined) await this.#opening.over();
    return this.#closed;
  }

  get id(): RoomId {
    return this.#roster.roomId;
  }
  get name(): string {
    return this.#roster.name;
  }
  get max(): number {
    return this.#roster.max;
  }
  get locked(): boolean {
    return this.#roster.locked;
  }
  get self(): Peer<G> {
    return this.#seats.byPeer.get(this.#port.self)!;
  }
  get host(): PeerId {
    return this.#roster.host;
  }
  get isHost(): boolean {
    return this.#roster.host === this.#port.self;
  }
  get signal(): AbortSignal {
    return this.#control.signal;
  }

  setPresence(values: Readonly<Record<string, unknown>>): void {
    this.#assertOpen('setPresence');
    this.#reception.setPresence(values);
    this.#seats.byPeer.get(this.#port.self)!.presence = this.#reception.presence as Presence<G>;
    this.#events.emit('presence', this.self);
  }

  send(name: string, body: unknown, options: SendOptions = {}): void {
    this.#assertOpen('send');
    checkCall(`send('${name}')`, options, ['to']);
    this.#messages.send(name, body, options.to === undefined ? 'all' : options.to);
  }

  onMessage(name: string, fn: (body: never, meta: { readonly from: PeerId; readonly time: number }) => void): Disposable {
    return this.#messages.onMessage(name, fn as (body: unknown) => void);
  }

  call(name: string, input: unknown, options: CallOptions = {}): Promise<never> {
    if (this.#closed !== undefined) return Promise.reject(new LanError('closed', `call('${name}'): the room was left.`));
    return this.#requests.call(name, input, options) as Promise<never>;
  }

  async callAll(name: string, input: unknown, options: Omit<CallOptions, 'to'> = {}): Promise<readonly Answer<never>[]> {
    checkCall(`callAll('${name}')`, options, ['timeoutMs', 'signal']);
    return askAll(this.#seats.present, (to) => this.call(name, input, { ...options, to }));
  }

  handle(name: string, fn: (input: never, from: PeerId) => unknown): Disposable {
    return this.#requests.answer(name, fn as (input: unknown, from: PeerId) => unknown);
  }

  whileHost(fn: (duty: HostDuty) => void | Promise<void>): Disposable {
    this.#assertOpen('whileHost');
    assertCallback('whileHost', fn);
    return this.#duties.add(fn);
  }

  on<E extends keyof RoomEvents<G>>(event: E, fn: (value: RoomEvents<G>[E]) => void): Disposable {
    return this.#events.on(event, fn);
  }

  setEligible(eligible: boolean): void {
    checkFlag('setEligible', eligible);
    if (this.#closed === undefined) this.#port.setEligible(this.#time.now(), eligible);
  }

  rollback<F extends Fields, S, V>(simulation: Simulation<F, S, V>, options: RollbackOptions = {}): Rollback<F, S, V> {
    this.#assertOpen('rollback');
    return this.#rollback.open(simulation, options);
  }

  setStateBudget(budget: StateBudget<G> | undefined): void {
    this.#assertOpen('setStateBudget');
    this.#replication.budget =
      budget === undefined ? undefined : budgetRule(budget, (cause) => this.#events.failed('setStateBudget: priority', cause));
  }

  kick(peer: PeerId): void {
    this.#assertOpen('kick');
    if (!this.isHost) throw new LanError('not-owner', 'kick: only the host removes peers.', { hint: 'Check room.isHost.' });
    if (!this.#port.kick(this.#time.now(), peer)) throw new LanError('bad-argument', `kick: ${peer} is not another peer of this room.`);
  }

  stats(): RoomStats {
    const parts = { replication: this.#replication, messages: this.#messages, requests: this.#requests, store: this.#store };
    return roomStats(this.#port.stats(this.#time.now()), this.#drops, parts);
  }

  /** Resolves when the others were told, or cannot be. */
  async leave(): Promise<void> {
    if (this.#closed !== undefined) return;
    const closed = new Promise<void>((resolve) => this.#closing.push(resolve));
    // While the others can still be told. Its host would go on alone else, until it is gone.
    this.#rollback.close();
    this.#leaving = true;
    this.#port.leave(this.#time.now());
    this.#wake();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.leave();
  }

  #assertOpen(what: string): void {
    if (this.#closed !== undefined) throw new LanError('closed', `${what}: the room was left.`, { hint: 'Join again.' });
  }

  #drop(reason: string): void {
    this.#drops[reason] = (this.#drops[reason] ?? 0) + 1;
  }

  #send(to: PeerId, channel: Channel, bytes: Uint8Array, lane: number): boolean {
    const now = this.#time.now();
    if (this.#closed !== undefined || !this.#reception.greetFirst(now, to)) return false;
    const taken = this.#port.send(now, to, channel, bytes, lane);
    if (taken && !this.#pumping && !this.#unsent) {
      this.#unsent = true;
      this.#wake();
    }
    if (taken) this.#unsent = true;
    return taken;
  }

  /** Runs `pump` soon, never within the caller. */
  #wake(): void {
    this.#again = true;
    if (!this.#pumping && this.#closed === undefined) this.#time.schedule(this.#time.now(), () => this.#pump());
  }

  #pump(): void {
    if (this.#pumping || this.#closed !== undefined) return;
    this.#pumping = true;
    try {
      // What comes in while pumping is taken in the same turn, a few times; then the loop gets its own turn.
      for (let round = 0; round < 8; round++) {
        this.#again = false;
        for (let event = this.#port.poll(); event !== undefined; event = this.#port.poll()) this.#handle(event);
        const later = this.#later;
        this.#later = [];
        for (const fn of later) fn();
        if (!this.#again && this.#later.length === 0) break;
      }
      if (this.#closed === undefined) this.#tick();
    } finally {
      this.#pumping = false;
    }
    if (this.#closed === undefined) this.#schedule();
  }

  #tick(): void {
    const now = this.#time.now();
    const time = this.#port.time(now);
    this.#requests.handleTimeout(now);
    this.#authority.handleTimeout(now);
    this.#reception.greet(now);
    if (this.#authority.awaitsHost) this.#reception.askWhole(this.#roster.host);
    this.#opening.run(now);
    this.#beats.run(time, () => this.#replication.hasMoved);
    this.#rollback.run(now);
    this.#content.run(now);
    if (this.#closed !== undefined) return;
    const tick = this.#replication.tickAt(time);
    if (tick > this.#replication.tick) {
      this.#replication.collect(tick, this.#replication.phaseAt(tick, this.#beats.movedAt(time)));
      this.#messages.repeat();
      // Until this replica has the room it says nothing of its own: what it is told first may have to become its own (a host that was reloaded).
      if (this.#opening.isReady) this.#replication.send(now, this.#seats.present);
      else this.#replication.sendAcks(now, this.#seats.present);
      this.#unsent = true;
    } else if (this.#replication.sendRests(now, this.#seats.present)) this.#unsent = true;
    if (this.#unsent) {
      this.#unsent = false;
      this.#port.flush(now);
    }
  }

  #schedule(): void {
    if (this.#closed !== undefined || this.#pumping) return;
    const now = this.#time.now();
    const time = this.#port.time(now);
    const nextTick = ((this.#replication.tick + 1) * 1_000) / this.#replication.hz;
    const due = Math.min(nextTick, this.#beats.deadline(), this.#rollback.deadline()) - time;
    const pending = this.#again || this.#later.length > 0 || this.#unsent ? now : this.#replication.nextRest(now);
    // A deadline that is not in the future would spin: a clock that stands still must not stop the world.
    const local = Math.min(this.#requests.deadline(), this.#authority.deadline(), this.#content.deadline(), this.#opening.deadline);
    const at = Math.min(now + Math.max(0.1, due), local, pending);
    this.#time.schedule(at, () => this.#pump());
  }

  #handle(event: PortEvent): void {
    switch (event.type) {
      case 'roster':
        return this.#applyRoster(event.roster, event.left);
      case 'message':
        return this.#reception.receive(event.from, event.channel, event.bytes, event.lane);
      case 'reset':
        this.#requests.peerGone(event.peer, false);
        this.#replication.outbound.get(event.peer)?.restart();
        for (const part of [this.#reception, this.#rollback, this.#content]) part.linkAnew(event.peer);
        return;
      case 'merge':
        if (event.lost) {
          this.#authority.mergeLost();
          this.#reception.askHost(this.#roster.host);
        }
        return this.#events.emit('merge', { lost: event.lost, joined: event.joined });
      case 'closed':
        return this.#close(event.reason);
      default:
        event satisfies never;
    }
  }

  #applyRoster(roster: PortRoster, left: readonly { readonly id: PeerId; readonly reason: LeaveReason }[]): void {
    const previous = this.#roster;
    this.#roster = roster;
    const { moved, gone } = this.#seats.apply(roster, left, this.#reception.presence as Presence<G>);
    for (const { seat, event } of moved) {
      for (const part of [this.#requests, this.#content]) part.peerGone(seat.id, false);
      if (event === 'back') {
        this.#replication.outbound.get(seat.id)?.restart();
        this.#reception.linkAnew(seat.id);
      }
    }
    for (const { seat } of gone) this.#forget(seat.id);
    this.#authority.applyRoster();
    if (roster.host !== previous.host) this.#reception.retell(roster.host);
    for (const { seat, event } of moved) if (seat.session !== undefined) this.#events.emit(event, seat);
    for (const { seat, reason } of gone) if (seat.session !== undefined) this.#events.emit('leave', { peer: seat, reason });
    if (roster.host !== previous.host)
      this.#events.emit('host', { host: roster.host, previous: previous.host, isSelf: roster.host === this.#port.self });
    this.#updateDuty();
  }

  #forget(peer: PeerId): void {
    for (const part of [this.#requests, this.#content]) part.peerGone(peer, true);
    this.#replication.outbound.delete(peer);
    this.#replication.inbound.delete(peer);
    this.#reception.forget(peer);
  }

  #updateDuty(): void {
    const onDuty = this.#opening.isReady && this.isHost && this.#closed === undefined;
    const first = !this.#reception.begun;
    if (onDuty) this.#reception.begun = true;
    this.#duties.update(onDuty, first);
  }

  /** The state of `peer`, which has the room. */
  #isMissing(peer: PeerId): boolean {
    const seat = this.#seats.byPeer.get(peer)!;
    if (seat.session === undefined) return true;
    // A host that started anew owns what it is told that it did.
    return seat.ready && (this.#replication.inbound.get(peer)?.synced !== true || (seat.owes && this.isHost));
  }

  #close(reason: PortCloseReason): void {
    if (this.#closed !== undefined) return;
    // Also where it is lost: what a duty says in its last moment finds no link any more.
    this.#leaving = true;
    this.#duties.update(false, false);
    this.#closed = reason;
    this.#port.onWake = undefined;
    this.#time.cancel();
    this.#beats.stop();
    for (const part of [this.#requests, this.#rollback, this.#content, this.#authority]) part.close();
    this.#control.abort();
    this.#events.emit('close', { reason });
    this.#opening.end();
    for (const resolve of this.#closing.splice(0)) resolve();
    this.#onClosed?.();
  }
}
