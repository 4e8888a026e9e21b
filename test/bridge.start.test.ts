/** What `startBridge` refuses before it listens. */
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import type { StartBridgeOptions } from '../sdk/node/bridge-server.ts';
import { Bench } from './bridge-fake.ts';

test('[BR17] a port that no machine has is refused in words', async () => {
  await using bench = new Bench();
  for (const port of [99_999, -1, 1.5, '80']) {
    await expect(bench.start({ port } as Partial<StartBridgeOptions>)).rejects.toMatchObject({ code: 'bad-argument' });
  }
});
