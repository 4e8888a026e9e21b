/**
 * One host of the emulated network and the process that runs on it now: its clock, its addresses, its
 * lives, and how badly the process is treated.
 *
 * The clock is piecewise linear: it drifts, and stops while the machine is suspended. Addresses are what
 * the network sees: `portShift` is what a translator on the way makes of our ports.
 */
import type { Rng } from '../base/rng.ts';
import type { Address, SocketKind, Transmit } from '../link/endpoint-types.ts';

export const JOIN_PORT = 40_000;
export const SESSION_PORT = 40_001;

/** The sans-IO shape of what runs on a host: the whole mesh, or an endpoint alone. */
export interface HostProcess {
  handleDatagram(now: number, socket: SocketKind, host: string, port: number, bytes: Uint8Array): void;
  handleTimeout(now: number): void;
  /** False when `pollTransmit` would give nothing: then it is not asked. */
  readonly waiting: boolean;
  pollTransmit(now: number): Transmit | undefined;
  pollTimeout(): number;
}

/** A datagram that waits in the socket of a process that does not run. */
export interface HeldDatagram {
  readonly socket: SocketKind;
  readonly from: Address;
  readonly bytes: Uint8Array;
}

export class Host<P extends HostProcess> {
  readonly index: number;
  readonly rng: Rng;
  /** Where the network finds this host now. */
  host: string;
  /** Another address of this machine, as one with cable and Wi-Fi has: it is reached there, and sends from the first. */
  secondHost: string | undefined;
  /** What an address translator adds to our ports; 0 for none. */
  portShift = 0;
  process: P | undefined;
  /** Counts processes: 1 for the first. */
  life = 0;
  /** Nothing runs before this, ms of the world. */
  stalledUntil = 0;
  /** While true the machine sleeps: nothing arrives, its clock stands. */
  suspended = false;
  /** Time that handling one datagram or timer takes (ms); 0 for none. */
  stepMs = 0;
  /** Timers fire only at multiples of this (ms), as in a throttled process; 0 for when they are due. */
  tickMs = 0;
  /** Timers fire up to this much late (ms). */
  lateMs = 0;
  /** How far the wall clock is off (ms). */
  wallErrorMs = 0;
  wakeAt = Infinity;
  /** Steps within one instant, and which. */
  steps = 0;
  stepsAt = -1;
  readonly held: HeldDatagram[] = [];
  readonly #sources: { join: Address | undefined; session: Address | undefined } = { join: undefined, session: undefined };
  readonly #drift: number;
  #rate: number;
  #worldBase = 0;
  #clockBase: number;

  constructor(index: number, rng: Rng, driftPpm: number) {
    this.index = index;
    this.host = `10.0.0.${index + 1}`;
    this.rng = rng;
    this.#clockBase = rng.int(1_000_000);
    this.#drift = 1 + ((rng.float() * 2 - 1) * driftPpm) / 1_000_000;
    this.#rate = this.#drift;
  }

  /** Where the others reach our join socket. */
  get address(): Address {
    return { host: this.host, port: JOIN_PORT + this.portShift };
  }

  /** All of them. */
  get addresses(): Address[] {
    return this.#at(JOIN_PORT + this.portShift);
  }

  /** What the host itself knows of them. */
  get ownAddresses(): Address[] {
    return this.#at(JOIN_PORT);
  }

  #at(port: number): Address[] {
    const first = { host: this.host, port };
    return this.secondHost === undefined ? [first] : [first, { host: this.secondHost, port }];
  }

  /** This host's monotonic clock at a time of the world. */
  clock(now: number): number {
    return this.#clockBase + (now - this.#worldBase) * this.#rate;
  }

  /** The reverse; Infinity while the clock stands. */
  worldTime(clock: number): number {
    return this.#rate === 0 ? Infinity : this.#worldBase + (clock - this.#clockBase) / this.#rate;
  }

  /** The clock stands from now on. */
  pauseClock(now: number): void {
    this.#setRate(now, 0);
  }

  resumeClock(now: number): void {
    this.#setRate(now, this.#drift);
  }

  #setRate(now: number, rate: number): void {
    this.#clockBase = this.clock(now);
    this.#worldBase = now;
    this.#rate = rate;
  }

  /** Which socket a datagram to `port` reaches; undefined for a port nobody (any more) maps to us. */
  socketAt(port: number): SocketKind | undefined {
    const local = port - this.portShift;
    return local === JOIN_PORT ? 'join' : local === SESSION_PORT ? 'session' : undefined;
  }

  /** Where the network sees our datagrams come from; the same object until that changes. */
  sourceOf(socket: SocketKind): Address {
    const port = this.portOf(socket);
    const known = this.#sources[socket];
    if (known !== undefined && known.port === port && known.host === this.host) return known;
    return (this.#sources[socket] = { host: this.host, port });
  }

  portOf(socket: SocketKind): number {
    return (socket === 'join' ? JOIN_PORT : SESSION_PORT) + this.portShift;
  }
}
