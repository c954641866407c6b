/** A training by an algorithm without a critic as a whole. */
import { basename } from 'node:path';
import { opening } from '../../disposables.ts';
import type { Live } from '../training/input.ts';
import type { Policy } from '../training/policy.ts';
import type { PolicyAlgorithm } from './algorithm.ts';
import { createPolicyLearner, type PolicyLearner } from './learner.ts';
import type { PolicyTrainingOptions } from './options.ts';
import type { AnswerLayout } from './rollouts.ts';
import { setUpPolicy } from './setup.ts';

export interface AnswerOptions extends PolicyTrainingOptions {
  /** Answers to each prompt in a step. */
  answers: number;
}

/** Rejects with a HeedError where models, reward or prompts cannot be used. `kind` is for the run's name. */
export async function createAnswerLearner<O extends AnswerOptions>(
  kind: string,
  options: O,
  live: Live,
  algorithm: (policy: Policy, layout: AnswerLayout, options: O) => PolicyAlgorithm,
): Promise<PolicyLearner<O>> {
  return opening(async (own) => {
    const setup = await setUpPolicy(options, live, own);
    return createPolicyLearner({
      ...setup,
      options,
      name: `${basename(options.model)}-${kind}`,
      answersPerPrompt: options.answers,
      algorithm: algorithm(setup.policy, setup.layout, options),
      own,
    });
  });
}
