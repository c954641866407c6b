/**
 * What the way to Python costs: copies of Gymnasium's environments stepped through the bridge, beside a plain loop in the
 * same Python over the same copies, seeds and actions. HEED_PYTHON names a Python that has them.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseName } from '../dist/env/gymnasium/names.js';
import { openEnvironment, sizeOf } from '../dist/env/index.js';
import { random } from '../dist/random.js';
import { rate } from './figures.js';
import { lastLine, middle, path, times } from './sides.js';
import { casesOf } from './worlds-train.js';

const python = process.env.HEED_PYTHON ?? 'python3';
const SECONDS = 3;
/** Steps whose rewards have to be the same on both sides. */
const COMPARED = 50;
const ACTIONS = 200;
const cases = [
  { env: 'CartPole-v1', copies: 8 },
  { env: 'CartPole-v1', copies: 32, target: '≥ 85 %' },
  { env: 'CartPole-v1', copies: 64, target: '≥ 85 %' },
  { env: 'HalfCheetah-v5', copies: 8, target: '≥ 85 %' },
  { env: 'HalfCheetah-v5', copies: 32, target: '≥ 85 %' },
  { env: 'ALE/Pong-v5', copies: 8, target: '≥ 85 %' },
  { env: 'ALE/Pong-v5', copies: 8, workers: 2, target: '≥ 2.5k steps/s' },
];

async function* bridge({ pairs, env: only }) {
  const folder = mkdtempSync(join(tmpdir(), 'heed-bench-'));
  try {
    for (const { target, ...one } of casesOf(cases, only)) {
      try {
        yield { target, ...row(one, await compared(one, pairs, folder)) };
      } catch (error) {
        console.error(`${one.env}: ${error.message}`); // a package that is missing, mostly
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Both sides in turns. */
async function compared({ env, copies, workers }, pairs, folder) {
  const file = join(folder, `${env.replace('/', '-')}-${copies}`);
  const [ours, theirs] = [[], []];
  for (let pair = 0; pair < pairs; pair++) {
    ours.push(await throughBridge(env, copies, workers, file));
    theirs.push(inPython(env, copies, file));
    if (Math.abs(ours[pair].rewards - theirs[pair].rewards) < 1e-6) continue;
    throw new Error(`rewards of ${ours[pair].rewards} through the bridge, of ${theirs[pair].rewards} in Python`);
  }
  return { ours, theirs };
}

function row({ env, copies, workers = 1 }, { ours, theirs }) {
  const share = times(ours, theirs, 'stepsPerSecond');
  const shareOfCpu = times(ours, theirs, 'stepsPerCpuSecond');
  const percent = (x) => `${(100 * x).toFixed(0)} %`;
  return {
    name: `${env} steps/s, ${copies} copies${workers > 1 ? `, ${workers} processes` : ''}`,
    value: rate(middle(ours, 'stepsPerSecond')),
    note: `Python alone ${rate(middle(theirs, 'stepsPerSecond'))}: ${percent(share)}; by processor time ${percent(shareOfCpu)}`,
    measured: { ours, theirs },
    share,
    shareOfCpu,
  };
}

async function throughBridge(env, copies, workers, file) {
  const source = await openEnvironment(env.startsWith('ALE/') ? env : `gym:${env}`, { workers, python });
  const batch = source.batch(copies);
  const given = actionsFor(source.actionSpace, copies, file);
  const first = Float64Array.from({ length: copies }, (_, copy) => 1000 * copy);
  const next = first.map((seed) => seed + 1);
  const width = given.length / ACTIONS;
  let taken = 0;
  const step = () => {
    const at = (taken++ % ACTIONS) * width;
    batch.step(given.subarray(at, at + width), next);
    for (let copy = 0; copy < copies; copy++) if (batch.terminated[copy] || batch.truncated[copy]) next[copy]++;
  };
  batch.reset(first);
  let rewards = 0;
  for (let t = 0; t < COMPARED; t++) {
    step();
    rewards += batch.rewards.reduce((sum, x) => sum + x, 0);
  }
  const cpuBefore = processorTime(source);
  const began = performance.now();
  while (performance.now() - began < SECONDS * 1000) step();
  const steps = (taken - COMPARED) * copies;
  const stepsPerSecond = (steps * 1000) / (performance.now() - began);
  const stepsPerCpuSecond = steps / (processorTime(source) - cpuBefore);
  source[Symbol.dispose]();
  return { stepsPerSecond, stepsPerCpuSecond, rewards };
}

/** Random actions, kept in a file that Python reads too. */
function actionsFor(space, copies, file) {
  if (!existsSync(file)) {
    const { integer, uniform } = random(0, 'actions');
    const size = sizeOf(space);
    const { low, high, n } = space;
    const draw = (i) => (n ? integer(n) : low[i % size] + uniform() * (high[i % size] - low[i % size]));
    writeFileSync(
      file,
      Float32Array.from({ length: ACTIONS * copies * size }, (_, i) => draw(i)),
    );
  }
  const bytes = readFileSync(file);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

/** Seconds of ours and of its Python processes; NaN where there is no /proc. */
function processorTime(source) {
  const { user, system } = process.cpuUsage();
  const ticks = source.processes().map(({ pid }) => {
    if (!existsSync(`/proc/${pid}/stat`)) return Number.NaN;
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return Number(fields[11]) + Number(fields[12]);
  });
  return (user + system) / 1e6 + ticks.reduce((a, b) => a + b, 0) / 100;
}

function inPython(env, copies, file) {
  const given = ['--env', env, '--copies', copies, '--actions', file, '--seconds', SECONDS];
  const prepared = ['--prepared', path('../dist/env/gymnasium'), '--options', JSON.stringify(parseName(env).atari)];
  const script = path('./peers/gymnasium_loop.py');
  const run = spawnSync(python, [script, ...[...given, ...prepared].map(String)], { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`gymnasium_loop.py: ${run.error?.message ?? run.stderr}`);
  return JSON.parse(lastLine(run.stdout));
}

export const worldsBridge = { bridge };
