/**
 * Keys as `docs/protocol.md` has them, over node:crypto and nothing else: Noise_XXpsk3 followed from outside with the
 * initiator's or responder's secrets, CPace, Split, ratchet. Written from that page, the Noise specification (revision
 * 34) and the CPace draft.
 */
import { createDecipheriv, createHash, createHmac, createPrivateKey, createPublicKey, diffieHellman } from 'node:crypto';
import { Malformed, base32, join, must, uint } from './reader.ts';

export const sha256 = (...parts: readonly (Uint8Array | string)[]): Uint8Array =>
  new Uint8Array(
    createHash('sha256')
      .update(join(...parts))
      .digest(),
  );
const sha512 = (...parts: readonly (Uint8Array | string)[]): Uint8Array =>
  new Uint8Array(
    createHash('sha512')
      .update(join(...parts))
      .digest(),
  );
export const hmac = (key: Uint8Array, ...parts: readonly (Uint8Array | string)[]): Uint8Array =>
  new Uint8Array(
    createHmac('sha256', key)
      .update(join(...parts))
      .digest(),
  );

export const roomTag = (roomId: Uint8Array): Uint8Array => sha256('lanista room', roomId).slice(0, 8);
export const peerId = (publicKey: Uint8Array): string => base32(sha256('lanista id', publicKey).slice(0, 10));

/** X25519 of a raw secret and a raw public key. */
export function x25519(secret: Uint8Array, publicKey: Uint8Array): Uint8Array {
  const ours = createPrivateKey({
    key: Buffer.from(join(Buffer.from('302e020100300506032b656e04220420', 'hex'), secret)),
    format: 'der',
    type: 'pkcs8',
  });
  const theirs = createPublicKey({ key: Buffer.from(join(Buffer.from('302a300506032b656e032100', 'hex'), publicKey)), format: 'der', type: 'spki' });
  return new Uint8Array(diffieHellman({ privateKey: ours, publicKey: theirs }));
}

const BASE = join(Uint8Array.of(9), new Uint8Array(31));
export const publicOf = (secret: Uint8Array): Uint8Array => x25519(secret, BASE);

function nonceOf(counter: number): Uint8Array {
  return join(new Uint8Array(4), uint(counter, 8).reverse());
}

/** The plaintext, or undefined when the tag does not fit. */
export function open(key: Uint8Array, counter: number, ad: Uint8Array, sealed: Uint8Array): Uint8Array | undefined {
  const decipher = createDecipheriv('chacha20-poly1305', key, nonceOf(counter), { authTagLength: 16 });
  decipher.setAAD(ad, { plaintextLength: sealed.length - 16 });
  decipher.setAuthTag(sealed.slice(-16));
  const plain = decipher.update(sealed.slice(0, -16));
  try {
    decipher.final();
  } catch {
    return undefined;
  }
  return new Uint8Array(plain);
}

export const ratchet = (key: Uint8Array): Uint8Array => hmac(key, 'lanista rekey');

// ── psk ───────────────────────────────────────────────────────────────────────────────────────────────

const P = 2n ** 255n - 19n;
const mod = (x: bigint): bigint => ((x % P) + P) % P;
function pow(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let b = mod(base), e = exponent; e > 0n; e /= 2n, b = mod(b * b)) if (e % 2n === 1n) result = mod(result * b);
  return result;
}
const little = (bytes: Uint8Array): bigint => BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);

/** CPace's length prefix, LEB128. */
function prefixed(part: Uint8Array | string): Uint8Array {
  const bytes = join(part);
  const head: number[] = [];
  for (let left = bytes.length; ; left >>= 7) {
    head.push(left > 127 ? (left & 127) | 128 : left);
    if (left <= 127) break;
  }
  return join(Uint8Array.from(head), bytes);
}
const lvCat = (...parts: readonly (Uint8Array | string)[]): Uint8Array => join(...parts.map(prefixed));

/** The generator of CPACE-X25519-SHA512. */
export function generator(code: string, roomId: Uint8Array, sid: Uint8Array): Uint8Array {
  const text = code.normalize('NFKC').toUpperCase().replaceAll(/[\s-]/gu, '');
  const prs = join(...[...Array(text.length).keys()].map((i) => uint(text.charCodeAt(i), 2)));
  const pad = new Uint8Array(Math.max(0, 127 - prefixed(prs).length - prefixed('CPace255').length));
  const hash = sha512(lvCat('CPace255', prs, pad, join('lanista', roomId), sid)).slice(0, 32);
  hash[31]! &= 0x7f;
  const r = mod(little(hash));
  // Elligator 2 of RFC 9380 with the non-square 2, u-coordinate only.
  const A = 486_662n;
  const v = mod(-A * pow(mod(1n + 2n * r * r), P - 2n));
  const square = pow(v * v * v + A * v * v + v, (P - 1n) / 2n);
  const u = square === P - 1n ? mod(-v - A) : v;
  return new Uint8Array(Buffer.from(u.toString(16).padStart(64, '0'), 'hex').reverse());
}

export type Psk =
  | { readonly mode: 0; readonly roomId: Uint8Array }
  | {
      readonly mode: 1;
      readonly sid: Uint8Array;
      readonly scalar: Uint8Array;
      readonly initiatorShare: Uint8Array;
      readonly responderShare: Uint8Array;
    }
  | { readonly mode: 2; readonly roomKey: Uint8Array; readonly peers: readonly [string, string] };

/** In mode 1 `scalar` is the initiator's. */
export function pskOf(psk: Psk): Uint8Array {
  if (psk.mode === 0) return sha256('lanista open', psk.roomId);
  if (psk.mode === 2) {
    const [low, high] = psk.peers.toSorted();
    return hmac(psk.roomKey, `lanista member ${low} ${high}`);
  }
  const k = x25519(psk.scalar, psk.responderShare);
  return sha256('lanista code', sha512(lvCat('CPace255_ISK', psk.sid, k), lvCat(psk.initiatorShare, 'joiner'), lvCat(psk.responderShare, 'member')));
}

// ── Noise ─────────────────────────────────────────────────────────────────────────────────────────────

export interface Hello {
  readonly mode: number;
  readonly sessionPort: number;
  readonly joinPort: number;
  readonly share: Uint8Array;
}

export function prologueOf(game: Uint8Array, roomId: Uint8Array, cid: number): Uint8Array {
  return join('lanista', Uint8Array.of(1), uint(game.length, 2), game, roomId, uint(cid, 4));
}

function decodeHello(bytes: Uint8Array): Hello {
  must(bytes.length === 37 && bytes[0]! <= 2, 'payload of a Noise message');
  return { mode: bytes[0]!, sessionPort: bytes[1]! * 256 + bytes[2]!, joinPort: bytes[3]! * 256 + bytes[4]!, share: bytes.slice(5) };
}

/**
 * One handshake, read over the shoulder of those who hold the secrets: `secretOf` gives the secret key of a public one.
 * Any secret will do that one of the two sides had, since a Diffie-Hellman result is the same from both.
 */
export class Transcript {
  #h: Uint8Array;
  #ck: Uint8Array;
  #k: Uint8Array | undefined;
  #n = 0;
  readonly #secretOf: (publicKey: Uint8Array) => Uint8Array | undefined;
  #initiatorE = new Uint8Array(0);
  #responderE = new Uint8Array(0);
  initiatorS = new Uint8Array(0);
  responderS = new Uint8Array(0);

  constructor(prologue: Uint8Array, secretOf: (publicKey: Uint8Array) => Uint8Array | undefined) {
    this.#h = sha256('Noise_XXpsk3_25519_ChaChaPoly_SHA256');
    // The name has more than 32 bytes, so its hash it is.
    this.#ck = this.#h;
    this.#secretOf = secretOf;
    this.#mixHash(prologue);
  }

  #mixHash(data: Uint8Array): void {
    this.#h = sha256(this.#h, data);
  }

  #hkdf(input: Uint8Array, outputs: number): Uint8Array[] {
    const temp = hmac(this.#ck, input);
    const out: Uint8Array[] = [];
    for (let i = 1; i <= outputs; i++) out.push(hmac(temp, out.at(-1) ?? new Uint8Array(0), Uint8Array.of(i)));
    return out;
  }

  #mixKey(input: Uint8Array): void {
    const [ck, k] = this.#hkdf(input, 2) as [Uint8Array, Uint8Array];
    this.#ck = ck;
    this.#k = k;
    this.#n = 0;
  }

  #mixPsk(psk: Uint8Array): void {
    const [ck, h, k] = this.#hkdf(psk, 3) as [Uint8Array, Uint8Array, Uint8Array];
    this.#ck = ck;
    this.#mixHash(h);
    this.#k = k;
    this.#n = 0;
  }

  #dh(a: Uint8Array, b: Uint8Array): void {
    const secret = this.#secretOf(a);
    const other = secret === undefined ? this.#secretOf(b) : undefined;
    if (secret !== undefined) this.#mixKey(x25519(secret, b));
    else if (other !== undefined) this.#mixKey(x25519(other, a));
    else throw new Malformed('no secret for either key');
  }

  #e(message: Uint8Array): Uint8Array<ArrayBuffer> {
    const key = message.slice(0, 32) as Uint8Array<ArrayBuffer>;
    this.#mixHash(key);
    this.#mixKey(key);
    return key;
  }

  #decrypt(sealed: Uint8Array, what: string): Uint8Array<ArrayBuffer> {
    const plain = open(this.#k!, this.#n++, this.#h, sealed);
    if (plain === undefined) throw new Malformed(`${what} does not open`);
    this.#mixHash(sealed);
    return plain as Uint8Array<ArrayBuffer>;
  }

  message1(message: Uint8Array): Hello {
    this.#initiatorE = this.#e(message);
    return decodeHello(this.#decrypt(message.slice(32), 'payload 1'));
  }

  message2(message: Uint8Array): Hello & { readonly cid: number } {
    this.#responderE = this.#e(message);
    this.#dh(this.#initiatorE, this.#responderE);
    this.responderS = this.#decrypt(message.slice(32, 80), 'static 2');
    this.#dh(this.#initiatorE, this.responderS);
    const payload = this.#decrypt(message.slice(80), 'payload 2');
    const cid = payload.slice(0, 4).reduce((value, byte) => value * 256 + byte, 0);
    must(cid !== 0, 'a cid of 0');
    return { cid, ...decodeHello(payload.slice(4)) };
  }

  /** @param psk asked for once the initiator's static key is known. */
  message3(message: Uint8Array, psk: () => Uint8Array): { readonly first: Uint8Array; readonly second: Uint8Array } {
    this.initiatorS = this.#decrypt(message.slice(0, 48), 'static 3');
    this.#dh(this.initiatorS, this.#responderE);
    this.#mixPsk(psk());
    must(this.#decrypt(message.slice(48), 'payload 3').length === 0, 'a payload in message 3');
    const [first, second] = this.#hkdf(new Uint8Array(0), 2) as [Uint8Array, Uint8Array];
    return { first, second };
  }
}
