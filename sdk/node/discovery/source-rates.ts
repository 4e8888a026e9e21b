/**
 * A token bucket per source address, for a bounded number of sources. Pure; time comes in.
 */
export class SourceRates {
  readonly #burst: number;
  readonly #perMs: number;
  readonly #max: number;
  readonly #buckets = new Map<string, { at: number; tokens: number }>();

  constructor(burst: number, perSecond: number, maxSources: number) {
    this.#burst = burst;
    this.#perMs = perSecond / 1_000;
    this.#max = maxSources;
  }

  /** True when `source` may have one more now. */
  take(source: string, now: number): boolean {
    const bucket = this.#buckets.get(source) ?? { at: now, tokens: this.#burst };
    bucket.tokens = Math.min(this.#burst, bucket.tokens + (now - bucket.at) * this.#perMs);
    bucket.at = now;
    // Put at the end, so that the first key is the one heard longest ago.
    this.#buckets.delete(source);
    this.#buckets.set(source, bucket);
    if (this.#buckets.size > this.#max) this.#buckets.delete(this.#buckets.keys().next().value!);
    if (bucket.tokens < 1) return false;
    bucket.tokens--;
    return true;
  }
}
