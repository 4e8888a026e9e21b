/**
 * Whether everybody's state is the same: checksums of settled states, against the host's, and copies of the newest ones, to say where two came apart.
 */
import type { PeerId } from '../../base/brand.ts';
import { hashState } from '../hash.ts';
import { copyData, diffData } from './data.ts';
import type { DesyncReport } from './types.ts';
import type { Check } from './words.ts';

/** Of so many a copy is kept: two seconds, in which who differs can ask for ours. */
const KEPT = 4;
/** The host's state has not come by then: it is asked for at the next difference, ms. */
const EVIDENCE_MS = 2_000;

interface Kept extends Check {
  readonly state: unknown;
}

export interface ComparisonWorld {
  /** Asks the host for its state at `tick`. */
  ask(tick: number): void;
  report(report: DesyncReport): void;
  failed(cause: unknown): void;
}

export class Comparison {
  readonly #everyTicks: number;
  readonly #onDesync: 'resync' | 'report';
  readonly #world: ComparisonWorld;
  readonly #kept: (Kept | undefined)[] = new Array<Kept | undefined>(KEPT);
  #theirs: Check = { tick: 0, sum: 0 };
  #disputed: { readonly tick: number; readonly theirs: number; readonly at: number } | undefined;
  #lastGood = 0;
  newest: Check = { tick: 0, sum: 0 };

  constructor(everyTicks: number, onDesync: 'resync' | 'report', world: ComparisonWorld) {
    this.#everyTicks = everyTicks;
    this.#onDesync = onDesync;
    this.#world = world;
  }

  /** The state of `tick` will not change any more. */
  settled(now: number, tick: number, saved: unknown): void {
    if (tick % this.#everyTicks !== 0) return;
    const at = (tick / this.#everyTicks) % KEPT;
    try {
      const kept = { tick, sum: hashState(saved), state: copyData(saved, this.#kept[at]?.state) };
      this.#kept[at] = kept;
      this.newest = kept;
    } catch (error) {
      return this.#world.failed(error);
    }
    if (tick === this.#theirs.tick) this.compare(now, this.#theirs);
  }

  #of(tick: number): Kept | undefined {
    const kept = this.#kept[(tick / this.#everyTicks) % KEPT];
    return kept?.tick === tick ? kept : undefined;
  }

  /** What the host says of its newest state; ours of that tick may still come. */
  compare(now: number, theirs: Check): void {
    this.#theirs = theirs;
    const mine = this.#of(theirs.tick);
    if (mine === undefined || theirs.tick <= this.#lastGood) return;
    if (mine.sum === theirs.sum) {
      this.#lastGood = theirs.tick;
      this.#disputed = undefined;
      return;
    }
    // Once is enough where it goes on all the same.
    if (this.#disputed !== undefined && (this.#onDesync === 'report' || now - this.#disputed.at < EVIDENCE_MS)) return;
    this.#disputed = { tick: theirs.tick, theirs: theirs.sum, at: now };
    this.#world.ask(theirs.tick);
  }

  /** The host's state of a disputed tick has come, or it has none any more. False for a tick that is in no dispute. */
  judge(host: PeerId, tick: number, decoded: { readonly state: unknown } | undefined): boolean {
    if (this.#disputed?.tick !== tick) return false;
    const mine = this.#of(tick);
    const diff = mine === undefined || decoded === undefined ? [] : diffData(mine.state, decoded.state);
    this.#world.report({ tick, lastGood: this.#lastGood, peer: host, mine: mine?.sum ?? 0, theirs: this.#disputed.theirs, diff });
    return true;
  }

  /** At the host: `peer` has another state at `tick`. Ours, where it is kept. */
  accuse(peer: PeerId, tick: number): Kept | undefined {
    const kept = this.#of(tick);
    if (kept !== undefined) this.#world.report({ tick, lastGood: 0, peer, mine: kept.sum, theirs: undefined, diff: [] });
    return kept;
  }

  /** Another state has begun: what was checked before it says nothing. */
  clear(): void {
    this.#kept.fill(undefined);
    this.#disputed = undefined;
    this.#theirs = { tick: 0, sum: 0 };
    this.newest = { tick: 0, sum: 0 };
    this.#lastGood = 0;
  }
}
