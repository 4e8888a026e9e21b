/**
 * The two messages of the mesh that come many times a second, BEAT and RELAY, written and read without the
 * arrays in between: a member of a large room spends more time on these than on anything else of the mesh.
 */
import type { PeerId } from '../base/brand.ts';
import { Sheets } from '../base/bytes.ts';
import type { SocketKind } from '../link/endpoint-types.ts';
import { MAX_DATAGRAM_BYTES, MAX_PEERS, MAX_RELAY_HOPS } from '../wire/limits.ts';
import { PackReader, PackWriter } from '../wire/pack.ts';
import { ID_BYTES, encodeId, idAt } from './ids.ts';
import type { RelayPart, Word } from './messages.ts';

export const BEAT = 16;
export const RELAY = 17;

const HOST = 1;
const ELIGIBLE = 2;
const LEFT = 4;
const ALL_FLAGS = HOST | ELIGIBLE | LEFT;

const HEARD_BYTES = 5;
const U32 = 0xffff_ffff;
const SOCKETS: readonly SocketKind[] = ['join', 'session'];

const writer = new PackWriter(2_048);
const sheets = new Sheets();
const copy = (): Uint8Array => sheets.copy(writer.bytes, 0, writer.offset);

export function encodeBeat(time: number, words: readonly Word[]): Uint8Array {
  writer.reset();
  writer.array(3);
  writer.int(BEAT);
  writer.number(time);
  writer.array(words.length);
  for (const word of words) {
    writer.array(7);
    writer.binary(encodeId(word.id));
    writer.int(word.instance);
    writer.int(word.seq);
    writer.int((word.host ? HOST : 0) | (word.eligible ? ELIGIBLE : 0) | (word.left ? LEFT : 0));
    writer.number(word.term);
    writer.int(word.epoch);
    writer.binary(word.heard);
  }
  return copy();
}

export function encodeRelay(relay: RelayPart): Uint8Array {
  writer.reset();
  writer.array(9);
  writer.int(RELAY);
  writer.int(relay.hops);
  writer.binary(encodeId(relay.from));
  writer.binary(encodeId(relay.to));
  writer.int(SOCKETS.indexOf(relay.socket));
  writer.int(relay.id);
  writer.int(relay.part);
  writer.int(relay.parts);
  writer.binary(relay.bytes);
  return copy();
}

/** Keeps views into `bytes`. Undefined for what is no BEAT as `encodeBeat` writes it. */
export function readBeat(bytes: Uint8Array): { readonly type: 'beat'; readonly time: number; readonly words: readonly Word[] } | undefined {
  if (bytes[0] !== 0x93 || bytes[1] !== BEAT) return undefined;
  const reader = new PackReader(bytes, 2);
  const time = reader.number();
  const count = reader.array(MAX_PEERS);
  if (!reader.ok || !(Math.abs(time) < 2 ** 48)) return undefined;
  const words: Word[] = [];
  for (let i = 0; i < count; i++) {
    if (reader.array(7) !== 7) return undefined;
    const id = readId(reader);
    const instance = reader.count(U32);
    const seq = reader.count(U32);
    const flags = reader.count(ALL_FLAGS);
    const term = reader.number();
    const epoch = reader.count(U32);
    const heard = reader.binaryView(HEARD_BYTES * MAX_PEERS);
    if (!reader.ok || id === undefined || !Number.isSafeInteger(term) || term < 0 || heard.length % HEARD_BYTES !== 0) return undefined;
    words.push({ id, instance, seq, host: (flags & HOST) !== 0, eligible: (flags & ELIGIBLE) !== 0, left: (flags & LEFT) !== 0, term, epoch, heard });
  }
  return reader.done ? { type: 'beat', time, words } : undefined;
}

/** Keeps a view into `bytes`. Undefined for what is no RELAY as `encodeRelay` writes it. */
export function readRelay(bytes: Uint8Array): { readonly type: 'relay'; readonly relay: RelayPart } | undefined {
  if (bytes[0] !== 0x99 || bytes[1] !== RELAY) return undefined;
  const reader = new PackReader(bytes, 2);
  const hops = reader.count(MAX_RELAY_HOPS);
  const from = readId(reader);
  const to = readId(reader);
  const socket = SOCKETS[reader.count(1)]!;
  const id = reader.count(0xffff);
  const part = reader.count(1);
  const parts = reader.count(2);
  const carried = reader.binaryView(MAX_DATAGRAM_BYTES);
  if (!reader.done || from === undefined || to === undefined || part >= parts || carried.length === 0) return undefined;
  return { type: 'relay', relay: { hops, from, to, socket, id, part, parts, bytes: carried } };
}

function readId(reader: PackReader): PeerId | undefined {
  const { bytes, offset } = reader;
  if (offset + 2 + ID_BYTES > reader.end || bytes[offset] !== 0xc4 || bytes[offset + 1] !== ID_BYTES) return undefined;
  reader.offset = offset + 2 + ID_BYTES;
  return idAt(bytes, offset + 2);
}
