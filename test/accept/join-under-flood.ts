/**
 * Joining while forged INITs arrive at 10,000 per second, over loopback sockets and three processes.
 *
 * Memory is compared after a warm-up (three seconds of flood, twenty joins): before it, the heap grows to its
 * working size and code is compiled, with or without anybody hostile.
 */
import { performance } from 'node:perf_hooks';
import { loadCrypto } from '../../sdk/node/crypto.ts';
import { percentile, start, stopFlood, told } from './parts/child.ts';
import { openUdpEndpoint } from './parts/udp-endpoint.ts';
import type { AcceptOptions, AcceptResult } from './rows.ts';

const WARM_UP_MS = 3_000;
const WARM_UP_JOINS = 20;

export async function accept({ small, seed }: AcceptOptions): Promise<AcceptResult> {
  const joins = small ? 40 : 200;
  const host = await openUdpEndpoint(await loadCrypto(), seed, () => {});
  const flood = start('flood', host.udp.joinPort, 10_000);
  await told(flood);
  const cold = process.memoryUsage.rss();
  await new Promise((resolve) => setTimeout(resolve, WARM_UP_MS));
  await told(start('join', host.udp.joinPort, WARM_UP_JOINS));
  const rssBefore = process.memoryUsage.rss();
  let most = rssBefore;
  const watch = setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), 50);
  const cpuBefore = process.cpuUsage();
  const startedAt = performance.now();
  const { times } = await told<{ times: number[] }>(start('join', host.udp.joinPort, joins));
  const cpu = process.cpuUsage(cpuBefore);
  const cpuRatio = (cpu.user + cpu.system) / 1_000 / (performance.now() - startedAt);
  clearInterval(watch);
  const mb = (bytes: number): number => Math.round((bytes / 1_048_576) * 10) / 10;
  const rssGrowthMb = mb(process.memoryUsage.rss() - rssBefore);
  const rate = await stopFlood(flood);
  const drops = { ...host.endpoint.drops };
  await host.close();
  times.sort((a, b) => a - b);
  const p99 = percentile(times, 0.99);
  return {
    value: Math.round(p99 * 10) / 10,
    unit: 'ms to join, p99',
    target: '100 % of 200 joins; <= 50 ms; <= 5 MB growth',
    pass: times.length === joins && p99 <= 50 && rssGrowthMb <= 5,
    details: {
      joins,
      joined: times.length,
      p50: Math.round(percentile(times, 0.5) * 10) / 10,
      slowestMs: Math.round(times.at(-1)! * 10) / 10,
      rssGrowthMb,
      rssPeakMb: mb(most - rssBefore),
      rssWarmUpMb: mb(rssBefore - cold),
      cpuRatio: Math.round(cpuRatio * 100) / 100,
      forgedPerSecond: rate.perSecond,
      forged: rate.sent,
      refusedByCookie: drops['cookie'] ?? 0,
    },
  };
}
