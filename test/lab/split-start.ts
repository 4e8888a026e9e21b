/**
 * Lab `split-start`: sixteen peers, their LAN open, call `joinOrCreate` for the same name within 50 ms of
 * each other, round after round. Passes when each round ends with one room of sixteen.
 */
import { Members, clock, percentile, type MemberView } from './members.ts';
import { Lab } from './netns.ts';
import { until } from './process.ts';
import type { LabResult } from './run.ts';

const peers = 16;
const spreadMs = 50;
/** Leaving the last room takes a moment of it. */
const aheadMs = 1_200;
const withinMs = 12_000;

export async function lab(args: readonly string[] = []): Promise<LabResult> {
  const rounds = Number(args[0] ?? 20);
  using network = new Lab(peers);
  await using members = await Members.open(network);
  const everybody = network.hosts.map((host) => host.index);
  let views = new Map<number, MemberView>();
  let called = '';
  members.onView((index, view) => {
    if (view.at === 'failed') process.stderr.write(`m${index}: ${JSON.stringify(view)}\n`);
    if (view.at === 'view' && view.called === called) views.set(index, view);
  });
  const wholeMs: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    called = `round ${round}`;
    views = new Map();
    const start = clock() + aheadMs;
    members.join(everybody, called, (index) => start + (index * spreadMs) / (peers - 1));
    try {
      await until('one room of sixteen', aheadMs + withinMs, () => (isWhole(views) ? true : undefined), 10);
      wholeMs.push(Math.round(members.changedAt(everybody) - start));
    } catch {
      const rooms = everybody.map((index) => `m${index}: ${JSON.stringify(views.get(index))}`).join('\n');
      process.stderr.write(`${called} did not end in one room:\n${rooms}\n`);
    }
  }
  return {
    lab: 'split-start',
    peers,
    rounds,
    one_room: wholeMs.length,
    whole_ms_p50: percentile(wholeMs, 0.5),
    whole_ms_p95: percentile(wholeMs, 0.95),
    whole_ms_max: percentile(wholeMs, 1),
    split_terms: members.splitTerms.length,
    pass: wholeMs.length === rounds && members.splitTerms.length === 0,
  };
}

function isWhole(views: ReadonlyMap<number, MemberView>): boolean {
  const [first, ...rest] = views.values();
  return (
    first !== undefined &&
    views.size === peers &&
    first.present === peers &&
    rest.every((view) => view.present === peers && view.room === first.room && view.term === first.term && view.epoch === first.epoch)
  );
}
