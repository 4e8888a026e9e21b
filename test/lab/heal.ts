/**
 * Lab `heal`: eight peers are split into several shapes, play on, and are joined again. Passes when they
 * are one room with one roster and equal entities, what each changed while apart included, within 3 s of
 * each healing (p95).
 */
import { Members, clock, percentile } from './members.ts';
import { Lab } from './netns.ts';
import { sleep } from './process.ts';
import type { LabResult } from './run.ts';

const peers = 8;
const everybody = Array.from({ length: peers }, (_, index) => index);
/** Longer than anybody needs to see that the others are gone, to be host, and to go on. */
const apartMs = 6_000;

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
  ['one-way', (lab) => lab.blockEach(everybody.slice(1).map((index) => [0, index]))],
];

export async function lab(args: readonly string[] = []): Promise<LabResult> {
  const rounds = Number(args[0] ?? 4);
  using network = new Lab(peers);
  await using members = await Members.open(network);
  members.join(everybody);
  await members.whole(everybody, 30_000);
  const healedMs: number[] = [];
  let unhealed = 0;
  const byShape: Record<string, number[]> = {};
  for (let round = 0; round < rounds; round += 1) {
    for (const [at, [name, cut]] of shapes.entries()) {
      const mark = (1 + round * shapes.length + at) * 100;
      cut(network);
      await sleep(apartMs / 2);
      members.mark(everybody, mark);
      await sleep(apartMs / 2);
      const healedAt = clock();
      network.heal();
      const ms = await members.whole(everybody, 20_000, mark).then(
        (wholeAt) => Math.max(0, Math.round(wholeAt - healedAt)),
        (error: unknown) => {
          process.stderr.write(`${name}: ${String(error)}\n`);
          unhealed += 1;
          return 20_000;
        },
      );
      healedMs.push(ms);
      (byShape[name] ??= []).push(ms);
      await sleep(500);
    }
  }
  const p95 = percentile(healedMs, 0.95);
  return {
    lab: 'heal',
    peers,
    rounds,
    healed_ms: byShape,
    healed_ms_p50: percentile(healedMs, 0.5),
    healed_ms_p95: p95,
    unhealed,
    split_terms: members.splitTerms.length,
    pass: p95 <= 3_000 && unhealed === 0 && members.splitTerms.length === 0,
  };
}

function cutUnless(lab: Lab, open: (a: number, b: number) => boolean): void {
  lab.blockEach(everybody.flatMap((a) => everybody.filter((b) => a !== b && !open(a, b)).map((b) => [a, b] as const)));
}
