import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import LongestFirst from './test/support/longest.ts';

// what tests and the programs that they start leave behind goes with the run; Vitest reads this file for each project
if (!tmpdir().includes('heed-tests-')) {
  const temporary = mkdtempSync(join(tmpdir(), 'heed-tests-'));
  chmodSync(temporary, 0o755); // PostgreSQL runs as another user
  process.env.TMPDIR = temporary;
  process.once('exit', () => rmSync(temporary, { recursive: true, force: true, maxRetries: 3 }));
}

export default defineConfig({
  test: {
    testTimeout: 900_000, // only so that a test which hangs ends: a slow machine beside other load needs minutes for some
    hookTimeout: 900_000,
    maxWorkers: availableParallelism() + 1, // many tests wait for processes that they started
    env: { HEED_THREADS: '1' }, // workers share the cores already: more threads of small models only wait for each other
    pool: 'forks', // the engine holds native memory, and tests change the environment
    isolate: false, // a process of its own for each file would spend a fifth of the time on loading the same modules
    setupFiles: ['./test/support/restore.ts', './test/support/equality.ts'],
    server: { deps: { external: [/heed-compiled-/] } }, // run what was compiled as Node does
    sequence: { sequencer: LongestFirst },
    reporters: ['default', './test/support/counts.ts'],
    tags: [{ name: 'proof', description: 'trains to a result, or repeats what is proven of a shared mechanism' }],
    projects: [
      { extends: true, test: { name: 'unit', include: ['src/**/*.test.ts'] } },
      {
        extends: true,
        test: { name: 'whole', include: ['test/**/*.test.ts'], globalSetup: ['./test/support/compile.ts'] },
      },
    ],
  },
});
