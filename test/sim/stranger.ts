/**
 * Somebody on the network who is in no room: he hears everything, and sends under any address he likes.
 * He repeats what he heard, damages it, floods with handshakes he never ends, and with garbage.
 *
 *   S7  to an address that has proved nothing, no host sends more than half of what came from there; a
 *       sealed packet carried on from elsewhere may draw the challenges that find out whether it moved
 */
import { createRng, type Rng } from '../../sdk/base/rng.ts';
import type { Endpoint } from '../../sdk/link/endpoint.ts';
import { KIND_FIN, encodeHello } from '../../sdk/wire/datagram.ts';
import { JOIN_PORT, SESSION_PORT, type NetemDatagram } from '../../sdk/testing/index.ts';
import type { LinkHost, LinkWorld } from './link-world.ts';

const HEARD = 64;
/** Three challenges may answer one carried packet; a challenge is at most about as large as the least packet. */
const SESSION_FACTOR = 4;
const JOIN_FACTOR = 0.5;
const ACCOMPLICES = 40;

interface Account {
  in: number;
  out: number;
}

export class Stranger {
  readonly violations: string[] = [];
  readonly #world: LinkWorld;
  readonly #rng: Rng;
  readonly #heard: NetemDatagram[] = [];
  readonly #accounts = new Map<string, Account>();
  readonly #accomplices = new Map<string, Endpoint>();
  #nextHost = 0;
  #gone = false;

  constructor(world: LinkWorld, rng: Rng) {
    this.#world = world;
    this.#rng = rng;
    world.onTransmit = (_now, _host, datagram) => this.#listen(datagram);
    world.onDeliver = (_now, _host, datagram) => {
      const account = this.#accounts.get(`${datagram.from.host} ${datagram.socket}`);
      if (account !== undefined) account.in += datagram.bytes.length;
    };
    world.onStray = (now, datagram) => this.#answer(now, datagram);
  }

  leave(): void {
    this.#gone = true;
  }

  #listen(datagram: NetemDatagram): void {
    const account = this.#accounts.get(`${datagram.to.host} ${datagram.socket}`);
    if (account !== undefined) account.out += datagram.bytes.length;
    const { from, to, socket, bytes } = datagram;
    if (this.#heard.length < HEARD) this.#heard.push({ from, to, socket, bytes: bytes.slice() });
    else if (this.#rng.chance(0.05)) this.#heard[this.#rng.int(HEARD)] = { from, to, socket, bytes: bytes.slice() };
  }

  /** Sends under an address nobody has. */
  #send(host: string, target: LinkHost, socket: 'join' | 'session', bytes: Uint8Array): void {
    const key = `${host} ${socket}`;
    if (!this.#accounts.has(key)) this.#accounts.set(key, { in: 0, out: 0 });
    const from = { host, port: socket === 'join' ? JOIN_PORT : SESSION_PORT };
    this.#world.net.handleDatagram(this.#world.now, { from, to: { host: target.host, port: target.portOf(socket) }, socket, bytes });
  }

  /** One burst of mischief. */
  strike(): void {
    const rng = this.#rng;
    const target = this.#world.peer(rng.int(this.#world.peers.length));
    const host = `10.9.${this.#nextHost >>> 8}.${this.#nextHost++ & 0xff}`;
    switch (rng.int(4)) {
      case 0:
        for (let i = rng.int(20); i > 0 && this.#heard.length > 0; i--) this.#carryOn(host, target);
        return;
      case 1:
        for (let i = rng.int(50); i > 0; i--) this.#send(host, target, 'join', this.#hello(false));
        return;
      case 2:
        for (let i = rng.int(20); i > 0; i--) {
          const garbage = Uint8Array.from({ length: rng.int(600) }, () => rng.int(256));
          if (garbage.length > 0) garbage[0] = rng.int(9);
          this.#send(host, target, rng.chance(0.5) ? 'join' : 'session', garbage);
        }
        return;
      default:
        for (let i = 0; i < 10; i++) this.#send(`10.9.250.${rng.int(250)}`, target, 'join', this.#hello(true));
    }
  }

  #hello(ofOtherRoom: boolean): Uint8Array {
    const tagged = this.#heard.find((one) => one.socket === 'join' && one.bytes[0] === 1)?.bytes.slice(10, 18);
    const roomTag = tagged === undefined || ofOtherRoom ? new Uint8Array(8).fill(this.#rng.int(256)) : tagged;
    return encodeHello({ nonce: Uint8Array.from({ length: 8 }, () => this.#rng.int(256)), roomTag }).slice();
  }

  #carryOn(host: string, target: LinkHost): void {
    const heard = this.#heard[this.#rng.int(this.#heard.length)]!;
    const bytes = heard.bytes.slice();
    if (this.#rng.chance(0.3) && bytes.length > 0) bytes[this.#rng.int(bytes.length)]! ^= 1 << this.#rng.int(8);
    this.#send(host, target, heard.socket === 'join' ? 'join' : 'session', bytes);
  }

  // ── handshakes that never end ─────────────────────────────────────────────────────────────────────

  /** Forty addresses that can answer for themselves open a handshake each, and leave it half open. */
  flood(): void {
    const target = this.#world.peer(this.#rng.int(this.#world.peers.length));
    for (let i = 0; i < ACCOMPLICES; i++) {
      const host = `10.8.${this.#nextHost & 0xff}.${i}`;
      const endpoint = this.#world.createEndpoint(this.#world.crypto.generateKeyPair(), createRng(this.#rng.u32()));
      this.#accomplices.set(host, endpoint);
      endpoint.connect(this.#world.now, target.address, { mode: 'open' });
      this.#pump(host, endpoint);
    }
    this.#nextHost++;
  }

  #answer(now: number, datagram: NetemDatagram): void {
    const endpoint = this.#accomplices.get(datagram.to.host);
    if (endpoint === undefined || this.#gone) return;
    endpoint.handleDatagram(now, 'join', datagram.from.host, datagram.from.port, datagram.bytes);
    this.#pump(datagram.to.host, endpoint);
  }

  #pump(host: string, endpoint: Endpoint): void {
    for (let out = endpoint.pollTransmit(this.#world.now); out !== undefined; out = endpoint.pollTransmit(this.#world.now)) {
      if (out.bytes[0] === KIND_FIN) continue;
      const from = { host, port: JOIN_PORT };
      this.#world.net.handleDatagram(this.#world.now, { from, to: { host: out.host, port: out.port }, socket: out.socket, bytes: out.bytes });
    }
  }

  /** Compares what every false address was sent with what came under it. */
  check(): void {
    for (const [key, account] of this.#accounts) {
      const factor = key.endsWith('session') ? SESSION_FACTOR : JOIN_FACTOR;
      if (account.out > factor * account.in && this.violations.length < 10)
        this.violations.push(`S7 at ${Math.round(this.#world.now)} ms: ${account.out} bytes to ${key}, from which ${account.in} came`);
    }
  }
}
