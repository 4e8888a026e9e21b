/** Whether ticks follow each other. Behind is not stalled: who waits for every tick is behind all the time. */

/** Nothing moved for this long: the game is told, ms. */
const STALL_MS = 250;

export class StallWatch {
  /** The tick that was next when something moved last, and when that was. */
  #movedTo = 0;
  #movedAt = 0;

  /** @param next the tick that comes, of which `due` is the newest that should be over. */
  isStalled(now: number, next: number, due: number): boolean {
    if (next <= due && next === this.#movedTo) return now - this.#movedAt >= STALL_MS;
    this.#movedTo = next;
    this.#movedAt = now;
    return false;
  }
}
