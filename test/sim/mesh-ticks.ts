/**
 * What a game says at each of its ticks, in a seed of rooms: a state that replaces the last (`sequenced`) and an
 * event that may be lost (`unreliable`), to every other present member, sent off at once as a room does it.
 *
 *   S2  comes from the member who sent it, on the channel and lane it was sent on, as it was
 *   S3  a state never comes after a newer one, and nothing comes twice
 */
import type { PeerId } from '../../sdk/base/brand.ts';
import type { Rng } from '../../sdk/base/rng.ts';
import type { Channel, PortEvent } from '../../sdk/port/port.ts';
import type { World, WorldPeer, WorldWatcher } from '../../sdk/testing/index.ts';

/** index u32 · life u32 · number u32 · channel u8 */
const HEAD_BYTES = 13;
const LANES = { sequenced: 3, unreliable: 1 } as const;

interface Heard {
  /** The newest state. */
  state: number;
  readonly events: Set<number>;
}

export class MeshTicks implements WorldWatcher {
  readonly violations: string[] = [];
  sent = 0;
  delivered = 0;
  /** No more from now on. */
  stopped = false;
  readonly #world: World;
  readonly #rng: Rng;
  readonly #everyMs: number;
  readonly #liars: ReadonlySet<WorldPeer>;
  /** Whoever they are now: what an earlier life of theirs said may still be under way. */
  readonly #lyingIds = new Set<PeerId>();
  /** By process that sent and process that heard. */
  readonly #heard = new Map<string, Heard>();
  #number = 0;

  constructor(world: World, rng: Rng, everyMs: number, liars: ReadonlySet<WorldPeer>) {
    this.#world = world;
    this.#rng = rng;
    this.#everyMs = everyMs;
    this.#liars = liars;
    world.watchers.push(this);
    for (const peer of world.peers) world.at(world.now + everyMs * rng.float(), () => this.#tick(peer));
  }

  #tick(peer: WorldPeer): void {
    if (this.stopped) return;
    const { now } = this.#world;
    if (peer.isLive() && !peer.suspended && peer.stalledUntil <= now) this.#say(peer);
    this.#world.at(now + this.#everyMs * (0.9 + 0.2 * this.#rng.float()), () => this.#tick(peer));
  }

  #say(peer: WorldPeer): void {
    const mesh = peer.mesh!;
    const now = peer.clock(this.#world.now);
    const number = this.#number++;
    const size = HEAD_BYTES + this.#rng.int(200);
    for (const { id, status } of mesh.roster().peers) {
      if (id === mesh.self || status !== 'present') continue;
      for (const channel of ['sequenced', 'unreliable'] as const)
        if (mesh.send(now, id, channel, bodyOf(peer, number, channel, size), LANES[channel])) this.sent++;
    }
    mesh.flush(now);
    this.#world.drain(peer);
  }

  onLife(_now: number, peer: WorldPeer): void {
    if (peer.mesh !== undefined && this.#liars.has(peer)) this.#lyingIds.add(peer.mesh.self);
  }

  onEvent(now: number, peer: WorldPeer, event: PortEvent): void {
    if (event.type !== 'message' || event.channel === 'reliable' || this.#liars.has(peer)) return;
    const { channel, lane, bytes } = event;
    if (this.#lyingIds.has(event.from)) return;
    const violate = (rule: string, what: string): void => {
      if (this.violations.length < 50) this.violations.push(`${rule} at ${Math.round(now)} ms, peer ${peer.index} life ${peer.life}: ${what}`);
    };
    this.delivered++;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.length < HEAD_BYTES) return violate('S2', `${bytes.length} bytes of nothing that was sent`);
    const [index, life, number] = [view.getUint32(0), view.getUint32(4), view.getUint32(8)];
    const sender = this.#world.peers[index];
    if (sender?.mesh !== undefined && sender.life === life && sender.mesh.self !== event.from)
      return violate('S2', `what peer ${index} life ${life} sent came from another`);
    if (!same(bytes, bodyOf({ index, life }, number, channel, bytes.length)) || lane !== LANES[channel])
      return violate('S2', `${channel} ${number} of peer ${index} is not what was sent, or came on lane ${lane}`);
    const key = `${index} ${life} ${peer.index} ${peer.life}`;
    let heard = this.#heard.get(key);
    if (heard === undefined) this.#heard.set(key, (heard = { state: -1, events: new Set() }));
    if (channel === 'sequenced') {
      if (number <= heard.state) violate('S3', `state ${number} of peer ${index} came after ${heard.state}`);
      heard.state = number;
    } else {
      if (heard.events.has(number)) violate('S3', `event ${number} of peer ${index} came twice`);
      heard.events.add(number);
    }
  }
}

function bodyOf(from: { readonly index: number; readonly life: number }, number: number, channel: Channel, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, from.index);
  view.setUint32(4, from.life);
  view.setUint32(8, number);
  bytes[12] = channel === 'sequenced' ? 1 : 2;
  for (let i = HEAD_BYTES; i < size; i++) bytes[i] = number + Math.imul(i, 7);
  return bytes;
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
