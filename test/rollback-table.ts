/** Sessions of one simulation without a room: every word on its way, and every peer's clock, is in the test's hand. */
import { s, simulation } from 'lanista';
import type { RollbackEvents, RollbackOptions } from 'lanista';
import type { PeerId, RoomId, Slot } from '../sdk/base/brand.ts';
import type { PortPeer, PortRoster } from '../sdk/port/port.ts';
import { RollbackSession } from '../sdk/sync/rollback/session.ts';
import type { Simulation } from '../sdk/sync/rollback/simulation.ts';
import type { RollbackWorld, SessionOptions } from '../sdk/sync/rollback/types.ts';
import { PackReader } from '../sdk/wire/pack.ts';

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

export const OPTIONS: SessionOptions = { inputDelay: 1, maxRollback: 8, patienceTicks: 6, play: true, onDesync: 'resync' };

export interface Word {
  readonly at: number;
  readonly from: PeerId;
  readonly to: PeerId;
  readonly how: 'reliable' | 'unreliable';
  readonly type: number;
  readonly bytes: Uint8Array;
}

/** One peer: its session, and what its game heard. */
export class Seated {
  readonly id: PeerId;
  readonly session: RollbackSession;
  readonly events: { readonly event: string; readonly value: unknown }[] = [];
  readonly confirmed: number[] = [];
  readonly failures: string[] = [];
  readonly drops: string[] = [];
  roster: PortRoster;
  /** False: its loop does not turn, and what is said to it waits. */
  awake = true;
  /** So long its last turn takes, ms: as `awake`, and its clock has gone on within that turn. */
  busyMs = 0;
  onEvent: ((event: string) => void) | undefined;

  constructor(table: Table, id: PeerId, roster: PortRoster, options: RollbackOptions, of: Simulation) {
    this.id = id;
    this.roster = roster;
    const world: RollbackWorld = {
      self: id,
      session: 1,
      roster: () => this.roster,
      reign: () => 0,
      tooLarge: (detail) => void this.failures.push(detail),
      present: () => this.roster.peers.flatMap((peer) => (peer.status === 'present' && peer.id !== id ? [peer.id] : [])),
      now: () => table.now + this.busyMs,
      roomTime: () => 1_000_000 + table.now + this.busyMs,
      transitMs: () => table.latencyMs,
      send: (to, how, bytes) => table.post(id, to, how, bytes),
      drop: (reason) => this.drops.push(reason),
      failed: (what, cause) => this.failures.push(`${what}: ${String(cause)}`),
      emit: (event, value) => {
        if (event === 'confirm') this.confirmed.push((value as RollbackEvents<unknown>['confirm']).tick);
        else this.events.push({ event, value });
        this.onEvent?.(event);
      },
      hears: () => true,
    };
    this.session = new RollbackSession(of, { ...OPTIONS, ...options } as SessionOptions, world);
  }

  get isFree(): boolean {
    return this.awake && this.busyMs === 0;
  }

  get state(): Count {
    return this.session.timeline.state as Count;
  }

  told(): readonly string[] {
    return this.events.map(({ event }) => event);
  }
}

export class Table {
  now = 0;
  latencyMs = 5;
  readonly peers: Seated[] = [];
  words: Word[] = [];
  /** False: the word is not taken, as by a full queue. */
  takes: (word: Word) => boolean = () => true;
  /** False: the word is taken, and lost. */
  arrives: (word: Word) => boolean = () => true;
  /** How long it takes. */
  delay: (word: Word) => number = () => this.latencyMs;
  readonly seats: PortPeer[] = [];
  host: PeerId;
  term = 1;

  constructor(names: readonly string[], options: RollbackOptions = {}, of: Simulation = counting) {
    this.host = names[0] as PeerId;
    names.forEach((id, slot) =>
      this.seats.push({ id: id as PeerId, slot: slot as Slot, status: 'present', spectator: false, eligible: true, via: undefined }),
    );
    for (const id of names) this.sit(id, options, of);
  }

  /** Begins a session of `id`; of one that has one, as a page that was reloaded. */
  sit(id: string, options: RollbackOptions = {}, of: Simulation = counting): Seated {
    const seated = new Seated(this, id as PeerId, this.roster(), options, of);
    const at = this.peers.findIndex((peer) => peer.id === id);
    if (at < 0) this.peers.push(seated);
    else {
      this.peers[at] = seated;
      for (const peer of this.peers) if (peer !== seated) peer.session.startedAnew(seated.id);
    }
    return seated;
  }

  roster(): PortRoster {
    return { roomId: 'room' as RoomId, name: 'room', max: 8, locked: false, epoch: 1, term: this.term, host: this.host, peers: [...this.seats] };
  }

  /** Everybody sees `id` as host from now on. */
  elect(id: string): void {
    this.host = id as PeerId;
    this.term++;
    for (const peer of this.peers) peer.roster = this.roster();
  }

  post(from: PeerId, to: PeerId, how: 'reliable' | 'unreliable', bytes: Uint8Array): boolean {
    const input = new PackReader(bytes);
    input.array(0xffff);
    const word: Omit<Word, 'at'> = { from, to, how, type: input.int(), bytes: bytes.slice() };
    if (!this.takes({ ...word, at: this.now })) return false;
    const at = this.now + this.delay({ ...word, at: this.now });
    if (how === 'reliable' || this.arrives({ ...word, at })) this.words.push({ ...word, at });
    return true;
  }

  /** Hands `to` a word that `from` never said. */
  forge(from: string, to: Seated, bytes: Uint8Array): void {
    this.#hand(from as PeerId, to, bytes);
  }

  #hand(from: PeerId, to: Seated, bytes: Uint8Array): void {
    const input = new PackReader(bytes);
    const count = input.array(0xffff);
    const type = input.int();
    input.int();
    input.int();
    to.session.handle(from, type, count, input);
  }

  /** Lets `ms` pass, a millisecond at a time. */
  play(ms: number): void {
    for (let end = this.now + ms; this.now < end;) {
      this.now++;
      for (const peer of this.peers) peer.busyMs = Math.max(0, peer.busyMs - 1);
      const due = this.words.filter((word) => word.at <= this.now && this.#of(word.to)?.isFree === true);
      this.words = this.words.filter((word) => !due.includes(word));
      for (const word of due) this.#hand(word.from, this.#of(word.to)!, word.bytes);
      for (const peer of this.peers) if (peer.isFree) peer.session.run(this.now);
    }
  }

  #of(id: PeerId): Seated | undefined {
    return this.peers.find((peer) => peer.id === id);
  }

  get(id: string): Seated {
    return this.#of(id as PeerId)!;
  }
}
