/**
 * The blocks this peer holds, whole and verified: what the game shared, and what was fetched. Where there is too much, what was fetched and is oldest
 * gives way; what the game shared never does.
 */
import { MAX_CONTENT_HELD_BYTES } from '../../wire/limits.ts';

interface Held {
  readonly bytes: Uint8Array;
  /** The game shared it. */
  isOwn: boolean;
}

export class ContentStore {
  /** The oldest first. */
  readonly #held = new Map<string, Held>();
  #ownBytes = 0;
  #bytes = 0;

  /** Bytes of all that is held. */
  get bytes(): number {
    return this.#bytes;
  }

  get(id: string): Uint8Array | undefined {
    return this.#held.get(id)?.bytes;
  }

  has(id: string): boolean {
    return this.#held.has(id);
  }

  /** Whether so many bytes more can be shared. */
  takesOwn(bytes: number): boolean {
    return this.#ownBytes + bytes <= MAX_CONTENT_HELD_BYTES;
  }

  isOwn(id: string): boolean {
    return this.#held.get(id)?.isOwn === true;
  }

  /** False when what the game shared leaves no room for it. */
  put(id: string, bytes: Uint8Array, isOwn: boolean): boolean {
    const known = this.#held.get(id);
    if (known !== undefined) {
      if (isOwn && !known.isOwn) {
        if (!this.takesOwn(known.bytes.length)) return false;
        known.isOwn = true;
        this.#ownBytes += known.bytes.length;
      }
      return true;
    }
    if (!this.takesOwn(bytes.length)) return false;
    for (const [oldest, held] of this.#held) {
      if (this.#bytes + bytes.length <= MAX_CONTENT_HELD_BYTES) break;
      if (!held.isOwn) this.forget(oldest);
    }
    this.#held.set(id, { bytes, isOwn });
    this.#bytes += bytes.length;
    if (isOwn) this.#ownBytes += bytes.length;
    return true;
  }

  forget(id: string): boolean {
    const held = this.#held.get(id);
    if (held === undefined) return false;
    this.#held.delete(id);
    this.#bytes -= held.bytes.length;
    if (held.isOwn) this.#ownBytes -= held.bytes.length;
    return true;
  }

  clear(): void {
    this.#held.clear();
    this.#bytes = 0;
    this.#ownBytes = 0;
  }
}
