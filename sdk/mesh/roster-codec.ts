/**
 * The roster as msgpack, and back with every bound checked: a roster from a peer is bytes from outside.
 *
 *   roster   [roomId bin16, name, max, locked, term, epoch, host, seats, banned, departed, lineage, merged]
 *   seat     [id bin10, slot, flags (1 present, 2 spectator, 4 eligible), instance, addresses]
 *   address  [host, port]
 *   departed [id bin10, slot, reason 0 bye, 1 timeout, 2 kicked]
 */
import type { PeerId, RoomId, Slot } from '../base/brand.ts';
import { fromHex, toHex } from '../base/bytes.ts';
import type { Address } from '../link/endpoint-types.ts';
import type { LeaveReason, PortDeparture } from '../port/port.ts';
import { MAX_BANNED, MAX_DEPARTED, MAX_ENDPOINTS_PER_PEER, MAX_LINEAGE, MAX_PEERS, MAX_ROOM_NAME_BYTES } from '../wire/limits.ts';
import { utf8Length } from '../wire/pack.ts';
import type { PayloadValue } from '../wire/payload.ts';
import { ID_BYTES, encodeId, idAt } from './ids.ts';
import type { Roster, Seat } from './roster.ts';

type Items = readonly PayloadValue[];

const PRESENT = 1;
const SPECTATOR = 2;
const ELIGIBLE = 4;
const REASONS: readonly LeaveReason[] = ['bye', 'timeout', 'kicked'];

export const isItems = (value: PayloadValue | undefined): value is Items => Array.isArray(value);
export const isUint = (value: PayloadValue | undefined, max: number): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max;

export function decodeId(value: PayloadValue | undefined): PeerId | undefined {
  return value instanceof Uint8Array && value.length === ID_BYTES ? idAt(value, 0) : undefined;
}

export function encodeAddresses(addresses: readonly Address[]): PayloadValue {
  return addresses.slice(0, MAX_ENDPOINTS_PER_PEER).map((address) => [address.host, address.port]);
}

/** Numeric addresses only: a name would make us ask a resolver on a stranger's behalf. */
export function decodeAddresses(value: PayloadValue | undefined): readonly Address[] | undefined {
  if (!isItems(value) || value.length > MAX_ENDPOINTS_PER_PEER) return undefined;
  const out: Address[] = [];
  for (const item of value) {
    if (!isItems(item) || item.length !== 2) return undefined;
    const [host, port] = item;
    if (typeof host !== 'string' || !/^[0-9a-fA-F.:]{2,45}$/u.test(host) || !isUint(port, 65_535) || port === 0) return undefined;
    out.push({ host, port });
  }
  return out;
}

function encodeSeat(seat: Seat): PayloadValue {
  const flags = (seat.status === 'present' ? PRESENT : 0) | (seat.spectator ? SPECTATOR : 0) | (seat.eligible ? ELIGIBLE : 0);
  return [encodeId(seat.id), seat.slot, flags, seat.instance, encodeAddresses(seat.addresses)];
}

function decodeSeat(value: PayloadValue): Seat | undefined {
  if (!isItems(value) || value.length !== 5) return undefined;
  const id = decodeId(value[0]);
  const [, slot, flags, instance] = value;
  const addresses = decodeAddresses(value[4]);
  if (id === undefined || addresses === undefined || !isUint(slot, MAX_PEERS - 1) || !isUint(flags, 7) || !isUint(instance, 0xffff_ffff))
    return undefined;
  return {
    id,
    slot: slot as Slot,
    status: (flags & PRESENT) !== 0 ? 'present' : 'away',
    spectator: (flags & SPECTATOR) !== 0,
    eligible: (flags & ELIGIBLE) !== 0,
    instance,
    addresses,
  };
}

function decodeList<T>(value: PayloadValue | undefined, max: number, decode: (item: PayloadValue) => T | undefined): T[] | undefined {
  if (!isItems(value) || value.length > max) return undefined;
  const out: T[] = [];
  for (const item of value) {
    const one = decode(item);
    if (one === undefined) return undefined;
    out.push(one);
  }
  return out;
}

function decodeDeparture(value: PayloadValue): PortDeparture | undefined {
  if (!isItems(value) || value.length !== 3) return undefined;
  const id = decodeId(value[0]);
  const slot = value[1];
  const reason = isUint(value[2], 2) ? REASONS[value[2]] : undefined;
  if (id === undefined || !isUint(slot, MAX_PEERS - 1) || reason === undefined) return undefined;
  return { id, slot: slot as Slot, reason };
}

export const decodeTerm = (value: PayloadValue | undefined): number | undefined => (isUint(value, Number.MAX_SAFE_INTEGER) ? value : undefined);

export function encodeRoster(roster: Roster): PayloadValue {
  return [
    fromHex(roster.roomId) ?? new Uint8Array(16),
    roster.name,
    roster.max,
    roster.locked,
    roster.term,
    roster.epoch,
    encodeId(roster.host),
    roster.seats.map(encodeSeat),
    roster.banned.map(encodeId),
    roster.departed.map((one) => [encodeId(one.id), one.slot, REASONS.indexOf(one.reason)]),
    roster.lineage,
    roster.merged.map(encodeId),
  ];
}

/** Undefined when malformed, when two seats share a slot or id, or when the host has no seat. */
export function decodeRoster(value: PayloadValue | undefined): Roster | undefined {
  if (!isItems(value) || value.length !== 12) return undefined;
  const [roomId, name, max, locked, term, epoch] = value;
  const host = decodeId(value[6]);
  const seats = decodeList(value[7], MAX_PEERS, decodeSeat);
  const banned = decodeList(value[8], MAX_BANNED, decodeId);
  const departed = decodeList(value[9], MAX_DEPARTED, decodeDeparture);
  const lineage = decodeList(value[10], MAX_LINEAGE, decodeTerm);
  const merged = decodeList(value[11], MAX_PEERS, decodeId);
  if (host === undefined || seats === undefined || banned === undefined || departed === undefined || lineage === undefined || merged === undefined)
    return undefined;
  if (
    !(roomId instanceof Uint8Array) ||
    roomId.length !== 16 ||
    typeof name !== 'string' ||
    utf8Length(name) > MAX_ROOM_NAME_BYTES ||
    typeof locked !== 'boolean'
  )
    return undefined;
  if (!isUint(max, MAX_PEERS) || decodeTerm(term) === undefined || !isUint(epoch, 0xffff_ffff)) return undefined;
  let slots = 0;
  let before = -1;
  for (const seat of seats) {
    if (seat.slot <= before) return undefined;
    before = seat.slot;
    slots |= 1 << seat.slot;
  }
  if (slots === 0 || new Set(seats.map((seat) => seat.id)).size !== seats.length || !seats.some((seat) => seat.id === host)) return undefined;
  return { roomId: toHex(roomId) as RoomId, name, max, locked, term: term as number, epoch, host, seats, banned, departed, lineage, merged };
}
