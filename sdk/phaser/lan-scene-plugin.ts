/**
 * `this.net` in a scene: draws entities with the scene's own objects.
 *
 *     this.net.bind('blob', {
 *       create: (blob) => this.add.sprite(blob.view.x, blob.view.y, 'blob'),
 *       update: (sprite, view) => sprite.setPosition(view.x, view.y),
 *       remove: (sprite) => sprite.destroy(),
 *     });
 *
 * `update` runs once per frame, before the scene's own `update`. Everything bound is removed when the scene shuts
 * down or the room closes, and bound anew when the room changes under a running scene.
 */
import { Plugins, Scenes } from 'phaser';
import type { Scene } from 'phaser';
import type { Entity, EntityId, EntityValues, Kind, PageLan, Room } from '../browser/index.ts';
import { disposable } from '../base/emitter.ts';
import { LanError } from '../base/errors.ts';
import { lanPluginOf } from './lan-plugin.ts';
import type { LanPlugin, RegisteredGame } from './lan-plugin.ts';

export interface EntityBinding<K extends Kind<RegisteredGame>, T> {
  create(entity: Entity<RegisteredGame, K>): T;
  /** `view`: the values to draw now, interpolated for entities of others. */
  update?(object: T, view: Readonly<EntityValues<RegisteredGame, K>>, entity: Entity<RegisteredGame, K>): void;
  /** Default: calls the object's `destroy()` if it has one. */
  remove?(object: T, entity: Entity<RegisteredGame, K>): void;
}

/** One `bind`, with its objects, without its types. */
interface Bound {
  readonly kind: string;
  readonly binding: EntityBinding<any, any>;
  readonly objects: Map<EntityId, { readonly entity: Entity<RegisteredGame, any>; readonly object: unknown }>;
  watching: Disposable | undefined;
}

export class LanScenePlugin extends Plugins.ScenePlugin {
  readonly #bound = new Set<Bound>();
  readonly #onUpdate = (): void => this.#update();
  readonly #onShutdown = (): void => this.clear();
  readonly #onDestroy = (): void => this.destroy();
  #roomChange: Disposable | undefined;

  /** Called by Phaser once per scene. */
  override boot(): void {
    const events = this.systems?.events;
    events?.on(Scenes.Events.PRE_UPDATE, this.#onUpdate);
    events?.on(Scenes.Events.SHUTDOWN, this.#onShutdown);
    events?.once(Scenes.Events.DESTROY, this.#onDestroy);
  }

  /** What `connectLan` gave. Throws `closed` before the game has one. */
  get lan(): PageLan<RegisteredGame> {
    const lan = this.#plugin.lan;
    if (lan === undefined)
      throw new LanError('closed', 'Expected a connected LAN, got none.', {
        hint: 'Give it to LanPlugin: data: { lan: await connectLan(game, …) }.',
      });
    return lan;
  }

  /** The room being played, or `undefined`. */
  get room(): Room<RegisteredGame> | undefined {
    return this.#plugin.room;
  }

  set room(room: Room<RegisteredGame> | undefined) {
    this.#plugin.room = room;
  }

  /** Keeps one object of this scene per entity of a kind, from now until disposed or the scene ends. */
  bind<K extends Kind<RegisteredGame>, T>(kind: K, binding: EntityBinding<K, T>): Disposable {
    const plugin = this.#plugin;
    this.#roomChange ??= plugin.onRoom((room) => this.#rebind(room));
    const bound: Bound = { kind, binding, objects: new Map(), watching: undefined };
    this.#bound.add(bound);
    this.#watch(bound, plugin.room);
    return disposable(() => {
      if (this.#bound.delete(bound)) this.#unwatch(bound);
    });
  }

  /** Ends every `bind` of this scene; Phaser calls it at shutdown. */
  clear(): void {
    this.#roomChange?.[Symbol.dispose]();
    this.#roomChange = undefined;
    for (const bound of this.#bound) this.#unwatch(bound);
    this.#bound.clear();
  }

  override destroy(): void {
    this.clear();
    const events = this.systems?.events;
    events?.off(Scenes.Events.PRE_UPDATE, this.#onUpdate);
    events?.off(Scenes.Events.SHUTDOWN, this.#onShutdown);
    super.destroy();
  }

  get #plugin(): LanPlugin {
    const game = this.systems?.game;
    const plugin = game === undefined ? undefined : lanPluginOf(game);
    if (plugin !== undefined) return plugin;
    throw new LanError('bad-argument', 'Expected LanPlugin among the global plugins, found none.', {
      hint: "Add { key: 'lan', plugin: LanPlugin, start: true } to plugins.global of the game's configuration.",
    });
  }

  #rebind(room: Room<RegisteredGame> | undefined): void {
    for (const bound of this.#bound) {
      this.#unwatch(bound);
      this.#watch(bound, room);
    }
  }

  #watch(bound: Bound, room: Room<RegisteredGame> | undefined): void {
    // A room that was left still lists what was in it.
    if (room === undefined || room.signal.aborted) return;
    const { binding, objects } = bound;
    let watching: Disposable | undefined;
    let closing: Disposable | undefined;
    const ours: Disposable = disposable(() => {
      watching?.[Symbol.dispose]();
      closing?.[Symbol.dispose]();
    });
    bound.watching = ours;
    // `create` may end the scene, or change the room, while what is there already is walked over.
    const isOver = (): boolean => bound.watching !== ours;
    watching = room.entities.on(bound.kind, {
      spawn: (entity) => {
        // A watcher of the game that was told of it first may have despawned it, and so may `create`: of that nothing is told here any more.
        if (!entity.alive || isOver()) return;
        const object = binding.create(entity);
        if (entity.alive && !isOver()) objects.set(entity.id, { entity, object });
        else remove(binding, object, entity);
      },
      despawn: (entity) => {
        const entry = objects.get(entity.id);
        objects.delete(entity.id);
        if (entry !== undefined) remove(binding, entry.object, entity);
      },
      // Ownership moved: the same entity may now be another object of the library.
      authority: (entity) => {
        const entry = objects.get(entity.id);
        if (entry !== undefined) objects.set(entity.id, { entity, object: entry.object });
      },
    });
    if (isOver()) watching[Symbol.dispose]();
    else closing = room.on('close', () => this.#unwatch(bound));
  }

  #unwatch(bound: Bound): void {
    bound.watching?.[Symbol.dispose]();
    bound.watching = undefined;
    for (const { entity, object } of bound.objects.values()) remove(bound.binding, object, entity);
    bound.objects.clear();
  }

  #update(): void {
    for (const { binding, objects } of this.#bound) {
      if (binding.update === undefined) continue;
      for (const { entity, object } of objects.values()) binding.update(object, entity.view, entity);
    }
  }
}

function remove(binding: EntityBinding<any, any>, object: unknown, entity: Entity<RegisteredGame, any>): void {
  if (binding.remove !== undefined) return binding.remove(object, entity);
  const { destroy } = (object ?? {}) as { destroy?: unknown };
  if (typeof destroy === 'function') destroy.call(object);
}

declare module 'phaser' {
  interface Scene {
    /** Present when `LanScenePlugin` is among the game's scene plugins under the mapping `net`. */
    net: LanScenePlugin;
  }
}

/** Keeps the augmentation's target in the emitted declarations. */
export type SceneWithNet = Scene;
