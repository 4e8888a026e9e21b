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
import { asciiBytes } from '../base/bytes.ts';
import { ReplayWindow } from './replay-window.ts';
import type { Aead, CryptoProvider } from './provider.ts';

export const DATA_KIND = 0x80;
export const HEADER_BYTES = 11;
export const TAG_BYTES = 16;

/** Packets under one key; far below ChaCha20-Poly1305's limits, often enough to be exercised. */
const REKEY_PACKETS = 2 ** 20;
/** Time under one key, ms. */
const REKEY_MS = 120_000;
/** How long the previous receive key opens packets that were overtaken, ms. */
const PREVIOUS_KEY_MS = 5_000;
/** Six bytes of sequence; the link is closed as `exhausted` there. */
export const MAX_SEQ = 2 ** 48 - 1;
const EPOCH_MASK = 0x03;

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
  readonly #header = new Uint8Array(HEADER_BYTES);

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
  #nextAead: Aead | undefined;

  constructor(options: SessionOptions) {
    this.#crypto = options.crypto;
    this.#remoteCid = options.remoteCid;
    this.#sendKey = options.sendKey;
    this.#sendAead = options.crypto.createAead(options.sendKey);
    this.#receiveKey = options.receiveKey;
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

  /** Leaves one sequence number unused: an ack of it proves that the peer acks what it never got. */
  skipSeq(): number {
    return this.#nextSeq++;
  }

  /**
   * Writes a whole datagram at the start of `out`, returns its length. `out` must have room for
   * `plain.length + HEADER_BYTES + TAG_BYTES`.
   */
  seal(now: number, plain: Uint8Array, out: Uint8Array): number {
    if (this.#nextSeq >= this.#sendRekeySeq || now >= this.#sendRekeyAt) this.#ratchetSend(now);
    const seq = this.#nextSeq++;
    const header = this.#header;
    const high = Math.floor(seq / 0x1_0000_0000);
    const cid = this.#remoteCid;
    header[0] = DATA_KIND | (this.#sendEpoch & EPOCH_MASK);
    header[1] = cid >>> 24;
    header[2] = cid >>> 16;
    header[3] = cid >>> 8;
    header[4] = cid;
    header[5] = high >>> 8;
    header[6] = high;
    header[7] = seq >>> 24;
    header[8] = seq >>> 16;
    header[9] = seq >>> 8;
    header[10] = seq;
    out.set(header);
    return HEADER_BYTES + this.#sendAead.seal(seq, header, plain, out, HEADER_BYTES);
  }

  /**
   * Opens a datagram into `out` and returns the plaintext's length, or says why not. The replay
   * window and the ratchet move only when the tag was right.
   */
  open(now: number, datagram: Uint8Array, out: Uint8Array): number | OpenRefusal {
    if (datagram.length < HEADER_BYTES + TAG_BYTES) return 'short';
    const seq = sequenceOf(datagram);
    const known = this.#window.check(seq);
    if (known !== undefined) return known;
    const epoch = datagram[0]! & EPOCH_MASK;
    const header = datagram.subarray(0, HEADER_BYTES);
    const body = datagram.subarray(HEADER_BYTES);
    if (epoch === (this.#receiveEpoch & EPOCH_MASK)) {
      const size = this.#receiveAead.open(seq, header, body, out, 0);
      if (size < 0) return 'tag';
      this.#window.accept(seq);
      return size;
    }
    if (epoch === ((this.#receiveEpoch + 1) & EPOCH_MASK)) {
      this.#nextAead ??= this.#crypto.createAead(this.#nextReceiveKey());
      const size = this.#nextAead.open(seq, header, body, out, 0);
      if (size < 0) return 'tag';
      this.#ratchetReceive(now);
      this.#window.accept(seq);
      return size;
    }
    if (epoch === ((this.#receiveEpoch + 3) & EPOCH_MASK) && this.#previousAead !== undefined && now < this.#previousUntil) {
      const size = this.#previousAead.open(seq, header, body, out, 0);
      if (size < 0) return 'tag';
      this.#window.accept(seq);
      return size;
    }
    return 'epoch';
  }

  #ratchetSend(now: number): void {
    this.#sendKey = this.#crypto.hmacSha256(this.#sendKey, REKEY_LABEL);
    this.#sendAead = this.#crypto.createAead(this.#sendKey);
    this.#sendEpoch++;
    this.#sendRekeySeq = this.#nextSeq + REKEY_PACKETS;
    this.#sendRekeyAt = now + REKEY_MS;
  }

  #nextReceiveKey(): Uint8Array {
    return this.#crypto.hmacSha256(this.#receiveKey, REKEY_LABEL);
  }

  #ratchetReceive(now: number): void {
    this.#previousAead = this.#receiveAead;
    this.#previousUntil = now + PREVIOUS_KEY_MS;
    this.#receiveKey = this.#nextReceiveKey();
    this.#receiveAead = this.#nextAead!;
    this.#nextAead = undefined;
    this.#receiveEpoch++;
  }
}

/** The sequence number in a datagram's header; the datagram has at least `HEADER_BYTES`. */
export function sequenceOf(datagram: Uint8Array): number {
  const high = (datagram[5]! << 8) | datagram[6]!;
  const low = ((datagram[7]! << 24) | (datagram[8]! << 16) | (datagram[9]! << 8) | datagram[10]!) >>> 0;
  return high * 0x1_0000_0000 + low;
}

/** The connection id in a datagram's header. */
export function cidOf(datagram: Uint8Array): number {
  return ((datagram[1]! << 24) | (datagram[2]! << 16) | (datagram[3]! << 8) | datagram[4]!) >>> 0;
}
