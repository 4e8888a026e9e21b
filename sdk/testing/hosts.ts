/**
 * Hosts on an emulated network under one virtual clock. The loop jumps from one wake-up to the next, so
 * minutes of bad network take moments, and the same seed gives the same run to the last byte
 * (`traceHash`).
 *
 *   step: next of {datagram arrives, a host has something to do, something scheduled}
 *         -> hand it in -> drain that host: transmit -> events -> deadline
 *
 * A crash ends a life without a word, a restart begins another. A stalled process gets nothing until it
 * wakes; then its timers fire and everything its socket held arrives at once. A suspended machine
 * hears nothing, and its clock stands.
 */
import { LanError } from '../base/errors.ts';
import { createRng, type Rng } from '../base/rng.ts';
import type { CryptoProvider } from '../secure/provider.ts';
import type { Host, HostProcess } from './host.ts';
import { Netem, type NetemDatagram, type NetemOptions } from './netem.ts';
import { NonceRegistry, createSimCrypto } from './sim-crypto.ts';

/** Datagrams a stalled process's socket holds, unless the world says otherwise. */
const SOCKET_HOLDS = 3_000;
/** Steps one host may take without time passing before we call it a busy loop. */
const MAX_STEPS_PER_INSTANT = 10_000;

export interface HostsOptions {
  readonly seed: number;
  readonly network?: Omit<NetemOptions, 'seed'>;
  /** Drift of each host's clock, up to this many parts per million either way. */
  readonly driftPpm?: number;
  /** Datagrams the socket of a process that does not run holds; Linux's default buffer takes 92 full ones. */
  readonly socketHolds?: number;
  /** Crypto of all processes; the checking stand-in by default. */
  readonly crypto?: (rng: Rng, nonces: NonceRegistry) => CryptoProvider;
}

export abstract class Hosts<P extends HostProcess, H extends Host<P>> {
  now = 0;
  readonly peers: H[] = [];
  readonly net: Netem;
  readonly rng: Rng;
  readonly nonces = new NonceRegistry();
  readonly crypto: CryptoProvider;
  /** Sees every datagram that leaves a host. */
  onTransmit: ((now: number, peer: H, datagram: NetemDatagram) => void) | undefined;
  /** Sees every datagram that arrives at a host. */
  onDeliver: ((now: number, peer: H, datagram: NetemDatagram) => void) | undefined;
  /** Gets what arrives at an address no host has. */
  onStray: ((now: number, datagram: NetemDatagram) => void) | undefined;
  readonly #socketHolds: number;
  readonly #byHost = new Map<string, H>();
  readonly #bySecondHost = new Map<string, H>();
  /** The earliest first, and when that one is due. */
  readonly #scheduled: { readonly at: number; readonly run: () => void }[] = [];
  #scheduledAt = Infinity;
  #hash = 0x811c_9dc5;
  #steps = 0;

  constructor(options: HostsOptions) {
    this.rng = createRng(options.seed);
    this.net = new Netem({ delayMs: 1, ...options.network, seed: this.rng.u32() });
    this.#socketHolds = options.socketHolds ?? SOCKET_HOLDS;
    this.crypto = (options.crypto ?? createSimCrypto)(createRng(this.rng.u32()), this.nonces);
  }

  /** Hands out everything the process has to say; true when there may be more to transmit. */
  protected abstract takeEvents(peer: H): boolean;

  /** Called after a process has been drained. */
  protected abstract onDrained(peer: H): void;

  protected add(peer: H): void {
    this.peers.push(peer);
    this.#byHost.set(peer.host, peer);
  }

  /** @throws `LanError` `bad-argument` for a number no host has. */
  peer(index: number): H {
    const peer = this.peers[index];
    if (peer === undefined) throw new LanError('bad-argument', `World: expected a host from 0 to ${this.peers.length - 1}, got ${index}.`);
    return peer;
  }

  /** Same for the same seed and the same calls. */
  get traceHash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0');
  }

  get steps(): number {
    return this.#steps;
  }

  protected trace(a: number, b: number, c = 0, d = 0): void {
    let hash = this.#hash;
    hash = Math.imul(hash ^ (a | 0), 0x0100_0193);
    hash = Math.imul(hash ^ ((a * 1_024) | 0), 0x0100_0193);
    hash = Math.imul(hash ^ b, 0x0100_0193);
    hash = Math.imul(hash ^ c, 0x0100_0193);
    this.#hash = Math.imul(hash ^ d, 0x0100_0193);
  }

  // ── lives ─────────────────────────────────────────────────────────────────────────────────────────

  /** A new process on this host; whatever ran there is gone. */
  protected begin(peer: H, process: P): void {
    peer.life++;
    peer.held.length = 0;
    peer.stalledUntil = this.now;
    peer.process = process;
  }

  /** The process is gone between two instructions: nothing is sent, nothing is saved. */
  crash(index: number): void {
    const peer = this.peer(index);
    peer.process = undefined;
    peer.wakeAt = Infinity;
    peer.held.length = 0;
  }

  /** The process does not run for `ms`; its sockets go on holding what arrives. */
  stall(index: number, ms: number): void {
    const peer = this.peer(index);
    peer.stalledUntil = Math.max(peer.stalledUntil, this.now + ms);
  }

  /** The machine sleeps for `ms`: its clock stands and nothing reaches it. */
  suspend(index: number, ms: number): void {
    const peer = this.peer(index);
    if (peer.suspended) return;
    peer.suspended = true;
    peer.stalledUntil = Math.max(peer.stalledUntil, this.now + ms);
    peer.pauseClock(this.now);
    this.at(this.now + ms, () => this.wakeUp(index));
  }

  /** Ends a suspension early. */
  wakeUp(index: number): void {
    const peer = this.peer(index);
    if (!peer.suspended) return;
    peer.suspended = false;
    if (peer.stalledUntil !== Infinity) peer.stalledUntil = this.now;
    peer.resumeClock(this.now);
    // The deadline was computed by a clock that stood meanwhile.
    if (peer.process !== undefined) this.#rearm(peer, peer.process);
  }

  // ── the network's shape ───────────────────────────────────────────────────────────────────────────

  /** Gives the host another address; whoever had it before is found nowhere. */
  readdress(index: number, host: string): void {
    const peer = this.peer(index);
    if (this.#byHost.get(peer.host) === peer) this.#byHost.delete(peer.host);
    peer.host = host;
    this.#byHost.set(host, peer);
  }

  /** Gives the host an address besides the one it has. */
  addAddress(index: number, host: string): void {
    const peer = this.peer(index);
    peer.secondHost = host;
    this.#bySecondHost.set(host, peer);
  }

  /** Two hosts get each other's addresses. */
  exchangeAddresses(a: number, b: number): void {
    const [one, two] = [this.peer(a), this.peer(b)];
    const host = one.host;
    this.readdress(a, two.host);
    this.readdress(b, host);
  }

  hostAt(host: string): H | undefined {
    return this.#byHost.get(host);
  }

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

  mendOneWay(from: number, to: number): void {
    this.net.unblock(this.peer(from).host, this.peer(to).host);
  }

  mend(): void {
    for (const a of this.peers) for (const b of this.peers) this.net.unblock(a.host, b.host);
  }

  // ── time ──────────────────────────────────────────────────────────────────────────────────────────

  /** Runs `run` at a time of the world. */
  at(at: number, run: () => void): void {
    const list = this.#scheduled;
    let i = list.length;
    while (i > 0 && list[i - 1]!.at > at) i--;
    list.splice(i, 0, { at, run });
    this.#scheduledAt = list[0]!.at;
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

  #runScheduled(): void {
    const { run } = this.#scheduled.shift()!;
    this.#scheduledAt = this.#scheduled[0]?.at ?? Infinity;
    run();
  }

  #step(end: number): boolean {
    const arrivesAt = this.net.pollTimeout();
    let at = this.#scheduledAt < arrivesAt ? this.#scheduledAt : arrivesAt;
    let due: H | undefined;
    for (const peer of this.peers) {
      const { stalledUntil } = peer;
      const wakeAt = peer.wakeAt < stalledUntil || peer.held.length > 0 ? stalledUntil : peer.wakeAt;
      if (wakeAt < at) {
        at = wakeAt;
        due = peer;
      }
    }
    if (at > end) return false;
    if (at > this.now) this.now = at;
    if (due !== undefined) this.#wake(due);
    else if (this.#scheduledAt <= this.now) this.#runScheduled();
    else this.#deliver();
    return true;
  }

  /** A run loop that wakes sees its timers first, then its sockets. */
  #wake(peer: H): void {
    const { process } = peer;
    if (peer.stepsAt !== this.now) {
      peer.stepsAt = this.now;
      peer.steps = 0;
    }
    if (++peer.steps > MAX_STEPS_PER_INSTANT) throw new Error(`peer ${peer.index} is in a busy loop at ${this.now} ms`);
    if (process === undefined || peer.suspended) {
      peer.held.length = 0;
      peer.wakeAt = Infinity;
      return;
    }
    const now = peer.clock(this.now);
    if (peer.wakeAt <= this.now) {
      process.handleTimeout(now);
      this.drain(peer);
    }
    while (peer.held.length > 0 && peer.process === process) {
      const one = peer.held.shift()!;
      process.handleDatagram(now, one.socket, one.from.host, one.from.port, one.bytes);
      this.drain(peer);
      if (peer.stepMs > 0) break;
    }
    if (peer.stepMs > 0) peer.stalledUntil = this.now + peer.stepMs;
  }

  #deliver(): void {
    const datagram = this.net.poll(this.now);
    if (datagram === undefined) return;
    const peer = this.#byHost.get(datagram.to.host);
    if (peer === undefined) return this.onStray?.(this.now, datagram);
    const socket = peer.socketAt(datagram.to.port);
    const { process } = peer;
    if (process === undefined || peer.suspended || socket === undefined) return;
    const { bytes, from } = datagram;
    this.onDeliver?.(this.now, peer, datagram);
    this.trace(this.now, peer.index, bytes.length, bytes[bytes.length - 1] ?? 0);
    if (peer.stalledUntil > this.now || peer.held.length > 0) {
      if (peer.held.length < this.#socketHolds) peer.held.push({ socket, from, bytes });
      return;
    }
    process.handleDatagram(peer.clock(this.now), socket, from.host, from.port, bytes);
    this.drain(peer);
    if (peer.stepMs > 0) peer.stalledUntil = this.now + peer.stepMs;
  }

  /** Takes out what the process has to send and to say. Call it after every command given to it. */
  drain(peer: H): void {
    const { process } = peer;
    if (process === undefined) return;
    const now = peer.clock(this.now);
    do {
      if (process.waiting)
        for (let out = process.pollTransmit(now); out !== undefined; out = process.pollTransmit(now)) {
          const datagram: NetemDatagram = {
            from: peer.sourceOf(out.socket),
            to: { host: this.#bySecondHost.get(out.host)?.host ?? out.host, port: out.port },
            socket: out.socket,
            bytes: out.bytes,
          };
          this.onTransmit?.(this.now, peer, datagram);
          this.net.handleDatagram(this.now, datagram, true);
        }
    } while (this.takeEvents(peer));
    this.onDrained(peer);
    if (peer.process === process) this.#rearm(peer, process);
  }

  #rearm(peer: H, process: P): void {
    // A hair late: rounded down to our clock, the deadline would not be there yet.
    let at = Math.max(this.now, peer.worldTime(process.pollTimeout()) + 1e-4);
    if (peer.lateMs > 0 && at > this.now) at += peer.rng.float() * peer.lateMs;
    if (peer.tickMs > 0) at = Math.ceil(at / peer.tickMs) * peer.tickMs;
    peer.wakeAt = at;
  }
}
