/** The page's idea of its process's clock, and of room time through it. */
import { describe, expect, it } from 'vitest';
import { ProcessClock, RoomTime } from '../sdk/browser/process-clock.ts';

/** A ping sent at page time `sent`, with so long a way there and back; the process is `offset` ahead. */
function ping(clock: ProcessClock, sent: number, there: number, back: number, offset: number): number {
  const now = sent + there + back;
  clock.sample(now, sent, sent + there + offset);
  return now;
}

describe("the process's clock", () => {
  it('[BR8] is known within half of the quickest round trip, whichever way took how long', () => {
    const clock = new ProcessClock();
    expect([clock.known, clock.at(7), clock.errorMs]).toEqual([false, 7, 50]);
    ping(clock, 0, 20, 20, 1_000);
    expect([clock.known, clock.at(100), clock.errorMs]).toEqual([true, 1_100, 20]);
    ping(clock, 100, 3, 1, 1_000);
    expect([clock.errorMs, Math.abs(clock.at(200) - 1_200) <= 2]).toEqual([2, true]);
    // A slow one after it makes nothing worse.
    ping(clock, 200, 100, 0, 1_000);
    expect(clock.errorMs).toBe(2);
  });

  it('[BR8] is guessed from the first word, and not once it was measured', () => {
    const clock = new ProcessClock();
    clock.guess(10, 510);
    expect([clock.at(20), clock.errorMs]).toEqual([520, 25]);
    clock.guess(30, 9_999);
    expect(clock.at(40)).toBe(540);
    ping(clock, 50, 1, 1, 600);
    clock.guess(60, 9_999);
    expect(clock.at(70)).toBe(670);
    clock.reset();
    expect([clock.known, clock.at(1)]).toEqual([false, 1]);
  });

  it('[BR8] is followed at once where a suspended machine stopped one clock and not the other', () => {
    const clock = new ProcessClock();
    for (let i = 0; i < 5; i++) ping(clock, i * 1_000, 1, 1, 1_000);
    ping(clock, 6_000, 40, 40, 61_000);
    expect([clock.at(7_000), clock.errorMs]).toEqual([68_000, 40]);
  });

  it('[BR8] is what was measured within the last half minute, sixteen times at most, and never with an answer from before its question', () => {
    const clock = new ProcessClock();
    ping(clock, 0, 1, 1, 1_000);
    for (let at = 1_000; at < 30_000; at += 3_000) ping(clock, at, 10, 10, 1_000);
    expect(clock.errorMs).toBe(1);
    ping(clock, 32_001, 10, 10, 1_000);
    expect(clock.errorMs).toBe(10);
    clock.sample(10, 20, 5);
    clock.sample(10, Number.NaN, 5);
    expect([clock.at(0), clock.errorMs]).toEqual([1_000, 10]);
    const many = new ProcessClock();
    ping(many, 0, 1, 1, 0);
    for (let i = 1; i <= 15; i++) ping(many, i * 100, 10, 10, 0);
    expect(many.errorMs).toBe(1);
    ping(many, 1_600, 10, 10, 0);
    expect(many.errorMs).toBe(10);
  });
});

describe('room time in a page', () => {
  it('[BR8] is carried over, by the newest word, and never runs backwards', () => {
    const clock = new ProcessClock();
    const time = new RoomTime(clock);
    expect([time.now(5), time.errorMs()]).toEqual([0, 1_050]);
    ping(clock, 0, 2, 2, 1_000);
    time.sample(1_010, 70_000, 3);
    expect([time.now(20), time.errorMs()]).toEqual([70_010, 5]);
    // The process's room time was stepped back a little: it stands until that is made up.
    time.sample(1_030, 70_010, 1);
    expect([time.now(32), time.now(41), time.errorMs()]).toEqual([70_012, 70_021, 3]);
    time.sample(1_050, 70_025, 1);
    expect([time.now(51), time.now(60)]).toEqual([70_026, 70_035]);
    // An older word comes late.
    time.sample(1_040, 90_000, 1);
    expect(time.now(61)).toBe(70_036);
    time.sample(1_062, 70_030, 1);
    expect([time.now(62), time.now(70)]).toEqual([70_036, 70_038]);
  });
});
