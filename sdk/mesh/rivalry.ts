/**
 * Two processes with one key, as after a disk or a profile was copied. Each asks for the seat as soon as the other one has it, so
 * the seat and every link of that key would change hands without end. One of them gives way: `closed` as `copied`.
 *
 * That the seat is another process's may as well be an old list, or one of our predecessor's. So whoever has it is called, and only
 * when a process with our key answers, which proves it, do losses count. Both count; who has sat in the room for a while is
 * forgiven one, so that the one that came later gives way.
 */

/** Losses further apart than this have nothing to do with each other (ms). */
const WINDOW_MS = 60_000;
/** Who held its seat so long before it first lost it was there first (ms). */
const SETTLED_MS = 10_000;
/** A double takes all links and the seat in one go, and for a while after it is gone they are made anew (ms). */
const SAME_MS = 6_000;

export class Rivalry {
  #heldSince: number | undefined;
  #holds = false;
  #met = false;
  #forgiven = 0;
  #lostAt: number[] = [];

  /** The list gives the seat to this process. */
  onHeld(now: number): void {
    this.#heldSince ??= now;
    this.#holds = true;
  }

  /** A newer list gives it to another one. True when this process has to give way. */
  onLost(now: number): boolean {
    if (this.#holds) this.#lose(now);
    this.#holds = false;
    return this.#givesWay;
  }

  /** A peer ended its link to us for another session of our key: one of our own, unless there is a double. True to give way. */
  onReplaced(now: number): boolean {
    if (this.#met) this.#lose(now);
    return this.#givesWay;
  }

  /** A process with our key answered us. `alone`: nobody is here for whom the two would be one. True to give way. */
  onMet(now: number, alone: boolean): boolean {
    this.#met = true;
    if (alone) this.#lose(now);
    return this.#givesWay;
  }

  #lose(now: number): void {
    if (this.#heldSince === undefined) return;
    this.#lostAt = this.#lostAt.filter((at) => now - at < WINDOW_MS);
    if (now - (this.#lostAt.at(-1) ?? -Infinity) < SAME_MS) return;
    if (this.#lostAt.length === 0) this.#forgiven = now - this.#heldSince < SETTLED_MS ? 0 : 1;
    this.#lostAt.push(now);
  }

  get #givesWay(): boolean {
    return this.#met && this.#lostAt.length > this.#forgiven;
  }
}
