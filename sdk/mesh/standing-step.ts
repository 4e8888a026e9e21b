/**
 * The election's answer and since when it has stood: a step is taken only after its hold time, and what is a
 * new question starts the time anew.
 */
import { MEET_HOST_MS, MERGE_HOLD_MS } from '../wire/limits.ts';
import { isHostAlive, nextStep, type ElectionView, type Step } from './election.ts';

const NONE: Step = { type: 'none' };

export class StandingStep {
  #step = NONE;
  #since = 0;
  /** We were alone, and since `#since` are not. */
  #regained = false;
  /** The last term whose host we have had in reach. */
  #metTerm = 0;

  /** Our own stall is no time that an answer stood. */
  excuse(lateMs: number): void {
    this.#since += lateMs;
  }

  /** The step was taken. */
  clear(): void {
    this.#step = NONE;
  }

  /** The step to take now; undefined while there is none, or it has not stood for long enough. */
  tick(now: number, view: ElectionView): Exclude<Step, { readonly type: 'none' }> | undefined {
    const step = nextStep(view);
    const target = 'host' in step ? step.host : undefined;
    const before = 'host' in this.#step ? this.#step.host : undefined;
    // Who was alone and hears a member again may hear of the host in the next word: what it was about to do alone does not count any more.
    const heard = step.type === 'claim' && this.#step.type === 'claim' && this.#step.alone && !step.alone;
    if (step.type !== this.#step.type || target !== before || heard) {
      this.#since = now;
      this.#regained = heard;
    }
    this.#step = step;
    const { term } = view.roster;
    if (isHostAlive(view)) this.#metTerm = term;
    // A host we were told of but have not reached yet is not gone: the link is still being made.
    const unmet = step.type === 'claim' && this.#metTerm !== term;
    const leastMs = unmet ? MEET_HOST_MS : this.#regained ? MERGE_HOLD_MS : 0;
    return step.type === 'none' || now - this.#since < Math.max(step.holdMs, leastMs) ? undefined : step;
  }
}
