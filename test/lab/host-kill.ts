/**
 * Lab `host-kill`: eight real processes at 10 % loss; the host is killed with -9 again and again and
 * comes back each time. Passes when the others agree on a new host within 1 s (p95) and 2 s (worst).
 */
import { Members, percentile } from './members.ts';
import { Lab } from './netns.ts';
import { sleep, until } from './process.ts';
import type { LabResult } from './run.ts';

const peers = 8;

export async function lab(args: readonly string[] = []): Promise<LabResult> {
  const kills = Number(args[0] ?? 50);
  using network = new Lab(peers);
  network.setLoss(0.1);
  await using members = new Members(network);
  members.startAll();
  const everybody = network.hosts.map((host) => host.index);
  await members.whole(everybody, 60_000);
  const changeMs: number[] = [];
  for (let kill = 0; kill < kills; kill += 1) {
    const host = members.agreedHost();
    if (host === undefined) throw new Error('no agreed host to kill');
    const others = everybody.filter((index) => index !== host);
    const killedAt = performance.now();
    const home = members.kill(host);
    changeMs.push(
      await until(
        'a new host',
        15_000,
        () => {
          const next = members.agreedHost(others);
          return next !== undefined && next !== host ? performance.now() - killedAt : undefined;
        },
        5,
      ),
    );
    members.start(host, home);
    await members.whole(everybody, 30_000);
    await sleep(300);
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
    pass: p95 <= 1000 && max <= 2000,
  };
}
