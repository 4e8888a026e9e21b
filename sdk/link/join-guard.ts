/**
 * How often strangers may try. Three limits: cookies in all (each is a datagram of ours), handshakes per source
 * address and in all (each costs us four scalar multiplications), and wrong codes per minute (each is a guess).
 */
import {
  CODE_LOCKOUT_MS,
  COOKIE_BURST,
  COOKIES_PER_SECOND,
  HANDSHAKES_PER_SECOND,
  HANDSHAKE_BURST,
  MAX_CODE_FAILURES,
  MAX_CODE_FAILURES_PER_SOURCE,
  MAX_SOURCES,
  SOURCE_BURST,
  SOURCE_RATE_PER_SECOND,
} from '../wire/limits.ts';

const MINUTE_MS = 60_000;

/** Fills at a steady rate, up to a burst. */
class Bucket {
  readonly #burst: number;
  readonly #perSecond: number;
  #tokens: number;
  #at = -Infinity;

  constructor(burst: number, perSecond: number) {
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#tokens = burst;
  }

  has(now: number): boolean {
    if (now > this.#at) {
      this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#at) * this.#perSecond) / 1_000);
      this.#at = now;
    }
    return this.#tokens >= 1;
  }

  take(): void {
    this.#tokens--;
  }
}

interface Source {
  readonly handshakes: Bucket;
  failures: number;
  failuresSince: number;
}

export class JoinGuard {
  /** In order of first sight: the oldest is forgotten when the table is full. */
  readonly #sources = new Map<string, Source>();
  readonly #cookies = new Bucket(COOKIE_BURST, COOKIES_PER_SECOND);
  readonly #handshakes = new Bucket(HANDSHAKE_BURST, HANDSHAKES_PER_SECOND);
  #failures = 0;
  #failuresSince = -Infinity;
  #lockedUntil = -Infinity;

  #source(now: number, host: string): Source {
    let source = this.#sources.get(host);
    if (source !== undefined) return source;
    if (this.#sources.size >= MAX_SOURCES) this.#sources.delete(this.#sources.keys().next().value!);
    source = { handshakes: new Bucket(SOURCE_BURST, SOURCE_RATE_PER_SECOND), failures: 0, failuresSince: now };
    this.#sources.set(host, source);
    return source;
  }

  /** Takes one from the cookies that may be given away now, whoever asks. */
  allowCookie(now: number): boolean {
    if (!this.#cookies.has(now)) return false;
    this.#cookies.take();
    return true;
  }

  /** Takes one handshake from the source's allowance, and from that of all. Asked only once the cookie has proved the address. */
  allow(now: number, host: string): boolean {
    const { handshakes } = this.#source(now, host);
    if (!handshakes.has(now) || !this.#handshakes.has(now)) return false;
    handshakes.take();
    this.#handshakes.take();
    return true;
  }

  /** False while code joins are suspended for this source, or for everybody. */
  allowsCode(now: number, host: string): boolean {
    if (now < this.#lockedUntil) return false;
    const source = this.#sources.get(host);
    return source === undefined || now - source.failuresSince > MINUTE_MS || source.failures < MAX_CODE_FAILURES_PER_SOURCE;
  }

  onWrongCode(now: number, host: string): void {
    const source = this.#source(now, host);
    if (now - source.failuresSince > MINUTE_MS) {
      source.failures = 0;
      source.failuresSince = now;
    }
    source.failures++;
    if (now - this.#failuresSince > MINUTE_MS) {
      this.#failures = 0;
      this.#failuresSince = now;
    }
    if (++this.#failures >= MAX_CODE_FAILURES) this.#lockedUntil = now + CODE_LOCKOUT_MS;
  }
}
