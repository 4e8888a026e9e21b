/**
 * Content of one room: what is held, what is given to others, and what is wanted. The name of a block is its hash, so whoever gives it cannot give
 * something else.
 */
import type { PeerId } from '../../base/brand.ts';
import { LanError } from '../../base/errors.ts';
import {
  CONTENT_WINDOW,
  MAX_CONTENT_FETCHES,
  MAX_CONTENT_HELD_BYTES,
  MAX_CONTENT_QUESTIONS,
  MAX_CONTENT_TRANSFERS,
  MAX_KNOWN_IDS,
} from '../../wire/limits.ts';
import type { PackReader } from '../../wire/pack.ts';
import { CONTENT_ASK, CONTENT_NONE } from '../wire.ts';
import { ContentGiver } from './giver.ts';
import { contentId } from './id.ts';
import { ContentStore } from './store.ts';
import { Wanted } from './wanted.ts';
import { encodeAsk, readContentWords, WHETHER } from './words.ts';

/** Lane of the reliable channel for content: what the game says waits behind none of it. */
export const CONTENT_LANE = 2;

export type ContentDrop = 'content-malformed' | 'content-unasked' | 'content-size' | 'content-hash';

/** What the exchange needs of its room. */
export interface ContentWorld {
  now(): number;
  /** Present peers but this one. */
  present(): readonly PeerId[];
  /** On `CONTENT_LANE`, reliably. */
  send(to: PeerId, bytes: Uint8Array): boolean;
  /** Bytes on that lane that are on their way to `peer`. */
  queued(peer: PeerId): number;
  /** Calls `done` at a later pump with the hash of `bytes`, or with why there is none. `bytes` are not changed until then. */
  digest(bytes: Uint8Array, done: (hash: Uint8Array | LanError) => void): void;
  drop(reason: ContentDrop): void;
}

/** Called once: with the bytes, which are not the caller's to change, or with what went wrong. */
export type Found = (found: Uint8Array | LanError) => void;

/** Until when a caller waits, local ms, and for how much. */
export interface FetchTerms {
  readonly deadline: number;
  readonly maxBytes: number;
}

interface Fetch {
  readonly wanted: Wanted;
  readonly waiting: Map<Found, FetchTerms>;
}

export class ContentExchange {
  readonly #world: ContentWorld;
  readonly #store = new ContentStore();
  readonly #giver: ContentGiver;
  /** In the order in which they were asked for. */
  readonly #fetches = new Map<string, Fetch>();
  /** Who gave out something else under which name. */
  readonly #lies = new Set<string>();
  /** How often each was asked whether it has something, and has said nothing since. */
  readonly #questions = new Map<PeerId, number>();
  /** Bytes of what is being shared, until its hash is known. */
  #sharing = 0;

  constructor(world: ContentWorld) {
    this.#world = world;
    this.#giver = new ContentGiver(world);
  }

  has(id: string): boolean {
    return this.#store.has(id);
  }

  forget(id: string): boolean {
    return this.#store.forget(id);
  }

  /** What is held, not to be changed. */
  get(id: string): Uint8Array | undefined {
    return this.#store.get(id);
  }

  /** @param bytes nobody's but ours. Calls `done` with the name. Throws `too-large`. */
  share(bytes: Uint8Array, done: (id: string | LanError) => void): void {
    if (!this.#store.takesOwn(this.#sharing + bytes.length)) throw tooMuch();
    this.#sharing += bytes.length;
    this.#world.digest(bytes, (hash) => {
      this.#sharing -= bytes.length;
      if (hash instanceof LanError) return done(hash);
      const id = contentId(hash);
      this.#store.put(id, bytes, true);
      this.#settle(id, bytes);
      done(id);
    });
  }

  /** Looks for what is not held; `stop` says that nobody waits any more. Throws `queue-full`. */
  fetch(id: string, hash: Uint8Array, terms: FetchTerms, found: Found): void {
    let fetch = this.#fetches.get(id);
    if (fetch === undefined) {
      if (this.#fetches.size >= MAX_CONTENT_FETCHES)
        throw new LanError('queue-full', `${MAX_CONTENT_FETCHES} blocks of content are looked for already.`);
      const waiting: Fetch['waiting'] = new Map();
      fetch = { wanted: this.#want(id, hash, waiting), waiting };
      this.#fetches.set(id, fetch);
    }
    fetch.waiting.set(found, terms);
  }

  stop(id: string, found: Found): void {
    const fetch = this.#fetches.get(id);
    fetch?.waiting.delete(found);
    if (fetch?.waiting.size === 0) this.#fetches.delete(id);
  }

  #want(id: string, hash: Uint8Array, waiting: Fetch['waiting']): Wanted {
    const lie = (peer: PeerId): string => `${peer} ${id}`;
    return new Wanted(hash, {
      ask: (to, of, offset) => this.#ask(to, of, offset),
      outstanding: (peer) => this.#outstanding(peer),
      maxBytes: () => {
        let most = 0;
        for (const { maxBytes } of waiting.values()) most = Math.max(most, maxBytes);
        return most;
      },
      share: (peer) => this.#share(peer),
      isLiar: (peer) => this.#lies.has(lie(peer)),
      accuse: (peer) => {
        if (this.#lies.size >= MAX_KNOWN_IDS) this.#lies.clear();
        this.#lies.add(lie(peer));
      },
    });
  }

  #ask(to: PeerId, hash: Uint8Array, offset: number): boolean {
    const asked = this.#questions.get(to) ?? 0;
    if (offset === WHETHER && asked >= MAX_CONTENT_QUESTIONS) return false;
    if (!this.#world.send(to, encodeAsk(hash, offset))) return false;
    if (offset === WHETHER) this.#questions.set(to, asked + 1);
    return true;
  }

  #outstanding(peer: PeerId): number {
    let sum = 0;
    for (const { wanted } of this.#fetches.values()) if (wanted.source === peer) sum += wanted.outstanding;
    return sum;
  }

  #share(peer: PeerId): number {
    let blocks = 0;
    for (const { wanted } of this.#fetches.values()) if (wanted.source === peer && !wanted.isChecked) blocks++;
    return Math.max(1, Math.floor(CONTENT_WINDOW / blocks));
  }

  /** A message about content. `count` is that of the array, of which the kind is read. */
  receive(from: PeerId, type: number, count: number, input: PackReader): void {
    const words = readContentWords(type, count, input);
    if (words === undefined) return this.#world.drop('content-malformed');
    this.#questions.delete(from);
    const id = contentId(words.hash);
    if (words.type === CONTENT_ASK) return this.#giver.answer(from, words.hash, words.offset, this.#store.get(id));
    const fetch = this.#fetches.get(id);
    const now = this.#world.now();
    if (words.type === CONTENT_NONE) return fetch?.wanted.lose(now, from);
    const taken = fetch?.wanted.take(now, from, words.size, words.offset, words.bytes) ?? 'content-unasked';
    if (taken === 'whole') this.#check(id, fetch!.wanted);
    else if (taken !== 'taken') this.#world.drop(taken);
  }

  #check(id: string, wanted: Wanted): void {
    wanted.isChecked = true;
    const bytes = wanted.whole();
    this.#world.digest(bytes, (hash) => {
      // Nobody waits for it any more, or it was shared here meanwhile.
      if (this.#fetches.get(id)?.wanted !== wanted) return;
      if (hash instanceof LanError) return this.#settle(id, hash);
      if (contentId(hash) !== id) {
        this.#world.drop('content-hash');
        return wanted.deny(this.#world.now());
      }
      this.#store.put(id, bytes, false);
      this.#settle(id, bytes);
    });
  }

  #settle(id: string, found: Uint8Array | LanError): void {
    const fetch = this.#fetches.get(id);
    if (fetch === undefined) return;
    this.#fetches.delete(id);
    for (const tell of fetch.waiting.keys()) tell(found);
  }

  /** `peer` said hello as somebody new: it has nothing of what it had, and nothing of what it was asked. */
  peerCame(peer: PeerId): void {
    this.#giver.forget(peer);
    this.#questions.delete(peer);
    const now = this.#world.now();
    for (const { wanted } of this.#fetches.values()) {
      wanted.lose(now, peer);
      wanted.meet(peer);
    }
  }

  /** Also for now. */
  peerGone(peer: PeerId): void {
    this.#giver.forget(peer);
    this.#questions.delete(peer);
    for (const { wanted } of this.#fetches.values()) wanted.lose(this.#world.now(), peer);
  }

  /** What was on its way to `peer`, and from it, may be lost. */
  linkAnew(peer: PeerId): void {
    this.#questions.delete(peer);
    for (const { wanted } of this.#fetches.values()) wanted.linkAnew(this.#world.now(), peer);
  }

  run(now: number): void {
    if (this.#fetches.size === 0) return;
    for (const [id, { wanted, waiting }] of [...this.#fetches])
      for (const [found, { deadline }] of [...waiting])
        if (deadline <= now) {
          this.stop(id, found);
          const hint = wanted.isLarger ? 'Who has it says that it is larger than maxBytes.' : 'Somebody who has it must be in the room.';
          found(new LanError('timeout', `content.fetch: ${id} was not found in time.`, { hint }));
        }
    const present = this.#world.present();
    for (const { wanted } of this.#fetches.values()) wanted.run(now, present, this.#isFree());
    this.#giveWay();
  }

  /** What has come of unfinished blocks is bounded: where nobody gives the rest, it gives way to what travels. */
  #giveWay(): void {
    let under = 0;
    for (const { wanted } of this.#fetches.values()) if (wanted.source !== undefined || wanted.isHalf) under++;
    for (const { wanted } of this.#fetches.values()) {
      if (under <= MAX_CONTENT_TRANSFERS) return;
      if (!wanted.isHalf) continue;
      wanted.clear();
      under--;
    }
  }

  #isFree(): boolean {
    let under = 0;
    for (const { wanted } of this.#fetches.values()) if (wanted.source !== undefined) under++;
    return under < MAX_CONTENT_TRANSFERS;
  }

  /** When `run` is to be called next. */
  deadline(): number {
    let earliest = Number.POSITIVE_INFINITY;
    if (this.#fetches.size === 0) return earliest;
    const isFree = this.#isFree();
    for (const { wanted, waiting } of this.#fetches.values()) {
      earliest = Math.min(earliest, wanted.deadline(isFree));
      for (const { deadline } of waiting.values()) earliest = Math.min(earliest, deadline);
    }
    return earliest;
  }

  close(): void {
    for (const id of [...this.#fetches.keys()]) this.#settle(id, new LanError('closed', 'content.fetch: the room was left.'));
    this.#store.clear();
  }
}

function tooMuch(): LanError {
  return new LanError('too-large', `content.share: what this game shares would be more than ${MAX_CONTENT_HELD_BYTES} bytes.`, {
    hint: 'Forget what nobody needs any more.',
  });
}
