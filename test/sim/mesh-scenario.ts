/**
 * A seed of rooms: members come together and live through faults, then the faults end for a core of at
 * least two while the rest may stay broken for ever, and the core has to become one room again.
 *
 *   start -> faults, with numbered messages all the time -> break the rest for good -> heal a core -> one list, one host (L1)
 *   -> everything queued arrives (L2) -> a newcomer gets a seat (L4) -> an idle second (L6) -> where machines have two
 *   addresses, most of a minute without a new link (L7) -> words that overtake each other (S13)
 *   -> halves whose hosts never hear each other (L1) -> a minute of a permanent one-way block where the seed has one (L5)
 */
import type { Rng } from '../../sdk/base/rng.ts';
import type { PeerId } from '../../sdk/base/brand.ts';
import type { PortEvent } from '../../sdk/port/port.ts';
import { LINK_TIMEOUT_MS, LONE_CLAIM_MS, MAX_PEERS } from '../../sdk/wire/limits.ts';
import { Agreement, World, type WorldPeer } from '../../sdk/testing/index.ts';
import { drawNetwork } from './host-faults.ts';
import { FATES, MeshFaults } from './mesh-faults.ts';
import { DEFAULT_SECONDS, Draw, REAL_CRYPTO_PEERS, guarded, hostsOf, pick, sample, type SimOptions, type SimResult } from './plan.ts';
import { MeshTicks } from './mesh-ticks.ts';
import { createRealCrypto } from './real-crypto.ts';

/** One list and one host on every peer of the core, so long after healing (ms). */
const CONVERGE_LIMIT_MS = 3_000;
/** Twice the silence that makes a peer away: so long agreement has to stand before it counts. */
const STABLE_MS = 1_200;
/** A seat that goes because its grace ended is news, which may be on its way for so long (ms): a lost datagram is sent again in that time. */
const NEWS_MS = 100;
/**
 * The rest breaks so long before the core heals (ms): on a path that was slow and lossy silence means something only
 * after seconds, by design, and that wait is no part of what becoming one room again takes.
 */
const BROKEN_BEFORE_MS = 6_000;
const DELIVER_LIMIT_MS = 10_000;
const JOIN_LIMIT_MS = 2_000;
const MAX_IDLE_STEPS_PER_SECOND = 1_000;
const MINUTE_MS = 60_000;
const MAX_HOST_CHANGES_PER_MINUTE = 3;
/** All links are what they should be so long after a room is whole (ms). */
const SETTLE_MS = 8_000;
/** So long links are watched in a whole room: several times what it takes to ask again who is at an address (ms). */
const CALM_MS = 45_000;
/** So often a member says something new of itself while packets overtake each other. */
const WORDS = 12;
/** What follows the healing takes about this long (s). */
const AFTER_SECONDS = 8;

class MeshScenario {
  readonly world: World;
  readonly agreement: Agreement;
  readonly draw: Draw;
  readonly violations: string[] = [];
  convergeMs = Infinity;
  hostChangesPerMinute: number | undefined;
  readonly #faults: MeshFaults;
  readonly #seconds: number;
  readonly #graceMs: number;
  readonly #trace: (line: string) => void;
  readonly #members: readonly WorldPeer[];
  /** Who becomes whole again; empty until it is chosen. */
  readonly #core = new Set<WorldPeer>();
  readonly ticks: MeshTicks | undefined;
  /** Two who never hear each other, as on a network that keeps some clients apart; all others hear both. */
  #apart: readonly WorldPeer[] = [];
  /** What is said leaves at once, as a room has it, in place of a moment later. */
  readonly #prompt: boolean;
  #talking = true;

  constructor(options: SimOptions) {
    const draw = new Draw(options);
    this.draw = draw;
    this.#trace = options.trace ?? ((): void => undefined);
    this.#seconds = options.seconds ?? DEFAULT_SECONDS;
    const real = draw.has('real-crypto', 0.1);
    const peers = Math.min(hostsOf(options), real ? REAL_CRYPTO_PEERS : Infinity);
    const network = drawNetwork(draw);
    this.#graceMs = draw.has('short-grace', 0.3) ? 3_000 : 20_000;
    this.world = new World({
      seed: draw.rng('world').u32(),
      // One host more: the newcomer at the end.
      peers: peers + 1,
      network,
      driftPpm: draw.has('drift') ? 500 : 0,
      graceMs: this.#graceMs,
      ...(draw.has('code', 0.2) ? { code: 'k7q2mx' } : {}),
      ...(draw.has('small-socket', 0.2) ? { socketHolds: 92 } : {}),
      ...(real ? { crypto: createRealCrypto } : {}),
    });
    this.agreement = new Agreement(this.world);
    this.#members = this.world.peers.slice(0, peers);
    this.#faults = new MeshFaults(this.world, this.#members, network, draw, this.#trace);
    for (const liar of this.#faults.byzantine.keys()) this.agreement.liars.add(liar);
    if (draw.has('two-addresses', 0.15)) {
      const rng = draw.rng('who has two addresses');
      for (const { index } of this.#members) if (rng.chance(0.5)) this.world.addAddress(index, `10.6.0.${index + 1}`);
    }
    if (draw.has('apart', 0.15)) this.#apart = sample(draw.rng('who is apart'), this.#members, 2);
    const tickMs = draw.amount('ticks', 50, 250, 0.25);
    if (tickMs !== undefined) this.ticks = new MeshTicks(this.world, draw.rng('what ticks say'), tickMs, this.agreement.liars);
    this.#prompt = draw.has('prompt');
    if (options.trace !== undefined)
      this.world.watchers.push({
        onEvent: (now, peer, event) => event.type !== 'message' && this.#trace(`${Math.round(now)} peer ${peer.index} ${describe(event)}`),
      });
  }

  play(): void {
    const { world } = this;
    this.#keepApart();
    this.#faults.begin();
    this.#talk(this.draw.rng('talk'));
    this.#look();
    world.run(1_500);
    this.#faults.arm();
    const end = Math.max(2, this.#seconds - AFTER_SECONDS) * 1_000;
    while (world.now < end) {
      if (this.#core.size === 0 && world.now >= end - BROKEN_BEFORE_MS) this.#break();
      world.run(500);
      this.#startAgain(this.#members);
    }
    const rooms = this.#heal();
    this.#trace(`${Math.round(world.now)} healed: ${rooms.map((room) => room.map((peer) => peer.index).join(' ')).join(' | ')}`);
    this.#settle(rooms);
    if (this.convergeMs === Infinity) return;
    for (const room of rooms) this.#deliver(room);
    this.#join(rooms[0]!);
    this.#idle(rooms);
    this.#calm(rooms);
    this.#overtake(rooms[0]!);
    this.#meet(rooms[0]!);
    this.#permanent(rooms[0]!);
  }

  /** Whatever mends the rest of the network, and whatever addresses they have by now. */
  #keepApart(): void {
    const [a, b] = this.#apart;
    if (a !== undefined && b !== undefined) this.world.cut(a.index, b.index);
  }

  /** Processes whose join failed start again, as somebody at the keyboard would do. */
  #startAgain(peers: readonly WorldPeer[]): void {
    for (const peer of peers) if (peer.mesh !== undefined && !peer.isLive()) this.#faults.start(peer.index, false);
  }

  #talk(rng: Rng): void {
    if (!this.#talking) return;
    const live = this.world.live();
    const from = live[rng.int(live.length)];
    const to = live[rng.int(live.length)];
    if (from !== undefined && to !== undefined && from !== to && from.roomId === to.roomId && from.stalledUntil <= this.world.now)
      this.#say(from, to, rng.chance(0.02) ? 12 + rng.int(8_000) : 12 + rng.int(100));
    this.world.at(this.world.now + 20 + rng.float() * 60, () => this.#talk(rng));
  }

  #say(from: WorldPeer, to: WorldPeer, bytes: number): void {
    this.agreement.send(from, to, bytes);
    if (!this.#prompt) return;
    from.mesh?.flush(from.clock(this.world.now));
    this.world.drain(from);
  }

  #look(): void {
    this.agreement.checkLoad();
    this.world.at(this.world.now + 500, () => this.#look());
  }

  // ── healing ───────────────────────────────────────────────────────────────────────────────────────

  /** Chooses the core, and breaks the rest for good while faults still last. */
  #break(): void {
    const rng = this.draw.rng('heal');
    const partly = this.draw.has('broken-rest', 0.4);
    for (const peer of partly ? sample(rng, this.#members, 2 + rng.int(this.#members.length - 1)) : this.#members) this.#core.add(peer);
    // Liars end with the faults: somebody has to stay.
    const honest = (peer: WorldPeer): boolean => !this.agreement.liars.has(peer);
    if (![...this.#core].some(honest)) this.#core.add(this.#members.find(honest)!);
    for (const peer of this.#members) if (!this.#core.has(peer)) this.#faults.breakForEver(peer, pick(rng, FATES), this.#core);
    // Somebody has to be between the two, if both are to be of one room.
    const between = (one: WorldPeer): boolean => honest(one) && !this.#apart.includes(one) && one.roomId === this.#apart[0]?.roomId;
    if (![...this.#core].some(between)) this.#apart = [];
    this.#keepApart();
  }

  /** Ends the faults for the core; returns it, by room. */
  #heal(): WorldPeer[][] {
    const { world } = this;
    const core = this.#core;
    this.#faults.calm();
    world.net.heal();
    world.discovery = true;
    for (const liar of this.#faults.byzantine.keys()) {
      core.delete(liar);
      world.crash(liar.index);
    }
    this.#faults.breakAgain();
    this.#keepApart();
    this.#faults.core = core;
    for (const peer of core) if (this.#faults.isGoing(peer)) world.crash(peer.index);
    this.#faults.endVainJoins();
    for (const peer of core) {
      world.tellAddress(peer.index);
      this.#faults.start(peer.index, false);
    }
    this.#faults.restoreEligible();
    const first = [...core].filter((peer) => peer.roomId === world.roomId);
    return [first, [...core].filter((peer) => peer.roomId !== world.roomId)].filter((room) => room.length > 0);
  }

  #disagreement(rooms: readonly WorldPeer[][]): string | undefined {
    for (const room of rooms) {
      const found = this.agreement.disagreement(room);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /**
   * When the list began to be one for good. A cut of the last moment may be noticed only after the healing,
   * so agreement counts once it has stood for `STABLE_MS`, whatever seats of those who are away end meanwhile. Who comes as somebody new to a full room has to wait for the
   * end of a grace: seats are kept for those who are away. Who lost everybody at once, since all others were liars and ended with
   * the faults, waits before it is host of itself.
   */
  #settle(rooms: readonly WorldPeer[][]): void {
    const { world } = this;
    const healed = world.now;
    let start = healed;
    let since = start;
    let agreedAt = -Infinity;
    const seated = new Set<PeerId>();
    this.#noteSeated(rooms, seated);
    const isLone = this.#faults.byzantine.size > 0 && rooms.some((room) => room.length === 1);
    const limitMs = CONVERGE_LIMIT_MS + (isLone ? LONE_CLAIM_MS : 0);
    while (world.now - start < limitMs + STABLE_MS) {
      if (world.now - healed < this.#graceMs + 1_000 && rooms.some((room) => this.#isFullFor(room))) start = world.now + 20;
      if (this.#noteSeated(rooms, seated)) start = world.now + 20;
      if (this.#disagreement(rooms) === undefined) agreedAt = world.now;
      else if (world.now - agreedAt > NEWS_MS || !rooms.every((room) => this.agreement.agreesButForNews(room))) since = world.now + 20;
      if (agreedAt === world.now && world.now - since >= STABLE_MS) {
        if (since - start <= limitMs) this.convergeMs = since - start;
        break;
      }
      world.run(20);
      for (const room of rooms) this.#startAgain(room);
    }
    if (this.convergeMs === Infinity) this.violations.push(`L1: ${this.#disagreement(rooms) ?? 'agreed too late'} ${limitMs} ms after healing`);
    else this.#trace(`${Math.round(world.now)} converged after ${Math.round(this.convergeMs)} ms`);
  }

  /**
   * Writes down who of the rest has a seat; true when one got it since the last time, for a request that lay with a member while it was cut off: that it is broken is learnt
   * from then on. Once for each.
   */
  #noteSeated(rooms: readonly (readonly WorldPeer[])[], seated: Set<PeerId>): boolean {
    const before = seated.size;
    for (const room of rooms)
      for (const { mesh } of room)
        for (const seat of mesh?.joinState.type === 'joined' ? mesh.roster().peers : [])
          if (![...this.#core].some((peer) => peer.mesh?.self === seat.id)) seated.add(seat.id);
    return seated.size > before;
  }

  /** Those of the room who have a seat are one, its list is full of seats kept for others, and somebody has none who never had one. */
  #isFullFor(room: readonly WorldPeer[]): boolean {
    const seated = room.filter((peer) => peer.mesh?.joinState.type === 'joined');
    if (seated.length === 0 || this.agreement.disagreement(seated) !== undefined) return false;
    const { peers } = seated[0]!.mesh!.roster();
    const waits = room.some((peer) => peer.mesh !== undefined && !seated.includes(peer) && peers.every((seat) => seat.id !== peer.mesh!.self));
    return waits && peers.length === MAX_PEERS && peers.some((seat) => seat.status === 'away');
  }

  #deliver(room: readonly WorldPeer[]): void {
    const { agreement } = this;
    for (const from of room)
      for (const to of room) if (from !== to && !agreement.send(from, to)) this.violations.push(`L2: ${from.index} cannot send to ${to.index}`);
    const delivered = (): boolean => {
      // What a link took with it when it was made anew is said again, as any game would on `reset`.
      agreement.repeatAfterReset(room);
      return agreement.undelivered(room).length === 0;
    };
    if (this.world.runUntil(delivered, DELIVER_LIMIT_MS, 50) === undefined)
      this.violations.push(`L2: not delivered ${agreement.undelivered(room).join(', ')}`);
  }

  #join(room: WorldPeer[]): void {
    const newcomer = this.world.peers.at(-1)!;
    // A full room may refuse it, and seats of those who are away are kept for the grace period.
    this.world.runUntil(() => room[0]!.mesh!.roster().peers.length < MAX_PEERS, this.#graceMs + 1_000, 100);
    // Of two rooms it asks for this one: in the other nobody here would see it.
    this.#faults.assign(newcomer.index, room[0]!.roomId);
    this.#faults.start(newcomer.index, false);
    const joined = this.world.runUntil(() => newcomer.mesh?.joinState.type === 'joined', JOIN_LIMIT_MS);
    if (joined === undefined) this.violations.push(`L4: a newcomer has no seat after ${JOIN_LIMIT_MS} ms`);
    room.push(newcomer);
    if (this.world.runUntil(() => this.agreement.disagreement(room) === undefined, CONVERGE_LIMIT_MS) === undefined)
      this.violations.push(`L1: ${this.agreement.disagreement(room)} ${CONVERGE_LIMIT_MS} ms after a newcomer`);
  }

  #idle(rooms: readonly WorldPeer[][]): void {
    this.#talking = false;
    if (this.ticks !== undefined) this.ticks.stopped = true;
    const { steps } = this.world;
    this.world.run(1_000);
    const live = this.world.live().length;
    const perPeer = (this.world.steps - steps) / Math.max(1, live);
    if (perPeer > MAX_IDLE_STEPS_PER_SECOND) this.violations.push(`L6: ${Math.round(perPeer)} steps per peer in an idle second`);
    // A seat whose grace period ends in the last milliseconds of it is on its way to everybody.
    if (this.world.runUntil(() => this.#disagreement(rooms) === undefined, 100, 10) === undefined)
      this.violations.push(`L1: came apart again: ${this.#disagreement(rooms)}`);
  }

  /** Machines with two addresses are found at both, for as long as they are there: no reason to make a link anew. */
  #calm(rooms: readonly WorldPeer[][]): void {
    const { world, violations } = this;
    if (!this.draw.classes.includes('two-addresses')) return;
    // Links that began over a member, or whose other side is gone, are made anew by then.
    world.run(SETTLE_MS);
    const watched = new Set(rooms.flat());
    let isOver = false;
    world.watchers.push({
      onEvent(now, peer, event) {
        if (isOver || event.type !== 'reset' || !watched.has(peer)) return;
        const other = world.byId(event.peer);
        if (other !== undefined && watched.has(other))
          violations.push(`L7 at ${Math.round(now)} ms, peer ${peer.index}: a new link to peer ${other.index}, in a whole room`);
      },
    });
    world.run(CALM_MS);
    isOver = true;
  }

  /** What a member says of itself is told to the room once, however its words overtake each other. */
  #overtake(room: readonly WorldPeer[]): void {
    const { world } = this;
    const roster = room[0]!.mesh!.roster();
    const host = room.find((peer) => peer.mesh!.self === roster.host)!;
    const others = room.filter((peer) => peer !== host);
    if (others.length === 0 || !this.draw.has('overtaking', 0.2)) return;
    const rng = this.draw.rng('overtaking');
    const said = new Map(roster.peers.map((seat) => [seat.id, seat.eligible]));
    let told = 0;
    let isOver = false;
    world.watchers.push({
      onEvent(_now, peer, event) {
        if (isOver || peer !== host || event.type !== 'roster') return;
        for (const { id, eligible } of event.roster.peers) {
          if (said.get(id) !== eligible) told++;
          said.set(id, eligible);
        }
      },
    });
    const change = (peer: WorldPeer, eligible: boolean): void => {
      peer.mesh!.setEligible(peer.clock(world.now), eligible);
      world.drain(peer);
    };
    world.net.configure({ jitterMs: 100, reorderRatio: 0.3 });
    for (let i = 0; i < WORDS; i++) {
      change(pick(rng, others), i % 2 === 1);
      world.run(200 + 400 * rng.float());
    }
    world.net.configure({ jitterMs: 0, reorderRatio: 0 });
    world.run(1_000);
    if (host.mesh?.roster().term === roster.term && told > WORDS)
      this.violations.push(`S13 before ${Math.round(world.now)} ms: ${told} changes of what members said ${WORDS} times`);
    isOver = true;
    for (const peer of others) change(peer, true);
    world.run(1_000);
  }

  /** Two halves find each other again, but for their hosts, who are apart for good. */
  #meet(room: readonly WorldPeer[]): void {
    const { world } = this;
    if (room.length < 3 || !this.draw.has('hosts-apart', 0.2)) return;
    const rng = this.draw.rng('hosts-apart');
    const half = sample(rng, room, 1 + rng.int(room.length - 1));
    const rest = room.filter((peer) => !half.includes(peer));
    for (const a of half) for (const b of rest) world.cut(a.index, b.index);
    // Longer than links outlive silence: those of the hosts would go on over a member.
    world.run(LINK_TIMEOUT_MS + 3_000);
    const hosts = [half[0]!, rest[0]!].map((peer) => world.byId(peer.mesh!.roster().host)!);
    for (const a of half) {
      for (const b of rest) {
        if (hosts.includes(a) && hosts.includes(b)) continue;
        world.mendOneWay(a.index, b.index);
        world.mendOneWay(b.index, a.index);
      }
    }
    if (world.runUntil(() => this.agreement.disagreement(room) === undefined, CONVERGE_LIMIT_MS) === undefined)
      this.violations.push(`L1: ${this.agreement.disagreement(room)} ${CONVERGE_LIMIT_MS} ms after halves met whose hosts are apart`);
  }

  /** One direction between two members is blocked for good: nobody may take that for a reason to elect for ever. */
  #permanent(room: readonly WorldPeer[]): void {
    if (room.length < 2 || !this.draw.has('one-way-for-ever', 0.12)) return;
    const rng = this.draw.rng('one-way-for-ever');
    const [from, to] = sample(rng, room, 2);
    const mute = rng.chance(0.4);
    for (const other of room) if (other !== from && (mute || other === to)) this.world.cutOneWay(from!.index, other.index);
    const { hostChanges } = this.agreement;
    const before = hostChanges.length;
    this.world.run(MINUTE_MS);
    this.hostChangesPerMinute = hostChanges.length - before;
    if (this.hostChangesPerMinute > MAX_HOST_CHANGES_PER_MINUTE)
      this.violations.push(`L5: ${this.hostChangesPerMinute} host changes in a minute of a one-way block`);
  }
}

function describe(event: PortEvent): string {
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

/** Runs one seed of rooms. */
export function simulateMesh(options: SimOptions): SimResult {
  const scenario = new MeshScenario(options);
  const { world, agreement, ticks, violations } = scenario;
  guarded(
    violations,
    () => world.now,
    () => scenario.play(),
  );
  return {
    seed: options.seed,
    kind: 'mesh',
    classes: scenario.draw.classes,
    violations: [...agreement.violations, ...(ticks?.violations ?? []), ...violations],
    convergeMs: scenario.convergeMs,
    hash: world.traceHash,
    steps: world.steps,
    sent: agreement.sent + (ticks?.sent ?? 0),
    delivered: agreement.delivered + (ticks?.delivered ?? 0),
    hostChangesPerMinute: scenario.hostChangesPerMinute,
    seconds: world.now / 1_000,
  };
}
