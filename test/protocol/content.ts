/** Words of content as `docs/protocol.md` has them, written from that page alone. Throws `Malformed` at anything else. */
import { createHash } from 'node:crypto';
import { isBin, isUint, items } from './decoder.ts';
import { decodePayload } from './payload.ts';
import { Malformed, hex, must } from './reader.ts';

export type ContentWord =
  | { readonly type: 'ask'; readonly hash: string; readonly offset: number }
  | { readonly type: 'piece'; readonly hash: string; readonly size: number; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly type: 'none'; readonly hash: string };

export const PIECE_BYTES = 16_384;
/** Asks only whether the block is there. */
export const WHETHER = 2 ** 32 - 1;

function uint(value: unknown, most: number, least = 0): number {
  if (!isUint(value, most) || value < least) throw new Malformed(`a number from ${least} to ${most}`);
  return value;
}

function hash(value: unknown): string {
  if (!isBin(value, 32)) throw new Malformed('a hash');
  return hex(value);
}

export function decodeContent(said: Uint8Array): ContentWord {
  const [kind, of, ...rest] = items(decodePayload(said), 2, 5);
  switch (kind) {
    case 23:
      return { type: 'ask', hash: hash(of), offset: uint(items(rest, 1)[0], WHETHER) };
    case 24: {
      const [size, offset, bytes] = items(rest, 3);
      if (!isBin(bytes) || bytes.length > PIECE_BYTES) throw new Malformed('a piece');
      return { type: 'piece', hash: hash(of), size: uint(size, 4_194_304, 1), offset: uint(offset, WHETHER), bytes };
    }
    case 25:
      must(rest.length === 0, 'more than a hash');
      return { type: 'none', hash: hash(of) };
    default:
      throw new Malformed('a kind of content');
  }
}

/** The name of a block, as a game writes it. */
export function nameOf(block: Uint8Array): string {
  return createHash('sha256').update(block).digest('base64url');
}

export function hashOf(block: Uint8Array): string {
  return createHash('sha256').update(block).digest('hex');
}
