/**
 * When a search broadcasts: dense at first, then seldom. Pure; time comes in.
 *
 * At a party of dozens who all start at once every broadcast costs an answer of everybody, and the machines have no
 * time; so there it goes out less often, and steps that passed meanwhile are left out.
 */
import { BEACON_CROWD_GAP_MS, BEACON_DENSE_CROWD_GAP_MS, BEACON_DENSE_MS, BEACON_LADDER_MS, BEACON_RESTART_GAP_MS } from './bounds.ts';

/** Time between two looks whether a step is due, ms, at least. */
const STEP_MIN_MS = 50;

export class BeaconLadder {
  #startedAt = Number.NEGATIVE_INFINITY;
  #sentAt = Number.NEGATIVE_INFINITY;
  #step = 0;
  /** When `take` wants to be asked, monotonic ms; never while no search is on. */
  nextAt = Number.POSITIVE_INFINITY;

  /** A search begins, or begins anew. */
  start(now: number): void {
    this.#startedAt = now;
    this.#step = 0;
    this.nextAt = Math.max(now, this.#sentAt + BEACON_RESTART_GAP_MS);
  }

  stop(): void {
    this.nextAt = Number.POSITIVE_INFINITY;
  }

  /** While broadcasts come so densely that they find whoever starts now. */
  isDense(now: number): boolean {
    return now < this.#startedAt + BEACON_DENSE_MS && this.nextAt !== Number.POSITIVE_INFINITY;
  }

  /**
   * `nextAt` is reached: true when a broadcast leaves now.
   * @param slowMs time between broadcasts after the ladder
   */
  take(now: number, isCrowd: boolean, slowMs: number): boolean {
    const isOnLadder = this.#step < BEACON_LADDER_MS.length;
    do this.#step++;
    while (this.#startedAt + (BEACON_LADDER_MS[this.#step] ?? Number.POSITIVE_INFINITY) <= now);
    const next = BEACON_LADDER_MS[this.#step];
    this.nextAt = next === undefined ? now + slowMs : Math.max(this.#startedAt + next, now + STEP_MIN_MS);
    const gapMs = !isCrowd || !isOnLadder ? 0 : this.isDense(now) ? BEACON_DENSE_CROWD_GAP_MS : BEACON_CROWD_GAP_MS;
    if (now - this.#sentAt < gapMs) return false;
    this.#sentAt = now;
    return true;
  }
}
