/** Discovery at a party: what dozens who start at once leave unsaid, and what they do not read twice. */
import dnsPacket from 'dns-packet';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { PeerId, RoomId } from '../sdk/base/brand.ts';
import { createRng } from '../sdk/base/rng.ts';
import { nodeCrypto } from '../sdk/node/crypto-node.ts';
import { Answers } from '../sdk/node/discovery/answers.ts';
import { BeaconLadder } from '../sdk/node/discovery/beacon-ladder.ts';
import {
  BEACON_CROWD_GAP_MS,
  BEACON_DENSE_CROWD_GAP_MS,
  BEACON_DENSE_MS,
  BEACON_LADDER_MS,
  HERE_AGAIN_BURST,
  MDNS_CROWD,
  MDNS_PORT,
  PING_SHOWN_MS,
  PROBE_CROWD,
  PROBE_CROWD_MS,
  PROBE_MS,
} from '../sdk/node/discovery/bounds.ts';
import { scanInterfaces } from '../sdk/node/discovery/interfaces.ts';
import { LanSocket } from '../sdk/node/discovery/lan-socket.ts';
import { RoomList } from '../sdk/node/discovery/room-list.ts';
import { JOIN_PORT } from '../sdk/testing/host.ts';
import { decodeHere, encodeHere } from '../sdk/wire/datagram.ts';
import { MAX_HERE_MEMBERS } from '../sdk/wire/limits.ts';
import { AT, FACTS } from './here-facts.ts';
import { together } from './mesh-rig.ts';

afterEach(() => {
  vi.useRealTimers();
});

describe('broadcasts of a search', () => {
  const times = (isCrowd: boolean, untilMs: number, lookEveryMs = 1): number[] => {
    const ladder = new BeaconLadder();
    ladder.start(0);
    const out: number[] = [];
    for (let now = 0; now <= untilMs; now += lookEveryMs) if (ladder.nextAt <= now && ladder.take(now, isCrowd, 5_000)) out.push(now);
    return out;
  };

  it('[DI39] go out at every step, and at a party a quarter of a second apart, later nearly a second', () => {
    expect(times(false, 6_000)).toEqual([...BEACON_LADDER_MS]);
    const crowd = times(true, 6_000);
    expect(crowd.length).toBeLessThan(BEACON_LADDER_MS.length / 2);
    for (const [i, at] of crowd.slice(1).entries())
      expect(at - crowd[i]!).toBeGreaterThanOrEqual(at < BEACON_DENSE_MS ? BEACON_DENSE_CROWD_GAP_MS : BEACON_CROWD_GAP_MS);
    // After the ladder everybody is as slow as the caller says.
    expect(times(true, 20_000).slice(-2)).toEqual(times(false, 20_000).slice(-2));
  });

  it('[DI39] leave out the steps that passed while the process had no time', () => {
    expect(times(false, 2_000, 400)).toEqual([0, 400, 800, 1_200, 1_600, 2_000]);
  });

  it('[DI39] a search that begins anew at once does not say again what was just said, and one that stops says nothing', () => {
    const ladder = new BeaconLadder();
    ladder.start(0);
    expect(ladder.take(0, false, 5_000)).toBe(true);
    ladder.start(40);
    expect(ladder.nextAt).toBe(50);
    expect(ladder.isDense(100)).toBe(true);
    ladder.stop();
    expect([ladder.nextAt, ladder.isDense(100)]).toEqual([Number.POSITIVE_INFINITY, false]);
    ladder.start(9_000);
    expect(ladder.nextAt).toBe(9_000);
  });
});

describe('mDNS packets', () => {
  const SERVICE = '_lanista._udp.local';
  const announcement = (name: string, ttl = 120, port = 29_798): Buffer =>
    dnsPacket.encode({
      type: 'response',
      answers: [{ name: SERVICE, type: 'PTR', ttl, data: `${name}.${SERVICE}` }],
      additionals: [{ name: `${name}.${SERVICE}`, type: 'SRV', ttl, data: { port, target: `${name}.local` } }],
    }) as Buffer;
  const query = dnsPacket.encode({ type: 'query', questions: [{ name: SERVICE, type: 'PTR' }] }) as Buffer;
  const made = () => {
    const at = { now: 0 };
    const socket = new LanSocket({
      rng: createRng(1),
      serviceName: SERVICE,
      known: () => [],
      now: () => at.now,
      onHeard: () => undefined,
      onMoved: () => undefined,
      onState: () => undefined,
    });
    socket.setInterfaces(
      scanInterfaces(() => ({
        eth0: [{ address: '10.0.0.1', netmask: '255.255.255.0', family: 'IPv4', mac: '02:00:00:00:00:01', internal: false, cidr: null }],
      })),
    );
    const read: string[] = [];
    socket.on('message', (bytes: Buffer) => void read.push(bytes.equals(query) ? 'query' : 'response'));
    const hear = (bytes: Buffer, host = '10.0.0.2'): void =>
      socket.handlePacket(bytes, { address: host, port: MDNS_PORT, family: 'IPv4', size: bytes.length });
    return { at, socket, read, hear };
  };

  it('[DI40] that say again what their sender said last are not read again; another word, another sender and an end are', () => {
    const { socket, read, hear } = made();
    const [one, two] = [announcement('ln-a'), announcement('ln-b')];
    for (const bytes of [one, two, one, two, one]) hear(bytes);
    expect([read.length, socket.drops['repeat']]).toEqual([2, 3]);
    hear(announcement('ln-a', 120, 29_799));
    hear(announcement('ln-a', 120, 29_799));
    hear(one);
    expect(read.length).toBe(4);
    hear(one, '10.0.0.3');
    expect(read.length).toBe(5);
    // A goodbye, whoever sends it, ends it; it is read each time, and so is the next announcement.
    for (const host of ['10.0.0.9', '10.0.0.9']) hear(announcement('ln-a', 0), host);
    hear(one, '10.0.0.3');
    expect(read.length).toBe(8);
    socket.forgetNames();
    hear(two);
    expect(read.length).toBe(9);
    socket.close();
  });

  it('[DI40] that ask for what is about to be said are not answered one by one', () => {
    vi.useFakeTimers();
    const { at, socket, read, hear } = made();
    socket.send(announcement('ln-own'), 0, announcement('ln-own').length, MDNS_PORT, '');
    hear(query);
    // Few are there: the answer is worth its packet, and once it waits, it is for all who ask.
    expect(read).toEqual(['query']);
    socket.send(announcement('ln-own'), 0, announcement('ln-own').length, MDNS_PORT, '');
    hear(query);
    expect([read.length, socket.drops['coalesced']]).toEqual([1, 1]);
    at.now = 500;
    hear(query);
    expect(read.length).toBe(2);
    // At a party the second announcement, due at a second, answers all who ask before it.
    for (let i = 0; i < MDNS_CROWD; i++) hear(announcement(`ln-${i}`), `10.0.0.${20 + i}`);
    read.length = 0;
    hear(query);
    expect([read.length, socket.drops['coalesced']]).toEqual([0, 2]);
    // And it is not put off: they were promised it.
    const announce = vi.spyOn(socket, 'announce');
    vi.advanceTimersByTime(1_000);
    expect(announce).toHaveBeenCalledTimes(1);
    at.now = 1_200;
    hear(query);
    expect(read.length).toBe(1);
    socket.close();
  });
});

describe('answers and lists', () => {
  it('[DI16] second answers are for those who come alone: a crowd shares a few', () => {
    vi.useFakeTimers();
    const sent: string[] = [];
    const answers = new Answers({
      crypto: nodeCrypto,
      rng: createRng(1),
      facts: () => ({ ...FACTS, members: [] }),
      send: ({ host }) => void sent.push(host),
    });
    const who = { nonce: new Uint8Array(8), roomTag: undefined, gameId: FACTS.gameId };
    for (let i = 0; i < 40; i++) answers.handleWho(0, { host: `10.0.1.${i}`, port: 29_798 }, who, true);
    vi.runAllTimers();
    expect(sent.length).toBe(40 + HERE_AGAIN_BURST);
    expect(new Set(sent).size).toBe(40);
    answers.close();
  });

  it('[DI16] nobody of a room of twelve is answered when it broadcasts', () => {
    vi.useFakeTimers();
    const { world } = together({ peers: 12 });
    const sent: string[] = [];
    const mesh = world.peer(0).mesh!;
    const answers = new Answers({
      crypto: world.crypto,
      rng: createRng(1),
      facts: () => mesh.facts(world.now),
      send: ({ host }) => void sent.push(host),
    });
    const who = { nonce: new Uint8Array(8), roomTag: undefined, gameId: 'sim' };
    for (const { host, index } of world.peers) if (index > 0) answers.handleWho(0, { host, port: JOIN_PORT }, who, true);
    vi.runAllTimers();
    expect(sent).toEqual([]);
    answers.handleWho(0, AT, who, true);
    vi.runAllTimers();
    expect(new Set(sent)).toEqual(new Set([AT.host]));
    // And no more of them are named than fit an answer.
    expect(decodeHere(encodeHere({ nonce: who.nonce, facts: mesh.facts(world.now) }).slice())?.facts.members).toHaveLength(MAX_HERE_MEMBERS);
    answers.close();
  });

  it('[DI16] a member of the own room is not answered at any of its addresses: a broadcast leaves from the one its routes prefer', () => {
    vi.useFakeTimers();
    const { world } = together({ peers: 3 });
    world.addAddress(2, '10.0.9.3');
    world.tellAddress(2);
    world.run(3_000);
    const sent: string[] = [];
    const mesh = world.peer(0).mesh!;
    const facts = () => mesh.facts(world.now);
    const answers = new Answers({ crypto: world.crypto, rng: createRng(1), facts, send: ({ host }) => void sent.push(host) });
    const who = { nonce: new Uint8Array(8), roomTag: undefined, gameId: 'sim' };
    for (const host of ['10.0.0.3', '10.0.9.3']) answers.handleWho(0, { host, port: JOIN_PORT }, who, true);
    vi.runAllTimers();
    expect(sent).toEqual([]);
    // Away, it may look for the others itself.
    world.crash(2);
    world.run(3_000);
    answers.handleWho(0, { host: '10.0.9.3', port: JOIN_PORT }, who, true);
    expect(sent).toEqual(['10.0.9.3']);
    answers.close();
  });

  it('[DI7] a list of many rooms asks each less often', () => {
    const list = new RoomList('zzzzzzzzzzzzzzzz' as PeerId, undefined);
    const hear = (i: number): boolean =>
      list.heard(
        0,
        { host: `10.0.1.${i}`, port: 29_798 },
        { ...FACTS, roomId: i.toString(16).padStart(32, '0') as RoomId, peer: `p${i}` as PeerId },
        3,
      );
    for (let i = 0; i < PROBE_CROWD; i++) hear(i);
    expect(list.nextAt()).toBe(PROBE_MS);
    for (let i = 0; i <= PROBE_CROWD; i++) hear(i);
    for (let i = 0; i <= PROBE_CROWD; i++) hear(i);
    expect(list.nextAt()).toBe(PROBE_CROWD_MS);
  });

  it('[DI6] pings that change make a new list twice a second, and anything else at once', () => {
    const list = new RoomList('zzzzzzzzzzzzzzzz' as PeerId, undefined);
    list.heard(0, AT, FACTS, 10);
    expect(list.takeChange()?.[0]?.pingMs).toBe(10);
    list.heard(100, AT, FACTS, 3);
    expect([list.isChanged, list.takeChange()]).toEqual([false, undefined]);
    list.heard(200, AT, { ...FACTS, players: 3 }, 3);
    expect(list.takeChange()?.[0]).toMatchObject({ players: 3, pingMs: 3 });
    list.heard(300, AT, { ...FACTS, players: 3 }, 1);
    expect(list.takeChange()).toBeUndefined();
    list.heard(200 + PING_SHOWN_MS, AT, { ...FACTS, players: 3 }, 1);
    expect(list.takeChange()?.[0]?.pingMs).toBe(1);
  });
});
