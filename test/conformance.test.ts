/**
 * `docs/protocol.md` against the code: a decoder written from that page alone reads what real endpoints say, with the keys
 * they drew, and every field it finds is compared with what was said, with what arrived, with the clock, and with the
 * project's own decoders.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createRng } from '../sdk/base/rng.ts';
import * as wire from '../sdk/wire/datagram.ts';
import { JOIN_PORT, SESSION_PORT, linkOf, messagesOf, numbered } from './link-rig.ts';
import { drain, feed, victim } from './link-victim.ts';
import { decodeDatagram, decodeFrames, type FrameOf } from './protocol/decoder.ts';
import { ours, oursFrames } from './protocol/own.ts';
import { hex, verdict } from './protocol/reader.ts';
import { ROOM_KEY, Tapped } from './protocol/tapped.ts';
import { names, type Packet } from './protocol/wiretap.ts';
import { expectSame } from './same.ts';

const decoders: Readonly<Record<number, (bytes: Uint8Array) => unknown>> = {
  [wire.KIND_HELLO]: wire.decodeHello,
  [wire.KIND_COOKIE]: wire.decodeCookie,
  [wire.KIND_WHO]: wire.decodeWho,
};

const micros = (ms: number): number => Math.round(ms * 1_000);

/** So many of each channel are enough for both sides to leave a number out. */
const MESSAGES = 250;

describe('the page and the bytes', () => {
  it.each([
    ['open', undefined, 0],
    ['code', 'K7q-2 mx', 1],
    ['member', undefined, 2],
  ] as const)('[PR1] a handshake by %s is followed with the page alone, to the last field', (mode, code, number) => {
    const rig = new Tapped({ delayMs: 5 }, code);
    const [a, b] = [rig.peer('a'), rig.peer('b')];
    for (const node of [a, b]) node.endpoint.setDoor({ open: mode === 'open', code, roomKey: mode === 'member' ? ROOM_KEY : undefined });
    rig.connect(a, b, mode, code);
    expect(rig.run(1_000, () => linkOf(a, b) !== undefined && linkOf(b, a) !== undefined)).toBe(true);
    rig.run(200);
    expect(rig.seen.slice(0, 5).map(({ what, from }) => `${from} ${what.type === 'plain' ? what.datagram.kind : ''}`)).toEqual([
      'a HELLO',
      'b COOKIE',
      'a INIT',
      'b RESP',
      'a FIN',
    ]);
    const [session] = rig.tap.sessions;
    expect(session).toMatchObject({ mode: number, initiator: a.endpoint.self, responder: b.endpoint.self });
    for (const hello of session!.hellos) expect(hello).toMatchObject({ mode: number, sessionPort: SESSION_PORT, joinPort: JOIN_PORT });
    for (const { what, bytes } of rig.seen) expectSame(what.datagram, ours(bytes));
    expect(rig.packets('a').length).toBeGreaterThan(0);
    expect(rig.packets('b').length).toBeGreaterThan(0);
  });

  it('[PR2] every packet of a session under loss, doubling and reordering says what was sent, what arrived, and when', () => {
    // A seed in which the listener, which says little, leaves a number out too: one comes in 64 to 512.
    const rig = new Tapped({ seed: 6, delayMs: 4, jitterMs: 12, lossRatio: 0.15, duplicateRatio: 0.1, reorderRatio: 0.1 });
    const [a, b] = [rig.peer('a'), rig.peer('b')];
    const [out] = rig.pair(a, b);
    const told: string[] = [];
    let checked = 0;
    const tapped = rig.onSend!;
    rig.onSend = (from, socket, host, port, bytes) => {
      const go = tapped(from, socket, host, port, bytes);
      const { what } = rig.seen.at(-1)!;
      if (what.type === 'packet') checked += checkPacket(rig, what);
      return go;
    };
    for (let i = 0; i < MESSAGES; i++) {
      for (const [channel, lane, size] of [
        ['reliable', i % 6, i % 37 === 0 ? 3_000 + i * 40 : 40 + (i % 300)],
        ['sequenced', i % 7, 60],
        ['unreliable', i % 3, 20],
      ] as const) {
        const bytes = numbered(i, size);
        if (a.endpoint.send(rig.now, out, channel, bytes, lane) && channel === 'reliable') told.push(`${lane} ${hex(bytes)}`);
      }
      a.endpoint.flush(rig.now);
      rig.run(16);
    }
    rig.run(3_000);
    expect(checked).toBeGreaterThan(300);
    expect(whole(rig.packets('a')).toSorted()).toEqual(told.toSorted());
    const said = (type: 'SEQUENCED' | 'UNRELIABLE'): Set<string> =>
      new Set(rig.framesOf(type, 'a').map((frame) => `${type.toLowerCase()} ${frame.lane} ${hex(frame.bytes)}`));
    const [sequenced, unreliable] = [said('SEQUENCED'), said('UNRELIABLE')];
    expect(sequenced.size).toBe(MESSAGES);
    const got = messagesOf(b);
    expect(got.filter((m) => m.channel === 'reliable')).toHaveLength(told.length);
    for (const m of got.filter((one) => one.channel !== 'reliable'))
      expect((m.channel === 'sequenced' ? sequenced : unreliable).has(`${m.channel} ${m.lane} ${hex(m.bytes)}`)).toBe(true);
    // Both sides left numbers out, and both found the size of the path.
    for (const way of rig.tap.sessions[0]!.ways.values()) expect(way.skipped.length).toBeGreaterThan(0);
    expect(rig.framesOf('MTU_ACK').map((frame) => frame.size)).toContain(1_452);
    expect(Math.max(...rig.packets('a').map((packet) => packet.bytes))).toBeGreaterThan(1_200);
  });

  it('[PR3] the ratchet turns as the page says, and packets go on to open', () => {
    const rig = new Tapped({ delayMs: 5 });
    const [a, b] = [rig.peer('a'), rig.peer('b')];
    rig.pair(a, b);
    rig.run(250_000);
    for (const way of rig.tap.sessions[0]!.ways.values()) expect(way.epoch).toBe(2);
  });

  it('[PR4] a peer that moves is asked at its new address first, in a packet of nothing else', () => {
    const rig = new Tapped({ delayMs: 5 });
    const [a, b] = [rig.peer('a'), rig.peer('b')];
    const [, link] = rig.pair(a, b);
    rig.run(2_000);
    (a as { host: string }).host = 'a2';
    rig.run(1_500);
    expect(b.endpoint.address(link)!.host).toBe('a2');
    const [asked] = rig.framesOf('PATH_CHALLENGE', 'b');
    const [answered] = rig.framesOf('PATH_RESPONSE', 'a2');
    expect(asked).toMatchObject({ toHost: 'a2' });
    expect(answered!.token).toBe(asked!.token);
  });
});

/** The messages on `reliable` in a sender's packets, put together: lane and bytes. */
function whole(packets: readonly Packet[]): string[] {
  const pieces = new Map<string, Map<number, Uint8Array>>();
  const counts = new Map<string, number>();
  for (const frame of packets.flatMap((packet) => packet.frames)) {
    if (frame.type !== 'RELIABLE' && frame.type !== 'FRAGMENT') continue;
    const key = `${frame.lane} ${frame.id}`;
    const list = pieces.get(key) ?? new Map<number, Uint8Array>();
    pieces.set(key, list.set(frame.type === 'FRAGMENT' ? frame.index : 0, frame.bytes));
    counts.set(key, frame.type === 'FRAGMENT' ? frame.count : 1);
  }
  return [...pieces].map(([key, list]) => {
    expect(list.size).toBe(counts.get(key));
    return `${key.split(' ')[0]} ${[...list]
      .toSorted(([x], [y]) => x - y)
      .map(([, bytes]) => hex(bytes))
      .join('')}`;
  });
}

/** One packet as it leaves: its frames by both decoders, its ACK against what has arrived, its times against the clock. */
function checkPacket(rig: Tapped, packet: Packet): number {
  expectSame(packet.frames, oursFrames(packet.plain));
  const ownCid = [...packet.session.ways].find(([, way]) => way !== packet.direction)![0];
  const arrived = rig.arrived.get(ownCid) ?? [];
  for (const frame of packet.frames) {
    if (frame.type === 'PING') expect(frame.t1).toBe(micros(rig.now));
    if (frame.type === 'PONG') {
      expect(frame.sent).toBe(micros(rig.now));
      expect(arrived.some((one) => micros(one.at) === frame.received)).toBe(true);
      expect(rig.framesOf('PING').some((ping) => ping.t1 === frame.t1)).toBe(true);
    }
    if (frame.type !== 'ACK') continue;
    const newest = Math.max(...arrived.map((one) => one.seq));
    expect(frame.newest).toBe(newest);
    expect(frame.delay).toBe(Math.min(0xffff, Math.round((rig.now - arrived.find((one) => one.seq === newest)!.at) * 32)));
    const here = new Set(arrived.map((one) => one.seq));
    for (let seq = newest; seq >= Math.max(0, newest - 64); seq--) assert.equal(names(frame, [seq]), here.has(seq));
  }
  return 1;
}

/** What the page's decoder makes of it; undefined for what it refuses. */
function allowed<T>(read: () => T): T | undefined {
  const judged = verdict(read);
  return 'value' in judged ? judged.value : undefined;
}

it('[PR1] the decoder knows nothing but the page', () => {
  for (const name of ['reader', 'payload', 'decoder', 'keys', 'mesh', 'simulation', 'wiretap']) {
    const text = readFileSync(new URL(`./protocol/${name}.ts`, import.meta.url), 'utf8');
    for (const [, from] of text.matchAll(/from '([^']+)'/gu)) expect(from).toMatch(/^(node:crypto|\.\/(reader|payload|decoder|keys|mesh)\.ts)$/u);
  }
});

describe('the page and what it does not allow', () => {
  it('[PR10] damaged packets and datagrams are refused by the page exactly where the project refuses them', () => {
    const rig = new Tapped({ seed: 8, delayMs: 3, lossRatio: 0.1 });
    const [a, b] = [rig.peer('a'), rig.peer('b')];
    const [out] = rig.pair(a, b);
    for (let i = 0; i < 60; i++) {
      a.endpoint.send(rig.now, out, 'reliable', numbered(i, i % 7 === 0 ? 2_000 : 50), i % 6);
      a.endpoint.send(rig.now, out, 'unreliable', numbered(i, 9), 1);
      a.endpoint.send(rig.now, out, 'sequenced', numbered(i, 9), 2);
      a.endpoint.flush(rig.now);
      rig.run(16);
    }
    const rng = createRng(11);
    const damaged = (bytes: Uint8Array): Uint8Array => {
      const copy = bytes.slice(0, rng.chance(0.2) ? rng.int(bytes.length + 1) : bytes.length);
      for (let n = rng.int(3); n > 0 && copy.length > 0; n--)
        copy[rng.chance(0.5) ? rng.int(Math.min(20, copy.length)) : rng.int(copy.length)] = rng.int(256);
      return copy;
    };
    const verdicts = { taken: 0, refused: 0 };
    for (const { plain } of rig.packets()) {
      for (let i = 0; i < 30; i++) {
        const packet = damaged(plain);
        const ourFrames = oursFrames(packet);
        // A probe names the size of its datagram; that is compared one layer above the frames.
        const probe = ourFrames?.find((frame): frame is FrameOf<'MTU_PROBE'> => frame.type === 'MTU_PROBE');
        expectSame(
          allowed(() => decodeFrames(packet, probe?.size ?? 0)),
          ourFrames,
        );
        verdicts[ourFrames === undefined ? 'refused' : 'taken']++;
      }
    }
    expect(verdicts.taken).toBeGreaterThan(500);
    expect(verdicts.refused).toBeGreaterThan(500);
    const who = wire.encodeWho({ nonce: new Uint8Array(8).fill(1), roomTag: new Uint8Array(8).fill(2), gameId: 'sim' }).slice();
    for (const bytes of [rig.seen[0]!.bytes, rig.seen[1]!.bytes, who])
      for (let i = 0; i < 2_000; i++) {
        const packet = damaged(bytes);
        if (packet[0] === bytes[0]) expect(allowed(() => decodeDatagram(packet)) === undefined).toBe(decoders[packet[0]!]!(packet) === undefined);
      }
  });
});

describe('the page and the clock', () => {
  const gaps = (times: readonly number[]): number[] => times.slice(1).map((at, i) => at - times[i]!);

  it('[PR5] HELLO is repeated after 100, 200, 400, then every 800 ms, a fifth more or less, for 5 s', () => {
    const rig = new Tapped({ delayMs: 1 });
    const a = rig.peer('a');
    a.endpoint.connect(rig.now, { host: 'nobody', port: JOIN_PORT }, { mode: 'open' });
    rig.run(8_000);
    const times = rig.plain('HELLO').map((hello) => hello.at);
    gaps(times).forEach((gap, i) => {
      const wanted = [100, 200, 400][i] ?? 800;
      expect(gap).toBeGreaterThanOrEqual(0.8 * wanted);
      expect(gap).toBeLessThanOrEqual(1.2 * wanted);
    });
    expect(times.at(-1)! - times[0]!).toBeLessThan(5_000);
    expect(new Set(rig.plain('HELLO').map((hello) => hello.nonce)).size).toBe(1);
  });

  it('[PR6] keep-alives, pings, acknowledgements and goodbyes come when the page says', () => {
    const rig = new Tapped({ delayMs: 5 });
    const [a, b] = [rig.peer('a'), rig.peer('b')];
    const [link] = rig.pair(a, b);
    rig.run(4_000);
    for (const host of ['a', 'b']) expect(Math.max(...gaps(rig.packets(host).map((packet) => packet.at)))).toBeLessThanOrEqual(101);
    const pings = gaps(rig.framesOf('PING', 'a').map((ping) => Math.round(ping.at)));
    expect(pings.slice(0, 7).every((gap) => gap === 100 || gap === 101)).toBe(true);
    expect(pings.length).toBe(7 + 3);
    expect(pings.slice(7).every((gap) => gap >= 1_000 && gap <= 1_101)).toBe(true);
    // With messages every 20 ms a ping rides on one of them.
    const streamAt = rig.now;
    for (let i = 0; i < 150; i++) {
      a.endpoint.send(rig.now, link, 'unreliable', numbered(i));
      a.endpoint.flush(rig.now);
      rig.run(20);
    }
    const riding = rig.framesOf('PING', 'a').filter((ping) => ping.at >= streamAt);
    expect(riding.length).toBe(3);
    const withMessage = new Set(rig.framesOf('UNRELIABLE', 'a').map((frame) => frame.at));
    expect(riding.every((ping) => withMessage.has(ping.at))).toBe(true);
    const acks = gaps(rig.framesOf('ACK', 'b').flatMap((ack) => (ack.at >= streamAt ? [ack.at] : [])));
    expect(Math.max(...acks)).toBeLessThanOrEqual(125 + 20);
    expect(acks.length).toBeLessThanOrEqual(3_000 / 100 + 3);

    const sentAt = rig.now;
    a.endpoint.send(sentAt, link, 'reliable', numbered(1));
    a.endpoint.flush(sentAt);
    rig.run(30);
    const answer = rig.packets('b').find((packet) => packet.at >= sentAt + 5)!;
    expect(answer.at - sentAt).toBeLessThanOrEqual(5 + 4 + 0.001);

    const closedAt = rig.now;
    a.endpoint.close(rig.now, link, 'bye');
    rig.run(2_000);
    const goodbyes = rig.framesOf('CLOSE', 'a');
    expect(goodbyes.map((close) => Math.round(close.at - closedAt))).toEqual([0, 40, 120]);
    expect(goodbyes.every((close) => close.reason === 'bye')).toBe(true);
  });

  it('[PR6] a PONG says when its PING came, then when it leaves; both are taken out of the round trip', () => {
    const it_ = victim();
    drain(it_, 0);
    feed(it_, (w) => w.ping(123), 10);
    // The answer has waited for 5 ms: a loop may be late.
    expect(it_.link.pollPacket(15)).toBe(true);
    const frames = decodeFrames(it_.link.packetBuffer.slice(0, it_.link.packetBytes), 0);
    expect(frames).toContainEqual({ type: 'PONG', t1: 123, received: 10_000, sent: 15_000 });
    // And its own question, asked at 0, is answered after 4 ms: 20 ms later that makes a round trip of 16.
    feed(it_, (w) => w.pong(0, 1_000_000, 1_004_000), 20);
    expect(it_.drops).toEqual([]);
    expect(it_.link.stats().rttMs).toBeCloseTo(16);
  });

  it('[PR6] a narrow path is probed from the largest size down, three times each', () => {
    const rig = new Tapped({ delayMs: 5, mtuBytes: 1_300 });
    const [a, b] = [rig.peer('a'), rig.peer('b')];
    rig.pair(a, b);
    const linkedAt = rig.now;
    rig.run(3_000);
    const probes = rig.framesOf('MTU_PROBE', 'a');
    expect(probes.map((probe) => probe.size)).toEqual([1_452, 1_452, 1_452, 1_372, 1_372, 1_372, 1_280]);
    expect(Math.abs(probes[0]!.at - linkedAt - 30)).toBeLessThan(10);
    expect(gaps(probes.slice(0, 3).map((probe) => Math.round(probe.at)))).toEqual([250, 250]);
    expect(rig.framesOf('MTU_ACK', 'b').map((frame) => frame.size)).toEqual([1_280]);
  });
});
