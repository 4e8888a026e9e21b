/** The list of `lanista browse`: which rooms, and one line for each. Pure. */
import type { RoomListing } from '../../port/lan-port.ts';
import { whyIncompatible } from '../discovery/words.ts';
import { DOCTOR_GAME_ID } from './doctor-peer.ts';

/** What somebody runs, as far as they said. */
export interface WantedGame {
  readonly id: string;
  readonly version: number | undefined;
  readonly schemaHash: number | undefined;
}

/**
 * Rooms of games, those of doctors left out; of one game when told which. Told its version too, rooms that do
 * not fit say why; a build that was not said is taken to be the room's.
 */
export function chooseRooms(rooms: readonly RoomListing[], game: WantedGame | undefined): readonly RoomListing[] {
  return rooms
    .filter((room) => room.gameId !== DOCTOR_GAME_ID && (game === undefined || room.gameId === game.id))
    .map((room) => {
      if (game === undefined) return room;
      const ours = { id: game.id, version: game.version ?? room.version, schemaHash: game.schemaHash ?? room.schemaHash };
      const reason = whyIncompatible(ours, room);
      return { ...room, compatible: reason === undefined, reason };
    });
}

/** Name, players, ping, lock, game, version and build, address; why it does not fit. */
export function roomLine(room: RoomListing): string {
  const ping = room.pingMs === undefined ? '-' : `${room.pingMs} ms`;
  const game = `${plain(room.gameId)} v${room.version} ${room.schemaHash.toString(16).padStart(8, '0')}`;
  const line = `${plain(room.name).padEnd(24)} ${`${room.players}/${room.max}`.padStart(6)} ${ping.padStart(9)} ${room.locked ? 'locked' : 'open  '} ${game} ${room.address}`;
  return room.reason === undefined ? line : `${line}\n  x ${plain(room.name)} ${room.reason}`;
}

/** Room names come from the network: nothing in them may steer a terminal. */
export function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?');
}
