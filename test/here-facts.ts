/** A room as one of its members tells it, and where that member answers; for the tests of discovery. */
import type { PeerId, RoomId } from '../sdk/base/brand.ts';
import type { HereFacts } from '../sdk/wire/datagram.ts';

export const FACTS: HereFacts = {
  roomId: '00112233445566778899aabbccddeeff' as RoomId,
  name: 'Friday',
  players: 2,
  max: 16,
  locked: false,
  gameId: 'paint',
  version: 3,
  schemaHash: 7,
  peer: 'aaaaaaaaaaaaaaaa' as PeerId,
  joinPort: 29_798,
  members: [],
};
export const AT = { host: '10.0.0.5', port: 29_798 };
