/** An established 60 Hz stream while the join port takes 40,000 datagrams per second, over loopback sockets. */
import { loadCrypto } from '../../sdk/node/crypto.ts';
import { percentile, start, stopFlood, told } from './parts/child.ts';
import { openUdpEndpoint } from './parts/udp-endpoint.ts';
import type { AcceptOptions, AcceptResult } from './rows.ts';

export async function accept({ small, seed }: AcceptOptions): Promise<AcceptResult> {
  const ms = small ? 5_000 : 15_000;
  let delays: number[] = [];
  let closed = 0;
  const host = await openUdpEndpoint(await loadCrypto(), seed, (e) => {
    if (e.type === 'closed') closed++;
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
  const flood = start('flood', host.udp.joinPort, 40_000);
  await told(flood);
  const flooded = await phase();
  const rate = await stopFlood(flood);
  const counted = host.endpoint.drops['cookie'] ?? 0;
  await host.close();
  const added = flooded.p99 - calm.p99;
  const loss = flooded.lossRatio - calm.lossRatio;
  const round = (value: number): number => Math.round(value * 1_000) / 1_000;
  const disconnects = closed + calm.closed + flooded.closed;
  return {
    value: round(added),
    unit: 'ms of delay added at p99',
    target: '<= 20 ms; <= 1 % more loss; 0 disconnects at 40,000/s',
    pass: added <= 20 && loss <= 0.01 && disconnects === 0,
    details: {
      calmP99Ms: round(calm.p99),
      floodedP99Ms: round(flooded.p99),
      addedLossRatio: round(loss),
      disconnects,
      floodPerSecond: rate.perSecond,
      floodRead: counted,
      streamMs: ms,
    },
  };
}
