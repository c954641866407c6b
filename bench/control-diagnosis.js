/**
 * The diagnosis of control, tried: ten failures made on purpose and ten healthy trainings, each with the code that
 * must be among the first two findings. `npm run bench -- control --only diagnosis`.
 */
import { cartPole, withTimeLimit } from '../dist/env/index.js';
import * as worlds from './strangers/worlds.js';

const box = (size) => ({ kind: 'box', low: new Float32Array(size).fill(-1), high: new Float32Array(size).fill(1) });

/** Each episode is one step: 1 for the action of the same sign as the observation. */
function bandit() {
  let x = 0;
  return withTimeLimit({
    id: 'Bandit',
    observationSpace: box(1),
    actionSpace: { kind: 'discrete', n: 2 },
    maxEpisodeSteps: 100,
    framesPerSecond: 1,
    start(seed) {
      x = ((seed * 0.618) % 2) - 1;
    },
    advance(action, outcome) {
      outcome.reward = Number(action[0] === Number(x > 0));
      outcome.terminated = true;
    },
    observe(into) {
      into[0] = x;
    },
    frame: () => ({ width: 1, height: 1, shapes: [] }),
  });
}

/** CartPole whose reward is always 0. */
const worthless = () => {
  const inner = cartPole();
  return { ...inner, id: 'Worthless', step: (action, into) => ({ ...inner.step(action, into), reward: 0 }) };
};

const abrupt = {
  horizon: 32,
  epochs: 20,
  minibatch: 256,
  discount: 0.98,
  lambda: 0.8,
  learningRate: 1e-3,
  annealClip: true,
};

/** What goes wrong, the settings that bring it about, and the codes that name it. */
export const failures = {
  'the teacher prefers the worse clip': [{ labels: 20, teacher: 'mistake:1' }, ['reward-inverted']],
  '40 % of the labels are wrong': [
    { env: 'Pendulum-v1', steps: 40_000, labels: 100, teacher: 'mistake:0.4' },
    ['labels-contradict', 'reward-unfit'],
  ],
  'four labels in Chase': [{ env: worlds.chase, steps: 30_000, labels: 4 }, ['too-few-labels']],
  'PPO without its brakes': [
    { env: worlds.ballBeam, steps: 40_000, labels: 100, ppo: { learningRate: 0.05, clip: 100, maxGradientNorm: 1e6 } },
    ['policy-unstable', 'exploration-stopped'],
  ],
  'a fixed length and a constant offset': [
    {
      env: worlds.chase,
      steps: 60_000,
      labels: 200,
      segment: { branched: 0 }, // clips that begin in the same state leave no offset
      reward: { normalize: 'scale', constant: 30, output: 'tanh' },
      ppo: abrupt,
    },
    ['reward-offset', 'reward-constant', 'value-lags', 'too-few-labels'],
  ],
  'a teacher that always ties': [{ labels: 20, teacher: () => 'equal' }, ['labels-tied']],
  'a teacher that always takes the first': [{ labels: 40, teacher: () => 'first' }, ['labels-one-sided']],
  'a learning rate of nothing': [{ labels: 20, ppo: { learningRate: 1e-8 } }, ['policy-still', 'policy-stuck']],
  'episodes of one step': [{ env: bandit, steps: 20_000, labels: 20 }, ['episodes-one-step']],
  'a reward of nothing': [{ env: worthless, steps: 20_000, labels: 20 }, ['labels-tied']],
};

/** Trainings in which nothing goes wrong. */
export const healthy = {
  'CartPole, 20 labels': { labels: 20 },
  'CartPole, 60 labels, one in ten wrong': { labels: 60, teacher: 'mistake:0.1' },
  Pendulum: { env: 'Pendulum-v1', labels: 100 },
  Acrobot: { env: 'Acrobot-v1', labels: 100 },
  BallBeam: { env: worlds.ballBeam, labels: 100 },
  Reservoir: { env: worlds.reservoir, labels: 100 },
  Dodge: { env: worlds.dodge, labels: 100 },
  InvertedPendulum: { env: 'InvertedPendulum-v5', labels: 100 },
  MountainCarContinuous: { env: 'MountainCarContinuous-v0', labels: 100 },
  Signal: { env: worlds.signal, labels: 100 },
  Lava: { env: worlds.lava, labels: 300 },
};
