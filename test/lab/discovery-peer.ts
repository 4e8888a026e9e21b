/**
 * One host of the labs about discovery: opens the LAN as a game's process does, and does what it is
 * told, line by line, on its standard input. No game runs here: rooms have one member and no state.
 *
 *     in   {"id":1,"do":"open", …}                    see `commands`
 *     out  {"id":1,"ok":{…}} or {"id":1,"error":"…"}
 *          {"event":"rooms","t":…,"rooms":[…]}        after `watch`, at every change
 *          {"event":"uncaught","what":"…"}            never, or the lab fails
 *
 * `t` is on the machine's one clock, so that lines of all hosts compare.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { hostname, userInfo } from 'node:os';
import type { RoomListing } from '../../sdk/port/lan-port.ts';
import type { RoomPort } from '../../sdk/port/port.ts';
import { openNodeLanPort, type NodeLanOptions, type NodeLanPort } from '../../sdk/node/lan-port.ts';
import { clock, obey, say } from './parts/commands.ts';

interface Command {
  readonly id: number;
  readonly do: string;
  readonly lan?: NodeLanOptions;
  readonly name?: string;
  readonly target?: string;
  readonly count?: number;
  readonly withinMs?: number;
  /** Wall clock to begin at, ms. */
  readonly at?: number;
}

const game = { id: process.env['LAB_GAME'] ?? 'lab-discovery', version: Number(process.env['LAB_GAME_VERSION'] ?? 1), schemaHash: 7 };
/** Membership keeps these going while nothing is said, as a room does at every tick. */
const tickMs = 50;

let lan: NodeLanPort | undefined;
let room: RoomPort | undefined;
let watching: Disposable | undefined;
const delay = monitorEventLoopDelay({ resolution: 5 });
let ticks = 0;
let measuredFrom = clock();

function opened(): NodeLanPort {
  if (lan === undefined) throw new Error('not open');
  return lan;
}

const brief = (rooms: readonly RoomListing[]): object[] =>
  rooms.map(({ id, name, address, players, max, locked, pingMs, compatible, reason }) => ({
    id,
    name,
    address,
    players,
    max,
    locked,
    pingMs,
    compatible,
    reason,
  }));

/** Waits until the list holds `count` rooms; resolves with ms since `startedAt` of the first and of all. */
function countRooms(
  port: NodeLanPort,
  count: number,
  withinMs: number,
  startedAt: number,
): Promise<{ firstMs: number | null; allMs: number | null; seen: number }> {
  return new Promise((resolve) => {
    let firstMs: number | null = null;
    let seen = 0;
    let off: Disposable | undefined;
    const end = (allMs: number | null): void => {
      clearTimeout(timer);
      setImmediate(() => off?.[Symbol.dispose]());
      resolve({ firstMs, allMs, seen });
    };
    const timer = setTimeout(() => end(null), withinMs);
    off = port.watchRooms((rooms) => {
      seen = rooms.length;
      if (rooms.length > 0) firstMs ??= clock() - startedAt;
      if (rooms.length >= count) end(clock() - startedAt);
    });
  });
}

const commands: Record<string, (command: Command) => Promise<object> | object> = {
  async open({ lan: options }) {
    lan = await openNodeLanPort(game, { profile: false, ...options });
    return { joinPort: lan.joinPort, addresses: lan.addresses(), joinCode: lan.joinCode(), hostname: hostname(), user: userInfo().username };
  },
  async create({ name = 'room' }) {
    room = await opened().open({ type: 'create', name, max: 16, code: undefined, spectate: false });
    return { id: room.roster().roomId };
  },
  async join({ target = '' }) {
    const startedAt = clock();
    room = await opened().open({ type: 'join', target, code: undefined, spectate: false });
    return { id: room.roster().roomId, ms: clock() - startedAt };
  },
  roster() {
    return { members: room?.roster().peers.map((peer) => ({ id: peer.id, status: peer.status })) ?? [] };
  },
  watch() {
    watching = opened().watchRooms((rooms) => say({ event: 'rooms', t: clock(), rooms: brief(rooms) }));
    return {};
  },
  unwatch() {
    watching?.[Symbol.dispose]();
    return {};
  },
  /** One whole start: sockets, discovery, the list; then all of it is closed again. */
  async find({ lan: options, count = 1, withinMs = 5_000 }) {
    const startedAt = clock();
    const port = await openNodeLanPort(game, { profile: false, ...options });
    const found = await countRooms(port, count, withinMs, startedAt);
    await port.close();
    return found;
  },
  /** What a player's process does first, at one instant on all hosts: opens, founds a room, looks around. */
  async begin({ lan: options, name = 'room', count = 1, withinMs = 10_000, at = 0 }) {
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, at - clock())));
    const startedAt = at === 0 ? clock() : at;
    lan = await openNodeLanPort(game, { profile: false, ...options });
    room = await lan.open({ type: 'create', name, max: 16, code: undefined, spectate: false });
    watching = lan.watchRooms(() => undefined);
    return countRooms(lan, count, withinMs, startedAt);
  },
  state() {
    return opened().discovery();
  },
  /** The histogram costs CPU itself, so it runs when asked for. */
  measure() {
    delay.enable();
    delay.reset();
    ticks = 0;
    measuredFrom = clock();
    return {};
  },
  load() {
    const { user, system } = process.cpuUsage();
    const longestMs = delay.max / 1e6;
    // A timer that fires every 50 ms drifts by what each call takes, so not every tick of that time is due.
    const tickRatio = (ticks * tickMs) / (clock() - measuredFrom);
    delay.reset();
    return { tickRatio, cpuMs: (user + system) / 1_000, rssBytes: process.memoryUsage().rss, longestMs };
  },
  async close() {
    await lan?.close();
    lan = undefined;
    room = undefined;
    return {};
  },
};

setInterval(() => {
  ticks++;
  room?.flush(performance.now());
}, tickMs);

process.on('uncaughtException', (error) => say({ event: 'uncaught', what: error.stack ?? String(error) }));
process.on('unhandledRejection', (error) => say({ event: 'uncaught', what: String(error) }));
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void (async () => (await lan?.close(), process.exit(0)))());
}
obey<Command>(commands);
