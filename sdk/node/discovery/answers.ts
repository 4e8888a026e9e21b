/**
 * Answers to WHO: what we tell strangers about the room we sit in.
 *
 *   broadcast WHO ─┬─ from a member of our own room, or from who asks us by unicast ─► nothing
 *                  └─ else ─► HERE by unicast; spread over 20–80 ms in a large room; again a little later
 *                             when the asker asks seldom, both together stay within half its bytes, and
 *                             not many ask
 *   unicast WHO  ────────────► HERE at once
 *
 * Each endpoint has a rate, and so has each machine: a flood costs the flooder. Who asked lately is told
 * when the room closes, without being believed: it asks again, and for a moment is answered that nobody is
 * there any more. Then there is silence, which says the same more slowly.
 */
import { asciiBytes, fromHex } from '../../base/bytes.ts';
import type { Rng } from '../../base/rng.ts';
import type { Address } from '../../link/endpoint-types.ts';
import type { RoomFacts } from '../../mesh/mesh-types.ts';
import type { CryptoProvider } from '../../secure/provider.ts';
import { NONCE_BYTES, ROOM_TAG_BYTES, encodeHere, type HereFacts, type Who } from '../../wire/datagram.ts';
import { MAX_HERE_BYTES } from '../../wire/limits.ts';
import {
  FAREWELL_ANSWER_MS,
  HERE_AGAIN_BURST,
  HERE_AGAIN_MS,
  HERE_AGAIN_PER_S,
  HERE_CROWD,
  HERE_HOST_PER_S,
  HERE_KNOWN_MS,
  HERE_MAX_SOURCES,
  HERE_SELDOM_MS,
  HERE_SOURCE_BURST,
  HERE_SOURCE_PER_S,
  HERE_SPREAD_MS,
} from './bounds.ts';
import { addressKey } from './candidates.ts';
import { SourceRates } from './source-rates.ts';

export interface AnswersOptions {
  readonly crypto: CryptoProvider;
  readonly rng: Rng;
  /** Facts of the room we sit in; undefined when there is none to tell about. */
  readonly facts: () => RoomFacts | undefined;
  /** From the join socket. */
  readonly send: (address: Address, bytes: Uint8Array) => void;
}

const NO_NONCE = new Uint8Array(NONCE_BYTES);

export class Answers {
  readonly #options: AnswersOptions;
  readonly #endpointRates = new SourceRates(HERE_SOURCE_BURST, HERE_SOURCE_PER_S, HERE_MAX_SOURCES);
  readonly #hostRates = new SourceRates(HERE_HOST_PER_S, HERE_HOST_PER_S, HERE_MAX_SOURCES);
  readonly #againRate = new SourceRates(HERE_AGAIN_BURST, HERE_AGAIN_PER_S, 1);
  readonly #askers = new Map<string, { readonly address: Address; readonly at: number; readonly unicasts: number }>();
  readonly #delayed = new Set<NodeJS.Timeout>();
  /** Facts of the room that was left, and until when, monotonic ms, they are told. */
  #last: { readonly facts: HereFacts; readonly until: number } | undefined;

  constructor(options: AnswersOptions) {
    this.#options = options;
  }

  handleWho(now: number, address: Address, who: Who, broadcast: boolean): void {
    const facts = this.#options.facts() ?? this.#farewell(now, broadcast);
    if (facts === undefined || (who.gameId !== undefined && who.gameId !== facts.gameId)) return;
    // Members know each other by their links; their search is for other parts of the room.
    if (broadcast && isMember(facts, address)) return;
    const { crypto, rng } = this.#options;
    if (who.roomTag !== undefined) {
      const tag = crypto.sha256(asciiBytes('lanista room'), fromHex(facts.roomId)!).subarray(0, ROOM_TAG_BYTES);
      if (!crypto.equal(who.roomTag, tag)) return;
    }
    const key = addressKey(address);
    const asker = this.#askers.get(key);
    if (broadcast && asker !== undefined && asker.unicasts >= 2 && now - asker.at < HERE_KNOWN_MS) return;
    if (!this.#endpointRates.take(key, now) || !this.#hostRates.take(address.host, now)) return;
    const askedAt = asker?.at ?? Number.NEGATIVE_INFINITY;
    this.#askers.delete(key);
    this.#askers.set(key, { address, at: now, unicasts: broadcast ? 0 : (asker?.unicasts ?? 0) + 1 });
    if (this.#askers.size > HERE_MAX_SOURCES) this.#askers.delete(this.#askers.keys().next().value!);
    const reply = Uint8Array.from(encodeHere({ nonce: who.nonce, facts }));
    // Many members hear one broadcast: spread out, their answers do not collide on the air.
    if (broadcast && facts.players > HERE_CROWD) this.#sendLater(HERE_SPREAD_MS + rng.int(3 * HERE_SPREAD_MS), address, reply);
    else this.#options.send(address, reply);
    // On a lossy network the way there is often good and the answer lost; a repeated answer is half the price of a question.
    if (broadcast && now - askedAt > HERE_SELDOM_MS && 2 * reply.length <= MAX_HERE_BYTES && this.#againRate.take('', now))
      this.#sendLater(HERE_AGAIN_MS + rng.int(HERE_AGAIN_MS), address, reply);
  }

  /** The room is left: an answer without seats and without a nonce, which makes the askers ask again. */
  sayGone(now: number, facts: RoomFacts): void {
    const last: HereFacts = { ...facts, players: 0, max: 0, members: [] };
    this.#last = { facts: last, until: now + FAREWELL_ANSWER_MS };
    this.#clearDelayed();
    const bytes = Uint8Array.from(encodeHere({ nonce: NO_NONCE, facts: last }));
    for (const asker of this.#askers.values()) this.#options.send(asker.address, bytes);
  }

  /** True while somebody may ask whether we really left. */
  isAwaited(now: number): boolean {
    return this.#last !== undefined && now < this.#last.until && this.#askers.size > 0;
  }

  /** Nothing leaves any more. */
  close(): void {
    this.#askers.clear();
    this.#last = undefined;
    this.#clearDelayed();
  }

  #farewell(now: number, broadcast: boolean): RoomFacts | undefined {
    return broadcast || this.#last === undefined || now >= this.#last.until ? undefined : this.#last.facts;
  }

  #clearDelayed(): void {
    for (const timer of this.#delayed) clearTimeout(timer);
    this.#delayed.clear();
  }

  #sendLater(ms: number, address: Address, bytes: Uint8Array): void {
    const timer = setTimeout(() => {
      this.#delayed.delete(timer);
      this.#options.send(address, bytes);
    }, ms);
    this.#delayed.add(timer);
  }
}

/** Whether a member of that room sends from there, be it from its second address. */
export function isMember({ endpoints, members }: RoomFacts, { host, port }: Address): boolean {
  return (endpoints ?? members).some((one) => one.host === host && one.port === port);
}
