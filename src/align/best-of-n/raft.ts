/**
 * RAFT (Dong et al. 2023): of several answers to each prompt the best is kept, and the policy learns to write what was kept by
 * maximum likelihood. Done again and again, it is reinforcement learning without a gradient of the reward.
 *
 *   R = score − β (log π(y) − log π_ref(y))        L = −(1/n) Σ log p(token)     over the n tokens of the answers kept
 *
 * Where it departs from the paper: the best is taken for each prompt rather than over the whole batch (the paper's own choice
 * in its experiments); AdamW's state is kept from one step to the next.
 *
 * Run it: heed raft --model runs/sft/model
 */
import { z } from 'zod';
import { mul, neg, sum } from '../../engine/index.ts';
import type { PackedLoss } from '../../lm/packed-program.ts';
import type { PolicyAlgorithm } from '../policies/algorithm.ts';
import { createAnswerLearner } from '../policies/answer-learner.ts';
import { type AnswerTrainer, createAnswerTrainer, minibatches } from '../policies/answer-trainer.ts';
import type { PolicyLearner } from '../policies/learner.ts';
import { policyTrainingSchema } from '../policies/options.ts';
import { type AnswerLayout, answerKl } from '../policies/rollouts.ts';
import type { ScoreScaleState } from '../policies/score-scale.ts';
import { createScoreScale, scoreSchema } from '../policies/score-scale.ts';
import { type PolicyInput, type PolicyTraining, policyTraining } from '../policies/setup.ts';
import type { Completion } from '../reward-functions/reward-function.ts';
import { learnerOf, type Opener } from '../training/input.ts';
import type { Policy } from '../training/policy.ts';

const whole = (least: number) => z.number().int().min(least);

export const raftSchema = policyTrainingSchema.extend({
  steps: policyTrainingSchema.shape.steps
    .unwrap()
    .default(10)
    .describe('times that prompts are answered and learned from'),
  batch: policyTrainingSchema.shape.batch.unwrap().default(48).describe('prompts answered in a step'),
  answers: whole(2).default(8).describe('answers to each prompt, of which the best is learned'),
  score: scoreSchema,
  beta: z.number().min(0).default(0).describe('weight of the KL to the reference, taken off the reward'),
  epochs: whole(1).default(2).describe('times that the answers kept are learned'),
  minibatches: whole(1).default(2).describe('optimizer steps an epoch'),
});
/** The options of `raft`, with their defaults. */
export type RaftOptions = z.output<typeof raftSchema>;
/** The input of `raft`. */
export type RaftInput = PolicyInput<z.input<typeof raftSchema>>;

/** −Σ weight · log p: with a weight of 1/n, the mean over the labels. */
export const likelihoodLoss: PackedLoss = ({ logP, perLabel }) => ({ loss: neg(sum(mul(logP, perLabel('weight')))) });

/** Learns from rollouts with `options.answers` answers to each prompt. */
export function createRaftAlgorithm(policy: Policy, layout: AnswerLayout, options: RaftOptions): PolicyAlgorithm {
  const { answers: size, beta } = options;
  const most = Math.ceil(options.batch / options.minibatches);
  const trainer = createAnswerTrainer(policy, layout, likelihoodLoss, options, most);
  const scale = createScoreScale(options.score);
  return {
    update(rollout, rate, step) {
      const kl = answerKl(rollout);
      const kept = bestOfEach(
        scale(rollout.scores, rollout.answers).map((score, i) => score - beta * kl[i]),
        size,
      );
      const learned = learnByLikelihood(
        trainer,
        kept.map((i) => rollout.answers[i]),
        options,
        rate,
        step,
      );
      return { ...learned, 'reward/kept': kept.reduce((total, i) => total + rollout.scores[i], 0) / kept.length };
    },
    save: () => ({ state: scale.save(), tensors: trainer.save() }),
    restore({ state, tensors }) {
      scale.restore(state as ScoreScaleState);
      trainer.restore(tensors);
    },
    [Symbol.dispose]: trainer[Symbol.dispose],
  };
}

/** The index of the highest of each `size` rewards; the first of those that are equal. */
export function bestOfEach(rewards: ArrayLike<number>, size: number): number[] {
  return Array.from({ length: rewards.length / size }, (_, group) => {
    let best = group * size;
    for (let i = best + 1; i < (group + 1) * size; i++) if (rewards[i] > rewards[best]) best = i;
    return best;
  });
}

/** Learns to write these answers. Gives the mean loss in nats a token, and the mean norm of the gradients. */
export function learnByLikelihood(
  trainer: AnswerTrainer,
  answers: readonly Completion[],
  options: { epochs: number; minibatches: number; seed: number },
  rate: number,
  ...step: number[]
): Record<string, number> {
  let [loss, norm, steps] = [0, 0, 0];
  for (const chosen of minibatches(answers.length, options, options.seed, 'minibatches', ...step)) {
    const told = chosen.map((i) => answers[i]);
    const tokens = told.reduce((total, { response }) => total + response.length, 0);
    const weight = told.map(({ response }) => new Float32Array(response.length).fill(1 / tokens));
    const done = trainer.step(told, { perLabel: { weight } }, rate);
    loss += done.sums.loss;
    norm += done.norm;
    steps++;
  }
  return { 'loss/policy': loss / steps, 'gradient/norm': norm / steps };
}

/** A learner by RAFT: what `raft` runs. */
export const createRaft: Opener<RaftInput, PolicyLearner<RaftOptions>> = learnerOf(raftSchema, (options, live) =>
  createAnswerLearner('raft', options, live, createRaftAlgorithm),
);

/**
 * Trains a policy by RAFT, in place: it learns the best of several completions by likelihood (Dong et al. 2023).
 *
 *     const { model } = await raft({ model: 'reviews-base', data: [{ prompt: 'Hello' }, …], reward: (completions) => … });
 *
 * Rejects with a HeedError that names the option or the row that is wrong.
 */
export function raft(input: RaftInput): PolicyTraining {
  return policyTraining(createRaft, input);
}
