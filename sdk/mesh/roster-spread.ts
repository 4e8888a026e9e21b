/**
 * Who gets the list, and when: the host tells everybody at once what changed; every member gives it to a
 * neighbour that says it holds an older one and would follow ours.
 */
import type { PeerId } from '../base/brand.ts';
import type { Party } from './party.ts';
import { compareVersions, seatOf, type Roster } from './roster.ts';

/** A new list reaches the others by itself; only who has not got it after this is given it (ms). */
const SETTLE_MS = 150;
/** A neighbour that says it holds an older list gets ours, at most this often (ms). */
const RESEND_MS = 250;
/** … and the very list that it was sent, this often (ms). */
const SAME_RESEND_MS = 4 * RESEND_MS;

export class RosterSpread {
  readonly #party: Party;
  /** The oldest first; what is older than any wait is forgotten, and with it lists that nobody holds any more. */
  readonly #sentTo = new Map<PeerId, { readonly roster: Roster; readonly at: number }>();
  #published: Roster | undefined;
  #adoptedAt = 0;

  constructor(party: Party) {
    this.#party = party;
  }

  /** Peers of whom is known what they were sent: for tests of the bound. */
  get size(): number {
    return this.#sentTo.size;
  }

  onAdopted(now: number): void {
    this.#adoptedAt = now;
  }

  /** Gives one peer the list, with the room's key. */
  send(now: number, peer: PeerId, roster: Roster, key: Uint8Array | undefined): void {
    if (!this.#party.send(now, peer, { type: 'roster', roster, key })) return;
    this.#sentTo.delete(peer);
    this.#sentTo.set(peer, { roster, at: now });
    for (const [id, { at }] of this.#sentTo) {
      if (now - at < SAME_RESEND_MS) break;
      this.#sentTo.delete(id);
    }
  }

  /** As host: tells everybody at once what changed since the last time. */
  publish(now: number, roster: Roster, key: Uint8Array | undefined): void {
    const { self } = this.#party;
    if (roster.host !== self || this.#published === roster) return;
    this.#published = roster;
    for (const seat of roster.seats) if (seat.id !== self) this.send(now, seat.id, roster, key);
    this.#party.hurry(now);
  }

  /** Whoever says that it holds an older list, and would follow ours, is sent ours. */
  tick(now: number, roster: Roster, key: Uint8Array | undefined): void {
    const { links, linkState } = this.#party;
    if (now - this.#adoptedAt < SETTLE_MS) return;
    for (const link of links.all()) {
      const word = linkState.word(link.peer);
      if (word === undefined || compareVersions(word.term, word.epoch, roster.term, roster.epoch) >= 0) continue;
      const seat = seatOf(roster, link.peer);
      if (word.term !== roster.term && !(seat?.status === 'present' && seat.instance === word.instance)) continue;
      const sent = this.#sentTo.get(link.peer);
      if (sent !== undefined && (sent.roster === roster ? now - sent.at < SAME_RESEND_MS : now - sent.at < RESEND_MS)) continue;
      this.send(now, link.peer, roster, key);
    }
  }
}
