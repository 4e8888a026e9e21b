/**
 * Mutated bytes into every decoder, before and behind the encryption: nothing throws, everything refused is
 * counted with a reason, and honest traffic goes on.
 */
import { describe, expect, it } from 'vitest';
import { createRng, type Rng } from '../sdk/base/rng.ts';
import type { PeerId, RoomId } from '../sdk/base/brand.ts';
import type { LinkId } from '../sdk/link/endpoint-types.ts';
import { DROP_REASONS } from '../sdk/link/drops.ts';
import { HeldBudget } from '../sdk/link/held-budget.ts';
import { Link, type LinkSink } from '../sdk/link/link.ts';
import { decodeCookie, decodeFin, decodeHello, decodeHere, decodeInit, decodeResp, decodeWho, encodeHere, encodeWho } from '../sdk/wire/datagram.ts';
import { FrameReader, FrameWriter } from '../sdk/wire/frame.ts';
import { MAX_RECEIVE_HELD_BYTES } from '../sdk/wire/limits.ts';
import { decodePayload, encodePayload, scanPayload } from '../sdk/wire/payload.ts';
import { Rig, linkOf, messagesOf } from './link-rig.ts';

const ROUNDS = 12_000;

function mutate(rng: Rng, source: Uint8Array): Uint8Array {
  let bytes = source.slice();
  for (let i = 1 + rng.int(4); i > 0 && bytes.length > 0; i--) {
    switch (rng.int(5)) {
      case 0:
        bytes[rng.int(bytes.length)]! ^= 1 << rng.int(8);
        break;
      case 1:
        bytes[rng.int(bytes.length)] = [0, 1, 0x7f, 0x80, 0xff, 0xdf, 0xc7][rng.int(7)]!;
        break;
      case 2:
        bytes = bytes.slice(0, rng.int(bytes.length + 1));
        break;
      case 3: {
        const longer = new Uint8Array(bytes.length + 1 + rng.int(40));
        longer.set(bytes);
        for (let j = bytes.length; j < longer.length; j++) longer[j] = rng.int(256);
        bytes = longer;
        break;
      }
      default: {
        const from = rng.int(bytes.length);
        bytes.copyWithin(rng.int(bytes.length), from, from + rng.int(16));
      }
    }
  }
  return bytes;
}

const total = (drops: Readonly<Record<string, number>>): number => Object.values(drops).reduce((a, b) => a + b, 0);

/** `expect` costs a microsecond each time, also when all is well; this is for what is asked a million times. */
function holds(ok: boolean, what: string): void {
  if (!ok) throw new Error(`does not hold: ${what}`);
}

describe('mutated datagrams', () => {
  it('[WI11] never make a decoder throw', () => {
    const rng = createRng(11);
    const seen: Uint8Array[] = [];
    const rig = new Rig();
    rig.onSend = (_f, _s, _h, _p, bytes) => {
      seen.push(bytes.slice());
      return true;
    };
    rig.pair(rig.add(), rig.add());
    const nonce = new Uint8Array(8);
    seen.push(encodeWho({ nonce, roomTag: new Uint8Array(8), gameId: 'game' }).slice());
    seen.push(
      encodeHere({
        nonce,
        facts: {
          roomId: '00112233445566778899aabbccddeeff' as RoomId,
          name: 'x',
          players: 1,
          max: 2,
          locked: false,
          gameId: 'g',
          version: 1,
          schemaHash: 1,
          peer: 'abcdefghijklmnop' as PeerId,
          joinPort: 1,
          members: [],
        },
      }).slice(),
    );
    const decoders = [decodeHello, decodeCookie, decodeInit, decodeResp, decodeFin, decodeWho, decodeHere];
    for (let i = 0; i < ROUNDS; i++) {
      const bytes = mutate(rng, seen[rng.int(seen.length)]!);
      for (const decode of decoders) decode(bytes);
    }
  });

  it('[WI12] never make the payload decoder throw, nor accept what is not plain', () => {
    const rng = createRng(12);
    const seeds = [
      encodePayload({ a: [1, -2, 3.5, 'text', null, true], b: { c: new Uint8Array(9) }, d: 'ü' }),
      encodePayload([[[[1]]], 4_000_000_000, 'x'.repeat(300)]),
    ];
    let accepted = 0;
    for (let i = 0; i < ROUNDS * 2; i++) {
      const bytes = mutate(rng, seeds[rng.int(seeds.length)]!);
      const value = decodePayload(bytes);
      if (scanPayload(bytes) !== undefined) holds(value === undefined, 'what the scan refuses is not decoded');
      else accepted++;
      holds(Object.getPrototypeOf({}) === Object.prototype, 'the prototype of objects is as it was');
      holds(({} as Record<string, unknown>)['polluted'] === undefined, 'no object has got a key');
      if (value !== undefined) holds(['object', 'number', 'string', 'boolean'].includes(typeof value), `a ${typeof value} is not data`);
    }
    expect(accepted).toBeGreaterThan(100);
  });

  it('[LK50] of strangers change nothing in an endpoint, before and after its handshake, and are counted', () => {
    const rng = createRng(13);
    const rig = new Rig({ delayMs: 1 });
    const [a, b] = [rig.add(), rig.add()];
    const seen: { socket: 'join' | 'session'; bytes: Uint8Array }[] = [];
    rig.onSend = (_f, socket, _h, _p, bytes) => {
      seen.push({ socket, bytes: bytes.slice() });
      return true;
    };
    const [la] = rig.pair(a, b);
    rig.run(500);
    rig.onSend = undefined;
    const fresh = rig.add('fresh');
    for (const target of [fresh, b]) {
      const before = total(target.endpoint.drops);
      let fed = 0;
      let packetsOut = 0;
      const events = target.events.length;
      for (let i = 0; i < ROUNDS; i++) {
        const pick = seen[rng.int(seen.length)]!;
        const bytes = mutate(rng, pick.bytes);
        if (seen.some((s) => Buffer.from(s.bytes).equals(bytes))) continue;
        fed++;
        const socket = rng.chance(0.9) ? pick.socket : pick.socket === 'join' ? 'session' : 'join';
        target.endpoint.handleDatagram(rig.now, socket, 'stranger', 1, bytes);
        for (let t = target.endpoint.pollTransmit(rig.now); t !== undefined; t = target.endpoint.pollTransmit(rig.now))
          if (t.host === 'stranger') packetsOut++;
      }
      // What was not dropped was a HELLO whose nonce was changed: it is answered, and nothing is kept of it.
      expect(total(target.endpoint.drops) - before).toBe(fed - packetsOut);
      expect(target.events.length).toBe(events);
      expect(target.endpoint.load.halfOpen).toBe(0);
      for (const reason of Object.keys(target.endpoint.drops)) expect(DROP_REASONS).toContain(reason);
    }
    expect(a.endpoint.send(rig.now, la, 'reliable', new Uint8Array([1]))).toBe(true);
    rig.run(500);
    expect(messagesOf(b)).toHaveLength(1);
    expect(linkOf(b, a)).toBeDefined();
  });

  it('[LK51] from a member, behind the encryption, never throw nor hold more than the bound', () => {
    const rng = createRng(14);
    const reader = new FrameReader();
    const writer = new FrameWriter(1_500);
    const seeds: Uint8Array[] = [];
    for (let i = 0; i < 60; i++) {
      writer.begin(1_173);
      if (rng.chance(0.7)) writer.ack(rng.int(3), 0, 0, 1);
      if (rng.chance(0.3)) writer.ping(i);
      if (rng.chance(0.3)) writer.path(0x05, new Uint8Array(8));
      if (rng.chance(0.5)) writer.fragment(rng.int(8), rng.int(20), rng.int(5), 5, new Uint8Array(1_300));
      if (rng.chance(0.5)) writer.reliable(rng.int(8), rng.int(20), new Uint8Array(rng.int(100)));
      if (rng.chance(0.5)) writer.sequenced(rng.int(8), i, new Uint8Array(rng.int(100)));
      if (rng.chance(0.5)) writer.unreliable(rng.int(8), new Uint8Array(rng.int(100)));
      seeds.push(writer.bytes.slice(0, writer.at));
    }
    for (let life = 0; life < 200; life++) {
      const budget = new HeldBudget();
      const drops: string[] = [];
      const sink: LinkSink = {
        onMessage: () => {},
        onSilent: () => {},
        onMoved: () => {},
        onClosed: () => {},
        onDrop: (reason) => drops.push(reason),
      };
      const link = new Link(0, {
        id: 1 as LinkId,
        peer: 'abcdefghijklmnop' as PeerId,
        address: { host: 'h', port: 1 },
        rng,
        random: (size) => new Uint8Array(size),
        budget,
        sink,
      });
      let now = 0;
      for (let seq = 0; seq < 100; seq++) {
        now += 5;
        const bytes = rng.chance(0.6) ? mutate(rng, seeds[rng.int(seeds.length)]!) : seeds[rng.int(seeds.length)]!;
        const room = new Uint8Array(1_600);
        room.set(bytes.subarray(0, 1_500));
        reader.reset(room, Math.min(1_500, bytes.length));
        for (let n = 0; reader.next() > 0; n++) holds(n < 1_500, 'a packet ends');
        link.handlePacket(now, seq, room, Math.min(1_500, bytes.length), bytes.length + 27, 'h', 1);
        if (link.nextTimeout() <= now) link.handleTimeout(now);
        for (let n = 0; link.pollPacket(now); n++) holds(n < 10, 'a link falls silent');
        holds(budget.usedBytes <= MAX_RECEIVE_HELD_BYTES + 64, 'a member makes us hold no more than the bound');
      }
    }
  });
});
