/**
 * Answers to WHO: what this member tells about its room to anybody who asks on the join socket. An
 * answer is at most half of the question, and there are only so many per second.
 */
import type { RoomId } from '../base/brand.ts';
import { asciiBytes, equalBytes, fromHex } from '../base/bytes.ts';
import type { Address } from '../link/endpoint-types.ts';
import type { CryptoProvider } from '../secure/provider.ts';
import { ROOM_TAG_BYTES, decodeWho, encodeHere } from '../wire/datagram.ts';
import { WHO_BURST, WHO_RATE_PER_SECOND } from '../wire/limits.ts';
import type { RoomFacts } from './mesh-types.ts';

export interface Answer extends Address {
  readonly bytes: Uint8Array;
}

export class WhoAnswers {
  readonly #roomTag: Uint8Array;
  readonly #queue: Answer[] = [];
  #tokens = WHO_BURST;
  #filledAt = -Infinity;

  constructor(crypto: CryptoProvider, roomId: RoomId) {
    this.#roomTag = crypto.sha256(asciiBytes('lanista room'), fromHex(roomId) ?? new Uint8Array(16)).slice(0, ROOM_TAG_BYTES);
  }

  /** Undefined when answered, else why not. `facts` is asked for only when an answer leaves. */
  handle(now: number, from: Address, bytes: Uint8Array, facts: () => RoomFacts): 'who-malformed' | 'who-other' | 'who-rate' | undefined {
    const who = decodeWho(bytes);
    if (who === undefined) return 'who-malformed';
    if (who.roomTag !== undefined && !equalBytes(who.roomTag, this.#roomTag)) return 'who-other';
    this.#tokens = Math.min(WHO_BURST, this.#tokens + ((now - Math.max(this.#filledAt, now - 60_000)) * WHO_RATE_PER_SECOND) / 1_000);
    this.#filledAt = now;
    if (this.#tokens < 1) return 'who-rate';
    const told = facts();
    if (who.gameId !== undefined && who.gameId !== told.gameId) return 'who-other';
    this.#tokens--;
    this.#queue.push({ host: from.host, port: from.port, bytes: encodeHere({ nonce: who.nonce, facts: told }).slice() });
    return undefined;
  }

  /** True when `poll` has something. */
  get waiting(): boolean {
    return this.#queue.length > 0;
  }

  poll(): Answer | undefined {
    return this.#queue.shift();
  }
}
