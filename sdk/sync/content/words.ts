/**
 * What peers say to each other about content, as bytes; all of it reliable, on a lane of its own. `id` is the hash, 32 bytes.
 *
 *   CONTENT_ASK   [23, id, offset]                 offset 2^32 - 1, which no block has: only whether it is there
 *   CONTENT_PIECE [24, id, size, offset, bytes]    `size` of the whole; no bytes: it is there, and not given now
 *   CONTENT_NONE  [25, id]
 *
 * They carry no session: a piece that comes late is a piece of the same bytes, or is found out as every other lie is.
 */
import { CONTENT_PIECE_BYTES, MAX_CONTENT_BYTES } from '../../wire/limits.ts';
import type { PackReader } from '../../wire/pack.ts';
import { PackWriter } from '../../wire/pack.ts';
import { CONTENT_ASK, CONTENT_NONE, CONTENT_PIECE } from '../wire.ts';
import { CONTENT_HASH_BYTES } from './id.ts';

/** Of who asks only whether it is there. */
export const WHETHER = 0xffff_ffff;

export type ContentWords =
  | { readonly type: typeof CONTENT_ASK; readonly hash: Uint8Array; readonly offset: number }
  | { readonly type: typeof CONTENT_PIECE; readonly hash: Uint8Array; readonly size: number; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly type: typeof CONTENT_NONE; readonly hash: Uint8Array };

const out = new PackWriter(CONTENT_PIECE_BYTES + 64);

/** All of these are views, valid until the next. */
export function encodeAsk(hash: Uint8Array, offset: number): Uint8Array {
  begin(3, CONTENT_ASK, hash);
  out.int(offset);
  return out.view();
}

export function encodePiece(hash: Uint8Array, size: number, offset: number, bytes: Uint8Array): Uint8Array {
  begin(5, CONTENT_PIECE, hash);
  out.int(size);
  out.int(offset);
  out.binary(bytes);
  return out.view();
}

export function encodeNone(hash: Uint8Array): Uint8Array {
  begin(2, CONTENT_NONE, hash);
  return out.view();
}

function begin(count: number, type: number, hash: Uint8Array): void {
  out.reset();
  out.array(count);
  out.int(type);
  out.binary(hash);
}

/** What follows the kind of a message; `count` is that of the whole array. Undefined for what is none. Bytes are copies. */
export function readContentWords(type: number, count: number, input: PackReader): ContentWords | undefined {
  const hash = input.binary(CONTENT_HASH_BYTES);
  if (hash.length !== CONTENT_HASH_BYTES) return undefined;
  switch (type) {
    case CONTENT_ASK: {
      const offset = input.count(WHETHER);
      return count === 3 && input.done ? { type, hash, offset } : undefined;
    }
    case CONTENT_PIECE: {
      const size = input.count(MAX_CONTENT_BYTES);
      const offset = input.count(WHETHER);
      const bytes = input.binary(CONTENT_PIECE_BYTES);
      return count === 5 && input.done && size > 0 ? { type, hash, size, offset, bytes } : undefined;
    }
    case CONTENT_NONE:
      return count === 2 && input.done ? { type, hash } : undefined;
    default:
      return undefined;
  }
}
