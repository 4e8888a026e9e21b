/**
 * What a player sees of things others move.
 *
 * `Playout` decides when: one per sender, it shows the room as it was `delayMs` ago, where the delay is the 99th
 * percentile of what each snapshot of the last 5 s was late (its transit, and the intervals lost before it) plus one snapshot interval.
 * It glides (0.9 to 1.05 of real speed) instead of jumping. `sampleField` decides where: Hermite or linear between two rows, bounded
 * extrapolation past the newest.
 */
import { EXTRAPOLATE_MS, MAX_VIEW_DELAY_MS } from '../wire/limits.ts';
import { PI, TAU } from './det.ts';
import type { EntityCore } from './entity.ts';

/** Transit times kept: 5 s at 60 per second. */
const TRANSITS = 300;
const TRANSIT_WINDOW_MS = 5_000;
/** Sorting the window costs; four times a second follows any network that a person can notice. */
const REESTIMATE_MS = 250;
/** Further off than this, playback jumps: after a sleep the present matters, not the film of what was missed. */
const JUMP_MS = 250;
const HALF_LIFE_MS = 50;
/**
 * What changes hands on its way has a new owner who begins from an older place, and is no longer drawn in the present by whoever had it. For either it falls
 * back, and loses at most this share of its pace meanwhile: what fades as other corrections do would stand, or go backwards.
 */
const FALL_BACK_RATIO = 0.35;
/** It takes so long, ms: at least what other corrections take, and at most what the past of what moves at 60 Hz reaches back for. */
const MIN_FALL_BACK_MS = 150;
const MAX_FALL_BACK_MS = 600;
/** What is further on than it moves in so long, ms, is not late, but somewhere else: no network is that slow. */
const MAX_LATE_MS = 500;
/** Around the moment at which something changed hands, ms: what is drawn is another's word, or on the way to it. */
const PARTED_MS = 1_000;
/** A pace is measured over one picture, ms. */
const PACE_MS = 16;

export class Playout {
  readonly #intervalMs: number;
  readonly #transit = new Float64Array(TRANSITS);
  readonly #arrived = new Float64Array(TRANSITS);
  readonly #sorted = new Float64Array(TRANSITS);
  #count = 0;
  #next = 0;
  #estimatedAt = Number.NEGATIVE_INFINITY;
  #delayMs: number;
  #play = Number.NaN;
  #asked = 0;

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
    this.#delayMs = 2 * intervalMs;
  }

  /** ms between what is shown and now. */
  get delayMs(): number {
    return this.#delayMs;
  }

  /**
   * A snapshot sampled at room time `sampled` arrived at room time `now`.
   * @param lostMs how much longer than one interval the viewer had to do without, because what was sent between was lost.
   */
  arrived(now: number, sampled: number, lostMs = 0): void {
    // Clocks agree within an error only, so a transit can look negative; it is then as good as none.
    this.#transit[this.#next] = Math.max(0, now - sampled) + Math.min(lostMs, MAX_VIEW_DELAY_MS);
    this.#arrived[this.#next] = now;
    this.#next = (this.#next + 1) % TRANSITS;
    if (this.#count < TRANSITS) this.#count++;
    if (now - this.#estimatedAt < REESTIMATE_MS) return;
    this.#estimatedAt = now;
    let kept = 0;
    for (let i = 0; i < this.#count; i++) if (this.#arrived[i]! >= now - TRANSIT_WINDOW_MS) this.#sorted[kept++] = this.#transit[i]!;
    const window = this.#sorted.subarray(0, kept).sort();
    const p99 = window[Math.min(kept - 1, Math.floor(kept * 0.99))] ?? 0;
    // 2 ms of margin: the reader draws between ticks of the clock, not on them.
    this.#delayMs = Math.min(Math.max(MAX_VIEW_DELAY_MS, this.#intervalMs), Math.max(this.#intervalMs, p99 + this.#intervalMs + 2));
  }

  /** Room time to show at room time `now`; never runs backwards. */
  viewTime(now: number): number {
    const want = now - this.#delayMs;
    if (Number.isNaN(this.#play)) {
      this.#play = want;
      this.#asked = now;
      return want;
    }
    const passed = now - this.#asked;
    if (passed <= 0) return this.#play;
    this.#asked = now;
    const behind = want - (this.#play + passed);
    if (Math.abs(behind) > JUMP_MS) this.#play = Math.max(this.#play, want);
    else {
      const gain = passed * Math.max(-0.1, Math.min(0.05, behind * 0.002));
      // Nobody may have asked for minutes: what is too much by then would be a view of the future, and stand until that is there.
      this.#play += passed + (Math.abs(gain) > Math.abs(behind) ? behind : gain);
    }
    return this.#play;
  }
}

/** The share of an error left after `ms`. */
export function decay(ms: number): number {
  return ms > 16 * HALF_LIFE_MS ? 0 : 2 ** (-ms / HALF_LIFE_MS);
}

/** How long what changed hands takes to fall back by `error`, at `pace` a ms; 0 where that is another kind of error. */
export function fallBackMs(error: number, pace: number): number {
  const lateMs = error / pace;
  return lateMs > 0 && lateMs <= MAX_LATE_MS ? Math.min(MAX_FALL_BACK_MS, Math.max(MIN_FALL_BACK_MS, lateMs / FALL_BACK_RATIO)) : 0;
}

/** The share of such an error left after `ms` of `inMs`. */
export function fallingBack(ms: number, inMs: number): number {
  return Math.max(0, 1 - ms / inMs);
}

/** Units per ms by which what is drawn moved until `time`. */
export function paceAt(core: EntityCore, field: number, time: number, restTick: number): number {
  const before = sampleShown(core, field, time - PACE_MS, restTick);
  return difference(before, sampleShown(core, field, time, restTick), core.kind.fields[field]!.lerpMode === 'angle') / PACE_MS;
}

/** An angle in [0, 2 pi), where every angle that came from elsewhere lies, also between two that do. */
export function turned(angle: number): number {
  const rest = angle % TAU;
  // What is a hair below 0 is rounded up to the whole turn.
  return rest >= 0 ? rest : rest + TAU < TAU ? rest + TAU : 0;
}

/** Live number of field `field` at room time `time`, from the entity's rows. `restTick`: known unchanged up to there. */
export function sampleField(core: EntityCore, field: number, time: number, restTick: number): number {
  const { track, kind } = core;
  const spec = kind.fields[field]!;
  const age = track.ageAtTime(time);
  if (age < 0) return track.size === 0 ? core.live[field]! : kind.dequantise(field, track.value(track.size - 1, field));
  const mode = spec.lerpMode;
  const here = kind.dequantise(field, track.value(age, field));
  if (mode === 'step') return here;
  const turning = mode === 'angle';
  if (age === 0) {
    if (restTick > track.tick(0)) return here;
    const past = Math.min(EXTRAPOLATE_MS, time - track.time(0));
    return past <= 0 ? here : here + slopeAt(core, field, 0, turning) * past;
  }
  // A jump between two rows is not a path: the old place stands until the new one begins.
  if (jumped(core, age)) return here;
  const start = track.time(age);
  const span = track.time(age - 1) - start;
  const u = (time - start) / span;
  const step = difference(here, kind.dequantise(field, track.value(age - 1, field)), turning);
  if (mode !== 'hermite') return here + step * u;
  const m0 = slopeAt(core, field, age, false) * span;
  const m1 = slopeAt(core, field, age - 1, false) * span;
  const u2 = u * u;
  const u3 = u2 * u;
  return here + (u3 - 2 * u2 + u) * m0 + (3 * u2 - 2 * u3) * step + (u3 - u2) * m1;
}

/**
 * As `sampleField`, for what is drawn: where another owner begins, what it says may be far from where the former one's words led to. Until then it goes on as
 * it went, and from there it glides, as after any correction.
 */
export function sampleShown(core: EntityCore, field: number, time: number, restTick: number): number {
  const { track, kind, heardSince } = core;
  const value = sampleField(core, field, time, restTick);
  const mode = kind.fields[field]!.lerpMode;
  if (mode === 'step' || heardSince < 0 || Math.abs(time - heardSince * kind.tickMs) > PARTED_MS) return value;
  const first = track.ageAtTick(heardSince);
  const last = first + 1;
  if (first < 0 || last >= track.size || track.tick(first) !== heardSince || jumped(core, last) || time < track.time(last)) return value;
  const turning = mode === 'angle';
  const start = track.time(first);
  const past = Math.min(EXTRAPOLATE_MS, Math.min(time, start) - track.time(last));
  const pace = slopeAt(core, field, last, turning);
  const led = kind.dequantise(field, track.value(last, field)) + pace * past;
  if (time < start) return led;
  const error = difference(kind.dequantise(field, track.value(first, field)), led, turning);
  const inMs = fallBackMs(error, pace);
  return value + error * (inMs > 0 ? fallingBack(time - start, inMs) : decay(time - start));
}

export function difference(from: number, to: number, turning: boolean): number {
  if (!turning) return to - from;
  const turn = (to - from) % TAU;
  return turn > PI ? turn - TAU : turn < -PI ? turn + TAU : turn;
}

/** True when the row before `age` (newer by one) is on the other side of a teleport. */
function jumped(core: EntityCore, age: number): boolean {
  const hop = core.kind.count;
  return core.track.value(age, hop) !== core.track.value(age - 1, hop);
}

/** As `jumped`, and where another owner begins there: how far its word is from that of the one before is no speed. */
function parted(core: EntityCore, age: number): boolean {
  return core.track.tick(age - 1) === core.heardSince || jumped(core, age);
}

/** Units per ms at the row of `age`: the sent velocity where there is one, else differences with the neighbours. */
function slopeAt(core: EntityCore, field: number, age: number, turning: boolean): number {
  const { track, kind } = core;
  const velocity = kind.velocity[field]!;
  if (velocity >= 0) return kind.dequantise(velocity, track.value(age, velocity)) / 1_000;
  const here = kind.dequantise(field, track.value(age, field));
  const hasOlder = age + 1 < track.size && !parted(core, age + 1);
  const hasNewer = age > 0 && !parted(core, age);
  // The first word of another owner: it goes on as it went.
  if (!hasOlder && !hasNewer && age + 1 < track.size && !jumped(core, age + 1)) return slopeAt(core, field, age + 1, turning);
  const older = hasOlder
    ? -difference(here, kind.dequantise(field, track.value(age + 1, field)), turning) / (track.time(age) - track.time(age + 1))
    : 0;
  const newer = hasNewer
    ? difference(here, kind.dequantise(field, track.value(age - 1, field)), turning) / (track.time(age - 1) - track.time(age))
    : 0;
  if (hasOlder && hasNewer) return (older + newer) / 2;
  return hasNewer ? newer : older;
}
