/**
 * The round: an entity of the host that says which phase it is, and until when on the shared clock.
 * Everybody derives everything else from it, so a new host only has to carry on with what is there.
 *
 *   lobby --time is up, or all ready--> match --time is up--> scores --> lobby (next map) --> …
 */
import { maps } from './arena.ts';
import type { ChromaGame, ChromaRoom, Phase } from './game.ts';
import type { MineEntity } from 'lanista';

/** The values of the round, for everybody. */
export interface RoundState {
  readonly phase: Phase;
  readonly startsAt: number;
  readonly endsAt: number;
  readonly number: number;
  readonly map: number;
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
export function keepRound(room: ChromaRoom, options: RoundOptions, last: () => RoundState | undefined): Disposable {
  return room.whileHost(({ signal }) => {
    let missingSince = room.clock.now();
    const step = (now: number): void => {
      const round = ownRound(room);
      if (round !== undefined) {
        missingSince = now;
        advance(room, round, options, now);
      } else if (currentRound(room) === undefined && (room.peers.size === 1 || now - missingSince > missingMs)) {
        const startsAt = Math.round(now);
        room.entities.spawn(
          'round',
          last() ?? { phase: 'lobby', startsAt, endsAt: startsAt + options.lobbyMs, number: 0, map: 0, fill: options.fill },
        );
      }
    };
    step(room.clock.now());
    const ticking = room.clock.every(10, (_tick, time) => step(time));
    signal.addEventListener('abort', () => ticking[Symbol.dispose](), { once: true });
  });
}

/** The round this peer writes; a second one, left by a merge, is removed. */
function ownRound(room: ChromaRoom): RoundEntity | undefined {
  let best: RoundEntity | undefined;
  for (const round of room.entities.mine('round')) {
    if (best === undefined) best = round;
    else if (further(round, best)) {
      best.despawn();
      best = round;
    } else round.despawn();
  }
  return best;
}

function advance(room: ChromaRoom, round: RoundEntity, options: RoundOptions, now: number): void {
  if (round.phase === 'lobby' && round.endsAt > now + allReadyMs && everybodyReady(room)) round.endsAt = Math.round(now + allReadyMs);
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
      round.map = (round.map + 1) % maps.length;
      break;
    default:
      round.phase satisfies never;
  }
  round.fill = options.fill;
}

function everybodyReady(room: ChromaRoom): boolean {
  for (const peer of room.peers.values()) if (peer.status === 'present' && !peer.spectator && !peer.presence.ready) return false;
  return true;
}
