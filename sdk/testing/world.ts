/**
 * N peers under one virtual clock: the whole network half over an emulated network (`hosts.ts`), in one
 * room or in several. Each host has two ports and an identity; a restarted process keeps the identity or
 * draws another, and gets its randomness from where its predecessor stopped. It has no game: `openMemoryRooms` has.
 */
import type { PeerId, RoomId } from '../base/brand.ts';
import { toHex } from '../base/bytes.ts';
import { createRng, type Rng } from '../base/rng.ts';
import { Endpoint } from '../link/endpoint.ts';
import { Mesh } from '../mesh/mesh.ts';
import type { MeshOptions } from '../mesh/mesh-types.ts';
import type { PortEvent } from '../port/port.ts';
import type { CryptoProvider, KeyPair } from '../secure/provider.ts';
import { Host, JOIN_PORT, SESSION_PORT } from './host.ts';
import { Hosts, type HostsOptions } from './hosts.ts';

const DISCOVERY_MS = 500;

export interface WorldOptions extends HostsOptions {
  readonly peers: number;
  readonly code?: string;
  readonly max?: number;
  readonly graceMs?: number;
  /** True: every peer is told of every other it could hear, every half second, as discovery would. Default true. */
  readonly discovery?: boolean;
}

/** What a `World` tells whoever watches: checks, games, traces. */
export interface WorldWatcher {
  onLife?(now: number, peer: WorldPeer): void;
  onEvent?(now: number, peer: WorldPeer, event: PortEvent): void;
  onStep?(now: number, peer: WorldPeer): void;
}

/**
 * `found`: as the first member of its room; others may do so at the same time, and the parts merge. `join`: without a seat, until a
 * member gives it one.
 */
export type WorldEntry = MeshOptions['entry'];

/** How one process starts, besides its entry. */
export interface StartOptions {
  readonly spectate?: boolean;
  readonly newIdentity?: boolean;
  readonly code?: string;
  /** Another room than the world's. */
  readonly roomId?: RoomId;
  /** Crypto of this process alone, for members that cheat. */
  readonly crypto?: CryptoProvider;
}

/** One host on the emulated network, and the process that runs there now. */
export class WorldPeer extends Host<Mesh> {
  identity: KeyPair;
  roomId: RoomId;
  /** The links below the mesh, for checks of what they hold. */
  endpoint: Endpoint | undefined;

  constructor(index: number, rng: Rng, identity: KeyPair, driftPpm: number, roomId: RoomId) {
    super(index, rng, driftPpm);
    this.identity = identity;
    this.roomId = roomId;
  }

  get mesh(): Mesh | undefined {
    return this.process;
  }

  isLive(): boolean {
    const state = this.process?.joinState.type;
    return state === 'joined' || state === 'joining';
  }
}

export class World extends Hosts<Mesh, WorldPeer> {
  readonly watchers: WorldWatcher[] = [];
  readonly roomId: RoomId;
  discovery: boolean;
  readonly #options: WorldOptions;

  constructor(options: WorldOptions) {
    super(options);
    this.#options = options;
    this.roomId = toHex(this.crypto.randomBytes(16)) as RoomId;
    this.discovery = options.discovery ?? true;
    for (let i = 0; i < options.peers; i++) {
      const rng = createRng(this.rng.u32());
      this.add(new WorldPeer(i, rng, this.crypto.generateKeyPair(), options.driftPpm ?? 0, this.roomId));
    }
    this.#discoverLater();
  }

  byId(id: PeerId): WorldPeer | undefined {
    return this.peers.find((peer) => peer.process?.self === id);
  }

  live(): WorldPeer[] {
    return this.peers.filter((peer) => peer.isLive());
  }

  /** Starts a process on this host; whatever ran there is gone. */
  start(index: number, entry: WorldEntry, more: StartOptions = {}): WorldPeer {
    const peer = this.peer(index);
    const { code, max, graceMs } = this.#options;
    if (more.newIdentity === true) peer.identity = this.crypto.generateKeyPair();
    peer.roomId = more.roomId ?? this.roomId;
    const options: MeshOptions = {
      crypto: more.crypto ?? this.crypto,
      rng: createRng(peer.rng.u32()),
      identity: peer.identity,
      game: { id: 'sim', version: 1, schemaHash: 1 },
      roomId: peer.roomId,
      name: 'sim',
      max: max ?? 32,
      code: more.code ?? code,
      spectate: more.spectate ?? false,
      entry,
      joinPort: JOIN_PORT,
      sessionPort: SESSION_PORT,
      addresses: peer.ownAddresses,
      wallClockMs: 1_700_000_000_000 + this.now + peer.index * 13 + peer.wallErrorMs,
      ...(graceMs === undefined ? {} : { graceMs }),
    };
    const mesh = new Mesh(peer.clock(this.now), options, (endpoint) => (peer.endpoint = new Endpoint(endpoint)));
    this.begin(peer, mesh);
    for (const watcher of this.watchers) watcher.onLife?.(this.now, peer);
    this.drain(peer);
    return peer;
  }

  leave(index: number): void {
    const peer = this.peer(index);
    peer.process?.leave(peer.clock(this.now));
    this.drain(peer);
  }

  /** The host has another address from now on, and its process notices. */
  move(index: number, host: string): void {
    this.readdress(index, host);
    this.tellAddress(index);
  }

  /** What the run loop does when its interfaces have changed. */
  tellAddress(index: number): void {
    const peer = this.peer(index);
    peer.process?.setAddresses(peer.clock(this.now), peer.ownAddresses);
    this.drain(peer);
  }

  #discoverLater(): void {
    this.at(this.now + DISCOVERY_MS * (0.8 + 0.4 * this.rng.float()), () => {
      if (this.discovery) this.#discover();
      this.#discoverLater();
    });
  }

  #discover(): void {
    for (const peer of this.peers) {
      const { process } = peer;
      if (process === undefined || peer.suspended || peer.stalledUntil > this.now) continue;
      for (const other of this.peers) {
        if (other === peer || other.process === undefined || this.net.isBlocked(other.host, peer.host)) continue;
        for (const address of other.addresses) process.addCandidate(peer.clock(this.now), address);
      }
      this.drain(peer);
    }
  }

  protected takeEvents(peer: WorldPeer): boolean {
    const event = peer.process?.poll();
    if (event === undefined) return false;
    this.trace(this.now, peer.index, event.type.length);
    for (const watcher of this.watchers) watcher.onEvent?.(this.now, peer, event);
    return true;
  }

  protected onDrained(peer: WorldPeer): void {
    for (const watcher of this.watchers) watcher.onStep?.(this.now, peer);
  }
}
