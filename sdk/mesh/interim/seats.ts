/**
 * The agreed list of a room: seats, host, epoch, term, bans. Pure: every change makes a new roster.
 *
 * Only the host writes it. `term` names one host (its low 20 bits are a hash of the host's id, so two
 * hosts never share a term), and grows with every host change; `epoch` grows with every change.
 * `lineage` is the term in which the slots were last dealt out: two rosters of one lineage mean the
 * same peer by the same slot.
 *
 * ```
 * wire: [name, max, locked, termCount, termTag, lineageCount, lineageTag, epoch, host,
 *        [[id, slot, flags, [[host, port], …]], …], [[id, slot, reason], …], [banned, …]]
 * ```
 */
import type { PeerId, RoomId, Slot } from '../../base/brand.ts';
import type { Address } from '../../link/endpoint-types.ts';
import type { LeaveReason, PortDeparture, SeatStatus } from '../../port/port.ts';
import { MAX_BANNED, MAX_ENDPOINTS_PER_PEER, MAX_PEERS, MAX_ROOM_NAME_BYTES } from '../../wire/limits.ts';
import type { PayloadValue } from '../../wire/payload.ts';

export interface Seat {
  readonly id: PeerId;
  readonly slot: Slot;
  readonly status: SeatStatus;
  readonly spectator: boolean;
  readonly eligible: boolean;
  readonly addresses: readonly Address[];
}

export interface Roster {
  readonly roomId: RoomId;
  readonly name: string;
  readonly max: number;
  readonly locked: boolean;
  readonly term: number;
  readonly lineage: number;
  readonly epoch: number;
  readonly host: PeerId;
  /** Sorted by slot. */
  readonly seats: readonly Seat[];
  /** The last departures, newest last, so that everybody learns the reason. */
  readonly departures: readonly PortDeparture[];
  readonly banned: readonly PeerId[];
}

const TAG_SIZE = 2 ** 20;
const REASONS: readonly LeaveReason[] = ['bye', 'timeout', 'kicked'];
const KEPT_DEPARTURES = 16;

/** Twenty bits that belong to one peer, for the low part of its terms (FNV-1a). */
function termTag(host: PeerId): number {
  let hash = 0x811c_9dc5;
  for (let i = 0; i < host.length; i++) hash = Math.imul(hash ^ host.charCodeAt(i), 0x0100_0193);
  return (hash >>> 0) % TAG_SIZE;
}

/** The smallest term of `host` above `term`. */
export function nextTerm(term: number, host: PeerId): number {
  return (Math.floor(term / TAG_SIZE) + 1) * TAG_SIZE + termTag(host);
}

export function seatOf(roster: Roster, id: PeerId): Seat | undefined {
  return roster.seats.find((seat) => seat.id === id);
}

function presentCount(roster: Roster): number {
  return roster.seats.reduce((count, seat) => count + (seat.status === 'present' ? 1 : 0), 0);
}

export function playerCount(roster: Roster): number {
  return roster.seats.reduce((count, seat) => count + (seat.spectator ? 0 : 1), 0);
}

/** True when `a` is a later word than `b`. */
export function isLater(a: Roster, b: Roster): boolean {
  return a.term > b.term || (a.term === b.term && a.epoch > b.epoch);
}

function withSeats(roster: Roster, seats: readonly Seat[], rest: Partial<Roster> = {}): Roster {
  return { ...roster, ...rest, epoch: (rest.epoch ?? roster.epoch) + 1, seats: [...seats].sort((a, b) => a.slot - b.slot) };
}

/** The lowest slot nobody has, or undefined when all are taken. */
function freeSlot(seats: readonly Seat[]): Slot | undefined {
  const taken = new Set(seats.map((seat) => seat.slot as number));
  for (let slot = 0; slot < MAX_PEERS; slot++) if (!taken.has(slot)) return slot as Slot;
  return undefined;
}

/** Gives a newcomer a seat, or its old one back; a string says why not. */
export function admit(roster: Roster, id: PeerId, spectator: boolean, addresses: readonly Address[]): Roster | 'kicked' | 'room-full' {
  if (roster.banned.includes(id)) return 'kicked';
  const old = seatOf(roster, id);
  if (old !== undefined) {
    const seat: Seat = { ...old, status: 'present', spectator, addresses };
    return withSeats(roster, roster.seats.map((other) => (other.id === id ? seat : other)));
  }
  if (!spectator && playerCount(roster) >= roster.max) return 'room-full';
  const slot = freeSlot(roster.seats);
  if (slot === undefined) return 'room-full';
  return withSeats(roster, [...roster.seats, { id, slot, status: 'present', spectator, eligible: true, addresses }]);
}

/** Takes a seat away for good. */
export function remove(roster: Roster, id: PeerId, reason: LeaveReason): Roster {
  const seat = seatOf(roster, id);
  if (seat === undefined) return roster;
  const departures = [...roster.departures.filter((left) => left.id !== id), { id, slot: seat.slot, reason }].slice(-KEPT_DEPARTURES);
  const banned = reason === 'kicked' ? [...roster.banned, id].slice(-MAX_BANNED) : roster.banned;
  return withSeats(roster, roster.seats.filter((other) => other.id !== id), { departures, banned });
}

/** Changes parts of one seat. */
export function amend(roster: Roster, id: PeerId, change: Partial<Pick<Seat, 'status' | 'eligible' | 'addresses'>>): Roster {
  return withSeats(roster, roster.seats.map((seat) => (seat.id === id ? { ...seat, ...change } : seat)));
}

/** Hands the host's duties to `host`: a new term. */
export function succeed(roster: Roster, host: PeerId): Roster {
  return { ...roster, term: nextTerm(roster.term, host), epoch: roster.epoch + 1, host };
}

/**
 * True when `mine` goes on and `theirs` is absorbed: the larger side wins, so that one peer that fell
 * off never drags a full room along; the lower host id breaks ties.
 */
export function outweighs(mine: Roster, theirs: Roster): boolean {
  const difference = presentCount(mine) - presentCount(theirs);
  return difference !== 0 ? difference > 0 : mine.host < theirs.host;
}

/** The union under a new term of `winner.host`. The winner's slots stay; a clash gives the loser's peer a new one. */
export function absorb(winner: Roster, loser: Roster): Roster {
  const banned = [...new Set([...winner.banned, ...loser.banned])].slice(-MAX_BANNED);
  let seats = [...winner.seats];
  for (const theirs of loser.seats) {
    if (banned.includes(theirs.id) || theirs.status !== 'present') continue;
    const known = seats.find((seat) => seat.id === theirs.id);
    if (known !== undefined) {
      seats = seats.map((seat) => (seat.id === theirs.id ? { ...theirs, slot: seat.slot } : seat));
      continue;
    }
    const isFree = !seats.some((seat) => seat.slot === theirs.slot);
    const slot = isFree ? theirs.slot : freeSlot(seats);
    const isFull = !theirs.spectator && seats.filter((seat) => !seat.spectator).length >= winner.max;
    if (slot !== undefined && !isFull) seats.push({ ...theirs, slot });
  }
  const term = nextTerm(Math.max(winner.term, loser.term), winner.host);
  return withSeats(winner, seats, { term, lineage: term, banned, epoch: Math.max(winner.epoch, loser.epoch) });
}

/** Who is gone for good between two rosters, with the reason the later one gives. */
export function departuresBetween(before: Roster, after: Roster): PortDeparture[] {
  return before.seats
    .filter((seat) => seatOf(after, seat.id) === undefined)
    .map((seat) => after.departures.find((left) => left.id === seat.id) ?? { id: seat.id, slot: seat.slot, reason: 'timeout' as const });
}

export function encodeRoster(roster: Roster): PayloadValue {
  return [
    roster.name,
    roster.max,
    roster.locked,
    ...termParts(roster.term),
    ...termParts(roster.lineage),
    roster.epoch,
    roster.host,
    roster.seats.map((seat) => [
      seat.id,
      seat.slot,
      (seat.status === 'present' ? 1 : 0) | (seat.spectator ? 2 : 0) | (seat.eligible ? 4 : 0),
      encodeAddresses(seat.addresses),
    ]),
    roster.departures.map((left) => [left.id, left.slot, REASONS.indexOf(left.reason)]),
    [...roster.banned],
  ];
}

export function encodeAddresses(addresses: readonly Address[]): PayloadValue {
  return addresses.slice(0, MAX_ENDPOINTS_PER_PEER).map((address) => [address.host, address.port]);
}

const isList = (value: unknown): value is readonly PayloadValue[] => Array.isArray(value);
const isUint = (value: unknown, max: number): value is number => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= max;

export function isPeerId(value: unknown): value is PeerId {
  return typeof value === 'string' && /^[a-z2-7]{16}$/.test(value);
}

/** A term from its two halves. */
export function termOf(count: PayloadValue | undefined, tag: PayloadValue | undefined): number | undefined {
  return isUint(count, 0xffff_ffff) && isUint(tag, TAG_SIZE - 1) ? count * TAG_SIZE + tag : undefined;
}

/** The two halves of a term, for messages: 64-bit integers do not travel. */
export function termParts(term: number): readonly [count: number, tag: number] {
  return [Math.floor(term / TAG_SIZE), term % TAG_SIZE];
}

/** Numeric addresses only: a name would make us ask a resolver on a stranger's behalf. */
export function decodeAddresses(value: PayloadValue | undefined): Address[] | undefined {
  if (!isList(value) || value.length > MAX_ENDPOINTS_PER_PEER) return undefined;
  const out: Address[] = [];
  for (const item of value) {
    if (!isList(item) || item.length !== 2) return undefined;
    const [host, port] = item;
    if (typeof host !== 'string' || !/^[0-9a-zA-Z.:%]{1,64}$/.test(host) || !isUint(port, 65_535) || port === 0) return undefined;
    out.push({ host, port });
  }
  return out;
}

function decodeSeat(value: PayloadValue): Seat | undefined {
  if (!isList(value) || value.length !== 4) return undefined;
  const [id, slot, flags, list] = value;
  const addresses = decodeAddresses(list);
  if (!isPeerId(id) || !isUint(slot, MAX_PEERS - 1) || !isUint(flags, 7) || addresses === undefined) return undefined;
  return { id, slot: slot as Slot, status: flags & 1 ? 'present' : 'away', spectator: (flags & 2) !== 0, eligible: (flags & 4) !== 0, addresses };
}

function decodeDeparture(value: PayloadValue): PortDeparture | undefined {
  if (!isList(value) || value.length !== 3) return undefined;
  const [id, slot, reason] = value;
  if (!isPeerId(id) || !isUint(slot, MAX_PEERS - 1) || !isUint(reason, REASONS.length - 1)) return undefined;
  return { id, slot: slot as Slot, reason: REASONS[reason]! };
}

function decodeAll<T>(value: PayloadValue | undefined, max: number, decode: (item: PayloadValue) => T | undefined): T[] | undefined {
  if (!isList(value) || value.length > max) return undefined;
  const out: T[] = [];
  for (const item of value) {
    const decoded = decode(item);
    if (decoded === undefined) return undefined;
    out.push(decoded);
  }
  return out;
}

/** Undefined when the value is no roster that `encodeRoster` could have written. */
export function decodeRoster(roomId: RoomId, value: PayloadValue | undefined): Roster | undefined {
  if (!isList(value) || value.length !== 12) return undefined;
  const [name, max, locked, termCount, tag, lineageCount, lineageTag, epoch, host, seatList, departureList, bannedList] = value;
  const term = termOf(termCount, tag);
  const lineage = termOf(lineageCount, lineageTag);
  const seats = decodeAll(seatList, MAX_PEERS, decodeSeat);
  const departures = decodeAll(departureList, KEPT_DEPARTURES, decodeDeparture);
  const banned = decodeAll(bannedList, MAX_BANNED, (id) => (isPeerId(id) ? id : undefined));
  if (term === undefined || lineage === undefined || seats === undefined || departures === undefined || banned === undefined) return undefined;
  if (typeof name !== 'string' || name.length > MAX_ROOM_NAME_BYTES || typeof locked !== 'boolean' || !isPeerId(host)) return undefined;
  if (!isUint(max, 255) || !isUint(epoch, 0xffff_ffff)) return undefined;
  if (new Set(seats.map((seat) => seat.slot)).size !== seats.length || new Set(seats.map((seat) => seat.id)).size !== seats.length) return undefined;
  if (!seats.some((seat) => seat.id === host)) return undefined;
  return { roomId, name, max, locked, term, lineage, epoch, host, seats: seats.sort((a, b) => a.slot - b.slot), departures, banned };
}
