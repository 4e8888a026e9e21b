/**
 * The list as a value: who gets which seat, what a claim and a merge keep, and that no list grows beyond what others read.
 */
import { describe, expect, it } from 'vitest';
import type { PeerId, RoomId, Slot } from '../sdk/base/brand.ts';
import { decodeRoster, encodeRoster } from '../sdk/mesh/roster-codec.ts';
import {
  boundAddresses,
  changeRoster,
  claimRoster,
  compareVersions,
  departures,
  foundRoster,
  isPlausible,
  mergeRosters,
  removeSeat,
  seatOf,
  seatPeer,
  updateSeat,
  type Roster,
} from '../sdk/mesh/roster.ts';
import { MAX_BANNED, MAX_DEPARTED, MAX_ENDPOINTS_PER_PEER, MAX_LINEAGE, MAX_PEERS } from '../sdk/wire/limits.ts';
import { idOf, newcomer } from './mesh-script.ts';

const at = (host: string, port = 1) => ({ host, port });
const many = (count: number) => Array.from({ length: count }, (_, i) => at(`10.0.1.${i}`));

function list(members: readonly number[], max = 16): Roster {
  let roster = foundRoster({ roomId: '00'.repeat(16) as RoomId, name: 'Friday', max, locked: false }, newcomer(members[0]!), 5);
  for (const n of members.slice(1)) roster = seatPeer(roster, newcomer(n)) as Roster;
  return roster;
}

const slots = (roster: Roster): readonly (readonly [PeerId, number])[] => roster.seats.map((seat) => [seat.id, seat.slot]);
const away = (roster: Roster, n: number): Roster => updateSeat(roster, idOf(n), { status: 'away' });
const isRead = (roster: Roster): boolean => decodeRoster(encodeRoster(roster)) !== undefined;

describe('a seat', () => {
  it('[ME34] has at most four addresses, each once, the first ones first', () => {
    expect(boundAddresses(many(3), many(9))).toEqual(many(MAX_ENDPOINTS_PER_PEER));
    expect(boundAddresses([at('10.0.0.1'), at('10.0.0.1', 2)], [at('10.0.0.1', 2), at('10.0.0.2')])).toEqual([
      at('10.0.0.1'),
      at('10.0.0.1', 2),
      at('10.0.0.2'),
    ]);
    const roster = seatPeer(list([1]), { ...newcomer(2), addresses: many(9) }) as Roster;
    expect(seatOf(roster, idOf(2))?.addresses).toEqual(many(MAX_ENDPOINTS_PER_PEER));
    expect(isRead(roster)).toBe(true);
  });

  it('[ME34] is found where its process says, with its port, also when that is all that changed', () => {
    const roster = list([1, 2]);
    const moved = updateSeat(roster, idOf(2), { addresses: [at('10.0.0.2', 9)] });
    expect(seatOf(moved, idOf(2))?.addresses).toEqual([at('10.0.0.2', 9)]);
    expect([moved.epoch, updateSeat(moved, idOf(2), { addresses: [at('10.0.0.2', 9)] })]).toEqual([roster.epoch + 1, moved]);
    const anew = seatPeer(moved, { ...newcomer(2), instance: 77, addresses: [at('10.0.0.3')] }) as Roster;
    expect(seatOf(anew, idOf(2))).toMatchObject({ slot: 1, instance: 77, addresses: [at('10.0.0.3')] });
  });

  it('[ME11] of a full room is given back to the player that comes again', () => {
    const roster = away(list([1, 2, 3], 3), 2);
    expect(seatPeer(roster, newcomer(4))).toBe('room-full');
    const back = seatPeer(roster, { ...newcomer(2), instance: 77 }) as Roster;
    expect(seatOf(back, idOf(2))).toMatchObject({ slot: 1, status: 'present', instance: 77 });
    // Who watched may not play there, who plays may watch.
    const watcher = seatPeer(roster, { ...newcomer(5), spectator: true }) as Roster;
    expect(seatPeer(watcher, newcomer(5))).toBe('room-full');
    expect(seatOf(seatPeer(watcher, { ...newcomer(3), spectator: true }) as Roster, idOf(3))?.spectator).toBe(true);
  });

  it('[ME2] that watches takes no place of a player', () => {
    const watched = seatPeer(seatPeer(list([1], 2), { ...newcomer(2), spectator: true }) as Roster, newcomer(3)) as Roster;
    expect(watched.seats).toHaveLength(3);
    expect(seatPeer(watched, newcomer(4))).toBe('room-full');
  });

  it('[ME1] is the lowest free one, up to the last', () => {
    const full = list(
      Array.from({ length: MAX_PEERS }, (_, n) => n),
      MAX_PEERS,
    );
    expect(full.seats.map((seat) => seat.slot)).toEqual(Array.from({ length: MAX_PEERS }, (_, n) => n));
    expect(seatPeer(full, { ...newcomer(99), spectator: true })).toBe('room-full');
    const one = seatPeer(removeSeat(full, idOf(7), 'bye'), newcomer(99)) as Roster;
    expect(one.seats.map((seat) => seat.slot)).toEqual(full.seats.map((seat) => seat.slot));
    expect(seatOf(one, idOf(99))?.slot).toBe(7);
  });
});

describe('a list', () => {
  it('[ME43] remembers no more of who left, was thrown out or was host than others read', () => {
    let roster = list([1]);
    for (let n = 2; n < 150; n++) {
      roster = removeSeat(seatPeer(roster, newcomer(n)) as Roster, idOf(n), 'kicked', true);
      roster = claimRoster(roster, idOf(1), 0, () => true);
    }
    expect([roster.banned.length, roster.departed.length, roster.lineage.length]).toEqual([MAX_BANNED, MAX_DEPARTED, MAX_LINEAGE]);
    expect([roster.banned.at(-1), roster.departed.at(-1)?.id, roster.lineage.at(-1)]).toEqual([idOf(149), idOf(149), roster.term]);
    expect(isRead(roster)).toBe(true);
    let other = list([200]);
    for (let n = 0; n < 50; n++) {
      const banned = Array.from({ length: MAX_BANNED }, (_, i) => idOf(201 + ((n + i) % 50)));
      other = mergeRosters(other, changeRoster(roster, { banned: [...roster.banned.slice(0, 20), ...banned.slice(0, 44)] }), 0);
    }
    expect([other.banned.length, other.lineage.length]).toEqual([MAX_BANNED, MAX_LINEAGE]);
    expect(isRead(other)).toBe(true);
  });

  it('[ME25] names who was thrown out once, and the last reason for which somebody left', () => {
    const once = removeSeat(list([1, 2]), idOf(2), 'kicked', true);
    const twice = removeSeat(once, idOf(2), 'kicked', true);
    expect([twice, twice.banned]).toEqual([once, [idOf(2)]]);
    const before = list([1, 2]);
    const back = seatPeer(removeSeat(before, idOf(2), 'timeout'), newcomer(2)) as Roster;
    const gone = removeSeat(back, idOf(2), 'bye');
    expect(gone.departed).toEqual([{ id: idOf(2), slot: 1, reason: 'bye' }]);
    expect(departures(back, gone)).toEqual([{ id: idOf(2), slot: 1, reason: 'bye' }]);
    expect(departures(before, list([1]))).toEqual([{ id: idOf(2), slot: 1, reason: 'timeout' }]);
  });
});

describe('a version', () => {
  const term = 2 ** 20;
  const [farTerm, farEpoch] = [2 ** 45, 2 ** 31];

  it('[ME20] is newer by its term, then by its epoch', () => {
    expect(Math.sign(compareVersions(2, 1, 1, 9))).toBe(1);
    expect(Math.sign(compareVersions(1, 9, 2, 1))).toBe(-1);
    expect([compareVersions(1, 3, 1, 2), compareVersions(1, 2, 1, 3), compareVersions(1, 2, 1, 2)]).toEqual([1, -1, 0]);
  });

  it('[ME82] that is far counts only as near as a room comes that has been talked up', () => {
    const of = (mine: readonly [number, number], theirs: readonly [number, number]): boolean =>
      isPlausible({ term: mine[0], epoch: mine[1] }, ...theirs);
    expect([of([1, 1], [farTerm, farEpoch]), of([1, 1], [farTerm + 1, 1]), of([1, 1], [1, farEpoch + 1])]).toEqual([true, false, false]);
    expect([of([farTerm, 1], [farTerm + 16 * term, 1]), of([farTerm, 1], [farTerm + 17 * term, 1])]).toEqual([true, false]);
    expect([of([1, farEpoch], [1, farEpoch + 256]), of([1, farEpoch], [1, farEpoch + 257])]).toEqual([true, false]);
  });
});

describe('a claim', () => {
  it('[ME26] is of a later term than the list, calls nobody back who is away, and tells of no merge', () => {
    const met = mergeRosters(list([1, 2]), list([3]), 0);
    const before = away(met, 3);
    const after = claimRoster(before, idOf(2), 0, () => true);
    expect(after.term).toBeGreaterThan(before.term);
    expect(claimRoster(before, idOf(2), after.term, () => true).term).toBeGreaterThan(after.term);
    expect([after.epoch, after.merged, seatOf(after, idOf(3))?.status]).toEqual([before.epoch + 1, [], 'away']);
  });
});

describe('a merge', () => {
  it('[ME24] leaves each who comes its slot where that is free, and takes none that another who comes has', () => {
    expect(slots(mergeRosters(list([1]), list([2, 3, 4]), 0))).toEqual([
      [idOf(1), 0],
      [idOf(3), 1],
      [idOf(4), 2],
      [idOf(2), 3],
    ]);
    // Of a crowd the last free slot is found, though somebody who comes has it.
    const most = list(
      Array.from({ length: MAX_PEERS - 1 }, (_, n) => n + 1),
      MAX_PEERS,
    );
    const two = list([100, 101]);
    const last = changeRoster(two, { seats: [two.seats[0]!, { ...two.seats[1]!, slot: 31 as Slot, status: 'away' }] });
    expect(seatOf(mergeRosters(most, last, 0), idOf(100))?.slot).toBe(31);
  });

  it('[ME24] takes the word of the part that comes for who follows it, and of no one else', () => {
    const ours = away(list([1, 2, 3, 4]), 2);
    const theirs = [2, 3, 4].reduce(
      (roster, n) => seatPeer(roster, { ...newcomer(n), instance: 70 + n, addresses: [at(`10.7.0.${n}`)] }) as Roster,
      list([5]),
    );
    // Their host is 4, one of ours; 3 is present with both, 2 with them alone.
    const merged = mergeRosters(ours, changeRoster(theirs, { host: idOf(4) }), 0);
    expect(seatOf(merged, idOf(2))).toMatchObject({ slot: 1, status: 'present', instance: 72, addresses: [at('10.7.0.2'), at('10.0.0.2')] });
    expect(seatOf(merged, idOf(3))).toMatchObject({ slot: 2, instance: 3, addresses: [at('10.0.0.3')] });
    expect(seatOf(merged, idOf(4))).toMatchObject({ slot: 3, instance: 74 });
    expect(merged.merged).toEqual([idOf(5), idOf(2), idOf(4)]);
    // Whoever is away with them is away, or as we have it.
    const kept = mergeRosters(ours, away(away(away(theirs, 2), 3), 4), 0);
    expect([2, 3, 4].map((n) => seatOf(kept, idOf(n))?.status)).toEqual(['away', 'present', 'present']);
    expect(kept.merged).toEqual([idOf(5)]);
    expect(mergeRosters(ours, away(list([6, 7]), 7), 0).merged).toEqual([idOf(6)]);
  });

  it('[ME16] is later than both, continues the winner’s terms alone, and says of nobody with a seat that it left', () => {
    const ours = removeSeat(list([1, 2]), idOf(2), 'timeout');
    const theirs = claimRoster(
      claimRoster(list([2, 3]), idOf(3), 0, () => true),
      idOf(2),
      2 ** 43,
      () => true,
    );
    const merged = mergeRosters(ours, changeRoster(theirs, {}, 50), 0);
    expect(merged.term).toBeGreaterThan(theirs.term);
    expect([merged.epoch, merged.departed]).toEqual([51, []]);
    expect(merged.lineage).toEqual([ours.term, merged.term]);
    // A part that split off and comes back is told that its own term is lost.
    const split = claimRoster(list([1, 2]), idOf(2), 0, () => true);
    const rejoined = mergeRosters(changeRoster(list([1, 2]), { lineage: [split.term, list([1]).term] }), split, 0);
    expect(rejoined.lineage).not.toContain(split.term);
  });

  it('[ME25] brings nobody in whom either part has thrown out', () => {
    const ours = removeSeat(list([1, 2]), idOf(2), 'kicked', true);
    expect(seatOf(mergeRosters(ours, list([3, 2]), 0), idOf(2))).toBeUndefined();
  });

  it('[ME60] gives the place of one who is away to nobody who is away, too', () => {
    const full = Array.from({ length: MAX_PEERS - 1 }, (_, n) => n + 1).reduce(
      (roster, n) => away(seatPeer(roster, newcomer(n)) as Roster, n),
      list([0], MAX_PEERS),
    );
    const merged = mergeRosters(full, away(list([50, 51]), 51), 0);
    expect(merged.seats).toHaveLength(MAX_PEERS);
    expect([50, 51].map((n) => seatOf(merged, idOf(n))?.status)).toEqual(['present', undefined]);
  });
});
