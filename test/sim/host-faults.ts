/**
 * Faults of networks and machines, the same for a mesh and for links alone: what the network does to
 * datagrams, and what happens to the hosts. Each class strikes on a schedule of its own until `calm`.
 */
import type { Rng } from '../../sdk/base/rng.ts';
import type { Host, HostProcess, Hosts, NetemOptions } from '../../sdk/testing/index.ts';
import { logUniform, pick, sample, type Draw } from './plan.ts';

/** What the network does all the time while faults last. */
export function drawNetwork(draw: Draw): Omit<NetemOptions, 'seed'> {
  const burst = draw.rng('bursts');
  return {
    lossRatio: draw.amount('loss', 0, 0.4) ?? 0,
    burstRatio: draw.has('bursts') ? burst.float() * 0.01 : 0,
    burstLength: 1 + burst.int(100),
    duplicateRatio: draw.amount('duplicate', 0, 0.5) ?? 0,
    replayRatio: draw.amount('replay', 0, 0.1) ?? 0,
    delayMs: draw.amount('delay', 0.2, 300, 0.4) ?? 0.2,
    jitterMs: draw.amount('jitter', 0, 300, 0.4) ?? 0,
    reorderRatio: draw.amount('reorder', 0, 0.25) ?? 0,
    corruptRatio: draw.amount('corrupt', 0, 0.05, 0.4) ?? 0,
    truncateRatio: draw.amount('truncate', 0, 0.05, 0.4) ?? 0,
    extendRatio: draw.amount('extend', 0, 0.05, 0.4) ?? 0,
    swapRatio: draw.amount('swap', 0, 0.05, 0.4) ?? 0,
    ...(draw.has('bandwidth', 0.2) ? { bytesPerMs: logUniform(draw.rng('bandwidth'), 64, 8_000) } : {}),
    ...(draw.has('receive-buffer', 0.2) ? { receiveBuffer: 92 } : {}),
  };
}

/** What the owner of the hosts does when one of them is struck. */
export interface HostFaultHooks {
  /** Hosts that may be struck now. */
  victims(): readonly number[];
  /** The process is gone; it is started again `afterMs` later, as somebody new when `amnesia`. */
  restart(index: number, afterMs: number, amnesia: boolean): void;
  /** The host's address has changed. */
  moved(index: number): void;
  /** The host is broken for good: what ends of a fault does not mend it. */
  isBroken?(index: number): boolean;
}

/** Classes of `HostFaults` and the chance of each. */
const CLASSES = {
  storm: 0.3,
  crash: 0.5,
  amnesia: 0.3,
  stall: 0.4,
  slow: 0.2,
  throttle: 0.2,
  'late-timers': 0.3,
  suspend: 0.3,
  halves: 0.3,
  isolate: 0.3,
  ring: 0.2,
  bridge: 0.3,
  'one-way': 0.3,
  mute: 0.3,
  swizzle: 0.2,
  'new-address': 0.25,
  'address-taken': 0.2,
  'address-v6': 0.1,
  rebinding: 0.25,
} as const;

type FaultClass = keyof typeof CLASSES;

export class HostFaults<P extends HostProcess, H extends Host<P>> {
  readonly #hosts: Hosts<P, H>;
  readonly #network: Omit<NetemOptions, 'seed'>;
  readonly #hooks: HostFaultHooks;
  readonly #trace: (line: string) => void;
  #calm = false;
  #nextHost = 0;

  constructor(hosts: Hosts<P, H>, network: Omit<NetemOptions, 'seed'>, hooks: HostFaultHooks, trace: (line: string) => void) {
    this.#hosts = hosts;
    this.#network = network;
    this.#hooks = hooks;
    this.#trace = trace;
  }

  /** Sets every class the seed has on its way. */
  arm(draw: Draw): void {
    for (const [name, chance] of Object.entries(CLASSES) as [FaultClass, number][])
      if (draw.has(name, chance)) this.#next(name, draw.rng(name), 500 + draw.rng(`${name} gap`).float() * 8_000);
  }

  /** Repeats `strike` until the calm, with pauses around `gapMs`. */
  every(rng: Rng, gapMs: number, strike: () => void): void {
    const { at, now } = { at: this.#hosts.at.bind(this.#hosts), now: this.#hosts.now };
    at(now + gapMs * (0.3 + 1.4 * rng.float()), () => {
      if (this.#calm) return;
      strike();
      this.every(rng, gapMs, strike);
    });
  }

  #next(name: FaultClass, rng: Rng, gapMs: number): void {
    this.every(rng, Math.max(1_500, gapMs), () => this.#strike(name, rng));
  }

  /** Nothing strikes any more; what was done to machines ends, the network is the caller's to heal. */
  calm(): void {
    this.#calm = true;
    for (const host of this.#hosts.peers) this.restore(host);
  }

  restore(host: H): void {
    host.stepMs = 0;
    host.tickMs = 0;
    host.lateMs = 0;
    host.wallErrorMs = 0;
    host.portShift = 0;
    host.stalledUntil = Math.min(host.stalledUntil, this.#hosts.now);
    this.#hosts.wakeUp(host.index);
  }

  #later(ms: number, run: () => void): void {
    this.#hosts.at(this.#hosts.now + ms, () => {
      if (!this.#calm) run();
    });
  }

  #strike(name: FaultClass, rng: Rng): void {
    const hosts = this.#hosts;
    if (name === 'storm') return this.#storm(rng);
    const victims = this.#hooks.victims();
    if (victims.length === 0) return;
    const index = pick(rng, victims);
    const host = hosts.peer(index);
    this.#trace(`${Math.round(hosts.now)} ${name} ${index}`);
    switch (name) {
      case 'crash':
      case 'amnesia':
        hosts.crash(index);
        return this.#hooks.restart(index, logUniform(rng, 20, 8_000), name === 'amnesia');
      case 'stall':
        return hosts.stall(index, logUniform(rng, 200, 30_000));
      case 'suspend':
        host.wallErrorMs += (rng.float() * 2 - 1) * 262_000;
        return hosts.suspend(index, logUniform(rng, 1_000, 600_000));
      case 'slow':
        host.stepMs = 0.1 + rng.float();
        return this.#later(500 + rng.float() * 8_000, () => (host.stepMs = 0));
      case 'throttle':
        host.tickMs = 1_000;
        return this.#later(1_000 + rng.float() * 10_000, () => (host.tickMs = 0));
      case 'late-timers':
        host.lateMs = rng.float() * 500;
        return this.#later(500 + rng.float() * 8_000, () => (host.lateMs = 0));
      case 'new-address':
        return this.#move(index, `10.1.${index}.${++this.#nextHost}`);
      case 'address-v6':
        return this.#move(index, `fd00::${index}:${++this.#nextHost}`);
      case 'address-taken': {
        // The victim's address goes to another machine, and the victim gets that one's.
        const other = pick(rng, victims);
        if (other === index) return;
        hosts.exchangeAddresses(index, other);
        this.#hooks.moved(index);
        return this.#hooks.moved(other);
      }
      case 'rebinding':
        host.portShift = (host.portShift + 2) % 2_000;
        return;
      default:
        return this.#shape(name, rng, index);
    }
  }

  #move(index: number, host: string): void {
    this.#hosts.readdress(index, host);
    this.#hooks.moved(index);
  }

  #mend(from: number, to: number): void {
    if (this.#hooks.isBroken?.(from) !== true && this.#hooks.isBroken?.(to) !== true) this.#hosts.mendOneWay(from, to);
  }

  #storm(rng: Rng): void {
    const { net } = this.#hosts;
    net.configure({ lossRatio: rng.float() * 0.95 });
    this.#later(1_000 + rng.float() * 4_000, () => net.configure({ lossRatio: this.#network.lossRatio ?? 0 }));
  }

  #shape(name: FaultClass, rng: Rng, index: number): void {
    const hosts = this.#hosts;
    const all = hosts.peers.map((host) => host.index);
    const others = all.filter((one) => one !== index);
    const lasts = logUniform(rng, 100, 15_000);
    const cuts: (readonly [number, number])[] = [];
    const both = (a: number, b: number): void => void cuts.push([a, b], [b, a]);
    switch (name) {
      case 'halves': {
        const half = all.filter(() => rng.chance(0.5));
        for (const a of half) for (const b of all) if (!half.includes(b)) both(a, b);
        break;
      }
      case 'isolate':
        for (const other of others) both(index, other);
        break;
      case 'ring':
        for (const a of all) for (const b of all) if (a < b && b - a !== 1 && b - a !== all.length - 1) both(a, b);
        break;
      case 'bridge':
        both(index, pick(rng, others));
        break;
      case 'one-way':
        cuts.push([index, pick(rng, others)]);
        break;
      case 'mute':
        // Hears everybody, heard by nobody: the shape that makes naive elections run for ever.
        for (const other of others) cuts.push([index, other]);
        break;
      default:
        return this.#swizzle(rng, all, lasts);
    }
    for (const [from, to] of cuts) hosts.cutOneWay(from, to);
    this.#later(lasts, () => {
      for (const [from, to] of cuts) this.#mend(from, to);
    });
  }

  /** Stops the links of some hosts one after another and restores them in another order. */
  #swizzle(rng: Rng, all: readonly number[], lasts: number): void {
    const hosts = this.#hosts;
    const chosen = sample(rng, all, 2 + rng.int(all.length));
    const pairs = chosen.flatMap((a) => all.filter((b) => b !== a).map((b) => [a, b] as const));
    for (const [a, b] of pairs) {
      this.#later(rng.float() * lasts, () => {
        hosts.cut(a, b);
        this.#later(rng.float() * lasts, () => {
          this.#mend(a, b);
          this.#mend(b, a);
        });
      });
    }
  }
}
