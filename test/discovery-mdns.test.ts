/** mDNS through the library, and the beacon: when is asked, what is told of others, and the end. The system's sockets are played by hand. */
import { Socket } from 'node:dgram';
import dnsPacket from 'dns-packet';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createRng } from '../sdk/base/rng.ts';
import { Beacon } from '../sdk/node/discovery/beacon.ts';
import { BEACON_REBIND_MS, MDNS_CROWD, MDNS_MAX_NAMES, MDNS_PORT, MDNS_QUERY_LADDER_MS, MDNS_REBIND_MS } from '../sdk/node/discovery/bounds.ts';
import type { LanInterface } from '../sdk/node/discovery/interfaces.ts';
import { Mdns } from '../sdk/node/discovery/mdns.ts';
import { encodeWho } from '../sdk/wire/datagram.ts';

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const WLAN: LanInterface = { name: 'wlan0', address: '10.0.0.1', netmask: '255.255.255.0', broadcast: '10.0.0.255', kind: 'lan', rank: 0 };
const SERVICE = '_lanista._udp.local';

/** Sockets that bind and send by hand; nothing leaves the process. */
function system() {
  const played = { fails: undefined as string | undefined, sockets: [] as Socket[], closed: 0, left: [] as any[] };
  vi.spyOn(Socket.prototype, 'bind').mockImplementation(function play(this: Socket, ...how: unknown[]) {
    played.sockets.push(this);
    if (played.fails === undefined) (how[1] as () => void).call(this);
    else this.emit('error', Object.assign(new Error(played.fails), { code: played.fails }));
    return this;
  } as never);
  vi.spyOn(Socket.prototype, 'close').mockImplementation(function play(this: Socket, done?: () => void) {
    played.closed++;
    done?.();
    return this;
  } as never);
  for (const name of [
    'addMembership',
    'dropMembership',
    'setMulticastTTL',
    'setMulticastLoopback',
    'setMulticastInterface',
    'setRecvBufferSize',
  ] as const)
    vi.spyOn(Socket.prototype, name).mockImplementation((() => undefined) as never);
  vi.spyOn(Socket.prototype, 'send').mockImplementation(((bytes: Buffer, _port: number, _host: string, done: (error: Error | null) => void) => {
    played.left.push(dnsPacket.decode(Buffer.from(bytes)));
    done(null);
  }) as never);
  return played;
}

describe('mDNS', () => {
  const made = (fails?: string) => {
    vi.useFakeTimers();
    const played = system();
    played.fails = fails;
    const states: number[] = [];
    const zero = Date.now();
    const now = (): number => Date.now() - zero;
    const candidates: string[] = [];
    const gone: string[] = [];
    const last: { mdns?: Mdns } = {};
    const mdns = new Mdns(
      {
        rng: createRng(1),
        now,
        onCandidate: ({ host, port }, peer, gameId) => void candidates.push(`${host}:${port} ${peer ?? '-'} ${gameId ?? '-'}`),
        onGone: ({ host, port }) => void gone.push(`${host}:${port}`),
        onHeard: () => undefined,
        onState: () => void states.push(last.mdns?.nextAt ?? Infinity),
      },
      [WLAN],
    );
    last.mdns = mdns;
    const hear = (bytes: Buffer, host = '10.0.0.2'): void =>
      mdns.socket.handlePacket(bytes, { address: host, port: MDNS_PORT, family: 'IPv4', size: bytes.length });
    const turn = async (): Promise<void> => void (await vi.advanceTimersByTimeAsync(1));
    /** Questions that left since the last call. */
    const asked = (): number => played.left.splice(0).filter(({ type }) => type === 'query').length;
    /** The loop of discovery, as far as mDNS has a part in it. */
    const run = async (ms: number): Promise<void> => {
      for (const end = now() + ms; now() < end; await vi.advanceTimersByTimeAsync(10)) mdns.poll(now());
    };
    return { played, mdns, now, candidates, gone, hear, turn, asked, run, states };
  };
  const advert = (name: string, part: { port?: number; txt?: string[]; ttl?: number; a?: string } = {}): Buffer => {
    const { port = 29_798, txt = ['id=abc', 'g=paint'], ttl = 120, a = '172.17.0.1' } = part;
    const fqdn = `${name}.${SERVICE}`;
    return dnsPacket.encode({
      type: 'response',
      answers: [
        { name: SERVICE, type: 'PTR', ttl, data: fqdn },
        { name: fqdn, type: 'SRV', ttl, data: { port, target: `${name}.local` } },
        { name: fqdn, type: 'TXT', ttl, data: txt },
        { name: `${name}.local`, type: 'A', ttl, data: a },
      ],
    }) as Buffer;
  };

  it('[DI4] asks at the times of its ladder, and at once when a search begins anew, also after it had stopped', async () => {
    const one = made();
    one.mdns.search(one.now());
    const times: number[] = [];
    for (; one.now() < 20_000; await vi.advanceTimersByTimeAsync(10)) {
      if (one.asked() > 0) times.push(Math.round(one.now() / 100) * 100);
      one.mdns.poll(one.now());
    }
    expect(times).toEqual(MDNS_QUERY_LADDER_MS.slice(0, 5));
    one.mdns.stopSearching();
    await one.run(60_000);
    expect(one.asked()).toBe(0);
    one.mdns.search(one.now());
    await one.run(50);
    expect(one.asked()).toBe(1);
    await one.run(1_000);
    expect(one.asked()).toBe(1);
  });

  it('[DI4] that has its port back asks at once, and only while somebody searches', async () => {
    for (const searching of [true, false]) {
      const { played, mdns, now, run, asked, states } = made('EADDRINUSE');
      mdns.search(now());
      await run(4_000);
      if (!searching) mdns.stopSearching();
      expect([asked(), mdns.socket.reasons().length]).toEqual([0, 1]);
      played.fails = undefined;
      await run(MDNS_REBIND_MS - 4_000 + 200);
      // Whoever looks after the deadlines was told of the new one.
      expect([asked(), mdns.socket.reasons(), states.some((at) => at <= MDNS_REBIND_MS + 100)]).toEqual([searching ? 1 : 0, [], searching]);
      vi.restoreAllMocks();
    }
  });

  it('[DI39] leaves its second question out at a party, and no other', async () => {
    for (const [count, questions] of [
      [MDNS_CROWD, 1],
      [MDNS_CROWD - 1, 2],
    ] as const) {
      const one = made();
      one.mdns.search(one.now());
      await one.turn();
      for (let i = 0; i < count; i++) one.hear(advert(`ln-${i}`), `10.0.0.${20 + i}`);
      await one.run(2_000);
      expect(one.asked()).toBe(questions);
      await one.run(1_500);
      expect(one.asked()).toBe(1);
      // On a network that changed the first question is asked whoever was known on the one before.
      one.mdns.search(one.now());
      await one.run(50);
      expect(one.asked()).toBe(1);
      vi.restoreAllMocks();
    }
  });

  it('[DI13] names who speaks, at the address it speaks from, with what it says of itself; and again with each question', async () => {
    const one = made();
    one.mdns.search(one.now());
    await one.turn();
    one.hear(advert('ln-a'));
    expect(one.candidates.splice(0)).toContain('10.0.0.2:29798 abc paint');
    await one.run(1_100);
    expect(one.candidates.splice(0)).toEqual(['10.0.0.2:29798 abc paint']);
    // From another address, or from both: both are named.
    one.hear(advert('ln-a'), '10.0.0.3');
    expect(new Set(one.candidates.splice(0))).toEqual(new Set(['10.0.0.2:29798 abc paint', '10.0.0.3:29798 abc paint']));
    one.hear(advert('ln-a', { ttl: 0 }), '10.0.0.3');
    await one.run(1_100);
    expect(new Set(one.gone)).toEqual(new Set(['10.0.0.2:29798', '10.0.0.3:29798']));
  });

  it('[DI5] what says too much of itself is a stranger, and what has no port is nobody', async () => {
    const one = made();
    one.mdns.search(one.now());
    await one.turn();
    one.hear(advert('ln-long', { txt: [`id=${'x'.repeat(65)}`, `g=${'y'.repeat(64)}`] }));
    one.hear(advert('ln-none', { port: 0 }));
    one.hear(advert('ln-bare', { txt: [] }));
    expect(new Set(one.candidates)).toEqual(new Set([`10.0.0.2:29798 - ${'y'.repeat(64)}`, '10.0.0.2:29798 - -']));
  });

  it('[DI17] after a flood of names the list is made anew with the next question, and who lives is heard', async () => {
    const one = made();
    one.mdns.search(one.now());
    for (let i = 0; i < MDNS_MAX_NAMES; i++) {
      vi.advanceTimersByTime(50);
      one.hear(advert(`ln-${i}`));
    }
    expect(one.mdns.socket.isFull).toBe(true);
    one.candidates.length = 0;
    one.hear(advert('ln-new'), '10.0.0.9');
    expect(one.candidates).toEqual([]);
    await one.run(10_000);
    expect(one.mdns.socket.isFull).toBe(false);
    one.hear(advert('ln-new'), '10.0.0.9');
    expect(one.candidates).toContain('10.0.0.9:29798 abc paint');
  });

  it('[DI18] an advert leaves without a probe; another one ends it first, and the end leaves twice before the socket closes', async () => {
    const one = made();
    const publish = (joinPort: number): void => one.mdns.publish({ peer: 'p', gameId: 'g', session: '12345678', joinPort });
    const said = (): string[] =>
      one.played.left.splice(0).map((packet) => {
        const srv = [...packet.answers, ...packet.additionals].find((record: any) => record.type === 'SRV');
        return `${packet.type} ${srv?.data.port ?? '-'} ${srv?.ttl ?? '-'}`;
      });
    publish(1_001);
    await one.run(20);
    expect(said()).toEqual(['response 1001 120']);
    publish(1_002);
    await one.run(900);
    expect(said().toSorted()).toEqual(['response 1001 0', 'response 1001 0', 'response 1002 120']);
    const closed = one.mdns.close();
    expect(one.played.closed).toBe(0);
    await vi.advanceTimersByTimeAsync(1_000);
    await closed;
    expect([said(), one.played.closed]).toEqual([['response 1002 0', 'response 1002 0'], 1]);
  });
});

describe('the beacon', () => {
  const who = encodeWho({ nonce: new Uint8Array(8), roomTag: undefined, gameId: 'paint' }).slice();

  it('[DI11] hears whole questions alone, and goes on after a socket’s later trouble', async () => {
    const played = system();
    const heard: string[] = [];
    const beacon = new Beacon({ loopbackOnly: false, onWho: (host, port) => void heard.push(`${host}:${port}`), onState: () => undefined });
    const [socket] = played.sockets;
    const hear = (bytes: Uint8Array, host: string): void => void socket!.emit('message', bytes, { address: host, port: 9 });
    hear(who, '10.0.0.2');
    hear(who.subarray(1), '10.0.0.3');
    hear(who.subarray(0, 100), '10.0.0.4');
    hear(
      Uint8Array.from(who, (byte, at) => (at === 0 ? 7 : byte)),
      '10.0.0.5',
    );
    socket!.emit('error', Object.assign(new Error('ENETDOWN'), { code: 'ENETDOWN' }));
    hear(who, '10.0.0.6');
    expect([heard, beacon.reasons(), played.closed]).toEqual([['10.0.0.2:9', '10.0.0.6:9'], [], 0]);
    await beacon.close();
    hear(who, '10.0.0.7');
    expect([heard.length, played.closed]).toEqual([2, 1]);
  });

  it('[DI39] asks each subnet once, however many addresses it has there', async () => {
    system();
    const beacon = new Beacon({ loopbackOnly: false, onWho: () => undefined, onState: () => undefined });
    expect(beacon.targets([WLAN, { ...WLAN, name: 'eth0', address: '10.0.0.7' }, { ...WLAN, broadcast: '10.1.1.255' }])).toEqual([
      '10.0.0.255',
      '10.1.1.255',
    ]);
    await beacon.close();
  });

  it('[DI31] one that is closed while its port is held elsewhere opens it no more', async () => {
    vi.useFakeTimers();
    const played = system();
    played.fails = 'EADDRINUSE';
    const beacon = new Beacon({ loopbackOnly: false, onWho: () => undefined, onState: () => undefined });
    expect(beacon.reasons()).toHaveLength(1);
    vi.advanceTimersByTime(BEACON_REBIND_MS);
    expect(played.sockets).toHaveLength(2);
    await beacon.close();
    vi.advanceTimersByTime(10 * BEACON_REBIND_MS);
    expect([played.sockets.length, vi.getTimerCount()]).toEqual([2, 0]);
  });
});
