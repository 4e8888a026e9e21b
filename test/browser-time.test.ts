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

  it('[BR29] has one appointment, by one timer and one frame at a time, and each tick comes once', () => {
    const page = fakePage();
    const time = new TickSource(page);
    const came: string[] = [];
    time.schedule(page.at + 10, () => came.push('first'));
    time.schedule(page.at + 20, () => came.push('second'));
    expect([page.timers.map(({ ms }) => ms), page.frames.length]).toEqual([[20], 1]);
    page.at += 16;
    page.frames.shift()!();
    expect([came, page.frames.length, page.timers.map(({ ms }) => ms)]).toEqual([[], 1, [4]]);
    // A deadline within half a millisecond is reached: the next frame would be too late.
    page.at += 3.6;
    page.frames.shift()!();
    expect([came, page.timers, page.frames]).toEqual([['second'], [], []]);
    time.pulse();
    expect(came).toEqual(['second']);
    time.schedule(page.at + 5, () => came.push('third'));
    time.cancel();
    expect(page.timers).toEqual([]);
    page.at += 10;
    time.pulse();
    page.frames.shift()!();
    expect([came, page.frames]).toEqual([['second'], []]);
    time.schedule(Infinity, () => came.push('never'));
    expect(page.timers).toEqual([]);
  });

  it('[BR29] is set again where a timer comes before its time, as one that was cut to a second does', () => {
    const page = fakePage();
    const time = new TickSource(page);
    let ticks = 0;
    time.schedule(page.at + 2_500, () => ticks++);
    for (const ms of [1_000, 1_000, 500]) {
      expect(page.timers.map((timer) => timer.ms)).toEqual([ms]);
      page.at += ms;
      page.timers[0]!.fn();
    }
    expect([ticks, page.timers]).toEqual([1, []]);
  });

  it('[BR16] asks for no frame while it is hidden, and again once it is not', () => {
    const page = fakePage();
    const time = new TickSource(page);
    page.hidden = true;
    time.schedule(page.at + 10, () => undefined);
    expect(page.frames).toHaveLength(0);
    page.hidden = false;
    time.schedule(page.at + 10, () => undefined);
    expect(page.frames).toHaveLength(1);
    // The turns that were asked for come one by one, each time anew.
    for (let i = 0; i < 2; i++) {
      time.schedule(page.at, () => undefined);
      expect(page.turns).toHaveLength(1);
      page.turns.shift()!();
    }
  });
});
