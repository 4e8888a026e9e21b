/** What a bulk transfer may do to a tick: order inside packets, bursts, and delay on a path that loses. */
import { describe, expect, it } from 'vitest';
import type { PeerId } from '../sdk/base/brand.ts';
import { createRng } from '../sdk/base/rng.ts';
import type { LinkId } from '../sdk/link/endpoint-types.ts';
import { HeldBudget } from '../sdk/link/held-budget.ts';
import { Link } from '../sdk/link/link.ts';
import { FRAME_FRAGMENT, FRAME_RELIABLE, FRAME_SEQUENCED, FRAME_UNRELIABLE, FrameReader } from '../sdk/wire/frame.ts';
import { Rig, numberOf, numbered } from './link-rig.ts';

describe('a transfer beside a tick', () => {
  it('[LK27] realtime frames leave before reliable ones, in the first packet after the flush', () => {
    const link = new Link(0, {
      id: 1 as LinkId,
      peer: 'abcdefghijklmnop' as PeerId,
      address: { host: 'h', port: 1 },
      rng: createRng(1),
      random: (size) => new Uint8Array(size),
      budget: new HeldBudget(),
      sink: { onMessage: () => {}, onSilent: () => {}, onMoved: () => {}, onClosed: () => {}, onDrop: () => {} },
    });
    while (link.pollPacket(0));
    for (let i = 0; i < 20; i++) expect(link.send(1, 'reliable', new Uint8Array(5_000), i % 6)).toBe(true);
    expect(link.send(1, 'unreliable', new Uint8Array(300), 0)).toBe(true);
    expect(link.send(1, 'sequenced', new Uint8Array(300), 0)).toBe(true);
    link.flush();
    const reader = new FrameReader();
    const types: number[] = [];
    for (let packet = 0; link.pollPacket(1); packet++) {
      reader.reset(link.packetBuffer, link.packetBytes);
      for (let type = reader.next(); type > 0; type = reader.next()) {
        if (type < FRAME_RELIABLE) continue;
        types.push(type);
        if (type === FRAME_UNRELIABLE || type === FRAME_SEQUENCED) expect(packet).toBe(0);
      }
    }
    expect(types.slice(0, 2)).toEqual([FRAME_UNRELIABLE, FRAME_SEQUENCED]);
    expect(types.slice(2).every((type) => type === FRAME_FRAGMENT || type === FRAME_RELIABLE)).toBe(true);
    expect(types.length).toBeGreaterThan(8);
  });

  it('[LK28] reliable data leaves in turns of at most 9 datagrams, and together 13 of them or what a fast path carries in 0.8 ms', () => {
    for (const [delayMs, least, atMost, bytesPerMs, forMs] of [
      // 8 ms of round trip and 96 KiB of window are 12 MB/s; bursts do not stand in the way of that.
      [4, 9, 15, 7_000, 1_500],
      // Half a millisecond: bursts of 13 would leave most of the window unused between two wake-ups.
      [0.25, 40, 90, 60_000, 200],
    ] as const) {
      const rig = new Rig({ delayMs });
      const [a, b] = [rig.add(), rig.add()];
      const [link] = rig.pair(a, b);
      let turn = 0;
      let burst = 0;
      let at = -1;
      let longestTurn = 0;
      let most = 0;
      let bytes = 0;
      rig.onSend = (from, _socket, _host, _port, datagram) => {
        if (from !== a || datagram.length < 500) return true;
        // An acknowledgement that arrives lets more leave a moment later; what counts is what one gate lets through.
        turn = rig.now === at ? turn + 1 : 1;
        burst = rig.now - at < 0.02 ? burst + 1 : 1;
        at = rig.now;
        longestTurn = Math.max(longestTurn, turn);
        most = Math.max(most, burst);
        return true;
      };
      rig.onEvent = (node, e) => {
        if (node === b && e.type === 'message') bytes += e.bytes.length;
        node.events.length = 0;
      };
      const from = rig.now;
      while (rig.now - from < forMs) {
        let queued = false;
        while (a.endpoint.send(rig.now, link, 'reliable', new Uint8Array(30_000))) queued = true;
        if (queued) a.endpoint.flush(rig.now);
        rig.run(2);
      }
      // 9,600 bytes of frames, 1,124 in each datagram, with the one that uses the last of the allowance; a probe of the MTU may be among them.
      expect(longestTurn).toBeLessThanOrEqual(10);
      expect(most).toBeGreaterThan(least);
      expect(most).toBeLessThanOrEqual(atMost);
      expect(bytes / forMs).toBeGreaterThan(bytesPerMs);
    }
  });

  it('[LK26] a stream stays within 5 ms, and a transfer above 60 % of the path, while 1 % is lost', () => {
    const rig = new Rig({ seed: 3, delayMs: 1, bytesPerMs: 12_500, queueMs: 100 });
    const [a, b] = [rig.add(), rig.add()];
    const [link] = rig.pair(a, b);
    rig.net.configure({ lossRatio: 0.01 });
    const delays: number[] = [];
    let bulk = 0;
    rig.onEvent = (node, e) => {
      if (node === b && e.type === 'message') {
        if (e.channel === 'unreliable') delays.push(rig.now - numberOf(e.bytes) / 100);
        else bulk += e.bytes.length;
      }
      node.events.length = 0;
    };
    const start = rig.now;
    while (rig.now - start < 4_000) {
      while (a.endpoint.send(rig.now, link, 'reliable', new Uint8Array(16_384)));
      a.endpoint.send(rig.now, link, 'unreliable', numbered(Math.round(rig.now * 100), 100));
      a.endpoint.flush(rig.now);
      rig.run(1_000 / 60);
    }
    delays.sort((x, y) => x - y);
    expect(delays.length).toBeGreaterThan(220);
    expect(delays[Math.floor(delays.length * 0.99)]! - 1).toBeLessThanOrEqual(5);
    expect(bulk / 4_000).toBeGreaterThan(0.6 * 12_500);
  });
});
