/**
 * A game's rooms without a network: several players of one room in one process, under a virtual clock.
 */
import type { PeerId } from '../base/brand.ts';
import { LanError } from '../base/errors.ts';
import type { MemoryHubOptions } from '../port/memory.ts';
import { createMemoryLan } from '../port/memory-lan.ts';
import { MemoryHub } from '../port/memory.ts';
import { createLan } from '../room/lan.ts';
import type { Room } from '../room/types.ts';
import { checkCall } from '../sync/definition.ts';
import type { AnyGame } from '../sync/definition.ts';
import type { Init } from '../sync/field.ts';
import { DEFAULT_PLAYERS, MAX_PEERS } from '../wire/limits.ts';

const ROOMS_OPTIONS = ['presence', 'name', 'max', 'seed', 'latencyMs', 'jitterMs', 'lossRatio', 'startMs'];
/** How long `settled` waits, ms of virtual time. */
const PATIENCE_MS = 20_000;
/** What members tell each other when one comes has arrived everywhere, ms after it, besides the way there and back. */
const GREETINGS_MS = 100;

/** `seed`, `latencyMs` (default 2), `jitterMs` and `lossRatio` are the network's; losses are the same for the same seed. */
export interface MemoryRoomsOptions<G extends AnyGame> extends Omit<MemoryHubOptions, 'time'> {
  /** Of each player, by number from 0. Needed when a field of the game's presence has no default. */
  readonly presence?: (index: number) => Init<G['presence']>;
  /** Default `test`. */
  readonly name?: string;
  /** Players, 1 to 32. Default 16, or `count` if that is more. */
  readonly max?: number;
}

/** Who comes, and how. */
export interface MemoryJoinOptions {
  /** Watches without taking a player's place; default false. */
  readonly spectate?: boolean;
  /** The `room.self.id` of a player: of one who left, who is back then, or of one who is here, whose page is reloaded then: the room it had ends. */
  readonly id?: PeerId;
}

/** As many as were asked for, so that `const [ann, bob] = rooms` has no `undefined` in it. */
type Row<T, N extends number, R extends readonly T[] = readonly []> = number extends N
  ? readonly T[]
  : R['length'] extends N
    ? R
    : Row<T, N, readonly [T, ...R]>;

export interface MemoryRooms<G extends AnyGame, N extends number = number> {
  /** One per player, by slot; the first is host. */
  readonly rooms: Row<Room<G>, N>;
  /** The network between them and their clock; its `latencyMs`, `jitterMs` and `lossRatio` may change at any time. */
  readonly hub: MemoryHub;
  /** Lets `ms` of virtual time pass: ticks run, messages arrive, promises go on. Nothing happens without it. */
  play(ms: number): Promise<void>;
  /** Lets time pass until `promise` settles: for `call`, `leave` and all else that waits. Rejects with `timeout` after 20 s of virtual time. */
  settled<T>(promise: Promise<T>): Promise<T>;
  /** One more player, who comes now; or one who is back, or whose page is reloaded. */
  join(presence: Init<G['presence']>, options?: MemoryJoinOptions): Promise<Room<G>>;
  /** Cuts a player off, as a machine that went silent, or lets it back. Here its seat is kept for as long as it takes. */
  setAway(room: Room<G>, away: boolean): void;
}

/**
 * Opens one room with `count` players (1 to 32) who know each other. They are the rooms a game gets from `connectLan` and `openLan`, with
 * nothing of the machine below them: no sockets, no timers, no real time. The same seed gives the same run.
 *
 *     const { rooms: [ann, bob], play } = await openMemoryRooms(game, 2);
 *     ann.send('chat', { text: 'hello' });
 *     await play(100);
 */
export async function openMemoryRooms<G extends AnyGame, const N extends number>(
  game: G,
  count: N,
  options: MemoryRoomsOptions<G> = {},
): Promise<MemoryRooms<G, N>> {
  if (!Number.isInteger(count) || count < 1 || count > MAX_PEERS)
    throw new LanError('bad-argument', `openMemoryRooms: expected 1 to ${MAX_PEERS} players, got ${count}.`);
  checkCall('openMemoryRooms', options, ROOMS_OPTIONS);
  if (options.presence !== undefined && typeof options.presence !== 'function')
    throw new LanError('bad-argument', 'openMemoryRooms: expected presence as a function of the player’s number.', {
      hint: 'Write presence: (index) => ({ name: `Player ${index}` }).',
    });
  const { presence, name = 'test', max = Math.max(DEFAULT_PLAYERS, count), ...network } = options;
  const hub = new MemoryHub({ latencyMs: 2, ...network });

  const settled = async <T>(promise: Promise<T>): Promise<T> => {
    let done = false;
    const seen = promise.finally(() => (done = true));
    // Awaited below; until then nobody looks, and that is no mistake.
    seen.catch(() => undefined);
    for (let waited = 0; !done; waited += 5) {
      if (waited >= PATIENCE_MS) throw new LanError('timeout', `Still waiting after ${PATIENCE_MS / 1_000} s of virtual time.`);
      await hub.play(5);
    }
    return seen;
  };
  const join = async (its: Init<G['presence']>, how: MemoryJoinOptions = {}): Promise<Room<G>> => {
    checkCall('join', how, ['spectate', 'id']);
    const { spectate = false, ...who } = how;
    const lan = createLan(game, createMemoryLan(hub, game, who), { presence: its, randomU32: () => hub.rng.u32() });
    const room = await settled(lan.joinOrCreate({ name, max, spectate }));
    await hub.play(GREETINGS_MS + 2 * (hub.latencyMs + hub.jitterMs));
    return room;
  };

  const rooms: Room<G>[] = [];
  for (let i = 0; i < count; i++) rooms.push(await join(presence?.(i) ?? ({} as Init<G['presence']>)));
  return {
    rooms: rooms as readonly Room<G>[] as Row<Room<G>, N>,
    hub,
    play: (ms) => hub.play(ms),
    settled,
    join,
    setAway: (room, away) => hub.rooms.get(room.id)?.setAway(room.self.id, away),
  };
}
