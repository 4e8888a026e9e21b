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

const cores = availableParallelism();

export default defineConfig({
  ssr: { resolve: { conditions: ['@lanista/source', 'node', 'import', 'module', 'default'] } },
  resolve: { conditions: ['@lanista/source', 'node', 'import', 'module', 'default'] },
  test: {
    globalSetup: 'test/temporary-folder.ts',
    testTimeout: 20_000,
    pool: 'forks',
    projects: [
      {
        extends: true,
        // These wait for most of their time, so that more of them than there are cores leave little of the processor idle.
        test: { name: 'edges', include: edges, globalSetup: 'test/build-sources.ts', sequence: { groupOrder: 0 }, maxWorkers: cores + 2 },
      },
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/e2e/**', 'test/lab/**', ...edges],
          // Files of one worker share their modules, which each of these leaves as it found them: loading them anew for each took half of the time.
          isolate: false,
          // They only compute, and each worker has to compile the project until it is fast: one more cost a tenth of the processor time.
          maxWorkers: cores,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
