/**
 * Members that open messages and never finish them: what they can make us hold, and what an honest
 * transfer beside them loses.
 */
import { createRng } from '../../sdk/base/rng.ts';
import { loadCrypto } from '../../sdk/node/crypto.ts';
import { HeldBudget } from '../../sdk/link/held-budget.ts';
import { FrameWriter, fragmentCount } from '../../sdk/wire/frame.ts';
import { MAX_HELD_BYTES, MAX_HELD_BYTES_PER_PEER, MAX_MESSAGE_BYTES } from '../../sdk/wire/limits.ts';
import { Rig } from '../link-rig.ts';
import { Insider, drain } from './parts/insider.ts';
import { PROLOGUE, ROOM, createVictim } from './parts/victim.ts';
import type { AcceptOptions, AcceptResult } from './rows.ts';

const MEMBERS = 31;
const GOODPUT_MS = 3_000;

export async function accept({ small, seed }: AcceptOptions): Promise<AcceptResult> {
  const crypto = await loadCrypto();
  const rng = createRng(seed);
  const sets = small ? 1_000 : 100_000;
  const writer = new FrameWriter(1_400);
  let opened = 0;
  const openSet = (now: number, insider: Insider, lane: number, id: number, length: number): void => {
    writer.begin(1_400);
    const body = new Uint8Array(length);
    writer.fragment(lane, id, rng.int(fragmentCount(length) - 1), fragmentCount(length), body);
    insider.send(now, writer.bytes.slice(0, writer.at));
    opened++;
  };

  // One member alone, then 31 together that each stop short of being thrown out.
  let now = 1_000;
  const budget = new HeldBudget();
  const victim = createVictim(crypto, seed, budget);
  let perPeer = 0;
  let links = 0;
  while (opened < sets && links < sets) {
    now += 1_000;
    // What was closed is buried by its timers.
    for (let i = 0; i < 10; i++) {
      victim.handleTimeout((now += 100));
      drain(now, victim);
    }
    const insider = new Insider(crypto, victim, ROOM, PROLOGUE, `h${links++}`);
    if (!insider.connect(now)) continue;
    const before = victim.load.heldBytes;
    for (let i = 0; i < 40 && insider.linked && opened < sets; i++) {
      openSet(now, insider, rng.int(8), i * 25, rng.chance(0.5) ? MAX_MESSAGE_BYTES : 1_121 + rng.int(40_000));
      perPeer = Math.max(perPeer, victim.load.heldBytes - before);
    }
  }
  const tried = opened;
  const closedByUs = links;
  let perProcess = 0;
  const crowdVictim = createVictim(crypto, seed + 1);
  const crowd = Array.from({ length: MEMBERS }, (_, i) => new Insider(crypto, crowdVictim, ROOM, PROLOGUE, `c${i}`));
  for (const insider of crowd) insider.connect(now);
  for (let i = 0; i < 8; i++) {
    for (const insider of crowd) if (insider.linked) openSet(now, insider, i, 0, Math.floor(MAX_MESSAGE_BYTES / 8) - 64);
    perProcess = Math.max(perProcess, crowdVictim.load.heldBytes);
  }

  let honestClosed = 'no';
  let besideDrops: Record<string, number> = {};
  const [alone, beside] = [goodput(false), goodput(true)];
  const ratio = beside / alone;
  const value = Math.max(perPeer / MAX_HELD_BYTES_PER_PEER, perProcess / MAX_HELD_BYTES);
  return {
    value: Math.round(value * 1_000) / 1_000,
    unit: 'of the bound (1 MiB per peer, 8 MiB per process), the fuller one',
    target: '<= 1 over 100,000 incomplete sets; honest goodput >= 95 %',
    pass: value <= 1 && ratio >= 0.95 && honestClosed === 'no',
    details: {
      sets: tried,
      besideDrops,
      honestLinkClosed: honestClosed,
      links: closedByUs,
      heldPerPeerBytes: perPeer,
      heldPerProcessBytes: perProcess,
      members: MEMBERS,
      honestGoodputRatio: Math.round(ratio * 1_000) / 1_000,
    },
  };

  /** Bytes an honest member brings through in the simulated time. */
  function goodput(hoarding: boolean): number {
    const rig = new Rig({ seed, delayMs: 1, bytesPerMs: 12_500 });
    const [a, b] = [rig.add('a', undefined, undefined, undefined, crypto), rig.add('b', undefined, undefined, undefined, crypto)];
    const [link] = rig.pair(a, b);
    const hoarders = hoarding ? Array.from({ length: MEMBERS - 1 }, (_, i) => new Insider(crypto, b.endpoint, ROOM, PROLOGUE, `c${i}`)) : [];
    for (const hoarder of hoarders) {
      hoarder.onOther = (sent) =>
        rig.net.handleDatagram(rig.now, {
          from: { host: 'b', port: sent.socket === 'join' ? 1 : 2 },
          to: { host: sent.host, port: sent.port },
          socket: sent.socket,
          bytes: sent.bytes,
        });
    }
    let bytes = 0;
    rig.onEvent = (node, e) => {
      if (node === a && e.type === 'closed') honestClosed = e.reason;
      if (node === b && e.type === 'message') bytes += e.bytes.length;
      node.events.length = 0;
    };
    const start = rig.now;
    for (let step = 0; rig.now - start < GOODPUT_MS; step++) {
      for (const hoarder of hoarders) {
        // A handshake costs the hoarder as much as us, so it does not come back at once.
        if (!hoarder.linked) {
          if (step % 60 === 0) hoarder.connect(rig.now);
        } else if (step % 30 < 8) openSet(rig.now, hoarder, step % 8, Math.floor(step / 30) % 1_024, 30_000);
      }
      while (a.endpoint.send(rig.now, link, 'reliable', new Uint8Array(20_000)));
      a.endpoint.flush(rig.now);
      rig.run(16);
    }
    for (const hoarder of hoarders) bytes += hoarder.events.reduce((sum, e) => sum + (e.type === 'message' ? e.bytes.length : 0), 0);
    if (hoarding) besideDrops = { ...b.endpoint.drops };
    return bytes;
  }
}
