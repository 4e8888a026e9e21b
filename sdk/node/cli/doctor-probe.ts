/**
 * Measures what the doctor judges: sockets are opened, packets sent to ourselves on every interface, and
 * the network listened to for a few seconds. Nothing here decides what a figure means.
 */
import { createSocket, type Socket } from 'node:dgram';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { networkInterfaces } from 'node:os';

import { toHex } from '../../base/bytes.ts';
import { nodeCrypto } from '../crypto-node.ts';
import { BEACON_PORT, DATA_PORT_FIRST, DATA_PORT_LAST, MDNS_GROUP, MDNS_PORT } from '../discovery/bounds.ts';
import type { DiscoverySwitches } from '../discovery/discovery.ts';
import { scanInterfaces, type LanInterface } from '../discovery/interfaces.ts';
import { openSearch } from '../search.ts';
import type { DoctorFacts, InterfaceFacts } from './doctor-checks.ts';

export interface DoctorOptions {
  /** Names or addresses; empty means all. */
  readonly interfaces?: readonly string[];
  /** `host:port` to ask for a room. */
  readonly probe?: { readonly host: string; readonly port: number } | undefined;
  /** How long to listen, ms. Default 2,500. */
  readonly listenMs?: number;
  readonly discovery?: DiscoverySwitches;
}

const ECHO_MS = 500;

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

function readMtu(name: string): number | undefined {
  if (process.platform !== 'linux' || /[/.]/.test(name)) return undefined;
  try {
    const mtu = Number(readFileSync(`/sys/class/net/${name}/mtu`, 'latin1'));
    return Number.isInteger(mtu) ? mtu : undefined;
  } catch {
    return undefined;
  }
}

/** Interface of the default route; Linux only, where the kernel says it in a file. */
function defaultRoute(): string | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    let best: { name: string; metric: number } | undefined;
    for (const line of readFileSync('/proc/net/route', 'latin1').split('\n').slice(1)) {
      const [name, destination, , , , , metric, mask] = line.split('\t');
      if (name === undefined || destination !== '00000000') continue;
      // Two halves of everything, as VPN programs write it, count as well.
      if (mask !== '00000000' && mask !== '00000080') continue;
      if (best === undefined || Number(metric) < best.metric) best = { name, metric: Number(metric) };
    }
    return best?.name;
  } catch {
    return undefined;
  }
}

function versions(): Record<string, string> {
  const out: Record<string, string> = { node: process.versions.node, system: `${process.platform} ${process.arch}` };
  const require = createRequire(import.meta.url);
  for (const [name, at] of [
    ['lanista', '../../../package.json'],
    ['bonjour-service', 'bonjour-service/package.json'],
  ] as const) {
    try {
      out[name] = String((require(at) as { version?: unknown }).version);
    } catch {
      // Hidden by its exports: not worth more.
    }
  }
  try {
    out['multicast-dns'] = String((createRequire(require.resolve('bonjour-service'))('multicast-dns/package.json') as { version?: unknown }).version);
  } catch {
    out['multicast-dns'] = 'unknown';
  }
  return out;
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

/** Takes about half a second per interface plus `listenMs`. */
export async function examine(options: DoctorOptions = {}): Promise<DoctorFacts> {
  const only = options.interfaces ?? [];
  const nics = scanInterfaces(networkInterfaces, only);
  const all = scanInterfaces(networkInterfaces, Object.keys(networkInterfaces()));
  const loopbackOnly = nics.length > 0 && nics.every((nic) => nic.kind === 'loopback');
  const wallStart = Date.now();
  const start = performance.now();
  const mdns = await bind(MDNS_PORT, '0.0.0.0', true);
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
  const beacon = await bind(BEACON_PORT, loopbackOnly && process.platform === 'linux' ? '127.255.255.255' : '0.0.0.0', true);
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
  const search = await openSearch({ interfaces: only, discovery: options.discovery ?? {} });
  using watch = search.watch(() => undefined);
  void watch;
  let timerLateMs = 0;
  const end = performance.now() + (options.listenMs ?? 2_500);
  while (performance.now() < end) {
    if (options.probe !== undefined) search.ask(options.probe);
    const asked = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 50));
    timerLateMs = Math.max(timerLateMs, performance.now() - asked - 50);
  }
  const rooms = search.rooms();
  const socketHooked = search.isMdnsHooked;
  const { probe } = options;
  const probed = probe === undefined ? undefined : rooms.find((room) => room.address === `${probe.host}:${probe.port}`);
  await search.close();
  if (typeof mdns !== 'string') mdns.close();
  const route = defaultRoute();
  return {
    platform: process.platform,
    nodePath: process.execPath,
    interfaces,
    onlyIpv6:
      nics.length === 0 && Object.values(networkInterfaces()).some((infos) => infos?.some((info) => !info.internal && info.family === 'IPv6')),
    isWsl: process.platform === 'linux' && /microsoft/i.test(readText('/proc/version')),
    isContainer: existsSync('/.dockerenv') || existsSync('/run/.containerenv'),
    defaultRoute: route,
    defaultRouteIsVirtual:
      route !== undefined &&
      (/^(utun|tun|tap|wg|ppp|tailscale|zt|nordlynx|ipsec)/i.test(route) || all.some((nic) => nic.name === route && nic.kind === 'virtual')),
    mdnsBindError: typeof mdns === 'string' ? mdns : undefined,
    beaconPort: BEACON_PORT,
    beaconBindError: typeof beacon === 'string' ? beacon : undefined,
    dataPortsFree,
    dataPortsTotal: DATA_PORT_LAST - DATA_PORT_FIRST + 1,
    mdnsHosts: strangers.size,
    rooms: rooms.map((room) => ({ name: room.name, address: room.address, gameId: room.gameId, pingMs: room.pingMs })),
    clockJumpMs: Date.now() - wallStart - (performance.now() - start),
    timerLateMs,
    probe: probe === undefined ? undefined : { address: `${probe.host}:${probe.port}`, answered: probed !== undefined, pingMs: probed?.pingMs },
    versions: versions(),
    socketHooked,
  };
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
