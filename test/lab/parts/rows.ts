/** What a row of the lab `discovery` is: one acceptance test with its figures and targets. */
import type { Bundle } from './bundle.ts';

export interface RowResult {
  readonly pass: boolean;
  readonly [figure: string]: unknown;
}

export interface Row {
  readonly name: string;
  /** The promise, with its figures. */
  readonly target: string;
  run(bundle: Bundle): Promise<RowResult>;
}
