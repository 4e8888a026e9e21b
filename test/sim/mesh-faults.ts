/**
 * Faults of rooms: what members do to each other, beside what networks and machines do to them.
 */
import type { RoomId } from '../../sdk/base/brand.ts';
import type { World, WorldPeer } from '../../sdk/testing/index.ts';
import { Byzantine } from './byzantine.ts';
import { HostFaults, type drawNetwork } from './host-faults.ts';
import { logUniform, pick, sample, type Draw } from './plan.ts';

type Network = ReturnType<typeof drawNetwork>;

/** How a member may stay broken for ever. */
export const FATES = ['dead', 'cut', 'deaf', 'mute', 'stalled'] as const;
type Fate = (typeof FATES)[number];

export class MeshFaults {
  readonly hosts: HostFaults<NonNullable<WorldPeer['mesh']>, WorldPeer>;
  /** Members that cheat, and how. */
  readonly byzantine = new Map<WorldPeer, Byzantine>();
  /** Somebody was thrown out: that identity never comes back. */
  readonly kicked = new Set<number>();
  /** Whoever is whole again after healing: nobody else can be asked for a seat. Undefined while faults last. */
  core: ReadonlySet<WorldPeer> | undefined;
  /** Whoever stays broken, and how; nothing else happens to it. */
  readonly #broken = new Map<WorldPeer, { readonly fate: Fate; readonly core: ReadonlySet<WorldPeer> }>();
  /** Processes told to leave. */
  readonly #left = new Set<WorldPeer['mesh']>();
  readonly #world: World;
  readonly #draw: Draw;
  readonly #trace: (line: string) => void;
  /** The room each host belongs to; all the same unless the seed has two. */
  readonly #rooms: RoomId[];
  readonly #members: readonly WorldPeer[];
  #calm = false;

  constructor(world: World, members: readonly WorldPeer[], network: Network, draw: Draw, trace: (line: string) => void) {
    this.#world = world;
    this.#members = members;
    this.#draw = draw;
    this.#trace = trace;
    const second = draw.has('two-rooms', 0.1) ? ((world.roomId.slice(16) + world.roomId.slice(0, 16)) as RoomId) : undefined;
    const rng = draw.rng('two-rooms');
    this.#rooms = world.peers.map((_, i) => (second !== undefined && i > 1 && (i < 4 || rng.chance(0.5)) ? second : world.roomId));
    this.hosts = new HostFaults(
      world,
      network,
      {
        victims: () => this.#victims().map((peer) => peer.index),
        restart: (index, afterMs, amnesia) => this.#later(afterMs, () => this.start(index, amnesia)),
        moved: (index) => {
          this.breakAgain();
          this.#later(200 + draw.rng('notice').float() * 2_000, () => world.tellAddress(index));
        },
        isBroken: (index) => this.#broken.has(world.peer(index)),
      },
      trace,
    );
    if (draw.has('byzantine', 0.12)) {
      const liars = draw.rng('byzantine');
      for (const peer of sample(liars, members, 1 + liars.int(2))) this.byzantine.set(peer, new Byzantine(world.crypto, liars));
    }
  }

  roomOf(index: number): RoomId {
    return this.#rooms[index]!;
  }

  /** From now on this host's processes ask for that room. */
  assign(index: number, room: RoomId): void {
    this.#rooms[index] = room;
  }

  /** Live members of one host's room, itself included. */
  companions(index: number): WorldPeer[] {
    return this.#world.live().filter((peer) => peer.roomId === this.roomOf(index));
  }

  /** Saying goodbye, or thrown out and perhaps not told yet: this process will not stay. */
  isGoing(peer: WorldPeer): boolean {
    return this.kicked.has(peer.index) || this.#left.has(peer.mesh);
  }

  #leaveRoom(peer: WorldPeer): void {
    this.#left.add(peer.mesh);
    this.#world.leave(peer.index);
  }

  /** Nobody is struck when only two are left. */
  #victims(): readonly WorldPeer[] {
    const live = this.#world.live();
    return live.length <= 2 ? [] : live.filter((peer) => this.#members.includes(peer) && !this.#broken.has(peer));
  }

  // ── broken for good ───────────────────────────────────────────────────────────────────────────────

  breakForEver(peer: WorldPeer, fate: Fate, core: ReadonlySet<WorldPeer>): void {
    this.#trace(`${Math.round(this.#world.now)} ${peer.index} is ${fate} for ever`);
    this.#broken.set(peer, { fate, core });
    // A process that sleeps would learn only when it wakes that it is deaf, and all others with it.
    this.hosts.restore(peer);
    this.#breakNow(peer, fate, core);
  }

  /** Breaks anew what a healed network or another address has mended. */
  breakAgain(): void {
    for (const [peer, { fate, core }] of this.#broken) this.#breakNow(peer, fate, core);
  }

  #breakNow(peer: WorldPeer, fate: Fate, core: ReadonlySet<WorldPeer>): void {
    const world = this.#world;
    const others = world.peers.filter((other) => other !== peer);
    // The newcomer at the end would be a bridge to those who are cut off, so it counts as one of the core.
    const heals = (other: WorldPeer): boolean => core.has(other) || !this.#members.includes(other);
    switch (fate) {
      case 'dead':
        return world.crash(peer.index);
      case 'stalled':
        return world.stall(peer.index, Infinity);
      case 'cut':
        for (const other of others) world.cut(peer.index, other.index);
        return;
      case 'deaf':
        for (const other of others) if (heals(other)) world.cutOneWay(other.index, peer.index);
        return;
      case 'mute':
        for (const other of others) if (heals(other)) world.cutOneWay(peer.index, other.index);
    }
  }

  #later(ms: number, run: () => void): void {
    this.#world.at(this.#world.now + ms, () => {
      if (!this.#calm) run();
    });
  }

  calm(): void {
    this.#calm = true;
    this.hosts.calm();
  }

  /** Somebody in this host's room has a seat, so that there is a room to join. */
  #isRoomThere(index: number): boolean {
    return this.companions(index).some((one) => one.mesh?.joinState.type === 'joined' && this.core?.has(one) !== false);
  }

  /**
   * Where everybody only asks for a seat and nobody has one, no network makes a room: their joins fail, and
   * the first to start again founds it. That wait is over now.
   */
  endVainJoins(): void {
    for (const peer of this.core ?? []) if (peer.mesh?.joinState.type === 'joining' && !this.#isRoomThere(peer.index)) this.#world.crash(peer.index);
  }

  /** Starts a process on the host; it founds the room when nobody has a seat there. */
  start(index: number, newIdentity: boolean, founds = false): void {
    const world = this.#world;
    const peer = world.peer(index);
    if (peer.isLive() || this.#broken.has(peer)) return;
    const entry = founds || !this.#isRoomThere(index) ? 'found' : 'join';
    const anew = newIdentity || this.kicked.delete(index);
    this.#trace(`${Math.round(world.now)} start ${index} ${entry}${anew ? ' as somebody new' : ''}`);
    const liar = this.byzantine.get(peer);
    world.start(index, entry, { newIdentity: anew, roomId: this.roomOf(index), ...(liar === undefined ? {} : { crypto: liar.crypto }) });
  }

  /** Everybody comes: all founding at once, all joining at once, or one after another. */
  begin(): void {
    const rng = this.#draw.rng('begin');
    const split = this.#draw.has('split-start', 0.3);
    const atOnce = this.#draw.has('join-at-once', 0.3);
    this.#members.forEach((peer, i) => {
      const after = split ? rng.float() * 50 : atOnce ? (i === 0 ? 0 : 300) : rng.float() * 1_000;
      this.#world.at(after, () => this.start(peer.index, false, split));
    });
  }

  arm(): void {
    this.hosts.arm(this.#draw);
    this.#own('crash-host', 0.4, 5_000, () => this.#crashHost());
    this.#own('leave', 0.4, 4_000, () => this.#leave());
    this.#own('leave-at-join', 0.2, 6_000, () => this.#leaveAtJoin());
    this.#own('kick', 0.2, 9_000, () => this.#kick());
    this.#own('found-again', 0.2, 8_000, () => this.#foundAgain());
    this.#own('discovery-lost', 0.2, 6_000, () => this.#loseDiscovery());
    this.#own('stale-record', 0.2, 4_000, () => this.#staleRecord());
    this.#own('ineligible', 0.2, 4_000, () => this.#toggleEligible());
  }

  #own(name: string, chance: number, gapMs: number, strike: () => void): void {
    if (!this.#draw.has(name, chance)) return;
    this.hosts.every(this.#draw.rng(`${name} gap`), gapMs, () => {
      this.#trace(`${Math.round(this.#world.now)} ${name}`);
      strike();
    });
  }

  #hostOf(peer: WorldPeer | undefined): WorldPeer | undefined {
    const host = peer?.mesh?.roster().host;
    return host === undefined ? undefined : this.#world.byId(host);
  }

  #anyone(rng = this.#world.rng): WorldPeer | undefined {
    const victims = this.#victims();
    return victims.length === 0 ? undefined : pick(rng, victims);
  }

  #crashHost(): void {
    const host = this.#hostOf(this.#anyone());
    if (host === undefined || this.#victims().length === 0) return;
    this.#world.crash(host.index);
    this.#later(logUniform(this.#world.rng, 20, 6_000), () => this.start(host.index, false));
  }

  #leave(): void {
    const peer = this.#anyone();
    if (peer === undefined) return;
    this.#leaveRoom(peer);
    this.#later(500 + this.#world.rng.float() * 3_000, () => this.start(peer.index, this.#world.rng.chance(0.3)));
  }

  /** Somebody asks for a seat just when the host goes. */
  #leaveAtJoin(): void {
    const peer = this.#anyone();
    const host = this.#hostOf(peer);
    if (peer === undefined || host === undefined || host === peer) return;
    this.#world.crash(peer.index);
    this.#later(300, () => {
      this.start(peer.index, true);
      this.#later(this.#world.rng.float() * 60, () => {
        if (this.#victims().length === 0) return;
        this.#leaveRoom(host);
        this.#later(2_000, () => this.start(host.index, false));
      });
    });
  }

  #kick(): void {
    const host = this.#hostOf(this.#anyone());
    const victim = this.#anyone();
    if (host?.mesh === undefined || victim?.mesh === undefined || victim === host || victim.roomId !== host.roomId) return;
    if (host.stalledUntil > this.#world.now || !host.mesh.kick(host.clock(this.#world.now), victim.mesh.self)) return;
    this.kicked.add(victim.index);
    this.#world.drain(host);
  }

  /** A member starts again as a founder, though the room is there. */
  #foundAgain(): void {
    const peer = this.#anyone();
    if (peer === undefined) return;
    this.#world.crash(peer.index);
    this.#later(50 + this.#world.rng.float() * 1_000, () => this.start(peer.index, this.#world.rng.chance(0.5), true));
  }

  #loseDiscovery(): void {
    this.#world.discovery = false;
    this.#later(500 + this.#world.rng.float() * 5_000, () => (this.#world.discovery = true));
  }

  /** Discovery names an address where nobody is, or somebody of another room. */
  #staleRecord(): void {
    const peer = this.#anyone();
    const other = this.#anyone();
    if (peer?.mesh === undefined || other === undefined || peer.stalledUntil > this.#world.now) return;
    const address = this.#world.rng.chance(0.5) ? { host: `10.7.0.${this.#world.rng.int(250)}`, port: 40_000 } : other.address;
    peer.mesh.addCandidate(peer.clock(this.#world.now), address);
    this.#world.drain(peer);
  }

  #toggleEligible(): void {
    const peer = this.#anyone();
    if (peer?.mesh === undefined || peer.stalledUntil > this.#world.now) return;
    peer.mesh.setEligible(peer.clock(this.#world.now), this.#world.rng.chance(0.5));
    this.#world.drain(peer);
  }

  /** Every seat may be host again. */
  restoreEligible(): void {
    for (const peer of this.#world.live()) {
      peer.mesh?.setEligible(peer.clock(this.#world.now), true);
      this.#world.drain(peer);
    }
  }
}
