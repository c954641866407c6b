/** What the long sections of the benches share: results that are kept, so that a bench that was stopped goes on. */
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const mean = (values) => Array.from(values).reduce((sum, value) => sum + value, 0) / values.length;

/** The objects of a file of JSON lines. */
export const readLines = (path) =>
  readFileSync(path, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));

/** A learner's last step. */
export async function learnAll(learner) {
  for (;;) {
    const step = await learner.next();
    if (step.done) return step;
  }
}

/** Seconds of the processor that something took: the machine may be shared. */
export async function timed(work) {
  const before = process.cpuUsage();
  const result = await work();
  const { user, system } = process.cpuUsage(before);
  return { ...result, seconds: (user + system) / 1e6 };
}

/**
 * Results by what they are of, one a line of a file in the folder `own`, so that none is measured twice. Without a
 * folder they are kept until the end.
 */
export function keptResults(file, own = process.env.HEED_BENCH_FOLDER) {
  const folder = own ?? mkdtempSync(join(tmpdir(), 'heed-bench-'));
  mkdirSync(folder, { recursive: true });
  const path = join(folder, file);
  const lines = existsSync(path) ? readLines(path) : [];
  const known = new Map(lines.map((line) => [JSON.stringify(line.key), line]));
  return {
    folder,
    async result(key, measure) {
      const found = known.get(JSON.stringify(key));
      const { key: _, ...values } = found ?? { key, ...(await measure()) };
      if (!found) appendFileSync(path, `${JSON.stringify({ key, ...values })}\n`);
      return { ...key, ...values };
    },
    [Symbol.dispose]() {
      if (own === undefined) rmSync(folder, { recursive: true });
    },
  };
}
