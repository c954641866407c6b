/**
 * Plants the faults of faults.js, one at a time, and counts those that the tests catch:
 *
 *     node scripts/plant-faults.js [--at REF] [--only NAME] [--json FILE]
 *
 * Source and tests are those of the commit REF (HEAD by default), in a temporary work tree; this checkout stays as it is.
 * Only the tests that a fault names are run, in one process, up to the first that fails. What failed is run once more
 * without a fault at the end: a file that fails then too has caught nothing. `--only` may be given several times.
 */
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { faults, hasTests, staleness } from './faults.js';

const root = fileURLToPath(new URL('..', import.meta.url));
/** Milliseconds of a file of tests. A test that hangs ends by itself after 5 minutes, but for a loop that never waits. */
const LONGEST = 30 * 60_000;

/** A mistake of whoever runs this: shown without a stack. */
class Wrong extends Error {}

function git(...args) {
  const { status, stdout, stderr } = spawnSync('git', args, { cwd: root, encoding: 'utf8' });
  if (status !== 0) throw new Wrong(`git ${args.join(' ')}: ${stderr.trim()}`);
  return stdout.trim();
}

/** The faults with these names; all without names. */
function chosen(names) {
  const known = new Set(faults.map(({ name }) => name));
  if (known.size < faults.length) throw new Wrong('Two faults of faults.js have the same name.');
  const unknown = names.filter((name) => !known.has(name));
  if (unknown.length === 0) return names.length === 0 ? faults : faults.filter(({ name }) => names.includes(name));
  throw new Wrong(`--only: there is no fault "${unknown[0]}"; expected one of ${[...known].join(', ')}`);
}

let running;
let stopped = false;
/** Ends the tests that run, so that the work tree is removed. */
function stop() {
  stopped = true;
  running?.end();
}

/** Runs tests of a work tree. Returns what failed, or why nothing could. */
async function run(work, tests, flags = []) {
  if (stopped) return [];
  const report = join(work.folder, 'report.json');
  const temporary = join(work.folder, 'tmp');
  rmSync(report, { force: true });
  mkdirSync(temporary);
  const vitest = join(work.source, 'node_modules', 'vitest', 'vitest.mjs');
  const reporting = ['--reporter=json', `--outputFile=${report}`];
  const child = spawn(process.execPath, [vitest, 'run', '--maxWorkers=1', ...flags, ...reporting, ...tests], {
    cwd: work.source,
    env: { ...process.env, TMPDIR: temporary },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true, // a group of its own, with what the tests start
  });
  const end = () => {
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // it has ended
    }
  };
  running = { end };
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (said = (said + data).slice(-4000)));
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    end();
  }, LONGEST * tests.length);
  const code = await new Promise((resolve) => child.on('close', resolve));
  clearTimeout(timer);
  end();
  running = undefined;
  rmSync(temporary, { recursive: true, force: true, maxRetries: 5 });
  if (late) return [{ file: tests.join(' '), test: 'the run', message: 'It did not end.' }];
  if (stopped) return [];
  // faults compile, so that this says nothing of them
  if (!existsSync(report)) throw new Wrong(`Vitest did not run ${tests.join(' ')}: ${said.trim()}`);
  const told = JSON.parse(readFileSync(report, 'utf8'));
  const failed = told.testResults.flatMap((one) => failuresOf(one, work.source));
  if (code === 0 || failed.length > 0) return failed;
  return [{ file: tests.join(' '), test: 'the run', message: said.trim() }];
}

function failuresOf({ name, status, message, assertionResults }, source) {
  const file = relative(source, name);
  const tests = assertionResults.filter((one) => one.status === 'failed');
  if (tests.length === 0) return status === 'failed' ? [{ file, test: 'the file', message }] : [];
  return tests.map(({ fullName, failureMessages }) => ({ file, test: fullName, message: failureMessages.join('\n') }));
}

/** Plants a fault, and takes it back. Returns the first test that failed, if any did. */
async function plant({ file, from, to, tests }, work) {
  const path = join(work.source, file);
  const text = readFileSync(path, 'utf8');
  writeFileSync(
    path,
    text.replace(from, () => to),
  );
  try {
    const [first] = await run(
      work,
      tests.filter((test) => hasTests(join(work.source, test))),
      ['--bail=1'],
    );
    return first;
  } finally {
    writeFileSync(path, text);
  }
}

/** Runs the files that caught faults without a fault: what fails then too has caught nothing. */
async function recheck(results, work) {
  const files = new Set(results.flatMap(({ caught }) => (caught ? [caught.file] : [])));
  const there = [...files].filter((file) => existsSync(join(work.source, file)));
  if (there.length === 0) return;
  const failed = await run(work, there, ['--retry=1']); // a slow machine fails a test now and then
  for (const result of results) {
    const { caught } = result;
    if (!failed.some(({ file, test }) => file === caught?.file && test === caught.test)) continue;
    result.flaw = `"${caught.test}" of ${caught.file} fails without the fault too`;
    result.caught = undefined;
  }
}

function table(results) {
  const row = ({ name, room, kind, caught, flaw }) => {
    const by = caught ? `${caught.file}: ${caught.test}` : ['**not caught**', flaw].filter(Boolean).join(': ');
    return `| ${[name, room, kind, by].map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  };
  return ['| fault | room | kind | caught by |', '| --- | --- | --- | --- |', ...results.map(row)].join('\n');
}

/** Plants faults, and tells of each. `save` gets the results so far. */
async function plantAll(selected, work, save) {
  const results = [];
  for (const fault of selected) {
    const began = Date.now();
    const caught = await plant(fault, work);
    if (stopped) return results;
    const { name, room, kind } = fault;
    const seconds = Math.round((Date.now() - began) / 1000);
    results.push({ name, room, kind, caught, seconds });
    const by = caught ? `caught by ${caught.file}: ${caught.test}` : 'not caught';
    console.error(`${results.length}/${selected.length} ${name}: ${by} (${seconds} s)`);
    save(results);
  }
  await recheck(results, work);
  return results;
}

async function main() {
  const { values } = parseArgs({
    options: { at: { type: 'string' }, only: { type: 'string', multiple: true }, json: { type: 'string' } },
  });
  const selected = chosen(values.only ?? []);
  const commit = git('rev-parse', '--verify', `${values.at ?? 'HEAD'}^{commit}`);
  const folder = mkdtempSync(join(tmpdir(), 'heed-faults-'));
  const work = { folder, source: join(folder, 'heed') };
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, stop);
  try {
    chmodSync(folder, 0o755); // tests start a PostgreSQL of another user below it
    git('worktree', 'add', '--detach', '--quiet', work.source, commit);
    symlinkSync(join(root, 'node_modules'), join(work.source, 'node_modules'));
    const stale = selected.flatMap((fault) => staleness(fault, work.source));
    if (stale.length > 0) throw new Wrong(`These faults do not fit ${commit}:\n${stale.join('\n')}`);
    const save = (results) => {
      if (values.json) writeFileSync(values.json, `${JSON.stringify({ commit, results }, null, 2)}\n`);
    };
    const results = await plantAll(selected, work, save);
    if (stopped) return 130;
    save(results);
    console.log(`${table(results)}\n\n${results.filter(({ caught }) => caught).length} of ${results.length} caught`);
    return 0;
  } finally {
    spawnSync('git', ['worktree', 'remove', '--force', work.source], { cwd: root }); // if it was added
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof Wrong)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
