/**
 * Makes the links that should exist: to every seat of the roster, and to every address where somebody
 * of this room might answer. Attempts repeat with growing waits for as long as the reason lasts.
 *
 * Of two members that both want a link, the one with the lower id calls at once, the other after
 * `DIAL_SECOND_MS`; a newcomer calls everybody at once, since the others may not know it yet. A seat
 * that is in reach only over others is called over them as well, and so is the host of another part of the room.
 */
import type { PeerId } from '../base/brand.ts';
import type { Address, AttemptId, ConnectFailure, DoorMode, EndpointLike } from '../link/endpoint-types.ts';
import {
  CANDIDATE_LOST_MS,
  CANDIDATE_RETRY_MAX_MS,
  CODE_LOCKOUT_MS,
  DIAL_RETRY_MAX_MS,
  DIAL_RETRY_MS,
  DIAL_SECOND_MS,
  DIAL_SILENT_ALONE_MS,
  DIAL_SILENT_MS,
  MAX_CANDIDATES,
  MAX_DIALS_PER_TARGET,
  PROBE_AFTER_MS,
  PROBE_MS,
  WRONG_CODE_RETRY_MS,
} from '../wire/limits.ts';
import type { LinkState } from './link-state.ts';
import { isRelayed } from '../link/path.ts';
import type { Links, PeerLink } from './links.ts';
import { seatOf, type Roster, type Seat } from './roster.ts';

interface Target {
  readonly address: Address | undefined;
  readonly expect: PeerId | undefined;
  nextAt: number;
  /** When it was last called. */
  calledAt: number;
  tries: number;
  open: number;
  /** Who answered there last. */
  peer: PeerId | undefined;
  /** It was ourselves who answered there. */
  dead: boolean;
  /** How often it did not take our code. */
  refusals: number;
  /** What answered there last is not of this game. */
  alien: boolean;
  /** When discovery last found somebody of this room there; -Infinity for a seat. */
  namedAt: number;
  /** The seat with this address, unless somebody else has answered there: it is called as that seat. */
  seat: PeerId | undefined;
  /** When a peer whose link is alive answered there last. */
  probedAt: number;
}

/** Calls under way over others to hosts without a seat: a member may name dozens that are not there, and the places for calls are needed for who is. */
const MAX_DIALS_BEYOND = 8;

const keyOf = (address: Address): string => `${address.host} ${address.port}`;

export class Dialer {
  readonly #endpoint: EndpointLike;
  readonly #links: Links;
  readonly #linkState: LinkState;
  readonly #code: string | undefined;
  readonly #mayCall: (host: string) => boolean;
  readonly #seats = new Map<PeerId, Target>();
  readonly #candidates = new Map<string, Target>();
  readonly #attempts = new Map<AttemptId, { readonly target: Target; readonly key: string }>();
  /** Who was last linked from or at an address. */
  readonly #doors = new Map<string, PeerId>();
  /** Whose seat has an address, and the roster that was read from. */
  readonly #known = new Map<string, PeerId>();
  /** Those of them where somebody else answers than the seat's peer: whoever it is, it is called like any candidate. */
  readonly #foreign = new Set<string>();
  #knownOf: Roster | undefined;
  /** Set once a room key is known, so that `member` can be used. */
  hasRoomKey = false;

  constructor(endpoint: EndpointLike, links: Links, linkState: LinkState, code: string | undefined, mayCall = (_host: string): boolean => true) {
    this.#endpoint = endpoint;
    this.#links = links;
    this.#linkState = linkState;
    this.#code = code;
    this.#mayCall = mayCall;
  }

  addCandidate(now: number, address: Address): void {
    if (!this.#mayCall(address.host)) return;
    const key = keyOf(address);
    const known = this.#candidates.get(key);
    if (known !== undefined) {
      const wasLost = now - known.namedAt > CANDIDATE_LOST_MS;
      known.namedAt = now;
      // Somebody saw it again just now, so the long wait of a silent one is not justified.
      if (wasLost) this.#hasten(now, (one) => one.host === address.host && one.port === address.port);
      else if (known.refusals === 0) known.nextAt = Math.min(known.nextAt, now + DIAL_RETRY_MAX_MS);
      return;
    }
    if (this.#candidates.size >= MAX_CANDIDATES) this.#candidates.delete(this.#candidates.keys().next().value!);
    this.#candidates.set(key, {
      address: { host: address.host, port: address.port },
      expect: undefined,
      nextAt: now,
      calledAt: -Infinity,
      tries: 0,
      open: 0,
      peer: this.#doors.get(key),
      dead: false,
      refusals: 0,
      alien: false,
      namedAt: now,
      seat: this.#seatAt(key),
      probedAt: -Infinity,
    });
  }

  /** A candidate is not called where a peer we are linked to has called from: a second link would end the first, and what is on it. */
  #remember(door: string, peer: PeerId): void {
    this.#doors.delete(door);
    if (this.#doors.size >= MAX_CANDIDATES) this.#doors.delete(this.#doors.keys().next().value!);
    this.#doors.set(door, peer);
    const candidate = this.#candidates.get(door);
    if (candidate !== undefined) candidate.peer = peer;
  }

  /** Somebody on this host takes a link to us for alive that we gave up: it slept, or was cut off. True when anybody is called for that. */
  onStray(now: number, host: string): boolean {
    return this.#hasten(now, (address) => address.host === host);
  }

  /** Whoever we would call there one day is called now: the wait had grown while nobody answered. */
  #hasten(now: number, isThere: (address: Address) => boolean): boolean {
    let any = false;
    const hasten = (target: Target): void => {
      const at = Math.max(now, target.calledAt + DIAL_RETRY_MS);
      if (at >= target.nextAt) return;
      target.nextAt = at;
      any = true;
    };
    for (const target of this.#candidates.values()) if (target.refusals === 0 && isThere(target.address!)) hasten(target);
    for (const seat of this.#knownOf?.seats ?? []) {
      const target = this.#seats.get(seat.id);
      if (target !== undefined && seat.addresses.some(isThere)) hasten(target);
    }
    return any;
  }

  /** Our own addresses changed: one that was ours may be somebody else's now. */
  onMoved(): void {
    for (const target of this.#candidates.values()) target.dead = false;
  }

  /** `door`: where the peer's join socket is, whichever side called. */
  onLinked(attempt: AttemptId | undefined, peer: PeerId, door: Address): void {
    const target = attempt === undefined ? undefined : this.#end(attempt)?.target;
    if (!isRelayed(door)) this.#remember(keyOf(door), peer);
    if (target === undefined) return;
    this.#answered(target, peer);
    target.tries = 0;
    target.refusals = 0;
    target.alien = false;
  }

  /** Whoever answers at a candidate's address is not the seat the list has there, or it is. */
  #answered(target: Target, peer: PeerId | undefined): void {
    target.peer = peer;
    if (target.seat === undefined || target.seat === peer) return;
    this.#foreign.add(keyOf(target.address!));
    target.seat = undefined;
  }

  /** @param found who answered there, where it was not the peer of the seat that was called, or was linked already. */
  onFailed(now: number, attempt: AttemptId, reason: ConnectFailure, found?: PeerId): void {
    const ended = this.#end(attempt);
    if (ended === undefined) return;
    const { target, key } = ended;
    if ((reason === 'incompatible' || reason === 'self' || reason === 'double') && target.expect !== undefined && this.#known.has(key)) {
      this.#foreign.add(key);
      const candidate = this.#candidates.get(key);
      if (candidate !== undefined) candidate.seat = undefined;
      if (found !== undefined) this.#remember(key, found);
      // Who is expected may be at its next address: what is waited for after a call that nobody answered has come.
      if (this.#mayAnswerNext(target)) target.nextAt = now;
    }
    if (reason === 'linked') {
      this.#answered(target, found);
      target.probedAt = now;
    }
    if (reason === 'self') target.dead = true;
    if (reason === 'incompatible') target.alien = true;
    // It may give way, or we: until then the two have to know of each other.
    if (reason === 'double') target.peer = this.#endpoint.self;
    if (reason !== 'wrong-code' || target.expect !== undefined) return;
    // Another room of this name, with a code of its own: asking it often would lock its door for its own members.
    target.refusals++;
    target.nextAt = now + Math.min(CODE_LOCKOUT_MS, WRONG_CODE_RETRY_MS * 2 ** Math.min(target.refusals - 1, 8));
  }

  /** Where a seat may be called: its process may say any address, also one at which everybody would be asked. */
  #addressesOf(seat: Pick<Seat, 'addresses'> | undefined): readonly Address[] {
    return (seat?.addresses ?? []).filter(({ host }) => this.#mayCall(host));
  }

  /** True unless somebody else answered at the address whose turn is next. */
  #mayAnswerNext({ expect, tries }: Target): boolean {
    const addresses = this.#addressesOf(this.#knownOf?.seats.find((seat) => seat.id === expect));
    const next = addresses[tries % Math.max(1, addresses.length)];
    return next !== undefined && !this.#foreign.has(keyOf(next));
  }

  /** True while some candidate may still answer that did not refuse our code and is neither a process with our key nor of another game. */
  get hasHope(): boolean {
    for (const { dead, alien, refusals, peer } of this.#candidates.values())
      if (!dead && !alien && refusals === 0 && peer !== this.#endpoint.self) return true;
    return false;
  }

  #end(attempt: AttemptId): { readonly target: Target; readonly key: string } | undefined {
    const ended = this.#attempts.get(attempt);
    if (ended === undefined) return undefined;
    this.#attempts.delete(attempt);
    ended.target.open--;
    return ended;
  }

  /** Starts what is due. `newcomer`: we hold this roster for the first time. */
  tick(now: number, roster: Roster | undefined, newcomer: boolean): void {
    if (roster !== this.#knownOf) this.#readAddresses(roster);
    if (roster !== undefined) {
      for (const seat of roster.seats) if (seat.id !== this.#endpoint.self) this.#tickSeat(now, seat, newcomer);
      const hosts = roster.host === this.#endpoint.self ? this.#hostsBeyond(roster) : [];
      if (hosts.length > 0) this.#tickBeyond(now, roster, hosts);
      if (this.#seats.size > 0) this.#forgetSeats(roster, hosts);
    }
    for (const target of this.#candidates.values()) {
      if (target.dead || now < target.nextAt || target.open >= MAX_DIALS_PER_TARGET) continue;
      const peer = target.seat ?? target.peer;
      const link = peer === undefined ? undefined : this.#links.get(peer);
      const isLinked = link?.silent === false;
      if (isLinked ? !this.#mayProbe(now, target, link) : target.seat !== undefined) continue;
      this.#dial(now, target, target.address!, CANDIDATE_RETRY_MAX_MS, isLinked);
    }
  }

  /** True when somebody else may be found at an address that was, or is, a linked peer's. */
  #mayProbe(now: number, target: Target, link: PeerLink): boolean {
    const linkedAt = isRelayed(link.address) ? link.direct : link.address;
    return linkedAt !== undefined && linkedAt.host !== target.address!.host && now - link.since > PROBE_AFTER_MS && now - target.probedAt > PROBE_MS;
  }

  #readAddresses(roster: Roster | undefined): void {
    this.#knownOf = roster;
    this.#known.clear();
    // Whoever answers where our own seat is said to be is asked: it may be another process with our key.
    for (const seat of roster?.seats ?? [])
      if (seat.id !== this.#endpoint.self) for (const address of seat.addresses) this.#known.set(keyOf(address), seat.id);
    for (const key of this.#foreign) if (!this.#known.has(key)) this.#foreign.delete(key);
    for (const [key, target] of this.#candidates) target.seat = this.#seatAt(key);
  }

  #seatAt(key: string): PeerId | undefined {
    return this.#foreign.has(key) ? undefined : this.#known.get(key);
  }

  /** Hosts of other parts of the room that only others reach. Parts become one when their hosts speak to each other. */
  #hostsBeyond(roster: Roster): readonly PeerId[] {
    const hosts: PeerId[] = [];
    for (const { word } of this.#linkState.reachable())
      if (word.host && seatOf(roster, word.id) === undefined && this.#linkState.route(word.id)!.hops > 1) hosts.push(word.id);
    return hosts;
  }

  /** Each in its turn: who was due first goes first. */
  #tickBeyond(now: number, roster: Roster, hosts: readonly PeerId[]): void {
    const dueAt = (id: PeerId): number => this.#seats.get(id)?.nextAt ?? Infinity;
    let open = 0;
    for (const { target } of this.#attempts.values()) if (target.expect !== undefined && seatOf(roster, target.expect) === undefined) open++;
    for (const id of [...hosts].sort((a, b) => dueAt(a) - dueAt(b))) {
      const before = this.#attempts.size;
      this.#tickSeat(now, { id, addresses: [] }, false, open < MAX_DIALS_BEYOND);
      open += this.#attempts.size - before;
    }
  }

  #tickSeat(now: number, seat: Pick<Seat, 'id' | 'addresses'>, newcomer: boolean, mayDial = true): void {
    const link = this.#links.get(seat.id);
    let target = this.#seats.get(seat.id);
    const wanted = link === undefined || this.#wantsAnother(now, link, seat);
    if (!wanted) {
      if (target !== undefined) this.#seats.delete(seat.id);
      return;
    }
    if (target === undefined) {
      const first = newcomer || this.#endpoint.self < seat.id ? now : now + DIAL_SECOND_MS;
      target = {
        address: undefined,
        expect: seat.id,
        nextAt: first,
        calledAt: -Infinity,
        tries: 0,
        open: 0,
        peer: undefined,
        dead: false,
        refusals: 0,
        alien: false,
        namedAt: -Infinity,
        seat: undefined,
        probedAt: -Infinity,
      };
      this.#seats.set(seat.id, target);
    }
    if (!mayDial || now < target.nextAt || target.open >= MAX_DIALS_PER_TARGET) return;
    const addresses = this.#addressesOf(seat);
    const isTurn = target.tries % 2 === 1 || addresses.length === 0;
    const detour = (link === undefined || link.silent) && isTurn && (this.#linkState.route(seat.id)?.hops ?? 0) > 1;
    const address = detour ? { host: `~${seat.id}`, port: 0 } : addresses[target.tries % Math.max(1, addresses.length)];
    if (address === undefined) {
      target.tries++;
      target.nextAt = now + DIAL_RETRY_MS;
      return;
    }
    this.#dial(now, target, address, DIAL_RETRY_MAX_MS);
  }

  /**
   * A link that began as a detour knows no direct address, only a new handshake finds one. A link that
   * stays silent though its peer is in reach, or is found again, has keys or an address the other side no longer has.
   */
  #wantsAnother(now: number, link: PeerLink, seat: Pick<Seat, 'addresses'>): boolean {
    if (isRelayed(link.address) && link.direct === undefined) return now - link.since > DIAL_RETRY_MAX_MS;
    if (!link.silent) return false;
    const isThere = this.#linkState.route(link.peer) !== undefined || this.#isFound(seat, link.silentAt);
    return now - link.silentAt > (isThere ? DIAL_SILENT_MS : DIAL_SILENT_ALONE_MS);
  }

  /** True when discovery has named an address of this seat since its link fell silent, or shortly before: silence is noticed late. */
  #isFound(seat: Pick<Seat, 'addresses'>, silentAt: number): boolean {
    return seat.addresses.some((address) => (this.#candidates.get(keyOf(address))?.namedAt ?? -Infinity) > silentAt - DIAL_SILENT_MS / 2);
  }

  #forgetSeats(roster: Roster, hosts: readonly PeerId[]): void {
    for (const id of this.#seats.keys()) if (seatOf(roster, id) === undefined && !hosts.includes(id)) this.#seats.delete(id);
  }

  #dial(now: number, target: Target, address: Address, maxWaitMs: number, probe = false): void {
    const door = this.#door(target);
    const attempt = this.#endpoint.connect(now, address, door, target.expect, probe);
    this.#attempts.set(attempt, { target, key: keyOf(address) });
    target.open++;
    target.calledAt = now;
    target.nextAt = now + Math.min(maxWaitMs, DIAL_RETRY_MS * 2 ** Math.min(target.tries, 8));
    target.tries++;
  }

  /** Members prove the room key; where that fails (two rooms becoming one) the code still holds. */
  #door(target: Target): { mode: DoorMode; code?: string } {
    if (this.#code === undefined) return { mode: 'open' };
    const { expect } = target;
    const isSeat = expect !== undefined && this.#knownOf !== undefined && seatOf(this.#knownOf, expect) !== undefined;
    const asMember = this.hasRoomKey && isSeat && target.tries % 3 !== 2;
    return asMember ? { mode: 'member' } : { mode: 'code', code: this.#code };
  }
}
