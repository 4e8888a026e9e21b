import { describe, expect, it } from 'vitest';
import { nodeCrypto } from '../sdk/node/crypto-node.ts';
import {
  InitiatorHandshake,
  MESSAGE_1_BYTES,
  MESSAGE_2_BYTES,
  MESSAGE_3_BYTES,
  ResponderHandshake,
  type HandshakeContext,
  type HandshakeMode,
  type HandshakeSecrets,
} from '../sdk/secure/handshake.ts';
import { Session } from '../sdk/secure/session.ts';
import { CookieJar } from '../sdk/secure/cookie.ts';
import { peerIdOf } from '../sdk/secure/identity.ts';

const roomId = nodeCrypto.randomBytes(16);
const sid = nodeCrypto.randomBytes(28);

function context(port: number): HandshakeContext {
  return {
    crypto: nodeCrypto,
    identity: nodeCrypto.generateKeyPair(),
    roomId,
    prologue: Uint8Array.of(1, 2, 3),
    sid,
    sessionPort: port,
    joinPort: port + 1,
  };
}

function shake(mode: HandshakeMode, mine: HandshakeSecrets, theirs: HandshakeSecrets) {
  const a = context(1000);
  const b = context(2000);
  const initiator = new InitiatorHandshake(a, mode, mine);
  expect(initiator.message1.length).toBe(MESSAGE_1_BYTES);
  const responder = ResponderHandshake.start(b, initiator.message1, theirs, () => true, 7)!;
  expect(responder.message2.length).toBe(MESSAGE_2_BYTES);
  const done = initiator.handleMessage2(responder.message2)!;
  expect(done.message3.length).toBe(MESSAGE_3_BYTES);
  return { a, b, done, answer: responder.handleMessage3(done.message3) };
}

describe('handshake (SE1–SE3)', () => {
  it.each([
    ['open', {}, {}],
    ['code', { code: 'k7q2mx' }, { code: 'k7q2mx' }],
    ['member', { roomKey: new Uint8Array(32).fill(7) }, { roomKey: new Uint8Array(32).fill(7) }],
  ] as const)('[SE1] %s: both sides end with mirrored keys and know each other', (mode, mine, theirs) => {
    const { a, b, done, answer } = shake(mode, mine, theirs);
    if (answer === 'wrong-psk') throw new Error('refused');
    expect(done.keys.send).toEqual(answer.keys.receive);
    expect(done.keys.receive).toEqual(answer.keys.send);
    expect(done.far.peer).toBe(peerIdOf(b.identity.publicKey, nodeCrypto));
    expect(answer.far.peer).toBe(peerIdOf(a.identity.publicKey, nodeCrypto));
    expect(answer.far.sessionPort).toBe(1000);
    expect(done.far.joinPort).toBe(2001);
  });

  it.each([
    ['code', { code: 'k7q2mx' }, { code: 'k7q2my' }],
    ['member', { roomKey: new Uint8Array(32).fill(7) }, { roomKey: new Uint8Array(32).fill(8) }],
  ] as const)('[SE2] %s: a wrong secret is refused at FIN', (mode, mine, theirs) => {
    expect(shake(mode, mine, theirs).answer).toBe('wrong-psk');
  });

  it('[SE3] a changed prologue, message or order is refused', () => {
    const a = context(1000);
    const initiator = new InitiatorHandshake(a, 'open', {});
    expect(ResponderHandshake.start({ ...context(2000), prologue: Uint8Array.of(9) }, initiator.message1, {}, () => true, 7)).toBeUndefined();
    const responder = ResponderHandshake.start(context(2000), initiator.message1, {}, () => true, 7)!;
    const bad = responder.message2.slice();
    bad[40]! ^= 1;
    expect(initiator.handleMessage2(bad)).toBeUndefined();
    expect(ResponderHandshake.start(context(1), initiator.message1.subarray(1), {}, () => true, 7)).toBeUndefined();
  });
});

describe('session (SE4–SE6)', () => {
  const pair = (firstSeq = 0) => {
    const key = nodeCrypto.randomBytes(32);
    const other = nodeCrypto.randomBytes(32);
    return [
      new Session({ crypto: nodeCrypto, sendKey: key, receiveKey: other, remoteCid: 77, now: 0, firstSeq }),
      new Session({ crypto: nodeCrypto, sendKey: other, receiveKey: key, remoteCid: 78, now: 0, firstSeq }),
    ] as const;
  };
  const out = new Uint8Array(200);

  it.each([0, 2 ** 16 - 5, 2 ** 32 - 5, 2 ** 48 - 100])('[SE4] opens each packet once, in any order, from sequence %d on', (first) => {
    const [a, b] = pair(first);
    const packets = Array.from({ length: 50 }, (_, i) => {
      const size = a.seal(0, Uint8Array.of(i), out);
      return out.slice(0, size);
    }).reverse();
    for (const [i, packet] of packets.entries()) {
      expect(b.open(0, packet, out)).toBe(1);
      expect(out[0]).toBe(49 - i);
    }
    for (const packet of packets) expect(b.open(0, packet, out)).toBe('replayed');
  });

  it('[SE5] a forgery moves neither window nor ratchet', () => {
    const [a, b] = pair();
    const packet = out.slice(0, a.seal(0, Uint8Array.of(1, 2, 3), out));
    for (let i = 0; i < packet.length; i++) {
      const bad = packet.slice();
      bad[i]! ^= 1;
      if (i >= 1 && i < 5) continue; // The connection id is looked up before opening; it is still part of the AD.
      expect(typeof b.open(0, bad, out)).toBe('string');
    }
    expect(b.open(0, packet, out)).toBe(3);
  });

  it('[SE6] ratchets after 120 s; packets overtaken by the change still open, for a while', () => {
    const [a, b] = pair();
    const late = out.slice(0, a.seal(0, Uint8Array.of(1), out));
    const later = out.slice(0, a.seal(1, Uint8Array.of(2), out));
    const fresh = out.slice(0, a.seal(120_001, Uint8Array.of(3), out));
    expect(fresh[0]! & 3).toBe(1);
    expect(b.open(120_010, fresh, out)).toBe(1);
    expect(b.open(120_020, late, out)).toBe(1);
    expect(b.open(126_000, later, out)).toBe('epoch');
  });
});

it('[SE7] a cookie is bound to address, connection and ten seconds', () => {
  const jar = new CookieJar(0, nodeCrypto);
  const cid = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  const cookie = jar.issue(59_000, '10.0.0.1', 5, cid);
  expect(jar.verify(62_000, cookie, '10.0.0.1', 5, cid)).toBe(true);
  expect(jar.verify(62_000, cookie, '10.0.0.2', 5, cid)).toBe(false);
  expect(jar.verify(62_000, cookie, '10.0.0.1', 6, cid)).toBe(false);
  expect(jar.verify(70_000, cookie, '10.0.0.1', 5, cid)).toBe(false);
});

it('[SE7] a cookie is good for its ten seconds across every change of the secret, and never after', () => {
  const jar = new CookieJar(500, nodeCrypto);
  const nonce = new Uint8Array(8);
  const host = 'fe80::1234:5678:9abc:def0%enp0s31f6';
  for (let now = 500; now < 400_000; now += 1_777) {
    const cookie = jar.issue(now, host, 7, nonce);
    expect(jar.verify(now, cookie, host, 7, nonce)).toBe(true);
    expect(new CookieJar(500, nodeCrypto).verify(now, cookie, host, 7, nonce)).toBe(false);
    if (now % 3 === 0) expect(jar.verify(now + 9_700, cookie, host, 7, nonce)).toBe(true);
    if (now % 7 === 0) expect(jar.verify(now + 10_300, cookie, host, 7, nonce)).toBe(false);
  }
  // A jar that slept through several secrets knows none of the old cookies.
  const cookie = jar.issue(401_000, host, 7, nonce);
  expect(jar.verify(401_000 + 180_000, cookie, host, 7, nonce)).toBe(false);
  expect(jar.verify(401_000 + 180_000, jar.issue(581_000, host, 7, nonce), host, 7, nonce)).toBe(true);
});

it('[SE7] a cookie is bound to all of a port, and the secret behind it changes every minute', () => {
  let drawn = 0;
  const counted = { ...nodeCrypto, randomBytes: (size: number) => (drawn++, nodeCrypto.randomBytes(size)) };
  const jar = new CookieJar(0, counted);
  const nonce = new Uint8Array(8);
  const cookie = jar.issue(0, 'h', 0x1234, nonce);
  for (const port of [0x34, 0x1235, 0x1334, 0x9234]) expect(jar.verify(0, cookie, 'h', port, nonce)).toBe(false);
  expect(jar.verify(0, cookie, 'h', 0x1234, nonce)).toBe(true);
  const draws = [59_999, 60_000, 119_999, 120_000, 180_000].map((now) => {
    jar.issue(now, 'h', 1, nonce);
    return drawn;
  });
  // Two to begin with; from then on one a minute, and no more.
  expect(draws).toEqual([2, 3, 3, 4, 5]);
});
