/**
 * Arithmetic on 16-bit sequence numbers that wrap. Links use sequences that never wrap
 * (48 bits); these are for message ids and sync frames, where two bytes are enough.
 */

/** a - b on the circle of 2^16, in -32,768 to 32,767: positive when `a` is newer. */
export function distance16(a: number, b: number): number {
  return ((a - b) << 16) >> 16;
}
