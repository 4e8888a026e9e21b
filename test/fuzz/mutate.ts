/** Changes to inputs: bits, bytes, numbers that decoders care about, pieces cut, doubled, and taken from others. */
import type { Rng } from '../../sdk/base/rng.ts';

export const MAX_INPUT_BYTES = 1_400;

const BYTES = [
  0, 1, 4, 0x10, 0x1f, 0x20, 0x7f, 0x80, 0x81, 0x90, 0xa0, 0xc0, 0xc1, 0xc4, 0xca, 0xcb, 0xcc, 0xce, 0xd0, 0xd9, 0xda, 0xdc, 0xde, 0xe0, 0xff, 0x40,
  0x48, 0x50, 0x58,
];
const WORDS: readonly (readonly number[])[] = [
  [0, 0],
  [0xff, 0xff],
  [0x7f, 0xff],
  [0x80, 0],
  [4, 0],
  [0, 0, 0, 0],
  [0xff, 0xff, 0xff, 0xff],
  [0x7f, 0xff, 0xff, 0xff],
  [0, 4, 0, 0],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  [0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  [0xcb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0],
];

export function mutate(rng: Rng, corpus: readonly Uint8Array[]): Uint8Array {
  let bytes: Uint8Array = corpus[rng.int(corpus.length)]!.slice();
  for (let edits = 1 + (rng.chance(0.5) ? 0 : rng.int(6)); edits > 0; edits--) bytes = edit(rng, bytes, corpus);
  return bytes.length > MAX_INPUT_BYTES ? bytes.slice(0, MAX_INPUT_BYTES) : bytes;
}

function edit(rng: Rng, bytes: Uint8Array, corpus: readonly Uint8Array[]): Uint8Array {
  const at = rng.int(bytes.length + 1);
  const there = at < bytes.length;
  switch (rng.int(10)) {
    case 0:
      if (there) bytes[at] = rng.int(256);
      return bytes;
    case 1:
      if (there) bytes[at] = BYTES[rng.int(BYTES.length)]!;
      return bytes;
    case 2:
      if (there) bytes[at]! ^= 1 << rng.int(8);
      return bytes;
    case 3:
      if (there) bytes[at]! += rng.chance(0.5) ? 1 : 255;
      return bytes;
    case 4: {
      const word = WORDS[rng.int(WORDS.length)]!;
      for (let i = 0; i < word.length && at + i < bytes.length; i++) bytes[at + i] = word[i]!;
      return bytes;
    }
    case 5: {
      const more = new Uint8Array(1 + rng.int(8)).map(() => (rng.chance(0.5) ? rng.int(256) : BYTES[rng.int(BYTES.length)]!));
      return join(bytes.subarray(0, at), more, bytes.subarray(at));
    }
    case 6:
      return join(bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + 1 + rng.int(rng.chance(0.2) ? 64 : 6))));
    case 7: {
      const other = corpus[rng.int(corpus.length)]!;
      return join(bytes.subarray(0, at), other.subarray(rng.int(other.length + 1)));
    }
    case 8: {
      const end = Math.min(bytes.length, at + 1 + rng.int(32));
      return join(bytes.subarray(0, end), bytes.subarray(at, end), bytes.subarray(end));
    }
    default:
      return rng.chance(0.5) ? bytes.slice(0, at) : join(bytes, bytes.subarray(at));
  }
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}
