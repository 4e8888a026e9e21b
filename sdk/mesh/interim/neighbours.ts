/**
 * Which links exist, and whom to knock at next: candidates somebody told us of, and seats of the
 * roster that have no link yet. Each has its own back-off; nothing here grows with what a stranger says.
 */
import type { PeerId } from '../../base/brand.ts';
import type { Address, AttemptId, ConnectFailure, DoorMode, LinkId } from '../../link/endpoint-types.ts';
import { MAX_CANDIDATES } from '../../wire/limits.ts';

export interface Neighbour {
  readonly peer: PeerId;
  link: LinkId;
  address: Address;
  mode: DoorMode;
  isSilent: boolean;
  linkedAt: number;
}

/** True while packets go straight to the peer and come straight back. */
export function isDirect(neighbour: Neighbour): boolean {
  return !neighbour.isSilent && !neighbour.address.host.startsWith('~');
}

interface Knock {
  tries: number;
  nextAt: number;
  attempt: AttemptId | undefined;
}

interface Candidate extends Knock {
  readonly address: Address;
  /** Who answered there last. */
  peer: PeerId | undefined;
  /** Our own address: never again. */
  isSelf: boolean;
}

interface SeatKnock extends Knock {
  /** Which of the seat's addresses comes next. */
  turn: number;
}

const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 4_000;
/** Attempts under way at once. */
const MAX_KNOCKS = 24;

export class Knocker {
  readonly #candidates = new Map<string, Candidate>();
  readonly #seats = new Map<PeerId, SeatKnock>();
  /** Why the last candidate refused, for the error when nobody lets us in. */
  lastFailure: ConnectFailure | undefined;

  addCandidate(now: number, address: Address): void {
    const key = `${address.host}:${address.port}`;
    if (this.#candidates.has(key)) return;
    if (this.#candidates.size >= MAX_CANDIDATES) this.#candidates.delete(this.#candidates.keys().next().value!);
    this.#candidates.set(key, { address, tries: 0, nextAt: now, attempt: undefined, peer: undefined, isSelf: false });
  }

  get hasCandidates(): boolean {
    return this.#candidates.size > 0;
  }

  /** Candidates due now that do not lead to a peer we are linked with. */
  dueCandidates(now: number, isLinked: (peer: PeerId) => boolean): Candidate[] {
    const due: Candidate[] = [];
    for (const candidate of this.#candidates.values()) {
      if (candidate.isSelf || candidate.attempt !== undefined || candidate.nextAt > now) continue;
      if (candidate.peer !== undefined && isLinked(candidate.peer)) continue;
      due.push(candidate);
      if (due.length >= MAX_KNOCKS) break;
    }
    return due;
  }

  /** The seat's knock, when one is due. `delayMs` is how long the first one waits. */
  dueSeat(now: number, peer: PeerId, delayMs: number): SeatKnock | undefined {
    let knock = this.#seats.get(peer);
    if (knock === undefined) this.#seats.set(peer, (knock = { tries: 0, nextAt: now + delayMs, attempt: undefined, turn: 0 }));
    return knock.attempt === undefined && knock.nextAt <= now ? knock : undefined;
  }

  started(now: number, knock: Knock, attempt: AttemptId): void {
    knock.attempt = attempt;
    knock.nextAt = now + Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** knock.tries);
    knock.tries++;
  }

  /** A knock ended: with a link, or with a reason. */
  ended(now: number, attempt: AttemptId, result: { readonly peer: PeerId } | { readonly reason: ConnectFailure }): void {
    for (const candidate of this.#candidates.values()) {
      if (candidate.attempt !== attempt) continue;
      candidate.attempt = undefined;
      if ('peer' in result) {
        candidate.peer = result.peer;
        candidate.tries = 0;
      } else {
        this.lastFailure = result.reason;
        candidate.isSelf = result.reason === 'self';
        candidate.nextAt = Math.max(candidate.nextAt, now + FIRST_RETRY_MS);
      }
    }
    for (const knock of this.#seats.values()) if (knock.attempt === attempt) knock.attempt = undefined;
  }

  /** The link to this peer is gone or silent: try again soon. */
  again(now: number, peer: PeerId): void {
    const knock = this.#seats.get(peer);
    if (knock !== undefined) Object.assign(knock, { tries: 0, nextAt: Math.min(knock.nextAt, now + FIRST_RETRY_MS) });
    for (const candidate of this.#candidates.values()) if (candidate.peer === peer) candidate.nextAt = Math.min(candidate.nextAt, now + FIRST_RETRY_MS);
  }

  forget(peer: PeerId): void {
    this.#seats.delete(peer);
  }
}
