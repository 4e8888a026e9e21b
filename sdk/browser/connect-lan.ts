/**
 * `connectLan`: from a page to its LAN in one awaited call.
 *
 * The token comes in the fragment of the page's address, once. It is moved into `sessionStorage` (kept per tab and
 * per origin, port included) and out of the address bar, so that a screenshot or a copied link gives nothing away.
 */
import { BRIDGE_TOKEN } from '../bridge/index.ts';
import { BridgeClient } from './bridge-client.ts';
import type { BridgeState, KeptSeat } from './bridge-client.ts';
import { assertCallback, callGuarded } from '../base/callback.ts';
import { LanError } from '../base/errors.ts';
import type { LanPort } from '../port/lan-port.ts';
import { assertLanOptions, createLan } from '../room/lan.ts';
import type { Lan, LanOptions, Room } from '../room/types.ts';
import { assertSignal } from '../sync/clock.ts';
import { checkCall } from '../sync/definition.ts';
import type { AnyGame } from '../sync/definition.ts';

export interface ConnectOptions<G extends AnyGame> extends LanOptions<G> {
  /** WebSocket address of the local process. Default: the server this page came from. */
  readonly url?: string;
  /** Default: the fragment of the page's address, or the one kept in this tab. */
  readonly token?: string;
  /** Gives up: the promise rejects with `aborted`. Once the page is connected it does nothing. */
  readonly signal?: AbortSignal;
}

/** A `Lan` in a page, with what only a page has. */
export interface PageLan<G extends AnyGame> extends Lan<G> {
  /** The seat this tab had before it was reloaded, for as long as it is kept; `joinOrCreate` with its name, or `resume`, takes it up again. */
  readonly resumed: KeptSeat | undefined;
  /** Takes the kept seat up again. Rejects with `closed` when there is none any more, with `aborted`, and with `bridge`; a seat that was got meanwhile is left. */
  resume(options?: { readonly signal?: AbortSignal }): Promise<Room<G>>;
  /** The link for phones that play along through this process, to be shown as a QR code; undefined when they may not, and for a guest itself. */
  readonly guests: string | undefined;
  /** The connection to the local process. */
  readonly connection: BridgeState;
  onConnection(listener: (state: BridgeState) => void): Disposable;
}

const TOKEN_KEY = 'lanista-token';
const PAGE_KEY = 'lanista-page';

/**
 * Connects the page to its local process.
 * Rejects with `LanError` `bridge`: no process answers, or it refuses this page (the words say why); with `bad-argument`
 * outside a page; with `aborted`.
 */
export async function connectLan<const G extends AnyGame>(game: G, options: ConnectOptions<G>): Promise<PageLan<G>> {
  if (typeof location === 'undefined' && (options?.url === undefined || options.token === undefined)) {
    throw new LanError('bad-argument', 'connectLan is for pages, and this is none.', { hint: "In Node use openLan from 'lanista/node'." });
  }
  assertLanOptions(game, options);
  checkCall('connectLan', options, ['presence', 'url', 'token', 'signal']);
  assertSignal('connectLan', options.signal);
  if (options.token === undefined) followLinks();
  const token = options.token ?? takeToken();
  const port = await BridgeClient.connect({
    url: options.url ?? defaultUrl(),
    token,
    game: { id: game.id, version: game.version, schemaHash: game.schemaHash },
    pageId: pageId(),
    ...(options.signal && { signal: options.signal }),
  });
  if (options.token === undefined) current = { port, token };
  return openPageLan(game, port, options);
}

/** What got in with the key of this page's address. */
let current: { readonly port: BridgeClient; readonly token: string } | undefined;
let isFollowing = false;

/**
 * A link that is opened in the tab of its own page differs from the address there in the key alone, and of that a browser loads nothing: who was
 * told to open the link the game printed, and did so, would see nothing happen.
 */
function followLinks(): void {
  if (isFollowing) return;
  isFollowing = true;
  addEventListener('hashchange', () => {
    const given = location.hash.slice(1);
    if (!BRIDGE_TOKEN.test(given)) return;
    if (current?.port.state.type !== 'open') location.reload();
    else if (given === current.token) hideToken();
  });
}

/** A `PageLan` over a client that is connected already; for tests and unusual pages. */
export function openPageLan<const G extends AnyGame>(game: G, port: BridgeClient, options: LanOptions<G>): PageLan<G> {
  let isResuming = false;
  const seats: LanPort = {
    get self() {
      return port.self;
    },
    time: port.time,
    open: (request, signal) => (isResuming ? port.claim(signal) : port.open(request, signal)),
    watchRooms: (onChange) => port.watchRooms(onChange),
    discovery: () => port.discovery(),
    joinCode: () => port.joinCode(),
    diagnose: () => port.diagnose(),
    digest: (bytes) => port.digest(bytes),
    close: () => port.close(),
  };
  const lan = createLan(game, seats, { presence: options.presence, randomU32: () => crypto.getRandomValues(new Uint32Array(1))[0] ?? 0 });
  const listeners = new Set<(state: BridgeState) => void>();
  port.onState = (state) => {
    // The client is in the middle of it: what one throws must not keep it from trying again.
    for (const listener of [...listeners])
      if (listeners.has(listener))
        callGuarded(
          () => listener(state) as unknown,
          (cause) => console.error('lanista: onConnection of the game failed.', cause),
        );
  };
  const extras = {
    get resumed() {
      return port.kept;
    },
    async resume(how: { readonly signal?: AbortSignal } = {}): Promise<Room<G>> {
      checkCall('resume', how, ['signal']);
      assertSignal('resume', how.signal);
      if (port.kept === undefined) throw new LanError('closed', 'There is no seat to take up again.', { hint: 'Join a room.' });
      // A `Lan` asks for rooms by name; its port is asked before this call is over, and claims the seat whatever that name is.
      isResuming = true;
      try {
        return lan.joinOrCreate({ name: 'kept', ...(how.signal && { signal: how.signal }) });
      } finally {
        isResuming = false;
      }
    },
    get guests() {
      return port.guests;
    },
    get connection() {
      return port.state;
    },
    onConnection(listener: (state: BridgeState) => void): Disposable {
      assertCallback('onConnection', listener);
      const entry = (state: BridgeState): void => listener(state);
      listeners.add(entry);
      return { [Symbol.dispose]: () => void listeners.delete(entry) };
    },
  };
  return Object.defineProperties(lan, Object.getOwnPropertyDescriptors(extras)) as PageLan<G>;
}

function defaultUrl(): string {
  return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/__lanista`;
}

/** Out of the address bar into the tab's own storage. */
function takeToken(): string {
  const given = location.hash.slice(1);
  if (BRIDGE_TOKEN.test(given)) {
    hideToken();
    keep(TOKEN_KEY, given);
    return given;
  }
  const kept = keptAs(TOKEN_KEY);
  if (kept !== undefined) return kept;
  throw new LanError('bridge', 'This page was opened without its key.', { hint: 'Open the link the game printed when it started.' });
}

function hideToken(): void {
  history.replaceState(history.state, '', location.pathname + location.search);
}

/** Tells this tab from other phones with the same link, and is the same after a reload. A guest's page is no secure context and has no `randomUUID`. */
function pageId(): string {
  ownId ??= keptAs(PAGE_KEY) ?? Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
  keep(PAGE_KEY, ownId);
  return ownId;
}

let ownId: string | undefined;

/** Storage can be forbidden; then a reload needs the link again. */
function keep(key: string, value: string): void {
  try {
    sessionStorage.setItem(key, value);
  } catch {
    return;
  }
}

function keptAs(key: string): string | undefined {
  try {
    return sessionStorage.getItem(key) ?? undefined;
  } catch {
    return undefined;
  }
}
