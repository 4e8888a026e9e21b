/**
 * One kind of entity as the layers below the API see it: its fields by number, with what the inner loops need of each in typed arrays.
 */
import type { AnyEntityDef } from './definition.ts';
import { TAU } from './det.ts';
import type { EntityCore } from './entity.ts';
import type { FieldSpec, NumberCodec } from './field.ts';
import { specOf } from './field.ts';
import { buildHandle, buildView } from './handle.ts';

/** Ways of a field: no integer, by its codec, a whole number as it is, on a grid, an angle. */
export const BOXED = 0;
const CALL = 1;
const WHOLE = 2;
const GRID = 3;
const ANGLE = 4;

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
  /** ms of one tick of the room. */
  readonly tickMs: number;
  /** Per field how it is quantised: one of the constants above. */
  readonly way: Uint8Array;
  /** A bit per field that is no integer. */
  readonly boxedMask: number;
  /** Of a `GRID` or `ANGLE` field: step and steps per unit; of a `GRID` field: lowest and highest value. */
  readonly step: Float64Array;
  readonly rate: Float64Array;
  readonly base: Float64Array;
  readonly top: Float64Array;
  /** Inclusive bounds of the integer on the wire; what is received outside them is refused. */
  readonly low: Int32Array;
  readonly high: Int32Array;
  /** Per field the bits after which its integer wraps, 0 for none. */
  readonly wraps: Uint8Array;
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
    this.tickMs = 1_000 / stateHz;
    this.moves = this.fields.some((field) => field.lerpMode !== 'step');
    this.way = new Uint8Array(this.count).fill(BOXED);
    this.step = new Float64Array(this.count);
    this.rate = new Float64Array(this.count);
    this.base = new Float64Array(this.count);
    this.top = new Float64Array(this.count);
    this.low = new Int32Array(this.count);
    this.high = new Int32Array(this.count);
    this.wraps = new Uint8Array(this.count);
    this.fields.forEach(({ codec }, i) => {
      if (codec.storage !== 'number') return;
      this.low[i] = codec.low;
      this.high[i] = codec.high;
      this.wraps[i] = codec.wrapBits;
      if (codec.grid !== undefined) {
        this.way[i] = GRID;
        this.step[i] = codec.grid;
        this.rate[i] = 1 / codec.grid;
        this.base[i] = codec.min;
        this.top[i] = codec.max;
      } else if (codec.wrapBits > 0) {
        this.way[i] = ANGLE;
        this.step[i] = TAU / 2 ** codec.wrapBits;
        this.rate[i] = 2 ** codec.wrapBits / TAU;
      } else this.way[i] = codec.whole && codec.max <= 0x7fff_ffff ? WHOLE : CALL;
    });
    this.boxedMask = this.fields.reduce((mask, { codec }, i) => (codec.storage === 'boxed' ? mask | (1 << i) : mask), 0);
    this.Handle = buildHandle(this);
    this.View = buildView(this);
  }

  /** The integer of a live number; the commonest kinds without a call. */
  quantise(field: number, live: number): number {
    switch (this.way[field]) {
      case GRID:
        return Math.floor((live - this.base[field]!) * this.rate[field]! + 0.5);
      case WHOLE:
        return live | 0;
      case ANGLE:
        return Math.floor(live * this.rate[field]! + 0.5) & this.high[field]!;
      default:
        return (this.fields[field]!.codec as NumberCodec).quantise(live);
    }
  }

  /** The live number of an integer, which is within its bounds. */
  dequantise(field: number, int: number): number {
    switch (this.way[field]) {
      case GRID:
        return int >= this.high[field]! ? this.top[field]! : this.base[field]! + int * this.step[field]!;
      case WHOLE:
        return int;
      case ANGLE:
        return int * this.step[field]!;
      default:
        return (this.fields[field]!.codec as NumberCodec).dequantise(int);
    }
  }
}
