/**
 * Fixed ticks on shared time: tick `n` of `every(hz)` is at `n * 1000 / hz` ms of room time, the same moment on every peer.
 * After a stall a bounded part is caught up and the rest skipped: a replay of the past helps nobody.
 */
import { disposable } from '../base/emitter.ts';
import { LanError } from '../base/errors.ts';
import { show } from './definition.ts';

/** Most of the past that is caught up, ms. */
const CATCH_UP_MS = 250;

/** The moment at which something asked for at `now` is given up. Throws `bad-argument`: what is no number would never come, and never be waited for. */
export function deadlineAfter(what: string, now: number, timeoutMs: number): number {
  if (typeof timeoutMs !== 'number' || Number.isNaN(timeoutMs))
    throw new LanError('bad-argument', `${what}: expected timeoutMs to be a number, got ${show(timeoutMs)}.`);
  return now + timeoutMs;
}

/** Refuses what only looks like a signal: it would fail half-way. Throws `bad-argument`. */
export function assertSignal(what: string, signal: unknown): void {
  if (signal !== undefined && (typeof signal !== 'object' || signal === null || !('addEventListener' in signal)))
    throw new LanError('bad-argument', `${what}: expected signal to be an AbortSignal, got ${show(signal)}.`);
}

interface Beat {
  readonly hz: number;
  readonly fn: (tick: number, time: number) => void;
  next: number;
  live: boolean;
}

export class Metronome {
  readonly #beats = new Set<Beat>();
  readonly #changed: () => void;
  /** Room time of the last tick that ran since `movedAt`, when nothing but ticks had moved anything since then. */
  #movedAt: number | undefined;

  /** @param changed called when an earlier deadline may exist. */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  every(time: number, hz: number, fn: (tick: number, time: number) => void): Disposable {
    if (typeof hz !== 'number' || !(hz >= 0.1 && hz <= 120))
      throw new LanError('bad-argument', `clock.every: expected 0.1 to 120 Hz, got ${show(hz)}.`);
    const beat: Beat = { hz, fn, next: Math.floor((time * hz) / 1_000) + 1, live: true };
    this.#beats.add(beat);
    this.#changed();
    return disposable(() => {
      beat.live = false;
      this.#beats.delete(beat);
    });
  }

  /** Room time of the next tick; Infinity for none. */
  deadline(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const beat of this.#beats) earliest = Math.min(earliest, (beat.next * 1_000) / beat.hz);
    return earliest;
  }

  /**
   * Runs every tick that is due at room time `time`, earliest first.
   * @param hasMoved whether the game has moved something by itself since `movedAt`; asked before any tick may.
   */
  run(time: number, hasMoved: () => boolean = () => false): void {
    if (this.deadline() > time) return;
    const isOurs = this.#movedAt !== undefined || !hasMoved();
    for (const beat of this.#beats) {
      const oldest = Math.ceil(((time - CATCH_UP_MS) * beat.hz) / 1_000);
      if (beat.next < oldest) beat.next = oldest;
    }
    for (;;) {
      let due: Beat | undefined;
      for (const beat of this.#beats)
        if ((beat.next * 1_000) / beat.hz <= time && (due === undefined || beat.next / beat.hz < due.next / due.hz)) due = beat;
      if (due === undefined) return;
      const tick = due.next++;
      const at = (tick * 1_000) / due.hz;
      if (isOurs) this.#movedAt = at;
      due.fn(tick, at);
    }
  }

  /**
   * The room time that what is sampled now, at `time`, is true for. What ticks alone have moved is where it belongs at the last of them: whoever draws at
   * another pace than they have runs them late, by less in one turn and more in the next.
   */
  movedAt(time: number): number {
    const at = this.#movedAt ?? time;
    this.#movedAt = undefined;
    return at;
  }

  stop(): void {
    for (const beat of this.#beats) beat.live = false;
    this.#beats.clear();
  }
}
