/**
 * Rooms for tests of membership: a world, what is checked of it, and what its peers told.
 */
import { expect } from 'vitest';
import { Agreement, World, type WorldOptions, type WorldPeer } from '../sdk/testing/index.ts';
import type { PortEvent } from '../sdk/port/port.ts';

export interface Room {
  readonly world: World;
  readonly agreement: Agreement;
  readonly events: { readonly at: number; readonly peer: number; readonly event: PortEvent }[];
}

export function room(options: Partial<WorldOptions> & { readonly peers: number }): Room {
  const world = new World({ seed: 7, ...options });
  const agreement = new Agreement(world);
  const events: Room['events'] = [];
  world.watchers.push({ onEvent: (at, peer, event) => events.push({ at, peer: peer.index, event }) });
  return { world, agreement, events };
}

/** Peer 0 founds, the others join; all agree when this returns. */
export function together(options: Partial<WorldOptions> & { readonly peers: number }): Room {
  const made = room(options);
  made.world.start(0, 'found');
  for (let i = 1; i < options.peers; i++) made.world.start(i, 'join');
  expect(agree(made, 5_000)).toBeLessThan(3_000);
  made.world.run(1_000);
  // Joining moves no duties.
  expect(made.agreement.hostChanges).toHaveLength(1);
  return made;
}

export function agree({ world, agreement }: Room, limitMs: number, peers?: WorldPeer[]): number {
  return world.runUntil(() => agreement.disagreement(peers ?? world.live()) === undefined, limitMs) ?? Infinity;
}

export const rosterOf = (world: World, index: number) => world.peer(index).mesh!.roster();
export const hostIndex = (world: World, seenBy: number): number => world.byId(rosterOf(world, seenBy).host)!.index;
export const slotOf = (world: World, seenBy: number, index: number) =>
  rosterOf(world, seenBy).peers.find((peer) => peer.id === world.peer(index).mesh!.self)?.slot;
export const changes = ({ agreement }: Room, since: number): number => agreement.hostChanges.filter((change) => change.at > since).length;
