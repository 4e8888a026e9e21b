/**
 * Entities: the core behind the object a game assigns to (`handle.ts`): its values, their past, its owner.
 *
 *   handle.x = 41 ──► live[0] = 41, state |= 1 ──(tick)──► core.ints[0] = 656, a row in the track
 *   frame arrives ──► core.ints, core.live, a row in the track ──► handle.x, handle.view.x (between rows)
 */
import type { EntityId, PeerId } from '../base/brand.ts';
import { assertCallback, callGuarded } from '../base/callback.ts';
import { disposable } from '../base/emitter.ts';
import { LanError } from '../base/errors.ts';
import { misfit, noSuchField, show } from './definition.ts';
import { TAU } from './det.ts';
import type { Handled, Listener } from './handle.ts';
import { DIRECT, DIRTY, LIVE, STATE } from './handle.ts';
import type { Playout } from './interpolation.ts';
import { decay, difference, fallBackMs, fallingBack, paceAt, sampleField, sampleShown, turned } from './interpolation.ts';
import { HISTORY_ROWS, MAX_ENTITY_FIELDS } from '../wire/limits.ts';
import type { KindSpec } from './kind.ts';
import { Shelf } from './shelf.ts';
import { Track } from './track.ts';

/** What a core needs of the store that holds it. */
export interface EntityHome {
  /** Room time now, ms. */
  roomTime(): number;
  /** A callback of the game threw. */
  failed(what: string, cause: unknown): void;
  despawn(core: EntityCore): void;
  requestAuthority(core: EntityCore, options: { readonly timeoutMs?: number; readonly signal?: AbortSignal }): Promise<object | undefined>;
}

/** Where a remote entity's snapshots come from. */
export interface SnapshotSource {
  /** The Room instance that speaks. */
  readonly session: number;
  readonly playout: Playout;
  /** Newest tick of which everything arrived and from which nothing was left out: what is not in it has not changed. */
  soundTick: number;
}

/** `bornTick` of what no tick has carried yet: later than any. A small integer, which is compared faster than an infinity. */
export const UNBORN = 0x7fff_ffff;

/** What one entity shows, and its counts of teleports, the newest and that of what it shows, between `hold` and `glide`. */
const held = new Float64Array(MAX_ENTITY_FIELDS);
let heldHop = 0;
let shownHop = 0;

/** Changes of one field that its listeners may bring about while they are told of one; more are taken for a circle. */
const MAX_ECHOES = 100;

/** Who watches one field, and what they have to be told of yet: of each change in its order, also of those that a listener makes itself. */
interface FieldWatch {
  readonly listeners: Listener[];
  readonly changes: { readonly value: unknown; readonly old: unknown }[];
}

export class EntityCore {
  // First what is needed at every tick, in as few lines of the processor's cache as it fits into.
  readonly kind: KindSpec;
  readonly #handled: Handled;
  /** Where its numbers lie, those of `live`, `ints` and `track`. */
  shelf: Shelf;
  place: number;
  owner: PeerId;
  source: SnapshotSource | undefined;
  lastChange = -1;
  /** Tick of the first word of this reign here; what is told as a difference to earlier ones cannot be read. */
  heardSince = -1;
  /** Nobody watches it, and nobody drew it since a snapshot last came: what arrives has nobody to be told to. */
  unseen = true;
  /** Tick since which the present owner's stream has carried it; `UNBORN` until then. */
  bornTick = -1;
  /** Tick at which it was last told anew though nothing had changed. */
  refreshTick = -1;
  readonly origin: number;
  readonly counter: number;
  readonly id: EntityId;
  readonly home: EntityHome;
  readonly handle: object;
  live: Float64Array;
  /** Quantised values as last sent or received; the last one counts teleports. */
  ints: Int32Array;
  readonly track: Track;
  readonly boxed: unknown[];
  /** Grows with each change of authority; a higher one wins, ties go to the lower owner. */
  epoch = 0;
  #mine = false;
  #alive = true;
  /** Which one it was of those that its store took in. */
  serial = 0;
  /**
   * Given to another peer, whose own word about it has not come yet: if it turns out not to have it, it is ours again. `doubted`: a whole state of that peer
   * came without it, which may have been on its way already.
   */
  given: boolean | 'doubted' = false;
  /** A whole state of its owner came without it, who may have given it to somebody whose word is on its way. */
  missed = false;
  /** Newest tick at which a former owner had it, whose silence since then is no rest, and the new one has not said a word of it; -1 else. */
  parted = -1;
  /** When a better claim ended our reign, monotonic ms: others may not have heard of that claim yet. */
  takenAt = Number.NEGATIVE_INFINITY;
  /** Sent by a host whose state has to give way: the next host's word replaces it whatever its epoch. */
  yielded = false;
  #view: object | undefined;
  #listeners: (FieldWatch | undefined)[] | undefined;
  /** Errors of what was drawn last, to be smoothed away while `#gliding`, and when they were measured. */
  #offsets: Float64Array | undefined;
  #gliding = false;
  #offsetAt = 0;
  /** By how much it was further on as it changed hands, when that was, and in how long it falls back; 0 for not at all. */
  #lead: Float64Array | undefined;
  #leadAt = 0;
  #fallBackMs = 0;
  #viewedAt = Number.NEGATIVE_INFINITY;

  constructor(home: EntityHome, kind: KindSpec, origin: number, counter: number, owner: PeerId) {
    this.home = home;
    this.kind = kind;
    this.origin = origin;
    this.counter = counter;
    this.id = (origin * 0x10_0000 + counter) as EntityId;
    this.owner = owner;
    // Its own until a store takes it in.
    this.shelf = new Shelf(kind.count, kind.boxedMask, 1);
    this.place = this.shelf.take();
    this.live = this.shelf.live;
    this.ints = this.shelf.ints;
    this.boxed = [];
    for (let i = 0; i < kind.count; i++) this.boxed.push(undefined);
    this.track = new Track(this.shelf, this.place, kind.tickMs);
    this.handle = new kind.Handle(this);
    this.#handled = this.handle as Handled;
  }

  /** Moves its numbers and its past to another shelf. */
  moveTo(shelf: Shelf): void {
    const { count } = this.kind;
    const place = shelf.take();
    shelf.copy(this.shelf, this.place, place);
    this.shelf.release(this.place);
    this.shelf = this.track.shelf = shelf;
    this.place = this.track.place = place;
    this.live = shelf.live.subarray(place * count, (place + 1) * count);
    this.ints = shelf.ints.subarray(place * (count + 1), (place + 1) * (count + 1));
    this.#handled[LIVE] = this.live;
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
    const flaw = spec.flaw(value);
    if (flaw !== undefined) throw misfit(path, flaw);
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
    const watch = this.#listeners?.[field];
    if (watch === undefined) return;
    const { listeners, changes } = watch;
    const failed = (cause: unknown): void => this.home.failed(`${this.kind.name}.onChange('${this.kind.names[field]}')`, cause);
    // What a listener assigns is told when all have heard of what it was told of.
    if (changes.push({ value: this.value(field), old }) > 1) return;
    for (let told = 0; changes.length > 0; changes.shift()) {
      const change = changes[0]!;
      for (const listener of [...listeners]) if (listeners.includes(listener)) callGuarded(() => listener(change.value, change.old), failed);
      if (++told <= MAX_ECHOES) continue;
      changes.length = 0;
      failed(new RangeError('its listeners change it without end'));
    }
  }

  onChange(name: string, listener: Listener): Disposable {
    const field = this.kind.names.indexOf(name);
    if (field < 0) throw new LanError('unknown-name', `${this.kind.name} has no field '${name}'.`, { hint: `It has ${this.kind.names.join(', ')}.` });
    assertCallback(`${this.kind.name}.onChange('${name}')`, listener);
    this.#listeners ??= [];
    this.unseen = false;
    this.#settle();
    const { listeners } = (this.#listeners[field] ??= { listeners: [], changes: [] });
    listeners.push(listener);
    return disposable(() => {
      const at = listeners.indexOf(listener);
      if (at >= 0) listeners.splice(at, 1);
      // Nobody left to tell: assigning to it and applying what comes take the short way again.
      if (this.#listeners?.every((rest) => rest === undefined || rest.listeners.length === 0) !== true) return;
      this.#listeners = undefined;
      this.#settle();
    });
  }

  get view(): object {
    return (this.#view ??= new this.kind.View(this));
  }

  viewTime(now: number): number {
    const { source } = this;
    if (this.mine || source === undefined) return now;
    // Kinds sampled less often need a longer look back: one interval of theirs instead of one tick.
    return source.playout.viewTime(now) - (this.kind.every - 1) * this.kind.tickMs;
  }

  /**
   * Its owner has given it away and counts it no more, and the new one's word may be on its way. What went from here has to be in the count of who has it, or
   * did not get there.
   */
  get isAway(): boolean {
    return this.parted >= 0 && this.given === false && (this.source?.soundTick ?? 0) - this.parted < HISTORY_ROWS;
  }

  get restTick(): number {
    const told = this.source?.soundTick ?? -1;
    const sound = this.parted < 0 ? told : Math.min(told, this.parted);
    return sound - (sound % this.kind.every);
  }

  viewValue(field: number): unknown {
    const { codec } = this.kind.fields[field]!;
    if (codec.storage === 'boxed') return this.boxed[field];
    const now = this.home.roomTime();
    this.#viewedAt = now;
    if (this.mine || this.source === undefined) return codec.fromLive(this.live[field]!);
    this.unseen = false;
    return codec.fromLive(this.#shown(field, now));
  }

  #shown(field: number, now: number): number {
    let shown = sampleShown(this, field, this.viewTime(now), this.restTick);
    if (this.#fallBackMs > 0) shown += this.#lead![field]! * fallingBack(now - this.#leadAt, this.#fallBackMs);
    if (this.#gliding) shown += this.#offsets![field]! * decay(now - this.#offsetAt);
    return this.#within(field, shown);
  }

  /** The count of teleports of what is on screen, which may be of before the newest. */
  #hopShown(now: number): number {
    const hop = this.kind.count;
    const { track } = this;
    if (this.mine || this.source === undefined || track.size === 0) return this.ints[hop]!;
    const age = track.ageAtTime(this.viewTime(now));
    return track.value(age < 0 ? track.size - 1 : age, hop);
  }

  /** True when somebody draws it, so that what arrives has to be glided to; else what was to be smoothed away is forgotten. */
  drawnAt(now: number): boolean {
    if (this.kind.moves && now - this.#viewedAt <= 250) return true;
    this.#gliding = false;
    this.#fallBackMs = 0;
    this.unseen = this.#listeners === undefined;
    return false;
  }

  /** Remembers what is on screen until `glide`, before snapshots are added or it is another's: only for entities somebody draws (`drawnAt`). */
  hold(now: number): void {
    const { count, fields } = this.kind;
    const live = this.mine || this.source === undefined;
    for (let i = 0; i < count; i++) if (fields[i]!.lerpMode !== 'step') held[i] = live ? this.live[i]! : this.#shown(i, now);
    heldHop = this.ints[count]!;
    shownHop = this.#hopShown(now);
  }

  /**
   * After snapshots were added: as far as that moves what is on screen, it glides there; not over a teleport.
   * @param handed it is another's from now on.
   */
  glide(now: number, handed = false): void {
    const { count, fields } = this.kind;
    this.#gliding = false;
    const jumped = this.ints[count] !== heldHop || this.#hopShown(now) !== shownHop;
    if (handed || jumped) this.#fallBackMs = 0;
    if (jumped) return;
    const offsets = (this.#offsets ??= new Float64Array(count));
    let inMs = 0;
    for (let i = 0; i < count; i++) {
      const mode = fields[i]!.lerpMode;
      if (mode === 'step') continue;
      offsets[i] = difference(this.#shown(i, now), held[i]!, mode === 'angle');
      if (handed) inMs = Math.max(inMs, fallBackMs(offsets[i]!, paceAt(this, i, this.viewTime(now), this.restTick)));
    }
    if (inMs > 0) {
      (this.#lead ??= new Float64Array(count)).set(offsets);
      this.#leadAt = now;
      this.#fallBackMs = inMs;
    } else {
      this.#gliding = true;
      this.#offsetAt = now;
    }
  }

  at(time: number): object | undefined {
    const { track, kind } = this;
    const now = this.home.roomTime();
    if (track.size === 0 || !(time >= track.time(track.size - 1) && time <= now)) return undefined;
    const out: Record<string, unknown> = {};
    for (let i = 0; i < kind.count; i++) {
      const { codec } = kind.fields[i]!;
      if (codec.storage === 'boxed') {
        out[kind.names[i]!] = this.boxed[i];
        continue;
      }
      // An own entity is at rest since its newest row, by definition: a later row would be there otherwise.
      const then = sampleField(this, i, time, this.mine ? Number.MAX_SAFE_INTEGER : this.restTick);
      out[kind.names[i]!] = codec.fromLive(this.#within(i, then));
    }
    return out;
  }

  /** Curves, guesses and corrections may lead past where a field can be: there they end, and an angle begins anew. */
  #within(field: number, value: number): number {
    const { codec, lerpMode } = this.kind.fields[field]!;
    if (lerpMode === 'step' || codec.storage === 'boxed') return value;
    if (codec.wrapBits > 0) return lerpMode === 'angle' ? turned(value) : value;
    const { min, max } = codec;
    let inside = value;
    // The same angle, where a turn less or more of it is in.
    if (lerpMode === 'angle' && value > max && value - TAU >= min) inside = value - TAU;
    else if (lerpMode === 'angle' && value < min && value + TAU <= max) inside = value + TAU;
    return Math.min(max, Math.max(min, inside));
  }
}

/** Sets every field of a new entity from what `spawn` was given. Throws `bad-value` with the field's path. */
export function initialise(core: EntityCore, init: Readonly<Record<string, unknown>>): void {
  const { kind } = core;
  if (typeof init !== 'object' || init === null) throw new LanError('bad-value', `${kind.name}: expected an object, got ${show(init)}.`);
  for (const name of Object.keys(init)) if (!kind.names.includes(name)) throw noSuchField(`${kind.name}.${name}`, kind.names);
  for (let i = 0; i < kind.count; i++) {
    const spec = kind.fields[i]!;
    const given = init[kind.names[i]!];
    const value = given === undefined ? spec.initial : given;
    const flaw = spec.flaw(value);
    if (flaw !== undefined) throw misfit(`${kind.name}.${kind.names[i]}`, flaw);
    const { codec } = spec;
    if (codec.storage === 'boxed') core.boxed[i] = codec.keep(value);
    else core.live[i] = codec.toLive(value);
  }
}
