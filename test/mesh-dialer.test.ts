/**
 * Who is called, where, how often, and how it proves that it may come in.
 */
import { describe, expect, it } from 'vitest';
import type { PeerId } from '../sdk/base/brand.ts';
import type { Address, ConnectFailure, DoorKey } from '../sdk/link/endpoint-types.ts';
import { Dialer } from '../sdk/mesh/dialer.ts';
import type { PeerLink } from '../sdk/mesh/links.ts';
import { updateSeat, type Roster } from '../sdk/mesh/roster.ts';
import {
  CANDIDATE_LOST_MS,
  CANDIDATE_RETRY_MAX_MS,
  CODE_LOCKOUT_MS,
  DIAL_RETRY_MAX_MS,
  DIAL_RETRY_MS,
  DIAL_SECOND_MS,
  DIAL_SILENT_ALONE_MS,
  DIAL_SILENT_MS,
  MAX_CANDIDATES,
  MAX_DIALS_PER_TARGET,
  WRONG_CODE_RETRY_MS,
} from '../sdk/wire/limits.ts';
import { idOf, listOf, newcomer } from './mesh-script.ts';

// By their ids, as the lower one calls first.
const [low, us, high] = [1, 2, 3].sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1)) as [number, number, number];
const THERE = { host: '10.0.7.7', port: 1 };

interface Call {
  readonly at: number;
  readonly host: string;
  readonly door: DoorKey;
  readonly expect: PeerId | undefined;
  readonly probe: boolean;
}

class Rig {
  readonly calls: Call[] = [];
  readonly links = new Map<PeerId, PeerLink>();
  readonly hops = new Map<PeerId, number>();
  hosts: PeerId[] = [];
  readonly dialer: Dialer;
  now = 0;
  roster: Roster | undefined;
  newcomer = false;

  constructor(code?: string) {
    const endpoint = {
      self: idOf(us),
      connect: (at: number, { host }: Address, door: DoorKey, expected: PeerId | undefined, probe: boolean): number =>
        this.calls.push({ at, host, door, expect: expected, probe }),
    };
    const linkState = {
      route: (id: PeerId) => (this.hops.has(id) ? { next: idOf(99), hops: this.hops.get(id)! } : undefined),
      reachable: () => this.hosts.map((id) => ({ word: { id, host: true } })),
    };
    this.dialer = new Dialer(endpoint as never, this.links as never, linkState as never, code);
  }

  link(n: number, more: Partial<PeerLink> = {}): void {
    const address = { host: `10.0.0.${n}`, port: 2 };
    this.links.set(idOf(n), { peer: idOf(n), address, direct: address, since: this.now, silent: false, silentAt: 0, ...more } as PeerLink);
  }

  pass(ms: number): void {
    for (const end = this.now + ms; this.now < end; this.now += 50) this.dialer.tick(this.now, this.roster, this.newcomer);
  }

  /** The call that was made as number `n` ends so. */
  fails(reason: ConnectFailure, found?: number, n = this.calls.length): void {
    this.dialer.onFailed(this.now, n as never, reason, found === undefined ? undefined : idOf(found));
  }

  get times(): number[] {
    return this.calls.map(({ at }) => at);
  }
}

/** Time that passes while nobody answers: each call ends after 5 s. */
function unanswered(rig: Rig, ms: number): void {
  const ended = new Set<number>();
  for (const end = rig.now + ms; rig.now < end;) {
    rig.pass(50);
    rig.calls.forEach(({ at }, i) => {
      if (rig.now - at < 5_000 || ended.has(i)) return;
      ended.add(i);
      rig.fails('timeout', undefined, i + 1);
    });
  }
}

const gaps = (times: readonly number[]): number[] => times.slice(1).map((at, i) => at - times[i]!);

describe('a candidate', () => {
  it('[ME4] is called at once, then less and less often, three calls at most at a time', () => {
    const rig = new Rig();
    rig.dialer.addCandidate(0, THERE);
    rig.pass(20_000);
    // None of them ended.
    expect(gaps(rig.times)).toEqual([DIAL_RETRY_MS, 2 * DIAL_RETRY_MS]);
    expect(rig.calls).toHaveLength(MAX_DIALS_PER_TARGET);
    const other = new Rig();
    other.dialer.addCandidate(0, THERE);
    unanswered(other, 60_000);
    expect(Math.max(...gaps(other.times))).toBe(CANDIDATE_RETRY_MAX_MS);
    expect(other.calls.length).toBeGreaterThan(8);
  });

  it('[ME68] that is found on and on is called each three seconds at least; one that was lost and is found again, at once', () => {
    const rig = new Rig();
    const found = (ms: number): void => {
      for (const end = rig.now + ms; rig.now < end;) {
        rig.dialer.addCandidate(rig.now, THERE);
        unanswered(rig, 500);
      }
    };
    found(60_000);
    expect(Math.max(...gaps(rig.times).slice(3))).toBeLessThanOrEqual(DIAL_RETRY_MAX_MS + 500);
    expect(Math.min(...gaps(rig.times).slice(5))).toBeGreaterThan(DIAL_RETRY_MS);
    unanswered(rig, 4 * CANDIDATE_RETRY_MAX_MS);
    while (rig.now - rig.times.at(-1)! < CANDIDATE_LOST_MS) unanswered(rig, 50);
    const before = rig.calls.length;
    found(500);
    expect(rig.calls.length).toBe(before + 1);
    found(500);
    expect(rig.calls.length).toBe(before + 1);
  });

  it('[ME67] on whose host somebody takes a link for alive is called at once, though no more than each 0.7 s', () => {
    const rig = new Rig();
    rig.dialer.addCandidate(0, THERE);
    unanswered(rig, 20_000);
    while (rig.now - rig.times.at(-1)! < 1_000) rig.pass(50);
    const before = rig.calls.length;
    expect([rig.dialer.onStray(rig.now, '10.0.7.8'), rig.dialer.onStray(rig.now, THERE.host)]).toEqual([false, true]);
    rig.pass(50);
    expect(rig.calls.length).toBe(before + 1);
    for (const end = rig.now + 600; rig.now < end;) {
      rig.dialer.onStray(rig.now, THERE.host);
      rig.pass(50);
    }
    expect(rig.calls.length).toBe(before + 1);
    rig.pass(200);
    expect(rig.calls.length).toBe(before + 2);
  });

  it('[ME43] is one of 64 that are remembered, and so are those of whom is known where they called from', () => {
    const rig = new Rig();
    for (let n = 0; n <= MAX_CANDIDATES; n++) rig.dialer.addCandidate(0, { host: `10.1.0.${n}`, port: 1 });
    rig.pass(50);
    expect([rig.calls.length, rig.calls[0]!.host]).toEqual([MAX_CANDIDATES, '10.1.0.1']);
    const doors = new Rig();
    for (let n = 0; n <= MAX_CANDIDATES; n++) {
      doors.link(n + 10);
      doors.dialer.onLinked(undefined, idOf(n + 10), { host: `10.1.0.${n}`, port: 1 });
    }
    for (const n of [0, 1]) doors.dialer.addCandidate(0, { host: `10.1.0.${n}`, port: 1 });
    doors.pass(50);
    expect(doors.calls.map(({ host }) => host)).toEqual(['10.1.0.0']);
  });

  it('[ME59] from which a linked peer called is not called, before it is found or after; a detour is no address', () => {
    for (const foundFirst of [false, true]) {
      const rig = new Rig();
      rig.link(9, { address: { host: THERE.host, port: 2 } });
      if (foundFirst) rig.dialer.addCandidate(0, THERE);
      rig.dialer.onLinked(undefined, idOf(9), THERE);
      rig.dialer.addCandidate(0, THERE);
      rig.pass(10_000);
      expect([foundFirst, rig.calls]).toEqual([foundFirst, []]);
      rig.links.get(idOf(9))!.silent = true;
      rig.pass(50);
      expect(rig.calls).toHaveLength(1);
    }
  });

  it('[ME32] that did not take our code is asked a quarter of a minute later, then after longer, and counts as hope no more', () => {
    const rig = new Rig('k7q2mx');
    rig.dialer.addCandidate(0, THERE);
    const refused = (ms: number): void => {
      for (const end = rig.now + ms; rig.now < end;) {
        const before = rig.calls.length;
        rig.pass(50);
        if (rig.calls.length > before) rig.fails('wrong-code');
        rig.dialer.addCandidate(rig.now, THERE);
        rig.dialer.onStray(rig.now, THERE.host);
      }
    };
    expect(rig.dialer.hasHope).toBe(true);
    refused(400_000);
    const waits = gaps(rig.times);
    expect(waits[0]).toBeGreaterThanOrEqual(WRONG_CODE_RETRY_MS);
    expect(waits[0]).toBeLessThan(WRONG_CODE_RETRY_MS + 200);
    expect(waits[1]).toBeGreaterThanOrEqual(2 * WRONG_CODE_RETRY_MS);
    expect(Math.max(...waits)).toBeLessThan(CODE_LOCKOUT_MS + 200);
    expect(rig.dialer.hasHope).toBe(false);
    // It takes the code after all: from then on it is called as if it always had.
    const last = rig.calls.length;
    rig.pass(CODE_LOCKOUT_MS);
    rig.dialer.onLinked(rig.calls.length as never, idOf(9), THERE);
    expect([rig.calls.length > last, rig.dialer.hasHope]).toEqual([true, true]);
    rig.pass(10_000);
    expect(rig.calls.length).toBeGreaterThan(last + 2);
  });

  it('[ME4] that answered, and is lost, is called as often as a new one', () => {
    const rig = new Rig();
    rig.dialer.addCandidate(0, THERE);
    unanswered(rig, 30_000);
    rig.dialer.onLinked(rig.calls.length as never, idOf(9), THERE);
    const before = rig.calls.length;
    unanswered(rig, 20_000);
    expect(gaps(rig.times.slice(before)).slice(0, 2)).toEqual([DIAL_RETRY_MS, 2 * DIAL_RETRY_MS]);
  });

  it('[ME77] where our own key answers is no hope, be it ourselves or a double', () => {
    for (const reason of ['self', 'double'] as const) {
      const rig = new Rig();
      rig.dialer.addCandidate(0, THERE);
      rig.pass(50);
      rig.fails(reason);
      expect([reason, rig.dialer.hasHope]).toEqual([reason, false]);
      rig.pass(5_000);
      // A double may give way: the two have to know of each other.
      expect(rig.calls.length > 1).toBe(reason === 'double');
    }
  });
});

describe('a seat', () => {
  const seated = (n: number, addresses = newcomer(n).addresses): Rig => {
    const rig = new Rig();
    rig.roster = updateSeat(listOf(us, newcomer(n)), idOf(n), { addresses });
    return rig;
  };

  it('[ME1] is called by the lower id at once, by the other half a second later, by a newcomer at once', () => {
    const firstAt = (n: number, isNew: boolean): number => {
      const rig = seated(n);
      rig.newcomer = isNew;
      rig.pass(1_000);
      return rig.times[0]!;
    };
    expect([firstAt(high, false), firstAt(low, false), firstAt(low, true)]).toEqual([0, DIAL_SECOND_MS, 0]);
  });

  it('[ME34] is called at each of its addresses in turn, and over others where it is in reach only so', () => {
    const addresses = ['10.0.0.7', '10.0.0.8'].map((host) => ({ host, port: 1 }));
    const rig = seated(high, addresses);
    unanswered(rig, 30_000);
    expect(rig.calls.slice(0, 4).map(({ host }) => host)).toEqual(['10.0.0.7', '10.0.0.8', '10.0.0.7', '10.0.0.8']);
    expect(Math.max(...gaps(rig.times))).toBeLessThanOrEqual(DIAL_RETRY_MAX_MS + 50);
    expect(rig.calls.every((call) => call.expect === idOf(high))).toBe(true);
    const many = seated(high, addresses);
    many.pass(20_000);
    expect(many.calls).toHaveLength(MAX_DIALS_PER_TARGET);
    const over = seated(high, addresses);
    over.hops.set(idOf(high), 2);
    unanswered(over, 10_000);
    expect(over.calls.slice(0, 4).map(({ host }) => host)).toEqual(['10.0.0.7', `~${idOf(high)}`, '10.0.0.7', `~${idOf(high)}`]);
    const nowhere = seated(high, []);
    unanswered(nowhere, 5_000);
    expect(nowhere.calls).toEqual([]);
    nowhere.hops.set(idOf(high), 2);
    unanswered(nowhere, 2_000);
    expect(nowhere.calls[0]?.host).toBe(`~${idOf(high)}`);
  });

  it('[ME18] that is linked over others is called at its own addresses after a while, and not over others again', () => {
    const rig = seated(high);
    rig.hops.set(idOf(high), 2);
    rig.link(high, { address: { host: `~${idOf(high)}`, port: 0 }, direct: undefined });
    unanswered(rig, 20_000);
    expect(rig.times[0]).toBeGreaterThan(DIAL_RETRY_MAX_MS);
    expect(new Set(rig.calls.map(({ host }) => host))).toEqual(new Set([newcomer(high).addresses[0]!.host]));
  });

  it('[ME66] whose link is silent is called after 1.5 s where it is in reach, else after six, and no more once it is heard', () => {
    const firstAt = (inReach: boolean): number => {
      const rig = seated(high);
      if (inReach) rig.hops.set(idOf(high), 1);
      rig.link(high, { silent: true, silentAt: 0 });
      rig.pass(10_000);
      return rig.times[0]!;
    };
    expect(firstAt(true)).toBeLessThan(DIAL_SILENT_MS + 100);
    expect(firstAt(true)).toBeGreaterThan(DIAL_SILENT_MS);
    expect(firstAt(false)).toBeGreaterThan(DIAL_SILENT_ALONE_MS);
    const rig = seated(high);
    rig.link(high, { silent: true });
    rig.pass(DIAL_SILENT_ALONE_MS + 200);
    rig.links.get(idOf(high))!.silent = false;
    rig.pass(20_000);
    expect(rig.calls).toHaveLength(1);
  });

  it('[ME67] is called at once where somebody takes a link for alive', () => {
    const rig = seated(high);
    unanswered(rig, 21_500);
    const before = rig.calls.length;
    expect(rig.dialer.onStray(rig.now, newcomer(high).addresses[0]!.host)).toBe(true);
    rig.pass(50);
    expect(rig.calls.length).toBe(before + 1);
  });

  it('[ME80] that is gone is called no more', () => {
    const rig = seated(high);
    rig.pass(100);
    rig.roster = listOf(us);
    rig.pass(20_000);
    expect(rig.calls).toHaveLength(1);
    const before = rig.calls.length;
    rig.roster = seated(high).roster;
    unanswered(rig, 20_000);
    // As one that is new.
    expect(gaps(rig.times.slice(before))[0]).toBe(DIAL_RETRY_MS);
    rig.roster = listOf(us);
    rig.pass(50);
    const again = rig.calls.length;
    rig.roster = seated(high).roster;
    unanswered(rig, 3_000);
    expect(gaps(rig.times.slice(again))[0]).toBe(DIAL_RETRY_MS);
  });

  it('[ME42] is called as a seat where it is found, until somebody else answers there', () => {
    const rig = seated(high);
    const [address] = newcomer(high).addresses;
    rig.dialer.addCandidate(0, address!);
    rig.pass(100);
    expect(rig.calls.map((call) => call.expect)).toEqual([idOf(high)]);
    rig.fails('incompatible', 9);
    rig.link(9);
    rig.pass(1_000);
    // Peer 9 is linked, at another address than that: it is asked, now and then, who is there.
    rig.links.delete(idOf(9));
    rig.pass(DIAL_RETRY_MS);
    expect(rig.calls.filter((call) => call.expect === undefined).length).toBeGreaterThan(0);
    // Once the list says it is somebody else's, that holds.
    rig.roster = updateSeat(rig.roster!, idOf(high), { addresses: [] });
    rig.pass(100);
    rig.roster = updateSeat(rig.roster, idOf(high), { addresses: [address!] });
    const before = rig.calls.length;
    unanswered(rig, 10_000);
    expect(rig.calls.slice(before).filter((call) => call.expect === undefined)).toEqual([]);
  });

  it('[ME70] that has two addresses, and answered at the other one, is called as a seat there, too', () => {
    const rig = seated(high);
    const [address] = newcomer(high).addresses;
    rig.link(high, { address: { host: THERE.host, port: 2 } });
    rig.dialer.addCandidate(0, address!);
    rig.pass(1_150);
    expect(rig.calls.map((call) => call.probe)).toEqual([true]);
    rig.fails('linked', high);
    rig.links.delete(idOf(high));
    unanswered(rig, 20_000);
    expect(rig.calls.slice(1).every((call) => call.expect === idOf(high))).toBe(true);
    expect(rig.calls.length).toBeGreaterThan(3);
  });

  it('[ME42] at whose address somebody else was found stays that one’s for whoever is found there, when the list changes, too', () => {
    const rig = seated(high);
    const [address] = newcomer(high).addresses;
    rig.link(high, { address: { host: THERE.host, port: 2 } });
    rig.link(9, { address: { host: address!.host, port: 2 } });
    rig.dialer.addCandidate(0, address!);
    rig.pass(1_150);
    rig.fails('linked', 9);
    rig.roster = listOf(us, newcomer(high));
    rig.links.delete(idOf(9));
    unanswered(rig, 5_000);
    expect(rig.calls.slice(1).length).toBeGreaterThan(0);
    expect(rig.calls.slice(1).every((call) => call.expect === undefined && !call.probe)).toBe(true);
    // Whoever was found in a call to the seat is known there as well, and left alone while linked.
    const other = seated(high);
    other.link(9, { address: { host: address!.host, port: 2 } });
    other.pass(50);
    other.fails('incompatible', 9);
    other.dialer.addCandidate(other.now, address!);
    unanswered(other, 5_000);
    expect(other.calls.filter((call) => call.expect === undefined)).toEqual([]);
  });

  it('[ME76] at whose addresses others answer is called no more often than one that is not there', () => {
    const addresses = ['10.0.0.7', '10.0.0.8'].map((host) => ({ host, port: 1 }));
    const rig = seated(high, addresses);
    for (let i = 0; i < 200; i++) {
      const before = rig.calls.length;
      rig.pass(50);
      if (rig.calls.length > before) rig.fails('incompatible', rig.calls.at(-1)!.host === '10.0.0.7' ? 8 : 9);
    }
    expect(rig.calls.filter((call) => call.expect !== undefined).length).toBeLessThan(9);
  });

  it('[ME42] is called as itself at an address where it answered', () => {
    const rig = seated(high);
    const [address] = newcomer(high).addresses;
    rig.dialer.addCandidate(0, THERE);
    rig.pass(50);
    const call = rig.calls.findIndex(({ host }) => host === THERE.host) + 1;
    rig.dialer.onLinked(call as never, idOf(high), THERE);
    rig.link(high, { address: { host: THERE.host, port: 2 } });
    rig.dialer.addCandidate(rig.now, address!);
    rig.calls.length = 0;
    rig.pass(900);
    expect(rig.calls).toEqual([]);
  });

  it('[ME73] of another part that only others reach is called by the host alone, and its neighbours are not', () => {
    for (const isHost of [true, false]) {
      const rig = new Rig();
      rig.roster = isHost ? listOf(us) : listOf(low, newcomer(us));
      rig.link(low);
      rig.hosts = [idOf(50), idOf(51), idOf(low)];
      rig.hops.set(idOf(50), 2).set(idOf(51), 1).set(idOf(low), 2);
      if (isHost) rig.roster = listOf(us, newcomer(low));
      rig.pass(1_000);
      expect([isHost, rig.calls.map((call) => call.expect)]).toEqual([isHost, isHost ? [idOf(50), idOf(50)].slice(0, rig.calls.length) : []]);
      if (isHost) expect(rig.calls.length).toBeGreaterThan(0);
    }
  });
});

describe('a locked room', () => {
  const modes = (rig: Rig): string[] => rig.calls.map(({ door }) => door.mode);

  it('[ME3] is entered by the code; its seats are called with the room’s key, now and then with the code', () => {
    const rig = new Rig('k7q2mx');
    rig.roster = listOf(us, newcomer(high));
    rig.dialer.addCandidate(0, THERE);
    rig.pass(50);
    expect(modes(rig)).toEqual(['code', 'code']);
    rig.dialer.hasRoomKey = true;
    unanswered(rig, 20_000);
    const seat = rig.calls.filter((call) => call.expect !== undefined).map(({ door }) => door.mode);
    expect(seat.slice(0, 6)).toEqual(['code', 'member', 'code', 'member', 'member', 'code']);
    expect(rig.calls.filter((call) => call.expect === undefined).every(({ door }) => door.mode === 'code' && door.code === 'k7q2mx')).toBe(true);
    // A host of another part is no member, and a refusal of a seat is not one of a candidate.
    const other = new Rig('k7q2mx');
    other.dialer.hasRoomKey = true;
    other.roster = listOf(us, newcomer(high));
    other.hosts = [idOf(50)];
    other.hops.set(idOf(50), 2);
    other.pass(600);
    expect(other.calls.map((call) => [call.expect, call.door.mode])).toEqual([
      [idOf(high), 'member'],
      [idOf(50), 'code'],
    ]);
    other.fails('wrong-code', undefined, 1);
    other.pass(1_500);
    expect(other.calls.filter((call) => call.expect === idOf(high)).length).toBeGreaterThan(1);
    const open = new Rig();
    open.roster = rig.roster;
    open.pass(50);
    expect(modes(open)).toEqual(['open']);
  });
});
