/** What a fuzz target is: seeds, what is done with an input, and the decoders whose lines it answers for. */

export interface Target {
  /** Inputs to begin with: what an honest sender says, and what is known to be hostile. */
  readonly seeds: readonly Uint8Array[];
  /** Throws when a promise is broken. */
  run(bytes: Uint8Array): void;
}

/** Declarations (as their line begins) by file: the code that reads bytes from outside. */
export type Decoders = Readonly<Record<string, readonly string[]>>;

export interface TargetFile {
  readonly targets: Readonly<Record<string, () => Target | Promise<Target>>>;
  readonly decoders: Decoders;
}

/** Breaks the run of one input with a reason. */
export function broken(what: string): never {
  throw new Error(what);
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** Fails unless both are the same value, by content. */
export function expectSame(what: string, a: unknown, b: unknown): void {
  const [left, right] = [text([a]), text([b])];
  if (left !== right) broken(`${what}: ${left.slice(0, 300)} is not ${right.slice(0, 300)}`);
}

function text(value: unknown): string {
  return JSON.stringify(value, function (this: Record<string, unknown>, key, said: unknown) {
    // A Buffer has turned itself into an object by now; what it was stands in its owner.
    const item = key === '' ? said : this[key];
    if (item instanceof Set) return ['set', ...(item as Set<unknown>)];
    if (item instanceof Uint8Array) return `bytes ${Buffer.from(item).toString('hex')}`;
    if (typeof item === 'number' && (!Number.isFinite(item) || Object.is(item, -0))) return `number ${Object.is(item, -0) ? '-0' : String(item)}`;
    return item === undefined ? 'undefined' : item;
  });
}
