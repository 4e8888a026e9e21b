/** What a page does with its socket and its seat, beside what its game asks for. */
import { expect, test } from 'vitest';
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
