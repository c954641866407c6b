import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    testTimeout: 120_000,
    hookTimeout: 120_000,
    maxWorkers: availableParallelism(), // one fewer unless told, which of two cores is half
    pool: 'forks', // the engine holds native memory: a process of its own per file keeps RSS tests honest
    reporters: ['default', './test/support/counts.ts'],
    projects: [
      { extends: true, test: { name: 'unit', include: ['src/**/*.test.ts'] } },
      {
        extends: true,
        test: { name: 'whole', include: ['test/**/*.test.ts'], globalSetup: ['./test/support/compile.ts'] },
      },
    ],
  },
});
