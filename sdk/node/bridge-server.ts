/**
 * The loopback server between a page and its local process: who may talk to it at all.
 *
 * Every other page in the same browser, and every site that page's tabs visit, can reach this port too
 * (`ws` takes any Origin and any Host by default). So, in this order, all of these must hold:
 *
 * 1. the connection comes from a loopback address;
 * 2. `Host` is exactly ours (a rebound DNS name is not);
 * 3. for the WebSocket: `Origin` is exactly ours (missing and `null` are not), GET, our path;
 * 4. the first message is a hello of at most 4 KiB, within 2 s, with the token of this launch, compared in
 *    constant time. The token travels in the URL's fragment, which no request line or log ever holds.
 *
 * No cookie: cookies ignore ports. No CORS headers: nobody else may read anything here.
 */
import { randomBytes } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { resolve } from 'node:path';
import { Server as TlsServer } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { LanError } from '../base/errors.ts';
import { BRIDGE_TOKEN, MAX_BRIDGE_STRANGERS } from '../bridge/index.ts';
import type { GameFacts, LanPort } from '../port/lan-port.ts';
import { checkBridgeOptions, checkPort } from './option-checks.ts';
import { show } from '../sync/definition.ts';
import { BRIDGE_PATH, closeServer, listen, openDoor, pathOf, portOf, soleHeader } from './bridge-door.ts';
import type { Refusal } from './bridge-door.ts';
import { BridgeSession } from './bridge-session.ts';
import type { BridgeStats } from './bridge-session.ts';
import { checkGuests, openGuests } from './guests.ts';
import type { GuestOptions, Guests, OpenGuests } from './guests.ts';
import { refuse, securityHeaders, serveFile } from './static-files.ts';

export type { GameFacts, LanPort } from '../port/lan-port.ts';
export { BRIDGE_PATH } from './bridge-door.ts';
export type { BridgeStats } from './bridge-session.ts';
export type { GuestOptions, Guests, GuestStats } from './guests.ts';

export interface AttachBridgeOptions {
  /** From `openNodeLanPort`. */
  readonly lan: LanPort;
  /** When given, a page built for other facts is told to reload. */
  readonly game?: GameFacts;
  /**
   * Default: 128 fresh random bits. A fixed one, of 20 to 64 letters, digits, `-` and `_`, lets pages survive a restart of the process on the same
   * port; keep it where nobody else reads it.
   */
  readonly token?: string;
  /** How long a seat outlives its page, ms. Default 15,000. */
  readonly keepMs?: number;
}

export interface AttachedBridge {
  /** Goes into the fragment of the page's URL. */
  readonly token: string;
  /** The page's address with the token, once the server listens. */
  url(): string;
  stats(): BridgeStats;
  /** Sends the page away and leaves its rooms. The HTTP server stays. */
  close(): Promise<void>;
}

export interface StartBridgeOptions extends Omit<AttachBridgeOptions, 'lan'> {
  /** From `openNodeLanPort`. A function is called once the port is ours, and what it gives is closed with the bridge. */
  readonly lan: LanPort | (() => LanPort | Promise<LanPort>);
  /** Folder of the built page; without it only the WebSocket is served. */
  readonly root?: string;
  /** Default 0: any free port. */
  readonly port?: number;
  /** A loopback address. Default 127.0.0.1. */
  readonly host?: '127.0.0.1' | '::1';
  /**
   * Lets phones of this network play along, in the room this player is in: off unless given, and then on a server of its own, in plain HTTP
   * that anybody on the network can read and alter. `{}` where this machine is in one network. Needs `game` and `root`.
   */
  readonly guests?: GuestOptions;
}

export interface Bridge {
  /** Open this in a browser: it carries the token in its fragment. */
  readonly url: string;
  readonly token: string;
  readonly port: number;
  /** Where phones play along, if they may. */
  readonly guests: Guests | undefined;
  stats(): BridgeStats;
  close(): Promise<void>;
}

/**
 * Adds the bridge to a server that exists (a dev server) and listens on loopback. Upgrades for other paths are left
 * alone. `lan` stays yours to close. For Vite there is `lanista` in `lanista/vite`. Throws `bad-argument` for a token that no page would take, and for a
 * `keepMs` that cannot be.
 *
 * @example
 * const lan = await openNodeLanPort(game);
 * const bridge = attachBridge(server, { lan, game });
 * server.listen(5173, '127.0.0.1', () => console.log(`Play at ${bridge.url()}`));
 */
export function attachBridge(server: Server, options: AttachBridgeOptions): AttachedBridge {
  checkToken('attachBridge', options.token);
  checkKeep('attachBridge', options.keepMs);
  return attach(server, options, new BridgeSession(options));
}

function attach(server: Server, options: AttachBridgeOptions, session: BridgeSession): AttachedBridge {
  const token = options.token ?? randomBytes(16).toString('base64url');
  const door = openDoor(server, {
    token,
    refuse: (request, strangers) => upgradeRefusal(request, portOf(server), strangers.size),
    welcome: (page, hello) => (session.attach(page, hello) ? session : undefined),
    drop: (reason) => session.drop(reason),
  });
  const end = async (): Promise<void> => {
    door.shut();
    await session.close();
    door.close();
  };
  let ended: Promise<void> | undefined;
  return {
    token,
    url: () => `${server instanceof TlsServer ? 'https' : 'http'}://${hostOf(server)}:${portOf(server)}/#${token}`,
    stats: () => session.stats(),
    close: () => (ended ??= end()),
  };
}

/**
 * Serves the page and the bridge on loopback: the local process of a game that runs in a browser.
 * Rejects with `LanError` `bind-failed` when the port is taken, and with `bad-argument` for a port that cannot be, a `root`
 * that is no folder, a `host` that is not loopback, a `token` that no page would take, a `keepMs` that cannot be, or `guests` that
 * nobody can be.
 *
 * @example
 * import { closeOnSignal, openNodeLanPort, startBridge } from 'lanista/node';
 * import { game } from './game.ts';
 *
 * const bridge = await startBridge({ lan: () => openNodeLanPort(game), root: 'dist', game });
 * closeOnSignal(() => bridge.close());
 * console.log(`Play at ${bridge.url}`);
 */
export async function startBridge(options: StartBridgeOptions): Promise<Bridge> {
  checkBridgeOptions(options);
  const host = options.host ?? '127.0.0.1';
  checkPort('startBridge', options.port);
  checkToken('startBridge', options.token);
  checkKeep('startBridge', options.keepMs);
  // Nobody but this computer may reach it, whatever a cast let through.
  if (!isBridgeHost(host))
    throw new LanError('bad-argument', `startBridge: expected host '127.0.0.1' or '::1', got ${show(host)}.`, {
      hint: 'Every computer serves its own page; players meet in a room.',
    });
  await checkRoot(options.root);
  const nic = options.guests && checkGuests(options.guests, options);
  const server = createServer((request, response) => handleRequest(server, options.root, request, response));
  server.on('clientError', (_error, socket) => socket.destroy());
  await listen(server, host, options.port ?? 0);
  const { game, token, keepMs } = options;
  const owned = typeof options.lan === 'function';
  let guests: OpenGuests | undefined;
  let session: BridgeSession | undefined;
  let lan: LanPort;
  try {
    // Before the network: of a port that is taken the caller hears first.
    if (nic !== undefined && game !== undefined && options.root !== undefined)
      guests = await openGuests({ ...options.guests, nic, game, root: options.root, keepMs, ownRoom: () => session?.room() });
    lan = typeof options.lan === 'function' ? await options.lan() : options.lan;
  } catch (error) {
    server.close();
    await guests?.close();
    throw error;
  }
  session = new BridgeSession({ lan, game, keepMs, guestsUrl: guests?.shown.url });
  const attached = attach(server, { lan, ...(token !== undefined && { token }) }, session);
  let ended: Promise<void> | undefined;
  server.on('upgrade', (request, socket) => {
    // A page that was sent away comes again in a moment: a socket that nobody answers would keep the server from closing.
    if (ended !== undefined || pathOf(request) !== BRIDGE_PATH) socket.destroy();
  });
  const end = async (): Promise<void> => {
    await Promise.all([attached.close(), guests?.close()]);
    if (owned) await lan.close();
    await closeServer(server);
  };
  return {
    url: attached.url(),
    token: attached.token,
    port: portOf(server),
    guests: guests?.shown,
    stats: () => attached.stats(),
    close: () => (ended ??= end()),
  };
}

function handleRequest(server: Server, root: string | undefined, request: IncomingMessage, response: ServerResponse): void {
  const port = portOf(server);
  const headers = securityHeaders(allowedHosts(port).map((host) => `ws://${host}`));
  if (!isLoopback(request.socket.remoteAddress)) return refuse(response, 403, 'This game answers on its own computer only.', headers);
  if (!isOurHost(request, port)) return refuse(response, 403, `Open this game as http://127.0.0.1:${port}.`, headers);
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return refuse(response, 405, 'Only GET and HEAD are answered.', { ...headers, Allow: 'GET, HEAD' });
  if (root === undefined) return refuse(response, 404, 'No page is served here.', headers);
  serveFile(root, request, response, headers).catch(() => response.destroy());
}

function upgradeRefusal(request: IncomingMessage, port: number, strangers: number): Refusal | undefined {
  if (!isLoopback(request.socket.remoteAddress)) return { code: 403, reason: 'remote' };
  if (request.method !== 'GET') return { code: 405, reason: 'method' };
  if (!isOurHost(request, port)) return { code: 403, reason: 'host' };
  if (!isOurOrigin(request, port)) return { code: 403, reason: 'origin' };
  if (strangers >= MAX_BRIDGE_STRANGERS) return { code: 503, reason: 'strangers' };
  return undefined;
}

function allowedHosts(port: number, scheme: 'http' | 'https' = 'http'): readonly string[] {
  const names = ['127.0.0.1', 'localhost', '[::1]'];
  return names.map((name) => (port === (scheme === 'http' ? 80 : 443) ? name : `${name}:${port}`));
}

/** A dev server may speak TLS. */
function schemeOf(request: IncomingMessage): 'http' | 'https' {
  return (request.socket as Partial<TLSSocket>).encrypted === true ? 'https' : 'http';
}

function isOurHost(request: IncomingMessage, port: number): boolean {
  return allowedHosts(port, schemeOf(request)).includes(soleHeader(request, 'host') ?? '');
}

/** The Origin must name the very host the request was made to: `localhost` may not speak for `127.0.0.1`. */
function isOurOrigin(request: IncomingMessage, port: number): boolean {
  const given = soleHeader(request, 'origin');
  const scheme = schemeOf(request);
  return allowedHosts(port, scheme).some((host) => given === `${scheme}://${host}` && request.headers.host === host);
}

function isBridgeHost(host: unknown): boolean {
  return host === '127.0.0.1' || host === '::1';
}

/** With one that the page does not know for a token, every link would be one without its key. */
function checkToken(what: string, token: unknown): void {
  if (token === undefined || (typeof token === 'string' && BRIDGE_TOKEN.test(token))) return;
  throw new LanError('bad-argument', `${what}: expected a token of 20 to 64 letters, digits, '-' and '_', got ${show(token)}.`, {
    hint: 'Leave it out for a new one at each start.',
  });
}

/** A timer takes what is no number, and what is above its largest, for no time at all: the seat would be left at once. */
function checkKeep(what: string, keepMs: unknown): void {
  if (keepMs === undefined || (typeof keepMs === 'number' && keepMs >= 0 && keepMs < 2 ** 31)) return;
  throw new LanError('bad-argument', `${what}: expected keepMs from 0 to 2147483647, got ${show(keepMs)}.`, {
    hint: 'Leave it out for 15,000 ms.',
  });
}

/** A folder that is not there would be a page of 404s. */
async function checkRoot(root: string | undefined): Promise<void> {
  if (root === undefined) return;
  const path = typeof root === 'string' ? resolve(root) : undefined;
  const found = path === undefined ? undefined : await stat(path).catch(() => undefined);
  if (found?.isDirectory() === true) return;
  throw new LanError('bad-argument', `startBridge: root is no folder: ${path ?? show(root)}.`, {
    hint: 'Build the page first, or correct the path.',
  });
}

function isLoopback(address: string | undefined): boolean {
  return address === '::1' || (address !== undefined && /^(::ffff:)?127\./.test(address));
}

function hostOf(server: Server): string {
  const address = (server.address() as AddressInfo | null)?.address ?? '127.0.0.1';
  return address === '::1' ? '[::1]' : '127.0.0.1';
}
