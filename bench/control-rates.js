/**
 * How often `heed train` succeeds: each preset, and environments without one, on fresh seeds. Finished results are kept
 * in bench/results/rates.jsonl and not computed again, so that several sessions can fill the tables.
 *
 *     npm run bench -- control --only rates --env MountainCar-v0 --seeds 10
 */
import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { learnOptions } from '../dist/control/index.js';
import { unfamiliarImages } from '../dist/control/presets.js';
import { openEnvironment, sourceOf } from '../dist/env/index.js';
import { discountIn } from '../dist/rl/discount.js';
import { rlOptions } from '../dist/rl/index.js';
import { steady } from '../dist/rl/presets.js';
import { wilson } from '../dist/run/index.js';
import { median } from './figures.js';
import { keptResults } from './kept.js';
import { disguised, ofImages, strangers } from './strangers/names.js';
import { atOnce, casesOf } from './worlds-train.js';

const FIRST_SEED = 1000; // most settings were chosen on lower ones
const folder = process.env.HEED_BENCH_FOLDER ?? fileURLToPath(new URL('./results', import.meta.url));

/** MuJoCo's tasks, each with its bar: see `presets`. */
const mujoco = [
  { env: 'InvertedPendulum-v5', bar: 950 },
  { env: 'Reacher-v5', bar: -5.4 },
  { env: 'Hopper-v5', bar: 1675 },
  { env: 'HalfCheetah-v5', bar: 4580 },
  { env: 'Walker2d-v5', bar: 2330 },
  { env: 'Swimmer-v5', bar: 275 },
];

/**
 * `bar`: the lowest mean return that counts as success. It is what the environment's authors call solved; where PPO does
 * not reach that on the true reward in as many steps, 80 % of the way from the untrained policy to what it reaches; for
 * behaviors, what the docs call learned. A control is expected to fail.
 */
const presets = [
  { env: 'CartPole-v1', labels: 10, bar: 475 },
  { env: 'CartPole-v1', labels: 20, bar: 475 },
  { env: 'CartPole-v1', labels: 60, teacher: 'mistake:0.1', bar: 475 },
  { env: 'CartPole-v1', labels: 10, teacher: 'inverted', bar: 475, control: true },
  { env: 'CartPole-v1', labels: 10, teacher: 'shuffled', bar: 475, control: true },
  { env: 'CartPole-v1', labels: 0, bar: 475, control: true },
  { env: 'Acrobot-v1', bar: -100 },
  { env: 'MountainCar-v0', bar: -132 },
  { env: 'MountainCarContinuous-v0', bar: 90 },
  { env: 'Pendulum-v1', bar: -370 },
  { env: 'LunarLander-v3', bar: 200 },
  ...mujoco,
  ...mujoco.map((task) => ({ ...task, labels: 350 })), // half of them
  { env: 'CartPole-swing', bar: 5 },
  { env: 'Hopper-backflip', bar: 3 },
  { env: 'HalfCheetah-one-leg', bar: 50 },
];

/** The results of a training by seed, from the file or measured. `message`: what bench/control-job.js takes. */
async function resultsOf(kept, message, options, { seeds, job }) {
  const { seed: _, ...settings } = options;
  const hash = createHash('sha256').update(JSON.stringify(settings)).digest('hex').slice(0, 12);
  const { kind, env, labels = settings.labels, teacher } = message;
  const one = (seed) => () =>
    kept.result({ kind, env, labels, ...(teacher && { teacher }), seed, settings: hash }, () =>
      job({ ...message, seed }, { HEED_THREADS: '1' }),
    );
  return atOnce(
    Array.from({ length: seeds }, (_, i) => one(FIRST_SEED + i)),
    availableParallelism(),
  );
}

/** Successes as a row's value, with Wilson's interval. */
function rateOf(reached, seeds) {
  const [low, high] = wilson(reached / seeds, seeds).map((share) => Math.round(100 * share));
  return `${reached} of ${seeds} (95 %: ${low} to ${high} %)`;
}

const figure = (x) => Number(x.toPrecision(3)).toString();
const spread = (returns) =>
  `median ${figure(median(returns))} (${figure(Math.min(...returns))} to ${figure(Math.max(...returns))})`;

/** The presets' rates. */
async function* rates({ seeds, env, job }) {
  const kept = keptResults('rates.jsonl', folder);
  for (const { bar, control, ...settings } of casesOf(presets, env)) {
    const options = learnOptions(settings);
    const results = await resultsOf(kept, { kind: 'train', ...settings }, options, { seeds, job });
    const returns = results.map((result) => result.return);
    const { labels, steps } = options;
    const { teacher = 'oracle' } = settings;
    yield {
      name: `${settings.env}, ${labels} labels${teacher === 'oracle' ? '' : ` (${teacher})`}, ${steps.toLocaleString('en-US')} steps`,
      value: rateOf(returns.filter((one) => one >= bar).length, seeds),
      target: control ? `${bar}: fails` : `≥ ${bar}`,
      note: `${spread(returns)}; ${figure(median(results.map((result) => result.seconds)))} s of a core each`,
      returns,
    };
  }
}

/** The discount that trainings in an environment without a preset get. */
async function discountOf(name) {
  const env = disguised(name);
  const source = typeof env === 'string' ? await openEnvironment(env) : sourceOf(env);
  try {
    return discountIn(source, FIRST_SEED);
  } finally {
    source[Symbol.dispose]();
  }
}

/** Environments that nobody tuned for: how often labels teach as much as the true reward does. */
async function* unfamiliar({ seeds, env: only, job }) {
  const kept = keptResults('rates.jsonl', folder);
  const names = casesOf(
    Object.keys(strangers).map((env) => ({ env })),
    only,
  ).map(({ env }) => env);
  const totals = { 100: [0, 0], 300: [0, 0] };
  for (const env of names) {
    const world = { env, steps: strangers[env] };
    const images = ofImages.includes(env) ? unfamiliarImages : undefined;
    const rewarded = async (ppo, count) => {
      const message = { kind: 'reward', ...world, ppo };
      return (await resultsOf(kept, message, rlOptions({ ...world, ppo }), { seeds: count, job })).map(
        (result) => result.return,
      );
    };
    const [floor] = await rewarded({ ...steady.ppo, learningRate: 1e-9 }, 1);
    const discount = await discountOf(env);
    const peer = await rewarded({ ...steady.ppo, discount }, seeds);
    const best = median(peer);
    const enough = (mean) => mean - floor >= 0.8 * (best - floor);
    const own = peer.filter(enough).length;
    for (const labels of [100, 300]) {
      const settings = { ...world, labels };
      const options = {
        ...learnOptions({ ...settings, env: 'stranger', ppo: { discount } }),
        ...(images && { images }),
      };
      const results = await resultsOf(kept, { kind: 'stranger', ...settings }, options, { seeds, job });
      const returns = results.map((result) => result.return);
      const reached = returns.filter(enough).length;
      totals[labels][0] += reached;
      totals[labels][1] += seeds;
      yield {
        name: `${env}, ${labels} labels`,
        value: rateOf(reached, seeds),
        target: '',
        note: `${spread(returns)}; true reward ${figure(best)} (${own} of ${seeds}), untrained ${figure(floor)}`,
        returns,
        peer,
      };
    }
  }
  for (const [labels, [reached, all]] of Object.entries(totals)) {
    const target = labels === '300' ? '≥ 85 %' : '';
    yield { name: `all of ${names.length}, ${labels} labels`, value: rateOf(reached, all), target };
  }
}

/** The sections; `job` runs a message of bench/control-job.js in a process of its own. */
export const controlRates = (job) => ({
  rates: (options) => rates({ ...options, job }),
  strangers: (options) => unfamiliar({ ...options, job }),
});
