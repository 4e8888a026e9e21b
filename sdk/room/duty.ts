/**
 * `whileHost`: code that runs on whoever is host now.
 *
 *   idle ──this peer is host, and knows the room──► on duty ──another is host, or the room closes──► idle (signal aborted)
 */
import { disposable } from '../base/emitter.ts';
import type { HostDuty } from './types.ts';

type DutyFn = (duty: HostDuty) => void | Promise<void>;

interface Duty {
  readonly fn: DutyFn;
  control: AbortController | undefined;
}

export class HostDuties {
  readonly #duties = new Set<Duty>();
  readonly #failed: (cause: unknown) => void;
  #onDuty = false;
  #first = false;

  constructor(failed: (cause: unknown) => void) {
    this.#failed = failed;
  }

  /** @param first whether nobody was host of this room before. */
  update(onDuty: boolean, first: boolean): void {
    if (onDuty === this.#onDuty) return;
    this.#onDuty = onDuty;
    this.#first = first;
    for (const duty of [...this.#duties]) {
      // Another duty disposed of it: nobody could end it any more.
      if (!this.#duties.has(duty)) continue;
      if (onDuty) this.#start(duty);
      else this.#stop(duty);
    }
  }

  add(fn: DutyFn): Disposable {
    const duty: Duty = { fn, control: undefined };
    this.#duties.add(duty);
    if (this.#onDuty) this.#start(duty);
    return disposable(() => {
      this.#duties.delete(duty);
      this.#stop(duty);
    });
  }

  #start(duty: Duty): void {
    const control = (duty.control = new AbortController());
    void (async () => duty.fn({ signal: control.signal, first: this.#first }))().catch((error: unknown) => {
      // A duty that ends because it was aborted has done as it was told.
      if (!control.signal.aborted) this.#failed(error);
    });
  }

  #stop(duty: Duty): void {
    const { control } = duty;
    duty.control = undefined;
    control?.abort();
  }
}
