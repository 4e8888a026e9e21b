/**
 * The stage that is the whole network half: the rooms sit on real meshes over the simulator's network, with its loss, partitions, crashes
 * and stalls, exactly as they do in a process.
 */
import type { PeerId } from 'lanista';
import type { Rng } from '../../sdk/base/rng.ts';
import type { LocalTime } from '../../sdk/port/lan-port.ts';
import type { Channel, PortEvent, PortRoster, PortStats, RoomPort } from '../../sdk/port/port.ts';
import { Agreement, World, type NetemOptions, type WorldPeer } from '../../sdk/testing/index.ts';
import { DEFAULT_GRACE_MS } from '../../sdk/wire/limits.ts';
import { Mortal, turns, type Stage, type StageEvents } from './game-stage.ts';

/** One peer's appointment with the world's clock; a stalled process misses it until it wakes. */
export class WorldTime implements LocalTime {
  readonly #world: World;
  readonly #peer: WorldPeer;
  #at = Number.POSITIVE_INFINITY;
  #tick: (() => void) | undefined;
  /** The earliest wake-up that the world already holds for us. */
  #armed = Number.POSITIVE_INFINITY;

  constructor(world: World, peer: WorldPeer) {
    this.#world = world;
    this.#peer = peer;
  }

  now(): number {
    return this.#peer.clock(this.#world.now);
  }

  schedule(at: number, tick: () => void): void {
    // A hair late: rounded down to our clock, the deadline would not be there yet.
    this.#at = Math.max(this.#world.now, this.#peer.worldTime(at) + 1e-4);
    this.#tick = tick;
    this.#arm(this.#at);
  }

  cancel(): void {
    this.#at = Number.POSITIVE_INFINITY;
    this.#tick = undefined;
  }

  #arm(at: number): void {
    if (at >= this.#armed || at === Number.POSITIVE_INFINITY) return;
    this.#armed = at;
    this.#world.at(at, () => {
      if (this.#armed === at) this.#armed = Number.POSITIVE_INFINITY;
      this.#ring();
    });
  }

  #ring(): void {
    if (this.#tick === undefined) return;
    const due = Math.max(this.#at, this.#peer.stalledUntil);
    if (due > this.#world.now) return this.#arm(due);
    const tick = this.#tick;
    this.cancel();
    tick();
  }
}

/** A mesh as a room's port: after every command the world takes out what the mesh has to say. */
export class MeshPort implements RoomPort {
  readonly self: PeerId;
  onWake: (() => void) | undefined;
  readonly events: PortEvent[] = [];
  readonly #world: World;
  readonly #peer: WorldPeer;
  readonly #mesh: NonNullable<WorldPeer['mesh']>;

  constructor(world: World, peer: WorldPeer) {
    this.#world = world;
    this.#peer = peer;
    this.#mesh = peer.mesh!;
    this.self = this.#mesh.self;
  }

  #drain(): void {
    if (this.#peer.mesh === this.#mesh) this.#world.drain(this.#peer);
  }

  roster(): PortRoster {
    return this.#mesh.roster();
  }
  get over(): boolean {
    return this.#mesh.over;
  }
  send(now: number, to: PeerId, channel: Channel, bytes: Uint8Array, lane?: number): boolean {
    return this.#mesh.send(now, to, channel, bytes, lane);
  }
  queued(to: PeerId, lane: number): number {
    return this.#mesh.queued(to, lane);
  }
  flush(now: number): void {
    this.#mesh.flush(now);
    this.#drain();
  }
  poll(): PortEvent | undefined {
    return this.events.shift();
  }
  time(now: number): number {
    return this.#mesh.time(now);
  }
  timeErrorMs(now: number): number {
    return this.#mesh.timeErrorMs(now);
  }
  setEligible(now: number, eligible: boolean): void {
    this.#mesh.setEligible(now, eligible);
    this.#drain();
  }
  kick(now: number, peer: PeerId): boolean {
    const done = this.#mesh.kick(now, peer);
    this.#drain();
    return done;
  }
  leave(now: number): void {
    this.#mesh.leave(now);
    this.#drain();
  }
  stats(now: number): PortStats {
    return this.#mesh.stats(now);
  }
}

interface MeshLife {
  readonly port: MeshPort;
  readonly time: Mortal;
  opened: boolean;
}

const BLOWS = ['crash', 'crash-host', 'leave', 'stall', 'halves', 'isolate', 'one-way', 'hide'] as const;

/** Milder than the membership's own simulation: here what matters is what the game sees. */
function network(rng: Rng): Omit<NetemOptions, 'seed'> {
  const maybe = (most: number): number => (rng.chance(0.5) ? rng.float() * most : 0);
  return {
    lossRatio: maybe(0.2),
    burstRatio: maybe(0.003),
    burstLength: 1 + rng.int(20),
    duplicateRatio: maybe(0.2),
    delayMs: 0.2 + maybe(40),
    jitterMs: maybe(40),
    reorderRatio: maybe(0.2),
  };
}

export class MeshStage implements Stage {
  readonly graceMs: number;
  readonly #world: World;
  readonly #agreement: Agreement;
  readonly #events: StageEvents;
  readonly #lives = new Map<number, MeshLife>();
  readonly #blows: readonly string[];
  #calm = false;

  constructor(rng: Rng, members: number, events: StageEvents) {
    this.#events = events;
    // Who crashed and stays away holds a seat, and what it owned, for so long; the last is what a room has if its game says nothing.
    this.graceMs = rng.chance(0.45) ? 2_000 : rng.chance(0.8) ? 8_000 : DEFAULT_GRACE_MS;
    this.#world = new World({
      seed: rng.u32(),
      peers: members,
      network: network(rng),
      driftPpm: rng.chance(0.5) ? 300 : 0,
      graceMs: this.graceMs,
    });
    this.#agreement = new Agreement(this.#world);
    // Only asked whether the lists agree: its own numbered messages are not sent here, and ours are not its.
    this.#world.watchers.length = 0;
    const chosen = BLOWS.filter(() => rng.chance(0.5));
    this.#blows = chosen.length === 0 ? ['crash'] : chosen;
    events.trace(`mesh: ${this.#blows.join(' ')}`);
    this.#world.watchers.push({
      onLife: (_now, peer) => this.#born(peer),
      onEvent: (_now, peer, event) => this.#heard(peer, event),
      onStep: (_now, peer) => this.#step(peer),
    });
    // Clocks of machines that are not on the internet are hours apart.
    for (const peer of this.#world.peers) peer.wallErrorMs = (2 - peer.index) * 3_600_000;
    for (let i = 0; i < members; i++) if (i < 2 || rng.chance(0.6)) this.#world.at(rng.float() * 1_000, () => this.#start(i, false));
  }

  get now(): number {
    return this.#world.now;
  }

  get hash(): number {
    return Number.parseInt(this.#world.traceHash, 16);
  }

  get seated(): readonly number[] {
    return [...this.#lives].flatMap(([index, { opened }]) => (opened && this.#world.peer(index).mesh?.joinState.type === 'joined' ? [index] : []));
  }

  async play(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 5) {
      this.#world.run(Math.min(5, left));
      await turns();
    }
  }

  #start(index: number, newIdentity: boolean): void {
    const world = this.#world;
    const peer = world.peer(index);
    if (peer.isLive()) return;
    const joined = world.live().some((one) => one.mesh?.joinState.type === 'joined');
    this.#events.trace(`${Math.round(world.now)} start ${index}${newIdentity ? ' as somebody new' : ''}`);
    world.start(index, joined ? 'join' : 'found', { newIdentity });
  }

  #born(peer: WorldPeer): void {
    this.#end(peer.index);
    const port = new MeshPort(this.#world, peer);
    this.#lives.set(peer.index, { port, time: new Mortal(new WorldTime(this.#world, peer)), opened: false });
  }

  #heard(peer: WorldPeer, event: PortEvent): void {
    const life = this.#lives.get(peer.index);
    if (life === undefined) return;
    life.port.events.push(event);
    life.port.onWake?.();
  }

  #step(peer: WorldPeer): void {
    const life = this.#lives.get(peer.index);
    if (life === undefined || life.opened || peer.mesh?.joinState.type !== 'joined') return;
    // As the local process does: a room begins once its time agrees with the others'.
    if (peer.mesh.timeErrorMs(peer.clock(this.#world.now)) === Infinity) return;
    life.opened = true;
    this.#world.at(this.#world.now, () => {
      if (this.#lives.get(peer.index) === life) this.#events.seated({ index: peer.index, port: life.port, time: life.time });
    });
  }

  #end(index: number): void {
    const life = this.#lives.get(index);
    if (life === undefined) return;
    this.#lives.delete(index);
    life.time.die();
    this.#events.ended(index);
  }

  #later(ms: number, run: () => void): void {
    this.#world.at(this.#world.now + ms, () => this.#calm || run());
  }

  strike(rng: Rng): void {
    if (this.#calm) return;
    const world = this.#world;
    const live = world.live();
    const absent = world.peers.filter((peer) => !peer.isLive());
    if (absent.length > 0 && rng.chance(0.3)) return this.#start(absent[rng.int(absent.length)]!.index, rng.chance(0.3));
    if (live.length < 3) return;
    const blow = this.#blows[rng.int(this.#blows.length)]!;
    const host = world.byId(live[0]!.mesh!.roster().host);
    const victim = blow === 'crash-host' && host !== undefined ? host : live[rng.int(live.length)]!;
    const { index } = victim;
    this.#events.trace(`${Math.round(world.now)} ${blow} ${index}`);
    const all = world.peers.map((peer) => peer.index);
    const others = all.filter((one) => one !== index);
    const mend = (): void => this.#later(300 + rng.float() * 4_000, () => world.mend());
    switch (blow) {
      case 'crash':
      case 'crash-host': {
        world.crash(index);
        this.#end(index);
        const somebodyNew = rng.chance(0.3);
        return this.#later(50 + rng.float() * 4_000, () => this.#start(index, somebodyNew));
      }
      case 'leave':
        world.leave(index);
        return this.#later(500 + rng.float() * 3_000, () => this.#start(index, false));
      case 'stall':
        return world.stall(index, 100 + rng.float() * 2_500);
      case 'hide': {
        const { mesh } = victim;
        mesh?.setEligible(victim.clock(world.now), false);
        world.drain(victim);
        return this.#later(500 + rng.float() * 2_000, () => {
          if (victim.mesh !== mesh || mesh === undefined) return;
          mesh.setEligible(victim.clock(world.now), true);
          world.drain(victim);
        });
      }
      case 'halves': {
        const half = all.filter(() => rng.chance(0.5));
        world.partition(
          half,
          all.filter((one) => !half.includes(one)),
        );
        return mend();
      }
      case 'isolate':
        world.partition([index], others);
        return mend();
      default:
        world.cutOneWay(index, others[rng.int(others.length)]!);
        return mend();
    }
  }

  heal(rng: Rng): void {
    this.#calm = true;
    const world = this.#world;
    world.net.heal();
    world.mend();
    for (const peer of world.peers) {
      peer.stalledUntil = Math.min(peer.stalledUntil, world.now);
      if (!peer.isLive() && (world.live().length < 2 || rng.chance(0.6))) this.#start(peer.index, false);
    }
  }

  disagreement(): string | undefined {
    // Processes whose join failed start again, as somebody at the keyboard would do.
    for (const peer of this.#world.peers) if (peer.mesh?.joinState.type === 'failed') this.#start(peer.index, false);
    return this.#agreement.disagreement();
  }
}
