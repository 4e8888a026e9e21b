/**
 * Lab `eight`: eight Node peers on hosts of their own, each owning four entities that change at
 * 30 Hz for 20 seconds while 5 % of all frames are lost. Passes when all eight end with the same
 * state of all 32 entities.
 */
import { Lab } from './netns.ts';
import { ProcessGroup, sleep, startScript } from './process.ts';
import type { LabProcess } from './process.ts';
import type { LabResult } from './run.ts';

interface Moment {
  readonly at: 'joined' | 'full' | 'quiet';
  readonly ms?: number;
  readonly hash?: string;
  readonly entities?: number;
}

const peers = 8;

export async function lab(args: readonly string[] = []): Promise<LabResult> {
  const seconds = Number(args[0] ?? 20);
  using network = new Lab(peers);
  network.setLoss(0.05);
  await using processes = new ProcessGroup();
  const latest = new Map<number, Moment>();
  const fullMs: number[] = [];
  const started: LabProcess[] = [];
  for (const host of network.hosts) {
    const peer = processes.use(startScript('test/lab/eight-peer.ts', [`p${host.index}`, String(peers), String(seconds)], { lab: network, host }));
    started.push(peer);
    peer.onLine((line) => {
      if (!line.startsWith('{')) return;
      const moment = JSON.parse(line) as Moment;
      latest.set(host.index, moment);
      if (moment.at === 'full') fullMs.push(moment.ms ?? 0);
    });
  }
  const deadline = performance.now() + (seconds + 60) * 1000;
  let equal = false;
  let quietSince: number | undefined;
  while (performance.now() < deadline) {
    await sleep(100);
    const moments = [...latest.values()];
    if (moments.length < peers || moments.some((moment) => moment.at !== 'quiet')) continue;
    quietSince ??= performance.now();
    equal = moments.every((moment) => moment.hash === moments[0]?.hash && moment.entities === peers * 4);
    if (equal) break;
    if (performance.now() - quietSince > 10_000) break;
  }
  if (!equal) for (const peer of started) process.stderr.write(`${peer.output.split('\n').slice(-6).join('\n')}\n`);
  return {
    lab: 'eight',
    peers,
    seconds,
    loss_ratio: 0.05,
    full_ms: fullMs.length === 0 ? null : Math.max(...fullMs),
    settled_ms: quietSince === undefined ? null : Math.round(performance.now() - quietSince),
    hashes: new Set([...latest.values()].map((moment) => moment.hash)).size,
    entities: latest.get(0)?.entities ?? 0,
    pass: equal,
  };
}
