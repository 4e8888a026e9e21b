/**
 * Field codecs of the bridge: each knows how to write one value and how to read it back, so a table of
 * fields (messages.ts) drives both directions and they cannot drift apart.
 *
 * Reading never throws and never trusts a count: a value out of range or a list over its bound marks
 * the reader as failed, and the caller drops the rest of the batch. Everything is big-endian. Text is
 * UTF-16 code units behind a count: exactly what a JavaScript string is, so nothing can fail to encode,
 * and on loopback the extra byte per letter costs nothing.
 */
import type { ByteReader, ByteWriter } from '../base/bytes.ts';

export interface Field<T> {
  write(out: ByteWriter, value: T): void;
  /** Returns some value of the type even when the reader has failed. */
  read(from: ByteReader): T;
}

export type FieldValue<F> = F extends Field<infer T> ? T : never;

export const u8: Field<number> = {
  write: (out, value) => void out.u8(value),
  read: (from) => from.u8(),
};

export const u16: Field<number> = {
  write: (out, value) => void out.u16(value),
  read: (from) => from.u16(),
};

export const u32: Field<number> = {
  write: (out, value) => void out.u32(value),
  read: (from) => from.u32(),
};

export const u48: Field<number> = {
  write: (out, value) => void out.u48(clamp(value, MAX_U48)),
  read: (from) => from.u48(),
};

/** Small integer with a stated maximum. */
export function upTo(max: number): Field<number> {
  return {
    write: (out, value) => void out.u8(value),
    read(from) {
      const value = from.u8();
      if (value > max) from.fail();
      return value;
    },
  };
}

export const bool: Field<boolean> = {
  write: (out, value) => void out.u8(value ? 1 : 0),
  read(from) {
    const value = from.u8();
    if (value > 1) from.fail();
    return value === 1;
  },
};

/** Milliseconds, 0 to 2.8e11 (8.9 years): written as whole microseconds in 48 bits. */
export const ms: Field<number> = {
  write: (out, value) => void out.u48(clamp(value * 1_000, MAX_U48)),
  read: (from) => from.u48() / 1_000,
};

/** 0 to 1 in steps of 1/65535. */
export const ratio: Field<number> = {
  write: (out, value) => void out.u16(clamp(value * 65_535, 65_535)),
  read: (from) => from.u16() / 65_535,
};

/** Text of at most `maxUnits` UTF-16 code units; longer text is cut when written, refused when read. */
export function text(maxUnits: number): Field<string> {
  return {
    write(out, value) {
      const units = Math.min(value.length, maxUnits);
      out.u16(units);
      for (let i = 0; i < units; i++) out.u16(value.charCodeAt(i));
    },
    read(from) {
      const units = from.u16();
      if (units > maxUnits || units * 2 > from.remaining) {
        from.fail();
        return '';
      }
      let value = '';
      for (let i = 0; i < units; i++) value += String.fromCharCode(from.u16());
      return value;
    },
  };
}

/** Text that carries a branded string; the brand is the sender's word. */
export function named<T extends string>(maxUnits: number): Field<T> {
  return text(maxUnits) as Field<string> as Field<T>;
}

/** Bytes of at most `maxBytes`. Reading gives a view into the batch, valid as long as the batch is. */
export function blob(maxBytes: number): Field<Uint8Array> {
  return {
    write(out, value) {
      out.u32(value.length).raw(value);
    },
    read(from) {
      const size = from.u32();
      if (size > maxBytes) from.fail();
      return from.take(size);
    },
  };
}

/** One of a closed list of words, as its index. */
export function oneOf<const T extends string>(...words: readonly T[]): Field<T> {
  return {
    write: (out, value) => void out.u8(words.indexOf(value)),
    read(from) {
      const word = words[from.u8()];
      if (word !== undefined) return word;
      from.fail();
      return words[0]!;
    },
  };
}

export function optional<T>(field: Field<T>): Field<T | undefined> {
  return {
    write(out, value) {
      out.u8(value === undefined ? 0 : 1);
      if (value !== undefined) field.write(out, value);
    },
    read(from) {
      return bool.read(from) ? field.read(from) : undefined;
    },
  };
}

/** At most `max` items; more are cut when written, refused when read. */
export function list<T>(max: number, item: Field<T>): Field<readonly T[]> {
  return {
    write(out, value) {
      const count = Math.min(value.length, max);
      out.u16(count);
      for (let i = 0; i < count; i++) item.write(out, value[i]!);
    },
    read(from) {
      const count = from.u16();
      if (count > max) from.fail();
      const items: T[] = [];
      for (let i = 0; i < count && from.ok; i++) items.push(item.read(from));
      return items;
    },
  };
}

type ShapeValue<S> = { readonly [K in keyof S]: FieldValue<S[K]> };

/** Fields in the order they are declared. */
export function record<S extends { readonly [K in keyof S]: Field<FieldValue<S[K]>> }>(shape: S): Field<ShapeValue<S>> {
  const entries = Object.entries(shape) as [string, Field<unknown>][];
  return {
    write(out, value) {
      for (const [name, field] of entries) field.write(out, (value as Record<string, unknown>)[name]);
    },
    read(from) {
      const value: Record<string, unknown> = {};
      for (const [name, field] of entries) value[name] = field.read(from);
      return value as ShapeValue<S>;
    },
  };
}

/** A union told apart by `type`: the index of the word, then that word's fields. */
export type TaggedValue<T> = { [K in keyof T & string]: { readonly type: K } & FieldValue<T[K]> }[keyof T & string];

export interface Tagged<V> extends Field<V> {
  /** The words in the order of their numbers on the wire. */
  readonly words: readonly string[];
}

export function tagged<T extends { readonly [K in keyof T]: Field<FieldValue<T[K]>> }>(table: T): Tagged<TaggedValue<T>> {
  const words = Object.keys(table);
  const fields = Object.values(table as Record<string, Field<unknown>>);
  const numbers = new Map(words.map((word, number) => [word, number]));
  return {
    words,
    write(out, value) {
      const number = numbers.get((value as { type: string }).type)!;
      out.u8(number);
      fields[number]!.write(out, value);
    },
    read(from) {
      const number = from.u8();
      const field = fields[number];
      if (field === undefined) {
        from.fail();
        return { type: '' } as unknown as TaggedValue<T>;
      }
      const value = field.read(from) as { type?: string };
      value.type = words[number]!;
      return value as unknown as TaggedValue<T>;
    },
  };
}

const MAX_U48 = 2 ** 48 - 1;

/** NaN and negatives become 0: a number we measured wrongly must not corrupt the batch around it. */
function clamp(value: number, max: number): number {
  return value > 0 ? Math.min(Math.round(value), max) : 0;
}
