/** The figures of a room, from its parts. */
import type { PeerId } from '../base/brand.ts';
import type { PortStats } from '../port/port.ts';
import type { Messages } from '../sync/messages.ts';
import type { Replication } from '../sync/replication.ts';
import type { Requests } from '../sync/requests.ts';
import type { EntityStore } from '../sync/store.ts';
import type { RoomStats } from './types.ts';

/** The parts of a room that count. */
export interface CountingParts {
  readonly replication: Replication;
  readonly messages: Messages;
  readonly requests: Requests;
  readonly store: EntityStore;
}

/** Drops of both halves together, and each peer's path with its interpolation delay. */
export function roomStats(port: PortStats, drops: Readonly<Record<string, number>>, parts: CountingParts): RoomStats {
  const { replication, messages, requests, store } = parts;
  const merged: Record<string, number> = { ...port.drops };
  for (const [reason, count] of Object.entries(drops)) merged[reason] = (merged[reason] ?? 0) + count;
  const delayMs = (id: PeerId): number => replication.inbound.get(id)?.playout.delayMs ?? 0;
  return {
    peers: new Map([...port.peers].map(([id, stats]) => [id, { ...stats, interpolationDelayMs: delayMs(id) }])),
    stateBytesOut: replication.bytesOut,
    stateBytesIn: replication.bytesIn,
    messageBytesOut: messages.bytesOut + requests.bytesOut,
    messageBytesIn: messages.bytesIn + requests.bytesIn,
    drops: merged,
    entities: store.size,
  };
}

/** How long the slowest of the others takes to hear this peer, most of its jitter included, ms. */
export function transitMs(port: PortStats): number {
  let most = 0;
  for (const { rttMs, jitterMs } of port.peers.values()) most = Math.max(most, rttMs / 2 + 2 * jitterMs);
  return most;
}
