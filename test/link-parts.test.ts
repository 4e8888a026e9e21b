/** Parts of a link, each by itself, at the edges of what they promise. */
import { describe, expect, it } from 'vitest';
import { Congestion } from '../sdk/link/congestion.ts';
import { HeldBudget, type HeldAccount } from '../sdk/link/held-budget.ts';
import { MtuProbe } from '../sdk/link/mtu.ts';
import { Path } from '../sdk/link/path.ts';
import { RttEstimator } from '../sdk/link/rtt.ts';
import { HELD_SEARCH_MS, HELD_SHARE_BYTES, HELD_STALE_MS, MAX_HELD_BYTES, MAX_LINKS, MTU_FLOOR_BYTES, PATH_SWITCH_MS } from '../sdk/wire/limits.ts';

describe('the path', () => {
  const home = { host: 'a', port: 1 };
  const away = { host: 'b', port: 2 };

  /** A path whose tokens are 1, 2, 3 … */
  const make = (address = home): { readonly path: Path; readonly token: (number: number) => Uint8Array } => {
    let tokens = 0;
    return { path: new Path(address, (size) => new Uint8Array(size).fill(++tokens)), token: (number) => new Uint8Array(8).fill(number) };
  };

  it('[LK36] is moved by the token of its last challenge alone, once, from the address that was asked', () => {
    const { path, token } = make();
    path.onElsewhere(0, away.host, away.port);
    expect(path.poll()).toEqual({ to: away, answer: undefined, challenge: token(1) });
    expect(path.onResponse(1, away.host, away.port, token(9))).toBeUndefined();
    expect(path.onResponse(1, away.host, 3, token(1))).toBeUndefined();
    expect(path.onResponse(1, 'c', away.port, token(1))).toBeUndefined();
    expect(path.address).toBe(home);
    // It fails after 1.4 s; what answers then is too late, also while the next address is asked.
    path.handleTimeout(1_399);
    expect(path.wakeAt).toBe(1_400);
    path.handleTimeout(1_400);
    expect(path.onResponse(1_400, away.host, away.port, token(1))).toBeUndefined();
    path.onElsewhere(1_500, away.host, away.port);
    expect(path.onResponse(1_501, away.host, away.port, token(1))).toBeUndefined();
    expect(path.onResponse(1_501, away.host, away.port, token(2))).toBe(true);
    expect(path.address).toEqual(away);
    expect(path.onResponse(1_502, away.host, away.port, token(2))).toBeUndefined();
    // What was still to be asked is not asked any more.
    expect([path.waiting, path.poll(), path.wakeAt]).toEqual([false, undefined, Infinity]);
  });

  it('[LK71] asks at 0, 200 and 600 ms, each time for a packet from there, and no relay', () => {
    const { path } = make();
    const asked: number[] = [];
    for (let now = 0; now < 1_400; now += 10) {
      path.onElsewhere(now, '~abcdefghijklmnop', 0);
      if (now > 0) path.onElsewhere(now, 'other', 9);
      path.onElsewhere(now, away.host, away.port);
      const frames = path.poll();
      if (frames?.challenge !== undefined) asked.push(now);
      if (frames !== undefined) expect(frames.to).toEqual(away);
      path.handleTimeout(now);
    }
    expect(asked).toEqual([0, 200, 600]);
  });

  it('[LK45] is not asked about for a second after a move, whoever moved it', () => {
    const { path } = make();
    path.move(5_000, away);
    path.onElsewhere(5_000 + PATH_SWITCH_MS - 1, 'c', 3);
    expect(path.waiting).toBe(false);
    path.onElsewhere(5_000 + PATH_SWITCH_MS, 'c', 3);
    expect(path.waiting).toBe(true);
  });

  it('[LK71] answers the newest challenge, together with its own where both go to one address, else one after the other', () => {
    const { path, token } = make();
    path.onChallenge('x', 1, token(7));
    path.onChallenge('y', 2, token(8));
    path.onElsewhere(0, away.host, away.port);
    expect(path.poll()).toEqual({ to: { host: 'y', port: 2 }, answer: token(8), challenge: undefined });
    expect(path.poll()).toEqual({ to: away, answer: undefined, challenge: token(1) });
    expect(path.poll()).toBeUndefined();
    path.onElsewhere(200, away.host, away.port);
    path.onChallenge(away.host, away.port, token(9));
    expect(path.poll()).toEqual({ to: away, answer: token(9), challenge: token(1) });
    // The same host with another port is another address.
    path.onElsewhere(600, away.host, away.port);
    path.onChallenge(away.host, 77, token(9));
    expect(path.poll()).toEqual({ to: { host: away.host, port: 77 }, answer: token(9), challenge: undefined });
    expect(path.poll()).toMatchObject({ to: away, challenge: token(1) });
    expect(path.waiting).toBe(false);
  });

  it('[LK39] on a relay its last direct address is asked every few seconds by itself, one that a packet named only for packets', () => {
    const relay = { host: '~abcdefghijklmnop', port: 0 };
    const { path, token } = make();
    path.move(0, relay);
    const asked: number[] = [];
    for (let now = 0; now <= 6_000; now += 50) {
      if (path.wakeAt <= now) path.handleTimeout(now);
      if (path.poll() !== undefined) asked.push(now);
    }
    expect(asked).toEqual([2_000, 2_200, 2_600, 5_400, 5_600, 6_000]);
    expect(path.onResponse(6_010, home.host, home.port, token(2))).toBe(true);
    expect([path.address, path.wakeAt]).toEqual([home, Infinity]);
    // Named by a packet that somebody may have carried on: asked once for that packet.
    path.move(10_000, relay);
    path.onElsewhere(11_500, 'named', 5);
    expect(path.poll()).toMatchObject({ to: { host: 'named', port: 5 } });
    for (let now = 11_500; now < 12_900; now += 50) {
      if (path.wakeAt <= now) path.handleTimeout(now);
      expect(path.poll()).toBeUndefined();
    }
    // The address it moved to last is the direct one; what another address is asked with is nothing it was asked with.
    const moved = make();
    moved.path.move(0, away);
    moved.path.move(5_000, relay);
    moved.path.handleTimeout(7_000);
    expect(moved.path.poll()).toEqual({ to: away, answer: undefined, challenge: moved.token(1) });
    moved.path.onElsewhere(7_050, 'named', 5);
    expect(moved.path.poll()).toMatchObject({ to: { host: 'named' }, challenge: moved.token(2) });
    // A link that never had a direct address asks nobody.
    const carried = make(relay).path;
    carried.handleTimeout(60_000);
    expect([carried.wakeAt, carried.waiting]).toEqual([Infinity, false]);
  });
});

describe('memory', () => {
  const idle = { evict: () => {} };

  it('[LK69] is halved: a share for each direction of 64 links, and a pool that is used to its last byte', () => {
    const budget = new HeldBudget();
    const open = (): HeldAccount => budget.open({ evict: () => {} }, () => 0);
    const accounts = Array.from({ length: 2 * MAX_LINKS }, open);
    for (const account of accounts) expect(account.take(0, HELD_SHARE_BYTES)).toBe(true);
    expect(budget.usedBytes).toBe(MAX_HELD_BYTES / 2);
    const late = open();
    expect([late.shareBytes, late.take(0, MAX_HELD_BYTES / 2)]).toEqual([0, true]);
    expect([late.take(0, 1), accounts[0]!.take(0, 1)]).toEqual([false, false]);
    late.give(1);
    expect([accounts[0]!.take(100, 1), accounts[1]!.take(100, 1)]).toEqual([true, false]);
    accounts[0]!.give(2);
    // One of the two was of the share, which is nobody else's.
    expect([accounts[1]!.take(200, 2), accounts[1]!.take(300, 1)]).toEqual([false, true]);
    expect(budget.usedBytes).toBe(MAX_HELD_BYTES - 1);
    late.close();
    late.close();
    expect(open().shareBytes).toBe(0);
    accounts[0]!.close();
    accounts[0]!.close();
    expect([open().shareBytes, open().shareBytes]).toEqual([HELD_SHARE_BYTES, 0]);
    for (const account of accounts) account.close();
    expect(budget.usedBytes).toBe(0);
    expect(open().take(0, MAX_HELD_BYTES / 2 + HELD_SHARE_BYTES)).toBe(true);
  });

  it('[LK69] is never taken from who asks, nor from who keeps to a share, and of the others from whose bytes lay there most and longest', () => {
    const budget = new HeldBudget();
    const pool = MAX_HELD_BYTES / 2;
    const gone: string[] = [];
    const make = (name: string, bytes: number, ageMs: number): HeldAccount => {
      const account: HeldAccount = budget.open(
        {
          evict: () => {
            gone.push(name);
            account.close();
          },
        },
        () => account.usedBytes * ageMs,
      );
      expect(account.take(0, bytes)).toBe(true);
      return account;
    };
    make('modest', HELD_SHARE_BYTES, 1e9);
    make('young', 2e6, HELD_STALE_MS - 1);
    make('older', 1e6 + HELD_SHARE_BYTES, HELD_STALE_MS + 500);
    make('oldest', 500_000 + HELD_SHARE_BYTES, 10 * HELD_STALE_MS);
    make('old', 100_000 + HELD_SHARE_BYTES, HELD_STALE_MS + 1);
    const asks = make('asks', pool - 3.6e6 + 2 * HELD_SHARE_BYTES, 1e9);
    expect([asks.take(0, 100_000), gone]).toEqual([true, ['oldest']]);
    expect([asks.take(0, 900_000), gone]).toEqual([true, ['oldest', 'older']]);
    expect([asks.take(0, 600_000), gone]).toEqual([true, ['oldest', 'older', 'old']]);
    expect([asks.take(0, 600_000), gone]).toEqual([false, ['oldest', 'older', 'old']]);
  });

  it('[LK69] is searched for what is stale once in 50 ms, however often somebody asks, and no eviction that frees nothing is repeated', () => {
    const budget = new HeldBudget();
    let searches = 0;
    const holder = budget.open(idle, () => {
      searches++;
      return 0;
    });
    expect(holder.take(0, MAX_HELD_BYTES / 2)).toBe(true);
    const asks = budget.open({ evict: () => {} }, () => 0);
    for (let i = 0; i < 100; i++) expect(asks.take(1_000 + (i * HELD_SEARCH_MS) / 101, 100_000)).toBe(false);
    expect(searches).toBe(1);
    expect(asks.take(1_000 + HELD_SEARCH_MS, 100_000)).toBe(false);
    expect(searches).toBe(2);
    const stubborn = new HeldBudget();
    const kept = stubborn.open(idle, () => Infinity);
    expect(kept.take(0, MAX_HELD_BYTES / 2)).toBe(true);
    expect(stubborn.open({ evict: () => {} }, () => 0).take(1, 100_000)).toBe(false);
  });
});

describe('the size of datagrams', () => {
  /** Sends the probe that is due as often as it may; returns the sizes. */
  const probes = (probe: MtuProbe): number[] => {
    const sizes: number[] = [];
    for (; probe.size > 0 && sizes.length < 100; probe.step()) {
      sizes.push(probe.size);
      expect(probe.waitMs).toBe([1_452, 1_372, 1_280].includes(probe.size) && sizes.filter((size) => size === probe.size).length > 1 ? 250 : 30);
      probe.onSent();
    }
    return sizes;
  };

  it('[LK35] is the one probed last, confirmed, and larger than what is used; a new path forgets both', () => {
    const probe = new MtuProbe();
    expect(probe.onConfirmed(1_452)).toBe(false);
    probe.onSent();
    for (const size of [0, 1_200, 1_280, 1_372, 1_453, 65_535]) expect(probe.onConfirmed(size)).toBe(false);
    expect(probe.currentBytes).toBe(MTU_FLOOR_BYTES);
    expect([probe.onConfirmed(1_452), probe.currentBytes, probe.size]).toEqual([true, 1_452, 0]);
    expect(probe.onConfirmed(1_452)).toBe(false);
    probe.reset();
    expect([probe.currentBytes, probe.size]).toEqual([MTU_FLOOR_BYTES, 1_452]);
    // The answer from the path before says nothing of this one.
    expect([probe.onConfirmed(1_452), probe.currentBytes]).toEqual([false, MTU_FLOOR_BYTES]);
    probe.onSent();
    expect(probe.onConfirmed(1_452)).toBe(true);
    probe.settle();
    expect([probe.currentBytes, probe.size]).toEqual([MTU_FLOOR_BYTES, 0]);
  });

  it('[LK35] is looked for from the largest down, three times each, and so again on the next path', () => {
    const probe = new MtuProbe();
    const all = [1_452, 1_452, 1_452, 1_372, 1_372, 1_372, 1_280, 1_280, 1_280];
    expect(probes(probe)).toEqual(all);
    expect([probe.currentBytes, probe.size]).toEqual([MTU_FLOOR_BYTES, 0]);
    probe.reset();
    expect(probes(probe)).toEqual(all);
  });
});

describe('congestion', () => {
  const START = 16 * 1_200;
  const make = (rttMs = 10): { rtt: RttEstimator; way: Congestion } => {
    const rtt = new RttEstimator();
    rtt.sample(0, rttMs);
    return { rtt, way: new Congestion(rtt) };
  };

  it('[LK28] lets 8 datagrams leave in a turn and 12 together, then as fast as the window over one round trip and half as fast again', () => {
    const { way } = make();
    const rate = (1.5 * START) / 10;
    expect([way.mayLeave(100, START - 1), way.mayLeave(100, START)]).toEqual([true, false]);
    way.onSent(9_600 - 1);
    expect(way.mayLeave(100, 0)).toBe(true);
    way.onSent(1);
    expect([way.mayLeave(100, 0), way.paceAt(100)]).toEqual([false, 100.01]);
    expect(way.mayLeave(100.01, 0)).toBe(true);
    way.onSent(4_829);
    expect([way.mayLeave(100.01, 0), way.paceAt(100.01)]).toEqual([false, 100.51]);
    way.onSent(9_600);
    const wait = way.paceAt(100.01) - 100.01;
    expect(wait).toBeCloseTo(9_601.2 / rate, 3);
    expect([way.mayLeave(100.01 + wait - 0.01, 0), way.mayLeave(100.01 + wait + 0.01, 0)]).toEqual([false, true]);
    // However long nothing left, no more than a burst is saved up.
    expect(way.mayLeave(100_000, 0)).toBe(true);
    way.onSent(12 * 1_200);
    expect(way.mayLeave(100_000.01, 0)).toBe(true);
    way.onSent(Math.ceil(rate * 0.01));
    expect(way.mayLeave(100_000.01, 0)).toBe(false);
  });

  it('[LK28] on a path that is known to be fast a burst is what it carries in 0.8 ms', () => {
    const { way } = make(0.5);
    const rate = 1.5 * START;
    expect(way.mayLeave(100, 0)).toBe(true);
    way.onSent(rate * 0.8 - 1);
    expect(way.mayLeave(100.000_001, 0)).toBe(true);
    way.onSent(2);
    expect(way.mayLeave(100.000_001, 0)).toBe(false);
  });

  it('[LK26] a window that is used grows with what is acknowledged, until a queue of more than 2 ms stands; one that is not used stays', () => {
    const { way } = make();
    way.onAck(1, 5_000, 5, 0, 10, START / 2 - 1);
    expect(way.windowBytes).toBe(START);
    way.onAck(2, 5_000, 5, 0, 22, START / 2);
    expect(way.windowBytes).toBe(START + 5_000);
    // A round ends after a round trip; within it nothing is judged.
    way.onAck(10, 0, 1, 0, 40, 0);
    expect(way.windowBytes).toBe(START + 5_000);
    way.onAck(11, 0, 1, 0, 30, 0);
    expect(way.windowBytes).toBeCloseTo((START + 5_000) * (1 - (12 - 2) / 12 / 2), 6);
    // From then on once a round: an eighth without a queue, a datagram with half of the queue that is allowed.
    const before = way.windowBytes;
    way.onAck(21, 9_999, 1, 0, 10, before);
    expect(way.windowBytes).toBeCloseTo(before * 1.125, 6);
    way.onAck(31, 9_999, 1, 0, 11.5, way.windowBytes);
    expect(way.windowBytes).toBeCloseTo(before * 1.125 + 1_200, 6);
    way.onAck(41, 9_999, 1, 0, 10, 0);
    expect(way.windowBytes).toBeCloseTo(before * 1.125 + 1_200, 6);
    way.onAck(51, 0, 1, 0, 12.1, 0);
    expect(way.windowBytes).toBeCloseTo((before * 1.125 + 1_200) * 0.95, 6);
  });

  it('[LK26] loss narrows it only where more than a sixth of a round of eight is gone', () => {
    const after = (acked: number, lost: number): number => {
      const { way } = make();
      way.onAck(1, 0, acked, lost, 10, 0);
      return way.windowBytes / START;
    };
    expect([after(1, 6), after(7, 1), after(10, 2), after(0, 8)]).toEqual([1, 1, 1, 0.8]);
    expect([after(6, 2), after(9, 2)]).toEqual([0.8, 0.8]);
    // Each round by itself.
    const { way } = make();
    way.onAck(1, 0, 11, 1, 10, 0);
    for (let round = 2; round < 20; round++) way.onAck(round * 12, 0, 9, 1, 10, 0);
    expect(way.windowBytes).toBe(START);
  });

  it('[LK26] it has 9,600 bytes at least and 98,304 at most, whatever is told', () => {
    const { way } = make();
    for (let now = 1; now < 2_000; now += 11) way.onAck(now, 50_000, 40, 0, 10, way.windowBytes);
    expect(way.windowBytes).toBe(98_304);
    way.onTimeout();
    expect(way.windowBytes).toBe(49_152);
    for (let i = 0; i < 10; i++) way.onTimeout();
    expect(way.windowBytes).toBe(9_600);
    const { way: slow } = make();
    for (let now = 1; now < 2_000; now += 11) slow.onAck(now, 0, 1, 0, 500, 0);
    expect(slow.windowBytes).toBe(9_600);
  });
});
