/**
 * Lab `relay`: of three peers, two lose sight of each other while both still reach the third. Passes
 * when their state keeps reaching each other, relayed, within 1 s of the block.
 */
import { Members } from './members.ts';
import { Lab } from './netns.ts';
import { sleep, until } from './process.ts';
import type { LabResult } from './run.ts';

export async function lab(): Promise<LabResult> {
  using network = new Lab(3);
  await using members = new Members(network);
  members.startAll();
  const everybody = [0, 1, 2];
  await members.whole(everybody, 60_000);
  network.blockPair(0, 1);
  const blockedAt = performance.now();
  const relayedMs = await until(
    'a relayed pair',
    20_000,
    () => {
      const [a, b] = [members.views().get(0), members.views().get(1)];
      return a !== undefined && b !== undefined && a.relayed > 0 && b.relayed > 0 ? performance.now() - blockedAt : undefined;
    },
    10,
  );
  await sleep(3000);
  const before = members.views().get(0)?.fresh ?? 0;
  await sleep(3000);
  const after = members.views().get(0)?.fresh ?? 0;
  const present = members.views().get(0)?.present ?? 0;
  // Three peers add ten each second; two alone would add only twenty.
  const addedPerSecond = (after - before) / 3;
  return {
    lab: 'relay',
    relayed_ms: Math.round(relayedMs),
    present,
    added_per_second: Math.round(addedPerSecond * 10) / 10,
    pass: relayedMs <= 1000 && present === 3 && addedPerSecond > 23,
  };
}
