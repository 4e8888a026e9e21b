/** What a page does with its socket and its seat, beside what its game asks for. */
import { expect, test } from 'vitest';
import type { PageClock } from '../sdk/browser/tick-source.ts';
import { Bench, join, OTHER, until } from './bridge-fake.ts';

test('[BR5] what was sent is flushed, also when it left its page with something else before the tick ended', async () => {
  await using bench = new Bench();
  const page = await bench.page(await bench.start());
  const port = await page.open(join());
  const room = bench.lan.rooms[0]!;
  port.send(0, OTHER, 'unreliable', Uint8Array.of(1));
  // Leaves at the end of this turn, and takes along what is there.
  port.setEligible(0, false);
  await until(() => room.sent.length === 1);
  port.flush(0);
  await until(() => room.flushes === 1);
  // Nothing new is nothing to flush.
  port.flush(0);
  port.setEligible(0, true);
  await until(() => room.eligible.length === 2);
  expect(room.flushes).toBe(1);
});

/** A page's clock that the test turns. */
function handClock(): PageClock & { timers: { fn: () => void }[]; run(): void } {
  const clock = {
    timers: [] as { fn: () => void }[],
    hidden: false,
    now: () => performance.now(),
    setTimeout: (fn: () => void) => clock.timers[clock.timers.push({ fn }) - 1],
    clearTimeout: (timer: unknown) => void (clock.timers = clock.timers.filter((one) => one !== timer)),
    requestFrame: () => undefined,
    onVisibility: () => ({ [Symbol.dispose]: () => undefined }),
    /** Whatever is to come later, comes now. */
    run(): void {
      for (const { fn } of clock.timers.splice(0)) fn();
    },
  };
  return clock;
}

test.each(['waiting', 'connecting'])('[BR14] a client that is closed by who hears that it is %s stays closed', async (when) => {
  await using bench = new Bench();
  const clock = handClock();
  const page = await bench.page(await bench.start(), { page: clock });
  page.onState = ({ type }) => {
    if (type === when) void page.close();
  };
  page.sockets[0]!.terminate();
  await until(() => page.state.type !== 'open');
  clock.run();
  expect([page.state.type, page.sockets.length, clock.timers]).toEqual(['closed', 1, []]);
  await expect(page.open(join())).rejects.toMatchObject({ code: 'closed' });
});
