/**
 * The link's handshake: Noise_XXpsk3_25519_ChaChaPoly_SHA256 with CPace in its payloads.
 *
 * ```
 *   INIT   e, {hello}                 hello = mode u8 | session port u16 | join port u16 | share 32
 *   RESP   e, ee, s, es, {cid u32 | hello}   the responder repeats the mode it accepted, and says which connection id it chose
 *   FIN    s, se, psk, {}
 * ```
 * The psk comes last, so it may depend on both shares:
 * - `open`: SHA-256("lanista open" || room id). No secret; it binds the room and keeps one code path.
 * - `code`: SHA-256("lanista code" || CPace session key). The responder sends nothing that depends on
 *   the code, so FIN is the initiator's one guess.
 * - `member`: HMAC(room key, both peer ids in order): for members of a locked room.
 *
 * Where no CPace runs, `share` is random bytes, so that sizes tell nothing. The datagrams around these
 * messages (connection ids, cookie, padding) are `wire/datagram.ts`.
 */
import { asciiBytes, ByteReader, ByteWriter, concatBytes } from '../base/bytes.ts';
import type { PeerId } from '../base/brand.ts';
import { cpaceGenerator, cpaceKey, cpaceShare } from './cpace.ts';
import { peerIdOf } from './identity.ts';
import { NoiseHandshake, type NoiseSuite } from './noise.ts';
import type { CryptoProvider, KeyPair } from './provider.ts';

export const HANDSHAKE_NAME = 'Noise_XXpsk3_25519_ChaChaPoly_SHA256';

/** Sizes of the three Noise messages: e + sealed hello; e + sealed s + sealed cid and hello; sealed s + tag. (With a psk, e is a key already.) */
export const MESSAGE_1_BYTES = 32 + 37 + 16;
export const MESSAGE_2_BYTES = 32 + 48 + 41 + 16;
export const MESSAGE_3_BYTES = 48 + 16;

const CID_BYTES = 4;

const MODES = ['open', 'code', 'member'] as const;
export type HandshakeMode = (typeof MODES)[number];

/** What one side may prove with. `code` and `roomKey` are set where that mode is possible. */
export interface HandshakeSecrets {
  readonly code?: string | undefined;
  readonly roomKey?: Uint8Array | undefined;
}

export interface HandshakeContext {
  readonly crypto: CryptoProvider;
  readonly identity: KeyPair;
  /** Room id as bytes. */
  readonly roomId: Uint8Array;
  /** Everything both sides must agree on: protocol version, game prologue, room id, initiator's connection id. */
  readonly prologue: Uint8Array;
  /** The CPace session id: unique per handshake, known to both (initiator's cid || cookie). */
  readonly sid: Uint8Array;
  readonly sessionPort: number;
  readonly joinPort: number;
}

/** What the far side said of itself. */
export interface FarSide {
  readonly publicKey: Uint8Array;
  readonly peer: PeerId;
  readonly sessionPort: number;
  readonly joinPort: number;
  readonly mode: HandshakeMode;
}

export interface HandshakeKeys {
  readonly send: Uint8Array;
  readonly receive: Uint8Array;
}

interface Hello {
  readonly mode: HandshakeMode;
  readonly sessionPort: number;
  readonly joinPort: number;
  readonly share: Uint8Array;
}

function suiteOf(crypto: CryptoProvider): NoiseSuite {
  return {
    hashBytes: 32,
    hash: crypto.sha256,
    hmac: crypto.hmacSha256,
    createAead: crypto.createAead,
    generateKeyPair: crypto.generateKeyPair,
    dh: crypto.dh,
  };
}

/** What a person typed, as bytes: case, spaces and hyphens do not matter. UTF-16, big-endian. */
export function codeBytes(code: string): Uint8Array {
  const clean = code.normalize('NFKC').toUpperCase().replace(/[\s-]/gu, '');
  const writer = new ByteWriter(clean.length * 2);
  for (let i = 0; i < clean.length; i++) writer.u16(clean.charCodeAt(i));
  return writer.copy();
}

function encodeHello(hello: Hello): Uint8Array {
  return new ByteWriter(37).u8(MODES.indexOf(hello.mode)).u16(hello.sessionPort).u16(hello.joinPort).raw(hello.share).copy();
}

function decodeHello(bytes: Uint8Array): Hello | undefined {
  const reader = new ByteReader(bytes);
  const mode = MODES[reader.u8()];
  const sessionPort = reader.u16();
  const joinPort = reader.u16();
  const share = reader.take(32).slice();
  return reader.done && mode !== undefined ? { mode, sessionPort, joinPort, share } : undefined;
}

/** The state both sides share: mode, CPace scalar and shares. */
class Proof {
  readonly #context: HandshakeContext;
  readonly #initiator: boolean;
  readonly #scalar: Uint8Array | undefined;
  readonly mode: HandshakeMode;
  readonly share: Uint8Array;

  constructor(context: HandshakeContext, initiator: boolean, mode: HandshakeMode, secrets: HandshakeSecrets) {
    this.#context = context;
    this.#initiator = initiator;
    this.mode = mode;
    const { crypto } = context;
    let share: Uint8Array | undefined;
    if (mode === 'code') {
      this.#scalar = crypto.randomBytes(32);
      const generator = cpaceGenerator(crypto, codeBytes(secrets.code ?? ''), concatBytes(asciiBytes('lanista'), context.roomId), context.sid);
      share = cpaceShare(crypto, this.#scalar, generator);
    }
    this.share = share ?? crypto.randomBytes(32);
  }

  psk(theirShare: Uint8Array, theirKey: Uint8Array, secrets: HandshakeSecrets): Uint8Array | undefined {
    const { crypto, identity, roomId } = this.#context;
    if (this.mode === 'open') return crypto.sha256(asciiBytes('lanista open'), roomId);
    const mine = this.share;
    if (this.mode === 'code') {
      const key = cpaceKey(crypto, {
        scalar: this.#scalar!,
        theirShare,
        sid: this.#context.sid,
        initiatorShare: this.#initiator ? mine : theirShare,
        initiatorData: asciiBytes('joiner'),
        responderShare: this.#initiator ? theirShare : mine,
        responderData: asciiBytes('member'),
      });
      return key === undefined ? undefined : crypto.sha256(asciiBytes('lanista code'), key);
    }
    if (secrets.roomKey === undefined) return undefined;
    const ids = [peerIdOf(identity.publicKey, crypto), peerIdOf(theirKey, crypto)].sort();
    return crypto.hmacSha256(secrets.roomKey, asciiBytes(`lanista member ${ids[0]!} ${ids[1]!}`));
  }
}

/** The side that calls `connect`. */
export class InitiatorHandshake {
  readonly #context: HandshakeContext;
  readonly #noise: NoiseHandshake;
  readonly #proof: Proof;
  readonly #secrets: HandshakeSecrets;
  /** Noise message of INIT, `MESSAGE_1_BYTES`. */
  readonly message1: Uint8Array;

  constructor(context: HandshakeContext, mode: HandshakeMode, secrets: HandshakeSecrets) {
    this.#context = context;
    this.#secrets = secrets;
    this.#noise = new NoiseHandshake(HANDSHAKE_NAME, suiteOf(context.crypto), { initiator: true, prologue: context.prologue, s: context.identity });
    this.#proof = new Proof(context, true, mode, secrets);
    this.message1 = this.#noise.writeMessage(
      encodeHello({ mode, sessionPort: context.sessionPort, joinPort: context.joinPort, share: this.#proof.share }),
    )!;
  }

  /**
   * Takes RESP's Noise message. Undefined when it is not the answer of an honest responder; the true
   * one may still come, and this handshake still takes it. Whoever answers has shown no knowledge of
   * the psk yet: its first sealed packet does.
   */
  handleMessage2(
    message2: Uint8Array,
  ): { readonly message3: Uint8Array; readonly keys: HandshakeKeys; readonly far: FarSide; readonly cid: number } | undefined {
    const payload = this.#noise.readMessage(message2);
    if (payload === undefined || payload.length < CID_BYTES) return undefined;
    const cid = new ByteReader(payload).u32();
    const hello = decodeHello(payload.subarray(CID_BYTES));
    const publicKey = this.#noise.rs;
    if (cid === 0 || hello === undefined || publicKey === undefined || hello.mode !== this.#proof.mode) return undefined;
    const psk = this.#proof.psk(hello.share, publicKey, this.#secrets);
    if (psk === undefined) return undefined;
    this.#noise.setPsk(psk);
    const message3 = this.#noise.writeMessage();
    if (message3 === undefined) return undefined;
    return { message3, keys: this.#noise.split(), far: farSide(this.#context, publicKey, hello), cid };
  }
}

/** The side that answers. */
export class ResponderHandshake {
  readonly #context: HandshakeContext;
  readonly #noise: NoiseHandshake;
  readonly #proof: Proof;
  readonly #secrets: HandshakeSecrets;
  readonly #hello: Hello;
  #failedGuess = false;
  #over = false;
  /** Noise message of RESP, `MESSAGE_2_BYTES`. The same bytes answer every repeat of the INIT. */
  readonly message2: Uint8Array;

  private constructor(context: HandshakeContext, noise: NoiseHandshake, hello: Hello, secrets: HandshakeSecrets, message2: Uint8Array, proof: Proof) {
    this.#context = context;
    this.#noise = noise;
    this.#hello = hello;
    this.#secrets = secrets;
    this.#proof = proof;
    this.message2 = message2;
  }

  /**
   * True once the initiator itself (nobody else can make a FIN that opens as far as the psk) has shown
   * the wrong secret. False after a FIN that is mere noise: do not count that as a guess.
   */
  get failedGuess(): boolean {
    return this.#failedGuess;
  }

  /** True once a FIN of the initiator itself has failed, be it a guess or not: no other one can succeed. */
  get over(): boolean {
    return this.#over;
  }

  /** The mode the initiator asked for. */
  get mode(): HandshakeMode {
    return this.#hello.mode;
  }

  /**
   * Undefined when INIT's message is malformed or asks for a mode that `allows` refuses.
   * @param cid the connection id by which this side will be asked for: told behind the seal, or whoever changed it on the way would end the handshake.
   */
  static start(
    context: HandshakeContext,
    message1: Uint8Array,
    secrets: HandshakeSecrets,
    allows: (mode: HandshakeMode) => boolean,
    cid: number,
  ): ResponderHandshake | undefined {
    const noise = new NoiseHandshake(HANDSHAKE_NAME, suiteOf(context.crypto), { initiator: false, prologue: context.prologue, s: context.identity });
    const payload = noise.readMessage(message1);
    const hello = payload === undefined ? undefined : decodeHello(payload);
    if (hello === undefined || !allows(hello.mode)) return undefined;
    const proof = new Proof(context, false, hello.mode, secrets);
    const own = encodeHello({ mode: hello.mode, sessionPort: context.sessionPort, joinPort: context.joinPort, share: proof.share });
    const message2 = noise.writeMessage(concatBytes(new ByteWriter(CID_BYTES).u32(cid).copy(), own));
    return message2 === undefined ? undefined : new ResponderHandshake(context, noise, hello, secrets, message2, proof);
  }

  /**
   * Takes FIN's Noise message. `wrong-psk` means that it does not open; `failedGuess` tells a wrong code
   * from noise, `over` a FIN of the initiator's own. After noise the true FIN may still come.
   */
  handleMessage3(message3: Uint8Array): { readonly keys: HandshakeKeys; readonly far: FarSide } | 'wrong-psk' {
    if (this.#over || this.#noise.done) return 'wrong-psk';
    // Who cannot seal the static key is not the initiator: noise, however much of it comes, computes no key.
    const key = this.#noise.peekStatic(message3);
    if (key === undefined) return 'wrong-psk';
    const psk = this.#proof.psk(this.#hello.share, key, this.#secrets);
    if (psk !== undefined) {
      this.#noise.setPsk(psk);
      const payload = this.#noise.readMessage(message3);
      if (payload?.length === 0) return { keys: this.#noise.split(), far: farSide(this.#context, this.#noise.rs!, this.#hello) };
      this.#failedGuess = this.#noise.pskReached;
    }
    this.#over = true;
    return 'wrong-psk';
  }
}

function farSide(context: HandshakeContext, publicKey: Uint8Array, hello: Hello): FarSide {
  return { publicKey, peer: peerIdOf(publicKey, context.crypto), sessionPort: hello.sessionPort, joinPort: hello.joinPort, mode: hello.mode };
}
