/**
 * One kind of entity as the layers below the API see it: its fields by number, with what the inner loops need of each in typed arrays.
 */
import type { AnyEntityDef } from './definition.ts';
import { TAU } from './det.ts';
import type { EntityCore } from './entity.ts';
import type { FieldSpec, NumberCodec } from './field.ts';
import { maxBytesOf, specOf } from './field.ts';
import { buildHandle, buildView } from './handle.ts';
import { Shelves } from './shelf.ts';

/** Ways of a field: no integer, by its codec, a whole number as it is, on a grid, an angle. */
export const BOXED = 0;
export const CALL = 1;
const WHOLE = 2;
const GRID = 3;
const ANGLE = 4;

/** Places in the four numbers of a field in `scale`: what its live number is reckoned from, and the live number of its highest integer. */
export const BASE = 0;
export const STEP = 1;
export const RATE = 2;
export const TOP = 3;
/** Places in the four integers of a field in `bounds`; `WRAP` is the bits after which it wraps, 0 for none, and `WAY` its way. */
export const LOW = 0;
export const HIGH = 1;
export const WRAP = 2;
export const WAY = 3;

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
  /** A bit per field that is interpolated. */
  readonly movingMask: number;
  readonly moves: boolean;
  /** Bytes that all values together take at most. */
  readonly maxBytes: number;
  /** Nobody but who spawned it ever has it. */
  readonly isFixed: boolean;
  /** It is the host's, or falls to the host. */
  readonly fallsToHost: boolean;
  /** Of own entities: the newest tick at which one changed. */
  changeTick = -1;
  /** ms of one tick of the room. */
  readonly tickMs: number;
  /** Per field how it is quantised: one of the constants above. */
  readonly way: Uint8Array;
  /** A bit per field that is no integer. */
  readonly boxedMask: number;
  /** A bit per field that is an integer. */
  readonly integerMask: number;
  /** Four numbers per field that is neither `BOXED` nor `CALL`: its live number is `base + int * step`, or `top` at its highest integer. */
  readonly scale: Float64Array;
  /** Four integers per field: inclusive bounds on the wire, outside which what is received is refused, the bits after which it wraps, and its way. */
  readonly bounds: Int32Array;
  /** Where the entities of this kind in one room keep their numbers. */
  readonly shelves: Shelves;
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
    this.isFixed = def.authority !== 'host' && def.transfer === 'never' && def.onOwnerLeave === 'despawn';
    this.fallsToHost = def.authority === 'host' || def.onOwnerLeave === 'host';
    this.every = Math.max(1, Math.round(stateHz / def.rate));
    this.tickMs = 1_000 / stateHz;
    this.movingMask = this.fields.reduce((mask, field, i) => (field.lerpMode === 'step' ? mask : mask | (1 << i)), 0);
    this.moves = this.movingMask !== 0;
    this.maxBytes = this.fields.reduce((sum, { codec }) => sum + maxBytesOf(codec), 0);
    this.way = new Uint8Array(this.count).fill(BOXED);
    this.scale = new Float64Array(4 * this.count);
    this.bounds = new Int32Array(4 * this.count);
    this.fields.forEach(({ codec }, i) => {
      if (codec.storage !== 'number') return;
      this.bounds.set([codec.low, codec.high, codec.wrapBits], 4 * i);
      if (codec.grid !== undefined) {
        this.way[i] = GRID;
        this.scale.set([codec.min, codec.grid, 1 / codec.grid, codec.dequantise(codec.high)], 4 * i);
      } else if (codec.wrapBits > 0) {
        const units = 2 ** codec.wrapBits;
        this.way[i] = ANGLE;
        this.scale.set([0, TAU / units, units / TAU, codec.high * (TAU / units)], 4 * i);
      } else {
        this.way[i] = codec.whole && codec.max <= 0x7fff_ffff ? WHOLE : CALL;
        this.scale.set([0, 1, 1, codec.high], 4 * i);
      }
    });
    for (let i = 0; i < this.count; i++) this.bounds[4 * i + WAY] = this.way[i]!;
    this.boxedMask = this.fields.reduce((mask, { codec }, i) => (codec.storage === 'boxed' ? mask | (1 << i) : mask), 0);
    this.integerMask = ((1 << this.count) - 1) & ~this.boxedMask;
    this.shelves = new Shelves(this.count, this.boxedMask);
    this.Handle = buildHandle(this);
    this.View = buildView(this);
  }

  /**
   * Whether it is sampled at `tick`, where `previous` was the room's tick before: at every multiple of `every`, and where that was skipped, because the
   * process had no time or a page draws less often than the room ticks, at the next tick there is.
   */
  sampledAt(tick: number, previous: number): boolean {
    return Math.floor(tick / this.every) !== Math.floor(previous / this.every);
  }

  /** The newest tick at or before `tick` at which it is sampled where no tick is skipped. */
  dueAt(tick: number): number {
    return tick - (tick % this.every);
  }

  /** The integer of a live number; the commonest kinds without a call. */
  quantise(field: number, live: number): number {
    const { scale } = this;
    const at = 4 * field;
    switch (this.way[field]) {
      case GRID:
        return Math.floor((live - scale[at + BASE]!) * scale[at + RATE]! + 0.5);
      case WHOLE:
        return live | 0;
      case ANGLE:
        return Math.floor(live * scale[at + RATE]! + 0.5) & this.bounds[at + HIGH]!;
      default:
        return (this.fields[field]!.codec as NumberCodec).quantise(live);
    }
  }

  /** The live number of an integer, which is within its bounds. */
  dequantise(field: number, int: number): number {
    if (this.way[field] === CALL) return (this.fields[field]!.codec as NumberCodec).dequantise(int);
    const { scale, bounds } = this;
    const at = 4 * field;
    return int === bounds[at + HIGH] ? scale[at + TOP]! : scale[at + BASE]! + int * scale[at + STEP]!;
  }
}
