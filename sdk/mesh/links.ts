/**
 * The links of a mesh, one per peer, and which way each of them goes.
 *
 *   direct ---silent, or the far side does not hear us, and a detour exists---> relayed ("~PeerId")
 *   relayed --a direct packet proved itself (endpoint), or no detour is left--> direct
 *
 * While relayed, the endpoint itself keeps challenging the direct address and moves back when it answers.
 */
import type { PeerId } from '../base/brand.ts';
import type { Address, DoorMode, EndpointEvent, EndpointLike, LinkId } from '../link/endpoint-types.ts';
import { isRelayed } from '../link/path.ts';
import { LINK_SETTLE_MS, MESH_LANE } from '../wire/limits.ts';
import type { LinkState } from './link-state.ts';

export interface PeerLink {
  readonly id: LinkId;
  readonly peer: PeerId;
  readonly mode: DoorMode;
  address: Address;
  /** Last address that was no detour; undefined when the link began as one. */
  direct: Address | undefined;
  /** When it last became direct (ms): until then the far side cannot know. */
  since: number;
  /** Not only over a detour of the far side's. */
  heardDirectly: boolean;
  silent: boolean;
  /** When it last fell silent (ms). */
  silentAt: number;
}

type Linked = Extract<EndpointEvent, { type: 'linked' }>;

export class Links {
  readonly #endpoint: EndpointLike;
  readonly #linkState: LinkState;
  readonly #links = new Map<PeerId, PeerLink>();
  /** Of `heardDirectly`, until a link changes. */
  #heard: readonly PeerId[] | undefined;

  constructor(endpoint: EndpointLike, linkState: LinkState) {
    this.#endpoint = endpoint;
    this.#linkState = linkState;
  }

  get(peer: PeerId): PeerLink | undefined {
    return this.#links.get(peer);
  }

  all(): Iterable<PeerLink> {
    return this.#links.values();
  }

  get size(): number {
    return this.#links.size;
  }

  add(now: number, event: Linked): void {
    const direct = isRelayed(event.address) ? undefined : event.address;
    this.#heard = undefined;
    this.#links.set(event.peer, {
      id: event.link,
      peer: event.peer,
      mode: event.mode,
      address: event.address,
      direct,
      since: now,
      heardDirectly: true,
      silent: false,
      silentAt: now,
    });
  }

  /** The peer's link if it is this one; undefined for one already replaced. */
  current(peer: PeerId, id: LinkId): PeerLink | undefined {
    const link = this.#links.get(peer);
    return link?.id === id ? link : undefined;
  }

  remove(peer: PeerId): void {
    this.#links.delete(peer);
    this.#heard = undefined;
  }

  moved(now: number, link: PeerLink, address: Address): void {
    link.address = address;
    this.#heard = undefined;
    if (isRelayed(address)) return;
    link.direct = address;
    link.since = now;
  }

  fellSilent(now: number, link: PeerLink): void {
    link.silent = true;
    this.#heard = undefined;
    link.silentAt = now;
  }

  heard(now: number, link: PeerLink): void {
    link.silent = false;
    link.since = now;
    this.#heard = undefined;
  }

  /** Peers whose packets reach us without a detour, sorted; the same list until that changes. */
  heardDirectly(): readonly PeerId[] {
    if (this.#heard !== undefined) return this.#heard;
    const ids: PeerId[] = [];
    for (const link of this.#links.values()) if (!link.silent && link.heardDirectly && !isRelayed(link.address)) ids.push(link.peer);
    return (this.#heard = ids.sort());
  }

  /** Peers connected both ways without a detour, as far as we can know. */
  neighbours(now: number): PeerId[] {
    for (const link of this.#links.values()) {
      const directly = this.#endpoint.hearsDirectly(link.id);
      if (directly === link.heardDirectly) continue;
      link.heardDirectly = directly;
      this.#heard = undefined;
    }
    return this.heardDirectly().filter((id) => this.#isMutual(now, this.#links.get(id)!));
  }

  #isMutual(now: number, link: PeerLink): boolean {
    return now - link.since < LINK_SETTLE_MS || this.#linkState.hearsUs(link.peer);
  }

  /** Turns links onto detours and back. True when any changed. */
  route(now: number): boolean {
    let changed = false;
    for (const link of this.#links.values()) {
      const route = this.#linkState.route(link.peer);
      if (!isRelayed(link.address)) {
        const broken = link.silent || !link.heardDirectly || !this.#isMutual(now, link);
        if (!broken || route === undefined || route.hops < 2) continue;
        this.#set(now, link, { host: `~${link.peer}`, port: 0 });
        changed = true;
      } else if (route === undefined && link.direct !== undefined) {
        this.#set(now, link, link.direct);
        link.since = now;
        changed = true;
      }
    }
    return changed;
  }

  #set(now: number, link: PeerLink, address: Address): void {
    link.address = address;
    this.#heard = undefined;
    this.#endpoint.setAddress(now, link.id, address);
  }

  /** Sends a control message; false when there is no link or it did not take it. */
  send(now: number, peer: PeerId, channel: 'reliable' | 'unreliable', bytes: Uint8Array): boolean {
    const link = this.#links.get(peer);
    return link !== undefined && this.#endpoint.send(now, link.id, channel, bytes, MESH_LANE);
  }
}
