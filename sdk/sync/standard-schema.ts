/**
 * The Standard Schema interface, version 1 (standardschema.dev): what lets a message body be checked
 * by any validator library without this package depending on one. Written from the specification.
 */
export interface StandardSchemaV1<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

export interface StandardIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

export type StandardResult<Output> = { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly StandardIssue[] };

/** What is given to be validated. */
export type InputOf<S> = S extends StandardSchemaV1<infer I, infer _O> ? I : never;

/** What comes out of a validation that succeeds. */
export type OutputOf<S> = S extends StandardSchemaV1<infer _I, infer O> ? O : never;

/** True when `value` carries a version 1 validator. */
export function isStandardSchema(value: unknown): value is StandardSchemaV1 {
  return (typeof value === 'object' || typeof value === 'function') && value !== null && '~standard' in value;
}
