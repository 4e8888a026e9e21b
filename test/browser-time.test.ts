/** A page's one wake-up: by a turn of its own, a timer, a frame or a batch, whichever comes first. */
import { describe, expect, it } from 'vitest';
import { TickSource, type PageClock } from '../sdk/browser/tick-source.ts';

/** A page under a clock that the test sets. */
function fakePage() {
  const page = {
    at: 100,
    hidden: false,
    turns: [] as (() => void)[],
    timers: [] as { fn: () => void; ms: number }[],
    frames: [] as (() => void)[],
    now: () => page.at,
    setTimeout(fn: () => void, ms: number) {
      const timer = { fn, ms };
      page.timers.push(timer);
      return timer;
    },
    clearTimeout: (timer: unknown) => void page.timers.splice(page.timers.indexOf(timer as never), 1),
    soon: (fn: () => void) => void page.turns.push(fn),
    requestFrame: (fn: () => void) => void page.frames.push(fn),
    onVisibility: () => ({ [Symbol.dispose]: () => undefined }),
  };
  return page satisfies PageClock;
}

describe("a page's time", () => {
  it('[BR29] what is due already is done in a turn of its own, however often it is asked for', () => {
    const page = fakePage();
    const time = new TickSource(page);
    let ticks = 0;
    for (let i = 0; i < 5; i++) time.schedule(time.now(), () => ticks++);
    expect([page.turns.length, page.timers.length, ticks]).toEqual([1, 0, 0]);
    page.turns.shift()!();
    expect(ticks).toBe(1);
    expect(page.turns).toHaveLength(0);
  });

  it('[BR29] what was put off or called off meanwhile does not come early', () => {
    const page = fakePage();
    const time = new TickSource(page);
    const came: string[] = [];
    time.schedule(time.now(), () => came.push('first'));
    time.schedule(time.now() + 10, () => came.push('second'));
    page.turns.shift()!();
    expect(came).toEqual([]);
    expect(page.timers.map(({ ms }) => ms)).toEqual([10]);
    page.at += 10;
    page.timers.shift()!.fn();
    expect(came).toEqual(['second']);
    time.schedule(time.now(), () => came.push('third'));
    time.cancel();
    page.turns.shift()!();
    expect(came).toEqual(['second']);
  });

  it('[BR29] a page that cannot do so uses a timer', () => {
    const { soon: _soon, ...page } = fakePage();
    const time = new TickSource(page);
    let ticks = 0;
    time.schedule(time.now(), () => ticks++);
    expect(page.timers.map(({ ms }) => ms)).toEqual([0]);
    page.timers.shift()!.fn();
    expect(ticks).toBe(1);
  });
});
