/** What a link measures, and what it makes of it: clock, loss, round trip, silence, pings, goodbyes. Each by itself, with its numbers. */
import { describe, expect, it } from 'vitest';
import { ClockFilter } from '../sdk/link/clock.ts';
import { Farewell } from '../sdk/link/farewell.ts';
import { Pings } from '../sdk/link/pings.ts';
import { RttEstimator } from '../sdk/link/rtt.ts';
import { Silence } from '../sdk/link/silence.ts';
import { Traffic } from '../sdk/link/traffic.ts';
import { FRAME_PING, FRAME_PONG, FrameReader, FrameWriter } from '../sdk/wire/frame.ts';
import { CLOCK_DRIFT_RATIO, CLOCK_SAMPLE_MS, MAX_RESEND_MS, SILENT_MS } from '../sdk/wire/limits.ts';

describe('the other clock', () => {
  const rounded = (ms: number): number => Number(ms.toFixed(6));
  const told = (clock: ClockFilter): readonly unknown[] => [clock.offsetMs, rounded(clock.errorMs), clock.at];

  it('[LK38] is known by the sample whose round trip and age make the least error, of the last sixteen within 30 s', () => {
    const clock = new ClockFilter();
    expect([clock.offsetMs, clock.errorMs, clock.at]).toEqual([undefined, Infinity, -Infinity]);
    clock.sample(0, 1_000, 1_000, 2);
    expect(told(clock)).toEqual([999, 1, 2]);
    // A worse one: the first stays, older by a second.
    clock.sample(992, 2_100, 2_104, 1_006);
    expect(told(clock)).toEqual([999, rounded(1 + 1_004 * CLOCK_DRIFT_RATIO), 1_006]);
    // Better than the first has become by its age.
    clock.sample(20_000, 21_100, 21_100, 20_009);
    expect(told(clock)).toEqual([1_095.5, 4.5, 20_009]);
    // After 30 s a sample counts no more, however good it was.
    const old = new ClockFilter();
    old.sample(0, 500, 500, 0);
    old.sample(CLOCK_SAMPLE_MS - 100, 0, 0, CLOCK_SAMPLE_MS);
    expect(told(old)).toEqual([500, rounded(CLOCK_SAMPLE_MS * CLOCK_DRIFT_RATIO), CLOCK_SAMPLE_MS]);
    old.sample(CLOCK_SAMPLE_MS - 99, 0, 0, CLOCK_SAMPLE_MS + 1);
    expect(told(old)[1]).toBeCloseTo(50, 3);
    const many = new ClockFilter();
    many.sample(0, 500, 500, 0);
    for (let i = 1; i <= 15; i++) many.sample(i, 600, 600, i + 20);
    expect(many.offsetMs).toBe(500);
    many.sample(16, 600, 600, 36);
    expect(many.offsetMs).not.toBe(500);
  });

  it('[LK38] is not taught by times that cannot be', () => {
    const clock = new ClockFilter();
    clock.sample(0, 1_000, 1_000, 4);
    for (const [t1, t2, t3, t4] of [
      [100, 1_100, 1_105, 104], // answered for longer than it was under way
      [100, 1_100, 1_099, 104], // answered before it came
      [100, 1_100, 1_100, 99], // came back before it was asked
      [100, NaN, 1_100, 104],
      [100, 1_100, NaN, 104],
    ] as const) {
      clock.sample(t1, t2, t3, t4);
      expect(told(clock)).toEqual([998, 2, 4]);
    }
  });
});

describe('loss', () => {
  it('[LK31] is what is missing of a second of at least eight numbers, less what is skipped on purpose; what comes late takes it back', () => {
    const traffic = new Traffic();
    const skipped = 1 / 288;
    traffic.onReceived(0, 0);
    for (let seq = 1; seq <= 99; seq++) if (seq % 5 !== 0) traffic.onReceived(seq * 10, seq);
    traffic.onReceived(999.9, 100);
    expect(traffic.lossInRatio).toBe(0);
    traffic.onReceived(1_000, 101);
    // 82 of 101 came.
    const first = 0.4 * (1 - 82 / 101 - skipped);
    expect(traffic.lossInRatio).toBeCloseTo(first, 9);
    // The next second all come, and four that were missed before; one of those does not end the second.
    for (const seq of [5, 10, 15]) traffic.onReceived(1_500, seq);
    for (let seq = 102; seq < 121; seq++) traffic.onReceived(1_600, seq);
    traffic.onReceived(2_100, 20);
    expect(traffic.lossInRatio).toBeCloseTo(first, 9);
    traffic.onReceived(2_100, 121);
    expect(traffic.lossInRatio).toBeCloseTo(Math.max(0, first + 0.4 * (1 - 24 / 20 - skipped - first)), 9);
    // One that was overtaken ends no second; and a second half of which is lost is judged by itself.
    for (let seq = 122; seq < 142; seq += 2) traffic.onReceived(2_200, seq);
    const second = traffic.lossInRatio;
    traffic.onReceived(3_100, 139);
    expect(traffic.lossInRatio).toBe(second);
    traffic.onReceived(3_100, 141);
    expect(traffic.lossInRatio).toBeCloseTo(second + 0.4 * (1 - 12 / 20 - skipped - second), 9);
    for (let i = 1; i <= 10; i++) traffic.onReceived(3_100 + i * 100, 141 + 2 * i);
    expect(traffic.lossInRatio).toBeGreaterThan(0.2);
    for (let span = 2; span < 20; span++) for (let i = 1; i <= 10; i++) traffic.onReceived(2_100 + span * 1_000 + i * 100, 141 + span * 10 + i);
    expect(traffic.lossInRatio).toBe(0);
  });

  it('[LK31] is not told from a few numbers: three keep-alives of five', () => {
    const traffic = new Traffic();
    traffic.onReceived(0, 0);
    traffic.onReceived(5_000, 7);
    expect(traffic.lossInRatio).toBe(0);
    traffic.onReceived(6_000, 8);
    expect(traffic.lossInRatio).toBeGreaterThan(0.2);
  });

  it('[LK31] of what left is what was given up of what was settled, each second by itself', () => {
    const traffic = new Traffic();
    let seq = 0;
    let now = 0;
    const second = (acked: number, lost: number): number => {
      traffic.onAcked(acked, lost);
      for (let i = 0; i < 10; i++) traffic.onReceived((now += 100), seq++);
      return traffic.lossOutRatio;
    };
    traffic.onReceived(0, seq++);
    expect(second(8, 2)).toBeCloseTo(0.08, 9);
    expect(second(0, 0)).toBeCloseTo(0.08, 9);
    expect(second(10, 0)).toBeCloseTo(0.048, 9);
    expect(second(0, 5)).toBeCloseTo(0.048 + 0.4 * (1 - 0.048), 9);
    expect(second(5, 0)).toBeCloseTo((0.048 + 0.4 * (1 - 0.048)) * 0.6, 9);
  });
});

describe('the round trip', () => {
  it('[LK78] decides how long is waited before something is sent again: with margin, 15 to 500 ms, doubling', () => {
    const rtt = new RttEstimator();
    expect([0, 1, 2, 3, 4, 9].map((backoff) => rtt.resendMs(backoff))).toEqual([100, 200, 400, 500, 500, 500]);
    rtt.sample(0, 0);
    expect([0, 1, 2, 5, 6, 20].map((backoff) => rtt.resendMs(backoff))).toEqual([15, 30, 60, 480, 500, 500]);
    const steady = new RttEstimator();
    steady.sample(0, 10);
    expect([steady.known, steady.smoothedMs, steady.variationMs]).toEqual([true, 10, 5]);
    // 10 ms, four times the deviation, and what the other side may wait with its answer.
    expect([steady.resendMs(0), steady.resendMs(1)]).toEqual([34, 68]);
    steady.sample(1, 18);
    expect([steady.variationMs, steady.smoothedMs]).toEqual([5 + (8 - 5) / 4, 11]);
    for (let i = 0; i < 200; i++) steady.sample(2, 11);
    expect(steady.resendMs(0)).toBeCloseTo(11 + 2 + 4, 3);
    // A path slower than the bound is waited for, and not sent to faster than it answers.
    const slow = new RttEstimator();
    slow.sample(0, 800);
    expect([slow.resendMs(0), slow.resendMs(3)]).toEqual([2_404, 2_404]);
    expect(slow.resendMs(0)).toBeGreaterThan(MAX_RESEND_MS);
  });

  it('[LK78] is never below zero, and what overtakes within its deviation is not lost', () => {
    const rtt = new RttEstimator();
    rtt.sample(0, -5);
    expect([rtt.smoothedMs, rtt.latestMs, rtt.baseMs, rtt.reorderMs()]).toEqual([0, 0, 0, 1]);
    const steady = new RttEstimator();
    steady.sample(0, 80);
    expect(steady.reorderMs()).toBe(80 + 80);
    for (let i = 0; i < 300; i++) steady.sample(0, 80);
    expect(steady.reorderMs()).toBeCloseTo(90, 3);
    steady.sample(0, 120);
    expect(steady.reorderMs()).toBeCloseTo(120 + 20, 3);
  });

  it('[LK26] has a least of the last ten to twenty seconds; another path has one of its own', () => {
    const rtt = new RttEstimator();
    rtt.sample(0, 10);
    rtt.sample(5_000, 5);
    rtt.sample(10_000, 20);
    expect(rtt.baseMs).toBe(5);
    rtt.sample(10_001, 20);
    expect(rtt.baseMs).toBe(5);
    rtt.sample(20_001, 18);
    expect(rtt.baseMs).toBe(5);
    rtt.sample(20_002, 25);
    expect(rtt.baseMs).toBe(18);
    rtt.sample(40_000, 30);
    expect(rtt.baseMs).toBe(25);
    rtt.reset();
    expect([rtt.known, rtt.baseMs, rtt.smoothedMs, rtt.variationMs]).toEqual([false, Infinity, 0, 0]);
    rtt.sample(40_001, 60);
    expect([rtt.baseMs, rtt.smoothedMs, rtt.variationMs]).toEqual([60, 60, 30]);
  });
});

describe('silence', () => {
  const make = (lossIn = 0, lossOut = 0, rttMs = 0): Silence => {
    const traffic = new Traffic();
    traffic.lossInRatio = lossIn;
    traffic.lossOutRatio = lossOut;
    const rtt = new RttEstimator();
    rtt.sample(0, rttMs);
    return new Silence(0, traffic, rtt);
  };

  it('[LK30] is doubted after 150 ms, asked every 50 ms, or every round trip where that is longer, and means something after 450 ms', () => {
    for (const [rttMs, asked] of [
      [0, [150, 200, 250, 300, 350, 400]],
      [120, [150, 270, 390]],
    ] as const) {
      const silence = make(0, 0, rttMs);
      const asks: number[] = [];
      for (let now = 0; silence.wakeAt !== Infinity; now = silence.wakeAt) {
        const verdict = silence.handleTimeout(now);
        if (verdict === 'ask') asks.push(now);
        if (verdict === 'silent') expect(now).toBe(SILENT_MS);
      }
      expect(asks).toEqual(asked);
      expect(silence.silent).toBe(true);
      expect([silence.hear(1_000, false), silence.silent, silence.wakeAt]).toEqual([true, false, 1_150]);
      expect(silence.hear(1_010, false)).toBe(false);
      expect(silence.handleTimeout(1_100)).toBeUndefined();
      expect(silence.wakeAt).toBe(1_160);
    }
  });

  it('[LK31] takes longer to mean something where more is lost, and half of everything is never believed to be the path', () => {
    expect([make(0.019, 0.5).limitMs, make(0.02, 0.02).limitMs]).toEqual([SILENT_MS, SILENT_MS]);
    // What remains possible by loss alone: a keep-alive each 100 ms and an answer each 50 ms from 150 ms on.
    const limit = (lossIn: number, lossOut: number, probeMs: number, rttMs: number): number => {
      let ms = 0;
      const chance = (at: number): number => lossIn ** (at / 100) * (1 - (1 - lossIn) * (1 - lossOut)) ** (Math.max(0, at - 150 - rttMs) / probeMs);
      while (chance(ms) > 1e-6) ms += 0.1;
      return ms;
    };
    for (const [lossIn, lossOut, rttMs] of [
      [0.2, 0.2, 0],
      [0.3, 0.1, 0],
      [0.3, 0.4, 20],
      [0.2, 0.2, 100],
      [0.6, 0.6, 10],
    ] as const)
      expect(make(lossIn, lossOut, rttMs).limitMs).toBeCloseTo(limit(lossIn, Math.max(lossIn, lossOut), Math.max(50, rttMs), rttMs), 0);
    expect(make(0.99, 0.99).limitMs).toBe(make(0.6, 0.6).limitMs);
  });

  it('[LK34] is not what a process was late for by itself: it asks first', () => {
    const silence = make();
    expect(silence.handleTimeout(150)).toBe('ask');
    // Called 26 ms later than it wanted, with enough silence for a verdict.
    expect(silence.handleTimeout(500)).toBe('ask');
    expect(silence.silent).toBe(false);
    expect(silence.wakeAt).toBe(525);
    expect(silence.handleTimeout(silence.wakeAt + 26)).toBe('ask');
    expect(silence.handleTimeout(silence.wakeAt + 25)).toBe('silent');
    const excused = make();
    excused.excuse(10_000);
    expect([excused.handleTimeout(10_149), excused.wakeAt, excused.hearsDirectly]).toEqual([undefined, 10_150, true]);
    expect(excused.handleTimeout(10_150)).toBe('ask');
  });

  it('[LK72] hears directly as long as what came over a relay since would not mean silence, by the loss there is', () => {
    for (const [loss, limitMs] of [
      [0, SILENT_MS],
      [0.6, make(0.6, 0.6).limitMs],
    ] as const) {
      const silence = make(loss, loss);
      silence.hear(1_000, false);
      silence.hear(1_000 + limitMs - 1, true);
      expect(silence.hearsDirectly).toBe(true);
      silence.excuse(5_000);
      expect(silence.hearsDirectly).toBe(true);
      silence.hear(6_000 + limitMs + 1, true);
      expect(silence.hearsDirectly).toBe(false);
      silence.hear(9_000, false);
      expect(silence.hearsDirectly).toBe(true);
    }
  });
});

describe('pings', () => {
  const writer = new FrameWriter(1_200);
  const reader = new FrameReader();
  /** What leaves at `now`: t1 of a PING, and what a PONG says. */
  const left = (pings: Pings, now: number): { ping?: number; pong?: readonly number[] } => {
    writer.begin(1_200);
    pings.fill(now, writer);
    reader.reset(writer.bytes, writer.at);
    const out: { ping?: number; pong?: readonly number[] } = {};
    for (let type = reader.next(); type > 0; type = reader.next()) {
      if (type === FRAME_PING) out.ping = reader.id;
      if (type === FRAME_PONG) out.pong = [reader.id, reader.a, reader.b];
    }
    return out;
  };

  it('[LK44] a PONG counts once, for one of the last four PINGs, and an impossible one teaches no round trip', () => {
    const pings = new Pings(0);
    const asked = [0, 100, 200, 300, 400].map((now) => {
      pings.wanted = true;
      return left(pings, now).ping!;
    });
    expect(asked).toEqual([0, 100_000, 200_000, 300_000, 400_000]);
    expect(pings.handlePong(410, asked[0]!, 5_000, 5_000)).toBeUndefined();
    expect(pings.handlePong(410, -1, 5_000, 5_000)).toBeUndefined();
    expect(pings.handlePong(410, asked[1]!, 5_000, 6_000)).toBe(309);
    expect(pings.handlePong(410, asked[1]!, 5_000, 6_000)).toBeUndefined();
    // Held for longer than it was away; answered before it came.
    expect(pings.handlePong(410, asked[2]!, 0, 900_000)).toBe(-1);
    expect(pings.handlePong(410, asked[3]!, 10_000, 9_000)).toBe(-1);
    expect(pings.handlePong(410, asked[4]!, 9_000, 9_000)).toBe(10);
  });

  it('[LK44] a newer PING replaces one that waits for its PONG, and each is answered once', () => {
    const pings = new Pings(0);
    left(pings, 0);
    pings.handlePing(10, 111);
    pings.handlePing(12, 222);
    expect(pings.due).toBe(true);
    expect(left(pings, 15)).toEqual({ pong: [222, 12_000, 15_000] });
    expect([pings.due, left(pings, 16)]).toEqual([false, {}]);
    // A PING at the very beginning of the other clock is one, too.
    pings.handlePing(20, 0);
    expect(left(pings, 21)).toEqual({ pong: [0, 20_000, 21_000] });
  });

  it('[LK49] eight leave 100 ms apart, then one a second; alone only after 100 ms more, or where a keep-alive leaves anyway', () => {
    const pings = new Pings(0);
    const times: number[] = [];
    let sentAt = 0;
    for (let now = 0; now < 3_500; now++) {
      // Something leaves every 50 ms that takes no ping along.
      if (now % 50 === 1) sentAt = now;
      if (now >= pings.wakeAt(now - 1, sentAt)) pings.handleTimeout(now, sentAt);
      if (pings.due && left(pings, now).ping !== undefined) {
        times.push(now);
        sentAt = now;
      }
      expect(pings.keepAliveWanted).toBe(false);
    }
    expect(times).toEqual([0, 100, 200, 300, 400, 500, 600, 700, 1_800, 2_900]);
    // Where nothing leaves: a keep-alive each 100 ms, and a ping as soon as one is due.
    const quiet = new Pings(0);
    for (let i = 0; i < 8; i++) {
      quiet.wanted = true;
      left(quiet, 0);
    }
    expect(quiet.wakeAt(0, 0)).toBe(100);
    expect(quiet.wakeAt(500, 0)).toBe(501);
    quiet.handleTimeout(99, 0);
    expect(quiet.waiting).toBe(false);
    quiet.handleTimeout(100, 0);
    expect([quiet.waiting, quiet.due]).toEqual([true, false]);
    left(quiet, 100);
    expect(quiet.waiting).toBe(false);
    quiet.handleTimeout(1_000, 950);
    expect([quiet.due, quiet.mayRide(999), quiet.mayRide(1_000)]).toEqual([false, false, true]);
    quiet.handleTimeout(1_000, 900);
    expect(quiet.due).toBe(true);
  });
});

describe('a goodbye', () => {
  it('[LK33] is said at 0, 40 and 120 ms, then for 1.5 s and no longer, at most every 100 ms, to a peer that goes on', () => {
    const farewell = new Farewell('bye');
    expect(farewell.hear(0, -1_000)).toBe(false);
    expect([farewell.onSaid(0), farewell.more, farewell.over]).toEqual([40, true, false]);
    expect(farewell.hear(40, 0)).toBe(false);
    expect([farewell.onSaid(40), farewell.more]).toEqual([120, true]);
    expect([farewell.onSaid(120), farewell.more, farewell.over]).toEqual([1_620, false, true]);
    expect([farewell.hear(219, 120), farewell.over]).toEqual([false, true]);
    expect([farewell.hear(220, 120), farewell.over]).toEqual([true, false]);
    // However often it is said again, the end stays where it was.
    expect([farewell.onSaid(220), farewell.over]).toEqual([1_620, true]);
    expect(farewell.hear(1_500, 220)).toBe(true);
    expect(farewell.onSaid(1_500)).toBe(1_620);
  });

  it('[LK33] has 64 packets of queued data before it', () => {
    const farewell = new Farewell('bye');
    expect(Array.from({ length: 70 }, () => farewell.takeLastWords()).filter(Boolean)).toHaveLength(64);
  });
});
