/**
 * Settings that are known to work, by environment; each can be changed. They began as those that RL Baselines3 Zoo tuned
 * for Stable-Baselines3; docs/ppo.md has what they reach.
 */
import type { PpoOptions } from './ppo-options.ts';

export interface PpoPreset {
  /** Steps the environment needs. */
  steps: number;
  /** Evaluations on the way, and episodes of each, where the usual take too long. */
  evaluations?: number;
  episodes?: number;
  options: Partial<PpoOptions>;
}

/** The preset of an environment; every game of the Arcade Learning Environment has the same. */
export const presetOf = (env: string): PpoPreset | undefined =>
  ppoPresets[env] ?? (env.startsWith('ALE/') ? atari : undefined);

/** PPO on the true reward. */
export const ppoPresets: Readonly<Record<string, PpoPreset>> = {
  'CartPole-v1': { steps: 60_000, options: {} }, // the defaults are CartPole's, as the Zoo tuned them
  'Acrobot-v1': {
    steps: 60_000,
    options: {
      environments: 16,
      horizon: 64,
      minibatch: 256,
      epochs: 8,
      discount: 0.99,
      lambda: 0.94,
      annealClip: false,
      normaliseObservations: true,
      normaliseRewards: true, // without it, one seed of three found nothing in 200,000 steps
    },
  },
  'MountainCar-v0': {
    steps: 300_000,
    options: {
      environments: 16,
      horizon: 256, // longer than an episode, so that the few that reach the goal are seen whole
      minibatch: 256,
      epochs: 8,
      discount: 0.99,
      lambda: 0.98,
      annealClip: false,
      normaliseObservations: true,
      normaliseRewards: true,
    },
  },
  'MountainCarContinuous-v0': {
    steps: 20_000,
    options: {
      environments: 1,
      horizon: 256,
      minibatch: 256,
      epochs: 10,
      discount: 0.9999,
      lambda: 0.9,
      learningRate: 3e-4,
      entropyCoefficient: 0.001,
      maxGradientNorm: 5,
      normaliseObservations: true,
      normaliseRewards: true,
    },
  },
  'Pendulum-v1': {
    steps: 100_000,
    options: {
      environments: 4,
      horizon: 1024,
      minibatch: 64,
      epochs: 10,
      discount: 0.9,
      lambda: 0.95,
      annealClip: false,
      normaliseRewards: true,
    },
  },
  'LunarLander-v3': {
    steps: 500_000,
    options: {
      environments: 16,
      horizon: 512,
      minibatch: 128,
      epochs: 4,
      discount: 0.999, // 0.995 left two seeds of three near −60 after a million steps
      lambda: 0.98,
      learningRate: 5e-4,
      finalLearningRate: 0.02,
      entropyCoefficient: 0.01,
      annealClip: false,
      normaliseRewards: true,
    },
  },
};

/** Schulman et al. 2017, table 5, with the γ and λ of all its games. */
const atari: PpoPreset = {
  steps: 10_000_000,
  evaluations: 20,
  episodes: 10,
  options: {
    environments: 8,
    horizon: 128,
    minibatch: 256,
    epochs: 4, // the authors' code has 4, their table 3
    discount: 0.99,
    lambda: 0.95,
    learningRate: 2.5e-4,
    clip: 0.1,
    valueClip: 0.1,
    entropyCoefficient: 0.01,
    hidden: [], // actor and critic are one layer each behind the convolutions
  },
};
