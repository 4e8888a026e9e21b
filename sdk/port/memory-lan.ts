/** The way to rooms inside one process: a `LanPort` for each member of a `MemoryHub`. */
import type { PeerId } from '../base/brand.ts';
import { disposable } from '../base/emitter.ts';
import { LanError } from '../base/errors.ts';
import { DEFAULT_PLAYERS } from '../wire/limits.ts';
import type { DiscoveryState, GameFacts, LanPort, OpenRequest, RoomListing } from './lan-port.ts';
import type { MemoryHub, MemoryRoomPort } from './memory.ts';
import { MemoryRoom } from './memory.ts';
import { memoryDigest } from './memory-digest.ts';

/** One member of `hub`. `id` takes up the identity of an earlier one: the same key, another process. */
export function createMemoryLan(hub: MemoryHub, game: GameFacts, options: { readonly id?: PeerId } = {}): LanPort {
  const self = options.id ?? hub.name();
  const time = hub.clock();
  const ports = new Set<MemoryRoomPort>();
  const listing = (room: MemoryRoom): RoomListing => {
    const { facts } = room;
    const reason =
      facts.id !== game.id
        ? `plays ${facts.id}, you play ${game.id}`
        : facts.version !== game.version
          ? `runs version ${facts.version}, you run ${game.version}`
          : facts.schemaHash !== game.schemaHash
            ? 'its build differs from yours'
            : undefined;
    return {
      id: room.id,
      name: room.name,
      players: room.players,
      max: room.max,
      locked: room.code !== undefined,
      pingMs: 2 * hub.latencyMs,
      gameId: facts.id,
      version: facts.version,
      schemaHash: facts.schemaHash,
      compatible: reason === undefined,
      reason,
      address: room.id,
    };
  };
  const open = (request: OpenRequest): MemoryRoomPort => {
    const rooms = [...hub.rooms.values()];
    let room: MemoryRoom | undefined;
    if (request.type === 'join') {
      room = rooms.find((candidate) => candidate.id === request.target);
      if (room === undefined) throw new LanError('unreachable', `no room answers at '${request.target}'.`);
    } else if (request.type === 'join-or-create')
      room = rooms.find((candidate) => candidate.name === request.name && listing(candidate).compatible && candidate.code === request.code);
    if (room === undefined) {
      const { name, max, code } = request as Exclude<OpenRequest, { type: 'join' }>;
      room = new MemoryRoom(hub, game, name, max === 0 ? DEFAULT_PLAYERS : max, code, self);
    }
    const { reason } = listing(room);
    if (reason !== undefined) throw new LanError('incompatible', `'${room.name}' ${reason}.`);
    // An open room takes no notice of a code.
    if (room.code !== undefined && room.code !== request.code) throw new LanError('wrong-code', `'${room.name}' needs another code.`);
    return room.enter(self, request.spectate);
  };
  const ok: DiscoveryState = { level: 'ok', reasons: [] };
  return {
    self,
    time,
    open: async (request, signal) => {
      if (signal?.aborted === true) throw new LanError('aborted', 'opening the room was aborted.');
      const port = open(request);
      ports.add(port);
      return port;
    },
    diagnose: () => Promise.resolve([{ id: 'interfaces', level: 'ok', what: 'Rooms are inside this process; no network is used.', fix: '' }]),
    digest: async (bytes) => memoryDigest(bytes),
    watchRooms: (onChange) => {
      const tell = (): void => onChange([...hub.rooms.values()].map(listing));
      hub.watchers.add(tell);
      tell();
      return disposable(() => hub.watchers.delete(tell));
    },
    discovery: () => ok,
    // No machine, no address.
    joinCode: () => undefined,
    close: async () => {
      for (const port of ports) port.leave();
      time.cancel();
    },
  };
}
