/**
 * More around a room than it has seats for: what its members say then, and who they call.
 */
import { describe, expect, it } from 'vitest';
import type { PeerId } from '../sdk/base/brand.ts';
import { toBase32 } from '../sdk/base/bytes.ts';
import { Beats } from '../sdk/mesh/beats.ts';
import { HostDuty } from '../sdk/mesh/host-duty.ts';
import { LinkState } from '../sdk/mesh/link-state.ts';
import { decodeMessage, type Word } from '../sdk/mesh/messages.ts';
import type { Membership } from '../sdk/mesh/membership.ts';
import type { Party } from '../sdk/mesh/party.ts';
import { Vouching } from '../sdk/mesh/vouching.ts';
import { foundRoster, removeSeat, seatPeer, type Roster } from '../sdk/mesh/roster.ts';
import type { RoomId } from '../sdk/base/brand.ts';
import { MAX_PEERS } from '../sdk/wire/limits.ts';

const id = (n: number): PeerId => toBase32(Uint8Array.from({ length: 10 }, (_, i) => (n * 37 + i * 11) & 0xff)) as PeerId;
const newcomer = (n: number) => ({ id: id(n), instance: n, spectator: false, addresses: [] });

describe('a crowd', () => {
  it('[ME72] a word names no more of those it hears than a word may, members and hosts of other parts first', () => {
    let roster = foundRoster({ roomId: '00'.repeat(16) as RoomId, name: 'Friday', max: 16, locked: false }, newcomer(0), 5);
    for (const n of [60, 61]) roster = seatPeer(roster, newcomer(n)) as Roster;
    const linkState = new LinkState(id(0));
    const elsewhere = { id: id(62), instance: 62, seq: 1, host: true, eligible: true, left: false, term: 9, epoch: 1, heard: new Uint8Array(0) };
    linkState.update(0, elsewhere, true);
    const heard = Array.from({ length: 50 }, (_, i) => id(i + 1)).concat([60, 61, 62].map(id));
    const said: (Word | undefined)[] = [];
    const party = {
      self: id(0),
      instance: 0,
      linkState,
      time: { offset: 0 },
      links: {
        heardDirectly: () => heard,
        all: () => [{ peer: id(60) }],
        send: (_now: number, _peer: PeerId, _channel: string, bytes: Uint8Array) => {
          const message = decodeMessage(bytes);
          said.push(message?.type === 'beat' ? message.words[0] : undefined);
        },
      },
    };
    const membership = { roster, eligible: true, isLeaving: false, isOver: false };
    new Beats(party as unknown as Party, membership as unknown as Membership).tick(0);
    expect(said).toHaveLength(1);
    expect(said[0]?.id).toBe(id(0));
    const members = LinkState.encodeHeard([60, 61].map(id));
    expect(said[0]?.heard.length).toBe(5 * MAX_PEERS);
    expect(said[0]?.heard.slice(0, 10)).toEqual(members);
    expect(said[0]?.heard.slice(10, 15)).toEqual(LinkState.encodeHeard([id(62)]));
  });

  it('[ME43] a host remembers nothing of those who had a seat and are gone, heard or not', () => {
    const duty = new HostDuty({ self: id(0), instance: 0, linkState: new LinkState(id(0)), options: {} } as unknown as Party);
    let roster = foundRoster({ roomId: '00'.repeat(16) as RoomId, name: 'Friday', max: 16, locked: false }, newcomer(0), 5);
    for (let n = 1; n <= 200; n++) {
      const seated = duty.seat(10_000 * n, roster, newcomer(n), 0) as Roster;
      // Every third goes at once, one has been missed by then, and one is away.
      for (const afterMs of [1, 3_000, 3_500].slice(0, 1 + (n % 3))) roster = duty.tick(10_000 * n + afterMs, afterMs === 1 ? seated : roster);
      roster = removeSeat(roster, id(n), 'bye');
    }
    duty.tick(10_000_000, roster);
    expect([roster.seats.length, duty.size]).toEqual([1, 0]);
  });

  it('[ME74] a request that a member forwarded is too old for a host that was none for a while', () => {
    const heard = new Set<PeerId>();
    const party = { links: { get: () => undefined }, linkState: { isHeard: (_now: number, peer: PeerId) => heard.has(peer) } };
    const vouching = new Vouching(party as unknown as Party);
    const join = { instance: 1, spectate: false, joinPort: 1, addresses: [], term: 0, time: 0 };
    for (const n of [1, 2]) vouching.wait({ peer: id(n), join, via: id(9), at: 100 });
    expect(vouching.due(200)).toEqual([]);
    heard.add(id(1));
    expect(vouching.due(300).map(({ peer }) => peer)).toEqual([id(1)]);
    heard.add(id(2));
    expect(vouching.due(60_000)).toEqual([]);
  });
});
