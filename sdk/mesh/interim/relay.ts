/**
 * Carrying sealed datagrams for members that cannot reach each other.
 *
 * ```
 * relay frame = 0xc1 | ttl u8 | id u16 | part u8 | parts u8 | socket u8 | source 16 | target 16 | bytes
 * ```
 * 0xc1 is the one byte no msgpack value starts with, so that these and control messages share a lane.
 * The carrier sees addresses and sizes only. A datagram that does not fit one message goes in two.
 */
import { ByteReader, ByteWriter, asciiBytes } from '../../base/bytes.ts';
import type { PeerId } from '../../base/brand.ts';
import type { SocketKind } from '../../link/endpoint-types.ts';
import { MAX_DATAGRAM_MESSAGE_BYTES } from '../../wire/limits.ts';
import { isPeerId } from './seats.ts';

export const RELAY_KIND = 0xc1;
const HEAD_BYTES = 39;
const PART_BYTES = MAX_DATAGRAM_MESSAGE_BYTES - HEAD_BYTES;
const MAX_PARTS = 2;
/** Hops; a ring of 32 with one cut needs half of them, anything beyond is a loop. */
const TTL = 16;
/** Halves waiting for the other half. */
const MAX_WAITING = 64;

export interface RelayFrame {
  readonly ttl: number;
  readonly id: number;
  readonly part: number;
  readonly parts: number;
  readonly socket: SocketKind;
  readonly source: PeerId;
  readonly target: PeerId;
  readonly bytes: Uint8Array;
}

function idText(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

export function decodeRelay(bytes: Uint8Array): RelayFrame | undefined {
  const reader = new ByteReader(bytes);
  const kind = reader.u8();
  const ttl = reader.u8();
  const id = reader.u16();
  const part = reader.u8();
  const parts = reader.u8();
  const socket = reader.u8();
  const source = idText(reader.take(16));
  const target = idText(reader.take(16));
  const rest = reader.rest();
  if (!reader.ok || kind !== RELAY_KIND || ttl > TTL || parts < 1 || parts > MAX_PARTS || part >= parts || socket > 1) return undefined;
  if (!isPeerId(source) || !isPeerId(target) || rest.length === 0) return undefined;
  return { ttl, id, part, parts, socket: socket === 0 ? 'join' : 'session', source, target, bytes: rest };
}

export function encodeRelay(frame: RelayFrame): Uint8Array {
  return new ByteWriter(HEAD_BYTES + frame.bytes.length)
    .u8(RELAY_KIND)
    .u8(frame.ttl)
    .u16(frame.id)
    .u8(frame.part)
    .u8(frame.parts)
    .u8(frame.socket === 'join' ? 0 : 1)
    .raw(asciiBytes(frame.source))
    .raw(asciiBytes(frame.target))
    .raw(frame.bytes)
    .copy();
}

/** Splits on the way in, joins on the way out. */
export class RelayParts {
  #nextId = 0;
  readonly #waiting = new Map<string, RelayFrame>();

  split(source: PeerId, target: PeerId, socket: SocketKind, bytes: Uint8Array): Uint8Array[] {
    const id = this.#nextId;
    this.#nextId = (id + 1) & 0xffff;
    const parts = Math.ceil(bytes.length / PART_BYTES);
    const out: Uint8Array[] = [];
    for (let part = 0; part < parts && part < MAX_PARTS; part++) {
      const slice = bytes.subarray(part * PART_BYTES, (part + 1) * PART_BYTES);
      out.push(encodeRelay({ ttl: TTL, id, part, parts, socket, source, target, bytes: slice }));
    }
    return out;
  }

  /** The whole datagram once its last part is here. */
  join(frame: RelayFrame): Uint8Array | undefined {
    if (frame.parts === 1) return frame.bytes;
    const key = `${frame.source}${frame.id}`;
    const other = this.#waiting.get(key);
    if (other === undefined || other.part === frame.part) {
      if (this.#waiting.size >= MAX_WAITING) this.#waiting.clear();
      this.#waiting.set(key, { ...frame, bytes: frame.bytes.slice() });
      return undefined;
    }
    this.#waiting.delete(key);
    const [first, second] = frame.part === 0 ? [frame, other] : [other, frame];
    const out = new Uint8Array(first.bytes.length + second.bytes.length);
    out.set(first.bytes);
    out.set(second.bytes, first.bytes.length);
    return out;
  }
}
