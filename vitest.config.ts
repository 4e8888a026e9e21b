import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

/** Those with sockets, processes or modules put in place of others: each in a process of its own. */
const edges = [
  'test/**/*.net.test.ts',
  'test/bridge.*.test.ts',
  'test/demo-process.test.ts',
  'test/discovery.test.ts',
  'test/node*.test.ts',
  'test/port-network.test.ts',
];

export default defineConfig({
  ssr: { resolve: { conditions: ['@lanista/source', 'node', 'import', 'module', 'default'] } },
  resolve: { conditions: ['@lanista/source', 'node', 'import', 'module', 'default'] },
  test: {
    globalSetup: 'test/temporary-folder.ts',
    testTimeout: 20_000,
    pool: 'forks',
    // One more than there are cores on a small machine: files that wait for sockets leave the processor to those that compute.
    maxWorkers: Math.max(3, availableParallelism() - 1),
    projects: [
      {
        extends: true,
        // Files of one worker share their modules, which each of these leaves as it found them: loading them anew for each took half of the time.
        test: { name: 'unit', include: ['test/**/*.test.ts'], exclude: ['test/e2e/**', 'test/lab/**', ...edges], isolate: false },
      },
      { extends: true, test: { name: 'edges', include: edges, globalSetup: 'test/build-sources.ts' } },
    ],
  },
});
