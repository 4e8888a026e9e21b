/**
 * The stranger of the labs about discovery: sends what no honest host would, from as many addresses as
 * its host has. It is told what to do, line by line, as `discovery-peer.ts` is.
 *
 *     mutate     changed packets to mDNS, to the beacon and to the join port of a victim, from all addresses in turn
 *     bombs      packets of 1,500 questions, by unicast and by multicast
 *     questions  one honest question from each address, all at once
 *     learn      the victims' instance names
 *     goodbyes   for each victim in turn: its own name, taken back by mDNS; and an answer without seats, from its address
 */
import { createSocket, type Socket } from 'node:dgram';
import { networkInterfaces } from 'node:os';
import type { PeerId, RoomId } from '../../sdk/base/brand.ts';
import { createRng, type Rng } from '../../sdk/base/rng.ts';
import { BEACON_PORT, MDNS_GROUP, MDNS_PORT } from '../../sdk/node/discovery/bounds.ts';
import { DNS_TYPE, encodeName, encodeResponse, walkDns } from '../../sdk/node/discovery/dns-walker.ts';
import { KIND_FIN, KIND_RESP, encodeCookie, encodeHello, encodeHere, encodeInit, encodeWho } from '../../sdk/wire/datagram.ts';
import { mutate } from '../fuzz/mutate.ts';
import { discovery as dnsTargets } from '../fuzz/targets/discovery.ts';
import { obey } from './parts/commands.ts';

interface Endpoint {
  readonly host: string;
  readonly port: number;
}

interface Command {
  readonly id: number;
  readonly do: string;
  readonly count?: number;
  readonly perSecond?: number;
  readonly victims?: readonly Endpoint[];
}

const service = '_lanista._udp.local';
const question = Uint8Array.from([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...encodeName(service), 0, 12, 0, 1]);
const burstMs = 10;

/** Own addresses; a lab gives it more than one. */
const addresses = Object.entries(networkInterfaces()).flatMap(([name, infos]) =>
  (infos ?? []).filter((info) => info.family === 'IPv4' && !info.address.startsWith('127.')).map(({ address }) => ({ name, address })),
);
const outward = addresses.find(({ name }) => name === 'eth0')?.address ?? '';
const sockets = new Map<string, Socket>();
/** Instance names heard, by the address that announced them. */
const instances = new Map<string, string>();

function open(host: string, port: number): Promise<Socket> {
  const key = `${host}:${port}`;
  const known = sockets.get(key);
  if (known !== undefined) return Promise.resolve(known);
  return new Promise((resolve, reject) => {
    const socket = createSocket({ type: 'udp4', reuseAddr: true });
    socket.once('error', reject);
    socket.bind({ port, address: host, exclusive: true }, () => {
      socket.removeAllListeners('error');
      // A victim that answers an address nobody has makes the kernel complain here.
      socket.on('error', () => undefined);
      socket.setBroadcast(true);
      if (host !== '0.0.0.0') socket.setMulticastInterface(outward);
      socket.setMulticastTTL(255);
      sockets.set(key, socket);
      resolve(socket);
    });
  });
}

function send(socket: Socket, bytes: Uint8Array, host: string, port: number): Promise<void> {
  return new Promise((resolve) => socket.send(bytes, port, host, () => resolve()));
}

/** Calls `one` this often at this rate; several at a time, since timers are coarse. */
async function paced(count: number, perSecond: number, one: (index: number) => Promise<void>): Promise<void> {
  const startedAt = performance.now();
  for (let sent = 0; sent < count;) {
    const due = Math.min(count, Math.ceil(((performance.now() - startedAt) / 1_000) * perSecond));
    for (; sent < due; sent++) await one(sent);
    await new Promise((resolve) => setTimeout(resolve, burstMs));
  }
}

const facts = (joinPort: number) => ({
  roomId: '5a'.repeat(16) as RoomId,
  name: 'trap',
  players: 0,
  max: 0,
  locked: false,
  gameId: 'lab-discovery',
  version: 1,
  schemaHash: 7,
  peer: 'aaaabbbbccccdddd' as PeerId,
  joinPort,
  members: [],
});

/** One of each kind of datagram that strangers may send. */
function strangersWords(rng: Rng): readonly Uint8Array[] {
  const random = (count: number): Uint8Array => Uint8Array.from({ length: count }, () => rng.int(256));
  const nonce = random(8);
  return [
    encodeWho({ nonce, roomTag: undefined, gameId: 'lab-discovery' }).slice(),
    encodeWho({ nonce, roomTag: random(8), gameId: undefined }).slice(),
    encodeHere({ nonce, facts: facts(29_798) }).slice(),
    encodeHello({ nonce, roomTag: random(8) }).slice(),
    encodeCookie({ nonce, cookie: random(20) }).slice(),
    encodeInit({ cid: 7, nonce, cookie: random(20), roomTag: random(8), noise: random(100) }).slice(),
    Uint8Array.from([KIND_RESP, ...random(80)]),
    Uint8Array.from([KIND_FIN, ...random(80)]),
    Uint8Array.from([0x80, ...random(60)]),
  ];
}

/** A packet of 1,500 questions: the most that 9,000 bytes and a header hold. */
function bomb(): Uint8Array {
  const first = [...encodeName(service), 0, 12, 0, 1];
  const again = Uint8Array.from({ length: 1_499 * 6 }, (_, at) => [0xc0, 12, 0, 12, 0, 1][at % 6]!);
  return Uint8Array.from([0, 0, 0, 0, 1_500 >> 8, 1_500 & 255, 0, 0, 0, 0, 0, 0, ...first, ...again]);
}

function goodbyeFor(instance: string): Uint8Array {
  return encodeResponse([{ name: service, type: DNS_TYPE.PTR, ttlS: 0, flush: false, data: encodeName(instance) }], []);
}

const commands: Record<string, (command: Command) => Promise<object>> = {
  async mutate({ count = 0, perSecond = 1_000, victims = [] }) {
    const rng = createRng(11);
    const names = [...instances.values()];
    const { seeds } = await dnsTargets.targets['dns']!();
    const dns = [...seeds, question, ...names.map(goodbyeFor), bomb().slice(0, 1_400)];
    const words = strangersWords(rng);
    const from = await Promise.all(addresses.map(({ address }) => open(address, MDNS_PORT)));
    let bytes = 0;
    await paced(count, perSecond, async (index) => {
      const socket = from[index % from.length]!;
      const victim = victims[index % victims.length]!;
      if (index % 5 < 3) {
        const packet = mutate(rng, dns);
        bytes += packet.length;
        await send(socket, packet, MDNS_GROUP, MDNS_PORT);
        return;
      }
      const packet = mutate(rng, words);
      bytes += packet.length;
      await send(socket, packet, victim.host, index % 5 === 3 ? BEACON_PORT : victim.port);
    });
    return { sent: count, bytes, addresses: from.length };
  },
  async bombs({ count = 0, perSecond = 10, victims = [] }) {
    const packet = bomb();
    const socket = await open(outward, MDNS_PORT);
    await paced(count, perSecond, (index) => send(socket, packet, index % 2 === 0 ? (victims[0]?.host ?? MDNS_GROUP) : MDNS_GROUP, MDNS_PORT));
    return { bytes: count * packet.length };
  },
  async questions({ count = addresses.length }) {
    const from = await Promise.all(addresses.slice(0, count).map(({ address }) => open(address, MDNS_PORT)));
    await Promise.all(from.map((socket) => send(socket, question, MDNS_GROUP, MDNS_PORT)));
    return { bytes: from.length * question.length, asked: from.length };
  },
  /** Asks who is there, and remembers the names; possible only before it has borrowed their addresses. */
  async learn({ victims = [] }) {
    await send(await open(outward, MDNS_PORT), question, MDNS_GROUP, MDNS_PORT);
    const deadline = performance.now() + 5_000;
    while (victims.some(({ host }) => !instances.has(host)) && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 50));
    return { names: victims.filter(({ host }) => instances.has(host)).length };
  },
  async goodbyes({ count = 0, perSecond = 20, victims = [] }) {
    await paced(count, perSecond, async (index) => {
      const { host, port } = victims[index % victims.length]!;
      const goodbye = goodbyeFor(instances.get(host) ?? service);
      await send(await open(host, MDNS_PORT), goodbye, MDNS_GROUP, MDNS_PORT);
      await send(await open(outward, MDNS_PORT), goodbye, MDNS_GROUP, MDNS_PORT);
      const farewell = encodeHere({ nonce: new Uint8Array(8), facts: facts(port) }).slice();
      for (const other of victims) if (other.host !== host) await send(await open(host, port), farewell, other.host, other.port);
    });
    return { sent: count };
  },
};

const ears = await open('0.0.0.0', MDNS_PORT);
ears.addMembership(MDNS_GROUP, outward);
ears.on('message', (bytes, remote) => {
  const packet = walkDns(bytes);
  if (typeof packet === 'string' || !packet.isResponse || instances.size >= 256) return;
  for (const answer of packet.answers)
    if (answer.type === DNS_TYPE.PTR && answer.ttlS > 0 && answer.name === service) instances.set(remote.address, answer.target);
});
obey<Command>(commands);
