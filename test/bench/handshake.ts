/**
 * `npm run bench -- handshake`: what one handshake costs in CPU, datagrams and bytes, and how long 32
 * peers that join one at once take, all 33 on one core; in one process without sockets, so that both sides'
 * CPU is told apart. `default` is the provider that `openLan` takes here.
 */
import { performance } from 'node:perf_hooks';
import { createRng } from '../../sdk/base/rng.ts';
import { Endpoint } from '../../sdk/link/endpoint.ts';
import { loadCrypto } from '../../sdk/node/crypto.ts';
import type { CryptoProvider } from '../../sdk/secure/provider.ts';
import { PROLOGUE, ROOM } from '../accept/parts/victim.ts';

const ROUNDS = 9;
const PER_ROUND = 20;

interface Cost {
  initiatorMs: number;
  responderMs: number;
  datagrams: number;
  bytes: number;
}

export async function bench(): Promise<object> {
  const providers: object[] = [];
  const { name: byDefault } = await loadCrypto();
  let pass = true;
  for (const choice of ['node', 'wasm', 'native'] as const) {
    const crypto = await loadCrypto(choice);
    if (crypto.name !== choice) continue;
    const costs = Array.from({ length: ROUNDS }, () => round(crypto));
    const initiatorMs = median(costs.map((c) => c.initiatorMs));
    const responderMs = median(costs.map((c) => c.responderMs));
    const joins = Array.from({ length: ROUNDS }, () => crowd(crypto)).toSorted((a, b) => a - b);
    const row = {
      provider: crypto.name,
      default: crypto.name === byDefault,
      initiatorMs,
      responderMs,
      datagrams: costs[0]!.datagrams,
      bytes: costs[0]!.bytes,
      joins32Ms: median(joins),
      joins32Spread: [joins[0], joins.at(-1)],
    };
    if (initiatorMs > 3 || responderMs > 3 || row.joins32Ms > 500) pass = false;
    providers.push(row);
  }
  return { rounds: ROUNDS, perRound: PER_ROUND, target: '<= 3 ms of CPU a side; 32 joins <= 500 ms', providers, pass };
}

function round(crypto: CryptoProvider): Cost {
  const sum: Cost = { initiatorMs: 0, responderMs: 0, datagrams: 0, bytes: 0 };
  for (let i = 0; i < PER_ROUND; i++) {
    const b = made(crypto, 2);
    const a = made(crypto, 1);
    a.connect(0, { host: 'b', port: 1 }, { mode: 'open' });
    const cost = shuttle([a], b);
    sum.initiatorMs += cost.initiatorMs / PER_ROUND;
    sum.responderMs += cost.responderMs / PER_ROUND;
    sum.datagrams = cost.datagrams;
    sum.bytes = cost.bytes;
  }
  return { ...sum, initiatorMs: round3(sum.initiatorMs), responderMs: round3(sum.responderMs) };
}

function crowd(crypto: CryptoProvider): number {
  const host = made(crypto, 1);
  const joiners = Array.from({ length: 32 }, (_, i) => made(crypto, i + 2));
  const started = performance.now();
  for (const joiner of joiners) joiner.connect(0, { host: 'b', port: 1 }, { mode: 'open' });
  shuttle(joiners, host);
  if (host.load.links !== 32) throw new Error(`${host.load.links} of 32 joined`);
  return round3(performance.now() - started);
}

function made(crypto: CryptoProvider, seed: number): Endpoint {
  const endpoint = new Endpoint({
    crypto,
    rng: createRng(seed),
    identity: crypto.generateKeyPair(),
    roomId: ROOM,
    joinPort: 1,
    sessionPort: 2,
    prologue: PROLOGUE,
  });
  endpoint.setDoor({ open: true, code: undefined, roomKey: undefined });
  return endpoint;
}

/** Carries datagrams to and fro until nobody has any; counts those of the join socket. */
function shuttle(clients: readonly Endpoint[], host: Endpoint): Cost {
  const cost: Cost = { initiatorMs: 0, responderMs: 0, datagrams: 0, bytes: 0 };
  for (let pass = 0; pass < 12; pass++) {
    for (let i = 0; i < clients.length; i++) {
      for (const sent of take(clients[i]!, 'initiatorMs')) give(host, `c${i}`, sent, 'responderMs');
    }
    for (const sent of take(host, 'responderMs')) give(clients[Number(sent.host.slice(1))]!, 'b', sent, 'initiatorMs');
  }
  return cost;

  function take(from: Endpoint, side: 'initiatorMs' | 'responderMs'): { socket: 'join' | 'session'; host: string; bytes: Uint8Array }[] {
    const t0 = cpuMs();
    const out = [];
    for (let t = from.pollTransmit(0); t !== undefined; t = from.pollTransmit(0))
      out.push({ socket: t.socket, host: t.host, bytes: t.bytes.slice() });
    cost[side] += cpuMs() - t0;
    for (const sent of out) {
      if (sent.socket !== 'join') continue;
      cost.datagrams++;
      cost.bytes += sent.bytes.length;
    }
    return out;
  }

  function give(to: Endpoint, from: string, sent: { socket: 'join' | 'session'; bytes: Uint8Array }, side: 'initiatorMs' | 'responderMs'): void {
    const t0 = cpuMs();
    to.handleDatagram(0, sent.socket, from, sent.socket === 'join' ? 1 : 2, sent.bytes);
    cost[side] += cpuMs() - t0;
  }
}

/** CPU this process has used, user and system, ms: other processes' load does not count as ours. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

const round3 = (value: number): number => Math.round(value * 1_000) / 1_000;
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
