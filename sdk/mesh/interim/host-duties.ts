/**
 * What only the host does: notice who is away, back or gone, and write the roster accordingly.
 * Everybody keeps the same clocks of reachability, because anybody may be host next.
 */
import type { PeerId } from '../../base/brand.ts';
import { UNREACHABLE_MS } from '../../wire/limits.ts';
import { amend, remove, succeed, type Roster, type Seat } from './seats.ts';

export interface Reach {
  /** Since when this peer cannot be reached, or undefined while it can. */
  lostAt: number | undefined;
  /** Since when its seat is known. */
  readonly since: number;
}

/** A new seat, or a new dealing of slots, gets this long to be heard of (ms). */
const SETTLE_MS = 1_200;

export class Reachability {
  readonly #peers = new Map<PeerId, Reach>();

  /** Updates every seat from the set of reachable slots. */
  observe(now: number, seats: readonly Seat[], isReachable: (seat: Seat) => boolean): void {
    for (const seat of seats) {
      let reach = this.#peers.get(seat.id);
      if (reach === undefined) this.#peers.set(seat.id, (reach = { lostAt: undefined, since: now }));
      if (isReachable(seat)) reach.lostAt = undefined;
      else reach.lostAt ??= now;
    }
    for (const id of this.#peers.keys()) if (!seats.some((seat) => seat.id === id)) this.#peers.delete(id);
  }

  /** Our own stall looks like everybody's silence: give them the time back. */
  forgive(ms: number): void {
    for (const reach of this.#peers.values()) if (reach.lostAt !== undefined) reach.lostAt += ms;
  }

  /** Slots were dealt out anew: reports of the old dealing say nothing, so everybody settles again. */
  restart(): void {
    this.#peers.clear();
  }

  isReachable(id: PeerId): boolean {
    return this.#peers.get(id)?.lostAt === undefined;
  }

  /** True when the peer counts as lost now. */
  isLost(now: number, id: PeerId): boolean {
    const reach = this.#peers.get(id);
    if (reach?.lostAt === undefined) return false;
    return now - reach.lostAt >= UNREACHABLE_MS && now - reach.since >= SETTLE_MS;
  }

  lostForMs(now: number, id: PeerId): number {
    const lostAt = this.#peers.get(id)?.lostAt;
    return lostAt === undefined ? 0 : now - lostAt;
  }
}

export interface DutyInput {
  readonly self: PeerId;
  readonly reach: Reachability;
  readonly graceMs: number;
  /** Seats that have never been heard of keep their place this long too. */
  readonly eligible: (seat: Seat) => boolean;
}

/** The roster as the host should write it now; the same object when nothing changed. */
export function hostDuties(now: number, roster: Roster, input: DutyInput): Roster {
  let next = roster;
  for (const seat of roster.seats) {
    if (seat.id === input.self) {
      if (seat.status !== 'present') next = amend(next, seat.id, { status: 'present' });
      continue;
    }
    if (seat.status === 'present' && input.reach.isLost(now, seat.id)) next = amend(next, seat.id, { status: 'away' });
    else if (seat.status === 'away' && input.reach.isReachable(seat.id)) next = amend(next, seat.id, { status: 'present' });
    else if (seat.status === 'away' && input.reach.lostForMs(now, seat.id) > input.graceMs) next = remove(next, seat.id, 'timeout');
  }
  for (const seat of next.seats) {
    const eligible = input.eligible(seat);
    if (eligible !== seat.eligible) next = amend(next, seat.id, { eligible });
  }
  return next;
}

/**
 * Who should be host if `roster.host` cannot be: the lowest slot among the reachable that are present,
 * no spectator and eligible; failing that anybody reachable, because a room without a host stands still.
 */
export function successor(roster: Roster, isReachable: (id: PeerId) => boolean, except?: PeerId): PeerId | undefined {
  const open = roster.seats.filter((seat) => seat.id !== except && isReachable(seat.id));
  return (open.find((seat) => seat.eligible && !seat.spectator) ?? open.find((seat) => !seat.spectator) ?? open[0])?.id;
}

/** The roster of a new term of `self`, with everybody it cannot reach marked away. */
export function claim(roster: Roster, self: PeerId, isReachable: (id: PeerId) => boolean): Roster {
  let next = succeed(roster, self);
  for (const seat of next.seats) {
    const status = seat.id === self || isReachable(seat.id) ? 'present' : 'away';
    if (status !== seat.status) next = amend(next, seat.id, { status });
  }
  return next;
}
