/**
 * Messages of the mesh that are almost right: whatever does not fit is dropped whole.
 */
import { describe, expect, it } from 'vitest';
import type { PeerId, RoomId } from '../sdk/base/brand.ts';
import { toBase32 } from '../sdk/base/bytes.ts';
import { encodeId, idAt } from '../sdk/mesh/ids.ts';
import { decodeMessage, encodeMessage, type MeshMessage, type Word } from '../sdk/mesh/messages.ts';
import { foundRoster, removeSeat, seatPeer, type Roster } from '../sdk/mesh/roster.ts';
import { MAX_BANNED, MAX_DEPARTED, MAX_KNOWN_IDS, MAX_LINEAGE, MAX_PEERS } from '../sdk/wire/limits.ts';
import { decodePayload, encodePayload, type PayloadValue } from '../sdk/wire/payload.ts';

const bytesOf = (n: number): Uint8Array => Uint8Array.from({ length: 10 }, (_, i) => (n * 37 + i * 11) & 0xff);
const id = (n: number): PeerId => toBase32(bytesOf(n)) as PeerId;
const peer = (n: number) => ({ id: id(n), instance: n, spectator: false, addresses: [{ host: `10.0.0.${n}`, port: n }] });

function list(...members: readonly number[]): Roster {
  let roster = foundRoster({ roomId: 'ab'.repeat(16) as RoomId, name: 'Friday', max: 16, locked: false }, peer(members[0]!), 5);
  for (const n of members.slice(1)) roster = seatPeer(roster, peer(n)) as Roster;
  return roster;
}

type Items = PayloadValue[];
type Edit = (items: Items) => unknown;

const addresses = [{ host: '10.0.0.1', port: 7 }];
const join = { instance: 1, spectate: false, joinPort: 5, addresses, term: 3, time: 12.5 };
const roster = removeSeat(list(1, 2, 3), id(3), 'kicked', true);
const word: Word = { id: id(1), instance: 7, seq: 8, host: true, eligible: true, left: false, term: 9, epoch: 3, heard: new Uint8Array(10) };
const part = { hops: 3, from: id(1), to: id(2), socket: 'session', id: 9, part: 0, parts: 2, bytes: new Uint8Array(70).fill(1) } as const;

const messages = {
  join: { type: 'join', join },
  forward: { type: 'forward', peer: id(3), join },
  roster: { type: 'roster', roster, key: new Uint8Array(32) },
  refuse: { type: 'refuse', reason: 'kicked' },
  refused: { type: 'refused', peer: id(1), reason: 'kicked' },
  leave: { type: 'leave' },
  propose: { type: 'propose', roster, time: 77 },
  decide: { type: 'decide', roster, time: 77, term: 99 },
  move: { type: 'move', addresses },
  beat: { type: 'beat', time: -5.25, words: [word] },
  relay: { type: 'relay', relay: part },
} satisfies Record<string, MeshMessage>;

const more: Edit = (items) => items.push(0);
const put =
  (at: number, value: PayloadValue): Edit =>
  (items) =>
    void (items[at] = value);
/** The edit of an array inside. */
const inside =
  (at: number, edit: Edit): Edit =>
  (items) =>
    edit(items[at] as Items);
const repeat =
  (count: number): Edit =>
  (items) =>
    void items.push(...Array.from({ length: count }, () => items[0]!));

const inList = (at: number, value: PayloadValue): Edit => inside(1, put(at, value));
const inSeat = (at: number, value: PayloadValue): Edit => inside(1, inside(7, inside(1, put(at, value))));
const inWord = (at: number, value: PayloadValue): Edit => inside(2, inside(0, put(at, value)));

const malformed: readonly (readonly [keyof typeof messages, string, Edit])[] = [
  ...(Object.keys(messages) as (keyof typeof messages)[]).map((type) => [type, 'more behind', more] as const),
  ['join', 'an instance that is no u32', put(1, 2 ** 32)],
  ['join', 'an instance that is no number', put(1, 'a')],
  ['join', 'a port over 65,535', put(3, 65_536)],
  ['join', 'a port that is no number', put(3, null)],
  ['join', 'a time of 2^48', put(6, 2 ** 48)],
  ['join', 'a time that is none', put(6, NaN)],
  ['join', 'a term that is no integer', put(5, 1.5)],
  ['join', 'a term below zero', put(5, -1)],
  ['join', 'five addresses', inside(4, repeat(4))],
  ['join', 'an address at port 0', inside(4, inside(0, put(1, 0)))],
  ['join', 'an address with more behind', inside(4, inside(0, more))],
  ['join', 'an address of 46 characters', inside(4, inside(0, put(0, '1'.repeat(46))))],
  ['forward', 'an id of eleven bytes', put(1, new Uint8Array(11))],
  ['roster', 'a key of 31 bytes', put(2, new Uint8Array(31))],
  ['roster', 'a seat with more behind', inside(1, inside(7, inside(1, more)))],
  ['roster', 'a seat at slot 32', inSeat(1, MAX_PEERS)],
  ['roster', 'a seat with flag 8', inSeat(2, 8)],
  ['roster', 'a seat whose instance is no u32', inSeat(3, 2 ** 32)],
  ['roster', 'a seat that is none', inside(1, inside(7, put(1, null)))],
  ['roster', 'two seats of one id', inSeat(0, bytesOf(1))],
  [
    'roster',
    'seats out of order',
    inside(
      1,
      inside(7, (seats) => seats.reverse()),
    ),
  ],
  ['roster', 'no seats', inside(1, put(7, []))],
  ['roster', 'a host without a seat', inList(6, bytesOf(9))],
  ['roster', 'more behind the list', inside(1, more)],
  ['roster', 'a room id of 17 bytes', inList(0, new Uint8Array(17))],
  ['roster', 'a name of 33 bytes', inList(1, 'a'.repeat(33))],
  ['roster', '33 players at most', inList(2, 33)],
  ['roster', 'an epoch that is no u32', inList(5, 2 ** 32)],
  ['roster', 'a term that is no integer', inList(4, 0.5)],
  ['roster', '65 banned', inside(1, inside(8, repeat(MAX_BANNED)))],
  ['roster', '17 departed', inside(1, inside(9, repeat(MAX_DEPARTED)))],
  ['roster', 'a departed one with more behind', inside(1, inside(9, inside(0, more)))],
  ['roster', 'a departed one of slot 32', inside(1, inside(9, inside(0, put(1, MAX_PEERS))))],
  ['roster', 'a departed one for reason 3', inside(1, inside(9, inside(0, put(2, 3))))],
  ['roster', '33 terms', inside(1, inside(10, repeat(MAX_LINEAGE)))],
  [
    'roster',
    '33 merged',
    inList(
      11,
      Array.from({ length: 33 }, () => bytesOf(1)),
    ),
  ],
  ['refuse', 'reason 2', put(1, 2)],
  ['beat', '33 words', inside(2, repeat(MAX_PEERS))],
  ['beat', 'a time of 2^48', put(1, 2 ** 48)],
  ['beat', 'flag 8', inWord(3, 8)],
  ['beat', 'a term below zero', inWord(4, -1)],
  ['beat', 'a term that is no integer', inWord(4, 1.5)],
  ['beat', 'half of whom it hears', inWord(6, new Uint8Array(9))],
  ['beat', 'more than 32 that it hears', inWord(6, new Uint8Array(165))],
  ['relay', 'five hops', put(1, 5)],
  ['relay', 'the second part of one', (items) => ((items[6] = 1), (items[7] = 1))],
  ['relay', 'the first of no parts', put(7, 0)],
  ['relay', 'nothing carried', put(8, new Uint8Array(0))],
];

describe('a control message', () => {
  it.each(malformed)('[ME28] %s: %s is dropped whole', (type, _what, edit) => {
    const items = decodePayload(encodeMessage(messages[type])) as Items;
    expect(decodeMessage(encodePayload(items))?.type).toBe(type);
    edit(items);
    expect(decodeMessage(encodePayload(items))).toBeUndefined();
  });

  it('[ME28] with a byte behind it is dropped whole, and so is one that ends early', () => {
    for (const message of Object.values(messages)) {
      const bytes = encodeMessage(message);
      expect(decodeMessage(Uint8Array.of(...bytes, 0))).toBeUndefined();
      expect(decodeMessage(bytes.subarray(0, -1))).toBeUndefined();
    }
  });

  it('[ME28] at every bound is read', () => {
    const full: Roster = {
      ...list(...Array.from({ length: MAX_PEERS }, (_, n) => n + 1).slice(0, 16)),
      banned: Array.from({ length: MAX_BANNED }, (_, n) => id(n)),
      departed: Array.from({ length: MAX_DEPARTED }, (_, n) => ({ id: id(n), slot: 31 as never, reason: 'timeout' as const })),
      lineage: Array.from({ length: MAX_LINEAGE }, () => 2 ** 53 - 1),
      merged: Array.from({ length: MAX_PEERS }, (_, n) => id(n)),
    };
    const message = decodeMessage(encodeMessage({ type: 'roster', roster: full, key: undefined }));
    expect(message).toEqual({ type: 'roster', roster: full, key: undefined });
  });

  it('[ME28] of a peer whose id begins like another’s names that peer', () => {
    const [one, other] = [bytesOf(1), bytesOf(1)];
    other[9] = 0xff;
    expect([idAt(one, 0), idAt(other, 0), idAt(one, 0)]).toEqual([toBase32(one), toBase32(other), toBase32(one)]);
    // Ids that were forgotten meanwhile are read, and written, as before.
    for (let n = 0; n < MAX_KNOWN_IDS + 5; n++) idAt(Uint8Array.from([n >> 8, n, 0, 0, 0, 0, 0, 0, 0, 0]), 0);
    expect([idAt(one, 0), encodeId(toBase32(one) as PeerId)]).toEqual([toBase32(one), one]);
  });
});
