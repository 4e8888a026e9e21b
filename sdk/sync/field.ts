/**
 * One field of a schema: the seam between what a developer assigns and what travels.
 *
 * Two kinds of storage. A `number` field has three faces: the value of the game (`'splat'`, 40.25), a
 * live number that an entity keeps in a `Float64Array` (1, 40.25) and the quantised 32-bit integer that is
 * compared, sent and hashed (1, 644). A `boxed` field (text, bytes, list, ref, peer) is kept and sent whole.
 *
 *   game value --toLive--> live --quantise--> int32 --wire--> int32 --dequantise--> live --fromLive--> game value
 */
import type { PackReader, PackWriter } from '../wire/pack.ts';
import type { StandardSchemaV1 } from './standard-schema.ts';

export type LerpMode =
  /** Straight from one snapshot to the next. */
  | 'linear'
  /** On a curve that keeps its speed; best with a `velocity`. */
  | 'hermite'
  /** Straight, the short way round a circle: what `s.angle` has by itself. */
  | 'angle'
  /** Not at all: each value stands until the next, as for every other field without `lerp`. */
  | 'step';

export interface LerpOptions {
  /** Name of a field of the same entity that holds this one's velocity, in units per second. */
  readonly velocity?: string;
}

/**
 * A field as a game sees it. `Optional` is true when it has a default, so `spawn` may leave it out.
 * Every field is a Standard Schema too.
 */
export interface Field<T, Optional extends boolean = false> extends StandardSchemaV1<T, T> {
  readonly kind: string;
  readonly optional: Optional;
  /** The value a new entity has when none is given. Throws `bad-definition` when it does not fit. */
  default(value: T): Field<T, true>;
  /**
   * How a remote value moves between snapshots in `view` and `at`; without it, it steps, but for an angle, which turns. Throws `bad-definition` for fields
   * that are not numbers, and for no such mode.
   */
  lerp(mode: LerpMode, options?: LerpOptions): Field<T, Optional>;
}

// `any` here is the price of a record of fields of different types: inference needs it, nothing reads it.
export type Fields = Readonly<Record<string, Field<any, boolean>>>;

export type Infer<F extends Fields> = { -readonly [K in keyof F]: F[K] extends Field<infer T, boolean> ? T : never };

type OptionalKeys<F extends Fields> = { [K in keyof F]: F[K] extends Field<any, true> ? K : never }[keyof F];

/** What creates one: fields with a default may be left out. */
export type Init<F extends Fields> = Omit<Infer<F>, OptionalKeys<F>> & Partial<Pick<Infer<F>, OptionalKeys<F>>>;

/** How a `number` field is kept; see the head of this file. Every function is total on checked values. */
export interface NumberCodec {
  readonly storage: 'number';
  /** Inclusive bounds of the quantised integer; outside them a received value is refused. */
  readonly low: number;
  readonly high: number;
  /** Bits after which the integer wraps (angles); 0 for none. */
  readonly wrapBits: number;
  /** The live number itself is what the game sees: assignment needs no conversion. */
  readonly plain: boolean;
  /** For `plain` fields: inclusive bounds of the live number. */
  readonly min: number;
  readonly max: number;
  /** For `plain` fields: only whole numbers are accepted. */
  readonly whole: boolean;
  /** Set when `quantise` is `floor((live - min) * (1 / grid) + 0.5)`: the tick then does it without a call. */
  readonly grid?: number;
  toLive(value: unknown): number;
  fromLive(live: number): unknown;
  quantise(live: number): number;
  dequantise(int: number): number;
}

export interface BoxedCodec {
  readonly storage: 'boxed';
  /** Bytes that no value takes more of. */
  readonly maxBytes: number;
  write(out: PackWriter, value: unknown): void;
  /** Undefined (and the reader failed, or not) when the bytes hold no valid value. `null` is a value. */
  read(input: PackReader): unknown;
  same(a: unknown, b: unknown): boolean;
  /** A frozen or copied value that the caller can no longer change. */
  keep(value: unknown): unknown;
}

/** What the layers below the API know of a field. */
export interface FieldSpec extends Field<unknown, boolean> {
  readonly codec: NumberCodec | BoxedCodec;
  readonly initial: unknown;
  readonly lerpMode: LerpMode;
  readonly velocity: string | undefined;
  /** The kind of entity that a `ref`, or a list of them, means. */
  readonly refersTo: string | undefined;
  /** Everything about it that must be equal on both sides, as text; part of the schema hash. */
  readonly signature: string;
  /** Undefined when `value` fits, else what is wrong with it. */
  flaw(value: unknown): Flaw | undefined;
}

/** Why a value does not fit. */
export interface Flaw {
  /** Place within the value: empty, or `[3]` for an item of a list. */
  readonly path: string;
  /** What was expected there, in words. */
  readonly expected: string;
  /** What is there. */
  readonly got: unknown;
}

/** Bytes that no value of a field takes more of on the wire. */
export function maxBytesOf(codec: NumberCodec | BoxedCodec): number {
  return codec.storage === 'boxed' ? codec.maxBytes : 5;
}

/** The inner side of a field made by `s`. */
export function specOf(field: Field<any, boolean>): FieldSpec {
  return field as FieldSpec;
}
