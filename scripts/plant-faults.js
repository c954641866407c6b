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
import { faults } from './faults.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const LONGEST = 20 * 60_000; // ms; tests that hang end by themselves after 5 minutes, but for loops that never wait

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

/** What is wrong with a fault for this source: it was changed since. */
function staleness({ name, file, from, to, tests }, source) {
  const path = join(source, file);
  if (!existsSync(path)) return [`${name}: there is no ${file}`];
  const found = readFileSync(path, 'utf8').split(from).length - 1;
  return [
    ...(found === 1 ? [] : [`${name}: expected its text once in ${file}, got it ${found} times: ${from}`]),
    ...(from === to ? [`${name}: changes nothing`] : []),
    ...(tests.some((test) => existsSync(join(source, test))) ? [] : [`${name}: there is none of ${tests.join(', ')}`]),
  ];
}

let running;

/** Runs tests of a work tree. Returns what failed, or why nothing could. */
async function run(work, tests, flags = []) {
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
  }, LONGEST);
  const code = await new Promise((resolve) => child.on('close', resolve));
  clearTimeout(timer);
  end();
  running = undefined;
  rmSync(temporary, { recursive: true, force: true, maxRetries: 5 });
  if (late) return [{ file: tests.join(' '), test: 'did not end', message: `after ${LONGEST / 60_000} minutes` }];
  const told = existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : { testResults: [] };
  if (code === 0 && told.numTotalTests === 0) throw new Wrong(`${tests.join(' ')} has no tests.`);
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
      tests.filter((test) => existsSync(join(work.source, test))),
      ['--bail=1'],
    );
    return first;
  } finally {
    writeFileSync(path, text);
  }
}

function table(results) {
  const cell = (text) => text.replaceAll('|', '\\|');
  const row = ({ name, room, kind, caught, flaw }) =>
    `| ${[name, room, kind, caught ? `${caught.file}: ${caught.test}` : `**not caught**${flaw ? `: ${flaw}` : ''}`].map(cell).join(' | ')} |`;
  return ['| fault | room | kind | caught by |', '| --- | --- | --- | --- |', ...results.map(row)].join('\n');
}

async function main() {
  const { values } = parseArgs({
    options: { at: { type: 'string' }, only: { type: 'string', multiple: true }, json: { type: 'string' } },
  });
  const selected = chosen(values.only ?? []);
  const commit = git('rev-parse', '--verify', `${values.at ?? 'HEAD'}^{commit}`);
  const folder = mkdtempSync(join(tmpdir(), 'heed-faults-'));
  chmodSync(folder, 0o755); // tests start a PostgreSQL of another user below it
  const work = { folder, source: join(folder, 'heed') };
  let stopped = false;
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.on(signal, () => {
      stopped = true;
      running?.end();
    });
  }
  try {
    git('worktree', 'add', '--detach', '--quiet', work.source, commit);
    symlinkSync(join(root, 'node_modules'), join(work.source, 'node_modules'));
    const stale = selected.flatMap((fault) => staleness(fault, work.source));
    if (stale.length > 0) throw new Wrong(`These faults do not fit ${commit}:\n${stale.join('\n')}`);

    const results = [];
    const save = () => {
      if (values.json) writeFileSync(values.json, `${JSON.stringify({ commit, results }, null, 2)}\n`);
    };
    for (const fault of selected) {
      const began = Date.now();
      const caught = await plant(fault, work);
      if (stopped) return 130;
      const { name, room, kind } = fault;
      results.push({ name, room, kind, caught, seconds: Math.round((Date.now() - began) / 1000) });
      const at = caught ? `caught by ${caught.file}: ${caught.test}` : 'NOT CAUGHT';
      console.error(`${results.length}/${selected.length} ${name}: ${at} (${results.at(-1).seconds} s)`);
      save();
    }

    const catching = [
      ...new Set(
        results.flatMap(({ caught }) => (caught && existsSync(join(work.source, caught.file)) ? [caught.file] : [])),
      ),
    ];
    const broken = new Set((catching.length > 0 ? await run(work, catching) : []).map(({ file }) => file));
    if (stopped) return 130;
    for (const result of results) {
      if (!broken.has(result.caught?.file)) continue;
      result.flaw = `${result.caught.file} fails without the fault too`;
      result.caught = undefined;
    }
    save();
    console.log(`${table(results)}\n\n${results.filter(({ caught }) => caught).length} of ${results.length} caught`);
    return 0;
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    git('worktree', 'prune');
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof Wrong)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
