/**
 * Messages of the game between their arrival and a seat, or between `send` and a link: nothing reliable is lost
 * without a `reset`, and nothing is handed to another process than it was said to.
 *
 *   said to a seat without a link  --linked, and a word says: the same process--> sent
 *                                  --the seat is away, or another process's--> dropped, `reset` with the link
 *   came from a peer without a seat --seated--> delivered     --some of it lost--> the link is made anew, both sides are told
 */
import type { PeerId } from '../base/brand.ts';
import type { EndpointEvent, EndpointLike } from '../link/endpoint-types.ts';
import type { PortDeparture, PortEvent } from '../port/port.ts';
import { SEAT_SETTLE_MS } from '../wire/limits.ts';
import { EarlyMessages, type EarlyMessage } from './early.ts';
import type { Links } from './links.ts';
import type { Word } from './messages.ts';
import { seatOf, type Roster } from './roster.ts';

export interface DeliveryOwner {
  readonly roster: Roster | undefined;
  emit(event: PortEvent): void;
  drop(reason: string): void;
}

export class Delivery {
  readonly #endpoint: EndpointLike;
  readonly #links: Links;
  readonly #owner: DeliveryOwner;
  readonly #unlinked = new EarlyMessages();
  readonly #unseated = new EarlyMessages();
  /** Linked peers without a seat of whom something reliable was lost: the rest of it may not follow. */
  readonly #broken = new Set<PeerId>();
  /** Peers whose seat has had a link: another one is a new start. */
  readonly #linkedSeats = new Set<PeerId>();
  /** The process that has each seat. */
  readonly #instances = new Map<PeerId, number>();

  constructor(endpoint: EndpointLike, links: Links, owner: DeliveryOwner) {
    this.#endpoint = endpoint;
    this.#links = links;
    this.#owner = owner;
  }

  /** Something said to this seat waits for a link: what is said now has to wait behind it. */
  waits(to: PeerId): boolean {
    return this.#unlinked.has(to);
  }

  /** Keeps what is said to a seat without a link; false when there is no room. */
  hold(now: number, to: PeerId, message: EarlyMessage): boolean {
    return this.#unlinked.hold(now, to, message);
  }

  /** What is said on a lane to this seat and waits for a link. */
  heldBytes(to: PeerId, lane: number): number {
    return this.#unlinked.bytesOf(to, lane);
  }

  onLinked({ peer }: Extract<EndpointEvent, { type: 'linked' }>): void {
    this.#unseated.take(peer);
    this.#broken.delete(peer);
    if (this.#isSeated(peer)) {
      if (this.#linkedSeats.has(peer)) this.#owner.emit({ type: 'reset', peer });
      this.#linkedSeats.add(peer);
    }
  }

  /** A linked peer speaks for itself: what waited for the link goes to it, if it is who had the seat then. True when something leaves. */
  onWords(now: number, peer: PeerId, words: readonly Word[]): boolean {
    if (!this.#unlinked.has(peer)) return false;
    const own = words.find((word) => word.id === peer);
    const link = this.#links.get(peer);
    if (link === undefined || own === undefined || own.instance !== this.#instances.get(peer)) return false;
    for (const early of this.#unlinked.take(peer)) {
      if (this.#endpoint.send(now, link.id, early.channel, early.bytes, early.lane)) continue;
      // Memory is short. The rest must not follow over the gap: the next link tells both sides.
      this.#endpoint.close(now, link.id, 'exhausted');
      break;
    }
    return true;
  }

  onClosed(peer: PeerId): void {
    this.#broken.delete(peer);
  }

  onMessage(now: number, { peer, channel, lane, bytes }: Extract<EndpointEvent, { type: 'message' }>): void {
    const isReliable = channel === 'reliable';
    if (isReliable && this.#broken.has(peer)) return this.#owner.drop('no-seat');
    if (this.#isSeated(peer)) return this.#owner.emit({ type: 'message', from: peer, channel, lane, bytes });
    if (isReliable && this.#unseated.hold(now, peer, { channel, lane, bytes })) return;
    this.#owner.drop('no-seat');
    if (isReliable) this.#broken.add(peer);
  }

  /** The list as the game half knows it has changed; `left` have no seat any more. */
  onRoster(roster: Roster, left: readonly PortDeparture[]): void {
    for (const peer of left) {
      this.#linkedSeats.delete(peer.id);
      this.#instances.delete(peer.id);
      this.#unlinked.take(peer.id);
    }
    for (const seat of roster.seats) {
      const isLinked = this.#links.get(seat.id) !== undefined;
      if (isLinked) this.#linkedSeats.add(seat.id);
      if (this.#unlinked.has(seat.id) && (seat.status !== 'present' || this.#instances.get(seat.id) !== seat.instance)) {
        // What waits was said to the process that had the seat; whoever has linked or links from there is told of as a new start.
        this.#unlinked.take(seat.id);
        this.#linkedSeats.add(seat.id);
        if (isLinked) this.#owner.emit({ type: 'reset', peer: seat.id });
      }
      this.#instances.set(seat.id, seat.instance);
      const early = this.#unseated.take(seat.id);
      for (const message of early) this.#owner.emit({ type: 'message', from: seat.id, ...message });
      // They came over a link, be it gone by now: with the next one there may be a gap.
      if (early.length > 0) this.#linkedSeats.add(seat.id);
    }
  }

  /** Something of these was lost before they had a seat. Now that they have one, another link tells both sides so. */
  closeBroken(now: number): void {
    for (const peer of this.#broken) {
      const link = this.#links.get(peer);
      if (link === undefined) this.#broken.delete(peer);
      else if (this.#isSeated(peer)) this.#endpoint.close(now, link.id, 'exhausted');
    }
  }

  /** What has waited too long for a seat is lost. */
  expire(now: number): void {
    for (const peer of this.#unseated.expire(now, SEAT_SETTLE_MS)) this.#broken.add(peer);
  }

  #isSeated(peer: PeerId): boolean {
    const { roster } = this.#owner;
    return roster !== undefined && seatOf(roster, peer) !== undefined;
  }
}
