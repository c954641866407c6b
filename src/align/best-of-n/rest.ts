/**
 * ReST, reinforced self-training (Gulcehre et al. 2023): a step grows a dataset of the policy's own completions, then
 * improves the policy on it several times, each time on fewer and better completions.
 *
 *   grow      write completions and score them
 *   improve   for thresholds τ₁ < τ₂ < …: maximum likelihood of completions with a score above τᵢ, at a falling rate
 *
 * Departures from the paper: thresholds are shares of the dataset (0.5: the better half), because the scale of a reward
 * is not known beforehand. Completions are compared within a prompt, so that easy prompts do not crowd out hard ones.
 * The policy is not reset between improvements, and demonstrations are not mixed in.
 *
 * Run it: heed rest --model runs/sft/model
 */
import { z } from 'zod';
import { share, wholeNumber } from '../../options.ts';
import type { PolicyAlgorithm } from '../policies/algorithm.ts';
import { fitsBackend } from '../policies/backend.ts';
import type { CompletionLayout } from '../policies/completion-batches.ts';
import { createCompletionLearner } from '../policies/completion-learner.ts';
import { createCompletionTrainer } from '../policies/completion-trainer.ts';
import type { PolicyLearner } from '../policies/learner.ts';
import { agentOptions, policyTrainingSchema } from '../policies/options.ts';
import type { AnyPolicy } from '../policies/remote-policy.ts';
import { createScoreScale, savedWith, scoreSchema } from '../policies/score-scale.ts';
import { type PolicyInput, type PolicyTraining, policyTraining } from '../policies/setup.ts';
import { type Opener, openerOf } from '../training/input.ts';
import { learnByLikelihood, likelihoodLoss } from './raft.ts';

/** Schema of the options of `rest`: types, ranges, defaults and help texts. */
export const restSchema = policyTrainingSchema
  .extend(agentOptions)
  .extend({
    steps: policyTrainingSchema.shape.steps
      .unwrap()
      .default(4)
      .describe('steps: each grows a dataset and improves on it'),
    batch: policyTrainingSchema.shape.batch.unwrap().default(96).describe('prompts per step'),
    completions: wholeNumber(2).default(8).describe('completions per prompt'),
    score: scoreSchema,
    thresholds: z
      .array(share())
      .min(1)
      .default([0.5, 0.75, 0.875])
      .describe("share of a prompt's completions to leave out as too bad, rising: one number per improvement"),
    decay: z
      .number()
      .gt(0)
      .max(1)
      .default(0.7)
      .describe('factor of the learning rate from one improvement to the next'),
    epochs: wholeNumber(1).default(1).describe('passes over the remaining completions in an improvement'),
    minibatches: wholeNumber(1).default(6).describe('optimizer steps per epoch'),
  })
  .refine(({ thresholds }) => thresholds.every((share, i) => i === 0 || share > thresholds[i - 1]), {
    path: ['thresholds'],
    message: 'expected rising numbers, such as 0.5,0.75',
  })
  .superRefine(fitsBackend());
/** The options of `rest`, with their defaults. */
export type RestOptions = z.output<typeof restSchema>;
/** The input of `rest`. */
export type RestInput = PolicyInput<z.input<typeof restSchema>>;

/** ReST on rollouts with `options.completions` completions of each prompt. */
export function createRestAlgorithm(
  policy: AnyPolicy,
  layout: CompletionLayout,
  options: RestOptions,
): PolicyAlgorithm {
  const { completions: size, thresholds } = options;
  const most = Math.ceil((options.batch * size) / options.minibatches);
  const trainer = createCompletionTrainer(policy, layout, likelihoodLoss, options, most);
  const scale = createScoreScale(options.score);
  return {
    async update({ completions, scores }, rate, step) {
      const scaled = scale(scores, completions);
      let metrics: Record<string, number> = {};
      for (const [i, share] of thresholds.entries()) {
        const best = bestShare(scaled, size, share);
        const kept = best.map((at) => completions[at]);
        metrics = {
          ...(await learnByLikelihood(trainer, kept, options, rate * options.decay ** i, step, i)),
          'reward/kept': best.reduce((total, at) => total + scores[at], 0) / best.length,
        };
      }
      return metrics;
    },
    ...savedWith(scale, trainer),
    [Symbol.dispose]: trainer[Symbol.dispose],
  };
}

/**
 * The indices of the completions that remain when each group leaves out a share, the worst ones. At least one remains.
 */
export function bestShare(scores: ArrayLike<number>, size: number, share: number): number[] {
  const left = Math.max(1, Math.round((1 - share) * size));
  return Array.from({ length: scores.length / size }, (_, group) =>
    Array.from({ length: size }, (_, i) => group * size + i)
      .sort((a, b) => scores[b] - scores[a] || a - b)
      .slice(0, left),
  ).flat();
}

/** Opens the learner that `rest` runs. */
export const createRest: Opener<RestInput, PolicyLearner<RestOptions>> = openerOf(restSchema, (options, live) =>
  createCompletionLearner('rest', options, live, createRestAlgorithm),
);

/**
 * Trains a policy by ReST, in place: it writes a dataset of completions and learns the better ones (Gulcehre et al.
 * 2023).
 *
 *     const data = [{ prompt: 'Hello' }, …];
 *     const { model } = await rest({ model: 'reviews-base', data, reward: (completions) => … });
 *
 * Rejects with a HeedError that names the option or the row that is wrong.
 */
export function rest(input: RestInput): PolicyTraining {
  return policyTraining(createRest, input);
}
