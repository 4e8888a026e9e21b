/**
 * An established 60 Hz stream while the join port takes 40,000 datagrams per second, over loopback sockets and four
 * processes. Rounds of calm, forged INITs and HELLOs follow one another, so that what else the machine does falls on all
 * three alike.
 */
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadCrypto } from '../../sdk/node/crypto.ts';
import { percentile, start, stopFlood, told } from './parts/child.ts';
import { openUdpEndpoint } from './parts/udp-endpoint.ts';
import type { AcceptOptions, AcceptOutcome } from './rows.ts';

const FLOOD_PER_SECOND = 40_000;
const PHASE_MS = 3_000;
/** After a flood has stopped, its last datagrams are still read. */
const SETTLE_MS = 200;
/** Code that has never run is slow; nobody plays yet. */
const WARM_UP_MS = 1_000;
const PHASES = ['calm', 'forged INIT', 'HELLO'] as const;

type Phase = (typeof PHASES)[number];

/** How long this process has waited for a core while it could have run (ms); 0 where the system does not tell. */
function waitedMs(): number {
  try {
    return Number(readFileSync('/proc/self/schedstat', 'utf8').split(' ')[1]) / 1e6;
  } catch {
    return 0;
  }
}

const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6;
const round = (value: number): number => Math.round(value * 1_000) / 1_000;

export async function accept({ small, seed }: AcceptOptions): Promise<AcceptOutcome> {
  const rounds = small ? 1 : 5;
  /** What arrived: when it was sent, and how long it took. */
  const got: { readonly at: number; readonly ms: number }[] = [];
  let closed = 0;
  const host = await openUdpEndpoint(await loadCrypto(), seed, (e) => {
    // A stream that is over says goodbye; anything else is a connection lost.
    if (e.type === 'closed' && e.reason !== 'bye') closed++;
    if (e.type !== 'message') return;
    const at = Buffer.from(e.bytes).readDoubleBE(4);
    got.push({ at, ms: nowMs() - at });
  });
  const floods: Partial<Record<Phase, ChildProcess>> = {};
  for (const [phase, what] of [
    ['forged INIT', 'flood'],
    ['HELLO', 'greet'],
  ] as const) {
    const flood = (floods[phase] = start(what, host.udp.joinPort, FLOOD_PER_SECOND));
    await told(flood);
    await sleep(WARM_UP_MS);
    flood.send('pause');
  }
  const stream = start('stream', host.udp.joinPort, rounds * PHASES.length * (PHASE_MS + SETTLE_MS) + 500);
  await told(stream);
  const spans: { readonly phase: Phase; readonly from: number; readonly to: number; readonly waitedMs: number }[] = [];
  const ended = told<{ sent: number[]; closed: number }>(stream);
  for (let i = 0; i < rounds; i++) {
    for (const phase of PHASES) {
      floods[phase]?.send('go');
      const from = nowMs();
      const waited = waitedMs();
      await sleep(PHASE_MS);
      spans.push({ phase, from, to: nowMs(), waitedMs: waitedMs() - waited });
      floods[phase]?.send('pause');
      await sleep(SETTLE_MS);
    }
  }
  const { sent, closed: closedThere } = await ended;
  const figures = Object.fromEntries(
    PHASES.map((phase) => {
      const within = (at: number): boolean => spans.some((span) => span.phase === phase && at >= span.from && at < span.to);
      const delays = got.filter((one) => within(one.at)).map((one) => one.ms);
      const left = sent.filter(within).length;
      const waited = spans.filter((span) => span.phase === phase).reduce((sum, span) => sum + span.waitedMs, 0);
      return [
        phase,
        {
          waitedForCoreMs: Math.round(waited),
          p50Ms: round(p(delays, 0.5)),
          p99Ms: round(p(delays, 0.99)),
          lossRatio: round(1 - delays.length / left),
          sent: left,
        },
      ];
    }),
  ) as Record<Phase, { waitedForCoreMs: number; p50Ms: number; p99Ms: number; lossRatio: number; sent: number }>;
  const perSecond: number[] = [];
  for (const flood of Object.values(floods)) perSecond.push((await stopFlood(flood)).perSecond);
  const refused = { ...host.endpoint.drops };
  await host.close();
  const { calm } = figures;
  const under = [figures['forged INIT'], figures['HELLO']];
  const added = Math.max(...under.map((one) => one.p99Ms - calm.p99Ms));
  const loss = Math.max(...under.map((one) => one.lossRatio - calm.lossRatio));
  const disconnects = closed + closedThere;
  return {
    value: round(added),
    unit: 'ms of delay added at p99, the worse of two floods',
    target: '<= 20 ms; <= 1 % more loss; 0 disconnects at 40,000/s',
    pass: added <= 20 && loss <= 0.01 && disconnects === 0 && perSecond.every((rate) => rate >= 0.95 * FLOOD_PER_SECOND),
    details: {
      ...figures,
      perSecond,
      disconnects,
      refusedByCookie: refused['cookie'] ?? 0,
      refusedByRate: refused['rate'] ?? 0,
      rounds,
      phaseMs: PHASE_MS,
    },
  };
}

function p(values: readonly number[], ratio: number): number {
  return percentile(
    values.toSorted((a, b) => a - b),
    ratio,
  );
}
