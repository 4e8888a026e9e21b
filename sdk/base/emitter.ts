/**
 * A typed set of subscribers. Every subscription returns a `Disposable`, so `using off = …` ends it.
 */

import { callGuarded } from './callback.ts';

export function disposable(dispose: () => void): Disposable {
  let done = false;
  return {
    [Symbol.dispose]() {
      if (done) return;
      done = true;
      dispose();
    },
  };
}

export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<(value: never) => void>>();
  readonly #failed: ((name: keyof Events, cause: unknown) => void) | undefined;

  /** @param failed told of what a listener throws or rejects with, which stops nobody then; without it, it is thrown at whoever emits. */
  constructor(failed?: (name: keyof Events, cause: unknown) => void) {
    this.#failed = failed;
  }

  on<Name extends keyof Events>(name: Name, listener: (value: Events[Name]) => void): Disposable {
    let set = this.#listeners.get(name);
    if (set === undefined) this.#listeners.set(name, (set = new Set()));
    // Wrapped, so that the same function subscribed twice is two subscriptions. What an async one hands back goes through.
    const entry = (value: Events[Name]): unknown => listener(value) as unknown;
    set.add(entry as (value: never) => void);
    return disposable(() => set.delete(entry as (value: never) => void));
  }

  /** Listeners added while emitting are not called for this event, nor those that were disposed meanwhile. */
  emit<Name extends keyof Events>(name: Name, value: Events[Name]): void {
    const set = this.#listeners.get(name);
    if (set === undefined) return;
    for (const listener of [...set]) {
      if (!set.has(listener)) continue;
      const failed = this.#failed;
      if (failed === undefined) (listener as (value: Events[Name]) => void)(value);
      else
        callGuarded(
          () => (listener as (value: Events[Name]) => unknown)(value),
          (cause) => failed(name, cause),
        );
    }
  }

  /** Whether anybody would hear of it. */
  has(name: keyof Events): boolean {
    return (this.#listeners.get(name)?.size ?? 0) > 0;
  }

  clear(): void {
    this.#listeners.clear();
  }
}
