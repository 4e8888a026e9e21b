/** An established 60 Hz stream while the join port takes 40,000 datagrams per second, over loopback sockets. */
import { loadCrypto } from '../../sdk/node/crypto.ts';
import { setApart } from './parts/apart.ts';
import { percentile, start, stopFlood, told } from './parts/child.ts';
import { openUdpEndpoint } from './parts/udp-endpoint.ts';
import type { AcceptOptions, AcceptResult } from './rows.ts';

const FLOOD_PER_SECOND = 40_000;

export async function accept({ small, seed }: AcceptOptions): Promise<AcceptResult> {
  const ms = small ? 5_000 : 15_000;
  let delays: number[] = [];
  let closed = 0;
  const apart = setApart(process.pid, 'host');
  const host = await openUdpEndpoint(await loadCrypto(), seed, (e) => {
    // A stream that is over says goodbye; anything else is a connection lost.
    if (e.type === 'closed' && e.reason !== 'bye') closed++;
    if (e.type === 'message') delays.push(Number(process.hrtime.bigint()) / 1e6 - Buffer.from(e.bytes).readDoubleBE(4));
  });
  const phase = async (): Promise<{ p99: number; lossRatio: number; closed: number }> => {
    delays = [];
    const { sent, closed: there } = await told<{ sent: number; closed: number }>(start('stream', host.udp.joinPort, ms));
    await new Promise((resolve) => setTimeout(resolve, 100));
    const got = delays.toSorted((a, b) => a - b);
    return { p99: percentile(got, 0.99), lossRatio: 1 - got.length / sent, closed: there };
  };
  const calm = await phase();
  const round = (value: number): number => Math.round(value * 1_000) / 1_000;
  const floods: Record<string, { p99Ms: number; addedMs: number; addedLossRatio: number; perSecond: number; closed: number }> = {};
  for (const kind of ['flood', 'greet'] as const) {
    const flood = start(kind, host.udp.joinPort, FLOOD_PER_SECOND);
    await told(flood);
    const under = await phase();
    const { perSecond } = await stopFlood(flood);
    floods[kind === 'flood' ? 'forged INIT' : 'HELLO'] = {
      p99Ms: round(under.p99),
      addedMs: round(under.p99 - calm.p99),
      addedLossRatio: round(under.lossRatio - calm.lossRatio),
      perSecond,
      closed: under.closed,
    };
  }
  const refused = host.endpoint.drops['cookie'] ?? 0;
  await host.close();
  const all = Object.values(floods);
  const added = Math.max(...all.map((f) => f.addedMs));
  const loss = Math.max(...all.map((f) => f.addedLossRatio));
  const disconnects = closed + calm.closed + all.reduce((sum, f) => sum + f.closed, 0);
  return {
    value: added,
    unit: 'ms of delay added at p99, the worse of two floods',
    target: '<= 20 ms; <= 1 % more loss; 0 disconnects at 40,000/s',
    pass: added <= 20 && loss <= 0.01 && disconnects === 0 && all.every((f) => f.perSecond >= 0.95 * FLOOD_PER_SECOND),
    details: { calmP99Ms: round(calm.p99), floods, disconnects, refusedByCookie: refused, streamMs: ms, apart },
  };
}
