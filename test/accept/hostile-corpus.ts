/**
 * Named packets, each made to break a decoder that trusts its input: how long the worst one takes, what it
 * makes us hold, and whether the next honest packet is still understood.
 */
import { performance } from 'node:perf_hooks';
import { nodeCrypto } from '../../sdk/node/crypto-node.ts';
import { Insider } from './parts/insider.ts';
import { CORPUS, type Hostile } from './parts/hostile.ts';
import { PROLOGUE, ROOM, createVictim } from './parts/victim.ts';
import { decodeCommands, decodeEvents } from '../../sdk/bridge/batch.ts';
import { walkDns } from '../../sdk/node/discovery/dns-walker.ts';
import { decodeMessage } from '../../sdk/mesh/messages.ts';
import { decodeHere, decodeWho } from '../../sdk/wire/datagram.ts';
import { FrameWriter } from '../../sdk/wire/frame.ts';
import { decodePayload, encodePayload } from '../../sdk/wire/payload.ts';
import type { AcceptOptions, AcceptResult } from './rows.ts';

const ROUNDS = 7;
const HONEST = encodePayload({ a: [1, -2, 'x'], b: true });

export async function accept({ seed }: AcceptOptions): Promise<AcceptResult> {
  const failures: string[] = [];
  const worst = { name: '', ms: 0 };
  const bridge = { name: '', ms: 0, bytes: 0 };
  const worstFirst = { name: '', ms: 0 };
  const worstHeld = { name: '', bytes: 0 };
  for (const hostile of CORPUS) {
    const times: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const run = prepare(hostile, seed + round);
      const before = process.memoryUsage();
      const t = performance.now();
      try {
        run.attack();
      } catch (error) {
        failures.push(`${hostile.name} threw ${String(error)}`);
      }
      times.push(performance.now() - t);
      const after = process.memoryUsage();
      const held = after.heapUsed + after.external - before.heapUsed - before.external;
      // A collection in between makes the difference negative; the other rounds tell.
      if (hostile.at === 'bridge') bridge.bytes = Math.max(bridge.bytes, held);
      else if (held > worstHeld.bytes) Object.assign(worstHeld, { name: hostile.name, bytes: held });
      if (!run.honest()) failures.push(`${hostile.name}: the next honest packet was not understood`);
    }
    if (hostile.at === 'bridge') {
      if (Math.min(...times) > bridge.ms) Object.assign(bridge, { name: hostile.name, ms: Math.min(...times) });
      continue;
    }
    if (times[0]! > worstFirst.ms) Object.assign(worstFirst, { name: hostile.name, ms: times[0]! });
    const least = Math.min(...times);
    if (least > worst.ms) Object.assign(worst, { name: hostile.name, ms: least });
  }
  const bytes = worstHeld.bytes;
  return {
    value: Math.round(worst.ms * 1_000) / 1_000,
    unit: `ms, the slowest datagram's best of ${ROUNDS}; batches of a page (64 KiB) stand apart`,
    target: '>= 80 named packets; <= 1 ms and <= 1 MB each; the next honest packet understood',
    pass: CORPUS.length >= 80 && failures.length === 0 && worst.ms <= 1 && bytes <= 1_048_576,
    details: { packets: CORPUS.length, slowest: worst.name, slowestFirstRun: worstFirst, mostAllocated: worstHeld, pageBatches: bridge, failures },
  };
}

interface Run {
  attack(): void;
  /** True when an honest packet after it gives exactly what it should. */
  honest(): boolean;
}

function prepare(hostile: Hostile, seed: number): Run {
  const same = (): boolean => Buffer.from(encodePayload(decodePayload(HONEST)!)).equals(Buffer.from(HONEST));
  switch (hostile.at) {
    case 'payload':
      return { attack: () => void decodePayload(hostile.bytes), honest: same };
    case 'mesh':
      return { attack: () => void decodeMessage(hostile.bytes), honest: same };
    case 'bridge':
      return { attack: () => void [decodeCommands(hostile.bytes), decodeEvents(hostile.bytes)], honest: same };
    case 'dns':
      return { attack: () => void walkDns(hostile.bytes), honest: same };
    case 'query':
      return { attack: () => void [decodeWho(hostile.bytes), decodeHere(hostile.bytes)], honest: same };
    case 'join': {
      const victim = createVictim(nodeCrypto, seed);
      const after = new Insider(nodeCrypto, victim, ROOM, PROLOGUE);
      return { attack: () => victim.handleDatagram(1_000, 'join', 'attacker', 9, hostile.bytes), honest: () => after.connect(1_000) };
    }
    case 'session': {
      const victim = createVictim(nodeCrypto, seed);
      const member = new Insider(nodeCrypto, victim, ROOM, PROLOGUE);
      const friend = new Insider(nodeCrypto, victim, ROOM, PROLOGUE, 'friend');
      if (!member.connect(1_000) || !friend.connect(1_000)) throw new Error('the corpus cannot link');
      const sealed = member.seal(1_001, hostile.bytes);
      return {
        attack: () => victim.handleDatagram(1_001, 'session', member.host, 2, sealed),
        honest: () => {
          const writer = new FrameWriter(200);
          writer.begin(200);
          writer.unreliable(3, HONEST);
          friend.events.length = 0;
          friend.send(1_002, writer.bytes.slice(0, writer.at));
          const got = friend.events.find((e) => e.type === 'message' && e.lane === 3);
          return got?.type === 'message' && Buffer.from(got.bytes).equals(Buffer.from(HONEST));
        },
      };
    }
  }
}
