/** `npm test` itself: a part that never ends is ended, and what it did is told. */
import { expect, it } from 'vitest';
import { allWaited, runPart } from './part.ts';

const script = (text: string): readonly string[] => [process.execPath, '-e', text];

it('a part that ends is reported by its code', async () => {
  expect(await runPart(script('process.exit(3)'), 10_000)).toEqual({ code: 3, stuck: undefined });
  expect(await runPart(['no-such-command'], 10_000)).toEqual({ code: 127, stuck: undefined });
});

it.runIf(process.platform === 'linux')('one that computes or waits without end is ended at its limit, with what it started', async () => {
  const spins = await runPart(script(`process.on('SIGTERM', () => 0); require('child_process').spawn(process.execPath, ['-e', 'for (;;);'])`), 500);
  expect(spins.code).toBe(1);
  expect(spins.stuck).toHaveLength(2);
  expect(allWaited(spins.stuck!)).toBe(false);
  expect(spins.stuck!.map(({ computed }) => computed)).toEqual([false, true]);
  expect(spins.stuck![1]!.busy).toBeGreaterThan(0);
  const waits = await runPart(script('setInterval(() => 0, 1_000)'), 300);
  expect(allWaited(waits.stuck!)).toBe(true);
});
