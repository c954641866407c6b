/**
 * Runs the tests again and again beside busy processes, and names each test that failed at least once.
 *
 *     npm run test:repeat -- --times 20 --load 4 --timed
 *     npm run test:repeat -- --times 3 --load 0 test/studio-events.test.ts
 *
 * --times N   how often
 * --load K    busy processes beside the tests, each as hungry as a core allows
 * --timed     only the files that use clocks, processes, servers or browsers
 * FILE…       only these, as Vitest filters them
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
const sensitive =
  /setTimeout|setInterval|Date\.now|performance\.now|useFakeTimers|\bsleep\(|child_process|support\/(heed|child|browser|studio|postgres|stores|example|ray)|createServer|\.listen\(|worker_threads|\bfetch\(/;

function readOptions() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { times: { type: 'string' }, load: { type: 'string' }, timed: { type: 'boolean' } },
  });
  const count = (name, least, otherwise) => {
    const value = Number(values[name] ?? otherwise);
    if (!Number.isInteger(value) || value < least)
      throw new Error(`--${name}: expected a whole number from ${least}, got "${values[name]}"`);
    return value;
  };
  const files = values.timed ? [...positionals, ...timedFiles()] : positionals;
  return { times: count('times', 1, 3), load: count('load', 0, 0), files };
}

/** Files of tests that a slow or busy machine may disturb. */
function timedFiles() {
  return ['src', 'test']
    .flatMap((folder) => readdirSync(join(root, folder), { recursive: true }).map((name) => join(folder, name)))
    .filter((path) => path.endsWith('.test.ts') && sensitive.test(readFileSync(join(root, path), 'utf8')));
}

/** Processes that compute until this one ends, however it ends. */
function startLoad(count) {
  const spin = `for (let i = 0; ; i++) if (i % 1e6 === 0 && process.ppid !== ${process.pid}) process.exit()`;
  return Array.from({ length: count }, () => spawn(process.execPath, ['-e', spin], { stdio: 'ignore' }));
}

/** Results of one run of the tests: of each test that failed, its first message. */
async function runTests(files, folder) {
  const report = join(folder, 'report.json');
  rmSync(report, { force: true });
  const args = ['run', '--tags-filter=!proof', '--reporter=json', `--outputFile=${report}`, ...files];
  const began = performance.now();
  const child = spawn(process.execPath, [vitest, ...args], { cwd: root, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (text) => {
    said += text;
  });
  const [code] = await once(child, 'close');
  const seconds = Math.round((performance.now() - began) / 1000);
  let results;
  try {
    results = JSON.parse(readFileSync(report, 'utf8'));
  } catch {
    return { failures: [['the run itself', said.trim() || `ended with ${code}`]], passed: 0, seconds };
  }
  const failures = results.testResults.flatMap(({ name, message, status, assertionResults }) => {
    const file = relative(root, name);
    const failed = assertionResults.filter((test) => test.status === 'failed');
    const whole = status === 'failed' && failed.length === 0 ? [[file, message]] : [];
    return [...failed.map((test) => [`${file} › ${test.fullName}`, test.failureMessages[0] ?? '']), ...whole];
  });
  if (code !== 0 && failures.length === 0) failures.push(['an error outside of tests', said.trim()]);
  return { failures, passed: results.numPassedTests, seconds };
}

async function main() {
  const { times, load, files } = readOptions();
  const folder = mkdtempSync(join(tmpdir(), 'heed-repeat-'));
  const busy = startLoad(load);
  const seen = new Map();
  try {
    console.log(
      `${files.length > 0 ? `${files.length} files` : 'all tests'}, ${times} times beside ${load} busy processes`,
    );
    for (let i = 1; i <= times; i++) {
      const { failures, passed, seconds } = await runTests(files, folder);
      console.log(`run ${i} of ${times}: ${passed} passed, ${failures.length} failed in ${seconds} s`);
      for (const [name, message] of failures) {
        console.log(`  ${name}`);
        const before = seen.get(name) ?? { count: 0, message };
        seen.set(name, { ...before, count: before.count + 1 });
      }
    }
  } finally {
    for (const process of busy) process.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
  for (const [name, { count, message }] of seen) console.log(`\nfailed ${count} of ${times}: ${name}\n${message}`);
  console.log(seen.size === 0 ? `\nno test failed in ${times} runs` : `\n${seen.size} failed at least once`);
  process.exitCode = seen.size === 0 ? 0 : 1;
}

await main();
