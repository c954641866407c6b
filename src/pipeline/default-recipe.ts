/**
 * The default recipe of `heed pipeline`: both halves of heed, on what comes with it. About three minutes on two cores.
 */
import type { RecipeInput } from './recipe.ts';

/** The recipe that `heed pipeline` runs if it is given none. */
export const defaultRecipe: RecipeInput = {
  name: 'Both halves',
  seed: 0,
  stages: [
    { name: 'cartpole', command: 'train', settings: { env: 'CartPole-v1' } },
    { name: 'sft', command: 'sft', settings: { epochs: 2, evaluations: 3 } },
    { name: 'reward', command: 'reward', settings: { model: '@sft', comparisons: 1000, teacher: 'mistake:0.1' } },
    {
      name: 'ppo',
      command: 'ppo',
      settings: { model: '@sft', reward: '@reward', steps: 45, maxTokens: 72, kl: { target: 8 }, evaluations: 5 },
    },
    {
      name: 'judged',
      command: 'eval policy',
      settings: { model: '@ppo', baseline: '@sft', reward: 'reviews', maxTokens: 72 },
    },
  ],
};
