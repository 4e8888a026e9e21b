/**
 * The datagrams of the network, byte for byte: what stands outside any encryption. Big-endian.
 *
 * On the join socket (strangers):
 *
 *   HELLO  0x01  64 B   kind u8 · version u8 · nonce[8] · roomTag[8] · zero padding
 *   COOKIE 0x02  29 B   kind u8 · nonce[8] · cookie[20]
 *   INIT   0x03  384 B  kind u8 · version u8 · cid u32 · nonce[8] · cookie[20] · roomTag[8] · size u16
 *                       · noise message 1 [size] · zero padding
 *   RESP   0x04         kind u8 · cid u32 of the receiver · noise message 2
 *   FIN    0x05         kind u8 · cid u32 of the receiver · noise message 3
 *   WHO    0x06  512 B  kind u8 · version u8 · nonce[8] · flags u8 (1: room tag, 2: game id)
 *                       · roomTag[8] if 1 · length u8, ASCII game id if 2 · zero padding
 *   HERE   0x07 <=256 B kind u8 · version u8 · nonce[8] · msgpack array of room facts
 *
 * On the session socket (sealed):
 *
 *   DATA   0x80..0x83   kind and key epoch u8 · cid u32 of the receiver · seq u48 · ciphertext · tag[16]
 *                       The 11 bytes of the header are the associated data.
 *
 * A reply to an address that has proved nothing is at most half of what triggered it: that is what the
 * padding of HELLO, INIT and WHO is for. Padding must be zero, so that every datagram has one encoding.
 * Encoders return a view into one shared buffer, valid until the next encode.
 */
import type { PeerId, RoomId } from '../base/brand.ts';
import { ByteReader, ByteWriter, asciiBytes, fromHex, toHex } from '../base/bytes.ts';
import {
  HELLO_BYTES,
  INIT_BYTES,
  MAX_GAME_ID_BYTES,
  MAX_HERE_BYTES,
  MAX_HERE_MEMBERS,
  MAX_ROOM_NAME_BYTES,
  PROTOCOL_VERSION,
  WHO_BYTES,
} from './limits.ts';
import { utf8Length } from './pack.ts';
import { decodePayload, encodePayload, type PayloadValue } from './payload.ts';

export const KIND_HELLO = 0x01;
export const KIND_COOKIE = 0x02;
export const KIND_INIT = 0x03;
export const KIND_RESP = 0x04;
export const KIND_FIN = 0x05;
export const KIND_WHO = 0x06;
export const KIND_HERE = 0x07;
/** Or-ed with the two bits of the key epoch. */
export const KIND_DATA = 0x80;

export const NONCE_BYTES = 8;
export const COOKIE_BYTES = 20;
export const ROOM_TAG_BYTES = 8;
export const DATA_HEADER_BYTES = 11;
export const TAG_BYTES = 16;

export interface Hello {
  readonly nonce: Uint8Array;
  readonly roomTag: Uint8Array;
}
export interface Cookie {
  readonly nonce: Uint8Array;
  readonly cookie: Uint8Array;
}
export interface Init {
  readonly cid: number;
  readonly nonce: Uint8Array;
  readonly cookie: Uint8Array;
  readonly roomTag: Uint8Array;
  readonly noise: Uint8Array;
}
export interface Resp {
  readonly cid: number;
  readonly noise: Uint8Array;
}
export interface Fin {
  readonly cid: number;
  readonly noise: Uint8Array;
}
export interface Who {
  readonly nonce: Uint8Array;
  readonly roomTag: Uint8Array | undefined;
  readonly gameId: string | undefined;
}
/** What a member tells about its room to anybody who asks. */
export interface HereFacts {
  readonly roomId: RoomId;
  readonly name: string;
  readonly players: number;
  readonly max: number;
  readonly locked: boolean;
  readonly gameId: string;
  readonly version: number;
  readonly schemaHash: number;
  readonly peer: PeerId;
  readonly joinPort: number;
  /** The others present: as many as there are where we tell of ourselves; an answer names at most `MAX_HERE_MEMBERS` of them. */
  readonly members: readonly { readonly host: string; readonly port: number }[];
}
export interface Here {
  readonly nonce: Uint8Array;
  readonly facts: HereFacts;
}

/** True for datagrams of the session socket. */
export function isData(bytes: Uint8Array): boolean {
  return bytes.length > 0 && (bytes[0]! & 0xfc) === KIND_DATA;
}

const writer = new ByteWriter(1_024);

function start(kind: number): ByteWriter {
  writer.reset();
  return writer.u8(kind);
}

function padTo(size: number): Uint8Array {
  while (writer.offset < size) writer.u8(0);
  return writer.view();
}

/** Everything left must be zero: canonical padding carries nothing. */
function onlyPadding(reader: ByteReader): boolean {
  for (let i = reader.offset; i < reader.end; i++) if (reader.bytes[i] !== 0) return false;
  return reader.ok;
}

function open(bytes: Uint8Array, kind: number, exact?: number): ByteReader | undefined {
  if (exact !== undefined && bytes.length !== exact) return undefined;
  const reader = new ByteReader(bytes);
  return reader.u8() === kind ? reader : undefined;
}

export function encodeHello(hello: Hello): Uint8Array {
  start(KIND_HELLO).u8(PROTOCOL_VERSION).raw(hello.nonce).raw(hello.roomTag);
  return padTo(HELLO_BYTES);
}

export function decodeHello(bytes: Uint8Array): Hello | undefined {
  const reader = open(bytes, KIND_HELLO, HELLO_BYTES);
  if (reader === undefined || reader.u8() !== PROTOCOL_VERSION) return undefined;
  const nonce = reader.take(NONCE_BYTES);
  const roomTag = reader.take(ROOM_TAG_BYTES);
  return onlyPadding(reader) ? { nonce, roomTag } : undefined;
}

export function encodeCookie(cookie: Cookie): Uint8Array {
  return start(KIND_COOKIE).raw(cookie.nonce).raw(cookie.cookie).view();
}

export function decodeCookie(bytes: Uint8Array): Cookie | undefined {
  const reader = open(bytes, KIND_COOKIE, 1 + NONCE_BYTES + COOKIE_BYTES);
  if (reader === undefined) return undefined;
  return { nonce: reader.take(NONCE_BYTES), cookie: reader.take(COOKIE_BYTES) };
}

export function encodeInit(init: Init): Uint8Array {
  start(KIND_INIT).u8(PROTOCOL_VERSION).u32(init.cid);
  writer.raw(init.nonce).raw(init.cookie).raw(init.roomTag).u16(init.noise.length).raw(init.noise);
  return padTo(INIT_BYTES);
}

export function decodeInit(bytes: Uint8Array): Init | undefined {
  const reader = open(bytes, KIND_INIT, INIT_BYTES);
  if (reader === undefined || reader.u8() !== PROTOCOL_VERSION) return undefined;
  const cid = reader.u32();
  const nonce = reader.take(NONCE_BYTES);
  const cookie = reader.take(COOKIE_BYTES);
  const roomTag = reader.take(ROOM_TAG_BYTES);
  const noise = reader.take(reader.u16());
  if (!onlyPadding(reader)) return undefined;
  return { cid, nonce, cookie, roomTag, noise };
}

export function encodeResp(resp: Resp): Uint8Array {
  return start(KIND_RESP).u32(resp.cid).raw(resp.noise).view();
}

export function decodeResp(bytes: Uint8Array): Resp | undefined {
  // Half of INIT: what a responder may answer at most.
  if (bytes.length > INIT_BYTES / 2) return undefined;
  const reader = open(bytes, KIND_RESP);
  if (reader === undefined) return undefined;
  const cid = reader.u32();
  const noise = reader.rest();
  return reader.ok && noise.length > 0 ? { cid, noise } : undefined;
}

export function encodeFin(fin: Fin): Uint8Array {
  return start(KIND_FIN).u32(fin.cid).raw(fin.noise).view();
}

export function decodeFin(bytes: Uint8Array): Fin | undefined {
  if (bytes.length > INIT_BYTES / 2) return undefined;
  const reader = open(bytes, KIND_FIN);
  if (reader === undefined) return undefined;
  const cid = reader.u32();
  const noise = reader.rest();
  return reader.ok && noise.length > 0 ? { cid, noise } : undefined;
}

const WHO_ROOM = 1;
const WHO_GAME = 2;

export function encodeWho(who: Who): Uint8Array {
  start(KIND_WHO).u8(PROTOCOL_VERSION).raw(who.nonce);
  writer.u8((who.roomTag === undefined ? 0 : WHO_ROOM) | (who.gameId === undefined ? 0 : WHO_GAME));
  if (who.roomTag !== undefined) writer.raw(who.roomTag);
  if (who.gameId !== undefined) writer.u8(who.gameId.length).raw(asciiBytes(who.gameId));
  return padTo(WHO_BYTES);
}

export function decodeWho(bytes: Uint8Array): Who | undefined {
  const reader = open(bytes, KIND_WHO, WHO_BYTES);
  if (reader === undefined || reader.u8() !== PROTOCOL_VERSION) return undefined;
  const nonce = reader.take(NONCE_BYTES);
  const flags = reader.u8();
  if ((flags & ~(WHO_ROOM | WHO_GAME)) !== 0) return undefined;
  const roomTag = (flags & WHO_ROOM) === 0 ? undefined : reader.take(ROOM_TAG_BYTES);
  let gameId: string | undefined;
  if ((flags & WHO_GAME) !== 0) {
    const size = reader.u8();
    if (size > MAX_GAME_ID_BYTES) return undefined;
    gameId = '';
    for (const byte of reader.take(size)) {
      if (byte > 0x7f) return undefined;
      gameId += String.fromCharCode(byte);
    }
  }
  return onlyPadding(reader) ? { nonce, roomTag, gameId } : undefined;
}

/** Leaves out members that no longer fit `MAX_HERE_BYTES`; the first ones stay. */
export function encodeHere(here: Here): Uint8Array {
  const f = here.facts;
  for (let members = Math.min(f.members.length, MAX_HERE_MEMBERS); ; members--) {
    const list = f.members.slice(0, members).map((member) => [member.host, member.port]);
    const body = encodePayload([
      fromHex(f.roomId) ?? new Uint8Array(16),
      f.name,
      f.players,
      f.max,
      f.locked,
      f.gameId,
      f.version,
      f.schemaHash,
      f.peer,
      f.joinPort,
      list,
    ]);
    if (10 + body.length <= MAX_HERE_BYTES || members === 0) {
      return start(KIND_HERE).u8(PROTOCOL_VERSION).raw(here.nonce).raw(body).view();
    }
  }
}

const isUint = (value: unknown, max: number): value is number => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= max;

function decodeMembers(value: PayloadValue | undefined): { host: string; port: number }[] | undefined {
  if (!Array.isArray(value) || value.length > MAX_HERE_MEMBERS) return undefined;
  const members: { host: string; port: number }[] = [];
  for (const item of value as readonly PayloadValue[]) {
    if (!Array.isArray(item) || item.length !== 2) return undefined;
    const [host, port] = item as readonly PayloadValue[];
    // Addresses are numeric: a name here would make the reader ask a resolver on a stranger's behalf.
    if (typeof host !== 'string' || !/^[0-9a-fA-F.:]{2,45}$/.test(host) || !isUint(port, 65_535) || port === 0) return undefined;
    members.push({ host, port });
  }
  return members;
}

export function decodeHere(bytes: Uint8Array): Here | undefined {
  if (bytes.length > MAX_HERE_BYTES) return undefined;
  const reader = open(bytes, KIND_HERE);
  if (reader === undefined || reader.u8() !== PROTOCOL_VERSION) return undefined;
  const nonce = reader.take(NONCE_BYTES);
  if (!reader.ok) return undefined;
  const body = decodePayload(reader.rest());
  if (!Array.isArray(body) || body.length !== 11) return undefined;
  const [roomId, name, players, max, locked, gameId, version, schemaHash, peer, joinPort, list] = body as readonly PayloadValue[];
  const members = decodeMembers(list);
  if (!(roomId instanceof Uint8Array) || roomId.length !== 16 || members === undefined) return undefined;
  if (typeof name !== 'string' || utf8Length(name) > MAX_ROOM_NAME_BYTES || typeof gameId !== 'string' || utf8Length(gameId) > MAX_GAME_ID_BYTES)
    return undefined;
  if (!isUint(players, 255) || !isUint(max, 255) || typeof locked !== 'boolean') return undefined;
  if (!isUint(version, 0xffff) || !isUint(schemaHash, 0xffff_ffff) || !isUint(joinPort, 65_535)) return undefined;
  if (typeof peer !== 'string' || !/^[a-z2-7]{16}$/.test(peer)) return undefined;
  return {
    nonce,
    facts: { roomId: toHex(roomId) as RoomId, name, players, max, locked, gameId, version, schemaHash, peer: peer as PeerId, joinPort, members },
  };
}

/** Writes the header of a sealed datagram at the start of `out`. */
export function writeDataHeader(out: Uint8Array, epoch: number, cid: number, seq: number): void {
  out[0] = KIND_DATA | (epoch & 3);
  out[1] = cid >>> 24;
  out[2] = cid >>> 16;
  out[3] = cid >>> 8;
  out[4] = cid;
  const high = Math.floor(seq / 0x1_0000_0000);
  out[5] = high >>> 8;
  out[6] = high;
  out[7] = seq >>> 24;
  out[8] = seq >>> 16;
  out[9] = seq >>> 8;
  out[10] = seq;
}

/** Connection id of a sealed datagram; the caller has checked `DATA_HEADER_BYTES`. */
export function readDataCid(bytes: Uint8Array): number {
  return ((bytes[1]! << 24) | (bytes[2]! << 16) | (bytes[3]! << 8) | bytes[4]!) >>> 0;
}

export function readDataEpoch(bytes: Uint8Array): number {
  return bytes[0]! & 3;
}

export function readDataSeq(bytes: Uint8Array): number {
  const high = (bytes[5]! << 8) | bytes[6]!;
  const low = ((bytes[7]! << 24) | (bytes[8]! << 16) | (bytes[9]! << 8) | bytes[10]!) >>> 0;
  return high * 0x1_0000_0000 + low;
}
