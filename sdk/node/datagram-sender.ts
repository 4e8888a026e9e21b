/**
 * Datagrams on their way from a mesh or an endpoint to the sockets, some at a time.
 *
 * All of them are built and sealed before the first is handed to the kernel. A system call that sends also runs
 * the network's part of the kernel and may wake another processor; what it leaves of the caches makes the code
 * after it several times as slow. So with 31 peers that code is found cold once, not 31 times.
 */
import type { SocketKind, Transmit } from '../link/endpoint-types.ts';
import type { Udp } from './udp.ts';

/** What has datagrams to give. */
export interface DatagramSource {
  /** The object may be used again for the next one; its bytes are not written again. */
  pollTransmit(now: number): Transmit | undefined;
}

/** Datagrams built before the first of them leaves: one to each other peer of a full room. More would only wait longer. */
const BATCH = 32;

/**
 * How often one of the datagrams that leave is asked how that went, ms: another one each time, so that every peer has its
 * turn. What fails goes on failing, and each question costs a turn of the microtask queue.
 */
const LOOK_MS = 20;

export class DatagramSender {
  readonly #udp: Pick<Udp, 'send'>;
  readonly #sockets = new Array<SocketKind>(BATCH).fill('session');
  readonly #hosts = new Array<string>(BATCH).fill('');
  readonly #ports = new Array<number>(BATCH).fill(0);
  readonly #bytes = new Array<Uint8Array>(BATCH).fill(new Uint8Array(0));

  #lookAt = -Infinity;
  #looks = 0;

  constructor(udp: Pick<Udp, 'send'>) {
    this.#udp = udp;
  }

  /** Sends all that `source` has. */
  drain(source: DatagramSource, now: number): void {
    let count: number;
    do {
      count = this.#fill(source, now);
      const look = this.#look(now, count);
      for (let i = 0; i < count; i++) this.#udp.send(this.#sockets[i]!, this.#hosts[i]!, this.#ports[i]!, this.#bytes[i]!, i === look);
    } while (count === BATCH);
  }

  /** Which of `count` datagrams to ask; -1 for none. */
  #look(now: number, count: number): number {
    if (now < this.#lookAt || count === 0) return -1;
    this.#lookAt = now + LOOK_MS;
    return this.#looks++ % count;
  }

  #fill(source: DatagramSource, now: number): number {
    for (let count = 0; count < BATCH; count++) {
      const datagram = source.pollTransmit(now);
      if (datagram === undefined) return count;
      this.#sockets[count] = datagram.socket;
      this.#hosts[count] = datagram.host;
      this.#ports[count] = datagram.port;
      this.#bytes[count] = datagram.bytes;
    }
    return BATCH;
  }
}
