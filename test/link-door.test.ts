/**
 * What a door owes to strangers: silence, no memory and no work before the address is proved, and an end to what
 * one source may ask for. Each test fails when its check is taken out of the door.
 */
import { describe, expect, it } from 'vitest';
import { createRng } from '../sdk/base/rng.ts';
import { Endpoint } from '../sdk/link/endpoint.ts';
import { JoinGuard } from '../sdk/link/join-guard.ts';
import { createSimCrypto } from '../sdk/testing/sim-crypto.ts';
import type { CryptoProvider } from '../sdk/secure/provider.ts';
import { decodeCookie, encodeFin, encodeHello, encodeInit } from '../sdk/wire/datagram.ts';
import {
  CODE_LOCKOUT_MS,
  COOKIE_BURST,
  COOKIES_PER_SECOND,
  HANDSHAKES_PER_SECOND,
  HANDSHAKE_BURST,
  MAX_CODE_FAILURES,
  MAX_CODE_FAILURES_PER_SOURCE,
  MAX_HALF_OPEN,
  MAX_LINKS,
  MAX_SOURCES,
  SOURCE_BURST,
  SOURCE_RATE_PER_SECOND,
} from '../sdk/wire/limits.ts';
import { Insider, drain, roomTagOf } from './accept/parts/insider.ts';
import { PROLOGUE, ROOM, createVictim } from './accept/parts/victim.ts';

/** Counts what the door makes the crypto do, by kind. */
function counted(): { crypto: CryptoProvider; work: { dh: number; keys: number; hashes: number } } {
  const inner = createSimCrypto(createRng(1));
  const work = { dh: 0, keys: 0, hashes: 0 };
  const crypto: CryptoProvider = {
    ...inner,
    dh: (secret, theirs) => {
      work.dh++;
      return inner.dh(secret, theirs);
    },
    generateKeyPair: () => {
      work.keys++;
      return inner.generateKeyPair();
    },
    sha256: (...parts) => {
      work.hashes++;
      return inner.sha256(...parts);
    },
  };
  return { crypto, work };
}

const NOW = 1_000;
const tagOf = (crypto: CryptoProvider): Uint8Array => roomTagOf(crypto, ROOM);
const helloOf = (crypto: CryptoProvider, nonce: Uint8Array): Uint8Array => encodeHello({ nonce, roomTag: tagOf(crypto) }).slice();
const initOf = (crypto: CryptoProvider, nonce: Uint8Array, cookie: Uint8Array, cid = 1): Uint8Array =>
  encodeInit({ cid, nonce, cookie, roomTag: tagOf(crypto), noise: crypto.randomBytes(96) }).slice();

describe('a door', () => {
  it('[LK10] keeps nothing and computes no key before a cookie has come back from the address', () => {
    const { crypto, work } = counted();
    const victim = createVictim(crypto, 1);
    const start = { ...work };
    for (let i = 0; i < 500; i++) {
      const nonce = crypto.randomBytes(8);
      victim.handleDatagram(NOW, 'join', `h${i}`, 1, helloOf(crypto, nonce));
      victim.handleDatagram(NOW, 'join', `h${i}`, 1, initOf(crypto, nonce, crypto.randomBytes(20)));
      victim.handleDatagram(NOW, 'join', `h${i}`, 1, encodeFin({ cid: i, noise: crypto.randomBytes(64) }).slice());
    }
    expect(victim.load).toMatchObject({ halfOpen: 0, links: 0, attempts: 0, heldBytes: 0 });
    expect([work.dh - start.dh, work.keys - start.keys]).toEqual([0, 0]);
    expect(victim.drops).toMatchObject({ cookie: 500, unexpected: 500 });
  });

  it('[SE7] believes a cookie only from the address and connection that were given it', () => {
    const { crypto } = counted();
    const victim = createVictim(crypto, 1);
    const nonce = crypto.randomBytes(8);
    victim.handleDatagram(NOW, 'join', 'true', 1, helloOf(crypto, nonce));
    const cookie = decodeCookie(drain(NOW, victim)[0]!.bytes)!.cookie.slice();
    const tries: [string, number, Uint8Array][] = [
      ['forged', 1, nonce],
      ['true', 2, nonce],
      ['true', 1, crypto.randomBytes(8)],
    ];
    for (const [host, port, its] of tries) victim.handleDatagram(NOW, 'join', host, port, initOf(crypto, its, cookie));
    expect(victim.drops).toEqual({ cookie: 3 });
    victim.handleDatagram(NOW, 'join', 'true', 1, initOf(crypto, nonce, cookie));
    // Noise refuses what was no handshake; the cookie was right.
    expect(victim.drops).toEqual({ cookie: 3, handshake: 1 });
  });

  it('[LK3] computes no key for an INIT of another room, even with a true cookie', () => {
    const { crypto, work } = counted();
    const victim = createVictim(crypto, 1);
    const nonce = crypto.randomBytes(8);
    victim.handleDatagram(NOW, 'join', 'true', 1, helloOf(crypto, nonce));
    const cookie = decodeCookie(drain(NOW, victim)[0]!.bytes)!.cookie.slice();
    const before = work.keys + work.dh;
    const roomTag = roomTagOf(crypto, 'ffffffffffffffffffffffffffffffff');
    const init = encodeInit({ cid: 1, nonce, cookie, roomTag, noise: crypto.randomBytes(85) }).slice();
    victim.handleDatagram(NOW, 'join', 'true', 1, init);
    expect(victim.drops).toEqual({ room: 1 });
    expect(work.keys + work.dh).toBe(before);
    expect(drain(NOW, victim)).toEqual([]);
  });

  it('[LK10] answers each stranger with less than half of what came, and garbage with nothing', () => {
    const { crypto } = counted();
    const victim = createVictim(crypto, 1);
    const rng = createRng(3);
    for (let i = 0; i < 3_000; i++) {
      const bytes = crypto.randomBytes(1 + rng.int(600));
      // Every kind there is, with the room's true tag where it belongs, and a cookie nobody gave.
      if (i % 2 === 0) bytes[0] = i % 16;
      if (i % 4 === 0) bytes.set(i % 8 === 0 ? helloOf(crypto, crypto.randomBytes(8)).subarray(0, bytes.length) : bytes);
      if (bytes.length === 64) continue;
      victim.handleDatagram(NOW, i % 3 === 0 ? 'session' : 'join', 'stranger', 1, bytes);
      expect(drain(NOW, victim)).toEqual([]);
    }
    const hello = helloOf(crypto, crypto.randomBytes(8));
    victim.handleDatagram(NOW, 'join', 'stranger', 1, hello);
    const sent = drain(NOW, victim);
    expect(sent).toHaveLength(1);
    expect(sent[0]!.bytes.length * 2).toBeLessThanOrEqual(hello.length);
  });

  it("[LK4] hears five wrong codes a minute from one address, twenty from all, and then nobody's for a minute", () => {
    const one = new JoinGuard();
    for (let i = 0; i < MAX_CODE_FAILURES_PER_SOURCE; i++) {
      expect(one.allowsCode(NOW + i, 'bad')).toBe(true);
      one.onWrongCode(NOW + i, 'bad');
    }
    expect(one.allowsCode(NOW + 10, 'bad')).toBe(false);
    expect(one.allowsCode(NOW + 10, 'good')).toBe(true);
    expect(one.allowsCode(NOW + 60_000, 'bad')).toBe(false);
    expect(one.allowsCode(NOW + 60_001, 'bad')).toBe(true);

    const many = new JoinGuard();
    for (let i = 0; i < MAX_CODE_FAILURES; i++) {
      expect(many.allowsCode(NOW + i, `h${i}`)).toBe(true);
      many.onWrongCode(NOW + i, `h${i}`);
    }
    const last = NOW + MAX_CODE_FAILURES - 1;
    expect(many.allowsCode(last, 'good')).toBe(false);
    expect(many.allowsCode(last + CODE_LOCKOUT_MS - 1, 'good')).toBe(false);
    expect(many.allowsCode(last + CODE_LOCKOUT_MS, 'good')).toBe(true);

    const slow = new JoinGuard();
    for (let i = 0; i < 10 * MAX_CODE_FAILURES; i++) slow.onWrongCode(NOW + (i * 60_001) / (MAX_CODE_FAILURES - 2), `h${i}`);
    expect(slow.allowsCode(NOW + 700_000, 'good')).toBe(true);
  });

  it('[LK12] gives strangers so many cookies a second, and is silent to the rest', () => {
    const { crypto } = counted();
    const victim = createVictim(crypto, 1);
    const ask = (now: number, times: number): number => {
      for (let i = 0; i < times; i++) victim.handleDatagram(now, 'join', `h${i}`, 1, helloOf(crypto, crypto.randomBytes(8)));
      return drain(now, victim).length;
    };
    expect(ask(NOW, 3 * COOKIE_BURST)).toBe(COOKIE_BURST);
    expect(victim.drops).toEqual({ rate: 2 * COOKIE_BURST });
    let given = 0;
    for (let ms = 1; ms <= 1_000; ms++) given += ask(NOW + ms, 40);
    expect(given).toBe(COOKIES_PER_SECOND);
  });

  it('[LK12] shakes hands with one source so many times, and with the next all the same', () => {
    const { crypto } = counted();
    const victim = createVictim(crypto, 1);
    const knock = (now: number, host: string): string => {
      const before = { ...victim.drops };
      const nonce = crypto.randomBytes(8);
      victim.handleDatagram(now, 'join', host, 1, helloOf(crypto, nonce));
      const cookie = decodeCookie(drain(now, victim)[0]!.bytes)!.cookie.slice();
      victim.handleDatagram(now, 'join', host, 1, initOf(crypto, nonce, cookie));
      return Object.keys(victim.drops).find((reason) => victim.drops[reason] !== before[reason]) ?? 'none';
    };
    // A cookie a millisecond, so that their rate is not what is tested.
    let now = NOW;
    const outcomes: Record<string, number> = {};
    for (let i = 0; i < SOURCE_BURST + 100; i++) {
      const outcome = knock((now += 0.2), 'greedy');
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    }
    const refilled = Math.floor(((SOURCE_BURST + 100) * 0.2 * SOURCE_RATE_PER_SECOND) / 1_000);
    expect(outcomes).toEqual({ handshake: SOURCE_BURST + refilled, rate: 100 - refilled });
    expect(knock(now, 'modest')).toBe('handshake');
    expect(knock(now + 1_000, 'greedy')).toBe('handshake');
  });

  it('[LK11] keeps the newest 32 handshakes, and the oldest can still not be resumed by another address', () => {
    const { crypto } = counted();
    const victim = createVictim(crypto, 1);
    // Real initiators that stop before FIN.
    const half = (host: string): { cid: number; fin: Uint8Array } => {
      const insider = new Insider(crypto, victim, ROOM, PROLOGUE, host);
      return insider.knock(NOW)!;
    };
    const first = half('h0');
    for (let i = 1; i <= MAX_HALF_OPEN; i++) half(`h${i}`);
    expect(victim.load.halfOpen).toBe(MAX_HALF_OPEN);
    expect(victim.drops).toEqual({ 'half-open': 1 });
    victim.handleDatagram(NOW, 'join', 'h0', 1, first.fin);
    expect(victim.load.links).toBe(0);
    const last = half('late');
    victim.handleDatagram(NOW, 'join', 'thief', 1, last.fin);
    victim.handleDatagram(NOW, 'join', 'late', 2, last.fin);
    expect(victim.load.links).toBe(0);
    victim.handleDatagram(NOW, 'join', 'late', 1, last.fin);
    expect(victim.load.links).toBe(1);
    // What never finished is forgotten.
    victim.handleTimeout(NOW + 11_000);
    expect(victim.load.halfOpen).toBe(0);
  });

  it('[LK76] keeps a place for others from a peer that comes back again and again', () => {
    const { crypto } = counted();
    const victim = createVictim(crypto, 1);
    const restless = new Insider(crypto, victim, ROOM, PROLOGUE, 'restless');
    let now = NOW;
    for (let i = 0; i < 2 * MAX_LINKS; i++) {
      expect(restless.connect((now += 5))).toBe(true);
      restless.collect(now);
      expect(victim.load.links).toBeLessThanOrEqual(MAX_LINKS);
      if (victim.pollTimeout() <= now) victim.handleTimeout(now);
    }
    expect(victim.load.links).toBe(MAX_LINKS);
    const others = Array.from({ length: MAX_LINKS }, (_, i) => new Insider(crypto, victim, ROOM, PROLOGUE, `h${i}`));
    // All places but those of the living.
    const came = others.map((other) => other.connect((now += 1)));
    expect(came).toEqual(others.map((_, i) => i < MAX_LINKS - 1));
    expect(victim.drops['links']).toBe(1);
    // What gave way is gone for good, and every place is given back in the end.
    for (let ms = 0; ms < 60_000; ms += 50) {
      now += 50;
      victim.handleTimeout(now);
      drain(now, victim);
    }
    expect([victim.load.links, victim.load.heldBytes, victim.pollTimeout()]).toEqual([0, 0, Infinity]);
  });

  it('[LK76] keeps no place for keys that nobody needs, once they had the time to ask for a seat', () => {
    const { crypto } = counted();
    const members = new Set<string>();
    const victim = new Endpoint({
      ...{ crypto, rng: createRng(1), identity: crypto.generateKeyPair(), roomId: ROOM, joinPort: 1, sessionPort: 2, prologue: PROLOGUE },
      needs: (peer) => members.has(peer),
    });
    victim.setDoor({ open: true, code: undefined, roomKey: undefined });
    const closed: string[] = [];
    const come = (now: number, host: string): string | undefined => {
      const insider = new Insider(crypto, victim, ROOM, PROLOGUE, host);
      insider.connect(now);
      for (const event of insider.events) if (event.type === 'closed') closed.push(`${event.peer} ${event.reason}`);
      return insider.events.find((event) => event.type === 'linked')?.peer;
    };
    for (let i = 0; i < 3; i++) members.add(come(NOW, `member ${i}`)!);
    const strangers = Array.from({ length: MAX_LINKS - 3 }, (_, i) => come(NOW + i, 'greedy'));
    expect(come(NOW + 1_000, 'late')).toBeUndefined();
    expect(victim.drops['links']).toBe(1);
    const later = NOW + 5_100;
    const newcomers = Array.from({ length: 3 }, (_, i) => come(later + i, `newcomer ${i}`));
    expect(newcomers.every((peer) => peer !== undefined)).toBe(true);
    expect(victim.load.links).toBe(MAX_LINKS);
    expect(closed).toEqual(strangers.slice(0, 3).map((peer) => `${peer} refused`));
  });

  it('[LK76] gives no place in a full table to a session that gives way to its twin', () => {
    let gaveWay = 0;
    for (let seed = 1; seed <= 12; seed++) {
      const crypto = createSimCrypto(createRng(seed));
      const victim = new Endpoint({
        ...{ crypto, rng: createRng(1), identity: crypto.generateKeyPair(), roomId: ROOM, joinPort: 1, sessionPort: 2, prologue: PROLOGUE },
        needs: () => false,
      });
      victim.setDoor({ open: true, code: undefined, roomKey: undefined });
      for (let i = 1; i < MAX_LINKS; i++) new Insider(crypto, victim, ROOM, PROLOGUE, 'idle').connect(NOW + i);
      const later = NOW + 6_000;
      const twice = new Insider(crypto, victim, ROOM, PROLOGUE, 'twice');
      expect(twice.connect(later)).toBe(true);
      expect(victim.load.links).toBe(MAX_LINKS);
      twice.events.length = 0;
      // A new session, or none: which of two sessions of one pair stays is a matter of their numbers.
      if (!twice.connect(later + 5)) {
        gaveWay++;
        expect(twice.events).toEqual([]);
      }
    }
    expect(gaveWay).toBeGreaterThan(2);
  });

  it('[LK12] remembers 256 sources; one more makes it forget the one it knew longest, and nothing of the others', () => {
    const guard = new JoinGuard();
    let now = NOW;
    for (const host of ['first', 'second']) for (let i = 0; i < MAX_CODE_FAILURES_PER_SOURCE; i++) guard.onWrongCode(now, host);
    for (let i = 0; i < MAX_SOURCES - 2; i++) expect(guard.allow((now += 20), `h${i}`)).toBe(true);
    expect(['first', 'second'].map((host) => guard.allowsCode(now, host))).toEqual([false, false]);
    // Whoever is known takes no place of another.
    expect(guard.allow((now += 20), 'h0')).toBe(true);
    expect(guard.allow((now += 20), 'late')).toBe(true);
    expect(['first', 'second'].map((host) => guard.allowsCode(now, host))).toEqual([true, false]);
    expect(guard.allow((now += 20), 'later')).toBe(true);
    expect(guard.allowsCode(now, 'second')).toBe(true);
  });

  it('[LK12] lets a source that was silent for long have its burst again, and not more, and no part of a handshake', () => {
    const guard = new JoinGuard();
    const burst = (now: number): number => {
      let count = 0;
      while (guard.allow(now, 'one')) count++;
      return count;
    };
    expect(burst(NOW)).toBe(SOURCE_BURST);
    expect(burst(NOW + 1_000_000)).toBe(SOURCE_BURST);
    const each = 1_000 / SOURCE_RATE_PER_SECOND;
    const later = NOW + 1_000_000;
    expect([each - 1, each + 1, 2 * each - 1, 3 * each + 2].map((ms) => burst(later + ms))).toEqual([0, 1, 0, 2]);
  });

  it('[LK4] counts wrong codes by the minute: those of the last one are forgotten, of one address and of all', () => {
    const guard = new JoinGuard();
    const guess = (now: number, host: string, times: number): void => {
      for (let i = 0; i < times; i++) guard.onWrongCode(now, host);
    };
    guess(NOW, 'one', MAX_CODE_FAILURES_PER_SOURCE - 1);
    guess(NOW, 'two', MAX_CODE_FAILURES_PER_SOURCE - 1);
    for (let i = 0; i < MAX_CODE_FAILURES - 9; i++) guard.onWrongCode(NOW, `h${i}`);
    // Nineteen in all; the next minute begins with the first wrong code after it.
    const next = NOW + 60_001;
    guess(next, 'one', MAX_CODE_FAILURES_PER_SOURCE - 1);
    expect(guard.allowsCode(next, 'one')).toBe(true);
    guess(next, 'one', 1);
    expect([guard.allowsCode(next, 'one'), guard.allowsCode(next, 'good')]).toEqual([false, true]);
    expect([guard.allowsCode(next + 60_000, 'one'), guard.allowsCode(next + 60_001, 'one')]).toEqual([false, true]);
    for (let i = 0; i < MAX_CODE_FAILURES - 6; i++) guard.onWrongCode(next + 59_000, `g${i}`);
    expect(guard.allowsCode(next + 59_000, 'good')).toBe(true);
    guess(next + 60_000, 'three', 1);
    expect(guard.allowsCode(next + 60_000, 'good')).toBe(false);
  });

  it('[LK12] answers no more handshakes of all sources together than it can compute beside a game', () => {
    const guard = new JoinGuard();
    let now = NOW;
    const allowed = (count: number): number =>
      Array.from({ length: count }, (_, i) => guard.allow(now, `10.0.${i >> 8}.${i & 255}`)).filter(Boolean).length;
    expect(allowed(600)).toBe(HANDSHAKE_BURST);
    expect(allowed(600)).toBe(0);
    now += 1_000;
    expect(allowed(600)).toBe(HANDSHAKES_PER_SECOND);
  });

  it('[LK11] forgets a handshake after 10 s, also where no timer runs', () => {
    const { crypto } = counted();
    for (const [ageMs, links] of [
      [9_999, 1],
      [10_000, 0],
    ] as const) {
      const victim = createVictim(crypto, 1);
      const { fin } = new Insider(crypto, victim, ROOM, PROLOGUE, 'slow').knock(NOW)!;
      expect(victim.pollTimeout()).toBe(Infinity);
      victim.handleDatagram(NOW + ageMs, 'join', 'slow', 1, fin);
      expect(victim.load).toMatchObject({ halfOpen: 0, links });
    }
  });
});
