/** The pure parts of discovery: interfaces, packet walker, candidates, answers, codes, words. */
import { describe, expect, it, vi } from 'vitest';
import dnsPacket from 'dns-packet';

import { asciiBytes, fromHex } from '../sdk/base/bytes.ts';
import { createRng } from '../sdk/base/rng.ts';
import {
  CANDIDATE_TTL_MS,
  HERE_HOST_PER_S,
  HERE_SOURCE_BURST,
  HEALTH_SILENCE_MS,
  MAX_CANDIDATES,
  MDNS_QUERY_BYTES,
} from '../sdk/node/discovery/bounds.ts';
import { Answers } from '../sdk/node/discovery/answers.ts';
import { CandidateTable } from '../sdk/node/discovery/candidates.ts';
import { DNS_TYPE, encodeName, encodeResponse, walkDns, withKnownAnswers } from '../sdk/node/discovery/dns-walker.ts';
import { InterfaceWatch, scanInterfaces, type InterfaceReader } from '../sdk/node/discovery/interfaces.ts';
import { Health, stateOf } from '../sdk/node/discovery/health.ts';
import { codeBytes } from '../sdk/secure/handshake.ts';
import { decodeJoinCode, encodeJoinCode, normaliseRoomCode } from '../sdk/node/discovery/join-code.ts';
import { noMachine } from '../sdk/node/room-request.ts';
import { parseLocalEntry } from '../sdk/node/discovery/local.ts';
import { SourceRates } from '../sdk/node/discovery/source-rates.ts';
import { describeSendError } from '../sdk/node/discovery/words.ts';
import { nodeCrypto } from '../sdk/node/crypto-node.ts';
import { WHO_BYTES } from '../sdk/wire/limits.ts';
import type { HereFacts } from '../sdk/wire/datagram.ts';
import { AT, FACTS } from './here-facts.ts';
import { lo, nic } from './nics.ts';

describe('interfaces', () => {
  it('[DI1] ranks real LANs first, tunnels and virtual adapters last, and leaves loopback out', () => {
    const read: InterfaceReader = () => ({
      ...lo,
      docker0: [nic('172.17.0.1', '255.255.0.0')],
      tun0: [nic('10.8.0.2', '255.255.255.255')],
      wg0: [nic('10.9.0.2', '255.255.255.0')],
      wlan0: [nic('192.168.1.7', '255.255.255.0')],
      eth1: [nic('169.254.3.4', '255.255.0.0')],
    });
    const list = scanInterfaces(read);
    expect(list.map((one) => one.name)).toEqual(['wlan0', 'eth1', 'docker0', 'wg0']);
    expect(list[0]!.broadcast).toBe('192.168.1.255');
    expect(list[1]!.kind).toBe('link-local');
  });

  it.each([
    'VMware Network Adapter VMnet8',
    'VirtualBox Host-Only Network',
    'OpenVPN Wintun',
    'Radmin VPN',
    'bridge100',
    'feth2013',
    'lxdbr0',
    'podman0',
  ])('[DI1] knows %s for a virtual adapter, so that its address is not the one to read aloud', (name) => {
    const list = scanInterfaces(() => ({ [name]: [nic('192.168.56.1', '255.255.255.0')], 'Wi-Fi': [nic('192.168.1.7', '255.255.255.0')] }));
    expect(list.map((one) => one.address)).toEqual(['192.168.1.7', '192.168.56.1']);
  });

  it('[DI1] falls back to loopback when nothing else is up, and takes exactly what was asked for', () => {
    expect(scanInterfaces(() => lo).map((one) => one.broadcast)).toEqual(['127.255.255.255']);
    const both: InterfaceReader = () => ({ ...lo, eth0: [nic('192.168.1.7', '255.255.255.0')] });
    expect(scanInterfaces(both, ['127.0.0.1']).map((one) => one.name)).toEqual(['lo']);
    expect(scanInterfaces(both, ['eth0']).map((one) => one.address)).toEqual(['192.168.1.7']);
    expect(scanInterfaces(both, ['10.1.1.1'])).toEqual([]);
  });

  it('[DI2] notices interfaces that come, go and change, and a sleep by the jump of the wall clock', () => {
    let now: any = lo;
    const watch = new InterfaceWatch(() => now, []);
    expect(watch.poll(0, 1_000)).toBeUndefined();
    now = { ...lo, eth0: [nic('192.168.1.7', '255.255.255.0')] };
    expect(watch.poll(2_000, 3_000)).toBe('changed');
    now = { ...lo, eth0: [nic('192.168.1.9', '255.255.255.0')] };
    expect(watch.poll(4_000, 5_000)).toBe('changed');
    expect(watch.poll(6_000, 7_000)).toBeUndefined();
    expect(watch.poll(8_000, 30_000)).toBe('woke');
    expect(watch.onLink('192.168.1.77')?.name).toBe('eth0');
    expect(watch.onLink('192.168.2.77')).toBeUndefined();
  });

  it('[DI31] loopback alone is no network, unless it was asked for; broadcasts and groups are nobody’s addresses', () => {
    const internal = { address: '127.0.0.1', netmask: '255.0.0.0', family: 'IPv4' as const, mac: '', internal: true, cidr: null };
    let list: ReturnType<InterfaceReader> = { lo: [internal] };
    const watch = new InterfaceWatch(() => list, []);
    expect([watch.list.length, watch.hasNetwork]).toEqual([1, false]);
    expect(new InterfaceWatch(() => list, ['127.0.0.1']).hasNetwork).toBe(true);
    expect(new InterfaceWatch(() => list, ['wlan0']).hasNetwork).toBe(false);
    list = { lo: [internal], wlan0: [{ ...internal, address: '192.168.1.5', netmask: '255.255.255.0', internal: false }] };
    watch.poll(0, 0);
    expect(watch.hasNetwork).toBe(true);
    for (const host of ['192.168.1.9', '10.0.0.255', '223.255.255.1', '127.0.0.1']) expect(watch.isUnicast(host), host).toBe(true);
    list = { cable: [{ ...internal, address: '10.1.1.6', netmask: '255.255.255.254', internal: false }], wlan0: list['wlan0'] };
    watch.poll(1_000, 1_000);
    expect(watch.isUnicast('10.1.1.7')).toBe(true);
    for (const host of ['192.168.1.255', '255.255.255.255', '224.0.0.251', '0.0.0.0', 'dead', '::1']) expect(watch.isUnicast(host), host).toBe(false);
  });

  it('[DI2] keeps the interfaces it knows while the system does not tell', () => {
    let isTelling = true;
    const watch = new InterfaceWatch(() => {
      if (!isTelling) throw Object.assign(new Error('uv_interface_addresses returned EMFILE'), { code: 'ERR_SYSTEM_ERROR' });
      return { ...lo, eth0: [nic('192.168.1.7', '255.255.255.0')] };
    }, []);
    isTelling = false;
    expect(watch.poll(1_000, 1_000)).toBeUndefined();
    expect(watch.list.map((one) => one.name)).toEqual(['eth0']);
    expect(watch.nextAt).toBe(2_000);
  });
});

const SERVICE = '_lanista._udp.local';
const sample = (): Buffer =>
  dnsPacket.encode({
    type: 'response',
    flags: dnsPacket.AUTHORITATIVE_ANSWER,
    answers: [{ name: SERVICE, type: 'PTR', ttl: 120, data: `ln-abc.${SERVICE}` }],
    additionals: [
      { name: `ln-abc.${SERVICE}`, type: 'SRV', ttl: 120, data: { port: 29_798, target: 'ln-abc.local', priority: 0, weight: 0 } },
      { name: `ln-abc.${SERVICE}`, type: 'TXT', ttl: 120, data: ['txtvers=1', 'g=paint'] },
      { name: 'ln-abc.local', type: 'A', ttl: 120, data: '10.0.0.5' },
      { name: 'ln-abc.local', type: 'AAAA', ttl: 120, data: 'fe80::1' },
    ],
  });

describe('packet walker', () => {
  it('[DI3] reads what an independent encoder wrote', () => {
    const packet = walkDns(sample());
    if (typeof packet === 'string') throw new Error(packet);
    expect(packet.isResponse).toBe(true);
    expect(packet.answers[0]).toMatchObject({ name: SERVICE, target: `ln-abc.${SERVICE}`, ttlS: 120 });
    expect(packet.extras.map((record) => record.type)).toEqual([DNS_TYPE.SRV, DNS_TYPE.TXT, DNS_TYPE.A, DNS_TYPE.AAAA]);
  });

  it('[DI3] drops by name: short, long, flags, counts, pointers that go forward, data that overruns', () => {
    const edit = (at: number, value: number): Buffer => {
      const bytes = sample();
      bytes[at] = value;
      return bytes;
    };
    expect(walkDns(new Uint8Array(4))).toBe('short');
    expect(walkDns(new Uint8Array(9_001))).toBe('long');
    expect(walkDns(edit(2, 0xf8))).toBe('flags');
    expect(walkDns(edit(4, 1))).toBe('counts');
    expect(walkDns(edit(12, 0xc0))).toBe('name');
    expect(walkDns(Buffer.concat([sample(), Buffer.from([0])]))).toBe('trailing');
    // A pointer to itself.
    expect(walkDns(Uint8Array.from([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 12, 0, 1]))).toBe('name');
    // A chain of pointers, each one back: followed only so far.
    const chain = [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    expect(typeof walkDns(Uint8Array.from(chain))).toBe('string');
  });

  it('[DI3] 10,000 mutated packets: none throws, none takes 5 ms', () => {
    const rng = createRng(11);
    const seeds = [sample(), dnsPacket.encode({ type: 'query', questions: [{ name: SERVICE, type: 'PTR' }] })];
    let passed = 0;
    let longestMs = 0;
    for (let i = 0; i < 10_000; i++) {
      let bytes = Buffer.from(seeds[rng.int(seeds.length)]!);
      for (let n = rng.int(6); n >= 0; n--) {
        const kind = rng.int(4);
        if (kind === 0) bytes[rng.int(bytes.length)] = rng.int(256);
        else if (kind === 1) bytes = bytes.subarray(0, 1 + rng.int(bytes.length));
        else if (kind === 2) bytes = Buffer.concat([bytes, Buffer.from(Array.from({ length: rng.int(40) }, () => rng.int(256)))]);
        else bytes.writeUInt8(0xc0 | rng.int(2), rng.int(bytes.length));
      }
      let packet = walkDns(bytes);
      let tookMs = Number.POSITIVE_INFINITY;
      // The least of several runs: on a busy machine the scheduler takes more than the walk.
      for (let run = 0; run < 5 && tookMs > 1; run++) {
        const start = performance.now();
        packet = walkDns(bytes);
        tookMs = Math.min(tookMs, performance.now() - start);
      }
      longestMs = Math.max(longestMs, tookMs);
      if (typeof packet !== 'string') {
        passed++;
        expect(packet.answers.length + packet.extras.length).toBeLessThanOrEqual(96);
      }
    }
    expect(passed).toBeGreaterThan(100);
    expect(longestMs).toBeLessThan(5);
  });

  it('[DI3] the worst packet it can be given stays cheap', () => {
    // 96 records whose names are all pointer chains into one long chain.
    const bytes = new Uint8Array(9_000);
    bytes.set([0, 0, 0x84, 0, 0, 0, 0, 96, 0, 0, 0, 0]);
    for (let at = 14; at + 2 < 9_000; at += 2) bytes.set([0xc0 | ((at - 2) >>> 8), (at - 2) & 255], at);
    let tookMs = Number.POSITIVE_INFINITY;
    for (let run = 0; run < 5 && tookMs >= 5; run++) {
      const start = performance.now();
      expect(typeof walkDns(bytes)).toBe('string');
      tookMs = Math.min(tookMs, performance.now() - start);
    }
    expect(tookMs).toBeLessThan(5);
  });

  it('[DI4] writes responses and known answers that an independent decoder reads', () => {
    const response = encodeResponse(
      [{ name: SERVICE, type: DNS_TYPE.PTR, ttlS: 120, flush: false, data: encodeName(`ln-x.${SERVICE}`) }],
      [{ name: 'ln-x.local', type: DNS_TYPE.A, ttlS: 120, flush: true, data: Uint8Array.of(10, 0, 0, 5) }],
    );
    const decoded = dnsPacket.decode(Buffer.from(response)) as any;
    expect(decoded.answers[0]).toMatchObject({ name: SERVICE, data: `ln-x.${SERVICE}`, ttl: 120 });
    expect(decoded.additionals[0]).toMatchObject({ data: '10.0.0.5', flush: true });

    const query = dnsPacket.encode({ type: 'query', questions: [{ name: SERVICE, type: 'PTR' }] });
    const names = Array.from({ length: 200 }, (_, i) => `ln-${i}`);
    const asked = withKnownAnswers(query, names, 110, MDNS_QUERY_BYTES);
    expect(asked.length).toBeLessThanOrEqual(MDNS_QUERY_BYTES);
    const answers = (dnsPacket.decode(Buffer.from(asked)) as any).answers;
    expect(answers[3]).toMatchObject({ type: 'PTR', name: SERVICE, data: `ln-3.${SERVICE}`, ttl: 110 });
    expect(typeof walkDns(asked)).toBe('object');
  });
});

describe('candidates', () => {
  it('[DI5] asks with doubled back-off and forgets whom nobody names any more', () => {
    const table = new CandidateTable();
    table.add(0, AT, 'mdns');
    expect(table.due(0)).toEqual([AT]);
    expect(table.due(200)).toEqual([]);
    expect(table.due(250)).toEqual([AT]);
    expect(table.due(700)).toEqual([]);
    expect(table.nextAt()).toBe(750);
    expect(table.due(CANDIDATE_TTL_MS + 1)).toEqual([]);
    expect(table.size).toBe(0);
  });

  it('[DI39] whoever shows that it lives is asked soon whatever its back-off says, and given time to answer', () => {
    const table = new CandidateTable();
    table.hurry(0, AT, 'beacon', 300, 400);
    expect(table.nextAt()).toBe(300);
    expect(table.due(300)).toEqual([AT]);
    table.hurry(500, AT, 'beacon', 0, 400);
    expect(table.nextAt()).toBe(550);
    for (const at of [550, 1_050, 2_050]) expect(table.due(at)).toEqual([AT]);
    expect(table.nextAt()).toBe(4_050);
    table.hurry(2_449, AT, 'beacon', 0, 400);
    expect(table.nextAt()).toBe(4_050);
    table.hurry(2_450, AT, 'beacon', 0, 400);
    expect(table.due(2_450)).toEqual([AT]);
    expect(table.nextAt()).toBe(2_700);
  });

  it('[DI5] holds at most MAX_CANDIDATES, and what was named by hand stays longest', () => {
    const table = new CandidateTable();
    table.add(0, { host: '10.1.1.1', port: 1 }, 'direct');
    for (let i = 0; i < 1_000; i++) table.add(i, { host: `10.0.${i >> 8}.${i & 255}`, port: 9 }, 'mdns');
    expect(table.size).toBe(MAX_CANDIDATES);
    expect(table.due(1_000).some((address) => address.host === '10.1.1.1')).toBe(true);
  });
});

describe('health', () => {
  it('[DI31] says that multicast does not pass when players answer that mDNS never heard, and takes it back', () => {
    const health = new Health();
    health.answered(100, '10.0.0.5');
    expect(health.reasons(100 + HEALTH_SILENCE_MS - 1, true)).toEqual([]);
    expect(health.reasons(100 + HEALTH_SILENCE_MS, true)[0]).toMatch(/^Multicast does not pass/);
    // mDNS that is off for a reason already told is not blamed twice.
    expect(health.reasons(100 + HEALTH_SILENCE_MS, false)).toEqual([]);
    health.heardMdns('10.0.0.5');
    expect(health.reasons(100 + HEALTH_SILENCE_MS, true)).toEqual([]);
    health.restart();
    health.answered(9_000, '10.0.0.6');
    expect(health.reasons(9_000 + HEALTH_SILENCE_MS, true)).toHaveLength(1);
  });

  it('[DI31] a refused send degrades the state for a while, and no interface makes it unavailable', () => {
    const health = new Health();
    health.sendFailed(50, 'EPERM');
    expect(health.reasons(60, true)[0]).toMatch(/firewall/);
    expect(health.reasons(60_000, true)).toEqual([]);
    expect(stateOf(true, []).level).toBe('ok');
    expect(stateOf(true, ['a', 'a'])).toEqual({ level: 'degraded', reasons: ['a'] });
    expect(stateOf(false, []).level).toBe('unavailable');
  });
});

describe('answers', () => {
  const who = { nonce: new Uint8Array(8), roomTag: undefined, gameId: 'paint' };
  const made = (facts: Partial<HereFacts> = {}) => {
    const sent: { host: string; bytes: number }[] = [];
    const answers = new Answers({
      crypto: nodeCrypto,
      rng: createRng(1),
      facts: () => ({ ...FACTS, ...facts }),
      send: ({ host }, bytes) => void sent.push({ host, bytes: bytes.length }),
    });
    return { answers, sent };
  };

  it('[DI16] answers an endpoint at a bounded rate, a machine at a larger one, and never with more than half the bytes', () => {
    const { answers, sent } = made();
    for (let i = 0; i < 200; i++) answers.handleWho(0, AT, who, false);
    expect(sent.length).toBe(HERE_SOURCE_BURST);
    for (let port = 1; port < 1_000; port++) answers.handleWho(0, { host: AT.host, port }, who, false);
    expect(sent.length).toBe(HERE_HOST_PER_S);
    answers.handleWho(0, { host: '10.0.0.9', port: 1 }, who, false);
    expect(sent.at(-1)).toMatchObject({ host: '10.0.0.9' });
    expect(Math.max(...sent.map((one) => one.bytes))).toBeLessThanOrEqual(WHO_BYTES / 2);
    answers.close();
  });

  it('[DI16] answers about its own room and its own game only', () => {
    const { answers, sent } = made();
    const tag = (roomId: string): Uint8Array => nodeCrypto.sha256(asciiBytes('lanista room'), fromHex(roomId)!).slice(0, 8);
    answers.handleWho(0, AT, { ...who, roomTag: tag(FACTS.roomId) }, false);
    expect(sent).toHaveLength(1);
    answers.handleWho(0, AT, { ...who, roomTag: tag('ffffffffffffffffffffffffffffffff') }, false);
    answers.handleWho(0, AT, { ...who, gameId: 'other' }, false);
    expect(sent).toHaveLength(1);
    answers.close();
  });

  it('[DI16] answers seldom broadcasts twice when both fit, and never those of members of the own room', () => {
    vi.useFakeTimers();
    const { answers, sent } = made({ members: [{ host: '10.0.0.8', port: 29_798 }] });
    answers.handleWho(0, { host: '10.0.0.8', port: 29_798 }, who, true);
    vi.runAllTimers();
    expect(sent).toEqual([]);
    answers.handleWho(0, AT, who, true);
    vi.runAllTimers();
    expect(sent.length).toBe(2);
    expect(sent[0]!.bytes + sent[1]!.bytes).toBeLessThanOrEqual(WHO_BYTES / 2);
    answers.handleWho(60, AT, who, true);
    vi.runAllTimers();
    expect(sent.length).toBe(3);
    // Who asks by unicast again and again lists us already; when that ends, it may be somebody new.
    answers.handleWho(100, AT, who, false);
    answers.handleWho(200, AT, who, false);
    answers.handleWho(300, AT, who, true);
    vi.runAllTimers();
    expect(sent.length).toBe(5);
    answers.handleWho(9_000, AT, who, true);
    vi.runAllTimers();
    expect(sent.length).toBe(7);
    answers.close();
    vi.useRealTimers();
  });
});

describe('codes and words', () => {
  it('[DI9] a word that is no machine may be a mistyped join code, and is told so', () => {
    expect(decodeJoinCode('p4aaa-amgt4')).toBeDefined();
    expect(noMachine('p4aaa-amgt').message).toBe(
      'No machine is called p4aaa-amgt. Use its IP address, or check the join code: ten letters and digits like p4aaa-amgt4.',
    );
    expect(noMachine('ann.local').message).toBe('No machine is called ann.local. Use its IP address.');
  });

  it('[DI9] a join code holds an address and forgives how people write', () => {
    const code = encodeJoinCode({ host: '192.168.1.42', port: 29_798 })!;
    expect(code).toMatch(/^[a-z2-7]{5}-[a-z2-7]{5}$/);
    expect(decodeJoinCode(code)).toEqual({ host: '192.168.1.42', port: 29_798 });
    expect(decodeJoinCode(` ${code.toUpperCase().replace('-', ' ')} `)).toEqual({ host: '192.168.1.42', port: 29_798 });
    expect(decodeJoinCode('hello')).toBeUndefined();
    const rng = createRng(5);
    for (let i = 0; i < 300; i++) {
      const address = { host: `${rng.int(256)}.${rng.int(256)}.${rng.int(256)}.${rng.int(256)}`, port: 1 + rng.int(65_535) };
      expect(decodeJoinCode(encodeJoinCode(address)!)).toEqual(address);
    }
    expect(normaliseRoomCode(' Ab–c d-E ')).toBe('abcde');
  });

  it('[DI9] a room code is the same however often it is made plain, and however it was typed', () => {
    const rng = createRng(6);
    const spaces = ['', ' ', '-', '–', '_', '\u00a0', '\u3000'];
    for (let i = 0; i < 20_000; i++) {
      // Every character of the first plane at least once, with marks and blanks that may join what they stand between.
      const parts = [i * 3.2, rng.int(0xd800), rng.int(0x250), 0x300 + rng.int(0x70)].map((at) => String.fromCharCode(Math.floor(at) % 0xd800));
      const typed = parts.join(spaces[rng.int(spaces.length)]);
      const plain = normaliseRoomCode(typed);
      expect(normaliseRoomCode(plain)).toBe(plain);
    }
    for (const typed of ['k7q2mx', 'K7Q2MX', 'K7Q-2MX', ' k7q 2mx ', 'Ｋ７Ｑ２ＭＸ'])
      expect(codeBytes(normaliseRoomCode(typed))).toEqual(codeBytes('k7q2mx'));
  });

  it('[DI10] the registry believes only what it writes', () => {
    expect(parseLocalEntry('{"pid":12,"host":"127.0.0.1","port":29798}')).toEqual({ pid: 12, address: { host: '127.0.0.1', port: 29_798 } });
    for (const text of [
      '',
      '[]',
      'null',
      '{"pid":"1","host":"127.0.0.1","port":1}',
      '{"pid":1,"host":"a.b","port":1}',
      '{"pid":1,"host":"127.0.0.1","port":0}',
      '{',
    ])
      expect(parseLocalEntry(text)).toBeUndefined();
  });

  it('[DI11] says in words why sending fails', () => {
    expect(describeSendError('EPERM', 'eth0', 'linux')).toMatch(/firewall|kill switch/);
    expect(describeSendError('EHOSTUNREACH', 'en0', 'darwin')).toMatch(/Local Network/);
  });

  it('[DI12] a source may burst and then has a rate; sources are bounded', () => {
    const rates = new SourceRates(3, 10, 2);
    expect([1, 2, 3, 4].map(() => rates.take('a', 0))).toEqual([true, true, true, false]);
    expect(rates.take('a', 100)).toBe(true);
    rates.take('b', 100);
    rates.take('c', 100);
    expect(rates.take('a', 100)).toBe(true);
  });
});
