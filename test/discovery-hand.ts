/** Discovery with its time, sockets and interfaces played by hand, for tests of it. */
import { Socket } from 'node:dgram';
import type { NetworkInterfaceInfo } from 'node:os';
import { vi } from 'vitest';
import type { PeerId, RoomId } from '../sdk/base/brand.ts';
import { createRng } from '../sdk/base/rng.ts';
import type { RoomFacts } from '../sdk/mesh/mesh-types.ts';
import { nodeCrypto } from '../sdk/node/crypto-node.ts';
import { BEACON_PORT } from '../sdk/node/discovery/bounds.ts';
import { Discovery, type DiscoveryOptions } from '../sdk/node/discovery/discovery.ts';
import type { Udp } from '../sdk/node/udp.ts';
import type { RoomListing } from '../sdk/port/lan-port.ts';
import { KIND_WHO, decodeHere, decodeWho, encodeHere, encodeWho, type HereFacts } from '../sdk/wire/datagram.ts';
import { FACTS } from './here-facts.ts';

/** What a test opened, to be closed after it. */
export const closers: (() => Promise<void>)[] = [];
export const SELF = 'zzzzzzzzzzzzzzzz' as PeerId;
export const nic = (address: string): NetworkInterfaceInfo[] => [
  { address, netmask: '255.255.255.0', family: 'IPv4', mac: '02:00:00:00:00:01', internal: false, cidr: null },
];
export const PORT = 29_798;
export const key = (host: string, port = PORT): string => `${host}:${port}`;

interface Sent {
  readonly to: string;
  readonly kind: 'who' | 'here';
  readonly nonce: Uint8Array;
  readonly at: number;
}

/** A process whose world does only what the test says. */
export function made(part: Partial<DiscoveryOptions> = {}) {
  const sent: Sent[] = [];
  const members: string[] = [];
  const state = { now: 0, due: Number.POSITIVE_INFINITY, tick: (): void => undefined, networkChanges: 0, wallMs: 0 };
  const network = { list: { eth0: nic('10.0.0.1') } as NodeJS.Dict<NetworkInterfaceInfo[]> };
  let room: RoomFacts | undefined;
  let beacon: Socket | undefined;
  vi.spyOn(Socket.prototype, 'bind').mockImplementation(function play(this: Socket, ...how: unknown[]) {
    beacon = this;
    (how[1] as () => void).call(this);
    return this;
  } as never);
  vi.spyOn(Socket.prototype, 'close').mockImplementation(function play(this: Socket, done?: () => void) {
    done?.();
    return this;
  } as never);
  for (const name of [
    'setRecvBufferSize',
    'addMembership',
    'dropMembership',
    'setMulticastTTL',
    'setMulticastLoopback',
    'setMulticastInterface',
  ] as const)
    vi.spyOn(Socket.prototype, name).mockImplementation((() => undefined) as never);
  // In the group already: nothing new to announce.
  vi.spyOn(Socket.prototype, 'addMembership').mockImplementation(() => {
    throw Object.assign(new Error('EADDRINUSE'), { code: 'EADDRINUSE' });
  });
  vi.spyOn(Socket.prototype, 'send').mockImplementation(((...how: unknown[]) => (how.at(-1) as (error: null) => void)(null)) as never);
  vi.spyOn(Date, 'now').mockImplementation(() => state.now + state.wallMs);
  const udp = {
    host: '0.0.0.0',
    joinPort: PORT,
    sessionPort: PORT + 1,
    sendErrors: new Map(),
    lastSendError: undefined,
    oversized: 0,
    send(_kind: string, host: string, port: number, bytes: Uint8Array) {
      const who = bytes[0] === KIND_WHO ? decodeWho(bytes) : undefined;
      const nonce = (who ?? decodeHere(bytes)!).nonce.slice();
      sent.push({ to: key(host, port), kind: who === undefined ? 'here' : 'who', nonce, at: state.now });
    },
    close: async () => undefined,
  } as unknown as Udp;
  const discovery = new Discovery({
    self: SELF,
    game: { id: 'paint', version: 3, schemaHash: 7 },
    crypto: nodeCrypto,
    rng: createRng(1),
    udp,
    time: {
      now: () => state.now,
      schedule: (due, tick) => void Object.assign(state, { due, tick }),
      cancel: () => void (state.due = Number.POSITIVE_INFINITY),
    },
    readInterfaces: () => network.list,
    interfaces: [],
    switches: { mdns: false, beacon: true, local: false },
    known: { addresses: [], add: () => undefined } as never,
    facts: () => room,
    onMember: ({ host, port }) => void members.push(key(host, port)),
    onNetworkChange: () => state.networkChanges++,
    ...part,
  });
  closers.push(() => {
    const closed = discovery.close();
    // Nobody asks whether it is true.
    state.now += 10_000;
    return closed;
  });
  const advance = (ms: number): void => {
    const end = state.now + ms;
    while (state.due <= end) {
      state.now = Math.max(state.now, state.due);
      state.tick();
    }
    state.now = end;
  };
  /** Questions since the last call. */
  const asked = (): string[] => sent.splice(0).flatMap(({ kind, to }) => (kind === 'who' ? [to] : []));
  const facts = (n: number, more: Partial<HereFacts> = {}): HereFacts => ({
    ...FACTS,
    roomId: n.toString(16).padStart(32, '0') as RoomId,
    peer: 'abcdefghijklmnop'[n % 16]!.repeat(16) as PeerId,
    joinPort: PORT,
    ...more,
  });
  /** The answer of somebody at `host` to the last question it was sent, or with a nonce of its own. */
  const answer = (host: string, told: HereFacts, port = told.joinPort, nonce = lastNonce(host, port)): void => {
    discovery.handleDatagram(host, port, encodeHere({ nonce, facts: told }).slice());
  };
  const lastNonce = (host: string, port: number): Uint8Array =>
    sent.findLast((one) => one.to === key(host, port))?.nonce ?? new Uint8Array(8).fill(7);
  const who = (gameId: string | undefined = 'paint'): Uint8Array =>
    encodeWho({ nonce: new Uint8Array(8).fill(3), roomTag: undefined, gameId }).slice();
  /** A broadcast of somebody at `host`. */
  const broadcast = (host: string, port = PORT, gameId?: string): void => {
    beacon!.emit('message', who(gameId), { address: host, port });
  };
  const sit = (of: RoomFacts | undefined): void => {
    room = of;
    if (of === undefined) discovery.withdraw();
    else discovery.advertise();
  };
  const watch = (): { rooms: readonly RoomListing[] } & Disposable => {
    const seen = { rooms: [] as readonly RoomListing[] };
    const off = discovery.watch((rooms) => void (seen.rooms = rooms));
    return Object.assign(seen, { [Symbol.dispose]: () => off[Symbol.dispose]() });
  };
  return { discovery, state, network, sent, members, advance, asked, facts, answer, broadcast, sit, watch, who };
}

/** The room it sits in. */
export const ours = (made_: ReturnType<typeof made>, more: Partial<RoomFacts> = {}): RoomFacts => ({
  ...made_.facts(9),
  peer: SELF,
  members: [],
  ...more,
});
export const BROADCAST = key('10.0.0.255', BEACON_PORT);
