/**
 * Lab `duel`: four real processes play a simulation at 60 ticks a second and 10 % loss; the host is killed with -9 again and again, and comes back each time.
 * Passes when every tick that two of them settled came to the same state, nobody heard `desync`, nobody who lived had its state replaced, and after each kill
 * play went on within 1.5 s (the host is noticed within 1 s, and the next one asks first).
 */
import { percentile } from './members.ts';
import { Lab } from './netns.ts';
import { bundleScript } from './parts/bundle.ts';
import { LabProcess, ProcessGroup, sleep, until } from './process.ts';
import type { LabResult } from './run.ts';

const players = 4;

interface Told {
  readonly at: 'ready' | 'told';
  readonly t: number;
  readonly self: string;
  readonly host: string;
  readonly players: number;
  readonly status: string;
  readonly ticks: readonly (readonly [number, number])[];
  readonly events: readonly string[];
  readonly stats: { readonly rollbacks: number; readonly resimulatedTicks: number; readonly deepestRollbackTicks: number };
}

/** What one process has said; another one on the same host is another voice. */
class Voice {
  readonly events: string[] = [];
  last: Told | undefined;
  /** When it last said that something was settled, and the longest time between two such lines since `measure`, ms. */
  settledAt = 0;
  longestMs = 0;
}

export async function lab(args: readonly string[] = []): Promise<LabResult> {
  const kills = Number(args[0] ?? 10);
  using network = new Lab(players);
  network.setLoss(0.1);
  using bundle = await bundleScript('test/lab/duel-peer.ts');
  await using group = new ProcessGroup();
  const voices = new Map<number, Voice>();
  const processes = new Map<number, LabProcess>();
  /** By tick: the hash of its state, and who has said so. */
  const states = new Map<number, { readonly hash: number; readonly by: Set<number> }>();
  const different: number[] = [];
  let shared = 0;

  const hear = (index: number, voice: Voice, told: Told): void => {
    if (told.at !== 'told') return;
    voice.last = told;
    voice.events.push(...told.events);
    for (const [tick, hash] of told.ticks) {
      const known = states.get(tick);
      if (known === undefined) states.set(tick, { hash, by: new Set([index]) });
      else if (known.hash === hash) shared++;
      else different.push(tick);
      known?.by.add(index);
    }
    if (told.ticks.length === 0) return;
    voice.longestMs = Math.max(voice.longestMs, told.t - voice.settledAt);
    voice.settledAt = told.t;
  };
  const start = async (index: number, home?: string): Promise<void> => {
    const voice = new Voice();
    const place = { lab: network, host: network.host(index) };
    const player = group.use(new LabProcess([process.execPath, bundle.path, '--name', `p${index}`], place, {}, home, 'pipe'));
    voices.set(index, voice);
    processes.set(index, player);
    player.onLine((line) => line.startsWith('{') && hear(index, voice, JSON.parse(line) as Told));
    await player.waitFor(/"ready"/u, 60_000);
  };
  const everybody = network.hosts.map((host) => host.index);
  const allPlay = (): true | undefined =>
    [...voices.values()].every(({ last }) => last?.status === 'playing' && last.players === players) ? true : undefined;

  for (const index of everybody) await start(index);
  await until('all to play', 30_000, allPlay);
  await sleep(3_000);
  const pauses: number[] = [];
  for (let kill = 0; kill < kills; kill += 1) {
    const host = everybody.find((index) => voices.get(index)!.last!.self === voices.get(index)!.last!.host);
    if (host === undefined) throw new Error('nobody is host');
    const others = everybody.filter((index) => index !== host);
    for (const index of others) Object.assign(voices.get(index)!, { longestMs: 0, settledAt: performance.timeOrigin + performance.now() });
    const victim = processes.get(host)!;
    victim.kill();
    // What it had settled and nobody else was told of went with it.
    for (const [tick, { by }] of states) if (by.size === 1 && by.has(host)) states.delete(tick);
    await sleep(2_500);
    for (const index of others) pauses.push(Math.round(voices.get(index)!.longestMs));
    await start(host, victim.home);
    await until('all to play again', 30_000, allPlay);
    await sleep(500);
  }
  const survivors = [...voices.values()];
  const events = survivors.flatMap((voice) => voice.events);
  const stats = survivors.map((voice) => voice.last!.stats);
  const max = percentile(pauses, 1);
  const count = (event: string): number => events.filter((one) => one === event).length;
  return {
    lab: 'duel',
    players,
    kills,
    loss_ratio: 0.1,
    ticks_shared: shared,
    ticks_different: different.length,
    pause_ms_p50: percentile(pauses, 0.5),
    pause_ms_p95: percentile(pauses, 0.95),
    pause_ms_max: max,
    rollbacks: stats.reduce((sum, { rollbacks }) => sum + rollbacks, 0),
    deepest_rollback_ticks: Math.max(...stats.map(({ deepestRollbackTicks }) => deepestRollbackTicks)),
    desyncs: count('desync'),
    resyncs: count('resync'),
    other_events: events.filter((event) => !['start', 'stall', 'resume', 'desync', 'resync'].includes(event)),
    pass: different.length === 0 && shared > 1_000 && count('desync') === 0 && count('resync') === 0 && max <= 1_500,
  };
}
