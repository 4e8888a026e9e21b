/**
 * `lanista/vite`: page and local process in one command. The dev server's own HTTP server carries the bridge, so the
 * page finds it where it always is, and hot reload keeps the seat.
 *
 *     export default defineConfig({ plugins: [lanista({ start: () => openLanPort(game) })] });
 */
import { randomBytes } from 'node:crypto';
import type { Server } from 'node:http';
import type { Plugin, ViteDevServer } from 'vite';
import { attachBridge } from '../node/bridge-server.ts';
import type { AttachedBridge, GameFacts, LanPort } from '../node/bridge-server.ts';

export interface LanistaPluginOptions {
  /** Opens the network half. Called once when the dev server starts; closed with it. */
  readonly start: () => LanPort | Promise<LanPort>;
  /** When given, a page built for another definition is told to reload. */
  readonly game?: GameFacts;
  /** Called with the page's address, token included, once it can be opened. Default: prints it. */
  readonly onUrl?: (url: string) => void;
}

/** Runs the local process inside Vite's dev server. Does nothing in a build. */
export function lanista(options: LanistaPluginOptions): Plugin {
  // The same token through restarts of the dev server, so that open pages reconnect by themselves.
  const token = randomBytes(16).toString('base64url');
  return {
    name: 'lanista',
    apply: 'serve',
    config: () => ({ server: { host: '127.0.0.1' } }),
    configureServer: (server) => startInside(server, token, options),
  };
}

async function startInside(server: ViteDevServer, token: string, options: LanistaPluginOptions): Promise<void> {
  const http = server.httpServer as Server | null;
  if (http === null) return;
  const lan = await options.start();
  const bridge = attachBridge(http, { lan, token, ...(options.game && { game: options.game }) });
  const tell = (): void => {
    const url = bridge.url();
    if (options.onUrl !== undefined) options.onUrl(url);
    else server.config.logger.info(`\n  Play at ${url}\n`);
  };
  if (http.listening) tell();
  else http.once('listening', () => setImmediate(tell));
  closeWith(http, bridge, lan);
}

function closeWith(http: Server, bridge: AttachedBridge, lan: LanPort): void {
  http.once('close', () => {
    void bridge.close().then(() => lan.close());
  });
}
