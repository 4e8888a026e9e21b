/**
 * The door of a bridge on an HTTP server: sockets come in as strangers, say hello within 2 s with the token of this
 * launch, and are handed to whoever plays for their page. What kind of stranger gets as far as that is the server's to say.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { RawData, WebSocket } from 'ws';
import { LanError } from '../base/errors.ts';
import { BRIDGE_CLOSE, BRIDGE_HELLO_MS, decodeCommands, MAX_BRIDGE_BATCH_BYTES, MAX_BRIDGE_HELLO_BYTES } from '../bridge/index.ts';
import type { Hello, PageSocket } from './bridge-session.ts';

/** Where the page's WebSocket asks to be upgraded. */
export const BRIDGE_PATH = '/__lanista';

export interface Refusal {
  readonly code: number;
  readonly reason: string;
}

/** Who plays for a page that was let in. */
export interface PageHolder {
  receive(page: PageSocket, bytes: Uint8Array): void;
  drop(reason: string): void;
  detach(page: PageSocket): void;
}

export interface DoorOptions {
  readonly token: string;
  /** Why this upgrade is refused; `strangers` have not said hello yet. */
  refuse(request: IncomingMessage, strangers: ReadonlySet<Duplex>): Refusal | undefined;
  /** A page with the right token; undefined when it was sent away. What it says until then is dropped. */
  welcome(page: WebSocket, hello: Hello): PageHolder | undefined | Promise<PageHolder | undefined>;
  drop(reason: string): void;
}

export interface Door {
  /** Sends all pages away; new ones are not answered any more. */
  close(): void;
  /** Takes no more upgrades. */
  shut(): void;
}

export function openDoor(server: Server, options: DoorOptions): Door {
  // Before the hello we look at MAX_BRIDGE_HELLO_BYTES only; the receiver cannot be told later.
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: MAX_BRIDGE_BATCH_BYTES });
  /** Connections that have not said hello yet. */
  const strangers = new Set<Duplex>();

  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    if (pathOf(request) !== BRIDGE_PATH) return;
    const refusal = options.refuse(request, strangers);
    if (refusal !== undefined) {
      options.drop(`bridge-upgrade-${refusal.reason}`);
      socket.on('error', () => socket.destroy());
      // Destroyed, not only ended: a client that keeps its half open would keep the server from closing.
      socket.end(`HTTP/1.1 ${refusal.code} Refused\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () => socket.destroy());
      return;
    }
    strangers.add(socket);
    socket.once('close', () => strangers.delete(socket));
    sockets.handleUpgrade(request, socket, head, (page) => {
      receivePage(page, options, () => strangers.delete(socket));
    });
  };
  server.on('upgrade', onUpgrade);
  return {
    shut: () => void server.off('upgrade', onUpgrade),
    close() {
      server.off('upgrade', onUpgrade);
      for (const page of sockets.clients) page.close(BRIDGE_CLOSE.ending);
      sockets.close();
      setTimeout(() => {
        for (const page of sockets.clients) page.terminate();
      }, 200).unref();
    },
  };
}

function receivePage(page: WebSocket, options: DoorOptions, greeted: () => void): void {
  let isGreeted = false;
  let holder: PageHolder | undefined;
  const late = setTimeout(() => {
    options.drop('bridge-no-hello');
    page.close(BRIDGE_CLOSE.late, 'The page did not introduce itself in time.');
  }, BRIDGE_HELLO_MS);
  page.on('error', () => page.terminate());
  page.on('close', () => {
    clearTimeout(late);
    holder?.detach(page);
  });
  page.on('message', (data: RawData, isBinary: boolean) => {
    const buffer = data as Buffer;
    // Not a Buffer from here on: its `slice` shares memory where everybody expects a copy.
    const bytes = new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    if (holder !== undefined) return isBinary ? holder.receive(page, bytes) : holder.drop('bridge-text');
    if (isGreeted || page.readyState !== page.OPEN) return;
    clearTimeout(late);
    const hello = isBinary && bytes.length <= MAX_BRIDGE_HELLO_BYTES ? decodeCommands(bytes).entries[0] : undefined;
    if (hello?.type !== 'hello' || !isToken(hello.token, options.token)) {
      options.drop('bridge-token');
      page.close(BRIDGE_CLOSE.token, TOKEN_WORDS);
      return;
    }
    greeted();
    isGreeted = true;
    const welcomed = options.welcome(page, hello);
    if (!(welcomed instanceof Promise)) holder = welcomed;
    else void welcomed.then((found) => (holder = found));
  });
}

const TOKEN_WORDS = 'This address is from an earlier start of the game. Open the link the game printed.';

function isToken(given: string, token: string): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(given), hash(token));
}

export function pathOf(request: IncomingMessage): string {
  return (request.url ?? '').split('?', 1)[0]!;
}

export function portOf(server: Server): number {
  return (server.address() as AddressInfo | null)?.port ?? 0;
}

/** The one value of a header; undefined when there is none, or more than one. */
export function soleHeader(request: IncomingMessage, name: string): string | undefined {
  const given = request.headersDistinct[name];
  return given?.length === 1 ? given[0] : undefined;
}

/** Rejects with `bind-failed`. */
export function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void => {
      const hint = 'Choose another `port`, or 0 for any free one.';
      const why = error.code === 'EADDRINUSE' ? 'is taken by another program' : `cannot be used (${error.code ?? error.message})`;
      reject(new LanError('bind-failed', `Port ${port} on ${host} ${why}.`, { hint, cause: error }));
    };
    server.once('error', failed);
    server.listen(port, host, () => {
      server.off('error', failed);
      resolve();
    });
  });
}

/** Ends with its connections: those that are idle at once, the others soon. */
export async function closeServer(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  setTimeout(() => server.closeAllConnections(), 300).unref();
  await closed;
}
