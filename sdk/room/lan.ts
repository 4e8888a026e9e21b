/**
 * `Lan`: finding rooms and opening them, over any `LanPort`. The edges (`lanista/node`, `lanista/browser`, tests) call
 * `createLan` with theirs.
 */
import { LanError } from '../base/errors.ts';
import type { LanPort, LocalTime, OpenRequest, RoomListing } from '../port/lan-port.ts';
import type { PortCloseReason, RoomPort } from '../port/port.ts';
import { bodyCodec } from '../sync/body.ts';
import { assertSignal } from '../sync/clock.ts';
import { checkCall, checkFlag, show } from '../sync/definition.ts';
import type { AnyGame } from '../sync/definition.ts';
import { hashText } from '../sync/hash.ts';
import { DEFAULT_PLAYERS, MAX_PEERS, MAX_ROOM_CODE_LENGTH, MAX_ROOM_NAME_BYTES } from '../wire/limits.ts';
import { PackWriter, utf8Length } from '../wire/pack.ts';
import { mergePresence } from './reception.ts';
import { GameRoom } from './room.ts';
import type { CreateOptions, JoinOptions, Lan, LanOptions, Room } from './types.ts';

export interface CreateLanOptions<G extends AnyGame> extends LanOptions<G> {
  /** Random u32 of each room instance. Without it one is derived from who opens the room and when. */
  readonly randomU32?: () => number;
}

/** The way to rooms for a game, over `port`. The caller owns the loop behind `port.time`. Throws `bad-argument`, and `bad-value` for the presence. */
export function createLan<G extends AnyGame>(game: G, port: LanPort, options: CreateLanOptions<G>): Lan<G> {
  assertLanOptions(game, options);
  const rooms = new Set<GameRoom<G>>();
  const shares = new TimeShares(port.time);
  let closed = false;
  const closing = new AbortController();
  let presence = options.presence as Readonly<Record<string, unknown>>;

  const assertPresence = (values: unknown): void => bodyCodec(game.presence).write(new PackWriter(128), values, 'presence');

  const open = async (request: OpenRequest, signal: AbortSignal | undefined): Promise<Room<G>> => {
    if (closed) throw over();
    assertSignal(request.type, signal);
    assertPresence(presence);
    const seat = signal === undefined ? await port.open(request) : await port.open(request, signal);
    const time = shares.share();
    let room: GameRoom<G>;
    try {
      room = new GameRoom(game, seat, {
        time,
        session: (options.randomU32?.() ?? sessionOf(seat, time.now())) >>> 0,
        presence,
        digest: (bytes) => port.digest(bytes),
        onClosed: () => rooms.delete(room),
      });
    } catch (error) {
      // The presence is the game's own object, and may have become none since.
      seat.leave(time.now());
      throw error;
    }
    rooms.add(room);
    const leave = (): void => void room.leave();
    // While the seat came, nobody listened.
    if (closed || signal?.aborted === true) leave();
    else signal?.addEventListener('abort', leave, { once: true });
    const reason = await room.opened();
    signal?.removeEventListener('abort', leave);
    // Nobody has seen this room yet, so nobody could be told of its end.
    if (reason !== undefined) throw unopened(reason, signal);
    return room;
  };

  let ending: Promise<void> | undefined;
  const end = async (): Promise<void> => {
    closed = true;
    closing.abort();
    await Promise.all([...rooms].map((room) => room.leave()));
    await port.close();
  };

  const lan: Lan<G> = {
    // Not kept here: a page may find another process behind it one day.
    get self() {
      return port.self;
    },
    browse: (how = {}) => {
      checkCall('browse', how, ['signal']);
      const { signal } = how;
      assertSignal('browse', signal);
      return browseRooms(port, signal, closing.signal);
    },
    create: async (init) => open({ type: 'create', ...checkedCreate('create', init) }, init.signal),
    joinOrCreate: async (init) => open({ type: 'join-or-create', ...checkedCreate('joinOrCreate', init) }, init.signal),
    join: async (target, init: JoinOptions = {}) => {
      const id = typeof target === 'string' ? target.trim() : (target as RoomListing | null | undefined)?.id;
      if (typeof id !== 'string' || id === '')
        throw new LanError('bad-argument', `join: expected a listing, 'host:port' or a join code, got ${show(target)}.`);
      checkCall('join', init, ROOM_OPTIONS);
      if (init.code !== undefined && (typeof init.code !== 'string' || init.code.length > MAX_ROOM_CODE_LENGTH))
        throw new LanError('bad-argument', `join: expected a code of at most ${MAX_ROOM_CODE_LENGTH} characters, got ${show(init.code)}.`);
      const { code, spectate = false } = init;
      checkFlag('join: spectate', spectate);
      return open({ type: 'join', target: id, code, spectate }, init.signal);
    },
    setPresence: (values) => {
      const whole = mergePresence(presence, values);
      assertPresence(whole);
      presence = whole;
    },
    get discovery() {
      return port.discovery();
    },
    joinCode: () => port.joinCode(),
    diagnose: async (how = {}) => {
      checkCall('diagnose', how, ['signal']);
      const { signal } = how;
      assertSignal('diagnose', signal);
      if (closed) throw over();
      if (signal?.aborted === true) throw givenUp(signal);
      return signal === undefined ? port.diagnose() : unlessAborted(port.diagnose(), signal);
    },
    close: () => (ending ??= end()),
    [Symbol.asyncDispose]: () => lan.close(),
  };
  return lan;
}

const over = (): LanError => new LanError('closed', 'this Lan was closed.');

/** One player in two places. */
export function copied(): LanError {
  return new LanError('refused', 'Another machine plays in that room with the key of this player, as after copying a disk or a profile.', {
    hint: 'Start the game again: this player has a new key then.',
  });
}

/** A seat was there, and was gone before the room was. */
function unopened(reason: PortCloseReason, signal: AbortSignal | undefined): LanError {
  if (signal?.aborted === true) return new LanError('aborted', 'Opening the room was aborted.', { cause: signal.reason });
  if (reason === 'bridge') return new LanError('bridge', 'The game on this computer went away while the room was opened.', { hint: 'Try again.' });
  if (reason === 'copied') return copied();
  if (reason === 'kicked') return new LanError('kicked', 'The host removed this player while the room was opened.');
  return new LanError('closed', 'The room was left while it was opened.', { hint: 'Try again.' });
}

/** The same peer never opens two rooms at the same moment of room time, and two peers differ by name. */
function sessionOf(seat: RoomPort, now: number): number {
  return hashText(`${seat.self} ${seat.roster().roomId} ${seat.time(now)} ${now}`);
}

/** `join` may be given what `create` takes: of a room that is there its founder's counts. */
const ROOM_OPTIONS = ['name', 'max', 'code', 'spectate', 'signal'];

/** A mistake in what every room of this `Lan` begins with is told before there is a network, and not when the first room is opened. */
export function assertLanOptions<G extends AnyGame>(game: G, options: LanOptions<G>): void {
  if (typeof (game as Partial<AnyGame> | undefined)?.schemaHash !== 'number')
    throw new LanError('bad-argument', `expected a game made by defineGame, got ${show(game)}.`);
  const presence: unknown = (options as Partial<LanOptions<G>> | undefined)?.presence;
  if (typeof presence !== 'object' || presence === null)
    throw new LanError('bad-argument', `expected options with the presence of this player, got ${show(presence ?? options)}.`, {
      hint: `Pass { presence: {${Object.keys(game.presence).length === 0 ? '' : ` ${Object.keys(game.presence).join(', ')} `}} }.`,
    });
  bodyCodec(game.presence).write(new PackWriter(128), presence, 'presence');
}

function checkedCreate(
  what: string,
  init: CreateOptions,
): { readonly name: string; readonly max: number; readonly code: string | undefined; readonly spectate: boolean } {
  checkCall(what, init, ROOM_OPTIONS);
  const { name, max = DEFAULT_PLAYERS, code, spectate = false } = init;
  if (typeof name !== 'string' || name.trim() === '' || utf8Length(name) > MAX_ROOM_NAME_BYTES)
    throw new LanError('bad-argument', `${what}: expected a name of 1 to ${MAX_ROOM_NAME_BYTES} bytes, got ${show(name)}.`);
  if (!Number.isInteger(max) || max < 1 || max > MAX_PEERS)
    throw new LanError('bad-argument', `${what}: expected max from 1 to ${MAX_PEERS}, got ${show(max)}.`);
  if (code !== undefined && (typeof code !== 'string' || code === '' || code.length > MAX_ROOM_CODE_LENGTH))
    throw new LanError('bad-argument', `${what}: expected a code of 1 to ${MAX_ROOM_CODE_LENGTH} characters, got ${show(code)}.`);
  checkFlag(`${what}: spectate`, spectate);
  return { name, max, code, spectate };
}

const givenUp = (signal: AbortSignal): LanError => new LanError('aborted', 'The examination was aborted.', { cause: signal.reason });

/** What `examined` comes to, for as long as somebody waits for it; it is shared, so that it goes on when one does not. */
async function unlessAborted<T>(examined: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop = (): void => undefined;
  const aborted = new Promise<never>((_resolve, reject) => (stop = () => reject(givenUp(signal))));
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([examined, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** The newest list each time the reader asks; lists in between are skipped, not queued. */
async function* browseRooms(port: LanPort, signal: AbortSignal | undefined, closing: AbortSignal): AsyncGenerator<readonly RoomListing[]> {
  if (closing.aborted) throw over();
  let newest: readonly RoomListing[] | undefined;
  let notify: (() => void) | undefined;
  const wake = (): void => notify?.();
  signal?.addEventListener('abort', wake);
  closing.addEventListener('abort', wake);
  const watch = port.watchRooms((rooms) => {
    newest = rooms;
    notify?.();
  });
  try {
    while (signal?.aborted !== true && !closing.aborted) {
      if (newest === undefined) {
        await new Promise<void>((resolve) => (notify = resolve));
        notify = undefined;
        continue;
      }
      const rooms = newest;
      newest = undefined;
      yield rooms;
    }
  } finally {
    watch[Symbol.dispose]();
    signal?.removeEventListener('abort', wake);
    closing.removeEventListener('abort', wake);
  }
}

interface Share {
  at: number;
  tick: (() => void) | undefined;
}

/** One `LocalTime` holds one appointment; this lets several rooms keep theirs. */
class TimeShares {
  readonly #time: LocalTime;
  readonly #shares = new Set<Share>();

  constructor(time: LocalTime) {
    this.#time = time;
  }

  share(): LocalTime {
    const share: Share = { at: Number.POSITIVE_INFINITY, tick: undefined };
    return {
      now: () => this.#time.now(),
      schedule: (at, tick) => {
        share.at = at;
        share.tick = tick;
        this.#shares.add(share);
        this.#arm();
      },
      // A room that is over keeps no place among those that each appointment is looked for in.
      cancel: () => {
        share.at = Number.POSITIVE_INFINITY;
        share.tick = undefined;
        this.#shares.delete(share);
        this.#arm();
      },
    };
  }

  #arm(): void {
    let earliest = Number.POSITIVE_INFINITY;
    for (const share of this.#shares) earliest = Math.min(earliest, share.at);
    if (earliest === Number.POSITIVE_INFINITY) this.#time.cancel();
    else this.#time.schedule(earliest, () => this.#run());
  }

  #run(): void {
    const now = this.#time.now();
    for (const share of [...this.#shares]) {
      if (share.at > now || share.tick === undefined) continue;
      const { tick } = share;
      share.at = Number.POSITIVE_INFINITY;
      share.tick = undefined;
      tick();
    }
    this.#arm();
  }
}
