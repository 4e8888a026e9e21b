/**
 * Lab `host-kill`: eight real processes at 10 % loss; the host is killed with -9 again and again and
 * comes back each time. Passes when the others agree on a new host within 1 s (p95) and 2 s (worst), and
 * no term ever had two hosts.
 */
import { Members, clock, percentile } from './members.ts';
import { Lab } from './netns.ts';
import { sleep, until } from './process.ts';
import type { LabResult } from './run.ts';

const peers = 8;

export async function lab(args: readonly string[] = []): Promise<LabResult> {
  const kills = Number(args[0] ?? 50);
  using network = new Lab(peers);
  network.setLoss(0.1);
  await using members = await Members.open(network);
  const everybody = network.hosts.map((host) => host.index);
  members.join(everybody);
  await members.whole(everybody, 30_000);
  const changeMs: number[] = [];
  const backMs: number[] = [];
  for (let kill = 0; kill < kills; kill += 1) {
    const host = members.agreedHost();
    if (host === undefined) throw new Error('no agreed host to kill');
    const others = everybody.filter((index) => index !== host);
    const killedAt = clock();
    const home = members.kill(host);
    await until(
      'a new host',
      15_000,
      () => {
        const next = members.agreedHost(others);
        return next === undefined || next === host ? undefined : next;
      },
      5,
    );
    // Their own clocks say when; how fast this process reads their lines does not matter.
    changeMs.push(Math.round(members.agreedAt(others) - killedAt));
    await members.start(host, home);
    const askedAt = clock();
    members.join([host]);
    backMs.push(Math.round((await members.whole(everybody, 30_000)) - askedAt));
    // What the start of a process costs must not be measured as a slow election.
    await sleep(400);
  }
  const p95 = percentile(changeMs, 0.95);
  const max = percentile(changeMs, 1);
  return {
    lab: 'host-kill',
    peers,
    kills,
    loss_ratio: 0.1,
    agreed_ms_p50: percentile(changeMs, 0.5),
    agreed_ms_p95: p95,
    agreed_ms_max: max,
    back_ms_p95: percentile(backMs, 0.95),
    split_terms: members.splitTerms.length,
    pass: p95 <= 1_000 && max <= 2_000 && members.splitTerms.length === 0,
  };
}
