/** A2C, TRPO and SAC on the true reward, as `heed rl` trains them, beside Stable-Baselines3. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const heed = fileURLToPath(new URL('../bin/heed.js', import.meta.url));
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

/** One training in a process of its own, on one thread; its result. */
function train(algorithm, env, seed, ...flags) {
  const folder = mkdtempSync(join(tmpdir(), 'heed-bench-'));
  try {
    const given = ['--algorithm', algorithm, '--env', env, '--seed', seed, ...flags].map(String);
    const run = spawnSync(process.execPath, [heed, 'rl', ...given, '--json', '--out', join(folder, 'run')], {
      encoding: 'utf8',
      env: { ...process.env, HEED_THREADS: '1' },
    });
    if (run.status !== 0) throw new Error(`heed rl ${given.join(' ')}: ${run.stderr.trim().split('\n').at(-1)}`);
    return JSON.parse(run.stdout);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Environment steps a second with an update at each, ours and the peer's in turn. */
async function* sac({ pairs, peer }) {
  const steps = 2_000;
  const measured = [];
  for (let seed = 0; seed < pairs; seed++) {
    const ours = train('sac', 'Pendulum-v1', seed, '--steps', steps, '--evaluations', 0, '--episodes', 1);
    const theirs = peer('sb3_rl.py', '--algorithm', 'sac', '--env', 'Pendulum-v1', '--seed', seed, '--steps', steps);
    measured.push({ ours: ours.stepsPerSecond, theirs: theirs?.stepsPerSecond });
  }
  const both = measured.filter(({ theirs }) => theirs);
  const ratio = both.length > 0 ? median(both.map(({ ours, theirs }) => ours / theirs)) : undefined;
  yield {
    name: 'SAC Pendulum-v1, 256×256, an update a step, steps/s',
    value: median(measured.map(({ ours }) => ours)).toFixed(0),
    target: '≥ SB3',
    note: ratio
      ? `SB3 ${median(both.map(({ theirs }) => theirs)).toFixed(0)}: ${ratio.toFixed(1)}×`
      : 'SB3 not installed',
    measured,
    ratio,
  };
}

/** What the presets reach, and Stable-Baselines3 with the same settings where it has the algorithm. Minutes a seed. */
async function* learned({ seeds, peer }) {
  for (const [algorithm, env, bar, published] of [
    ['a2c', 'CartPole-v1', 475, 'Zoo 500'],
    ['trpo', 'CartPole-v1', 475, 'Zoo 500'],
    ['trpo', 'Pendulum-v1', -250, 'Zoo −174'],
    ['sac', 'Pendulum-v1', -200, 'Zoo −157'],
  ]) {
    const [ours, theirs] = [[], []];
    for (let seed = 0; seed < seeds; seed++) {
      ours.push(train(algorithm, env, seed, '--evaluations', 0).return.mean);
      const other =
        algorithm === 'trpo' ? undefined : peer('sb3_rl.py', '--algorithm', algorithm, '--env', env, '--seed', seed);
      if (other) theirs.push(other.return.mean);
    }
    const shown = (returns) => returns.map((mean) => mean.toFixed(0)).join(', ');
    yield {
      name: `${algorithm.toUpperCase()} ${env}`,
      value: shown(ours),
      target: `≥ ${bar}`,
      note: `${ours.filter((mean) => mean >= bar).length} of ${seeds}; ${theirs.length > 0 ? `SB3 ${shown(theirs)}` : published}`,
      ours,
      theirs,
    };
  }
}

export const worldsRl = { sac, learned };
