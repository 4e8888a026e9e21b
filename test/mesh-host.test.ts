/**
 * What a host does with requests, goodbyes, proposals and its list, with the others played by the test.
 */
import { describe, expect, it } from 'vitest';
import { HostDuty } from '../sdk/mesh/host-duty.ts';
import { LinkState } from '../sdk/mesh/link-state.ts';
import type { JoinRequest, Word } from '../sdk/mesh/messages.ts';
import type { Party } from '../sdk/mesh/party.ts';
import { claimRoster, nextTerm, seatOf, seatPeer, updateSeat, type Roster } from '../sdk/mesh/roster.ts';
import { AWAY_HOLD_MS, DEFAULT_GRACE_MS, MERGE_SETTLE_MS, SEAT_SETTLE_MS } from '../sdk/wire/limits.ts';
import { Script, idOf, listOf, newcomer } from './mesh-script.ts';

const join = (n: number, more: Partial<JoinRequest> = {}): JoinRequest => ({
  instance: n,
  spectate: false,
  joinPort: 1,
  addresses: newcomer(n).addresses,
  term: 0,
  time: 0,
  ...more,
});

/** The list as the host last told peer `n`. */
const toldTo = (script: Script, n: number): Roster => script.saidTo(n, 'roster').at(-1)!.roster;

/** A host, and members that are linked, seated and follow. */
function host(members: readonly number[], more: ConstructorParameters<typeof Script>[1] = {}): Script {
  const script = new Script('found', more);
  for (const n of members) {
    script.links(n);
    script.says(n, { type: 'join', join: join(n) });
    script.pass(20);
  }
  follow(script, members);
  return script;
}

function follow(script: Script, members: readonly number[]): void {
  const { term, epoch } = script.mesh.roster();
  for (const n of members) script.beats(n, { term, epoch, hears: members.filter((other) => other !== n) });
  script.pass(20);
}

describe('a request for a seat', () => {
  it('[ME1] is answered with the list, each time; the address it came from is the first of its seat’s', () => {
    const script = new Script('found');
    script.links(5, '10.0.9.9');
    script.says(5, { type: 'join', join: join(5) });
    script.pass(20);
    expect(seatOf(toldTo(script, 5), idOf(5))?.addresses).toEqual([{ host: '10.0.9.9', port: 1 }, ...newcomer(5).addresses]);
    script.says(5, { type: 'join', join: join(5) });
    expect(script.saidTo(5, 'roster')).toHaveLength(2);
    // No socket that could be called, or only a detour: what it says itself.
    script.links(6, '10.0.9.8');
    script.says(6, { type: 'join', join: join(6, { joinPort: 0 }) });
    script.links(7, `~${idOf(7)}`);
    script.says(7, { type: 'join', join: join(7) });
    script.pass(20);
    for (const n of [6, 7]) expect(seatOf(toldTo(script, n), idOf(n))?.addresses).toEqual(newcomer(n).addresses);
  });

  it('[ME19] of one whose room time is ahead moves ours on', () => {
    const script = host([1]);
    const before = script.mesh.time(script.now);
    script.says(1, { type: 'join', join: join(1, { time: before + 5_000 }) });
    expect(script.mesh.time(script.now)).toBe(before + 5_000);
  });

  it('[ME24] of a stray of a later term is answered in one that is later still, and the list goes on', () => {
    const script = host([1]);
    const { term } = script.mesh.roster();
    const lineage = toldTo(script, 1).lineage;
    script.says(1, { type: 'join', join: join(1, { term: nextTerm(term, idOf(1), 1) }) });
    script.pass(20);
    expect(script.mesh.roster().term).toBeGreaterThan(nextTerm(term, idOf(1), 1));
    expect(toldTo(script, 1).lineage).toEqual([...lineage, script.mesh.roster().term]);
  });

  it('[ME11] of the next process of a seat gives it that seat; whoever is away is present again', () => {
    const script = host([1, 2]);
    script.says(2, { type: 'join', join: join(2, { instance: 77 }) });
    script.pass(20);
    expect(seatOf(toldTo(script, 1), idOf(2))).toMatchObject({ slot: 2, instance: 77 });
    script.closes(1, 'timeout');
    script.pass(3_000);
    expect(script.seatOf(1)?.status).toBe('away');
    script.links(1);
    script.says(1, { type: 'join', join: join(1) });
    expect(script.seatOf(1)?.status).toBe('present');
  });

  it('[ME74] that a member forwards waits until somebody hears its asker, and not for long', () => {
    const script = host([1, 2]);
    script.says(1, { type: 'forward', peer: idOf(5), join: join(5) });
    script.pass(50);
    expect(script.seatOf(5)).toBeUndefined();
    follow(script, [2]);
    const { term, epoch } = script.mesh.roster();
    script.beats(1, { term, epoch, hears: [2, 5] });
    script.pass(50);
    expect(script.seatOf(5)?.status).toBe('present');
    // The answer goes over who asked, once the list was told before.
    const before = script.saidTo(1, 'roster').length;
    script.says(1, { type: 'forward', peer: idOf(5), join: join(5) });
    expect(script.saidTo(1, 'roster')).toHaveLength(before + 1);
    // Nobody asks for our own seat.
    const { epoch: last } = script.mesh.roster();
    script.says(1, { type: 'forward', peer: script.self, join: join(9) });
    script.pass(50);
    expect(script.mesh.roster().epoch).toBe(last);
  });

  it('[ME61] that a member forwards takes no seat of a process that is heard, but that of one that is not', () => {
    const script = host([1, 2]);
    script.says(1, { type: 'forward', peer: idOf(2), join: join(2, { instance: 99 }) });
    script.pass(50);
    expect(seatOf(toldTo(script, 1), idOf(2))?.instance).toBe(2);
    // Its successor speaks, to who forwards for it: before the seat is away, and after.
    for (const [instance, afterMs] of [
      [98, 1_030],
      [99, 1_500],
    ] as const) {
      if (instance === 99) follow(script, [2]);
      script.closes(2, 'replaced');
      script.pass(afterMs);
      const { term, epoch } = script.mesh.roster();
      script.beats(1, { term, epoch, hears: [2] });
      script.says(1, { type: 'forward', peer: idOf(2), join: join(2, { instance }) });
      script.pass(50);
      expect(seatOf(toldTo(script, 1), idOf(2))?.instance).toBe(instance);
      script.links(2);
    }
  });

  it('[ME2] that has no place is refused where it came from, and its link ends', () => {
    const script = host([1], { max: 2 });
    script.links(5);
    script.says(5, { type: 'join', join: join(5) });
    expect(script.saidTo(5, 'refuse')).toEqual([{ type: 'refuse', reason: 'room-full' }]);
    const { term, epoch } = script.mesh.roster();
    script.beats(1, { term, epoch, hears: [6] });
    script.says(1, { type: 'forward', peer: idOf(6), join: join(6) });
    expect(script.saidTo(1, 'refused')).toEqual([{ type: 'refused', peer: idOf(6), reason: 'room-full' }]);
    script.pass(400);
    expect(script.endpoint.closed).toMatchObject([{ reason: 'refused' }]);
  });

  it('[ME7] of who comes while we leave is not answered', () => {
    const script = host([1]);
    script.endpoint.queuedBytes = 1;
    script.mesh.leave(script.now);
    script.endpoint.said.length = 0;
    const { epoch } = script.mesh.roster();
    script.says(1, { type: 'join', join: join(1, { instance: 9 }) });
    expect([script.saidTo(1, 'roster'), script.mesh.roster().epoch]).toEqual([[], epoch]);
    script.links(2);
    script.says(2, { type: 'propose', roster: listOf(2), time: 1 });
    expect(script.mesh.roster().epoch).toBe(epoch);
    script.pass(150);
    expect(script.saidTo(1, 'beat').at(-1)!.words[0]).toMatchObject({ host: false, left: true });
  });
});

describe('the list', () => {
  it('[ME20] is told to all at once when it changes, and not again', () => {
    const script = host([1, 2]);
    const before = [1, 2].map((n) => script.saidTo(n, 'roster').length);
    script.pass(2_000);
    follow(script, [1, 2]);
    script.mesh.setEligible(script.now, false);
    script.pass(10);
    expect([1, 2].map((n) => script.saidTo(n, 'roster').length)).toEqual(before.map((count) => count + 1));
    expect(seatOf(toldTo(script, 1), script.self)?.eligible).toBe(false);
    const own = script.saidTo(1, 'beat').at(-1)!.words[0]!;
    expect([own.host, own.eligible]).toEqual([true, false]);
  });

  it('[ME14] loses whom the host throws out, for good; nobody throws itself out, or who is not there', () => {
    const script = host([1, 2]);
    const kick = (id: ReturnType<typeof idOf>): boolean => script.mesh.kick(script.now, id);
    expect([kick(script.self), kick(idOf(9)), kick(idOf(2))]).toEqual([false, false, true]);
    expect(script.saidTo(2, 'refuse')).toEqual([{ type: 'refuse', reason: 'kicked' }]);
    script.pass(400);
    script.links(2);
    script.says(2, { type: 'join', join: join(2) });
    script.pass(50);
    expect([script.seatOf(2), script.mesh.roster().peers.length]).toEqual([undefined, 2]);
  });

  it('[ME7] that a host wrote just before it leaves is told', () => {
    const script = host([1, 2]);
    script.mesh.kick(script.now, idOf(2));
    script.mesh.leave(script.now);
    expect(toldTo(script, 1).banned).toEqual([idOf(2)]);
    expect(
      script.endpoint.said
        .filter(({ peer }) => peer === idOf(1))
        .map(({ message }) => message.type)
        .slice(-2),
    ).toEqual(['roster', 'leave']);
  });

  it('[ME79] has new addresses at once, our own and those of who says so', () => {
    const script = host([1]);
    script.mesh.setAddresses(script.now, [{ host: '10.0.0.201', port: 1 }]);
    script.says(1, { type: 'move', addresses: [{ host: '10.0.0.101', port: 1 }] });
    script.pass(50);
    const roster = toldTo(script, 1);
    expect([script.self, idOf(1)].map((id) => seatOf(roster, id)?.addresses[0]?.host)).toEqual(['10.0.0.201', '10.0.0.101']);
  });

  it('[ME7] loses at once who says goodbye, whoever heard it', () => {
    const script = host([1, 2, 3]);
    script.says(1, { type: 'leave' });
    script.closes(2, 'bye');
    expect([1, 2].map((n) => script.seatOf(n))).toEqual([undefined, undefined]);
    script.says(3, { type: 'beat', time: 0, words: [] });
    script.closes(3, 'bye', false);
    expect(script.seatOf(3)).toBeDefined();
  });
});

describe('another part of the room', () => {
  const theirs = (): Roster => listOf(1, newcomer(4));

  it('[ME15] is taken in when its host proposes it, once; later it is told our list', () => {
    const script = host([2, 3]);
    const roster = theirs();
    script.links(1);
    script.says(2, { type: 'propose', roster, time: 1 });
    script.says(1, { type: 'propose', roster: { ...roster, roomId: 'ee'.repeat(16) as never }, time: 1 });
    expect(script.seatOf(4)).toBeUndefined();
    script.says(1, { type: 'propose', roster: { ...roster, term: script.mesh.roster().term }, time: 1 });
    expect(script.seatOf(4)).toBeUndefined();
    const time = script.mesh.time(script.now) + 7_000;
    script.says(1, { type: 'propose', roster, time });
    expect([1, 4].map((n) => script.seatOf(n)?.status)).toEqual(['present', 'present']);
    expect(script.mesh.time(script.now)).toBe(time);
    expect(script.told.filter(({ type }) => type === 'merge')).toEqual([{ type: 'merge', lost: false, joined: [idOf(1), idOf(4)] }]);
    const version = script.mesh.roster().epoch;
    script.says(1, { type: 'propose', roster, time });
    expect([script.mesh.roster().epoch, script.saidTo(1, 'roster').length]).toEqual([version, 1]);
  });

  it('[ME15] that is the greater one is asked to take us in, and its decision counts for this term of ours alone', () => {
    const script = host([]);
    const roster = seatPeer(theirs(), newcomer(5)) as Roster;
    script.links(1);
    script.beats(1, { host: true, term: roster.term, epoch: 1, hears: [4, 5] });
    script.says(1, { type: 'propose', roster, time: 1 });
    const [decision] = script.saidTo(1, 'decide');
    expect([decision?.term, decision?.roster.host]).toEqual([roster.term, script.self]);
    const { term } = script.mesh.roster();
    script.says(1, { type: 'decide', roster, time: 1, term: term + 1 });
    expect(script.mesh.roster().term).toBe(term);
    script.says(1, { type: 'decide', roster: { ...roster, roomId: 'ee'.repeat(16) as never }, time: 1, term });
    expect(script.mesh.roster().term).toBe(term);
    script.says(1, { type: 'decide', roster, time: 1, term });
    expect([script.mesh.roster().term > term, script.seatOf(5)?.status]).toEqual([true, 'present']);
    // It refuses us: we asked.
    script.says(1, { type: 'refuse', reason: 'kicked' });
    expect(script.mesh.joinState).toEqual({ type: 'left', reason: 'kicked' });
  });

  it('[ME15] which of two takes the other in is the same for both: thrown out, followers, seats, id', () => {
    const linkState = new LinkState(idOf(0));
    const duty = new HostDuty({ self: idOf(0), instance: 0, linkState, options: {} } as unknown as Party);
    const [small, great] = [listOf(0), theirs()];
    expect([duty.yields(small, great, true), duty.yields(seatPeer(small, newcomer(7)) as Roster, listOf(1), true)]).toEqual([true, false]);
    for (const n of [1, 2]) expect(duty.yields(listOf(0), listOf(n), true)).toBe(idOf(n) < idOf(0));
    const says = (n: number, term: number): void => {
      linkState.update(
        0,
        { id: idOf(n), instance: n, seq: 1, host: false, eligible: true, left: false, term, epoch: 1, heard: LinkState.encodeHeard([idOf(0)]) },
        true,
      );
    };
    says(8, small.term);
    linkState.refresh(0, [idOf(8)]);
    expect(duty.yields(small, great, true)).toBe(false);
    says(1, great.term);
    says(4, great.term);
    says(5, great.term);
    linkState.refresh(0, [1, 4, 5, 8].map(idOf));
    expect(duty.yields(small, great, true)).toBe(true);
    expect(duty.yields(small, { ...great, banned: [idOf(0)] }, true)).toBe(true);
    expect(duty.yields({ ...small, banned: [idOf(1)] }, great, true)).toBe(false);
  });

  it('[ME43] is remembered as taken in among so many', () => {
    const duty = new HostDuty({ self: idOf(0) } as unknown as Party);
    const roster = theirs();
    const merged = duty.absorb(0, listOf(0), roster);
    for (let n = 0; n < 256; n++) duty.absorb(0, merged, { ...listOf(2), term: n });
    expect(duty.hasAbsorbed(merged, roster)).toBe(false);
  });

  it('[ME48] is not taken for one that was taken in before when its host has been started anew', () => {
    const duty = new HostDuty({ self: idOf(0) } as unknown as Party);
    const roster = theirs();
    const merged = duty.absorb(0, listOf(0), roster);
    expect(duty.hasAbsorbed(merged, roster)).toBe(true);
    expect(
      duty.hasAbsorbed(
        merged,
        claimRoster(roster, idOf(1), 0, () => true),
      ),
    ).toBe(false);
    expect(duty.hasAbsorbed(seatPeer(merged, { ...newcomer(1), instance: 9 }) as Roster, roster)).toBe(false);
  });
});

describe('a seat', () => {
  const watch = (options: { readonly graceMs?: number } = {}) => {
    const linkState = new LinkState(idOf(0));
    const duty = new HostDuty({ self: idOf(0), instance: 0, linkState, options } as unknown as Party);
    let seq = 0;
    const says = (now: number, more: Partial<Word> = {}, isInReach = true): void => {
      const heard = LinkState.encodeHeard([idOf(0)]);
      linkState.update(
        now,
        { id: idOf(1), instance: 1, seq: ++seq, host: false, eligible: true, left: false, term: 0, epoch: 1, heard, ...more },
        true,
      );
      linkState.refresh(now, isInReach ? [idOf(1)] : []);
    };
    return { duty, linkState, says };
  };
  const status = (roster: Roster): string | undefined => seatOf(roster, idOf(1))?.status;

  it('[ME10] is away after 150 ms out of reach in one go, and lost after the grace period', () => {
    for (const graceMs of [undefined, 500]) {
      const { duty, linkState, says } = watch(graceMs === undefined ? {} : { graceMs });
      let roster = listOf(0, newcomer(1));
      // Gaps do not add up.
      for (let now = 0; now < 1_000; now += 50) {
        if (now % 150 === 0) says(now);
        else linkState.refresh(now, []);
        roster = duty.tick(now, roster);
      }
      expect(status(roster)).toBe('present');
      says(1_000);
      roster = duty.tick(1_000, roster);
      linkState.refresh(1_010, []);
      for (const now of [1_010, 1_010 + AWAY_HOLD_MS - 1]) roster = duty.tick(now, roster);
      expect(status(roster)).toBe('present');
      const awayAt = 1_010 + AWAY_HOLD_MS;
      roster = duty.tick(awayAt, roster);
      expect(status(roster)).toBe('away');
      duty.excuse(1_000);
      roster = duty.tick(awayAt + 1_000 + (graceMs ?? DEFAULT_GRACE_MS) - 1, roster);
      expect(status(roster)).toBe('away');
      roster = duty.tick(awayAt + 1_000 + (graceMs ?? DEFAULT_GRACE_MS), roster);
      expect([status(roster), roster.departed]).toEqual([undefined, [{ id: idOf(1), slot: 1, reason: 'timeout' }]]);
    }
  });

  it('[ME10] is present again when its process is in reach and follows', () => {
    const { duty, says } = watch();
    const roster = updateSeat(listOf(0, newcomer(1)), idOf(1), { status: 'away' });
    says(0, { term: roster.term - 1 });
    expect(status(duty.tick(0, roster))).toBe('away');
    says(10, { term: roster.term, instance: 2 });
    expect(status(duty.tick(10, roster))).toBe('away');
    says(20, { term: roster.term }, false);
    expect(status(duty.tick(20, roster))).toBe('away');
    says(30, { term: roster.term });
    expect(status(duty.tick(30, roster))).toBe('present');
  });

  it('[ME39] is away for as long as the members saw, and anew after it was back', () => {
    const { duty } = watch({ graceMs: 1_000 });
    const present = listOf(0, newcomer(1));
    const gone = updateSeat(present, idOf(1), { status: 'away' });
    for (const [now, roster] of [
      [0, gone],
      [500, present],
      [600, gone],
      [900, gone],
    ] as const)
      duty.follow(now, roster);
    expect([status(duty.tick(1_500, gone)), status(duty.tick(1_600, gone))]).toEqual(['away', undefined]);
  });

  it('[ME10] has its whole grace period each time, however it came back', () => {
    const { duty, says } = watch({ graceMs: 1_000 });
    const present = listOf(0, newcomer(1));
    const gone = updateSeat(present, idOf(1), { status: 'away' });
    duty.tick(0, gone);
    says(500);
    duty.tick(500, duty.seat(500, gone, newcomer(1), 0) as Roster);
    expect(status(duty.tick(600, gone))).toBe('away');
    expect([status(duty.tick(1_500, gone)), status(duty.tick(1_600, gone))]).toEqual(['away', undefined]);
  });

  it('[ME7] is given up at the goodbye of its process, present or away, and not at its predecessor’s', () => {
    for (const away of [false, true]) {
      const { duty, says } = watch();
      let roster = listOf(0, newcomer(1));
      if (away) roster = updateSeat(roster, idOf(1), { status: 'away' });
      says(0, { left: true, instance: 7 });
      expect(status(duty.tick(0, roster))).toBe(away ? 'away' : 'present');
      says(10, { left: true });
      expect(duty.tick(10, roster).departed).toEqual([{ id: idOf(1), slot: 1, reason: 'bye' }]);
    }
  });

  it('[ME8] is as eligible as its process says; another process of its key does not keep it', () => {
    const { duty, says } = watch();
    let roster = listOf(0, newcomer(1));
    says(0, { eligible: false });
    roster = duty.tick(0, roster);
    expect(seatOf(roster, idOf(1))?.eligible).toBe(false);
    for (let now = 50; now < 400; now += 50) {
      says(now, { instance: 2 });
      roster = duty.tick(now, roster);
    }
    expect([status(roster), seatOf(roster, idOf(1))?.eligible]).toEqual(['away', false]);
  });

  it('[ME65] has its time to link once, and one that came with another part a second', () => {
    const { duty, linkState, says } = watch();
    let roster = duty.seat(0, listOf(0), newcomer(1), 0) as Roster;
    says(100);
    roster = duty.tick(100, roster);
    linkState.refresh(150, []);
    for (const now of [150, 150 + AWAY_HOLD_MS]) roster = duty.tick(now, roster);
    expect(status(roster)).toBe('away');
    const one = watch();
    let merged = one.duty.absorb(0, listOf(0), listOf(1));
    for (const now of [0, MERGE_SETTLE_MS - 1, MERGE_SETTLE_MS - 1 + AWAY_HOLD_MS]) merged = one.duty.tick(now, merged);
    expect(status(merged)).toBe('present');
    merged = one.duty.tick(SEAT_SETTLE_MS, merged);
    expect(status(merged)).toBe('away');
  });

  it('[ME43] of one that is not the host’s own is all that is watched', () => {
    const { duty, linkState } = watch();
    const roster = [1, 2, 3, 4].reduce((list, n) => duty.seat(0, list, newcomer(n), 0) as Roster, listOf(0));
    linkState.refresh(0, []);
    expect(seatOf(duty.tick(60_000, duty.tick(50_000, roster)), idOf(0))?.status).toBe('present');
  });
});
