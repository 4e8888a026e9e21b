/** Disposables held together and let go of together, last first. `DisposableStack` is not in every Node and browser yet. */
export class Held implements Disposable {
  readonly #held: Disposable[] = [];

  use<T extends Disposable>(one: T): T {
    this.#held.push(one);
    return one;
  }

  [Symbol.dispose](): void {
    for (let one = this.#held.pop(); one !== undefined; one = this.#held.pop()) one[Symbol.dispose]();
  }
}
