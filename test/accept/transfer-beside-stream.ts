/** 64 MiB on `reliable` beside a 60 Hz stream at 1 % loss, between two real hosts of the lab, and TCP for comparison. */
import { labUnavailable } from '../lab/netns.ts';
import { lab, type PathFigures } from '../lab/transfer.ts';
import type { AcceptOptions, AcceptOutcome } from './rows.ts';

export async function accept({ small }: AcceptOptions): Promise<AcceptOutcome> {
  const reason = labUnavailable();
  if (reason !== undefined) return { notRun: `the lab ${reason}` };
  const { pass, paths, ...details } = await lab(small ? ['16', '1', '1gbit'] : ['64', '3']);
  const figures = (paths as readonly PathFigures[]).filter((path) => path.counts);
  return {
    value: Math.max(...figures.map((path) => path.added_p99_ms)),
    unit: 'ms that the transfer adds to the 99th percentile of the stream (worst path)',
    target: '<= 5 ms, and the transfer >= 60 % of TCP on the same path',
    pass,
    details: { leastShareOfTcp: Math.min(...figures.map((path) => path.share_of_tcp)), ...details, paths },
  };
}
