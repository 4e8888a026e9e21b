/**
 * The roster as a value and the mesh's messages as bytes: what merging keeps, and what a decoder refuses.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PeerId, RoomId } from '../sdk/base/brand.ts';
import { toBase32, toHex } from '../sdk/base/bytes.ts';
import { createRng } from '../sdk/base/rng.ts';
import { Dialer } from '../sdk/mesh/dialer.ts';
import { LinkState } from '../sdk/mesh/link-state.ts';
import { decodeMessage, encodeMessage, type MeshMessage, type Word } from '../sdk/mesh/messages.ts';
import { decodeRoster, encodeRoster } from '../sdk/mesh/roster-codec.ts';
import {
  claimRoster,
  departures,
  foundRoster,
  mergeRosters,
  nextTerm,
  removeSeat,
  seatOf,
  seatPeer,
  updateSeat,
  type Roster,
} from '../sdk/mesh/roster.ts';
import { HostDuty } from '../sdk/mesh/host-duty.ts';
import type { Party } from '../sdk/mesh/party.ts';
import { Relay } from '../sdk/mesh/relay.ts';
import { RosterSpread } from '../sdk/mesh/roster-spread.ts';
import { RoomTime } from '../sdk/mesh/room-time.ts';
import { AWAY_HOLD_MS, BEAT_STALE_MS, DIAL_SILENT_ALONE_MS, DIAL_SILENT_MS, SEAT_SETTLE_MS, SILENT_MS } from '../sdk/wire/limits.ts';
import { expectSame } from './same.ts';

const id = (n: number): PeerId => toBase32(Uint8Array.from({ length: 10 }, (_, i) => (n * 37 + i * 11) & 0xff)) as PeerId;
const facts = { roomId: '00'.repeat(16) as RoomId, name: 'Friday', max: 16, locked: false };
const peer = (n: number) => ({ id: id(n), instance: n, spectator: false, addresses: [{ host: `10.0.0.${n + 1}`, port: 1_000 + n }] });

function rosterOf(...members: readonly number[]): Roster {
  let roster = foundRoster(facts, peer(members[0]!), 5);
  for (const n of members.slice(1)) roster = seatPeer(roster, peer(n)) as Roster;
  return roster;
}

describe('the roster', () => {
  it('[ME23] a term belongs to one host, and the next one is greater', () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 200 }),
        fc.nat({ max: 200 }),
        fc.integer({ min: 0, max: 2 ** 50 }),
        fc.nat({ max: 0xffff_ffff }),
        (a, b, after, instance) => {
          expect(nextTerm(after, id(a), instance)).toBeGreaterThan(after);
          if (a % 256 !== b % 256) expect(nextTerm(after, id(a), instance)).not.toBe(nextTerm(after, id(b), instance));
          expect(nextTerm(after, id(a), instance)).not.toBe(nextTerm(after, id(a), instance ^ 1));
        },
      ),
    );
  });

  it('[ME23] a host that was started anew in one part writes in no term of the other, where somebody was thrown out', () => {
    const before = rosterOf(1, 2, 3);
    const claimed = claimRoster(before, id(2), 0, () => true);
    const without = removeSeat(claimed, id(3), 'kicked', true);
    // The other part has not heard of that, and seats the next process of the same host, which loses its host at once.
    const other = seatPeer(before, { ...peer(2), instance: 77 }) as Roster;
    const again = claimRoster(other, id(2), 0, () => true);
    expect(Math.floor(again.term / 2 ** 20)).toBe(Math.floor(without.term / 2 ** 20));
    expect(again.term).not.toBe(without.term);
  });

  it('[ME65] who was given a seat has time to link, but not when it says itself that it does not hear the host', () => {
    /** ms after which the host calls the newcomer away; it says each 100 ms what it hears, or nothing. */
    const awayAfterMs = (says: 'nothing' | 'that it is deaf' | 'that it hears us', direct: boolean): number => {
      const linkState = new LinkState(id(1));
      const duty = new HostDuty({ self: id(1), instance: 1, linkState, options: {} } as unknown as Party);
      let roster = duty.seat(0, rosterOf(1), peer(2), 0) as Roster;
      for (let now = 0; now < 10_000; now += 50) {
        const heard = LinkState.encodeHeard(says === 'that it hears us' ? [id(1)] : []);
        const word = { id: id(2), instance: 2, seq: now, host: true, eligible: true, left: false, term: 9, epoch: 1, heard };
        if (now % 100 === 0 && says !== 'nothing') linkState.update(now, word, direct);
        // Nobody is connected to it both ways, as far as the host can see.
        linkState.refresh(now, []);
        roster = duty.tick(now, roster);
        if (seatOf(roster, id(2))?.status === 'away') return now;
      }
      return Infinity;
    };
    expect(awayAfterMs('nothing', true)).toBeGreaterThanOrEqual(SEAT_SETTLE_MS);
    expect(awayAfterMs('that it hears us', true)).toBeGreaterThanOrEqual(SEAT_SETTLE_MS);
    // Others say so: it may be linking to us meanwhile.
    expect(awayAfterMs('that it is deaf', false)).toBeGreaterThanOrEqual(SEAT_SETTLE_MS);
    expect(awayAfterMs('that it is deaf', true)).toBeLessThanOrEqual(AWAY_HOLD_MS + 100);
  });

  it('[ME66] a silent link is made anew sooner when discovery finds its peer at an address of its seat', () => {
    /** ms of silence after which the peer of the seat is called. */
    const calledAfterMs = (foundAt: number | undefined): number => {
      let calledAt = Infinity;
      let now = 10_000;
      const silentAt = now;
      const endpoint = { self: id(1), connect: () => (calledAt = Math.min(calledAt, now)) };
      const link = { peer: id(2), address: { host: '10.9.9.9', port: 1 }, direct: undefined, silent: true, silentAt, since: 0 };
      const dialer = new Dialer(endpoint as never, { get: () => link } as never, { route: () => undefined, reachable: () => [] } as never, undefined);
      const roster = rosterOf(1, 2);
      for (; now < silentAt + 10_000; now += 50) {
        if (now === silentAt + (foundAt ?? NaN)) dialer.addCandidate(now, peer(2).addresses[0]!);
        dialer.tick(now, roster, false);
      }
      return calledAt - silentAt;
    };
    expect(calledAfterMs(undefined)).toBeGreaterThan(DIAL_SILENT_ALONE_MS);
    for (const foundAt of [0, 500]) {
      expect(calledAfterMs(foundAt)).toBeGreaterThan(DIAL_SILENT_MS);
      expect(calledAfterMs(foundAt)).toBeLessThan(DIAL_SILENT_MS + 600);
    }
    expect(calledAfterMs(3_000)).toBeLessThan(3_600);
  });

  describe('[ME70] an address that was a linked peer’s, who is linked elsewhere now', () => {
    const THERE = { host: '10.0.7.7', port: 1 };
    /** What is called at `THERE` in a minute: times, and whether as a probe. Peer 2 had it; `answers` is who does now. */
    const callsOf = (given: {
      readonly seated: boolean;
      readonly linkedAt: string;
      readonly answers: number;
    }): readonly (readonly [at: number, probe: boolean])[] => {
      const calls: [number, boolean][] = [];
      const links = new Map([
        [id(2), { peer: id(2), address: { host: given.linkedAt, port: 2 }, direct: undefined, silent: false, silentAt: 0, since: 0 }],
      ]);
      let now = 0;
      const endpoint = {
        self: id(1),
        connect: (at: number, _address: unknown, _door: unknown, _expect: unknown, probe: boolean): number => calls.push([at, probe]) + 99,
      };
      const dialer = new Dialer(endpoint as never, links as never, { route: () => undefined, reachable: () => [] } as never, undefined);
      const base = rosterOf(1, 2);
      const roster = given.seated ? updateSeat(base, id(2), { addresses: [THERE] }) : base;
      dialer.onLinked(undefined, id(2), THERE);
      for (; now < 60_000; now += 50) {
        if (now % 500 === 0) dialer.addCandidate(now, THERE);
        dialer.tick(now, roster, false);
        const attempt = calls.length + 99;
        if (calls.at(-1)?.[0] !== now) continue;
        if (given.answers === 2) dialer.onFailed(now, attempt as never, 'linked', id(2));
        else {
          links.set(id(given.answers), { ...links.get(id(2))!, peer: id(given.answers), address: { host: THERE.host, port: 2 }, since: now });
          dialer.onLinked(attempt as never, id(given.answers), THERE);
        }
      }
      return calls;
    };

    it.each([true, false])('is asked who is there, though the list gives it to that peer: %s', (seated) => {
      const calls = callsOf({ seated, linkedAt: '10.0.0.2', answers: 3 });
      expect(calls[0]![0]).toBeGreaterThan(1_000);
      expect(calls[0]![0]).toBeLessThan(2_000);
      expect(calls[0]![1]).toBe(true);
      expect(calls).toHaveLength(1);
    });

    it('is asked three times a minute at most where that peer answers itself: it has two addresses', () => {
      for (const seated of [true, false]) expect(callsOf({ seated, linkedAt: '10.0.0.2', answers: 2 }).length).toBe(3);
    });

    it('is left alone where the link goes there', () => {
      for (const seated of [true, false]) expect(callsOf({ seated, linkedAt: THERE.host, answers: 2 })).toEqual([]);
    });
  });

  it('[ME71] an address where we answered ourselves is called again once ours have changed', () => {
    const THERE = { host: '10.0.7.7', port: 1 };
    const calls: number[] = [];
    const dialer = new Dialer(
      { self: id(1), connect: (now: number) => calls.push(now) } as never,
      { get: () => undefined } as never,
      { route: () => undefined, reachable: () => [] } as never,
      undefined,
    );
    dialer.addCandidate(0, THERE);
    dialer.tick(0, undefined, false);
    dialer.onFailed(5, 1 as never, 'self');
    const until = (end: number): void => {
      for (let now = 500; now < end; now += 500) {
        dialer.addCandidate(now, THERE);
        dialer.tick(now, undefined, false);
      }
    };
    until(20_000);
    expect(calls).toEqual([0]);
    dialer.onMoved();
    dialer.tick(20_000, undefined, false);
    expect(calls).toEqual([0, 20_000]);
  });

  it.each(['incompatible', 'self'] as const)(
    '[ME76] where somebody else answers at an address of a seat (%s), its next one is called at once',
    (reason) => {
      const calls: [at: number, host: string][] = [];
      const dialer = new Dialer(
        { self: id(1), connect: (now: number, address: { host: string }) => calls.push([now, address.host]) } as never,
        { get: () => undefined } as never,
        { route: () => undefined, reachable: () => [] } as never,
        undefined,
      );
      const addresses = ['10.0.0.7', '10.0.0.8'].map((host) => ({ host, port: 1 }));
      const roster = updateSeat(rosterOf(1, 2), id(2), { addresses });
      dialer.tick(0, roster, true);
      expect(calls).toEqual([[0, '10.0.0.7']]);
      dialer.onFailed(20, 1 as never, reason, reason === 'self' ? undefined : id(3));
      dialer.tick(50, roster, false);
      expect(calls.slice(1)).toEqual([[50, '10.0.0.8']]);
      // Where others answer at both, neither is called more often than anybody who is not there.
      dialer.onFailed(60, 2 as never, reason, reason === 'self' ? undefined : id(4));
      for (let now = 100; now <= 2_000; now += 50) dialer.tick(now, roster, false);
      expect(calls.length).toBeLessThan(5);
    },
  );

  it('[ME24] a merge keeps the winner’s slots, gives colliding seats free ones, and loses nobody', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.nat({ max: 40 }), { minLength: 1, maxLength: 14 }),
        fc.uniqueArray(fc.nat({ max: 40 }), { minLength: 1, maxLength: 14 }),
        (left, right) => {
          const [a, b] = [rosterOf(...left), rosterOf(...right)];
          const merged = mergeRosters(a, b, 0);
          expect(new Set(merged.seats.map((seat) => seat.slot)).size).toBe(merged.seats.length);
          expect(new Set(merged.seats.map((seat) => seat.id))).toEqual(new Set([...left, ...right].map(id)));
          for (const seat of a.seats) expect(seatOf(merged, seat.id)?.slot).toBe(seat.slot);
          expect(merged.term).toBeGreaterThan(Math.max(a.term, b.term));
          expect(merged.host).toBe(a.host);
          expect(merged.lineage).not.toContain(b.term === a.term ? -1 : b.term);
          expectSame(decodeRoster(encodeRoster(merged)), merged);
        },
      ),
    );
  });

  it('[ME60] where the seats of two parts are too many for one, who plays goes before who is away', () => {
    const partOf = (first: number, playing: number): Roster => {
      let roster = foundRoster({ ...facts, max: 32 }, peer(first), 5);
      for (let n = 1; n < 32; n++) roster = seatPeer(roster, peer(first + n)) as Roster;
      for (let n = playing; n < 32; n++) roster = updateSeat(roster, id(first + n), { status: 'away' });
      return roster;
    };
    const [a, b] = [partOf(0, 3), partOf(100, 5)];
    const merged = mergeRosters(a, b, 0);
    expect(merged.seats).toHaveLength(32);
    expect(new Set(merged.seats.map((seat) => seat.slot)).size).toBe(32);
    const playing = merged.seats.filter((seat) => seat.status === 'present').map((seat) => seat.id);
    expect(new Set(playing)).toEqual(new Set([0, 1, 2, 100, 101, 102, 103, 104].map(id)));
    for (const n of [0, 1, 2]) expect(seatOf(merged, id(n))?.slot).toBe(n);
    expect(merged.merged).toEqual([100, 101, 102, 103, 104].map(id));
    // Of those who are away some lose their seat, and no more than had to.
    expect(merged.seats.filter((seat) => seat.status === 'away')).toHaveLength(24);
  });

  it('[ME25] bans hold through merges and seats; departures carry their reason', () => {
    const banned = removeSeat(rosterOf(1, 2, 3), id(2), 'kicked', true);
    expect(seatPeer(banned, peer(2))).toBe('kicked');
    expect(seatOf(mergeRosters(rosterOf(7, 2), banned, 0), id(2))).toBeUndefined();
    expect(departures(rosterOf(7, 2), mergeRosters(rosterOf(7, 2), banned, 0))).toMatchObject([{ id: id(2), reason: 'kicked' }]);
    // The host that takes the other part in keeps its seat, whatever that part thinks of it.
    expect(seatOf(mergeRosters(rosterOf(2, 7), banned, 0), id(2))).toBeDefined();
    expect(departures(rosterOf(1, 2, 3), banned)).toEqual([{ id: id(2), slot: 1, reason: 'kicked' }]);
    const gone = removeSeat(rosterOf(1, 2), id(2), 'bye');
    expect(departures(rosterOf(1, 2), gone)[0]?.reason).toBe('bye');
    expect(seatPeer(gone, peer(9))).toMatchObject({ seats: [{ slot: 0 }, { slot: 1 }] });
  });

  it('[ME48] a part that was taken in, did not hear of it and lost its seats is taken in again', () => {
    const duty = new HostDuty({ self: id(1) } as unknown as Party);
    const theirs = rosterOf(7, 8);
    const merged = duty.absorb(0, rosterOf(1, 2), theirs);
    expect(duty.hasAbsorbed(merged, theirs)).toBe(true);
    const without = removeSeat(merged, id(7), 'timeout');
    expect(duty.hasAbsorbed(without, theirs)).toBe(false);
    expect(seatOf(duty.absorb(1, without, theirs), id(7))?.status).toBe('present');
    expect(duty.hasAbsorbed(updateSeat(merged, id(7), { status: 'away' }), theirs)).toBe(false);
  });

  it('[ME26] a claim keeps every seat and calls away whom the new host does not reach', () => {
    const before = rosterOf(1, 2, 3, 4);
    const after = claimRoster(before, id(2), 0, (seat) => seat.id === id(3));
    expect(after.seats.map((seat) => seat.status)).toEqual(['away', 'present', 'present', 'away']);
    expect(after.lineage).toEqual([before.term, after.term]);
    expect(updateSeat(after, id(3), { status: 'present' })).toBe(after);
  });
});

describe('words', () => {
  const word = (n: number): Word => ({
    id: id(n),
    instance: 1,
    seq: 1,
    host: false,
    eligible: true,
    left: false,
    term: 5,
    epoch: 1,
    heard: LinkState.encodeHeard([id(0)]),
  });

  it('[ME44] nobody speaks for a peer that speaks for itself, and no invented number silences it', () => {
    const state = new LinkState(id(0));
    expect(state.update(0, { ...word(1), seq: 5 }, true)).toBe(true);
    const forged = { ...word(1), seq: 4_000_000_000, host: true };
    state.update(100, forged, false);
    expect(state.word(id(1))?.host).toBe(false);
    state.update(SILENT_MS, forged, false);
    expect(state.word(id(1))?.host).toBe(true);
    expect(state.update(SILENT_MS + 1, { ...word(1), seq: 6 }, true)).toBe(true);
    expect(state.word(id(1))).toMatchObject({ host: false, seq: 6 });
    expect(state.update(SILENT_MS + 2, { ...word(1), seq: 5, eligible: false }, true)).toBe(false);
    // Of a peer that we do not hear, too, the forged word lasts no longer than it would take to go stale.
    state.update(0, word(2), false);
    state.update(1, { ...word(2), seq: 4_000_000_000, host: true }, false);
    state.update(BEAT_STALE_MS, { ...word(2), seq: 9 }, false);
    expect(state.word(id(2))?.host).toBe(true);
    state.update(BEAT_STALE_MS + 1, { ...word(2), seq: 10 }, false);
    expect(state.word(id(2))?.host).toBe(false);
  });

  it('[ME43] what members were sent is forgotten with them', () => {
    const sent: string[] = [];
    const spread = new RosterSpread({ send: (_now: number, peer: PeerId) => sent.push(peer) > 0 } as unknown as Party);
    for (let n = 1; n <= 500; n++) spread.send(n * 100, id(n % 250), rosterOf(1, n % 250), undefined);
    expect([sent.length, spread.size]).toEqual([500, 10]);
  });

  it('[ME43] members that are invented keep nobody out that speaks for itself', () => {
    const state = new LinkState(id(0));
    state.update(0, word(1), true);
    for (let n = 100; n < 200; n++) state.update(1, word(n), false);
    expect(state.update(2, word(2), true)).toBe(true);
    state.refresh(2, [id(1), id(2)]);
    expect([state.route(id(1))?.hops, state.route(id(2))?.hops]).toEqual([1, 1]);
    // Those that nobody repeats make room for what is passed on, too.
    expect(state.update(3, word(3), false)).toBe(false);
    expect(state.update(BEAT_STALE_MS + 3, word(3), false)).toBe(true);
    expect(state.word(id(3))).toBeDefined();
  });
});

describe('control messages', () => {
  const samples: readonly MeshMessage[] = [
    { type: 'join', join: { instance: 1, spectate: false, joinPort: 5, addresses: [{ host: 'fe80::1', port: 9 }], term: 2 ** 45 + 3, time: 12.5 } },
    { type: 'forward', peer: id(3), join: { instance: 1, spectate: true, joinPort: 0, addresses: [], term: 0, time: 0 } },
    { type: 'roster', roster: removeSeat(rosterOf(1, 2, 3), id(3), 'kicked', true), key: new Uint8Array(32).fill(4) },
    { type: 'refuse', reason: 'room-full' },
    { type: 'refused', peer: id(1), reason: 'kicked' },
    { type: 'leave' },
    { type: 'propose', roster: rosterOf(4, 5), time: 77 },
    { type: 'decide', roster: rosterOf(4, 5), time: 77, term: 99 },
    { type: 'move', addresses: [{ host: '10.1.2.3', port: 4 }] },
    {
      type: 'beat',
      time: -5.25,
      words: [{ id: id(1), instance: 7, seq: 8, host: true, eligible: true, left: false, term: 2 ** 40, epoch: 3, heard: new Uint8Array(10) }],
    },
    { type: 'relay', relay: { hops: 3, from: id(1), to: id(2), socket: 'session', id: 9, part: 0, parts: 2, bytes: new Uint8Array(700).fill(1) } },
  ];

  it('[ME27] come back equal from the wire', () => {
    for (const message of samples) {
      const decoded = decodeMessage(encodeMessage(message));
      expect(decoded?.type).toBe(message.type);
      expect(toHex(encodeMessage(decoded!))).toBe(toHex(encodeMessage(message)));
      if (message.type === 'propose' && decoded?.type === 'propose') expectSame(decoded.roster, message.roster);
    }
  });

  it('[ME28] mutated ones never throw and are refused or whole', () => {
    const rng = createRng(3);
    let refused = 0;
    for (let i = 0; i < 20_000; i++) {
      const bytes = encodeMessage(samples[rng.int(samples.length)]!).slice();
      for (let k = 1 + rng.int(4); k > 0; k--) bytes[rng.int(bytes.length)] = rng.int(256);
      const cut = rng.chance(0.2) ? bytes.subarray(0, rng.int(bytes.length)) : bytes;
      const message = decodeMessage(cut);
      if (message === undefined) refused++;
      else expectSame(decodeMessage(encodeMessage(message)), message);
    }
    expect(refused).toBeGreaterThan(1_000);
    const twins = encodeRoster({ ...rosterOf(1, 2), seats: [rosterOf(1).seats[0]!, rosterOf(1).seats[0]!] });
    expect(decodeRoster(twins)).toBeUndefined();
    expect(decodeRoster(encodeRoster({ ...rosterOf(1), host: id(9) }))).toBeUndefined();
    // A name has at most 32 bytes, not characters.
    expect(decodeRoster(encodeRoster({ ...rosterOf(1), name: '€'.repeat(10) + 'ab' }))).toBeDefined();
    expect(decodeRoster(encodeRoster({ ...rosterOf(1), name: '€'.repeat(11) }))).toBeUndefined();
    const resolved = encodeMessage({ type: 'move', addresses: [{ host: 'example.org', port: 4 }] });
    expect(decodeMessage(resolved)).toBeUndefined();
  });

  it('[ME29] a relayed datagram is whole when its last part came, in any order, and does not travel for ever', () => {
    const [from, to] = [new Relay(id(1)), new Relay(id(2))];
    const bytes = Uint8Array.from({ length: 1_400 }, (_, i) => i & 0xff);
    const parts = from.wrap(id(2), 'session', bytes);
    expect(parts).toHaveLength(2);
    expect(to.unwrap(parts[1]!)).toBeUndefined();
    expect(to.unwrap(parts[0]!)).toEqual({ from: id(1), socket: 'session', bytes });
    let part = parts[0];
    let steps = 0;
    while (part !== undefined) {
      part = from.forward(part);
      steps++;
    }
    expect(steps).toBeLessThanOrEqual(4);
  });
});

describe('room time', () => {
  it('[ME19] steps forward when far behind, else slews by at most half a percent, and never goes back', () => {
    const time = new RoomTime(1_000, 5_000);
    time.follow(1_000, 4_000, { offsetMs: 10, errorMs: 1, at: 1_000 });
    expect(time.time(1_000)).toBe(5_010);
    time.follow(2_000, 3_900, { offsetMs: 10, errorMs: 1, at: 2_000 });
    expect(time.time(2_000)).toBeCloseTo(6_005, 6);
    time.follow(2_100, 9_000, { offsetMs: 10, errorMs: 1, at: 2_100 });
    expect(time.time(2_100)).toBe(11_110);
    time.advanceTo(2_100, 2 ** 33);
    time.advanceTo(2_100, 20_000);
    expect(time.time(2_100)).toBe(20_000);
    time.follow(2_200, 0, { offsetMs: 0, errorMs: 1, at: 2_200 });
    expect(time.time(2_200)).toBeGreaterThanOrEqual(20_000);
  });
});
