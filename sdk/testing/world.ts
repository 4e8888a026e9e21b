/**
 * N peers in one room under one virtual clock: the whole network half over an emulated network, with
 * faults. The loop jumps from one wake-up to the next, so minutes of bad network take moments, and the
 * same seed gives the same run to the last byte (`traceHash`).
 *
 *   step: next of {datagram arrives, a peer's deadline, something scheduled}
 *         -> hand it in -> drain that peer: transmit -> events -> deadline
 *
 * Every peer has its own monotonic clock (offset and drift), its own two ports, and lives: a crash ends
 * a life without a word, a restart begins another with or without the same identity. A stalled peer gets
 * nothing until it wakes; then everything its socket held arrives at once.
 */
import type { PeerId, RoomId } from '../base/brand.ts';
import { toHex } from '../base/bytes.ts';
import { createRng, type Rng } from '../base/rng.ts';
import type { Address, SocketKind } from '../link/endpoint-types.ts';
import { Mesh } from '../mesh/mesh.ts';
import type { MeshOptions } from '../mesh/mesh-types.ts';
import type { PortEvent } from '../port/port.ts';
import type { CryptoProvider, KeyPair } from '../secure/provider.ts';
import { Netem, type NetemOptions } from './netem.ts';
import { NonceRegistry, createSimCrypto } from './sim-crypto.ts';

export const JOIN_PORT = 40_000;
export const SESSION_PORT = 40_001;

/** Datagrams a stalled process's socket holds. */
const SOCKET_HOLDS = 3_000;
const DISCOVERY_MS = 500;
/** Steps one peer may take without time passing before we call it a busy loop. */
const MAX_STEPS_PER_INSTANT = 10_000;

export interface WorldOptions {
  readonly seed: number;
  readonly peers: number;
  readonly network?: Omit<NetemOptions, 'seed'>;
  readonly code?: string;
  readonly max?: number;
  readonly graceMs?: number;
  /** True: every peer is told of every other it could hear, every half second, as discovery would. Default true. */
  readonly discovery?: boolean;
  /** Drift of each peer's clock, up to this many parts per million either way. */
  readonly driftPpm?: number;
}

/** What a `World` tells whoever watches: checks, games, traces. */
export interface WorldWatcher {
  onLife?(now: number, peer: WorldPeer): void;
  onEvent?(now: number, peer: WorldPeer, event: PortEvent): void;
  onStep?(now: number, peer: WorldPeer): void;
}

/** One host on the emulated network, and the process that runs there now. */
export class WorldPeer {
  readonly index: number;
  readonly host: string;
  readonly rng: Rng;
  identity: KeyPair;
  mesh: Mesh | undefined;
  /** Counts processes: 1 for the first. */
  life = 0;
  stalledUntil = 0;
  wakeAt = Infinity;
  steps = 0;
  readonly held: { readonly socket: SocketKind; readonly from: Address; readonly bytes: Uint8Array }[] = [];
  readonly #clockStart: number;
  readonly #rate: number;

  constructor(index: number, rng: Rng, identity: KeyPair, driftPpm: number) {
    this.index = index;
    this.host = `10.0.0.${index + 1}`;
    this.rng = rng;
    this.identity = identity;
    this.#clockStart = rng.int(1_000_000);
    this.#rate = 1 + ((rng.float() * 2 - 1) * driftPpm) / 1_000_000;
  }

  get address(): Address {
    return { host: this.host, port: JOIN_PORT };
  }

  /** This peer's monotonic clock at a time of the world. */
  clock(now: number): number {
    return this.#clockStart + now * this.#rate;
  }

  worldTime(clock: number): number {
    return (clock - this.#clockStart) / this.#rate;
  }

  isLive(): boolean {
    const state = this.mesh?.joinState.type;
    return state === 'joined' || state === 'joining';
  }
}

export class World {
  now = 0;
  readonly peers: WorldPeer[] = [];
  readonly net: Netem;
  readonly rng: Rng;
  readonly watchers: WorldWatcher[] = [];
  readonly nonces = new NonceRegistry();
  readonly roomId: RoomId;
  discovery: boolean;
  readonly #options: WorldOptions;
  readonly #crypto: CryptoProvider;
  readonly #byHost = new Map<string, WorldPeer>();
  readonly #scheduled: { at: number; order: number; run: () => void }[] = [];
  #order = 0;
  #hash = 0x811c_9dc5;
  #discoveryAt = 0;
  #steps = 0;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.rng = createRng(options.seed);
    this.net = new Netem({ delayMs: 1, ...options.network, seed: this.rng.u32() });
    this.#crypto = createSimCrypto(createRng(this.rng.u32()), this.nonces);
    this.roomId = toHex(this.#crypto.randomBytes(16)) as RoomId;
    this.discovery = options.discovery ?? true;
    for (let i = 0; i < options.peers; i++) {
      const peer = new WorldPeer(i, createRng(this.rng.u32()), this.#crypto.generateKeyPair(), options.driftPpm ?? 0);
      this.peers.push(peer);
      this.#byHost.set(peer.host, peer);
    }
  }

  peer(index: number): WorldPeer {
    return this.peers[index]!;
  }

  byId(id: PeerId): WorldPeer | undefined {
    return this.peers.find((peer) => peer.mesh?.self === id);
  }

  live(): WorldPeer[] {
    return this.peers.filter((peer) => peer.isLive());
  }

  /** Same for the same seed and the same calls. */
  get traceHash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0');
  }

  get steps(): number {
    return this.#steps;
  }

  #trace(...values: readonly number[]): void {
    let hash = this.#hash;
    for (const value of values) {
      hash = Math.imul(hash ^ (value | 0), 0x0100_0193);
      hash = Math.imul(hash ^ ((value * 1_024) | 0), 0x0100_0193);
    }
    this.#hash = hash;
  }

  // ── lives ─────────────────────────────────────────────────────────────────────────────────────────

  /** Starts a process on this host. */
  start(
    index: number,
    entry: MeshOptions['entry'],
    more: { readonly spectate?: boolean; readonly newIdentity?: boolean; readonly code?: string } = {},
  ): WorldPeer {
    const peer = this.peer(index);
    const { code, max, graceMs } = this.#options;
    if (more.newIdentity === true) peer.identity = this.#crypto.generateKeyPair();
    peer.life++;
    peer.held.length = 0;
    peer.stalledUntil = 0;
    peer.mesh = new Mesh(peer.clock(this.now), {
      crypto: this.#crypto,
      rng: createRng(peer.rng.u32()),
      identity: peer.identity,
      game: { id: 'sim', version: 1, schemaHash: 1 },
      roomId: this.roomId,
      name: 'sim',
      max: max ?? 32,
      code: more.code ?? code,
      spectate: more.spectate ?? false,
      entry,
      joinPort: JOIN_PORT,
      sessionPort: SESSION_PORT,
      addresses: [peer.address],
      wallClockMs: 1_700_000_000_000 + this.now + peer.index * 13,
      ...(graceMs === undefined ? {} : { graceMs }),
    });
    for (const watcher of this.watchers) watcher.onLife?.(this.now, peer);
    this.drain(peer);
    return peer;
  }

  /** The process is gone between two instructions: nothing is sent, nothing is saved. */
  crash(index: number): void {
    const peer = this.peer(index);
    peer.mesh = undefined;
    peer.wakeAt = Infinity;
    peer.held.length = 0;
  }

  /** The process does not run for `ms`; its sockets go on holding what arrives. */
  stall(index: number, ms: number): void {
    const peer = this.peer(index);
    peer.stalledUntil = Math.max(peer.stalledUntil, this.now + ms);
    this.at(peer.stalledUntil, () => this.#wake(peer));
  }

  #wake(peer: WorldPeer): void {
    if (peer.mesh === undefined || peer.stalledUntil > this.now) return;
    const now = peer.clock(this.now);
    // A run loop that wakes sees its timers first, then its sockets.
    peer.mesh.handleTimeout(now);
    this.drain(peer);
    for (const one of peer.held.splice(0)) {
      peer.mesh?.handleDatagram(now, one.socket, one.from.host, one.from.port, one.bytes);
      this.drain(peer);
    }
  }

  leave(index: number): void {
    const peer = this.peer(index);
    peer.mesh?.leave(peer.clock(this.now));
    this.drain(peer);
  }

  // ── the network's shape ───────────────────────────────────────────────────────────────────────────

  /** Cuts peers of different groups from each other; those in no group are cut from all. */
  partition(...groups: readonly (readonly number[])[]): void {
    const groupOf = (index: number): number => groups.findIndex((group) => group.includes(index));
    for (const a of this.peers) {
      for (const b of this.peers) if (a !== b && (groupOf(a.index) !== groupOf(b.index) || groupOf(a.index) < 0)) this.net.block(a.host, b.host);
    }
  }

  cut(a: number, b: number): void {
    this.cutOneWay(a, b);
    this.cutOneWay(b, a);
  }

  cutOneWay(from: number, to: number): void {
    this.net.block(this.peer(from).host, this.peer(to).host);
  }

  mend(): void {
    for (const a of this.peers) for (const b of this.peers) this.net.unblock(a.host, b.host);
  }

  // ── time ──────────────────────────────────────────────────────────────────────────────────────────

  /** Runs `run` at a time of the world. */
  at(at: number, run: () => void): void {
    this.#scheduled.push({ at, order: this.#order++, run });
    this.#scheduled.sort((a, b) => a.at - b.at || a.order - b.order);
  }

  run(ms: number): void {
    const end = this.now + ms;
    while (this.#step(end)) this.#steps++;
    this.now = end;
  }

  /** Runs until `done`, asked every `everyMs`; the time it took, or undefined after `limitMs`. */
  runUntil(done: () => boolean, limitMs: number, everyMs = 10): number | undefined {
    const start = this.now;
    while (this.now - start < limitMs) {
      if (done()) return this.now - start;
      this.run(everyMs);
    }
    return done() ? this.now - start : undefined;
  }

  #step(end: number): boolean {
    let at = Math.min(this.net.pollTimeout(), this.#scheduled[0]?.at ?? Infinity, this.discovery ? this.#discoveryAt : Infinity);
    let due: WorldPeer | undefined;
    for (const peer of this.peers) {
      const wakeAt = Math.max(peer.wakeAt, peer.stalledUntil);
      if (wakeAt < at) {
        at = wakeAt;
        due = peer;
      }
    }
    if (at > end) return false;
    if (at > this.now) {
      this.now = at;
      for (const peer of this.peers) peer.steps = 0;
    }
    if (due !== undefined) {
      this.#timeout(due);
      return true;
    }
    if (this.discovery && this.#discoveryAt <= this.now) {
      this.#discover();
      return true;
    }
    if ((this.#scheduled[0]?.at ?? Infinity) <= this.now) {
      this.#scheduled.shift()!.run();
      return true;
    }
    this.#deliver();
    return true;
  }

  #timeout(peer: WorldPeer): void {
    if (++peer.steps > MAX_STEPS_PER_INSTANT) throw new Error(`peer ${peer.index} is in a busy loop at ${this.now} ms`);
    peer.mesh?.handleTimeout(peer.clock(this.now));
    this.drain(peer);
  }

  #deliver(): void {
    const datagram = this.net.poll(this.now);
    if (datagram === undefined) return;
    const peer = this.#byHost.get(datagram.to.host);
    const socket: SocketKind = datagram.to.port === JOIN_PORT ? 'join' : 'session';
    if (peer?.mesh === undefined) return;
    this.#trace(this.now, peer.index, datagram.bytes.length, datagram.bytes[datagram.bytes.length - 1] ?? 0);
    if (peer.stalledUntil > this.now) {
      if (peer.held.length < SOCKET_HOLDS) peer.held.push({ socket, from: datagram.from, bytes: datagram.bytes });
      return;
    }
    peer.mesh.handleDatagram(peer.clock(this.now), socket, datagram.from.host, datagram.from.port, datagram.bytes);
    this.drain(peer);
  }

  #discover(): void {
    this.#discoveryAt = this.now + DISCOVERY_MS * (0.8 + 0.4 * this.rng.float());
    for (const peer of this.peers) {
      if (peer.mesh === undefined || peer.stalledUntil > this.now) continue;
      for (const other of this.peers) {
        if (other === peer || other.mesh === undefined || this.net.isBlocked(other.host, peer.host)) continue;
        peer.mesh.addCandidate(peer.clock(this.now), other.address);
      }
      this.drain(peer);
    }
  }

  /** Takes out what the peer has to send and to say. Call it after every command given to a mesh. */
  drain(peer: WorldPeer): void {
    const mesh = peer.mesh;
    if (mesh === undefined) return;
    const now = peer.clock(this.now);
    for (;;) {
      for (let out = mesh.pollTransmit(now); out !== undefined; out = mesh.pollTransmit(now)) {
        const port = out.socket === 'join' ? JOIN_PORT : SESSION_PORT;
        this.net.handleDatagram(this.now, {
          from: { host: peer.host, port },
          to: { host: out.host, port: out.port },
          socket: out.socket,
          bytes: out.bytes,
        });
      }
      const event = mesh.poll();
      if (event === undefined) break;
      this.#trace(this.now, peer.index, event.type.length);
      for (const watcher of this.watchers) watcher.onEvent?.(this.now, peer, event);
    }
    for (const watcher of this.watchers) watcher.onStep?.(this.now, peer);
    // A hair late: rounded down to our clock, the deadline would not be there yet.
    peer.wakeAt = Math.max(this.now, peer.worldTime(mesh.pollTimeout()) + 1e-4);
  }
}
