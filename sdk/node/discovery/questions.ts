/**
 * Our questions (WHO): each with a nonce that its answer must carry, and all together at a bounded rate.
 *
 * The rate is what keeps a crowd alive: when everybody is slow to answer, asking again sooner makes
 * everybody slower. Whoever may not ask now asks a little later. Pure; time comes in.
 */
import { toHex } from '../../base/bytes.ts';
import type { CryptoProvider } from '../../secure/provider.ts';
import { NONCE_BYTES, encodeWho, type HereFacts } from '../../wire/datagram.ts';
import { MAX_NONCES, NONCE_TTL_MS, WHO_BURST, WHO_PER_S } from './bounds.ts';
import { SourceRates } from './source-rates.ts';

const NONCES_AT_ONCE = 64;

interface Asked {
  readonly at: number;
  /** Who asked by hand wants to know what answered, wherever the answer comes from. */
  readonly onAnswer: ((facts: HereFacts) => void) | undefined;
}

export class Questions {
  readonly #crypto: Pick<CryptoProvider, 'randomBytes'>;
  readonly #gameId: string | undefined;
  readonly #asked = new Map<string, Asked>();
  #random: Uint8Array = new Uint8Array(0);
  #randomAt = 0;
  readonly #rate = new SourceRates(WHO_BURST, WHO_PER_S, 1);

  /** @param gameId undefined asks for rooms of every game. */
  constructor(crypto: Pick<CryptoProvider, 'randomBytes'>, gameId: string | undefined) {
    this.#crypto = crypto;
    this.#gameId = gameId;
  }

  /** True when one more question may leave now. */
  take(now: number): boolean {
    return this.#rate.take('', now);
  }

  /** A question to send; to be used before the next is made. */
  ask(now: number, onAnswer?: (facts: HereFacts) => void): Uint8Array {
    const nonce = this.#nonce();
    this.#asked.set(toHex(nonce), { at: now, onAnswer });
    if (this.#asked.size > MAX_NONCES) this.#asked.delete(this.#asked.keys().next().value!);
    return encodeWho({ nonce, roomTag: undefined, gameId: this.#gameId });
  }

  /** Random bytes are drawn for many questions at once: for eight of them alone the call costs more than the rest of a question. */
  #nonce(): Uint8Array {
    if (this.#randomAt === this.#random.length) {
      this.#random = this.#crypto.randomBytes(NONCE_BYTES * NONCES_AT_ONCE);
      this.#randomAt = 0;
    }
    return this.#random.subarray(this.#randomAt, (this.#randomAt += NONCE_BYTES));
  }

  /** The question with this nonce; undefined when it was not asked, or too long ago. */
  asked(now: number, nonce: Uint8Array): Asked | undefined {
    const asked = this.#asked.get(toHex(nonce));
    return asked === undefined || now - asked.at > NONCE_TTL_MS ? undefined : asked;
  }
}
