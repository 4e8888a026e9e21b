/**
 * What a game declares: entity kinds, messages, requests and presence. Pure data; the order of
 * declaration gives every name its number on the wire, so minifiers are harmless.
 */
import { LanError } from '../base/errors.ts';
import { MAX_ENTITY_FIELDS, MAX_GAME_ID_BYTES, MAX_KINDS, MAX_MESSAGE_BYTES, MAX_PRIORITY, MIN_PRIORITY } from '../wire/limits.ts';
import { hashText } from './hash.ts';
import type { Field, Fields, Flaw, Infer, Init } from './field.ts';
import { maxBytesOf, specOf } from './field.ts';
import type { InputOf, OutputOf, StandardSchemaV1 } from './standard-schema.ts';
import { isStandardSchema } from './standard-schema.ts';

/** Whose word decides an entity: its creator's, the current host's, or whoever holds it now. */
export type Authority = 'spawner' | 'host' | 'distributed';
/**
 * How authority moves while its owner is present. `request`: the owner is asked, and gives it unless its watcher's `request` returns false. `take`: whoever
 * asks has it at once; of two who take it in the same moment both do, until they hear of each other, and then the same one everywhere.
 */
export type Transfer = 'never' | 'request' | 'take';
export type OnOwnerLeave = 'despawn' | 'host' | 'redistribute';
export type Delivery = 'reliable' | 'sequenced' | 'unreliable';

export interface EntityDef<F extends Fields = Fields, A extends Authority = Authority> {
  readonly fields: F;
  readonly authority: A;
  readonly transfer: Transfer;
  readonly onOwnerLeave: OnOwnerLeave;
  /** Snapshots per second, 1 to 60. */
  readonly rate: number;
  /** Under a state budget: how fast its turn comes. */
  readonly priority: number;
}

export interface EntityOptions<F extends Fields, A extends Authority> {
  /** 1 to 28 fields of `s`, by name; full to their bounds they may take 262,000 bytes together. */
  readonly fields: F;
  /** Whose word decides it: its creator's, the current host's, or whoever's it is now. */
  readonly authority: A;
  /** How it gets another owner while its owner is here. Default `never`; `request` for `distributed`. */
  readonly transfer?: Transfer;
  /** What becomes of it when its owner leaves; of a `distributed` one when its owner is `away` already. Default `despawn` for `spawner`, `host` for `host`, `redistribute` for `distributed`. */
  readonly onOwnerLeave?: OnOwnerLeave;
  /** Snapshots per second, 1 to 60; default 30. What is used is the fastest kind's rate divided by the nearest whole number. */
  readonly rate?: number;
  /**
   * Under `room.setStateBudget`: what an entity of this kind gains each tick until it is told, 0.01 to 1,000; default 1. Of two kinds that change all the
   * time, one with four times the priority is told about four times as often. Without a budget it means nothing.
   */
  readonly priority?: number;
}

export interface MessageOptions {
  /**
   * `reliable` (the default): once, in order, up to 262,144 bytes. `sequenced`: perhaps never, and an older one never after a newer. `unreliable`: perhaps
   * never, in any order. The last two carry up to 1,100 bytes. Each counts with its head of at most 13.
   */
  readonly delivery?: Delivery;
  /** `unreliable` and `sequenced`: how often the same message is sent, 1 to 8, one tick apart; default 1. */
  readonly redundancy?: number;
}

/** `Given` is what `send` takes, `T` what arrives: they differ by defaults, and by what a foreign schema makes of its input. */
export interface MessageDef<T, Given = T> {
  readonly body: Fields | StandardSchemaV1<unknown, T>;
  readonly delivery: Delivery;
  readonly redundancy: number;
  /** Type only. */
  readonly '~body'?: T;
  /** Type only. */
  readonly '~given'?: Given;
}

export type RequestTarget = 'host' | 'peer' | 'owner';

/** As for messages: what `call` takes and what the handler gets of it, what the handler returns and what the caller gets of it. */
export interface RequestDef<I, O, GivenI = I, GivenO = O, To extends RequestTarget = RequestTarget> {
  readonly input: Fields | StandardSchemaV1<unknown, I>;
  readonly output: Fields | StandardSchemaV1<unknown, O>;
  readonly to: To;
  /** Type only. */
  readonly '~input'?: I;
  readonly '~output'?: O;
  /** Type only. */
  readonly '~given'?: readonly [GivenI, GivenO];
}

/** The body a `Fields` record or a Standard Schema describes, as it arrives. */
export type BodyOf<B> = B extends StandardSchemaV1 ? OutputOf<B> : B extends Fields ? Readonly<Infer<B>> : never;

/** The same body as it is given: fields with a default may be left out. */
export type GivenOf<B> = B extends StandardSchemaV1 ? InputOf<B> : B extends Fields ? Readonly<Init<B>> : never;

export type AnyEntityDef = EntityDef<any, any>;
type EntityDefs = Readonly<Record<string, AnyEntityDef>>;
type MessageDefs = Readonly<Record<string, MessageDef<any, any>>>;
type RequestDefs = Readonly<Record<string, RequestDef<any, any, any, any>>>;

export interface Game<
  P extends Fields = Fields,
  E extends EntityDefs = EntityDefs,
  M extends MessageDefs = MessageDefs,
  R extends RequestDefs = RequestDefs,
> {
  readonly id: string;
  readonly version: number;
  readonly presence: P;
  readonly entities: E;
  readonly messages: M;
  readonly requests: R;
  /** u32 over everything that must be equal on both sides. */
  readonly schemaHash: number;
  /** Ticks of state per second: the fastest rate of all kinds. */
  readonly stateHz: number;
}

export type AnyGame = Game<any, any, any, any>;

const NAME = /^[A-Za-z_$][A-Za-z0-9_$-]*$/;
const RESERVED = new Set([
  'id',
  'kind',
  'owner',
  'mine',
  'view',
  'viewTime',
  'at',
  'onChange',
  'teleport',
  'despawn',
  'requestAuthority',
  'alive',
  'constructor',
  '__proto__',
  'prototype',
  'toString',
  'valueOf',
  'hasOwnProperty',
  'toJSON',
  'then',
]);

/** Of the largest message: room for what it says besides the values of one entity, or one presence. */
const HEAD_BYTES = 144;

const ENTITY_KEYS: readonly (keyof EntityOptions<Fields, Authority>)[] = ['fields', 'authority', 'transfer', 'onOwnerLeave', 'rate', 'priority'];
const MESSAGE_KEYS: readonly (keyof MessageOptions)[] = ['delivery', 'redundancy'];
const GAME_KEYS = ['id', 'version', 'presence', 'entities', 'messages', 'requests'] as const;
/** What a game that is spread into another definition brings with it; made anew. */
const DERIVED_KEYS: readonly (keyof Game)[] = ['schemaHash', 'stateHz'];

/** Declares a kind of entity, of 1 to 28 fields that take 262,000 bytes at most. Throws `bad-definition`. */
export function entity<F extends Fields, const A extends Authority>(options: EntityOptions<F, A>): EntityDef<F, A> {
  checkOptions('entity', options, ENTITY_KEYS);
  const { fields, authority } = options;
  checkFields(fields, 'entity fields');
  const names = Object.keys(fields);
  if (names.length === 0 || names.length > MAX_ENTITY_FIELDS)
    throw bad(`an entity has 1 to ${MAX_ENTITY_FIELDS} fields, got ${names.length}`, 'Put rarely changing groups into a list, or split the entity.');
  checkWhole(fields, 'an entity', 'Bound its lists and texts lower, or split the entity.');
  for (const name of names) {
    if (RESERVED.has(name)) throw bad(`'${name}' cannot be a field of an entity: every entity already has it`, 'Pick another name.');
    const { velocity } = specOf(fields[name]!);
    if (velocity === undefined) continue;
    const codec = Object.hasOwn(fields, velocity) ? specOf(fields[velocity]!).codec : undefined;
    // A choice or a flag is kept as a number, and is no speed.
    if (codec?.storage !== 'number' || !codec.plain)
      throw bad(`field '${name}' names ${show(velocity)} as its velocity, and there is no such number field`, '');
  }
  if (!['spawner', 'host', 'distributed'].includes(authority))
    throw bad(`authority: expected 'spawner', 'host' or 'distributed', got ${show(authority)}`, '');
  const { transfer: asked, onOwnerLeave: left } = options;
  if (asked !== undefined && !['never', 'request', 'take'].includes(asked))
    throw bad(`transfer: expected 'never', 'request' or 'take', got ${show(asked)}`, '');
  if (left !== undefined && !['despawn', 'host', 'redistribute'].includes(left))
    throw bad(`onOwnerLeave: expected 'despawn', 'host' or 'redistribute', got ${show(left)}`, '');
  if (authority === 'host' && ((asked ?? 'never') !== 'never' || (left ?? 'host') !== 'host'))
    throw bad("authority 'host': such an entity is always the host's, and moves with its duties", "Use 'distributed' for what others may have.");
  const rate = options.rate ?? 30;
  if (!(rate >= 1 && rate <= 60)) throw bad(`rate: expected 1 to 60 per second, got ${show(rate)}`, '');
  const priority = options.priority ?? 1;
  if (!(priority >= MIN_PRIORITY && priority <= MAX_PRIORITY))
    throw bad(`priority: expected ${MIN_PRIORITY} to ${MAX_PRIORITY}, got ${show(priority)}`, '');
  const onOwnerLeave = options.onOwnerLeave ?? (authority === 'spawner' ? 'despawn' : authority === 'host' ? 'host' : 'redistribute');
  const transfer = options.transfer ?? (authority === 'distributed' ? 'request' : 'never');
  return Object.freeze({ fields, authority, transfer, onOwnerLeave, rate, priority });
}

/**
 * Declares a message by fields, or by any Standard Schema whose validation is synchronous. What is given to `send` is what travels; it is validated on
 * both sides, and the receiver's game gets the output of its validation. Throws `bad-definition`.
 */
export function message<const B extends Fields | StandardSchemaV1>(body: B, options: MessageOptions = {}): MessageDef<BodyOf<B>, GivenOf<B>> {
  checkOptions('message', options, MESSAGE_KEYS);
  const delivery = options.delivery ?? 'reliable';
  const redundancy = options.redundancy ?? 1;
  if (!isStandardSchema(body)) checkFields(body as Fields, 'message');
  if (!['reliable', 'sequenced', 'unreliable'].includes(delivery))
    throw bad(`delivery: expected 'reliable', 'sequenced' or 'unreliable', got ${show(delivery)}`, '');
  if (!Number.isInteger(redundancy) || redundancy < 1 || redundancy > 8) throw bad(`redundancy: expected 1 to 8, got ${show(redundancy)}`, '');
  if (redundancy > 1 && delivery === 'reliable')
    throw bad(`redundancy: a 'reliable' message arrives once by itself, got ${redundancy}`, "Leave it out, or send it 'unreliable' or 'sequenced'.");
  return Object.freeze({ body: body as Fields | StandardSchemaV1<unknown, BodyOf<B>>, delivery, redundancy });
}

/**
 * Declares a question and its answer, each of at most 262,144 bytes. `to`: whom `call` asks. `host`: whoever is host, by itself; `peer` (the default) and
 * `owner`: whom the caller names. Throws `bad-definition`.
 */
export function request<
  const I extends Fields | StandardSchemaV1,
  const O extends Fields | StandardSchemaV1,
  const To extends RequestTarget = 'peer',
>(input: I, output: O, options: { readonly to?: To } = {}): RequestDef<BodyOf<I>, BodyOf<O>, GivenOf<I>, GivenOf<O>, To> {
  checkOptions('request', options, ['to']);
  const to = options.to ?? ('peer' as To);
  if (!['host', 'peer', 'owner'].includes(to)) throw bad(`to: expected 'host', 'peer' or 'owner', got ${show(to)}`, '');
  if (!isStandardSchema(input)) checkFields(input as Fields, 'request');
  if (!isStandardSchema(output)) checkFields(output as Fields, 'answer');
  return Object.freeze({
    input: input as Fields | StandardSchemaV1<unknown, BodyOf<I>>,
    output: output as Fields | StandardSchemaV1<unknown, BodyOf<O>>,
    to,
  });
}

/**
 * Declares a game. Both sides of a room must declare the same, which `schemaHash` checks at the door.
 *
 * `id`: 1 to 32 characters of a-z, 0-9 and `-`, and no `-` first; games of different ids do not see each other. `version`: a whole number from 0 to 65,535;
 * rooms of another are listed, and cannot be joined. At most 127 entity kinds, messages and requests each; all groups may be left out.
 * Throws `bad-definition`.
 */
export function defineGame<
  const P extends Fields = Record<never, never>,
  const E extends EntityDefs = Record<never, never>,
  const M extends MessageDefs = Record<never, never>,
  const R extends RequestDefs = Record<never, never>,
>(init: {
  readonly id: string;
  readonly version: number;
  readonly presence?: P;
  readonly entities?: E;
  readonly messages?: M;
  readonly requests?: R;
}): Game<P, E, M, R> {
  checkOptions('defineGame', init, GAME_KEYS, DERIVED_KEYS);
  const { id, version } = init;
  if (typeof id !== 'string' || !/^[a-z0-9][a-z0-9-]*$/.test(id) || id.length > MAX_GAME_ID_BYTES)
    throw bad(`id: expected 1 to ${MAX_GAME_ID_BYTES} characters of a-z, 0-9 and '-', got ${show(id)}`, '');
  if (!Number.isInteger(version) || version < 0 || version > 0xffff)
    throw bad(`version: expected a whole number from 0 to 65535, got ${show(version)}`, '');
  const presence = (init.presence ?? {}) as P;
  const entities = (init.entities ?? {}) as E;
  const messages = (init.messages ?? {}) as M;
  const requests = (init.requests ?? {}) as R;
  checkFields(presence, 'presence');
  checkWhole(presence, 'presence', 'Bound its lists and texts lower.');
  for (const [what, group] of Object.entries({ entities, messages, requests })) {
    if (typeof group !== 'object' || group === null) throw bad(`${what}: expected an object, got ${show(group)}`, '');
    const names = Object.keys(group);
    if (names.length > MAX_KINDS) throw bad(`${what}: at most ${MAX_KINDS}, got ${names.length}`, '');
    for (const name of names) {
      if (!NAME.test(name)) throw bad(`${what}: '${name}' cannot be a name`, 'Use letters, digits, _ and -.');
      checkMade(`${what}.${name}`, group[name], MADE_BY[what as keyof typeof MADE_BY]);
    }
  }
  checkRefs(presence, entities, messages, requests);
  const stateHz = Object.values<AnyEntityDef>(entities).reduce((most, def) => Math.max(most, def.rate), 1);
  const game: Omit<Game<P, E, M, R>, 'schemaHash'> = {
    id,
    version,
    presence,
    entities,
    messages,
    requests,
    stateHz: Object.keys(entities).length === 0 ? 30 : stateHz,
  };
  return Object.freeze({ ...game, schemaHash: hashText(signatureOf(game)) });
}

/** Everything both sides must agree on, as text. A foreign schema counts by its place only: its rules are code. */
function signatureOf(game: Omit<AnyGame, 'schemaHash'>): string {
  const body = (of: Fields | StandardSchemaV1): string => (isStandardSchema(of) ? 'any' : fieldsSignature(of));
  const lines = [`lanista sync 1`, `presence ${fieldsSignature(game.presence)}`];
  for (const [name, def] of Object.entries<AnyEntityDef>(game.entities))
    lines.push(`entity ${name} ${def.authority} ${def.transfer} ${def.onOwnerLeave} ${def.rate} ${fieldsSignature(def.fields)}`);
  for (const [name, def] of Object.entries<MessageDef<unknown>>(game.messages)) lines.push(`message ${name} ${def.delivery} ${body(def.body)}`);
  for (const [name, def] of Object.entries<RequestDef<unknown, unknown>>(game.requests))
    lines.push(`request ${name} ${def.to} ${body(def.input)} ${body(def.output)}`);
  return lines.join('\n');
}

function fieldsSignature(fields: Fields): string {
  return Object.entries(fields)
    .map(([name, field]) => `${name}:${specOf(field).signature}`)
    .join(',');
}

/** By what each group's definitions are made, and what only such have. */
const MADE_BY = {
  entities: { maker: 'entity', sign: 'rate' },
  messages: { maker: 'message', sign: 'delivery' },
  requests: { maker: 'request', sign: 'to' },
} as const;

function checkMade(where: string, def: unknown, { maker, sign }: { readonly maker: string; readonly sign: string }): void {
  if (typeof def !== 'object' || def === null || !(sign in def) || specOf((def as Record<string, never>)[sign]!)?.codec !== undefined)
    throw bad(`${where}: expected what ${maker}() makes, got ${show(def)}`, `Write ${maker}(…).`);
}

/** Refuses a `ref` to a kind that is not declared: it could only ever be null. */
function checkRefs(presence: Fields, entities: EntityDefs, messages: MessageDefs, requests: RequestDefs): void {
  const check = (where: string, fields: Fields | StandardSchemaV1): void => {
    if (isStandardSchema(fields)) return;
    for (const [name, field] of Object.entries(fields)) {
      const { refersTo } = specOf(field);
      if (refersTo !== undefined && !Object.hasOwn(entities, refersTo))
        throw bad(`${where}.${name}: there is no entity kind '${refersTo}' to refer to`, `Kinds are ${Object.keys(entities).join(', ')}.`);
    }
  };
  check('presence', presence);
  for (const [name, def] of Object.entries(entities)) check(`entities.${name}`, def.fields as Fields);
  for (const [name, def] of Object.entries(messages)) check(`messages.${name}`, def.body);
  for (const [name, def] of Object.entries(requests)) {
    check(`requests.${name} input`, def.input);
    check(`requests.${name} output`, def.output);
  }
}

function checkFields(fields: Fields, where: string): void {
  if (typeof fields !== 'object' || fields === null)
    throw bad(`${where}: expected an object of fields, got ${show(fields)}`, 'Write { x: s.u8(), … }.');
  for (const [name, field] of Object.entries<Field<unknown, boolean>>(fields)) {
    if (!NAME.test(name) || name === '__proto__' || name === 'constructor')
      throw bad(`${where}: '${name}' cannot be the name of a field`, 'Use letters, digits and _.');
    checkField(`${where}.${name}`, field);
  }
}

/** Refuses fields whose values may together be more than one message carries: who came to that would be heard by nobody any more. */
function checkWhole(fields: Fields, what: string, hint: string): void {
  const most = Object.values<Field<unknown, boolean>>(fields).reduce((sum, field) => sum + maxBytesOf(specOf(field).codec), 0);
  if (most > MAX_MESSAGE_BYTES - HEAD_BYTES)
    throw bad(`${what} may take ${MAX_MESSAGE_BYTES - HEAD_BYTES} bytes at most, got fields that take up to ${most}`, hint);
}

/** Refuses options that are none, and a name that is not among `known`: what is misspelt would be left out without a word. */
export function checkOptions(what: string, options: unknown, known: readonly string[], passed: readonly string[] = []): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) throw bad(`${what}: expected an object, got ${show(options)}`, '');
  for (const name of Object.keys(options))
    if (!known.includes(name) && !passed.includes(name)) throw bad(`${what}: there is no '${name}'`, `It takes ${known.join(', ')}.`);
}

/** As `checkOptions`, for a call of a room or a lan: `bad-argument`. */
export function checkCall(what: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    throw new LanError('bad-argument', `${what}: expected options, got ${show(options)}.`, { hint: `They are ${known.join(', ')}.` });
  for (const name of Object.keys(options))
    if (!known.includes(name))
      throw new LanError('bad-argument', `${what}: there is no option '${name}'.`, { hint: `It takes ${known.join(', ')}.` });
}

/** Refuses what only counts as true or false: 'no' would be a yes. */
export function checkFlag(what: string, flag: unknown): void {
  if (typeof flag !== 'boolean') throw new LanError('bad-argument', `${what}: expected true or false, got ${show(flag)}.`);
}

/** Refuses what `s` did not make. */
export function checkField(where: string, field: unknown): void {
  if (typeof field !== 'object' || field === null || specOf(field as Field<unknown, boolean>).codec === undefined)
    throw bad(`${where}: expected a field of 's', got ${show(field)}`, 'Write s.u8(), s.text(24), ….');
}

/** Refuses names that are none, too many, or the same twice. */
export function checkNames(what: string, names: readonly string[], most: number): void {
  if (names.length === 0 || names.length > most)
    throw new LanError('bad-definition', `${what}: expected 1 to ${most} different names, got ${names.length}.`);
  const other = names.findIndex((name) => typeof name !== 'string');
  if (other >= 0) throw new LanError('bad-definition', `${what}: expected names, got ${show(names[other])}.`, { hint: `Write s.${what}('a', 'b').` });
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new LanError('bad-definition', `${what}: expected different names, got ${show(twice)} twice.`);
}

/** Refuses a bound that no field can have. */
export function checkSize(what: string, size: number, most: number): void {
  if (!Number.isInteger(size) || size < 1 || size > most)
    throw new LanError('bad-definition', `${what}: expected a bound from 1 to ${most}, got ${show(size)}.`);
}

function bad(what: string, hint: string): LanError {
  return new LanError('bad-definition', `${what}.`, hint === '' ? {} : { hint });
}

/** The refusal of a value that does not fit the field at `path`. */
export function misfit(path: string, flaw: Flaw): LanError {
  return new LanError('bad-value', `${path}${flaw.path}: expected ${flaw.expected}, got ${show(flaw.got)}.`);
}

/** The refusal of a name at `path` that is none of `names`. */
export function noSuchField(path: string, names: readonly string[]): LanError {
  return new LanError('bad-value', `${path}: there is no such field.`, { hint: `Fields are ${names.join(', ')}.` });
}

/** The hint of a refusal: what there is instead. */
export function among(what: string, names: Iterable<string>): string {
  const all = [...names];
  return all.length === 0 ? `${what}: this game declares none.` : `${what} are ${all.join(', ')}.`;
}

/** A value in an error's sentence: short, never the whole of it. */
export function show(value: unknown): string {
  if (typeof value === 'string') return `'${value.length > 40 ? `${value.slice(0, 40)}…` : value}'`;
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? `an array of ${value.length}` : 'an object';
  return String(value);
}
