/**
 * `room.entities`: the game's door to the store. Spawning, listing, watching; the rest is on the entity itself.
 */
import type { EntityId, PeerId } from '../base/brand.ts';
import { LanError } from '../base/errors.ts';
import type { AuthorityRules } from '../sync/authority.ts';
import type { AnyGame } from '../sync/definition.ts';
import { EntityCore, initialise } from '../sync/entity.ts';
import type { EntityHome } from '../sync/entity.ts';
import type { KindSpec } from '../sync/kind.ts';
import type { Replication } from '../sync/replication.ts';
import type { EntityStore, Watcher } from '../sync/store.ts';
import type { Entities } from './types.ts';

export interface EntitiesWorld {
  readonly self: PeerId;
  readonly session: number;
  roomTime(): number;
  isHost(): boolean;
  closed(): boolean;
  /** A callback of the game threw. */
  failed(what: string, cause: unknown): void;
}

/** Untyped inside: what the types of `Entities` promise is checked against the schema at run time. */
export class RoomEntities implements EntityHome {
  readonly #world: EntitiesWorld;
  readonly #store: EntityStore;
  readonly #replication: Replication;
  #authority!: AuthorityRules;
  #counter = 0;

  constructor(world: EntitiesWorld, store: EntityStore, replication: Replication) {
    this.#world = world;
    this.#store = store;
    this.#replication = replication;
  }

  /** The rules need this home, and this home needs the rules. */
  govern(authority: AuthorityRules): void {
    this.#authority = authority;
  }

  /** The typed face. */
  facade<G extends AnyGame>(): Entities<G> {
    return {
      spawn: (kind: string, init: Readonly<Record<string, unknown>>) => this.#spawn(kind, init),
      all: (kind: string) => list(this.#store, this.#store.kind(kind), false),
      mine: (kind: string) => list(this.#store, this.#store.kind(kind), true),
      get: (kind: string, id: EntityId) => {
        const wanted = this.#store.kind(kind);
        const core = this.#store.byId(id);
        return core?.kind === wanted ? core.handle : undefined;
      },
      on: (kind: string, watcher: Watcher) => this.#store.watch(this.#store.kind(kind), watcher),
    } as unknown as Entities<G>;
  }

  #spawn(name: string, init: Readonly<Record<string, unknown>>): object {
    const kind = this.#store.kind(name);
    if (this.#world.closed()) throw new LanError('closed', `spawn('${name}'): the room was left.`);
    if (kind.def.authority === 'host' && !this.#world.isHost())
      throw new LanError('not-owner', `spawn('${name}'): only the host creates entities of this kind.`, { hint: 'Do it inside room.whileHost().' });
    if (this.#store.full) throw new LanError('queue-full', `spawn('${name}'): the room holds as many entities as it can.`, { hint: 'Despawn some.' });
    if (this.#counter >= 0xf_ffff)
      throw new LanError('queue-full', `spawn('${name}'): a million entities were spawned by this peer.`, { hint: 'Reuse them.' });
    const core = new EntityCore(this, kind, this.#world.session, this.#counter + 1, this.#world.self);
    initialise(core, init);
    this.#counter++;
    this.#replication.own(core);
    this.#store.add(core);
    return core.handle;
  }

  roomTime(): number {
    return this.#world.roomTime();
  }

  failed(what: string, cause: unknown): void {
    this.#world.failed(what, cause);
  }

  despawn(core: EntityCore): void {
    if (!core.alive) throw new LanError('closed', `${core.kind.name}: this entity was despawned already.`);
    if (!core.mine) throw new LanError('not-owner', `${core.kind.name}.despawn: ${core.owner} has authority over this entity.`);
    this.#replication.bury(core);
    this.#store.remove(core, { epoch: core.epoch, owner: core.owner });
  }

  requestAuthority(core: EntityCore, options: { readonly timeoutMs?: number; readonly signal?: AbortSignal }): Promise<object | undefined> {
    // Nobody hears it any more, so nothing is taken either.
    if (this.#world.closed() && core.alive && !core.mine) return Promise.resolve(undefined);
    return this.#authority.request(core, options);
  }
}

/** Those that are there when the walk begins and still are when it comes to them: despawning and spawning on the way is fine. */
function* list(store: EntityStore, kind: KindSpec, mine: boolean): Iterable<object> {
  const { added } = store;
  for (const core of store.ofKind(kind)) {
    // They are in the order in which they came: what comes now would be walked over, too, and what that spawns, without end.
    if (core.serial > added) return;
    if (!mine || core.mine) yield core.handle;
  }
}
