/**
 * Ends a test run: what was skipped and what brings it, then one line that a program can read: "412 passed, 0 failed, 3
 * skipped".
 */
import type { Reporter, TestModule, Vitest } from 'vitest/node';
import { needs } from './needs.ts';

export default class Counts implements Reporter {
  /** Whether this run is of the proofs alone. */
  #proofs = false;

  onInit(vitest: Vitest): void {
    this.#proofs = vitest.config.tagsFilter?.includes('proof') ?? false;
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const counts = { passed: 0, failed: 0, skipped: 0 };
    const reasons = new Map<string, number>();
    for (const module of modules) {
      const tests = [...module.children.allTests()];
      // a pending test: its worker ended; or its file has a skipped group in a skipped group, and nothing ran
      const missed = module.state() === 'skipped' ? 'skipped' : 'failed';
      for (const test of tests) {
        const result = test.result();
        const state = result.state === 'pending' ? missed : result.state;
        counts[state]++;
        if (state !== 'skipped') continue;
        const note = result.state === 'skipped' ? result.note : undefined;
        const isProof = test.tags.includes('proof');
        const other = isProof === this.#proofs ? undefined : leftOut(isProof);
        const reason = note ?? other ?? /\(needs (.+?)\)( >|$)/.exec(test.fullName)?.[1] ?? 'no stated reason';
        reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
      }
      // a file that does not load, or whose setup fails, has failed whatever its tests say
      const fell = module.state() === 'failed' && !tests.some((test) => test.result().state === 'failed');
      if (fell) counts.failed++;
    }
    counts.failed += errors.length;
    const skipped = [...reasons].sort((a, b) => b[1] - a[1]).map(([reason, count]) => line(reason, count));
    const last = `${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`;
    process.once('exit', () => process.stdout.write(`${[...skipped, last].join('\n')}\n`));
  }
}

function line(reason: string, count: number): string {
  return reason in needs ? `skipped ${count} that need ${reason}: ${needs[reason]}` : `skipped ${count}: ${reason}`;
}

const leftOut = (isProof: boolean) =>
  isProof ? 'proofs, which take minutes (npm run test:proofs)' : 'not among the proofs (npm test)';
