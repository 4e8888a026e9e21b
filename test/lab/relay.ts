/**
 * Lab `relay`: of three peers, two lose sight of each other while both still reach the third, which
 * carries for them. Passes when the two show each other as relayed within 1 s, neither sees the other
 * stand still for longer than that, and the one that carries can read nothing of it; and when, as it
 * alters a third of what it carries, every altered piece is refused and nothing false is ever seen.
 */
import { Members, clock, type MemberView } from './members.ts';
import { Lab } from './netns.ts';
import { sleep, until } from './process.ts';
import type { LabResult } from './run.ts';

const a: number = 0;
const b: number = 1;
const carrier: number = 2;
const ends = [a, b];
const everybody = [a, b, carrier];
const playMs = 3_000;

export async function lab(args: readonly string[] = []): Promise<LabResult> {
  const rounds = Number(args[0] ?? 5);
  using network = new Lab(3);
  await using members = await Members.open(network);
  members.join(everybody);
  await members.whole(everybody, 30_000);
  await sleep(1_000);
  const view = (index: number): MemberView | undefined => members.views().get(index);
  const bothRelayed = (): boolean => ends.every((index) => (view(index)?.relayed ?? 0) > 0);
  const relayedMs: number[] = [];
  const stillMs: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    members.measure(everybody);
    await sleep(200);
    const blockedAt = clock();
    network.blockPair(a, b);
    await until('a relayed pair', 20_000, () => (bothRelayed() ? true : undefined), 5);
    relayedMs.push(Math.round(members.changedAt(ends) - blockedAt));
    await sleep(playMs);
    stillMs.push(view(a)?.gaps[`m${b}`] ?? 20_000, view(b)?.gaps[`m${a}`] ?? 20_000);
    if (round < rounds - 1) {
      network.heal();
      await until('a direct pair', 20_000, () => (ends.every((index) => view(index)?.relayed === 0) ? true : undefined));
      await sleep(500);
    }
  }

  const refusedBefore = refused(members);
  members.alter(carrier, 1 / 3);
  const marked = 100;
  members.mark(everybody, marked);
  await sleep(playMs);
  members.alter(carrier, 0);
  await members.whole(everybody, 10_000, marked);
  await sleep(1_000);
  const { parts = 0, read = 0, altered = 0 } = view(carrier)?.carried ?? {};
  const refusedPieces = refused(members) - refusedBefore;
  const relayed = Math.max(...relayedMs);
  const still = Math.max(...stillMs);
  return {
    lab: 'relay',
    rounds,
    relayed_ms_max: relayed,
    stood_still_ms_max: still,
    carried: parts,
    read,
    altered,
    refused: refusedPieces,
    pass: relayed <= 1_000 && still <= 1_000 && parts > 0 && read === 0 && altered > 0 && refusedPieces >= altered,
  };
}

/** Pieces the two ends refused, whatever for. */
function refused(members: Members): number {
  return ends.reduce((sum, index) => sum + Object.values(members.views().get(index)?.drops ?? {}).reduce((all, one) => all + one, 0), 0);
}
