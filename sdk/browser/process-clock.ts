/**
 * The page's idea of its process's clock, and of room time through it.
 *
 * Page and process run on one machine: their clocks tick alike and differ by a constant. A ping's answer
 * bounds that constant by half its round trip, so the sample with the smallest round trip of the last
 * few is the best one (a busy page only ever makes samples worse, never wrong). Room time is the
 * process's; here it is only carried over, and never shown to run backwards.
 */

interface Sample {
  readonly offsetMs: number;
  readonly rttMs: number;
  readonly at: number;
}

/** Pings remembered, and how long: long enough to keep a good one, short enough to follow a suspend. */
const SAMPLES = 16;
const SAMPLE_LIFE_MS = 30_000;

export class ProcessClock {
  #samples: Sample[] = [];
  #best: Sample | undefined;

  /** An answered ping: sent at page time `stamp`, answered at process time `processNow`. */
  sample(now: number, stamp: number, processNow: number): void {
    const rttMs = now - stamp;
    if (!(rttMs >= 0)) return;
    this.#samples.push({ offsetMs: processNow - (stamp + rttMs / 2), rttMs, at: now });
    if (this.#samples.length > SAMPLES) this.#samples.shift();
    // A suspended machine may stop one clock and not the other: then every old sample is wrong at once.
    const newest = this.#samples[this.#samples.length - 1]!;
    const agrees = (sample: Sample): boolean =>
      now - sample.at <= SAMPLE_LIFE_MS && Math.abs(sample.offsetMs - newest.offsetMs) <= (sample.rttMs + newest.rttMs) / 2 + 1;
    this.#samples = this.#samples.filter(agrees);
    this.#best = this.#samples.reduce((best, sample) => (sample.rttMs < best.rttMs ? sample : best));
  }

  /** A first guess from anything the process said at its time `processNow`; better than nothing. */
  guess(now: number, processNow: number): void {
    this.#best ??= { offsetMs: processNow - now, rttMs: 50, at: now };
  }

  get known(): boolean {
    return this.#best !== undefined;
  }

  /** Process time at page time `now`. */
  at(now: number): number {
    return now + (this.#best?.offsetMs ?? 0);
  }

  /** Bound of the error of `at`, ms. */
  get errorMs(): number {
    return (this.#best?.rttMs ?? 100) / 2;
  }

  reset(): void {
    this.#samples = [];
    this.#best = undefined;
  }
}

/** Room time in the page. */
export class RoomTime {
  readonly #clock: ProcessClock;
  #sample: { readonly at: number; readonly time: number; readonly errorMs: number } | undefined;
  #last = 0;

  constructor(clock: ProcessClock) {
    this.#clock = clock;
  }

  /** Room time was `time` at process time `at`. */
  sample(at: number, time: number, errorMs: number): void {
    if (this.#sample === undefined || at >= this.#sample.at) this.#sample = { at, time, errorMs };
  }

  now(now: number): number {
    const sample = this.#sample;
    if (sample === undefined) return this.#last;
    this.#last = Math.max(this.#last, sample.time + (this.#clock.at(now) - sample.at));
    return this.#last;
  }

  errorMs(): number {
    return (this.#sample?.errorMs ?? 1_000) + this.#clock.errorMs;
  }
}
