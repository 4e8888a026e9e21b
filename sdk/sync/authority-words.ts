/** What is said about authority, as `wire.ts` lists it. */
import type { PeerId } from '../base/brand.ts';
import type { PortRoster } from '../port/port.ts';
import { PackWriter } from '../wire/pack.ts';
import { encodeWhole } from './delta.ts';
import type { EntityCore } from './entity.ts';
import type { Grave } from './store.ts';
import { ADOPT, BURIED } from './wire.ts';

/** An entity by its name alone, or with all it is. */
type Named = Pick<EntityCore, 'origin' | 'counter'>;

/** What was asked of another peer, and is not answered yet. */
export interface Ask {
  readonly core: EntityCore;
  /** Whom it was asked of. */
  readonly of: PeerId;
  readonly deadline: number;
  readonly settle: (handle: object | undefined) => void;
}

export interface AuthorityWorld {
  readonly self: PeerId;
  roster(): PortRoster;
  now(): number;
  /** The room has opened: until then there may be more to hear. */
  isReady(): boolean;
  control(to: PeerId, bytes: Uint8Array): boolean;
}

const NOTHING: Named = { origin: 0, counter: 0 };

export class AuthorityWords {
  readonly #session: number;
  readonly #control: (to: PeerId, bytes: Uint8Array) => boolean;
  readonly #out = new PackWriter(512);
  /** Who started anew, and was not told all of it yet: as much as a lane takes at a time. */
  readonly #untold = new Map<PeerId, { readonly knew: number; readonly cores: (readonly [core: EntityCore, owner: PeerId])[] }>();

  constructor(session: number, control: (to: PeerId, bytes: Uint8Array) => boolean) {
    this.#session = session & 0xffff;
    this.#control = control;
  }

  /** False when it could not be said. */
  say(to: PeerId, type: number, id: number, { origin, counter }: Named, whole?: EntityCore): boolean {
    const out = this.#out;
    out.reset();
    const at = out.openArray();
    for (const value of [type, this.#session, id, origin, counter]) out.int(value);
    const more = whole === undefined ? 0 : encodeWhole(out, whole);
    out.endArray(at, 5 + more);
    return this.#control(to, out.view());
  }

  /**
   * Of `core`, which `to` owned before it started anew, of whose former self all until tick `knew` is here; without it, that this was all.
   * False when it could not be said.
   */
  retell(to: PeerId, knew: number, core?: EntityCore): boolean {
    return this.say(to, ADOPT, knew + 1, core ?? NOTHING, core);
  }

  /** Of each of `cores`, and that this was all: now, and what finds no room then, with `retellRest`. */
  retellAll(to: PeerId, knew: number, cores: EntityCore[]): void {
    this.#untold.set(to, { knew, cores: cores.reverse().map((core) => [core, core.owner]) });
    this.#retellRest(to);
  }

  /** Goes on with what found no room, to who is still among `peers`. */
  retellRest(peers: readonly { readonly id: PeerId }[]): void {
    for (const to of this.#untold.keys())
      if (peers.some(({ id }) => id === to)) this.#retellRest(to);
      else this.#untold.delete(to);
  }

  #retellRest(to: PeerId): void {
    const { knew, cores } = this.#untold.get(to)!;
    for (let next = cores.at(-1); next !== undefined; next = cores.at(-1)) {
      const [core, owner] = next;
      // Somebody else has it by now, or it is gone.
      if (core.alive && core.owner === owner && !this.retell(to, knew, core)) return;
      cores.pop();
    }
    if (this.retell(to, knew)) this.#untold.delete(to);
  }

  buried(to: PeerId, origin: number, counter: number, grave: Grave): void {
    const out = this.#out;
    out.reset();
    out.array(7);
    for (const value of [BURIED, this.#session, grave.lost === true ? 1 : 0, origin, counter, grave.epoch]) out.int(value);
    out.text(grave.owner);
    this.#control(to, out.view());
  }
}
