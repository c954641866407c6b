/**
 * ReST, reinforced self-training (Gulcehre et al. 2023): a step grows a dataset of the policy's own answers, then improves the policy on
 * it several times, each time on fewer and better answers.
 *
 *   grow      answers to prompts, scored
 *   improve   for thresholds τ₁ < τ₂ < …: maximum likelihood of the answers with a score above τᵢ, at a lower rate each time
 *
 * Where it departs from the paper: thresholds are shares of what was grown (0.5: the better half), since a reward's scale
 * is not known beforehand; a prompt's own answers are compared, so that easy prompts do not crowd out hard ones; the policy goes on from where it is,
 * and demonstrations are not mixed in.
 *
 * Run it: heed rest --model runs/sft/model
 */
import { z } from 'zod';
import type { PolicyAlgorithm } from '../policies/algorithm.ts';
import { createAnswerLearner } from '../policies/answer-learner.ts';
import { createAnswerTrainer } from '../policies/answer-trainer.ts';
import type { PolicyLearner } from '../policies/learner.ts';
import { policyTrainingSchema } from '../policies/options.ts';
import type { AnswerLayout } from '../policies/rollouts.ts';
import type { ScoreScaleState } from '../policies/score-scale.ts';
import { createScoreScale, scoreSchema } from '../policies/score-scale.ts';
import { type PolicyInput, type PolicyTraining, policyTraining } from '../policies/setup.ts';
import { learnerOf, type Opener } from '../training/input.ts';
import type { Policy } from '../training/policy.ts';
import { learnByLikelihood, likelihoodLoss } from './raft.ts';

const whole = (least: number) => z.number().int().min(least);

export const restSchema = policyTrainingSchema
  .extend({
    steps: policyTrainingSchema.shape.steps.unwrap().default(4).describe('times that a dataset is grown'),
    batch: policyTrainingSchema.shape.batch.unwrap().default(96).describe('prompts answered in a step'),
    answers: whole(2).default(8).describe('answers to each prompt'),
    score: scoreSchema,
    thresholds: z
      .array(z.number().min(0).lt(1))
      .min(1)
      .default([0.5, 0.75, 0.875])
      .describe("shares of a prompt's answers that are too bad to be learned, rising from one improvement to the next"),
    decay: z.number().gt(0).max(1).default(0.7).describe('the learning rate is multiplied by it after an improvement'),
    epochs: whole(1).default(1).describe('times that the answers kept are learned in an improvement'),
    minibatches: whole(1).default(6).describe('optimizer steps an epoch'),
  })
  .refine(({ thresholds }) => thresholds.every((share, i) => i === 0 || share > thresholds[i - 1]), {
    path: ['thresholds'],
    message: 'expected rising numbers, such as 0.5,0.75',
  });
/** The options of `rest`, with their defaults. */
export type RestOptions = z.output<typeof restSchema>;
/** The input of `rest`. */
export type RestInput = PolicyInput<z.input<typeof restSchema>>;

/** Learns from rollouts with `options.answers` answers to each prompt. */
export function createRestAlgorithm(policy: Policy, layout: AnswerLayout, options: RestOptions): PolicyAlgorithm {
  const { answers: size, thresholds } = options;
  const most = Math.ceil((options.batch * size) / options.minibatches);
  const trainer = createAnswerTrainer(policy, layout, likelihoodLoss, options, most);
  const scale = createScoreScale(options.score);
  return {
    update({ answers, scores }, rate, step) {
      const worth = scale(scores, answers);
      let metrics: Record<string, number> = {};
      for (const [i, share] of thresholds.entries()) {
        const kept = bestShare(worth, size, share);
        const told = kept.map((at) => answers[at]);
        metrics = {
          ...learnByLikelihood(trainer, told, options, rate * options.decay ** i, step, i),
          'reward/kept': kept.reduce((total, at) => total + scores[at], 0) / kept.length,
        };
      }
      return metrics;
    },
    save: () => ({ state: scale.save(), tensors: trainer.save() }),
    restore({ state, tensors }) {
      scale.restore(state as ScoreScaleState);
      trainer.restore(tensors);
    },
    [Symbol.dispose]: trainer[Symbol.dispose],
  };
}

/** The indices of each group's answers but for a share of the worst; of each at least the best. */
export function bestShare(scores: ArrayLike<number>, size: number, share: number): number[] {
  const left = Math.max(1, Math.round((1 - share) * size));
  return Array.from({ length: scores.length / size }, (_, group) =>
    Array.from({ length: size }, (_, i) => group * size + i)
      .sort((a, b) => scores[b] - scores[a] || a - b)
      .slice(0, left),
  ).flat();
}

/** A learner by ReST: what `rest` runs. */
export const createRest: Opener<RestInput, PolicyLearner<RestOptions>> = learnerOf(restSchema, (options, live) =>
  createAnswerLearner('rest', options, live, createRestAlgorithm),
);

/**
 * Trains a policy by ReST, in place: it grows a dataset of its own completions and learns the better ones (Gulcehre et al. 2023).
 *
 *     const { model } = await rest({ model: 'reviews-base', data: [{ prompt: 'Hello' }, …], reward: (completions) => … });
 *
 * Rejects with a HeedError that names the option or the row that is wrong.
 */
export function rest(input: RestInput): PolicyTraining {
  return policyTraining(createRest, input);
}
