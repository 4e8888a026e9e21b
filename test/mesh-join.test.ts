/**
 * Asking for a seat: who answers, who refuses, who founds. Every scenario runs in a world of its own.
 */
import { describe, expect, it } from 'vitest';
import type { LinkId } from '../sdk/link/endpoint-types.ts';
import { encodeMessage } from '../sdk/mesh/messages.ts';
import { encodeHello } from '../sdk/wire/datagram.ts';
import { MAX_LANES } from '../sdk/wire/limits.ts';
import { roomTagOf } from './accept/parts/insider.ts';
import { agree, hostIndex, room, rosterOf, slotOf, together } from './mesh-rig.ts';

describe('joining', () => {
  it('[ME1] one reachable member is enough: the newcomer gets a slot and links to all', () => {
    const made = room({ peers: 5, discovery: false });
    made.world.start(0, 'found');
    for (let i = 1; i < 5; i++) {
      const peer = made.world.start(i, 'join');
      peer.mesh!.addCandidate(peer.clock(made.world.now), made.world.peer(i - 1).address);
      made.world.drain(peer);
      expect(agree(made, 3_000)).toBeLessThan(1_000);
    }
    made.world.run(1_000);
    expect(rosterOf(made.world, 4).peers.map((peer) => peer.slot)).toEqual([0, 1, 2, 3, 4]);
    for (const peer of made.world.peers) expect(peer.mesh!.stats(0).peers.size).toBe(4);
    expect(made.agreement.violations).toEqual([]);
  });

  it('[ME2] a full room refuses, spectators come on top', () => {
    const made = room({ peers: 4, max: 2 });
    made.world.start(0, 'found');
    made.world.start(1, 'join');
    expect(agree(made, 3_000)).toBeLessThan(1_000);
    made.world.start(2, 'join');
    made.world.start(3, 'join', { spectate: true });
    made.world.run(2_000);
    expect(made.world.peer(2).mesh!.joinState).toEqual({ type: 'failed', reason: 'room-full' });
    expect(made.world.peer(3).mesh!.joinState.type).toBe('joined');
    expect(rosterOf(made.world, 0).peers.map((peer) => peer.spectator)).toEqual([false, false, true]);
  });

  it('[ME3] a locked room admits by its code, and links members by the room key', () => {
    const made = room({ peers: 5, code: 'k7q2mx' });
    made.world.start(0, 'found');
    for (let i = 1; i < 4; i++) made.world.start(i, 'join');
    made.world.start(4, 'join', { code: 'wrong1' });
    made.world.run(6_000);
    expect(made.world.peer(4).mesh!.joinState).toEqual({ type: 'failed', reason: 'wrong-code' });
    expect(agree(made, 1_000)).toBe(0);
    expect(rosterOf(made.world, 3).peers).toHaveLength(4);
    expect(rosterOf(made.world, 3).locked).toBe(true);
  });

  it('[ME32] founders of one name with different codes are two rooms, and each code leads into its own', () => {
    const codes = ['k7q2mx', 'p3w9dz'];
    const made = room({ peers: 8 });
    for (let i = 0; i < 2; i++) made.world.start(i, 'found', { code: codes[i]! });
    made.world.run(1_000);
    for (let i = 2; i < 8; i++) {
      // The room of the other code answers first, so long that it has refused our code already.
      for (let own = i % 2; own < i; own += 2) made.world.cut(own, i);
      const peer = made.world.start(i, 'join', { code: codes[i % 2]! });
      for (let other = 0; other < i; other++) peer.mesh!.addCandidate(peer.clock(made.world.now), made.world.peer(other).address);
      made.world.drain(peer);
      made.world.run(2_500);
      made.world.mend();
      made.world.run(20_000);
    }
    for (const rest of [0, 1]) {
      const own = made.world.peers.filter((peer) => peer.index % 2 === rest);
      for (const peer of own) expect(peer.mesh!.joinState.type).toBe('joined');
      expect(agree(made, 1_000, own)).toBe(0);
      expect(rosterOf(made.world, rest).peers).toHaveLength(4);
    }
    expect(made.agreement.violations).toEqual([]);
  });

  it('[ME61] what a member forwards late of a process that has been started anew since takes no seat from the new one', () => {
    const made = room({ peers: 3 });
    const { world } = made;
    for (let i = 0; i < 3; i++) world.start(i, i === 0 ? 'found' : 'join');
    expect(agree(made, 3_000)).toBeLessThan(1_000);
    world.run(1_000);
    const [member, late] = [world.peer(1), world.peer(2).mesh!.self];
    const join = { instance: 77, spectate: false, joinPort: 1, addresses: [], term: 0, time: 0 };
    const forward = encodeMessage({ type: 'forward', peer: late, join });
    for (let link = 1; link <= 4; link++) member.endpoint!.send(member.clock(world.now), link as LinkId, 'reliable', forward, MAX_LANES - 1);
    member.endpoint!.flush(member.clock(world.now));
    world.drain(member);
    // A seat given to a process that is not there would be called away.
    const away = world.runUntil(() => rosterOf(world, 0).peers.some((peer) => peer.status !== 'present'), 5_000, 10);
    expect(away).toBeUndefined();
    expect(agree(made, 1_000)).toBe(0);
  });

  it('[ME74] a request that lay with a member while its asker went seats nobody', () => {
    const made = room({ peers: 3 });
    const { world } = made;
    world.start(0, 'found');
    world.start(1, 'join');
    expect(agree(made, 3_000)).toBeLessThan(1_000);
    world.run(1_000);
    world.cut(0, 2);
    const late = world.start(2, 'join').mesh!.self;
    // What the newcomer asks for is under way to the member, which cannot pass it on for now.
    expect(world.runUntil(() => world.peer(1).endpoint!.load.links === 2, 1_000, 1)).toBeDefined();
    world.cut(0, 1);
    world.run(20);
    world.crash(2);
    world.run(1_000);
    world.mend();
    let seen = false;
    world.watchers.push({ onEvent: (_now, _peer, event) => (seen ||= event.type === 'roster' && event.roster.peers.some((one) => one.id === late)) });
    world.run(6_000);
    expect(seen).toBe(false);
    expect(agree(made, 1_000)).toBe(0);
    // Whoever is there is seated over the member as before.
    world.cut(0, 2);
    world.start(2, 'join');
    expect(world.runUntil(() => rosterOf(world, 0).peers.length === 3, 2_000, 10)).toBeLessThan(700);
    expect(agree(made, 2_000)).toBeLessThan(1_000);
    expect(made.agreement.violations).toEqual([]);
  });

  it('[ME75] who gives up while it asks for a seat has none, at any moment, be it asked for over a member', () => {
    for (const overMember of [false, true]) {
      for (let afterMs = 20; afterMs < 90; afterMs += 3) {
        const made = room({ peers: 3, network: { delayMs: 5 }, discovery: false });
        const { world } = made;
        world.start(0, 'found');
        world.start(1, 'join');
        const candidate = (index: number, at: number): void => {
          const peer = world.peer(index);
          peer.mesh!.addCandidate(peer.clock(world.now), world.peer(at).address);
          world.drain(peer);
        };
        candidate(1, 0);
        expect(agree(made, 3_000)).toBeLessThan(1_000);
        world.run(500);
        if (overMember) world.cut(0, 2);
        const late = world.start(2, 'join').mesh!.self;
        candidate(2, overMember ? 1 : 0);
        world.run(afterMs);
        world.leave(2);
        world.run(500);
        world.crash(2);
        for (const index of [0, 1]) expect(rosterOf(world, index).peers.map((one) => one.id)).not.toContain(late);
        expect(agree(made, 100)).toBe(0);
      }
    }
  });

  it('[ME63] who finds another process of its own in its seat asks for it back, and is not called away', () => {
    const made = room({ peers: 3 });
    const { world } = made;
    world.start(0, 'found');
    world.start(1, 'join');
    expect(agree(made, 3_000)).toBeLessThan(1_000);
    // The host cannot hear the newcomer itself, and has had no word of it when the old request comes.
    world.cut(0, 2);
    const late = world.start(2, 'join').mesh!.self;
    expect(world.runUntil(() => rosterOf(world, 0).peers.length === 3, 3_000, 1)).toBeDefined();
    const member = world.peer(1);
    const join = { instance: 77, spectate: false, joinPort: 1, addresses: [], term: 0, time: 0 };
    const forward = encodeMessage({ type: 'forward', peer: late, join });
    for (let link = 1; link <= 4; link++) member.endpoint!.send(member.clock(world.now), link as LinkId, 'reliable', forward, MAX_LANES - 1);
    member.endpoint!.flush(member.clock(world.now));
    world.drain(member);
    const away = world.runUntil(() => rosterOf(world, 0).peers.some((peer) => peer.status !== 'present'), 10_000, 10);
    expect(away).toBeUndefined();
    expect(agree(made, 1_000)).toBe(0);
  });

  it('[ME78] who is started anew to play, or to watch, does that, with the seat it had', () => {
    const made = room({ peers: 4, max: 2 });
    const { world } = made;
    const roles = (): string =>
      rosterOf(world, 0)
        .peers.map((peer) => `${peer.slot}${peer.spectator ? 'watches' : 'plays'}`)
        .join(' ');
    const again = (index: number, spectate: boolean): void => {
      world.crash(index);
      world.run(1_000);
      world.start(index, 'join', { spectate });
      world.run(1_000);
    };
    world.start(0, 'found');
    world.start(1, 'join');
    world.start(2, 'join', { spectate: true });
    expect(agree(made, 3_000)).toBeLessThan(1_000);
    const seats = roles();
    const slots = [1, 2].map((index) => slotOf(world, 0, index)!);
    // There is no place to play: the seat of who watched is kept as it was.
    again(2, false);
    expect(world.peer(2).mesh!.joinState).toMatchObject({ type: 'failed', reason: 'room-full' });
    expect(roles()).toBe(seats);
    again(1, true);
    again(2, false);
    expect(agree(made, 1_000)).toBe(0);
    expect([1, 2].map((index) => slotOf(world, 0, index)!)).toEqual(slots);
    expect(roles()).toBe(`0plays ${slots[0]! < slots[1]! ? '1watches 2plays' : '1plays 2watches'}`);
  });

  it('[RO31] who has left a room, or was thrown out, lets nobody in: another process of its key may be on the way', () => {
    for (const how of ['leave', 'kick'] as const) {
      const { world } = together({ peers: 3 });
      const peer = world.peer(2);
      const mesh = peer.mesh!;
      const asked = (): number => {
        const now = peer.clock(world.now);
        mesh.handleDatagram(
          now,
          'join',
          '10.9.9.9',
          777,
          encodeHello({ nonce: new Uint8Array(8), roomTag: roomTagOf(world.crypto, world.roomId) }).slice(),
        );
        let answers = 0;
        for (let out = mesh.pollTransmit(now); out !== undefined; out = mesh.pollTransmit(now)) if (out.host === '10.9.9.9') answers++;
        return answers;
      };
      expect(asked()).toBe(1);
      const host = world.peer(hostIndex(world, 2));
      expect(host).not.toBe(peer);
      if (how === 'leave') world.leave(2);
      else {
        host.mesh!.kick(host.clock(world.now), mesh.self);
        world.drain(host);
      }
      if (how === 'leave') expect(asked()).toBe(0);
      world.run(200);
      expect([how, mesh.joinState.type, asked()]).toEqual([how, 'left', 0]);
    }
  });

  it('[ME77] of two processes with one key one gives way soon, the one that came later, and nothing changes hands any more', () => {
    const cases = { member: [5, 3], host: [5, 0], 'one of two': [3, 1], 'host of two': [3, 0] } as const;
    for (const [name, [peers, original]] of Object.entries(cases)) {
      for (let seed = 1; seed <= 2; seed++) {
        const made = room({ peers, seed });
        const { world, events } = made;
        const copy = peers - 1;
        world.peer(copy).identity = world.peer(original).identity;
        world.start(0, 'found');
        for (let i = 1; i < copy; i++) world.start(i, 'join');
        world.run(15_000);
        world.start(copy, 'join');
        world.run(15_000);
        const closed = events.flatMap(({ peer, event }) => (event.type === 'closed' ? [[peer, event.reason]] : []));
        expect([name, seed, closed]).toEqual([name, seed, [[copy, 'copied']]]);
        const live = world.peers.filter((peer) => peer.index !== copy);
        expect(agree(made, 1_000, live)).toBeLessThan(1_000);
        events.length = 0;
        world.run(6_000);
        expect(events.filter(({ event }) => event.type === 'reset' || event.type === 'roster')).toEqual([]);
      }
    }
  });

  it('[ME77] of two with one key who find nobody else, and came at once, one is told, or both, and they meet as two', () => {
    for (let seed = 1; seed <= 8; seed++) {
      const made = room({ peers: 2, seed });
      const { world, events } = made;
      world.peer(1).identity = world.peer(0).identity;
      for (const index of [0, 1]) world.start(index, 'found');
      world.run(3_000);
      const told = events.flatMap(({ peer, event }) => (event.type === 'closed' ? [[peer, event.reason] as const] : []));
      expect(new Set(told.map(([, reason]) => reason))).toEqual(new Set(['copied']));
      // Who was not told has nobody any more who would take anything from it.
      world.run(30_000);
      expect(events.filter(({ event }) => event.type === 'closed')).toHaveLength(told.length);
      for (const [index] of told) world.start(index, 'found', { newIdentity: true });
      expect(agree(made, 3_000)).toBeLessThan(2_000);
      expect(rosterOf(world, 0).peers).toHaveLength(2);
    }
  });

  it('[ME77] two with one key and one other player, whom both know by an address alone, are soon one less', () => {
    for (let seed = 1; seed <= 6; seed++) {
      const made = room({ peers: 3, seed, discovery: false });
      const { world, events } = made;
      world.peer(2).identity = world.peer(1).identity;
      world.start(0, 'found');
      for (const index of [1, 2]) {
        const peer = world.start(index, 'join');
        peer.mesh!.addCandidate(peer.clock(world.now), world.peer(0).address);
        world.drain(peer);
        world.run(20_000);
      }
      const told = events.flatMap(({ event }) => (event.type === 'closed' ? [event.reason] : []));
      expect([seed, told]).toEqual([seed, ['copied']]);
      world.run(3_000);
      expect(agree(made, 1_000)).toBe(0);
      events.length = 0;
      world.run(6_000);
      expect(events).toEqual([]);
    }
  });

  it('[ME77] of two with one key who were there for long before they met, one stays', () => {
    for (const seed of [1, 3, 4]) {
      const made = room({
        peers: 5,
        seed,
        network: { delayMs: 5, jitterMs: seed % 2 === 0 ? 0 : 20 },
        ...(seed % 3 === 0 ? { code: 'k7q2mx' } : {}),
      });
      const { world, events } = made;
      world.peer(4).identity = world.peer(0).identity;
      world.partition([0, 1], [2, 3, 4]);
      for (const index of [0, 2, 1, 3, 4]) world.start(index, index % 2 === 0 && index < 4 ? 'found' : 'join');
      world.run(20_000);
      world.mend();
      // For some seconds after one has given way links and lists are still made anew.
      world.run(25_000);
      const told = events.flatMap(({ peer, event }) => (event.type === 'closed' ? [peer] : []));
      expect([seed, told.length]).toEqual([seed, 1]);
      expect([0, 4]).toContain(told[0]);
      expect(agree(made, 1_000)).toBe(0);
    }
  });

  it('[ME77] whose copy has been gone for a minute is no copy, however often its links are made anew', () => {
    const made = room({ peers: 4, network: { lossRatio: 0.2, jitterMs: 30 } });
    const { world, events } = made;
    world.peer(3).identity = world.peer(1).identity;
    world.start(0, 'found');
    for (const index of [1, 2]) world.start(index, 'join');
    world.run(15_000);
    world.start(3, 'join');
    world.run(20_000);
    expect(events.flatMap(({ peer, event }) => (event.type === 'closed' ? [[peer, event.reason]] : []))).toEqual([[3, 'copied']]);
    world.crash(3);
    world.peer(3).identity = world.crypto.generateKeyPair();
    world.run(70_000);
    events.length = 0;
    for (let n = 0; n < 10; n++) {
      for (const index of [0, 2]) world.cut(1, index);
      world.run(8_000);
      world.mend();
      world.run(4_000);
    }
    expect(events.filter(({ event }) => event.type === 'closed')).toEqual([]);
    expect(agree(made, 5_000)).toBeLessThan(3_000);
  });

  it('[ME77] a player that is started anew again and again, and comes from one address after the other, is no copy', () => {
    const made = together({ peers: 4 });
    const { world, events } = made;
    for (let i = 0; i < 8; i++) {
      const index = i % 2 === 0 ? 1 : 0;
      world.crash(index);
      world.run(300);
      world.readdress(index, `10.3.${index}.${i}`);
      world.start(index, i % 3 === 0 ? 'found' : 'join');
      world.run(1_500);
    }
    expect(agree(made, 5_000)).toBeLessThan(3_000);
    expect(events.filter(({ event }) => event.type === 'closed')).toEqual([]);
    expect(made.agreement.violations).toEqual([]);
  });

  it('[ME80] who has left, or asks for a seat no more, answers nobody and calls nobody', () => {
    const made = together({ peers: 4 });
    const { world } = made;
    world.leave(2);
    world.run(300);
    // Its goodbyes are said; whoever calls now, as discovery names it still, finds nobody.
    world.run(3_000);
    expect(world.peers.map((peer) => peer.endpoint!.load.links)).toEqual([2, 2, 0, 2]);
    for (let afterMs = 0; afterMs < 40; afterMs += 2) {
      world.start(2, 'join');
      world.run(afterMs);
      world.leave(2);
      world.run(3_000);
      expect([afterMs, ...world.peers.map((peer) => peer.endpoint!.load.links)]).toEqual([afterMs, 2, 2, 0, 2]);
    }
    expect(agree(made, 100)).toBe(0);
    expect(made.agreement.violations).toEqual([]);
  });

  it('[ME4] without anybody to answer, joining fails as unreachable', () => {
    const made = room({ peers: 1 });
    made.world.start(0, 'join');
    made.world.run(11_000);
    expect(made.world.peer(0).mesh!.joinState).toEqual({ type: 'failed', reason: 'unreachable' });
  });

  it('[ME37] who asks for a seat finds the one that has a list among many that ask as well', () => {
    const made = room({ peers: 9 });
    for (let i = 1; i < 9; i++) made.world.start(i, 'join');
    made.world.run(3_000);
    made.world.start(0, 'found');
    expect(agree(made, 5_000)).toBeLessThan(2_000);
    expect(rosterOf(made.world, 0).peers).toHaveLength(9);
    expect(made.agreement.violations).toEqual([]);
  });

  it('[ME42] parts whose members all came anew at addresses the other part knows of others still meet', () => {
    const made = together({ peers: 4 });
    made.world.partition([0, 1], [2, 3]);
    made.world.run(3_000);
    for (const index of [0, 2, 1, 3]) {
      made.world.crash(index);
      made.world.run(2_000);
      made.world.start(index, 'join', { newIdentity: true });
      made.world.run(1_000);
    }
    made.world.mend();
    expect(agree(made, 5_000)).toBeLessThan(3_000);
    expect(rosterOf(made.world, 0).peers.filter((peer) => peer.status === 'present')).toHaveLength(4);
    expect(made.agreement.violations).toEqual([]);
  });

  it('[ME49] who lost its host asks another part’s over a member, where it has no link to that host', () => {
    const made = room({ peers: 5 });
    made.world.partition([0, 1, 2], [3, 4]);
    for (const founder of [0, 4]) made.world.start(founder, 'found');
    for (const index of [1, 2, 3]) made.world.start(index, 'join');
    made.world.run(2_000);
    made.world.crash(4);
    made.world.mend();
    made.world.cut(0, 3);
    const live = made.world.live();
    expect(agree(made, 5_000, live)).toBeLessThan(3_000);
    expect(rosterOf(made.world, 3).host).toBe(made.world.peer(0).mesh!.self);
    expect(made.agreement.violations).toEqual([]);
  });

  it('[ME5] sixteen founders of one room at the same instant end in one room', () => {
    const made = room({ peers: 16 });
    for (const peer of made.world.peers) made.world.at(peer.index * 3, () => void made.world.start(peer.index, 'found'));
    made.world.run(50);
    expect(agree(made, 10_000)).toBeLessThan(2_500);
    expect(rosterOf(made.world, 9).peers).toHaveLength(16);
    expect(made.agreement.violations).toEqual([]);
  });
});
