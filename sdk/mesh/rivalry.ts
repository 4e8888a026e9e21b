/**
 * Two processes with one key, as after a disk or a profile was copied. Each asks for the seat as soon as the other one has it, so
 * the seat and every link of that key would change hands without end. One of them gives way: `closed` as `copied`.
 *
 * That the seat is another process's may as well be an old list, or one of our predecessor's. So whoever has it is called, and only
 * when a process with our key answers, which proves it, do losses count. Both count; who has sat in the room for a while is
 * forgiven one, so that the one that came later gives way.
 */

/** Losses further apart than this have nothing to do with each other, nor with a double that has not answered for so long (ms). */
const WINDOW_MS = 60_000;
/** Who held its seat so long before it first lost it was there first (ms). */
const SETTLED_MS = 10_000;
/** A double takes all links and the seat in one go, and for a while after it is gone they are made anew (ms). */
const SAME_MS = 6_000;

export class Rivalry {
  #heldSince: number | undefined;
  #holds = false;
  #metAt = -Infinity;
  #replacedAt = -Infinity;
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
    return this.#givesWay(now);
  }

  /** A peer ended its link to us for another session of our key: one of our own, unless there is a double. True to give way. */
  onReplaced(now: number): boolean {
    this.#replacedAt = now;
    if (this.#hasMet(now)) this.#lose(now);
    return this.#givesWay(now);
  }

  /** Links of ours have lately been taken by a session of our key. Whose it was shows where the list has our seat. */
  suspects(now: number): boolean {
    return now - this.#replacedAt < WINDOW_MS;
  }

  /** A process with our key answered us. `alone`: nobody is here for whom the two would be one. True to give way. */
  onMet(now: number, alone: boolean): boolean {
    this.#metAt = now;
    if (alone) this.#lose(now);
    return this.#givesWay(now);
  }

  #lose(now: number): void {
    if (this.#heldSince === undefined) return;
    this.#forgetOld(now);
    const last = this.#lostAt.at(-1);
    // Links are still made anew when the double has given way; only one that has answered since then takes anything again.
    if (last !== undefined && Math.min(now, this.#metAt) - last < SAME_MS) return;
    if (this.#lostAt.length === 0) this.#forgiven = now - this.#heldSince < SETTLED_MS ? 0 : 1;
    this.#lostAt.push(now);
  }

  #forgetOld(now: number): void {
    this.#lostAt = this.#lostAt.filter((at) => now - at < WINDOW_MS);
  }

  /** A double that is there is called again and again, and answers. */
  #hasMet(now: number): boolean {
    return now - this.#metAt < WINDOW_MS;
  }

  #givesWay(now: number): boolean {
    if (!this.#hasMet(now)) return false;
    this.#forgetOld(now);
    return this.#lostAt.length > this.#forgiven;
  }
}
