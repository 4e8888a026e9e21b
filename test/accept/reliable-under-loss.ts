/** Reliable messages on a network that loses, doubles, reorders and delays: none lost, none twice, none out of order. */
import { performance } from 'node:perf_hooks';
import { Rig } from '../link-rig.ts';
import type { AcceptOptions, AcceptResult } from './rows.ts';

const WALL_MS = 300_000;

export async function accept({ small, seed }: AcceptOptions): Promise<AcceptResult> {
  const total = small ? 20_000 : 1_000_000;
  const rig = new Rig({ seed, delayMs: 5 });
  const [a, b] = [rig.add(), rig.add()];
  const [link] = rig.pair(a, b);
  rig.net.configure({ lossRatio: 0.4, duplicateRatio: 0.25, reorderRatio: 0.25, jitterMs: 300 });
  let sent = 0;
  let received = 0;
  let wrong = 0;
  let disconnects = 0;
  rig.onEvent = (node, e) => {
    if (e.type === 'closed') disconnects++;
    if (node === b && e.type === 'message') {
      // Exactly once and in order is one rule: the next message is the next number.
      if (((e.bytes[0]! << 24) | (e.bytes[1]! << 16) | (e.bytes[2]! << 8) | e.bytes[3]!) !== received) wrong++;
      received++;
    }
    node.events.length = 0;
  };
  const bytes = new Uint8Array(16);
  const started = performance.now();
  const simStarted = rig.now;
  rig.run(1e9, () => {
    let queued = false;
    while (sent < total) {
      bytes[0] = sent >>> 24;
      bytes[1] = sent >>> 16;
      bytes[2] = sent >>> 8;
      bytes[3] = sent;
      if (!a.endpoint.send(rig.now, link, 'reliable', bytes)) break;
      sent++;
      queued = true;
    }
    if (queued) rig.drain(a);
    return received >= total || disconnects > 0 || performance.now() - started > WALL_MS;
  });
  const simSeconds = Math.round((rig.now - simStarted) / 1_000);
  rig.run(5_000);
  const value = total - received + wrong + disconnects;
  return {
    value,
    unit: 'messages lost, doubled, misordered, plus disconnects',
    target: '0 of 1,000,000 in the simulator',
    pass: value === 0,
    details: { messages: total, received, wrong, disconnects, lossRatio: 0.4, duplicateRatio: 0.25, reorderRatio: 0.25, jitterMs: 300, simSeconds },
  };
}
