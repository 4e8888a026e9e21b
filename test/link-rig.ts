/**
 * Endpoints on a bad network under a clock that jumps from event to event.
 */
import { createRng } from '../sdk/base/rng.ts';
import type { PeerId, RoomId } from '../sdk/base/brand.ts';
import { Endpoint } from '../sdk/link/endpoint.ts';
import type { AttemptId, EndpointEvent, LinkId, SocketKind } from '../sdk/link/endpoint-types.ts';
import type { CryptoProvider, KeyPair } from '../sdk/secure/provider.ts';
import { NonceRegistry, createSimCrypto } from '../sdk/testing/sim-crypto.ts';
import { Netem, type NetemOptions } from '../sdk/testing/netem.ts';

export const ROOM = '00112233445566778899aabbccddeeff' as RoomId;

export interface Node {
  readonly host: string;
  readonly endpoint: Endpoint;
  readonly events: EndpointEvent[];
  /** Datagrams that left, and arrived. */
  bytesOut: number;
  bytesIn: number;
  datagramsOut: number;
  paused: boolean;
}

export const JOIN_PORT = 1;
export const SESSION_PORT = 2;

export class Rig {
  now = 1_000;
  readonly net: Netem;
  readonly nodes: Node[] = [];
  #spins = 0;
  #made = 0;
  /** Sees every datagram that leaves; return false to swallow it. */
  onSend: ((from: Node, socket: SocketKind, host: string, port: number, bytes: Uint8Array) => boolean) | undefined;
  onEvent: ((node: Node, event: EndpointEvent) => void) | undefined;

  readonly #seed: number;
  readonly #registry = new NonceRegistry();

  constructor(options: Partial<NetemOptions> = {}) {
    this.net = new Netem({ seed: 1, ...options });
    this.#seed = options.seed ?? 1;
  }

  add(host = `h${this.nodes.length}`, roomId: RoomId = ROOM, prologue = new Uint8Array([1]), given?: KeyPair, provider?: CryptoProvider): Node {
    const made = ++this.#made;
    const crypto = provider ?? createSimCrypto(createRng(this.#seed * 1_000 + made), this.#registry);
    const identity = given ?? crypto.generateKeyPair();
    const endpoint = new Endpoint({
      crypto,
      rng: createRng(this.#seed * 100 + made),
      identity,
      roomId,
      joinPort: JOIN_PORT,
      sessionPort: SESSION_PORT,
      prologue,
    });
    endpoint.setDoor({ open: true, code: undefined, roomKey: undefined });
    const node: Node = { host, endpoint, events: [], bytesOut: 0, bytesIn: 0, datagramsOut: 0, paused: false };
    this.nodes.push(node);
    return node;
  }

  drain(node: Node): void {
    const { waiting } = node.endpoint;
    for (let t = node.endpoint.pollTransmit(this.now); t !== undefined; t = node.endpoint.pollTransmit(this.now)) {
      if (!waiting) throw new Error('a datagram leaves of an endpoint that said that nothing waits');
      node.bytesOut += t.bytes.length;
      node.datagramsOut++;
      if (this.onSend !== undefined && !this.onSend(node, t.socket, t.host, t.port, t.bytes)) continue;
      this.net.handleDatagram(this.now, {
        from: { host: node.host, port: t.socket === 'join' ? JOIN_PORT : SESSION_PORT },
        to: { host: t.host, port: t.port },
        socket: t.socket,
        bytes: t.bytes,
      });
    }
    for (let e = node.endpoint.pollEvent(); e !== undefined; e = node.endpoint.pollEvent()) {
      node.events.push(e);
      this.onEvent?.(node, e);
    }
  }

  deliver(node: Node, socket: SocketKind, host: string, port: number, bytes: Uint8Array): void {
    node.bytesIn += bytes.length;
    node.endpoint.handleDatagram(this.now, socket, host, port, bytes);
    this.drain(node);
  }

  /** Runs until `until` or until `done` says so; returns whether it did. */
  run(ms: number, done?: () => boolean): boolean {
    const until = this.now + ms;
    for (const node of this.nodes) this.drain(node);
    for (;;) {
      if (done?.() === true) return true;
      let next = this.net.pollTimeout();
      for (const node of this.nodes) if (!node.paused) next = Math.min(next, node.endpoint.pollTimeout());
      if (next > until) {
        this.now = until;
        return done?.() ?? true;
      }
      // An endpoint that asks to be called at once, again and again, would hang a real process.
      this.#spins = next > this.now ? 0 : this.#spins + 1;
      if (this.#spins > 2_000)
        throw new Error(
          `busy loop at ${this.now}: ${this.nodes.map((n) => `${n.endpoint.pollTimeout()} ${JSON.stringify(n.endpoint.load)}`).join(', ')}`,
        );
      this.now = Math.max(this.now, next);
      for (let d = this.net.poll(this.now); d !== undefined; d = this.net.poll(this.now)) {
        const to = d.to;
        const node = this.nodes.find((n) => n.host === to.host);
        if (node === undefined || node.paused) continue;
        if (to.port !== JOIN_PORT && to.port !== SESSION_PORT) continue;
        this.deliver(node, to.port === JOIN_PORT ? 'join' : 'session', d.from.host, d.from.port, d.bytes);
      }
      for (const node of this.nodes) {
        if (node.paused) continue;
        if (node.endpoint.pollTimeout() <= this.now) node.endpoint.handleTimeout(this.now);
        this.drain(node);
      }
    }
  }

  connect(a: Node, b: Node, mode: 'open' | 'code' | 'member' = 'open', code?: string, expect?: PeerId): AttemptId {
    const id = a.endpoint.connect(this.now, { host: b.host, port: JOIN_PORT }, code === undefined ? { mode } : { mode, code }, expect);
    this.drain(a);
    return id;
  }

  /** Connects and runs until both sides are linked. */
  pair(a: Node, b: Node, ms = 5_000): [LinkId, LinkId] {
    this.connect(a, b);
    if (!this.run(ms, () => linkOf(a, b) !== undefined && linkOf(b, a) !== undefined))
      throw new Error(`not linked: ${JSON.stringify(a.events)} ${JSON.stringify(b.endpoint.drops)}`);
    return [linkOf(a, b)!, linkOf(b, a)!];
  }
}

/** The live link from one node to another, by its events. */
export function linkOf(node: Node, to: Node): LinkId | undefined {
  let link: LinkId | undefined;
  for (const e of node.events) {
    if (e.type === 'linked' && e.peer === to.endpoint.self) link = e.link;
    if (e.type === 'closed' && e.link === link) link = undefined;
  }
  return link;
}

export function messagesOf(node: Node): { readonly channel: string; readonly lane: number; readonly bytes: Uint8Array }[] {
  return node.events.filter((e) => e.type === 'message');
}

/** A message of `size` bytes (at least 4) that says its number. */
export const numbered = (i: number, size = 4): Uint8Array => {
  const bytes = new Uint8Array(Math.max(4, size)).fill(i & 0xff);
  bytes[0] = i >>> 24;
  bytes[1] = i >>> 16;
  bytes[2] = i >>> 8;
  bytes[3] = i;
  return bytes;
};

export const numberOf = (bytes: Uint8Array): number => (bytes[0]! << 24) | (bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]!;
