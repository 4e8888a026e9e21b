/**
 * What one member says of itself and of others, and when; and what its own stall, leave and detours mean: the others are played by the test.
 */
import { describe, expect, it } from 'vitest';
import { Beats } from '../sdk/mesh/beats.ts';
import { LinkState } from '../sdk/mesh/link-state.ts';
import { seatPeer, type Roster } from '../sdk/mesh/roster.ts';
import { MAX_DATAGRAM_MESSAGE_BYTES, MAX_PEERS } from '../sdk/wire/limits.ts';
import { Script, idOf, listOf, member, newcomer, follow, failed, passWith, lastList } from './mesh-script.ts';

describe('words', () => {
  it('[ME69] of changes that come close together leave ten milliseconds apart', () => {
    const { script } = member();
    script.pass(500);
    const said = (): boolean[] => script.saidTo(1, 'beat').map(({ words }) => words[0]!.eligible);
    const before = said().length;
    script.mesh.setEligible(script.now, false);
    script.mesh.handleTimeout(script.now);
    script.mesh.setEligible(script.now + 5, true);
    script.mesh.handleTimeout(script.now + 5);
    expect(said().slice(before)).toEqual([false]);
    expect(script.mesh.pollTimeout()).toBeLessThanOrEqual(script.now + 10);
    script.pass(10);
    expect(said().slice(before)).toEqual([false, true]);
    script.pass(80);
    // Twice more soon after.
    expect(said().slice(before)).toEqual([false, true, true, true]);
  });

  it('[ME44] that are too many for one packet are passed on in turns', () => {
    const { script } = member();
    const ids = Array.from({ length: 20 }, (_, n) => idOf(n + 60));
    const heard = LinkState.encodeHeard(Array.from({ length: MAX_PEERS }, (_, n) => idOf(n + 60)));
    script.links(9);
    const passed = new Set<string>();
    for (let turn = 0; turn < 20; turn++) {
      for (const id of ids) script.beats(2, { id, heard, seq: turn + 1 });
      script.beats(9);
      script.pass(100);
    }
    expect(Math.max(...script.endpoint.said.map(({ bytes }) => bytes))).toBeLessThanOrEqual(MAX_DATAGRAM_MESSAGE_BYTES);
    for (const beat of script.saidTo(9, 'beat')) for (const word of beat.words) passed.add(word.id);
    expect(ids.filter((id) => passed.has(id)).length).toBe(ids.length);
  });

  it('[ME44] of others are theirs only when they say them; ours have numbers that grow', () => {
    const { script, roster } = member();
    const { term, epoch } = roster;
    for (let i = 0; i < 40; i++) {
      script.beats(1, { host: true, term, epoch, hears: [2] });
      script.beats(2, { term, epoch, hears: [1] });
      script.beats(2, { id: idOf(1), instance: 1, left: true, term, epoch, seq: 1_000 + i });
      script.pass(100);
    }
    expect([script.mesh.roster().host, script.seatOf(1)?.status]).toEqual([idOf(1), 'present']);
    const numbers = script.saidTo(1, 'beat').map(({ words }) => words[0]!.seq);
    expect(numbers.length).toBeGreaterThan(30);
    expect(numbers.every((seq, i) => i === 0 || seq > numbers[i - 1]!)).toBe(true);
  });

  it('[ME6] that somebody hears only through us leave at once', () => {
    const { script, roster } = member();
    const { term, epoch } = roster;
    script.links(9);
    passWith(script, 300, 9, { term: 5, epoch: 1 });
    let before = script.saidTo(9, 'beat').length;
    while (script.saidTo(9, 'beat').length === before) script.pass(10);
    script.pass(30);
    before = script.saidTo(9, 'beat').length;
    script.beats(2, { term, epoch, hears: [1], eligible: false });
    script.pass(10);
    expect(
      script
        .saidTo(9, 'beat')
        .slice(before)
        .flatMap(({ words }) => words.map(({ id }) => id)),
    ).toContain(idOf(2));
  });

  it('[ME43] tell the time of so many', () => {
    const party = { linkState: { update: () => false } };
    const beats = new Beats(party as never, {} as never);
    for (let n = 0; n <= 2 * MAX_PEERS; n++) beats.handle(0, idOf(n), { type: 'beat', time: n, words: [] });
    expect([beats.timeOf(idOf(0)), beats.timeOf(idOf(2 * MAX_PEERS))]).toEqual([undefined, 2 * MAX_PEERS]);
  });
});

describe('our own process', () => {
  it('[ME13] that stood still does not hold the host for gone', () => {
    const { script } = member();
    const two = listOf(1, { ...newcomer(0), id: script.self, instance: script.instanceSaidTo(1) });
    follow(script, 1, { ...two, term: two.term + 2 ** 20 });
    passWith(script, 300, 1, { host: true, term: two.term + 2 ** 20, epoch: two.epoch });
    script.now += 5_000;
    script.mesh.handleTimeout(script.now);
    script.pass(200);
    expect(script.mesh.roster().host).toBe(idOf(1));
  });

  it('[ME4] that stood still has not searched for a seat meanwhile', () => {
    const script = new Script('join');
    script.pass(1_000);
    script.now += 20_000;
    script.mesh.handleTimeout(script.now);
    script.pass(5_000);
    expect(script.mesh.joinState.type).toBe('joining');
    script.pass(6_000);
    expect(script.mesh.joinState).toEqual({ type: 'failed', reason: 'unreachable' });
  });

  it('[ME1] calls who comes after it as members call each other, the lower id first', () => {
    const { script, roster } = member();
    const later = Array.from({ length: 50 }, (_, n) => n + 10).find((n) => idOf(n) < script.self)!;
    script.endpoint.calls.length = 0;
    const at = script.now;
    follow(script, 1, seatPeer(roster, newcomer(later)) as Roster);
    script.pass(2_000);
    expect(script.endpoint.calls[0]!.at - at).toBeGreaterThanOrEqual(400);
  });

  it('[SY50] is as far from the host’s time as it can be when it is the host', () => {
    const script = new Script('found');
    script.pass(200);
    expect(script.mesh.timeErrorMs(script.now)).toBeLessThan(0.1);
    expect(new Script('join').mesh.timeErrorMs(0)).toBe(Infinity);
  });

  it('[ME77] that leaves is no double’s any more', () => {
    const { script } = member();
    script.endpoint.queuedBytes = 1;
    script.mesh.leave(script.now);
    failed(script, 99, 'double');
    script.closes(1, 'replaced');
    script.pass(1_000);
    expect(script.mesh.joinState).toEqual({ type: 'left', reason: 'bye' });
  });

  it('[ME28] takes what comes on the mesh’s lanes for the mesh alone', () => {
    const { script } = member();
    const bytes = Uint8Array.of(1, 2, 3);
    script.told.length = 0;
    for (const lane of [5, 6]) script.happens({ type: 'message', link: script.linkOf(1), peer: idOf(1), channel: 'reliable', lane, bytes });
    expect([script.told.length, script.mesh.stats(0).drops['mesh-malformed']]).toEqual([1, 1]);
  });

  it('[ME17] tells over whom it speaks to somebody, and when it does so directly again', () => {
    const { script, roster } = member();
    const { term, epoch } = roster;
    const via = (): unknown => lastList(script).roster.peers.find(({ id }) => id === idOf(2))?.via;
    script.happens({ type: 'silent', link: script.linkOf(2), peer: idOf(2) });
    for (let i = 0; i < 10; i++) {
      script.beats(1, { host: true, term, epoch, hears: [2] });
      script.says(1, {
        type: 'beat',
        time: 0,
        words: [
          {
            id: idOf(2),
            instance: 2,
            seq: 9_000 + i,
            host: false,
            eligible: true,
            left: false,
            term,
            epoch,
            heard: LinkState.encodeHeard([idOf(1)]),
          },
        ],
      });
      script.pass(100);
    }
    expect(via()).toBe(idOf(1));
    script.happens({ type: 'moved', link: script.linkOf(2), peer: idOf(2), address: { host: '10.0.0.2', port: 2 } });
    expect(via()).toBeUndefined();
  });
});
