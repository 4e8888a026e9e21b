/** The network as one line of text for the HUD, and as numbers for the F3 overlay. */
import type { Match } from '../rules/match.ts';

let lastBytes = 0;
let lastAt = 0;
let kilobits = 0;

/** Peers, host, round trip, traffic, loss. */
export function readNet(match: Match): string {
  const { room } = match;
  const stats = room.stats();
  const links = [...stats.peers.values()];
  const now = performance.now();
  const bytes = links.reduce((sum, link) => sum + link.bytesOut, 0);
  if (now - lastAt > 1000) {
    kilobits = lastAt === 0 ? 0 : Math.max(0, ((bytes - lastBytes) * 8) / (now - lastAt));
    lastBytes = bytes;
    lastAt = now;
  }
  const host = room.peers.get(room.host);
  const hostName = host?.isSelf === true ? 'you' : (host?.presence.name ?? '?');
  if (links.length === 0) return `${room.name} · nobody else yet · you are host`;
  const worst = (of: (link: (typeof links)[number]) => number): number => Math.max(...links.map(of));
  return `${room.name} · ${links.length + 1} peers · host ${hostName} · rtt ${worst((link) => link.rttMs).toFixed(1)} ms · delay ${worst((link) => link.interpolationDelayMs).toFixed(0)} ms · up ${kilobits.toFixed(0)} kbit/s · loss ${(worst((link) => link.lossInRatio) * 100).toFixed(1)} %`;
}
