/**
 * What members of a room say to each other about the room itself: msgpack arrays on `MESH_LANE`,
 * their first item names the kind.
 *
 *   reliable    JOIN     [1, instance, spectate, joinPort, addresses, term, time]   give me (back) my seat
 *               ROSTER   [2, roster, key | nil]                                     the list as I hold it
 *               REFUSE   [3, reason]                                                no seat
 *               FORWARD  [4, peer, JOIN's items from 1 …]                           member -> host
 *               REFUSED  [5, peer, reason]                                          host -> member
 *               LEAVE    [6]
 *               PROPOSE  [7, roster, time]                                          host -> better host
 *               DECIDE   [8, roster, time, term of the proposal]                    "you are the better host"
 *               MOVE     [9, addresses]                                             member -> host
 *   unreliable  BEAT     [16, time, [word …]]                                       who hears whom
 *               RELAY    [17, hops, from, to, socket, id, part, parts, bytes]
 *
 *   word        [id bin10, instance, seq, flags (1 host, 2 eligible, 4 left), term, epoch, heard bin 5n]
 *
 * `heard` holds the first 40 bits of the id of each member heard directly. Everything is checked here;
 * what does not fit is dropped whole.
 */
import type { PeerId } from '../base/brand.ts';
import type { Address, SocketKind } from '../link/endpoint-types.ts';
import { decodePayload, encodePayload, type PayloadValue } from '../wire/payload.ts';
import { encodeBeat, encodeRelay, BEAT, RELAY, readBeat, readRelay } from './fast-codec.ts';
import { encodeId } from './ids.ts';
import { decodeAddresses, decodeId, decodeRoster, decodeTerm, encodeAddresses, encodeRoster, isItems, isUint } from './roster-codec.ts';
import type { Roster } from './roster.ts';

export type Refusal = 'room-full' | 'kicked';

export interface JoinRequest {
  readonly instance: number;
  readonly spectate: boolean;
  readonly joinPort: number;
  readonly addresses: readonly Address[];
  /** Term of the roster the asker holds, 0 for none. */
  readonly term: number;
  /** Its room time (ms), 0 for none. */
  readonly time: number;
}

/** One member's word about itself. */
export interface Word {
  readonly id: PeerId;
  readonly instance: number;
  readonly seq: number;
  readonly host: boolean;
  readonly eligible: boolean;
  readonly left: boolean;
  readonly term: number;
  readonly epoch: number;
  /** Five bytes per member heard. */
  readonly heard: Uint8Array;
}

export interface RelayPart {
  readonly hops: number;
  readonly from: PeerId;
  readonly to: PeerId;
  readonly socket: SocketKind;
  readonly id: number;
  readonly part: number;
  readonly parts: number;
  readonly bytes: Uint8Array;
}

export type MeshMessage =
  | { readonly type: 'join'; readonly join: JoinRequest }
  | { readonly type: 'roster'; readonly roster: Roster; readonly key: Uint8Array | undefined }
  | { readonly type: 'refuse'; readonly reason: Refusal }
  | { readonly type: 'forward'; readonly peer: PeerId; readonly join: JoinRequest }
  | { readonly type: 'refused'; readonly peer: PeerId; readonly reason: Refusal }
  | { readonly type: 'leave' }
  | { readonly type: 'propose'; readonly roster: Roster; readonly time: number }
  | { readonly type: 'decide'; readonly roster: Roster; readonly time: number; readonly term: number }
  | { readonly type: 'move'; readonly addresses: readonly Address[] }
  | { readonly type: 'beat'; readonly time: number; readonly words: readonly Word[] }
  | { readonly type: 'relay'; readonly relay: RelayPart };

const JOIN = 1;
const ROSTER = 2;
const REFUSE = 3;
const FORWARD = 4;
const REFUSED = 5;
const LEAVE = 6;
const PROPOSE = 7;
const DECIDE = 8;
const MOVE = 9;

const REFUSALS: readonly Refusal[] = ['room-full', 'kicked'];
const U32 = 0xffff_ffff;

const joinItems = (join: JoinRequest): PayloadValue[] => [
  join.instance,
  join.spectate,
  join.joinPort,
  encodeAddresses(join.addresses),
  join.term,
  join.time,
];

/** Encodes one message; a view that stays valid until the next encode is never returned, always a copy. */
export function encodeMessage(message: MeshMessage): Uint8Array {
  switch (message.type) {
    case 'join':
      return encodePayload([JOIN, ...joinItems(message.join)]);
    case 'roster':
      return encodePayload([ROSTER, encodeRoster(message.roster), message.key ?? null]);
    case 'refuse':
      return encodePayload([REFUSE, REFUSALS.indexOf(message.reason)]);
    case 'forward':
      return encodePayload([FORWARD, encodeId(message.peer), ...joinItems(message.join)]);
    case 'refused':
      return encodePayload([REFUSED, encodeId(message.peer), REFUSALS.indexOf(message.reason)]);
    case 'leave':
      return encodePayload([LEAVE]);
    case 'propose':
      return encodePayload([PROPOSE, encodeRoster(message.roster), message.time]);
    case 'decide':
      return encodePayload([DECIDE, encodeRoster(message.roster), message.time, message.term]);
    case 'move':
      return encodePayload([MOVE, encodeAddresses(message.addresses)]);
    case 'beat':
      return encodeBeat(message.time, message.words);
    case 'relay':
      return encodeRelay(message.relay);
  }
}

const isTime = (value: PayloadValue | undefined): value is number => typeof value === 'number' && Number.isFinite(value) && Math.abs(value) < 2 ** 48;

function decodeJoin(items: readonly PayloadValue[], at: number): JoinRequest | undefined {
  if (items.length !== at + 6) return undefined;
  const instance = items[at];
  const spectate = items[at + 1];
  const joinPort = items[at + 2];
  const addresses = decodeAddresses(items[at + 3]);
  const term = decodeTerm(items[at + 4]);
  const time = items[at + 5];
  if (
    !isUint(instance, U32) ||
    typeof spectate !== 'boolean' ||
    !isUint(joinPort, 65_535) ||
    addresses === undefined ||
    term === undefined ||
    !isTime(time)
  )
    return undefined;
  return { instance, spectate, joinPort, addresses, term, time };
}

function decodeSmall(items: readonly PayloadValue[]): MeshMessage | undefined {
  const peer = decodeId(items[1]);
  switch (items[0]) {
    case JOIN: {
      const join = decodeJoin(items, 1);
      return join && { type: 'join', join };
    }
    case FORWARD: {
      const join = decodeJoin(items, 2);
      return join && peer && { type: 'forward', peer, join };
    }
    case REFUSE:
      return items.length === 2 && isUint(items[1], 1) ? { type: 'refuse', reason: REFUSALS[items[1]]! } : undefined;
    case REFUSED:
      return items.length === 3 && peer !== undefined && isUint(items[2], 1) ? { type: 'refused', peer, reason: REFUSALS[items[2]]! } : undefined;
    case LEAVE:
      return items.length === 1 ? { type: 'leave' } : undefined;
    case MOVE: {
      const addresses = decodeAddresses(items[1]);
      return items.length === 2 && addresses !== undefined ? { type: 'move', addresses } : undefined;
    }
    default:
      return undefined;
  }
}

function decodeWithRoster(items: readonly PayloadValue[]): MeshMessage | undefined {
  const roster = decodeRoster(items[1]);
  if (roster === undefined) return undefined;
  const [kind, , second] = items;
  if (kind === ROSTER) {
    if (items.length !== 3 || (second !== null && !(second instanceof Uint8Array && second.length === 32))) return undefined;
    return { type: 'roster', roster, key: second ?? undefined };
  }
  if (!isTime(second)) return undefined;
  if (kind === PROPOSE) return items.length === 3 ? { type: 'propose', roster, time: second } : undefined;
  const term = decodeTerm(items[3]);
  return items.length === 4 && term !== undefined ? { type: 'decide', roster, time: second, term } : undefined;
}

/** A BEAT or RELAY in other bytes than ours, such as a float where we write an integer: written as we do, it is read as ours. */
function decodeOften(items: readonly PayloadValue[]): MeshMessage | undefined {
  try {
    const bytes = encodePayload(items);
    return readBeat(bytes) ?? readRelay(bytes);
  } catch {
    return undefined;
  }
}

/** Undefined when malformed in any way. Never throws. */
export function decodeMessage(bytes: Uint8Array): MeshMessage | undefined {
  return readBeat(bytes) ?? readRelay(bytes) ?? decodeAny(bytes);
}

function decodeAny(bytes: Uint8Array): MeshMessage | undefined {
  const items = decodePayload(bytes);
  if (!isItems(items)) return undefined;
  switch (items[0]) {
    case BEAT:
    case RELAY:
      return decodeOften(items);
    case ROSTER:
    case PROPOSE:
    case DECIDE:
      return decodeWithRoster(items);
    default:
      return decodeSmall(items);
  }
}
