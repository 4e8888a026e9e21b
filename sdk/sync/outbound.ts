/** What one peer was told of our state, and has; `replication.ts` says it. */
import type { PeerId } from '../base/brand.ts';
import type { Debts } from './budget.ts';

export class Outbound {
  readonly peer: PeerId;
  /** Newest tick it has all of; -1 before the full state was acked. */
  acked = -1;
  /** From here on it may lag: the newest tick it acked, or when the ack of its whole state came, which may have been on its way for long. */
  lagsFrom = -1;
  /** Ticks of the full states, none of which was acked when the next one was sent. */
  readonly fulls: number[] = [];
  fullAt = Number.NEGATIVE_INFINITY;
  /** Bytes of the last one. */
  fullBytes = 0;
  /** Parts of the full state, in order, that the port had no room for yet. */
  rest: Uint8Array[] = [];
  /** The tick we told it we have; to know when an ack has news. */
  ackSent = -1;
  /** The whole state of it we told it we have, where it cannot be lost. */
  wholeSaid = -1;
  /** By kind: the tick of which the peer has to have a body, so that it knows whatever of this kind moved and moves no more to be at rest. */
  readonly rests: number[] = [];
  /** What a budget left out; undefined until there was one. */
  debts: Debts | undefined;

  constructor(peer: PeerId) {
    this.peer = peer;
  }

  /** Tick of the oldest full state that it may ack; -1 before there was one. */
  get fullTick(): number {
    return this.fulls[0] ?? -1;
  }

  /** Whether a body of `tick` tells by its silence what the peer does not know. */
  awaitsRest(tick: number): boolean {
    for (const rest of this.rests) if (rest > this.acked && rest <= tick) return true;
    return false;
  }

  restart(): void {
    this.restartSlowly();
    this.fullAt = Number.NEGATIVE_INFINITY;
  }

  /** As `restart`, on the peer's word: it does not get past the limit on whole states. */
  restartSlowly(): void {
    this.acked = -1;
    this.fulls.length = 0;
    this.rest = [];
    this.debts?.clear();
  }
}
