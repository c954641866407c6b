/** Rollouts of a policy at a service. */
import { decodeCompletion } from '../../lm/completion-text.ts';
import type { Completion, Reward } from '../reward-functions/reward-function.ts';
import { completionKl } from './kl.ts';
import type { RemotePolicy } from './remote-policy.ts';
import { type RolloutOptions, type Rollouts, scoredRollouts } from './rollouts.ts';

/**
 * Makes rollouts of a policy at a service, scored by a reward. Both stay the caller's. The service gives
 * log-probabilities of the drawn tokens only, so that the KL along a completion is estimated from them (k3).
 */
export function createRemoteRollouts(
  policy: RemotePolicy,
  reward: Reward,
  { maxTokens, batch }: Omit<RolloutOptions, 'layout' | 'temperature'>,
): Rollouts {
  const { tokenizer, ends } = policy.model;
  const draw: Rollouts['draw'] = async (prompts, seed, count = 1, signal) => {
    const settings = { count, maxTokens, batch, seed, signal };
    const sampled = await policy.sample(
      prompts.map(({ ids }) => ids),
      settings,
    );
    const completions = sampled.map(({ response, ended }, i): Completion => {
      const { ids: prompt, text: promptText, row } = prompts[Math.floor(i / count)];
      const written = ends.includes(response.at(-1)!) ? response.slice(0, -1) : response;
      return { prompt, response, ended, promptText, text: decodeCompletion(tokenizer, prompt, written), row };
    });
    const logProbs = sampled.map(({ logProbs }) => logProbs);
    const referenceLogProbs = await policy.referenceLogProbs(completions, signal);
    return { completions, logProbs, referenceLogProbs, kl: completionKl({ logProbs, referenceLogProbs }, 'k3') };
  };
  return scoredRollouts(draw, reward, policy.model, () => {});
}
