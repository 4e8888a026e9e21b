/** Joining while forged INITs arrive at 10,000 per second, over loopback sockets and three processes. */
import { loadCrypto } from '../../sdk/node/crypto.ts';
import { percentile, start, stopFlood, told } from './parts/child.ts';
import { openUdpEndpoint } from './parts/udp-endpoint.ts';
import type { AcceptOptions, AcceptResult } from './rows.ts';

export async function accept({ small, seed }: AcceptOptions): Promise<AcceptResult> {
  const joins = small ? 40 : 200;
  const host = await openUdpEndpoint(await loadCrypto(), seed, () => {});
  const flood = start('flood', host.udp.joinPort, 10_000);
  await told(flood);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const rssBefore = process.memoryUsage.rss();
  const { times } = await told<{ times: number[] }>(start('join', host.udp.joinPort, joins));
  const rssGrowthMb = (process.memoryUsage.rss() - rssBefore) / 1_048_576;
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
      rssGrowthMb: Math.round(rssGrowthMb * 10) / 10,
      forgedPerSecond: rate.perSecond,
      forged: rate.sent,
      refusedByCookie: drops['cookie'] ?? 0,
    },
  };
}
