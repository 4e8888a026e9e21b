/**
 * What a page and its local process say to each other, over one binary WebSocket on loopback.
 *
 * A WebSocket message is a *batch*: entries one after another, `[type u8][fields]`, until its end. Each
 * side collects what a tick produces and sends one batch, because a page handles a few thousand
 * WebSocket messages a second at best, whatever their size.
 *
 *     page                                   process
 *      │ hello {token, game}        ───────►  checked first; nothing else is read before it
 *      │ ◄───────  welcome {self, kept}
 *      │ open {room, request}       ───────►  the page picks the number `room`; it names the seat from here on
 *      │ ◄───────  peer*, opened {room} | failed {room, code}
 *      │ send*, flush               ───────►  one batch per tick
 *      │ ◄───────  message*, roster, time …   one batch per tick
 *      │ leave {room}               ───────►
 *      │ ◄───────  closed {room}
 *
 * Peers travel as small numbers the process hands out with `peer`; a number is never reused while the
 * socket lives, so an entry that was under way when the roster changed still means who it meant.
 */
import type { PeerId, RoomId, Slot } from '../base/brand.ts';
import type { Field, FieldValue } from './fields.ts';
import type { NetworkCheck, OpenRequest, RoomListing } from '../port/lan-port.ts';
import { MAX_LANES, MAX_MESSAGE_BYTES, MAX_PEERS } from '../wire/limits.ts';
import { blob, bool, list, ms, named, oneOf, optional, ratio, record, tagged, text, u16, u32, u48, u8, upTo } from './fields.ts';
import {
  BRIDGE_DIGEST_BLOCK_BYTES,
  MAX_BRIDGE_CHECKS,
  MAX_BRIDGE_PAGE_ID,
  MAX_BRIDGE_PEERS,
  MAX_BRIDGE_ROOMS_LISTED,
  MAX_BRIDGE_TEXT,
  MAX_BRIDGE_TOKEN,
} from './bounds.ts';

/** Both ends ship together, so a difference means a stale page: it is told to reload. */
export const BRIDGE_VERSION = 6;

const name = text(128);
const peerId = named<PeerId>(64);
const roomId = named<RoomId>(64);
const slot = upTo(255) as Field<number> as Field<Slot>;
const channel = oneOf('reliable', 'sequenced', 'unreliable');
const lane = upTo(MAX_LANES - 1);
const room = u32;
const peer = u16;
const leaveReason = oneOf('bye', 'timeout', 'kicked');
const words = text(MAX_BRIDGE_TEXT);
const message = { room, peer, channel, lane, bytes: blob(MAX_MESSAGE_BYTES) };

const openRequest: Field<OpenRequest> = tagged({
  create: record({ name, max: upTo(255), code: optional(text(64)), spectate: bool }),
  join: record({ target: words, code: optional(text(64)), spectate: bool }),
  'join-or-create': record({ name, max: upTo(255), code: optional(text(64)), spectate: bool }),
});

const gameFacts = record({ id: text(64), version: u16, schemaHash: u32 });

/** Roster with peers as numbers; the ids came before, in `peer` entries. */
const roster = record({
  roomId,
  name,
  max: upTo(255),
  locked: bool,
  epoch: u48,
  term: u48,
  host: peer,
  peers: list(MAX_PEERS, record({ peer, slot, status: oneOf('present', 'away'), spectator: bool, eligible: bool, via: optional(peer) })),
});

const listing: Field<RoomListing> = record({
  id: roomId,
  name,
  players: upTo(255),
  max: upTo(255),
  locked: bool,
  pingMs: optional(ms),
  gameId: text(64),
  version: u16,
  schemaHash: u32,
  compatible: bool,
  reason: optional(words),
  address: words,
});

const discovery = record({ level: oneOf('ok', 'degraded', 'unavailable'), reasons: list(16, words) });

const joinCode = optional(text(16));

/** A seat left behind by a page that went away moments ago; `claim` takes it over. */
const kept = optional(record({ roomId, name }));

const check: Field<NetworkCheck> = record({ id: words, level: oneOf('ok', 'warn', 'fail'), what: words, fix: words });

const peerStats = record({
  peer,
  rttMs: ms,
  jitterMs: ms,
  lossOutRatio: ratio,
  lossInRatio: ratio,
  bytesOut: u48,
  bytesIn: u48,
  packetsOut: u48,
  packetsIn: u48,
  queuedBytes: u32,
});

/** What a page says. */
export const pageCommand = tagged({
  /** First entry of the first batch, alone in it. `page`: the tab's own random id, by which a process that serves several tells them apart. */
  hello: record({ version: u8, token: text(MAX_BRIDGE_TOKEN), game: gameFacts, page: text(MAX_BRIDGE_PAGE_ID) }),
  'watch-rooms': record({ on: bool }),
  open: record({ room, request: openRequest }),
  /** Takes over the seat a page before this one left behind; answered like `open`. */
  claim: record({ room }),
  cancel: record({ room }),
  send: record(message),
  flush: record({ room }),
  eligible: record({ room, eligible: bool }),
  kick: record({ room, peer }),
  leave: record({ room }),
  /** `stamp` comes back as it went. */
  ping: record({ stamp: ms }),
  /** Asks for at least this many batches a second, empty ones if need be; 0 ends it. */
  beat: record({ hz: upTo(120) }),
  /** Asks the doctor; answered by one `diagnosis`. */
  diagnose: record({}),
  /** Some of what is to be hashed, in its order; the page picks the number `digest`. */
  digest: record({ digest: u32, bytes: blob(BRIDGE_DIGEST_BLOCK_BYTES), isLast: bool }),
});
export type PageCommand = FieldValue<typeof pageCommand>;

/** What a process says. */
export const processEvent = tagged({
  /** `guests`: the link for phones, if they may play along. */
  welcome: record({ version: u8, self: peerId, kept, discovery, joinCode, guests: optional(words) }),
  /** What `welcome` said and is otherwise by now. */
  discovery: record({ state: discovery, joinCode, kept }),
  rooms: record({ rooms: list(MAX_BRIDGE_ROOMS_LISTED, listing) }),
  peer: record({ peer, id: peerId }),
  opened: record({ room, roster }),
  failed: record({ room, code: text(32), message: words, hint: optional(words) }),
  roster: record({ room, roster, left: list(MAX_BRIDGE_PEERS, record({ peer, slot, reason: leaveReason })) }),
  message: record(message),
  reset: record({ room, peer }),
  merge: record({ room, lost: bool, joined: list(MAX_PEERS, peer) }),
  closed: record({ room, reason: oneOf('bye', 'timeout', 'kicked', 'bridge', 'copied') }),
  /** Reliable bytes for this peer that have left the process's own backlog, since the seat opened. */
  taken: record({ room, peer, bytes: u48 }),
  stats: record({ room, peers: list(MAX_PEERS, peerStats), drops: list(256, record({ reason: text(64), count: u48 })) }),
  pong: record({ stamp: ms, now: ms }),
  /** Room time `time` at process time `at`. */
  time: record({ room, at: ms, time: ms, errorMs: ms }),
  beat: record({}),
  /** `problem`: why the doctor could not look; then there are no checks. */
  diagnosis: record({ checks: list(MAX_BRIDGE_CHECKS, check), problem: optional(words) }),
  /** One for each `digest`; after the last with the hash, SHA-256. */
  digested: record({ digest: u32, hash: optional(blob(32)) }),
});
export type ProcessEvent = FieldValue<typeof processEvent>;

export type BridgeRoster = ReturnType<typeof roster.read>;

/** Why the process closed the socket: WebSocket close codes of the private range. */
export const BRIDGE_CLOSE = {
  /** No token, or a wrong one. */
  token: 4_001,
  /** Another tab of the same game took over. */
  replaced: 4_002,
  /** Page and process are not of the same build. */
  version: 4_003,
  /** The page fell too far behind. */
  slow: 4_004,
  /** The process is ending. */
  ending: 4_005,
  /** The hello did not come in time; a page that was busy may come again. */
  late: 4_006,
  /** There are as many guests as there may be. */
  full: 4_007,
  /** A guest's page sent too much for too long. */
  flood: 4_008,
} as const;
