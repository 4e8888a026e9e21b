/**
 * What a member who holds the keys may try: lies in acknowledgements and fragments.
 */
import { describe, expect, it } from 'vitest';
import { createRng } from '../sdk/base/rng.ts';
import { ReceivedPackets, SentPackets } from '../sdk/link/acks.ts';
import { HeldBudget } from '../sdk/link/held-budget.ts';
import { fragmentCount } from '../sdk/wire/frame.ts';
import {
  ERROR_BUDGET,
  HELD_SHARE_BYTES,
  HELD_STALE_MS,
  LANE_WINDOW_MESSAGES,
  MAX_HELD_BYTES,
  MAX_LINKS,
  MAX_MESSAGE_BYTES,
  MAX_OPEN_REASSEMBLIES,
  MAX_RECEIVE_HELD_BYTES,
  SENT_WINDOW_PACKETS,
  SKIP_SEQ_MAX,
} from '../sdk/wire/limits.ts';
import { acked, drain, feed, victim, type Victim } from './link-victim.ts';
import { expectSame } from './same.ts';

/** One fragment of a message that never gets its others. */
const hoard = (it: Victim, id: number, bytes: number, now: number): void =>
  feed(it, (w) => w.fragment(id % 8, id, 0, fragmentCount(bytes), new Uint8Array(bytes)), now);

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

  it('[LK61] of a skipped number are known for what they are at every number, also where what is remembered grows', () => {
    const fate = { onPieceAcked: () => undefined, onPieceLost: () => undefined };
    for (let skipped = 0; skipped < 2 * SENT_WINDOW_PACKETS; skipped++) {
      const sent = new SentPackets();
      for (let seq = 0; seq < skipped; seq++) sent.begin(0, seq, true, fate);
      sent.skip(skipped, fate);
      sent.begin(0, skipped + 1, true, fate);
      expect(sent.handleAck(skipped + 1, 1, 0, fate), String(skipped)).toBe('unsent');
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
    feed(it, (w) => w.fragment(0, 0, 0, 6, new Uint8Array(1_500)));
    for (let i = 0; i <= ERROR_BUDGET; i++) feed(it, (w) => w.fragment(0, 0, 1, 6, new Uint8Array(1_502)));
    expect(it.drops).toEqual(Array.from({ length: ERROR_BUDGET + 1 }, () => 'reliable'));
    expect(it.closed).toBe('protocol');
    expect(it.messages).toEqual([]);
  });

  it('[LK64] of more than eight messages at once are refused', () => {
    const it = victim();
    for (let id = 0; id < MAX_OPEN_REASSEMBLIES; id++) feed(it, (w) => w.fragment(id % 8, id, 0, 6, new Uint8Array(1_500)));
    expect(it.drops).toEqual([]);
    feed(it, (w) => w.fragment(0, 100, 0, 6, new Uint8Array(1_500)));
    expect(it.drops).toEqual(['reliable']);
  });

  it('[LK65] that never complete hold at most one message of the largest size per peer, and 8 MiB in all', () => {
    const budget = new HeldBudget();
    for (let peer = 0; peer < 31; peer++) {
      const it = victim(budget, peer);
      for (let id = 0; id < 100; id++)
        feed(it, (w) => w.fragment(id % 8, id, 0, fragmentCount(MAX_MESSAGE_BYTES), new Uint8Array(MAX_MESSAGE_BYTES)));
    }
    expect(budget.usedBytes).toBeLessThanOrEqual(31 * (MAX_RECEIVE_HELD_BYTES + 64));
    expect(budget.usedBytes).toBeLessThanOrEqual(MAX_HELD_BYTES);
  });

  it('[LK65] beyond what a sender may have under way break a rule, and close the link', () => {
    const it = victim();
    hoard(it, 0, MAX_MESSAGE_BYTES, 1);
    for (let i = 1; i <= ERROR_BUDGET + 1; i++) hoard(it, i, 2_000, 1);
    expect(it.drops).toEqual(Array.from({ length: ERROR_BUDGET + 1 }, () => 'reliable'));
    expect(it.closed).toBe('protocol');
  });

  it('[LK66] of ids far ahead do not alias with ids near by', () => {
    const it = victim();
    feed(it, (w) => w.fragment(0, 0, 0, 6, new Uint8Array(1_500).fill(1)));
    feed(it, (w) => w.fragment(0, 256, 1, 6, new Uint8Array(1_500).fill(2)));
    feed(it, (w) => w.fragment(0, 65_536, 1, 6, new Uint8Array(1_500).fill(3)));
    expect(it.messages).toEqual([]);
    expect(it.drops).toEqual(['reliable']);
    for (let index = 1; index < 6; index++) feed(it, (w) => w.fragment(0, 0, index, 6, new Uint8Array(1_500).fill(1)));
    expect(it.messages).toEqual([new Uint8Array(1_500).fill(1)]);
    feed(it, (w) => w.reliable(1, LANE_WINDOW_MESSAGES, new Uint8Array(1)));
    expect(it.drops).toEqual(['reliable', 'reliable']);
  });

  it('[LK67] may come in any order and any number of times', () => {
    const rng = createRng(8);
    const it = victim();
    const body = new Uint8Array(10_000).map(() => rng.int(256));
    const count = fragmentCount(body.length);
    const order = Array.from({ length: count * 3 }, (_, i) => i % count).sort(() => rng.float() - 0.5);
    feed(it, (w) => w.reliable(0, 1, new Uint8Array([7])));
    for (const index of order) feed(it, (w) => w.fragment(0, 0, index, count, body));
    expectSame(it.messages, [body, new Uint8Array([7])]);
    expect(it.drops).toEqual([]);
  });
});

describe('memory', () => {
  /** Links that hold as much as they can, up to the point where the common half is used up. */
  function hoarders(budget: HeldBudget, now: number): Victim[] {
    return Array.from({ length: MAX_LINKS - 1 }, (_, i) => {
      const it = victim(budget, i);
      hoard(it, 0, MAX_MESSAGE_BYTES, now);
      hoard(it, 8, HELD_SHARE_BYTES - 64, now);
      return it;
    });
  }

  it('[LK68] that is short makes a piece come again, and is nobody’s fault', () => {
    const budget = new HeldBudget();
    const crowd = hoarders(budget, 1);
    const honest = victim(budget, 99);
    feed(honest, (w) => w.reliable(0, 0, new Uint8Array(1)));
    for (let i = 0; i < 10 * ERROR_BUDGET; i++) hoard(honest, 1, 100_000, 10);
    expect(new Set(honest.drops)).toEqual(new Set(['held']));
    expect(honest.closed).toBeUndefined();
    expect(acked(honest, 10)).toBe(0);
    // Somebody's link ends, so there is room, and the same piece is taken.
    for (const it of crowd.slice(0, 2)) it.link.close(20, 'bye');
    honest.drops.length = 0;
    hoard(honest, 1, 100_000, 20);
    expect(honest.drops).toEqual([]);
    expect(acked(honest, 40)).toBe(honest.seq - 1);
  });

  it('[LK69] has a share for every link that no crowd can take', () => {
    const budget = new HeldBudget();
    const crowd = hoarders(budget, 1);
    expect(budget.usedBytes).toBeLessThanOrEqual(MAX_HELD_BYTES);
    expect(budget.usedBytes).toBeGreaterThan(MAX_HELD_BYTES / 2);
    const honest = victim(budget, 99);
    // A whole share of messages that came before their turn, then the one they wait for.
    const size = 1_000;
    const count = Math.floor(HELD_SHARE_BYTES / (size + 64));
    for (let id = 1; id <= count; id++) feed(honest, (w) => w.reliable(0, id, new Uint8Array(size)));
    feed(honest, (w) => w.reliable(0, 0, new Uint8Array(size)));
    expect(honest.messages).toHaveLength(count + 1);
    expect(honest.drops).toEqual([]);
    // The other direction has a share of its own.
    expect(honest.link.send(2, 'reliable', new Uint8Array(HELD_SHARE_BYTES - 64), 0)).toBe(true);
    expect(honest.link.send(2, 'reliable', new Uint8Array(MAX_MESSAGE_BYTES), 0)).toBe(false);
    expect(crowd.filter((it) => it.closed !== undefined)).toEqual([]);
  });

  it('[LK69] that has lain unused for two seconds goes to who needs it: whoever held most for longest gives way', () => {
    const budget = new HeldBudget();
    const crowd = hoarders(budget, 1);
    const honest = victim(budget, 99);
    const body = new Uint8Array(MAX_MESSAGE_BYTES).map((_, i) => i);
    const count = fragmentCount(body.length);
    const offer = (now: number): void => feed(honest, (w) => w.fragment(0, 0, 0, count, body), now);
    offer(HELD_STALE_MS);
    expect(honest.drops).toEqual(['held']);
    // A member whose bytes are young is not asked.
    const young = crowd[0]!;
    young.link.close(HELD_STALE_MS, 'bye');
    const fresh = victim(budget, 98);
    hoard(fresh, 0, MAX_MESSAGE_BYTES, HELD_STALE_MS);
    expect(fresh.drops).toEqual([]);
    offer(HELD_STALE_MS + 100);
    expect(honest.drops).toEqual(['held']);
    for (let index = 1; index < count; index++) feed(honest, (w) => w.fragment(0, 0, index, count, body), HELD_STALE_MS + 101);
    expectSame(honest.messages, [body]);
    const gone = crowd.filter((it) => it.closed === 'exhausted');
    expect(gone).toHaveLength(1);
    expect([fresh.closed, honest.closed]).toEqual([undefined, undefined]);
    expect(budget.usedBytes).toBeLessThanOrEqual(MAX_HELD_BYTES);
  });

  it('[LK69] that a peer keeps busy by taking nothing from us goes to others too', () => {
    const budget = new HeldBudget();
    const deaf = Array.from({ length: 12 }, (_, i) => {
      const it = victim(budget, i);
      while (it.link.send(1, 'reliable', new Uint8Array(20_000), 0));
      return it;
    });
    const other = victim(budget, 99);
    expect(other.link.send(100, 'reliable', new Uint8Array(200_000), 0)).toBe(false);
    expect(other.link.send(HELD_STALE_MS + 100, 'reliable', new Uint8Array(200_000), 0)).toBe(true);
    expect(deaf.filter((it) => it.closed === 'exhausted')).toHaveLength(1);
  });

  it('[LK70] goes back when a link ends, whichever way, before its goodbye is said', () => {
    for (const end of ['bye', 'protocol', 'timeout', 'peer'] as const) {
      const budget = new HeldBudget();
      const it = victim(budget);
      hoard(it, 0, MAX_MESSAGE_BYTES, 1);
      expect(budget.usedBytes).toBeGreaterThan(MAX_MESSAGE_BYTES);
      if (end === 'peer') feed(it, (w) => w.close(0));
      else it.link.close(2, end);
      expect(budget.usedBytes).toBe(0);
      // Pieces that still come are not kept.
      hoard(it, 8, 100_000, 3);
      expect(budget.usedBytes).toBe(0);
    }
  });

  it('[LK70] of messages nobody will read any more is not kept for a goodbye', () => {
    const budget = new HeldBudget();
    const it = victim(budget);
    for (let i = 0; i < 50; i++) it.link.send(1, 'reliable', new Uint8Array(1_000), 0);
    it.link.flush();
    drain(it, 1);
    it.link.close(2, 'protocol');
    expect(budget.usedBytes).toBe(0);
    let bytes = 0;
    for (let now = 2; now < 2_000; now += 10) while (it.link.pollPacket(now)) bytes += it.link.packetBytes;
    expect(bytes).toBeLessThan(200);
    expect(it.link.finished).toBe(true);
  });
});
