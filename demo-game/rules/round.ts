/**
 * The round: an entity of the host that says which phase it is, and until when on the shared clock.
 * Everybody derives everything else from it, so a new host only has to carry on with what is there.
 *
 *   lobby --time is up, or all ready--> match --time is up--> scores --> lobby (next map) --> …
 */
import type { ChromaGame, ChromaRoom, Phase } from './game.ts';
import type { MapShelf } from './map-shelf.ts';
import { bring, tidy, turn, unite } from './rotation.ts';
import type { Rotation } from './rotation.ts';
import type { MineEntity, PeerId } from 'lanista';

/** The values of the round, for everybody. */
export interface RoundState extends Rotation {
  readonly phase: Phase;
  readonly startsAt: number;
  readonly endsAt: number;
  readonly number: number;
  readonly fill: number;
}

export interface RoundOptions {
  readonly lobbyMs: number;
  readonly matchMs: number;
  readonly scoresMs: number;
  /** Bots fill the arena up to this many blobs while only one person plays; 0 for none. */
  readonly fill: number;
}

export const defaultRound: RoundOptions = { lobbyMs: 12_000, matchMs: 90_000, scoresMs: 9_000, fill: 4 };

/** Once all are ready the match starts after this. */
const allReadyMs = 3000;
/**
 * A host that finds no round while others are there waits this long for one before it starts its own: after
 * a reload of its page the others tell it the round it has forgotten.
 */
const missingMs = 2500;

type RoundEntity = MineEntity<ChromaGame, 'round'>;

/** The round in force: when a merge or a reload left two for a moment, the one that got further. */
export function currentRound(room: ChromaRoom): RoundState | undefined {
  let best: RoundState | undefined;
  for (const round of room.entities.all('round')) if (best === undefined || further(round, best)) best = round;
  return best;
}

function further(a: RoundState, b: RoundState): boolean {
  return a.number !== b.number ? a.number > b.number : a.startsAt > b.startsAt;
}

/**
 * Runs the round while this peer is host. `last` gives the round this peer saw last: if a host took the
 * entity with it, its successor carries on from there.
 */
export function keepRound(room: ChromaRoom, shelf: MapShelf, options: RoundOptions, last: () => RoundState | undefined): Disposable {
  return room.whileHost(({ signal }) => {
    const taking = takeMaps(room, shelf);
    let missingSince = room.clock.now();
    const step = (now: number): void => {
      const round = ownRound(room, shelf);
      if (round !== undefined) {
        missingSince = now;
        rotate(round, tidied(round, shelf));
        advance(room, round, shelf, options, now);
      } else if (currentRound(room) === undefined && (room.peers.size === 1 || now - missingSince > missingMs)) {
        const startsAt = Math.round(now);
        room.entities.spawn(
          'round',
          last() ?? { phase: 'lobby', startsAt, endsAt: startsAt + options.lobbyMs, number: 0, map: '', queue: [], waiting: 0, fill: options.fill },
        );
      }
    };
    step(room.clock.now());
    const ticking = room.clock.every(10, (_tick, time) => step(time));
    const end = (): void => {
      taking[Symbol.dispose]();
      ticking[Symbol.dispose]();
    };
    signal.addEventListener('abort', end, { once: true });
  });
}

/** The round this peer writes; a second one, left by a merge, is removed. */
function ownRound(room: ChromaRoom, shelf: MapShelf): RoundEntity | undefined {
  let best: RoundEntity | undefined;
  for (const round of room.entities.mine('round')) {
    if (best === undefined) best = round;
    else {
      const [kept, gone]: [RoundEntity, RoundEntity] = further(round, best) ? [round, best] : [best, round];
      rotate(kept, tidied(kept, shelf, gone));
      gone.despawn();
      best = kept;
    }
  }
  return best;
}

function advance(room: ChromaRoom, round: RoundEntity, shelf: MapShelf, options: RoundOptions, now: number): void {
  if (round.phase === 'lobby' && round.endsAt > now + allReadyMs && everybodyReady(room)) round.endsAt = Math.round(now + allReadyMs);
  const isHere = (id: string): boolean => shelf.at(id) !== undefined;
  if (round.map === '' || (round.phase === 'lobby' && shelf.isRefused(round.map))) rotate(round, turn(round, isHere));
  if (now < round.endsAt) return;
  // Phases start where the one before ended; a host that slept through one starts from now.
  const start = now - round.endsAt < 2000 ? round.endsAt : Math.round(now);
  switch (round.phase) {
    case 'lobby':
      round.phase = 'match';
      round.startsAt = start;
      round.endsAt = start + options.matchMs;
      round.number = (round.number + 1) & 0xffff;
      break;
    case 'match':
      round.phase = 'scores';
      round.endsAt = start + options.scoresMs;
      break;
    case 'scores':
      round.phase = 'lobby';
      round.startsAt = start;
      round.endsAt = start + Math.min(options.lobbyMs, 6000);
      rotate(round, turn(round, isHere));
      break;
    default:
      round.phase satisfies never;
  }
  round.fill = options.fill;
}

/** As it should be, with the maps of another round of this room. Until what is the game's own is known, as it is. */
function tidied(rotation: Rotation, shelf: MapShelf, other?: Rotation): Rotation {
  if (shelf.own.length === 0) return rotation;
  return tidy(other === undefined ? rotation : unite(rotation, other), shelf.own, (id) => shelf.isRefused(id) || shelf.isNowhere(id));
}

/** Assigns what is new of it. */
function rotate(round: RoundEntity, { map, queue, waiting }: Rotation): void {
  if (round.map !== map) round.map = map;
  if (round.queue.join() !== queue.join()) round.queue = queue;
  if (round.waiting !== waiting) round.waiting = waiting;
}

/** The host's ear for maps that players bring: it fetches one before anybody plays on it, and of each player one at a time. */
function takeMaps(room: ChromaRoom, shelf: MapShelf): Disposable {
  const looking = new Set<PeerId>();
  return room.handle('bring', async ({ id }, from) => {
    if (looking.has(from)) return { answer: 'busy', before: 0 } as const;
    looking.add(from);
    const read = await shelf.get(id);
    looking.delete(from);
    const round = ownRound(room, shelf);
    if (round === undefined || shelf.own.length === 0) return { answer: 'busy', before: 0 } as const;
    if (read?.map === undefined) return { answer: 'refused', before: 0 } as const;
    const brought = bring(round, id, shelf.own);
    if (typeof brought === 'string') return { answer: brought, before: 0 };
    rotate(round, brought.rotation);
    return { answer: 'next', before: brought.before } as const;
  });
}

function everybodyReady(room: ChromaRoom): boolean {
  for (const peer of room.peers.values()) if (peer.status === 'present' && !peer.spectator && !peer.presence.ready) return false;
  return true;
}
