/**
 * The broadcast beacon: finds rooms on networks that swallow multicast.
 *
 * A searcher sends WHO (512 bytes) from its join socket to the directed broadcast address of each
 * subnet, beacon port. Every local process listens there (the port is shared, and a broadcast reaches
 * each), and whoever sits in a room answers with HERE by unicast from its own join socket. A directed
 * broadcast needs no default route and leaves by the interface it names; 255.255.255.255 does neither.
 */
import { createSocket, type Socket } from 'node:dgram';

import { KIND_WHO } from '../../wire/datagram.ts';
import { WHO_BYTES } from '../../wire/limits.ts';
import { enlargeReceiveBuffer } from '../receive-buffer.ts';
import { BEACON_PORT, BEACON_REBIND_MS, DISCOVERY_BUFFER_BYTES } from './bounds.ts';
import type { LanInterface } from './interfaces.ts';

export interface BeaconOptions {
  readonly port?: number | undefined;
  /** True when nothing but loopback was asked for: then not even a foreign broadcast is received. */
  readonly loopbackOnly: boolean;
  readonly onWho: (host: string, port: number, bytes: Uint8Array) => void;
  readonly onState: () => void;
}

export class Beacon {
  readonly port: number;
  readonly #options: BeaconOptions;
  /** Undefined between two tries to open the port. */
  #socket: Socket | undefined;
  #again: NodeJS.Timeout | undefined;
  #failure: string | undefined;
  #closed = false;

  constructor(options: BeaconOptions) {
    this.port = options.port ?? BEACON_PORT;
    this.#options = options;
    this.#open();
  }

  #open(): void {
    const { onState, onWho, loopbackOnly } = this.#options;
    const socket = createSocket({ type: 'udp4', reuseAddr: true });
    this.#socket = socket;
    let isBound = false;
    socket.on('error', (error: NodeJS.ErrnoException) => {
      // What fails later is one datagram, and nothing to be told.
      if (isBound || this.#closed) return;
      this.#socket = undefined;
      socket.close();
      this.#failure = `Others cannot find this room by broadcast: UDP port ${this.port} cannot be opened (${error.code ?? error.message}).`;
      this.#again = setTimeout(() => this.#open(), BEACON_REBIND_MS).unref();
      onState();
    });
    socket.on('message', (bytes, remote) => {
      if (!this.#closed && bytes.length === WHO_BYTES && bytes[0] === KIND_WHO) onWho(remote.address, remote.port, bytes);
    });
    // On Linux a socket bound to a broadcast address receives that broadcast and nothing else.
    const address = loopbackOnly && process.platform === 'linux' ? '127.255.255.255' : '0.0.0.0';
    socket.bind({ port: this.port, address, exclusive: true }, () => {
      isBound = true;
      enlargeReceiveBuffer(socket, DISCOVERY_BUFFER_BYTES);
      this.#failure = undefined;
      onState();
    });
  }

  reasons(): readonly string[] {
    return this.#failure === undefined ? [] : [this.#failure];
  }

  /** Where a WHO for everybody goes. */
  targets(nics: readonly LanInterface[]): readonly string[] {
    return [...new Set(nics.map((nic) => nic.broadcast))];
  }

  close(): Promise<void> {
    const socket = this.#socket;
    this.#closed = true;
    this.#socket = undefined;
    clearTimeout(this.#again);
    return socket === undefined ? Promise.resolve() : new Promise((resolve) => socket.close(() => resolve()));
  }
}
