/**
 * This peer's place in the room: getting a seat, following the roster, taking over when the host is
 * gone, leaving.
 *
 *   joining --ROSTER that seats us--> joined --leave()--> leaving --told or LEAVE_LINGER_MS--> left
 *   joining --REFUSE, no answer in JOIN_TIMEOUT_MS, wrong code--> failed
 *   joined  --kicked, no seat any more, or another process with our key--> left
 *
 * A roster is followed when it is newer in the same term, or of a later term and seats this very
 * process. So a part of the room never drags in somebody it does not know to be there; parts meet by
 * PROPOSE, strays by JOIN.
 */
import type { PeerId } from '../base/brand.ts';
import type { Address, ConnectFailure } from '../link/endpoint-types.ts';
import type { LeaveReason } from '../port/port.ts';
import { BEAT_MS, JOIN_RETRY_MAX_MS, LEAVE_LINGER_MS, MERGE_RETRY_MS } from '../wire/limits.ts';
import { isHostAlive, type ElectionView } from './election.ts';
import { HostDuty } from './host-duty.ts';
import type { JoinState } from './mesh-types.ts';
import { isRelayed } from '../link/path.ts';
import type { JoinRequest, MeshMessage, Refusal } from './messages.ts';
import type { Party } from './party.ts';
import { Refusals } from './refusals.ts';
import { Rivalry } from './rivalry.ts';
import { RosterSpread } from './roster-spread.ts';
import {
  boundAddresses,
  claimRoster,
  compareVersions,
  departures,
  foundRoster,
  isPlausible,
  removeSeat,
  sameAddresses,
  seatOf,
  seatPeer,
  updateSeat,
  type Roster,
  type Seat,
} from './roster.ts';
import { SeatSearch } from './seat-search.ts';
import { StandingStep } from './standing-step.ts';
import { Vouching, type Forwarded } from './vouching.ts';

const isIn = (list: readonly Address[], { host, port }: Address): boolean => list.some((one) => one.host === host && one.port === port);

/** So often the host is told of other addresses until they are in the list (ms). */
const MOVE_RETRY_MS = 1_000;

/** Somebody asks for a seat as long as the last time was no longer ago (ms). */
const ASKED_MS = JOIN_RETRY_MAX_MS + BEAT_MS;

export class Membership {
  readonly #party: Party;
  readonly #duty: HostDuty;
  readonly #search: SeatSearch;
  readonly #step = new StandingStep();
  readonly #spread: RosterSpread;
  readonly #refusals: Refusals;
  roster: Roster | undefined;
  roomKey: Uint8Array | undefined;
  joinState: JoinState = { type: 'joining' };
  eligible = true;
  addresses: readonly Address[];
  /** True until we have linked to those of our first roster. */
  newcomer: boolean;
  #actedAt = -Infinity;
  /** When somebody last asked us for a seat. */
  #askedAt = -Infinity;
  #askedHost: PeerId | undefined;
  #leaveAt: number | undefined;
  /** Our addresses have changed: the list may have others, from before or from another part of the room. And when the host is told again (ms). */
  #moved = false;
  #moveAt = 0;
  readonly #vouching: Vouching;
  readonly #rivalry = new Rivalry();

  constructor(now: number, party: Party) {
    const { options } = party;
    this.#party = party;
    this.#duty = new HostDuty(party);
    this.#search = new SeatSearch(now, party);
    this.#spread = new RosterSpread(party);
    this.#refusals = new Refusals(party);
    this.#vouching = new Vouching(party);
    this.addresses = options.addresses;
    this.newcomer = options.entry === 'join';
  }

  /** Makes the room with this peer as its only member. */
  found(now: number, startTerm: number): void {
    const { options, self, instance } = this.#party;
    const { roomId, name, max, code, spectate, addresses } = options;
    const locked = code !== undefined;
    const roster = foundRoster({ roomId, name, max, locked }, { id: self, instance, spectator: spectate, addresses }, startTerm);
    this.#adopt(now, roster, locked ? options.crypto.randomBytes(32) : undefined);
  }

  get isHost(): boolean {
    return this.roster?.host === this.#party.self;
  }

  get isOver(): boolean {
    return this.joinState.type === 'left' || this.joinState.type === 'failed';
  }

  get isLeaving(): boolean {
    return this.#leaveAt !== undefined;
  }

  #view(now: number, roster: Roster): ElectionView {
    const { self, instance, linkState } = this.#party;
    return { self, instance, eligible: this.eligible && !this.isLeaving, asked: now - this.#askedAt < ASKED_MS, roster, linkState };
  }

  // ── time ──────────────────────────────────────────────────────────────────────────────────────────

  excuse(lateMs: number): void {
    this.#duty.excuse(lateMs);
    this.#step.excuse(lateMs);
    this.#search.excuse(lateMs);
  }

  tick(now: number): void {
    this.#refusals.tick(now);
    if (this.isOver) return;
    if (this.#leaveAt !== undefined) return this.#tickLeave(now, this.#leaveAt);
    if (this.roster === undefined) return this.#tickJoin(now);
    this.#tickElection(now, this.roster);
    if (!this.isOver) this.#tellMoved(now);
    if (!this.isHost) this.#duty.follow(now, this.roster);
    else if (!this.isOver) {
      for (const request of this.#vouching.due(now)) this.#seatForwarded(now, request);
      this.#write(now, this.#duty.tick(now, this.roster));
    }
    this.#spread.publish(now, this.roster, this.roomKey);
    this.#spread.tick(now, this.roster, this.roomKey);
  }

  #tickJoin(now: number): void {
    const failure = this.#search.tick(now, () => this.#request(now));
    if (failure !== undefined) this.#fail(now, failure);
  }

  #request(now: number): JoinRequest {
    const { options, instance, time } = this.#party;
    const roster = this.roster;
    return {
      instance,
      spectate: options.spectate,
      joinPort: options.joinPort,
      addresses: this.addresses,
      term: roster?.term ?? 0,
      // Until it agrees with anybody's it may be days ahead, and everybody would follow.
      time: roster === undefined || time.errorMs(now) === Infinity ? 0 : time.time(now),
    };
  }

  #tickElection(now: number, roster: Roster): void {
    const step = this.#step.tick(now, this.#view(now, roster));
    if (step === undefined) return;
    if (step.type === 'claim') return this.#claim(now, roster);
    if (now - this.#actedAt < MERGE_RETRY_MS) return;
    const message: MeshMessage =
      step.type === 'join' ? { type: 'join', join: this.#request(now) } : { type: 'propose', roster, time: this.#party.time.time(now) };
    this.#askedHost = step.host;
    // Another process of its key had that seat with us, and may be there still: it has to know where.
    const seat = seatOf(roster, step.host);
    if (seat !== undefined && seat.instance !== this.#party.linkState.word(step.host)?.instance) this.#spread.send(now, step.host, roster, undefined);
    if (this.#party.send(now, step.type === 'join' ? this.#towards(step.host) : step.host, message)) this.#actedAt = now;
  }

  /** The host itself, or where no link to it stands, the member on the way there, which forwards a request for a seat. */
  #towards(host: PeerId): PeerId {
    return this.#party.links.get(host)?.silent === false ? host : (this.#party.linkState.route(host)?.next ?? host);
  }

  #claim(now: number, roster: Roster): void {
    const { self, instance, linkState, options } = this.#party;
    let base: Roster | Refusal = roster;
    if (seatOf(roster, self)?.instance !== instance)
      base = seatPeer(roster, { id: self, instance, spectator: options.spectate, addresses: this.addresses });
    if (typeof base === 'string') return this.#close(now, base === 'kicked' ? 'kicked' : 'timeout');
    let kept = base;
    for (const seat of base.seats) {
      const word = linkState.word(seat.id);
      // Out of reach, but not away: it said goodbye.
      if (word?.left === true && word.instance === seat.instance) kept = removeSeat(kept, seat.id, 'bye');
    }
    const next = claimRoster(
      kept,
      self,
      roster.term,
      (seat) => linkState.route(seat.id) !== undefined && linkState.word(seat.id)?.instance === seat.instance,
    );
    this.#step.clear();
    this.#adopt(now, updateSeat(next, self, { eligible: this.eligible }), this.roomKey);
  }

  // ── the list changes ──────────────────────────────────────────────────────────────────────────────

  /** As host: a new version of our own list; told to the others at the next tick. */
  #write(now: number, roster: Roster): void {
    if (roster !== this.roster) this.#adopt(now, roster, this.roomKey);
  }

  #adopt(now: number, roster: Roster, key: Uint8Array | undefined): void {
    const before = this.roster;
    this.roster = roster;
    this.#spread.onAdopted(now);
    if (key !== undefined && key !== this.roomKey) this.roomKey = key;
    if (before === undefined) this.joinState = { type: 'joined' };
    if (seatOf(roster, this.#party.self)?.instance === this.#party.instance) this.#rivalry.onHeld(now);
    this.#party.onRoster(before === undefined ? [] : departures(before, roster));
    if (before !== undefined && before.term !== roster.term) this.#tellMerge(before, roster);
    for (const id of roster.banned) if (this.#party.links.get(id) !== undefined && !this.#refusals.has(id)) this.#refusals.refuse(now, id, 'kicked');
    this.#answerAskers(now, roster);
    this.#party.hurry(now);
  }

  /** Processes for which we asked and which have a seat are told so. */
  #answerAskers(now: number, roster: Roster): void {
    for (const peer of this.#vouching.take((id, instance) => seatOf(roster, id)?.instance === instance))
      if (!this.isHost) this.#spread.send(now, peer, roster, this.roomKey);
  }

  #tellMerge(before: Roster, after: Roster): void {
    const lost = !after.lineage.includes(before.term);
    const wasPresent = (id: PeerId): boolean => seatOf(before, id)?.status === 'present';
    const came = lost ? after.seats.filter((seat) => seat.status === 'present').map((seat) => seat.id) : after.merged;
    const joined = came.filter((id) => id !== this.#party.self && !wasPresent(id));
    if (lost || joined.length > 0) this.#party.emit({ type: 'merge', lost, joined });
  }

  #offer(now: number, roster: Roster, key: Uint8Array | undefined): void {
    const { self, instance, options } = this.#party;
    if (roster.roomId !== options.roomId) return;
    const mine = this.roster;
    const seat = seatOf(roster, self);
    const seatsUs = seat?.status === 'present' && seat.instance === instance;
    if (mine === undefined) {
      if (seatsUs) this.#adopt(now, roster, key);
      return;
    }
    if (!isPlausible(mine, roster.term, roster.epoch)) return;
    if (seat !== undefined) this.#lookForDouble(now, seat);
    // The host may answer a request that we forwarded with a list we have already.
    if (compareVersions(roster.term, roster.epoch, mine.term, mine.epoch) <= 0) return this.#answerAskers(now, mine);
    if (roster.banned.includes(self) && roster.lineage.includes(mine.term)) return this.#close(now, 'kicked');
    if (seat !== undefined && seat.instance !== instance && this.#rivalry.onLost(now)) return this.#close(now, 'copied');
    if (roster.term === mine.term ? this.isHost : !seatsUs) return;
    // What was asked before is answered.
    if (roster.term !== mine.term) this.#askedHost = undefined;
    this.#adopt(now, roster, key);
  }

  /**
   * A list, of whatever age, has another process in our seat; or it has ours, and the part that took us in may have had another: then that one's
   * addresses are among ours. Whoever answers there has our key.
   */
  #lookForDouble(now: number, seat: Seat): void {
    if (seat.instance === this.#party.instance && !this.#rivalry.suspects(now)) return;
    for (const address of seat.addresses) if (!isIn(this.addresses, address)) this.#party.call(now, address);
  }

  // ── what the others say ───────────────────────────────────────────────────────────────────────────

  handle(now: number, from: PeerId, message: MeshMessage): void {
    if (this.isOver) return;
    switch (message.type) {
      case 'join':
        return this.#handleJoin(now, from, message.join);
      case 'forward':
        return this.#handleForward(now, { peer: message.peer, join: message.join, via: from, at: now });
      case 'roster':
        return this.#offer(now, message.roster, message.key);
      case 'refuse':
        return this.#handleRefusal(now, from, message.reason);
      case 'refused':
        for (const peer of this.#vouching.take((id) => id === message.peer)) this.#party.send(now, peer, { type: 'refuse', reason: message.reason });
        return;
      case 'leave':
        return this.onGoodbye(now, from);
      case 'propose':
        return this.#handleProposal(now, from, message.roster, message.time);
      case 'decide':
        return this.#handleDecision(now, from, message.roster, message.time, message.term);
      case 'move':
        if (this.isHost) this.#write(now, updateSeat(this.roster!, from, { addresses: boundAddresses(message.addresses) }));
        return;
      default:
        return;
    }
  }

  #handleJoin(now: number, from: PeerId, join: JoinRequest): void {
    const roster = this.roster;
    if (roster === undefined || this.isLeaving) return;
    const link = this.#party.links.get(from);
    const observed = link === undefined || isRelayed(link.address) || join.joinPort === 0 ? [] : [{ host: link.address.host, port: join.joinPort }];
    const request: JoinRequest = { ...join, addresses: boundAddresses(observed, join.addresses) };
    // Who asks for a seat with another instance has been started anew; a host is host no more.
    const { linkState } = this.#party;
    if ([linkState.word(from), linkState.spoke(from)].some((one) => one !== undefined && one.instance !== join.instance)) linkState.forget(from);
    this.#askedAt = now;
    if (from === roster.host && seatOf(roster, from)?.instance !== join.instance) return this.#party.hurry(now);
    if (this.isHost) return this.#seat(now, from, request, undefined);
    if (isHostAlive(this.#view(now, roster))) this.#vouching.forward(now, roster.host, from, request);
  }

  #handleForward(now: number, request: Forwarded): void {
    if (!this.isHost) return;
    if (this.#vouching.isHeard(now, request.peer)) this.#seatForwarded(now, request);
    else this.#vouching.wait(request);
  }

  #seatForwarded(now: number, { peer, join, via }: Forwarded): void {
    if (!this.#isOutlived(peer, join)) this.#seat(now, peer, join, via);
  }

  /** Another process of `peer` has the seat and is heard: what was forwarded has lain in a queue since before it started, or will be asked again. */
  #isOutlived(peer: PeerId, join: JoinRequest): boolean {
    const { linkState } = this.#party;
    const seat = seatOf(this.roster!, peer);
    if (seat?.status !== 'present' || seat.instance === join.instance) return false;
    return linkState.route(peer) !== undefined && linkState.word(peer)?.instance === seat.instance;
  }

  #seat(now: number, peer: PeerId, join: JoinRequest, via: PeerId | undefined): void {
    const roster = this.roster!;
    if (peer === this.#party.self || !isPlausible(roster, join.term, 0)) return;
    const next = this.#duty.seat(now, roster, { id: peer, instance: join.instance, spectator: join.spectate, addresses: join.addresses }, join.term);
    if (typeof next === 'string') {
      if (via === undefined) this.#refusals.refuse(now, peer, next);
      else this.#party.send(now, via, { type: 'refused', peer, reason: next });
      return;
    }
    if (join.time > 0) this.#party.time.advanceTo(now, join.time);
    if (next === roster) return this.#spread.send(now, via ?? peer, roster, this.roomKey);
    this.#write(now, next);
    this.#party.hurry(now);
  }

  #handleRefusal(now: number, from: PeerId, reason: Refusal): void {
    if (this.roster === undefined) return this.#fail(now, reason);
    if (from === this.roster.host || from === this.#askedHost) this.#close(now, reason === 'kicked' ? 'kicked' : 'timeout');
  }

  #handleProposal(now: number, from: PeerId, theirs: Roster, time: number): void {
    const mine = this.roster;
    if (mine === undefined || !this.#mayMeet(from, mine, theirs) || theirs.term === mine.term) return;
    if (this.#duty.hasAbsorbed(mine, theirs)) return this.#spread.send(now, from, mine, this.roomKey);
    const ownTime = this.#party.time.time(now);
    if (this.#duty.yields(mine, theirs, this.eligible)) {
      this.#askedHost = from;
      this.#party.send(now, from, { type: 'decide', roster: mine, time: ownTime, term: theirs.term });
    } else this.#absorb(now, theirs, time);
  }

  #handleDecision(now: number, from: PeerId, theirs: Roster, time: number, term: number): void {
    const mine = this.roster;
    if (mine === undefined || !this.#mayMeet(from, mine, theirs) || mine.term !== term) return;
    this.#absorb(now, theirs, time);
  }

  /** As host: this may be the list of another part of the room, and `from` the host of it. */
  #mayMeet(from: PeerId, mine: Roster, theirs: Roster): boolean {
    const isTheirs = theirs.host === from && theirs.roomId === mine.roomId;
    return this.isHost && !this.isLeaving && isTheirs && isPlausible(mine, theirs.term, theirs.epoch);
  }

  #absorb(now: number, theirs: Roster, time: number): void {
    this.#party.time.advanceTo(now, time);
    const seat = seatOf(theirs, this.#party.self);
    if (seat !== undefined) this.#lookForDouble(now, seat);
    this.#write(now, this.#duty.absorb(now, this.roster!, theirs));
  }

  onLinked(now: number, peer: PeerId): void {
    this.#refusals.forget(peer);
    if (this.isOver) return;
    if (this.roster === undefined) this.#search.onLinked(now);
    else if (this.roster.banned.includes(peer)) this.#refusals.refuse(now, peer, 'kicked');
  }

  /** The peer said goodbye, or closed its link with one: the process at the other end of the link, which need not be the one that has the seat by now. */
  onGoodbye(now: number, peer: PeerId): void {
    const { linkState } = this.#party;
    const seat = this.roster && seatOf(this.roster, peer);
    const word = linkState.word(peer);
    const asked = this.#vouching.forget(peer);
    const spoke = linkState.spoke(peer);
    const isAsker = asked !== undefined && !(spoke !== undefined && spoke.at >= asked.at);
    const instance = isAsker ? asked.instance : spoke?.instance;
    if (isAsker) linkState.markLeft(now, peer, instance);
    else if (instance === undefined || word?.instance === instance) linkState.markLeft(now, peer, word === undefined ? seat?.instance : undefined);
    if (this.isHost && seat !== undefined && (instance ?? seat.instance) === seat.instance) this.#write(now, removeSeat(this.roster!, peer, 'bye'));
    this.#party.hurry(now);
  }

  /** A door stayed shut. */
  onDialFailed(now: number, reason: ConnectFailure, hasHope: boolean): void {
    if (this.isOver) return;
    if (reason === 'double') return this.#meetDouble(now, hasHope);
    if (this.roster !== undefined) return;
    if (reason !== 'incompatible' && reason !== 'wrong-code') return;
    if (hasHope) this.#search.onRefused(now, reason);
    else this.#fail(now, reason);
  }

  /** A peer ended its link to us for a newer session of our key. */
  onReplaced(now: number): void {
    if (!this.isOver && !this.isLeaving && this.#rivalry.onReplaced(now)) this.#close(now, 'copied');
  }

  /** A process with our key, which is not us, is in this room, too. */
  #meetDouble(now: number, hasHope: boolean): void {
    const alone = this.roster?.seats.every((seat) => seat.id === this.#party.self) === true;
    if (this.#rivalry.onMet(now, alone)) this.#close(now, 'copied');
    else if (this.roster === undefined && !hasHope) this.#fail(now, 'copied');
  }

  // ── commands ──────────────────────────────────────────────────────────────────────────────────────

  setEligible(now: number, eligible: boolean): void {
    this.eligible = eligible;
    if (this.isHost) this.#write(now, updateSeat(this.roster!, this.#party.self, { eligible }));
    this.#party.hurry(now);
  }

  setAddresses(now: number, addresses: readonly Address[]): void {
    this.addresses = boundAddresses(addresses);
    this.#moved = true;
    this.#moveAt = now;
    this.#tellMoved(now);
  }

  /** Says where we are now until the list does: a host that is gone, or not linked at the moment, has not heard it. */
  #tellMoved(now: number): void {
    const { self, instance } = this.#party;
    const seat = this.#moved && this.roster !== undefined ? seatOf(this.roster, self) : undefined;
    if (seat?.instance !== instance || this.roster === undefined || sameAddresses(seat.addresses, this.addresses)) return;
    if (this.isHost) this.#write(now, updateSeat(this.roster, self, { addresses: this.addresses }));
    else if (now >= this.#moveAt) {
      this.#moveAt = now + MOVE_RETRY_MS;
      this.#party.send(now, this.roster.host, { type: 'move', addresses: this.addresses });
    }
  }

  kick(now: number, peer: PeerId): boolean {
    if (!this.isHost || peer === this.#party.self || seatOf(this.roster!, peer) === undefined) return false;
    this.#write(now, removeSeat(this.roster!, peer, 'kicked', true));
    return true;
  }

  leave(now: number): void {
    if (this.isOver || this.isLeaving) return;
    if (this.roster === undefined) return this.#close(now, 'bye');
    this.#spread.publish(now, this.roster, this.roomKey);
    for (const link of this.#party.links.all()) this.#party.send(now, link.peer, { type: 'leave' });
    this.#leaveAt = now;
    this.#party.hurry(now);
  }

  #tickLeave(now: number, since: number): void {
    const { links, endpoint } = this.#party;
    let waiting = false;
    for (const link of links.all()) if (!link.silent && (endpoint.stats(now, link.id)?.queuedBytes ?? 0) > 0) waiting = true;
    if (waiting && now - since < LEAVE_LINGER_MS) return;
    this.#close(now, 'bye');
  }

  /**
   * Every link ends. With a goodbye where this process gave up: a request for a seat may have been granted meanwhile. Who was refused, or has a
   * double, says none: the seat of this key, if there is one, is another process's.
   */
  #hangUp(now: number, reason: 'bye' | 'refused'): void {
    const { links, endpoint } = this.#party;
    for (const link of links.all()) endpoint.close(now, link.id, reason);
  }

  #close(now: number, reason: LeaveReason | 'copied'): void {
    this.#hangUp(now, reason === 'bye' ? 'bye' : 'refused');
    this.joinState = { type: 'left', reason };
    this.#party.endpoint.shut();
    this.#party.emit({ type: 'closed', reason });
  }

  #fail(now: number, reason: Extract<JoinState, { type: 'failed' }>['reason']): void {
    this.#hangUp(now, reason === 'unreachable' ? 'bye' : 'refused');
    this.joinState = { type: 'failed', reason };
    this.#party.endpoint.shut();
    this.#party.emit({ type: 'closed', reason: reason === 'kicked' || reason === 'copied' ? reason : 'timeout' });
  }
}
