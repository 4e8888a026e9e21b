/**
 * A seed of links alone: two to four endpoints call each other and talk through faults, then the faults
 * stop and every pair has to be linked again (L4), everything queued has to arrive (L2), nothing may be
 * busy (L6), and once all is said and closed nothing may be left (S8).
 */
import type { Rng } from '../../sdk/base/rng.ts';
import type { DoorMode } from '../../sdk/link/endpoint-types.ts';
import type { Channel } from '../../sdk/port/port.ts';
import { LINK_TIMEOUT_MS } from '../../sdk/wire/limits.ts';
import { Byzantine } from './byzantine.ts';
import { HostFaults, drawNetwork } from './host-faults.ts';
import { LinkPromises } from './link-promises.ts';
import { LinkWorld, type LinkHost } from './link-world.ts';
import { DEFAULT_SECONDS, Draw, guarded, logUniform, pick, type SimOptions, type SimResult } from './plan.ts';
import { createRealCrypto } from './real-crypto.ts';
import { Stranger } from './stranger.ts';

/** Every pair linked both ways and able to talk, so long after healing (ms). */
const LINKED_LIMIT_MS = 5_000;
/** Every message queued has arrived, or its link is closed, so long after healing (ms). */
const DELIVER_LIMIT_MS = 10_000;
const MAX_IDLE_STEPS_PER_SECOND = 1_000;
/** Goodbyes linger; then every link is forgotten (ms). */
const CLOSED_MS = 6_000;
/** Keys are replaced after two minutes, so that a world that is to see it lives longer (s). */
const REKEY_SECONDS = 250;

class LinkScenario {
  readonly #draw: Draw;
  readonly #world: LinkWorld;
  readonly #promises: LinkPromises;
  readonly #faults: HostFaults<NonNullable<LinkHost['process']>, LinkHost>;
  readonly #trace: (line: string) => void;
  readonly #seconds: number;
  readonly #stranger: Stranger | undefined;
  readonly #byzantine: Byzantine | undefined;
  readonly #large: number;
  #calm = false;
  convergeMs = Infinity;

  constructor(options: SimOptions) {
    const draw = new Draw(options);
    this.#draw = draw;
    this.#trace = options.trace ?? ((): void => undefined);
    const long = draw.has('rekey', 0.15);
    this.#seconds = options.seconds === undefined && long ? REKEY_SECONDS : (options.seconds ?? DEFAULT_SECONDS);
    const network = drawNetwork(draw);
    const hosts = Math.min(options.peers ?? 4, 2 + (long ? 0 : draw.rng('hosts').int(3)));
    const mode: DoorMode = draw.has('code', 0.2) ? 'code' : draw.has('room-key', 0.2) ? 'member' : 'open';
    this.#world = new LinkWorld({
      seed: draw.rng('world').u32(),
      hosts,
      mode,
      network,
      driftPpm: draw.has('drift') ? 500 : 0,
      ...(draw.has('small-socket', 0.2) ? { socketHolds: 92 } : {}),
      ...(draw.has('real-crypto', 0.1) ? { crypto: createRealCrypto } : {}),
    });
    if (draw.has('two-addresses', 0.3)) for (const { index } of this.#world.peers) this.#world.addAddress(index, `10.6.0.${index + 1}`);
    this.#promises = new LinkPromises(this.#world);
    this.#faults = new HostFaults(
      this.#world,
      network,
      {
        victims: () => this.#world.peers.map((host) => host.index),
        restart: (index, afterMs, amnesia) => {
          this.#world.at(this.#world.now + afterMs, () => {
            if (!this.#calm) this.#start(index, amnesia);
          });
        },
        moved: () => undefined,
      },
      this.#trace,
    );
    this.#stranger = draw.has('stranger', 0.3) ? new Stranger(this.#world, draw.rng('stranger')) : undefined;
    this.#promises.nothingRepeats = network.duplicateRatio === 0 && network.replayRatio === 0 && this.#stranger === undefined;
    this.#byzantine = hosts > 2 && draw.has('byzantine', 0.3) ? new Byzantine(this.#world.crypto, draw.rng('byzantine')) : undefined;
    this.#large = draw.amount('bulk', 2_000, 200_000, 0.3) ?? 0;
  }

  get world(): LinkWorld {
    return this.#world;
  }

  get promises(): LinkPromises {
    return this.#promises;
  }

  get classes(): readonly string[] {
    return this.#draw.classes;
  }

  #isLiar(host: LinkHost): boolean {
    return this.#promises.liars.has(host);
  }

  #start(index: number, newIdentity: boolean): void {
    const host = this.#world.peer(index);
    if (host.process !== undefined) return;
    this.#trace(`${Math.round(this.#world.now)} start ${index}${newIdentity ? ' as somebody new' : ''}`);
    this.#world.start(index, { newIdentity, ...(this.#isLiar(host) ? { crypto: this.#byzantine!.crypto } : {}) });
  }

  /** Starts all hosts, their habits and the faults. */
  begin(): void {
    const { rng } = this.#world;
    const together = this.#draw.has('simultaneous', 0.4);
    if (this.#byzantine !== undefined) this.#promises.liars.add(this.#world.peers.at(-1)!);
    for (const host of this.#world.peers) {
      this.#world.at(together ? 10 : rng.float() * 1_000, () => this.#start(host.index, false));
      this.#keep(host, together ? 40 : 20 + rng.float() * 100, together);
      this.#talk(host, this.#draw.rng(`talk ${host.index}`));
    }
    this.#look();
    this.#faults.arm(this.#draw);
    const cut = this.#draw.rng('close');
    if (this.#draw.has('close', 0.3)) this.#faults.every(cut, 4_000, () => this.#closeOne(cut));
    if (this.#stranger !== undefined) {
      const stranger = this.#stranger;
      this.#faults.every(this.#draw.rng('strikes'), 700, () => stranger.strike());
      if (this.#draw.has('half-open-flood', 0.4)) this.#faults.every(this.#draw.rng('floods'), 12_000, () => stranger.flood());
    }
  }

  /** What stands for the layer above: calls whoever is missing. */
  #keep(host: LinkHost, everyMs: number, together: boolean): void {
    const patience = together ? 1_000 : 1_000 + 700 * host.index;
    if (host.process !== undefined && !host.suspended && host.stalledUntil <= this.#world.now) this.#world.callMissing(host, patience);
    this.#world.at(this.#world.now + everyMs, () => {
      if (!this.#closing) this.#keep(host, everyMs, together);
    });
  }

  #closing = false;

  #talk(host: LinkHost, rng: Rng): void {
    if (this.#calm) return;
    const links = [...host.links.values()];
    if (links.length > 0 && !host.suspended && host.stalledUntil <= this.#world.now) {
      const channel = pick<Channel>(rng, ['reliable', 'reliable', 'sequenced', 'unreliable']);
      const large = channel === 'reliable' && this.#large > 0 && rng.chance(0.05);
      const size = large ? Math.floor(logUniform(rng, 1_121, this.#large)) : 18 + rng.int(rng.chance(0.1) ? 1_000 : 100);
      const lane = rng.int(channel === 'reliable' ? 6 : 7);
      for (let i = rng.chance(0.05) ? 1 + rng.int(30) : 1; i > 0; i--) this.#promises.send(host, pick(rng, links).id, channel, lane, size);
      if (rng.chance(0.5)) host.process?.flush(host.clock(this.#world.now));
      this.#world.drain(host);
    }
    // A long world is a quiet one most of the time.
    const gap = this.#seconds > DEFAULT_SECONDS && rng.chance(0.1) ? rng.float() * 4_000 : 5 + rng.float() * 70;
    this.#world.at(this.#world.now + gap, () => this.#talk(host, rng));
  }

  #look(): void {
    this.#promises.checkLoad();
    this.#world.at(this.#world.now + 250, () => this.#look());
  }

  #closeOne(rng: Rng): void {
    const host = pick(rng, this.#world.peers);
    const link = [...host.links.values()][0];
    if (host.process === undefined || link === undefined || host.stalledUntil > this.#world.now) return;
    host.process.close(host.clock(this.#world.now), link.id, 'bye');
    this.#world.drain(host);
  }

  // ── healing ───────────────────────────────────────────────────────────────────────────────────────

  #disagreement(): string | undefined {
    for (const a of this.#world.peers) {
      for (const b of this.#world.peers) {
        if (a === b || this.#isLiar(a) || this.#isLiar(b)) continue;
        const link = this.#world.linkTo(a, b);
        if (link === undefined) return `no link from ${a.index} to ${b.index}`;
        if (link.silentSince !== undefined) return `${a.index} does not hear ${b.index}`;
      }
    }
    return undefined;
  }

  play(): void {
    const world = this.#world;
    const violations = this.#promises.violations;
    this.begin();
    world.run(Math.max(1, this.#seconds - 12) * 1_000);
    this.#trace(`${Math.round(world.now)} heal`);
    this.#calm = true;
    this.#faults.calm();
    this.#stranger?.leave();
    world.net.heal();
    this.#byzantine?.reform();
    const stays = this.#draw.rng('rest');
    for (const host of world.peers) {
      if (this.#isLiar(host)) world.crash(host.index);
      else this.#start(host.index, stays.chance(0.2));
    }
    const took = world.runUntil(() => this.#disagreement() === undefined, LINKED_LIMIT_MS);
    if (took === undefined) violations.push(`L4: ${this.#disagreement()} ${LINKED_LIMIT_MS} ms after healing`);
    else this.convergeMs = took;
    for (const host of world.peers) {
      for (const link of host.links.values()) this.#promises.send(host, link.id, 'reliable', 0, 40);
      world.drain(host);
    }
    if (world.runUntil(() => this.#promises.undelivered() === undefined, DELIVER_LIMIT_MS, 50) === undefined)
      violations.push(`L2: ${this.#promises.undelivered()} ${DELIVER_LIMIT_MS} ms after healing`);
    if (world.runUntil(() => this.#promises.widowed() === undefined, LINK_TIMEOUT_MS + 1_000, 200) === undefined)
      violations.push(`L2: ${this.#promises.widowed()} is open though its other side has long been gone`);
    // A link that was closed a moment ago still says goodbye with what it holds.
    world.run(2_500);
    if (this.#byzantine === undefined) this.#promises.checkNothingHeld();
    this.#checkIdle(violations);
    this.#closeAll();
    this.#stranger?.check();
    violations.push(...(this.#stranger?.violations ?? []));
    this.#promises.checkNoticed('unsent-ack', Math.floor((this.#byzantine?.told.get('ack-unsent') ?? 0) / 60));
  }

  #checkIdle(violations: string[]): void {
    const steps = this.#world.steps;
    this.#world.run(1_000);
    const perHost = (this.#world.steps - steps) / this.#world.peers.length;
    if (perHost > MAX_IDLE_STEPS_PER_SECOND) violations.push(`L6: ${Math.round(perHost)} steps per host in an idle second`);
  }

  #closeAll(): void {
    const world = this.#world;
    this.#closing = true;
    for (const host of world.peers) {
      for (const link of [...host.links.values()]) host.process?.close(host.clock(world.now), link.id, 'bye');
      world.drain(host);
    }
    world.run(CLOSED_MS);
    this.#promises.checkNothingLeft();
  }
}

/** Runs one seed of links. */
export function simulateLinks(options: SimOptions): SimResult {
  const scenario = new LinkScenario(options);
  const { world, promises } = scenario;
  guarded(
    promises.violations,
    () => world.now,
    () => scenario.play(),
  );
  return {
    seed: options.seed,
    kind: 'link',
    classes: scenario.classes,
    violations: promises.violations,
    convergeMs: scenario.convergeMs,
    hash: world.traceHash,
    steps: world.steps,
    sent: promises.sent,
    delivered: promises.delivered,
    hostChangesPerMinute: undefined,
    seconds: world.now / 1_000,
  };
}
