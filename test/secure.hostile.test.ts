/** Handshakes with simulated crypto (every mode, every nonce watched) and with forged messages. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRng } from '../sdk/base/rng.ts';
import { nodeCrypto } from '../sdk/node/crypto-node.ts';
import { CookieJar } from '../sdk/secure/cookie.ts';
import {
  codeBytes,
  HANDSHAKE_NAME,
  InitiatorHandshake,
  ResponderHandshake,
  type HandshakeContext,
  type HandshakeSecrets,
} from '../sdk/secure/handshake.ts';
import { NoiseHandshake, type NoiseSuite } from '../sdk/secure/noise.ts';
import type { CryptoProvider } from '../sdk/secure/provider.ts';
import { createSimCrypto, NonceRegistry } from '../sdk/testing/sim-crypto.ts';

function context(crypto: CryptoProvider): HandshakeContext {
  return {
    crypto,
    identity: crypto.generateKeyPair(),
    roomId: new Uint8Array(16).fill(5),
    prologue: Uint8Array.of(1),
    sid: new Uint8Array(28).fill(9),
    sessionPort: 1,
    joinPort: 2,
  };
}

const code: HandshakeSecrets = { code: 'K7Q-2MX', roomKey: new Uint8Array(32).fill(3) };

describe('handshake against forgers', () => {
  it('[SE13] a forged RESP or FIN changes nothing: the true one still completes the handshake', () => {
    fc.assert(
      fc.property(fc.constantFrom('open', 'code', 'member'), fc.nat(), fc.uint8Array({ maxLength: 200, size: 'max' }), (mode, at, junk) => {
        const initiator = new InitiatorHandshake(context(nodeCrypto), mode, code);
        const responder = ResponderHandshake.start(context(nodeCrypto), initiator.message1, code, () => true, 7)!;
        const resp = responder.message2.slice();
        resp[at % resp.length]! ^= 1;
        expect(initiator.handleMessage2(resp)).toBeUndefined();
        expect(initiator.handleMessage2(junk)).toBeUndefined();
        const done = initiator.handleMessage2(responder.message2)!;
        const fin = done.message3.slice();
        fin[at % 48]! ^= 1;
        expect(responder.handleMessage3(fin)).toBe('wrong-psk');
        expect(responder.handleMessage3(junk)).toBe('wrong-psk');
        expect(responder.failedGuess).toBe(false);
        const answer = responder.handleMessage3(done.message3);
        if (answer === 'wrong-psk') throw new Error('the true FIN was refused');
        expect(answer.keys.send).toEqual(done.keys.receive);
      }),
      { numRuns: 40 },
    );
  });

  it('[SE13] a FIN that is noise computes no key, and of the initiator’s own only one is looked at', () => {
    for (const mode of ['open', 'code', 'member'] as const) {
      let work = 0;
      const counting: CryptoProvider = {
        ...nodeCrypto,
        dh: (secret, theirs) => {
          work++;
          return nodeCrypto.dh(secret, theirs);
        },
      };
      // A static key of low order: its FIN is sealed well, and ends before the psk.
      const identity = { publicKey: new Uint8Array(32), secretKey: nodeCrypto.randomBytes(32) };
      const initiator = new InitiatorHandshake({ ...context(nodeCrypto), identity }, mode, code);
      const responder = ResponderHandshake.start(context(counting), initiator.message1, code, () => true, 7)!;
      const done = initiator.handleMessage2(responder.message2)!;
      work = 0;
      for (let i = 0; i < 50; i++) expect(responder.handleMessage3(nodeCrypto.randomBytes(64))).toBe('wrong-psk');
      expect([work, responder.over]).toEqual([0, false]);
      for (let i = 0; i < 50; i++) expect(responder.handleMessage3(done.message3)).toBe('wrong-psk');
      expect(work).toBeLessThanOrEqual(2);
      expect([responder.failedGuess, responder.over]).toEqual([false, true]);
    }
  });

  it('[SE2] a wrong code is a guess, and the only one', () => {
    const initiator = new InitiatorHandshake(context(nodeCrypto), 'code', { code: 'K7Q-2MY' });
    const responder = ResponderHandshake.start(context(nodeCrypto), initiator.message1, code, () => true, 7)!;
    const done = initiator.handleMessage2(responder.message2)!;
    expect(responder.handleMessage3(done.message3)).toBe('wrong-psk');
    expect(responder.failedGuess).toBe(true);
    expect(responder.handleMessage3(done.message3)).toBe('wrong-psk');
  });

  it('[SE2] recorded traffic tells the right code from no other: every guess gives the same answer', () => {
    const initiator = new InitiatorHandshake(context(nodeCrypto), 'code', code);
    const responder = ResponderHandshake.start(context(nodeCrypto), initiator.message1, code, () => true, 7)!;
    const recorded = initiator.handleMessage2(responder.message2)!;
    expect(responder.handleMessage3(recorded.message3)).not.toBe('wrong-psk');
    // An eavesdropper has all three messages and may play either side with any code, the right one included.
    const answers = ['K7Q-2MX', 'K7Q-2MY', 'AAA-AAA', '222-222'].map((guess) => {
      const secrets: HandshakeSecrets = { code: guess, roomKey: undefined };
      const asResponder = ResponderHandshake.start(context(nodeCrypto), initiator.message1, secrets, () => true, 7);
      const asInitiator = new InitiatorHandshake(context(nodeCrypto), 'code', secrets);
      return {
        message1Opens: asResponder !== undefined,
        message2Opens: asInitiator.handleMessage2(responder.message2) !== undefined,
        message3Opens: asResponder?.handleMessage3(recorded.message3) !== 'wrong-psk',
        sizes: [asInitiator.message1.length, asResponder?.message2.length],
      };
    });
    for (const answer of answers) expect(answer).toEqual(answers[0]);
    expect(answers[0]).toMatchObject({ message1Opens: true, message2Opens: false, message3Opens: false });
  });

  it('[SE2] an active guesser gets a FIN only for the code it played, so one try is one guess', () => {
    const honest = new InitiatorHandshake(context(nodeCrypto), 'code', code);
    for (const [guess, opens] of [
      ['K7Q-2MX', true],
      ['K7Q-2MY', false],
    ] as const) {
      const evil = ResponderHandshake.start(context(nodeCrypto), honest.message1, { code: guess, roomKey: undefined }, () => true, 7)!;
      const twin = new InitiatorHandshake(context(nodeCrypto), 'code', code);
      const again = ResponderHandshake.start(context(nodeCrypto), twin.message1, { code: guess, roomKey: undefined }, () => true, 7)!;
      const fin = twin.handleMessage2(again.message2)!.message3;
      expect(again.handleMessage3(fin) !== 'wrong-psk').toBe(opens);
      // The FIN of one run says nothing to another run's keys.
      expect(evil.handleMessage3(fin)).toBe('wrong-psk');
    }
  });

  it('[SE13] bytes of any kind as message 1 are refused without throwing', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200, size: 'max' }), (junk) => {
        expect(ResponderHandshake.start(context(nodeCrypto), junk, code, () => true, 7)).toBeUndefined();
      }),
      { numRuns: 100 },
    );
  });

  it('[SE2] a code is the same however it is typed', () => {
    expect(codeBytes('k7q 2mx')).toEqual(codeBytes('K7Q-2MX'));
    expect(codeBytes('K7Q-2MX')).not.toEqual(codeBytes('K7Q-2MY'));
    expect(codeBytes('é')).not.toEqual(codeBytes('i'));
  });

  it('[SE12] with simulated crypto all doors work and no nonce repeats', () => {
    const registry = new NonceRegistry();
    const a = createSimCrypto(createRng(1), registry);
    const b = createSimCrypto(createRng(2), registry);
    for (const mode of ['open', 'code', 'member'] as const) {
      const initiator = new InitiatorHandshake(context(a), mode, code);
      const responder = ResponderHandshake.start(context(b), initiator.message1, code, () => true, 7)!;
      const done = initiator.handleMessage2(responder.message2)!;
      expect(responder.handleMessage3(done.message3)).not.toBe('wrong-psk');
    }
    // Per handshake: message 1 one key, message 2 two, message 3 two.
    expect(registry.sealed).toBe(15);
  });

  it('[SE7] a cookie with any bit changed, or from the future, is worth nothing', () => {
    const jar = new CookieJar(0, nodeCrypto);
    const nonce = new Uint8Array(8);
    const cookie = jar.issue(5_000, '10.0.0.1', 5, nonce);
    for (let bit = 0; bit < 160; bit++) {
      const bad = cookie.slice();
      bad[bit >>> 3]! ^= 1 << (bit & 7);
      expect(jar.verify(5_000, bad, '10.0.0.1', 5, nonce)).toBe(false);
    }
    expect(jar.verify(4_000, cookie, '10.0.0.1', 5, nonce)).toBe(false);
    expect(jar.verify(5_000, cookie.subarray(1), '10.0.0.1', 5, nonce)).toBe(false);
    expect(jar.verify(5_000, cookie, '10.0.0.1', 5, nonce)).toBe(true);
  });
});

describe('messages that open and do not say what they may', () => {
  const suite: NoiseSuite = {
    hashBytes: 32,
    hash: nodeCrypto.sha256,
    hmac: nodeCrypto.hmacSha256,
    createAead: nodeCrypto.createAead,
    generateKeyPair: nodeCrypto.generateKeyPair,
    dh: nodeCrypto.dh,
  };
  const side = (initiator: boolean): NoiseHandshake =>
    new NoiseHandshake(HANDSHAKE_NAME, suite, { initiator, prologue: Uint8Array.of(1), s: nodeCrypto.generateKeyPair() });
  const hello = (mode: number, more: readonly number[] = []): Uint8Array =>
    Uint8Array.from([mode, 0, 1, 0, 2, ...new Uint8Array(32).fill(9), ...more]);
  const cid = [0, 0, 0, 7];

  it('[SE3] a first message with another mode than there are, or of another size, is refused', () => {
    const start = (payload: Uint8Array): boolean =>
      ResponderHandshake.start(context(nodeCrypto), side(true).writeMessage(payload)!, code, () => true, 7) !== undefined;
    expect([0, 1, 2].map((mode) => start(hello(mode)))).toEqual([true, true, true]);
    expect([3, 4, 255].map((mode) => start(hello(mode)))).toEqual([false, false, false]);
    expect([start(hello(0, [0])), start(hello(0).subarray(0, 36)), start(new Uint8Array(0))]).toEqual([false, false, false]);
  });

  it('[SE3] a second message in another mode, without a connection id, or of another size is refused', () => {
    const answer = (payload: readonly number[]): boolean => {
      const initiator = new InitiatorHandshake(context(nodeCrypto), 'open', code);
      const evil = side(false);
      expect(evil.readMessage(initiator.message1)).toBeDefined();
      return initiator.handleMessage2(evil.writeMessage(Uint8Array.from(payload))!) !== undefined;
    };
    expect(answer([...cid, ...hello(0)])).toBe(true);
    for (const mode of [1, 2, 3]) expect(answer([...cid, ...hello(mode)])).toBe(false);
    expect(answer([0, 0, 0, 0, ...hello(0)])).toBe(false);
    expect(answer([...cid, ...hello(0), 0])).toBe(false);
    for (const size of [0, 3, 4, 40]) expect(answer([...cid, ...hello(0)].slice(0, size))).toBe(false);
  });

  it('[SE3] a third message that carries anything is refused, and so is another one after the true one', () => {
    const initiator = side(true);
    const responder = ResponderHandshake.start(context(nodeCrypto), initiator.writeMessage(hello(0))!, code, () => true, 7)!;
    expect(initiator.readMessage(responder.message2)).toBeDefined();
    initiator.setPsk(nodeCrypto.sha256(Buffer.from('lanista open'), new Uint8Array(16).fill(5)));
    expect(responder.handleMessage3(initiator.writeMessage(Uint8Array.of(1))!)).toBe('wrong-psk');
    expect(responder.over).toBe(true);

    const honest = new InitiatorHandshake(context(nodeCrypto), 'open', code);
    const asked = ResponderHandshake.start(context(nodeCrypto), honest.message1, code, () => true, 7)!;
    const { message3 } = honest.handleMessage2(asked.message2)!;
    expect(asked.handleMessage3(message3)).not.toBe('wrong-psk');
    expect(asked.handleMessage3(message3)).toBe('wrong-psk');
    expect([asked.failedGuess, asked.over]).toEqual([false, false]);
    // Nor does the one who called take a second answer.
    expect(honest.handleMessage2(asked.message2)).toBeUndefined();
  });

  it('[SE3] a mode that is not allowed is not answered, and one without its secret does not finish', () => {
    for (const mode of ['open', 'code', 'member'] as const) {
      const asked: string[] = [];
      const initiator = new InitiatorHandshake(context(nodeCrypto), mode, code);
      const refuse = (one: string): boolean => asked.push(one) === 0;
      expect(ResponderHandshake.start(context(nodeCrypto), initiator.message1, code, refuse, 7)).toBeUndefined();
      expect(asked).toEqual([mode]);
    }
    const initiator = new InitiatorHandshake(context(nodeCrypto), 'member', code);
    const responder = ResponderHandshake.start(context(nodeCrypto), initiator.message1, {}, () => true, 7)!;
    const { message3 } = initiator.handleMessage2(responder.message2)!;
    expect(responder.handleMessage3(message3)).toBe('wrong-psk');
    expect([responder.failedGuess, responder.over]).toEqual([false, true]);
    const without = new InitiatorHandshake(context(nodeCrypto), 'member', {});
    expect(without.handleMessage2(ResponderHandshake.start(context(nodeCrypto), without.message1, code, () => true, 7)!.message2)).toBeUndefined();
  });

  it('[SE2] the share of a handshake is drawn anew each time, and tells its mode to nobody', () => {
    for (const mode of ['open', 'code', 'member'] as const) {
      const shares = Array.from({ length: 4 }, () =>
        side(false)
          .readMessage(new InitiatorHandshake(context(nodeCrypto), mode, code).message1)!
          .slice(5),
      );
      expect(new Set(shares.map((share) => share.join())).size).toBe(4);
      for (const share of shares) expect(share.filter((byte) => byte === 0).length).toBeLessThan(8);
    }
  });

  it('[SE10] a share that leads to nothing ends the handshake in silence, on either side, and is no guess', () => {
    const nothing = (mode: number): number[] => [mode, 0, 1, 0, 2, ...new Uint8Array(32)];
    const guest = side(true);
    const responder = ResponderHandshake.start(context(nodeCrypto), guest.writeMessage(Uint8Array.from(nothing(1)))!, code, () => true, 7)!;
    expect(guest.readMessage(responder.message2)).toBeDefined();
    guest.setPsk(new Uint8Array(32));
    expect(responder.handleMessage3(guest.writeMessage()!)).toBe('wrong-psk');
    expect([responder.failedGuess, responder.over]).toEqual([false, true]);
    const initiator = new InitiatorHandshake(context(nodeCrypto), 'code', code);
    const evil = side(false);
    expect(evil.readMessage(initiator.message1)).toBeDefined();
    expect(initiator.handleMessage2(evil.writeMessage(Uint8Array.from([...cid, ...nothing(1)]))!)).toBeUndefined();
  });

  it('[SE13] what is forged or cut leaves a handshake of any pattern as it was: its keys, its secrets, and whom it knows', () => {
    for (const pattern of ['NNpsk2', 'XXpsk3', 'XNpsk3', 'INpsk2', 'IXpsk2']) {
      const make = (initiator: boolean): NoiseHandshake =>
        new NoiseHandshake(`Noise_${pattern}_25519_ChaChaPoly_SHA256`, suite, {
          initiator,
          s: nodeCrypto.generateKeyPair(),
          psks: [new Uint8Array(32).fill(7)],
        });
      const sides = [make(true), make(false)] as const;
      for (let turn = 0; !sides[0].done; turn++) {
        const [speaker, listener] = [sides[turn & 1]!, sides[1 - (turn & 1)]!];
        const payload = Uint8Array.of(turn, 1, 2);
        const message = speaker.writeMessage(payload)!;
        const known = listener.rs;
        for (let at = 0; at < message.length; at++) {
          const forged = message.slice();
          forged[at]! ^= 1;
          expect(listener.readMessage(at % 2 === 0 ? forged : message.slice(0, at))).toBeUndefined();
          expect(listener.rs).toBe(known);
        }
        expect(listener.readMessage(message)).toEqual(payload);
      }
      expect(sides[0].split().send).toEqual(sides[1].split().receive);
      expect(sides[0].handshakeHash).toEqual(sides[1].handshakeHash);
    }
  });
});
