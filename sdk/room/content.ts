/**
 * `room.content`: blocks of bytes by their hash. What of it is the room's, and the game's promises, is here; the rest in `sync/content/`.
 */
import type { PeerId } from '../base/brand.ts';
import { LanError } from '../base/errors.ts';
import { assertSignal, deadlineAfter } from '../sync/clock.ts';
import type { ContentWorld, Found } from '../sync/content/exchange.ts';
import { ContentExchange } from '../sync/content/exchange.ts';
import { CONTENT_HASH_BYTES, readContentId } from '../sync/content/id.ts';
import { checkCall, show } from '../sync/definition.ts';
import { MAX_CONTENT_BYTES } from '../wire/limits.ts';
import type { PackReader } from '../wire/pack.ts';
import type { Content, ContentId, FetchOptions } from './types.ts';

const DEFAULT_TIMEOUT_MS = 30_000;
const OPTIONS = ['timeoutMs', 'maxBytes', 'signal'];

/** The parts of the room this one speaks to. */
export interface ContentRoom extends Omit<ContentWorld, 'digest'> {
  /** SHA-256, by whoever can. */
  readonly digest: (bytes: Uint8Array) => Promise<Uint8Array>;
  /** Calls `fn` at the next pump. */
  later(fn: () => void): void;
  wake(): void;
}

export class ContentDesk {
  /** What the game gets of it. */
  readonly face: Content = {
    share: (bytes) => this.#share(bytes),
    fetch: (id, options) => this.#fetch(id, options),
    has: (id) => this.#exchange.has(id),
    forget: (id) => this.#exchange.forget(id),
  };
  readonly #room: ContentRoom;
  readonly #exchange: ContentExchange;
  /** Ends what is being shared when the room is left. */
  readonly #sharing = new Set<(error: LanError) => void>();
  #isClosed = false;

  constructor(room: ContentRoom) {
    this.#room = room;
    this.#exchange = new ContentExchange({ ...room, digest: (bytes, done) => void this.#digest(bytes, done) });
  }

  async #digest(bytes: Uint8Array, done: (hash: Uint8Array | LanError) => void): Promise<void> {
    let hash: Uint8Array | LanError;
    try {
      hash = await this.#room.digest(bytes);
      if (hash.length !== CONTENT_HASH_BYTES) hash = new LanError('bridge', 'content: a hash came that is none.');
    } catch (error) {
      hash = error instanceof LanError ? error : new LanError('bridge', `content: no hash could be taken (${String(error)}).`, { cause: error });
    }
    const taken = hash;
    this.#room.later(() => void (this.#isClosed || done(taken)));
  }

  async #share(bytes: Uint8Array): Promise<ContentId> {
    if (this.#isClosed) throw left('share');
    // Also where it is of another realm, as a frame's is.
    if (!ArrayBuffer.isView(bytes) || Object.prototype.toString.call(bytes) !== '[object Uint8Array]')
      throw new LanError('bad-argument', `content.share: expected a Uint8Array, got ${show(bytes)}.`);
    if (bytes.length === 0) throw new LanError('bad-argument', 'content.share: expected bytes, got none.');
    if (bytes.length > MAX_CONTENT_BYTES)
      throw new LanError('too-large', `content.share: expected at most ${MAX_CONTENT_BYTES} bytes, got ${bytes.length}.`, {
        hint: 'Share it in parts, or make it smaller.',
      });
    const copy = new Uint8Array(bytes);
    return new Promise((resolve, reject) => {
      this.#sharing.add(reject);
      this.#exchange.share(copy, (id) => {
        this.#sharing.delete(reject);
        if (id instanceof LanError) reject(id);
        else resolve(id as ContentId);
      });
    });
  }

  async #fetch(id: string, options: FetchOptions = {}): Promise<Uint8Array> {
    const hash = typeof id === 'string' ? readContentId(id) : undefined;
    if (hash === undefined) throw new LanError('bad-argument', `content.fetch: expected the id of content, 43 characters, got ${show(id)}.`);
    checkCall('content.fetch', options, OPTIONS);
    const { signal, timeoutMs = DEFAULT_TIMEOUT_MS, maxBytes = MAX_CONTENT_BYTES } = options;
    assertSignal('content.fetch', signal);
    if (!(Number.isInteger(maxBytes) && maxBytes >= 1 && maxBytes <= MAX_CONTENT_BYTES))
      throw new LanError('bad-argument', `content.fetch: expected maxBytes from 1 to ${MAX_CONTENT_BYTES}, got ${show(maxBytes)}.`);
    const deadline = deadlineAfter('content.fetch', this.#room.now(), timeoutMs);
    if (this.#isClosed) throw left('fetch');
    if (signal?.aborted === true) throw givenUp(id, signal);
    const held = this.#exchange.get(id);
    if (held !== undefined) {
      if (held.length > maxBytes) throw tooLarge(id, held.length, maxBytes);
      return new Uint8Array(held);
    }
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        this.#exchange.stop(id, found);
        found(givenUp(id, signal!));
      };
      const found: Found = (what) => {
        signal?.removeEventListener('abort', abort);
        // The one that is held is given to others, too, and no game shall spoil it.
        if (what instanceof LanError) reject(what);
        // Somebody else here took more of it.
        else if (what.length > maxBytes) reject(tooLarge(id, what.length, maxBytes));
        else resolve(new Uint8Array(what));
      };
      this.#exchange.fetch(id, hash, { deadline, maxBytes }, found);
      signal?.addEventListener('abort', abort, { once: true });
      this.#room.wake();
    });
  }

  receive(from: PeerId, type: number, count: number, input: PackReader): void {
    this.#exchange.receive(from, type, count, input);
  }

  peerCame(peer: PeerId): void {
    this.#exchange.peerCame(peer);
  }

  peerGone(peer: PeerId): void {
    this.#exchange.peerGone(peer);
  }

  linkAnew(peer: PeerId): void {
    this.#exchange.linkAnew(peer);
  }

  run(now: number): void {
    this.#exchange.run(now);
  }

  /** Local time at which `run` is to be called next, ms. */
  deadline(): number {
    return this.#exchange.deadline();
  }

  close(): void {
    this.#isClosed = true;
    for (const reject of this.#sharing) reject(left('share'));
    this.#sharing.clear();
    this.#exchange.close();
  }
}

const left = (what: string): LanError => new LanError('closed', `content.${what}: the room was left.`, { hint: 'Join again.' });

const tooLarge = (id: string, bytes: number, maxBytes: number): LanError =>
  new LanError('too-large', `content.fetch: ${id} has ${bytes} bytes, and expected were ${maxBytes} at most.`);

const givenUp = (id: string, signal: AbortSignal): LanError =>
  new LanError('aborted', `content.fetch: looking for ${id} was aborted.`, { cause: signal.reason });
