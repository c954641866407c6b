/** Opens the learner of an algorithm without a critic. */
import { opening } from '../../disposables.ts';
import { basename, breathe } from '../../node.ts';
import type { Live } from '../training/input.ts';
import type { PolicyAlgorithm } from './algorithm.ts';
import type { CompletionLayout } from './completion-batches.ts';
import { createPolicyLearner, type PolicyLearner } from './learner.ts';
import type { PolicyTrainingOptions } from './options.ts';
import type { AnyPolicy } from './remote-policy.ts';
import { setUpPolicy } from './setup.ts';

/** Options of policy training with several completions per prompt. */
export interface CompletionLearnerOptions extends PolicyTrainingOptions {
  /** Completions of each prompt in a step. */
  completions: number;
}

/**
 * Opens models, reward and prompts, and makes a learner of an algorithm without a critic.
 *
 * @param kind The algorithm's name, for the run's name.
 * @throws HeedError when models, reward or prompts cannot be used.
 */
export async function createCompletionLearner<O extends CompletionLearnerOptions>(
  kind: string,
  options: O,
  live: Live,
  algorithm: (policy: AnyPolicy, layout: CompletionLayout, options: O) => PolicyAlgorithm,
): Promise<PolicyLearner<O>> {
  return opening(async (scope) => {
    const setup = await setUpPolicy(options, live, scope);
    await breathe();
    const created = algorithm(setup.policy, setup.layout, options);
    await breathe();
    return createPolicyLearner({
      ...setup,
      options,
      name: `${basename(options.model)}-${kind}`,
      completionsPerPrompt: options.completions,
      algorithm: created,
      scope,
    });
  });
}
