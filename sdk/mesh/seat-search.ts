/**
 * Asking for a first seat: whoever is linked, a few at a time, with growing waits, until a list seats us or
 * there is no hope left.
 */
import type { PeerId } from '../base/brand.ts';
import { JOIN_RETRY_MAX_MS, JOIN_RETRY_MS, JOIN_TIMEOUT_MS, WRONG_CODE_PATIENCE_MS } from '../wire/limits.ts';
import type { JoinRequest } from './messages.ts';
import type { Party } from './party.ts';

/** So many linked peers are asked for a seat at once. */
const JOIN_FANOUT = 3;

/** The same list, begun elsewhere each turn. */
function turned<T>(list: readonly T[], turn: number): T[] {
  const at = list.length === 0 ? 0 : turn % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}

export class SeatSearch {
  readonly #party: Party;
  #startedAt: number;
  #askAt = 0;
  #waitMs = JOIN_RETRY_MS;
  #turn = 0;
  /** When a candidate first did not take our code, or was of another game. */
  #refusedAt: number | undefined;
  #refusal: 'wrong-code' | 'incompatible' = 'wrong-code';

  constructor(now: number, party: Party) {
    this.#party = party;
    this.#startedAt = now;
  }

  /** Our own stall is nobody's silence. */
  excuse(lateMs: number): void {
    this.#startedAt += lateMs;
    if (this.#refusedAt !== undefined) this.#refusedAt += lateMs;
  }

  /** Somebody can be asked. */
  onLinked(now: number): void {
    this.#askAt = now;
    this.#waitMs = JOIN_RETRY_MS;
    this.#party.hurry(now);
  }

  /** Rooms of one name may have different codes, and anybody may say that it is found in ours: another candidate may still take us. */
  onRefused(now: number, reason: 'wrong-code' | 'incompatible'): void {
    if (this.#refusedAt === undefined) this.#refusal = reason;
    this.#refusedAt ??= now;
  }

  /** Asks when it is time; or says why the search is over. */
  tick(now: number, request: () => JoinRequest): 'wrong-code' | 'incompatible' | 'unreachable' | undefined {
    const { links } = this.#party;
    if (this.#refusedAt !== undefined && now - this.#refusedAt > WRONG_CODE_PATIENCE_MS && links.size === 0) return this.#refusal;
    if (now - this.#startedAt > JOIN_TIMEOUT_MS) return 'unreachable';
    if (now >= this.#askAt && this.#ask(now, request)) {
      this.#turn++;
      this.#askAt = now + this.#waitMs;
      this.#waitMs = Math.min(JOIN_RETRY_MAX_MS, 2 * this.#waitMs);
    }
    return undefined;
  }

  /** True when anybody was asked. */
  #ask(now: number, request: () => JoinRequest): boolean {
    let asked = 0;
    for (const peer of this.#inOrder(now)) {
      if (asked >= JOIN_FANOUT) break;
      if (this.#party.send(now, peer, { type: 'join', join: request() })) asked++;
    }
    return asked > 0;
  }

  /** Only who has a list says words; the others may ask for a seat as we do, or have not come to speak yet. */
  #inOrder(now: number): PeerId[] {
    const { links, linkState } = this.#party;
    const peers = [...links.all()].filter((link) => !link.silent).map((link) => link.peer);
    const speakers = peers.filter((peer) => linkState.speaks(now, peer));
    const others = peers.filter((peer) => !speakers.includes(peer));
    return [...turned(speakers, this.#turn), ...turned(others, this.#turn)];
  }
}
