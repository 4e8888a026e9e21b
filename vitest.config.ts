import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  ssr: { resolve: { conditions: ['@lanista/source', 'node', 'import', 'module', 'default'] } },
  resolve: { conditions: ['@lanista/source', 'node', 'import', 'module', 'default'] },
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/e2e/**', 'test/lab/**'],
    testTimeout: 20_000,
    pool: 'forks',
    // Two at least, also where vitest would take one: files that wait for sockets leave the processor to those that compute.
    maxWorkers: Math.max(2, availableParallelism() - 1),
  },
});
