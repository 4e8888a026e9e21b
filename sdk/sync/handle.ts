/**
 * The object a game assigns to. For each kind one class is built from the schema, with accessors on its prototype: no proxies, no `eval`,
 * no decorators, and an assignment costs a check, a store and a bit. Everything else lives in the `EntityCore` behind it.
 */
import type { EntityId, PeerId } from '../base/brand.ts';
import { LanError } from '../base/errors.ts';
import { noSuchField } from './definition.ts';
import type { EntityCore } from './entity.ts';
import type { NumberCodec } from './field.ts';
import type { KindSpec } from './kind.ts';

export type Listener = (value: unknown, old: unknown) => void;

const CORE = Symbol('lanista entity');
const live = Symbol('lanista values');
const state = Symbol('lanista state');
/** For `entity.ts`. What a module exports it looks up itself, too; on the hottest path its own names do. */
export const LIVE: typeof live = live;
export const STATE: typeof state = state;

/** By this name Node asks an object what to print of it: the values, and nothing of what carries them. */
const PRINTED = Symbol.for('nodejs.util.inspect.custom');

/** Sign bit of a handle's state: an assignment needs no more than its check. The bits below name what changed since the last tick. */
export const DIRECT = -0x8000_0000;
export const DIRTY = 0x7fff_ffff;

/** What an assignment needs, on the handle itself: one object less to reach for on the hottest path. */
export interface Handled {
  readonly [CORE]: EntityCore;
  [live]: Float64Array;
  [state]: number;
}

/** The core behind a handle; undefined for anything else. */
export function coreOf(handle: object): EntityCore | undefined {
  return (handle as Partial<Handled>)[CORE];
}

/**
 * The end of a prototype chain whose objects refuse what the game did not declare. A setter that is found before it never gets here, so known
 * names pay nothing for it; a plain assignment to any other name would have made a property that nobody is told of.
 * @param refusal the error for an assignment of `name` to `receiver`.
 */
function trapped(refusal: (receiver: object, name: string) => LanError): object {
  return new Proxy(
    {},
    {
      set(target, name, value, receiver: object): boolean {
        // What is kept under a symbol is somebody's own bookkeeping, and no slip of the keyboard.
        if (typeof name === 'symbol') return Reflect.set(target, name, value, receiver);
        throw refusal(receiver, name);
      },
    },
  );
}

/** Makes everything on `prototype` refuse an assignment with a sentence: what every entity has is no field. */
function seal(prototype: object, refusal: (receiver: object, name: string) => LanError): void {
  for (const [name, { get, value }] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
    if (name === 'constructor') continue;
    Object.defineProperty(prototype, name, {
      enumerable: false,
      get: get ?? (() => value as unknown),
      set(this: object) {
        throw refusal(this, name);
      },
    });
  }
}

class HandleBase implements Handled {
  readonly [CORE]: EntityCore;
  [live]: Float64Array;
  [state] = 0;

  constructor(core: EntityCore) {
    this[CORE] = core;
    this[live] = core.live;
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
    if (!core.alive) throw new LanError('closed', `${core.kind.name}.teleport: this entity was despawned.`);
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
  [PRINTED](): object {
    return this.toJSON();
  }
}

seal(HandleBase.prototype, (handle, name) => {
  const { kind } = (handle as Handled)[CORE];
  return new LanError('bad-value', `${kind.name}.${name}: every entity has this, and it cannot be assigned.`, {
    hint: `Fields are ${kind.names.join(', ')}.`,
  });
});
Object.setPrototypeOf(
  HandleBase.prototype,
  trapped((handle, name) => {
    const { kind } = (handle as Handled)[CORE];
    return noSuchField(`${kind.name}.${name}`, kind.names);
  }),
);

export function buildHandle(kind: KindSpec): new (core: EntityCore) => object {
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
    return this[live][field]!;
  };
  const setReal = function (this: Handled, value: number): void {
    const bits = this[state];
    if (bits >= 0 || typeof value !== 'number' || !(value >= min && value <= max)) return this[CORE].assign(field, value);
    this[live][field] = value;
    this[state] = bits | bit;
  };
  const setWhole = function (this: Handled, value: number): void {
    const bits = this[state];
    if (bits >= 0 || typeof value !== 'number' || !(value >= min && value <= max) || value !== Math.floor(value))
      return this[CORE].assign(field, value);
    this[live][field] = value;
    this[state] = bits | bit;
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

class ViewBase {
  readonly [CORE]: EntityCore;
  constructor(core: EntityCore) {
    this[CORE] = core;
  }
  toJSON(): Record<string, unknown> {
    const core = this[CORE];
    return Object.fromEntries(core.kind.names.map((name, i) => [name, core.viewValue(i)]));
  }
  [PRINTED](): object {
    return this.toJSON();
  }
}
seal(ViewBase.prototype, (view, name) => {
  const { kind } = (view as Handled)[CORE];
  return noSuchField(`${kind.name}.view.${name}`, kind.names);
});
Object.setPrototypeOf(
  ViewBase.prototype,
  trapped((view, name) => {
    const { kind } = (view as Handled)[CORE];
    return noSuchField(`${kind.name}.view.${name}`, kind.names);
  }),
);

export function buildView(kind: KindSpec): new (core: EntityCore) => object {
  class View extends ViewBase {}
  kind.names.forEach((name, i) => {
    Object.defineProperty(View.prototype, name, {
      enumerable: true,
      get(this: Handled): unknown {
        return this[CORE].viewValue(i);
      },
      set(this: Handled) {
        throw new LanError('bad-value', `${kind.name}.view.${name}: what is drawn cannot be assigned.`, { hint: 'Assign to the entity itself.' });
      },
    });
  });
  return View;
}
