/**
 * How large a datagram may be. Starts at the floor that passes everywhere and tries a few larger sizes,
 * largest first (RFC 8899, reduced to the paths a LAN has). A size counts only when the peer has
 * confirmed it; three lost probes rule it out for this path.
 *
 *   probing(size) --confirmed--> settled        probing --3 lost--> probing(next smaller) | settled(floor)
 *   settled --path changed or black hole--> probing
 */
import { MTU_CEILING_BYTES, MTU_FLOOR_BYTES } from '../wire/limits.ts';

/** Ethernet; less PPPoE or a tunnel; the IPv6 minimum. */
const SIZES = [MTU_CEILING_BYTES, 1_372, 1_280] as const;
const TRIES = 3;
const RETRY_MS = 250;
const FIRST_MS = 30;

export class MtuProbe {
  currentBytes = MTU_FLOOR_BYTES;
  #step = 0;
  #tries = 0;
  #sent: number = 0;

  /** Size of the probe to send now, or 0 when there is nothing left to learn. */
  get size(): number {
    return SIZES[this.#step] ?? 0;
  }

  /** Next try at the earliest, counted from now. */
  get waitMs(): number {
    return this.#tries === 0 ? FIRST_MS : RETRY_MS;
  }

  onSent(): void {
    this.#sent = this.size;
    this.#tries++;
  }

  /** Called when the wait is over: moves on when the tries are used up. */
  step(): void {
    if (this.#tries < TRIES) return;
    this.#step++;
    this.#tries = 0;
  }

  /** Only a size that was probed can be confirmed. */
  onConfirmed(size: number): boolean {
    if (size !== this.#sent || size <= this.currentBytes) return false;
    this.currentBytes = size;
    this.#step = SIZES.length;
    return true;
  }

  /** Another path, or large packets no longer arrive. */
  reset(): void {
    this.currentBytes = MTU_FLOOR_BYTES;
    this.#step = 0;
    this.#tries = 0;
    this.#sent = 0;
  }

  /** No probing on this path (a relayed one has its envelope to carry). */
  settle(): void {
    this.reset();
    this.#step = SIZES.length;
  }
}
