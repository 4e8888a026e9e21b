/** One link, packet by packet, at the edges of its rules: what it says, when, and what it makes of what is said to it. */
import { describe, expect, it } from 'vitest';
import { HeldBudget } from '../sdk/link/held-budget.ts';
import {
  FRAME_CLOSE,
  FRAME_FRAGMENT,
  FRAME_MTU_PROBE,
  FRAME_PATH_CHALLENGE,
  FRAME_PATH_RESPONSE,
  FRAME_PING,
  FRAME_RELIABLE,
  FrameReader,
  FrameWriter,
} from '../sdk/wire/frame.ts';
import { ACK_DELAY_MS, ACK_EVERY_PACKETS, FLUSH_MS, SKIP_SEQ_MAX, SKIP_SEQ_MIN } from '../sdk/wire/limits.ts';
import { acked, drain, feed, victim, type Victim } from './link-victim.ts';

const BODY = new Uint8Array(50);

/** Types of the frames of each packet that leaves. */
function said(it: Victim, now: number): number[][] {
  const reader = new FrameReader();
  const packets: number[][] = [];
  while (it.link.pollPacket(now)) {
    reader.reset(it.link.packetBuffer, it.link.packetBytes);
    const types: number[] = [];
    for (let type = reader.next(); type > 0; type = reader.next()) types.push(type);
    packets.push(types);
  }
  return packets;
}

/** Every millisecond what is due; the times at which a frame of that type left. */
function times(it: Victim, from: number, to: number, type: number, also?: (now: number) => void): number[] {
  const at: number[] = [];
  for (let now = from; now < to; now++) {
    also?.(now);
    if (it.link.nextTimeout() <= now) it.link.handleTimeout(now);
    for (const types of said(it, now)) if (types.includes(type)) at.push(now);
    // Whoever wants to be called at once, again and again, keeps a process from sleeping.
    if (it.link.nextTimeout() <= now) throw new Error(`wants to be called at ${it.link.nextTimeout()}, and it is ${now}`);
  }
  return at;
}

/** A packet from anywhere, with any number. */
function hear(it: Victim, now: number, seq: number, host: string, write: (w: FrameWriter) => void, buffer = new Uint8Array(1_500)): void {
  const writer = new FrameWriter(1_500);
  writer.begin(1_400);
  write(writer);
  buffer.set(writer.bytes.subarray(0, writer.at));
  it.link.handlePacket(now, seq, buffer, writer.at, writer.at + 27, host, 1);
}

describe('what is said', () => {
  it('[LK23] waits for a flush, or 8 ms, each time anew: a flush opens the gate for what is queued then', () => {
    for (const channel of ['unreliable', 'sequenced', 'reliable'] as const) {
      const it_ = victim();
      drain(it_, 0);
      const left = (now: number): number => said(it_, now).filter((types) => types.some((type) => type >= FRAME_RELIABLE)).length;
      it_.link.send(1, channel, BODY, 0);
      expect([left(1), it_.link.flush(), left(1)]).toEqual([0, true, 1]);
      it_.link.send(2, channel, BODY, 0);
      it_.link.send(5, channel, BODY, 0);
      expect([left(2), left(2 + FLUSH_MS - 0.1), it_.link.nextTimeout(), left(2 + FLUSH_MS), left(20)]).toEqual([0, 0, 2 + FLUSH_MS, 1, 0]);
      expect(it_.link.flush()).toBe(false);
      expect(it_.link.stats().queuedBytes).toBe(channel === 'reliable' ? 3 * (BODY.length + 64) : 0);
    }
  });

  it('[LK61] leaves out a number again and again, 64 to 511 after the last', () => {
    for (const seed of [1, 2, 3]) {
      const it_ = victim(undefined, seed);
      const skipped: number[] = [];
      let next = 0;
      for (let now = 0; now < 6_000; now++) {
        if (now % 100 === 99) feed(it_, (w) => w.ack(0, 0, 0, 0), now);
        it_.link.send(now, 'unreliable', BODY, 0);
        it_.link.flush();
        for (const seq of drain(it_, now)) {
          for (; next < seq; next++) skipped.push(next);
          next = seq + 1;
        }
      }
      const gaps = skipped.map((seq, i) => seq - (i === 0 ? 0 : skipped[i - 1]! + 1));
      expect(gaps.length).toBeGreaterThan(10);
      expect(new Set(gaps).size).toBeGreaterThan(5);
      for (const gap of gaps) expect(gap >= SKIP_SEQ_MIN && gap < SKIP_SEQ_MAX).toBe(true);
    }
  });

  it('[LK78] what is not acknowledged is said again after 100, 200, 400 and 500 ms, later after a round trip with margin; an acknowledgement begins anew', () => {
    const it_ = victim();
    drain(it_, 0);
    it_.link.send(1, 'reliable', BODY, 0);
    it_.link.flush();
    const heard = (now: number): void => {
      if (now % 100 === 0) feed(it_, () => {}, now);
    };
    expect(times(it_, 1, 1_205, FRAME_RELIABLE, heard)).toEqual([1, 101, 301, 701, 1_201]);
    let last = 0;
    for (const seq of drain(it_, 1_205)) last = seq;
    it_.link.send(1_205, 'reliable', BODY, 0);
    it_.link.flush();
    for (const seq of drain(it_, 1_205)) last = seq;
    expect(last).toBeLessThan(32);
    feed(it_, (w) => w.ack(last, 2 ** last - 1, 0, 0), 1_215);
    const { rttMs, jitterMs, queuedBytes } = it_.link.stats();
    expect([rttMs, jitterMs, queuedBytes]).toEqual([10, 5, 0]);
    it_.link.send(1_300, 'reliable', BODY, 0);
    it_.link.flush();
    const wait = 10 + 4 * 5 + 4;
    expect(times(it_, 1_300, 1_300 + 8 * wait, FRAME_RELIABLE, heard).slice(0, 4)).toEqual([0, 1, 3, 7].map((waits) => 1_300 + waits * wait));
  });

  it('[LK78] a timer for what has been acknowledged since is none: the next wait is as short as the first', () => {
    const it_ = victim();
    const heard = (now: number): void => {
      if (now % 100 === 50) feed(it_, () => {}, now);
    };
    drain(it_, 0);
    it_.link.send(1, 'reliable', BODY, 0);
    it_.link.flush();
    const seq = drain(it_, 1).at(-1)!;
    feed(it_, (w) => w.ack(seq, 0, 0, 0), 11);
    expect(times(it_, 12, 1_000, FRAME_RELIABLE, heard)).toEqual([]);
    it_.link.send(1_000, 'reliable', BODY, 0);
    it_.link.flush();
    expect(times(it_, 1_000, 1_060, FRAME_RELIABLE, heard)).toEqual([1_000, 1_034]);
  });

  it('[LK46] four time-outs in a row are a path that carries no large datagram, three are not', () => {
    const it_ = victim();
    const heard = (now: number): void => {
      if (now % 100 === 50) feed(it_, () => {}, now);
    };
    const [ping] = drain(it_, 0);
    feed(it_, (w) => w.ack(ping!, 0, 0, 0), 10);
    times(it_, 11, 40, FRAME_MTU_PROBE);
    feed(it_, (w) => w.mtuAck(1_452), 40);
    it_.link.send(100, 'reliable', new Uint8Array(2_000), 0);
    it_.link.flush();
    // A round trip of 10 ms: 34 ms, then twice as long each time.
    expect(times(it_, 100, 500, FRAME_FRAGMENT, heard)).toEqual([100, 100, 134, 134, 202, 202, 338, 338]);
    expect(it_.link.maxDatagramMessageBytes).toBe(1_372);
    times(it_, 500, 620, FRAME_FRAGMENT, heard);
    expect(it_.link.maxDatagramMessageBytes).toBe(1_120);
  });

  it('[LK46] sixteen large datagrams lost, and none that arrived since the first of them, are a path that carries none; one more is none', () => {
    const it_ = victim();
    drain(it_, 0);
    let now = 0;
    /** Waits for the probe that leaves next, and confirms it. */
    const confirm = (waitMs: number): void => {
      const probes = times(it_, now + 1, now + waitMs, FRAME_MTU_PROBE, (ms) => {
        if (ms % 100 === 0) feed(it_, () => {}, ms);
      });
      expect(probes).toHaveLength(1);
      now += waitMs;
      feed(it_, (w) => w.mtuAck(1_452), now);
    };
    const say = (size: number): number => {
      it_.link.send((now += 20), 'unreliable', new Uint8Array(size), 0);
      it_.link.flush();
      return drain(it_, now).at(-1)!;
    };
    /** A large one, and three small ones of which the last arrives. */
    const lose = (): number => {
      say(1_300);
      say(10);
      say(10);
      const seq = say(10);
      feed(it_, (w) => w.ack(seq, 0, 0, 0), now + 5);
      return it_.link.maxDatagramMessageBytes;
    };
    confirm(40);
    const arrived = say(1_300);
    feed(it_, (w) => w.ack(arrived, 0, 0, 0), now + 5);
    expect(Array.from({ length: 15 }, lose).every((most) => most === 1_372)).toBe(true);
    const another = say(1_300);
    feed(it_, (w) => w.ack(another, 0, 0, 0), now + 5);
    expect(Array.from({ length: 15 }, lose).every((most) => most === 1_372)).toBe(true);
    expect(lose()).toBe(1_120);
    confirm(1_020);
    expect([lose(), lose()]).toEqual([1_372, 1_372]);
  });

  it('[LK33] nothing but goodbyes leaves after a close, to a peer that never stops for 1.62 s at most, and the end is told once', () => {
    const it_ = victim();
    drain(it_, 0);
    it_.link.send(1, 'unreliable', BODY, 0);
    it_.link.close(1, 'refused');
    it_.link.close(1, 'protocol');
    expect([it_.closed, it_.closes, it_.link.closing]).toEqual(['refused', 1, true]);
    const closes = times(it_, 1, 5_000, FRAME_CLOSE, (now) => {
      if (now % 7 === 0) feed(it_, (w) => w.reliable(0, 0, BODY), now);
    });
    expect(closes.slice(0, 3)).toEqual([1, 41, 121]);
    expect(closes.length).toBeGreaterThan(12);
    expect(closes.length).toBeLessThanOrEqual(3 + 15);
    for (let i = 3; i < closes.length; i++) expect(closes[i]! - closes[i - 1]!).toBeGreaterThanOrEqual(100);
    expect(closes.at(-1)!).toBeLessThanOrEqual(1_621);
    expect([it_.link.finished, it_.closes, it_.link.nextTimeout(), it_.messages]).toEqual([true, 1, Infinity, []]);
    // One that the peer ends is told once, too, with its word.
    const other = victim();
    feed(other, (w) => w.close(4), 5);
    other.link.close(6, 'bye');
    feed(other, (w) => w.close(0), 7);
    expect([other.closed, other.closes, other.link.finished, other.link.nextTimeout()]).toEqual(['refused', 1, true, Infinity]);
    expect(said(other, 8)).toEqual([]);
  });

  it('[LK33] a goodbye by call takes along what is queued; one for a broken rule or for memory does not', () => {
    for (const [reason, takes] of [
      ['bye', true],
      ['refused', true],
      ['protocol', false],
      ['timeout', false],
      ['exhausted', false],
    ] as const) {
      const it_ = victim();
      drain(it_, 0);
      it_.link.send(1, 'reliable', BODY, 0);
      it_.link.close(1, reason);
      const [first] = said(it_, 1);
      expect([reason, first!.includes(FRAME_RELIABLE), first!.at(-1)]).toEqual([reason, takes, FRAME_CLOSE]);
      // What nobody acknowledged goes along with each of the three.
      expect(said(it_, 41)[0]!.includes(FRAME_RELIABLE)).toBe(takes);
    }
  });

  it('[LK33] a goodbye for which its last words left no room goes in a packet of its own', () => {
    const it_ = victim();
    drain(it_, 0);
    for (const size of [1_120, 38]) it_.link.send(1, 'reliable', new Uint8Array(size), 0);
    it_.link.close(1, 'bye');
    expect(said(it_, 1).map((types) => [types.filter((type) => type === FRAME_RELIABLE).length, types.includes(FRAME_CLOSE)])).toEqual([
      [2, false],
      [0, true],
    ]);
  });

  it('[LK69] a link that says goodbye gives up its last words when memory is short', () => {
    const budget = new HeldBudget();
    const it_ = victim(budget);
    it_.link.send(1, 'reliable', new Uint8Array(10_000), 0);
    it_.link.close(2, 'bye');
    expect(budget.usedBytes).toBeGreaterThan(10_000);
    it_.link.evict(3);
    expect([budget.usedBytes, it_.closed, it_.closes]).toEqual([0, 'bye', 1]);
    expect(said(it_, 3)).toEqual([[FRAME_CLOSE]]);
  });
});

describe('acknowledgements', () => {
  it('[LK42] are counted anew after each that left, and one that rode on another packet does not leave alone as well', () => {
    const it_ = victim();
    drain(it_, 0);
    for (let round = 0; round < 3; round++) {
      const now = 1 + round * 10;
      for (let i = 0; i < ACK_EVERY_PACKETS - 1; i++) feed(it_, (w) => w.reliable(0, round * 8 + i, BODY), now);
      expect(acked(it_, now)).toBe(-1);
      feed(it_, (w) => w.reliable(0, round * 8 + 7, BODY), now);
      expect(acked(it_, now)).toBe(round * 8 + 7);
    }
    // The first probe of the path leaves meanwhile.
    times(it_, 31, 40, 1);
    feed(it_, (w) => w.reliable(0, 24, BODY), 40);
    it_.link.send(41, 'unreliable', BODY, 0);
    it_.link.flush();
    expect(acked(it_, 41)).toBe(24);
    expect(times(it_, 42, 60, 1)).toEqual([]);
  });

  it('[LK42] are not owed for an acknowledgement, whatever came before it, and wait as long as the last packet allows', () => {
    const it_ = victim();
    drain(it_, 0);
    feed(it_, (w) => w.reliable(0, 0, BODY), 1);
    expect(acked(it_, 1 + ACK_DELAY_MS)).toBe(0);
    feed(it_, (w) => w.ack(0, 0, 0, 0), 10);
    feed(it_, () => {}, 10);
    expect(acked(it_, 200)).toBe(-1);
    feed(it_, (w) => w.unreliable(0, BODY), 201);
    expect(acked(it_, 201 + ACK_DELAY_MS)).toBe(-1);
    // A fragment is reliable as well.
    feed(it_, (w) => w.fragment(1, 0, 0, 5, new Uint8Array(1_200)), 206);
    expect(acked(it_, 206 + ACK_DELAY_MS)).toBe(it_.seq - 1);
  });

  it('[LK78] that say they waited for longer than the packet was under way are not believed', () => {
    for (const [delayMs, rttMs] of [
      [0, 10],
      [4, 6],
      [10, 0],
      [10.1, 10],
      [2_000, 10],
    ] as const) {
      const it_ = victim();
      const [seq] = drain(it_, 0);
      feed(it_, (w) => w.ack(seq!, 0, 0, delayMs), 10);
      expect([delayMs, it_.link.stats().rttMs]).toEqual([delayMs, rttMs]);
    }
  });
});

describe('what is heard', () => {
  it('[LK36] only the newest packet says where its sender is, and none over a relay', () => {
    const it_ = victim();
    drain(it_, 0);
    hear(it_, 1, 5, 'h', (w) => w.unreliable(0, BODY));
    hear(it_, 2, 4, 'elsewhere', (w) => w.unreliable(0, BODY));
    hear(it_, 2, 6, '~abcdefghijklmnop', (w) => w.unreliable(0, BODY));
    expect(said(it_, 3).flat()).not.toContain(FRAME_PATH_CHALLENGE);
    hear(it_, 4, 7, 'elsewhere', (w) => w.unreliable(0, BODY));
    expect(said(it_, 4).flat()).toContain(FRAME_PATH_CHALLENGE);
    expect(it_.link.outTo).toEqual({ host: 'elsewhere', port: 1 });
  });

  it('[LK71] the token of a challenge is answered as it came, though its buffer holds another packet by then', () => {
    const it_ = victim();
    drain(it_, 0);
    const buffer = new Uint8Array(1_500);
    const token = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
    hear(it_, 1, 0, 'h', (w) => w.path(FRAME_PATH_CHALLENGE, token), buffer);
    hear(it_, 1, 1, 'h', (w) => w.unreliable(0, new Uint8Array(300).fill(9)), buffer);
    expect(it_.link.pollPacket(2)).toBe(true);
    expect([...it_.link.packetBuffer.subarray(0, it_.link.packetBytes)]).toEqual([FRAME_PATH_RESPONSE, ...token]);
  });

  it('[LK35] a probe names the size of its own datagram, or breaks a rule', () => {
    for (const [size, drops] of [
      [1_427, []],
      [1_426, ['frame']],
      [1_428, ['frame']],
      [1_452, ['frame']],
    ] as const) {
      const it_ = victim();
      drain(it_, 0);
      feed(it_, (w) => w.mtuProbe(size), 1);
      expect([size, it_.drops]).toEqual([size, drops]);
      expect(said(it_, 2).flat().includes(8)).toBe(drops.length === 0);
      // Said once.
      expect(said(it_, 3).flat()).toEqual([]);
    }
  });

  it('[LK40] is counted with all of its bytes; what leaves likewise', () => {
    const it_ = victim();
    drain(it_, 0);
    const { bytesOut, packetsOut } = it_.link.stats();
    expect([packetsOut, bytesOut]).toEqual([1, 7 + 27]);
    feed(it_, (w) => w.unreliable(0, BODY), 1);
    expect(it_.link.stats()).toMatchObject({ packetsIn: 1, bytesIn: 53 + 27 });
  });

  it('[LK25] there are eight lanes, numbered from 0', () => {
    const it_ = victim();
    for (const channel of ['reliable', 'sequenced', 'unreliable'] as const) {
      for (const lane of [-1, 8, 1.5, NaN, Infinity]) expect(it_.link.send(1, channel, BODY, lane)).toBe(false);
      for (let lane = 0; lane < 8; lane++) expect(it_.link.send(1, channel, BODY, lane)).toBe(true);
    }
  });

  it('[LK30] a doubt asks with a PING of its own, also where none is due', () => {
    const it_ = victim();
    drain(it_, 0);
    const pings = times(it_, 1, 2_000, FRAME_PING, (now) => {
      if (now < 1_500 && now % 50 === 0) feed(it_, (w) => w.ack(0, 0, 0, 0), now);
    });
    // The last packet came at 1,450; from 1,600 on one each 50 ms, until the silence means something.
    expect(pings.filter((now) => now >= 1_550 && now <= 1_900)).toEqual([1_600, 1_650, 1_700, 1_750, 1_800, 1_850]);
  });

  it('[LK30] nothing is told of silence once the goodbye is being said', () => {
    const it_ = victim();
    drain(it_, 0);
    it_.link.close(100, 'bye');
    expect(times(it_, 100, 3_000, FRAME_PING)).toEqual([]);
    expect([it_.silences, it_.closes, it_.link.finished]).toEqual([[], 1, true]);
    // Nor does a packet that came just after the goodbye, and is not acknowledged any more, keep the process awake.
    const heard = victim();
    drain(heard, 0);
    heard.link.close(100, 'bye');
    times(heard, 100, 3_000, FRAME_CLOSE, (now) => {
      if (now === 230) feed(heard, (w) => w.unreliable(0, BODY), now);
    });
    expect(heard.link.finished).toBe(true);
  });

  it('[LK30] a silence that ends is told, and what was due does not sit out the wait that grew meanwhile', () => {
    const it_ = victim();
    drain(it_, 0);
    it_.link.send(1, 'reliable', BODY, 0);
    it_.link.flush();
    const before = times(it_, 1, 2_300, FRAME_RELIABLE);
    expect([it_.silences, before.at(-1)]).toEqual([[true], 2_201]);
    feed(it_, () => {}, 2_310);
    expect(it_.silences).toEqual([true, false]);
    expect(times(it_, 2_310, 2_700, FRAME_RELIABLE)[0]).toBe(2_310);
  });

  it('[LK34] what left before a stall measures nothing', () => {
    const it_ = victim();
    const [ping] = drain(it_, 0);
    it_.link.send(10, 'unreliable', BODY, 0);
    it_.link.flush();
    const seq = drain(it_, 10).at(-1)!;
    it_.link.handleStall(3_000, 2_900);
    feed(it_, (w) => w.ack(seq, 0, 0, 0), 3_001);
    feed(it_, (w) => w.pong(0, 5_000_000, 5_000_000), 3_001);
    expect([it_.link.stats().rttMs, it_.drops, ping]).toEqual([0, [], 0]);
    it_.link.send(3_010, 'unreliable', BODY, 0);
    it_.link.flush();
    const later = drain(it_, 3_010).at(-1)!;
    feed(it_, (w) => w.ack(later, 0, 0, 0), 3_017);
    expect(it_.link.stats().rttMs).toBe(7);
  });

  it('[LK39] another path has its own round trip and its own size, the same one keeps them', () => {
    const probesOf = (it: Victim, from: number): number[] => times(it, from, from + 1_100, FRAME_MTU_PROBE);
    for (const way of ['told', 'proved'] as const) {
      const it_ = victim();
      const [seq] = drain(it_, 0);
      feed(it_, (w) => w.ack(seq!, 0, 0, 0), 20);
      expect(times(it_, 20, 60, FRAME_MTU_PROBE)).toEqual([30]);
      feed(it_, (w) => w.mtuAck(1_452), 60);
      expect([it_.link.stats().rttMs, it_.link.maxDatagramMessageBytes]).toEqual([20, 1_452 - 80]);
      it_.link.setAddress(70, { host: 'h', port: 1 });
      expect([it_.link.stats().rttMs, it_.link.maxDatagramMessageBytes, probesOf(it_, 70)]).toEqual([20, 1_452 - 80, []]);
      if (way === 'told') it_.link.setAddress(1_200, { host: 'other', port: 1 });
      else {
        hear(it_, 1_190, 50, 'other', () => {});
        hear(it_, 1_200, 51, 'other', (w) => w.path(FRAME_PATH_RESPONSE, new Uint8Array(8)));
      }
      expect([it_.link.path.address.host, it_.link.stats().rttMs, it_.link.maxDatagramMessageBytes]).toEqual(['other', 0, 1_200 - 80]);
      expect(probesOf(it_, 1_200)).toEqual([2_200]);
    }
    // Over a relay there is no larger size to look for, be it from the beginning or later.
    const relayed = victim(undefined, 1, '~abcdefghijklmnop');
    expect(times(relayed, 0, 2_000, FRAME_MTU_PROBE)).toEqual([]);
    const moved = victim();
    drain(moved, 0);
    moved.link.setAddress(10, { host: '~abcdefghijklmnop', port: 0 });
    expect(times(moved, 10, 2_000, FRAME_MTU_PROBE)).toEqual([]);
  });

  it('[LK31] of what left is known what was lost, by acknowledgements that do not name it and by those that do not come', () => {
    const named = victim();
    for (let now = 0; now < 4_000; now += 50) {
      named.link.send(now, 'unreliable', BODY, 0);
      named.link.flush();
      const seq = drain(named, now).at(-1)!;
      if (now % 100 === 0) feed(named, (w) => w.ack(seq, 0, 0, 0), now + 1);
    }
    expect(named.link.stats().lossOutRatio).toBeGreaterThan(0.3);
    const unheard = victim();
    drain(unheard, 0);
    unheard.link.send(1, 'reliable', BODY, 0);
    unheard.link.flush();
    times(unheard, 1, 2_500, FRAME_RELIABLE, (now) => {
      if (now % 50 === 0) feed(unheard, () => {}, now);
    });
    expect(unheard.link.stats().lossOutRatio).toBeGreaterThan(0.3);
  });

  it('[LK24] a realtime message that no datagram of the path carries is refused', () => {
    const it_ = victim();
    for (const channel of ['unreliable', 'sequenced'] as const) {
      const most = it_.link.maxDatagramMessageBytes;
      expect([most, it_.link.send(1, channel, new Uint8Array(most), 0), it_.link.send(1, channel, new Uint8Array(most + 1), 0)]).toEqual([
        1_120,
        true,
        false,
      ]);
    }
  });
});
