/**
 * The promises that have a command of their own. A row may live anywhere in `test/`: it is a module that
 * exports `accept`. Rows run in processes of their own, so that none inherits another's heap.
 */

export interface AcceptOptions {
  /** A part of the stated size, for a quick look. */
  readonly small: boolean;
  readonly seed: number;
}

/** One measured promise. */
export interface AcceptResult {
  readonly value: number;
  readonly unit: string;
  readonly target: string;
  readonly pass: boolean;
  /** What the value is made of: counts, percentiles, how much was really tried. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/** Why nothing was measured, in words. Never counted as passed. */
export interface NotRun {
  readonly notRun: string;
  /** It was tried and broke off, which is a failure. */
  readonly broken?: boolean;
}

export type AcceptOutcome = AcceptResult | NotRun;

export interface AcceptModule {
  accept(options: AcceptOptions): Promise<AcceptOutcome>;
}

export interface AcceptRow {
  readonly name: string;
  /** Relative to this file. */
  readonly module: string;
  /** Times something on the wall, so nothing else runs beside it. */
  readonly alone: boolean;
  /** Given up after this (ms); then the row was not run. */
  readonly limitMs: number;
}

const row = (name: string, more: Partial<Omit<AcceptRow, 'name'>> = {}): AcceptRow => ({
  name,
  module: `./${name}.ts`,
  alone: false,
  limitMs: 240_000,
  ...more,
});

/** In the order of `docs/guarantees.md`. */
export const ROWS: readonly AcceptRow[] = [
  row('reliable-under-loss'),
  row('reliable-in-lab'),
  row('amplification'),
  row('join-under-flood', { alone: true }),
  row('session-under-flood', { alone: true }),
  row('hostile-corpus', { alone: true }),
  row('replay-and-wrap'),
  row('nonce-reuse'),
  row('reassembly-hoarding'),
  row('optimistic-ack', { alone: true }),
  row('fuzz', { module: '../fuzz/accept.ts', alone: true }),
  row('transfer-beside-stream', { alone: true, limitMs: 400_000 }),
];
