/**
 * What becomes of a room whose network is cut: parts, their merge, and detours over members.
 * Every scenario runs in a world of its own; times are the world's.
 */
import { describe, expect, it } from 'vitest';
import type { World } from '../sdk/testing/index.ts';
import { agree, hostIndex, room, rosterOf, together } from './mesh-rig.ts';

describe('partition and merge', () => {
  const shapes: Record<string, (world: World) => void> = {
    halves: (world) => world.partition([0, 1, 2], [3, 4, 5]),
    'isolate-one': (world) => world.partition([0], [1, 2, 3, 4, 5]),
    thirds: (world) => world.partition([0, 1], [2, 3], [4, 5]),
    ring: (world) => {
      for (let a = 0; a < 6; a++) for (let b = a + 2; b < 6; b++) if (b - a !== 5) world.cut(a, b);
    },
    bridge: (world) => world.cut(0, 1),
    'one-way': (world) => world.cutOneWay(0, 3),
  };
  for (const [name, shape] of Object.entries(shapes)) {
    it(`[ME15] ${name}: all go on, and one room is back soon after healing`, () => {
      const times: number[] = [];
      for (const gap of [1_500, 6_000, 30_000]) {
        const made = together({ peers: 6, seed: gap, graceMs: 60_000 });
        shape(made.world);
        made.world.run(gap);
        for (const peer of made.world.live()) expect(peer.mesh!.joinState.type).toBe('joined');
        made.world.mend();
        times.push(agree(made, 8_000));
        made.world.run(3_000);
        expect(agree(made, 1_000)).toBe(0);
        expect(made.agreement.violations).toEqual([]);
      }
      expect(Math.max(...times)).toBeLessThan(3_000);
    });
  }

  it('[ME33] what was under way as a silence began measures no path: halves merge without sitting out a time-out', () => {
    for (const seed of [2, 4]) {
      const made = together({ peers: 8, seed, network: { delayMs: 1, jitterMs: 2 } });
      made.world.run(seed * 37);
      made.world.partition([0, 1, 2, 3], [4, 5, 6, 7]);
      made.world.run(6_000 + seed * 13);
      made.world.mend();
      expect(agree(made, 5_000)).toBeLessThan(600);
    }
  });

  it('[ME40] a host thrown out by the other part does not lead both: it is told, and the rest is one room', () => {
    for (const mutual of [false, true]) {
      const made = together({ peers: 5 });
      made.world.partition([0, 1, 4], [2, 3]);
      made.world.run(3_000);
      const kick = (by: number, whom: number): void => {
        const host = made.world.peer(by);
        expect(host.mesh!.kick(host.clock(made.world.now), made.world.peer(whom).mesh!.self)).toBe(true);
        made.world.drain(host);
      };
      kick(2, 0);
      if (mutual) kick(0, 2);
      made.world.run(200);
      made.world.mend();
      const out = mutual ? 2 : 0;
      const rest = made.world.peers.filter((peer) => peer.index !== out);
      expect(agree(made, 5_000, rest)).toBeLessThan(3_000);
      made.world.run(2_000);
      expect(made.events.filter(({ peer, event }) => peer === out && event.type === 'closed').map(({ event }) => event)).toMatchObject([
        { reason: 'kicked' },
      ]);
      expect(made.agreement.violations).toEqual([]);
    }
  });

  it('[ME41] who died while a host slept is away soon after that host is back with its old list', () => {
    const made = together({ peers: 6 });
    const host = hostIndex(made.world, 1);
    const victim = made.world.peers.findLast((peer) => peer.index !== host)!;
    made.world.suspend(host, 10_000);
    made.world.run(2_000);
    made.world.crash(victim.index);
    made.world.run(8_010);
    expect(agree(made, 5_000)).toBeLessThan(2_000);
    expect(rosterOf(made.world, host).peers).toHaveLength(6);
    expect(made.agreement.violations).toEqual([]);
  });

  it('[ME16] both sides of a merge are told, one of them that its host state gives way; slots stay apart', () => {
    const made = together({ peers: 6, graceMs: 2_000 });
    made.world.partition([0, 1, 2, 3], [4, 5]);
    made.world.run(6_000);
    const since = made.world.now;
    made.world.mend();
    expect(agree(made, 5_000)).toBeLessThan(3_000);
    made.world.run(500);
    const merges = made.events.filter(({ at, event }) => at >= since && event.type === 'merge');
    const lost = new Set(merges.filter(({ event }) => event.type === 'merge' && event.lost).map(({ peer }) => peer));
    expect(lost).toEqual(new Set([4, 5]));
    expect(new Set(merges.map(({ peer }) => peer)).size).toBe(6);
    expect(new Set(rosterOf(made.world, 0).peers.map((peer) => peer.slot)).size).toBe(6);
  });
});

describe('detours', () => {
  it('[ME17] a blocked pair goes on over a third within a second, and back when it can', () => {
    const made = together({ peers: 3 });
    const [a, b] = [made.world.peer(1), made.world.peer(2)];
    made.world.cut(1, 2);
    made.world.run(1_000);
    expect(rosterOf(made.world, 1).peers.find((peer) => peer.id === b.mesh!.self)).toMatchObject({
      status: 'present',
      via: made.world.peer(0).mesh!.self,
    });
    for (let i = 0; i < 20; i++) expect(made.agreement.send(a, b, i === 7 ? 5_000 : 40)).toBe(true);
    made.world.run(1_000);
    expect(made.agreement.undelivered()).toEqual([]);
    made.world.mend();
    made.world.run(5_000);
    expect(rosterOf(made.world, 1).peers.every((peer) => peer.via === undefined)).toBe(true);
    expect(made.events.some(({ event }) => event.type === 'reset')).toBe(false);
    expect(made.agreement.violations).toEqual([]);
  });

  it('[ME47] what comes over a detour is not heard directly: of a path open one way only, both sides keep to the detour', () => {
    const made = together({ peers: 3 });
    made.world.cutOneWay(0, 1);
    made.world.run(3_000);
    const third = made.world.peer(2).mesh!.self;
    const viaOf = (index: number, other: number) =>
      rosterOf(made.world, index).peers.find((peer) => peer.id === made.world.peer(other).mesh!.self)?.via;
    for (let i = 0; i < 100; i++) {
      expect([viaOf(0, 1), viaOf(1, 0)]).toEqual([third, third]);
      made.world.run(100);
    }
    made.world.mend();
    made.world.run(3_000);
    expect([viaOf(0, 1), viaOf(1, 0)]).toEqual([undefined, undefined]);
    expect(made.agreement.violations).toEqual([]);
  });

  it('[ME18] a pair that never could reach each other links over a third', () => {
    const made = room({ peers: 3 });
    made.world.cut(1, 2);
    made.world.start(0, 'found');
    made.world.start(1, 'join');
    made.world.start(2, 'join');
    made.world.run(4_000);
    expect(agree(made, 1_000)).toBe(0);
    expect(made.agreement.send(made.world.peer(1), made.world.peer(2), 3_000)).toBe(true);
    made.world.run(1_000);
    expect(made.agreement.undelivered()).toEqual([]);
    made.world.mend();
    made.world.run(10_000);
    expect(rosterOf(made.world, 1).peers.every((peer) => peer.via === undefined)).toBe(true);
  });

  it('[ME73] parts whose hosts never could reach each other are one room, over who reaches both', () => {
    for (const code of [undefined, 'k7q2mx']) {
      for (let seed = 1; seed <= 6; seed++) {
        const founders = room({ peers: 3, seed, ...(code === undefined ? {} : { code }) });
        founders.world.cut(0, 1);
        for (let i = 0; i < 3; i++) founders.world.start(i, 'found');
        expect(agree(founders, 5_000)).toBeLessThan(2_000);
        expect(founders.agreement.violations).toEqual([]);

        const parts = room({ peers: 6, seed, ...(code === undefined ? {} : { code }) });
        const { world } = parts;
        world.partition([0, 1, 2], [3, 4, 5]);
        for (let i = 0; i < 6; i++) world.start(i, i % 3 === 0 ? 'found' : 'join');
        world.run(2_000);
        expect([hostIndex(world, 1), hostIndex(world, 4)]).toEqual([0, 3]);
        world.mend();
        world.cut(0, 3);
        expect(agree(parts, 5_000)).toBeLessThan(2_000);
        world.run(5_000);
        expect(agree(parts, 100)).toBe(0);
        expect(parts.agreement.violations).toEqual([]);
      }
    }
  });
});
