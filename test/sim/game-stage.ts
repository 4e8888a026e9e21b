/**
 * Where the simulated game is played: a `Stage` gives members seats in one room under a virtual clock, and takes them away again. This one is
 * the in-memory port, whose roster is one for all; `game-mesh.ts` is the whole network half.
 */
import type { PeerId } from 'lanista';
import type { Rng } from '../../sdk/base/rng.ts';
import type { LocalTime } from '../../sdk/port/lan-port.ts';
import { MemoryHub, MemoryRoom } from '../../sdk/port/memory.ts';
import type { Channel, PortEvent, PortRoster, PortStats, RoomPort } from '../../sdk/port/port.ts';
import { simGame } from './game-rules.ts';

/** A seat taken: what a room needs to be opened on it. */
export interface Seating {
  readonly index: number;
  readonly port: RoomPort;
  readonly time: LocalTime;
}

export interface StageEvents {
  /** A member has a seat: open a room on it. */
  seated(seating: Seating): void;
  /** A process or page is gone between two instructions. */
  ended(index: number): void;
  trace(line: string): void;
}

export interface Stage {
  readonly now: number;
  /** How long who is gone without a word keeps the seat, ms. */
  readonly graceMs: number;
  /** Members with a seat now. */
  readonly seated: readonly number[];
  /** Lets time pass; promises get their turns. */
  play(ms: number): Promise<void>;
  /** One blow of fate. */
  strike(rng: Rng): void;
  /** Faults end, cuts mend, and all but a few come back. */
  heal(rng: Rng): void;
  /** What the members' lists still disagree on; undefined when they are one. */
  disagreement(): string | undefined;
  readonly hash: number;
}

/** A port that reports what is polled from it, and falls silent when its process is gone. */
export class Tap implements RoomPort {
  readonly #port: RoomPort;
  readonly #seen: (event: PortEvent) => void;
  dead = false;

  constructor(port: RoomPort, seen: (event: PortEvent) => void) {
    this.#port = port;
    this.#seen = seen;
  }

  get onWake(): (() => void) | undefined {
    return this.#port.onWake;
  }
  set onWake(wake: (() => void) | undefined) {
    this.#port.onWake = wake;
  }
  get self(): PeerId {
    return this.#port.self;
  }
  roster(): PortRoster {
    return this.#port.roster();
  }
  get over(): boolean {
    return this.#port.over;
  }
  send(now: number, to: PeerId, channel: Channel, bytes: Uint8Array, lane?: number): boolean {
    return !this.dead && this.#port.send(now, to, channel, bytes, lane);
  }
  queued(to: PeerId, lane: number): number {
    return this.#port.queued(to, lane);
  }
  flush(now: number): void {
    if (!this.dead) this.#port.flush(now);
  }
  poll(): PortEvent | undefined {
    const event = this.dead ? undefined : this.#port.poll();
    if (event !== undefined) this.#seen(event);
    return event;
  }
  time(now: number): number {
    return this.#port.time(now);
  }
  timeErrorMs(now: number): number {
    return this.#port.timeErrorMs(now);
  }
  setEligible(now: number, eligible: boolean): void {
    if (!this.dead) this.#port.setEligible(now, eligible);
  }
  kick(now: number, peer: PeerId): boolean {
    return !this.dead && this.#port.kick(now, peer);
  }
  leave(now: number): void {
    if (!this.dead) this.#port.leave(now);
  }
  stats(now: number): PortStats {
    return this.#port.stats(now);
  }
}

/** The virtual clock of one life: after the life has ended nothing it scheduled happens. */
export class Mortal implements LocalTime {
  readonly #time: LocalTime;
  #dead = false;

  constructor(time: LocalTime) {
    this.#time = time;
  }

  now(): number {
    return this.#time.now();
  }
  schedule(at: number, tick: () => void): void {
    if (!this.#dead) this.#time.schedule(at, tick);
  }
  cancel(): void {
    this.#time.cancel();
  }
  die(): void {
    this.#dead = true;
    this.#time.cancel();
  }
}

/** Gives promises their turns. */
export async function turns(count = 6): Promise<void> {
  for (let i = 0; i < count; i++) await Promise.resolve();
}

interface MemoryMember {
  readonly id: PeerId;
  time: Mortal | undefined;
  cut: boolean;
  banned: boolean;
}

const BLOWS = ['leave', 'crash', 'reload', 'cut', 'hide', 'kick'] as const;

/** Members over the in-memory port: loss and jitter of datagrams, pages that go, reload, crash, are cut off, hidden or kicked. */
export class MemoryStage implements Stage {
  /** Whoever is gone when the faults end is given up there and then. */
  readonly graceMs = 0;
  readonly #hub: MemoryHub;
  readonly #members: MemoryMember[] = [];
  readonly #events: StageEvents;
  readonly #blows: readonly string[];
  #room: MemoryRoom | undefined;
  #calm = false;

  constructor(rng: Rng, members: number, events: StageEvents) {
    this.#events = events;
    const maybe = (most: number): number => (rng.chance(0.6) ? rng.float() * most : 0);
    this.#hub = new MemoryHub({ seed: rng.u32(), latencyMs: 0.2 + maybe(60), jitterMs: maybe(80), lossRatio: maybe(0.4) });
    for (let i = 0; i < members; i++) this.#members.push({ id: this.#hub.name(), time: undefined, cut: false, banned: false });
    const chosen = BLOWS.filter(() => rng.chance(0.6));
    this.#blows = chosen.length === 0 ? ['crash'] : chosen;
    events.trace(`memory: latency ${this.#hub.latencyMs} jitter ${this.#hub.jitterMs} loss ${this.#hub.lossRatio}, ${this.#blows.join(' ')}`);
    // Most are there at the start, the rest come late.
    for (let i = 0; i < members; i++) if (i < 2 || rng.chance(0.6)) this.#after(rng.float() * 1_000, () => this.#enter(i));
  }

  get now(): number {
    return this.#hub.now();
  }

  get seated(): readonly number[] {
    return this.#members.flatMap(({ time, cut }, i) => (time !== undefined && !cut ? [i] : []));
  }

  get hash(): number {
    return this.#hub.rng.save()[0];
  }

  async play(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 5) {
      this.#hub.advance(Math.min(5, left));
      await turns();
    }
  }

  #after(ms: number, run: () => void): void {
    this.#hub.post(ms, run);
  }

  #enter(index: number): void {
    const member = this.#members[index]!;
    if (member.time !== undefined || member.banned) return;
    if (this.#room === undefined || this.#room.seats.size === 0) {
      if (this.#room !== undefined) for (const one of this.#members) one.banned = false;
      this.#room = new MemoryRoom(this.#hub, simGame, 'den', 16, undefined, member.id);
    }
    this.#events.trace(`${Math.round(this.now)} enter ${index}`);
    const port = this.#room.enter(member.id, false);
    member.time = new Mortal(this.#hub.clock());
    member.cut = false;
    this.#events.seated({ index, port, time: member.time });
  }

  /** The page or process of `index` is gone without a word. */
  #end(index: number): void {
    const member = this.#members[index]!;
    member.time?.die();
    member.time = undefined;
    member.cut = false;
    this.#events.ended(index);
  }

  strike(rng: Rng): void {
    if (this.#calm) return;
    const absent = this.#members.flatMap(({ time, banned }, i) => (time === undefined && !banned ? [i] : []));
    if (absent.length > 0 && rng.chance(0.25)) return this.#enter(absent[rng.int(absent.length)]!);
    const { seated } = this;
    if (seated.length < 2) return;
    const blow = this.#blows[rng.int(this.#blows.length)]!;
    const host = this.#members.findIndex(({ id }) => id === this.#room!.roster.host);
    const index = rng.chance(0.4) && seated.includes(host) ? host : seated[rng.int(seated.length)]!;
    const member = this.#members[index]!;
    const room = this.#room!;
    this.#events.trace(`${Math.round(this.now)} ${blow} ${index}`);
    switch (blow) {
      case 'leave':
        room.remove(member.id, 'bye');
        return this.#end(index);
      case 'crash': {
        room.setAway(member.id, true);
        this.#end(index);
        // Some come back to their seat; the seats of others are given up.
        if (rng.chance(0.5)) return this.#after(200 + rng.float() * 2_000, () => this.#calm || this.#enter(index));
        return this.#after(1_000 + rng.float() * 2_000, () => this.#giveUp(index));
      }
      case 'reload':
        this.#end(index);
        return this.#enter(index);
      case 'cut': {
        // A few at once: the others play on, and they play on alone.
        const some = seated.filter((one) => one === index || rng.chance(0.3)).slice(0, seated.length - 1);
        for (const one of some) this.#cut(one, true);
        return this.#after(300 + rng.float() * 3_000, () => some.forEach((one) => this.#cut(one, false)));
      }
      case 'hide': {
        room.seats.get(member.id)?.port.setEligible(this.now, false);
        return this.#after(200 + rng.float() * 3_000, () => room.seats.get(member.id)?.port.setEligible(this.now, true));
      }
      default:
        member.banned = true;
        room.remove(member.id, 'kicked');
        return this.#end(index);
    }
  }

  #cut(index: number, cut: boolean): void {
    const member = this.#members[index]!;
    if (member.time === undefined || member.cut === cut) return;
    member.cut = cut;
    this.#room!.setAway(member.id, cut);
  }

  #giveUp(index: number): void {
    const member = this.#members[index]!;
    if (member.time === undefined) this.#room!.remove(member.id, 'timeout');
  }

  heal(rng: Rng): void {
    this.#calm = true;
    this.#hub.lossRatio = 0;
    this.#members.forEach((member, index) => {
      this.#cut(index, false);
      if (member.time === undefined && rng.chance(0.6)) this.#enter(index);
    });
    this.#members.forEach((_, index) => this.#giveUp(index));
    for (const { port } of this.#room?.seats.values() ?? []) port.setEligible(this.now, true);
    if (this.seated.length < 2) this.#members.forEach((_, index) => this.#enter(index));
  }

  disagreement(): string | undefined {
    return undefined;
  }
}
