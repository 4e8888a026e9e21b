/**
 * When hearing nothing of a peer means something.
 *
 *   heard --DOUBT_MS--> doubt: a ping every DOUBT_PROBE_MS --limitMs--> silent --any authentic packet--> heard
 *
 * A peer that is there sends a keep-alive every `KEEP_ALIVE_MS` and answers each ping. So every one that does not
 * come makes loss a less likely explanation, and on a lossy path silence is told from loss in half the time that
 * counting keep-alives alone would need.
 */
import { DOUBT_MS, DOUBT_PROBE_MS, KEEP_ALIVE_MS, SILENT_MS } from '../wire/limits.ts';
import type { RttEstimator } from './rtt.ts';
import type { Traffic } from './traffic.ts';

/** How likely it may be that silence was only loss. */
const CHANCE = 1e-6;
/** More loss than this is not believed: silence would mean nothing for seconds. */
const MAX_LOSS_RATIO = 0.6;
/** Less than this changes nothing. */
const MIN_LOSS_RATIO = 0.02;
/** Asked later than this, our process was busy; what arrived meanwhile waits in the socket (ms). */
const LATE_MS = 25;

export class Silence {
  heardAt: number;
  /** When something last came that no other member carried. */
  #heardDirectlyAt: number;
  silent = false;
  /** When `handleTimeout` is wanted; Infinity while silent. */
  wakeAt: number;
  readonly #traffic: Traffic;
  readonly #rtt: RttEstimator;

  constructor(now: number, traffic: Traffic, rtt: RttEstimator) {
    this.heardAt = now;
    this.#heardDirectlyAt = now;
    this.wakeAt = now + DOUBT_MS;
    this.#traffic = traffic;
    this.#rtt = rtt;
  }

  /** An authentic packet came. True when that ends a silence. */
  hear(now: number, relayed: boolean): boolean {
    this.heardAt = now;
    this.wakeAt = now + DOUBT_MS;
    if (!relayed) this.#heardDirectlyAt = now;
    if (!this.silent) return false;
    this.silent = false;
    return true;
  }

  /** False when so much came over a relay since the last direct packet that their absence would mean silence. */
  get hearsDirectly(): boolean {
    const behindMs = this.heardAt - this.#heardDirectlyAt;
    return behindMs < SILENT_MS || behindMs < this.limitMs;
  }

  /** We did not run for so long (ms). */
  excuse(stallMs: number): void {
    this.heardAt += stallMs;
    this.#heardDirectlyAt += stallMs;
  }

  /** `ask`: a ping should leave. `silent`: the silence begins to mean something. */
  handleTimeout(now: number): 'silent' | 'ask' | undefined {
    const doubtAt = this.heardAt + DOUBT_MS;
    if (doubtAt > now) {
      this.wakeAt = doubtAt;
      return undefined;
    }
    const silentAt = this.heardAt + this.limitMs;
    if (silentAt <= now && now - this.wakeAt <= LATE_MS) {
      this.silent = true;
      this.wakeAt = Infinity;
      return 'silent';
    }
    this.wakeAt = Math.max(now + LATE_MS, Math.min(silentAt, now + this.#probeMs));
    return 'ask';
  }

  /** Silence that means something, given how much is lost anyway, ms. */
  get limitMs(): number {
    const lossIn = Math.min(MAX_LOSS_RATIO, this.#traffic.lossInRatio);
    if (lossIn < MIN_LOSS_RATIO) return SILENT_MS;
    const lossOut = Math.min(MAX_LOSS_RATIO, Math.max(lossIn, this.#traffic.lossOutRatio));
    const perKeepAlive = -Math.log(lossIn) / KEEP_ALIVE_MS;
    const perProbe = -Math.log(1 - (1 - lossIn) * (1 - lossOut)) / this.#probeMs;
    const firstAnswerMs = DOUBT_MS + this.#rtt.smoothedMs;
    return Math.max(SILENT_MS, (firstAnswerMs * perProbe - Math.log(CHANCE)) / (perKeepAlive + perProbe));
  }

  /** Not faster than answers can come: asking again meanwhile proves nothing more. */
  get #probeMs(): number {
    return Math.max(DOUBT_PROBE_MS, this.#rtt.smoothedMs);
  }
}
