/** The largest HERE the encoder makes, against the WHO that asks for it. */
import type { PeerId, RoomId } from '../../../sdk/base/brand.ts';
import { encodeHere, encodeWho } from '../../../sdk/wire/datagram.ts';
import { MAX_GAME_ID_BYTES, MAX_HERE_MEMBERS, MAX_ROOM_NAME_BYTES } from '../../../sdk/wire/limits.ts';

const nonce = new Uint8Array(8);
const here = encodeHere({
  nonce,
  facts: {
    roomId: 'f'.repeat(32) as RoomId,
    name: 'n'.repeat(MAX_ROOM_NAME_BYTES),
    players: 255,
    max: 255,
    locked: true,
    gameId: 'g'.repeat(MAX_GAME_ID_BYTES),
    version: 0xffff,
    schemaHash: 0xffff_ffff,
    peer: 'a'.repeat(16) as PeerId,
    joinPort: 65_535,
    members: Array.from({ length: MAX_HERE_MEMBERS }, () => ({ host: '255.255.255.255', port: 65_535 })),
  },
}).length;

export const HERE_RATIO = here / encodeWho({ nonce, roomTag: nonce, gameId: undefined }).length;
