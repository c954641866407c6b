/** The settings of learning from preferences: one schema, from which flags, files, forms and docs are made. */
import { z } from 'zod';
import { choiceModelSchema, peopleSchema, scheduleSchema, selectionSchema } from '../preference/index.ts';
import { checkChoice } from '../rl/agent.ts';
import { atariPreset, ppoPresets, ppoSchema } from '../rl/index.ts';
import { worldShape } from '../rl/world-options.ts';
import { mujocoPresets } from './mujoco-presets.ts';
import { pebbleSchema } from './pebble-options.ts';
import { rewardSchema } from './reward-options.ts';

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

const algorithms = ['ppo', 'pebble'] as const;

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
  randomSteps: z.number().int().min(0).default(2000).describe('steps of uniformly random actions at first'),
  async: z
    .boolean()
    .default(false)
    .describe('fit the reward on a thread of its own, and ask meanwhile: faster, and no two runs are the same'),
  staleness: z
    .number()
    .int()
    .min(0)
    .default(4)
    .describe('with async, updates of the policy after an answer before they wait for a reward that has learnt of it'),
  evaluations: z.number().int().min(0).default(10).describe('evaluations on the way, evenly spaced'),
  episodes: z.number().int().min(1).default(100).describe('episodes of an evaluation'),
  renormalise: z.number().int().min(1).default(8).describe('updates between renormalisations of the reward'),
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
export type LearnOptions = z.infer<typeof learnSchema>;
export type LearnInput = z.input<typeof learnSchema>;

/** What serves unless an environment's preset says otherwise. */
const common: LearnInput = {
  choice: { errorRate: 0.1 }, // the paper's, right labels or not: it costs nothing where they are right
  ppo: { advantageFloor: 3 }, // the learned reward has a root mean square of 1
};

/** PEBBLE's, but for what teaches the reward, where the environment has a preset of that (docs/pebble.md has the results). */
const pebble: LearnInput = {
  steps: 100_000,
  labels: 700,
  randomSteps: 1000,
  episodes: 10,
  segment: { window: 50, shortest: 0.5 },
  schedule: { firstShare: 0.15, rounds: 20, until: 0.6 },
  query: { share: 0.5 },
  choice: { errorRate: 0.1 },
  reward: { hidden: [64, 64], constant: 0, change: true, weightDecay: 0.1, firstSteps: 300, steps: 200 },
  pebble: {},
};

/** Settings that are known to work, by environment (docs/preferences.md has the results). */
export const learnPresets: Readonly<Record<string, LearnInput>> = {
  'CartPole-v1': { ...common, ppo: { ...common.ppo, gain: 5 / 3 } },
  'LunarLander-v3': {
    steps: 1_000_000,
    labels: 1000,
    randomSteps: 10_000,
    segment: { window: 50, shortest: 0.2, memory: 16_000, anchored: 0.12 },
    schedule: { firstShare: 0.15, rounds: 20, until: 0.6 },
    query: { share: 0.5 },
    reward: {
      hidden: [64, 64],
      output: 'linear',
      constant: 3,
      change: true,
      terminalHead: true,
      learningRate: 1e-3,
      weightDecay: 0.05,
      firstSteps: 250,
      scaleBy: 'return',
    },
    // As `heed rl` has it, but for γ: a learned reward is wrong by a little at every step, and 0.999 adds up a thousand of them.
    ppo: { ...ppoPresets['LunarLander-v3'].options, normaliseRewards: false, discount: 0.995 },
  },
  ...mujocoPresets,
};

/** Of every game of the Arcade Learning Environment, after Christiano et al. 2017, A.2; too long to have been tried at this size. */
const atari: LearnInput = {
  steps: atariPreset.steps,
  labels: 1000,
  randomSteps: 4096,
  evaluations: atariPreset.evaluations,
  episodes: atariPreset.episodes,
  segment: { memory: 8000 },
  schedule: { firstShare: 0.2, rounds: 50, until: 0.8 },
  query: { share: 0.5 },
  choice: { errorRate: 0.1 },
  reward: {
    output: 'linear',
    constant: 0,
    learningRate: 5e-4,
    weightDecay: 0.01,
    dropout: 0.5,
    minibatch: 8,
    firstSteps: 400,
    steps: 100,
    normalise: 'zero-mean',
  },
  ppo: { ...atariPreset.options, advantageFloor: 3 },
};

function pebbleIn(env: string): LearnInput {
  const { segment, choice, reward } = learnPresets[env] ?? {};
  return {
    ...pebble,
    segment: { ...(segment ?? pebble.segment), memory: 20_000 },
    choice: choice ?? pebble.choice,
    // SAC's temperature starts at what suits steps that pay about 1
    reward: { ...pebble.reward, ...reward, scaleBy: 'rms' },
  };
}

/** Checked settings: what is given, over the environment's preset, over the defaults. */
export function learnOptions(given: LearnInput): LearnOptions {
  checkChoice(given, algorithms);
  const { algorithm = 'ppo', env = 'CartPole-v1' } = given;
  const known =
    algorithm === 'pebble' ? pebbleIn(env) : (learnPresets[env] ?? (env.startsWith('ALE/') ? atari : common));
  const preset: Record<string, unknown> = { [algorithm]: {}, ...known };
  const merged: Record<string, unknown> = { ...preset, ...given };
  for (const [key, over] of Object.entries(given)) {
    const under = preset[key];
    if (typeof under === 'object' && typeof over === 'object') merged[key] = { ...under, ...over };
  }
  // a hinge has no probability to mix with a coin
  if (given.choice?.kind === 'hinge') merged.choice = { errorRate: 0, ...given.choice };
  return learnSchema.parse(merged);
}
