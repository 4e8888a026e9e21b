/**
 * What remote motion looks like over three jitter traces (wired, Wi-Fi, bad Wi-Fi with stalls and 2 % loss), seeded: our view against raw
 * snapshots (the newest that arrived) and against a fixed delay of 100 ms with linear interpolation. All see the same arrivals.
 *
 * Drawing late, exactly, and drawing early, in steps, are different faults, so no single number says which is better. Told for each:
 *
 * `delayMs`       how far in the past it means to show (raw: the mean age of its snapshot, the kindest reading)
 * `pathPx`        RMS distance from the true path at the time it means to show: where a hit would be judged            judged
 * `jerkPx`        RMS change of the drawn acceleration from frame to frame (px/s per frame); `jerkMaxPx` its worst      judged
 * `underRunRatio` frames that had no snapshot to go towards: at most 1 %                                               judged
 * `nowPx`         RMS distance from where the thing is at the moment of drawing: the price of the delay
 * `lagMs`, `warpPx` the constant lag that explains the picture best, found without asking the method, and the RMS distance it leaves:
 *                  what an adaptive delay pays for gliding
 * `velocityStepPx` mean change of the velocity; chords have less of it than the true path
 *
 * `truePathAtOurViewTime` is the floor. `fixed100OurCurve` has our curve, our extrapolation and our smoothing under a fixed 100 ms, so that what
 * the delay does can be told from what the curve does: ours has to show less late, or to under-run less. `delayRule` is the delay by the
 * rule (99th percentile of what the snapshots of 5 s were late, one interval, 2 ms; capped), worked out apart from the product.
 */
import { MAX_VIEW_DELAY_MS } from '../../sdk/wire/limits.ts';
import { Owner, Viewer } from './motion.ts';

const SECONDS = 120;
const HZ = 30;
const FRAME_HZ = 60;
/** The first seconds are for estimators to settle. */
const SETTLE_MS = 3_000;
const FIXED_MS = 100;

type Random = () => number;

function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e37_79b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x85eb_ca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2_ae35);
    return ((z ^ (z >>> 16)) >>> 0) / 2 ** 32;
  };
}

interface Arrival {
  readonly tick: number;
  readonly sent: number;
  /** `Infinity` when lost. */
  readonly at: number;
}

export const TRACES = ['wired', 'wifi', 'bad'] as const;

/** One-way times of every tick, ms. */
function trace(kind: (typeof TRACES)[number], seed: number): Arrival[] {
  const random = seeded(seed);
  const gauss = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const out: Arrival[] = [];
  let stallUntil = -1;
  let nextStall = 1_000 + random() * 2_000;
  for (let tick = 0; tick < SECONDS * HZ; tick++) {
    const due = (tick * 1_000) / HZ;
    // A page's tick runs up to two ms late.
    const sent = due + random() * 2;
    const transit =
      kind === 'wired' ? 0.3 - 0.1 * Math.log(1 - random()) : kind === 'wifi' ? 1.5 + 1.2 * Math.exp(0.8 * gauss()) : 2 + 4 * Math.exp(0.9 * gauss());
    if (kind !== 'wired' && due > nextStall) {
      stallUntil = due + (kind === 'wifi' ? 10 + random() * 25 : 30 + random() * 90);
      nextStall = due + (kind === 'wifi' ? 2_000 + random() * 3_000 : 500 + random() * 1_500);
    }
    // What queued up behind a stall comes in one go at its end.
    const at = sent < stallUntil ? Math.max(sent + transit, stallUntil + random() * 2) : sent + transit;
    const lost = tick > 0 && random() < (kind === 'wired' ? 0 : kind === 'wifi' ? 0.003 : 0.02);
    out.push({ tick, sent, at: lost ? Number.POSITIVE_INFINITY : at });
  }
  return out;
}

/** A ship whose thrust changes several times a second, at most 400 px/s. */
function truth(seed: number): { x(ms: number): number; v(ms: number): number } {
  const random = seeded(seed);
  const step = 1 / 240;
  const count = (SECONDS + 2) * 240;
  const x = new Float64Array(count);
  const v = new Float64Array(count);
  let thrust = 0;
  let next = 0;
  for (let i = 1; i < count; i++) {
    if (i * step > next) {
      thrust = (random() - 0.5) * 2_400;
      next = i * step + 0.15 + random() * 0.5;
    }
    v[i] = Math.max(-400, Math.min(400, (v[i - 1]! + thrust * step) * 0.992));
    x[i] = x[i - 1]! + v[i]! * step;
  }
  const at = (of: Float64Array, ms: number): number => {
    const k = Math.max(0, Math.min(count - 2, ms / 1_000 / step));
    const i = Math.floor(k);
    return of[i]! + (of[i + 1]! - of[i]!) * (k - i);
  };
  return { x: (ms) => at(x, ms), v: (ms) => at(v, ms) };
}

interface Snapshot {
  readonly time: number;
  readonly x: number;
}

class Score {
  #frames = 0;
  #under = 0;
  #path = 0;
  #now = 0;
  #jerk = 0;
  #jerkMax = 0;
  #delay = 0;
  #lastX = Number.NaN;
  #lastV = Number.NaN;
  #lastA = Number.NaN;
  #steps = 0;
  readonly #drawn: { readonly now: number; readonly x: number }[] = [];

  add(now: number, shown: number, x: number, path: { x(ms: number): number }, under: boolean): void {
    const v = (x - this.#lastX) * FRAME_HZ;
    const a = v - this.#lastV;
    const jerk = Math.abs(a - this.#lastA);
    this.#lastX = x;
    this.#lastV = v;
    this.#lastA = a;
    if (now < SETTLE_MS || Number.isNaN(jerk)) return;
    this.#frames++;
    if (under) this.#under++;
    this.#path += (x - path.x(shown)) ** 2;
    this.#now += (x - path.x(now)) ** 2;
    this.#jerk += jerk ** 2;
    this.#steps += Math.abs(a);
    this.#jerkMax = Math.max(this.#jerkMax, jerk);
    this.#delay += now - shown;
    this.#drawn.push({ now, x });
  }

  /** The lag (whole ms up to 200) that leaves the least distance, and that distance. */
  #bestLag(path: { x(ms: number): number }): { readonly lagMs: number; readonly warpPx: number } {
    const away = (lag: number): number =>
      Math.sqrt(this.#drawn.reduce((sum, { now, x }) => sum + (x - path.x(now - lag)) ** 2, 0) / this.#drawn.length);
    let best = { lagMs: 0, warpPx: away(0) };
    for (let lagMs = 1; lagMs <= 200; lagMs++) {
      const warpPx = away(lagMs);
      if (warpPx < best.warpPx) best = { lagMs, warpPx };
    }
    return best;
  }

  result(path: { x(ms: number): number }) {
    const { lagMs, warpPx } = this.#bestLag(path);
    const round = (value: number): number => Math.round(value * 1_000) / 1_000;
    const n = this.#frames;
    return {
      delayMs: round(this.#delay / n),
      underRunRatio: round(this.#under / n),
      pathPx: round(Math.sqrt(this.#path / n)),
      nowPx: round(Math.sqrt(this.#now / n)),
      lagMs,
      warpPx: round(warpPx),
      jerkPx: round(Math.sqrt(this.#jerk / n)),
      jerkMaxPx: round(this.#jerkMax),
      velocityStepPx: round(this.#steps / n),
    };
  }
}

/** The delay by its rule, from arrivals alone. */
class DelayRule {
  readonly #late: { readonly at: number; readonly ms: number }[] = [];
  #newest = -1;

  arrived(at: number, sent: number, tick: number): void {
    if (tick <= this.#newest) return;
    const lost = this.#newest < 0 ? 0 : tick - this.#newest - 1;
    this.#newest = tick;
    this.#late.push({ at, ms: at - sent + (lost * 1_000) / HZ });
  }

  ms(now: number): number {
    const late = this.#late.filter(({ at }) => at >= now - 5_000).map(({ ms }) => ms);
    late.sort((a, b) => a - b);
    return Math.min(MAX_VIEW_DELAY_MS, (late[Math.min(late.length - 1, Math.floor(late.length * 0.99))] ?? 0) + 1_000 / HZ + 2);
  }
}

/** A playout that knows no jitter. */
const fixedPlayout = { delayMs: FIXED_MS, arrived: () => undefined, viewTime: (now: number) => now - FIXED_MS };

function play(kind: (typeof TRACES)[number], seed: number) {
  const path = truth(seed + 100);
  const sentInOrder = trace(kind, seed);
  const owner = new Owner(HZ);
  const viewer = new Viewer(HZ);
  const steady = new Viewer(HZ);
  Object.defineProperty(steady.inbound, 'playout', { value: fixedPlayout });
  const rule = new DelayRule();
  const delayOff: number[] = [];
  const fixed: Snapshot[] = [];
  const scores = {
    ours: new Score(),
    oursNoVelocity: new Score(),
    raw: new Score(),
    fixed100: new Score(),
    fixed100OurCurve: new Score(),
    exact: new Score(),
  };
  // Acks come back as late as snapshots come.
  const acks: { readonly tick: number; readonly at: number }[] = [];
  let acked = -1;
  let nextSend = 0;
  const flying: {
    readonly at: number;
    readonly tick: number;
    readonly sent: number;
    readonly body: Uint8Array;
    readonly full: boolean;
    readonly x: number;
  }[] = [];
  let newest = -1;
  let rawX = 0;
  let ageSum = 0;
  let ages = 0;
  const shownRaw: { now: number; x: number }[] = [];
  for (let frame = 1; frame < (SECONDS - 1) * FRAME_HZ; frame++) {
    const now = (frame * 1_000) / FRAME_HZ;
    while (nextSend < sentInOrder.length && sentInOrder[nextSend]!.sent <= now) {
      const { tick, sent, at } = sentInOrder[nextSend++]!;
      for (const ack of acks) if (ack.at <= sent && ack.tick > acked) acked = ack.tick;
      const x = path.x(sent);
      Object.assign(owner.ship, { x, plain: x, vx: Math.round(path.v(sent)) });
      const body = owner.sample(tick, sent, acked);
      if (at < Number.POSITIVE_INFINITY) flying.push({ at, tick, sent, body, full: acked < 0, x: Math.round(x * 16) / 16 });
    }
    flying.sort((a, b) => a.at - b.at);
    while (flying.length > 0 && flying[0]!.at <= now) {
      const { at, tick, sent, body, full, x } = flying.shift()!;
      if (viewer.arrive(at, tick, body, full) === undefined) acks.push({ tick: viewer.inbound.completeTick, at: 2 * at - sent });
      if (acks.length > 100) acks.shift();
      steady.arrive(at, tick, body, full);
      rule.arrived(at, sent, tick);
      let index = fixed.length;
      while (index > 0 && fixed[index - 1]!.time > sent) index--;
      fixed.splice(index, 0, { time: sent, x });
      if (fixed.length > 100) fixed.shift();
      if (tick > newest) {
        newest = tick;
        rawX = x;
      }
    }
    const { core } = viewer;
    if (core === undefined) continue;
    const view = viewer.draw(now);
    const at = core.viewTime(now);
    const under = at > viewer.inbound.newestTime;
    scores.ours.add(now, at, view.x, path, under);
    scores.oursNoVelocity.add(now, at, view.plain, path, under);
    const steadyView = steady.draw(now);
    scores.fixed100OurCurve.add(now, now - FIXED_MS, steadyView.x, path, now - FIXED_MS > steady.inbound.newestTime);
    // The product looks again four times a second; so does this.
    if (now > SETTLE_MS && frame % 15 === 0) delayOff.push(viewer.inbound.playout.delayMs - rule.ms(now));
    scores.exact.add(now, at, path.x(at), path, under);
    shownRaw.push({ now, x: rawX });
    ageSum += now - fixed.at(-1)!.time;
    ages++;
    const want = now - FIXED_MS;
    let k = fixed.length - 1;
    while (k > 0 && fixed[k]!.time > want) k--;
    const a = fixed[k]!;
    const b = fixed[k + 1];
    const x = b === undefined || want < a.time ? a.x : a.x + ((b.x - a.x) * (want - a.time)) / (b.time - a.time);
    scores.fixed100.add(now, want, x, path, b === undefined);
  }
  const age = ageSum / ages;
  for (const { now, x } of shownRaw) scores.raw.add(now, now - age, x, path, false);
  const ours = scores.ours.result(path);
  const raw = scores.raw.result(path);
  const fixed100 = scores.fixed100.result(path);
  const fixed100OurCurve = scores.fixed100OurCurve.result(path);
  const meanOff = delayOff.reduce((sum, ms) => sum + ms, 0) / delayOff.length;
  const delayRule = { offMeanMs: Math.round(meanOff * 100) / 100, capMs: MAX_VIEW_DELAY_MS };
  const better =
    ours.underRunRatio <= 0.01 &&
    ours.pathPx < raw.pathPx &&
    ours.pathPx < fixed100.pathPx &&
    ours.jerkPx < raw.jerkPx &&
    ours.jerkPx < fixed100.jerkPx &&
    (ours.delayMs < fixed100OurCurve.delayMs || ours.underRunRatio < fixed100OurCurve.underRunRatio) &&
    Math.abs(meanOff) <= 2;
  return {
    trace: kind,
    seed,
    better,
    ours,
    oursNoVelocity: scores.oursNoVelocity.result(path),
    raw,
    fixed100,
    fixed100OurCurve,
    truePathAtOurViewTime: scores.exact.result(path),
    delayRule,
  };
}

export async function bench(): Promise<object> {
  const runs = TRACES.flatMap((kind) => [1, 2, 3].map((seed) => play(kind, seed)));
  return { hz: HZ, seconds: SECONDS, runs, pass: runs.every(({ better }) => better) };
}
