/** A training by an algorithm without a critic as a whole. */
import { basename } from 'node:path';
import type { Policy } from '../training/policy.ts';
import type { PolicyAlgorithm } from './algorithm.ts';
import { createPolicyLearner, type PolicyLearner } from './learner.ts';
import type { PolicyTrainingOptions } from './options.ts';
import type { AnswerLayout } from './rollouts.ts';
import { type PolicyParts, setUpPolicy } from './setup.ts';

export interface AnswerOptions extends PolicyTrainingOptions {
  /** Answers to each prompt in a step. */
  answers: number;
}

/** Rejects with a HeedError where models, reward or prompts cannot be used. `kind` is for the run's name. */
export async function createAnswerLearner<O extends AnswerOptions>(
  kind: string,
  options: O,
  parts: PolicyParts,
  algorithm: (policy: Policy, layout: AnswerLayout, options: O) => PolicyAlgorithm,
): Promise<PolicyLearner<O>> {
  const setup = await setUpPolicy(options, parts);
  try {
    return createPolicyLearner({
      ...setup,
      options,
      name: `${basename(options.model)}-${kind}`,
      answersPerPrompt: options.answers,
      algorithm: algorithm(setup.policy, setup.layout, options),
    });
  } catch (error) {
    for (const part of [setup.policy, setup.reward, setup.gold]) part?.[Symbol.dispose]();
    throw error;
  }
}
