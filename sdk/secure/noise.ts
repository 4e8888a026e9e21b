/**
 * Noise Protocol Framework, revision 34: handshake patterns over X25519, written with the
 * specification's own names (§5). Primitives come in through `NoiseSuite`.
 *
 * Bytes from the far side never throw: `readMessage` returns `undefined` and leaves the state as it was,
 * so a forged message cannot spoil a handshake that the true one would complete.
 */
import { asciiBytes, concatBytes } from '../base/bytes.ts';
import type { Aead, KeyPair } from './provider.ts';

/** Hash, cipher and Diffie–Hellman of one protocol name. */
export interface NoiseSuite {
  readonly hashBytes: 32 | 64;
  hash(...parts: readonly Uint8Array[]): Uint8Array;
  hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array;
  createAead(key: Uint8Array): Aead;
  generateKeyPair(): KeyPair;
  dh(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined;
}

type Token = 'e' | 's' | 'ee' | 'es' | 'se' | 'ss' | 'psk';
/** Responder's pre-message, initiator's pre-message, then the messages in turn (§7). */
type Pattern = readonly [responder: readonly 's'[], initiator: readonly 's'[], messages: readonly (readonly Token[])[]];

const PATTERNS: Readonly<Record<string, Pattern>> = {
  N: [['s'], [], [['e', 'es']]],
  K: [['s'], ['s'], [['e', 'es', 'ss']]],
  X: [['s'], [], [['e', 'es', 's', 'ss']]],
  NN: [[], [], [['e'], ['e', 'ee']]],
  NK: [
    ['s'],
    [],
    [
      ['e', 'es'],
      ['e', 'ee'],
    ],
  ],
  NX: [[], [], [['e'], ['e', 'ee', 's', 'es']]],
  XN: [[], [], [['e'], ['e', 'ee'], ['s', 'se']]],
  XK: [
    ['s'],
    [],
    [
      ['e', 'es'],
      ['e', 'ee'],
      ['s', 'se'],
    ],
  ],
  XX: [[], [], [['e'], ['e', 'ee', 's', 'es'], ['s', 'se']]],
  KN: [[], ['s'], [['e'], ['e', 'ee', 'se']]],
  KK: [
    ['s'],
    ['s'],
    [
      ['e', 'es', 'ss'],
      ['e', 'ee', 'se'],
    ],
  ],
  KX: [[], ['s'], [['e'], ['e', 'ee', 'se', 's', 'es']]],
  IN: [
    [],
    [],
    [
      ['e', 's'],
      ['e', 'ee', 'se'],
    ],
  ],
  IK: [
    ['s'],
    [],
    [
      ['e', 'es', 's', 'ss'],
      ['e', 'ee', 'se'],
    ],
  ],
  IX: [
    [],
    [],
    [
      ['e', 's'],
      ['e', 'ee', 'se', 's', 'es'],
    ],
  ],
};

const NO_BYTES = new Uint8Array(0);

/** All of a SymmetricState that reading changes; its arrays are replaced, never written to. */
interface SymmetricSave {
  readonly h: Uint8Array;
  readonly ck: Uint8Array;
  readonly aead: Aead | undefined;
  readonly n: number;
}

/** §5.2: chaining key, handshake hash and the cipher under way. */
class SymmetricState {
  readonly suite: NoiseSuite;
  h: Uint8Array;
  #ck: Uint8Array;
  #aead: Aead | undefined;
  #n = 0;

  constructor(suite: NoiseSuite, name: string) {
    this.suite = suite;
    const bytes = asciiBytes(name);
    this.h = bytes.length <= suite.hashBytes ? concatBytes(bytes, new Uint8Array(suite.hashBytes - bytes.length)) : suite.hash(bytes);
    this.#ck = this.h;
  }

  get hasKey(): boolean {
    return this.#aead !== undefined;
  }

  mixHash(data: Uint8Array): void {
    this.h = this.suite.hash(this.h, data);
  }

  #hkdf(input: Uint8Array, outputs: 2 | 3): Uint8Array[] {
    const temp = this.suite.hmac(this.#ck, input);
    const out: Uint8Array[] = [];
    let previous: Uint8Array = NO_BYTES;
    for (let i = 1; i <= outputs; i++) out.push((previous = this.suite.hmac(temp, previous, Uint8Array.of(i))));
    return out;
  }

  #setKey(key: Uint8Array): void {
    this.#aead = this.suite.createAead(key.slice(0, 32));
    this.#n = 0;
  }

  mixKey(input: Uint8Array): void {
    const [ck, key] = this.#hkdf(input, 2);
    this.#ck = ck!;
    this.#setKey(key!);
  }

  mixKeyAndHash(input: Uint8Array): void {
    const [ck, hash, key] = this.#hkdf(input, 3);
    this.#ck = ck!;
    this.mixHash(hash!);
    this.#setKey(key!);
  }

  encryptAndHash(plain: Uint8Array): Uint8Array {
    let out = plain;
    if (this.#aead !== undefined) {
      out = new Uint8Array(plain.length + 16);
      this.#aead.seal(this.#n++, this.h, plain, out, 0);
    }
    this.mixHash(out);
    return out;
  }

  decryptAndHash(sealed: Uint8Array): Uint8Array | undefined {
    let out = sealed;
    if (this.#aead !== undefined) {
      if (sealed.length < 16) return undefined;
      out = new Uint8Array(sealed.length - 16);
      if (this.#aead.open(this.#n++, this.h, sealed, out, 0) < 0) return undefined;
    }
    this.mixHash(sealed);
    return out;
  }

  save(): SymmetricSave {
    return { h: this.h, ck: this.#ck, aead: this.#aead, n: this.#n };
  }

  restore(saved: SymmetricSave): void {
    this.h = saved.h;
    this.#ck = saved.ck;
    this.#aead = saved.aead;
    this.#n = saved.n;
  }

  /** Opens without mixing or counting. */
  peek(sealed: Uint8Array): Uint8Array | undefined {
    if (this.#aead === undefined || sealed.length < 16) return undefined;
    const out = new Uint8Array(sealed.length - 16);
    return this.#aead.open(this.#n, this.h, sealed, out, 0) < 0 ? undefined : out;
  }

  split(): readonly [Uint8Array, Uint8Array] {
    const [first, second] = this.#hkdf(NO_BYTES, 2);
    return [first!.slice(0, 32), second!.slice(0, 32)];
  }
}

export interface NoiseOptions {
  readonly initiator: boolean;
  readonly prologue?: Uint8Array;
  /** Our static key, where the pattern has one. */
  readonly s?: KeyPair;
  /** Our ephemeral key; only test vectors set it. */
  readonly e?: KeyPair;
  /** The far side's static key, where the pattern has it in a pre-message. */
  readonly rs?: Uint8Array;
  /** In the order of the pattern's psk tokens; may be supplied until the token is reached. */
  readonly psks?: readonly Uint8Array[];
}

/** §5.3. One side of one handshake; messages alternate, the initiator writes first. */
export class NoiseHandshake {
  readonly #symmetric: SymmetricState;
  readonly #messages: Token[][];
  readonly #initiator: boolean;
  readonly #hasPsk: boolean;
  readonly #s: KeyPair | undefined;
  #e: KeyPair | undefined;
  #re: Uint8Array | undefined;
  #psks: Uint8Array[];
  #step = 0;
  #pskMixed = false;
  /** The far side's static public key, once known. */
  rs: Uint8Array | undefined;

  constructor(name: string, suite: NoiseSuite, options: NoiseOptions) {
    const match = /^Noise_([A-Z]{1,2})((?:psk[0-9]\+?)*)_25519_/.exec(name);
    const pattern = match === null ? undefined : PATTERNS[match[1]!];
    if (match === null || pattern === undefined) throw new Error(`lanista: unknown Noise protocol ${name}`);
    this.#messages = pattern[2].map((tokens) => [...tokens]);
    const places = match[2]!.split('+').filter((place) => place !== '');
    for (const place of places) {
      const at = Number(place.slice(3));
      if (at === 0) this.#messages[0]!.unshift('psk');
      else this.#messages[at - 1]!.push('psk');
    }
    this.#hasPsk = places.length > 0;
    this.#initiator = options.initiator;
    this.#s = options.s;
    this.#e = options.e;
    this.rs = options.rs;
    this.#psks = [...(options.psks ?? [])];
    this.#symmetric = new SymmetricState(suite, name);
    this.#symmetric.mixHash(options.prologue ?? NO_BYTES);
    const [responderKnown, initiatorKnown] = pattern;
    const own = options.s?.publicKey;
    if (initiatorKnown.length > 0) this.#symmetric.mixHash((options.initiator ? own : options.rs)!);
    if (responderKnown.length > 0) this.#symmetric.mixHash((options.initiator ? options.rs : own)!);
  }

  get done(): boolean {
    return this.#step === this.#messages.length;
  }

  /** §11.2 channel binding: equal on both sides of a finished handshake. */
  get handshakeHash(): Uint8Array {
    return this.#symmetric.h;
  }

  /** Supplies the psk of a later token: with CPace it is known only after message 1. */
  setPsk(psk: Uint8Array): void {
    this.#psks = [psk];
  }

  /** Returns undefined when a Diffie–Hellman result is all zero (the far side sent a low-order point). */
  writeMessage(payload: Uint8Array = NO_BYTES): Uint8Array | undefined {
    const parts: Uint8Array[] = [];
    for (const token of this.#messages[this.#step++]!) {
      if (token === 'e') {
        this.#e ??= this.#symmetric.suite.generateKeyPair();
        parts.push(this.#e.publicKey);
        this.#symmetric.mixHash(this.#e.publicKey);
        if (this.#hasPsk) this.#symmetric.mixKey(this.#e.publicKey);
      } else if (token === 's') {
        parts.push(this.#symmetric.encryptAndHash(this.#s!.publicKey));
      } else if (!this.#mix(token)) return undefined;
    }
    parts.push(this.#symmetric.encryptAndHash(payload));
    return concatBytes(...parts);
  }

  /**
   * The payload, or undefined when the bytes are not what an honest far side would send; then nothing
   * has changed and another message may be tried.
   */
  readMessage(message: Uint8Array): Uint8Array | undefined {
    if (this.done) return undefined;
    const symmetric = this.#symmetric.save();
    const psks = [...this.#psks];
    const { rs } = this;
    const re = this.#re;
    const step = this.#step;
    this.#pskMixed = false;
    const payload = this.#read(message);
    if (payload === undefined) {
      this.#symmetric.restore(symmetric);
      this.#psks = psks;
      this.#re = re;
      this.rs = rs;
      this.#step = step;
    }
    return payload;
  }

  /**
   * True when the last `readMessage` got as far as the psk: all before it was right, so the message came
   * from the one who wrote the earlier ones.
   */
  get pskReached(): boolean {
    return this.#pskMixed;
  }

  #read(message: Uint8Array): Uint8Array | undefined {
    let at = 0;
    for (const token of this.#messages[this.#step++]!) {
      if (token === 'e') {
        if (message.length - at < 32) return undefined;
        this.#re = message.slice(at, (at += 32));
        this.#symmetric.mixHash(this.#re);
        if (this.#hasPsk) this.#symmetric.mixKey(this.#re);
      } else if (token === 's') {
        const size = this.#symmetric.hasKey ? 48 : 32;
        if (message.length - at < size) return undefined;
        this.rs = this.#symmetric.decryptAndHash(message.slice(at, (at += size)));
        if (this.rs === undefined) return undefined;
      } else if (!this.#mix(token)) return undefined;
    }
    return this.#symmetric.decryptAndHash(message.slice(at));
  }

  #mix(token: 'ee' | 'es' | 'se' | 'ss' | 'psk'): boolean {
    if (token === 'psk') {
      const psk = this.#psks.shift();
      if (psk === undefined) return false;
      this.#symmetric.mixKeyAndHash(psk);
      this.#pskMixed = true;
      return true;
    }
    // §7.1: the first letter is the initiator's key, the second the responder's.
    const mine = token[this.#initiator ? 0 : 1] === 'e' ? this.#e : this.#s;
    const theirs = token[this.#initiator ? 1 : 0] === 'e' ? this.#re : this.rs;
    if (mine === undefined || theirs === undefined) return false;
    const shared = this.#symmetric.suite.dh(mine.secretKey, theirs);
    if (shared === undefined) return false;
    this.#symmetric.mixKey(shared);
    return true;
  }

  /**
   * The static key a message that opens with an `s` token carries, without moving the state: the psk
   * of a later token of the same message may depend on it. Undefined when it does not open.
   */
  peekStatic(message: Uint8Array): Uint8Array | undefined {
    return message.length < 48 ? undefined : this.#symmetric.peek(message.slice(0, 48));
  }

  /** §5.2 Split: keys for what we send and what we receive. */
  split(): { readonly send: Uint8Array; readonly receive: Uint8Array } {
    const [first, second] = this.#symmetric.split();
    return this.#initiator ? { send: first, receive: second } : { send: second, receive: first };
  }
}
