/** Who is asked, who is answered, how often; and what discovery keeps in small files. */
import { chmodSync, chownSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createRng } from '../sdk/base/rng.ts';
import { nodeCrypto } from '../sdk/node/crypto-node.ts';
import { Answers } from '../sdk/node/discovery/answers.ts';
import { BeaconLadder } from '../sdk/node/discovery/beacon-ladder.ts';
import {
  BEACON_LADDER_MS,
  FAREWELL_ANSWER_MS,
  HEALTH_ERROR_MS,
  HEALTH_MAX_HOSTS,
  HEALTH_SILENCE_MS,
  HERE_CROWD,
  HERE_KNOWN_MS,
  HERE_MAX_SOURCES,
  HERE_SPREAD_MS,
  LOCAL_ENTRY_BYTES,
  MAX_KNOWN_PEERS,
  MAX_LOCAL_ENTRIES,
  MAX_NONCES,
  NONCE_TTL_MS,
  WHO_BURST,
  WHO_PER_S,
} from '../sdk/node/discovery/bounds.ts';
import { Health } from '../sdk/node/discovery/health.ts';
import { decodeJoinCode, encodeJoinCode } from '../sdk/node/discovery/join-code.ts';
import { KnownPeers, parseKnownPeers } from '../sdk/node/discovery/known-peers.ts';
import { LocalRegistry, localEntryName, parseLocalEntry } from '../sdk/node/discovery/local.ts';
import { Questions } from '../sdk/node/discovery/questions.ts';
import { SourceRates } from '../sdk/node/discovery/source-rates.ts';
import { whyIncompatible } from '../sdk/node/discovery/words.ts';
import { decodeHere, decodeWho, type HereFacts } from '../sdk/wire/datagram.ts';
import { AT, FACTS } from './here-facts.ts';

afterEach(() => {
  vi.useRealTimers();
});

describe('rates', () => {
  it('[DI12] a source has its rate from its last question on, saves up no more than a burst, and the oldest heard is forgotten', () => {
    const rates = new SourceRates(3, 10, 2);
    const takes = (source: string, now: number): number => {
      let count = 0;
      while (count < 100 && rates.take(source, now)) count++;
      return count;
    };
    expect([takes('a', 0), takes('a', 100), takes('a', 200), takes('a', 60_000)]).toEqual([3, 1, 1, 3]);
    expect([takes('b', 60_000), takes('a', 60_000), takes('c', 60_000)]).toEqual([3, 0, 3]);
    // Of a and b the second was heard longest ago.
    expect([takes('a', 60_000), takes('b', 60_000)]).toEqual([0, 3]);
  });
});

describe('questions', () => {
  const nonceOf = (bytes: Uint8Array): Uint8Array => decodeWho(bytes)!.nonce.slice();

  it('[DI16] each has a nonce of its own and names the game; its answer counts for three seconds, of the last 512 questions', () => {
    const questions = new Questions(nodeCrypto, 'paint');
    expect(decodeWho(questions.ask(0))!.gameId).toBe('paint');
    const nonces = Array.from({ length: MAX_NONCES }, (_, i) => nonceOf(questions.ask(i)));
    expect(new Set(nonces.map(String)).size).toBe(MAX_NONCES);
    expect(questions.asked(100, nonces[0]!)).toMatchObject({ at: 0 });
    expect(questions.asked(NONCE_TTL_MS, nonces[0]!)).toBeDefined();
    expect(questions.asked(NONCE_TTL_MS + 1, nonces[0]!)).toBeUndefined();
    questions.ask(100);
    expect([questions.asked(100, nonces[0]!), questions.asked(100, nonces[1]!) === undefined]).toEqual([undefined, false]);
    expect(questions.asked(100, new Uint8Array(8))).toBeUndefined();
    expect(decodeWho(new Questions(nodeCrypto, undefined).ask(0))!.gameId).toBeUndefined();
  });

  it('[DI12] all together have a rate', () => {
    const questions = new Questions(nodeCrypto, undefined);
    const taken = (now: number): number => {
      let count = 0;
      while (count < 1_000 && questions.take(now)) count++;
      return count;
    };
    expect([taken(0), taken(500)]).toEqual([WHO_BURST, WHO_PER_S / 2]);
  });
});

describe('answers', () => {
  const who = (mark = 0) => ({ nonce: new Uint8Array(8).fill(mark), roomTag: undefined, gameId: FACTS.gameId });
  const made = (part: Partial<HereFacts> = {}) => {
    const sent: { host: string; nonce: number; facts: HereFacts; bytes: number }[] = [];
    let open = true;
    const facts = { ...FACTS, ...part };
    const answers = new Answers({
      crypto: nodeCrypto,
      rng: createRng(1),
      facts: () => (open ? facts : undefined),
      send: ({ host }, bytes) => {
        const here = decodeHere(bytes)!;
        sent.push({ host, nonce: here.nonce[0]!, facts: here.facts, bytes: bytes.length });
      },
    });
    const leave = (now: number): void => {
      open = false;
      answers.sayGone(now, facts);
    };
    return { answers, sent, leave };
  };

  it('[DI16] a member that asks by unicast is answered; who has listed us is not, for a second, when it broadcasts', () => {
    vi.useFakeTimers();
    const { answers, sent } = made({ members: [AT] });
    answers.handleWho(0, AT, who(), false);
    answers.handleWho(0, AT, who(), true);
    expect(sent).toHaveLength(1);
    const other = { host: '10.0.0.9', port: 1 };
    answers.handleWho(0, other, who(), false);
    answers.handleWho(10, other, who(), true);
    expect(sent).toHaveLength(3);
    answers.handleWho(20, other, who(), false);
    answers.handleWho(30, other, who(), false);
    answers.handleWho(30 + HERE_KNOWN_MS - 1, other, who(), true);
    expect(sent).toHaveLength(5);
    answers.handleWho(30 + HERE_KNOWN_MS, other, who(), true);
    expect(sent).toHaveLength(6);
    answers.close();
  });

  it('[DI16] in a large room the answers to a broadcast are spread, and each is to its own question', () => {
    vi.useFakeTimers();
    const { answers, sent } = made({ players: HERE_CROWD + 1 });
    answers.handleWho(0, { host: '10.0.0.1', port: 1 }, who(1), true);
    answers.handleWho(0, { host: '10.0.0.2', port: 1 }, who(2), true);
    vi.advanceTimersByTime(HERE_SPREAD_MS - 1);
    expect(sent).toEqual([]);
    // Whoever asks one of us hears at once.
    answers.handleWho(0, { host: '10.0.0.3', port: 1 }, who(3), false);
    expect(sent.map(({ nonce }) => nonce)).toEqual([3]);
    vi.advanceTimersByTime(3 * HERE_SPREAD_MS + 1);
    for (const n of [1, 2]) expect(sent.find(({ host }) => host === `10.0.0.${n}`)?.nonce).toBe(n);
    answers.close();
  });

  it('[DI16] an answer of which two are more than half of the question is sent once', () => {
    vi.useFakeTimers();
    const { answers, sent } = made({ members: Array.from({ length: 8 }, (_, i) => ({ host: `192.168.100.${100 + i}`, port: 29_798 })) });
    answers.handleWho(0, AT, who(), true);
    vi.runAllTimers();
    expect(sent).toHaveLength(1);
    expect(2 * sent[0]!.bytes).toBeGreaterThan(256);
    answers.close();
  });

  it('[DI35] whoever asked lately is told of the end, of 128 those whose question is newest; nothing older follows it', () => {
    vi.useFakeTimers();
    const { answers, sent, leave } = made({ members: [{ host: '10.0.0.7', port: 9 }] });
    expect(answers.isAwaited(0)).toBe(false);
    const from = (i: number) => ({ host: `10.1.${i >> 8}.${i & 255}`, port: 1 });
    for (let i = 0; i < HERE_MAX_SOURCES; i++) answers.handleWho(i, from(i), who(), false);
    answers.handleWho(200, from(0), who(), false);
    answers.handleWho(201, from(HERE_MAX_SOURCES), who(), true);
    sent.length = 0;
    leave(210);
    vi.runAllTimers();
    expect(new Set(sent.map(({ host }) => host))).toEqual(
      new Set([0, ...Array.from({ length: HERE_MAX_SOURCES - 1 }, (_, i) => i + 2)].map((i) => from(i).host)),
    );
    for (const { facts, nonce } of sent) expect([nonce, facts.players, facts.max, facts.members]).toEqual([0, 0, 0, []]);
    expect(sent).toHaveLength(HERE_MAX_SOURCES);
    answers.close();
  });

  it('[DI35] the end is said to who asks for it, for a moment, and not to broadcasts', () => {
    const { answers, sent, leave } = made();
    leave(0);
    expect(answers.isAwaited(1)).toBe(false);
    answers.handleWho(1, AT, who(5), true);
    expect(sent).toEqual([]);
    answers.handleWho(1, AT, who(5), false);
    expect(sent.at(-1)).toMatchObject({ nonce: 5, facts: { max: 0 } });
    expect([answers.isAwaited(2), answers.isAwaited(FAREWELL_ANSWER_MS)]).toEqual([true, false]);
    answers.handleWho(FAREWELL_ANSWER_MS, AT, who(6), false);
    expect(sent).toHaveLength(1);
    answers.close();
    answers.handleWho(2, AT, who(7), false);
    expect(sent).toHaveLength(1);
  });
});

describe('broadcasts and health', () => {
  it('[DI39] steps are at least 50 ms apart however late the process comes, and after the ladder no crowd puts them off', () => {
    const ladder = new BeaconLadder();
    ladder.start(0);
    ladder.take(0, false, 5_000);
    ladder.take(245, false, 5_000);
    expect(ladder.nextAt).toBe(295);
    const end = BEACON_LADDER_MS.at(-1)!;
    ladder.take(end + 100, false, 5_000);
    expect(ladder.nextAt).toBe(end + 5_100);
    expect(ladder.take(end + 200, true, 5_000)).toBe(true);
  });

  it('[DI31] one player of several that mDNS does not hear is no filter, nor is a route that is missing a firewall', () => {
    const health = new Health();
    health.answered(0, '10.0.0.5');
    health.answered(0, '10.0.0.6');
    // Answers that go on put no verdict off.
    for (let now = 0; now < HEALTH_SILENCE_MS; now += 100) for (const host of ['10.0.0.5', '10.0.0.6']) health.answered(now, host);
    expect(health.reasons(HEALTH_SILENCE_MS, true)).toHaveLength(1);
    health.heardMdns('10.0.0.6');
    expect(health.reasons(HEALTH_SILENCE_MS, true)).toEqual([]);
    health.sendFailed(0, 'ENETUNREACH');
    expect(health.reasons(10, true)).toEqual([]);
    health.sendFailed(0, 'EACCES');
    expect([health.reasons(HEALTH_ERROR_MS - 1, true).length, health.reasons(HEALTH_ERROR_MS, true).length]).toEqual([1, 0]);
  });

  it('[DI12] a bounded number of machines is remembered: the first that answered, the last that were heard', () => {
    const health = new Health();
    for (let i = 0; i <= HEALTH_MAX_HOSTS; i++) health.heardMdns(`10.0.1.${i}`);
    health.answered(0, '10.0.1.0');
    expect(health.reasons(HEALTH_SILENCE_MS, true)).toHaveLength(1);
    health.restart();
    for (let i = 0; i < HEALTH_MAX_HOSTS; i++) health.answered(0, `10.0.2.${i}`);
    // No more are looked at, and this one would clear the network.
    health.answered(0, `10.0.1.${HEALTH_MAX_HOSTS}`);
    expect(health.reasons(HEALTH_SILENCE_MS, true)).toHaveLength(1);
  });

  it('[DI6] an older version does not fit, nor does a newer one', () => {
    const mine = { id: 'paint', version: 3, schemaHash: 7 };
    const reasons = [2, 3, 4].map((version) => whyIncompatible(mine, { ...FACTS, version }));
    expect(reasons).toEqual(['runs version 2, you run version 3', undefined, 'runs version 4, you run version 3']);
    expect(whyIncompatible(mine, { ...FACTS, gameId: 'chess' })).toBe('plays chess, you play paint');
  });

  it('[DI9] one code for one address: the spare bits are zero, and there is no port 0', () => {
    const code = encodeJoinCode({ host: '192.168.1.42', port: 29_798 })!;
    const letters = Array.from('abcdefghijklmnopqrstuvwxyz234567');
    const same = letters.filter((letter) => decodeJoinCode(code.slice(0, -1) + letter) !== undefined);
    expect(same).toHaveLength(8);
    expect(decodeJoinCode(encodeJoinCode({ host: '192.168.1.42', port: 0 })!)).toBeUndefined();
    const address = { host: '112.30.235.3', port: 30_000 };
    const written = encodeJoinCode(address)!;
    const slips = written.replace(/o/g, '0').replace(/l/g, '1').replace(/b/g, '8');
    expect([slips === written, decodeJoinCode(slips)]).toEqual([false, address]);
    expect(encodeJoinCode({ host: 'ann.local', port: 1 })).toBeUndefined();
  });
});

describe('small files', () => {
  const folder = (): string => mkdtempSync(join(tmpdir(), 'lanista-answers-'));

  it('[DI5] former players are kept, newest first, sixteen of them, each once, for their owner alone, and no loopback', () => {
    const at = folder();
    const known = new KnownPeers(at, 'ann');
    for (let i = 0; i < 20; i++) known.add({ host: `10.0.0.${i}`, port: 29_798 });
    known.add({ host: '10.0.0.10', port: 29_798 });
    for (const host of ['127.0.0.1', 'ann.local']) known.add({ host, port: 29_798 });
    const wanted = ['10.0.0.10', ...[19, 18, 17, 16, 15, 14, 13, 12, 11, 9, 8, 7, 6, 5, 4].map((i) => `10.0.0.${i}`)];
    expect(wanted).toHaveLength(MAX_KNOWN_PEERS);
    expect(known.addresses.map(({ host }) => host)).toEqual(wanted);
    expect(new KnownPeers(at, 'ann').addresses).toEqual(known.addresses);
    expect(new KnownPeers(at, 'bob').addresses).toEqual([]);
    expect(statSync(join(at, 'ann.peers.json')).mode & 0o777).toBe(0o600);
    expect(readdirSync(at)).toEqual(['ann.peers.json']);
    const none = new KnownPeers(undefined, '');
    none.add(AT);
    expect(none.addresses).toEqual([]);
  });

  it('[DI5] of a file of former players only what is an address is taken, and so much of it', () => {
    const texts = ['10.0.0.1:1', '10.0.0.1:0', '10.0.0.1:70000', '10.0.0.1:1.5', '10.0.0.1', 'ann:1', '10.0.0.2:65535', 5, null];
    expect(parseKnownPeers(JSON.stringify(texts))).toEqual([
      { host: '10.0.0.1', port: 1 },
      { host: '10.0.0.2', port: 65_535 },
    ]);
    expect(parseKnownPeers(JSON.stringify(Array.from({ length: 100 }, (_, i) => `10.0.0.${i}:1`)))).toHaveLength(MAX_KNOWN_PEERS);
    for (const text of ['', '{', '{}', 'null', '"10.0.0.1:1"']) expect(parseKnownPeers(text)).toEqual([]);
  });

  it('[DI10] the registry lists the others, whose process lives, and takes away what nobody owns', () => {
    const at = join(folder(), 'local');
    const mine = new LocalRegistry(at);
    const other = new LocalRegistry(at);
    mine.publish({ host: '127.0.0.1', port: 1_001 });
    other.publish({ host: '127.0.0.1', port: 1_002 });
    const name = (port: number): string => localEntryName(process.pid, port);
    writeFileSync(join(at, localEntryName(999_999_999, 1_003)), JSON.stringify({ pid: 999_999_999, host: '127.0.0.1', port: 1_003 }));
    writeFileSync(join(at, 'nonsense.json'), '{}');
    writeFileSync(join(at, 'large.json'), JSON.stringify({ pid: process.pid, host: '127.0.0.1', port: 1_004 }).padEnd(LOCAL_ENTRY_BYTES + 1));
    writeFileSync(join(at, `${process.pid}-1005.json.new`), '{"pid":');
    expect(mine.read()).toEqual([{ host: '127.0.0.1', port: 1_002 }]);
    expect(readdirSync(at).toSorted()).toEqual([name(1_001), name(1_002), `${process.pid}-1005.json.new`, 'large.json'].toSorted());
    for (const file of [at, join(at, name(1_001))]) expect(lstatSync(file).mode & 0o077).toBe(0);
    expect(JSON.parse(readFileSync(join(at, name(1_001)), 'utf8'))).toEqual({ pid: process.pid, host: '127.0.0.1', port: 1_001 });
    other.unpublish();
    expect(mine.read()).toEqual([]);
    for (const pid of [0, -1]) expect(parseLocalEntry(JSON.stringify({ pid, host: '127.0.0.1', port: 1 }))).toBeUndefined();
  });

  it('[DI12] of a crowded registry so many files are read', () => {
    const at = folder();
    for (let i = 0; i < MAX_LOCAL_ENTRIES + 20; i++)
      writeFileSync(join(at, `${i}.json`), JSON.stringify({ pid: process.pid, host: '127.0.0.1', port: 1 + i }));
    expect(new LocalRegistry(at).read()).toHaveLength(MAX_LOCAL_ENTRIES);
  });

  it('[DI10] a folder that is a link, or somebody else’s, is not used, and that is said', () => {
    const at = folder();
    const real = join(at, 'real');
    mkdirSync(real, { mode: 0o700 });
    symlinkSync(real, join(at, 'link'));
    const linked = new LocalRegistry(join(at, 'link'));
    expect(linked.reasons()[0]).toMatch(/belongs to somebody else/);
    linked.publish({ host: '127.0.0.1', port: 1 });
    expect([linked.read(), readdirSync(real)]).toEqual([[], []]);
    if (process.getuid?.() !== 0) return;
    chownSync(real, 12_345, 12_345);
    chmodSync(real, 0o777);
    expect(new LocalRegistry(real).reasons()[0]).toMatch(/belongs to somebody else/);
  });
});
