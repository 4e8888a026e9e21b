/**
 * 32 bytes that stand for others, where everybody is one process. This is no cryptography: it is quick and well mixed, equal for equal bytes, and whoever
 * wants two blocks of one digest can make them. Over a network it is SHA-256.
 */
const LANES = 8;

export function memoryDigest(bytes: Uint8Array): Uint8Array {
  const lanes = new Uint32Array(LANES);
  for (let i = 0; i < LANES; i++) lanes[i] = Math.imul(0x9e37_79b9, i + 1) ^ bytes.length;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const whole = bytes.length & ~3;
  let lane = 0;
  for (let at = 0; at < whole; at += 4) {
    lanes[lane] = stir(lanes[lane]!, view.getUint32(at, true));
    lane = (lane + 1) & (LANES - 1);
  }
  let rest = 0x8000_0000;
  for (let at = whole; at < bytes.length; at++) rest = (rest << 8) | bytes[at]!;
  lanes[lane] = stir(lanes[lane]!, rest);
  // Each of them hears of all others, more than once around.
  for (let round = 0; round < 4 * LANES; round++) {
    const at = round & (LANES - 1);
    lanes[at] = mix(stir(lanes[at]!, lanes[(at + LANES - 1) & (LANES - 1)]! + round));
  }
  const out = new DataView(new ArrayBuffer(4 * LANES));
  for (let i = 0; i < LANES; i++) out.setUint32(4 * i, lanes[i]!);
  return new Uint8Array(out.buffer);
}

/** A word into a state, as MurmurHash3 does. */
function stir(state: number, word: number): number {
  let k = Math.imul(word, 0xcc9e_2d51);
  k = (k << 15) | (k >>> 17);
  const h = state ^ Math.imul(k, 0x1b87_3593);
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe654_6b64) | 0;
}

/** Its end: each bit of what comes in changes half of those that go out. */
function mix(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return h ^ (h >>> 16);
}
