/** Trainings as a user starts them: a process each, on one thread. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const heed = fileURLToPath(new URL('../bin/heed.js', import.meta.url));

/** Those of the cases that are of this environment; all where none is named. A section without it says so: others may have it. */
export function casesOf(cases, env) {
  const chosen = cases.filter((one) => env === undefined || one.env === env);
  if (chosen.length === 0)
    console.error(`--env ${env} is none of ${[...new Set(cases.map((one) => one.env))].join(', ')}`);
  return chosen;
}

/** `heed COMMAND …flags`: its result, and `returns`, the means of its evaluations in their order. */
export async function train(command, flags, environment = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'heed-bench-'));
  try {
    const run = join(folder, 'run');
    const given = [command, ...flags.map(String), '--json', '--out', run];
    const child = spawn(process.execPath, [heed, ...given], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, HEED_THREADS: '1', ...environment },
    });
    const [out, told] = [[], []];
    child.stdout.on('data', (bytes) => out.push(bytes));
    child.stderr.on('data', (bytes) => told.push(bytes));
    const code = await new Promise((resolve, reject) => child.on('error', reject).on('close', resolve));
    if (code !== 0)
      throw new Error(`heed ${given.join(' ')}: ${Buffer.concat(told).toString().trim().split('\n').at(-1)}`);
    const rows = readFileSync(join(run, 'metrics.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const returns = rows.flatMap((row) => row['return/mean'] ?? []);
    return { ...JSON.parse(Buffer.concat(out).toString()), returns };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Does `jobs`, functions, `width` at a time; results in order. */
export async function atOnce(jobs, width) {
  const results = [];
  let next = 0;
  const worker = async () => {
    while (next < jobs.length) {
      const at = next++;
      results[at] = await jobs[at]();
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, jobs.length) }, worker));
  return results;
}
