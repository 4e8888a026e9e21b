/**
 * The name of a block of bytes: its SHA-256 as 43 characters of base64url. There is one way to write a name, so that two texts that differ name
 * two blocks.
 */
export const CONTENT_HASH_BYTES = 32;
const ID_CHARS = 43;
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const SHAPE = /^[A-Za-z0-9_-]{43}$/;

export function contentId(hash: Uint8Array): string {
  let text = '';
  for (let bit = 0; bit < 8 * CONTENT_HASH_BYTES; bit += 6) {
    const at = bit >> 3;
    const pair = (hash[at]! << 8) | (hash[at + 1] ?? 0);
    text += ALPHABET[(pair >> (10 - (bit & 7))) & 63]!;
  }
  return text;
}

/** Undefined for a text that names nothing. */
export function readContentId(text: string): Uint8Array | undefined {
  if (!SHAPE.test(text)) return undefined;
  const hash = new Uint8Array(CONTENT_HASH_BYTES + 1);
  for (let i = 0; i < ID_CHARS; i++) {
    const value = ALPHABET.indexOf(text[i]!) << (10 - ((6 * i) & 7));
    hash[(6 * i) >> 3]! |= value >> 8;
    hash[((6 * i) >> 3) + 1]! |= value;
  }
  // The last character says two bits more than there are.
  return hash[CONTENT_HASH_BYTES] === 0 ? hash.slice(0, CONTENT_HASH_BYTES) : undefined;
}
