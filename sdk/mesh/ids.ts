/**
 * Peer ids on the wire: ten bytes, and their text. Both are remembered, as there are few and they come often.
 */
import type { PeerId } from '../base/brand.ts';
import { fromBase32, toBase32 } from '../base/bytes.ts';
import { MAX_KNOWN_IDS } from '../wire/limits.ts';

export const ID_BYTES = 10;

interface KnownId {
  readonly bytes: Uint8Array;
  readonly id: PeerId;
}

/** By their first six bytes: there are few ids and they come often, and one text for each compares fast. */
const knownIds = new Map<number, KnownId>();

/** The id whose ten bytes lie there. */
export function idAt(bytes: Uint8Array, at: number): PeerId {
  const high = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
  const low = (bytes[at + 3]! << 16) | (bytes[at + 4]! << 8) | bytes[at + 5]!;
  const key = high * 0x100_0000 + low;
  const known = knownIds.get(key);
  if (known !== undefined && isAt(known.bytes, bytes, at)) return known.id;
  const own = bytes.slice(at, at + ID_BYTES);
  const id = toBase32(own) as PeerId;
  if (knownIds.size >= MAX_KNOWN_IDS) knownIds.clear();
  knownIds.set(key, { bytes: own, id });
  return id;
}

function isAt(id: Uint8Array, bytes: Uint8Array, at: number): boolean {
  for (let i = 6; i < ID_BYTES; i++) if (id[i] !== bytes[at + i]) return false;
  return true;
}

/** The ten bytes of each id, by its text. */
const idBytes = new Map<PeerId, Uint8Array>();

export function encodeId(id: PeerId): Uint8Array {
  let bytes = idBytes.get(id);
  if (bytes === undefined) {
    bytes = fromBase32(id) ?? new Uint8Array(ID_BYTES);
    if (idBytes.size >= MAX_KNOWN_IDS) idBytes.clear();
    idBytes.set(id, bytes);
  }
  return bytes;
}
