/**
 * The server for guests: phones of the same network, which have no process of their own and play through this one. It is another
 * server than the page's, bound to one address of one network, and everything said to it may be said, heard and altered by anybody
 * there. So, in this order, all of these must hold:
 *
 * 1. the connection comes from the subnet of that address, and is not one too many of its machine;
 * 2. `Host` is exactly that address and port, and for the WebSocket `Origin` too;
 * 3. the first message is a hello as on the bridge, with the token of this launch, which is another one than the page's;
 * 4. there is room for one more guest. What it may do then is in `guest-lan.ts`.
 */
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Duplex } from 'node:stream';
import { LanError } from '../base/errors.ts';
import {
  GUEST_LOOK_MS,
  GUEST_REQUEST_MS,
  GUEST_SILENT_MS,
  MAX_BRIDGE_STRANGERS,
  MAX_GUESTS,
  MAX_GUEST_SOCKETS,
  MAX_GUEST_SOCKETS_PER_ADDRESS,
  MAX_GUEST_STRANGERS_PER_ADDRESS,
} from '../bridge/index.ts';
import type { GameFacts, LanPort } from '../port/lan-port.ts';
import { checkCall, show } from '../sync/definition.ts';
import { MAX_PEERS } from '../wire/limits.ts';
import { BRIDGE_PATH, closeServer, listen, openDoor, pathOf, portOf, soleHeader } from './bridge-door.ts';
import type { Refusal } from './bridge-door.ts';
import type { HeldRoom } from './bridge-session.ts';
import { interfacesNow, isOnLink } from './discovery/interfaces.ts';
import type { InterfaceReader, LanInterface } from './discovery/interfaces.ts';
import { GuestTable } from './guest-table.ts';
import { openNodeLanPort } from './lan-port.ts';
import { monotonicMs } from './local-time.ts';
import { checkPort } from './option-checks.ts';
import { refuse, securityHeaders, serveFile } from './static-files.ts';

export interface GuestOptions {
  /** IPv4 address or name of the network interface that phones reach. May be left out on a machine that is in one network. */
  readonly interface?: string;
  /** Default 0: any free one. */
  readonly port?: number;
  /** Guests at once. Default 8. */
  readonly most?: number;
  /** Opens what one guest plays through, with a key of its own. Default: `openNodeLanPort(game, { profile: false, … })` on that interface. */
  readonly lan?: () => LanPort | Promise<LanPort>;
}

export interface GuestStats {
  /** Now, those included whose page is gone for a moment. */
  readonly guests: number;
  /** Refused or dropped since the start, by reason. */
  readonly drops: Readonly<Record<string, number>>;
}

export interface Guests {
  /** Open this on the phone, or show it as a QR code. It carries the token in its fragment: who has it can play. */
  readonly url: string;
  readonly token: string;
  readonly port: number;
  stats(): GuestStats;
}

/** As the bridge holds them. */
export interface OpenGuests {
  readonly shown: Guests;
  close(): Promise<void>;
}

export interface GuestServerOptions extends GuestOptions {
  readonly game: GameFacts;
  readonly root: string;
  readonly keepMs: number | undefined;
  readonly nic: LanInterface;
  /** The room of the player whose guests they are. */
  readonly ownRoom: () => HeldRoom | undefined;
}

/** Throws `bad-argument`, or `no-network`, unless these can be guests; the interface they come to. */
export function checkGuests(
  options: GuestOptions,
  bridge: { game?: unknown; root?: unknown },
  read: InterfaceReader = networkInterfaces,
): LanInterface {
  const what = 'startBridge: guests';
  checkCall(what, options, ['interface', 'port', 'most', 'lan']);
  checkPort(what, options.port);
  const { most, lan, interface: wanted } = options;
  if (bridge.game === undefined || bridge.root === undefined)
    throw new LanError('bad-argument', `${what} need game and root.`, { hint: 'A phone gets its page from the same folder as this computer.' });
  if (most !== undefined && !(Number.isInteger(most) && most >= 1 && most < MAX_PEERS))
    throw new LanError('bad-argument', `${what}: expected most from 1 to ${MAX_PEERS - 1}, got ${show(most)}.`);
  if (lan !== undefined && typeof lan !== 'function')
    throw new LanError('bad-argument', `${what}: expected lan as a function that opens one, got ${show(lan)}.`, {
      hint: 'Each guest gets one of its own.',
    });
  if (wanted !== undefined && (typeof wanted !== 'string' || wanted === ''))
    throw new LanError('bad-argument', `${what}: expected interface as an IPv4 address or a name, got ${show(wanted)}.`);
  const nics = interfacesNow(read, wanted === undefined ? [] : [wanted]).filter((nic) => wanted !== undefined || nic.kind !== 'loopback');
  // What carries no LAN by itself is nobody's Wi-Fi, unless it was asked for.
  const real = nics.filter((nic) => nic.kind !== 'virtual');
  const [nic, ...others] = wanted === undefined && real.length > 0 ? real : nics;
  if (nic === undefined)
    throw new LanError('no-network', wanted === undefined ? 'This machine is in no network.' : `This machine has no interface ${wanted}.`, {
      hint: 'Phones reach it by a network that both are in.',
    });
  if (others.length > 0)
    throw new LanError('bad-argument', `This machine has several addresses: ${[nic, ...others].map(({ address }) => address).join(', ')}.`, {
      hint: 'Say which of them phones can reach, with `interface`.',
    });
  return nic;
}

/** Rejects with `bind-failed`. */
export async function openGuests(options: GuestServerOptions): Promise<OpenGuests> {
  const { game, root, nic, keepMs, ownRoom } = options;
  const openLan = (): Promise<LanPort> =>
    openNodeLanPort(game, { profile: false, interfaces: [nic.address], discovery: { mdns: false, beacon: false } });
  const table = new GuestTable({ game, keepMs, ownRoom, most: options.most ?? MAX_GUESTS, lan: options.lan ?? openLan });
  const server = createServer({
    headersTimeout: GUEST_REQUEST_MS,
    requestTimeout: GUEST_REQUEST_MS,
    keepAliveTimeout: GUEST_REQUEST_MS,
    connectionsCheckingInterval: 1_000,
  });
  server.maxConnections = MAX_GUEST_SOCKETS;
  server.timeout = GUEST_SILENT_MS;
  server.on('clientError', (_error, socket) => socket.destroy());
  const sockets = new Map<string, number>();
  server.on('connection', (socket: Socket) => {
    const refusal = countIn(sockets, socket, nic);
    if (refusal === undefined) return;
    table.drop(refusal);
    socket.destroy();
  });
  server.on('drop', () => table.drop('bridge-guest-sockets'));
  await listen(server, nic.address, options.port ?? 0);
  const port = portOf(server);
  const host = port === 80 ? nic.address : `${nic.address}:${port}`;
  server.on('request', (request, response) => handleRequest(host, root, request, response));
  const token = randomBytes(16).toString('base64url');
  const door = openDoor(server, {
    token,
    refuse: (request, strangers) => upgradeRefusal(host, request, strangers),
    welcome: (page, hello) => table.welcome(page, hello),
    drop: (reason) => table.drop(reason),
  });
  let ended: Promise<void> | undefined;
  server.on('upgrade', (request, socket) => {
    if (ended !== undefined || pathOf(request) !== BRIDGE_PATH) socket.destroy();
  });
  const looking = setInterval(() => table.look(monotonicMs()), GUEST_LOOK_MS);
  const end = async (): Promise<void> => {
    clearInterval(looking);
    door.shut();
    await table.close();
    door.close();
    await closeServer(server);
  };
  const shown: Guests = { url: `http://${host}/#${token}`, token, port, stats: () => ({ guests: table.size, drops: table.drops() }) };
  return { shown, close: () => (ended ??= end()) };
}

/** Counts a connection while it stands; the reason when it must not. */
function countIn(sockets: Map<string, number>, socket: Socket, nic: LanInterface): string | undefined {
  const from = socket.remoteAddress ?? '';
  if (!isOnLink(from, nic)) return 'bridge-guest-remote';
  const before = sockets.get(from) ?? 0;
  if (before >= MAX_GUEST_SOCKETS_PER_ADDRESS) return 'bridge-guest-sockets';
  sockets.set(from, before + 1);
  socket.once('close', () => {
    const left = (sockets.get(from) ?? 1) - 1;
    if (left === 0) sockets.delete(from);
    else sockets.set(from, left);
  });
  return undefined;
}

function handleRequest(host: string, root: string, request: IncomingMessage, response: ServerResponse): void {
  const headers = securityHeaders([`ws://${host}`]);
  if (soleHeader(request, 'host') !== host) return refuse(response, 403, `Open this game as http://${host}.`, headers);
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return refuse(response, 405, 'Only GET and HEAD are answered.', { ...headers, Allow: 'GET, HEAD' });
  serveFile(root, request, response, headers).catch(() => response.destroy());
}

function upgradeRefusal(host: string, request: IncomingMessage, strangers: ReadonlySet<Duplex>): Refusal | undefined {
  if (request.method !== 'GET') return { code: 405, reason: 'method' };
  if (soleHeader(request, 'host') !== host) return { code: 403, reason: 'host' };
  if (soleHeader(request, 'origin') !== `http://${host}`) return { code: 403, reason: 'origin' };
  const from = request.socket.remoteAddress;
  const ofThis = [...strangers].filter((one) => (one as Socket).remoteAddress === from).length;
  if (strangers.size >= MAX_BRIDGE_STRANGERS || ofThis >= MAX_GUEST_STRANGERS_PER_ADDRESS) return { code: 503, reason: 'strangers' };
  return undefined;
}
