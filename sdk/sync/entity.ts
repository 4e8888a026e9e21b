/**
 * Entities: the object a game assigns to, and the core behind it.
 *
 * For each kind one class is built from the schema, with accessors on its prototype: no proxies, no `eval`, no decorators,
 * and an assignment costs a check, a store and a bit. The game holds the handle; everything else lives in `EntityCore`.
 *
 *   handle.x = 41 ──► live[0] = 41, state |= 1 ──(tick)──► core.ints[0] = 656, changed[0] = tick, a row in the track
 *   frame arrives ──► core.ints, core.live, a row in the track ──► handle.x, handle.view.x (between rows)
 */
import type { EntityId, PeerId } from '../base/brand.ts';
import { disposable } from '../base/emitter.ts';
import { LanError } from '../base/errors.ts';
import type { AnyEntityDef } from './definition.ts';
import { show } from './definition.ts';
import type { FieldSpec, NumberCodec } from './field.ts';
import { specOf } from './field.ts';
import type { Playout } from './interpolation.ts';
import { decay, sampleField } from './interpolation.ts';
import { Track } from './track.ts';

/** What a core needs of the store that holds it. */
export interface EntityHome {
  /** Room time now, ms. */
  roomTime(): number;
  despawn(core: EntityCore): void;
  requestAuthority(core: EntityCore, options: { readonly timeoutMs?: number; readonly signal?: AbortSignal }): Promise<object | undefined>;
}

/** Where a remote entity's snapshots come from. */
export interface SnapshotSource {
  readonly playout: Playout;
  /** Newest tick of which everything arrived; what is not in it has not changed. */
  completeTick: number;
}

export class KindSpec {
  readonly index: number;
  readonly name: string;
  readonly def: AnyEntityDef;
  readonly fields: readonly FieldSpec[];
  readonly names: readonly string[];
  readonly count: number;
  /** Index of the velocity field of each field, or -1. */
  readonly velocity: readonly number[];
  /** Sampled every so many ticks of the room's state rate. */
  readonly every: number;
  readonly moves: boolean;
  /** Per field how it is quantised without a call: `scale` > 0 on a grid from `base`, 0 a whole number as it is, < 0 by its codec. */
  readonly scale: Float64Array;
  readonly base: Float64Array;
  /** Per field the bits after which its integer wraps, 0 for none, -1 for a field that is no integer. */
  readonly wraps: Int8Array;
  readonly Handle: new (core: EntityCore) => object;
  readonly View: new (core: EntityCore) => object;

  constructor(index: number, name: string, def: AnyEntityDef, stateHz: number) {
    this.index = index;
    this.name = name;
    this.def = def;
    this.names = Object.keys(def.fields);
    this.fields = this.names.map((field) => specOf(def.fields[field]));
    this.count = this.names.length;
    this.velocity = this.fields.map((field) => (field.velocity === undefined ? -1 : this.names.indexOf(field.velocity)));
    this.every = Math.max(1, Math.round(stateHz / def.rate));
    this.moves = this.fields.some((field) => field.lerpMode !== 'step');
    this.scale = new Float64Array(this.count).fill(-1);
    this.base = new Float64Array(this.count);
    this.wraps = Int8Array.from(this.fields, ({ codec }) => (codec.storage === 'number' ? codec.wrapBits : -1));
    this.fields.forEach(({ codec }, i) => {
      if (codec.storage !== 'number') return;
      if (codec.grid !== undefined) {
        this.scale[i] = codec.grid;
        this.base[i] = codec.min;
      } else if (codec.whole) this.scale[i] = 0;
    });
    this.Handle = buildHandle(this);
    this.View = buildView(this);
  }
}

type Listener = (value: unknown, old: unknown) => void;

const CORE = Symbol('lanista entity');
const LIVE = Symbol('lanista values');
const STATE = Symbol('lanista state');

/** Sign bit of a handle's state: an assignment needs no more than its check. The bits below name what changed since the last tick. */
const DIRECT = -0x8000_0000;
const DIRTY = 0x7fff_ffff;

/** What an assignment needs, on the handle itself: one object less to reach for on the hottest path. */
interface Handled {
  readonly [CORE]: EntityCore;
  readonly [LIVE]: Float64Array;
  [STATE]: number;
}

export class EntityCore {
  readonly id: EntityId;
  readonly origin: number;
  readonly counter: number;
  readonly kind: KindSpec;
  readonly home: EntityHome;
  readonly handle: object;
  readonly #handled: Handled;
  readonly live: Float64Array;
  /** Quantised values as last sent or received; the last one counts teleports. */
  readonly ints: Int32Array;
  readonly boxed: unknown[];
  /** Tick of the last change of each field, and of the teleport count. */
  readonly changed: Int32Array;
  readonly track: Track;
  owner: PeerId;
  /** Grows with each change of authority; a higher one wins, ties go to the lower owner. */
  epoch = 0;
  #mine = false;
  #alive = true;
  /** Tick since which the present owner's stream has carried it. */
  bornTick = -1;
  lastChange = -1;
  source: SnapshotSource | undefined;
  /** Given to another peer, whose own word about it has not come yet: if it turns out not to have it, it is ours again. */
  given = false;
  /** Sent by a host whose state has to give way: the next host's word replaces it whatever its epoch. */
  yielded = false;
  #view: object | undefined;
  #listeners: (Listener[] | undefined)[] | undefined;
  /** Errors of what was drawn last, still to be smoothed away, and when they were measured. */
  #offsets: Float64Array | undefined;
  #offsetAt = 0;
  #viewedAt = Number.NEGATIVE_INFINITY;

  constructor(home: EntityHome, kind: KindSpec, origin: number, counter: number, owner: PeerId) {
    this.home = home;
    this.kind = kind;
    this.origin = origin;
    this.counter = counter;
    this.id = (origin * 0x10_0000 + counter) as EntityId;
    this.owner = owner;
    this.live = new Float64Array(kind.count);
    this.ints = new Int32Array(kind.count + 1);
    this.boxed = [];
    for (let i = 0; i < kind.count; i++) this.boxed.push(undefined);
    this.changed = new Int32Array(kind.count + 1).fill(-1);
    this.track = new Track(kind.count + 1);
    this.handle = new kind.Handle(this);
    this.#handled = this.handle as Handled;
  }

  /** Bit per field assigned since the last collection; bit `count` is a teleport. */
  get dirty(): number {
    return this.#handled[STATE] & DIRTY;
  }

  clean(): void {
    this.#handled[STATE] &= DIRECT;
  }

  mark(bit: number): void {
    this.#handled[STATE] |= bit;
  }

  get mine(): boolean {
    return this.#mine;
  }
  set mine(value: boolean) {
    this.#mine = value;
    this.#settle();
  }

  get alive(): boolean {
    return this.#alive;
  }
  set alive(value: boolean) {
    this.#alive = value;
    this.#settle();
  }

  /** Ours, alive, and nobody to tell: one test instead of three when the game assigns. */
  #settle(): void {
    const direct = this.#mine && this.#alive && this.#listeners === undefined;
    this.#handled[STATE] = this.dirty | (direct ? DIRECT : 0);
  }

  get watched(): boolean {
    return this.#listeners !== undefined;
  }

  /** The game's value of a field, newest. */
  value(field: number): unknown {
    const { codec } = this.kind.fields[field]!;
    return codec.storage === 'boxed' ? this.boxed[field] : codec.fromLive(this.live[field]!);
  }

  /** Assigns any field; the general path. Throws `bad-value`, `not-owner`, `closed`. */
  assign(field: number, value: unknown): void {
    const { kind } = this;
    const spec = kind.fields[field]!;
    const path = `${kind.name}.${kind.names[field]}`;
    if (!this.alive) throw new LanError('closed', `${path}: this entity was despawned.`);
    if (!this.mine)
      throw new LanError('not-owner', `${path}: ${this.owner} has authority over this entity.`, {
        hint: 'Check `mine` first, or ask with requestAuthority().',
      });
    const expected = spec.check(value);
    if (expected !== undefined) throw new LanError('bad-value', `${path}: expected ${expected}, got ${show(value)}.`);
    const { codec } = spec;
    const old = this.#listeners?.[field] === undefined ? undefined : this.value(field);
    if (codec.storage === 'boxed') {
      if (this.boxed[field] !== undefined && codec.same(this.boxed[field], value)) return;
      this.boxed[field] = codec.keep(value);
    } else {
      const live = codec.toLive(value);
      if (this.live[field] === live) return;
      this.live[field] = live;
    }
    this.mark(1 << field);
    if (this.#listeners?.[field] !== undefined) this.changedValue(field, old);
  }

  /** Tells whoever watches that a field changed. */
  changedValue(field: number, old: unknown): void {
    const list = this.#listeners?.[field];
    if (list === undefined) return;
    const value = this.value(field);
    for (const listener of [...list]) listener(value, old);
  }

  onChange(name: string, listener: Listener): Disposable {
    const field = this.kind.names.indexOf(name);
    if (field < 0) throw new LanError('unknown-name', `${this.kind.name} has no field '${name}'.`, { hint: `It has ${this.kind.names.join(', ')}.` });
    this.#listeners ??= [];
    this.#settle();
    const list = (this.#listeners[field] ??= []);
    list.push(listener);
    return disposable(() => {
      const at = list.indexOf(listener);
      if (at >= 0) list.splice(at, 1);
    });
  }

  get view(): object {
    return (this.#view ??= new this.kind.View(this));
  }

  viewTime(now: number): number {
    const { source } = this;
    if (this.mine || source === undefined) return now;
    // Kinds sampled less often need a longer look back: one interval of theirs instead of one tick.
    return source.playout.viewTime(now) - (this.kind.every - 1) * this.#tickMs();
  }

  #tickMs(): number {
    return 1_000 / (this.kind.def.rate * this.kind.every);
  }

  get restTick(): number {
    const complete = this.source?.completeTick ?? -1;
    return complete - (complete % this.kind.every);
  }

  viewValue(field: number): unknown {
    const { codec } = this.kind.fields[field]!;
    if (codec.storage === 'boxed') return this.boxed[field];
    if (this.mine || this.source === undefined) return codec.fromLive(this.live[field]!);
    const now = this.home.roomTime();
    this.#viewedAt = now;
    return codec.fromLive(this.#shown(field, now));
  }

  #shown(field: number, now: number): number {
    const at = sampleField(this, field, this.viewTime(now), this.restTick);
    const offset = this.#offsets?.[field] ?? 0;
    return offset === 0 ? at : at + offset * decay(now - this.#offsetAt);
  }

  /**
   * Runs `apply`, which adds snapshots, and remembers how far that moves what is on screen, so that it glides there.
   * Only for entities somebody draws, and not over a teleport.
   */
  smoothly(now: number, apply: () => void): void {
    if (!this.kind.moves || now - this.#viewedAt > 250) {
      this.#offsets = undefined;
      return apply();
    }
    const { count, fields } = this.kind;
    const before = new Float64Array(count);
    for (let i = 0; i < count; i++) if (fields[i]!.lerpMode !== 'step') before[i] = this.#shown(i, now);
    const hop = this.ints[count];
    apply();
    this.#offsets = undefined;
    if (this.ints[count] !== hop) return;
    const offsets = new Float64Array(count);
    for (let i = 0; i < count; i++) {
      if (fields[i]!.lerpMode === 'step') continue;
      let error = before[i]! - this.#shown(i, now);
      if (fields[i]!.lerpMode === 'angle') error = Math.atan2(Math.sin(error), Math.cos(error));
      offsets[i] = error;
    }
    this.#offsets = offsets;
    this.#offsetAt = now;
  }

  at(time: number): object | undefined {
    const { track, kind } = this;
    const now = this.home.roomTime();
    if (track.size === 0 || time < track.time(track.size - 1) || time > now) return undefined;
    const out: Record<string, unknown> = {};
    for (let i = 0; i < kind.count; i++) {
      const { codec } = kind.fields[i]!;
      // An own entity is at rest since its newest row, by definition: a later row would be there otherwise.
      out[kind.names[i]!] =
        codec.storage === 'boxed' ? this.boxed[i] : codec.fromLive(sampleField(this, i, time, this.mine ? Number.MAX_SAFE_INTEGER : this.restTick));
    }
    return out;
  }
}

/** The core behind a handle; undefined for anything else. */
export function coreOf(handle: object): EntityCore | undefined {
  return (handle as Partial<Handled>)[CORE];
}

class HandleBase implements Handled {
  readonly [CORE]: EntityCore;
  readonly [LIVE]: Float64Array;
  [STATE] = 0;

  constructor(core: EntityCore) {
    this[CORE] = core;
    this[LIVE] = core.live;
  }

  get id(): EntityId {
    return this[CORE].id;
  }
  get kind(): string {
    return this[CORE].kind.name;
  }
  get owner(): PeerId {
    return this[CORE].owner;
  }
  get mine(): boolean {
    return this[CORE].mine;
  }
  get alive(): boolean {
    return this[CORE].alive;
  }
  get view(): object {
    return this[CORE].view;
  }
  get viewTime(): number {
    return this[CORE].viewTime(this[CORE].home.roomTime());
  }
  at(time: number): object | undefined {
    return this[CORE].at(time);
  }
  onChange(field: string, listener: Listener): Disposable {
    return this[CORE].onChange(field, listener);
  }
  despawn(): void {
    this[CORE].home.despawn(this[CORE]);
  }
  teleport(): void {
    const core = this[CORE];
    if (!core.mine) throw new LanError('not-owner', `${core.kind.name}.teleport: ${core.owner} has authority over this entity.`);
    core.mark(1 << core.kind.count);
  }
  requestAuthority(options: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {}): Promise<object | undefined> {
    return this[CORE].home.requestAuthority(this[CORE], options);
  }
  toJSON(): Record<string, unknown> {
    const core = this[CORE];
    const out: Record<string, unknown> = { id: core.id, kind: core.kind.name, owner: core.owner };
    core.kind.names.forEach((name, i) => (out[name] = core.value(i)));
    return out;
  }
}

function buildHandle(kind: KindSpec): new (core: EntityCore) => object {
  class Handle extends HandleBase {}
  kind.fields.forEach((field, i) => {
    const { codec } = field;
    Object.defineProperty(
      Handle.prototype,
      kind.names[i]!,
      codec.storage === 'boxed' ? boxedAccessor(i) : codec.plain ? plainAccessor(i, codec) : choiceAccessor(i, codec),
    );
  });
  return Handle;
}

/**
 * The hot path: a number of the game kept as it is, and a bit. It allocates nothing, calls nothing and compares with nothing: whether the value
 * on the wire changed is asked once a tick. Whole numbers have a setter of their own, so that neither pays for the other.
 */
function plainAccessor(field: number, codec: NumberCodec): PropertyDescriptor {
  const { min, max } = codec;
  const bit = 1 << field;
  const get = function (this: Handled): number {
    return this[LIVE][field]!;
  };
  const setReal = function (this: Handled, value: number): void {
    const state = this[STATE];
    if (state >= 0 || typeof value !== 'number' || !(value >= min && value <= max)) return this[CORE].assign(field, value);
    this[LIVE][field] = value;
    this[STATE] = state | bit;
  };
  const setWhole = function (this: Handled, value: number): void {
    const state = this[STATE];
    if (state >= 0 || typeof value !== 'number' || !(value >= min && value <= max) || value !== Math.floor(value))
      return this[CORE].assign(field, value);
    this[LIVE][field] = value;
    this[STATE] = state | bit;
  };
  return { enumerable: true, get, set: codec.whole ? setWhole : setReal };
}

function choiceAccessor(field: number, codec: NumberCodec): PropertyDescriptor {
  return {
    enumerable: true,
    get(this: Handled): unknown {
      return codec.fromLive(this[CORE].live[field]!);
    },
    set(this: Handled, value: unknown) {
      this[CORE].assign(field, value);
    },
  };
}

function boxedAccessor(field: number): PropertyDescriptor {
  return {
    enumerable: true,
    get(this: Handled): unknown {
      return this[CORE].boxed[field];
    },
    set(this: Handled, value: unknown) {
      this[CORE].assign(field, value);
    },
  };
}

function buildView(kind: KindSpec): new (core: EntityCore) => object {
  class View {
    readonly [CORE]: EntityCore;
    constructor(core: EntityCore) {
      this[CORE] = core;
    }
  }
  kind.names.forEach((name, i) => {
    Object.defineProperty(View.prototype, name, {
      enumerable: true,
      get(this: Handled): unknown {
        return this[CORE].viewValue(i);
      },
    });
  });
  return View;
}

/** Sets every field of a new entity from what `spawn` was given. Throws `bad-value` with the field's path. */
export function initialise(core: EntityCore, init: Readonly<Record<string, unknown>>): void {
  const { kind } = core;
  for (const name of Object.keys(init))
    if (!kind.names.includes(name))
      throw new LanError('bad-value', `${kind.name}.${name}: there is no such field.`, { hint: `Fields are ${kind.names.join(', ')}.` });
  for (let i = 0; i < kind.count; i++) {
    const spec = kind.fields[i]!;
    const given = init[kind.names[i]!];
    const value = given === undefined ? spec.initial : given;
    const expected = spec.check(value);
    if (expected !== undefined) throw new LanError('bad-value', `${kind.name}.${kind.names[i]}: expected ${expected}, got ${show(value)}.`);
    const { codec } = spec;
    if (codec.storage === 'boxed') core.boxed[i] = codec.keep(value);
    else core.live[i] = codec.toLive(value);
  }
}
