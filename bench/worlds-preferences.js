/** MuJoCo's tasks: what labels in the place of the reward reach, and how quick steps and PPO are. */
import { availableParallelism } from 'node:os';
import { createVectorEnvironment, openEnvironment } from '../dist/env/index.js';
import { median, rate } from './figures.js';
import { atOnce, casesOf, train } from './worlds-train.js';

const tasks = [
  { env: 'InvertedPendulum-v5', steps: 50_000 },
  { env: 'Reacher-v5', steps: 300_000 },
  ...['Hopper-v5', 'HalfCheetah-v5', 'Walker2d-v5', 'Swimmer-v5'].map((env) => ({ env, steps: 500_000 })),
];
const width = availableParallelism();
const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
const deviation = (values) => Math.sqrt(mean(values.map((x) => (x - mean(values)) ** 2)));

/** Mean over the evaluations of the last fifth of a training: one evaluation of a hopper that may fall says little. */
const late = ({ returns }) => mean(returns.slice(-Math.ceil(returns.length / 5)));

/**
 * Each task by its preset of `heed train`, and by the same PPO for as many steps on the true reward. A share is of the
 * way from the policy before training to what the true reward reached, since some returns are below 0.
 */
async function* preferences({ seeds, env: only }) {
  for (const { env, steps } of casesOf(tasks, only)) {
    const flags = (seed) => ['--env', env, '--seed', 1000 + seed, '--evaluations', 20, '--episodes', 20];
    const taught = await atOnce(
      Array.from({ length: seeds }, (_, i) => () => train('train', [...flags(i), '--steps', steps])),
      width,
    );
    const told = await atOnce(
      Array.from({ length: seeds }, (_, i) => () => train('rl', [...flags(i), '--steps', steps])),
      width,
    );
    const [ours, theirs] = [taught.map(late), told.map(late)];
    const start = mean([...taught, ...told].map(({ returns }) => returns[0]));
    const share = (mean(ours) - start) / (mean(theirs) - start);
    yield {
      name: `${env}, ${taught[0].labels} labels, ${rate(steps)} steps`,
      value: `${mean(ours).toFixed(1)} ± ${deviation(ours).toFixed(1)}`,
      target: '≥ 90 %',
      note: `${(100 * share).toFixed(0)} % of the way from ${start.toFixed(1)} to the true reward's ${mean(theirs).toFixed(1)} ± ${deviation(theirs).toFixed(1)}`,
      taught: ours,
      told: theirs,
      share,
    };
  }
}

/** Environment steps a second, random actions, eight copies: one thread, and two. */
async function* steps() {
  for (const env of [...tasks.map(({ env }) => env), 'Ant-v5', 'InvertedDoublePendulum-v5']) {
    const measured = { 0: [], 2: [] };
    for (let pair = 0; pair < 5; pair++) {
      for (const workers of [0, 2]) measured[workers].push(await stepsPerSecond(env, workers));
    }
    const ratio = median(measured[2].map((two, i) => two / measured[0][i]));
    yield {
      name: `${env} steps/s, 8 copies`,
      value: rate(median(measured[0])),
      target: 'two workers ≥ 1.5×',
      note: `two workers ${rate(median(measured[2]))}: ${ratio.toFixed(2)}×`,
      measured,
      ratio,
    };
  }
}

async function stepsPerSecond(env, workers) {
  const source = await openEnvironment(env, { workers });
  const environment = createVectorEnvironment(source.batch(8), 0);
  const { count, actionSize, actionSpace } = environment;
  const actions = new Float32Array(count * actionSize);
  const draw = () => {
    for (let i = 0; i < actions.length; i++) {
      const [low, high] = [actionSpace.low[i % actionSize], actionSpace.high[i % actionSize]];
      actions[i] = low + Math.random() * (high - low);
    }
  };
  environment.reset();
  let taken = 0;
  let began = 0;
  for (const seconds of [0.3, 1.5]) {
    taken = 0;
    began = performance.now();
    while (performance.now() - began < seconds * 1000) {
      draw();
      environment.step(actions);
      taken += count;
    }
  }
  const found = (taken * 1000) / (performance.now() - began);
  environment[Symbol.dispose]();
  source[Symbol.dispose]();
  return found;
}

/** PPO's own speed on HalfCheetah: collecting and learning, without evaluations. */
async function* ppo({ pairs, peer }) {
  const measured = [];
  for (let seed = 0; seed < pairs; seed++) {
    const flags = ['--env', 'HalfCheetah-v5', '--seed', seed, '--steps', 20_480, '--evaluations', 0, '--episodes', 1];
    const one = await train('rl', flags);
    const two = await train('rl', [...flags, '--workers', 2]);
    const theirs = peer('sb3_rl.py', '--algorithm', 'ppo', ...flags.slice(0, 6), '--episodes', 0);
    measured.push({ ours: one.stepsPerSecond, threads: two.stepsPerSecond, theirs: theirs?.stepsPerSecond });
  }
  const both = measured.filter(({ theirs }) => theirs);
  const ratio = both.length > 0 ? median(both.map(({ ours, theirs }) => ours / theirs)) : undefined;
  yield {
    name: 'PPO HalfCheetah-v5, 8 copies × 256 steps, 10 epochs of 64, steps/s',
    value: rate(median(measured.map(({ ours }) => ours))),
    target: '≥ 3× SB3',
    note: [
      ratio ? `SB3 ${rate(median(both.map(({ theirs }) => theirs)))}: ${ratio.toFixed(1)}×` : 'SB3 not installed',
      `two workers ${rate(median(measured.map(({ threads }) => threads)))}`,
    ].join('; '),
    measured,
    ratio,
  };
}

export const worldsPreferences = { preferences, steps, ppo };
