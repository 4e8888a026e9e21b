/** What is left of an examination that could not be made. */
import { expect, test, vi } from 'vitest';
import { examine } from '../sdk/node/cli/doctor-probe.ts';

vi.mock('../sdk/node/search.ts', () => ({ openSearch: () => Promise.reject(new Error('no socket for the search')) }));

test('[DI23] a doctor that cannot look holds no socket', async () => {
  const sockets = (): number => process.getActiveResourcesInfo().filter((name) => name === 'UDPWrap').length;
  const before = sockets();
  await expect(examine({ interfaces: ['127.0.0.1'], discovery: { mdns: false, beacon: false, local: false } })).rejects.toThrow(
    'no socket for the search',
  );
  await expect.poll(sockets).toBe(before);
});
