/**
 * Messages that are early: to a seat whose link is still being made, or from a linked peer whose seat
 * we have not heard of yet. They wait here, in order and within bounds, until the other half arrives.
 */
import type { PeerId } from '../base/brand.ts';
import type { Channel } from '../port/port.ts';
import { HELD_OVERHEAD_BYTES, MAX_EARLY_BYTES, MAX_EARLY_MESSAGES, MAX_PEERS } from '../wire/limits.ts';

export interface EarlyMessage {
  readonly channel: Channel;
  readonly lane: number;
  readonly bytes: Uint8Array;
}

interface Queue {
  readonly since: number;
  readonly messages: EarlyMessage[];
  bytes: number;
}

export class EarlyMessages {
  readonly #queues = new Map<PeerId, Queue>();

  /** False when the peer's bound is reached. Keeps `bytes` itself: pass a copy. */
  hold(now: number, peer: PeerId, message: EarlyMessage): boolean {
    let queue = this.#queues.get(peer);
    if (queue === undefined) {
      if (this.#queues.size >= 2 * MAX_PEERS) return false;
      this.#queues.set(peer, (queue = { since: now, messages: [], bytes: 0 }));
    }
    const cost = message.bytes.length + HELD_OVERHEAD_BYTES;
    const { length } = queue.messages;
    // One message of any size always fits.
    if (length >= MAX_EARLY_MESSAGES || (length > 0 && queue.bytes + cost > MAX_EARLY_BYTES)) return false;
    queue.messages.push(message);
    queue.bytes += cost;
    return true;
  }

  /** What waits of one lane. */
  bytesOf(peer: PeerId, lane: number): number {
    let bytes = 0;
    for (const message of this.#queues.get(peer)?.messages ?? []) if (message.lane === lane) bytes += message.bytes.length + HELD_OVERHEAD_BYTES;
    return bytes;
  }

  has(peer: PeerId): boolean {
    return this.#queues.has(peer);
  }

  /** Everything that waited, the oldest first. */
  take(peer: PeerId): readonly EarlyMessage[] {
    const queue = this.#queues.get(peer);
    this.#queues.delete(peer);
    return queue?.messages ?? [];
  }

  /** Drops what has waited longer than `ageMs`; returns for whom. */
  expire(now: number, ageMs: number): readonly PeerId[] {
    const gone: PeerId[] = [];
    for (const [peer, queue] of this.#queues) if (now - queue.since > ageMs) gone.push(peer);
    for (const peer of gone) this.#queues.delete(peer);
    return gone;
  }
}
