/**
 * What a member who holds the keys may try: lies in acknowledgements and fragments.
 */
import { describe, expect, it } from 'vitest';
import { createRng } from '../sdk/base/rng.ts';
import type { PeerId } from '../sdk/base/brand.ts';
import { ReceivedPackets } from '../sdk/link/acks.ts';
import type { CloseReason, LinkId } from '../sdk/link/endpoint-types.ts';
import { HeldBudget } from '../sdk/link/held-budget.ts';
import { Link } from '../sdk/link/link.ts';
import { FrameWriter } from '../sdk/wire/frame.ts';
import {
  ERROR_BUDGET,
  LANE_WINDOW_MESSAGES,
  MAX_HELD_BYTES,
  MAX_MESSAGE_BYTES,
  MAX_OPEN_REASSEMBLIES,
  MAX_RECEIVE_HELD_BYTES,
  SKIP_SEQ_MAX,
} from '../sdk/wire/limits.ts';

interface Victim {
  readonly link: Link;
  readonly drops: string[];
  readonly messages: Uint8Array[];
  closed: CloseReason | undefined;
  seq: number;
}

function victim(budget = new HeldBudget(), seed = 1): Victim {
  const drops: string[] = [];
  const messages: Uint8Array[] = [];
  const it: Victim = {
    drops,
    messages,
    closed: undefined,
    seq: 0,
    link: new Link(0, {
      id: 1 as LinkId,
      peer: 'abcdefghijklmnop' as PeerId,
      address: { host: 'h', port: 1 },
      rng: createRng(seed),
      random: (size) => new Uint8Array(size),
      budget,
      sink: {
        onMessage: (_l, _c, _n, bytes) => messages.push(bytes),
        onSilent: () => {},
        onMoved: () => {},
        onClosed: (_l, reason) => (it.closed = reason),
        onDrop: (reason) => drops.push(reason),
      },
    }),
  };
  return it;
}

const writer = new FrameWriter(1_500);

function feed(it: Victim, write: (w: FrameWriter) => void, now = 1): void {
  writer.begin(1_400);
  write(writer);
  it.link.handlePacket(now, it.seq++, writer.bytes.slice(0, writer.at), writer.at, writer.at + 27, 'h', 1);
}

function drain(it: Victim, now: number): number[] {
  const seqs: number[] = [];
  while (it.link.pollPacket(now)) seqs.push(it.link.outSeq);
  return seqs;
}

describe('acknowledgements', () => {
  it('[LK60] of packets that were never sent close the link', () => {
    const it = victim();
    drain(it, 0);
    feed(it, (w) => w.ack(5, 0, 0, 0));
    expect(it.closed).toBe('protocol');
    expect(it.drops).toEqual(['unsent-ack']);
    const far = victim();
    drain(far, 0);
    feed(far, (w) => w.ack(0, 0xffff_ffff, 0xffff_ffff, 0));
    expect(far.closed).toBe('protocol');
  });

  it('[LK61] of everything, sent or not yet received, meet a skipped number within 512 packets', () => {
    for (let seed = 1; seed <= 50; seed++) {
      const it = victim(undefined, seed);
      let now = 0;
      let last = -1;
      while (it.closed === undefined && last <= SKIP_SEQ_MAX + 2) {
        now += 20;
        it.link.send(now, 'unreliable', new Uint8Array(10), 0);
        it.link.flush();
        for (const seq of drain(it, now)) last = seq;
        // Optimistic: claims all there could be.
        const bits = last >= 64 ? 0xffff_ffff : 0;
        feed(it, (w) => w.ack(last, bits, bits, 0), now);
      }
      expect(it.closed).toBe('protocol');
    }
  });

  it('[LK62] remember exactly the newest 64 before the newest', () => {
    const rng = createRng(5);
    for (let round = 0; round < 200; round++) {
      const received = new ReceivedPackets();
      const truth = new Set<number>();
      let seq = rng.int(5);
      for (let i = 0; i < 120; i++) {
        const it = Math.max(0, seq - rng.int(rng.chance(0.1) ? 100 : 4));
        if (!truth.has(it)) {
          received.record(i, it);
          truth.add(it);
        }
        seq += 1 + (rng.chance(0.1) ? rng.int(90) : rng.int(2));
      }
      for (let i = 0; i < 64; i++) {
        const bit = i < 32 ? (received.near >>> i) & 1 : (received.far >>> (i - 32)) & 1;
        const number = received.newest - 1 - i;
        if (bit === 1) expect(truth.has(number)).toBe(true);
        // A late one beyond the window when it came is not recorded; within it, it must be.
        if (bit === 0 && truth.has(number)) throw new Error(`lost ${number} behind ${received.newest}`);
      }
    }
  });
});

describe('fragments', () => {
  it('[LK63] that disagree with the first of their message are refused, and the link closes after a few', () => {
    const it = victim();
    feed(it, (w) => w.fragment(0, 0, 0, 2, new Uint8Array(1_500)));
    for (let i = 0; i <= ERROR_BUDGET; i++) feed(it, (w) => w.fragment(0, 0, 1, 2, new Uint8Array(1_502)));
    expect(it.drops).toEqual(Array.from({ length: ERROR_BUDGET + 1 }, () => 'reliable'));
    expect(it.closed).toBe('protocol');
    expect(it.messages).toEqual([]);
  });

  it('[LK64] of more than eight messages at once are refused', () => {
    const it = victim();
    for (let id = 0; id < MAX_OPEN_REASSEMBLIES; id++) feed(it, (w) => w.fragment(id % 8, id, 0, 2, new Uint8Array(1_500)));
    expect(it.drops).toEqual([]);
    feed(it, (w) => w.fragment(0, 100, 0, 2, new Uint8Array(1_500)));
    expect(it.drops).toEqual(['reliable']);
  });

  it('[LK65] that never complete hold at most one message of the largest size per peer, and 8 MiB in all', () => {
    const budget = new HeldBudget();
    for (let peer = 0; peer < 31; peer++) {
      const it = victim(budget, peer);
      for (let id = 0; id < 100; id++)
        feed(it, (w) => w.fragment(id % 8, id, 0, Math.ceil(MAX_MESSAGE_BYTES / 1_120), new Uint8Array(MAX_MESSAGE_BYTES)));
    }
    expect(budget.usedBytes).toBeLessThanOrEqual(31 * (MAX_RECEIVE_HELD_BYTES + 64));
    expect(budget.usedBytes).toBeLessThanOrEqual(MAX_HELD_BYTES);
  });

  it('[LK66] of ids far ahead do not alias with ids near by', () => {
    const it = victim();
    feed(it, (w) => w.fragment(0, 0, 0, 2, new Uint8Array(1_500).fill(1)));
    feed(it, (w) => w.fragment(0, 256, 1, 2, new Uint8Array(1_500).fill(2)));
    feed(it, (w) => w.fragment(0, 65_536, 1, 2, new Uint8Array(1_500).fill(3)));
    expect(it.messages).toEqual([]);
    expect(it.drops).toEqual(['reliable']);
    feed(it, (w) => w.fragment(0, 0, 1, 2, new Uint8Array(1_500).fill(1)));
    expect(it.messages).toEqual([new Uint8Array(1_500).fill(1)]);
    feed(it, (w) => w.reliable(1, LANE_WINDOW_MESSAGES, new Uint8Array(1)));
    expect(it.drops).toEqual(['reliable', 'reliable']);
  });

  it('[LK67] may come in any order and any number of times', () => {
    const rng = createRng(8);
    const it = victim();
    const body = new Uint8Array(10_000).map(() => rng.int(256));
    const count = Math.ceil(body.length / 1_120);
    const order = Array.from({ length: count * 3 }, (_, i) => i % count).sort(() => rng.float() - 0.5);
    feed(it, (w) => w.reliable(0, 1, new Uint8Array([7])));
    for (const index of order) feed(it, (w) => w.fragment(0, 0, index, count, body));
    expect(it.messages).toEqual([body, new Uint8Array([7])]);
    expect(it.drops).toEqual([]);
  });
});
