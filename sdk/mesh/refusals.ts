/**
 * Those who were refused a seat, or thrown out: they are told, and then their link is closed.
 */
import type { PeerId } from '../base/brand.ts';
import type { Refusal } from './messages.ts';
import type { Party } from './party.ts';

/** The word leaves before the link closes (ms). */
const LINGER_MS = 300;

export class Refusals {
  readonly #party: Party;
  readonly #closeAt = new Map<PeerId, number>();

  constructor(party: Party) {
    this.#party = party;
  }

  has(peer: PeerId): boolean {
    return this.#closeAt.has(peer);
  }

  refuse(now: number, peer: PeerId, reason: Refusal): void {
    this.#party.send(now, peer, { type: 'refuse', reason });
    this.#closeAt.set(peer, now + LINGER_MS);
  }

  /** A new link of the peer is not the one to close. */
  forget(peer: PeerId): void {
    this.#closeAt.delete(peer);
  }

  tick(now: number): void {
    for (const [peer, at] of this.#closeAt) {
      if (now < at) continue;
      this.#closeAt.delete(peer);
      const link = this.#party.links.get(peer);
      if (link !== undefined) this.#party.endpoint.close(now, link.id, 'refused');
    }
  }
}
