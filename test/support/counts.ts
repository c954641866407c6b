/** Ends a test run with one line that a program can read: "412 passed, 0 failed, 3 skipped". */
import type { Reporter, TestModule } from 'vitest/node';

export default class Counts implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const counts = { passed: 0, failed: 0, skipped: 0 };
    for (const module of modules) {
      const tests = [...module.children.allTests()];
      // a pending test: its worker ended; or its file has a skipped group in a skipped group, and nothing ran
      const missed = module.state() === 'skipped' ? 'skipped' : 'failed';
      for (const test of tests) {
        const { state } = test.result();
        counts[state === 'pending' ? missed : state]++;
      }
      // a file that does not load, or whose setup fails, has failed whatever its tests say
      const fell = module.state() === 'failed' && !tests.some((test) => test.result().state === 'failed');
      if (fell) counts.failed++;
    }
    counts.failed += errors.length;
    const line = `${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`;
    process.once('exit', () => process.stdout.write(`${line}\n`));
  }
}
