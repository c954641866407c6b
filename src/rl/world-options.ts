/** The settings of the environment, shared by all commands that train an agent. */
import { z } from 'zod';

/** Fields of the schemas of commands that train an agent. */
export const worldShape = {
  env: z.string().default('CartPole-v1').describe('environment: a name (see heed envs) or a file with your own'),
  workers: z
    .number()
    .int()
    .min(0)
    .max(64)
    .default(0)
    .describe(
      'worker threads that step environments; helps if steps are slow, as in MuJoCo, and cores are free; 0: none',
    ),
  python: z
    .string()
    .optional()
    .describe('for gym:… and ALE/…: Python with Gymnasium (default: HEED_PYTHON, or python3)'),
  frameStack: z
    .number()
    .int()
    .min(1)
    .max(64)
    .optional()
    .describe('how many of the last observations the agent sees at once (default: 1)'),
};
