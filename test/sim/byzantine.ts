/**
 * A member that cheats: it has true keys, so what it seals opens, and what is inside is whatever it likes.
 *
 * It is an honest process whose cipher changes packets just before they are sealed, so it goes on playing
 * its part while it lies: flipped bits, acknowledgements of what never came, pieces of messages that
 * never end or do not agree, numbers far ahead, packets cut short, frames said twice.
 */
import type { Rng } from '../../sdk/base/rng.ts';
import type { CryptoProvider } from '../../sdk/secure/provider.ts';
import { DATA_HEADER_BYTES, KIND_DATA } from '../../sdk/wire/datagram.ts';
import { FRAME_ACK, FrameWriter, fragmentCount } from '../../sdk/wire/frame.ts';
import { MAX_DATAGRAM_BYTES, MAX_MESSAGE_BYTES } from '../../sdk/wire/limits.ts';

const LIES = ['flip', 'ack-unsent', 'half-fragment', 'other-length', 'far-ahead', 'cut', 'twice'] as const;

export type Lie = (typeof LIES)[number];

export class Byzantine {
  /** Lies sealed so far. */
  readonly told = new Map<Lie, number>();
  readonly crypto: CryptoProvider;
  readonly #rng: Rng;
  readonly #ratio: number;
  readonly #kinds: readonly Lie[];
  readonly #out = new Uint8Array(MAX_DATAGRAM_BYTES);
  readonly #writer = new FrameWriter(MAX_DATAGRAM_BYTES);
  #honest = false;
  #fragmentId = 0;

  constructor(crypto: CryptoProvider, rng: Rng) {
    this.#rng = rng;
    this.#ratio = 0.02 + 0.3 * rng.float();
    const chosen = LIES.filter(() => rng.chance(0.5));
    this.#kinds = chosen.length === 0 ? ['flip'] : chosen;
    this.crypto = {
      ...crypto,
      createAead: (key, nonceBase) => {
        const aead = crypto.createAead(key, nonceBase);
        return {
          open: aead.open.bind(aead),
          seal: (counter, ad, plain, out, outOffset, plainOffset = 0, plainEnd = plain.length) => {
            const isData = ad.length === DATA_HEADER_BYTES && (ad[0]! & 0xfc) === KIND_DATA;
            if (!isData || this.#honest || !rng.chance(this.#ratio)) return aead.seal(counter, ad, plain, out, outOffset, plainOffset, plainEnd);
            const lie = this.#lie(plain.subarray(plainOffset, plainEnd), out.length - outOffset - 16);
            return aead.seal(counter, ad, lie, out, outOffset);
          },
        };
      },
    };
  }

  /** From now on it only says what is true. */
  reform(): void {
    this.#honest = true;
  }

  #lie(plain: Uint8Array, room: number): Uint8Array {
    const rng = this.#rng;
    const kind = this.#kinds[rng.int(this.#kinds.length)]!;
    const bytes = this.#out;
    bytes.set(plain);
    let size = plain.length;
    switch (kind) {
      case 'flip':
        for (let i = 1 + rng.int(8); i > 0 && size > 0; i--) bytes[rng.int(size)]! ^= 1 << rng.int(8);
        break;
      case 'ack-unsent':
        if (bytes[0] !== FRAME_ACK) return plain;
        bytes[3] = 1 + rng.int(255);
        break;
      case 'half-fragment':
      case 'other-length': {
        // Two lengths of one message: its pieces cannot both be true.
        const length = kind === 'half-fragment' ? 1_200 + rng.int(MAX_MESSAGE_BYTES - 1_200) : 1_200 + rng.int(2) * 100_000;
        const id = kind === 'half-fragment' ? rng.int(1_000) : Math.floor(this.#fragmentId++ / 4);
        size += this.#append(
          bytes,
          size,
          room,
          (writer, body) => {
            const count = fragmentCount(body.length);
            writer.fragment(5, id, rng.int(count), count, body);
          },
          length,
        );
        break;
      }
      case 'far-ahead':
        size += this.#append(bytes, size, room, (writer, body) => writer.reliable(4, 0xffff_0000 + rng.int(0xffff), body), 20);
        break;
      case 'cut':
        size = rng.int(size + 1);
        break;
      case 'twice':
        if (2 * size > room) return plain;
        bytes.copyWithin(size, 0, size);
        size *= 2;
        break;
    }
    this.told.set(kind, (this.told.get(kind) ?? 0) + 1);
    return bytes.subarray(0, size);
  }

  /** Adds a frame where it fits; returns its size. */
  #append(bytes: Uint8Array, at: number, room: number, write: (writer: FrameWriter, body: Uint8Array) => void, length: number): number {
    const writer = this.#writer;
    writer.begin(Math.min(room, MAX_DATAGRAM_BYTES) - at);
    try {
      write(writer, new Uint8Array(length));
    } catch {
      return 0; // No room left in this packet.
    }
    bytes.set(writer.bytes.subarray(0, writer.at), at);
    return writer.at;
  }
}
