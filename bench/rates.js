/**
 * The trainings whose results bench/results/rates.jsonl keeps: which there are, how a result is found again, and how
 * results are counted. The bench measures them (control-rates.js), the docs show them (rates-in-docs.js). `heed` has the
 * functions of the library that both need: the bench takes them compiled, the tests from their source.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { median } from './figures.js';
import { ofImages, strangers } from './strangers/list.js';

export const FIRST_SEED = 1000; // most settings were chosen on lower ones

/** MuJoCo's tasks, each with its bar (see `presets`) and, as `near`, 90 % of what PPO reaches on the true reward. */
const mujoco = [
  { env: 'InvertedPendulum-v5', bar: 950 },
  { env: 'Reacher-v5', bar: -5.4 },
  { env: 'Hopper-v5', bar: 1675, near: 1858 },
  { env: 'HalfCheetah-v5', bar: 4580, near: 5160 },
  { env: 'Walker2d-v5', bar: 2330, near: 2602 },
  { env: 'Swimmer-v5', bar: 275, near: 310 },
];

/**
 * `bar`: the lowest mean return that counts as success. It is what the environment's authors call solved; where PPO does
 * not reach that on the true reward in as many steps, 80 % of the way from the untrained policy to what it reaches; for
 * behaviors, what the docs call learned, in `unit`. A control is expected to fail.
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
  { env: 'CartPole-swing', bar: 5, unit: 'turns in 10 s' },
  { env: 'Hopper-backflip', bar: 3, unit: 'flips in 4 s' },
  { env: 'HalfCheetah-one-leg', bar: 50, unit: 'meters' },
];

/** A trial is a training on several seeds. `message`: what bench/control-job.js takes; `options`: all of its settings. */
const trial = (message, options) => ({ message, options });

/** The presets' trials. */
export const presetTrials = (heed) =>
  presets.map(({ bar, near, unit, control, ...settings }) => ({
    ...trial({ kind: 'train', ...settings }, heed.learnOptions(settings)),
    ...{ env: settings.env, bar, near, unit, control },
  }));

/** The trials in an environment without a preset: PPO that learns nothing, PPO on the true reward, and from labels. */
export function strangerTrials(heed, env) {
  const { steps, discount } = strangers[env];
  const rewarded = (changes) => {
    const ppo = { ...heed.steady.ppo, ...changes };
    return trial({ kind: 'reward', env, steps, ppo }, heed.rlOptions({ env, steps, ppo }));
  };
  const labeled = (labels) => {
    const options = heed.learnOptions({ env: 'stranger', steps, labels, ppo: { discount } });
    const images = ofImages.includes(env) && { images: heed.unfamiliarImages };
    return trial({ kind: 'stranger', env, steps, labels }, { ...options, ...images });
  };
  return {
    untrained: rewarded({ learningRate: 1e-9 }),
    peer: rewarded({ discount }),
    labeled: { 100: labeled(100), 300: labeled(300) },
  };
}

/** Options without those that came after the results, where they change nothing: what does not remember has no memory. */
function withoutLater({ policy, ...options }) {
  if (policy !== 'perceptron') return { ...(policy && { policy }), ...options };
  const { memory: _, sequence: __, ...ppo } = options.ppo;
  return { ...options, ppo };
}

/** What a result of the trial is kept under. Results of other settings have another key. */
export function keyOf({ message, options }, seed) {
  const { seed: _, ...settings } = withoutLater(options);
  const hash = createHash('sha256').update(JSON.stringify(settings)).digest('hex').slice(0, 12);
  const { kind, env, labels = settings.labels, teacher } = message;
  return { kind, env, labels, ...(teacher && { teacher }), seed, settings: hash };
}

/** Reads kept results: a function that gives those of a trial by seed, or undefined if one of them is not there. */
export function readResults(path) {
  const rows = readFileSync(path, 'utf8').trim().split('\n');
  const kept = new Map(rows.map((row) => JSON.parse(row)).map(({ key, ...result }) => [JSON.stringify(key), result]));
  return (trial, seeds = 10) => {
    const keys = Array.from({ length: seeds }, (_, i) => JSON.stringify(keyOf(trial, FIRST_SEED + i)));
    return keys.every((key) => kept.has(key)) ? keys.map((key) => kept.get(key)) : undefined;
  };
}

/** How many of a stranger's returns are at least 80 % of the way from the untrained return to PPO's median. */
export function judgeStranger({ untrained, peer, labeled }) {
  const best = median(peer);
  const enough = (mean) => mean - untrained >= 0.8 * (best - untrained);
  const count = (returns) => returns.filter(enough).length;
  return { untrained, best, own: count(peer), reached: { 100: count(labeled[100]), 300: count(labeled[300]) } };
}
