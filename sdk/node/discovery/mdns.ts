/**
 * mDNS through bonjour-service: publishes this room's advert, and names those of others as candidates.
 *
 * The advert is static: `txtvers v id g s`, at most 200 bytes; a random instance and host label for each
 * room, so no machine or user name is on the air and names never collide. What changes (players, name of
 * the room) travels in answers to WHO. An advert proves nothing; a `down` is only a hint to ask.
 */
import { Bonjour, type Browser, type Service } from 'bonjour-service';

import { toBase32 } from '../../base/bytes.ts';
import type { Rng } from '../../base/rng.ts';
import type { Address } from '../../link/endpoint-types.ts';
import { PROTOCOL_VERSION } from '../../wire/limits.ts';
import { MDNS_CROWD, MDNS_MAX_NAMES, MDNS_QUERY_LADDER_MS, MDNS_QUERY_SLOW_MS, SERVICE_NAME } from './bounds.ts';
import type { LanInterface } from './interfaces.ts';
import { LanSocket } from './lan-socket.ts';

export interface Advert {
  readonly peer: string;
  readonly gameId: string;
  /** First 8 hexadecimal digits of a hash of the room id. */
  readonly session: string;
  readonly joinPort: number;
}

export interface MdnsOptions {
  readonly rng: Rng;
  readonly now: () => number;
  /** Somebody is advertised there. `peer` is what the advert claims. */
  readonly onCandidate: (address: Address, peer: string | undefined, gameId: string | undefined) => void;
  /** Somebody said goodbye, or somebody said it for them. */
  readonly onGone: (address: Address) => void;
  /** Another machine spoke of our service. */
  readonly onHeard: (host: string) => void;
  /** The state changed, or `nextAt` did. */
  readonly onState: () => void;
}

/** Time given to a goodbye before the socket closes, ms: two packets 100 ms apart. */
const GOODBYE_MS = 250;

export class Mdns {
  readonly socket: LanSocket;
  readonly #options: MdnsOptions;
  readonly #bonjour: Bonjour;
  /** Where an instance was heard last, when not only where it was heard first: the library never looks again. */
  readonly #hosts = new Map<string, string>();
  #browser: Browser | undefined;
  #service: Service | undefined;
  /** What is to be published, and is not: the library had no list of interfaces. */
  #unpublished: Advert | undefined;
  #farewell: Promise<void> = Promise.resolve();
  /** Questions of this search. */
  #step = 0;
  #searchAt = 0;
  /** When `poll` wants to run, monotonic ms. */
  nextAt = Number.POSITIVE_INFINITY;

  constructor(options: MdnsOptions, nics: readonly LanInterface[]) {
    this.#options = options;
    this.socket = new LanSocket({
      rng: options.rng,
      serviceName: `_${SERVICE_NAME}._udp.local`,
      now: options.now,
      known: () => this.#knownLabels(),
      onHeard: options.onHeard,
      onMoved: (instance, host) => this.#moved(instance, host),
      onRegained: () => {
        if (this.nextAt !== Number.POSITIVE_INFINITY) this.search(options.now());
      },
      onState: options.onState,
    });
    this.socket.setInterfaces(nics);
    // Options of multicast-dns that bonjour-service passes on and its types do not know. Memberships are the socket's: the library would ask the system
    // for its interfaces every five seconds, and end the process where that fails.
    this.#bonjour = new Bonjour({ socket: this.socket, multicast: false } as never, () => undefined);
  }

  *#knownLabels(): Generator<string> {
    for (const service of this.#browser?.services ?? []) {
      const label = service.fqdn.split('.')[0];
      if (label !== undefined) yield label;
    }
  }

  /** Starts the query ladder, or starts it anew. */
  search(now: number): void {
    this.#searchAt = now;
    this.#step = 0;
    if (this.#browser === undefined) this.#browse();
    else this.nextAt = now;
  }

  stopSearching(): void {
    this.nextAt = Number.POSITIVE_INFINITY;
  }

  poll(now: number): void {
    if (this.#unpublished !== undefined && this.socket.hasInterfaces) this.publish(this.#unpublished);
    if (now < this.nextAt) return;
    this.#step++;
    const at = MDNS_QUERY_LADDER_MS[this.#step];
    this.nextAt = at === undefined ? now + MDNS_QUERY_SLOW_MS * (0.9 + this.#options.rng.float() * 0.2) : Math.max(this.#searchAt + at, now + 100);
    // Those already known keep quiet, so they are named again here.
    const services = this.#browser?.services ?? [];
    for (const service of services) this.#report(service);
    if (this.socket.isFull) this.#browseAnew();
    else if (this.#step !== 2 || services.length < MDNS_CROWD) this.#browser?.update();
  }

  /** The browser never forgets a name, so after a flood of them it is exchanged: who lives answers again. */
  #browseAnew(): void {
    const { nextAt } = this;
    const step = this.#step;
    this.#browser?.stop();
    this.socket.forgetNames();
    this.#hosts.clear();
    this.#browse();
    this.nextAt = nextAt;
    this.#step = step;
  }

  #browse(): void {
    // Creating it asks at once. The type filter of `find` on TXT keys throws for answers without TXT.
    const browser = this.#bonjour.find({ type: SERVICE_NAME, protocol: 'udp' });
    this.#step = 1;
    this.nextAt = this.#searchAt + MDNS_QUERY_LADDER_MS[1]!;
    browser.on('up', (service) => this.#report(service));
    browser.on('srv-update', (service) => this.#report(service));
    browser.on('txt-update', (service) => this.#report(service));
    browser.on('down', (service) => {
      for (const address of this.#addresses(service)) this.#options.onGone(address);
    });
    this.#browser = browser;
  }

  #report(service: Service): void {
    const text = (key: string): string | undefined => {
      const value: unknown = (service.txt as Record<string, unknown> | undefined)?.[key];
      return typeof value === 'string' && value.length <= 64 ? value : undefined;
    };
    for (const address of this.#addresses(service)) this.#options.onCandidate(address, text('id'), text('g'));
  }

  /** It has another address now, or a second one. Whoever says so may lie, so both are asked. */
  #moved(instance: string, host: string): void {
    if (this.#hosts.size >= MDNS_MAX_NAMES) this.#hosts.clear();
    this.#hosts.set(instance, host);
    const service = this.#browser?.services.find((known) => known.fqdn.toLowerCase() === instance);
    if (service !== undefined) this.#report(service);
  }

  #addresses(service: Service): readonly Address[] {
    const first = addressOf(service);
    if (first === undefined) return [];
    const host = this.#hosts.get(service.fqdn.toLowerCase());
    return host === undefined || host === first.host ? [first] : [first, { host, port: first.port }];
  }

  /** One advert at a time: the library unpublishes all when one of several stops. */
  publish(advert: Advert): void {
    this.unpublish();
    const random = Uint8Array.from({ length: 8 }, () => this.#options.rng.int(256));
    const instance = `ln-${toBase32(random).slice(0, 12)}`;
    try {
      this.#service = this.#bonjour.publish({
        name: instance,
        host: `${instance}.local`,
        type: SERVICE_NAME,
        protocol: 'udp',
        port: advert.joinPort,
        probe: false,
        disableIPv6: true,
        txt: { txtvers: '1', v: String(PROTOCOL_VERSION), id: advert.peer, g: advert.gameId, s: advert.session },
      });
      // An 'error' without a listener would end the process.
      this.#service.on('error', () => undefined);
    } catch {
      // The library lists interfaces for each advert, and the system may not tell them. Asked again at the next look.
      this.#unpublished = advert;
    }
  }

  unpublish(): void {
    const service = this.#service;
    this.#service = this.#unpublished = undefined;
    if (service === undefined) return;
    this.#farewell = new Promise((resolve) => {
      const timer = setTimeout(resolve, GOODBYE_MS);
      const done = (): void => {
        clearTimeout(timer);
        resolve();
      };
      try {
        service.stop(done);
      } catch {
        // As above: whoever hears no goodbye asks, and gets no answer.
        done();
      }
    });
  }

  async close(): Promise<void> {
    this.nextAt = Number.POSITIVE_INFINITY;
    this.#browser?.stop();
    this.unpublish();
    // A socket that closes under its goodbye leaves the advert on the air until its TTL ends.
    await this.#farewell;
    await new Promise<void>((resolve) => this.#bonjour.destroy(() => resolve()));
  }
}

/** The sender of the packet is where it answers; the records may name addresses of other networks. */
function addressOf(service: Service): Address | undefined {
  const host = service.referer?.address ?? service.addresses?.[0];
  const { port } = service;
  return host === undefined || !Number.isInteger(port) || port <= 0 || port > 65_535 ? undefined : { host, port };
}
