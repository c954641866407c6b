/** The settings of learning from preferences: one schema, from which flags, files, forms and docs are made. */
import { z } from 'zod';
import { choiceModelSchema, peopleSchema, scheduleSchema, selectionSchema } from '../preference/index.ts';
import { ppoSchema } from '../rl/index.ts';
import { worldShape } from '../rl/world-options.ts';
import { pebbleSchema } from './pebble-options.ts';
import { rewardSchema } from './reward/options.ts';

/** How segments are cut. */
export const segmentSchema = z.object({
  window: z.number().int().min(1).default(25).describe('steps of a segment; fewer where the episode ends in it'),
  shortest: z
    .number()
    .gt(0)
    .max(1)
    .default(1)
    .describe('windows are drawn from this share of `window` up to all of it'),
  memory: z.number().int().min(1).default(4000).describe('latest environment steps that segments are cut from'),
  anchored: z
    .number()
    .min(0)
    .max(1)
    .default(0)
    .describe('share of the candidates placed so that the task ends in them'),
  candidates: z.number().int().min(1).default(10).describe('candidate pairs for each query asked'),
  fewest: z.number().int().min(1).default(60).describe('candidate pairs of a round, at the least'),
  differ: z.boolean().default(false).describe('prefer pairs whose clips differ in length'),
});

/** The algorithms that learn from preferences, by name. */
export const algorithms = ['ppo', 'pebble'] as const;

/** The settings of learning from preferences. */
export const learnSchema = z.object({
  ...worldShape,
  algorithm: z
    .enum(algorithms)
    .default('ppo')
    .describe('how the agent learns: by PPO, or by PEBBLE, which needs fewer steps where actions are numbers'),
  steps: z.number().int().min(1).default(60_000).describe('environment steps in all, the random phase included'),
  labels: z.number().int().min(0).default(10).describe('comparisons the teacher answers'),
  seed: z.number().int().min(0).default(0).describe('seed of everything that is drawn'),
  teacher: z
    .string()
    .default('oracle')
    .describe('who answers, such as oracle, mistake:0.1, stochastic:1; human for people'),
  judge: z
    .string()
    .optional()
    .describe(
      'what a synthetic teacher goes by instead of the true reward: swing, backflip, one-leg, or a file with a judge of clips of your own',
    ),
  randomSteps: z.number().int().min(0).default(2000).describe('steps of uniformly random actions at first'),
  async: z
    .boolean()
    .default(false)
    .describe('fit the reward on a thread of its own, and ask meanwhile: faster, and no two runs are the same'),
  staleness: z
    .number()
    .int()
    .min(0)
    .default(8)
    .describe('with async, updates of the policy after an answer before they wait for a reward that has learned of it'),
  evaluations: z.number().int().min(0).default(10).describe('evaluations on the way, evenly spaced'),
  episodes: z.number().int().min(1).default(100).describe('episodes of an evaluation'),
  renormalize: z.number().int().min(1).default(8).describe('updates between renormalizations of the reward'),
  segment: segmentSchema.prefault({}),
  schedule: scheduleSchema.prefault({}),
  query: selectionSchema.prefault({}),
  choice: choiceModelSchema.prefault({}),
  reward: rewardSchema.prefault({}),
  people: peopleSchema
    .extend({
      guidelines: peopleSchema.shape.guidelines.default(
        'Choose the clip that is more like what the agent is to learn. Where one stops before the other, its attempt ended there.',
      ),
    })
    .prefault({}),
  ppo: ppoSchema.optional(),
  pebble: pebbleSchema.optional(),
});
/** Checked settings of learning from preferences. */
export type LearnOptions = z.infer<typeof learnSchema>;
/** Settings of learning from preferences as they are given: plain data. */
export type LearnSettings = z.input<typeof learnSchema>;
