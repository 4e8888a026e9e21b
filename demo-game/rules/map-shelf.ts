/**
 * The maps of a room that are here, by content id. The game's own are content like any other: everybody shares them on entering, so they
 * never travel. What else the round names is fetched as soon as it is named, from whoever has it.
 */
import { LanError } from 'lanista';
import { maps } from './arena.ts';
import type { ArenaMap } from './arena.ts';
import type { ChromaRoom } from './game.ts';
import { encodeMap, maxMapBytes, readMap } from './map-file.ts';
import type { ReadMap } from './map-file.ts';

/** What went wrong is tried again after this: nobody had the map, say. */
const againMs = 1000;
/** Maps fetched at once for later; the one that is played is fetched besides. A host that names others all the time makes nobody fetch more. */
const mostComing = 2;
/** More than a round names: beyond it what no round names is forgotten. */
const mostKnown = 64;
/** Less than who brings a map waits for the host, which fetches it. */
const lookMs = 8000;
/** What nobody gave, looked for so often, is nowhere: longer than it takes who has it to reload its page. */
const mostLooks = 2;

export class MapShelf implements Disposable {
  readonly #room: ChromaRoom;
  readonly #read = new Map<string, ReadMap>();
  readonly #coming = new Map<string, Promise<ReadMap | undefined>>();
  /** Those of them that a round names or has named. */
  readonly #wanted = new Set<string>();
  /** Of what did not come: when it is looked for again, and how often nobody gave it. */
  readonly #again = new Map<string, { readonly at: number; readonly looks: number }>();
  readonly #off = new AbortController();
  #own: readonly string[] = [];
  #isSharing = false;
  #shareAgain = 0;

  constructor(room: ChromaRoom) {
    this.#room = room;
    void this.#shareOwn();
  }

  /** The game's own maps, in their order; empty until all are shared. */
  get own(): readonly string[] {
    return this.#own;
  }

  /** The map, when it is here. */
  at(id: string): ArenaMap | undefined {
    return this.#read.get(id)?.map;
  }

  /** Whether what this id names is here and is no map. */
  isRefused(id: string): boolean {
    return this.#read.get(id)?.problem !== undefined;
  }

  /** Whether a round names it, and nobody gives it. */
  isNowhere(id: string): boolean {
    return !this.#read.has(id) && (this.#again.get(id)?.looks ?? 0) >= mostLooks;
  }

  /** Fetches what is not here of `ids`, the first of them before all others. To be said again and again. */
  want(ids: readonly string[], now: number): void {
    if (this.#own.length === 0 && !this.#isSharing && now >= this.#shareAgain) void this.#shareOwn();
    for (const [i, id] of ids.entries()) {
      if (id === '' || this.#read.has(id) || this.#coming.has(id) || now < (this.#again.get(id)?.at ?? 0)) continue;
      if (this.#wanted.size >= (i > 0 ? mostComing : mostComing + 1)) break;
      this.#wanted.add(id);
      void this.get(id).then(() => this.#wanted.delete(id));
    }
    // Who has it may come by the time it is named again.
    for (const id of this.#again.keys()) if (!ids.includes(id)) this.#again.delete(id);
    if (this.#read.size < mostKnown) return;
    const kept = new Set([...ids, ...this.#own]);
    for (const id of this.#read.keys()) if (!kept.has(id)) this.#read.delete(id);
  }

  /** What an id names, read; undefined when nobody gave it. Never rejects. */
  get(id: string): Promise<ReadMap | undefined> {
    const read = this.#read.get(id);
    if (read !== undefined) return Promise.resolve(read);
    let coming = this.#coming.get(id);
    if (coming === undefined) this.#coming.set(id, (coming = this.#fetch(id).finally(() => this.#coming.delete(id))));
    return coming;
  }

  /** Gives a map to the room. Rejects as `room.content.share` does. */
  async add(map: ArenaMap): Promise<string> {
    const id = await this.#room.content.share(encodeMap(map));
    this.#read.set(id, { map });
    return id;
  }

  [Symbol.dispose](): void {
    this.#off.abort();
  }

  async #fetch(id: string): Promise<ReadMap | undefined> {
    const { content, clock } = this.#room;
    try {
      // What is no map is given to others all the same: so they know, too.
      const read = readMap(await content.fetch(id, { signal: this.#off.signal, timeoutMs: lookMs, maxBytes: maxMapBytes }));
      this.#read.set(id, read);
      return read;
    } catch (error) {
      // Text that is no id names nothing; anything else may be there in a moment.
      const code = error instanceof LanError ? error.code : '';
      if (code === 'bad-argument') this.#read.set(id, { problem: 'is nowhere' });
      else if (code === 'too-large') this.#read.set(id, { problem: 'is larger than any map' });
      else this.#again.set(id, { at: clock.now() + againMs, looks: (this.#again.get(id)?.looks ?? 0) + (code === 'timeout' ? 1 : 0) });
      return undefined;
    }
  }

  async #shareOwn(): Promise<void> {
    this.#isSharing = true;
    const ids: string[] = [];
    try {
      for (const map of maps) ids.push(await this.add(map));
      this.#own = ids;
    } catch {
      // The room is gone, or its process was not there for a moment.
      this.#shareAgain = this.#room.clock.now() + againMs;
    }
    this.#isSharing = false;
  }
}
