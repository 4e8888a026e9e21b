/**
 * What a link costs when there is nothing to do: datagrams, wake-ups, and what strangers make it say.
 */
import { describe, expect, it } from 'vitest';
import { Rig } from './link-rig.ts';

describe('a link', () => {
  it('[LK40] is nearly quiet when nothing happens', () => {
    const rig = new Rig({ delayMs: 1 });
    const [a, b] = [rig.add(), rig.add()];
    rig.pair(a, b);
    rig.run(5_000);
    const before = a.datagramsOut;
    rig.run(10_000);
    expect(a.datagramsOut - before).toBeLessThanOrEqual(140);
  });

  it('[LK73] wakes its process for nothing while packets come and go', () => {
    const rig = new Rig({ delayMs: 1 });
    const hub = rig.add();
    const others = Array.from({ length: 8 }, () => rig.add());
    const links = others.map((other) => rig.pair(hub, other));
    rig.run(5_000);
    let woken = 0;
    for (let tick = 0; tick < 120; tick++) {
      others.forEach((other, i) => {
        for (const [node, link] of [
          [hub, links[i]![0]],
          [other, links[i]![1]],
        ] as const) {
          node.endpoint.send(rig.now, link, 'unreliable', new Uint8Array(100));
          node.endpoint.flush(rig.now);
        }
      });
      const until = rig.now + 16;
      for (const node of rig.nodes) rig.drain(node);
      // One millisecond on its way; what comes in between is what the hub asked for itself.
      rig.run(2);
      while (hub.endpoint.pollTimeout() <= until) {
        rig.run(Math.max(0, hub.endpoint.pollTimeout() - rig.now));
        woken++;
        rig.run(0.5);
      }
      rig.run(Math.max(0, until - rig.now));
    }
    // Pings ride along. As packets of their own they made it 18, and to look after each link’s silence by itself 72.
    expect(woken).toBe(0);
  });

  it('[LK74] tells of sealed packets for a connection that is not there, seldom, and does not answer them', () => {
    const rig = new Rig({ delayMs: 1 });
    const a = rig.add();
    const stray = new Uint8Array(60).fill(0x80);
    for (let i = 0; i < 100; i++) {
      rig.deliver(a, 'session', i % 2 === 0 ? 'x' : '~abcdefghijklmnop', 9, stray);
      rig.run(1);
    }
    const told = a.events.filter((event) => event.type === 'stray');
    expect(told).toEqual([
      { type: 'stray', host: 'x' },
      { type: 'stray', host: 'x' },
    ]);
    expect(a.datagramsOut).toBe(0);
    expect(a.endpoint.drops['link']).toBe(100);
  });
});
