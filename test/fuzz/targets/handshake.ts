/** What strangers may send: Noise messages, and whole handshakes with one datagram spoilt. */
import { createRng } from '../../../sdk/base/rng.ts';
import { Endpoint } from '../../../sdk/link/endpoint.ts';
import { nodeCrypto } from '../../../sdk/node/crypto-node.ts';
import { CookieJar } from '../../../sdk/secure/cookie.ts';
import { InitiatorHandshake, ResponderHandshake, type HandshakeContext } from '../../../sdk/secure/handshake.ts';
import { WhoAnswers } from '../../../sdk/mesh/who.ts';
import type { PeerId } from '../../../sdk/base/brand.ts';
import { NonceRegistry, createSimCrypto } from '../../../sdk/testing/sim-crypto.ts';
import { encodeWho } from '../../../sdk/wire/datagram.ts';
import { PROLOGUE, ROOM } from '../../accept/parts/victim.ts';
import { broken, sameBytes, type Target, type TargetFile } from '../target.ts';
import { hostile } from './wire.ts';

const crypto = createSimCrypto(createRng(21), new NonceRegistry());
const roomId = new Uint8Array(16).fill(4);
const identities = [crypto.generateKeyPair(), crypto.generateKeyPair()] as const;

function context(side: 0 | 1): HandshakeContext {
  return { crypto, identity: identities[side], roomId, prologue: Uint8Array.of(1, 2), sid: new Uint8Array(24).fill(6), sessionPort: 2, joinPort: 1 };
}

const secrets = { code: 'QX7', roomKey: new Uint8Array(32).fill(5) };
const MODES = ['open', 'code', 'member'] as const;

/**
 * The three Noise messages. First byte: which message is replaced (modulo 3) and the mode (next digit);
 * the rest is exclusive-ored onto the true message, or stands for it when it is longer. Whatever was
 * refused, the true message still passes.
 */
function noise(): Target {
  return {
    seeds: [0, 1, 2, 3, 4, 5, 6, 7, 8].flatMap((first) => [
      Uint8Array.of(first, 0, 0, 1),
      Uint8Array.from([first, ...new Uint8Array(140).fill(first)]),
      Uint8Array.from([first, ...new Uint8Array(60), 255]),
    ]),
    run: (bytes) => {
      if (bytes.length === 0) return;
      const which = bytes[0]! % 3;
      const mode = MODES[Math.floor(bytes[0]! / 3) % 3]!;
      const spoil = (truth: Uint8Array): Uint8Array => {
        const mask = bytes.subarray(1);
        if (mask.length > truth.length) return mask;
        const out = truth.slice(0, bytes[0]! >= 128 ? mask.length : truth.length);
        for (let i = 0; i < mask.length && i < out.length; i++) out[i]! ^= mask[i]!;
        return out;
      };
      const initiator = new InitiatorHandshake(context(0), mode, secrets);
      const first = initiator.message1;
      if (which === 0) ResponderHandshake.start(context(1), spoil(first), secrets, () => true, 7);
      const responder = ResponderHandshake.start(context(1), first, secrets, () => true, 7);
      if (responder === undefined) broken('the true first message was refused');
      if (which === 1) {
        const forged = spoil(responder.message2);
        if (initiator.handleMessage2(forged) !== undefined && !sameBytes(forged, responder.message2)) broken('a forged second message passed');
        if (sameBytes(forged, responder.message2)) return;
      }
      const answer = initiator.handleMessage2(responder.message2);
      if (answer === undefined) broken('the true second message was refused');
      if (which === 2) {
        const forged = spoil(answer.message3);
        if (responder.handleMessage3(forged) !== 'wrong-psk') {
          if (!sameBytes(forged, answer.message3)) broken('a forged third message passed');
          return;
        }
        if (responder.failedGuess) return; // It was the initiator itself, as far as anybody can tell: its guess is spent.
      }
      const done = responder.handleMessage3(answer.message3);
      if (done === 'wrong-psk') broken('the true third message was refused');
      if (!sameBytes(done.keys.receive, answer.keys.send) || !sameBytes(done.keys.send, answer.keys.receive)) broken('the two sides have other keys');
    },
  };
}

/**
 * Two endpoints shake hands; before datagram n (first byte) is delivered, a spoilt copy of it comes, also from
 * elsewhere and on the wrong socket. They are linked all the same, and no stranger was sent more than half
 * of what came from it.
 */
function endpoint(): Target {
  return {
    seeds: [
      ...Array.from({ length: 8 }, (_, n) => Uint8Array.of(n, 0, 1, 0, 0, 9)),
      ...Array.from({ length: 8 }, (_, n) => Uint8Array.of(n | 0x80, 3, 2, 0, 60, 255)),
      ...Array.from({ length: 8 }, (_, n) => Uint8Array.of(n | 0x40, 5, 0, 9, 200)),
      ...hostile('join').map((bytes) => Uint8Array.from([0x20, 0, ...bytes.subarray(0, 600)])),
    ],
    run: (bytes) => {
      if (bytes.length < 2) return;
      const rng = createRng(bytes[1]!);
      const provider = createSimCrypto(rng, new NonceRegistry());
      const make = (): Endpoint => {
        const made = new Endpoint({
          crypto: provider,
          rng,
          identity: provider.generateKeyPair(),
          roomId: ROOM,
          joinPort: 1,
          sessionPort: 2,
          prologue: PROLOGUE,
        });
        made.setDoor({ open: true, code: 'AB', roomKey: new Uint8Array(32).fill(1) });
        return made;
      };
      const sides = [make(), make()] as const;
      const linked = [0, 0];
      const target = bytes[0]! & 7;
      let now = 1_000;
      let count = 0;
      let fromStranger = 0;
      let toStranger = 0;
      sides[0].connect(now, { host: 'B', port: 1 }, bytes[0]! & 0x10 ? { mode: 'code', code: 'AB' } : { mode: 'open' });
      for (let round = 0; round < 90 && (linked[0] === 0 || linked[1] === 0); round++) {
        for (const [i, side] of sides.entries()) {
          const other = sides[1 - i]!;
          for (let t = side.pollTransmit(now); t !== undefined; t = side.pollTransmit(now)) {
            if (t.host === 'stranger') {
              toStranger += t.bytes.length;
              continue;
            }
            const truth = t.bytes.slice();
            if (count++ === target) {
              const forged = bytes[0]! & 0x20 ? bytes.slice(2) : spoilt(truth, bytes);
              // A FIN spoilt behind its sealed key is the initiator's own, as far as anybody can tell: its guess is spent.
              if (truth[0] === 5 && bytes[0]! & 0x10 && sameBytes(forged.subarray(0, 53), truth.subarray(0, 53))) return;
              const socket = bytes[0]! & 0x40 ? 'session' : t.socket;
              if (forged.length > 0 && !sameBytes(forged, truth)) {
                const host = bytes[0]! & 0x80 ? 'stranger' : i === 0 ? 'A' : 'B';
                if (host === 'stranger') fromStranger += forged.length;
                other.handleDatagram(now, socket, host, t.socket === 'join' ? 1 : 2, forged);
              }
            }
            other.handleDatagram(now, t.socket, i === 0 ? 'A' : 'B', t.socket === 'join' ? 1 : 2, truth);
          }
          for (let e = side.pollEvent(); e !== undefined; e = side.pollEvent()) if (e.type === 'linked') linked[i] = 1;
          if (side.pollTimeout() <= now) side.handleTimeout(now);
        }
        now += 60;
      }
      if (linked[0] === 0 || linked[1] === 0) broken('the honest handshake did not finish');
      if (toStranger * 2 > fromStranger) broken(`${toStranger} bytes to a stranger for ${fromStranger}`);
    },
  };
}

/** The datagram with bytes of the input exclusive-ored onto it in (offset, value) pairs. */
function spoilt(truth: Uint8Array, bytes: Uint8Array): Uint8Array {
  const out = truth.slice(0, bytes.length % 5 === 4 ? truth.length - (bytes[2] ?? 0) : truth.length);
  for (let at = 2; at + 2 < bytes.length; at += 3) {
    const offset = ((bytes[at]! << 8) | bytes[at + 1]!) % Math.max(1, out.length);
    if (out.length > 0) out[offset]! ^= bytes[at + 2]!;
  }
  return out;
}

/** Questions of anybody about the room: answered with at most half, or not. */
function who(): Target {
  const facts = {
    roomId: ROOM,
    name: 'Friday',
    players: 2,
    max: 16,
    locked: false,
    gameId: 'game',
    version: 1,
    schemaHash: 5,
    peer: 'abcdefghijklmnop' as PeerId,
    joinPort: 29_798,
    members: Array.from({ length: 8 }, (_, i) => ({ host: `10.0.0.${i}`, port: 29_798 })),
  };
  const tag = nodeCrypto.sha256(Buffer.from('lanista room'), Buffer.from(ROOM, 'hex')).slice(0, 8);
  const nonce = new Uint8Array(8).fill(2);
  const answers = new WhoAnswers(nodeCrypto, ROOM);
  let now = 0;
  return {
    seeds: [
      encodeWho({ nonce, roomTag: undefined, gameId: undefined }).slice(),
      encodeWho({ nonce, roomTag: tag, gameId: 'game' }).slice(),
      encodeWho({ nonce, roomTag: tag, gameId: undefined }).slice(),
      encodeWho({ nonce, roomTag: undefined, gameId: 'other' }).slice(),
      ...hostile('query'),
    ],
    run: (bytes) => {
      now += 5;
      const refused = answers.handle(now, { host: 'x', port: 1 }, bytes, () => facts);
      const answer = answers.poll();
      if ((refused === undefined) !== (answer !== undefined)) broken('answered and refused at once');
      if (answer !== undefined && answer.bytes.length * 2 > bytes.length) broken('an answer of more than half');
    },
  };
}

/** Cookies: only ours, only from the same address, only for a while. */
function cookie(): Target {
  const jar = new CookieJar(0, crypto);
  const nonce = new Uint8Array(8).fill(1);
  const real = jar.issue(1_000, 'h', 1, nonce);
  return {
    seeds: [real, new Uint8Array(20), new Uint8Array(19), Uint8Array.from([0xff, 0xff, 0xff, 0xff, ...new Uint8Array(16)])],
    run: (bytes) => {
      if (jar.verify(1_500, bytes, 'h', 1, nonce) && !sameBytes(bytes, real)) broken('took a cookie that it did not make');
      if (jar.verify(1_500, bytes, 'g', 1, nonce) || jar.verify(1_500, bytes, 'h', 2, nonce)) broken('took a cookie from another address');
      if (jar.verify(12_000, bytes, 'h', 1, nonce)) broken('took an old cookie');
    },
  };
}

export const handshakes: TargetFile = {
  targets: { noise, endpoint, who, cookie },
  decoders: {
    'sdk/secure/handshake.ts': ['function decodeHello', 'handleMessage2(', 'start(', 'handleMessage3('],
    'sdk/secure/noise.ts': ['readMessage('],
    'sdk/secure/cookie.ts': ['verify('],
    'sdk/link/door.ts': ['handleHello(', 'handleInit(', 'handleFin('],
    'sdk/link/attempts.ts': ['handleCookie(', 'handleResp('],
    'sdk/mesh/who.ts': ['handle('],
  },
};
