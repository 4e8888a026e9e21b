/**
 * What one member does, says and follows, with the others played by the test.
 */
import { describe, expect, it } from 'vitest';
import { RosterSpread } from '../sdk/mesh/roster-spread.ts';
import { changeRoster, claimRoster, mergeRosters, nextEpoch, removeSeat, seatPeer, updateSeat, type Roster } from '../sdk/mesh/roster.ts';
import { LinkState } from '../sdk/mesh/link-state.ts';
import type { Party } from '../sdk/mesh/party.ts';
import { encodeWho } from '../sdk/wire/datagram.ts';
import { LEAVE_LINGER_MS, MAX_DATAGRAM_MESSAGE_BYTES, MAX_MESSAGE_BYTES } from '../sdk/wire/limits.ts';
import { Script, idOf, listOf, member, newcomer, follow } from './mesh-script.ts';

const join = (n: number, instance = n) => ({ instance, spectate: false, joinPort: 1, addresses: newcomer(n).addresses, term: 0, time: 0 });
const versionOf = ({ mesh }: Script): readonly [number, number] => [mesh.roster().term, mesh.roster().epoch];

describe('addresses', () => {
  it('[ME79] of a process whose seat another one of its key has are not told as that seat’s', () => {
    const { script, roster, self } = member();
    const theirs = seatPeer(roster, { ...self, instance: 99, addresses: [{ host: '10.0.0.77', port: 1 }] }) as Roster;
    follow(script, 1, theirs);
    script.mesh.setAddresses(script.now, [{ host: '10.0.0.201', port: 1 }]);
    script.pass(100);
    expect(script.saidTo(1, 'move')).toEqual([]);
    follow(script, 1, seatPeer(theirs, self) as Roster);
    script.pass(100);
    expect(script.saidTo(1, 'move')).toEqual([{ type: 'move', addresses: [{ host: '10.0.0.201', port: 1 }] }]);
    // … until they are in the list, once a second.
    script.pass(2_900);
    expect(script.saidTo(1, 'move').length).toBe(3);
  });

  it('[ME77] at which another process has our seat are called, but not our own', () => {
    const { script, roster, self } = member();
    script.endpoint.calls.length = 0;
    const addresses = [...self.addresses, { host: '10.0.0.77', port: 1 }];
    follow(script, 1, seatPeer(roster, { ...self, instance: 99, addresses }) as Roster);
    script.pass(100);
    expect(script.endpoint.calls.map(({ address }) => address.host)).toEqual(['10.0.0.77']);
  });
});

describe('a list', () => {
  it('[ME20] of the same term is followed when it is newer, of a later one when this process has a seat there', () => {
    const { script, roster, self } = member();
    script.told.length = 0;
    follow(script, 2, changeRoster(roster, {}, roster.epoch));
    expect(script.told).toEqual([]);
    const newer = removeSeat(roster, self.id, 'timeout');
    follow(script, 2, newer);
    expect(versionOf(script)).toEqual([newer.term, newer.epoch]);
    const later = claimRoster(newer, idOf(2), 0, () => true);
    follow(script, 2, later);
    expect(versionOf(script)).toEqual([newer.term, newer.epoch]);
    follow(script, 2, seatPeer(later, { ...self, instance: 99 }) as Roster);
    expect(versionOf(script)).toEqual([newer.term, newer.epoch]);
    const seated = seatPeer(later, self) as Roster;
    follow(script, 2, updateSeat(seated, self.id, { status: 'away' }));
    expect(versionOf(script)).toEqual([newer.term, newer.epoch]);
    follow(script, 2, seated);
    expect(versionOf(script)).toEqual([seated.term, seated.epoch]);
    follow(script, 2, roster);
    expect(versionOf(script)).toEqual([seated.term, seated.epoch]);
  });

  it('[ME20] of another room is nobody’s', () => {
    const { script, roster } = member();
    follow(script, 1, { ...nextEpoch(roster, {}), roomId: 'ff'.repeat(16) as never });
    expect(versionOf(script)).toEqual([roster.term, roster.epoch]);
  });

  it('[ME14] that throws us out ends our part, unless it is another part’s', () => {
    const { script, roster, self } = member();
    const other = claimRoster(removeSeat(roster, self.id, 'kicked', true), idOf(2), 0, () => true);
    follow(script, 2, changeRoster(other, { lineage: [other.term] }));
    expect(script.mesh.joinState.type).toBe('joined');
    follow(script, 1, removeSeat(roster, self.id, 'kicked', true));
    expect(script.mesh.joinState).toEqual({ type: 'left', reason: 'kicked' });
    expect(script.told.at(-1)).toEqual({ type: 'closed', reason: 'kicked' });
    expect(script.endpoint.shuts).toBe(1);
  });

  it('[ME14] that throws somebody out is told to whom it was, and ends that link 300 ms later', () => {
    const { script, roster } = member();
    const kicked = removeSeat(roster, idOf(2), 'kicked', true);
    follow(script, 1, kicked);
    follow(script, 1, nextEpoch(kicked, {}));
    expect(script.saidTo(2, 'refuse')).toEqual([{ type: 'refuse', reason: 'kicked' }]);
    script.pass(200);
    follow(script, 1, nextEpoch(nextEpoch(kicked, {}), {}));
    expect([script.saidTo(2, 'refuse').length, script.endpoint.closed]).toEqual([1, []]);
    script.pass(200);
    expect(script.endpoint.closed.map(({ reason }) => reason)).toEqual(['refused']);
    expect(script.told.flatMap((event) => (event.type === 'roster' ? event.left : []))).toEqual([{ id: idOf(2), slot: 1, reason: 'kicked' }]);
    // It comes again: that link ends as well.
    script.links(2);
    script.pass(400);
    expect(script.endpoint.closed).toHaveLength(2);
  });

  it('[ME16] that took us in, or others, tells who came, and whether what our host decided is lost', () => {
    const merges = (script: Script) => script.told.filter((event) => event.type === 'merge');
    const one = member();
    const winner = mergeRosters(one.roster, listOf(7, newcomer(8)), 0);
    follow(one.script, 1, winner);
    expect(merges(one.script)).toEqual([{ type: 'merge', lost: false, joined: [idOf(7), idOf(8)] }]);
    const two = member();
    follow(two.script, 1, mergeRosters(listOf(7, newcomer(8)), two.roster, 0));
    expect(merges(two.script)).toEqual([{ type: 'merge', lost: true, joined: [idOf(7), idOf(8)] }]);
    const three = member();
    follow(
      three.script,
      1,
      claimRoster(three.roster, idOf(2), 0, () => true),
    );
    expect(merges(three.script)).toEqual([]);
  });
});

describe('who asks a member for a seat', () => {
  const asked = (instance = 5) => {
    const made = member();
    made.script.links(5);
    made.script.says(5, { type: 'join', join: join(5, instance) });
    return made;
  };

  it('[ME1] is asked for at the host, and told when the list has it: that very process, also when we had the list before', () => {
    const { script, roster } = asked();
    expect(script.saidTo(1, 'forward')).toMatchObject([{ peer: idOf(5), join: { instance: 5 } }]);
    const older = seatPeer(roster, { ...newcomer(5), instance: 4 }) as Roster;
    follow(script, 1, older);
    expect(script.saidTo(5, 'roster')).toEqual([]);
    const seated = seatPeer(older, newcomer(5)) as Roster;
    follow(script, 1, seated);
    expect(script.saidTo(5, 'roster')).toHaveLength(1);
    follow(script, 1, nextEpoch(seated, {}));
    expect(script.saidTo(5, 'roster')).toHaveLength(1);
    script.says(5, { type: 'join', join: join(5) });
    follow(script, 1, nextEpoch(seated, {}));
    expect(script.saidTo(5, 'roster')).toHaveLength(2);
  });

  it('[ME2] is told that there is none, once', () => {
    const { script } = asked();
    for (let i = 0; i < 2; i++) script.says(1, { type: 'refused', peer: idOf(5), reason: 'room-full' });
    script.says(1, { type: 'refused', peer: idOf(2), reason: 'room-full' });
    expect([script.saidTo(5, 'refuse'), script.saidTo(2, 'refuse')]).toEqual([[{ type: 'refuse', reason: 'room-full' }], []]);
  });

  it('[ME64] is not passed on to a host that is itself who asks, nor to one that is gone', () => {
    const { script } = member();
    script.says(1, { type: 'join', join: join(1, 99) });
    expect(script.saidTo(1, 'forward')).toEqual([]);
    script.links(5);
    script.says(5, { type: 'join', join: join(5) });
    expect(script.saidTo(1, 'forward')).toEqual([]);
  });

  it('[ME75] and gives up is passed on as gone; who has spoken since is not taken for the one that asked before', () => {
    const { script } = asked();
    script.says(5, { type: 'leave' });
    script.pass(50);
    const words = script.saidTo(1, 'beat').flatMap((beat) => beat.words.filter((word) => word.id === idOf(5)));
    expect(words[0]).toMatchObject({ instance: 5, left: true });
    // One whose successor spoke to others since: that one is not gone.
    const old = member();
    old.script.links(5);
    old.script.beats(5);
    for (let i = 0; i < 15; i++) {
      const { term, epoch } = old.roster;
      for (const n of [1, 2]) old.script.beats(n, { host: n === 1, term, epoch, hears: [3 - n] });
      old.script.beats(2, { id: idOf(5), instance: 6 });
      old.script.pass(100);
    }
    old.script.says(5, { type: 'leave' });
    old.script.pass(200);
    const kept = old.script.saidTo(1, 'beat').flatMap((beat) => beat.words.filter((word) => word.id === idOf(5)));
    expect(kept.at(-1)).toMatchObject({ instance: 6, left: false });
    // One with a seat, that never spoke.
    const mute = member();
    mute.script.links(5);
    follow(mute.script, 1, seatPeer(mute.roster, newcomer(5)) as Roster);
    mute.script.says(5, { type: 'leave' });
    mute.script.pass(50);
    const passed = mute.script.saidTo(1, 'beat').flatMap((beat) => beat.words.filter((word) => word.id === idOf(5)));
    expect(passed.at(-1)).toMatchObject({ instance: 5, left: true });
    // The next process of the same key came another way.
    const late = asked(5);
    const seated = seatPeer(late.roster, { ...newcomer(5), instance: 6 }) as Roster;
    follow(late.script, 1, seated);
    late.script.pass(20);
    late.script.beats(5, { instance: 6, term: seated.term, epoch: seated.epoch });
    late.script.pass(500);
    late.script.says(5, { type: 'leave' });
    late.script.pass(50);
    const said = late.script.saidTo(1, 'beat').flatMap((beat) => beat.words.filter((word) => word.id === idOf(5)));
    expect(said.at(-1)).toMatchObject({ instance: 6, left: true });
  });
});

describe('a refusal', () => {
  it('[ME2] ends our part when the host says it, or a host that we asked, and nobody else', () => {
    const { script } = member();
    script.says(2, { type: 'refuse', reason: 'kicked' });
    expect(script.mesh.joinState.type).toBe('joined');
    script.says(1, { type: 'refuse', reason: 'room-full' });
    expect(script.mesh.joinState).toEqual({ type: 'left', reason: 'timeout' });
    expect(script.endpoint.closed.map(({ reason }) => reason)).toEqual(['refused', 'refused']);
  });

  it('[ME40] of a host that we asked to take us in ends it as well', () => {
    const { script, roster } = member();
    script.closes(1, 'timeout');
    script.beats(2, { host: true, term: claimRoster(roster, idOf(2), 0, () => true).term, epoch: 9 });
    script.pass(500);
    expect(script.saidTo(2, 'join').at(-1)?.join.term).toBe(roster.term);
    script.says(2, { type: 'refuse', reason: 'kicked' });
    expect(script.mesh.joinState).toEqual({ type: 'left', reason: 'kicked' });
  });

  it('[ME19] of a host to come is asked without a time while ours is our own machine’s alone', () => {
    const { script, roster } = member({ wallClockMs: 86_400_000 });
    script.closes(1, 'timeout');
    script.beats(2, { host: true, term: claimRoster(roster, idOf(2), 0, () => true).term, epoch: 9 });
    script.pass(500);
    expect(script.saidTo(2, 'join').map(({ join }) => [join.term, join.time])).toEqual([[roster.term, 0]]);
  });

  it('[ME14] of a host that we asked once and that is host no more ends nothing: only the host removes a peer', () => {
    const { script, roster } = member();
    script.closes(1, 'timeout');
    const theirs = claimRoster(roster, idOf(2), 0, () => true);
    script.beats(2, { host: true, term: theirs.term, epoch: 9 });
    script.pass(500);
    expect(script.saidTo(2, 'join')).toHaveLength(1);
    follow(script, 2, theirs);
    script.links(1);
    follow(
      script,
      1,
      claimRoster(theirs, idOf(1), 0, () => true),
    );
    expect(script.mesh.roster().host).toBe(idOf(1));
    script.says(2, { type: 'refuse', reason: 'kicked' });
    expect(script.mesh.joinState.type).toBe('joined');
  });
});

describe('leaving', () => {
  it('[ME7] tells all, waits for what is queued but 400 ms at most, and then says goodbye on every link', () => {
    for (const queued of [false, true]) {
      const { script } = member();
      script.endpoint.queuedBytes = queued ? 10 : 0;
      script.mesh.leave(script.now);
      script.mesh.leave(script.now);
      expect([1, 2].map((n) => script.saidTo(n, 'leave').length)).toEqual([1, 1]);
      expect([script.mesh.send(script.now, idOf(1), 'reliable', new Uint8Array(1)), script.endpoint.shuts > 0]).toEqual([false, true]);
      script.pass(LEAVE_LINGER_MS - 20);
      expect(script.mesh.joinState.type).toBe(queued ? 'joined' : 'left');
      if (queued) expect(script.saidTo(1, 'beat').at(-1)?.words[0]).toMatchObject({ left: true, host: false });
      script.pass(100);
      expect(script.endpoint.closed.map(({ reason }) => reason)).toEqual(['bye', 'bye']);
      expect(script.told.at(-1)).toEqual({ type: 'closed', reason: 'bye' });
      const doors = script.endpoint.doors;
      script.links(9);
      expect([script.endpoint.closed.at(-1)?.reason, script.endpoint.doors]).toEqual(['refused', doors]);
    }
  });

  it('[ME7] does not wait for a link that is silent', () => {
    const { script } = member();
    script.endpoint.queuedBytes = 10;
    for (const n of [1, 2]) script.happens({ type: 'silent', link: script.linkOf(n), peer: idOf(n) });
    script.mesh.leave(script.now);
    script.pass(100);
    expect(script.mesh.joinState.type).toBe('left');
  });

  it('[ME75] before there is a seat says goodbye, and so does who gave up asking', () => {
    const early = new Script('join');
    early.links(1);
    early.mesh.leave(early.now);
    expect(early.endpoint.closed.map(({ reason }) => reason)).toEqual(['bye']);
    const late = new Script('join');
    late.links(1);
    late.pass(11_000);
    expect(late.mesh.joinState).toEqual({ type: 'failed', reason: 'unreachable' });
    expect([late.endpoint.closed.map(({ reason }) => reason), late.endpoint.shuts]).toEqual([['bye'], 1]);
  });
});

describe('a message of the game', () => {
  it('[ME45] goes to who is present alone, within the bounds, and waits where there is no link', () => {
    const { script, roster } = member();
    const size = (bytes: number, channel: 'reliable' | 'unreliable', n = 1): boolean =>
      script.mesh.send(script.now, idOf(n), channel, new Uint8Array(bytes));
    expect([size(MAX_MESSAGE_BYTES, 'reliable'), size(MAX_MESSAGE_BYTES + 1, 'reliable')]).toEqual([true, false]);
    expect([size(MAX_DATAGRAM_MESSAGE_BYTES, 'unreliable'), size(MAX_DATAGRAM_MESSAGE_BYTES + 1, 'unreliable')]).toEqual([true, false]);
    const more = seatPeer(roster, newcomer(5)) as Roster;
    follow(script, 1, more);
    const [sent, body] = [[] as number[], Uint8Array.of(1)];
    expect([script.mesh.send(script.now, idOf(5), 'reliable', body), size(1, 'unreliable', 5)]).toEqual([true, false]);
    body[0] = 9;
    script.links(5);
    // What comes later does not overtake it.
    expect(script.mesh.send(script.now, idOf(5), 'reliable', Uint8Array.of(2))).toBe(true);
    script.endpoint.send = (_now, _link, _channel, bytes, lane): boolean => lane === 7 || sent.push(bytes[0]!) > 0;
    script.beats(5, { term: more.term, epoch: more.epoch });
    expect(sent).toEqual([1, 2]);
    follow(script, 1, updateSeat(more, idOf(2), { status: 'away' }));
    expect([size(1, 'reliable', 2), size(1, 'unreliable', 2), size(1, 'reliable', 7)]).toEqual([false, false, false]);
    expect(script.mesh.send(script.now, script.self, 'reliable', body)).toBe(false);
  });
});

describe('the room’s facts', () => {
  it('[ME22] name players, and where others that are present answer; who has no seat yet says nothing', () => {
    const { script, roster } = member();
    const watcher = seatPeer(roster, { ...newcomer(5), spectator: true }) as Roster;
    follow(script, 1, updateSeat(watcher, idOf(2), { status: 'away' }));
    expect(script.mesh.facts(0)).toMatchObject({ players: 3, members: [{ host: '10.0.0.1' }, { host: '10.0.0.5' }] });
    const early = new Script('join');
    const who = encodeWho({ nonce: new Uint8Array(8), roomTag: undefined, gameId: undefined }).slice();
    for (const one of [early, script]) one.mesh.handleDatagram(one.now, 'join', '10.0.0.9', 1, who);
    expect([early.mesh.waiting, script.mesh.waiting]).toEqual([false, true]);
  });
});

describe('who gets the list', () => {
  it('[ME20] are those that say they hold an older one and would follow ours, after a moment, and not at every tick', () => {
    const { roster } = member();
    const state = new LinkState(idOf(200));
    const sent: [number, number][] = [];
    let now = 1_000;
    const party = {
      self: idOf(200),
      linkState: state,
      links: { all: () => [1, 2, 3, 4, 5].map((n) => ({ peer: idOf(n) })) },
      send: (at: number, peer: string) => sent.push([at, [1, 2, 3, 4, 5].findIndex((n) => idOf(n) === peer) + 1]) > 0,
      hurry: () => undefined,
    } as unknown as Party;
    const list = seatPeer(seatPeer(nextEpoch(roster, {}), newcomer(3)) as Roster, newcomer(4)) as Roster;
    const spread = new RosterSpread(party);
    const heard = new Uint8Array(0);
    const word = (n: number, more: object) =>
      state.update(
        now,
        { id: idOf(n), instance: n, seq: now, host: false, eligible: true, left: false, term: list.term, epoch: list.epoch, heard, ...more },
        true,
      );
    word(1, {});
    word(2, { epoch: roster.epoch });
    word(3, { term: list.term - 1, instance: 99 });
    word(4, { term: list.term - 1, epoch: 99 });
    word(5, { term: list.term - 1 });
    spread.onAdopted(now);
    // A member publishes nothing by itself.
    spread.publish(now, list, undefined);
    for (; now < 4_000; now += 50) spread.tick(now, list, undefined);
    expect(sent.filter(([at]) => at < 1_150)).toEqual([]);
    expect(sent.map(([, n]) => n).sort()).toEqual([2, 2, 2, 4, 4, 4]);
    const few = new RosterSpread(party);
    for (const [at, n] of [
      [0, 1],
      [10, 2],
      [1_005, 1],
      [1_020, 3],
    ] as const)
      few.send(at, idOf(n), list, undefined);
    expect(few.size).toBe(2);
    sent.length = 0;
    const newer = nextEpoch(list, {});
    for (const end = now + 200; now < end; now += 50) spread.tick(now, newer, undefined);
    expect(sent.map(([, n]) => n).sort()).toEqual([1, 2, 4]);
  });
});
