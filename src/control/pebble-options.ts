/** The settings of PEBBLE: those of SAC, and of what comes before the first question. */
import { z } from 'zod';
import { sacSchema } from '../rl/index.ts';

const { learningStarts: _, ...sac } = sacSchema.shape; // random steps are the loop's

/** The options of PEBBLE. */
export const pebbleSchema = z.object({
  pretrainSteps: z
    .number()
    .int()
    .min(0)
    .default(9000)
    .describe('steps after the random ones in which the agent looks for states it has not seen, before it is taught'),
  neighbors: z.number().int().min(1).default(5).describe('k: a state is as new as its k-th nearest is far'),
  particles: z.number().int().min(1).default(1000).describe('states among which neighbors are looked for'),
  ...sac,
});
