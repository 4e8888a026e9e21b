/**
 * Looks at the list of rooms until somebody is content with one of them, or time is up.
 */
import type { RoomId } from '../base/brand.ts';
import { disposable } from '../base/emitter.ts';
import type { Address } from '../link/endpoint-types.ts';
import type { RoomListing } from '../port/lan-port.ts';
import type { HereFacts } from '../wire/datagram.ts';
import type { Discovery } from './discovery/discovery.ts';
import { aborted } from './room-request.ts';

/** When an address is asked, ms after the search began. */
const ASK_AT_MS = [0, 100, 250, 500, 1_000, 1_500, 2_000] as const;

export interface FoundRoom {
  readonly listing: RoomListing;
  readonly facts: HereFacts;
  readonly addresses: readonly Address[];
}

export interface RoomSearch {
  /** The room to take, if it is among these; `answered` is the one that answered at `ask`, from whichever address. */
  readonly choose: (rooms: readonly RoomListing[], answered: RoomId | undefined) => RoomListing | undefined;
  readonly withinMs: number;
  readonly signal: AbortSignal | undefined;
  /** Also asked by itself, whether or not it was ever announced. */
  readonly ask?: Address;
}

/** The first room `choose` takes; undefined when there was none in time. Rejects with `aborted`. */
export function searchRoom(discovery: Discovery, { choose, withinMs, signal, ask }: RoomSearch): Promise<FoundRoom | undefined> {
  if (signal?.aborted === true) return Promise.reject(aborted(signal));
  return new Promise((resolve, reject) => {
    const timers = new Set<NodeJS.Timeout>();
    let off: Disposable = disposable(() => undefined);
    const end = (finish: () => void): void => {
      for (const timer of timers) clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      finish();
      // The watch may still be in the making when the list has what we want at once.
      queueMicrotask(() => off[Symbol.dispose]());
    };
    const onAbort = (): void => end(() => reject(aborted(signal)));
    let settled = false;
    let answered: RoomId | undefined;
    const look = (rooms: readonly RoomListing[]): void => {
      const listing = settled ? undefined : choose(rooms, answered);
      const facts = listing === undefined ? undefined : discovery.rooms.facts(listing.id);
      if (listing === undefined || facts === undefined) return;
      settled = true;
      const addresses = discovery.rooms.addresses(listing.id);
      end(() => resolve({ listing, facts, addresses }));
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    timers.add(setTimeout(() => end(() => resolve(undefined)), withinMs));
    const onAnswer = ({ roomId }: HereFacts): void => {
      answered = roomId;
      look(discovery.rooms.listings);
    };
    if (ask !== undefined) for (const ms of ASK_AT_MS) timers.add(setTimeout(() => discovery.ask(ask, onAnswer), ms));
    off = discovery.watch(look);
  });
}
