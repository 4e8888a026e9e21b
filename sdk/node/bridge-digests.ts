/** What a page has hashed here: a guest's has no cryptography of its own, for it came over plain HTTP. */
import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { MAX_BRIDGE_DIGESTS } from '../bridge/index.ts';
import type { PageCommand, ProcessEvent } from '../bridge/index.ts';
import { MAX_CONTENT_BYTES } from '../wire/limits.ts';

type DigestCommand = Extract<PageCommand, { type: 'digest' }>;
type Digested = Extract<ProcessEvent, { type: 'digested' }>;

export class BridgeDigests {
  readonly #begun = new Map<number, { readonly hash: Hash; bytes: number }>();

  /** One block; each is hashed as it comes, so that none of them is held. Undefined for what only a broken page asks. */
  handle({ digest, bytes, isLast }: DigestCommand): Digested | undefined {
    let begun = this.#begun.get(digest);
    if (begun === undefined) {
      if (this.#begun.size >= MAX_BRIDGE_DIGESTS) return undefined;
      this.#begun.set(digest, (begun = { hash: createHash('sha256'), bytes: 0 }));
    }
    begun.bytes += bytes.length;
    if (begun.bytes > MAX_CONTENT_BYTES) {
      this.#begun.delete(digest);
      return undefined;
    }
    begun.hash.update(bytes);
    if (isLast) this.#begun.delete(digest);
    return { type: 'digested', digest, hash: isLast ? begun.hash.digest() : undefined };
  }

  /** The page is gone. */
  clear(): void {
    this.#begun.clear();
  }
}
