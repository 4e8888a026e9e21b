/**
 * Who may say what an entity is: the rules by which authority moves, the same on every peer.
 *
 * Each entity carries `(epoch, owner)`. A claim with a higher epoch wins, a tie goes to the lower owner, so replicas that see claims
 * in any order end with the same owner. Kinds with `authority: 'host'` follow the roster instead: the host's word, whoever it is.
 *
 *   owner leaves:  despawn ─ gone at once, everywhere      host ─ the host takes it      redistribute ─ seat (id mod seats) takes it
 *   asked for:     never ─ no      request ─ its owner grants it, with its last state      take ─ taken, and perhaps lost again
 */
import type { PeerId } from '../base/brand.ts';
import { LanError } from '../base/errors.ts';
import type { PortRoster } from '../port/port.ts';
import type { PackReader } from '../wire/pack.ts';
import { PackWriter } from '../wire/pack.ts';
import { decodeWhole, encodeWhole } from './delta.ts';
import { EntityCore } from './entity.ts';
import type { EntityHome, KindSpec } from './entity.ts';
import type { Claim } from './inbound.ts';
import type { Replication } from './replication.ts';
import type { EntityStore } from './store.ts';
import { ADOPT, ASK, DENY, GRANT } from './wire.ts';

const DEFAULT_ASK_MS = 1_000;
/** An entity whose owner is gone and whose heir does not know it is dropped after this, ms. */
const ORPHAN_MS = 4_000;

interface Ask {
  readonly core: EntityCore;
  readonly deadline: number;
  readonly settle: (handle: object | undefined) => void;
}

export interface AuthorityWorld {
  readonly self: PeerId;
  roster(): PortRoster;
  now(): number;
  control(to: PeerId, bytes: Uint8Array): boolean;
}

export class AuthorityRules {
  readonly #world: AuthorityWorld;
  readonly #store: EntityStore;
  readonly #replication: Replication;
  readonly #home: EntityHome;
  readonly #asks = new Map<number, Ask>();
  readonly #out = new PackWriter(512);
  readonly #scratch = { ints: new Int32Array(32), boxed: [] as unknown[] };
  #lastAsk = 0;
  #orphansSince = Number.POSITIVE_INFINITY;

  constructor(world: AuthorityWorld, store: EntityStore, replication: Replication, home: EntityHome) {
    this.#world = world;
    this.#store = store;
    this.#replication = replication;
    this.#home = home;
  }

  /** What a claim of `from`, made by streaming the entity, is worth. */
  judge(from: PeerId, kind: KindSpec, core: EntityCore | undefined, epoch: number): Claim {
    const roster = this.#world.roster();
    if (kind.def.authority === 'host') return from === roster.host ? 'accept' : 'later';
    if (core === undefined) return 'accept';
    const better = epoch > core.epoch || (epoch === core.epoch && from < core.owner);
    if (!better) return 'refuse';
    // Nobody takes over what its kind says stays with its owner, unless that one is gone; and that the roster may tell later.
    const kept = kind.def.transfer === 'never' && roster.peers.some((peer) => peer.id === core.owner && peer.status === 'present');
    return kept ? 'later' : 'accept';
  }

  /** A better claim was accepted. */
  yielded(core: EntityCore, previous: PeerId): void {
    if (core.mine) this.#replication.disown(core);
    this.#store.authorityChanged(core, previous);
  }

  /** Applies a roster to every entity: duties of the host, and of those who are gone or away. */
  applyRoster(): void {
    const { self } = this.#world;
    const roster = this.#world.roster();
    const present = roster.peers.filter((peer) => peer.status === 'present' && !peer.spectator);
    let orphans = false;
    for (const core of [...this.#store.all()]) {
      if (core.kind.def.authority === 'host') {
        if (roster.host === self) this.#acquire(core);
        else if (core.mine) this.#give(core, roster.host);
        continue;
      }
      const seat = roster.peers.find((peer) => peer.id === core.owner);
      if (seat?.status === 'present') continue;
      if (seat !== undefined && core.kind.def.authority !== 'distributed') continue;
      if (
        !this.#inherit(
          core,
          present.map((peer) => peer.id),
        )
      )
        orphans = true;
    }
    this.#orphansSince = orphans ? this.#world.now() : Number.POSITIVE_INFINITY;
  }

  /** `peer` started anew: what its former self owned is left behind. */
  handleRestart(peer: PeerId): void {
    const { self } = this.#world;
    const roster = this.#world.roster();
    const others = roster.peers.filter((seat) => seat.status === 'present' && seat.id !== peer && !seat.spectator).map((seat) => seat.id);
    for (const core of [...this.#store.all()]) {
      if (core.owner !== peer || core.mine) continue;
      const hostOwned = core.kind.def.authority === 'host' || core.kind.def.onOwnerLeave === 'host';
      if (hostOwned && roster.host === peer) {
        // It is still host but has forgotten everything: the lowest other seat tells it.
        if (others[0] === self) this.#adopt(peer, core);
      } else this.#inherit(core, others);
    }
  }

  /** Gives an ownerless entity to its heir. False when the heir is another peer, whose claim has to come yet. */
  #inherit(core: EntityCore, heirs: readonly PeerId[]): boolean {
    const rule = core.kind.def.onOwnerLeave;
    const roster = this.#world.roster();
    if (rule === 'despawn') {
      this.#store.remove(core, false);
      return true;
    }
    const heir = rule === 'host' ? roster.host : heirs[core.counter % Math.max(1, heirs.length)];
    if (heir !== this.#world.self) return false;
    this.#acquire(core);
    return true;
  }

  #acquire(core: EntityCore): void {
    if (core.mine || !core.alive) return;
    const previous = core.owner;
    core.owner = this.#world.self;
    core.epoch++;
    this.#replication.own(core);
    if (previous !== core.owner) this.#store.authorityChanged(core, previous);
  }

  #give(core: EntityCore, to: PeerId): void {
    this.#replication.disown(core);
    const previous = core.owner;
    core.owner = to;
    core.source = this.#replication.inbound.get(to);
    core.lastChange = -1;
    this.#store.authorityChanged(core, previous);
  }

  /** Host-owned state of this part of the room gives way to the other part's. */
  mergeLost(): void {
    for (const core of this.#store.all()) if (core.kind.def.authority === 'host') core.yielded = true;
  }

  /** The host's full state has arrived: what was to give way and is not in it is gone. */
  mergeSettled(from: PeerId): void {
    if (from !== this.#world.roster().host) return;
    for (const core of [...this.#store.all()]) if (core.yielded && !core.mine) this.#store.remove(core, false);
  }

  request(core: EntityCore, options: { readonly timeoutMs?: number; readonly signal?: AbortSignal }): Promise<object | undefined> {
    if (!core.alive) return Promise.reject(new LanError('closed', `${core.kind.name}: this entity was despawned.`));
    if (core.mine) return Promise.resolve(core.handle);
    const { transfer } = core.kind.def;
    if (transfer === 'never' || options.signal?.aborted === true) return Promise.resolve(undefined);
    if (transfer === 'take') {
      this.#acquire(core);
      return Promise.resolve(core.handle);
    }
    const id = ++this.#lastAsk;
    const message = this.#message(ASK, id, core);
    if (!this.#world.control(core.owner, message)) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const settle = (handle: object | undefined): void => {
        this.#asks.delete(id);
        resolve(handle);
      };
      this.#asks.set(id, { core, deadline: this.#world.now() + (options.timeoutMs ?? DEFAULT_ASK_MS), settle });
      options.signal?.addEventListener('abort', () => settle(undefined), { once: true });
    });
  }

  deadline(): number {
    let earliest = this.#orphansSince + ORPHAN_MS;
    for (const ask of this.#asks.values()) earliest = Math.min(earliest, ask.deadline);
    return earliest;
  }

  handleTimeout(now: number): void {
    for (const ask of [...this.#asks.values()]) if (ask.deadline <= now) ask.settle(undefined);
    if (now < this.#orphansSince + ORPHAN_MS) return;
    this.#orphansSince = Number.POSITIVE_INFINITY;
    const roster = this.#world.roster();
    for (const core of [...this.#store.all()])
      if (!core.mine && !roster.peers.some((peer) => peer.id === core.owner)) this.#store.remove(core, false);
  }

  /** One control message about authority, past its type. False when it is malformed. */
  handle(from: PeerId, type: number, input: PackReader): boolean {
    const id = input.count(0xffff_ffff);
    const origin = input.count(0xffff_ffff);
    const counter = input.count(0xf_ffff);
    if (!input.ok) return false;
    const core = this.#store.find(origin, counter);
    if (type === ASK) {
      if (
        core === undefined ||
        !core.mine ||
        core.kind.def.transfer !== 'request' ||
        core.kind.def.authority === 'host' ||
        !this.#store.allows(core, from)
      )
        this.#world.control(from, this.#message(DENY, id, undefined, origin, counter));
      else this.#grant(core, from, id);
      return true;
    }
    if (type === DENY) {
      const ask = this.#asks.get(id);
      if (ask !== undefined && ask.core.id === origin * 0x10_0000 + counter) ask.settle(undefined);
      return true;
    }
    if (input.int() !== 0) return false;
    const values = decodeWhole(input, this.#store.kinds, this.#scratch);
    if (values === undefined) return false;
    if (type === ADOPT) return this.#adopted(values.kind, origin, counter, values.epoch, values.ints, values.boxed);
    // A grant is good only from the one who has it, and only if it was asked for.
    const ask = this.#asks.get(id);
    if (core === undefined || core.owner !== from || values.epoch <= core.epoch || core.kind !== values.kind) return true;
    fill(core, values.ints, values.boxed);
    core.epoch = values.epoch - 1;
    this.#acquire(core);
    ask?.settle(core.handle);
    return true;
  }

  #grant(core: EntityCore, to: PeerId, id: number): void {
    // What was assigned since the last tick goes along: the new owner starts from the very last word.
    settleInts(core);
    core.epoch++;
    const message = this.#message(GRANT, id, core, undefined, undefined, true);
    if (!this.#world.control(to, message)) {
      core.epoch--;
      return;
    }
    this.#give(core, to);
  }

  #adopt(peer: PeerId, core: EntityCore): void {
    this.#world.control(peer, this.#message(ADOPT, 0, core, undefined, undefined, true));
  }

  #adopted(kind: KindSpec, origin: number, counter: number, epoch: number, ints: Int32Array, boxed: readonly unknown[]): boolean {
    if (this.#world.roster().host !== this.#world.self || this.#store.find(origin, counter) !== undefined || this.#store.full) return true;
    const core = new EntityCore(this.#home, kind, origin, counter, this.#world.self);
    core.epoch = epoch + 1;
    fill(core, ints, boxed);
    this.#replication.own(core);
    this.#store.add(core);
    return true;
  }

  #message(
    type: number,
    id: number,
    core: EntityCore | undefined,
    origin = core?.origin ?? 0,
    counter = core?.counter ?? 0,
    whole = false,
  ): Uint8Array {
    const out = this.#out;
    out.reset();
    const at = out.openArray();
    out.int(type);
    out.int(this.#replication.session & 0xffff);
    out.int(id);
    out.int(origin);
    out.int(counter);
    const more = whole && core !== undefined ? encodeWhole(out, core) : 0;
    out.endArray(at, 5 + more);
    return out.view();
  }
}

function settleInts(core: EntityCore): void {
  core.kind.fields.forEach(({ codec }, i) => {
    if (codec.storage === 'number') core.ints[i] = codec.quantise(core.live[i]!);
  });
}

function fill(core: EntityCore, ints: Int32Array, boxed: readonly unknown[]): void {
  core.kind.fields.forEach(({ codec }, i) => {
    if (codec.storage === 'boxed') core.boxed[i] = boxed[i];
    else core.live[i] = codec.dequantise(ints[i]!);
    core.ints[i] = ints[i]!;
  });
  core.ints[core.kind.count] = ints[core.kind.count]!;
}
