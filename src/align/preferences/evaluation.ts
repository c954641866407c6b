/** How a training on preferences is evaluated: what the policy thinks of held-out ones, and its own answers. */

import { seedFor } from '../../random.ts';
import { answerKl, answerLayout, createRollouts, type Prompt } from '../policies/rollouts.ts';
import type { Reward } from '../reward-functions/reward-function.ts';
import type { Policy } from '../training/policy.ts';
import type { SampleAnswer } from '../training/samples.ts';
import type { Items } from './batch.ts';
import type { PreferenceOptions } from './options.ts';
import type { PreferenceValues } from './trainer.ts';

export interface PreferenceEvaluation {
  /** On held-out preferences: mean loss, and `rewards/…` and `logps/…` as in training. */
  loss?: number;
  metrics: Record<string, number>;
  /** Means over the answers to held-out prompts: what they are worth, */
  reward?: number;
  /** log π − log π_ref in nats an answer, */
  kl?: number;
  /** and tokens. */
  length?: number;
  samples: SampleAnswer[];
  /** Of all evaluations after a step, this one has the lowest loss. */
  best: boolean;
}

/** What is told of some items: how the policy rewards the chosen and the rejected, and how likely it thinks them. */
export function metricsOf(
  { sides, desirable }: Items,
  indices: readonly number[],
  { rewards, logP }: PreferenceValues,
): Record<string, number> {
  const count = indices.length;
  const isChosen = (answer: number) => (desirable ? desirable[indices[answer]] : answer < count);
  const [chosen, rejected] = [true, false].map((kind) => {
    const answers = [...rewards.keys()].filter((answer) => isChosen(answer) === kind);
    return {
      reward: mean(answers.map((answer) => rewards[answer])),
      logP: mean(answers.map((answer) => logP[answer])),
    };
  });
  const metrics = {
    'rewards/chosen': chosen.reward,
    'rewards/rejected': rejected.reward,
    'rewards/margins': chosen.reward - rejected.reward,
    'logps/chosen': chosen.logP,
    'logps/rejected': rejected.logP,
    ...(sides.length === 2 && {
      'rewards/accuracies': mean(indices.map((_, i) => Number(rewards[i] > rewards[count + i]))),
    }),
  };
  // a batch of rated answers may have none of a kind
  return Object.fromEntries(Object.entries(metrics).filter(([, value]) => !Number.isNaN(value)));
}

/** The policy's answers to held-out prompts, always by the same draws. */
export function createPreferenceAnswers(
  policy: Policy,
  askable: readonly Prompt[],
  options: PreferenceOptions,
  reward: Reward | undefined,
) {
  const { prompts: most, maxTokens, temperature, batch, samples } = options.evaluation;
  const room = policy.model.config.maxPositions - maxTokens;
  const prompts = askable.filter(({ ids }) => ids.length <= room).slice(0, most);
  const rollouts =
    prompts.length > 0
      ? createRollouts(policy, reward ?? unrewarded, {
          layout: answerLayout(policy.model, prompts, { rows: 8, maxTokens }),
          maxTokens,
          temperature,
          batch,
        })
      : undefined;
  return {
    async run(): Promise<Pick<PreferenceEvaluation, 'reward' | 'kl' | 'length' | 'samples'>> {
      if (!rollouts) return { samples: [] };
      const rollout = await rollouts.run(prompts, seedFor(options.seed, 'evaluation'));
      const { answers, scores } = rollout;
      const kls = answerKl(rollout);
      return {
        ...(reward && { reward: mean(scores) }),
        kl: mean(kls),
        length: mean(answers.map(({ response }) => response.length)),
        samples: answers.slice(0, samples).map(({ promptText: prompt, text }, i) => ({
          prompt,
          text,
          ...(reward && { reward: scores[i] }),
          kl: kls[i],
        })),
      };
    },
    [Symbol.dispose]: () => rollouts?.[Symbol.dispose](),
  };
}

/** Answers whose worth nobody knows. */
const unrewarded: Reward = {
  name: 'none',
  score: async (answers) => new Float64Array(answers.length),
};

export const mean = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((a, b) => a + b, 0) / values.length;
