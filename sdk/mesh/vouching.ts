/**
 * Requests for a seat that travel over a member.
 *
 *   asker --JOIN--> member --FORWARD--> host: seats it --ROSTER--> member --ROSTER--> asker
 *                                             as soon as anybody in reach says that it hears the asker
 *
 * A request may lie in the member's queue while its asker gives up, so the host looks who hears the asker now. The member
 * remembers for whom it asked, to pass the answer on.
 */
import type { PeerId } from '../base/brand.ts';
import { JOIN_RETRY_MAX_MS, JOIN_TIMEOUT_MS, MAX_PEERS } from '../wire/limits.ts';
import type { JoinRequest } from './messages.ts';
import type { Party } from './party.ts';

export interface Forwarded {
  readonly peer: PeerId;
  readonly join: JoinRequest;
  readonly via: PeerId;
  readonly at: number;
}

export class Vouching {
  readonly #party: Party;
  /** For whom we asked, and when. */
  readonly #asked = new Map<PeerId, { readonly instance: number; readonly at: number }>();
  /** As host: what waits for a sign of its asker. */
  readonly #waiting = new Map<PeerId, Forwarded>();

  constructor(party: Party) {
    this.#party = party;
  }

  // ── as a member ───────────────────────────────────────────────────────────────────────────────────

  forward(now: number, host: PeerId, peer: PeerId, join: JoinRequest): void {
    for (const [id, { at }] of this.#asked) if (now - at > JOIN_TIMEOUT_MS) this.#asked.delete(id);
    if (this.#asked.size >= 2 * MAX_PEERS && !this.#asked.has(peer)) return;
    if (this.#party.send(now, host, { type: 'forward', peer, join })) this.#asked.set(peer, { instance: join.instance, at: now });
  }

  /** Those for whom we asked and who are answered now. */
  take(isAnswered: (peer: PeerId, instance: number) => boolean): readonly PeerId[] {
    const taken: PeerId[] = [];
    for (const [peer, { instance }] of this.#asked) if (isAnswered(peer, instance)) taken.push(peer);
    for (const peer of taken) this.#asked.delete(peer);
    return taken;
  }

  /** Nobody waits for the answer any more; returns the process for which we asked, and when. */
  forget(peer: PeerId): { readonly instance: number; readonly at: number } | undefined {
    const asked = this.#asked.get(peer);
    this.#asked.delete(peer);
    return asked;
  }

  // ── as host ───────────────────────────────────────────────────────────────────────────────────────

  wait(request: Forwarded): void {
    if (this.#waiting.size < 2 * MAX_PEERS || this.#waiting.has(request.peer)) this.#waiting.set(request.peer, request);
  }

  /** What is due now: its asker is heard. Who asks for a seat asks again within the time after which a request is forgotten. */
  due(now: number): readonly Forwarded[] {
    if (this.#waiting.size === 0) return [];
    const due: Forwarded[] = [];
    for (const request of this.#waiting.values()) {
      // Nobody looked while another was host.
      const isOld = now - request.at > JOIN_RETRY_MAX_MS;
      const isDue = !isOld && this.isHeard(now, request.peer);
      if (isDue) due.push(request);
      if (isDue || isOld) this.#waiting.delete(request.peer);
    }
    return due;
  }

  isHeard(now: number, peer: PeerId): boolean {
    return this.#party.links.get(peer)?.silent === false || this.#party.linkState.isHeard(now, peer);
  }
}
