/**
 * Wake-ups for a page that must not freeze when its tab is hidden.
 *
 * A hidden page gets no animation frames and about one timer a second; WebSocket messages still arrive. So three things ask
 * "is it time?": the next animation frame, a timer, and every batch from the process (`pulse`), which sends at least
 * `HIDDEN_HZ` of them a second while the page says it is hidden. Whichever comes first fires.
 */
import type { LocalTime } from '../port/lan-port.ts';

/** Batches a second asked of the process while hidden: a hidden page still sends at a fair rate. */
export const HIDDEN_HZ = 50;

/** A deadline this close counts as reached: frames come every 16.7 ms, deadlines at 16.6. */
const CLOSE_MS = 0.5;

/** What a page offers; tests give their own. */
export interface PageClock {
  now(): number;
  setTimeout(fn: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
  /** Calls in a turn of its own, as soon as there is one; without it a timer does, which pages cut to 4 ms at the least. */
  soon?(fn: () => void): void;
  requestFrame(fn: () => void): void;
  readonly hidden: boolean;
  onVisibility(fn: () => void): Disposable;
}

export class TickSource implements LocalTime {
  readonly #page: PageClock;
  #at = Infinity;
  #tick: (() => void) | undefined;
  #timer: unknown;
  #frameAsked = false;
  #soonAsked = false;

  constructor(page: PageClock) {
    this.#page = page;
  }

  now(): number {
    return this.#page.now();
  }

  schedule(at: number, tick: () => void): void {
    this.#at = at;
    this.#tick = tick;
    if (this.#timer !== undefined) this.#page.clearTimeout(this.#timer);
    this.#timer = undefined;
    if (at === Infinity) return;
    if (this.#page.soon !== undefined && at <= this.#page.now()) return this.#askSoon();
    this.#timer = this.#page.setTimeout(() => this.pulse(), Math.min(Math.max(0, at - this.#page.now()), 1_000));
    this.#askFrame();
  }

  cancel(): void {
    this.#tick = undefined;
    this.#at = Infinity;
    if (this.#timer !== undefined) this.#page.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Something woke the page: fires the tick if it is due. */
  pulse(): void {
    const tick = this.#tick;
    if (tick === undefined) return;
    if (this.#page.now() < this.#at - CLOSE_MS) {
      // The timer was early or cut to its longest delay.
      if (this.#timer !== undefined) this.schedule(this.#at, tick);
      return;
    }
    this.cancel();
    tick();
  }

  #askSoon(): void {
    if (this.#soonAsked) return;
    this.#soonAsked = true;
    this.#page.soon!(() => {
      this.#soonAsked = false;
      this.pulse();
    });
  }

  #askFrame(): void {
    if (this.#frameAsked || this.#page.hidden) return;
    this.#frameAsked = true;
    this.#page.requestFrame(() => {
      this.#frameAsked = false;
      this.pulse();
      if (this.#tick !== undefined) this.#askFrame();
    });
  }
}

/** The real page. Without a document (a Worker, a test) it counts as visible. */
export function openPageClock(): PageClock {
  const doc = typeof document === 'undefined' ? undefined : document;
  return {
    now: () => performance.now(),
    setTimeout: (fn, ms) => setTimeout(fn, ms),
    clearTimeout: (timer) => clearTimeout(timer as number),
    soon: openSoon(),
    requestFrame: (fn) => {
      if (typeof requestAnimationFrame === 'function') requestAnimationFrame(fn);
    },
    get hidden() {
      return doc?.hidden ?? false;
    },
    onVisibility(fn) {
      doc?.addEventListener('visibilitychange', fn);
      return { [Symbol.dispose]: () => doc?.removeEventListener('visibilitychange', fn) };
    },
  };
}

/** A message to ourselves: the only thing a page does at once that is not the rest of the present turn. */
function openSoon(): (fn: () => void) => void {
  // Node, where tests and bots run this half: an open channel would keep the process alive.
  const { setImmediate } = globalThis as { readonly setImmediate?: (fn: () => void) => unknown };
  if (setImmediate !== undefined) return (fn) => void setImmediate(fn);
  const { port1, port2 } = new MessageChannel();
  const waiting: (() => void)[] = [];
  port1.onmessage = () => waiting.shift()?.();
  return (fn) => {
    waiting.push(fn);
    port2.postMessage(undefined);
  };
}
