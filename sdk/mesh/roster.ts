/**
 * The roster: the agreed list of seats of a room, as a value. Pure: every change is a function from
 * one roster to the next; who may make it, and when, is decided in `membership.ts`.
 *
 * Order: rosters are ordered by (term, epoch). A term belongs to one host: it is a counter times 2^20
 * plus 20 bits of a hash of the host's id, so two hosts can never write in the same term. Inside a
 * term only its host writes, and every change is the next epoch.
 *
 * Lineage: `lineage` holds the terms this roster continues; whoever comes from another term has been
 * absorbed, and what its host decided meanwhile gives way (`merge` with `lost`).
 */
import type { PeerId, RoomId, Slot } from '../base/brand.ts';
import type { Address } from '../link/endpoint-types.ts';
import type { LeaveReason, PortDeparture, SeatStatus } from '../port/port.ts';
import { MAX_BANNED, MAX_DEPARTED, MAX_ENDPOINTS_PER_PEER, MAX_LINEAGE, MAX_PEERS } from '../wire/limits.ts';

export interface Seat {
  readonly id: PeerId;
  readonly slot: Slot;
  readonly status: SeatStatus;
  readonly spectator: boolean;
  readonly eligible: boolean;
  /** Random number of the running process: another one means that it was started anew. */
  readonly instance: number;
  /** Join addresses, the best first. */
  readonly addresses: readonly Address[];
}

export interface Roster {
  readonly roomId: RoomId;
  readonly name: string;
  readonly max: number;
  readonly locked: boolean;
  readonly term: number;
  readonly epoch: number;
  readonly host: PeerId;
  /** Sorted by slot. */
  readonly seats: readonly Seat[];
  readonly banned: readonly PeerId[];
  /** Who left lately and why, the newest last. */
  readonly departed: readonly PortDeparture[];
  /** Terms this roster continues, this one last. */
  readonly lineage: readonly number[];
  /** Peers that came in with the merge that began this term; empty when none did. */
  readonly merged: readonly PeerId[];
}

export interface Newcomer {
  readonly id: PeerId;
  readonly instance: number;
  readonly spectator: boolean;
  readonly addresses: readonly Address[];
}

const TERM_STEP = 2 ** 20;

/** A room starts below half of this, and no room changes its host so often that it gets there. */
const FAR_TERM = 2 ** 45;
/** A list that changes ten times a second takes seven years to get there. */
const FAR_EPOCH = 2 ** 31;
/** From there on a version counts only as near as this: terms by `TERM_STEP`, and epochs. */
const NEAR_TERMS = 16;
const NEAR_EPOCHS = 256;

/** Of two versions of the list, positive when the first is newer. */
export function compareVersions(aTerm: number, aEpoch: number, bTerm: number, bEpoch: number): number {
  return aTerm === bTerm ? aEpoch - bEpoch : aTerm - bTerm;
}

/**
 * True of a version that a room may come to, as seen from ours. Who is asked to continue one that is near the end of numbers would write
 * lists that nobody can read.
 */
export function isPlausible(mine: Pick<Roster, 'term' | 'epoch'>, term: number, epoch: number): boolean {
  return term <= Math.max(FAR_TERM, mine.term + NEAR_TERMS * TERM_STEP) && epoch <= Math.max(FAR_EPOCH, mine.epoch + NEAR_EPOCHS);
}

/** 20 bits of a peer's id: its first four characters. The id is a hash already. */
function hostBits(id: PeerId): number {
  let bits = 0;
  for (let i = 0; i < 4; i++) {
    const code = id.charCodeAt(i);
    bits = (bits << 5) | ((code >= 97 ? code - 97 : code - 24) & 31);
  }
  return bits & (TERM_STEP - 1);
}

/**
 * The smallest term of this process of `host` that is greater than `after`. Not of another process of it: one that was started anew
 * among others does not know which terms the one before it has written in.
 */
export function nextTerm(after: number, host: PeerId, instance: number): number {
  return (Math.floor(after / TERM_STEP) + 1) * TERM_STEP + (hostBits(host) ^ (instance % TERM_STEP));
}

export function seatOf(roster: Roster, id: PeerId): Seat | undefined {
  for (const seat of roster.seats) if (seat.id === id) return seat;
  return undefined;
}

// Seats and lists are written out key by key, in the order they are read from the wire: objects of one shape are read fast.
function changeSeat(seat: Seat, change: Partial<Omit<Seat, 'id'>>): Seat {
  return {
    id: seat.id,
    slot: change.slot ?? seat.slot,
    status: change.status ?? seat.status,
    spectator: change.spectator ?? seat.spectator,
    eligible: change.eligible ?? seat.eligible,
    instance: change.instance ?? seat.instance,
    addresses: change.addresses ?? seat.addresses,
  };
}

function newSeat({ id, instance, spectator, addresses }: Newcomer, slot: Slot): Seat {
  return { id, slot, status: 'present', spectator, eligible: true, instance, addresses: boundAddresses(addresses) };
}

type RosterChange = Partial<Pick<Roster, 'term' | 'host' | 'seats' | 'banned' | 'departed' | 'lineage' | 'merged'>>;

/** The list with what `change` says. */
export function changeRoster(roster: Roster, change: RosterChange, epoch = roster.epoch): Roster {
  return {
    roomId: roster.roomId,
    name: roster.name,
    max: roster.max,
    locked: roster.locked,
    term: change.term ?? roster.term,
    epoch,
    host: change.host ?? roster.host,
    seats: change.seats ?? roster.seats,
    banned: change.banned ?? roster.banned,
    departed: change.departed ?? roster.departed,
    lineage: change.lineage ?? roster.lineage,
    merged: change.merged ?? roster.merged,
  };
}

export function foundRoster(
  room: { readonly roomId: RoomId; readonly name: string; readonly max: number; readonly locked: boolean },
  founder: Newcomer,
  startTerm: number,
): Roster {
  const term = nextTerm(startTerm * TERM_STEP, founder.id, founder.instance);
  const { roomId, name, max, locked } = room;
  const seats = [newSeat(founder, 0 as Slot)];
  return { roomId, name, max, locked, term, epoch: 1, host: founder.id, seats, banned: [], departed: [], lineage: [term], merged: [] };
}

/** At most `MAX_ENDPOINTS_PER_PEER`, without repeats, the first ones first. */
export function boundAddresses(...lists: readonly (readonly Address[])[]): readonly Address[] {
  const out: Address[] = [];
  for (const list of lists) {
    for (const address of list) {
      if (out.length >= MAX_ENDPOINTS_PER_PEER) return out;
      if (!out.some((other) => other.host === address.host && other.port === address.port)) out.push({ host: address.host, port: address.port });
    }
  }
  return out;
}

function freeSlot(seats: readonly Seat[]): Slot | undefined {
  let taken = 0;
  for (const seat of seats) taken |= 1 << seat.slot;
  for (let slot = 0; slot < MAX_PEERS; slot++) if ((taken & (1 << slot)) === 0) return slot as Slot;
  return undefined;
}

const bySlot = (a: Seat, b: Seat): number => a.slot - b.slot;

/** The same list, one epoch later, with what `change` says. */
export function nextEpoch(roster: Roster, change: RosterChange): Roster {
  return changeRoster(roster, change, roster.epoch + 1);
}

/** Gives `newcomer` a seat: its own when it has one, else the lowest free slot. */
export function seatPeer(roster: Roster, newcomer: Newcomer): Roster | 'kicked' | 'room-full' {
  if (roster.banned.includes(newcomer.id)) return 'kicked';
  const old = seatOf(roster, newcomer.id);
  const players = roster.seats.filter((seat) => !seat.spectator).length;
  const { instance, spectator } = newcomer;
  if (old !== undefined) {
    // Who is started anew may play where it watched, if there is a place, or watch.
    if (old.spectator && !spectator && players >= roster.max) return 'room-full';
    const seat = changeSeat(old, { status: 'present', instance, spectator, addresses: boundAddresses(newcomer.addresses) });
    return nextEpoch(roster, { seats: roster.seats.map((other) => (other === old ? seat : other)) });
  }
  const slot = freeSlot(roster.seats);
  if (slot === undefined || (!spectator && players >= roster.max)) return 'room-full';
  return nextEpoch(roster, { seats: [...roster.seats, newSeat(newcomer, slot)].sort(bySlot) });
}

/** Changes one seat; the same roster when nothing changes or the seat is not there. */
export function updateSeat(roster: Roster, id: PeerId, change: Partial<Pick<Seat, 'status' | 'eligible' | 'addresses'>>): Roster {
  const old = seatOf(roster, id);
  if (old === undefined) return roster;
  const { status = old.status, eligible = old.eligible, addresses = old.addresses } = change;
  if (status === old.status && eligible === old.eligible && sameAddresses(addresses, old.addresses)) return roster;
  const seat = changeSeat(old, { status, eligible, addresses });
  return nextEpoch(roster, { seats: roster.seats.map((other) => (other === old ? seat : other)) });
}

export function sameAddresses(a: readonly Address[], b: readonly Address[]): boolean {
  return a === b || (a.length === b.length && a.every((address, i) => address.host === b[i]!.host && address.port === b[i]!.port));
}

/** Takes a seat away; `ban` keeps the key out for the room's life. */
export function removeSeat(roster: Roster, id: PeerId, reason: LeaveReason, ban = false): Roster {
  const seat = seatOf(roster, id);
  const banned = ban && !roster.banned.includes(id) ? [...roster.banned, id].slice(-MAX_BANNED) : roster.banned;
  if (seat === undefined) return banned === roster.banned ? roster : nextEpoch(roster, { banned });
  const departed = [...roster.departed.filter((one) => one.id !== id), { id, slot: seat.slot, reason }].slice(-MAX_DEPARTED);
  return nextEpoch(roster, { seats: roster.seats.filter((other) => other !== seat), banned, departed });
}

/** A new host continues the list in a term of its own, with those it reaches present. */
export function claimRoster(roster: Roster, host: PeerId, after: number, isPresent: (seat: Seat) => boolean): Roster {
  const term = nextTerm(Math.max(after, roster.term), host, seatOf(roster, host)!.instance);
  const seats = roster.seats.map((seat): Seat => {
    const status = seat.id === host || (seat.status === 'present' && isPresent(seat)) ? 'present' : 'away';
    return status === seat.status ? seat : changeSeat(seat, { status });
  });
  return nextEpoch(roster, { term, host, seats, lineage: [...roster.lineage, term].slice(-MAX_LINEAGE), merged: [] });
}

/**
 * Two parts become one: `winner` keeps its slots, seats of `loser` whose slot is taken get the lowest
 * free one. Who is present in either part is present. Seats beyond `MAX_PEERS` stay out, those of who is away first: a
 * seat kept for nobody must not keep a player out. Bans of both hold, but none of the winner's host: a list without its
 * host is none.
 */
export function mergeRosters(winner: Roster, loser: Roster, after: number): Roster {
  const banned = [...new Set([...winner.banned, ...loser.banned])].filter((id) => id !== winner.host).slice(-MAX_BANNED);
  const seats: Seat[] = winner.seats.filter((seat) => !banned.includes(seat.id));
  const merged: PeerId[] = [];
  const presentFirst = [...loser.seats].sort((a, b) => Number(a.status === 'away') - Number(b.status === 'away'));
  for (const seat of presentFirst) {
    if (banned.includes(seat.id)) continue;
    const at = seats.findIndex((other) => other.id === seat.id);
    if (at >= 0) {
      if (seat.status !== 'present') continue;
      // The loser's word is newer about a peer that followed it.
      const old = seats[at]!;
      if (old.status !== 'present' || seat.id === loser.host) {
        seats[at] = changeSeat(old, {
          status: 'present',
          instance: seat.instance,
          spectator: seat.spectator,
          eligible: seat.eligible,
          addresses: boundAddresses(seat.addresses, old.addresses),
        });
        merged.push(seat.id);
      }
      continue;
    }
    const isTaken = seats.some((other) => other.slot === seat.slot);
    let slot = isTaken ? (freeSlot([...seats, ...loser.seats]) ?? freeSlot(seats)) : seat.slot;
    if (slot === undefined && seat.status === 'present') {
      const left = seats.findLastIndex((other) => other.status === 'away');
      slot = seats[left]?.slot;
      if (left >= 0) seats.splice(left, 1);
    }
    if (slot === undefined) continue;
    seats.push(changeSeat(seat, { slot }));
    if (seat.status === 'present') merged.push(seat.id);
  }
  const term = nextTerm(Math.max(after, winner.term, loser.term), winner.host, seatOf(winner, winner.host)!.instance);
  const lineage = [...winner.lineage.filter((one) => one !== loser.term), term].slice(-MAX_LINEAGE);
  const departed = winner.departed.filter((one) => !seats.some((seat) => seat.id === one.id));
  const epoch = Math.max(winner.epoch, loser.epoch) + 1;
  return changeRoster(winner, { term, seats: seats.sort(bySlot), banned, departed, lineage, merged }, epoch);
}

/** Who is gone between two lists, with the reason the newer one gives. */
export function departures(before: Roster, after: Roster): readonly PortDeparture[] {
  const left: PortDeparture[] = [];
  for (const seat of before.seats) {
    if (seatOf(after, seat.id) !== undefined) continue;
    const known = after.departed.find((one) => one.id === seat.id);
    const reason = known?.reason ?? (after.banned.includes(seat.id) ? 'kicked' : 'timeout');
    left.push({ id: seat.id, slot: seat.slot, reason });
  }
  return left;
}
