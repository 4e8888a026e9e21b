/**
 * Keys of an established link: seals and opens packets.
 *
 * ```
 * packet = kind|epoch u8 | cid u32 | seq u48 | ciphertext | tag 16      (11 header bytes are the AD)
 * ```
 * Each direction has its own key and its own sequence, which is the nonce: it starts at 0, never
 * wraps, and is never reused because keys come from a fresh handshake. Keys are ratcheted
 * (`k' = HMAC(k, "lanista rekey")`) every 2^20 packets or 120 s; the low two bits of the ratchet's step
 * travel in the header. A receiver derives the next key when it sees the next epoch and keeps it only
 * if the packet opens, so that a forged epoch costs one failed tag and changes nothing.
 */
import { assert } from '../base/assert.ts';
import { asciiBytes } from '../base/bytes.ts';
import { DATA_HEADER_BYTES, KIND_DATA, TAG_BYTES, readDataEpoch, readDataSeq, writeDataHeader } from '../wire/datagram.ts';
import { ReplayWindow } from './replay-window.ts';
import type { Aead, CryptoProvider } from './provider.ts';

/** Bytes by which a datagram is larger than what it carries. */
export const SEAL_OVERHEAD_BYTES = DATA_HEADER_BYTES + TAG_BYTES;

/** Packets under one key; far below ChaCha20-Poly1305's limits, often enough to be exercised. */
const REKEY_PACKETS = 2 ** 20;
/** Time under one key, ms. */
const REKEY_MS = 120_000;
/** How long the previous receive key opens packets that were overtaken, ms. */
const PREVIOUS_KEY_MS = 5_000;
/** Six bytes of sequence; the link is closed as `exhausted` there. */
export const MAX_SEQ = 2 ** 48 - 1;

const REKEY_LABEL = asciiBytes('lanista rekey');

export type OpenRefusal = 'short' | 'replayed' | 'stale' | 'epoch' | 'tag';

export interface SessionOptions {
  readonly crypto: CryptoProvider;
  readonly sendKey: Uint8Array;
  readonly receiveKey: Uint8Array;
  /** Connection id the far side chose: it goes into our headers. */
  readonly remoteCid: number;
  readonly now: number;
  /** First sequence number to send, for tests of the far end of the range. Default 0. */
  readonly firstSeq?: number;
}

export class Session {
  readonly #crypto: CryptoProvider;
  readonly #remoteCid: number;
  readonly #window = new ReplayWindow();
  readonly #header = new Uint8Array(DATA_HEADER_BYTES);

  #sendKey: Uint8Array;
  #sendAead: Aead;
  #sendEpoch = 0;
  #nextSeq: number;
  #sendRekeySeq: number;
  #sendRekeyAt: number;

  #receiveKey: Uint8Array;
  #receiveAead: Aead;
  #receiveEpoch = 0;
  #previousAead: Aead | undefined;
  #previousUntil = 0;
  #nextKey: Uint8Array | undefined;
  #nextAead: Aead | undefined;

  constructor(options: SessionOptions) {
    this.#crypto = options.crypto;
    this.#remoteCid = options.remoteCid;
    // Copies: replaced keys are erased, and a test may give both sides one array.
    this.#sendKey = options.sendKey.slice();
    this.#sendAead = options.crypto.createAead(options.sendKey);
    this.#receiveKey = options.receiveKey.slice();
    this.#receiveAead = options.crypto.createAead(options.receiveKey);
    this.#nextSeq = options.firstSeq ?? 0;
    this.#sendRekeySeq = this.#nextSeq + REKEY_PACKETS;
    this.#sendRekeyAt = options.now + REKEY_MS;
  }

  /** The sequence number the next `seal` will use. */
  get nextSeq(): number {
    return this.#nextSeq;
  }

  get exhausted(): boolean {
    return this.#nextSeq > MAX_SEQ;
  }

  /** Times the keys were replaced, out and in. */
  get sendEpoch(): number {
    return this.#sendEpoch;
  }
  get receiveEpoch(): number {
    return this.#receiveEpoch;
  }

  /** Leaves one sequence number unused: an ack of it proves that the peer acks what it never got. */
  skipSeq(): number {
    return this.#nextSeq++;
  }

  /**
   * Writes a whole datagram at the start of `out`, returns its length. `out` must have room for
   * `plainBytes + SEAL_OVERHEAD_BYTES`. The link ends before it is `exhausted`: sealing then would
   * repeat a nonce, so it breaks an invariant instead.
   */
  seal(now: number, plain: Uint8Array, out: Uint8Array, plainBytes: number = plain.length): number {
    const seq = this.#nextSeq;
    assert(seq <= MAX_SEQ, 'an exhausted session seals nothing');
    if (seq >= this.#sendRekeySeq || now >= this.#sendRekeyAt) this.#ratchetSend(now);
    this.#nextSeq = seq + 1;
    const header = this.#header;
    writeDataHeader(header, this.#sendEpoch, this.#remoteCid, seq);
    for (let i = 0; i < DATA_HEADER_BYTES; i++) out[i] = header[i]!;
    return DATA_HEADER_BYTES + this.#sendAead.seal(seq, header, plain, out, DATA_HEADER_BYTES, 0, plainBytes);
  }

  /**
   * Opens a datagram into `out` and returns the plaintext's length, or says why not. The replay
   * window and the ratchet move only when the tag was right.
   */
  open(now: number, datagram: Uint8Array, out: Uint8Array): number | OpenRefusal {
    if (datagram.length < SEAL_OVERHEAD_BYTES || (datagram[0]! & 0xfc) !== KIND_DATA) return 'short';
    const seq = readDataSeq(datagram);
    const known = this.#window.check(seq);
    if (known !== undefined) return known;
    if (this.#previousAead !== undefined && now >= this.#previousUntil) this.#previousAead = undefined;

    // 0: current key, 1: the next one, 3: the one before. Two bits cannot say more, and 2 is nobody's.
    const ahead = (readDataEpoch(datagram) - this.#receiveEpoch) & 3;
    const aead = ahead === 0 ? this.#receiveAead : ahead === 1 ? this.#candidate() : ahead === 3 ? this.#previousAead : undefined;
    if (aead === undefined) return 'epoch';

    const header = this.#header;
    for (let i = 0; i < DATA_HEADER_BYTES; i++) header[i] = datagram[i]!;
    const size = aead.open(seq, header, datagram, out, 0, DATA_HEADER_BYTES, datagram.length);
    if (size < 0) return 'tag';
    if (ahead === 1) this.#ratchetReceive(now);
    this.#window.accept(seq);
    return size;
  }

  #ratchetSend(now: number): void {
    const key = this.#crypto.hmacSha256(this.#sendKey, REKEY_LABEL);
    this.#sendKey.fill(0);
    this.#sendKey = key;
    this.#sendAead = this.#crypto.createAead(key);
    this.#sendEpoch++;
    this.#sendRekeySeq = this.#nextSeq + REKEY_PACKETS;
    this.#sendRekeyAt = now + REKEY_MS;
  }

  /** Derived once per epoch however many forgeries ask for it, and not used before a packet opened with it. */
  #candidate(): Aead {
    if (this.#nextAead === undefined) {
      this.#nextKey = this.#crypto.hmacSha256(this.#receiveKey, REKEY_LABEL);
      this.#nextAead = this.#crypto.createAead(this.#nextKey);
    }
    return this.#nextAead;
  }

  #ratchetReceive(now: number): void {
    assert(this.#nextAead !== undefined && this.#nextKey !== undefined, 'the next key opened this packet');
    this.#previousAead = this.#receiveAead;
    this.#previousUntil = now + PREVIOUS_KEY_MS;
    this.#receiveKey.fill(0);
    this.#receiveKey = this.#nextKey;
    this.#receiveAead = this.#nextAead;
    this.#nextKey = undefined;
    this.#nextAead = undefined;
    this.#receiveEpoch++;
  }
}
