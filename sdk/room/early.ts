/**
 * What others say to the game before it can listen. A newcomer is known to them, and spoken to, while its room is still being opened, and they
 * are told of it in their `join`: so what is reliable waits until whoever awaits the room has had a turn to subscribe.
 */
import type { PeerId } from '../base/brand.ts';
import { MAX_EARLY_BYTES, MAX_EARLY_MESSAGES } from '../wire/limits.ts';

export interface EarlyWord {
  readonly from: PeerId;
  readonly bytes: Uint8Array;
}

export class EarlyWords {
  #held: EarlyWord[] | undefined = [];
  readonly #used = new Map<PeerId, { messages: number; bytes: number }>();

  /** False when the game listens already. `full`: this peer has said too much by now, and it is not kept. */
  hold(from: PeerId, bytes: Uint8Array): boolean | 'full' {
    if (this.#held === undefined) return false;
    const used = this.#used.get(from) ?? { messages: 0, bytes: 0 };
    if (used.messages >= MAX_EARLY_MESSAGES || used.bytes + bytes.length > MAX_EARLY_BYTES) return 'full';
    this.#used.set(from, { messages: used.messages + 1, bytes: used.bytes + bytes.length });
    this.#held.push({ from, bytes: new Uint8Array(bytes) });
    return true;
  }

  /** The game listens from now on: what was said until then, in its order. */
  release(): readonly EarlyWord[] {
    const held = this.#held ?? [];
    this.#held = undefined;
    this.#used.clear();
    return held;
  }
}
