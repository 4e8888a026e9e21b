/**
 * Lab `split-start`: sixteen peers call `joinOrCreate` within 50 ms of each other, round after
 * round. Passes when each round ends with one room of sixteen.
 */
import { Members, percentile } from './members.ts';
import type { MemberView } from './members.ts';
import { Lab } from './netns.ts';
import { sleep } from './process.ts';
import type { LabResult } from './run.ts';

const peers = 16;
const periodMs = 8000;

export async function lab(args: readonly string[] = []): Promise<LabResult> {
  const rounds = Number(args[0] ?? 20);
  using network = new Lab(peers);
  const start = Date.now() + 25_000;
  await using members = new Members(network, ['--start', String(start), '--rounds', String(rounds + 1), '--periodMs', String(periodMs)]);
  // One slot per member and round: the last view it gave in that round.
  const last = Array.from({ length: rounds }, () => new Map<number, MemberView>());
  const wholeMs = new Map<number, number>();
  members.onView((index, view) => {
    const round = last[view.round];
    if (view.at !== 'view' || round === undefined) return;
    round.set(index, view);
    if (!wholeMs.has(view.round) && isWhole(round)) wholeMs.set(view.round, view.t - (start + view.round * periodMs));
  });
  members.startAll();
  await sleep(start - Date.now() + rounds * periodMs + 500);
  const good = last.filter(isWhole).length;
  const times = [...wholeMs.values()];
  return {
    lab: 'split-start',
    peers,
    rounds,
    one_room: good,
    whole_ms_p95: percentile(times, 0.95),
    whole_ms_max: percentile(times, 1),
    pass: good === rounds,
  };
}

function isWhole(views: ReadonlyMap<number, MemberView>): boolean {
  const [first, ...rest] = views.values();
  return (
    first !== undefined &&
    views.size === peers &&
    first.present === peers &&
    rest.every((view) => view.present === peers && view.room === first.room && view.host === first.host)
  );
}
