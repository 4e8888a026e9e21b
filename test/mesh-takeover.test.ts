/**
 * Taking over from a host that is gone, meeting other parts, doors and detours: one member, the others played by the test.
 */
import { describe, expect, it } from 'vitest';
import { LinkState } from '../sdk/mesh/link-state.ts';
import type { MeshMessage } from '../sdk/mesh/messages.ts';
import { claimRoster, nextEpoch, removeSeat, seatOf, seatPeer, type Roster } from '../sdk/mesh/roster.ts';
import { LONE_CLAIM_MS, MERGE_RETRY_MS, WRONG_CODE_PATIENCE_MS } from '../sdk/wire/limits.ts';
import { Script, idOf, listOf, member, newcomer, follow, failed, passWith, lastList } from './mesh-script.ts';

describe('a claim', () => {
  it('[ME7] names those that said goodbye as gone, of the process that has the seat', () => {
    const { script, roster } = member();
    const { term, epoch } = roster;
    script.beats(2, { left: true, instance: 77, term, epoch });
    script.says(1, { type: 'leave' });
    script.pass(LONE_CLAIM_MS + 2_000);
    expect(script.mesh.roster().host).toBe(script.self);
    expect(lastList(script).left).toEqual([{ id: idOf(1), slot: 0, reason: 'bye' }]);
    expect(script.seatOf(2)?.status).toBe('away');
    // It is away for nobody, not for a moment.
    const seats = script.told.flatMap((event) => (event.type === 'roster' ? event.roster.peers : []));
    expect(seats.filter(({ id, status }) => id === idOf(1) && status === 'away')).toEqual([]);
    const other = member();
    for (const n of [2, 1]) other.script.says(n, { type: 'leave' });
    other.script.pass(LONE_CLAIM_MS + 2_000);
    expect(other.script.mesh.roster().peers.map(({ id }) => id)).toEqual([other.script.self]);
  });

  it('[ME26] has those present that are in reach, as the process that has the seat', () => {
    for (const instance of [2, 77]) {
      const { script, roster } = member();
      const { term, epoch } = roster;
      script.closes(1, 'timeout');
      passWith(script, 2_000, 2, { term, epoch, instance, eligible: false });
      expect(script.mesh.roster().host).toBe(script.self);
      expect([instance, script.seatOf(2)?.status]).toEqual([instance, instance === 2 ? 'present' : 'away']);
      const first = script.told.find((event) => event.type === 'roster' && event.roster.host === script.self);
      const { peers } = (first as ReturnType<typeof lastList>).roster;
      expect(peers.find(({ id }) => id === idOf(2))?.status).toBe(script.seatOf(2)?.status);
    }
  });

  it('[ME8] says whether its host is hidden', () => {
    const { script } = member();
    script.mesh.setEligible(script.now, false);
    for (const n of [1, 2]) script.closes(n, 'timeout');
    script.pass(LONE_CLAIM_MS + 1_000);
    expect(script.mesh.roster()).toMatchObject({ host: script.self });
    expect(script.mesh.roster().peers.find(({ id }) => id === script.self)?.eligible).toBe(false);
  });

  it('[ME78] of one that watches, and had lost its seat, is for a seat that watches', () => {
    const { script, roster } = member({ spectate: true });
    follow(script, 1, removeSeat(roster, script.self, 'timeout'));
    for (const n of [1, 2]) script.closes(n, 'timeout');
    script.pass(LONE_CLAIM_MS + 1_000);
    expect(script.mesh.roster().peers.find(({ id }) => id === script.self)?.spectator).toBe(true);
  });

  it('[ME20] is ours to write in: nobody else’s list of our term counts', () => {
    const script = new Script('found');
    script.links(1);
    script.says(1, { type: 'join', join: { instance: 1, spectate: false, joinPort: 1, addresses: [], term: 0, time: 0 } });
    script.pass(50);
    const { roster } = script.saidTo(1, 'roster')[0]!;
    follow(script, 1, removeSeat(nextEpoch(roster, {}), idOf(1), 'bye'));
    expect(script.seatOf(1)).toBeDefined();
  });
});

describe('another part', () => {
  it('[ME15] whose host leads is asked again each 400 ms, not at every tick', () => {
    const script = new Script('found');
    script.links(1);
    const word = { host: true, term: 2 ** 44, epoch: 1, hears: [5] };
    script.links(5);
    script.beats(5, { term: 2 ** 44, epoch: 1, hears: [1] });
    passWith(script, 1_000, 1, word);
    const count = script.saidTo(1, 'propose').length;
    expect(count).toBeGreaterThan(1);
    expect(count).toBeLessThanOrEqual(1_000 / MERGE_RETRY_MS + 1);
  });

  it('[ME49] whose host’s link is silent is asked over the member on the way there', () => {
    const { script, roster } = member();
    script.closes(1, 'timeout');
    script.links(7);
    script.happens({ type: 'silent', link: script.linkOf(7), peer: idOf(7) });
    for (let i = 0; i < 10; i++) {
      script.beats(2, { term: roster.term, epoch: roster.epoch, hears: [7], eligible: false });
      script.beats(2, { id: idOf(7), instance: 7, host: true, term: roster.term + 2 ** 20, epoch: 1, heard: LinkState.encodeHeard([idOf(2)]) });
      script.pass(100);
    }
    expect([script.saidTo(7, 'join'), script.saidTo(2, 'join').length > 0]).toEqual([[], true]);
  });

  it('[ME77] whose host has another process’s seat with us is shown our list, with the request', () => {
    const { script, roster } = member();
    script.closes(2, 'timeout');
    script.closes(1, 'timeout');
    script.links(1);
    passWith(script, 500, 1, { host: true, instance: 77, term: roster.term + 2 ** 20, epoch: 1 });
    expect(script.saidTo(1, 'join').at(-1)?.join.term).toBe(roster.term);
    expect(seatOf(script.saidTo(1, 'roster').at(-1)!.roster, idOf(1))?.instance).toBe(1);
    // One that has its seat with us needs no list.
    const other = member();
    other.script.closes(1, 'timeout');
    passWith(other.script, 500, 2, { host: true, term: other.roster.term + 2 ** 20, epoch: 1 });
    expect(other.script.saidTo(2, 'join')).not.toEqual([]);
    expect(other.script.saidTo(2, 'roster')).toEqual([]);
  });

  it('[ME77] that we take in, and that has our seat as another process’s, has us call there; our own seat’s addresses do not', () => {
    const script = new Script('found');
    script.links(1);
    const double = { ...newcomer(0), id: script.self, instance: 99, addresses: [{ host: '10.0.0.77', port: 1 }] };
    script.says(1, { type: 'propose', roster: listOf(1, double), time: 1 });
    if (script.saidTo(1, 'decide').length > 0)
      script.says(1, { type: 'decide', roster: listOf(1, double), time: 1, term: script.mesh.roster().term });
    script.pass(50);
    expect(script.endpoint.calls.map(({ address }) => address.host)).toContain('10.0.0.77');
    const { script: other, roster, self } = member();
    follow(other, 1, seatPeer(roster, { ...self, addresses: [...self.addresses, { host: '10.9.9.9', port: 1 }] }) as Roster);
    other.pass(100);
    expect(other.endpoint.calls.map(({ address }) => address.host)).not.toContain('10.9.9.9');
    // Where a session of our key has taken a link, they may.
    other.closes(1, 'replaced');
    other.links(1);
    follow(other, 1, seatPeer(nextEpoch(roster, {}), { ...self, addresses: [{ host: '10.9.9.9', port: 1 }] }) as Roster);
    other.pass(100);
    expect(other.endpoint.calls.map(({ address }) => address.host)).toContain('10.9.9.9');
  });

  it('[ME77] that shows our seat as another process’s, in a list of any age, has us call there', () => {
    const { script, roster, self } = member();
    const theirs = seatPeer(listOf(1), { ...self, instance: 99, addresses: [{ host: '10.0.0.77', port: 1 }] }) as Roster;
    script.endpoint.calls.length = 0;
    follow(script, 1, { ...theirs, term: roster.term - 1, lineage: [] });
    script.pass(50);
    expect(script.endpoint.calls.map(({ address }) => address.host)).toEqual(['10.0.0.77']);
  });
});

describe('a double', () => {
  it('[ME77] is not made of links that we replaced ourselves', () => {
    for (const byPeer of [false, true]) {
      const { script } = member();
      for (let i = 0; i < 3 && script.mesh.joinState.type === 'joined'; i++) {
        failed(script, 99, 'double');
        script.closes(1, 'replaced', byPeer);
        if (script.mesh.joinState.type === 'joined') script.links(1);
        script.pass(7_000);
      }
      expect([byPeer, script.mesh.joinState.type]).toEqual([byPeer, byPeer ? 'left' : 'joined']);
    }
  });

  it('[ME77] takes our seat once, however often a list says so, until we have it again', () => {
    const { script, roster, self } = member();
    const { term } = roster;
    let theirs = seatPeer(roster, { ...self, instance: 99 }) as Roster;
    passWith(script, 11_000, 1, { host: true, term, epoch: roster.epoch, hears: [2] });
    for (let i = 0; i < 3; i++) {
      failed(script, 99, 'double');
      follow(script, 1, theirs);
      passWith(script, 7_000, 1, { host: true, term, epoch: theirs.epoch, hears: [2] });
      theirs = nextEpoch(theirs, {});
    }
    expect(script.mesh.joinState.type).toBe('joined');
    follow(script, 1, seatPeer(theirs, self) as Roster);
    failed(script, 99, 'double');
    follow(script, 1, seatPeer(nextEpoch(theirs, {}), { ...self, instance: 99 }) as Roster);
    expect(script.mesh.joinState).toEqual({ type: 'left', reason: 'copied' });
  });

  it('[ME77] that is all who answers ends the search for a seat', () => {
    const script = new Script('join');
    script.mesh.addCandidate(0, { host: '10.0.0.7', port: 1 });
    script.pass(50);
    failed(script, 1, 'double');
    expect(script.mesh.joinState).toEqual({ type: 'failed', reason: 'copied' });
  });
});

describe('the door', () => {
  it('[ME32] that does not take our code ends the search only when no other may, and after two seconds', () => {
    const search = (candidates: number): Script => {
      const script = new Script('join', { code: 'k7q2mx' });
      for (let n = 0; n < candidates; n++) script.mesh.addCandidate(0, { host: `10.0.0.${n + 1}`, port: 1 });
      script.pass(50);
      failed(script, 1, 'wrong-code');
      return script;
    };
    expect(search(1).mesh.joinState).toEqual({ type: 'failed', reason: 'wrong-code' });
    const two = search(2);
    two.pass(WRONG_CODE_PATIENCE_MS - 100);
    expect(two.mesh.joinState.type).toBe('joining');
    two.pass(300);
    expect(two.mesh.joinState).toEqual({ type: 'failed', reason: 'wrong-code' });
    const other = new Script('join');
    failed(other, 1, 'incompatible');
    expect(other.mesh.joinState).toEqual({ type: 'failed', reason: 'incompatible' });
  });

  it('[ME32] of another game ends the search only when nobody else may answer: anybody may say that it is found in our room', () => {
    const script = new Script('join');
    for (const host of ['10.0.0.1', '10.0.0.2']) script.mesh.addCandidate(0, { host, port: 1 });
    script.pass(50);
    failed(script, 1, 'incompatible');
    script.pass(100);
    expect(script.mesh.joinState.type).toBe('joining');
    script.links(1);
    script.pass(WRONG_CODE_PATIENCE_MS + 100);
    follow(script, 1, listOf(1, { id: script.self, instance: script.instanceSaidTo(1), spectator: false, addresses: [] }));
    expect(script.mesh.joinState.type).toBe('joined');
    const none = new Script('join');
    for (const host of ['10.0.0.1', '10.0.0.2']) none.mesh.addCandidate(0, { host, port: 1 });
    none.pass(50);
    failed(none, 1, 'incompatible');
    none.pass(WRONG_CODE_PATIENCE_MS + 200);
    expect(none.mesh.joinState).toEqual({ type: 'failed', reason: 'incompatible' });
  });

  it('[ME3] opens to members by the key of the list that we follow', () => {
    const { script, roster } = member({ code: 'k7q2mx' });
    const keys = [1, 2].map((n) => new Uint8Array(32).fill(n));
    follow(script, 1, nextEpoch(roster, {}), keys[0]);
    expect([...script.endpoint.roomKey!]).toEqual([...keys[0]!]);
    follow(script, 1, nextEpoch(nextEpoch(roster, {}), {}), keys[1]);
    expect([...script.endpoint.roomKey!]).toEqual([...keys[1]!]);
    script.endpoint.queuedBytes = 1;
    script.mesh.leave(script.now);
    const { doors } = script.endpoint;
    follow(
      script,
      1,
      claimRoster(seatPeer(roster, newcomer(5)) as Roster, idOf(2), 0, () => true),
    );
    expect(script.endpoint.doors).toBe(doors);
  });

  it('[ME2] of a full room ends every link, and nobody is told that the seat of this key is given up', () => {
    const script = new Script('join');
    for (const n of [1, 2]) script.links(n);
    script.says(1, { type: 'refuse', reason: 'room-full' });
    expect(script.mesh.joinState).toEqual({ type: 'failed', reason: 'room-full' });
    expect([script.endpoint.closed.map(({ reason }) => reason), script.endpoint.shuts]).toEqual([['refused', 'refused'], 1]);
  });

  it('[LK76] keeps places for members, and for anybody while we look for a seat', () => {
    const early = new Script('join');
    expect(early.asked.needs!(idOf(9))).toBe(true);
    const { script } = member();
    expect([1, 2, 9].map((n) => script.asked.needs!(idOf(n)))).toEqual([true, true, false]);
  });

  it('[LK3] is that of one game, version and schema', () => {
    const prologueOf = (game: { id: string; version: number; schemaHash: number }): string => String(new Script('join', { game }).asked.prologue);
    const game = { id: 'a', version: 1, schemaHash: 1 };
    const others = [
      { ...game, id: 'b' },
      { ...game, version: 2 },
      { ...game, schemaHash: 2 },
    ];
    expect(new Set([game, ...others].map(prologueOf)).size).toBe(4);
  });

  it('[ME71] at which we answered ourselves is tried again when our addresses have changed', () => {
    const { script } = member();
    script.mesh.addCandidate(script.now, { host: '10.0.0.7', port: 1 });
    script.pass(50);
    failed(script, script.endpoint.calls.length, 'self');
    script.pass(2_000);
    const before = script.endpoint.calls.length;
    script.mesh.setAddresses(script.now, [{ host: '10.0.0.8', port: 1 }]);
    script.pass(100);
    expect(script.endpoint.calls.length).toBe(before + 1);
  });

  it('[ME80] of who leaves is not left to call anybody', () => {
    const { script } = member();
    script.endpoint.queuedBytes = 1;
    script.mesh.leave(script.now);
    const before = script.endpoint.calls.length;
    script.mesh.addCandidate(script.now, { host: '10.0.0.7', port: 1 });
    script.pass(200);
    script.pass(1_000);
    script.mesh.addCandidate(script.now, { host: '10.0.0.8', port: 1 });
    script.pass(200);
    expect(script.endpoint.calls.length).toBe(before);
  });

  it('[ME2] refused once does not end the next link of the same peer', () => {
    const script = new Script('found', { max: 1 });
    script.links(5);
    const join = { instance: 5, spectate: false, joinPort: 1, addresses: [], term: 0, time: 0 };
    script.says(5, { type: 'join', join });
    script.closes(5, 'replaced');
    script.links(5);
    script.says(5, { type: 'join', join: { ...join, spectate: true } });
    script.pass(500);
    expect([script.endpoint.closed, script.seatOf(5)?.status]).toEqual([[], 'present']);
  });
});

describe('a detour', () => {
  const part = (from: number, to: number | undefined, script: Script): MeshMessage => ({
    type: 'relay',
    relay: {
      hops: 4,
      from: from === 0 ? script.self : idOf(from),
      to: to === undefined ? script.self : idOf(to),
      socket: 'session',
      id: 1,
      part: 0,
      parts: 1,
      bytes: Uint8Array.of(1),
    },
  });

  it('[ME29] goes to whom it is for, on by one step, never back and never over another detour', () => {
    const { script, roster } = member();
    script.says(1, part(2, undefined, script));
    expect(script.endpoint.heard.filter((host) => host.startsWith('~'))).toEqual([`~${idOf(2)}`]);
    // Nobody sends to itself.
    script.says(1, part(0, undefined, script));
    expect(script.endpoint.heard.filter((host) => host.startsWith('~'))).toHaveLength(1);
    script.says(1, part(1, 2, script));
    expect(script.saidTo(2, 'relay').map(({ relay }) => relay.hops)).toEqual([3]);
    script.says(2, part(1, 2, script));
    expect(script.saidTo(2, 'relay')).toHaveLength(1);
    const { term, epoch } = roster;
    script.happens({ type: 'moved', link: script.linkOf(2), peer: idOf(2), address: { host: `~${idOf(2)}`, port: 0 } });
    script.says(1, part(1, 2, script));
    expect([script.saidTo(2, 'relay').length, script.mesh.stats(0).drops['relay']]).toEqual([1, 2]);
    for (const n of [1, 2]) script.beats(n, { host: n === 1, term, epoch, hears: [3 - n] });
    script.pass(50);
    const before = script.saidTo(1, 'relay').length;
    script.says(1, part(1, 2, script));
    expect([script.saidTo(1, 'relay').length, script.saidTo(2, 'relay').length, script.mesh.stats(0).drops['relay']]).toEqual([before, 1, 3]);
  });
});
