/**
 * What a guest is allowed: the one room its owner is in, as somebody who plays there and nothing else. A guest's page is a stranger's
 * device behind plain HTTP, so whatever it sends may be anybody's.
 */
import type { PeerId } from '../base/brand.ts';
import { disposable } from '../base/emitter.ts';
import { LanError } from '../base/errors.ts';
import {
  GUEST_BATCHES_AT_ONCE,
  GUEST_BATCHES_PER_S,
  GUEST_BYTES_AT_ONCE,
  GUEST_BYTES_PER_S,
  GUEST_COMMANDS_AT_ONCE,
  GUEST_COMMANDS_PER_S,
  GUEST_REQUESTS_AT_ONCE,
  GUEST_REQUESTS_PER_S,
} from '../bridge/index.ts';
import type { PageCommand } from '../bridge/index.ts';
import type { DiscoveryState, GameFacts, LanPort, LocalTime, NetworkCheck, OpenRequest, RoomListing } from '../port/lan-port.ts';
import type { RoomPort } from '../port/port.ts';
import type { GuestRules, HeldRoom } from './bridge-session.ts';
import { monotonicMs } from './local-time.ts';

const NO_ROOM = 'The player whose game this is sits in no room.';

export function noRoom(): LanError {
  return new LanError('unreachable', NO_ROOM, { hint: 'Join as soon as they play.' });
}

/** What a command is to a guest: play, a request, which is answered and costs us more than it costs to send, or none of its business. */
const COMMANDS: Readonly<Record<PageCommand['type'], 'plays' | 'asks' | 'never'>> = {
  hello: 'never',
  'watch-rooms': 'asks',
  open: 'asks',
  claim: 'asks',
  cancel: 'asks',
  send: 'plays',
  flush: 'plays',
  eligible: 'never',
  kick: 'never',
  leave: 'asks',
  ping: 'plays',
  beat: 'asks',
  // Answered with a refusal in words, by `GuestLan`.
  diagnose: 'asks',
  digest: 'plays',
};

export function guestRules(ownRoom: () => HeldRoom | undefined, rate: GuestRate): GuestRules {
  const requests = new Bucket(GUEST_REQUESTS_PER_S, GUEST_REQUESTS_AT_ONCE);
  return {
    may(type) {
      const kind = COMMANDS[type];
      return kind === 'plays' || (kind === 'asks' && requests.take(monotonicMs(), 1) >= 0);
    },
    hasRoom: () => rate.isHalf(monotonicMs()),
    lead({ spectate }) {
      const room = ownRoom();
      if (room === undefined) throw noRoom();
      return { type: 'join', target: room.roster.roomId, code: room.code, spectate };
    },
  };
}

/** A guest's own `LanPort`, as its page may see it: one room, or none. */
export class GuestLan implements LanPort {
  readonly self: PeerId;
  readonly time: LocalTime;
  readonly #lan: LanPort;
  readonly #game: GameFacts;
  readonly #ownRoom: () => HeldRoom | undefined;
  readonly #watchers = new Set<(rooms: readonly RoomListing[]) => void>();
  #told = '';

  constructor(lan: LanPort, game: GameFacts, ownRoom: () => HeldRoom | undefined) {
    this.self = lan.self;
    this.time = lan.time;
    this.#lan = lan;
    this.#game = game;
    this.#ownRoom = ownRoom;
  }

  open(request: OpenRequest, signal?: AbortSignal): Promise<RoomPort> {
    return this.#lan.open(request, signal);
  }

  watchRooms(onChange: (rooms: readonly RoomListing[]) => void): Disposable {
    const watcher = (rooms: readonly RoomListing[]): void => onChange(rooms);
    this.#watchers.add(watcher);
    watcher(this.#rooms());
    return disposable(() => void this.#watchers.delete(watcher));
  }

  discovery(): DiscoveryState {
    return this.#ownRoom() === undefined ? { level: 'degraded', reasons: [NO_ROOM] } : { level: 'ok', reasons: [] };
  }

  joinCode(): undefined {
    return undefined;
  }

  async diagnose(): Promise<readonly NetworkCheck[]> {
    throw new LanError('bridge', 'A guest sees nothing of this network.', { hint: 'The player whose game this is can check it.' });
  }

  digest(bytes: Uint8Array): Promise<Uint8Array> {
    return this.#lan.digest(bytes);
  }

  close(): Promise<void> {
    return this.#lan.close();
  }

  /** Tells whoever watches what has changed. */
  look(): void {
    if (this.#watchers.size === 0) return;
    const rooms = this.#rooms();
    const told = JSON.stringify(rooms);
    if (told === this.#told) return;
    this.#told = told;
    for (const watcher of [...this.#watchers]) watcher(rooms);
  }

  #rooms(): readonly RoomListing[] {
    const roster = this.#ownRoom()?.roster;
    if (roster === undefined) return [];
    const { id: gameId, version, schemaHash } = this.#game;
    const players = roster.peers.filter((peer) => !peer.spectator).length;
    // Whose guest one is has the code.
    const facts = { id: roster.roomId, name: roster.name, players, max: roster.max, locked: false };
    return [{ ...facts, pingMs: undefined, gameId, version, schemaHash, compatible: true, reason: undefined, address: '' }];
  }
}

/** Fills steadily, and may be overdrawn by as much as it holds. */
class Bucket {
  readonly #perSecond: number;
  readonly #atOnce: number;
  #level: number;
  #at = -Infinity;

  constructor(perSecond: number, atOnce: number) {
    this.#perSecond = perSecond;
    this.#atOnce = atOnce;
    this.#level = atOnce;
  }

  /** What is left, as a share of what it holds: from 1 to -1. */
  take(now: number, amount: number): number {
    const since = Math.max(0, now - this.#at) / 1_000;
    this.#at = now;
    this.#level = Math.max(-this.#atOnce, Math.min(this.#atOnce, this.#level + since * this.#perSecond) - amount);
    return this.#level / this.#atOnce;
  }
}

/** `over`: too much, of which what may be lost is dropped; `out`: so much for so long that this page is sent away. */
export type RateAnswer = 'in' | 'over' | 'out';

/** What one guest may send: batches, their bytes, and the commands in them. */
export class GuestRate {
  readonly #batches = new Bucket(GUEST_BATCHES_PER_S, GUEST_BATCHES_AT_ONCE);
  readonly #bytes = new Bucket(GUEST_BYTES_PER_S, GUEST_BYTES_AT_ONCE);
  readonly #commands = new Bucket(GUEST_COMMANDS_PER_S, GUEST_COMMANDS_AT_ONCE);

  take(now: number, bytes: number): RateAnswer {
    return answer(Math.min(this.#batches.take(now, 1), this.#bytes.take(now, bytes), this.#commands.take(now, 0)));
  }

  /** Whether half of the bytes that may be sent at once still may: less is for what the game says. */
  isHalf(now: number): boolean {
    return this.#bytes.take(now, 0) >= 0.5;
  }

  /** What there was in the batch. */
  count(now: number, commands: number): RateAnswer {
    return answer(this.#commands.take(now, commands));
  }
}

function answer(left: number): RateAnswer {
  return left <= -1 ? 'out' : left < 0 ? 'over' : 'in';
}
