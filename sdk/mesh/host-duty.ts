/**
 * What only the host does: writing the roster. It gives seats, says who is away, back or gone, and
 * takes another part of the room in when both meet.
 *
 *   seat   present --out of reach AWAY_HOLD_MS--> away --in reach, follows--> present
 *          away --grace over--> left (timeout)      any --goodbye--> left (bye)      any --kick--> left (kicked)
 *
 * Every member watches how long a seat has been away, so that the grace period goes on under the next host.
 */
import type { PeerId } from '../base/brand.ts';
import { DEFAULT_GRACE_MS, AWAY_HOLD_MS, MAX_LINEAGE, MERGE_SETTLE_MS, SEAT_SETTLE_MS } from '../wire/limits.ts';
import { followers } from './election.ts';
import type { Party } from './party.ts';
import { changeRoster, mergeRosters, nextTerm, removeSeat, seatOf, seatPeer, updateSeat, type Newcomer, type Roster, type Seat } from './roster.ts';

export class HostDuty {
  readonly #party: Party;
  /** Until when nobody just seated is called away. */
  readonly #settledAt = new Map<PeerId, number>();
  readonly #lostAt = new Map<PeerId, number>();
  readonly #awayAt = new Map<PeerId, number>();
  /** Terms taken in, so that a proposal that comes twice is absorbed once. */
  readonly #absorbed = new Set<number>();
  /** The last list that was looked at. */
  #watched: Roster | undefined;

  constructor(party: Party) {
    this.#party = party;
  }

  /** Times remembered of others: for tests of the bound. */
  get size(): number {
    return this.#settledAt.size + this.#lostAt.size + this.#awayAt.size;
  }

  /** Our own stall is nobody's absence. */
  excuse(lateMs: number): void {
    this.#lostAt.clear();
    for (const times of [this.#settledAt, this.#awayAt]) for (const [id, at] of times) times.set(id, at + lateMs);
  }

  /** As a member: remembers since when seats are away, should we be host one day. */
  follow(now: number, roster: Roster): void {
    this.#forgetGone(roster);
    // From when we were host the last time: whoever was out of reach then has been back since.
    this.#lostAt.clear();
    for (const id of this.#awayAt.keys()) if (seatOf(roster, id)?.status !== 'away') this.#awayAt.delete(id);
    for (const seat of roster.seats) if (seat.status === 'away' && !this.#awayAt.has(seat.id)) this.#awayAt.set(seat.id, now);
  }

  /** The roster with what this tick saw; the same object when nothing changed. */
  tick(now: number, roster: Roster): Roster {
    this.#forgetGone(roster);
    let next = roster;
    for (const seat of roster.seats) {
      if (seat.id === this.#party.self) continue;
      next = seat.status === 'present' ? this.#watchPresent(now, next, seat) : this.#watchAway(now, next, seat);
    }
    return next;
  }

  /** Whoever has no seat any more is watched no more. */
  #forgetGone(roster: Roster): void {
    if (roster === this.#watched) return;
    this.#watched = roster;
    for (const times of [this.#settledAt, this.#lostAt, this.#awayAt])
      for (const id of times.keys()) if (seatOf(roster, id) === undefined) times.delete(id);
  }

  #watchPresent(now: number, roster: Roster, seat: Seat): Roster {
    const { linkState } = this.#party;
    const word = linkState.word(seat.id);
    this.#awayAt.delete(seat.id);
    if (word?.left === true && word.instance === seat.instance) return removeSeat(roster, seat.id, 'bye');
    if (linkState.route(seat.id) !== undefined && word?.instance === seat.instance) {
      this.#lostAt.delete(seat.id);
      this.#settledAt.delete(seat.id);
      return updateSeat(roster, seat.id, { eligible: word.eligible });
    }
    // Time to learn the list and to link, for who can: not for one that speaks to us and says it does not hear us.
    const isDeaf = word?.instance === seat.instance && linkState.isDeafToUs(now, seat.id);
    if (!isDeaf && now < (this.#settledAt.get(seat.id) ?? -Infinity)) return roster;
    const lostAt = this.#lostAt.get(seat.id);
    if (lostAt === undefined) this.#lostAt.set(seat.id, now);
    else if (now - lostAt >= AWAY_HOLD_MS) {
      this.#lostAt.delete(seat.id);
      this.#awayAt.set(seat.id, now);
      return updateSeat(roster, seat.id, { status: 'away' });
    }
    return roster;
  }

  #watchAway(now: number, roster: Roster, seat: Seat): Roster {
    const { linkState, options } = this.#party;
    const word = linkState.word(seat.id);
    if (word?.left === true && word.instance === seat.instance) return removeSeat(roster, seat.id, 'bye');
    const follows = word !== undefined && word.instance === seat.instance && word.term === roster.term;
    if (follows && linkState.route(seat.id) !== undefined) {
      this.#awayAt.delete(seat.id);
      return updateSeat(roster, seat.id, { status: 'present' });
    }
    const awayAt = this.#awayAt.get(seat.id);
    if (awayAt === undefined) this.#awayAt.set(seat.id, now);
    else if (now - awayAt >= (options.graceMs ?? DEFAULT_GRACE_MS)) {
      this.#awayAt.delete(seat.id);
      return removeSeat(roster, seat.id, 'timeout');
    }
    return roster;
  }

  /** Gives a seat, or says why not. A peer from a later term gets one in a term that is later still. */
  seat(now: number, roster: Roster, newcomer: Newcomer, term: number): Roster | 'kicked' | 'room-full' {
    const seated = seatOf(roster, newcomer.id);
    const later = term > roster.term;
    if (seated?.status === 'present' && seated.instance === newcomer.instance && !later) return roster;
    const next = seatPeer(roster, newcomer);
    if (typeof next === 'string') return next;
    this.#settledAt.set(newcomer.id, now + SEAT_SETTLE_MS);
    this.#lostAt.delete(newcomer.id);
    if (!later) return next;
    const own = nextTerm(term, this.#party.self, this.#party.instance);
    return changeRoster(next, { term: own, lineage: [...next.lineage, own].slice(-MAX_LINEAGE), merged: [] });
  }

  /** True when the other part should take us in rather than we it. Who is thrown out of the other part cannot lead both. */
  yields(roster: Roster, theirs: Roster, eligible: boolean): boolean {
    const banned = theirs.banned.includes(this.#party.self);
    if (banned !== roster.banned.includes(theirs.host)) return banned;
    const { self, instance, linkState } = this.#party;
    const view = { self, instance, eligible, asked: false, roster, linkState };
    const ours = followers(view, roster.term);
    const others = Math.max(1, followers(view, theirs.term));
    if (ours !== others) return others > ours;
    if (roster.seats.length !== theirs.seats.length) return theirs.seats.length > roster.seats.length;
    return theirs.host < roster.host;
  }

  /** True when the other part is in our list already and its host has a seat there, so that it follows once it has our list. */
  hasAbsorbed(roster: Roster, theirs: Roster): boolean {
    if (!this.#absorbed.has(theirs.term)) return false;
    const seat = seatOf(roster, theirs.host);
    return seat?.status === 'present' && seat.instance === seatOf(theirs, theirs.host)?.instance;
  }

  absorb(now: number, roster: Roster, theirs: Roster): Roster {
    if (this.#absorbed.size >= 256) this.#absorbed.clear();
    this.#absorbed.add(theirs.term);
    const next = mergeRosters(roster, theirs, 0);
    for (const id of next.merged) this.#settledAt.set(id, now + MERGE_SETTLE_MS);
    return next;
  }
}
