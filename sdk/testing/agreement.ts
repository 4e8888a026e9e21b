/**
 * What must hold of a room, whatever the network does, and what must come true once it behaves. Names
 * are those of the invariants in the documentation of the simulator.
 *
 *   S1  reliable messages: in order, no repeat; a gap only with a `reset` or a new seat
 *   S2  a message comes from a member of the list, of this room, not thrown out, who did send it
 *   S4  at most one host per term; a peer never goes back in (term, epoch)
 *   S8  what links hold stays under its caps
 *   S10 join states take only the drawn transitions
 *   S12 honest peers never refuse each other as rule breakers
 *   S14 nobody is taken for a copy of somebody where each key is in one place
 *   R   slots and ids are unique, the host has a seat, a list has members of one room only
 *   L1  one list, one host, exactly those who live are present
 */
import type { PeerId } from '../base/brand.ts';
import { ByteReader, ByteWriter } from '../base/bytes.ts';
import type { PortEvent, PortRoster } from '../port/port.ts';
import { MAX_ATTEMPTS, MAX_HALF_OPEN, MAX_HELD_BYTES, MAX_LINKS } from '../wire/limits.ts';
import type { World, WorldPeer, WorldWatcher } from './world.ts';

interface Seen {
  life: number;
  term: number;
  epoch: number;
  state: string;
  seats: Set<PeerId>;
  /** Whom it knows to be thrown out, and in which term: another host may not have heard of it. */
  readonly kicked: Map<PeerId, number>;
}

interface Incoming {
  next: number;
  senderLife: number;
  mayGap: boolean;
}

const TRANSITIONS: Readonly<Record<string, readonly string[]>> = { joining: ['joined', 'failed', 'left'], joined: ['left'], failed: [], left: [] };

/** Drops that only a peer that breaks rules can cause. */
const RULES = ['unsent-ack', 'frame', 'reliable', 'held', 'mesh-malformed'] as const;

/**
 * Watches a world from its construction on: it adds itself to `world.watchers`. Added a second time it sees everything twice, and finds
 * violations that are none. `violations` stays empty when every promise held.
 */
export class Agreement implements WorldWatcher {
  readonly violations: string[] = [];
  /** Terms begun, with the time: how often the host changed. */
  readonly hostChanges: { readonly at: number; readonly term: number; readonly host: PeerId }[] = [];
  sent = 0;
  delivered = 0;
  /** Peers that do not keep the rules: what they say proves nothing, and lists may have suffered from it. */
  readonly liars = new Set<WorldPeer>();
  readonly #hosts = new Map<string, PeerId>();
  /** The room of everybody who ever was in one. */
  readonly #rooms = new Map<PeerId, string>();
  readonly #seen = new Map<number, Seen>();
  readonly #outgoing = new Map<string, number>();
  readonly #incoming = new Map<string, Incoming>();
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
    world.watchers.push(this);
  }

  #violate(now: number, rule: string, peer: WorldPeer, detail: string): void {
    if (this.violations.length < 50) this.violations.push(`${rule} at ${Math.round(now)} ms, peer ${peer.index} life ${peer.life}: ${detail}`);
  }

  onLife(_now: number, peer: WorldPeer): void {
    this.#seen.set(peer.index, { life: peer.life, term: 0, epoch: 0, state: 'joining', seats: new Set(), kicked: new Map() });
    if (peer.mesh !== undefined) this.#rooms.set(peer.mesh.self, peer.roomId);
    for (const key of this.#incoming.keys()) if (key.endsWith(` ${peer.index}`)) this.#incoming.delete(key);
    for (const key of this.#outgoing.keys()) if (key.startsWith(`${peer.index} `)) this.#outgoing.delete(key);
  }

  onStep(now: number, peer: WorldPeer): void {
    const seen = this.#seen.get(peer.index);
    const state = peer.mesh?.joinState.type;
    if (seen === undefined || state === undefined || state === seen.state) return;
    if (!TRANSITIONS[seen.state]!.includes(state)) this.#violate(now, 'S10', peer, `${seen.state} -> ${state}`);
    seen.state = state;
  }

  onEvent(now: number, peer: WorldPeer, event: PortEvent): void {
    if (this.liars.has(peer)) return;
    if (event.type === 'roster') {
      for (const one of event.left) if (one.reason === 'kicked') this.#seen.get(peer.index)!.kicked.set(one.id, event.roster.term);
      this.#onRoster(now, peer, event.roster);
    } else if (event.type === 'message') this.#onMessage(now, peer, event);
    else if (event.type === 'reset') this.#allowGap(peer, event.peer);
    else if (event.type === 'closed' && event.reason === 'copied' && !this.#hasDouble(peer)) this.#violate(now, 'S14', peer, 'taken for a copy');
  }

  #hasDouble(peer: WorldPeer): boolean {
    return this.#world.peers.some((other) => other !== peer && other.mesh?.self === peer.mesh?.self);
  }

  #onRoster(now: number, peer: WorldPeer, roster: PortRoster): void {
    const seen = this.#seen.get(peer.index)!;
    const key = `${peer.roomId} ${roster.term}`;
    const host = this.#hosts.get(key);
    if (this.liars.size > 0) {
      // A member that lies about the list can make two of one; only what the others check is a promise.
    } else if (host === undefined) {
      this.#hosts.set(key, roster.host);
      this.hostChanges.push({ at: now, term: roster.term, host: roster.host });
    } else if (host !== roster.host) this.#violate(now, 'S4', peer, `two hosts in term ${roster.term}`);
    if (roster.term < seen.term || (roster.term === seen.term && roster.epoch < seen.epoch))
      this.#violate(now, 'S4', peer, `list went back from ${seen.term}/${seen.epoch} to ${roster.term}/${roster.epoch}`);
    seen.term = roster.term;
    seen.epoch = roster.epoch;
    const ids = roster.peers.map((one) => one.id);
    const slots = roster.peers.map((one) => one.slot);
    if (new Set(ids).size !== ids.length || new Set(slots).size !== slots.length) this.#violate(now, 'R', peer, 'two seats share a slot or an id');
    if (!ids.includes(roster.host)) this.#violate(now, 'R', peer, 'the host has no seat');
    for (const id of ids) {
      if (!seen.seats.has(id)) this.#allowGap(peer, id);
      if (seen.kicked.get(id) === roster.term) this.#violate(now, 'S2', peer, `${id.slice(0, 8)} was thrown out and has a seat again`);
      if (this.liars.size === 0 && this.#rooms.get(id) !== peer.roomId)
        this.#violate(now, 'R', peer, `a seat for ${id.slice(0, 8)}, who is not of this room`);
    }
    seen.seats = new Set(ids);
  }

  // ── numbered messages ─────────────────────────────────────────────────────────────────────────────

  /** Sends the next number from one peer to another over `reliable`; false when it was not taken. */
  send(from: WorldPeer, to: WorldPeer, bytes = 12): boolean {
    if (from.mesh === undefined || to.mesh === undefined) return false;
    const key = `${from.index} ${to.index}`;
    const next = this.#outgoing.get(key) ?? 0;
    const body = new ByteWriter(bytes).u32(from.index).u32(from.life).u32(next);
    while (body.offset < bytes) body.u8(body.offset & 0xff);
    const taken = from.mesh.send(from.clock(this.#world.now), to.mesh.self, 'reliable', body.copy());
    if (taken) {
      this.#outgoing.set(key, next + 1);
      this.sent++;
    }
    this.#world.drain(from);
    return taken;
  }

  /** By identity: a host that starts as somebody new is somebody else to all others, and between the two there is no order. */
  #incomingOf(peer: WorldPeer, from: PeerId): Incoming {
    const key = `${from} ${peer.index}`;
    let incoming = this.#incoming.get(key);
    if (incoming === undefined) this.#incoming.set(key, (incoming = { next: 0, senderLife: 0, mayGap: true }));
    return incoming;
  }

  #allowGap(peer: WorldPeer, id: PeerId): void {
    this.#incomingOf(peer, id).mayGap = true;
  }

  #onMessage(now: number, peer: WorldPeer, { from, channel, bytes }: Extract<PortEvent, { readonly type: 'message' }>): void {
    const seen = this.#seen.get(peer.index);
    if (seen?.seats.has(from) === false || this.#rooms.get(from) !== peer.roomId)
      this.#violate(now, 'S2', peer, `a message of ${from.slice(0, 8)}, who has no seat here`);
    for (const liar of this.liars) if (liar.mesh?.self === from) return;
    // The others have no numbers of ours.
    if (channel !== 'reliable') return;
    const reader = new ByteReader(bytes);
    const index = reader.u32();
    const life = reader.u32();
    const number = reader.u32();
    if (!reader.ok) return;
    this.delivered++;
    const sender = this.#world.peers[index];
    if (sender?.mesh !== undefined && sender.life === life && sender.mesh.self !== from)
      this.#violate(now, 'S2', peer, `a message of peer ${index} came from another`);
    const incoming = this.#incomingOf(peer, from);
    if (life < incoming.senderLife) this.#violate(now, 'S1', peer, `peer ${index}: message of an earlier life`);
    if (life > incoming.senderLife) Object.assign(incoming, { senderLife: life, next: 0, mayGap: true });
    if (number < incoming.next) this.#violate(now, 'S1', peer, `peer ${index}: ${number} came after ${incoming.next - 1}`);
    else if (number > incoming.next && !incoming.mayGap)
      this.#violate(now, 'S1', peer, `peer ${index}: ${number} came where ${incoming.next} was due`);
    incoming.next = number + 1;
    incoming.mayGap = false;
  }

  /** Pairs of `peers` of which the last number sent has not arrived. */
  undelivered(peers: readonly WorldPeer[] = this.#world.live()): readonly string[] {
    return this.#missing(peers).map(([from, to]) => `${from.index} ${to.index}`);
  }

  #missing(peers: readonly WorldPeer[]): (readonly [from: WorldPeer, to: WorldPeer, incoming: Incoming | undefined])[] {
    const missing: [WorldPeer, WorldPeer, Incoming | undefined][] = [];
    for (const from of peers) {
      for (const to of peers) {
        const sent = this.#outgoing.get(`${from.index} ${to.index}`) ?? 0;
        const incoming = this.#incoming.get(`${from.mesh?.self} ${to.index}`);
        const arrived = incoming?.senderLife === from.life ? incoming.next : 0;
        if (from !== to && arrived < sent) missing.push([from, to, incoming]);
      }
    }
    return missing;
  }

  /** Sends another number where the last one was lost to a `reset`. */
  repeatAfterReset(peers: readonly WorldPeer[]): void {
    for (const [from, to, incoming] of this.#missing(peers)) if (incoming?.mayGap === true) this.send(from, to);
  }

  // ── bounds ────────────────────────────────────────────────────────────────────────────────────────

  /** Looks at what every peer's links hold and have refused. */
  checkLoad(): void {
    for (const peer of this.#world.peers) {
      const load = peer.mesh === undefined ? undefined : peer.endpoint?.load;
      if (load === undefined || this.liars.has(peer)) continue;
      if (
        load.halfOpen > MAX_HALF_OPEN ||
        load.attempts > MAX_ATTEMPTS ||
        load.links > MAX_LINKS ||
        load.heldBytes > MAX_HELD_BYTES ||
        load.heldBytes < 0
      )
        this.#violate(this.#world.now, 'S8', peer, `over a cap: ${JSON.stringify(load)}`);
      if (this.liars.size > 0) continue;
      const { drops } = peer.mesh!.stats(this.#world.now);
      for (const rule of RULES) if ((drops[rule] ?? 0) > 0) this.#violate(this.#world.now, 'S12', peer, `an honest packet was refused as '${rule}'`);
    }
  }

  // ── convergence ───────────────────────────────────────────────────────────────────────────────────

  /** Undefined when all of `peers` share one list that names exactly them as present; else what is amiss. */
  disagreement(peers: readonly WorldPeer[] = this.#world.live()): string | undefined {
    const first = peers[0]?.mesh?.roster();
    if (first === undefined) return undefined;
    const ids = new Set(peers.map((peer) => peer.mesh?.self));
    for (const peer of peers) {
      const mesh = peer.mesh;
      if (mesh?.joinState.type !== 'joined') return `peer ${peer.index} is ${mesh?.joinState.type ?? 'gone'}`;
      const roster = mesh.roster();
      if (roster.term !== first.term || roster.epoch !== first.epoch || roster.host !== first.host)
        return `peers ${peers[0]!.index} and ${peer.index} hold ${first.term}/${first.epoch} and ${roster.term}/${roster.epoch}`;
      const present = roster.peers.filter((one) => one.status === 'present');
      if (present.length !== ids.size || present.some((one) => !ids.has(one.id)))
        return `peer ${peer.index} sees ${present.length} present of ${ids.size}`;
    }
    return undefined;
  }

  /** True when all know the same host, and that exactly these are present; the news of a seat whose grace has ended may be under way. */
  agreesButForNews(peers: readonly WorldPeer[]): boolean {
    const first = peers[0]?.mesh?.roster();
    if (first === undefined) return true;
    const ids = new Set(peers.map((peer) => peer.mesh?.self));
    return peers.every(({ mesh }) => {
      if (mesh?.joinState.type !== 'joined') return false;
      const { term, host, peers: seats } = mesh.roster();
      const present = seats.filter((seat) => seat.status === 'present');
      return term === first.term && host === first.host && present.length === ids.size && present.every((seat) => ids.has(seat.id));
    });
  }
}
