/**
 * What members say to each other about the room: msgpack arrays on `MESH_LANE`.
 *
 * ```
 * heartbeat  unreliable  [0, termCount, termTag, epoch, lineageCount, lineageTag, timeOffset | nil, [slot, seq, mask, eligible, …]]
 * roster     reliable    [1, roster, room key | nil]
 * join       reliable    [2, spectator, [[host, port], …]]                 newcomer -> any member
 * forward    reliable    [3, peer, spectator, [[host, port], …]]           member -> host
 * deny       reliable    [4, peer, reason]                                 host -> member -> newcomer
 * leave      reliable    [5]
 * foreign    reliable    [6, roster, room key | nil]                       member -> host: another part of the room
 * ```
 * `timeOffset` is the sender's room time less its monotonic clock, in ms; only the host's counts.
 */
import type { PeerId, RoomId } from '../../base/brand.ts';
import type { Address } from '../../link/endpoint-types.ts';
import { MAX_PEERS } from '../../wire/limits.ts';
import { decodePayload, encodePayload, type PayloadValue } from '../../wire/payload.ts';
import type { LinkStateEntry } from './link-state.ts';
import { decodeAddresses, decodeRoster, encodeAddresses, encodeRoster, isPeerId, termOf, termParts, type Roster } from './seats.ts';

export type DenyReason = 'kicked' | 'room-full';

export interface Heartbeat {
  readonly type: 'heartbeat';
  readonly term: number;
  readonly epoch: number;
  readonly lineage: number;
  readonly timeOffset: number | undefined;
  /** The sender's own report first. */
  readonly entries: readonly LinkStateEntry[];
}

export type Control =
  | Heartbeat
  | { readonly type: 'roster' | 'foreign'; readonly roster: Roster; readonly roomKey: Uint8Array | undefined }
  | { readonly type: 'join'; readonly spectator: boolean; readonly addresses: readonly Address[] }
  | { readonly type: 'forward'; readonly peer: PeerId; readonly spectator: boolean; readonly addresses: readonly Address[] }
  | { readonly type: 'deny'; readonly peer: PeerId; readonly reason: DenyReason }
  | { readonly type: 'leave' };

const TYPES = ['heartbeat', 'roster', 'join', 'forward', 'deny', 'leave', 'foreign'] as const;
const DENIALS: readonly DenyReason[] = ['kicked', 'room-full'];
const ROOM_KEY_BYTES = 32;

export function encodeControl(control: Control): Uint8Array {
  const type = TYPES.indexOf(control.type);
  switch (control.type) {
    case 'heartbeat':
      return encodePayload([
        type,
        ...termParts(control.term),
        control.epoch,
        ...termParts(control.lineage),
        control.timeOffset ?? null,
        control.entries.flatMap((entry) => [entry.slot, entry.seq, entry.mask >>> 0, entry.eligible]),
      ]);
    case 'roster':
    case 'foreign':
      return encodePayload([type, encodeRoster(control.roster), control.roomKey ?? null]);
    case 'join':
      return encodePayload([type, control.spectator, encodeAddresses(control.addresses)]);
    case 'forward':
      return encodePayload([type, control.peer, control.spectator, encodeAddresses(control.addresses)]);
    case 'deny':
      return encodePayload([type, control.peer, DENIALS.indexOf(control.reason)]);
    case 'leave':
      return encodePayload([type]);
    default:
      return control satisfies never;
  }
}

const isUint = (value: unknown, max: number): value is number => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= max;

function decodeEntries(value: PayloadValue | undefined): LinkStateEntry[] | undefined {
  if (!Array.isArray(value) || value.length % 4 !== 0 || value.length === 0 || value.length > MAX_PEERS * 4) return undefined;
  const entries: LinkStateEntry[] = [];
  for (let i = 0; i < value.length; i += 4) {
    const [slot, seq, mask, eligible] = value.slice(i, i + 4);
    if (!isUint(slot, MAX_PEERS - 1) || !isUint(seq, 0xffff_ffff) || !isUint(mask, 0xffff_ffff) || typeof eligible !== 'boolean') return undefined;
    entries.push({ slot, seq, mask, eligible });
  }
  return entries;
}

function decodeHeartbeat(parts: readonly PayloadValue[]): Heartbeat | undefined {
  const [, termCount, tag, epoch, lineageCount, lineageTag, timeOffset, list] = parts;
  const term = termOf(termCount, tag);
  const lineage = termOf(lineageCount, lineageTag);
  const entries = decodeEntries(list);
  if (parts.length !== 8 || term === undefined || lineage === undefined || entries === undefined || !isUint(epoch, 0xffff_ffff)) return undefined;
  if (timeOffset !== null && !(typeof timeOffset === 'number' && Number.isFinite(timeOffset))) return undefined;
  return { type: 'heartbeat', term, epoch, lineage, timeOffset: timeOffset ?? undefined, entries };
}

/** Undefined when the bytes are nothing a member would say. */
export function decodeControl(roomId: RoomId, bytes: Uint8Array): Control | undefined {
  const parts = decodePayload(bytes);
  if (!Array.isArray(parts)) return undefined;
  const type = typeof parts[0] === 'number' ? TYPES[parts[0]] : undefined;
  switch (type) {
    case 'heartbeat':
      return decodeHeartbeat(parts);
    case 'roster':
    case 'foreign': {
      const roster = decodeRoster(roomId, parts[1]);
      const key: PayloadValue | undefined = parts[2];
      if (roster === undefined || parts.length !== 3) return undefined;
      if (key === null) return { type, roster, roomKey: undefined };
      return key instanceof Uint8Array && key.length === ROOM_KEY_BYTES ? { type, roster, roomKey: key } : undefined;
    }
    case 'join': {
      const addresses = decodeAddresses(parts[2]);
      return parts.length === 3 && typeof parts[1] === 'boolean' && addresses !== undefined ? { type, spectator: parts[1], addresses } : undefined;
    }
    case 'forward': {
      const addresses = decodeAddresses(parts[3]);
      if (parts.length !== 4 || !isPeerId(parts[1]) || typeof parts[2] !== 'boolean' || addresses === undefined) return undefined;
      return { type, peer: parts[1], spectator: parts[2], addresses };
    }
    case 'deny': {
      const reason = DENIALS[parts[2] as number];
      return parts.length === 3 && isPeerId(parts[1]) && reason !== undefined ? { type, peer: parts[1], reason } : undefined;
    }
    case 'leave':
      return parts.length === 1 ? { type } : undefined;
    case undefined:
      return undefined;
    default:
      return type satisfies never;
  }
}
