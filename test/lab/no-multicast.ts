/**
 * Lab `no-multicast`: a switch that drops all multicast. Passes when four peers still become one
 * room, by the broadcast beacon, within 2 s of the last one's wish to join.
 */
import { Members } from './members.ts';
import { Lab } from './netns.ts';
import type { LabResult } from './run.ts';

export async function lab(): Promise<LabResult> {
  using network = new Lab(4);
  network.blockMatching('ip daddr 224.0.0.0/4');
  const start = Date.now() + 8000;
  await using members = new Members(network, ['--start', String(start)]);
  members.startAll();
  await members.whole([0, 1, 2, 3], 30_000);
  const wholeMs = Date.now() - start;
  return { lab: 'no-multicast', peers: 4, whole_ms: wholeMs, pass: wholeMs <= 2000 };
}
