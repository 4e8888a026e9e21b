/**
 * The entry of msgpackr that neither generates code nor loads a native addon ships without types.
 * Only what payload.ts uses is declared.
 */
declare module 'msgpackr/index-no-eval' {
  export interface Options {
    readonly useRecords?: boolean;
    readonly structuredClone?: boolean;
    readonly mapsAsObjects?: boolean;
    readonly variableMapSize?: boolean;
    readonly copyBuffers?: boolean;
    readonly moreTypes?: boolean;
    readonly int64AsType?: 'bigint' | 'number' | 'string' | 'auto';
    readonly largeBigIntToFloat?: boolean;
  }
  export class Packr {
    constructor(options?: Options);
    pack(value: unknown): Uint8Array;
  }
  export class Unpackr {
    constructor(options?: Options);
    unpack(bytes: Uint8Array): unknown;
  }
}
