/** Discovery between its sources, its list and the mesh: time, sockets and interfaces are played by hand. */
import { mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import dnsPacket from 'dns-packet';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { PeerId } from '../sdk/base/brand.ts';
import {
  ADVERT_WAIT_MS,
  ASK_BACK_PER_S,
  BEACON_CROWD,
  BEACON_PORT,
  BEACON_QUIET_MS,
  BEACON_SLOW_MS,
  HEALTH_SILENCE_MS,
  PROBE_MS,
} from '../sdk/node/discovery/bounds.ts';
import { KIND_HERE, KIND_WHO, encodeHere } from '../sdk/wire/datagram.ts';
import { BROADCAST, PORT, SELF, closers, key, made, nic, ours } from './discovery-hand.ts';
import { FACTS } from './here-facts.ts';

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
  vi.restoreAllMocks();
});

describe('what a search asks', () => {
  it('[DI5] former players of this network, and none of another; at a change of the network everybody again, at once', () => {
    const addresses = ['10.0.0.5', '10.7.7.7'].map((host) => ({ host, port: PORT }));
    const one = made({ known: { addresses, add: () => undefined } as never });
    using watch = one.watch();
    void watch;
    expect(one.asked().toSorted()).toEqual([BROADCAST, key('10.0.0.5')].toSorted());
    one.advance(10_000);
    one.asked();
    one.network.list = { eth0: nic('10.0.0.1'), wlan0: nic('10.7.7.1') };
    one.advance(1_000);
    const told = one.asked();
    for (const to of [BROADCAST, key('10.7.7.255', BEACON_PORT), key('10.0.0.5'), key('10.7.7.7')]) expect(told, to).toContain(to);
    expect(one.state.networkChanges).toBe(1);
  });

  it('[DI2] after a sleep the mesh is told, and who searches begins anew; who does not asks nobody', () => {
    const one = made();
    one.advance(2_000);
    one.state.wallMs += 60_000;
    one.advance(1_000);
    expect([one.state.networkChanges, one.asked()]).toEqual([1, []]);
    using watch = one.watch();
    void watch;
    one.advance(30_000);
    one.asked();
    one.state.wallMs += 60_000;
    one.advance(1_700);
    expect(one.asked().length).toBeGreaterThan(8);
    one.advance(5_000);
    expect(one.state.networkChanges).toBe(2);
  });

  it('[DI6] two who watch see one list, which goes on when one of them goes, and is forgotten with the last', () => {
    const one = made();
    const [first, second] = [one.watch(), one.watch()];
    one.discovery.ask({ host: '10.0.0.5', port: PORT });
    one.answer('10.0.0.5', one.facts(1));
    one.advance(10);
    expect([first.rooms.length, second.rooms.length]).toEqual([1, 1]);
    first[Symbol.dispose]();
    expect(one.discovery.rooms.size).toBe(1);
    one.answer('10.0.0.5', one.facts(1, { players: 5 }));
    one.advance(10);
    expect([first.rooms[0]!.players, second.rooms[0]!.players]).toEqual([2, 5]);
    second[Symbol.dispose]();
    expect([one.discovery.rooms.size, one.discovery.rooms.listings]).toEqual([0, []]);
    one.advance(60_000);
    one.asked();
    one.advance(60_000);
    expect(one.asked()).toEqual([]);
    // An answer that comes late makes no list that nobody sees.
    one.discovery.ask({ host: '10.0.0.5', port: PORT });
    one.answer('10.0.0.5', one.facts(1));
    expect(one.discovery.rooms.size).toBe(0);
  });

  it('[DI38] alone in a room it broadcasts every five seconds, with others every fifteen, and asks listed rooms as seldom', () => {
    for (const [players, gapMs] of [
      [1, BEACON_SLOW_MS],
      [2, BEACON_QUIET_MS],
    ] as const) {
      const one = made();
      one.sit(ours(one, { players }));
      using watch = one.watch();
      void watch;
      one.advance(20_000);
      one.sent.length = 0;
      one.advance(60_000);
      const times = one.sent.filter(({ to }) => to === BROADCAST).map(({ at }) => at);
      expect(times[1]! - times[0]!).toBe(gapMs);
      one.discovery.ask({ host: '10.0.0.5', port: PORT });
      one.answer('10.0.0.5', one.facts(1));
      one.asked();
      one.advance(PROBE_MS + 300);
      expect(one.asked().includes(key('10.0.0.5'))).toBe(players === 1);
      // Out of the room the list is at its full pace.
      one.sit(undefined);
      one.asked();
      one.advance(PROBE_MS + 50);
      expect(one.asked()).toContain(key('10.0.0.5'));
    }
  });
});

describe('answers', () => {
  it('[DI16] count for the question they answer, from the port they name; a farewell that nobody asked for is a reason to ask', () => {
    const one = made();
    using watch = one.watch();
    void watch;
    const ask = (): void => one.discovery.ask({ host: '10.0.0.5', port: PORT });
    ask();
    one.answer('10.0.0.5', one.facts(1), PORT, new Uint8Array(8).fill(9));
    one.answer('10.0.0.5', one.facts(1, { joinPort: PORT + 5 }), PORT);
    expect(one.discovery.rooms.size).toBe(0);
    one.answer('10.0.0.5', one.facts(1));
    expect(one.discovery.rooms.size).toBe(1);
    one.asked();
    one.answer('10.0.0.5', one.facts(1, { players: 0, max: 0 }), PORT, new Uint8Array(8));
    one.advance(1);
    expect(one.asked()).toEqual([key('10.0.0.5')]);
    expect(one.discovery.rooms.size).toBe(1);
    ask();
    one.answer('10.0.0.5', one.facts(1, { players: 0, max: 0 }));
    expect(one.discovery.rooms.size).toBe(0);
  });

  it('[DI14] of our own room hand its addresses to the mesh, those of other rooms do not; whoever is named is asked', () => {
    const one = made();
    one.sit(ours(one));
    using watch = one.watch();
    void watch;
    const [a, b] = ['10.0.0.5', '10.0.0.6'];
    for (const host of [a, b]) one.discovery.ask({ host, port: PORT });
    one.answer(a, one.facts(1, { members: [{ host: '10.0.0.7', port: PORT }] }));
    expect(one.members).toEqual([]);
    one.answer(b, one.facts(9, { peer: 'bbbbbbbbbbbbbbbb' as PeerId, members: [{ host: '10.0.0.8', port: PORT }] }));
    expect(one.members).toEqual([key(b), key('10.0.0.8')]);
    one.asked();
    one.advance(10);
    expect(one.asked()).toEqual(expect.arrayContaining([key('10.0.0.7'), key('10.0.0.8')]));
  });

  it('[DI6] of a second address are no news: it is asked by its back-off, and listed as soon as the first is silent', () => {
    const one = made();
    using watch = one.watch();
    void watch;
    const [first, second] = ['10.0.0.5', '10.0.0.6'];
    for (const host of [first, second]) one.discovery.ask({ host, port: PORT });
    one.answer(first, one.facts(1));
    one.answer(second, one.facts(1));
    one.advance(1);
    one.answer(first, one.facts(1));
    one.asked();
    let questions = 0;
    for (let ms = 0; ms < 300; ms += 10) {
      one.advance(10);
      if (one.sent.some(({ to }) => to === key(first))) one.answer(first, one.facts(1));
      questions += one.asked().filter((to) => to === key(second)).length;
    }
    expect(questions).toBe(1);
    for (let ms = 0; ms < 3_000; ms += 10) {
      one.advance(10);
      for (const sent of one.sent.splice(0))
        if (sent.to === key(second)) one.discovery.handleDatagram(second, PORT, encodeHere({ nonce: sent.nonce, facts: one.facts(1) }).slice());
    }
    expect(one.discovery.rooms.listings.map(({ address }) => address)).toEqual([key(second)]);
  });

  it('[DI5] of a room that is gone leave its address free: named anew, it is asked at once', () => {
    const one = made();
    using watch = one.watch();
    void watch;
    one.discovery.ask({ host: '10.0.0.5', port: PORT });
    one.answer('10.0.0.5', one.facts(1));
    expect(one.discovery.candidates.nextAt()).toBeGreaterThan(1_000);
    while (one.discovery.rooms.listings.length > 0) one.advance(10);
    expect(one.discovery.candidates.size).toBe(0);
  });

  it('[DI31] tell whether multicast passes, but for those of this machine', () => {
    const one = made();
    const spy = vi.spyOn(one.discovery.interfaces, 'isOther');
    using watch = one.watch();
    void watch;
    one.discovery.ask({ host: '10.0.0.1', port: PORT + 2 });
    one.answer('10.0.0.1', one.facts(1, { joinPort: PORT + 2 }));
    expect(spy).toHaveLastReturnedWith(false);
    one.advance(HEALTH_SILENCE_MS);
    expect(one.discovery.state()).toEqual({ level: 'ok', reasons: [] });
  });

  it('[ME77] of our own key from another machine go to the mesh, our own echo does not', () => {
    const one = made();
    one.sit(ours(one));
    for (const host of ['10.0.0.1', '10.0.0.5']) one.discovery.ask({ host, port: PORT });
    one.answer('10.0.0.1', ours(one));
    expect(one.members).toEqual([]);
    one.answer('10.0.0.5', { ...ours(one), roomId: FACTS.roomId });
    expect(one.members).toEqual([]);
    one.answer('10.0.0.5', ours(one), PORT, new Uint8Array(8));
    expect(one.members).toEqual([]);
    one.answer('10.0.0.5', ours(one));
    expect(one.members).toEqual([key('10.0.0.5')]);
  });
});

describe('broadcasts of others', () => {
  it('[DI39] make us ask who sits somewhere or looks, at a bounded rate: no echo, no other game, nobody from outside, nothing while idle', () => {
    const one = made();
    one.broadcast('10.0.0.5');
    one.advance(10);
    expect(one.asked()).toEqual([]);
    one.sit(ours(one, { members: [{ host: '10.0.0.6', port: PORT }] }));
    one.advance(20_000);
    one.asked();
    one.broadcast('10.0.0.1');
    one.broadcast('10.9.9.9');
    one.broadcast('10.0.0.6');
    one.broadcast('10.0.0.7', PORT, 'other');
    one.advance(10);
    expect(one.asked()).toEqual([]);
    // Its back-off would ask once in this time.
    const from = one.state.now;
    for (let ms = 0; ms < 200; ms += 5) {
      one.broadcast('10.0.0.5');
      one.advance(5);
    }
    const questions = one.asked().filter((to) => to === key('10.0.0.5')).length;
    expect(questions).toBeGreaterThan(0);
    expect(questions).toBeLessThanOrEqual(ASK_BACK_PER_S);
    expect(one.state.now - from).toBe(200);
    // A unicast question is answered through a router, too.
    one.sent.length = 0;
    one.discovery.handleDatagram('10.9.9.9', PORT, one.who());
    expect(one.sent.map(({ kind, to }) => `${kind} ${to}`)).toEqual([`here ${key('10.9.9.9')}`]);
  });

  it('[DI39] of so many searchers are a party, where ours come seldom; the next search begins without them', () => {
    const one = made();
    using watch = one.watch();
    void watch;
    for (let i = 0; i < BEACON_CROWD; i++) one.broadcast(`10.0.0.${20 + i}`);
    one.asked();
    one.advance(600);
    const crowd = one.asked().filter((to) => to === BROADCAST).length;
    expect(crowd).toBeLessThanOrEqual(3);
    one.advance(30_000);
    one.discovery.search();
    one.asked();
    one.advance(600);
    expect(one.asked().filter((to) => to === BROADCAST).length).toBeGreaterThan(6);
  });
});

describe('adverts', () => {
  const hear = (one: ReturnType<typeof made>, host: string, part: { id?: string; g?: string } = {}): void => {
    const { id = 'abc', g = 'paint' } = part;
    const fqdn = `ln-${host.split('.')[3]}._lanista._udp.local`;
    const bytes = dnsPacket.encode({
      type: 'response',
      answers: [
        { name: '_lanista._udp.local', type: 'PTR', ttl: 120, data: fqdn },
        { name: fqdn, type: 'SRV', ttl: 120, data: { port: PORT, target: 'x.local' } },
        { name: fqdn, type: 'TXT', ttl: 120, data: [`id=${id}`, `g=${g}`] },
      ],
    }) as Buffer;
    one.discovery.mdns!.socket.handlePacket(bytes, { address: host, port: 5_353, family: 'IPv4', size: bytes.length });
  };
  const searching = async () => {
    const one = made({ switches: { mdns: true, beacon: true, local: false } });
    const watch = one.watch();
    closers.unshift(async () => watch[Symbol.dispose]());
    await new Promise((resolve) => setImmediate(resolve));
    return one;
  };

  it('[DI13] of others are asked, while our broadcasts are dense after a moment; not our own, nor another game’s, nor whom we list', async () => {
    const one = await searching();
    one.discovery.ask({ host: '10.0.0.8', port: PORT });
    one.answer('10.0.0.8', one.facts(1));
    one.advance(20);
    one.asked();
    hear(one, '10.0.0.5');
    hear(one, '10.0.0.6', { id: SELF });
    hear(one, '10.0.0.7', { g: 'chess' });
    one.discovery.candidates.forget({ host: '10.0.0.8', port: PORT });
    const before = one.discovery.candidates.size;
    hear(one, '10.0.0.8');
    expect(one.discovery.candidates.size).toBe(before);
    one.advance(ADVERT_WAIT_MS - 10);
    expect(one.asked().filter((to) => to !== BROADCAST)).toEqual([]);
    one.advance(20);
    const told = one.asked().filter((to) => to !== BROADCAST);
    expect(told).toEqual([key('10.0.0.5')]);
    // Later on nobody waits for anything.
    one.advance(10_000);
    one.asked();
    hear(one, '10.0.0.9');
    one.advance(1);
    expect(one.asked()).toContain(key('10.0.0.9'));
  });

  it('[DI2] interfaces are joined again every second; after a sleep we are announced', async () => {
    const one = await searching();
    const { socket } = one.discovery.mdns!;
    const [joined, announce] = [vi.spyOn(socket, 'setInterfaces'), vi.spyOn(socket, 'announce')];
    one.advance(5_000);
    expect(joined.mock.calls.length).toBeGreaterThanOrEqual(4);
    announce.mockClear();
    one.state.wallMs += 60_000;
    one.advance(1_000);
    expect(announce).toHaveBeenCalled();
  });
});

it('[DI5] everybody is asked anew when a listed one misses, once a second at most', () => {
  const one = made();
  using watch = one.watch();
  void watch;
  const restart = vi.spyOn(one.discovery.candidates, 'restart');
  for (let i = 0; i < 10; i++) {
    one.discovery.ask({ host: `10.0.0.${50 + i}`, port: PORT });
    one.answer(`10.0.0.${50 + i}`, one.facts(i + 1));
    one.advance(60);
  }
  restart.mockClear();
  one.advance(3_000);
  expect(restart.mock.calls.length).toBeGreaterThan(0);
  expect(restart.mock.calls.length).toBeLessThanOrEqual(4);
});

it('[DI10] nothing is told of a room once all is closed', async () => {
  const localDirectory = join(mkdtempSync(join(tmpdir(), 'lanista-core-')), 'local');
  const one = made({ switches: { mdns: false, beacon: false, local: true, localDirectory } });
  one.sit(ours(one));
  expect(readdirSync(localDirectory)).toHaveLength(1);
  const closed = one.discovery.close();
  one.state.now += 10_000;
  await closed;
  one.discovery.advertise();
  expect(readdirSync(localDirectory)).toEqual([]);
});

it('[DI35] who closes tells those who asked, and answers them once more before it is gone; nothing leaves afterwards', async () => {
  const one = made();
  one.sit(ours(one));
  one.discovery.handleDatagram('10.0.0.5', PORT, one.who());
  one.sent.length = 0;
  const closed = one.discovery.close();
  expect(one.sent.map(({ kind, to }) => `${kind} ${to}`)).toEqual([`here ${key('10.0.0.5')}`]);
  let isOver = false;
  void closed.then(() => (isOver = true));
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(isOver).toBe(false);
  one.discovery.handleDatagram('10.0.0.5', PORT, one.who());
  expect(one.sent).toHaveLength(2);
  one.broadcast('10.0.0.6');
  one.state.now += 10_000;
  await closed;
  one.discovery.advertise();
  one.discovery.handleDatagram('10.0.0.5', PORT, one.who());
  one.advance(10_000);
  expect(one.sent.filter(({ kind }) => kind === 'who')).toEqual([]);
  expect(KIND_HERE).not.toBe(KIND_WHO);
});
