/**
 * CPace over X25519 with SHA-512 (draft-irtf-cfrg-cpace, G_X25519): both sides prove that they know
 * the room's code, and somebody who records the exchange can test no guess against it.
 *
 * Only Elligator 2 is arithmetic of ours (big integers, not constant-time: it leaks at most timing of
 * a generator that is new for every handshake); everything secret goes through the provider.
 */
import { asciiBytes, concatBytes } from '../base/bytes.ts';
import type { CryptoProvider } from './provider.ts';

const P = 2n ** 255n - 19n;
const LOW_BITS = 2n ** 255n - 1n;
const A = 486_662n;
const DSI = asciiBytes('CPace255');
const DSI_ISK = asciiBytes('CPace255_ISK');
/** SHA-512's input block: the generator string pads its first block with zeros. */
const HASH_BLOCK_BYTES = 128;

const mod = (x: bigint): bigint => ((x % P) + P) % P;

/** 2^255 is 19 modulo P, so what lies above bit 255 comes back below: twice that, and a product of two such numbers is one again. A division takes twice as long. */
const fold = (x: bigint): bigint => (x & LOW_BITS) + 19n * (x >> 255n);
const times = (a: bigint, b: bigint): bigint => fold(fold(a * b));

function squared(x: bigint, count: number): bigint {
  let out = x;
  for (let i = 0; i < count; i++) out = times(out, out);
  return out;
}

/** x^(2^250 - 1): the long run of ones that both exponents below begin with, in 11 multiplications where bit by bit takes 249. */
function longPower(x: bigint): { readonly ones250: bigint; readonly x11: bigint } {
  const x2 = squared(x, 1);
  const x9 = times(squared(x2, 2), x);
  const x11 = times(x9, x2);
  const ones5 = times(squared(x11, 1), x9);
  const ones10 = times(squared(ones5, 5), ones5);
  const ones20 = times(squared(ones10, 10), ones10);
  const ones40 = times(squared(ones20, 20), ones20);
  const ones50 = times(squared(ones40, 10), ones10);
  const ones100 = times(squared(ones50, 50), ones50);
  const ones200 = times(squared(ones100, 100), ones100);
  return { ones250: times(squared(ones200, 50), ones50), x11 };
}

/** x^(P - 2); zero for zero. */
function inverse(x: bigint): bigint {
  const { ones250, x11 } = longPower(x);
  return times(squared(ones250, 5), x11) % P;
}

/** Euler's criterion, x^((P - 1) / 2): zero counts as a square. */
function isSquare(x: bigint): boolean {
  const { ones250 } = longPower(x);
  const x2 = squared(x, 1);
  return times(squared(ones250, 4), times(squared(x2, 1), x2)) % P !== P - 1n;
}

/** RFC 9380 §6.7.1 on curve25519, u-coordinate only. */
function elligator2(r: bigint): bigint {
  const d = mod(1n + 2n * r * r);
  const v = mod(-A * inverse(d === 0n ? 1n : d));
  return isSquare(mod(v * v * v + A * v * v + v)) ? v : mod(-v - A);
}

function leb128(size: number): Uint8Array {
  const out: number[] = [];
  let left = size;
  do {
    const low = left & 127;
    left >>= 7;
    out.push(left > 0 ? low | 128 : low);
  } while (left > 0);
  return Uint8Array.from(out);
}

const prependLength = (bytes: Uint8Array): Uint8Array => concatBytes(leb128(bytes.length), bytes);

/** The draft's `lv_cat`. */
function lengthValue(...parts: readonly Uint8Array[]): Uint8Array {
  return concatBytes(...parts.map(prependLength));
}

/** The draft's `calculate_generator`: a point nobody knows the logarithm of, fixed by code and session. */
export function cpaceGenerator(crypto: CryptoProvider, code: Uint8Array, channel: Uint8Array, sid: Uint8Array): Uint8Array {
  const padding = Math.max(0, HASH_BLOCK_BYTES - 1 - prependLength(code).length - prependLength(DSI).length);
  const hash = crypto.sha512(lengthValue(DSI, code, new Uint8Array(padding), channel, sid));
  let u = 0n;
  for (let i = 31; i >= 0; i--) u = (u << 8n) | BigInt(i === 31 ? hash[i]! & 0x7f : hash[i]!);
  let point = elligator2(mod(u));
  const out = new Uint8Array(32);
  for (let i = 0; i < 32; i++) {
    out[i] = Number(point & 255n);
    point >>= 8n;
  }
  return out;
}

/** A share: `scalar * generator`. Undefined cannot happen with an honest generator. */
export function cpaceShare(crypto: CryptoProvider, scalar: Uint8Array, generator: Uint8Array): Uint8Array | undefined {
  return crypto.dh(scalar, generator);
}

/**
 * The session key (initiator–responder form), 64 bytes; undefined when the far side's share is a
 * low-order point.
 */
export function cpaceKey(
  crypto: CryptoProvider,
  options: {
    readonly scalar: Uint8Array;
    readonly theirShare: Uint8Array;
    readonly sid: Uint8Array;
    readonly initiatorShare: Uint8Array;
    readonly initiatorData: Uint8Array;
    readonly responderShare: Uint8Array;
    readonly responderData: Uint8Array;
  },
): Uint8Array | undefined {
  const k = crypto.dh(options.scalar, options.theirShare);
  if (k === undefined) return undefined;
  return crypto.sha512(
    lengthValue(DSI_ISK, options.sid, k),
    lengthValue(options.initiatorShare, options.initiatorData),
    lengthValue(options.responderShare, options.responderData),
  );
}
