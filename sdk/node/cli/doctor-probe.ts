/**
 * Measures what the doctor judges: sockets are opened, packets sent to ourselves on every interface, and
 * the network listened to for a few seconds. Nothing here decides what a figure means.
 */
import { createSocket, type Socket } from 'node:dgram';
import { networkInterfaces } from 'node:os';

import { toHex } from '../../base/bytes.ts';
import { disposable } from '../../base/emitter.ts';
import type { Address } from '../../link/endpoint-types.ts';
import type { RoomListing } from '../../port/lan-port.ts';
import { nodeCrypto } from '../crypto-node.ts';
import { BEACON_PORT, DATA_PORT_FIRST, DATA_PORT_LAST, MDNS_GROUP, MDNS_PORT } from '../discovery/bounds.ts';
import { addressKey } from '../discovery/candidates.ts';
import type { DiscoverySwitches } from '../discovery/discovery.ts';
import { interfacesNow, isOnLink, type LanInterface } from '../discovery/interfaces.ts';
import { openSearch } from '../search.ts';
import type { DoctorFacts, InterfaceFacts } from './doctor-facts.ts';
import { DOCTOR_GAME_ID, DoctorPeer, doctorFacts, type Neighbour } from './doctor-peer.ts';
import { defaultRoute, isContainer, isWsl, linkLayer, portHolders, readMtu, versions } from './doctor-system.ts';

/** How long the doctor listens for others unless told, ms: past the last question of `SILENT_MISSES`, with time for its answer. */
export const LISTEN_MS = 2_500;

export interface DoctorOptions {
  /** Names or addresses; empty means all. */
  readonly interfaces?: readonly string[];
  /** `host:port` of another machine that sits in a room or runs the doctor. */
  readonly probe?: { readonly host: string; readonly port: number } | undefined;
  /** How long to listen, ms. Default 2,500. */
  readonly listenMs?: number;
  readonly discovery?: DiscoverySwitches;
}

const ECHO_MS = 500;
/** Other machines that are measured. */
const MAX_NEIGHBOURS = 4;
/** Questions to an advertised address without an answer, until it counts as out of reach: asked at 0, 250, 750 and 1,750 ms. */
const SILENT_MISSES = 4;
const SILENT_WAIT_MS = 2_000;

function bind(port: number, host: string, reuseAddr: boolean): Promise<Socket | string> {
  return new Promise((resolve) => {
    const socket = createSocket({ type: 'udp4', reuseAddr });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      socket.close();
      resolve(error.code ?? 'unknown');
    });
    socket.bind({ port, address: host, exclusive: true }, () => {
      socket.removeAllListeners('error');
      socket.on('error', () => undefined);
      resolve(socket);
    });
  });
}

/** Sends one marked packet and waits for it to come back to `receiver`. */
async function echo(
  receiver: Socket,
  send: (packet: Buffer, done: (error: Error | null) => void) => void,
  packet: Buffer,
  mark: Buffer,
): Promise<{ error: string | undefined; echoed: boolean }> {
  let error: string | undefined;
  const echoed = await new Promise<boolean>((resolve) => {
    const end = (result: boolean): void => {
      clearTimeout(timer);
      receiver.removeListener('message', onMessage);
      resolve(result);
    };
    const onMessage = (bytes: Buffer): void => {
      if (bytes.includes(mark)) end(true);
    };
    const timer = setTimeout(() => end(false), ECHO_MS);
    receiver.on('message', onMessage);
    try {
      send(packet, (failure) => {
        if (failure === null) return;
        error = (failure as NodeJS.ErrnoException).code ?? 'unknown';
        end(false);
      });
    } catch (failure) {
      error = (failure as NodeJS.ErrnoException).code ?? 'unknown';
      end(false);
    }
  });
  return { error, echoed };
}

/** An mDNS query for a name that nobody has. */
function markedQuery(mark: string): Buffer {
  const label = `lanista-${mark}`;
  return Buffer.concat([
    Buffer.from([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, label.length]),
    Buffer.from(label),
    Buffer.from([5]),
    Buffer.from('local'),
    Buffer.from([0, 0, 12, 0, 1]),
  ]);
}

async function measure(nic: LanInterface, mdns: Socket | string, broadcast: Socket | string): Promise<InterfaceFacts> {
  const mark = (): string => toHex(nodeCrypto.randomBytes(6));
  let multicast: { error: string | undefined; echoed: boolean } = { error: undefined, echoed: false };
  if (typeof mdns !== 'string') {
    const text = mark();
    try {
      mdns.addMembership(MDNS_GROUP, nic.address);
    } catch {
      // Joined already.
    }
    multicast = await echo(
      mdns,
      (packet, done) => {
        mdns.setMulticastInterface(nic.address);
        mdns.send(packet, MDNS_PORT, MDNS_GROUP, done);
      },
      markedQuery(text),
      Buffer.from(text),
    );
  }
  let wide: { error: string | undefined; echoed: boolean } = { error: typeof broadcast === 'string' ? broadcast : undefined, echoed: false };
  if (typeof broadcast !== 'string') {
    const packet = Buffer.from(`lanista doctor ${mark()}`);
    const { port } = broadcast.address();
    wide = await echo(broadcast, (bytes, done) => broadcast.send(bytes, port, nic.broadcast, done), packet, packet);
  }
  const own = await bind(0, nic.address, false);
  let unicast: { error: string | undefined; echoed: boolean } = { error: typeof own === 'string' ? own : undefined, echoed: false };
  if (typeof own !== 'string') {
    const packet = Buffer.from(`lanista doctor ${mark()}`);
    const { port } = own.address();
    unicast = await echo(own, (bytes, done) => own.send(bytes, port, nic.address, done), packet, packet);
    own.close();
  }
  return {
    nic,
    mtu: readMtu(nic.name),
    multicastError: multicast.error,
    multicastEcho: multicast.echoed,
    broadcastError: wide.error,
    broadcastEcho: wide.echoed,
    unicastError: unicast.error,
    unicastEcho: unicast.echoed,
  };
}

async function freeDataPorts(host: string): Promise<number> {
  let free = 0;
  for (let port = DATA_PORT_FIRST; port <= DATA_PORT_LAST; port++) {
    const socket = await bind(port, host, false);
    if (typeof socket === 'string') continue;
    free++;
    await new Promise<void>((resolve) => socket.close(() => resolve()));
  }
  return free;
}

/** Those that answered from other machines, at most `MAX_NEIGHBOURS`, the first of `found` first. */
async function measureNeighbours(
  found: readonly Pick<RoomListing, 'address' | 'gameId'>[],
  own: ReadonlySet<string>,
  heard: ReadonlySet<string>,
  peer: DoctorPeer,
): Promise<readonly Neighbour[]> {
  const others = found
    .filter((room, at) => found.findIndex((one) => one.address === room.address) === at)
    .map((room) => ({ address: parseAddressKey(room.address), kind: room.gameId === DOCTOR_GAME_ID ? ('doctor' as const) : ('game' as const) }))
    .filter(({ address }) => address.host !== '' && !own.has(address.host))
    .slice(0, MAX_NEIGHBOURS);
  return Promise.all(others.map(async ({ address, kind }) => ({ ...(await peer.measure(address, kind)), heardByMdns: heard.has(address.host) })));
}

/** None where the system does not tell. */
function interfaceNames(): readonly string[] {
  try {
    return Object.keys(networkInterfaces());
  } catch {
    return [];
  }
}

function hasIpv6(): boolean {
  try {
    return Object.values(networkInterfaces()).some((infos) => infos?.some((info) => !info.internal && info.family === 'IPv6'));
  } catch {
    return false;
  }
}

function parseAddressKey(text: string): Address {
  const [host = '', port = ''] = text.split(':');
  return { host, port: Number(port) };
}

/** Takes about half a second per interface plus `listenMs`, and 1.1 s more when others answer. Rejects with `bind-failed`. */
export async function examine(options: DoctorOptions = {}): Promise<DoctorFacts> {
  const only = options.interfaces ?? [];
  const nics = interfacesNow(networkInterfaces, only);
  const all = interfacesNow(networkInterfaces, interfaceNames());
  const loopbackOnly = nics.length > 0 && nics.every((nic) => nic.kind === 'loopback');
  const wallStart = Date.now();
  const start = performance.now();
  const mdns = await bind(MDNS_PORT, '0.0.0.0', true);
  // Whatever becomes of the examination: a socket that stays keeps the process, and everybody else's packets.
  using held = disposable(() => {
    if (typeof mdns !== 'string') mdns.close();
  });
  void held;
  const strangers = new Set<string>();
  const own = new Set(all.map((nic) => nic.address));
  if (typeof mdns !== 'string') {
    mdns.on('message', (_bytes, remote) => {
      if (remote.port === MDNS_PORT && !own.has(remote.address) && strangers.size < 256) strangers.add(remote.address);
    });
  }
  const broadcast = await bind(0, loopbackOnly && process.platform === 'linux' ? '127.255.255.255' : '0.0.0.0', true);
  if (typeof broadcast !== 'string') broadcast.setBroadcast(true);
  const interfaces: InterfaceFacts[] = [];
  for (const nic of nics) interfaces.push(await measure(nic, mdns, broadcast));
  if (typeof broadcast !== 'string') broadcast.close();
  const beaconPort = options.discovery?.beaconPort ?? BEACON_PORT;
  const beacon = await bind(beaconPort, loopbackOnly && process.platform === 'linux' ? '127.255.255.255' : '0.0.0.0', true);
  if (typeof beacon !== 'string') beacon.close();
  const dataPortsFree = await freeDataPorts(loopbackOnly ? '127.0.0.1' : '0.0.0.0');

  // A service-type query makes every mDNS responder in the subnet speak.
  if (typeof mdns !== 'string') {
    const query = Buffer.concat([
      Buffer.from([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
      ...['_services', '_dns-sd', '_udp', 'local'].map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])),
      Buffer.from([0, 0, 12, 0, 1]),
    ]);
    for (const nic of nics) {
      try {
        mdns.setMulticastInterface(nic.address);
        await new Promise<void>((resolve) => mdns.send(query, MDNS_PORT, MDNS_GROUP, () => resolve()));
      } catch {
        // Told by the echo above.
      }
    }
  }
  let peer: DoctorPeer | undefined;
  const { probe } = options;
  /** What the machine that was asked for plays. The list may show its room at the address of a member that answers sooner. */
  let probedGame: string | undefined;
  const search = await openSearch({
    interfaces: only,
    discovery: options.discovery ?? {},
    facts: doctorFacts,
    onDatagram: (address, bytes) => peer?.handle(address, bytes) === true,
  });
  await using searching = { [Symbol.asyncDispose]: () => search.close() };
  void searching;
  peer = new DoctorPeer((address, bytes) => search.send(address, bytes));
  using watch = search.watch(() => undefined);
  void watch;
  let timerLateMs = 0;
  const end = performance.now() + (options.listenMs ?? LISTEN_MS);
  // An address that was announced late gets the time for all its questions.
  const isUndecided = (): boolean => search.silent(1).length > search.silent(SILENT_MISSES).length;
  while (performance.now() < end || (isUndecided() && performance.now() < end + SILENT_WAIT_MS)) {
    if (probe !== undefined) search.ask(probe, ({ gameId }) => (probedGame = gameId));
    const asked = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 50));
    timerLateMs = Math.max(timerLateMs, performance.now() - asked - 50);
  }
  const listed = search.rooms();
  const rooms = listed.filter((room) => room.gameId !== DOCTOR_GAME_ID);
  const socketHooked = search.isMdnsHooked;
  const first = probe === undefined || probedGame === undefined ? [] : [{ address: addressKey(probe), gameId: probedGame }];
  const neighbours = await measureNeighbours([...first, ...listed], own, strangers, peer);
  // Who has just been asked for seconds is not one that merely came late.
  // Of another network nobody can say why it is silent: a player with a virtual switch may name that one's address first.
  const silent = search.silent(SILENT_MISSES).filter(({ host }) => !own.has(host) && nics.some((nic) => isOnLink(host, nic)));
  const probed = probe === undefined ? undefined : [...listed, ...neighbours].find((one) => one.address === addressKey(probe));
  const probedLink = probe === undefined ? undefined : all.find((nic) => isOnLink(probe.host, nic));
  const route = defaultRoute();
  return {
    platform: process.platform,
    nodePath: process.execPath,
    interfaces,
    onlyIpv6: nics.length === 0 && hasIpv6(),
    isWsl: isWsl(),
    isContainer: isContainer(),
    defaultRoute: route,
    defaultRouteIsVirtual:
      route !== undefined &&
      (/^(utun|tun|tap|wg|ppp|tailscale|zt|nordlynx|ipsec)/i.test(route) || all.some((nic) => nic.name === route && nic.kind === 'virtual')),
    mdnsBindError: typeof mdns === 'string' ? mdns : undefined,
    mdnsHolders: typeof mdns === 'string' ? portHolders(MDNS_PORT) : [],
    beaconPort,
    beaconBindError: typeof beacon === 'string' ? beacon : undefined,
    dataPortsFree,
    dataPortsTotal: DATA_PORT_LAST - DATA_PORT_FIRST + 1,
    mdnsHosts: strangers.size,
    rooms: rooms.map((room) => ({ name: room.name, address: room.address, gameId: room.gameId, pingMs: room.pingMs })),
    clockJumpMs: Date.now() - wallStart - (performance.now() - start),
    timerLateMs,
    neighbours,
    silent: silent.map(addressKey),
    probe:
      probe === undefined
        ? undefined
        : {
            address: addressKey(probe),
            answered: probedGame !== undefined,
            pingMs: probed?.pingMs,
            subnet: probedLink?.name,
            linkLayer: probedLink === undefined ? undefined : linkLayer(probe.host),
          },
    versions: versions(),
    socketHooked,
  };
}
