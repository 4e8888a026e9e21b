/**
 * Goodbyes, kicks and refusals: whose seat they are about, and what becomes of the links.
 */
import { describe, expect, it } from 'vitest';
import { agree, room, rosterOf } from './mesh-rig.ts';

describe('goodbyes', () => {
  it('[ME81] a goodbye that comes late takes no seat from the process that was started anew since', () => {
    for (const lateMs of [700, 1_200]) {
      const made = room({ peers: 4, seed: 3 });
      const { world, events } = made;
      // One player, first as peer 2 and then as peer 3.
      world.peer(3).identity = world.peer(2).identity;
      for (let i = 0; i < 3; i++) world.start(i, i === 0 ? 'found' : 'join');
      world.run(3_000);
      const id = world.peer(2).mesh!.self;
      world.cut(0, 2);
      world.cut(0, 3);
      world.leave(2);
      world.run(50);
      world.start(3, 'join');
      expect(world.runUntil(() => rosterOf(world, 3).peers.length === 3, lateMs, 10)).toBeLessThan(lateMs - 50);
      world.run(lateMs - 650);
      events.length = 0;
      world.mend();
      world.run(3_000);
      const left = events.flatMap(({ event }) => (event.type === 'roster' ? event.left : []));
      expect([lateMs, left]).toEqual([lateMs, []]);
      expect(rosterOf(world, 0).peers.find((peer) => peer.id === id)?.status).toBe('present');
      expect(
        agree(
          made,
          1_000,
          [0, 1, 3].map((i) => world.peer(i)),
        ),
      ).toBe(0);
    }
  });

  it('[ME2] who was refused keeps no link, to whomever it had one', () => {
    const made = room({ peers: 5, max: 3 });
    const { world } = made;
    for (let i = 0; i < 3; i++) world.start(i, i === 0 ? 'found' : 'join');
    expect(agree(made, 3_000)).toBeLessThan(1_000);
    world.run(1_000);
    const late = world.start(3, 'join');
    world.run(1_500);
    expect(late.mesh!.joinState).toEqual({ type: 'failed', reason: 'room-full' });
    expect([0, 1, 2].map((index) => world.peer(index).endpoint!.load.links)).toEqual([2, 2, 2]);
    expect(made.agreement.violations).toEqual([]);
  });
});
