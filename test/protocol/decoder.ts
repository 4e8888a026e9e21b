/**
 * Datagrams and frames as `docs/protocol.md` has them, written from that page alone: nothing of `sdk/` is
 * imported. Throws `Malformed` at whatever the page does not allow.
 */
import { decodePayload } from './payload.ts';
import { Malformed, Reader, hex, must } from './reader.ts';

export type Datagram =
  | { readonly kind: 'HELLO'; readonly nonce: string; readonly roomTag: string }
  | { readonly kind: 'COOKIE'; readonly nonce: string; readonly cookie: string }
  | {
      readonly kind: 'INIT';
      readonly cid: number;
      readonly nonce: string;
      readonly cookie: string;
      readonly roomTag: string;
      readonly noise: Uint8Array;
    }
  | { readonly kind: 'RESP'; readonly receiver: number; readonly noise: Uint8Array }
  | { readonly kind: 'FIN'; readonly receiver: number; readonly noise: Uint8Array }
  | { readonly kind: 'WHO'; readonly nonce: string; readonly roomTag: string | undefined; readonly gameId: string | undefined }
  | { readonly kind: 'HERE'; readonly nonce: string; readonly facts: Facts }
  | { readonly kind: 'DATA'; readonly epoch: number; readonly receiver: number; readonly seq: number; readonly sealed: Uint8Array };

export interface Facts {
  readonly roomId: string;
  readonly name: string;
  readonly players: number;
  readonly max: number;
  readonly locked: boolean;
  readonly gameId: string;
  readonly version: number;
  readonly schemaHash: number;
  readonly peer: string;
  readonly joinPort: number;
  readonly members: readonly { readonly host: string; readonly port: number }[];
}

export type Frame =
  | { readonly type: 'ACK'; readonly newest: number; readonly bits: bigint; readonly delay: number }
  | { readonly type: 'PING'; readonly t1: number }
  | { readonly type: 'PONG'; readonly t1: number; readonly received: number; readonly sent: number }
  | { readonly type: 'CLOSE'; readonly reason: (typeof REASONS)[number] }
  | { readonly type: 'PATH_CHALLENGE' | 'PATH_RESPONSE'; readonly token: string }
  | { readonly type: 'MTU_PROBE' | 'MTU_ACK'; readonly size: number }
  | { readonly type: 'RELIABLE' | 'SEQUENCED'; readonly lane: number; readonly id: number; readonly bytes: Uint8Array }
  | {
      readonly type: 'FRAGMENT';
      readonly lane: number;
      readonly id: number;
      readonly index: number;
      readonly count: number;
      readonly length: number;
      readonly bytes: Uint8Array;
    }
  | { readonly type: 'UNRELIABLE'; readonly lane: number; readonly bytes: Uint8Array };

/** The frames of one type. */
export type FrameOf<T extends Frame['type']> = Frame extends infer F
  ? F extends { readonly type: infer U }
    ? T extends U
      ? F
      : never
    : never
  : never;

const VERSION = 1;
const REASONS = ['bye', 'timeout', 'replaced', 'protocol', 'refused', 'exhausted'] as const;

export const TAG_BYTES = 16;
export const HEADER_BYTES = 11;

/** Which socket takes a datagram of this kind. */
export const socketOf = (kind: Datagram['kind']): 'join' | 'session' => (kind === 'DATA' ? 'session' : 'join');

function version(reader: Reader): void {
  must(reader.uint(1) === VERSION, 'another version');
}

export function decodeDatagram(bytes: Uint8Array): Datagram {
  must(bytes.length > 0 && bytes.length <= 1_500, `a datagram of ${bytes.length} bytes`);
  const reader = new Reader(bytes);
  const kind = reader.uint(1);
  const exactly = (size: number): void => must(bytes.length === size, `${bytes.length} bytes, ${size} expected`);
  switch (kind) {
    case 0x01: {
      exactly(64);
      version(reader);
      const [nonce, roomTag] = [hex(reader.take(8)), hex(reader.take(8))];
      reader.zeros();
      return { kind: 'HELLO', nonce, roomTag };
    }
    case 0x02:
      exactly(29);
      return { kind: 'COOKIE', nonce: hex(reader.take(8)), cookie: hex(reader.take(20)) };
    case 0x03: {
      exactly(384);
      version(reader);
      const cid = reader.uint(4);
      const [nonce, cookie, roomTag] = [hex(reader.take(8)), hex(reader.take(20)), hex(reader.take(8))];
      const noise = reader.take(reader.uint(2));
      reader.zeros();
      must(cid !== 0 && noise.length === 85, 'INIT');
      return { kind: 'INIT', cid, nonce, cookie, roomTag, noise };
    }
    case 0x04: {
      must(bytes.length <= 192, 'RESP too long');
      const [receiver, noise] = [reader.uint(4), reader.rest()];
      must(receiver !== 0 && noise.length === 137, 'RESP');
      return { kind: 'RESP', receiver, noise };
    }
    case 0x05: {
      must(bytes.length <= 192, 'FIN too long');
      const [receiver, noise] = [reader.uint(4), reader.rest()];
      must(receiver !== 0 && noise.length === 64, 'FIN');
      return { kind: 'FIN', receiver, noise };
    }
    case 0x06: {
      exactly(512);
      version(reader);
      const nonce = hex(reader.take(8));
      const flags = reader.uint(1);
      must(flags <= 3, 'unknown flags');
      const roomTag = (flags & 1) === 0 ? undefined : hex(reader.take(8));
      const name = (flags & 2) === 0 ? undefined : reader.take(reader.uint(1));
      must(name === undefined || (name.length <= 32 && name.every((byte) => byte < 0x80)), 'game id');
      reader.zeros();
      return { kind: 'WHO', nonce, roomTag, gameId: name === undefined ? undefined : Buffer.from(name).toString('latin1') };
    }
    case 0x07: {
      must(bytes.length <= 256, 'HERE too long');
      version(reader);
      return { kind: 'HERE', nonce: hex(reader.take(8)), facts: decodeFacts(decodePayload(reader.rest())) };
    }
    case 0x80:
    case 0x81:
    case 0x82:
    case 0x83:
      must(bytes.length >= HEADER_BYTES + TAG_BYTES && bytes.length <= 1_452, `DATA of ${bytes.length} bytes`);
      return { kind: 'DATA', epoch: kind & 3, receiver: reader.uint(4), seq: reader.uint(6), sealed: reader.rest() };
    default:
      throw new Malformed(`kind ${kind}`);
  }
}

export function isUint(value: unknown, max: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max;
}

export function isBin(value: unknown, size?: number): value is Uint8Array {
  return value instanceof Uint8Array && (size === undefined || value.length === size);
}

export function items(value: unknown, least: number, most = least): readonly unknown[] {
  if (!Array.isArray(value) || value.length < least || value.length > most) throw new Malformed(`an array of ${least} to ${most}`);
  return value;
}

export function address(value: unknown): { host: string; port: number } {
  const [host, port] = items(value, 2);
  if (typeof host !== 'string' || !/^[0-9a-f.:]{2,45}$/iu.test(host) || !isUint(port, 65_535) || port === 0) throw new Malformed('address');
  return { host, port };
}

function decodeFacts(value: unknown): Facts {
  const [roomId, name, players, max, locked, gameId, gameVersion, schemaHash, peer, joinPort, members] = items(value, 11);
  if (!isBin(roomId, 16) || typeof name !== 'string' || Buffer.byteLength(name) > 32 || !isUint(players, 255) || !isUint(max, 255))
    throw new Malformed('facts');
  if (
    typeof locked !== 'boolean' ||
    typeof gameId !== 'string' ||
    Buffer.byteLength(gameId) > 32 ||
    !isUint(gameVersion, 0xffff) ||
    !isUint(schemaHash, 0xffff_ffff)
  )
    throw new Malformed('facts');
  if (typeof peer !== 'string' || !/^[a-z2-7]{16}$/u.test(peer) || !isUint(joinPort, 65_535)) throw new Malformed('facts');
  const list = items(members, 0, 8).map(address);
  return { roomId: hex(roomId), name, players, max, locked, gameId, version: gameVersion, schemaHash, peer, joinPort, members: list };
}

// ── frames ────────────────────────────────────────────────────────────────────────────────────────────

const TAIL = { 0x40: 'RELIABLE', 0x50: 'SEQUENCED' } as const;

/** All frames of one opened packet; `datagramBytes` is what it had on the wire. */
export function decodeFrames(packet: Uint8Array, datagramBytes: number): Frame[] {
  const reader = new Reader(packet);
  const frames: Frame[] = [];
  const had = new Set<number>();
  while (reader.left > 0) {
    const isFirst = reader.at === 0;
    const type = reader.uint(1);
    if (type < 0x40) {
      must(!had.has(type), 'a control frame twice');
      had.add(type);
    }
    must(type !== 0x01 || isFirst, 'an ACK that is not the first frame');
    const frame = type < 0x40 ? controlFrame(type, reader, datagramBytes) : messageFrame(type, reader);
    frames.push(frame);
    if (frame.type === 'CLOSE') break;
  }
  return frames;
}

function controlFrame(type: number, reader: Reader, datagramBytes: number): Frame {
  switch (type) {
    case 0x01: {
      const newest = reader.uint(6);
      const bits = BigInt(`0x${hex(reader.take(8))}`);
      return { type: 'ACK', newest, bits, delay: reader.uint(2) };
    }
    case 0x02:
      return { type: 'PING', t1: reader.uint(6) };
    case 0x03:
      return { type: 'PONG', t1: reader.uint(6), received: reader.uint(6), sent: reader.uint(6) };
    case 0x04: {
      const reason = REASONS[reader.uint(1)];
      if (reason === undefined) throw new Malformed('unknown reason');
      return { type: 'CLOSE', reason };
    }
    case 0x05:
    case 0x06:
      return { type: type === 0x05 ? 'PATH_CHALLENGE' : 'PATH_RESPONSE', token: hex(reader.take(8)) };
    case 0x07: {
      const size = reader.uint(2);
      reader.zeros();
      must(size === datagramBytes, `a probe that says ${size} in ${datagramBytes} bytes`);
      return { type: 'MTU_PROBE', size };
    }
    case 0x08:
      return { type: 'MTU_ACK', size: reader.uint(2) };
    default:
      throw new Malformed(`frame ${type}`);
  }
}

function messageFrame(type: number, reader: Reader): Frame {
  const base = type - (type % 8);
  const lane = type % 8;
  switch (base) {
    case 0x40:
    case 0x50: {
      const id = reader.uint(4);
      const bytes = reader.take(reader.uint(2));
      must(base !== 0x40 || bytes.length <= 1_120, 'RELIABLE');
      return { type: TAIL[base], lane, id, bytes };
    }
    case 0x48: {
      const [id, index, count, length] = [reader.uint(4), reader.uint(2), reader.uint(2), reader.uint(4)];
      must(length > 1_120 && length <= 262_144 && count === Math.ceil(length / 268) && index < count, 'FRAGMENT');
      const stride = Math.ceil(length / count);
      const size = index === count - 1 ? length - stride * index : stride;
      must(size > 0, 'an empty fragment');
      return { type: 'FRAGMENT', lane, id, index, count, length, bytes: reader.take(size) };
    }
    case 0x58:
      return { type: 'UNRELIABLE', lane, bytes: reader.take(reader.uint(2)) };
    default:
      throw new Malformed(`frame ${type}`);
  }
}
