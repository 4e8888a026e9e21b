/** The rows of the link benchmark that are no round trips: one peer of a full mesh, and many small messages on one link. */
import type { ChildProcess } from 'node:child_process';
import { bundleScript } from '../../lab/parts/bundle.ts';
import { child, median, quartiles, round2, told } from './processes.ts';

const MESH_TARGET = 1.35;
const MESH_TICK_MS = 1_000 / 60;
/** A game runs for minutes, and V8 has a hot path compiled after some 50,000 packets: here they come faster than 60 times a second. */
const WARM_TICK_MS = 2.5;
const WARM_MS = 5_000;
const MANY_TARGET = 300_000;

/** CPU of one peer of a 32-peer mesh at 60 Hz, 100 bytes to and from each other peer: links against bare sockets that seal. */
export async function meshRow(rounds: number, ms: number): Promise<{ readonly pass: boolean }> {
  using bundle = await bundleScript('test/bench/parts/mesh-child.ts');
  const alive: ChildProcess[] = [];
  const start = (role: string, kind: string, ports: readonly number[], core: number): ChildProcess => {
    const made = child(bundle.path, [role, kind, ports.join(',')], core);
    alive.push(made);
    return made;
  };
  try {
    const linkPeer = start('peer', 'link', [], 0);
    const { ports: joinPorts } = await told<{ ports: number[] }>(linkPeer, 'ports');
    const allLinked = told(linkPeer, 'linked');
    const linkSwarm = start('swarm', 'link', joinPorts, 1);
    await Promise.all([told(linkSwarm, 'ports'), allLinked]);
    // Bare sockets have to know each other's ports before the first tick: the swarm's are found first, then told anew.
    const bare = await bareSockets(start);
    const pairs = { bare, link: [linkPeer, linkSwarm] as const };
    const shares = { bare: [] as number[], link: [] as number[] };
    const perSecond = { bare: [] as number[], link: [] as number[] };
    let sealedBy = '';
    for (let round = -1; round < rounds; round++) {
      const warming = round < 0;
      for (const kind of ['bare', 'link'] as const) {
        const [peer, swarm] = pairs[kind];
        for (const one of [peer, swarm]) one.send({ go: true, every: warming ? WARM_TICK_MS : MESH_TICK_MS });
        await new Promise((resolve) => setTimeout(resolve, warming ? WARM_MS : 300));
        const answer = told<{ cpuShare: number; perSecond: number; by: string }>(peer, 'cpuShare');
        peer.send({ ms });
        const sample = await answer;
        for (const one of [peer, swarm]) one.send({ go: false });
        sealedBy = sample.by;
        if (warming) continue;
        shares[kind].push(sample.cpuShare);
        perSecond[kind].push(sample.perSecond);
      }
    }
    const ratios = shares.link.map((share, i) => share / shares.bare[i]!);
    const ratio = round2(median(ratios));
    return {
      what: 'one peer of 32 at 60 Hz, 100 bytes each way to each: CPU of links with acks / of bare sockets that seal',
      sealedBy,
      linkCpuPercent: round2(median(shares.link) * 100),
      bareCpuPercent: round2(median(shares.bare) * 100),
      receivedPerSecond: Math.round(median(perSecond.link)),
      bareReceivedPerSecond: Math.round(median(perSecond.bare)),
      ratio,
      spread: quartiles(ratios),
      target: MESH_TARGET,
      pass: ratio <= MESH_TARGET,
    } as { readonly pass: boolean };
  } finally {
    for (const one of alive) one.kill('SIGKILL');
  }
}

async function bareSockets(
  start: (role: string, kind: string, ports: readonly number[], core: number) => ChildProcess,
): Promise<readonly [ChildProcess, ChildProcess]> {
  const swarm = start('swarm', 'bare', [], 1);
  const { ports: theirs } = await told<{ ports: number[] }>(swarm, 'ports');
  const peer = start('peer', 'bare', theirs, 0);
  const { ports: mine } = await told<{ ports: number[] }>(peer, 'ports');
  swarm.send({ ports: mine });
  return [peer, swarm];
}

/** Messages of 64 bytes that arrive per second on one link; many share a datagram. */
export async function manyRow(rounds: number, ms: number): Promise<{ readonly pass: boolean }> {
  using bundle = await bundleScript('test/bench/parts/many-child.ts');
  const row: Record<string, unknown> = { what: 'messages of 64 bytes per second through one link, two processes', target: MANY_TARGET };
  let pass = true;
  for (const channel of ['unreliable', 'reliable']) {
    const taker = child(bundle.path, ['take', channel], 0);
    let giver: ChildProcess | undefined;
    try {
      const { port } = await told<{ port: number }>(taker, 'port');
      giver = child(bundle.path, ['give', channel, String(port)], 1);
      row['sealedBy'] = (await told<{ by: string }>(giver, 'by')).by;
      giver.send({ go: true });
      const rates: number[] = [];
      const takerUs: number[] = [];
      const giverUs: number[] = [];
      let before = await count(taker, giver);
      for (let round = -1; round < rounds; round++) {
        await new Promise((resolve) => setTimeout(resolve, ms));
        const after = await count(taker, giver);
        const taken = after.taken - before.taken;
        if (round >= 0) {
          rates.push((taken / (after.at - before.at)) * 1_000);
          takerUs.push((after.cpuUs - before.cpuUs) / taken);
          giverUs.push((after.giverUs - before.giverUs) / taken);
        }
        before = after;
      }
      row[channel] = {
        perSecond: Math.round(median(rates)),
        spread: quartiles(rates).map(Math.round),
        /** CPU per message, which others' load does not stretch as it does the clock. */
        takerCpuUs: round2(median(takerUs)),
        giverCpuUs: round2(median(giverUs)),
      };
      // The target is the link's; what `reliable` reaches depends on how soon its acknowledgements are read, too.
      if (channel === 'unreliable' && median(rates) < MANY_TARGET) pass = false;
    } finally {
      taker.kill('SIGKILL');
      giver?.kill('SIGKILL');
    }
  }
  return { ...row, pass };
}

async function count(taker: ChildProcess, giver: ChildProcess): Promise<{ taken: number; at: number; cpuUs: number; giverUs: number }> {
  const answers = Promise.all([told<{ taken: number; at: number; cpuUs: number }>(taker, 'taken'), told<{ cpuUs: number }>(giver, 'cpuUs')]);
  taker.send({ count: true });
  giver.send({ count: true });
  const [taken, { cpuUs: giverUs }] = await answers;
  return { ...taken, giverUs };
}
