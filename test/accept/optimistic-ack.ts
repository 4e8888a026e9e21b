/**
 * A member that acknowledges what it has not received, so that we send faster than the path carries: how
 * soon it is found, and what any acknowledgement costs us.
 */
import { performance } from 'node:perf_hooks';
import { createRng } from '../../sdk/base/rng.ts';
import { loadCrypto } from '../../sdk/node/crypto.ts';
import { readDataSeq } from '../../sdk/wire/datagram.ts';
import { FrameWriter } from '../../sdk/wire/frame.ts';
import { ERROR_BUDGET, SKIP_SEQ_MAX } from '../../sdk/wire/limits.ts';
import { Insider } from './parts/insider.ts';
import { PROLOGUE, ROOM, createVictim } from './parts/victim.ts';
import type { AcceptOptions, AcceptResult } from './rows.ts';

/** The sum of both random skips may lie between the first packet and the second skip. */
const MOST_PACKETS = SKIP_SEQ_MAX + 16;

export async function accept({ small, seed }: AcceptOptions): Promise<AcceptResult> {
  const crypto = await loadCrypto();
  const trials = small ? 60 : 1_000;
  const rng = createRng(seed);
  const writer = new FrameWriter(100);
  const ack = (newest: number, near: number, far: number, delayMs: number): Uint8Array => {
    writer.begin(100);
    writer.ack(newest, near >>> 0, far >>> 0, delayMs);
    return writer.bytes.slice(0, writer.at);
  };
  let found = 0;
  let worstPackets = 0;
  for (let t = 0; t < trials; t++) {
    const packets = t % 4 === 0 ? unsent(seed + t) : optimistic(seed + t);
    if (packets === undefined) continue;
    found++;
    worstPackets = Math.max(worstPackets, packets);
  }
  const cost = microseconds();
  return {
    value: found,
    unit: `of ${trials} liars closed with protocol`,
    target: '1,000 of 1,000 within 64 to 512 packets; <= 20 us per ack packet',
    pass: found === trials && worstPackets <= MOST_PACKETS && cost.worst <= 20,
    details: { trials, worstPackets, ackMicrosecondsWorstContent: cost.worst, ackMicroseconds: cost.by, provider: crypto.name },
  };

  function linked(s: number): { victim: ReturnType<typeof createVictim>; insider: Insider } | undefined {
    const victim = createVictim(crypto, s);
    const insider = new Insider(crypto, victim, ROOM, PROLOGUE);
    return insider.connect(1_000) ? { victim, insider } : undefined;
  }

  /** Acknowledges a number that has never left. */
  function unsent(s: number): number | undefined {
    const pair = linked(s);
    if (pair === undefined) return undefined;
    pair.insider.send(1_001, ack(5_000 + rng.int(1_000), rng.u32(), rng.u32(), 0));
    return closed(pair.insider) ? 1 : undefined;
  }

  /** Takes what comes, and acknowledges all the numbers up to it as if none were missing. */
  function optimistic(s: number): number | undefined {
    const pair = linked(s);
    if (pair === undefined) return undefined;
    const { victim, insider } = pair;
    const link = insider.events.find((e) => e.type === 'linked')!.link;
    let now = 1_001;
    let packets = 0;
    let newest = 0;
    while (packets < 2 * MOST_PACKETS && !closed(insider)) {
      now += 2;
      while (victim.send(now, link, 'reliable', new Uint8Array(1_000)));
      victim.flush(now);
      victim.handleTimeout(now);
      insider.collect(now);
      for (const datagram of insider.inbox.splice(0)) {
        if (closed(insider)) break;
        packets++;
        newest = Math.max(newest, readDataSeq(datagram));
        // Bits below number 0 would give it away at once.
        const near = newest >= 32 ? 0xffff_ffff : 2 ** newest - 1;
        const far = newest >= 64 ? 0xffff_ffff : newest <= 32 ? 0 : 2 ** (newest - 32) - 1;
        insider.send(now, ack(newest, near, far, 0));
      }
    }
    return closed(insider) ? packets : undefined;
  }

  function closed(insider: Insider): boolean {
    return insider.events.some((e) => e.type === 'closed' && e.reason === 'protocol');
  }

  /** CPU of one packet of acknowledgements, opening included: median of batches, for several kinds of content. */
  function microseconds(): { worst: number; by: Record<string, number> } {
    const many = new FrameWriter(1_200);
    const packet = (write: (w: FrameWriter) => void): Uint8Array => {
      many.begin(1_190);
      write(many);
      return many.bytes.slice(0, many.at);
    };
    // Numbers 0 to 40 have left by then, and no number is skipped before 64.
    const contents: Record<string, () => Uint8Array> = {
      'all that left': () => ack(40, 0xffff_ffff, 0xff, 0),
      'every other': () => ack(40, 0x5555_5555, 0x55, 0),
      'random bits and delay': () => ack(rng.int(8) + 33, rng.u32(), rng.int(2), rng.int(2_000)),
      'sixty in one packet': () => packet((w) => Array.from({ length: 60 }, () => w.ack(40, 0xffff_ffff, 0xff, 0))),
      'another at the end of a full packet': () =>
        packet((w) => {
          w.ack(40, 0xffff_ffff, 0xff, 0);
          w.reliable(0, 0, new Uint8Array(1_100));
          w.ack(39, 0xffff_ffff, 0xff, 0);
        }),
    };
    const by: Record<string, number> = {};
    for (const [name, content] of Object.entries(contents)) {
      const batches: number[] = [];
      // Some of these break a rule, and a link forgives no more of them than one batch has.
      for (let round = 0; round < 160; round++) {
        const pair = linked(seed + round)!;
        const link = pair.insider.events.find((e) => e.type === 'linked')!.link;
        for (let i = 0; i < 42; i++) {
          pair.victim.send(1_001, link, 'unreliable', new Uint8Array(1_000));
          pair.victim.flush(1_001);
          pair.insider.collect(1_001);
        }
        const sealed = Array.from({ length: ERROR_BUDGET }, () => pair.insider.seal(1_001, content()));
        const t = performance.now();
        for (const bytes of sealed) pair.victim.handleDatagram(1_001, 'session', 'insider', 2, bytes);
        batches.push(((performance.now() - t) * 1_000) / ERROR_BUDGET);
        pair.insider.collect(1_001);
        // A closed link would answer faster than a live one.
        if (closed(pair.insider)) throw new Error(`the content '${name}' closed the link while it was timed`);
      }
      batches.sort((x, y) => x - y);
      by[name] = Math.round(batches[batches.length >> 1]! * 100) / 100;
    }
    return { worst: Math.max(...Object.values(by)), by };
  }
}
