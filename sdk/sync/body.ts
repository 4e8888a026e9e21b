/**
 * The bodies of messages, requests and presence: by our fields (a flat array in order of declaration) or by any Standard Schema
 * (a msgpack value, validated on both sides). What does not validate never reaches the game.
 */
import { LanError } from '../base/errors.ts';
import type { PackReader, PackWriter } from '../wire/pack.ts';
import type { PayloadValue } from '../wire/payload.ts';
import { decodePayload, encodePayload } from '../wire/payload.ts';
import { misfit, noSuchField, show } from './definition.ts';
import type { FieldSpec, Fields } from './field.ts';
import { specOf } from './field.ts';
import type { StandardSchemaV1 } from './standard-schema.ts';
import { isStandardSchema } from './standard-schema.ts';

export interface BodyCodec {
  /** Appends the body. Throws `bad-value` with the field's path. */
  write(out: PackWriter, body: unknown, path: string): void;
  /** Reads the rest of `input`; undefined when it is not valid. */
  read(input: PackReader): Readonly<{ body: unknown }> | undefined;
}

export function bodyCodec(of: Fields | StandardSchemaV1): BodyCodec {
  return isStandardSchema(of) ? foreignCodec(of) : fieldsCodec(of);
}

function fieldsCodec(fields: Fields): BodyCodec & { readonly names: readonly string[] } {
  const names = Object.keys(fields);
  const specs: readonly FieldSpec[] = names.map((name) => specOf(fields[name]!));
  return {
    names,
    write(out, body, path) {
      if (typeof body !== 'object' || body === null) throw new LanError('bad-value', `${path}: expected an object, got ${show(body)}.`);
      const given = body as Readonly<Record<string, unknown>>;
      for (const name of Object.keys(given)) if (!names.includes(name)) throw noSuchField(`${path}.${name}`, names);
      out.array(specs.length);
      specs.forEach((spec, i) => {
        const found = given[names[i]!];
        // Null is a value: only what is left out has a default.
        const value = found === undefined ? spec.initial : found;
        const flaw = spec.flaw(value);
        if (flaw !== undefined) throw misfit(`${path}.${names[i]}`, flaw);
        if (spec.codec.storage === 'boxed') spec.codec.write(out, value);
        else out.int(spec.codec.quantise(spec.codec.toLive(value)));
      });
    },
    read(input) {
      if (input.array(specs.length) !== specs.length) return undefined;
      const body: Record<string, unknown> = {};
      for (let i = 0; i < specs.length; i++) {
        const { codec } = specs[i]!;
        if (codec.storage === 'boxed') body[names[i]!] = codec.read(input);
        else {
          const int = input.int();
          if (int < codec.low || int > codec.high) return undefined;
          body[names[i]!] = codec.fromLive(codec.dequantise(int));
        }
        if (!input.ok) return undefined;
      }
      return input.done ? { body } : undefined;
    },
  };
}

/** What a foreign validator said. `async`: that it will say later, which no message can wait for. */
type Verdict = { readonly value: unknown } | { readonly path: string; readonly words: string } | 'async';

function judge(schema: StandardSchemaV1, value: unknown): Verdict {
  // It is somebody else's, and may throw, or give what is no result: neither may stop the loop that reads what a peer sent.
  try {
    const result = schema['~standard'].validate(value);
    if ('then' in result) {
      result.then(undefined, () => undefined);
      return 'async';
    }
    if (result.issues === undefined) return { value: result.value };
    const path = (result.issues[0]?.path ?? [])
      .map((part) => (typeof part === 'object' ? part.key : part))
      .map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`))
      .join('');
    return { path, words: result.issues.map((issue) => issue.message).join('; ') };
  } catch (error) {
    return { path: '', words: error instanceof Error ? error.message : String(error) };
  }
}

/**
 * What travels is what was given, not what the sender's validation made of it: a schema that turns text into a number would refuse its own output at
 * the other side.
 */
function foreignCodec(schema: StandardSchemaV1): BodyCodec {
  return {
    write(out, body, path) {
      const verdict = judge(schema, body);
      if (verdict === 'async')
        throw new LanError('bad-definition', `${path}: a message schema must validate synchronously.`, { hint: 'Remove async refinements.' });
      if ('words' in verdict) throw new LanError('bad-value', `${path}${verdict.path}: ${verdict.words}.`);
      out.raw(encodePayload(body as PayloadValue));
    },
    read(input) {
      const value = decodePayload(input.rest());
      if (value === undefined) return undefined;
      const verdict = judge(schema, value);
      return verdict !== 'async' && 'value' in verdict ? { body: verdict.value } : undefined;
    },
  };
}
