/** mDNS on its way out and in: memberships, one interface after the other, what is let through to the library. The system's part is played by hand. */
import { Socket } from 'node:dgram';
import dnsPacket from 'dns-packet';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createRng } from '../sdk/base/rng.ts';
import { MDNS_MAX_NAMES, MDNS_MAX_QUEUE, MDNS_PORT, MDNS_REBIND_MS, MDNS_SOURCE_BURST, MDNS_SOURCE_PER_S } from '../sdk/node/discovery/bounds.ts';
import type { LanInterface } from '../sdk/node/discovery/interfaces.ts';
import { LanSocket } from '../sdk/node/discovery/lan-socket.ts';
import { MulticastSender } from '../sdk/node/discovery/multicast-sender.ts';

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const lan = (name: string, address: string, kind: LanInterface['kind'] = 'lan'): LanInterface => ({
  name,
  address,
  netmask: '255.255.255.0',
  broadcast: address.replace(/\d+$/, '255'),
  kind,
  rank: 0,
});
const failure = (code: string): Error => Object.assign(new Error(code), { code });
const [wlan, eth, tunnel] = [lan('wlan0', '10.0.0.1'), lan('eth0', '10.0.1.1'), lan('wg0', '10.9.0.2', 'virtual')];
const nothing = (): void => undefined;

/** A socket whose every answer is given by hand. */
class Hand {
  readonly members = new Set<string>();
  readonly calls: string[] = [];
  readonly pending: ((error: Error | null) => void)[] = [];
  join: (address: string) => void = (address) => {
    if (this.members.has(address)) throw failure('EADDRINUSE');
    this.members.add(address);
  };
  onSend: (from: string) => void = nothing;
  #from = '';

  addMembership(_group: string, address: string): void {
    this.join(address);
  }

  dropMembership(_group: string, address: string): void {
    this.calls.push(`drop ${address}`);
    if (!this.members.delete(address)) throw failure('EADDRNOTAVAIL');
  }

  setMulticastInterface(address: string): void {
    this.#from = address;
  }

  send(bytes: Uint8Array, _port: number, _host: string, done: (error: Error | null) => void): void {
    this.onSend(this.#from);
    this.calls.push(`${bytes[0]} ${this.#from}`);
    this.pending.push(done);
  }

  finish(error: Error | null = null): void {
    this.pending.shift()!(error);
  }
}

const sender = () => {
  const states: (readonly string[])[] = [];
  const made: MulticastSender = new MulticastSender({ onState: () => void states.push(made.reasons()), onDrop: nothing });
  const hand = new Hand();
  made.use(hand as never);
  let done = 0;
  const send = (mark: number): void =>
    made.sendEach(
      () => Uint8Array.of(mark),
      () => done++,
    );
  return { made, hand, states, send, done: () => done };
};

describe('multicast on every interface', () => {
  it('[DI11] leaves by one after the other, since the interface is a property of the socket', () => {
    const { made, hand, send, done } = sender();
    made.setInterfaces([wlan, eth]);
    send(1);
    send(2);
    expect(hand.calls).toEqual(['1 10.0.0.1']);
    for (let i = 0; i < 3; i++) hand.finish();
    expect([hand.calls, done()]).toEqual([['1 10.0.0.1', '1 10.0.1.1', '2 10.0.0.1', '2 10.0.1.1'], 1]);
    hand.finish();
    expect([done(), made.sentCount]).toEqual([2, 4]);
  });

  it('[DI12] waits in a queue that ends somewhere, and is done all the same', async () => {
    const { made, hand, send, done } = sender();
    made.setInterfaces([wlan, eth]);
    for (let i = 0; i < MDNS_MAX_QUEUE; i++) send(i);
    await new Promise((resolve) => process.nextTick(resolve));
    const dropped = done();
    expect(dropped).toBeGreaterThan(0);
    while (hand.pending.length > 0) hand.finish();
    expect([done(), made.sentCount / 2 + dropped]).toEqual([MDNS_MAX_QUEUE, MDNS_MAX_QUEUE]);
    expect(made.sentCount).toBeLessThanOrEqual(MDNS_MAX_QUEUE + 2);
  });

  it('[DI11] what fails on one interface, at once or later, is said in words, keeps back nothing, and is taken back when it works', async () => {
    const { made, hand, states, send, done } = sender();
    made.setInterfaces([wlan, eth]);
    send(1);
    hand.finish(failure('ENETUNREACH'));
    expect(made.reasons()).toEqual(['wlan0 has no route to the local network.']);
    hand.finish();
    hand.onSend = (from) => {
      if (from === eth.address) throw failure('EINVAL');
    };
    send(2);
    hand.finish();
    expect(states.at(-1)).toEqual([]);
    await new Promise((resolve) => process.nextTick(resolve));
    expect([states.at(-1), done()]).toEqual([['eth0 went away or changed its address.'], 2]);
    // It is gone, and its trouble with it.
    made.setInterfaces([wlan]);
    expect(made.reasons()).toEqual([]);
    send(3);
    hand.finish(failure('ENETDOWN'));
    expect(made.reasons()).toEqual(['wlan0 is down.']);
  });

  it('[DI31] a tunnel is told of where the LAN fails as well', () => {
    const { made, hand, send } = sender();
    made.setInterfaces([wlan, tunnel]);
    send(1);
    for (let i = 0; i < 2; i++) hand.finish(failure('EPERM'));
    expect(made.reasons()).toHaveLength(2);
  });

  it('[DI2] an interface with a new address is left at the old one, and one that is back is worth an announcement', () => {
    const { made, hand } = sender();
    made.setInterfaces([wlan]);
    expect(made.setInterfaces([{ ...wlan, address: '10.0.0.9' }])).toBe(true);
    expect([hand.calls, [...hand.members]]).toEqual([['drop 10.0.0.1'], ['10.0.0.9']]);
    made.setInterfaces([]);
    // The system never noticed that it was away.
    hand.members.add('10.0.0.9');
    expect(made.setInterfaces([{ ...wlan, address: '10.0.0.9' }])).toBe(true);
    expect(made.setInterfaces([{ ...wlan, address: '10.0.0.9' }])).toBe(false);
  });

  it('[DI11] a new socket has no memberships, and nothing that waited for the one before', () => {
    const { made, hand, send } = sender();
    made.setInterfaces([wlan, eth]);
    send(1);
    made.use(undefined);
    const next = new Hand();
    next.join = () => {
      throw failure('EADDRNOTAVAIL');
    };
    made.use(next as never);
    made.setInterfaces([wlan]);
    expect(made.reasons()).toHaveLength(1);
    hand.finish();
    expect(next.calls).toEqual([]);
  });
});

const SERVICE = '_lanista._udp.local';
const fqdn = (name: string): string => `${name}.${SERVICE}`;
const ptr = (name: string, ttl = 120) => ({ name: SERVICE, type: 'PTR' as const, ttl, data: fqdn(name) });
const srv = (name: string, ttl = 120) => ({ name: fqdn(name), type: 'SRV' as const, ttl, data: { port: 29_798, target: `${name}.local` } });
const says = (answers: object[], additionals: object[] = []): Buffer =>
  dnsPacket.encode({ type: 'response', answers, additionals } as never) as Buffer;
const announcement = (name: string, ttl = 120): Buffer => says([ptr(name, ttl)], [srv(name, ttl)]);
const asks = (type: 'PTR' | 'TXT' = 'PTR', answers: object[] = [], name = SERVICE): Buffer =>
  dnsPacket.encode({ type: 'query', questions: [{ name, type }], answers } as never) as Buffer;

describe('what is heard', () => {
  const made = () => {
    const at = { now: 0 };
    const heard: string[] = [];
    const socket = new LanSocket({
      rng: createRng(1),
      serviceName: SERVICE,
      known: () => [],
      now: () => at.now,
      onHeard: (host) => heard.push(host),
      onMoved: nothing,
      onState: nothing,
    });
    socket.setInterfaces([wlan]);
    let read = 0;
    socket.on('message', () => read++);
    const hear = (bytes: Buffer, host = '10.0.0.2', port = MDNS_PORT): void => {
      socket.handlePacket(bytes, { address: host, port, family: 'IPv4', size: bytes.length });
    };
    return { at, socket, heard, hear, read: () => read };
  };

  it('[DI12] comes from port 5353 of a subnet of ours, at a bounded rate', () => {
    const { at, socket, heard, hear, read } = made();
    hear(asks(), '10.0.0.2', 5_354);
    hear(asks(), '10.0.1.2');
    expect([read(), heard, socket.drops]).toEqual([0, [], { 'source-port': 1, 'off-link': 1 }]);
    for (let i = 0; i < 200; i++) hear(asks());
    expect([read(), socket.drops['rate']]).toEqual([MDNS_SOURCE_BURST, 200 - MDNS_SOURCE_BURST]);
    hear(asks(), '10.0.0.3');
    at.now = 1_000;
    for (let i = 0; i < 200; i++) hear(asks());
    expect(read()).toBe(MDNS_SOURCE_BURST + 1 + MDNS_SOURCE_PER_S);
  });

  it('[DI31] of ourselves is an echo, and nobody else', () => {
    const { socket, heard, hear } = made();
    hear(asks(), wlan.address);
    expect([socket.echoCount, heard]).toEqual([1, []]);
    hear(asks());
    expect([socket.echoCount, heard]).toEqual([1, ['10.0.0.2']]);
  });

  it('[DI40] again is left out also when it lies among the additional records; of several at once, and what is long, each is read', () => {
    const { socket, hear, read } = made();
    for (let i = 0; i < 3; i++) hear(says([], [ptr('ln-a'), srv('ln-a')]));
    expect([read(), socket.drops['repeat']]).toEqual([1, 2]);
    const both = says([ptr('ln-b'), ptr('ln-c')]);
    for (let i = 0; i < 2; i++) hear(both);
    expect(read()).toBe(3);
    const long = says([ptr('ln-d')], [srv('ln-d'), { name: fqdn('ln-d'), type: 'TXT', ttl: 120, data: new Array(8).fill('x'.repeat(200)) }]);
    for (let i = 0; i < 2; i++) hear(long);
    expect(read()).toBe(5);
  });

  it('[DI17] is remembered of a bounded number of instances; a flood of ends uses up no name', () => {
    const { at, socket, hear, read } = made();
    for (let i = 0; i <= MDNS_MAX_NAMES; i++, at.now += 100) hear(says([ptr(`ln-${i}`, 0)]));
    expect(socket.isFull).toBe(false);
    for (let i = 0; i <= MDNS_MAX_NAMES; i++, at.now += 100) hear(announcement(`ln-${i}`));
    expect([socket.isFull, socket.drops['names']]).toEqual([true, 1]);
    const before = read();
    hear(announcement('ln-0'));
    expect([read(), socket.drops['repeat']]).toEqual([before + 1, undefined]);
  });

  it('[DI4] a question whose asker knows us well is not answered; who knows us no longer, or asks for more, is', () => {
    const { socket, hear, read } = made();
    hear(asks('PTR', [ptr('ln-own')]));
    expect(read()).toBe(1);
    socket.send(announcement('ln-own'), 0, announcement('ln-own').length, MDNS_PORT, '');
    for (const [bytes, isRead] of [
      [asks('PTR', [ptr('ln-own', 60)]), false],
      [asks('PTR', [ptr('ln-own', 59)]), true],
      [asks('PTR', [ptr('ln-other')]), true],
      [asks('TXT', [ptr('ln-own')], fqdn('ln-own')), true],
    ] as const) {
      const before = read();
      hear(bytes);
      expect(read() - before).toBe(isRead ? 1 : 0);
    }
    expect(socket.drops['known-answer']).toBe(1);
  });
});

describe('what is said', () => {
  /** A system whose sockets are played by hand: nothing is bound, nothing leaves. */
  const made = (bind: 'works' | 'fails' | 'waits' = 'works') => {
    vi.useFakeTimers();
    const system = { bind, bound: [] as (() => void)[], closed: 0, left: [] as any[] };
    let from = '';
    const { prototype } = Socket;
    vi.spyOn(prototype, 'bind').mockImplementation(function play(this: Socket, ...how: unknown[]) {
      const ready = how[1] as () => void;
      if (system.bind === 'works') ready.call(this);
      else if (system.bind === 'waits') system.bound.push(ready);
      else this.emit('error', failure('EADDRINUSE'));
      return this;
    } as never);
    vi.spyOn(prototype, 'close').mockImplementation(function play(this: Socket, done?: () => void) {
      system.closed++;
      done?.();
      return this;
    } as never);
    for (const name of ['addMembership', 'dropMembership', 'setMulticastTTL', 'setMulticastLoopback', 'setRecvBufferSize'] as const)
      vi.spyOn(prototype, name).mockImplementation((() => undefined) as never);
    vi.spyOn(prototype, 'setMulticastInterface').mockImplementation((address) => void (from = address));
    vi.spyOn(prototype, 'send').mockImplementation(((bytes: Buffer, _port: number, _host: string, done: (error: Error | null) => void) => {
      const packet = dnsPacket.decode(Buffer.from(bytes)) as any;
      const [first] = packet.answers;
      system.left.push({ from, type: packet.type, ttl: first?.ttl, name: first?.data?.split?.('.')[0], answers: packet.answers.length });
      done(null);
    }) as never);
    const start = Date.now();
    const socket = new LanSocket({
      rng: createRng(1),
      serviceName: SERVICE,
      known: () => ['ln-known'],
      now: () => Date.now() - start,
      onHeard: nothing,
      onMoved: nothing,
      onState: nothing,
    });
    socket.setInterfaces([wlan]);
    let listening = 0;
    socket.bind(MDNS_PORT, undefined, () => listening++);
    const send = (bytes: Buffer): void => socket.send(bytes, 0, bytes.length, MDNS_PORT, '');
    /** What left since the last call, as `name ttl interface`. */
    const left = (): string[] => system.left.splice(0).map((one) => `${one.name} ${one.ttl} ${one.from}`);
    return { socket, system, send, left, listening: () => listening };
  };

  it('[DI4] a question lists what is known, as known for so long that its owner stays silent', () => {
    const { send, left } = made();
    send(asks());
    expect(left()).toEqual(['ln-known 110 10.0.0.1']);
  });

  it('[DI18] an announcement leaves at once and again after a second; the end twice, and nothing of it afterwards', () => {
    const { socket, send, left } = made();
    send(announcement('ln-own', 4_500));
    expect(left()).toEqual(['ln-own 120 10.0.0.1']);
    vi.advanceTimersByTime(1_000);
    expect(left()).toEqual(['ln-own 120 10.0.0.1']);
    // For another that has the same name, the library would say its end.
    send(announcement('ln-other', 0));
    expect([left(), socket.drops['foreign-goodbye']]).toEqual([[], 1]);
    send(announcement('ln-own', 0));
    vi.advanceTimersByTime(5_000);
    socket.announce();
    expect(left()).toEqual(['ln-own 0 10.0.0.1', 'ln-own 0 10.0.0.1']);
  });

  it('[DI4] equal answers leave once a second however many ask, a moment after the question', () => {
    const { send, left } = made();
    send(announcement('ln-own'));
    vi.advanceTimersByTime(3_000);
    left();
    const times: number[] = [];
    for (let ms = 0; ms < 5_000; ms += 10) {
      send(announcement('ln-own'));
      vi.advanceTimersByTime(10);
      if (left().length > 0) times.push(ms + 10);
    }
    vi.advanceTimersByTime(10_000);
    expect(left().length).toBeLessThanOrEqual(1);
    expect(times.length).toBeLessThanOrEqual(5);
    expect(times[0]).toBeGreaterThanOrEqual(20);
    expect(times[0]).toBeLessThanOrEqual(130);
    for (const [i, at] of times.slice(1).entries()) expect(at - times[i]!).toBeGreaterThanOrEqual(1_000);
  });

  it('[DI2] what was announced is announced on an interface that comes', () => {
    const { socket, send, left } = made();
    send(announcement('ln-own'));
    left();
    vi.spyOn(Socket.prototype, 'addMembership').mockImplementation((_group, address) => {
      if (address === wlan.address) throw failure('EADDRINUSE');
    });
    socket.setInterfaces([wlan]);
    expect(left()).toEqual([]);
    socket.setInterfaces([wlan, eth]);
    expect(left()).toEqual(['ln-own 120 10.0.0.1', 'ln-own 120 10.0.1.1']);
  });

  it('[DI11] port 5353 that another program has is tried again, and what is to be said is said then', () => {
    const { socket, system, send, left, listening } = made('fails');
    expect([listening(), socket.reasons()]).toEqual([
      1,
      ['mDNS is off: another program holds UDP port 5353 for itself; the search goes on by broadcast.'],
    ]);
    send(announcement('ln-own'));
    vi.advanceTimersByTime(MDNS_REBIND_MS);
    expect([left(), socket.reasons().length]).toEqual([[], 1]);
    system.bind = 'works';
    vi.advanceTimersByTime(MDNS_REBIND_MS);
    expect(left()).toContain('ln-own 120 10.0.0.1');
    expect(socket.reasons()).toEqual([]);
    socket.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('[DI11] a socket that opens after its end is closed', () => {
    const { socket, system, listening } = made('waits');
    socket.close();
    for (const ready of system.bound) ready();
    expect([system.closed, listening()]).toEqual([1, 0]);
  });
});
