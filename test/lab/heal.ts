/**
 * Lab `heal`: eight peers are split into several shapes, play on, and are joined again. Passes when
 * they are one room with one roster and the same entities within 3 s of each healing (p95).
 */
import { Members, percentile } from './members.ts';
import { Lab } from './netns.ts';
import { sleep } from './process.ts';
import type { LabResult } from './run.ts';

const peers = 8;
const everybody = Array.from({ length: peers }, (_, index) => index);

/** Each shape cuts the LAN in its own way. */
const shapes: readonly (readonly [string, (lab: Lab) => void])[] = [
  [
    'halves',
    (lab) =>
      lab.partition([
        [0, 1, 2, 3],
        [4, 5, 6, 7],
      ]),
  ],
  ['isolate-one', (lab) => lab.partition([[0], [1, 2, 3, 4, 5, 6, 7]])],
  ['ring', (lab) => cutUnless(lab, (a, b) => (a + 1) % peers === b || (b + 1) % peers === a)],
  ['bridge', (lab) => cutUnless(lab, (a, b) => a < 4 === b < 4 || (a === 3 && b === 4) || (a === 4 && b === 3))],
  ['one-way', (lab) => everybody.slice(1).forEach((index) => lab.blockOneWay(0, index))],
];

export async function lab(args: readonly string[] = []): Promise<LabResult> {
  const rounds = Number(args[0] ?? 2);
  using network = new Lab(peers);
  await using members = new Members(network);
  members.startAll();
  await members.whole(everybody, 60_000);
  const healedMs: number[] = [];
  const byShape: Record<string, number> = {};
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, cut] of shapes) {
      cut(network);
      await sleep(6000);
      network.heal();
      const ms = Math.round(
        await members.whole(everybody, 20_000).catch((error: unknown) => {
          process.stderr.write(`${name}: ${String(error)}\n`);
          return 20_000;
        }),
      );
      healedMs.push(ms);
      byShape[name] = Math.max(byShape[name] ?? 0, ms);
      await sleep(500);
    }
  }
  const p95 = percentile(healedMs, 0.95);
  return { lab: 'heal', peers, rounds, healed_ms: byShape, healed_ms_p95: p95, pass: p95 <= 3000 };
}

function cutUnless(lab: Lab, open: (a: number, b: number) => boolean): void {
  for (const a of everybody) for (const b of everybody) if (a !== b && !open(a, b)) lab.blockOneWay(a, b);
}
