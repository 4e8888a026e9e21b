/**
 * Every entity of a room that this peer knows, whoever owns it, and who is watching.
 *
 * It also keeps, for a while, the claim by which each entity was despawned, so that nothing but a better claim can bring it back.
 */
import type { PeerId } from '../base/brand.ts';
import { assertCallback, callGuarded } from '../base/callback.ts';
import { disposable } from '../base/emitter.ts';
import { LanError } from '../base/errors.ts';
import { MAX_ENTITIES } from '../wire/limits.ts';
import type { AnyGame } from './definition.ts';
import { among, show } from './definition.ts';
import type { EntityCore } from './entity.ts';
import { KindSpec } from './kind.ts';
import { Shelf } from './shelf.ts';
import { Siblings } from './siblings.ts';

export interface Watcher {
  spawn?(handle: object): void;
  despawn?(handle: object): void;
  authority?(handle: object, previous: PeerId): void;
  request?(handle: object, from: PeerId): boolean;
}

/** Somebody who watches a kind, in an object of its own: one watcher may watch twice. */
interface Watch {
  readonly watcher: Watcher;
  /** Those whose spawn it is told next: what another one does to them meanwhile is not told before it. */
  readonly awaited: Set<EntityCore>;
}

/** By whose word, of which epoch, an entity was despawned. */
export interface Grave {
  readonly epoch: number;
  readonly owner: PeerId;
  /** In which session of the owner and at which tick of it the despawn was heard; undefined when others told of it. */
  readonly session?: number;
  readonly tick?: number;
  /** It was not despawned: this replica lost it with its owner, and had it by this claim. */
  readonly lost?: true;
  /** It is nobody's but its owner's, whose own word alone ends it. */
  readonly isFixed?: boolean;
}

/** Graves that are remembered; the oldest are forgotten. */
const MAX_GRAVES = 4_096;

const NONE = new Siblings();

const WATCHED = ['spawn', 'despawn', 'authority', 'request'] as const satisfies readonly (keyof Watcher)[];

/** Throws `bad-argument`. */
function checkWatcher(kind: string, watcher: Watcher): void {
  if (typeof watcher !== 'object' || (watcher as unknown) === null)
    throw new LanError('bad-argument', `entities.on('${kind}'): expected an object of functions, got ${show(watcher)}.`, {
      hint: `Write { ${WATCHED[0]}(entity) { … } }; there are ${WATCHED.join(', ')}.`,
    });
  const names = Object.keys(watcher);
  // An object of the game's own may have more; one that has none of these watches nothing.
  if (names.length > 0 && !WATCHED.some((what) => what in watcher))
    throw new LanError('bad-argument', `entities.on('${kind}'): there is no '${names[0]}'.`, { hint: `There are ${WATCHED.join(', ')}.` });
  for (const what of WATCHED) if (watcher[what] !== undefined) assertCallback(`entities.on('${kind}').${what}`, watcher[what]);
}

/** Where no room is around it. */
function rethrow(_what: string, cause: unknown): never {
  throw cause;
}

/** Whether claim (`epoch`, `owner`) beats the other: a higher epoch, at a tie the lower owner. */
export function isBetterClaim(epoch: number, owner: PeerId, than: Grave): boolean {
  return epoch > than.epoch || (epoch === than.epoch && owner < than.owner);
}

/** The highest epoch that is read, and further than any room gets: whoever is given an entity of it must not come to one that nobody reads. */
const MAX_EPOCH = 0x7fff_ffff;

/** The epoch of the next reign. */
export function epochAfter(epoch: number): number {
  return Math.min(MAX_EPOCH, epoch + 1);
}

/** A host that forgot the room was told of what it had despawned, by somebody who had not heard of that, and took it up in the epoch after. */
export function isForgotten(epoch: number, host: PeerId, grave: Grave): boolean {
  return grave.owner === host && grave.lost !== true && epoch <= grave.epoch + 1;
}

export class EntityStore {
  readonly kinds: readonly KindSpec[];
  readonly #byName = new Map<string, KindSpec>();
  readonly #byId = new Map<number, EntityCore>();
  /** By origin and counter: two small integers are found faster than their large sum. */
  readonly #byOrigin = new Map<number, Siblings>();
  readonly #byKind: Set<EntityCore>[];
  /** How many were taken in so far. */
  added = 0;
  readonly #graves = new Map<number, Grave>();
  readonly #watches: Set<Watch>[];
  readonly #failed: (what: string, cause: unknown) => void;

  /** @param failed told of what a watcher throws: what is being applied must not be left half done for it. */
  constructor(game: AnyGame, failed: (what: string, cause: unknown) => void = rethrow) {
    this.#failed = failed;
    this.kinds = Object.entries(game.entities).map(([name, def], index) => new KindSpec(index, name, def as never, game.stateHz));
    for (const kind of this.kinds) this.#byName.set(kind.name, kind);
    this.#byKind = this.kinds.map(() => new Set());
    this.#watches = this.kinds.map(() => new Set());
  }

  get size(): number {
    return this.#byId.size;
  }

  get full(): boolean {
    return this.#byId.size >= MAX_ENTITIES;
  }

  kind(name: string): KindSpec {
    const kind = this.#byName.get(name);
    if (kind === undefined) throw new LanError('unknown-name', `there is no entity kind '${name}'.`, { hint: among('Kinds', this.#byName.keys()) });
    return kind;
  }

  find(origin: number, counter: number): EntityCore | undefined {
    return this.#byOrigin.get(origin)?.get(counter);
  }

  /** What is known of one origin, by counter. */
  ofOrigin(origin: number): Siblings {
    return this.#byOrigin.get(origin) ?? NONE;
  }

  byId(id: number): EntityCore | undefined {
    return this.#byId.get(id);
  }

  all(): IterableIterator<EntityCore> {
    return this.#byId.values();
  }

  ofKind(kind: KindSpec): ReadonlySet<EntityCore> {
    return this.#byKind[kind.index]!;
  }

  /** How the entity of this id was despawned; undefined for one that was not. */
  grave(origin: number, counter: number): Grave | undefined {
    return this.#graves.get(origin * 0x10_0000 + counter);
  }

  /** A despawn of what is gone already: its grave takes the better claim. */
  deepen(origin: number, counter: number, grave: Grave): void {
    const id = origin * 0x10_0000 + counter;
    const known = this.#graves.get(id);
    if (known === undefined || (known.isFixed === true && (grave.owner !== known.owner || grave.session === undefined))) return;
    const ends = known.lost === true && grave.epoch === known.epoch && grave.owner === known.owner;
    if (ends || isBetterClaim(grave.epoch, grave.owner, known)) this.#graves.set(id, grave);
  }

  add(core: EntityCore): void {
    core.serial = ++this.added;
    this.#graves.delete(core.id);
    const { shelves } = core.kind;
    core.moveTo(shelves.open());
    shelves.taken(core.shelf);
    this.#byId.set(core.id, core);
    let siblings = this.#byOrigin.get(core.origin);
    if (siblings === undefined) this.#byOrigin.set(core.origin, (siblings = new Siblings()));
    siblings.set(core.counter, core);
    this.#byKind[core.kind.index]!.add(core);
    const watches = this.#watches[core.kind.index]!;
    const told = [...watches];
    for (const watch of told) watch.awaited.add(core);
    for (const watch of told) this.#tellSpawn(watch, core);
  }

  /** @param grave what is remembered of it; undefined for nothing. */
  remove(core: EntityCore, grave: Grave | undefined): void {
    if (!core.alive) return;
    core.alive = false;
    // What was seen last can still be read, and nobody else's numbers: the place goes to who comes next.
    const { shelf } = core;
    core.moveTo(new Shelf(core.kind.count, core.kind.boxedMask, 1));
    core.kind.shelves.released(shelf);
    this.#byId.delete(core.id);
    const siblings = this.#byOrigin.get(core.origin);
    if (siblings?.delete(core.counter) === true) this.#byOrigin.delete(core.origin);
    this.#byKind[core.kind.index]!.delete(core);
    if (grave !== undefined) {
      this.#graves.set(core.id, grave);
      if (this.#graves.size > MAX_GRAVES)
        for (const oldest of this.#graves.keys()) {
          this.#graves.delete(oldest);
          break;
        }
    }
    this.#tell(core, 'despawn', (watcher) => watcher.despawn?.(core.handle));
  }

  /** Tells watchers that the owner changed from `previous`. */
  authorityChanged(core: EntityCore, previous: PeerId): void {
    this.#tell(core, 'authority', (watcher) => watcher.authority?.(core.handle, previous));
  }

  /** Whether the game lets `from` have it; yes unless a watcher refuses, or fails to say. */
  allows(core: EntityCore, from: PeerId): boolean {
    for (const { watcher } of [...this.#watches[core.kind.index]!]) {
      const answer = this.#guard(core.kind, 'request', () => watcher.request?.(core.handle, from) ?? true);
      if (answer === undefined || answer === false) return false;
    }
    return true;
  }

  /** Not when it is gone by now, or whoever watches is. */
  #tellSpawn(watch: Watch, core: EntityCore): void {
    if (!watch.awaited.delete(core) || !core.alive || !this.#watches[core.kind.index]!.has(watch)) return;
    this.#guard(core.kind, 'spawn', () => watch.watcher.spawn?.(core.handle));
  }

  /** What happens to something comes after its spawn, and there is nothing to tell of what was never told of. */
  #tell(core: EntityCore, what: keyof Watcher, say: (watcher: Watcher) => unknown): void {
    const watches = this.#watches[core.kind.index]!;
    for (const watch of [...watches]) if (watches.has(watch) && !watch.awaited.has(core)) this.#guard(core.kind, what, () => say(watch.watcher));
  }

  #guard<T>(kind: KindSpec, what: keyof Watcher, run: () => T): T | undefined {
    return callGuarded(run, (cause) => this.#failed(`entities.on('${kind.name}').${what}`, cause));
  }

  watch(kind: KindSpec, watcher: Watcher): Disposable {
    checkWatcher(kind.name, watcher);
    const watches = this.#watches[kind.index]!;
    const cores = [...this.#byKind[kind.index]!];
    const watch: Watch = { watcher, awaited: new Set(cores) };
    watches.add(watch);
    for (const core of cores) this.#tellSpawn(watch, core);
    return disposable(() => watches.delete(watch));
  }
}
