/**
 * One seed of the simulator: a room lives through faults the seed chooses (swarm: each seed has some
 * classes and not others), then the faults stop and the room has to come together again.
 *
 *   start (split or in turn) -> faults, with numbered messages all the time -> heal -> one list (L1)
 *   -> messages between all pairs arrive (L2) -> an idle second without busy loops (L6)
 */
import { createRng, type Rng } from '../../sdk/base/rng.ts';
import { Agreement, World, type NetemOptions, type WorldPeer } from '../../sdk/testing/index.ts';

export interface SimOptions {
  readonly seed: number;
  readonly peers: number;
  readonly seconds: number;
  /** Called with a line for everything that happens. */
  readonly trace?: (line: string) => void;
}

export interface SimResult {
  readonly seed: number;
  readonly violations: readonly string[];
  readonly converged: boolean;
  readonly convergeMs: number;
  readonly hash: string;
  readonly steps: number;
  readonly sent: number;
  readonly delivered: number;
  readonly hostChanges: number;
  readonly seconds: number;
}

const CONVERGE_LIMIT_MS = 10_000;
/** Twice the silence that makes a peer away. */
const STABLE_MS = 1_200;
const DELIVER_LIMIT_MS = 10_000;
const MAX_IDLE_STEPS_PER_SECOND = 1_000;

/** Each class of fault is present in half of the seeds. */
function network(rng: Rng): Omit<NetemOptions, 'seed'> {
  const maybe = (most: number): number => (rng.chance(0.5) ? rng.float() * most : 0);
  return {
    lossRatio: maybe(0.3),
    burstRatio: maybe(0.005),
    burstLength: 1 + rng.int(40),
    duplicateRatio: maybe(0.3),
    replayRatio: maybe(0.03),
    delayMs: 0.2 + maybe(80),
    jitterMs: maybe(80),
    reorderRatio: maybe(0.2),
    corruptRatio: maybe(0.03),
    truncateRatio: maybe(0.03),
    extendRatio: maybe(0.03),
    ...(rng.chance(0.1) ? { receiveBuffer: 92 } : {}),
  };
}

class Faults {
  readonly #world: World;
  readonly #rng: Rng;
  readonly #trace: (line: string) => void;
  readonly #classes: readonly string[];
  #calm = false;

  constructor(world: World, rng: Rng, trace: (line: string) => void) {
    this.#world = world;
    this.#rng = rng;
    this.#trace = trace;
    const all = ['crash', 'crash-host', 'leave', 'stall', 'halves', 'isolate', 'ring', 'bridge', 'one-way', 'mute'];
    const chosen = all.filter(() => rng.chance(0.5));
    this.#classes = chosen.length === 0 ? ['crash'] : chosen;
  }

  get classes(): readonly string[] {
    return this.#classes;
  }

  calm(): void {
    this.#calm = true;
  }

  next(): void {
    if (this.#calm) return;
    this.#world.at(this.#world.now + 300 + this.#rng.float() * 2_500, () => {
      if (this.#calm) return;
      this.#strike(this.#classes[this.#rng.int(this.#classes.length)]!);
      this.next();
    });
  }

  #pick(): WorldPeer | undefined {
    const live = this.#world.live();
    return live.length <= 2 ? undefined : live[this.#rng.int(live.length)];
  }

  #strike(kind: string): void {
    const world = this.#world;
    const rng = this.#rng;
    const victim = kind === 'crash-host' ? world.byId(world.live()[0]?.mesh?.roster().host ?? ('' as never)) : this.#pick();
    if (victim === undefined || world.live().length <= 2) return;
    this.#trace(`${Math.round(world.now)} ${kind} ${victim.index}`);
    switch (kind) {
      case 'crash':
      case 'crash-host':
        world.crash(victim.index);
        return this.#restartLater(victim.index, 50 + rng.float() * 5_000);
      case 'leave':
        world.leave(victim.index);
        return this.#restartLater(victim.index, 500 + rng.float() * 3_000);
      case 'stall':
        return world.stall(victim.index, 100 + rng.float() * 4_000);
      default:
        this.#shape(kind, victim.index);
        world.at(world.now + 200 + rng.float() * 5_000, () => {
          this.#trace(`${Math.round(world.now)} mend`);
          world.mend();
        });
    }
  }

  #restartLater(index: number, ms: number): void {
    const newIdentity = this.#rng.chance(0.3);
    const founds = this.#rng.chance(0.2);
    this.#world.at(this.#world.now + ms, () => {
      if (!this.#calm) this.restart(index, newIdentity, founds);
    });
  }

  restart(index: number, newIdentity: boolean, founds: boolean): void {
    const world = this.#world;
    if (world.peer(index).isLive()) return;
    const joined = world.live().some((peer) => peer.mesh?.joinState.type === 'joined');
    const entry = founds || !joined ? 'found' : 'join';
    this.#trace(`${Math.round(world.now)} start ${index} ${entry}${newIdentity ? ' as somebody new' : ''}`);
    world.start(index, entry, { newIdentity });
  }

  #shape(kind: string, index: number): void {
    const world = this.#world;
    const all = world.peers.map((peer) => peer.index);
    const others = all.filter((one) => one !== index);
    switch (kind) {
      case 'halves': {
        const half = all.filter(() => this.#rng.chance(0.5));
        return world.partition(
          half,
          all.filter((one) => !half.includes(one)),
        );
      }
      case 'isolate':
        return world.partition([index], others);
      case 'ring': {
        for (const a of all) for (const b of all) if (a < b && b - a !== 1 && b - a !== all.length - 1) world.cut(a, b);
        return;
      }
      case 'bridge':
        return world.cut(index, others[this.#rng.int(others.length)]!);
      case 'one-way':
        return world.cutOneWay(index, others[this.#rng.int(others.length)]!);
      default:
        // Hears everybody, heard by nobody: the shape that makes naive elections run for ever.
        for (const other of others) world.cutOneWay(index, other);
    }
  }
}

function chatter(world: World, agreement: Agreement, rng: Rng): void {
  const live = world.live();
  const from = live[rng.int(live.length)];
  const to = live[rng.int(live.length)];
  if (from !== undefined && to !== undefined && from !== to && from.stalledUntil <= world.now)
    agreement.send(from, to, rng.chance(0.02) ? 12 + rng.int(8_000) : 12 + rng.int(100));
  world.at(world.now + 20 + rng.float() * 60, () => chatter(world, agreement, rng));
}

/** Processes whose join failed start again, as somebody at the keyboard would do. */
function restartFailed(world: World, faults: Faults): void {
  for (const peer of world.peers) if (peer.mesh?.joinState.type === 'failed') faults.restart(peer.index, false, false);
}

/** Runs one seed. Exceptions inside are violations (S11), not crashes of the runner. */
export function simulate(options: SimOptions): SimResult {
  const rng = createRng(options.seed);
  const trace = options.trace ?? ((): void => undefined);
  const world = new World({
    seed: rng.u32(),
    peers: options.peers,
    network: network(rng),
    driftPpm: rng.chance(0.5) ? 500 : 0,
    graceMs: rng.chance(0.3) ? 3_000 : 20_000,
    ...(rng.chance(0.2) ? { code: 'k7q2mx' } : {}),
  });
  const agreement = new Agreement(world);
  if (options.trace !== undefined)
    world.watchers.push({
      onEvent: (now, peer, event) => event.type !== 'message' && trace(`${Math.round(now)} peer ${peer.index} ${describe(event)}`),
    });
  const faults = new Faults(world, rng, trace);
  const violations: string[] = [];
  let convergeMs: number | undefined;
  try {
    convergeMs = play(options, world, agreement, faults, rng, violations, trace);
  } catch (error) {
    violations.push(`S11 at ${Math.round(world.now)} ms: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  }
  violations.unshift(...agreement.violations);
  return {
    seed: options.seed,
    violations,
    converged: convergeMs !== undefined,
    convergeMs: convergeMs ?? Infinity,
    hash: world.traceHash,
    steps: world.steps,
    sent: agreement.sent,
    delivered: agreement.delivered,
    hostChanges: agreement.hostChanges.length,
    seconds: world.now / 1_000,
  };
}

function describe(event: { readonly type: string }): string {
  return JSON.stringify(event, (key, value: unknown) =>
    key === 'peers' && Array.isArray(value)
      ? value
          .map((one: { slot: number; status: string; id: string }) => `${one.slot}${one.status === 'present' ? '+' : '-'}${one.id.slice(0, 4)}`)
          .join(' ')
      : key === 'roomId' || key === 'name'
        ? undefined
        : value,
  );
}

/**
 * When the list began to be one for good, ms from now. A cut of the last moment may be noticed only after
 * the healing, so agreement counts once it has stood for `STABLE_MS`.
 */
function settle(world: World, agreement: Agreement): number | undefined {
  const start = world.now;
  let since = start;
  while (world.now - start < CONVERGE_LIMIT_MS + STABLE_MS) {
    if (agreement.disagreement() !== undefined) since = world.now + 20;
    else if (world.now - since >= STABLE_MS) return since - start <= CONVERGE_LIMIT_MS ? since - start : undefined;
    world.run(20);
  }
  return undefined;
}

function play(
  options: SimOptions,
  world: World,
  agreement: Agreement,
  faults: Faults,
  rng: Rng,
  violations: string[],
  trace: (line: string) => void,
): number | undefined {
  const split = rng.chance(0.3);
  trace(`faults ${faults.classes.join(' ')}${split ? ', all found at once' : ''}`);
  for (const peer of world.peers) world.at(rng.float() * (split ? 50 : 1_000), () => faults.restart(peer.index, false, split));
  chatter(world, agreement, rng);
  world.run(1_500);
  faults.next();
  const end = options.seconds * 1_000 * 0.7;
  while (world.now < end) {
    world.run(500);
    restartFailed(world, faults);
  }
  trace(`${Math.round(world.now)} heal`);
  faults.calm();
  world.net.heal();
  for (const peer of world.peers) {
    peer.stalledUntil = Math.min(peer.stalledUntil, world.now);
    // Some stay away for ever: the rest has to come together without them.
    if (!peer.isLive() && (world.live().length < 2 || rng.chance(0.7))) faults.restart(peer.index, false, false);
  }
  const converged = settle(world, agreement);
  if (converged === undefined) {
    violations.push(`L1: ${agreement.disagreement()} ${CONVERGE_LIMIT_MS} ms after healing`);
    return undefined;
  }
  trace(`${Math.round(world.now)} converged after ${Math.round(converged)} ms`);
  const live = world.live();
  for (const from of live)
    for (const to of live) if (from !== to && !agreement.send(from, to)) violations.push(`L2: ${from.index} cannot send to ${to.index}`);
  const delivered = (): boolean => {
    // What a link took with it when it was made anew is said again, as any game would on `reset`.
    agreement.repeatAfterReset(live);
    return agreement.undelivered(live).length === 0;
  };
  if (world.runUntil(delivered, DELIVER_LIMIT_MS, 100) === undefined) violations.push(`L2: not delivered ${agreement.undelivered(live).join(', ')}`);
  const steps = world.steps;
  const disagreement = agreement.disagreement();
  world.run(1_000);
  const perPeer = (world.steps - steps) / Math.max(1, live.length);
  if (perPeer > MAX_IDLE_STEPS_PER_SECOND) violations.push(`L6: ${Math.round(perPeer)} steps per peer in an idle second`);
  if (disagreement !== undefined || agreement.disagreement() !== undefined)
    violations.push(`L1: came apart again: ${disagreement ?? agreement.disagreement()}`);
  return converged;
}
