/** Settings that are known to work, by environment; each can be changed. */
import type { PpoOptions } from './ppo.ts';

/** PPO on the true reward, and the steps it needs. */
export const ppoPresets: Readonly<Record<string, { steps: number; options: Partial<PpoOptions> }>> = {
  'CartPole-v1': { steps: 60_000, options: {} }, // the defaults are CartPole's, as RL Zoo tuned them
  'Acrobot-v1': {
    steps: 200_000,
    options: {
      environments: 16,
      horizon: 256,
      minibatch: 256,
      epochs: 4,
      discount: 0.99,
      lambda: 0.94,
      learningRate: 1e-3,
      normaliseObservations: true,
      annealClip: false,
    },
  },
  'MountainCar-v0': {
    steps: 400_000,
    options: {
      environments: 16,
      horizon: 64,
      minibatch: 256,
      epochs: 8,
      discount: 0.99,
      lambda: 0.98,
      learningRate: 1e-3,
      normaliseObservations: true,
      normaliseRewards: true,
      annealClip: false,
    },
  },
  'MountainCarContinuous-v0': {
    steps: 50_000,
    options: {
      environments: 1,
      horizon: 256,
      minibatch: 256,
      epochs: 10,
      discount: 0.9999,
      lambda: 0.9,
      learningRate: 3e-4,
      entropyCoefficient: 0.001,
      normaliseObservations: true,
      normaliseRewards: true,
      maxGradientNorm: 5,
    },
  },
  'Pendulum-v1': {
    steps: 200_000,
    options: {
      environments: 4,
      horizon: 1024,
      minibatch: 256,
      epochs: 10,
      discount: 0.9,
      lambda: 0.95,
      learningRate: 1e-3,
      annealClip: false,
    },
  },
  'LunarLander-v3': {
    steps: 1_000_000,
    options: {
      environments: 32,
      horizon: 128,
      minibatch: 512,
      epochs: 6,
      discount: 0.995,
      lambda: 0.95,
      learningRate: 5e-4,
      finalLearningRate: 0.02,
      entropyCoefficient: 0.01,
      annealClip: false,
      normaliseRewards: true,
    },
  },
};
