/**
 * `lanista/vite`: page and local process in one command. The own HTTP server of `vite` and `vite preview` carries the bridge, so
 * the page finds it where it always is, and hot reload keeps the seat.
 */
import { randomBytes } from 'node:crypto';
import type { Server } from 'node:http';
import type { Plugin, PreviewServer, ViteDevServer } from 'vite';
import { attachBridge } from '../node/bridge-server.ts';
import { checkPluginOptions } from '../node/option-checks.ts';
import { FAREWELL_MAX_MS } from '../node/shutdown.ts';
import type { GameFacts, LanPort } from '../node/bridge-server.ts';

export interface LanistaPluginOptions {
  /** Opens the network half, with `openNodeLanPort` of `lanista/node`. Called once when Vite's server starts; closed with it. */
  readonly start: () => LanPort | Promise<LanPort>;
  /** When given, a page built for another definition is told to reload. */
  readonly game?: GameFacts;
  /** Called with the page's address, token included, once it can be opened. Default: prints it. */
  readonly onUrl?: (url: string) => void;
}

interface Running {
  readonly token: string;
  /** Ends the bridge and the network half; later calls wait for the first. */
  readonly end: () => Promise<void>;
  /** Runs them once more after that, in the same server. */
  readonly again: () => Promise<void>;
}

/**
 * What runs for a dev server, by what it was made with: that alone is the same after a restart, which reads the
 * configuration again, makes other plugins, and starts the new server before it closes the old one.
 */
const running = new WeakMap<object, Running>();

/**
 * Runs the local process inside Vite's dev server or `vite preview`, on loopback. Does nothing in a build: what was built, `startBridge`
 * serves to players.
 *
 * @example
 * // vite.config.ts
 * import { defineConfig } from 'vite';
 * import { openNodeLanPort } from 'lanista/node';
 * import { lanista } from 'lanista/vite';
 * import { game } from './src/game.ts';
 *
 * export default defineConfig({ plugins: [lanista({ start: () => openNodeLanPort(game), game })] });
 */
export function lanista(options: LanistaPluginOptions): Plugin {
  checkPluginOptions(options);
  return {
    name: 'lanista',
    apply: 'serve',
    config: () => ({ server: { host: '127.0.0.1' }, preview: { host: '127.0.0.1' } }),
    configureServer: (server) => startInside(server, server.config.server, options),
    configurePreviewServer: (server) => startInside(server, server.config.preview, options),
  };
}

type ViteServer = ViteDevServer | PreviewServer;

/** @param settings of this server: whether it opens the browser, and where. */
async function startInside(server: ViteServer, settings: { open?: boolean | string }, options: LanistaPluginOptions): Promise<void> {
  const http = server.httpServer as Server | null;
  if (http === null) {
    server.config.logger.warn(
      'lanista: in middleware mode Vite has no server that could carry the bridge. Give yours to attachBridge of lanista/node.',
    );
    return;
  }
  const { inlineConfig } = server.config;
  const before = running.get(inlineConfig);
  // Two at once would be two players, of whom the second has another identity.
  await before?.end();
  // The same token through restarts of the dev server, so that open pages reconnect by themselves.
  const token = before?.token ?? randomBytes(16).toString('base64url');
  let opened: Opened;
  try {
    opened = await openProcess(http, options, token);
  } catch (error) {
    // Vite goes on with the server before this one, and so do its pages.
    await before?.again().catch(() => undefined);
    throw error;
  }
  carryKey(server, settings, token);
  const tell = (): void => {
    const url = server.resolvedUrls?.local[0] ?? opened.url();
    if (options.onUrl !== undefined) options.onUrl(url);
    else server.config.logger.info(`\n  Play at ${url}\n`);
  };
  if (http.listening) tell();
  else http.once('listening', () => setImmediate(tell));
  const end = (): Promise<void> => opened.end();
  const again = async (): Promise<void> => {
    if (http.listening) opened = await openProcess(http, options, token);
  };
  running.set(inlineConfig, { token, end, again });
  closeWith(server, http, end);
}

interface Opened {
  readonly url: () => string;
  readonly end: () => Promise<void>;
}

/** The network half, and the bridge to it in `http`. */
async function openProcess(http: Server, options: LanistaPluginOptions, token: string): Promise<Opened> {
  const lan = await options.start();
  const bridge = attachBridge(http, { lan, token, ...(options.game && { game: options.game }) });
  let ended: Promise<void> | undefined;
  const end = (): Promise<void> =>
    (ended ??= bridge
      .close()
      .then(() => lan.close())
      .finally(() => forget(end)));
  remember(end);
  return { url: () => bridge.url(), end };
}

/** What Vite prints and opens by itself has the key too: without it a page cannot get in. */
function carryKey(server: ViteServer, settings: { open?: boolean | string }, token: string): void {
  const withKey = (url: string): string => (url.includes('#') ? url : `${url}#${token}`);
  // Vite resolves this against its own address, which takes the fragment off.
  if (typeof settings.open === 'string') settings.open = withKey(settings.open);
  // Set once the server listens, and read at once for the browser that is opened.
  let urls = server.resolvedUrls;
  Object.defineProperty(server, 'resolvedUrls', {
    enumerable: true,
    configurable: true,
    get: () => urls,
    set(found: typeof urls) {
      urls = found && { ...found, local: found.local.map(withKey) };
    },
  });
}

/** What has to be said goodbye to when the dev server is interrupted: Vite ends at once then, and the others would wait for this player. */
const open = new Set<() => Promise<void>>();

/** Ctrl-C and a terminal that is closed, with what the process ends with then. */
const INTERRUPTS = { SIGINT: 130, SIGHUP: 129 } as const;
const interrupts = Object.keys(INTERRUPTS) as (keyof typeof INTERRUPTS)[];

function onInterrupt(signal: NodeJS.Signals): void {
  // Whoever else listens closes the server, and with it what is open here.
  if (process.listenerCount(signal) > 1) return;
  const code = INTERRUPTS[signal as keyof typeof INTERRUPTS];
  // A terminal that was closed takes no more words, and whoever says some would end here, before the goodbye.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  setTimeout(() => process.exit(code), FAREWELL_MAX_MS).unref();
  void Promise.allSettled([...open].map((end) => end())).then(() => process.exit(code));
}

function remember(end: () => Promise<void>): void {
  if (open.size === 0) for (const signal of interrupts) process.on(signal, onInterrupt);
  open.add(end);
}

function forget(end: () => Promise<void>): void {
  if (open.delete(end) && open.size === 0) for (const signal of interrupts) process.removeListener(signal, onInterrupt);
}

function closeWith(server: ViteServer, http: Server, end: () => Promise<void>): void {
  http.once('close', () => void end());
  // One that got no port has nothing to close, and says nothing.
  const close = server.close.bind(server);
  server.close = async () => {
    await close();
    await end();
  };
}
