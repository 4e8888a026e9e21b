/**
 * Holds the LAN and the room for the whole game, so that scenes come and go and the seat stays.
 *
 *     new Game({ plugins: {
 *       global: [{ key: 'lan', plugin: LanPlugin, start: true, data: { lan, room } }],
 *       scene: [{ key: 'net', plugin: LanScenePlugin, mapping: 'net' }],
 *     } });
 *
 * A room that is opened later is assigned: `this.net.room = await this.net.lan.joinOrCreate({ … })`.
 */
import { Plugins } from 'phaser';
import type { Game } from 'phaser';
import { Emitter } from '../base/emitter.ts';
import type { AnyGame, PageLan, Room } from '../browser/index.ts';

/**
 * Tell the plugin which game it plays, and every scene knows its entities by name and type:
 * `declare module 'lanista/phaser' { interface Register { game: typeof game } }`.
 */
// oxlint-disable-next-line typescript/no-empty-interface, typescript/no-empty-object-type -- made to be augmented
export interface Register {}

export type RegisteredGame = Register extends { readonly game: infer G extends AnyGame } ? G : AnyGame;

export interface LanPluginData {
  readonly lan?: PageLan<RegisteredGame>;
  readonly room?: Room<RegisteredGame>;
}

const plugins = new WeakMap<Game, LanPlugin>();

export class LanPlugin extends Plugins.BasePlugin {
  /** What `connectLan` gave; set by `init` or by assignment. */
  lan: PageLan<RegisteredGame> | undefined;
  #room: Room<RegisteredGame> | undefined;
  readonly #changes = new Emitter<{ room: Room<RegisteredGame> | undefined }>();

  /** Called by Phaser with `data` of the game's configuration. */
  override init(data?: LanPluginData | null): void {
    if (this.game !== null) plugins.set(this.game, this);
    if (data?.lan !== undefined) this.lan = data.lan;
    if (data?.room !== undefined) this.room = data.room;
  }

  /** The room being played. Assigning another (or `undefined`) rebinds every scene. */
  get room(): Room<RegisteredGame> | undefined {
    return this.#room;
  }

  set room(room: Room<RegisteredGame> | undefined) {
    if (room === this.#room) return;
    this.#room = room;
    this.#changes.emit('room', room);
  }

  /** Calls back after each change of `room`. */
  onRoom(listener: (room: Room<RegisteredGame> | undefined) => void): Disposable {
    return this.#changes.on('room', listener);
  }

  override destroy(): void {
    const { game } = this;
    if (game !== null) plugins.delete(game);
    this.#changes.clear();
    const { lan } = this;
    this.lan = undefined;
    this.#room = undefined;
    void lan?.close();
    super.destroy();
  }
}

/** The plugin of a game, once Phaser has made it. */
export function lanPluginOf(game: Game): LanPlugin | undefined {
  return plugins.get(game);
}
