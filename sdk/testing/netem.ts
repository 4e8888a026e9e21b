/**
 * A bad network between addresses, in the shape of what it tests: sans-IO, `handle*` in, `poll*` out.
 *
 * Put a datagram in with `handleDatagram`, take it out with `poll` once its time has come. Between the two
 * it may be lost, doubled, delayed, overtaken, damaged, or stuck behind others on a narrow path. Everything
 * is decided by the seed: the same calls give the same answers.
 *
 * Addresses are whatever the caller calls a host: faults are per pair of hosts, ports are carried along.
 */
import { createRng, type Rng } from '../base/rng.ts';
import { ByteArena, Flights, type NetemDatagram } from './flights.ts';

export type { NetemDatagram } from './flights.ts';

export interface NetemOptions {
  readonly seed: number;
  /** Chance of losing a datagram, 0 to 1. */
  readonly lossRatio?: number;
  /** Gilbert model: chance per datagram that a burst of loss starts, and its mean length in datagrams. */
  readonly burstRatio?: number;
  readonly burstLength?: number;
  /** Chance that a datagram arrives twice. */
  readonly duplicateRatio?: number;
  /** Chance that a datagram of the last minute arrives once more. */
  readonly replayRatio?: number;
  /** One-way delay, ms, and what is added at random, ms. More jitter than spacing means reordering. */
  readonly delayMs?: number;
  readonly jitterMs?: number;
  /** Chance that one is held back by three times the jitter or 10 ms more. */
  readonly reorderRatio?: number;
  /** Chances of flipped bits (1 to 8), of a cut and of an added tail. */
  readonly corruptRatio?: number;
  readonly truncateRatio?: number;
  readonly extendRatio?: number;
  /** Chance that two datagrams under way arrive in each other's place. */
  readonly swapRatio?: number;
  /** Bytes per ms of each sending host's uplink; Infinity for none. What waits longer than `queueMs` is dropped. */
  readonly bytesPerMs?: number;
  readonly queueMs?: number;
  /** Datagrams a receiver's socket holds between two polls; more are dropped. */
  readonly receiveBuffer?: number;
  /** Largest datagram that passes; larger ones vanish as on a path with a small MTU. */
  readonly mtuBytes?: number;
}

const REPLAY_SPAN_MS = 60_000;
const REPLAY_KEPT = 256;

/** What happened to all datagrams so far. */
export interface NetemCounts {
  sent: number;
  delivered: number;
  lost: number;
  blocked: number;
  duplicated: number;
  replayed: number;
  damaged: number;
  swapped: number;
  overflowed: number;
}

/** Draws a set of faults for one seed: each class is present in half of the seeds (swarm testing). */
export function swarmOptions(seed: number): NetemOptions {
  const rng = createRng(seed ^ 0x5eed);
  const maybe = (most: number): number => (rng.chance(0.5) ? rng.float() * most : 0);
  return {
    seed,
    lossRatio: maybe(0.4),
    burstRatio: maybe(0.01),
    burstLength: 1 + rng.int(40),
    duplicateRatio: maybe(0.5),
    replayRatio: maybe(0.05),
    delayMs: maybe(150),
    jitterMs: maybe(150),
    reorderRatio: maybe(0.25),
    corruptRatio: maybe(0.05),
    truncateRatio: maybe(0.05),
    extendRatio: maybe(0.05),
    bytesPerMs: rng.chance(0.2) ? 64 + rng.int(4_000) : Infinity,
    receiveBuffer: rng.chance(0.2) ? 92 : Infinity,
  };
}

/** A datagram of the past, for replays. */
interface Past {
  readonly datagram: NetemDatagram;
  readonly at: number;
}

export class Netem {
  readonly counts: NetemCounts = {
    sent: 0,
    delivered: 0,
    lost: 0,
    blocked: 0,
    duplicated: 0,
    replayed: 0,
    damaged: 0,
    swapped: 0,
    overflowed: 0,
  };
  readonly #rng: Rng;
  #options: NetemOptions;
  readonly #flights = new Flights();
  readonly #arena = new ByteArena();
  #order = 0;
  /** Blocked receivers, per sender. */
  readonly #blocked = new Map<string, Set<string>>();
  /** Datagrams of a burst that are still to be lost, per sender and receiver. */
  readonly #bursts = new Map<string, Map<string, number>>();
  readonly #linkFreeAt = new Map<string, number>();
  readonly #past: Past[] = [];
  readonly #received = new Map<string, number>();
  #receivedAt = -Infinity;

  constructor(options: NetemOptions) {
    this.#options = options;
    this.#rng = createRng(options.seed);
  }

  /** Changes faults from now on; datagrams under way keep theirs. */
  configure(options: Partial<Omit<NetemOptions, 'seed'>>): void {
    this.#options = { ...this.#options, ...options };
  }

  /** No fault any more, no block; the seed's stream goes on. */
  heal(): void {
    this.#options = { seed: this.#options.seed, delayMs: Math.min(5, this.#options.delayMs ?? 0) };
    this.#blocked.clear();
    this.#bursts.clear();
    this.#past.length = 0;
  }

  /** Cuts one direction; call it both ways for a whole cut. Applies to what is under way too. */
  block(from: string, to: string): void {
    const blocked = this.#blocked.get(from);
    if (blocked === undefined) this.#blocked.set(from, new Set([to]));
    else blocked.add(to);
  }

  unblock(from: string, to: string): void {
    this.#blocked.get(from)?.delete(to);
  }

  /** Cuts every pair of hosts that share no group, both ways. */
  partition(...groups: readonly (readonly string[])[]): void {
    for (const one of groups) {
      for (const other of groups) {
        if (one === other) continue;
        for (const a of one) for (const b of other) if (!one.includes(b) && !other.includes(a)) this.block(a, b);
      }
    }
  }

  isBlocked(from: string, to: string): boolean {
    return this.#blocked.size > 0 && this.#blocked.get(from)?.has(to) === true;
  }

  /** Takes a datagram in; `bytes` are copied, unless they are `given`: nobody writes to them again. */
  handleDatagram(now: number, datagram: NetemDatagram, given = false): void {
    const o = this.#options;
    this.counts.sent++;
    if (this.#lost(datagram)) {
      this.counts.lost++;
      return;
    }
    const leavesAt = this.#leave(now, datagram);
    if (leavesAt === undefined) {
      this.counts.overflowed++;
      return;
    }
    const { from, to, socket } = datagram;
    const copy: NetemDatagram = given ? datagram : { from, to, socket, bytes: this.#arena.copy(datagram.bytes) };
    this.#schedule(leavesAt, this.#damage(copy));
    if (this.#chance(o.duplicateRatio)) {
      this.counts.duplicated++;
      this.#schedule(leavesAt, copy);
    }
    if ((o.replayRatio ?? 0) > 0) this.#replay(now, copy, o.replayRatio ?? 0);
  }

  #chance(ratio: number | undefined): boolean {
    return ratio !== undefined && ratio > 0 && this.#rng.chance(ratio);
  }

  #lost(datagram: NetemDatagram): boolean {
    const o = this.#options;
    if (o.mtuBytes !== undefined && datagram.bytes.length > o.mtuBytes) return true;
    if (o.burstRatio !== undefined && o.burstRatio > 0) {
      const to = datagram.to.host;
      let bursts = this.#bursts.get(datagram.from.host);
      if (bursts === undefined) this.#bursts.set(datagram.from.host, (bursts = new Map()));
      const left = bursts.get(to) ?? 0;
      if (left > 0) {
        bursts.set(to, left - 1);
        return true;
      }
      if (this.#chance(o.burstRatio)) bursts.set(to, this.#rng.int(2 * (o.burstLength ?? 10)));
    }
    return this.#chance(o.lossRatio);
  }

  /** When the datagram is through its sender's uplink; undefined when the queue is full. */
  #leave(now: number, datagram: NetemDatagram): number | undefined {
    const rate = this.#options.bytesPerMs ?? Infinity;
    if (rate === Infinity) return now;
    const free = Math.max(now, this.#linkFreeAt.get(datagram.from.host) ?? 0);
    if (free - now > (this.#options.queueMs ?? 200)) return undefined;
    const done = free + (datagram.bytes.length + 28) / rate;
    this.#linkFreeAt.set(datagram.from.host, done);
    return done;
  }

  #damage(datagram: NetemDatagram): NetemDatagram {
    const o = this.#options;
    let bytes = datagram.bytes;
    if (this.#chance(o.corruptRatio) && bytes.length > 0) {
      bytes = bytes.slice();
      for (let i = 1 + this.#rng.int(8); i > 0; i--) bytes[this.#rng.int(bytes.length)]! ^= 1 << this.#rng.int(8);
    }
    if (this.#chance(o.truncateRatio)) bytes = bytes.slice(0, this.#rng.int(bytes.length + 1));
    if (this.#chance(o.extendRatio)) {
      const longer = new Uint8Array(bytes.length + 1 + this.#rng.int(64));
      longer.set(bytes);
      for (let i = bytes.length; i < longer.length; i++) longer[i] = this.#rng.int(256);
      bytes = longer;
    }
    if (bytes === datagram.bytes) return datagram;
    this.counts.damaged++;
    const { from, to, socket } = datagram;
    return { from, to, socket, bytes };
  }

  #replay(now: number, datagram: NetemDatagram, ratio: number): void {
    const past = this.#past;
    while (past.length > 0 && now - past[0]!.at > REPLAY_SPAN_MS) past.shift();
    if (past.length > 0 && this.#rng.chance(ratio)) {
      this.counts.replayed++;
      this.#schedule(now, past[this.#rng.int(past.length)]!.datagram);
    }
    // A full memory forgets one of any age, so that some of the oldest stay for the whole span.
    if (past.length >= REPLAY_KEPT) past[this.#rng.int(past.length)] = { datagram, at: now };
    else past.push({ datagram, at: now });
  }

  #schedule(leavesAt: number, datagram: NetemDatagram): void {
    const o = this.#options;
    const jitter = o.jitterMs ?? 0;
    let at = leavesAt + (o.delayMs ?? 0);
    if (jitter > 0) at += this.#rng.float() * jitter;
    if (this.#chance(o.reorderRatio)) at += this.#rng.float() * Math.max(10, 3 * jitter);
    const flight = { at, order: this.#order++, datagram };
    if (this.#chance(o.swapRatio) && this.#flights.size > 0) {
      // Each goes where the other should have gone: whoever gets it must see that it is not for him.
      const other = this.#flights.at(this.#rng.int(this.#flights.size))!;
      const { from, to, socket, bytes } = other.datagram;
      other.datagram = { from, to: datagram.to, socket: datagram.socket, bytes };
      flight.datagram = { from: datagram.from, to, socket, bytes: datagram.bytes };
      this.counts.swapped++;
    }
    this.#flights.push(flight);
  }

  /** When the next datagram arrives; Infinity for none. */
  pollTimeout(): number {
    return this.#flights.first()?.at ?? Infinity;
  }

  /** The next datagram that has arrived by `now`, or undefined. */
  poll(now: number): NetemDatagram | undefined {
    for (;;) {
      const first = this.#flights.first();
      if (first === undefined || first.at > now) return undefined;
      this.#flights.pop();
      const { datagram } = first;
      if (this.isBlocked(datagram.from.host, datagram.to.host)) {
        this.counts.blocked++;
        continue;
      }
      if (this.#overflows(now, datagram)) {
        this.counts.overflowed++;
        continue;
      }
      this.counts.delivered++;
      return datagram;
    }
  }

  /** A socket that is polled seldom holds only so many: what arrived before the last few is gone. */
  #overflows(now: number, datagram: NetemDatagram): boolean {
    const room = this.#options.receiveBuffer ?? Infinity;
    if (room === Infinity) return false;
    if (now !== this.#receivedAt) {
      this.#received.clear();
      this.#receivedAt = now;
    }
    const key = `${datagram.to.host} ${datagram.to.port}`;
    const count = (this.#received.get(key) ?? 0) + 1;
    this.#received.set(key, count);
    return count > room;
  }
}
