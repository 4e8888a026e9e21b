/** Sealed packets under everything a network does to them. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRng } from '../sdk/base/rng.ts';
import { nodeCrypto } from '../sdk/node/crypto-node.ts';
import type { CryptoProvider } from '../sdk/secure/provider.ts';
import { ReplayWindow } from '../sdk/secure/replay-window.ts';
import { MAX_SEQ, SEAL_OVERHEAD_BYTES, Session } from '../sdk/secure/session.ts';
import { createSimCrypto, NonceRegistry } from '../sdk/testing/sim-crypto.ts';
import { REPLAY_WINDOW_PACKETS } from '../sdk/wire/limits.ts';
import { expectSame } from './same.ts';

const out = new Uint8Array(1_500);

function pair(firstSeq = 0, crypto = createSimCrypto(createRng(1))) {
  const key = crypto.randomBytes(32);
  const other = crypto.randomBytes(32);
  const a = new Session({ crypto, sendKey: key, receiveKey: other, remoteCid: 77, now: 0, firstSeq });
  const b = new Session({ crypto, sendKey: other, receiveKey: key, remoteCid: 78, now: 0 });
  return { a, b };
}

function sealed(session: Session, now: number, value: number): Uint8Array {
  return out.slice(0, session.seal(now, Uint8Array.of(value >>> 8, value), out));
}

const edges = [0, 2 ** 16 - 60, 2 ** 32 - 60, 2 ** 48 - 100];

describe('session under a hostile network', () => {
  it.each(edges)('[SE4] loss, duplication and reordering from sequence %d: each packet at most once, all within the window', (first) => {
    fc.assert(
      fc.property(fc.array(fc.nat(89), { maxLength: 300, size: 'max' }), (arrivals) => {
        const { a, b } = pair(first);
        const packets = Array.from({ length: 90 }, (_, i) => sealed(a, 0, i));
        const seen = new Set<number>();
        for (const i of arrivals) {
          const result = b.open(0, packets[i]!, out);
          if (seen.has(i)) {
            expectSame(result, 'replayed');
          } else {
            expectSame([result, (out[0]! << 8) | out[1]!], [2, i]);
            seen.add(i);
          }
        }
      }),
      { numRuns: 20 },
    );
  });

  it('[SE4] the replay window agrees with a set, and calls stale what it cannot know', () => {
    const step = fc.oneof(
      { weight: 8, arbitrary: fc.integer({ min: -40, max: 40 }) },
      { weight: 2, arbitrary: fc.integer({ min: -1_100, max: 1_100 }) },
    );
    fc.assert(
      fc.property(fc.constantFrom(5_000, 2 ** 16, 2 ** 32, 2 ** 48 - 400_000), fc.array(step, { maxLength: 300, size: 'max' }), (start, steps) => {
        const window = new ReplayWindow();
        const taken = new Set<number>();
        let at = start;
        let newest = -1;
        for (const by of steps) {
          at += by;
          const answer = window.check(at);
          const expected = newest - at >= REPLAY_WINDOW_PACKETS ? 'stale' : taken.has(at) ? 'replayed' : undefined;
          expectSame(answer, expected);
          if (answer !== undefined) continue;
          window.accept(at);
          taken.add(at);
          newest = Math.max(newest, at);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('[SE11] seals nothing after the last sequence number', () => {
    const { a, b } = pair(MAX_SEQ - 1);
    expect(b.open(0, sealed(a, 0, 1), out)).toBe(2);
    expect(b.open(0, sealed(a, 0, 2), out)).toBe(2);
    expect(a.exhausted).toBe(true);
    expect(() => sealed(a, 0, 3)).toThrow('exhausted');
  });

  it('[SE5] bytes of every kind change nothing, with forged epochs and sequence numbers too', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60, size: 'max' }), fc.nat(3), fc.integer({ min: 0, max: 2 ** 47 }), (junk, epoch, seq) => {
        const { a, b } = pair();
        const before = sealed(a, 0, 1);
        const forged = before.slice();
        forged[0] = 0x80 | epoch;
        for (let i = 0, left = seq; i < 6; i++, left = Math.floor(left / 256)) forged[10 - i] = left % 256;
        if (epoch !== 0 || seq !== 0) expect(typeof b.open(0, forged, out)).toBe('string');
        expect(typeof b.open(0, junk, out)).toBe('string');
        expect(b.receiveEpoch).toBe(0);
        expect(b.open(0, before, out)).toBe(2);
      }),
      { numRuns: 200 },
    );
  });

  it('[SE6] both directions ratchet through loss and reordering and never lose step', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const rng = createRng(seed);
        const registry = new NonceRegistry();
        const { a, b } = pair(0, createSimCrypto(createRng(seed + 1), registry));
        const late: { at: number; bytes: Uint8Array; to: Session }[] = [];
        let opened = 0;
        let now = 0;
        for (let i = 0; i < 400; i++) {
          now += rng.int(4_000);
          for (const [from, to] of [
            [a, b],
            [b, a],
          ] as const) {
            const bytes = sealed(from, now, i);
            // A key is kept for 5 s after its successor, so what comes within 4 s has to open.
            if (!rng.chance(0.3)) late.push({ at: now + rng.int(4_000), bytes, to });
          }
          for (let k = late.length - 1; k >= 0; k--) {
            if (late[k]!.at > now) continue;
            const [entry] = late.splice(k, 1);
            expectSame(entry!.to.open(entry!.at, entry!.bytes, out), 2);
            opened++;
          }
        }
        expect(opened).toBeGreaterThan(300);
        expect(a.sendEpoch).toBeGreaterThan(3);
        // The last ratchet's packets may be lost or still under way; the next one that comes brings them in step.
        expect(b.open(now, sealed(a, now, 0), out)).toBe(2);
        expect(b.receiveEpoch).toBe(a.sendEpoch);
        expect(registry.sealed).toBe(801);
      }),
      { numRuns: 25 },
    );
  });

  it('[SE6] ratchets after 2^20 packets', () => {
    const { a, b } = pair();
    for (let i = 0; i < 2 ** 20 - 1; i++) a.skipSeq();
    expect(b.open(0, sealed(a, 0, 1), out)).toBe(2);
    expect(a.sendEpoch).toBe(0);
    expect(b.open(0, sealed(a, 0, 2), out)).toBe(2);
    expect([a.sendEpoch, b.receiveEpoch]).toEqual([1, 1]);
  });

  it('[SE4] writes the stated overhead and reads no further than it was told', () => {
    const { a, b } = pair(0, nodeCrypto);
    const size = a.seal(0, Uint8Array.of(1, 2, 3, 4), out, 3);
    expect(size).toBe(3 + SEAL_OVERHEAD_BYTES);
    expect(b.open(0, out.slice(0, size), out)).toBe(3);
  });

  it('[SE6] turns after 120 s to the millisecond, every time, and opens what was overtaken for 5 s', () => {
    const { a, b } = pair();
    const early = sealed(a, 0, 1);
    const late = sealed(a, 0, 2);
    expect(b.open(0, sealed(a, 119_999, 3), out)).toBe(2);
    expect([a.sendEpoch, b.receiveEpoch]).toEqual([0, 0]);
    expect(b.open(120_000, sealed(a, 120_000, 4), out)).toBe(2);
    expect([a.sendEpoch, b.receiveEpoch]).toEqual([1, 1]);
    expect(b.open(124_999, early, out)).toBe(2);
    expect(b.open(125_000, late, out)).toBe('epoch');
    expect(b.open(239_999, sealed(a, 239_999, 5), out)).toBe(2);
    expect(a.sendEpoch).toBe(1);
    expect(b.open(240_000, sealed(a, 240_000, 6), out)).toBe(2);
    expect([a.sendEpoch, b.receiveEpoch]).toEqual([2, 2]);
  });

  it('[SE6] turns by number every time, whatever the time says', () => {
    const { a } = pair();
    const epochs = [0, 1, 2].map(() => {
      for (let i = 0; i < 2 ** 20 - 2; i++) a.skipSeq();
      sealed(a, 0, 1);
      sealed(a, 0, 2);
      return a.sendEpoch;
    });
    expect(epochs).toEqual([0, 1, 2]);
  });

  it('[SE6] erases each key that was replaced, and nothing that is its caller’s', () => {
    const turned: Uint8Array[] = [];
    const crypto: CryptoProvider = {
      ...nodeCrypto,
      hmacSha256: (key, ...parts) => {
        turned.push(key);
        return nodeCrypto.hmacSha256(key, ...parts);
      },
    };
    const keys = [crypto.randomBytes(32), crypto.randomBytes(32)] as const;
    const [a, b] = [0, 1].map((i) => new Session({ crypto, sendKey: keys[i]!, receiveKey: keys[1 - i]!, remoteCid: 7, now: 0 })) as [
      Session,
      Session,
    ];
    expect(b.open(120_000, sealed(a, 120_000, 1), out)).toBe(2);
    expect(a.open(120_000, sealed(b, 120_000, 1), out)).toBe(2);
    expect(turned).toHaveLength(4);
    for (const key of turned) expect(key.every((byte) => byte === 0)).toBe(true);
    for (const key of keys) expect(key.some((byte) => byte !== 0)).toBe(true);
  });

  it('[SE5] derives the next key once, however many forgeries name its epoch', () => {
    let derived = 0;
    const crypto: CryptoProvider = {
      ...nodeCrypto,
      hmacSha256: (key, ...parts) => {
        derived++;
        return nodeCrypto.hmacSha256(key, ...parts);
      },
    };
    const { a, b } = pair(0, crypto);
    const forged = sealed(a, 0, 1);
    forged[0] = 0x81;
    for (let i = 0; i < 50; i++) expect(b.open(0, forged, out)).toBe('tag');
    expect([derived, b.receiveEpoch]).toEqual([1, 0]);
    // Nobody's epoch: neither the one before nor the next.
    forged[0] = 0x82;
    expect(b.open(0, forged, out)).toBe('epoch');
    forged[0] = 0x83;
    expect(b.open(0, forged, out)).toBe('epoch');
  });

  it('[SE5] reads nothing of what is shorter than header and tag, or of another kind', () => {
    const { a, b } = pair();
    const empty = out.slice(0, a.seal(0, new Uint8Array(0), out));
    expect(empty.length).toBe(SEAL_OVERHEAD_BYTES);
    for (let size = 0; size < empty.length; size++) expect(b.open(0, empty.subarray(0, size), out)).toBe('short');
    for (const kind of [0x00, 0x05, 0x40, 0x84, 0xc0]) expect(b.open(0, Uint8Array.from([kind, ...empty.subarray(1)]), out)).toBe('short');
    expect(b.open(0, empty, out)).toBe(0);
  });

  it('[SE4] forgets nothing at the edge of its window', () => {
    const { a, b } = pair();
    const packets = Array.from({ length: REPLAY_WINDOW_PACKETS + 2 }, (_, i) => sealed(a, 0, i));
    expect(b.open(0, packets[1]!, out)).toBe(2);
    expect(b.open(0, packets[REPLAY_WINDOW_PACKETS]!, out)).toBe(2);
    expect([b.open(0, packets[0]!, out), b.open(0, packets[1]!, out), b.open(0, packets[2]!, out)]).toEqual(['stale', 'replayed', 2]);
    expect(b.open(0, packets[REPLAY_WINDOW_PACKETS + 1]!, out)).toBe(2);
    expect([b.open(0, packets[1]!, out), b.open(0, packets[2]!, out), b.open(0, packets[3]!, out)]).toEqual(['stale', 'replayed', 2]);
  });
});

describe('simulated crypto', () => {
  it('[SE12] a nonce used twice under one key breaks the run, from whichever provider', () => {
    const registry = new NonceRegistry();
    const [one, two] = [createSimCrypto(createRng(1), registry), createSimCrypto(createRng(2), registry)];
    const key = one.randomBytes(32);
    one.createAead(key).seal(7, out.subarray(0, 4), out.subarray(0, 4), new Uint8Array(20), 0);
    expect(() => two.createAead(key).seal(7, out.subarray(0, 4), out.subarray(0, 4), new Uint8Array(20), 0)).toThrow('nonce 7');
    two.createAead(two.randomBytes(32)).seal(7, out.subarray(0, 4), out.subarray(0, 4), new Uint8Array(20), 0);
  });

  it('[SE12] finds every changed bit, agrees on keys, and hashes however the input is cut', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 80, size: 'max' }), fc.nat(), fc.nat(79), (text, seed, cut) => {
        const crypto = createSimCrypto(createRng(seed));
        const aead = crypto.createAead(crypto.randomBytes(32));
        const box = new Uint8Array(text.length + 16);
        aead.seal(seed, text.subarray(0, 1), text, box, 0);
        const bit = seed % (box.length * 8);
        box[bit >>> 3]! ^= 1 << (bit & 7);
        expectSame(aead.open(seed, text.subarray(0, 1), box, new Uint8Array(80), 0), -1);
        box[bit >>> 3]! ^= 1 << (bit & 7);
        expectSame(aead.open(seed + 1, text.subarray(0, 1), box, new Uint8Array(80), 0), -1);
        expectSame(aead.open(seed, text.subarray(0, 1), box, new Uint8Array(80), 0), text.length);
        const a = crypto.generateKeyPair();
        const b = crypto.generateKeyPair();
        expectSame(crypto.dh(a.secretKey, b.publicKey), crypto.dh(b.secretKey, a.publicKey));
        const at = Math.min(cut, text.length);
        expectSame(crypto.sha256(text.subarray(0, at), text.subarray(at)), crypto.sha256(text));
      }),
      { numRuns: 200 },
    );
  });
});
