/**
 * A few hosts with nothing but an endpoint on each: handshakes, links and channels under the same faults
 * as a room, without anybody above who would paper over them.
 *
 * What stands for the layer above is as plain as can be: a host that lacks a live link to another one
 * calls it, and calls again after a while.
 */
import type { PeerId, RoomId } from '../../sdk/base/brand.ts';
import { toHex } from '../../sdk/base/bytes.ts';
import { createRng, type Rng } from '../../sdk/base/rng.ts';
import { Endpoint } from '../../sdk/link/endpoint.ts';
import type { AttemptId, DoorMode, EndpointEvent, LinkId } from '../../sdk/link/endpoint-types.ts';
import type { CryptoProvider, KeyPair } from '../../sdk/secure/provider.ts';
import { Host, Hosts, JOIN_PORT, SESSION_PORT, type HostsOptions } from '../../sdk/testing/index.ts';

/** A silent link is given up by its owner after this (ms), as the mesh does. */
const SILENT_LIMIT_MS = 1_500;

export interface OpenLink {
  readonly id: LinkId;
  readonly peer: PeerId;
  silentSince: number | undefined;
}

export class LinkHost extends Host<Endpoint> {
  identity: KeyPair;
  /** The newest open link to each peer. */
  readonly links = new Map<PeerId, OpenLink>();
  /** Attempts under way, and whom they call. */
  readonly attempts = new Map<AttemptId, number>();
  /** When each host was last called, ms of the world. */
  readonly calledAt = new Map<number, number>();

  constructor(index: number, rng: Rng, identity: KeyPair, driftPpm: number) {
    super(index, rng, driftPpm);
    this.identity = identity;
  }
}

export interface LinkWatcher {
  onLife(now: number, host: LinkHost): void;
  onEvent(now: number, host: LinkHost, event: EndpointEvent): void;
}

export class LinkWorld extends Hosts<Endpoint, LinkHost> {
  readonly watchers: LinkWatcher[] = [];
  readonly roomId: RoomId;
  readonly #mode: DoorMode;
  readonly #roomKey: Uint8Array;

  constructor(options: HostsOptions & { readonly hosts: number; readonly mode: DoorMode }) {
    super(options);
    this.#mode = options.mode;
    this.roomId = toHex(this.crypto.randomBytes(16)) as RoomId;
    this.#roomKey = this.crypto.randomBytes(32);
    for (let i = 0; i < options.hosts; i++)
      this.add(new LinkHost(i, createRng(this.rng.u32()), this.crypto.generateKeyPair(), options.driftPpm ?? 0));
  }

  start(index: number, more: { readonly newIdentity?: boolean; readonly crypto?: CryptoProvider } = {}): void {
    const host = this.peer(index);
    if (more.newIdentity === true) host.identity = this.crypto.generateKeyPair();
    const endpoint = this.createEndpoint(host.identity, createRng(host.rng.u32()), more.crypto);
    host.links.clear();
    host.attempts.clear();
    host.calledAt.clear();
    this.begin(host, endpoint);
    for (const watcher of this.watchers) watcher.onLife(this.now, host);
    this.drain(host);
  }

  /** An endpoint of this room, for a host or for somebody outside. */
  createEndpoint(identity: KeyPair, rng: Rng, crypto: CryptoProvider = this.crypto): Endpoint {
    const { roomId } = this;
    const endpoint = new Endpoint({ crypto, rng, identity, roomId, joinPort: JOIN_PORT, sessionPort: SESSION_PORT, prologue: new Uint8Array([1]) });
    const mode = this.#mode;
    endpoint.setDoor({ open: mode === 'open', code: mode === 'code' ? 'k7q2mx' : undefined, roomKey: mode === 'member' ? this.#roomKey : undefined });
    return endpoint;
  }

  /** The hosts that run and are not stopped. */
  running(): LinkHost[] {
    return this.peers.filter((host) => host.process !== undefined && !host.suspended && host.stalledUntil <= this.now);
  }

  linkTo(from: LinkHost, to: LinkHost): OpenLink | undefined {
    return to.process === undefined ? undefined : from.links.get(to.process.self);
  }

  call(from: LinkHost, to: LinkHost): void {
    const endpoint = from.process;
    if (endpoint === undefined) return;
    from.calledAt.set(to.index, this.now);
    const code = this.#mode === 'code' ? { code: 'k7q2mx' } : {};
    // At its second address, where it has one: what comes from there says another, so that neither sees two calls cross.
    from.attempts.set(endpoint.connect(from.clock(this.now), to.addresses.at(-1)!, { mode: this.#mode, ...code }), to.index);
    this.drain(from);
  }

  /** Calls whoever `from` lacks a live link to and has not called lately. */
  callMissing(from: LinkHost, patienceMs: number): void {
    for (const to of this.peers) {
      if (to === from || to.process === undefined || this.now - (from.calledAt.get(to.index) ?? -Infinity) < patienceMs) continue;
      const link = this.linkTo(from, to);
      if (link === undefined || (link.silentSince !== undefined && this.now - link.silentSince > SILENT_LIMIT_MS)) this.call(from, to);
    }
  }

  protected takeEvents(host: LinkHost): boolean {
    const event = host.process?.pollEvent();
    if (event === undefined) return false;
    this.trace(this.now, host.index, event.type.length, 'link' in event ? event.link : 0);
    switch (event.type) {
      case 'linked':
        host.links.set(event.peer, { id: event.link, peer: event.peer, silentSince: undefined });
        break;
      case 'closed':
        if (host.links.get(event.peer)?.id === event.link) host.links.delete(event.peer);
        break;
      case 'silent':
      case 'heard': {
        const link = host.links.get(event.peer);
        if (link?.id === event.link) link.silentSince = event.type === 'silent' ? this.now : undefined;
        break;
      }
      default:
        break;
    }
    for (const watcher of this.watchers) watcher.onEvent(this.now, host, event);
    return true;
  }

  protected onDrained(): void {}
}
