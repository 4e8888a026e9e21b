/**
 * The map that is played, for one player: follows the round, and brings this player's own maps to the host. While a map is on its way, and
 * where what came is none, whoever has not got it plays on the plain floor.
 */
import { LanError } from 'lanista';
import { plainMap, wallMask } from './arena.ts';
import type { ArenaMap } from './arena.ts';
import type { ChromaRoom } from './game.ts';
import { Held } from './held.ts';
import { mostBrought, readMap } from './map-file.ts';
import { MapShelf } from './map-shelf.ts';
import type { RoundState } from './round.ts';

/** `here`: its walls stand. `none`: no round has named one yet. */
export type MapState = 'none' | 'here' | 'coming' | 'refused';

/** What became of a map that this player brought: it comes after so many others; or why it does not come, as the end of a sentence. */
export type Bringing =
  | { readonly name: string; readonly before: number; readonly problem?: undefined }
  | { readonly name?: undefined; readonly problem: string };

/** The host fetches a map before it takes it. */
const answerMs = 10_000;
/** The host may change meanwhile. */
const tries = 3;
/** What the round has not had for so many steps, ten seconds, made way for others; a room becomes part of another, whose clock may be hours ahead, in less. */
const goneSteps = 600;
/** What the host may answer, and what that means for who asked; `next` is none of them. */
const refusals = {
  playing: 'is being played already',
  full: `has no place: ${mostBrought} others wait for their turn`,
  refused: 'did not reach the host whole',
  busy: 'was not taken: the host still looks for another one of yours',
} as const;

export class MapKeeper implements Disposable {
  readonly shelf: MapShelf;
  readonly #room: ChromaRoom;
  readonly #off = new Held();
  /** Maps of this player that the host took, and for how many steps the round has not had them. */
  readonly #mine = new Map<string, { readonly name: string; missing: number }>();
  /** Resolves when a host has named a map, and may be asked; or when the room is gone, where asking fails. */
  readonly #known: Promise<void>;
  #know!: () => void;
  #round: RoundState | undefined;
  #map: ArenaMap = plainMap;
  #mask = wallMask(plainMap);

  constructor(room: ChromaRoom) {
    this.#room = room;
    this.shelf = this.#off.use(new MapShelf(room));
    this.#known = new Promise((resolve) => (this.#know = resolve));
    room.signal.addEventListener('abort', () => this.#know(), { once: true });
    // The other part of the room knew nothing of what was brought to this one.
    this.#off.use(room.on('merge', ({ lost }) => lost && void this.#bringAgain()));
  }

  get map(): ArenaMap {
    return this.#map;
  }

  /** Which cells lie under its walls. */
  get mask(): Uint8Array {
    return this.#mask;
  }

  get state(): MapState {
    const id = this.#round?.map ?? '';
    if (id === '') return 'none';
    return this.shelf.at(id) !== undefined ? 'here' : this.shelf.isRefused(id) ? 'refused' : 'coming';
  }

  /** The map that comes after this one, when it is here. */
  get next(): ArenaMap | undefined {
    for (const id of this.#round?.queue ?? []) {
      const map = this.shelf.at(id);
      if (map !== undefined) return map;
    }
    return undefined;
  }

  /** Once per step. */
  follow(round: RoundState, now: number): void {
    this.#round = round;
    this.shelf.want([round.map, ...round.queue], now);
    const map = this.shelf.at(round.map) ?? plainMap;
    if (map !== this.#map) {
      this.#map = map;
      this.#mask = wallMask(map);
    }
    for (const [id, mine] of this.#mine) {
      if (this.#isKnown(id)) mine.missing = 0;
      else if (++mine.missing > goneSteps) this.#mine.delete(id);
    }
    if (round.map !== '') this.#know();
  }

  /**
   * Shares a map file and asks the host to put it next; with `unlessKnown` only when no round has it yet, and undefined otherwise. Never
   * rejects, and resolves once there is a host who has named a map, or the room is gone.
   */
  async bring(bytes: Uint8Array, unlessKnown = false): Promise<Bringing | undefined> {
    const { map, problem } = readMap(bytes);
    if (map === undefined) return { problem };
    try {
      const id = await this.shelf.add(map);
      await this.#known;
      if (unlessKnown && this.#isKnown(id)) {
        this.#took(id, map.name);
        return undefined;
      }
      return await this.#ask(id, map.name);
    } catch (error) {
      return {
        problem: error instanceof LanError && error.code === 'too-large' ? 'is one too many for this room' : 'did not reach the host: try it again',
      };
    }
  }

  [Symbol.dispose](): void {
    this.#off[Symbol.dispose]();
  }

  async #ask(id: string, name: string): Promise<Bringing> {
    for (let left = tries - 1; ; left--) {
      try {
        const { answer, before } = await this.#room.call('bring', { id }, { timeoutMs: answerMs });
        if (answer === 'busy' && left > 0) {
          // It is not host any more by now, or looks for what this page wanted before it was reloaded.
          await this.#pause(500);
          continue;
        }
        if (answer !== 'next') return { problem: refusals[answer] };
        this.#took(id, name);
        // A host that is gone before the round says so has told nobody else.
        for (let i = 0; i < 20 && !this.#isKnown(id); i++) await this.#pause(100);
        if (this.#isKnown(id) || left === 0) return { name, before };
      } catch (error) {
        if (left === 0 || this.#room.signal.aborted) throw error;
        await this.#pause(500);
      }
    }
  }

  async #bringAgain(): Promise<void> {
    // By then the round of the other part is the only one, here as well.
    await this.#pause(2000);
    for (const [id, { name }] of this.#mine) {
      if (!this.#isKnown(id)) await this.#ask(id, name).catch(() => undefined);
    }
  }

  #took(id: string, name: string): void {
    this.#mine.set(id, { name, missing: 0 });
  }

  #isKnown(id: string): boolean {
    return id === this.#round?.map || this.#round?.queue.includes(id) === true;
  }

  /** So long, or until the room is gone. By ticks: in a room that becomes part of an older one the clock goes forward by hours. */
  #pause(ms: number): Promise<void> {
    const { clock, signal } = this.#room;
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      let left = Math.ceil(ms / 50);
      const ticking = clock.every(20, () => --left < 0 && end());
      const end = (): void => {
        ticking[Symbol.dispose]();
        signal.removeEventListener('abort', end);
        resolve();
      };
      signal.addEventListener('abort', end);
    });
  }
}
