/**
 * The two UDP sockets of a process: `join` for strangers, `session` for sealed packets only, so that a
 * flood on the first cannot fill the kernel buffer of the second.
 *
 * Neither is connected (a connected socket raises ECONNREFUSED when a peer's port closes), neither
 * shares its port (a shared port gives all unicast to the socket bound last), and `lookup` is
 * synchronous: Node would otherwise ask its resolver thread about every dotted address.
 */
import { createSocket, type Socket } from 'node:dgram';
import { isIP } from 'node:net';

import { LanError } from '../base/errors.ts';
import type { SocketKind } from '../link/endpoint-types.ts';
import { MAX_DATAGRAM_BYTES, RECEIVE_BUFFER_BYTES } from '../wire/limits.ts';
import { DATA_PORT_FIRST, DATA_PORT_LAST } from './discovery/bounds.ts';
import type { LanInterface } from './discovery/interfaces.ts';
import { enlargeReceiveBuffer } from './receive-buffer.ts';

/**
 * What the system has no room for waits in the process, without bound, and arrives late by all that lies before it. A burst is through in
 * a moment; what has waited for so long, ms, with so many bytes in it, is more than the network carries, and what comes on top is dropped.
 */
const JAM_MS = 100;
const JAM_BYTES = 32 * 1_024;
/** A process that stood still finds waiting what nobody took meanwhile; so it is looked at so often before anything is dropped. */
const JAM_LOOKS = 4;

export type DatagramListener = (socket: SocketKind, host: string, port: number, bytes: Uint8Array) => void;

export interface UdpOptions {
  /** Address to bind; `0.0.0.0` for every interface. */
  readonly host: string;
  /** Port of the join socket; 0 or undefined takes the first free one of the range. */
  readonly port?: number | undefined;
  readonly onDatagram: DatagramListener;
}

export interface Udp {
  readonly host: string;
  readonly joinPort: number;
  readonly sessionPort: number;
  /** Send failures by errno, since the start; on the session socket of those sends that were looked at. `EAGAIN`: dropped, more waits than leaves. */
  readonly sendErrors: ReadonlyMap<string, number>;
  /** The newest failure, at monotonic ms. */
  readonly lastSendError: { readonly code: string; readonly at: number } | undefined;
  /**
   * Copies `bytes` for the join socket. For the session socket they must not be written again: the kernel may take them
   * later. Failures are counted, never thrown: the link above resends what matters.
   * @param look whether to ask how it went, on the session socket: that costs a turn of the microtask queue. Default true.
   */
  send(socket: SocketKind, host: string, port: number, bytes: Uint8Array, look?: boolean): void;
  /** Datagrams larger than any decoder takes, dropped unread. */
  readonly oversized: number;
  close(): Promise<void>;
}

/**
 * Where to bind for what was asked for: the address, where that was one; loopback, where that is all there is; else everywhere.
 * An interface that was named keeps its name when the router gives it another address, and a socket bound to the old one would be deaf.
 * @param wanted names or addresses; empty means every interface
 * @param nics the interfaces that `wanted` stands for now
 */
export function bindHost(wanted: readonly string[], nics: readonly LanInterface[]): string {
  const [nic] = nics;
  if (wanted.length === 0 || nic === undefined) return '0.0.0.0';
  // By its name loopback may stand for several addresses, as it does in WSL, and is not to be left for any of them.
  if (nics.every((one) => one.kind === 'loopback') && !nics.every((one) => wanted.includes(one.address)))
    return (nics.find((one) => one.address.startsWith('127.')) ?? nic).address;
  if (nics.length > 1) return '0.0.0.0';
  return nic.kind === 'loopback' || wanted.includes(nic.address) ? nic.address : '0.0.0.0';
}

type Lookup = (host: string, options: unknown, callback: (error: Error | null, address: string, family: number) => void) => void;

/** The host asked for last, known to be an IPv4 address. */
let lastHost = '127.0.0.1';

/** Every host is numeric here, so there is nothing to look up. */
export const numericLookup: Lookup = (host, _options, callback) => {
  if (host === lastHost) callback(null, host, 4);
  else if (host === '') callback(null, '127.0.0.1', 4);
  else if (isIP(host) === 4) callback(null, (lastHost = host), 4);
  else callback(Object.assign(new Error(`not an IPv4 address: ${host}`), { code: 'EAFNOSUPPORT' }), host, 4);
};

function bindOnce(host: string, port: number): Promise<Socket> {
  const socket = createSocket({ type: 'udp4', reuseAddr: false, lookup: numericLookup as never });
  return new Promise((resolve, reject) => {
    const refuse = (error: Error): void => {
      socket.close();
      reject(error);
    };
    socket.once('error', refuse);
    socket.bind({ port, address: host, exclusive: true }, () => {
      socket.removeListener('error', refuse);
      enlargeReceiveBuffer(socket, RECEIVE_BUFFER_BYTES);
      resolve(socket);
    });
  });
}

function bindError(error: NodeJS.ErrnoException, host: string, port: number): LanError {
  const where = `${host}:${port}`;
  switch (error.code) {
    case 'EADDRINUSE':
      return new LanError('bind-failed', `UDP port ${port} is taken by another program.`, {
        hint: 'Choose another port, or leave it out to take a free one.',
        cause: error,
      });
    case 'EADDRNOTAVAIL':
      return new LanError('bind-failed', `This machine has no address ${host}.`, {
        hint: 'Run "lanista doctor" to see its interfaces.',
        cause: error,
      });
    case 'EACCES':
    case 'EPERM':
      return new LanError('bind-failed', `The system does not allow a UDP socket on ${where}.`, {
        hint: 'Use a port of 1024 or above, and check security software.',
        cause: error,
      });
    default:
      return new LanError('bind-failed', `No UDP socket could be opened on ${where} (${error.code ?? error.message}).`, {
        hint: 'Run "lanista doctor".',
        cause: error,
      });
  }
}

async function bindInRange(host: string, wanted: number | undefined): Promise<Socket> {
  if (wanted !== undefined && wanted !== 0) {
    return bindOnce(host, wanted).catch((error: unknown) => Promise.reject(bindError(error as NodeJS.ErrnoException, host, wanted)));
  }
  for (let port = DATA_PORT_FIRST; port <= DATA_PORT_LAST; port++) {
    try {
      return await bindOnce(host, port);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Windows answers EACCES for ports that Hyper-V has reserved.
      if (code !== 'EADDRINUSE' && code !== 'EACCES') throw bindError(error as NodeJS.ErrnoException, host, port);
    }
  }
  return bindOnce(host, 0).catch((error: unknown) => Promise.reject(bindError(error as NodeJS.ErrnoException, host, 0)));
}

/** Whether more is sent by a socket than leaves it. */
export class Jam {
  readonly #socket: Pick<Socket, 'getSendQueueSize'>;
  /** When nothing waited, as far as was looked, monotonic ms; and how often was looked since. */
  #clearAt = Number.NEGATIVE_INFINITY;
  #looks = 0;
  isJammed = false;

  constructor(socket: Pick<Socket, 'getSendQueueSize'>) {
    this.#socket = socket;
  }

  look(now: number): void {
    const bytes = this.#socket.getSendQueueSize();
    if (bytes === 0) {
      this.#clearAt = now;
      this.#looks = 0;
    }
    this.isJammed = bytes > JAM_BYTES && ++this.#looks >= JAM_LOOKS && now - this.#clearAt > JAM_MS;
  }
}

/** Rejects with `bind-failed`. */
export async function openUdp(options: UdpOptions): Promise<Udp> {
  const { host, onDatagram } = options;
  const join = await bindInRange(host, options.port);
  let session: Socket;
  try {
    session = await bindInRange(host, undefined);
  } catch (error) {
    join.close();
    throw error;
  }
  const sockets: Record<SocketKind, Socket> = { join, session };
  const sendErrors = new Map<string, number>();
  let lastSendError: Udp['lastSendError'];
  const count = (error: Error | null): void => {
    if (error === null) return;
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    sendErrors.set(code, (sendErrors.get(code) ?? 0) + 1);
    lastSendError = { code, at: performance.now() };
  };
  const jams: Record<SocketKind, Jam> = { join: new Jam(join), session: new Jam(session) };
  let oversized = 0;
  let closed = false;
  for (const kind of ['join', 'session'] as const) {
    const socket = sockets[kind];
    socket.on('error', count);
    socket.on('message', (bytes, remote) => {
      if (bytes.length > MAX_DATAGRAM_BYTES) oversized++;
      else if (!closed) onDatagram(kind, remote.address, remote.port, bytes);
    });
  }
  // Discovery asks by directed broadcast from the join socket, so that answers reach it too.
  join.setBroadcast(true);
  return {
    host,
    joinPort: join.address().port,
    sessionPort: session.address().port,
    sendErrors,
    get lastSendError() {
      return lastSendError;
    },
    get oversized() {
      return oversized;
    },
    send(kind, to, port, bytes, look = true) {
      if (closed || port <= 0 || port > 65_535) return;
      if (look) jams[kind].look(performance.now());
      if (jams[kind].isJammed) sendErrors.set('EAGAIN', (sendErrors.get('EAGAIN') ?? 0) + 1);
      else if (kind === 'join') join.send(Buffer.from(bytes), port, to, count);
      else if (look) session.send(bytes, port, to, count);
      else session.send(bytes, port, to);
    },
    close() {
      if (closed) return Promise.resolve();
      closed = true;
      return Promise.all([join, session].map((socket) => new Promise<void>((resolve) => socket.close(() => resolve())))).then(() => undefined);
    },
  };
}
