/** What members say to each other about the room, and what a page and its process say over the bridge. */
import type { PeerId, RoomId, Slot } from '../../../sdk/base/brand.ts';
import { createCommandOutbox, createEventOutbox, decodeCommands, decodeEvents, type Outbox } from '../../../sdk/bridge/batch.ts';
import { MAX_BRIDGE_ENTRIES } from '../../../sdk/bridge/bounds.ts';
import { BRIDGE_VERSION, type PageCommand, type ProcessEvent } from '../../../sdk/bridge/messages.ts';
import { decodeMessage, encodeMessage, type MeshMessage } from '../../../sdk/mesh/messages.ts';
import { Relay } from '../../../sdk/mesh/relay.ts';
import type { Roster } from '../../../sdk/mesh/roster.ts';
import { MAX_RELAY_HOPS } from '../../../sdk/wire/limits.ts';
import { broken, expectSame, type Target, type TargetFile } from '../target.ts';
import { hostile } from './wire.ts';

const A = 'aaaaaaaaaaaaaaaa' as PeerId;
const B = 'bbbbbbbbbbbbbbbb' as PeerId;
const roster: Roster = {
  roomId: '00112233445566778899aabbccddeeff' as RoomId,
  name: 'Friday',
  max: 16,
  locked: true,
  epoch: 3,
  term: 2 ** 20 + 5,
  host: A,
  seats: [
    { id: A, slot: 0 as Slot, instance: 1, status: 'present', spectator: false, eligible: true, addresses: [{ host: '10.0.0.1', port: 29_798 }] },
    { id: B, slot: 4 as Slot, instance: 2, status: 'away', spectator: true, eligible: false, addresses: [] },
  ],
  banned: ['cccccccccccccccc' as PeerId],
  departed: [{ id: 'dddddddddddddddd' as PeerId, slot: 2 as Slot, reason: 'timeout' }],
  lineage: [2 ** 20 + 5],
  merged: [B],
};
const join = { instance: 5, spectate: false, joinPort: 29_798, addresses: [{ host: '10.0.0.2', port: 29_798 }], term: 2 ** 20, time: 1_234.5 };

const honest = (): readonly MeshMessage[] => [
  { type: 'join', join },
  { type: 'forward', peer: B, join },
  { type: 'roster', roster, key: undefined },
  { type: 'roster', roster, key: new Uint8Array(32).fill(3) },
  { type: 'refuse', reason: 'room-full' },
  { type: 'refused', peer: B, reason: 'kicked' },
  { type: 'leave' },
  { type: 'propose', roster, time: 5 },
  { type: 'decide', roster, time: 5, term: 2 ** 20 },
  { type: 'move', addresses: [{ host: '10.0.0.3', port: 1 }] },
  {
    type: 'beat',
    time: 9.5,
    words: [{ id: A, instance: 1, seq: 4, host: true, eligible: true, left: false, term: 2 ** 20, epoch: 3, heard: new Uint8Array(10) }],
  },
  { type: 'relay', relay: { hops: 3, from: A, to: B, socket: 'session', id: 7, part: 0, parts: 1, bytes: new Uint8Array(40).fill(1) } },
  { type: 'relay', relay: { hops: 3, from: A, to: B, socket: 'join', id: 8, part: 0, parts: 2, bytes: new Uint8Array(40).fill(1) } },
];

function mesh(): Target {
  return {
    seeds: [...honest().map(encodeMessage), ...hostile('mesh')],
    run: (bytes) => {
      const message = decodeMessage(bytes);
      if (message === undefined) return;
      expectSame('a message said again', decodeMessage(encodeMessage(message)), message);
    },
  };
}

/** Relayed parts in any order, many in one input: whole or not there, and no more partial ones than allowed. */
function relay(): Target {
  const parts = honest().slice(-2).map(encodeMessage);
  const pieces = (...messages: readonly Uint8Array[]): Uint8Array =>
    new Uint8Array(Buffer.concat(messages.map((bytes) => Buffer.concat([Buffer.from([bytes.length >>> 8, bytes.length]), bytes]))));
  const second = encodeMessage({
    type: 'relay',
    relay: { hops: 2, from: A, to: B, socket: 'join', id: 8, part: 1, parts: 2, bytes: new Uint8Array(30).fill(2) },
  });
  return {
    seeds: [pieces(...parts), pieces(parts[1]!, second), pieces(second, second, parts[1]!), pieces(...Array.from({ length: 10 }, () => parts[0]!))],
    run: (bytes) => {
      const it = new Relay(B);
      for (let at = 0; at + 2 <= bytes.length;) {
        const size = (bytes[at]! << 8) | bytes[at + 1]!;
        const message = decodeMessage(bytes.subarray(at + 2, at + 2 + size));
        at += 2 + size;
        if (message?.type !== 'relay') continue;
        const forwarded = it.forward(message.relay);
        if (forwarded !== undefined && (forwarded.hops >= message.relay.hops || forwarded.hops > MAX_RELAY_HOPS)) broken('hops that do not fall');
        const whole = it.unwrap(message.relay);
        if (whole !== undefined && message.relay.parts === 1 && whole.bytes.length !== message.relay.bytes.length)
          broken('a datagram that is not whole');
        if (whole !== undefined && whole.bytes.length > 3_000) broken('a datagram of more than two parts');
      }
    },
  };
}

const roomRequest = { type: 'join-or-create', name: 'Friday', max: 16, code: 'AB', spectate: false } as const;
const bridgeRoster = {
  roomId: 'room' as RoomId,
  name: 'Friday',
  max: 16,
  locked: false,
  epoch: 3,
  term: 9,
  host: 0,
  peers: [{ peer: 0, slot: 0 as Slot, status: 'present', spectator: false, eligible: true, via: undefined }],
} as const;
const stats = {
  peer: 0,
  rttMs: 1.5,
  jitterMs: 0,
  lossOutRatio: 0,
  lossInRatio: 1,
  bytesOut: 5,
  bytesIn: 6,
  packetsOut: 7,
  packetsIn: 8,
  queuedBytes: 9,
};

const COMMANDS: readonly PageCommand[] = [
  { type: 'hello', version: BRIDGE_VERSION, token: 'token', game: { id: 'game', version: 1, schemaHash: 7 }, page: 'a'.repeat(32) },
  { type: 'watch-rooms', on: true },
  { type: 'open', room: 1, request: roomRequest },
  { type: 'claim', room: 1 },
  { type: 'cancel', room: 1 },
  { type: 'send', room: 1, peer: 0, channel: 'reliable', lane: 2, bytes: new Uint8Array(9) },
  { type: 'flush', room: 1 },
  { type: 'eligible', room: 1, eligible: false },
  { type: 'kick', room: 1, peer: 0 },
  { type: 'leave', room: 1 },
  { type: 'ping', stamp: 12.5 },
  { type: 'beat', hz: 30 },
];
const EVENTS: readonly ProcessEvent[] = [
  {
    type: 'welcome',
    guests: 'http://192.168.1.20:5297/#token',
    version: BRIDGE_VERSION,
    self: A,
    kept: { roomId: 'room' as RoomId, name: 'Friday' },
    discovery: { level: 'ok', reasons: ['a'] },
    joinCode: 'p4aaa-amgt4',
  },
  { type: 'discovery', state: { level: 'degraded', reasons: ['a'] }, joinCode: undefined, kept: undefined },
  { type: 'peer', peer: 0, id: A },
  { type: 'opened', room: 1, roster: bridgeRoster },
  { type: 'failed', room: 1, code: 'room-full', message: 'full', hint: 'wait' },
  { type: 'roster', room: 1, roster: bridgeRoster, left: [{ peer: 1, slot: 1 as Slot, reason: 'bye' }] },
  { type: 'message', room: 1, peer: 0, channel: 'sequenced', lane: 0, bytes: new Uint8Array(5) },
  { type: 'merge', room: 1, lost: true, joined: [0] },
  { type: 'closed', room: 1, reason: 'kicked' },
  { type: 'stats', room: 1, peers: [stats], drops: [{ reason: 'frame', count: 2 }] },
  { type: 'time', room: 1, at: 5, time: 6, errorMs: 0.5 },
  { type: 'beat' },
];

function bridge(): Target {
  const pages = createCommandOutbox();
  const processes = createEventOutbox();
  const seeds: Uint8Array[] = [];
  for (const command of COMMANDS) {
    pages.add(command);
    seeds.push(pages.take()!);
  }
  for (const event of EVENTS) {
    processes.add(event);
    seeds.push(processes.take()!);
  }
  for (const command of COMMANDS) pages.add(command);
  for (const event of EVENTS) processes.add(event);
  return {
    seeds: [...seeds, pages.take()!, processes.take()!, ...hostile('bridge')],
    run: (bytes) => {
      check<PageCommand>(bytes, decodeCommands, createCommandOutbox);
      check<ProcessEvent>(bytes, decodeEvents, createEventOutbox);
    },
  };
}

function check<T>(
  bytes: Uint8Array,
  decode: (bytes: Uint8Array) => { readonly entries: readonly T[]; readonly drop: string | undefined },
  outbox: () => Outbox<T>,
): void {
  const { entries, drop } = decode(bytes);
  if (entries.length > MAX_BRIDGE_ENTRIES) broken('more entries than allowed');
  if (entries.length === 0 || drop !== undefined) return;
  const out = outbox();
  for (const entry of entries) out.add(entry);
  const written = out.take();
  if (written === undefined) broken('entries that cannot be said again');
  expectSame('a batch said again', decode(written).entries, entries);
}

export const members: TargetFile = {
  targets: { mesh, relay, bridge },
  decoders: {
    'sdk/mesh/messages.ts': [
      'function decodeJoin',
      'function decodeOften',
      'function decodeSmall',
      'function decodeWithRoster',
      'function decodeMessage',
    ],
    'sdk/mesh/fast-codec.ts': ['function readBeat', 'function readRelay', 'function readId'],
    'sdk/mesh/roster-codec.ts': [
      'function decodeId',
      'function decodeAddresses',
      'function decodeSeat',
      'function decodeList',
      'function decodeDeparture',
      'function decodeRoster',
    ],
    'sdk/mesh/relay.ts': ['forward(', 'unwrap('],
    'sdk/bridge/batch.ts': ['function decodeBatch', 'function decodeCommands', 'function decodeEvents'],
    'sdk/bridge/fields.ts': [
      'function upTo',
      'function text',
      'function blob',
      'function oneOf',
      'function optional',
      'function list',
      'function record',
      'function tagged',
    ],
  },
};
