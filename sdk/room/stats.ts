/** The figures of a room, from its parts. */
import type { PeerId } from '../base/brand.ts';
import type { PortStats } from '../port/port.ts';
import type { RoomStats } from './types.ts';

/** Drops of both halves together, and each peer's path with its interpolation delay. */
export function roomStats(
  port: PortStats,
  drops: Readonly<Record<string, number>>,
  interpolationDelayMs: (peer: PeerId) => number,
): Pick<RoomStats, 'peers' | 'drops'> {
  const merged: Record<string, number> = { ...port.drops };
  for (const [reason, count] of Object.entries(drops)) merged[reason] = (merged[reason] ?? 0) + count;
  const peers = new Map([...port.peers].map(([id, stats]) => [id, { ...stats, interpolationDelayMs: interpolationDelayMs(id) }]));
  return { peers, drops: merged };
}

/** How long the slowest of the others takes to hear this peer, most of its jitter included, ms. */
export function transitMs(port: PortStats): number {
  let most = 0;
  for (const { rttMs, jitterMs } of port.peers.values()) most = Math.max(most, rttMs / 2 + 2 * jitterMs);
  return most;
}
