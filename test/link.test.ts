/**
 * The link's promises, on an emulated network with a virtual clock.
 */
import { describe, expect, it } from 'vitest';
import { createRng } from '../sdk/base/rng.ts';
import { swarmOptions } from '../sdk/testing/netem.ts';
import {
  LINK_TIMEOUT_MS,
  MAX_DATAGRAM_MESSAGE_BYTES,
  MAX_MESSAGE_BYTES,
  MAX_SEND_HELD_BYTES,
  MTU_CEILING_BYTES,
  MTU_FLOOR_BYTES,
} from '../sdk/wire/limits.ts';
import { Rig, SESSION_PORT, linkOf, messagesOf, numberOf, numbered } from './link-rig.ts';
import { expectSame } from './same.ts';

describe('channels', () => {
  it('[LK20] delivers reliable messages exactly once, in order per lane, under 40 % loss, 25 % duplication, reordering and jitter', () => {
    for (let seed = 1; seed <= 6; seed++) {
      const rig = new Rig({ seed, delayMs: 5, jitterMs: seed * 20 });
      const [a, b] = [rig.add(), rig.add()];
      const [link] = rig.pair(a, b);
      rig.net.configure({ lossRatio: 0.4, duplicateRatio: 0.25, reorderRatio: 0.25, jitterMs: seed * 20 });
      const rng = createRng(seed);
      const sent: number[] = [0, 0, 0];
      const total = 1_200;
      let i = 0;
      rig.run(120_000, () => {
        while (i < total) {
          const lane = i % 3;
          const size = rng.chance(0.05) ? 1_000 + rng.int(20_000) : 4 + rng.int(60);
          if (!a.endpoint.send(rig.now, link, 'reliable', numbered(sent[lane]!, size), lane)) break;
          sent[lane]!++;
          i++;
        }
        a.endpoint.flush(rig.now);
        rig.drain(a);
        return messagesOf(b).length >= total;
      });
      const got = messagesOf(b);
      expect(got).toHaveLength(total);
      for (let lane = 0; lane < 3; lane++)
        expect(got.filter((m) => m.lane === lane).map((m) => numberOf(m.bytes))).toEqual(Array.from({ length: sent[lane]! }, (_, n) => n));
      rig.run(5_000);
      expect(messagesOf(b)).toHaveLength(total);
      expect(a.endpoint.load.heldBytes).toBe(0);
      expect(b.endpoint.load.heldBytes).toBe(0);
    }
  });

  it('[LK21] carries a message of the largest size unchanged, refuses a larger one', () => {
    const rig = new Rig({ delayMs: 1, lossRatio: 0.05 });
    const [a, b] = [rig.add(), rig.add()];
    const [link] = rig.pair(a, b);
    const rng = createRng(4);
    const big = new Uint8Array(MAX_MESSAGE_BYTES).map(() => rng.int(256));
    expect(a.endpoint.send(rig.now, link, 'reliable', big, 2)).toBe(true);
    expect(a.endpoint.send(rig.now, link, 'reliable', new Uint8Array(MAX_MESSAGE_BYTES + 1))).toBe(false);
    expect(a.endpoint.send(rig.now, link, 'unreliable', new Uint8Array(2_000))).toBe(false);
    expect(a.endpoint.send(rig.now, link, 'reliable', new Uint8Array(0))).toBe(true);
    expect(a.endpoint.send(rig.now, link, 'reliable', new Uint8Array(1), 8)).toBe(false);
    rig.run(10_000, () => messagesOf(b).length === 2);
    expect(
      messagesOf(b)
        .map((m) => m.bytes.length)
        .sort(),
    ).toEqual([0, MAX_MESSAGE_BYTES].sort());
    expectSame(messagesOf(b).find((m) => m.lane === 2)!.bytes, big);
  });

  it('[LK22] delivers only newer sequenced messages, per lane', () => {
    const rig = new Rig({ delayMs: 1, jitterMs: 60, duplicateRatio: 0.2 });
    const [a, b] = [rig.add(), rig.add()];
    const [link] = rig.pair(a, b);
    for (let i = 0; i < 200; i++) {
      a.endpoint.send(rig.now, link, 'sequenced', numbered(i), i & 1);
      a.endpoint.flush(rig.now);
      rig.run(5);
    }
    rig.run(500);
    for (const lane of [0, 1]) {
      const got = messagesOf(b)
        .filter((m) => m.lane === lane)
        .map((m) => numberOf(m.bytes));
      expect(got.length).toBeGreaterThan(5);
      expect(got).toEqual([...new Set(got)].sort((x, y) => x - y));
    }
    expect(b.endpoint.drops['late']).toBeGreaterThan(0);
  });

  it('[LK23] bundles one tick into one datagram when it fits', () => {
    const rig = new Rig({ delayMs: 1 });
    const [a, b] = [rig.add(), rig.add()];
    const [link] = rig.pair(a, b);
    rig.run(3_000);
    const before = a.datagramsOut;
    for (let i = 0; i < 5; i++) a.endpoint.send(rig.now, link, i < 3 ? 'unreliable' : 'reliable', new Uint8Array(150));
    rig.drain(a);
    expect(a.datagramsOut).toBe(before);
    a.endpoint.flush(rig.now);
    rig.drain(a);
    expect(a.datagramsOut).toBe(before + 1);
    rig.run(5);
    expect(messagesOf(b)).toHaveLength(5);
  });

  it('[LK24] takes realtime messages of the guaranteed size at the MTU floor', () => {
    const rig = new Rig({ delayMs: 1, mtuBytes: MTU_FLOOR_BYTES });
    const [a, b] = [rig.add(), rig.add()];
    const [link] = rig.pair(a, b);
    for (const channel of ['sequenced', 'unreliable'] as const)
      expect(a.endpoint.send(rig.now, link, channel, new Uint8Array(MAX_DATAGRAM_MESSAGE_BYTES))).toBe(true);
    a.endpoint.flush(rig.now);
    rig.run(100);
    expect(messagesOf(b)).toHaveLength(2);
  });

  it('[LK25] bounds what waits for one peer, and says so', () => {
    const rig = new Rig();
    const [a, b] = [rig.add(), rig.add()];
    const [link] = rig.pair(a, b);
    rig.net.partition([a.host], [b.host]);
    let taken = 0;
    while (a.endpoint.send(rig.now, link, 'reliable', new Uint8Array(10_000))) taken++;
    expect(taken).toBe(Math.floor(MAX_SEND_HELD_BYTES / 10_064));
    expect(a.endpoint.load.heldBytes).toBeLessThanOrEqual(MAX_SEND_HELD_BYTES);
    rig.run(LINK_TIMEOUT_MS + 3_000);
    expect(a.endpoint.load.heldBytes).toBe(0);
  });

  it('[LK26] keeps a 60 Hz stream within 5 ms while a bulk transfer fills a 100 Mbit/s path', () => {
    const rig = new Rig({ delayMs: 1, bytesPerMs: 12_500, queueMs: 100 });
    const [a, b] = [rig.add(), rig.add()];
    const [link] = rig.pair(a, b);
    const delays: number[] = [];
    let bulk = 0;
    rig.onEvent = (node, e) => {
      if (node !== b || e.type !== 'message') return;
      if (e.channel === 'unreliable') delays.push(rig.now - numberOf(e.bytes) / 100);
      else bulk += e.bytes.length;
      node.events.length = 0;
    };
    const start = rig.now;
    while (rig.now - start < 6_000) {
      while (a.endpoint.send(rig.now, link, 'reliable', new Uint8Array(60_000)));
      a.endpoint.send(rig.now, link, 'unreliable', numbered(Math.round(rig.now * 100), 100));
      a.endpoint.flush(rig.now);
      rig.run(1_000 / 60);
    }
    delays.sort((x, y) => x - y);
    expect(delays[Math.floor(delays.length * 0.99)]! - 1).toBeLessThanOrEqual(5);
    // At least 60 % of what the path carries.
    expect(bulk / 6_000).toBeGreaterThan(0.6 * 12_500);
  });
});

describe('life of a link', () => {
  it('[LK30] notices silence within a second, and hears again', () => {
    const rig = new Rig({ delayMs: 1 });
    const [a, b] = [rig.add(), rig.add()];
    rig.pair(a, b);
    rig.run(3_000);
    rig.net.block(b.host, a.host);
    const at = rig.now;
    expect(rig.run(1_000, () => a.events.some((e) => e.type === 'silent'))).toBe(true);
    expect(rig.now - at).toBeLessThan(600);
    expect(b.events.some((e) => e.type === 'silent')).toBe(false);
    rig.net.unblock(b.host, a.host);
    expect(rig.run(300, () => a.events.at(-1)?.type === 'heard')).toBe(true);
  });

  it('[LK30] notices silence nearly as soon at 20 % loss, because it asks', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const rig = new Rig({ seed, delayMs: 1, lossRatio: 0.2 });
      const [a, b] = [rig.add(), rig.add()];
      rig.pair(a, b);
      rig.run(5_000 + seed * 13);
      rig.net.block(b.host, a.host);
      const at = rig.now;
      expect(rig.run(1_500, () => a.events.some((e) => e.type === 'silent'))).toBe(true);
      expect(rig.now - at).toBeLessThan(750);
    }
  });

  it('[LK31] does not take packets that were overtaken for lost ones', () => {
    const rig = new Rig({ delayMs: 2, jitterMs: 50 });
    const [a, b] = [rig.add(), rig.add()];
    const links = rig.pair(a, b);
    let most = 0;
    for (let tick = 0; tick < 1_200; tick++) {
      for (const [i, node] of [a, b].entries()) {
        node.endpoint.send(rig.now, links[i]!, 'unreliable', numbered(tick));
        node.endpoint.flush(rig.now, links[i]!);
      }
      rig.run(16);
      most = Math.max(most, a.endpoint.stats(rig.now, links[0])!.lossInRatio, b.endpoint.stats(rig.now, links[1])!.lossInRatio);
    }
    expect(most).toBeLessThan(0.04);
    rig.net.configure({ lossRatio: 0.2 });
    for (let tick = 0; tick < 1_200; tick++) {
      a.endpoint.send(rig.now, links[0], 'unreliable', numbered(tick));
      a.endpoint.flush(rig.now, links[0]);
      rig.run(16);
    }
    const seen = b.endpoint.stats(rig.now, links[1])!.lossInRatio;
    expect(seen).toBeGreaterThan(0.12);
    expect(seen).toBeLessThan(0.28);
  });

  it('[LK31] does not call a lossy link silent', () => {
    const rig = new Rig({ delayMs: 2, lossRatio: 0 });
    const [a, b] = [rig.add(), rig.add()];
    rig.pair(a, b);
    rig.net.configure({ lossRatio: 0.2 });
    rig.run(120_000);
    expect([...a.events, ...b.events].filter((e) => e.type === 'silent').length).toBeLessThanOrEqual(1);
    expect(linkOf(a, b)).toBeDefined();
  });

  it('[LK32] closes after 25 s of silence, and not before', () => {
    const rig = new Rig();
    const [a, b] = [rig.add(), rig.add()];
    rig.pair(a, b);
    rig.net.block(b.host, a.host);
    rig.net.block(a.host, b.host);
    rig.run(LINK_TIMEOUT_MS - 500);
    expect(linkOf(a, b)).toBeDefined();
    rig.run(3_000);
    expect(a.events.at(-1)).toMatchObject({ type: 'closed', reason: 'timeout', byPeer: false });
    expect(a.endpoint.load.links).toBe(0);
    expect(a.endpoint.pollTimeout()).toBe(Infinity);
  });

  it('[LK33] says goodbye with its reason and what was queued, through loss', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const rig = new Rig({ seed, delayMs: 2 });
      const [a, b] = [rig.add(), rig.add()];
      const [link] = rig.pair(a, b);
      rig.run(500);
      rig.net.configure({ lossRatio: 0.1 });
      a.endpoint.send(rig.now, link, 'reliable', numbered(1));
      a.endpoint.close(rig.now, link, 'refused');
      rig.run(3_000);
      expect(a.endpoint.load.links).toBe(0);
      const closed = b.events.find((e) => e.type === 'closed');
      expect(closed).toMatchObject({ reason: 'refused', byPeer: true });
      expect(a.endpoint.send(rig.now, link, 'reliable', numbered(1))).toBe(false);
    }
  });

  it('[LK34] forgives its own stall: two seconds without a call are no silence of the others', () => {
    const rig = new Rig({ delayMs: 1 });
    const [a, b] = [rig.add(), rig.add()];
    rig.pair(a, b);
    rig.run(2_000);
    a.paused = true;
    rig.run(2_000);
    a.paused = false;
    a.endpoint.handleTimeout(rig.now);
    rig.drain(a);
    rig.run(3_000);
    expect(a.events.filter((e) => e.type === 'silent')).toEqual([]);
    expect(b.events.filter((e) => e.type === 'silent')).toHaveLength(1);
    expect(b.events.filter((e) => e.type === 'heard')).toHaveLength(1);
  });

  it('[LK34] measures no path by what waited for a stall to end, on either side', () => {
    const rig = new Rig({ delayMs: 1 });
    const [a, b] = [rig.add(), rig.add()];
    const links = rig.pair(a, b);
    rig.run(3_000);
    // b stands still with something under way; what comes for it waits in its socket.
    b.endpoint.send(rig.now, links[1], 'reliable', numbered(1));
    b.endpoint.flush(rig.now);
    rig.drain(b);
    b.paused = true;
    const socket: Uint8Array[] = [];
    rig.onSend = (from, _socket, _host, _port, bytes) => from !== a || socket.push(bytes.slice()) === 0;
    rig.run(3_000);
    rig.onSend = undefined;
    b.paused = false;
    b.endpoint.handleTimeout(rig.now);
    rig.drain(b);
    for (const bytes of socket) rig.deliver(b, 'session', a.host, SESSION_PORT, bytes);
    rig.run(50);
    for (const [i, node] of [a, b].entries()) {
      const stats = node.endpoint.stats(rig.now, links[i]!)!;
      expect(stats.rttMs).toBeLessThan(10);
      expect(stats.jitterMs).toBeLessThan(10);
    }
  });

  it('[LK35] finds the MTU of the path, and the floor where nothing larger passes', () => {
    for (const [mtu, want] of [
      [1_500, MTU_CEILING_BYTES],
      [1_400, 1_372],
      [1_200, MTU_FLOOR_BYTES],
    ] as const) {
      const rig = new Rig({ delayMs: 1, mtuBytes: mtu });
      const [a, b] = [rig.add(), rig.add()];
      const [link] = rig.pair(a, b);
      rig.run(4_000);
      let largest = 0;
      rig.onSend = (from, _s, _h, _p, bytes) => {
        if (from === a) largest = Math.max(largest, bytes.length);
        return true;
      };
      for (let i = 0; i < 30; i++) a.endpoint.send(rig.now, link, 'reliable', new Uint8Array(200));
      a.endpoint.flush(rig.now);
      rig.run(100);
      expect(messagesOf(b)).toHaveLength(30);
      expect(largest).toBeLessThanOrEqual(want);
      expect(largest).toBeGreaterThan(want - 220);
    }
  });

  it('[LK36] follows a peer to a new address only after a challenge', () => {
    const rig = new Rig({ delayMs: 5 });
    const [a, b] = [rig.add('a'), rig.add('b')];
    const [, link] = rig.pair(a, b);
    rig.run(2_000);
    (a as { host: string }).host = 'a2';
    rig.run(1_500);
    expect(b.events.find((e) => e.type === 'moved')).toMatchObject({ link, address: { host: 'a2' } });
    expect(b.endpoint.address(link)!.host).toBe('a2');
    b.endpoint.send(rig.now, link, 'reliable', numbered(5));
    rig.run(500);
    expect(messagesOf(a)).toHaveLength(1);
  });

  it('[LK37] does not follow a packet whose source address was forged', () => {
    const rig = new Rig({ delayMs: 1 });
    const [a, b] = [rig.add('a'), rig.add('b')];
    const [, link] = rig.pair(a, b);
    rig.run(2_000);
    let outTo = 0;
    rig.onSend = (from, socket, host, _p, bytes) => {
      if (from === b && host === 'victim') outTo += bytes.length;
      if (from !== a || socket !== 'session') return true;
      // The attacker carries the packet on under another source.
      rig.net.handleDatagram(rig.now, { from: { host: 'victim', port: 9 }, to: { host: 'b', port: 2 }, socket, bytes });
      return false;
    };
    rig.run(3_000);
    expect(b.endpoint.address(link)!.host).toBe('a');
    expect(b.events.some((e) => e.type === 'moved')).toBe(false);
    expect(outTo).toBeLessThan(3_000);
  });

  it('[LK71] sends an address that only a carried packet named less than came from there, and gives up soon', () => {
    for (const carried of [1, 3, Infinity]) {
      const rig = new Rig({ delayMs: 1 });
      const [a, b] = [rig.add('a'), rig.add('b')];
      rig.pair(a, b);
      rig.run(2_000);
      let [bytesOut, bytesIn, packetsOut, packetsIn] = [0, 0, 0, 0];
      rig.onSend = (from, socket, host, _p, bytes) => {
        if (host === 'victim') {
          bytesOut += bytes.length;
          packetsOut++;
        }
        if (from !== a || socket !== 'session' || packetsIn >= carried) return true;
        bytesIn += bytes.length;
        packetsIn++;
        rig.net.handleDatagram(rig.now, { from: { host: 'victim', port: 9 }, to: { host: 'b', port: 2 }, socket, bytes });
        return false;
      };
      rig.run(2_900);
      expect(packetsOut).toBeGreaterThan(0);
      // Three in 1.4 s, then another three.
      expect(packetsOut).toBeLessThanOrEqual(Math.min(carried, 9));
      expect(bytesOut).toBeLessThan(bytesIn);
      expect(rig.run(20_000)).toBe(true);
      expect(linkOf(b, a)).toBeDefined();
    }
  });

  it('[LK71] answers a challenge that came from elsewhere with one packet, its own challenge in it', () => {
    const rig = new Rig({ delayMs: 1 });
    const [a, b] = [rig.add('a'), rig.add('b')];
    rig.pair(a, b);
    rig.run(2_000);
    // On a relay a peer challenges the direct path; that packet is carried on under another source.
    const sizes: number[] = [];
    const challenges: number[] = [];
    const la = linkOf(a, b)!;
    a.endpoint.setAddress(rig.now, la, { host: `~${b.endpoint.self}`, port: 0 });
    rig.onSend = (from, socket, host, _p, bytes) => {
      if (from === b && host === 'victim') sizes.push(bytes.length);
      if (from !== a || host !== 'b' || socket !== 'session') return true;
      challenges.push(bytes.length);
      rig.net.handleDatagram(rig.now, { from: { host: 'victim', port: 9 }, to: { host: 'b', port: 2 }, socket, bytes });
      return false;
    };
    rig.run(2_150);
    expect(challenges.length).toBeGreaterThan(0);
    expect(sizes).toHaveLength(challenges.length);
    for (const size of sizes) expect(size).toBeLessThanOrEqual(1.25 * challenges[0]!);
  });

  it('[LK38] measures the offset of the other clock within half the least round trip', () => {
    const rig = new Rig({ seed: 3, delayMs: 2, jitterMs: 10 });
    const [a, b] = [rig.add(), rig.add()];
    const [link] = rig.pair(a, b);
    rig.run(10_000);
    const clock = a.endpoint.clock(link);
    expect(Math.abs(clock.offsetMs!)).toBeLessThanOrEqual(clock.errorMs);
    expect(clock.errorMs).toBeLessThan(6);
  });

  it('[LK72] knows whether it hears the peer itself or only over a relay', () => {
    const rig = new Rig({ delayMs: 1 });
    const [a, b] = [rig.add('a'), rig.add('b')];
    const [la, lb] = rig.pair(a, b);
    rig.run(1_000);
    expect([a.endpoint.hearsDirectly(la), b.endpoint.hearsDirectly(lb)]).toEqual([true, true]);
    rig.net.block('a', 'b');
    a.endpoint.setAddress(rig.now, la, { host: `~${b.endpoint.self}`, port: 0 });
    rig.onSend = (_from, socket, host, _port, bytes) => {
      if (!host.startsWith('~')) return true;
      b.endpoint.handleDatagram(rig.now, socket, `~${a.endpoint.self}`, 0, bytes.slice());
      return false;
    };
    rig.run(1_000);
    expect(b.events.filter((event) => event.type === 'silent')).toEqual([]);
    expect([a.endpoint.hearsDirectly(la), b.endpoint.hearsDirectly(lb)]).toEqual([true, false]);
    rig.net.unblock('a', 'b');
    rig.run(3_000);
    expect(b.endpoint.hearsDirectly(lb)).toBe(true);
  });

  it('[LK39] goes to a relay at once when told, and finds the way back by itself', () => {
    const rig = new Rig({ delayMs: 1 });
    const [a, b] = [rig.add('a'), rig.add('b')];
    const [la, lb] = rig.pair(a, b);
    rig.run(1_000);
    a.endpoint.setAddress(rig.now, la, { host: `~${b.endpoint.self}`, port: 0 });
    b.endpoint.setAddress(rig.now, lb, { host: `~${a.endpoint.self}`, port: 0 });
    let relayed = 0;
    rig.onSend = (from, socket, host, _port, bytes) => {
      if (!host.startsWith('~')) return true;
      const to = from === a ? b : a;
      relayed++;
      const copy = bytes.slice();
      to.endpoint.handleDatagram(rig.now, socket, `~${from.endpoint.self}`, 0, copy);
      return false;
    };
    a.endpoint.send(rig.now, la, 'reliable', numbered(1));
    a.endpoint.flush(rig.now);
    rig.run(100);
    expect(messagesOf(b)).toHaveLength(1);
    expect(relayed).toBeGreaterThan(0);
    rig.run(5_000);
    expect(a.endpoint.address(la)).toEqual({ host: 'b', port: 2 });
    expect(b.endpoint.address(lb)).toEqual({ host: 'a', port: 2 });
  });

  it('[LK41] keeps every promise under any mixture of faults, and recovers when they end', () => {
    for (let seed = 1; seed <= 25; seed++) {
      const rig = new Rig({ seed });
      const [a, b] = [rig.add(), rig.add()];
      const [la, lb] = rig.pair(a, b);
      const { seed: _s, ...faults } = swarmOptions(seed);
      rig.net.configure(faults);
      const rng = createRng(seed);
      const sent = [0, 0];
      for (let step = 0; step < 300; step++) {
        for (const [i, node, link] of [
          [0, a, la],
          [1, b, lb],
        ] as const) {
          if (rng.chance(0.5) && node.endpoint.send(rig.now, link, 'reliable', numbered(sent[i]!, rng.chance(0.05) ? 5_000 : 20))) sent[i]!++;
          node.endpoint.send(rig.now, link, 'unreliable', numbered(step, 100));
          node.endpoint.flush(rig.now);
        }
        rig.run(16);
      }
      rig.net.heal();
      rig.run(10_000);
      for (const [i, node] of [
        [1, a],
        [0, b],
      ] as const) {
        const got = messagesOf(node)
          .filter((m) => m.channel === 'reliable')
          .map((m) => numberOf(m.bytes));
        expect([seed, got.length]).toEqual([seed, sent[i]]);
        expect(got).toEqual(got.map((_, n) => n));
      }
      expect(linkOf(a, b)).toBe(la);
    }
  });
});
