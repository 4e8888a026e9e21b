/**
 * What comes in and what is said first: hello, presence, and handing every message to the part of `sync/` it is for.
 *
 * Hello goes out on both lanes, so that neither can overtake it; until a peer's hello came, whatever else it sends is dropped. A new session
 * in a hello is a peer that started anew. It also says whose hello its sender has: one who was lost to it, and knows nothing of that, says it again.
 * So who hears a peer without having its hello greets it once more.
 */
import type { PeerId } from '../base/brand.ts';
import type { Emitter } from '../base/emitter.ts';
import { LanError } from '../base/errors.ts';
import type { LocalTime } from '../port/lan-port.ts';
import type { Channel, RoomPort } from '../port/port.ts';
import type { AuthorityRules } from '../sync/authority.ts';
import type { BodyCodec } from '../sync/body.ts';
import { bodyCodec } from '../sync/body.ts';
import { show } from '../sync/definition.ts';
import type { AnyGame } from '../sync/definition.ts';
import { FRAME, FULL_FRAME } from '../sync/delta.ts';
import { Inbound } from '../sync/inbound.ts';
import type { Messages } from '../sync/messages.ts';
import type { Replication } from '../sync/replication.ts';
import { Outbound } from '../sync/outbound.ts';
import { CONTROL_LANE } from '../sync/replication.ts';
import type { Requests } from '../sync/requests.ts';
import type { EntityStore } from '../sync/store.ts';
import {
  ADOPT,
  ANSWER,
  ASK,
  BURIED,
  CALL,
  CONTENT_ASK,
  CONTENT_NONE,
  DENY,
  DEPUTY,
  FAILURE,
  GRANT,
  HELLO,
  INPUTS,
  MESSAGE,
  PRESENCE,
  RESYNC,
} from '../sync/wire.ts';
import { PackReader, PackWriter } from '../wire/pack.ts';
import type { ContentDesk } from './content.ts';
import { EarlyWords } from './early.ts';
import type { RoomEntities } from './entities.ts';
import type { RollbackDesk } from './rollback.ts';
import type { SeatView } from './seats.ts';
import type { Presence, RoomEvents } from './types.ts';

/** A greeting that a port did not take is repeated at this pace, ms. */
const GREET_EVERY_MS = 250;
/** A peer is asked for its whole state, or for its hello, at most this often, ms. */
const RESYNC_EVERY_MS = 1_000;

/** Values of a word about authority that names no entity: all that was to be told is. */
const NO_ENTITY = 5;

/** The parts of the room this one speaks to. */
export interface ReceptionRoom<G extends AnyGame> {
  readonly game: G;
  readonly port: RoomPort;
  readonly time: LocalTime;
  readonly session: number;
  readonly seats: ReadonlyMap<PeerId, SeatView<G>>;
  readonly store: EntityStore;
  readonly replication: Replication;
  readonly authority: AuthorityRules;
  readonly messages: Messages;
  readonly requests: Requests;
  readonly rollback: RollbackDesk;
  readonly content: ContentDesk;
  readonly entities: RoomEntities;
  readonly events: Emitter<RoomEvents<G>>;
  present(): readonly PeerId[];
  isReady(): boolean;
  send(to: PeerId, channel: Channel, bytes: Uint8Array, lane: number): boolean;
  /** Something waits for the next flush. */
  sent(): void;
  drop(reason: string): void;
}

export class Reception<G extends AnyGame> {
  readonly #room: ReceptionRoom<G>;
  readonly #codec: BodyCodec;
  readonly #greeted = new Map<PeerId, number>();
  readonly #resyncs = new Map<PeerId, number>();
  /** Whoever speaks without a hello: since when, or when it was asked for one. */
  readonly #strangers = new Map<PeerId, number>();
  readonly #early = new EarlyWords();
  presence: Readonly<Record<string, unknown>>;
  /** Somebody has done the host's duties of this room before. */
  begun = false;

  constructor(room: ReceptionRoom<G>, presence: Readonly<Record<string, unknown>>) {
    this.#room = room;
    this.#codec = bodyCodec(room.game.presence);
    this.presence = this.#checked(presence);
  }

  /** Changes this peer's presence and tells the others. Throws `bad-value`. */
  setPresence(values: Readonly<Record<string, unknown>>): void {
    this.presence = this.#checked(mergePresence(this.presence, values));
    const out = new PackWriter(128);
    out.array(2);
    out.int(PRESENCE);
    this.#codec.write(out, this.presence, 'presence');
    // Who could not be told is greeted again, and a greeting says it too.
    for (const peer of this.#room.present()) if (!this.#room.send(peer, 'reliable', out.view(), 0)) this.#greeted.delete(peer);
  }

  /** `peer` has to be greeted again. */
  greetAgain(peer: PeerId): void {
    this.#greeted.delete(peer);
  }

  /** The link to `peer` started anew: nothing is on its way that was said before, and a process that was there before may be again. */
  linkAnew(peer: PeerId): void {
    const seat = this.#room.seats.get(peer);
    seat?.former.clear();
    this.greetAgain(peer);
    // What it was told of its former self may have been lost with the link.
    this.retell(peer);
  }

  /** `peer` is host, perhaps by now: what it needs to be that, where it has not opened. */
  retell(peer: PeerId): void {
    const seat = this.#room.seats.get(peer);
    if (seat !== undefined && this.#room.replication.inbound.get(peer)?.synced === false) this.#room.authority.retell(peer, seat.followed);
  }

  forget(peer: PeerId): void {
    this.#greeted.delete(peer);
    this.#resyncs.delete(peer);
    this.#strangers.delete(peer);
  }

  #checked(values: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
    const out = new PackWriter(128);
    this.#codec.write(out, values, 'presence');
    const read = this.#codec.read(new PackReader(out.view()));
    return Object.freeze({ ...(read!.body as Record<string, unknown>) });
  }

  /** Says hello to whoever was not told yet. */
  greet(now: number): void {
    for (const peer of this.#room.present()) {
      const at = this.#greeted.get(peer);
      if (at === undefined || now - at >= GREET_EVERY_MS) this.#greetOne(now, peer);
    }
  }

  /** Before anything else is said to `peer`, which would drop it: hello, where it was not said yet. False when that could not be said. */
  greetFirst(now: number, peer: PeerId): boolean {
    return this.#greeted.get(peer) === Number.POSITIVE_INFINITY || !this.#room.present().includes(peer) || this.#greetOne(now, peer);
  }

  /** On both lanes, so that neither can overtake it. */
  #greetOne(now: number, peer: PeerId): boolean {
    const out = new PackWriter(256);
    out.array(7);
    out.int(HELLO);
    out.int(this.#room.session);
    out.int(this.#room.game.schemaHash);
    out.bool(this.#room.isReady());
    out.bool(this.begun);
    const known = this.#room.seats.get(peer)?.session;
    if (known === undefined) out.nil();
    else out.int(known);
    this.#codec.write(out, this.presence, 'presence');
    const taken = this.#room.port.send(now, peer, 'reliable', out.view(), 0) && this.#room.port.send(now, peer, 'reliable', out.view(), CONTROL_LANE);
    this.#greeted.set(peer, taken ? Number.POSITIVE_INFINITY : now);
    if (!taken) return false;
    this.#room.sent();
    if (!this.#room.replication.outbound.has(peer)) this.#room.replication.outbound.set(peer, new Outbound(peer));
    return true;
  }

  /** Whoever awaited the room has had a turn to subscribe: what was said to the game until now reaches it. */
  listen(): void {
    for (const { from, bytes } of this.#early.release()) this.#hand(from, bytes, bytes[1]!);
  }

  /** A message or a request, or its answer, for the game. */
  #hand(from: PeerId, bytes: Uint8Array, type: number): void {
    if (type === MESSAGE) this.#room.messages.handle(from, bytes);
    else this.#room.requests.handle(from, bytes);
  }

  receive(from: PeerId, channel: Channel, bytes: Uint8Array, lane: number): void {
    const seat = this.#room.seats.get(from);
    if (seat === undefined || from === this.#room.port.self) return this.#room.drop('stranger');
    const input = new PackReader(bytes);
    const count = input.array(0xffff);
    const type = input.int();
    if (!input.ok) return this.#room.drop('sync-malformed');
    if (type === HELLO) return this.#handleHello(seat, lane, count, input);
    const stream = this.#room.replication.inbound.get(from);
    if (seat.session === undefined || stream === undefined) return this.#handleStranger(from);
    switch (type) {
      case MESSAGE:
      case CALL: {
        const held = channel === 'reliable' && this.#early.hold(from, bytes);
        if (held === 'full') this.#room.drop('early');
        return held === false ? this.#hand(from, bytes, type) : undefined;
      }
      case ANSWER:
      case FAILURE:
        return this.#hand(from, bytes, type);
      case FRAME:
      case FULL_FRAME:
        this.#room.replication.bytesIn += bytes.length;
        return this.#handleFrame(seat, stream, type === FULL_FRAME, count, input);
      case PRESENCE: {
        const read = this.#codec.read(input);
        if (read === undefined) return this.#room.drop('sync-malformed');
        seat.presence = Object.freeze(read.body) as Presence<G>;
        return this.#room.events.emit('presence', seat);
      }
      case RESYNC:
        if (input.count(0xffff) === (this.#room.session & 0xffff) && input.done) this.#room.replication.outbound.get(from)?.restartSlowly();
        return;
      case ASK:
      case GRANT:
      case DENY:
      case ADOPT:
      case BURIED:
        if (input.count(0xffff) !== (seat.session & 0xffff)) return this.#room.drop('state-session');
        if (!this.#room.authority.handle(from, type, input)) return this.#room.drop('sync-malformed');
        if (type === ADOPT && count === NO_ENTITY) seat.owes = false;
        return;
      default:
        if (type >= INPUTS && type <= DEPUTY) return this.#room.rollback.receive(from, type, count, input);
        if (type >= CONTENT_ASK && type <= CONTENT_NONE) return this.#room.content.receive(from, type, count, input);
        this.#room.drop('sync-malformed');
    }
  }

  /** Its hello may only be late; after a second it is not on its way any more. */
  #handleStranger(from: PeerId): void {
    this.#room.drop('before-hello');
    const now = this.#room.time.now();
    const since = this.#strangers.get(from);
    if (since !== undefined && now - since < RESYNC_EVERY_MS) return;
    this.#strangers.set(from, now);
    if (since !== undefined) this.greetAgain(from);
  }

  #handleHello(seat: SeatView<G>, lane: number, count: number, input: PackReader): void {
    const session = input.count(0xffff_ffff);
    const schemaHash = input.count(0xffff_ffff);
    const ready = input.bool();
    const begun = input.bool();
    const heard = input.nil() ? undefined : input.count(0xffff_ffff);
    const presence = this.#codec.read(input);
    if (count !== 7 || presence === undefined) return this.#room.drop('sync-malformed');
    if (schemaHash !== this.#room.game.schemaHash) {
      this.#room.drop('schema');
      return this.#room.events.emit('warn', { code: 'schema', detail: `${seat.id} runs another build of this game` });
    }
    if (begun) this.begun = true;
    // The lane was slow: a newer page has greeted on the other one.
    if (seat.former.has(session)) return;
    this.#strangers.delete(seat.id);
    seat.ready ||= ready;
    const before = seat.presence;
    // Later words about presence come on one lane: what the other one brings of a known session may be older.
    if (seat.session !== session || lane !== CONTROL_LANE) seat.presence = Object.freeze(presence.body) as Presence<G>;
    // Both lanes bring each greeting: one of them counts.
    const again = lane !== CONTROL_LANE && seat.greeting === session;
    if (lane !== CONTROL_LANE) seat.greeting = session;
    if (again && heard !== this.#room.session) this.#forgotten(seat.id);
    // It knew us before we started anew, and tells of that, on this lane, when it has our hello.
    if (lane === CONTROL_LANE && heard !== undefined && heard !== this.#room.session) seat.owes = true;
    if (seat.session === session) {
      // Greeted anew: what it changed meanwhile may have been lost with the link.
      if (!equal(before, seat.presence)) this.#room.events.emit('presence', seat);
      return;
    }
    const known = seat.session !== undefined;
    if (known) remember(seat.former, seat.session!);
    seat.session = session;
    seat.ready = ready;
    seat.followed = Math.max(seat.followed, this.#room.replication.inbound.get(seat.id)?.completeTick ?? -1);
    this.#room.replication.inbound.set(seat.id, this.#stream(seat.id, session));
    this.#room.content.peerCame(seat.id);
    if (known) {
      this.#room.requests.peerRestarted(seat.id);
      // On its word: who starts anew in every tick is not sent the whole state in every tick.
      this.#room.replication.outbound.get(seat.id)?.restartSlowly();
      this.#greeted.delete(seat.id);
      // First of all: what it is told of its former self counts only from whom it knows.
      this.greet(this.#room.time.now());
      this.#room.authority.handleRestart(seat.id, seat.followed);
      this.#room.events.emit('presence', seat);
    } else {
      // It may have been greeted as the page before, which went without a word and took our greeting with it.
      if (heard !== this.#room.session) this.greetAgain(seat.id);
      this.#room.events.emit('join', seat);
    }
  }

  /** `peer` has lost us and got us anew: it followed a list without us for a while, of which we heard nothing. */
  #forgotten(peer: PeerId): void {
    this.#room.requests.peerGone(peer, false);
    this.#room.replication.outbound.get(peer)?.restartSlowly();
    this.greetAgain(peer);
    this.#room.sent();
  }

  #stream(peer: PeerId, session: number): Inbound {
    return new Inbound(peer, session, this.#room.game.stateHz, this.#room.store, {
      home: this.#room.entities,
      self: this.#room.port.self,
      judge: (from, kind, core, grave, epoch, session) => this.#room.authority.judge(from, kind, core, grave, epoch, session),
      judgeEnd: (from, core, epoch) => this.#room.authority.judgeEnd(from, core, epoch),
      tellBuried: (to, origin, counter, grave) => this.#room.authority.tellBuried(to, origin, counter, grave),
      tellNewer: (to, core) => this.#room.authority.tellNewer(to, core),
      bury: (core, grave) => this.#room.authority.bury(core, grave),
      abandoned: (core) => this.#room.authority.abandoned(core),
      yielded: (core, previous) => this.#room.authority.yielded(core, previous),
      settled: (from) => this.#room.authority.mergeSettled(from),
      diverged: (from) => this.#diverged(from),
      hash: (from) => this.#room.replication.hash(from),
    });
  }

  #handleFrame(seat: SeatView<G>, stream: Inbound, full: boolean, count: number, input: PackReader): void {
    const tag = input.count(0xffff);
    const tick = input.count(0x7fff_ffff);
    if (count !== 5 || !input.ok) return this.#room.drop('state-malformed');
    // Of the former session: a page that was reloaded leaves some behind.
    if (tag !== (stream.session & 0xffff)) return this.#room.drop('state-session');
    if (!input.nil()) {
      const age = input.int();
      if (input.ok) this.#room.replication.handleAck(seat.id, tick - age);
    }
    if (input.nil()) return;
    const reason = stream.handleBody(this.#room.port.time(this.#room.time.now()), tick, full, input);
    if (reason !== undefined) this.#room.drop(reason);
  }

  /** This replica is not what `from` says it should be. */
  #diverged(from: PeerId): void {
    if (this.askWhole(from)) this.#room.drop('state-diverged');
  }

  /** Another part's host has the word from now on: what it has is asked for at once. */
  askHost(host: PeerId): void {
    this.#resyncs.delete(host);
    this.askWhole(host);
  }

  /** Asks `from` for its whole state, once a second at most; false when it was not asked. */
  askWhole(from: PeerId): boolean {
    const now = this.#room.time.now();
    const seat = this.#room.seats.get(from);
    if (seat?.session === undefined || now - (this.#resyncs.get(from) ?? Number.NEGATIVE_INFINITY) < RESYNC_EVERY_MS) return false;
    this.#resyncs.set(from, now);
    const out = new PackWriter(16);
    out.array(2);
    out.int(RESYNC);
    out.int(seat.session & 0xffff);
    return this.#room.send(from, 'reliable', out.view(), CONTROL_LANE);
  }
}

/** What a game changes of its presence, with what it leaves as it is. Throws `bad-value`. */
export function mergePresence(before: Readonly<Record<string, unknown>>, values: unknown): Readonly<Record<string, unknown>> {
  // Spread, nothing and numbers would be no change at all.
  if (typeof values !== 'object' || values === null) throw new LanError('bad-value', `presence: expected fields of it, got ${show(values)}.`);
  return { ...before, ...values };
}

/** Lanes carry fewer greetings than this at once. */
const MAX_FORMER = 16;

function remember(former: Set<number>, session: number): void {
  former.add(session);
  for (const oldest of former) if (former.size > MAX_FORMER) former.delete(oldest);
}

/** Whether two presences say the same; bodies come from one codec, so their parts are in one order. */
function equal(a: object, b: object): boolean {
  return JSON.stringify(a, listed) === JSON.stringify(b, listed);
}

/** A set of flags by its names, which JSON would leave out; they are always in the order of their declaration. */
function listed(_key: string, value: unknown): unknown {
  return value instanceof Set ? [...(value as Set<unknown>)] : value;
}
