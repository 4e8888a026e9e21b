/** What a page has hashed here: a guest's has no cryptography of its own, for it came over plain HTTP. */
import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { BRIDGE_DIGEST_BLOCKS, MAX_BRIDGE_DIGESTS } from '../bridge/index.ts';
import type { PageCommand, ProcessEvent } from '../bridge/index.ts';
import { MAX_CONTENT_BYTES } from '../wire/limits.ts';

/** A page that sends more than it may is answered as soon as it may send more; looked at this often, ms. */
const RETRY_MS = 50;

/** The page whose digests these are. */
export interface DigestPage {
  tell(event: ProcessEvent): void;
  /** Whether it may send more; it does, as soon as it has an answer. */
  hasRoom(): boolean;
  drop(reason: string): void;
}

export class BridgeDigests {
  readonly #page: DigestPage;
  readonly #begun = new Map<number, { readonly hash: Hash; bytes: number }>();
  #answers: ProcessEvent[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(page: DigestPage) {
    this.#page = page;
  }

  /** One block. Each is hashed as it comes, so that none is held, and none is answered of what only a broken page asks. */
  handle({ digest, bytes, isLast }: Extract<PageCommand, { type: 'digest' }>): void {
    let begun = this.#begun.get(digest);
    if (begun === undefined) {
      if (this.#begun.size >= MAX_BRIDGE_DIGESTS) return this.#page.drop('bridge-digest');
      this.#begun.set(digest, (begun = { hash: createHash('sha256'), bytes: 0 }));
    }
    begun.bytes += bytes.length;
    // Blocks without bytes would be hashed for ever, and a page that sends on unanswered would have answers without end wait for it.
    const isTooMany = this.#answers.length >= BRIDGE_DIGEST_BLOCKS;
    if (isTooMany || begun.bytes > MAX_CONTENT_BYTES || (bytes.length === 0 && !isLast)) {
      this.#begun.delete(digest);
      return this.#page.drop('bridge-digest');
    }
    begun.hash.update(bytes);
    if (isLast) this.#begun.delete(digest);
    this.#answers.push({ type: 'digested', digest, hash: isLast ? begun.hash.digest() : undefined });
    if (this.#timer === undefined) this.#answer();
  }

  #answer(): void {
    this.#timer = undefined;
    while (this.#answers.length > 0 && this.#page.hasRoom()) this.#page.tell(this.#answers.shift()!);
    if (this.#answers.length > 0) this.#timer = setTimeout(() => this.#answer(), RETRY_MS);
  }

  /** The page is gone. */
  clear(): void {
    this.#begun.clear();
    this.#answers = [];
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
