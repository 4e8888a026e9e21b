/** What a link keeps to whether or not anybody lies: when it acknowledges, what it forgives, where it sends, how it ends. */
import { describe, expect, it } from 'vitest';
import {
  ACK_DELAY_MS,
  ACK_DELAY_REALTIME_MS,
  ACK_EVERY_PACKETS,
  ACK_EVERY_REALTIME_PACKETS,
  ERROR_BUDGET,
  ERROR_WINDOW_MS,
  MTU_CEILING_BYTES,
  MTU_FLOOR_BYTES,
  PATH_SWITCH_MS,
} from '../sdk/wire/limits.ts';
import { FRAME_PING, FRAME_UNRELIABLE, FrameReader } from '../sdk/wire/frame.ts';
import { Rig, messagesOf, numbered } from './link-rig.ts';
import { acked, drain, feed, victim } from './link-victim.ts';

const BODY = new Uint8Array(50);

describe('acknowledgements', () => {
  it('[LK42] leave after 8 packets with reliable data or 4 ms, after 32 or 125 ms for the rest, and for ACK alone not at all', () => {
    const few = victim();
    drain(few, 0);
    feed(few, (w) => w.reliable(0, 0, BODY), 1);
    expect(acked(few, 1 + ACK_DELAY_MS - 0.1)).toBe(-1);
    expect(acked(few, 1 + ACK_DELAY_MS)).toBe(0);

    const many = victim();
    drain(many, 0);
    for (let id = 0; id < ACK_EVERY_PACKETS - 1; id++) feed(many, (w) => w.reliable(0, id, BODY), 1);
    expect(acked(many, 1)).toBe(-1);
    feed(many, (w) => w.reliable(0, ACK_EVERY_PACKETS - 1, BODY), 1);
    expect(acked(many, 1)).toBe(ACK_EVERY_PACKETS - 1);

    const realtime = victim();
    drain(realtime, 0);
    for (let i = 0; i < 20; i++) feed(realtime, (w) => w.unreliable(0, BODY), 1);
    expect(acked(realtime, 1 + ACK_DELAY_REALTIME_MS - 0.1)).toBe(-1);
    expect(acked(realtime, 1 + ACK_DELAY_REALTIME_MS)).toBe(19);
    // More in one go than an acknowledgement names would hide what was lost.
    for (let i = 20; i < 20 + ACK_EVERY_REALTIME_PACKETS - 1; i++) feed(realtime, (w) => w.unreliable(0, BODY), 150);
    expect(acked(realtime, 150)).toBe(-1);
    feed(realtime, (w) => w.unreliable(0, BODY), 150);
    expect(acked(realtime, 150)).toBe(20 + ACK_EVERY_REALTIME_PACKETS - 1);

    const silent = victim();
    drain(silent, 0);
    feed(silent, (w) => w.ack(0, 0, 0, 0), 1);
    expect(acked(silent, 99)).toBe(-1);
  });

  it('[LK42] never name a packet of which a frame was refused', () => {
    const it_ = victim();
    drain(it_, 0);
    feed(it_, (w) => w.reliable(0, 0, BODY), 1);
    feed(it_, (w) => w.fragment(0, 5_000, 0, 6, new Uint8Array(1_500)), 1);
    expect(it_.drops).toEqual(['reliable']);
    expect(acked(it_, 50)).toBe(0);
  });
});

describe('broken rules', () => {
  it('[LK43] are forgiven eight times in ten seconds, and then end the link', () => {
    const it_ = victim();
    let now = 0;
    const err = (): void => feed(it_, (w) => w.fragment(0, 9_000, 0, 6, new Uint8Array(1_500)), now);
    for (let round = 0; round < 3; round++) {
      now += ERROR_WINDOW_MS + 1;
      for (let i = 0; i < ERROR_BUDGET; i++) err();
      expect(it_.closed).toBeUndefined();
    }
    err();
    expect(it_.closed).toBe('protocol');
  });

  it('[LK44] a PONG to no PING of ours teaches nothing and is counted', () => {
    const it_ = victim();
    drain(it_, 0);
    feed(it_, (w) => w.pong(12_345, 1, 2), 5);
    expect(it_.drops).toEqual(['pong']);
    expect(it_.link.clock.offsetMs).toBeUndefined();
    // Our only PING left at 0; the answer to it counts once.
    feed(it_, (w) => w.pong(0, 1_000_000, 1_000_000), 5);
    expect(it_.link.clock.offsetMs).toBeCloseTo(997.5);
    feed(it_, (w) => w.pong(0, 9_000_000, 9_000_000), 6);
    expect(it_.drops).toEqual(['pong', 'pong']);
    expect(it_.link.clock.offsetMs).toBeCloseTo(997.5);
  });
});

describe('the path', () => {
  it('[LK45] is not left again for a second, and one address is asked at a time', () => {
    const rig = new Rig({ delayMs: 2 });
    const [a, b] = [rig.add('a'), rig.add('b')];
    rig.pair(a, b);
    rig.run(1_000);
    const asked: string[] = [];
    rig.onSend = (from, _socket, host, _port, bytes) => {
      if (from === b && bytes.length <= 45 && host !== 'a') asked.push(host);
      return true;
    };
    (a as { host: string }).host = 'a2';
    const movedAt = (): number => b.events.filter((e) => e.type === 'moved').length;
    expect(rig.run(2_000, () => movedAt() === 1)).toBe(true);
    const at = rig.now;
    (a as { host: string }).host = 'a3';
    expect(rig.run(3_000, () => movedAt() === 2)).toBe(true);
    expect(rig.now - at).toBeGreaterThanOrEqual(PATH_SWITCH_MS);
    expect([...new Set(asked)]).toEqual(['a2', 'a3']);
    // While one stranger's address is open, another one's has to wait.
    rig.run(2_000);
    asked.length = 0;
    let turn = 0;
    rig.onSend = (from, socket, host, _port, bytes) => {
      if (from === b && bytes.length <= 45 && host.startsWith('v')) asked.push(`${rig.now} ${host}`);
      if (from !== a || socket !== 'session') return true;
      rig.net.handleDatagram(rig.now, { from: { host: `v${turn++ % 5}`, port: 9 }, to: { host: 'b', port: 2 }, socket, bytes });
      return false;
    };
    rig.run(1_000);
    expect(new Set(asked.map((one) => one.split(' ')[1])).size).toBe(1);
  });

  it('[LK46] that stops carrying large datagrams is used with small ones again', () => {
    const rig = new Rig({ delayMs: 2 });
    const [a, b] = [rig.add(), rig.add()];
    const [link] = rig.pair(a, b);
    rig.run(1_000);
    let largest = 0;
    let narrow = false;
    rig.onSend = (from, _socket, _host, _port, bytes) => {
      if (from === a) largest = Math.max(largest, bytes.length);
      return !(narrow && bytes.length > MTU_FLOOR_BYTES);
    };
    const transfer = (): number => {
      const before = messagesOf(b).length;
      a.endpoint.send(rig.now, link, 'reliable', numbered(1, 100_000));
      a.endpoint.flush(rig.now);
      rig.run(8_000);
      return messagesOf(b).length - before;
    };
    expect(transfer()).toBe(1);
    expect(largest).toBeGreaterThan(MTU_FLOOR_BYTES);
    expect(largest).toBeLessThanOrEqual(MTU_CEILING_BYTES);
    narrow = true;
    expect(transfer()).toBe(1);
    largest = 0;
    expect(transfer()).toBe(1);
    expect(largest).toBeLessThanOrEqual(MTU_FLOOR_BYTES);
  });

  it('[LK46] that stops carrying large datagrams is used with small ones again, also where nothing reliable is sent', () => {
    const rig = new Rig({ delayMs: 2 });
    const [a, b] = [rig.add(), rig.add()];
    const [link] = rig.pair(a, b);
    rig.run(1_000);
    // Ticks of three realtime messages, 1,330 bytes together, for so many seconds; returns how many arrived in the last one.
    const stream = (seconds: number): number => {
      let before = 0;
      for (let tick = 0; tick < seconds * 60; tick++) {
        if (tick === (seconds - 1) * 60) before = messagesOf(b).length;
        for (let i = 0; i < 3; i++) a.endpoint.send(rig.now, link, 'unreliable', numbered(tick, 440));
        a.endpoint.flush(rig.now);
        rig.run(16);
      }
      return messagesOf(b).length - before;
    };
    expect(stream(2)).toBeGreaterThan(170);
    rig.net.configure({ mtuBytes: 1_300 });
    expect(stream(4)).toBeGreaterThan(170);
    expect([...a.events, ...b.events].filter((e) => e.type === 'closed')).toEqual([]);
  });
});

describe('the end', () => {
  it('[LK47] after a goodbye nothing of the peer counts but its acknowledgements and its own goodbye', () => {
    const it_ = victim();
    drain(it_, 0);
    it_.link.close(1, 'bye');
    drain(it_, 1);
    feed(it_, (w) => w.reliable(0, 0, BODY), 2);
    feed(it_, (w) => w.unreliable(0, BODY), 2);
    expect(it_.messages).toEqual([]);
    feed(it_, (w) => w.close(0), 3);
    expect(it_.link.finished).toBe(true);
    feed(it_, (w) => w.reliable(0, 0, BODY), 4);
    expect(it_.drops).toEqual(['closing']);
  });
});

it('[LK48] an acknowledgement of reliable data rides on three packets, one of anything else on every eighth or one 20 ms old', () => {
  const it = victim();
  drain(it, 0);
  /** Whether the packet that answers carries one. */
  const answered = (now: number): boolean => {
    expect(it.link.send(now, 'unreliable', new Uint8Array(4), 0)).toBe(true);
    it.link.flush();
    return acked(it, now) >= 0;
  };
  const exchange = (now: number): boolean => {
    feed(it, (w) => w.unreliable(0, new Uint8Array(4)), now);
    return answered(now);
  };
  const quick = Array.from({ length: 17 }, (_, i) => exchange(1 + i / 100));
  expect(quick.flatMap((had, i) => (had ? [i] : []))).toEqual([7, 15]);
  expect(answered(20)).toBe(false);
  expect(answered(21.5)).toBe(true);
  expect(answered(21.6)).toBe(false);
  feed(it, (w) => w.reliable(0, 0, new Uint8Array(4)), 22);
  expect([22, 22.1, 22.2, 22.3].map(answered)).toEqual([true, true, true, false]);
});

it('[LK49] a ping rides on what leaves anyway; only the first ones, and one that waited 100 ms, leave alone', () => {
  const it = victim();
  const left: { at: number; ping: boolean; alone: boolean }[] = [];
  const reader = new FrameReader();
  const turn = (now: number): void => {
    it.link.handleTimeout(now);
    while (it.link.pollPacket(now)) {
      reader.reset(it.link.packetBuffer, it.link.packetBytes);
      const types: number[] = [];
      for (let type = reader.next(); type > 0; type = reader.next()) types.push(type);
      left.push({ at: now, ping: types.includes(FRAME_PING), alone: !types.includes(FRAME_UNRELIABLE) });
    }
  };
  const pings = (): { at: number; alone: boolean }[] => left.flatMap(({ at, ping, alone }) => (ping ? [{ at, alone }] : []));
  const run = (from: number, to: number, everyMs: number): void => {
    for (let now = from; now < to; now++) {
      if (now > 0 && now % 50 === 0) feed(it, (w) => w.ack(0, 0, 0, 0), now);
      if (now % everyMs === 0) it.link.send(now, 'unreliable', BODY, 0);
      if (now % everyMs === 0) it.link.flush();
      turn(now);
    }
  };
  run(0, 705, 90);
  expect(pings().map(({ at }) => at)).toEqual([0, 100, 200, 300, 400, 500, 600, 700]);
  expect(pings().filter(({ alone }) => alone).length).toBeGreaterThanOrEqual(6);
  left.length = 0;
  run(705, 4_000, 90);
  expect(pings().map(({ alone }) => alone)).toEqual([false, false, false]);
  left.length = 0;
  // Nothing to ride on: a keep-alive is a ping when one is due.
  run(4_000, 6_000, Infinity);
  expect(pings().map(({ alone }) => alone)).toEqual([true, true]);
  expect(left.length).toBeLessThanOrEqual(20);
});
