/**
 * Shared time over the whole network half (`docs/spec.md`, Sync): clocks that drift, a path that jitters and loses, and hosts that come and go.
 */
import assert from 'node:assert/strict';
import { describe, expect, it } from 'vitest';
import { hostIndex, together } from './mesh-rig.ts';

describe('room time', () => {
  it('[SY50] never runs backwards at any peer, and is as far from the host’s as `errorMs` says at most, across crashes and farewells of hosts', () => {
    for (const seed of [3, 11]) {
      const made = together({ peers: 5, seed, driftPpm: 100, network: { delayMs: 2, jitterMs: 8, lossRatio: 0.1 } });
      const { world } = made;
      const last = world.peers.map(() => 0);
      let checks = 0;
      let worst = 0;
      let claimed = 0;
      const look = (): void => {
        for (const peer of world.live()) {
          if (peer.mesh!.joinState.type !== 'joined') continue;
          const now = peer.clock(world.now);
          const time = peer.mesh!.time(now);
          assert.ok(time >= last[peer.index]!, `seed ${seed}: peer ${peer.index} at ${world.now}: ${last[peer.index]}, then ${time}`);
          last[peer.index] = time;
          const roster = peer.mesh!.roster();
          const host = world.byId(roster.host);
          // While a change of host is being told nobody knows whose time it is.
          if (
            host === undefined ||
            !world.live().includes(host) ||
            host.mesh!.roster().term !== roster.term ||
            host.mesh!.roster().host !== roster.host
          )
            continue;
          const off = Math.abs(time - host.mesh!.time(host.clock(world.now)));
          const error = peer.mesh!.timeErrorMs(now);
          assert.ok(off <= error + 0.01, `seed ${seed}: peer ${peer.index} at ${world.now} is ${off} off, says ${error}`);
          checks++;
          worst = Math.max(worst, off);
          claimed = Math.max(claimed, error);
        }
      };
      const play = (ms: number): void => {
        for (let i = 0; i < ms / 25; i++) {
          world.run(25);
          look();
        }
      };
      // Nobody's agreement is older than the room.
      world.run(3_000);
      play(8_000);
      world.crash(hostIndex(world, 1));
      play(4_000);
      world.leave(hostIndex(world, world.live()[0]!.index));
      play(5_000);
      expect(checks).toBeGreaterThan(1_500);
      // Honest, and of use: nobody is far off, nor says so.
      expect(worst).toBeLessThan(12);
      expect(claimed).toBeLessThan(30);
    }
    // A busy machine takes its time over the simulated one.
  }, 60_000);
});
