/**
 * What a member can do to the others by what it says of the room, and what it cannot: its bytes are well formed, and not true.
 */
import { describe, expect, it } from 'vitest';
import type { LinkId } from '../sdk/link/endpoint-types.ts';
import type { PeerId, Slot } from '../sdk/base/brand.ts';
import { Dialer } from '../sdk/mesh/dialer.ts';
import { encodeMessage, type MeshMessage } from '../sdk/mesh/messages.ts';
import type { Roster } from '../sdk/mesh/roster.ts';
import type { World } from '../sdk/testing/index.ts';
import { HANDSHAKE_TIMEOUT_MS, MAX_ATTEMPTS, MAX_LANES } from '../sdk/wire/limits.ts';
import { agree, rosterOf, together } from './mesh-rig.ts';
import { idOf, listOf, newcomer } from './mesh-script.ts';

/** Peer `who` says this to everybody it is linked to. */
function says(world: World, who: number, message: MeshMessage): void {
  const peer = world.peer(who);
  const now = peer.clock(world.now);
  for (let link = 1; link <= 9; link++) peer.endpoint!.send(now, link as LinkId, 'reliable', encodeMessage(message), MAX_LANES - 1);
  peer.endpoint!.flush(now);
  world.drain(peer);
}

/** A list of this room with all its members, in which `host` is host. */
function forged(world: World, host: PeerId, version: Pick<Roster, 'term' | 'epoch'>): Roster {
  const { roomId, name, max, locked, peers } = rosterOf(world, 0);
  const seats = peers.map(({ id, slot }) => ({
    id,
    slot: slot as Slot,
    status: 'present' as const,
    spectator: false,
    eligible: true,
    instance: 1,
    addresses: [],
  }));
  return { roomId, name, max, locked, ...version, host, seats, banned: [], departed: [], lineage: [], merged: [] };
}

describe('a member that lies', () => {
  const LAST = 2 ** 53 - 1;
  const join = { instance: 77, spectate: false, joinPort: 1, addresses: [], term: LAST, time: 0 };
  const lies: readonly (readonly [string, (world: World, liar: PeerId) => MeshMessage])[] = [
    ['a request for a seat', () => ({ type: 'join', join })],
    ['a proposal', (world, liar) => ({ type: 'propose', roster: forged(world, liar, { term: LAST, epoch: 1 }), time: 1 })],
    ['a proposal, by its epoch', (world, liar) => ({ type: 'propose', roster: forged(world, liar, { term: 2 ** 44, epoch: 2 ** 32 - 1 }), time: 1 })],
    [
      'a decision',
      (world, liar) => ({ type: 'decide', roster: forged(world, liar, { term: LAST, epoch: 1 }), time: 1, term: rosterOf(world, 0).term }),
    ],
    [
      'a newer list',
      (world) => ({ type: 'roster', roster: { ...forged(world, rosterOf(world, 0).host, rosterOf(world, 0)), epoch: 2 ** 32 - 1 }, key: undefined }),
    ],
  ];

  it.each(lies)('[ME82] cannot end the room by a number that nothing comes after: %s', (_name, lie) => {
    const made = together({ peers: 4, seed: 3 });
    const { world } = made;
    const before = rosterOf(world, 0);
    says(world, 3, lie(world, world.peer(3).mesh!.self));
    world.run(200);
    expect([0, 1, 2].map((index) => rosterOf(world, index).term)).toEqual([before.term, before.term, before.term]);
    world.crash(3);
    world.run(2_000);
    expect(made.agreement.disagreement([0, 1, 2].map((index) => world.peer(index)))).toBeUndefined();
    // The room goes on: who comes back has its seat, and another host takes over.
    world.start(3, 'join');
    expect(agree(made, 3_000)).toBeLessThan(2_000);
    world.crash(0);
    expect(agree(made, 6_000)).toBeLessThan(3_000);
    expect(rosterOf(world, 1).host).not.toBe(before.host);
  });

  it('[ME19] moves no clock so far that the others cannot follow', () => {
    for (const time of [2 ** 32 - 2 ** 24 - 1, 2 ** 32 - 2 ** 24, 2 ** 32]) {
      const made = together({ peers: 4, seed: 3 });
      const { world } = made;
      says(world, 3, { type: 'join', join: { ...join, instance: 1, term: 0, time } });
      world.run(5_000);
      const times = world.peers.map((peer) => peer.mesh!.time(peer.clock(world.now)));
      expect([time, Math.max(...times) - Math.min(...times) < 5]).toEqual([time, true]);
      expect(Math.max(...times)).toBeLessThan(2 ** 32 - 2 ** 29);
    }
  });

  it('[ME83] that names hosts which are not there takes no places from calls to others, and each of those hosts is called in its turn', () => {
    const names = Array.from({ length: 40 }, (_, n) => idOf(n + 100));
    const open = new Map<number, number>();
    const called = new Map<PeerId, number>();
    let now = 0;
    let attempt = 0;
    let most = 0;
    const endpoint = {
      self: idOf(1),
      connect: (at: number, _address: unknown, _door: unknown, expected: PeerId): number => {
        if (!called.has(expected)) called.set(expected, at);
        open.set(++attempt, at);
        return attempt;
      },
    };
    const linkState = { route: () => ({ next: idOf(2), hops: 2 }), reachable: () => names.map((id) => ({ word: { id, host: true } })) };
    const dialer = new Dialer(endpoint as never, { get: () => undefined } as never, linkState as never, undefined);
    const roster = listOf(1);
    for (; now < 40_000; now += 50) {
      for (const [id, at] of open) {
        if (now - at < HANDSHAKE_TIMEOUT_MS) continue;
        open.delete(id);
        dialer.onFailed(now, id as never, 'timeout');
      }
      dialer.tick(now, roster, false);
      most = Math.max(most, open.size);
    }
    expect(most).toBeLessThanOrEqual(MAX_ATTEMPTS / 4);
    expect(called.size).toBe(names.length);
    // One that is there answers at once, and is called at once while there are no others.
    expect(Math.min(...called.values())).toBeLessThanOrEqual(500);
  });

  it('[ME84] that says it is found where everybody would be asked is not called there', () => {
    const calls: string[] = [];
    const endpoint = { self: idOf(1), connect: (_now: number, { host }: { host: string }) => calls.push(host) };
    const linkState = { route: () => undefined, reachable: () => [] };
    const mayCall = (host: string): boolean => !host.endsWith('.255');
    const dialer = new Dialer(endpoint as never, { get: () => undefined } as never, linkState as never, undefined, mayCall);
    const addresses = ['10.0.0.255', '10.0.0.7', '10.1.255.255', '10.0.0.8'].map((host) => ({ host, port: 1 }));
    const roster = listOf(1, { ...newcomer(2), addresses }, { ...newcomer(3), addresses: addresses.slice(0, 1) });
    dialer.addCandidate(0, { host: '10.2.255.255', port: 1 });
    for (let now = 0; now < 20_000; now += 50) dialer.tick(now, roster, true);
    expect(calls.slice(0, 2)).toEqual(['10.0.0.7', '10.0.0.8']);
    expect(new Set(calls)).toEqual(new Set(['10.0.0.7', '10.0.0.8']));
  });
});
