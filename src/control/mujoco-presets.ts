/**
 * Settings under which 700 labels teach MuJoCo's tasks; docs/reference/preferences.md has what they
 * reach, docs/lab/preferences.md what was tried.
 */
import { ppoPresets } from '../rl/index.ts';
import type { LearnSettings } from './options.ts';

/** PPO as `heed rl` has it, but that the ensemble scales the rewards. */
const ppoOf = (env: string): LearnSettings['ppo'] => ({ ...ppoPresets[env].options, normalizeRewards: false });

const common: LearnSettings = {
  steps: 500_000,
  labels: 700,
  randomSteps: 10_000,
  episodes: 20,
  // to the end: what makes a good policy better is another question than what makes it good
  schedule: { firstShare: 0.15, rounds: 30, until: 0.9 },
  query: { share: 0.5 },
};
/** What the rewards of all figures have in common. */
export const reward: LearnSettings['reward'] = {
  hidden: [64, 64],
  output: 'linear',
  change: true, // a velocity over the step is in what the step changed
  scaleBy: 'return',
  learningRate: 3e-3,
};
/** Few comparisons a gradient are noisy: the rate falls. */
export const short: LearnSettings['reward'] = {
  activation: 'relu',
  finalLearningRate: 0.1,
  minibatch: 16,
  firstSteps: 600,
};

/**
 * Where an episode can end early, what a step is worth by itself decides: a constant, and clips that differ in
 * length.
 */
const ending = (env: string, more?: LearnSettings['reward']): LearnSettings => ({
  ...common,
  segment: { window: 50, shortest: 0.2, memory: 40_000 },
  choice: { errorRate: 0.1 },
  reward: { ...reward, ...short, constant: 30, weightDecay: 2, steps: 100, ...more },
  ppo: ppoOf(env),
});

/** Where none can, small differences decide: a sharp choice model. */
const lasting = (env: string): LearnSettings => ({
  ...common,
  segment: { window: 50, memory: 40_000 },
  choice: { errorRate: 0, scale: 0.3 },
  reward: { ...reward, constant: 0, weightDecay: 0.1, firstSteps: 2000, steps: 400 },
  ppo: ppoOf(env),
});
/**
 * More members err less than three, and rectified units make out squares and distances of few labels, where tanh does
 * not.
 */
export const many: LearnSettings['reward'] = {
  ...reward,
  ...short,
  members: 5,
  constant: 0,
  weightDecay: 1,
  steps: 150,
};

/**
 * A first reward that is wrong about torques drives the arm's actions to their bounds, from where PPO comes back late:
 * much is asked about random play, then more at first than at last. Of clips of 25 steps the half is the way to the
 * target, alike in all.
 */
const reacher: LearnSettings = {
  ...lasting('Reacher-v5'),
  steps: 300_000,
  segment: { window: 10, memory: 8000 },
  schedule: { kind: 'annealed', firstShare: 0.3, rounds: 30, until: 0.9 },
  reward: many,
};

/**
 * A discount of 0.999 adds up a thousand times what a constant is wrong by, and comparisons of equal length say
 * nothing of it.
 */
const swimmer: LearnSettings = {
  ...lasting('Swimmer-v5'),
  schedule: { kind: 'annealed', firstShare: 0.3, rounds: 30, until: 0.9 },
  reward: { ...many, normalize: 'zero-at-first' },
};

/**
 * What its seeds fall into is running, and falling: what members differ about is worth a look, and λ nearer to 0
 * steadier.
 */
const walker: LearnSettings = {
  ...ending('Walker2d-v5', { members: 5, steps: 150, bonus: 0.5 }),
  ppo: { ...ppoOf('Walker2d-v5'), lambda: 0.9 },
};

/** Presets of MuJoCo's tasks, by environment. */
export const mujocoPresets: Readonly<Record<string, LearnSettings>> = {
  'InvertedPendulum-v5': {
    ...ending('InvertedPendulum-v5'),
    steps: 50_000,
    randomSteps: 5000,
    segment: { window: 50, shortest: 0.2, memory: 8000 },
  },
  'InvertedDoublePendulum-v5': ending('InvertedDoublePendulum-v5'),
  'Hopper-v5': ending('Hopper-v5', { members: 5, steps: 150 }),
  'Walker2d-v5': walker,
  'Ant-v5': ending('Ant-v5'),
  'Reacher-v5': reacher,
  'Swimmer-v5': swimmer,
  'HalfCheetah-v5': lasting('HalfCheetah-v5'),
};
