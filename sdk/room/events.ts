/**
 * The events of a room, and what becomes of what the game's own code throws: a `warn`, and where nobody hears that, a line on the console. Without
 * it a callback that fails at its first line looks like a game that stands still.
 */
import { assertCallback } from '../base/callback.ts';
import { Emitter } from '../base/emitter.ts';
import { LanError } from '../base/errors.ts';
import type { AnyGame } from '../sync/definition.ts';
import { show } from '../sync/definition.ts';
import type { RoomEvents } from './types.ts';

/** A record and no list: the compiler says when one is missing. */
const NAMES: Readonly<Record<keyof RoomEvents<AnyGame>, true>> = {
  join: true,
  away: true,
  back: true,
  leave: true,
  host: true,
  presence: true,
  merge: true,
  warn: true,
  close: true,
};

/** Different failures of one room that are written to the console; what fails at each tick with other words would fill it. */
const MAX_WRITTEN = 32;

/** Neither a page nor Node is known here; every one of them has this. */
const { console } = globalThis as { console?: { error(...what: unknown[]): void } };

export class RoomEmitter<G extends AnyGame> extends Emitter<RoomEvents<G>> {
  readonly #written = new Set<string>();

  constructor() {
    super((name, cause) => {
      // What a listener of `warn` throws has nobody left to be told to.
      if (name === 'warn') this.#write(`on('warn')`, cause);
      else this.failed(`on('${name}')`, cause);
    });
  }

  override on<Name extends keyof RoomEvents<G>>(name: Name, listener: (value: RoomEvents<G>[Name]) => void): Disposable {
    if (typeof name !== 'string' || !Object.hasOwn(NAMES, name))
      throw new LanError('unknown-name', `on: there is no event ${show(name)}.`, { hint: `Events are ${Object.keys(NAMES).join(', ')}.` });
    assertCallback(`on('${name}')`, listener);
    return super.on(name, listener);
  }

  /** The game's own code must not stop the room: what it throws, or rejects with, at `what` becomes a `warn`. */
  failed(what: string, cause: unknown): void {
    if (!this.has('warn')) return this.#write(what, cause);
    const detail = `${what}: ${cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)}`;
    this.emit('warn', { code: 'handler', detail });
  }

  /** Once for each place and message: the same line fails again at every tick. */
  #write(what: string, cause: unknown): void {
    const key = `${what}: ${cause instanceof Error ? cause.message : String(cause)}`;
    if (this.#written.size >= MAX_WRITTEN || this.#written.has(key)) return;
    this.#written.add(key);
    const more = this.#written.size === MAX_WRITTEN ? ' What else fails in this room is not written here.' : '';
    console?.error(`lanista: ${what} of the game failed. Hear of all such failures with room.on('warn').${more}`, cause);
  }
}
