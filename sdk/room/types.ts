/**
 * The public surface of a room, as types: what `lanista`, `lanista/node` and `lanista/browser` share.
 * Own entities are writable, remote ones are `readonly`, and the compiler knows which is which by `mine`.
 */
import type { Brand, EntityId, PeerId, RoomId, Slot } from '../base/brand.ts';
import type { DiscoveryState, NetworkCheck, RoomListing } from '../port/lan-port.ts';
import type { LeaveReason, PeerStats, PortCloseReason, SeatStatus } from '../port/port.ts';
import type { AnyGame, EntityDef, MessageDef, RequestDef } from '../sync/definition.ts';
import type { Fields, Infer, Init } from '../sync/field.ts';
import type { Simulation } from '../sync/rollback/simulation.ts';
import type { Rollback, RollbackOptions } from '../sync/rollback/types.ts';

export type Kind<G extends AnyGame> = keyof G['entities'] & string;
export type MessageName<G extends AnyGame> = keyof G['messages'] & string;
export type RequestName<G extends AnyGame> = keyof G['requests'] & string;

type FieldsOf<D> = D extends EntityDef<infer F, any> ? F : never;
export type EntityFields<G extends AnyGame, K extends Kind<G>> = FieldsOf<G['entities'][K]>;
export type EntityValues<G extends AnyGame, K extends Kind<G>> = Infer<EntityFields<G, K>>;
export type EntityInit<G extends AnyGame, K extends Kind<G>> = Init<EntityFields<G, K>>;
/** What arrives, and what `send` takes. */
export type MessageBody<G extends AnyGame, K extends MessageName<G>> = G['messages'][K] extends MessageDef<infer T, any> ? T : never;
export type MessageGiven<G extends AnyGame, K extends MessageName<G>> = G['messages'][K] extends MessageDef<any, infer T> ? T : never;
/** What a handler gets, and what `call` takes. */
export type RequestInput<G extends AnyGame, K extends RequestName<G>> = G['requests'][K] extends RequestDef<infer I, any, any, any> ? I : never;
export type RequestGiven<G extends AnyGame, K extends RequestName<G>> = G['requests'][K] extends RequestDef<any, any, infer I, any> ? I : never;
/** What the caller gets, and what a handler returns. */
export type RequestOutput<G extends AnyGame, K extends RequestName<G>> = G['requests'][K] extends RequestDef<any, infer O, any, any> ? O : never;
export type RequestReply<G extends AnyGame, K extends RequestName<G>> = G['requests'][K] extends RequestDef<any, any, any, infer O> ? O : never;
/** The options of `call`: with `to`, where the request is declared for somebody whom the caller names. */
export type CallArguments<G extends AnyGame, K extends RequestName<G>> =
  G['requests'][K] extends RequestDef<any, any, any, any, infer To>
    ? 'host' extends To
      ? [options?: CallOptions]
      : [options: CallOptions & { readonly to: PeerId | 'host' }]
    : never;
export type Presence<G extends AnyGame> = Readonly<Infer<G['presence']>>;

interface EntityBase<G extends AnyGame, K extends Kind<G>> {
  readonly id: EntityId;
  readonly kind: K;
  /** Whose word decides it now. */
  readonly owner: PeerId;
  /** False once it was despawned, here or by its owner. */
  readonly alive: boolean;
  /**
   * Values to draw: interpolated at `viewTime` when remote, the live ones when own. The same object each time, with accessors as the entity itself has:
   * read field by field, for `{ ...view }` copies nothing. `at` gives an object of its own.
   */
  readonly view: Readonly<EntityValues<G, K>>;
  /** Room time (ms) that `view` shows. */
  readonly viewTime: number;
  /**
   * Values at room time `time` (ms) from this replica's history, undefined outside it: about 2 s of what moves, 1 s where its kind is sampled 60 times a second.
   * Texts, lists and refs are the newest ones.
   */
  at(time: number): Readonly<EntityValues<G, K>> | undefined;
  /** Calls back after each change of one field, own or received. */
  onChange<P extends keyof EntityValues<G, K> & string>(field: P, fn: (value: EntityValues<G, K>[P], old: EntityValues<G, K>[P]) => void): Disposable;
}

export type MineEntity<G extends AnyGame, K extends Kind<G>> = EntityBase<G, K> & {
  readonly mine: true;
  /** Removes it everywhere. Throws `closed` when it is gone already. */
  despawn(): void;
  /** What was assigned since the last tick is a jump, not a movement: nobody interpolates over it. Throws `closed` when it is gone. */
  teleport(): void;
  requestAuthority(options?: AuthorityOptions): Promise<MineEntity<G, K> | undefined>;
} & EntityValues<G, K>;

export type RemoteEntity<G extends AnyGame, K extends Kind<G>> = EntityBase<G, K> & {
  readonly mine: false;
  /**
   * Asks for (or takes, by the kind's `transfer`) authority. Undefined when it was not given; for `never` always. Rejects with `closed` when the entity is
   * gone, and `bad-argument`.
   */
  requestAuthority(options?: AuthorityOptions): Promise<MineEntity<G, K> | undefined>;
} & Readonly<EntityValues<G, K>>;

export type Entity<G extends AnyGame, K extends Kind<G> = Kind<G>> = MineEntity<G, K> | RemoteEntity<G, K>;

export interface AuthorityOptions {
  /** Default 1,000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface EntityWatcher<G extends AnyGame, K extends Kind<G>> {
  /** A new entity; called for those already there when watching begins, too. */
  spawn?(entity: Entity<G, K>): void;
  /** It is gone; its last values can still be read. */
  despawn?(entity: Entity<G, K>): void;
  /** Its owner changed. */
  authority?(entity: Entity<G, K>, previous: PeerId): void;
  /** Another peer asks for authority over an own entity of `transfer: 'request'`; `false` refuses. Without it everybody is given what they ask for. */
  request?(entity: MineEntity<G, K>, from: PeerId): boolean;
}

export interface Entities<G extends AnyGame> {
  /**
   * Creates an entity with this peer as owner. Throws `bad-value`, `unknown-name`, `closed`, `not-owner` for a kind with
   * `authority: 'host'` on a peer that is not host, and `queue-full` when the room holds 8,192 entities.
   */
  spawn<K extends Kind<G>>(kind: K, init: EntityInit<G, K>): MineEntity<G, K>;
  /** Those that are there when the walk begins: spawning and despawning on the way is fine. */
  all<K extends Kind<G>>(kind: K): Iterable<Entity<G, K>>;
  /** As `all`, own ones only. */
  mine<K extends Kind<G>>(kind: K): Iterable<MineEntity<G, K>>;
  get<K extends Kind<G>>(kind: K, id: EntityId): Entity<G, K> | undefined;
  on<K extends Kind<G>>(kind: K, watcher: EntityWatcher<G, K>): Disposable;
}

export interface Peer<G extends AnyGame> {
  readonly id: PeerId;
  readonly slot: Slot;
  readonly isSelf: boolean;
  readonly isHost: boolean;
  readonly status: SeatStatus;
  readonly spectator: boolean;
  /**
   * What it says of itself. Empty from the moment its seat shows until its greeting has come, a second at most, and longer for who is away
   * when we come: write `presence.name ?? '…'` where everybody in `peers` is listed. `join` comes with the greeting.
   */
  readonly presence: Presence<G>;
  /** Set when it is reached through another member. */
  readonly via: PeerId | undefined;
}

export interface RoomClock {
  /** Shared room time, ms, with a fraction: the same everywhere within `errorMs`, never runs backwards. Rounded it fits an `s.u32()`. */
  now(): number;
  readonly errorMs: number;
  /**
   * Calls `fn` at `hz` (0.1 to 120) on multiples of the period in shared time: tick `n` is at `n * 1000 / hz`.
   * After a stall at most a quarter of a second is caught up; the rest is skipped. Keeps going in a hidden tab.
   */
  every(hz: number, fn: (tick: number, time: number) => void): Disposable;
}

export interface RoomEvents<G extends AnyGame> {
  /** It has come, and may be spoken to: what is said to it reliably, its game hears as soon as it has the room. */
  join: Peer<G>;
  /** Gone for now; the seat is kept. */
  away: Peer<G>;
  back: Peer<G>;
  /** Gone for good, its seat is free; see `LeaveReason`. */
  leave: { readonly peer: Peer<G>; readonly reason: LeaveReason };
  host: { readonly host: PeerId; readonly previous: PeerId; readonly isSelf: boolean };
  presence: Peer<G>;
  /** Two parts of the room, apart for a while, became one. `lost`: this side's host-owned state gave way. */
  merge: { readonly lost: boolean; readonly joined: readonly PeerId[] };
  /**
   * Something is not as it should be, and the room goes on. `detail` is for people; `code` is for programs:
   *
   * `stall`: the room opened, after 3 s, without the state of everybody in it; what is missing follows when it comes.
   *
   * `too-large`: the state of a simulation (`rollback`) takes more than travels, so nobody can be given it; `detail` says how much.
   *
   * `schema`: a peer runs another build of this game, and nothing it says is taken.
   *
   * `handler`: a callback of the game threw, or was async and rejected (`clock.every`, `onMessage`, `handle`, `on`, `entities.on`, `onChange`,
   * `whileHost`, the priority of `setStateBudget`); `detail` says which, with the stack. While nobody listens to `warn`, these alone are written with
   * `console.error`, the error itself with them: once for each place and message, 32 at most in one room.
   */
  warn: { readonly code: WarnCode; readonly detail: string };
  /**
   * This seat is gone; the room is of no more use. `bridge`: the local process behind this page is gone. `copied`: another process in the room
   * plays with this player's key, as after copying a disk or a profile; the local process has another one when it is started again.
   */
  close: { readonly reason: PortCloseReason };
}

/** What a room warns of: `RoomEvents.warn` says when. */
export type WarnCode = 'stall' | 'schema' | 'handler' | 'too-large';

export interface MessageMeta {
  readonly from: PeerId;
  /** Room time (ms) at which it was sent. */
  readonly time: number;
}

export type MessageTarget = PeerId | 'host' | 'all' | readonly PeerId[];

export interface SendOptions {
  /** Default `all`: every present peer but this one. */
  readonly to?: MessageTarget;
}

export interface CallOptions {
  /** Needed for requests declared `to: 'peer'` (the default) or `'owner'`. */
  readonly to?: PeerId | 'host';
  /** Default 2,000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface Answer<O> {
  readonly from: PeerId;
  readonly value: O | undefined;
  /** Set when there is no value. */
  readonly error: Error | undefined;
}

export interface HostDuty {
  /** Aborted when the duty moves to another peer or the room closes. */
  readonly signal: AbortSignal;
  /** True for the first host of the room's life: set things up. False: carry on with what is there. */
  readonly first: boolean;
}

export interface StateBudget<G extends AnyGame> {
  /**
   * Bytes of state to each other peer per tick, 64 to 60,000; there are as many ticks a second as the fastest kind's rate. What a newcomer gets at
   * first is not counted, and one entity may be over it.
   */
  readonly bytesPerTick: number;
  /**
   * What an own entity gains each tick for one peer until it is told, 0.01 to 1,000 (others are moved there); default the priority of its kind. Called
   * for every entity with something to say, for every peer, at every tick at which not all of it fits: keep it short. While it throws or gives no number,
   * the priority of the kind counts, and a `warn` says so.
   */
  readonly priority?: (entity: Entity<G>, to: PeerId) => number;
}

export interface RoomStats {
  readonly peers: ReadonlyMap<PeerId, PeerStats & { readonly interpolationDelayMs: number }>;
  /** Bytes of entity state sent and received since the start, by kind of traffic. */
  readonly stateBytesOut: number;
  readonly stateBytesIn: number;
  readonly messageBytesOut: number;
  readonly messageBytesIn: number;
  /** Refused input by reason, network half and game half together. */
  readonly drops: Readonly<Record<string, number>>;
  readonly entities: number;
}

/** Names a block of content: its SHA-256, as 43 characters (`A-Z a-z 0-9 - _`). It fits an `s.text(43)`. */
export type ContentId = Brand<string, 'ContentId'>;

export interface FetchOptions {
  /** Default 30,000, for the whole of it. */
  readonly timeoutMs?: number;
  /** 1 to 4,194,304, which is the default: from who says that it is larger nothing is taken. For what a stranger names. */
  readonly maxBytes?: number;
  readonly signal?: AbortSignal;
}

/**
 * Blocks of bytes (a map, a picture, a level somebody made) that the room has in common. A block is named by its hash, so that whoever gives it out cannot
 * give out another one. The name travels in the game's own state or messages, the bytes only to who asks for them.
 */
export interface Content {
  /**
   * Gives a block to whoever asks for it, for as long as this peer is in the room, and resolves with its name. `bytes`, 1 to 4,194,304, are copied
   * at once. Rejects with `bad-argument`, `too-large` (also when this peer would share more than 33,554,432 bytes in all), `closed`, and in a page `bridge`.
   */
  share(bytes: Uint8Array): Promise<ContentId>;
  /**
   * Resolves with the bytes of that name, a copy for each caller: at once when they are held here, else from whoever in the room has them. While nobody
   * has, it goes on looking. What was fetched is held, and given to others, until what is newer needs its place. It may be anything: who gives it cannot
   * alter it, but nobody says that who shared it meant well. Rejects with `bad-argument`, `timeout`, `aborted`, `too-large` (it is here and larger than `maxBytes`),
   * `queue-full` (64 are looked for already), `closed`, and in a page `bridge`.
   */
  fetch(id: string, options?: FetchOptions): Promise<Uint8Array>;
  /** Whether it is held here, whole and verified. */
  has(id: string): boolean;
  /** Holds it no longer, and gives it to nobody any more. False when it was not held. */
  forget(id: string): boolean;
}

/** One room, joined. Leaves on disposal. */
export interface Room<G extends AnyGame> extends AsyncDisposable {
  readonly id: RoomId;
  readonly name: string;
  readonly max: number;
  readonly locked: boolean;
  readonly self: Peer<G>;
  /** Everybody with a seat, this peer included, by slot. */
  readonly peers: ReadonlyMap<PeerId, Peer<G>>;
  readonly host: PeerId;
  readonly isHost: boolean;
  readonly clock: RoomClock;
  readonly entities: Entities<G>;
  /** Blocks of bytes by their hash, that everybody in the room can get: maps, pictures. */
  readonly content: Content;
  /** Aborted when the room is left or lost. */
  readonly signal: AbortSignal;
  /** Changes some fields of this peer's presence, for everybody. Throws `bad-value`, `closed`. */
  setPresence(values: Partial<Infer<G['presence']>>): void;
  /**
   * Sends a message to every other present peer, or to those in `to`; a peer in `to` that is not in the room, or is away, is left out without a word, and
   * naming this peer itself sends it here, too. Throws `unknown-name`, `bad-value`, `bad-argument`, `closed`; `too-large` above 262,144 bytes (1,100 when not
   * `reliable`); and `queue-full` when a `reliable` one was not taken for a peer: the others were sent it. What arrives and does not validate is counted
   * in `stats().drops['message-invalid']`, and no listener sees it.
   */
  send<K extends MessageName<G>>(name: K, body: MessageGiven<G, K>, options?: SendOptions): void;
  /**
   * Calls `fn` with each message of this name that arrives. Reliable ones that arrived while the room was opened wait until 50 ms after that for whoever
   * subscribes. Throws `unknown-name`, `bad-argument`.
   */
  onMessage<K extends MessageName<G>>(name: K, fn: (body: MessageBody<G, K>, meta: MessageMeta) => void): Disposable;
  /**
   * Asks one peer (or this one), and resolves with its answer. Rejects, and never throws, with
   * - what is wrong here: `unknown-name`, `bad-value`, `bad-argument` (nobody to ask, no number of ms, no signal), `too-large` above 262,144 bytes, `aborted`,
   *   `queue-full` (256 calls wait already, or the link to the peer is full), `closed` (the room was or is left);
   * - what became of it: `timeout`, `peer-gone`, `no-handler`, `handler-failed`, `refused` (named as host, and is not), `bad-value` (its answer, or ours
   *   there, did not validate), `too-large` (its answer), or the code of the `LanError` that its handler threw.
   */
  call<K extends RequestName<G>>(name: K, input: RequestGiven<G, K>, ...options: CallArguments<G, K>): Promise<RequestOutput<G, K>>;
  /** Asks every other present peer; resolves when all answered or failed, in order of their slots. */
  callAll<K extends RequestName<G>>(
    name: K,
    input: RequestGiven<G, K>,
    options?: Omit<CallOptions, 'to'>,
  ): Promise<readonly Answer<RequestOutput<G, K>>[]>;
  /**
   * Answers a request, for as long as it is not disposed; one handler for each name. An error thrown by `fn` travels: a `LanError` with its code, where
   * that means something there (`refused`, `not-owner`, `bad-value`, `bad-argument`, …), anything else as `handler-failed`, with its message. Throws
   * `unknown-name`, and `bad-argument` when there is a handler already.
   */
  handle<K extends RequestName<G>>(
    name: K,
    fn: (input: RequestInput<G, K>, from: PeerId) => RequestReply<G, K> | Promise<RequestReply<G, K>>,
  ): Disposable;
  /** Runs `fn` on whoever is host now, this peer included when its turn comes. Throws `closed`, `bad-argument`. */
  whileHost(fn: (duty: HostDuty) => void | Promise<void>): Disposable;
  /** Calls `fn` at each event of this name. Throws `unknown-name`, `bad-argument`. */
  on<E extends keyof RoomEvents<G>>(event: E, fn: (value: RoomEvents<G>[E]) => void): Disposable;
  /**
   * Bounds what this peer sends of its own entities; undefined (as at the start) for no bound. When not all that changed fits, what has waited longest,
   * weighed by priority, goes first; everything arrives in the end. Others draw what waits a little coarser. Throws `bad-argument`, `closed`.
   */
  setStateBudget(budget: StateBudget<G> | undefined): void;
  /**
   * Plays a deterministic simulation with everybody else in the room who does: only inputs travel, what is not known yet is guessed, and what was guessed
   * wrong is simulated again. Who is host begins; who comes later takes the state of those who play. One at a time. While others play and the
   * host does not, one of them says in its place what counts. Throws `bad-argument`, `closed`.
   */
  rollback<F extends Fields, S, V>(simulation: Simulation<F, S, V>, options?: RollbackOptions): Rollback<F, S, V>;
  /** Tells the others not to make this peer host. A hidden page is none by itself, whatever was said here. Throws `bad-argument`. */
  setEligible(eligible: boolean): void;
  /** Host only: removes a peer and bans its key for the room's life. Throws `not-owner` elsewhere, `bad-argument` for no other peer of the room, `closed`. */
  kick(peer: PeerId): void;
  stats(): RoomStats;
  /** Gives the seat up at once. Resolves when the others were told, or cannot be; never rejects, and leaving twice is leaving once. */
  leave(): Promise<void>;
}

export interface CreateOptions {
  /** What players see and look for: 1 to 32 bytes of UTF-8, not blanks alone. */
  readonly name: string;
  /** Most players, 1 to 32; default 16. Spectators come on top. Of a room that is joined, its founder's counts. */
  readonly max?: number;
  /** Locks the room: only who knows it gets in. 1 to 64 characters; case, blanks, dashes and `_` make no difference. Default: none, the room is open. */
  readonly code?: string;
  /** Watches without taking a player's place; default false. In all else it is a peer like the others, and may become host: see `setEligible`. */
  readonly spectate?: boolean;
  /** Gives up: the promise rejects with `aborted`, and a seat that was got is left. Once the room is there it does nothing. */
  readonly signal?: AbortSignal;
}

export interface JoinOptions {
  /** Of a locked room, 1 to 64 characters; an open one takes no notice of it. */
  readonly code?: string;
  /** Watches without taking a player's place; default false. In all else it is a peer like the others, and may become host: see `setEligible`. */
  readonly spectate?: boolean;
  /** Gives up: the promise rejects with `aborted`, and a seat that was got is left. Once the room is there it does nothing. */
  readonly signal?: AbortSignal;
}

export interface LanOptions<G extends AnyGame> {
  /** What others see of this peer in every room it opens: the game's `presence`, fields with a default may be left out. `setPresence` changes it. */
  readonly presence: Init<G['presence']>;
}

/** The way to rooms on this network: one room at a time. On disposal it leaves the room it is in. */
export interface Lan<G extends AnyGame> extends AsyncDisposable {
  readonly self: PeerId;
  /** The live list: yields at once and after each change, until `signal` aborts, this is closed, or the loop ends. */
  browse(options?: { readonly signal?: AbortSignal }): AsyncIterable<readonly RoomListing[]>;
  /**
   * Founds a room, whether or not there is another of this name. Rejects with `bad-argument` (name, max or code out of range, or this `Lan` is in a room
   * already: leave that first), `refused` (another machine plays with this player's key), `aborted`, `closed`, and in a page `bridge`.
   */
  create(options: CreateOptions): Promise<Room<G>>;
  /**
   * Joins a room. `target`: a listing of `browse`, its id, `host:port`, or a join code. Rejects with
   * - `unreachable`: nobody answers there, or nobody does any more; `incompatible`: it runs another game, version or build;
   * - `room-full`, `wrong-code` (none was given, or another), `kicked` (from this room before), `refused` (another machine plays with this player's key);
   * - `bad-argument`: no such kind of target, or this `Lan` is in a room already, or on the way into one: leave that first;
   * - `aborted`, `closed`, and in a page `bridge`.
   */
  join(target: RoomListing | string, options?: JoinOptions): Promise<Room<G>>;
  /**
   * Joins the room of this name, if one of this game, version and build answers, else founds it. Peers that ask for one name at the same moment end in
   * one room. With `code` only locked rooms count, without it only open ones. Where several answer, one that `joinOrCreate` founded comes first, then the
   * one with most players. To be refused by a room is no reason to found another. It looks for less than 1 s before it founds. Rejects with
   * - `room-full`, `wrong-code`, `kicked`, `refused` (another machine plays with this player's key): by the room that answered; `incompatible`: it changed
   *   meanwhile;
   * - `bad-argument`: name, max or code out of range, or this `Lan` is in a room already, or on the way into one: leave that first;
   * - `aborted`, `closed`, and in a page `bridge`.
   */
  joinOrCreate(options: CreateOptions): Promise<Room<G>>;
  /**
   * Changes what every room opened from now on begins with, as a name that was typed beside the list of rooms: others see it with `join`. Of the room that
   * is open, `room.setPresence` changes it. Throws `bad-value`.
   */
  setPresence(values: Partial<Infer<G['presence']>>): void;
  readonly discovery: DiscoveryState;
  /**
   * What others give to `join` while this peer is in a room, short enough to read aloud (`p4aaa-amgt4`): for networks where nobody finds anybody.
   * Undefined without a network. It changes with this machine's address, so ask again when you show it.
   */
  joinCode(): string | undefined;
  /**
   * What keeps players apart on this network, if anything, and what to do; takes 3 to 8 s. Rejects with `bind-failed`, `aborted`, `closed`, or `bridge`
   * when a page's process is gone.
   */
  diagnose(options?: { readonly signal?: AbortSignal }): Promise<readonly NetworkCheck[]>;
  /** Leaves the room it is in and lets go of the network; what is asked of it afterwards rejects with `closed`. Closing twice is closing once. */
  close(): Promise<void>;
}
