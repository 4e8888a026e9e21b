/**
 * Sends multicast on every interface of one socket, one packet at a time: the outgoing interface is a
 * property of the socket, not of the packet. Keeps the memberships too, and what fails where, in words.
 */
import type { Socket } from 'node:dgram';

import { MDNS_GROUP, MDNS_MAX_QUEUE, MDNS_PORT } from './bounds.ts';
import type { LanInterface } from './interfaces.ts';
import { describeSendError } from './words.ts';

interface Job {
  readonly nic: LanInterface;
  readonly bytes: Uint8Array;
  readonly done: () => void;
}

export interface MulticastSenderOptions {
  /** What fails or works again has changed. */
  readonly onState: () => void;
  /** A reason of the closed kind `send-ECODE` or `join-ECODE`, for counting. */
  readonly onDrop: (reason: string) => void;
}

export class MulticastSender {
  readonly #options: MulticastSenderOptions;
  /** Where this socket is in the group, by name and address. */
  readonly #joined = new Map<string, LanInterface>();
  readonly #queue: Job[] = [];
  readonly #failures = new Map<string, string>();
  #socket: Socket | undefined;
  #nics: readonly LanInterface[] = [];
  #sending = false;
  /** Packets handed to the kernel. */
  sentCount = 0;

  constructor(options: MulticastSenderOptions) {
    this.#options = options;
  }

  get nics(): readonly LanInterface[] {
    return this.#nics;
  }

  /**
   * Plain sentences, one per interface that fails. A tunnel that carries no multicast, as WireGuard does not, is no trouble
   * of a machine whose LAN works.
   */
  reasons(): readonly string[] {
    const worksOnLan = this.#nics.some((nic) => nic.kind !== 'virtual' && !this.#failures.has(nic.name));
    const isTold = (name: string): boolean => !worksOnLan || this.#nics.some((nic) => nic.name === name && nic.kind !== 'virtual');
    return [...new Set([...this.#failures].filter(([name]) => isTold(name)).map(([, words]) => words))];
  }

  /** The socket to send with; undefined stops sending and forgets what waits. */
  use(socket: Socket | undefined): void {
    this.#socket = socket;
    this.#joined.clear();
    if (socket === undefined) this.#queue.length = 0;
  }

  /**
   * The interfaces of now. Joins each again, every time: a re-created interface has lost its membership.
   * True when the group was joined somewhere anew, which is worth an announcement.
   */
  setInterfaces(nics: readonly LanInterface[]): boolean {
    this.#nics = nics;
    for (const name of this.#failures.keys()) if (!nics.some((nic) => nic.name === name)) this.#failures.delete(name);
    const socket = this.#socket;
    if (socket === undefined) return false;
    this.#leaveVanished(socket);
    let isNew = false;
    for (const nic of nics) {
      const key = `${nic.name}/${nic.address}`;
      try {
        socket.addMembership(MDNS_GROUP, nic.address);
        isNew = true;
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        // Joined already, by this socket; Windows has the other word for it, which also says that there is no such interface.
        if (code === 'EADDRINUSE' || (code === 'EADDRNOTAVAIL' && this.#hasJoinedOn(nic.name))) isNew ||= !this.#joined.has(key);
        else {
          this.#fail(nic, code ?? 'unknown', 'join');
          continue;
        }
      }
      this.#joined.set(key, nic);
    }
    return isNew;
  }

  /** Linux counts the memberships on interfaces that are gone, and refuses after twenty: tunnels and bridges come and go. */
  #leaveVanished(socket: Socket): void {
    for (const [key, { name, address }] of this.#joined) {
      if (this.#nics.some((nic) => nic.name === name && nic.address === address)) continue;
      this.#joined.delete(key);
      try {
        socket.dropMembership(MDNS_GROUP, address);
      } catch {
        // The system has forgotten it as well.
      }
    }
  }

  #hasJoinedOn(name: string): boolean {
    for (const nic of this.#joined.values()) if (nic.name === name) return true;
    return false;
  }

  /** Queues what `bytesFor` makes for each interface. More than a queueful is an amplifier, and dropped. */
  sendEach(bytesFor: (nic: LanInterface) => Uint8Array, done: () => void): void {
    let left = this.#nics.length;
    if (this.#socket === undefined || left === 0 || this.#queue.length + left > MDNS_MAX_QUEUE) return void process.nextTick(done);
    for (const nic of this.#nics) {
      this.#queue.push({ nic, bytes: bytesFor(nic), done: () => void (--left === 0 && done()) });
    }
    this.#pump();
  }

  #pump(): void {
    if (this.#sending) return;
    const socket = this.#socket;
    const job = socket === undefined ? undefined : this.#queue.shift();
    if (job === undefined || socket === undefined) return;
    const finish = (error?: Error | null): void => {
      this.#sending = false;
      if (error) this.#fail(job.nic, (error as NodeJS.ErrnoException).code ?? 'unknown', 'send');
      else {
        this.sentCount++;
        if (this.#failures.delete(job.nic.name)) this.#options.onState();
      }
      job.done();
      this.#pump();
    };
    this.#sending = true;
    try {
      socket.setMulticastInterface(job.nic.address);
      socket.send(job.bytes, MDNS_PORT, MDNS_GROUP, finish);
    } catch (error) {
      process.nextTick(finish, error as Error);
    }
  }

  #fail(nic: LanInterface, code: string, what: 'join' | 'send'): void {
    this.#options.onDrop(`${what}-${code}`);
    const words = describeSendError(code, nic.name);
    if (this.#failures.get(nic.name) === words) return;
    this.#failures.set(nic.name, words);
    this.#options.onState();
  }
}
