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
 *        a rate per source · a bound on names · questions whose answer the asker has are not answered
 *
 * Errors never reach the library. They become a state with a reason in words.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { EventEmitter } from 'node:events';

import type { Rng } from '../../base/rng.ts';
import {
  MDNS_GROUP,
  MDNS_MAX_NAMES,
  MDNS_MAX_QUEUE,
  MDNS_PORT,
  MDNS_QUERY_BYTES,
  MDNS_REBIND_MS,
  MDNS_RESPONSE_GAP_MS,
  MDNS_SOURCE_BURST,
  MDNS_SOURCE_PER_S,
  MDNS_TTL_S,
  MDNS_MAX_SOURCES,
} from './bounds.ts';
import { DNS_TYPE, encodeName, encodeResponse, walkDns, withKnownAnswers, type DnsPacket, type DnsRecord, type OutRecord } from './dns-walker.ts';
import { isOnLink, parseIpv4, type LanInterface } from './interfaces.ts';
import { SourceRates } from './source-rates.ts';
import { describeSendError } from './words.ts';

export interface LanSocketOptions {
  readonly rng: Rng;
  /** Fully qualified service type in lower case: `_lanista._udp.local`. */
  readonly serviceName: string;
  /** Instance labels known by now, for known answers. */
  readonly known: () => Iterable<string>;
  readonly now: () => number;
  /** Something about the state changed. */
  readonly onState: () => void;
}

interface Response {
  readonly answers: readonly OutRecord[];
  readonly extras: readonly OutRecord[];
  /** Host name of our SRV record: where the interface's address record hangs. */
  readonly host: string | undefined;
}

interface Job {
  readonly nic: LanInterface;
  readonly bytes: Uint8Array;
  readonly done: () => void;
}

type Callback = (error?: Error | null) => void;

export class LanSocket extends EventEmitter {
  readonly #options: LanSocketOptions;
  readonly #rates = new SourceRates(MDNS_SOURCE_BURST, MDNS_SOURCE_PER_S, MDNS_MAX_SOURCES);
  readonly #joined = new Set<string>();
  readonly #queue: Job[] = [];
  readonly #names = new Set<string>();
  /** When an equal response may leave again, by its key. */
  readonly #responseAt = new Map<string, number>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #socket: Socket | undefined;
  #nics: readonly LanInterface[] = [];
  #sending = false;
  #closed = false;
  #bindTried = false;
  /** Our announced instance, lower case, and its newest announcement. */
  #announced: { readonly fqdn: string; readonly response: Response } | undefined;
  #bindFailure: string | undefined;
  readonly #nicFailures = new Map<string, string>();
  readonly drops: Record<string, number> = {};
  /** Packets handed to the kernel. */
  sentCount = 0;
  /** Our own packets looped back: multicast goes out and comes in. */
  echoCount = 0;

  constructor(options: LanSocketOptions) {
    super();
    this.#options = options;
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
      this.#respond(bytes, packet, done);
    } else {
      this.#sendEverywhere(withKnownAnswers(bytes, this.#options.known(), MDNS_TTL_S - 10, MDNS_QUERY_BYTES), done);
    }
  }

  close(callback?: () => void): void {
    this.#closed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#queue.length = 0;
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

  /** Plain sentences; empty when everything works. */
  reasons(): readonly string[] {
    if (this.#bindFailure !== undefined) return [this.#bindFailure];
    return [...new Set(this.#nicFailures.values())];
  }

  /** False while nothing can be sent or heard on any interface. */
  get isUsable(): boolean {
    return this.#socket !== undefined && this.#nics.length > 0 && this.#nics.some((nic) => !this.#nicFailures.has(nic.name));
  }

  /** The interfaces of now. Joins each again, every time: a re-created interface has lost its membership. */
  setInterfaces(nics: readonly LanInterface[]): void {
    this.#nics = nics;
    for (const name of this.#nicFailures.keys()) if (!nics.some((nic) => nic.name === name)) this.#nicFailures.delete(name);
    const socket = this.#socket;
    if (socket === undefined) return;
    let isNew = false;
    for (const nic of nics) {
      const key = `${nic.name}/${nic.address}`;
      try {
        socket.addMembership(MDNS_GROUP, nic.address);
        isNew = true;
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === 'EADDRINUSE') isNew ||= !this.#joined.has(key);
        else this.#fail(nic, code ?? 'unknown', 'join');
      }
      this.#joined.add(key);
    }
    if (isNew) this.announce();
  }

  /** Sends our newest announcement again, everywhere. */
  announce(): void {
    if (this.#announced !== undefined) this.#sendResponse(this.#announced.response, () => undefined);
  }

  /** Lets new names in again, after the browser forgot the old ones. */
  forgetNames(): void {
    this.#names.clear();
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
      socket.on('message', (bytes, remote) => this.handlePacket(bytes, remote));
      try {
        socket.setMulticastTTL(255);
        socket.setMulticastLoopback(true);
      } catch (error) {
        this.#drop(`option-${(error as NodeJS.ErrnoException).code ?? 'unknown'}`);
      }
      this.#socket = socket;
      this.#bindFailure = undefined;
      this.setInterfaces(this.#nics);
      this.#options.onState();
      ready();
    });
  }

  // ---- in ----

  /** What the kernel delivered on 5353. Never throws. */
  handlePacket(bytes: Buffer, remote: RemoteInfo): void {
    if (this.#closed) return;
    if (remote.port !== MDNS_PORT) return this.#drop('source-port');
    const nic = this.#nics.find((one) => isOnLink(remote.address, one));
    if (nic === undefined) return this.#drop('off-link');
    // Most traffic on 5353 is other people's; a search for our label is cheaper than a walk. The packet is
    // not lower-cased for it: everybody copies the label as it was published.
    if (bytes.indexOf('_lanista') < 0 && bytes.indexOf('_dns-sd') < 0) return this.#drop('other-service');
    if (!this.#rates.take(remote.address, this.#options.now())) return this.#drop('rate');
    const packet = walkDns(bytes);
    if (typeof packet === 'string') return this.#drop(packet);
    if (this.#nics.some((one) => one.address === remote.address)) this.echoCount++;
    if (packet.isResponse) {
      if (!this.#admitNames(packet)) return this.#drop('names');
    } else if (this.#isKnownToAsker(packet)) {
      return this.#drop('known-answer');
    }
    try {
      this.emit('message', bytes, remote);
    } catch (error) {
      this.#drop(`library-${error instanceof Error ? error.name : 'throw'}`);
    }
  }

  /** The browser keeps every name for ever, in a list it searches; so the number of names is bounded. */
  #admitNames(packet: DnsPacket): boolean {
    for (const record of packet.answers) {
      if (record.type !== DNS_TYPE.PTR || record.name.toLowerCase() !== this.#options.serviceName) continue;
      const name = record.target.toLowerCase();
      if (this.#names.has(name)) continue;
      if (this.#names.size >= MDNS_MAX_NAMES) return false;
      if (record.ttlS > 0) this.#names.add(name);
    }
    return true;
  }

  /** RFC 6762 §7.1: the asker lists our instance with at least half its life left. */
  #isKnownToAsker(packet: DnsPacket): boolean {
    const fqdn = this.#announced?.fqdn;
    if (fqdn === undefined || !packet.questions.every((question) => question.type === DNS_TYPE.PTR)) return false;
    return packet.answers.some((answer) => answer.type === DNS_TYPE.PTR && answer.ttlS >= MDNS_TTL_S / 2 && answer.target.toLowerCase() === fqdn);
  }

  // ---- out ----

  #respond(bytes: Uint8Array, packet: DnsPacket, done: Callback): void {
    const records = [...packet.answers, ...packet.extras];
    const srv = records.find((record) => record.type === DNS_TYPE.SRV);
    const isGoodbye = srv !== undefined && srv.ttlS === 0;
    const response: Response = {
      answers: this.#rewrite(bytes, packet.answers, isGoodbye),
      extras: this.#rewrite(bytes, packet.extras, isGoodbye),
      host: srv === undefined || isGoodbye ? undefined : srv.target,
    };
    if (isGoodbye) {
      // A name conflict makes the library say goodbye for the other's record; only ours may end.
      if (this.#announced?.fqdn !== srv.name.toLowerCase()) {
        this.#drop('foreign-goodbye');
        return done();
      }
      this.#announced = undefined;
      this.#sendResponse(response, () => undefined);
      this.#after(100, () => this.#sendResponse(response, () => done()));
      return;
    }
    const isAnnouncement = srv !== undefined && packet.answers.some((record) => record.type === DNS_TYPE.PTR);
    const isFirst = this.#announced === undefined;
    if (isAnnouncement || (srv !== undefined && isFirst)) this.#announced = { fqdn: srv.name.toLowerCase(), response };
    done();
    if (response.answers.length === 0) return;
    if (isFirst && isAnnouncement) {
      // The first one has nothing to collide with, and somebody may be waiting; again after 1 s (RFC 6762 §8.3).
      this.#sendResponse(response, () => undefined);
      this.#after(1_000, () => this.announce());
      return;
    }
    this.#sendLater(response);
  }

  /** After 20–120 ms, unless an equal response left less than a second ago or is waiting. */
  #sendLater(response: Response): void {
    const key = response.answers.map((answer) => `${answer.type} ${answer.name}`).join('|');
    const now = this.#options.now();
    const allowedAt = this.#responseAt.get(key) ?? 0;
    if (allowedAt > now + MDNS_RESPONSE_GAP_MS) return this.#drop('coalesced');
    const at = Math.max(now + 20 + this.#options.rng.int(100), allowedAt);
    if (this.#responseAt.size >= 64) this.#responseAt.clear();
    // While one waits, `allowedAt` lies more than a gap ahead, so equal ones fall into it.
    this.#responseAt.set(key, at + MDNS_RESPONSE_GAP_MS);
    this.#after(at - now, () => this.#sendResponse(response, () => undefined));
  }

  /** Our records as they should be: no addresses (each interface adds its own), one TTL, flush where unique. */
  #rewrite(bytes: Uint8Array, records: readonly DnsRecord[], isGoodbye: boolean): OutRecord[] {
    const out: OutRecord[] = [];
    for (const record of records) {
      const isMeta = record.name.toLowerCase().startsWith('_services._dns-sd');
      // The service type is shared with every other player: one leaving must not end it.
      if (isMeta && record.ttlS === 0) continue;
      const ttlS = isGoodbye || record.ttlS === 0 ? 0 : MDNS_TTL_S;
      const { name, type } = record;
      if (type === DNS_TYPE.PTR) out.push({ name, type, ttlS, flush: false, data: encodeName(record.target) });
      else if (type === DNS_TYPE.TXT) out.push({ name, type, ttlS, flush: true, data: bytes.slice(record.dataStart, record.dataEnd) });
      else if (type === DNS_TYPE.SRV) {
        out.push({
          name,
          type,
          ttlS,
          flush: true,
          data: Buffer.concat([bytes.slice(record.dataStart, record.dataStart + 6), encodeName(record.target)]),
        });
      }
    }
    return out;
  }

  #sendResponse(response: Response, done: () => void): void {
    this.#sendEach((nic) => {
      if (response.host === undefined) return encodeResponse(response.answers, response.extras);
      const value = parseIpv4(nic.address)!;
      const address: OutRecord = {
        name: response.host,
        type: DNS_TYPE.A,
        ttlS: MDNS_TTL_S,
        flush: true,
        data: Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value),
      };
      return encodeResponse(response.answers, [...response.extras, address]);
    }, done);
  }

  #sendEverywhere(bytes: Uint8Array, done: () => void): void {
    this.#sendEach(() => bytes, done);
  }

  #sendEach(bytesFor: (nic: LanInterface) => Uint8Array, done: () => void): void {
    let left = this.#nics.length;
    if (this.#socket === undefined || left === 0 || this.#queue.length + left > MDNS_MAX_QUEUE) return void process.nextTick(done);
    for (const nic of this.#nics) {
      this.#queue.push({ nic, bytes: bytesFor(nic), done: () => void (--left === 0 && done()) });
    }
    this.#pump();
  }

  /** One at a time: the outgoing interface belongs to the socket, not to the packet. */
  #pump(): void {
    if (this.#sending) return;
    const job = this.#queue.shift();
    const socket = this.#socket;
    if (job === undefined || socket === undefined) return;
    const finish = (error?: Error | null): void => {
      this.#sending = false;
      if (error) this.#fail(job.nic, (error as NodeJS.ErrnoException).code ?? 'unknown', 'send');
      else {
        this.sentCount++;
        if (this.#nicFailures.delete(job.nic.name)) this.#options.onState();
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
    this.#drop(`${what}-${code}`);
    const words = describeSendError(code, nic.name);
    if (this.#nicFailures.get(nic.name) === words) return;
    this.#nicFailures.set(nic.name, words);
    this.#options.onState();
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
