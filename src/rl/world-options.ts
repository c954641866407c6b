/** The settings of what an agent acts in, the same for every command that trains one. */
import { z } from 'zod';

/** Fields of the schemas of commands that train an agent. */
export const worldShape = {
  env: z.string().default('CartPole-v1').describe('environment, by name (heed envs) or a file with one of your own'),
  workers: z
    .number()
    .int()
    .min(0)
    .max(64)
    .default(0)
    .describe('threads that step environments; pays where a step is long, as with MuJoCo, and cores are free'),
  python: z
    .string()
    .optional()
    .describe('the Python that Gymnasium is in (default: HEED_PYTHON, or python3); for gym:… and ALE/…'),
};
