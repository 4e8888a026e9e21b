/**
 * The socket bonjour-service is given (`new Bonjour({ socket })`): looks like dgram's, behaves on a LAN.
 *
 * The library asks once, sends on one interface, answers every question, believes every sender, and dies
 * of errors. Nothing of that is changed there; all of it is changed here:
 *
 *   out  every packet on every interface, one at a time (the outgoing interface is a property of the
 *        socket) · responses re-encoded: this interface's own address, TTL 120 s, cache-flush bits ·
 *        20–120 ms jitter, equal responses at most once a second · goodbyes twice, and never for a name
 *        we did not announce · queries list what is already known
 *   in   source port 5353 on a subnet of ours · our service's label somewhere in the bytes · bounded walk ·
 *        a rate per source · a bound on names · questions whose answer the asker has, or that waits to
 *        leave, are not answered · what its sender said last, word for word, is not read again
 *
 * Errors never reach the library. They become a state with a reason in words.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { EventEmitter } from 'node:events';

import type { Rng } from '../../base/rng.ts';
import {
  DISCOVERY_BUFFER_BYTES,
  MDNS_ANNOUNCE_AGAIN_MS,
  MDNS_CROWD,
  MDNS_MAX_NAMES,
  MDNS_MAX_SOURCES,
  MDNS_PORT,
  MDNS_QUERY_BYTES,
  MDNS_REBIND_MS,
  MDNS_RESPONSE_GAP_MS,
  MDNS_SOURCE_BURST,
  MDNS_SOURCE_PER_S,
  MDNS_TTL_S,
} from './bounds.ts';
import { enlargeReceiveBuffer } from '../receive-buffer.ts';
import { DNS_TYPE, walkDns, withKnownAnswers, type DnsPacket } from './dns-walker.ts';
import { isOnLink, type LanInterface } from './interfaces.ts';
import { encodeFor, readResponse, responseKey, type Response } from './mdns-response.ts';
import { MulticastSender } from './multicast-sender.ts';
import { SourceRates } from './source-rates.ts';

export interface LanSocketOptions {
  readonly rng: Rng;
  /** Fully qualified service type in lower case: `_lanista._udp.local`. */
  readonly serviceName: string;
  /** Instance labels known by now, for known answers. */
  readonly known: () => Iterable<string>;
  readonly now: () => number;
  /** Another machine of a subnet of ours spoke of our service. */
  readonly onHeard: (host: string) => void;
  /** An instance, by its name in lower case, was heard from another address than the last time. */
  readonly onMoved: (instance: string, host: string) => void;
  /** The port is ours, which another program had held: what was asked until now left on no socket. */
  readonly onRegained?: () => void;
  /** Something about the state changed. */
  readonly onState: () => void;
}

type Callback = (error?: Error | null) => void;

export class LanSocket extends EventEmitter {
  readonly #options: LanSocketOptions;
  readonly #rates = new SourceRates(MDNS_SOURCE_BURST, MDNS_SOURCE_PER_S, MDNS_MAX_SOURCES);
  readonly #sender: MulticastSender;
  readonly #names = new Set<string>();
  /** What was last said of an instance, by its name, and by whom. */
  readonly #told = new Map<string, { readonly host: string; readonly bytes: Buffer }>();
  /** When an equal response may leave again, by its key. */
  readonly #responseAt = new Map<string, number>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #socket: Socket | undefined;
  #closed = false;
  #bindTried = false;
  /** The newest announcement of our instance. */
  #announced: Response | undefined;
  /** When it is announced a second time, monotonic ms. */
  #againAt = 0;
  #bindFailure: string | undefined;
  readonly drops: Record<string, number> = {};
  /** Our own packets looped back: multicast goes out and comes in. */
  echoCount = 0;

  constructor(options: LanSocketOptions) {
    super();
    this.#options = options;
    this.#sender = new MulticastSender({ onState: options.onState, onDrop: (reason) => this.#drop(reason) });
  }

  // ---- what multicast-dns calls ----

  bind(_port: number, _address: string | undefined, callback?: () => void): void {
    this.#bindTried = true;
    this.#open(() => {
      if (this.#closed) return;
      this.emit('listening');
      callback?.();
    });
  }

  address(): { address: string; port: number; family: string } {
    return { address: '0.0.0.0', port: MDNS_PORT, family: 'IPv4' };
  }

  // Membership and interface are ours to decide, per packet.
  setMulticastTTL(): void {}
  setMulticastLoopback(): void {}
  setMulticastInterface(): void {}
  addMembership(): void {}
  dropMembership(): void {}

  send(buffer: Uint8Array, offset: number, length: number, _port: number, _address: string, callback?: Callback): void {
    const done = callback ?? ((): void => undefined);
    const bytes = Buffer.from(buffer.subarray(offset, offset + length));
    const packet = walkDns(bytes);
    if (typeof packet === 'string') {
      this.#drop(`out-${packet}`);
      done();
    } else if (packet.isResponse) {
      this.#respond(readResponse(bytes, packet), done);
    } else {
      const query = withKnownAnswers(bytes, this.#options.known(), MDNS_TTL_S - 10, MDNS_QUERY_BYTES);
      this.#sender.sendEach(() => query, done);
    }
  }

  close(callback?: () => void): void {
    this.#closed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#sender.use(undefined);
    const socket = this.#socket;
    this.#socket = undefined;
    if (socket === undefined) callback?.();
    else socket.close(() => callback?.());
  }

  // ---- what discovery calls ----

  /** True once the library called `bind`: the undocumented hook is in use. */
  get isHooked(): boolean {
    return this.#bindTried;
  }

  /** Packets handed to the kernel. */
  get sentCount(): number {
    return this.#sender.sentCount;
  }

  /** Plain sentences; empty when everything works. */
  reasons(): readonly string[] {
    return this.#bindFailure === undefined ? this.#sender.reasons() : [this.#bindFailure];
  }

  /** The interfaces of now; cheap to repeat, and to be repeated: a re-created interface is joined anew. */
  setInterfaces(nics: readonly LanInterface[]): void {
    if (this.#sender.setInterfaces(nics)) this.announce();
  }

  /** Whether there is anywhere to send to. */
  get hasInterfaces(): boolean {
    return this.#sender.nics.length > 0;
  }

  /** Sends our newest announcement again, everywhere. */
  announce(): void {
    if (this.#announced !== undefined) this.#transmit(this.#announced);
  }

  /** True when no new name is let in any more. */
  get isFull(): boolean {
    return this.#names.size >= MDNS_MAX_NAMES;
  }

  /** Lets new names in again, after the browser forgot the old ones. */
  forgetNames(): void {
    this.#names.clear();
    this.#told.clear();
  }

  // ---- socket ----

  #open(ready: () => void): void {
    const socket = createSocket({ type: 'udp4', reuseAddr: true });
    const refuse = (error: NodeJS.ErrnoException): void => {
      socket.close();
      const holder =
        error.code === 'EADDRINUSE'
          ? 'another program holds UDP port 5353 for itself'
          : `UDP port 5353 cannot be opened (${error.code ?? error.message})`;
      this.#bindFailure = `mDNS is off: ${holder}; the search goes on by broadcast.`;
      this.#options.onState();
      // The library is told that all is well: it has no path for this but a crash.
      ready();
      this.#after(MDNS_REBIND_MS, () => this.#open(() => this.announce()));
    };
    socket.once('error', refuse);
    socket.bind({ port: MDNS_PORT, address: '0.0.0.0', exclusive: true }, () => {
      socket.removeListener('error', refuse);
      socket.on('error', (error: NodeJS.ErrnoException) => this.#drop(`socket-${error.code ?? 'unknown'}`));
      if (this.#closed) {
        socket.close();
        return;
      }
      enlargeReceiveBuffer(socket, DISCOVERY_BUFFER_BYTES);
      socket.on('message', (bytes, remote) => this.handlePacket(bytes, remote));
      try {
        socket.setMulticastTTL(255);
        socket.setMulticastLoopback(true);
      } catch (error) {
        this.#drop(`option-${(error as NodeJS.ErrnoException).code ?? 'unknown'}`);
      }
      this.#socket = socket;
      this.#sender.use(socket);
      const wasHeld = this.#bindFailure !== undefined;
      this.#bindFailure = undefined;
      this.setInterfaces(this.#sender.nics);
      if (wasHeld) this.#options.onRegained?.();
      this.#options.onState();
      ready();
    });
  }

  // ---- in ----

  /** What the kernel delivered on 5353. Never throws. */
  handlePacket(bytes: Buffer, remote: RemoteInfo): void {
    if (this.#closed) return;
    if (remote.port !== MDNS_PORT) return this.#drop('source-port');
    const { nics } = this.#sender;
    if (!nics.some((nic) => isOnLink(remote.address, nic))) return this.#drop('off-link');
    // Most traffic on 5353 is other people's; a search for our label is cheaper than a walk. The packet is
    // not lower-cased for it: everybody copies the label as it was published.
    if (bytes.indexOf('_lanista') < 0 && bytes.indexOf('_dns-sd') < 0) return this.#drop('other-service');
    if (!this.#rates.take(remote.address, this.#options.now())) return this.#drop('rate');
    const packet = walkDns(bytes);
    if (typeof packet === 'string') return this.#drop(packet);
    if (nics.some((nic) => nic.address === remote.address)) this.echoCount++;
    else this.#options.onHeard(remote.address);
    if (packet.isResponse) {
      if (this.#isRepeat(packet, bytes, remote.address)) return this.#drop('repeat');
      if (!this.#admitNames(packet)) return this.#drop('names');
    } else if (this.#isKnownToAsker(packet)) {
      return this.#drop('known-answer');
    } else if (this.#isAnswerWaiting(packet)) {
      return this.#drop('coalesced');
    }
    try {
      this.emit('message', bytes, remote);
    } catch (error) {
      this.#drop(`library-${error instanceof Error ? error.name : 'throw'}`);
    }
  }

  /**
   * Nothing but what was last said of the same instance, by the same machine: the library has it. Thirty-two that
   * start at once say most things several times, and a decoder of everything is what they would spend their time in.
   */
  #isRepeat(packet: DnsPacket, bytes: Buffer, host: string): boolean {
    let instance: string | undefined;
    let isPlain = bytes.length <= MDNS_QUERY_BYTES;
    for (const record of [...packet.answers, ...packet.extras]) {
      if (record.type !== DNS_TYPE.PTR || record.name.toLowerCase() !== this.#options.serviceName) continue;
      isPlain &&= instance === undefined && record.ttlS > 0;
      instance = record.target.toLowerCase();
      // An end, or several at once: whatever comes next is news.
      if (!isPlain) this.#told.delete(instance);
    }
    if (instance === undefined || !isPlain) return false;
    const last = this.#told.get(instance);
    if (last?.host === host && last.bytes.equals(bytes)) return true;
    if (last !== undefined && last.host !== host) this.#options.onMoved(instance, host);
    if (last === undefined && this.#told.size >= MDNS_MAX_NAMES) this.#told.clear();
    this.#told.set(instance, { host, bytes: Buffer.from(bytes) });
    return false;
  }

  /**
   * The browser keeps every name for ever, in a list it searches; so the number of names is bounded. It takes them from every part of a
   * response, and tells names apart that differ in more than the case of ASCII, as bytes above it do in lower case: each spelling counts.
   */
  #admitNames(packet: DnsPacket): boolean {
    for (const record of [...packet.answers, ...packet.extras]) {
      if (record.type !== DNS_TYPE.PTR || record.name.toLowerCase() !== this.#options.serviceName) continue;
      const name = record.target;
      if (this.#names.has(name)) continue;
      if (this.#names.size >= MDNS_MAX_NAMES) return false;
      if (record.ttlS > 0) this.#names.add(name);
    }
    return true;
  }

  /** RFC 6762 §7.1: the asker lists our instance with at least half its life left. */
  #isKnownToAsker(packet: DnsPacket): boolean {
    const fqdn = this.#announced?.instance;
    if (fqdn === undefined || !packet.questions.every((question) => question.type === DNS_TYPE.PTR)) return false;
    return packet.answers.some((answer) => answer.type === DNS_TYPE.PTR && answer.ttlS >= MDNS_TTL_S / 2 && answer.target.toLowerCase() === fqdn);
  }

  /** Our instance was asked for a moment ago, and that answer, which is for all, has not left yet. */
  #isAnswerWaiting(packet: DnsPacket): boolean {
    const { serviceName, now } = this.#options;
    if (this.#announced === undefined) return false;
    const allowedAt = this.#responseAt.get(responseKey(this.#announced)) ?? 0;
    const isSoon = this.#told.size >= MDNS_CROWD && now() < this.#againAt;
    return (
      (isSoon || allowedAt > now() + MDNS_RESPONSE_GAP_MS) &&
      packet.questions.every(({ type, name }) => type === DNS_TYPE.PTR && name === serviceName)
    );
  }

  // ---- out ----

  #respond(response: Response, done: Callback): void {
    if (response.kind === 'goodbye') {
      // A name conflict makes the library say goodbye for the other's record; only ours may end.
      if (this.#announced?.instance !== response.instance) {
        this.#drop('foreign-goodbye');
        return done();
      }
      this.#announced = undefined;
      this.#transmit(response);
      this.#after(100, () => this.#transmit(response, () => done()));
      return;
    }
    const isFirst = this.#announced === undefined;
    const isAnnouncement = response.kind === 'announcement';
    if (isAnnouncement || (response.instance !== undefined && isFirst)) this.#announced = response;
    done();
    if (response.answers.length === 0) return;
    if (isFirst && isAnnouncement) {
      // The first one has nothing to collide with, and somebody may be waiting; again after 1 s (RFC 6762 §8.3).
      this.#transmit(response);
      this.#againAt = this.#options.now() + MDNS_ANNOUNCE_AGAIN_MS;
      this.#after(MDNS_ANNOUNCE_AGAIN_MS, () => this.announce());
      return;
    }
    this.#transmitLater(response);
  }

  /** After 20–120 ms, unless an equal response left less than a second ago or is waiting. */
  #transmitLater(response: Response): void {
    const key = responseKey(response);
    const now = this.#options.now();
    const allowedAt = this.#responseAt.get(key) ?? 0;
    if (allowedAt > now + MDNS_RESPONSE_GAP_MS) return this.#drop('coalesced');
    const at = Math.max(now + 20 + this.#options.rng.int(100), allowedAt);
    if (this.#responseAt.size >= 64) this.#responseAt.clear();
    // While one waits, `allowedAt` lies more than a gap ahead, so equal ones fall into it.
    this.#responseAt.set(key, at + MDNS_RESPONSE_GAP_MS);
    this.#after(at - now, () => this.#transmit(response));
  }

  #transmit(response: Response, done: () => void = () => undefined): void {
    this.#sender.sendEach((nic) => encodeFor(nic, response), done);
  }

  #drop(reason: string): void {
    this.drops[reason] = (this.drops[reason] ?? 0) + 1;
  }

  #after(ms: number, run: () => void): void {
    if (this.#closed) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!this.#closed) run();
    }, ms);
    timer.unref();
    this.#timers.add(timer);
  }
}
