/**
 * `s`: the schema language. Each function makes a field that quantises, checks and carries one kind of value.
 *
 *   s.num({ min, max, step })  a number on a grid      s.angle(bits)  radians, wraps     s.u8() … s.i32()  whole numbers
 *   s.f32()  any number, 5 bytes                       s.bool()  s.oneOf(…)  s.flags(…)
 *   s.text(maxBytes)  s.bytes(max)  s.list(field, max) s.ref(kind)  s.peer()             sent whole when they change
 */
import type { EntityId, PeerId } from '../base/brand.ts';
import { LanError } from '../base/errors.ts';
import type { PackReader, PackWriter } from '../wire/pack.ts';
import { utf8Length } from '../wire/pack.ts';
import { checkField, checkNames, checkOptions, checkSize, show } from './definition.ts';
import { TAU } from './det.ts';
import type { BoxedCodec, Field, FieldSpec, Flaw, LerpMode, LerpOptions, NumberCodec } from './field.ts';
import { maxBytesOf, specOf } from './field.ts';
import type { StandardResult, StandardSchemaV1 } from './standard-schema.ts';

/** Longest text or byte string of one field: one field must fit a datagram with room to spare. */
const MAX_FIELD_BYTES = 900;
const MAX_LIST = 256;

interface Parts {
  readonly kind: string;
  readonly signature: string;
  readonly codec: NumberCodec | BoxedCodec;
  /** What was expected, in words, when `value` does not fit. */
  readonly check: (value: unknown) => string | undefined;
  /** Of a list that fits but for one item: that item. */
  readonly item?: (value: unknown) => { readonly index: number; readonly expected: string; readonly got: unknown } | undefined;
  readonly initial?: unknown;
  readonly optional?: boolean;
  readonly lerpMode?: LerpMode;
  readonly velocity?: string | undefined;
  readonly refersTo?: string | undefined;
}

const LERP_MODES: readonly LerpMode[] = ['linear', 'hermite', 'angle', 'step'];

class SchemaField implements FieldSpec {
  readonly kind: string;
  readonly signature: string;
  readonly codec: NumberCodec | BoxedCodec;
  readonly initial: unknown;
  readonly optional: boolean;
  readonly lerpMode: LerpMode;
  readonly velocity: string | undefined;
  readonly refersTo: string | undefined;
  readonly '~standard': StandardSchemaV1['~standard'];
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.kind = parts.kind;
    this.codec = parts.codec;
    this.initial = parts.initial;
    this.optional = parts.optional ?? false;
    this.lerpMode = parts.lerpMode ?? 'step';
    this.velocity = parts.velocity;
    this.refersTo = parts.refersTo;
    this.signature = `${parts.signature}/${this.lerpMode}${parts.velocity === undefined ? '' : `:${parts.velocity}`}`;
    const validate = (value: unknown): StandardResult<unknown> => {
      const flaw = this.flaw(value);
      if (flaw === undefined) return { value };
      const message = `expected ${flaw.expected}, got ${show(flaw.got)}`;
      return { issues: [flaw.path === '' ? { message } : { message, path: [Number(flaw.path.slice(1, -1))] }] };
    };
    this['~standard'] = { version: 1, vendor: 'lanista', validate };
  }

  flaw(value: unknown): Flaw | undefined {
    const expected = this.#parts.check(value);
    if (expected !== undefined) return { path: '', expected, got: value };
    const item = this.#parts.item?.(value);
    return item === undefined ? undefined : { path: `[${item.index}]`, expected: item.expected, got: item.got };
  }

  default(value: unknown): Field<unknown, true> {
    const flaw = this.flaw(value);
    if (flaw !== undefined)
      throw new LanError('bad-definition', `default${flaw.path} of a ${this.kind} field: expected ${flaw.expected}, got ${show(flaw.got)}.`);
    const initial = this.codec.storage === 'boxed' ? this.codec.keep(value) : value;
    return new SchemaField({ ...this.#parts, initial, optional: true }) as unknown as Field<unknown, true>;
  }

  lerp(mode: LerpMode, options: LerpOptions = {}): Field<unknown, boolean> {
    if (!LERP_MODES.includes(mode))
      throw new LanError('bad-definition', `lerp of a ${this.kind} field: expected ${LERP_MODES.map(show).join(', ')}, got ${show(mode)}.`);
    checkOptions(`lerp of a ${this.kind} field`, options, ['velocity']);
    if (mode !== 'step' && !(this.codec.storage === 'number' && this.codec.plain))
      throw new LanError('bad-definition', `a ${this.kind} field cannot be interpolated.`, { hint: 'Only numbers move between snapshots.' });
    return new SchemaField({ ...this.#parts, lerpMode: mode, velocity: options.velocity });
  }
}

function field<T, Optional extends boolean = false>(parts: Parts): Field<T, Optional> {
  return new SchemaField(parts) as unknown as Field<T, Optional>;
}

const asNumber = (value: unknown): number => value as number;
const same = (live: number): number => live;

function whole(kind: string, low: number, high: number): Field<number> {
  const expected = `a whole number from ${low} to ${high}`;
  // An i32 holds a u32's bits; >>> 0 on the way out makes them unsigned again.
  const unsigned32 = high > 0x7fff_ffff;
  return field<number>({
    kind,
    signature: kind,
    check: (value) => (typeof value === 'number' && Number.isInteger(value) && value >= low && value <= high ? undefined : expected),
    codec: {
      storage: 'number',
      low: unsigned32 ? -0x8000_0000 : low,
      high: unsigned32 ? 0x7fff_ffff : high,
      wrapBits: 0,
      plain: true,
      min: low,
      max: high,
      whole: true,
      toLive: asNumber,
      fromLive: same,
      quantise: (live) => live | 0,
      dequantise: unsigned32 ? (int) => int >>> 0 : same,
    },
    initial: undefined,
  });
}

/**
 * A number on a grid: `min`, `min + step`, … up to `max`, with at most 2^31 steps. Own entities keep what was assigned; others see the nearest on the grid. 1 byte
 * up to 127 steps and for small changes, 3 up to 65,535, else 5; a number outside is refused with `bad-value`. Throws `bad-definition`.
 */
function num(options: { readonly min: number; readonly max: number; readonly step: number }): Field<number> {
  checkOptions('num', options, ['min', 'max', 'step']);
  const { min, max, step } = options;
  // As the tick reckons it (`collect.ts`), to the last bit: what is assigned never gets an integer past the highest.
  const quantise = (live: number): number => Math.floor((live - min) * (1 / step) + 0.5);
  const steps = quantise(max);
  const last = min + steps * step;
  // `max` where it is on the grid, but for what the reckoning loses, or before the last point.
  const top = last > max - step * 1e-6 ? max : last;
  if (!(Number.isFinite(min) && Number.isFinite(max) && step > 0 && max > min && steps < 0x7fff_ffff))
    throw new LanError(
      'bad-definition',
      `num: expected min < max and a step of at least (max - min) / 2^31, got min ${show(min)}, max ${show(max)}, step ${show(step)}.`,
    );
  const expected = `a number from ${min} to ${max}`;
  return field<number>({
    kind: 'num',
    signature: `num(${min},${max},${step})`,
    check: (value) => (typeof value === 'number' && value >= min && value <= max ? undefined : expected),
    codec: {
      storage: 'number',
      low: 0,
      high: steps,
      wrapBits: 0,
      plain: true,
      min,
      max,
      whole: false,
      grid: step,
      toLive: asNumber,
      fromLive: same,
      quantise,
      dequantise: (int) => (int >= steps ? top : min + int * step),
    },
  });
}

/**
 * An angle in radians, from -1,000,000 to 1,000,000; elsewhere it comes back in [0, 2 pi), on a grid of `bits` bits (4 to 16; default 8: 1.4 degrees).
 * It turns the short way round between snapshots: its `lerp` is `angle` by itself. Throws `bad-definition`.
 */
function angle(bits = 8): Field<number> {
  if (!Number.isInteger(bits) || bits < 4 || bits > 16) throw new LanError('bad-definition', `angle: expected 4 to 16 bits, got ${show(bits)}.`);
  const units = 1 << bits;
  return field<number>({
    kind: 'angle',
    signature: `angle(${bits})`,
    check: (value) =>
      typeof value === 'number' && Number.isFinite(value) && Math.abs(value) <= 1e6 ? undefined : 'an angle in radians from -1000000 to 1000000',
    codec: {
      storage: 'number',
      low: 0,
      high: units - 1,
      wrapBits: bits,
      plain: true,
      min: -1e6,
      max: 1e6,
      whole: false,
      toLive: asNumber,
      fromLive: same,
      quantise: (live) => Math.floor((live * units) / TAU + 0.5) & (units - 1),
      dequantise: (int) => (int * TAU) / units,
    },
    lerpMode: 'angle',
  });
}

const floats = new Float32Array(1);
const floatBits = new Int32Array(floats.buffer);

/** Any finite number up to 3.4e38 at single precision (7 digits), 5 bytes: prefer `num`, which is mostly 1 to 3. */
function f32(): Field<number> {
  return field<number>({
    kind: 'f32',
    signature: 'f32',
    check: (value) => (typeof value === 'number' && Number.isFinite(Math.fround(value)) ? undefined : 'a finite number below 3.4e38'),
    codec: {
      storage: 'number',
      low: -0x8000_0000,
      high: 0x7fff_ffff,
      wrapBits: 0,
      plain: true,
      min: -3.4e38,
      max: 3.4e38,
      whole: false,
      toLive: asNumber,
      fromLive: same,
      quantise: (live) => {
        floats[0] = live;
        return floatBits[0]!;
      },
      dequantise: (int) => {
        floatBits[0] = int;
        // Bits from outside may be NaN or an infinity, which no check let in: they become 0.
        return Number.isFinite(floats[0]!) ? floats[0]! : 0;
      },
    },
  });
}

/** True or false, 1 byte. */
function bool(): Field<boolean> {
  return field<boolean>({
    kind: 'bool',
    signature: 'bool',
    check: (value) => (typeof value === 'boolean' ? undefined : 'true or false'),
    codec: {
      storage: 'number',
      low: 0,
      high: 1,
      wrapBits: 0,
      plain: false,
      min: 0,
      max: 1,
      whole: true,
      toLive: (value) => (value === true ? 1 : 0),
      fromLive: (live) => live !== 0,
      quantise: same,
      dequantise: same,
    },
  });
}

/** One of 1 to 128 names, 1 byte. Their order is part of the definition. */
function oneOf<const T extends readonly [string, ...string[]]>(...names: T): Field<T[number]> {
  checkNames('oneOf', names, 128);
  const index = new Map<unknown, number>(names.map((name, i) => [name, i]));
  return field<T[number]>({
    kind: 'oneOf',
    signature: `oneOf${JSON.stringify(names)}`,
    check: (value) => (index.has(value) ? undefined : `one of ${names.map(show).join(', ')}`),
    codec: {
      storage: 'number',
      low: 0,
      high: names.length - 1,
      wrapBits: 0,
      plain: false,
      min: 0,
      max: names.length - 1,
      whole: true,
      toLive: (value) => index.get(value) ?? 0,
      fromLive: (live) => names[live],
      quantise: same,
      dequantise: same,
    },
  });
}

/** Any set of 1 to 30 names; empty by default. The set that comes out is shared: it is not to be changed. */
function flags<const T extends readonly [string, ...string[]]>(...names: T): Field<ReadonlySet<T[number]>, true> {
  checkNames('flags', names, 30);
  const bit = new Map<unknown, number>(names.map((name, i) => [name, 1 << i]));
  const sets = new Map<number, ReadonlySet<string>>();
  const setOf = (mask: number): ReadonlySet<string> => {
    let set = sets.get(mask);
    if (set === undefined) {
      set = new Set(names.filter((_, i) => (mask & (1 << i)) !== 0));
      // A cache, not a registry: what another peer sends must not grow it for ever.
      if (sets.size < 1_024) sets.set(mask, set);
    }
    return set;
  };
  return field<ReadonlySet<T[number]>, true>({
    kind: 'flags',
    signature: `flags${JSON.stringify(names)}`,
    check: (value) => (value instanceof Set && [...value].every((name) => bit.has(name)) ? undefined : `a Set of ${names.map(show).join(', ')}`),
    codec: {
      storage: 'number',
      low: 0,
      high: 2 ** names.length - 1,
      wrapBits: 0,
      plain: false,
      min: 0,
      max: 2 ** names.length - 1,
      whole: true,
      toLive: (value) => {
        let mask = 0;
        for (const name of value as ReadonlySet<string>) mask |= bit.get(name) ?? 0;
        return mask;
      },
      fromLive: setOf,
      quantise: same,
      dequantise: same,
    },
    initial: new Set(),
    optional: true,
  });
}

/** Text of at most `maxBytes` bytes of UTF-8 (1 to 900). */
function text(maxBytes: number): Field<string> {
  checkSize('text', maxBytes, MAX_FIELD_BYTES);
  return field<string>({
    kind: 'text',
    signature: `text(${maxBytes})`,
    check: (value) =>
      typeof value === 'string' && value.length <= maxBytes && utf8Length(value) <= maxBytes ? undefined : `text of at most ${maxBytes} bytes`,
    codec: {
      storage: 'boxed',
      maxBytes: maxBytes + 3,
      write: (out, value) => out.text(value as string),
      read: (input) => input.text(maxBytes),
      same: Object.is,
      keep: (value) => value,
    },
  });
}

/** At most `max` bytes (1 to 900); copied on assignment. */
function bytes(max: number): Field<Uint8Array> {
  checkSize('bytes', max, MAX_FIELD_BYTES);
  const equal = (a: unknown, b: unknown): boolean => {
    const x = a as Uint8Array;
    const y = b as Uint8Array;
    return x.length === y.length && x.every((byte, i) => byte === y[i]);
  };
  return field<Uint8Array>({
    kind: 'bytes',
    signature: `bytes(${max})`,
    check: (value) => (value instanceof Uint8Array && value.length <= max ? undefined : `a Uint8Array of at most ${max} bytes`),
    codec: {
      storage: 'boxed',
      maxBytes: max + 3,
      write: (out, value) => out.binary(value as Uint8Array),
      read: (input) => input.binary(max),
      same: equal,
      // Not `slice`: that of a Buffer of Node is no copy.
      keep: (value) => new Uint8Array(value as Uint8Array),
    },
  });
}

/** Another entity of kind `kind`, by its `id`, or null (the default). It may name one that is gone. */
function ref<K extends string>(kind: K): Field<EntityId | null, true> {
  if (typeof kind !== 'string') throw new LanError('bad-definition', `ref: expected the name of an entity kind, got ${show(kind)}.`);
  return field<EntityId | null, true>({
    kind: 'ref',
    signature: `ref(${kind})`,
    refersTo: kind,
    check: (value) =>
      value === null || (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0)
        ? undefined
        : `the id of an entity of kind '${kind}', or null`,
    codec: {
      storage: 'boxed',
      maxBytes: 11,
      write: (out, value) => {
        if (value === null) return out.nil();
        out.array(2);
        out.int(Math.floor((value as number) / 0x10_0000));
        out.int((value as number) % 0x10_0000);
      },
      read: (input) => {
        if (input.nil()) return null;
        if (input.array(2) !== 2) return input.fail();
        return input.count(0xffff_ffff) * 0x10_0000 + input.count(0xf_ffff);
      },
      same: Object.is,
      keep: (value) => value,
    },
    initial: null,
    optional: true,
  });
}

/** A peer, by its `id`, or null (the default). It may name one that left. */
function peer(): Field<PeerId | null, true> {
  return field<PeerId | null, true>({
    kind: 'peer',
    signature: 'peer',
    check: (value) =>
      value === null || (typeof value === 'string' && value.length > 0 && utf8Length(value) <= 32) ? undefined : 'a peer id, or null',
    codec: {
      storage: 'boxed',
      maxBytes: 35,
      write: (out, value) => (value === null ? out.nil() : out.text(value as string)),
      read: (input) => (input.nil() ? null : input.text(32) || input.fail()),
      same: Object.is,
      keep: (value) => value,
    },
    initial: null,
    optional: true,
  });
}

/** At most `max` values (1 to 256) of another field; copied and frozen on assignment. */
function list<T>(of: Field<T, boolean>, max: number): Field<readonly T[]> {
  checkSize('list', max, MAX_LIST);
  checkField('list', of);
  const spec = specOf(of);
  const { codec } = spec;
  if (codec.storage === 'boxed' && spec.kind === 'list')
    throw new LanError('bad-definition', 'a list of lists cannot be a field.', { hint: 'Flatten it.' });
  const write = (out: PackWriter, value: unknown): void =>
    codec.storage === 'boxed' ? codec.write(out, value) : out.int(codec.quantise(codec.toLive(value)));
  const read = (input: PackReader): unknown => {
    if (codec.storage === 'boxed') return codec.read(input);
    const int = input.int();
    if (int < codec.low || int > codec.high) return input.fail();
    return codec.fromLive(codec.dequantise(int));
  };
  const equal = (a: unknown, b: unknown): boolean => (codec.storage === 'boxed' ? codec.same(a, b) : codec.toLive(a) === codec.toLive(b));
  return field<readonly T[]>({
    kind: 'list',
    signature: `list(${spec.signature},${max})`,
    refersTo: spec.refersTo,
    check: (value) => (Array.isArray(value) && value.length <= max ? undefined : `an array of at most ${max}`),
    item: (value) => {
      const items = value as readonly unknown[];
      for (let index = 0; index < items.length; index++) {
        const flaw = spec.flaw(items[index]);
        if (flaw !== undefined) return { index, expected: flaw.expected, got: flaw.got };
      }
      return undefined;
    },
    codec: {
      storage: 'boxed',
      maxBytes: 3 + max * maxBytesOf(codec),
      write: (out, value) => {
        const items = value as readonly unknown[];
        out.array(items.length);
        for (const item of items) write(out, item);
      },
      read: (input) => {
        const count = input.array(max);
        const out: unknown[] = [];
        for (let i = 0; i < count && input.ok; i++) out.push(read(input));
        return Object.freeze(out);
      },
      same: (a, b) => {
        const x = a as readonly unknown[];
        const y = b as readonly unknown[];
        return x.length === y.length && x.every((item, i) => equal(item, y[i]));
      },
      keep: (value) =>
        Object.freeze(
          (value as readonly unknown[]).map((item) => (codec.storage === 'boxed' ? codec.keep(item) : codec.fromLive(codec.toLive(item)))),
        ),
    },
  });
}

/** The schema language. Numbers, choices and texts, each with its bound. */
export const s = {
  bool,
  /** A whole number from 0 to 255. */
  u8: (): Field<number> => whole('u8', 0, 0xff),
  /** A whole number from 0 to 65,535. */
  u16: (): Field<number> => whole('u16', 0, 0xffff),
  /** A whole number from 0 to 4,294,967,295. */
  u32: (): Field<number> => whole('u32', 0, 0xffff_ffff),
  /** A whole number from -128 to 127. */
  i8: (): Field<number> => whole('i8', -0x80, 0x7f),
  /** A whole number from -32,768 to 32,767. */
  i16: (): Field<number> => whole('i16', -0x8000, 0x7fff),
  /** A whole number from -2,147,483,648 to 2,147,483,647. */
  i32: (): Field<number> => whole('i32', -0x8000_0000, 0x7fff_ffff),
  f32,
  num,
  angle,
  oneOf,
  flags,
  text,
  bytes,
  ref,
  peer,
  list,
};
