/** From answers' scores to the advantages of their tokens: PPO on language as a sequence of actions, a token each. */
import { HeedError } from '../../error.ts';
import { advantages as estimate } from '../../nn/index.ts';
import { klOfToken } from '../policies/kl.ts';
import type { TokenReward } from '../policies/rollouts.ts';
import type { KlOptions } from './kl-controller.ts';

/** Of each token of an answer; `after` adds the place behind the last. */
interface AnswerTokens {
  logProbs: Float32Array;
  referenceLogProbs: Float32Array;
  /** What the answer is worth. */
  score: number;
  /** The score comes one step after the last token, not on it. */
  after: boolean;
  /** What of the score comes earlier. */
  steps?: readonly TokenReward[];
}

/**
 * r_t = −β·KL_t, and the score where the answer ends (Ziegler et al. 2019, equation 2), less what its steps are worth, which comes
 * where they end: the sum is the same (Uesato et al. 2022, §2.5).
 */
export function tokenRewards(
  { logProbs, referenceLogProbs, score, after, steps = [] }: AnswerTokens,
  beta: number,
  estimator: KlOptions['estimator'],
): Float32Array {
  const rewards = new Float32Array(logProbs.length + (after ? 1 : 0));
  for (const [t, logP] of logProbs.entries()) rewards[t] = -beta * klOfToken(logP, referenceLogProbs[t], estimator);
  let left = score;
  for (const { at, reward } of steps) {
    rewards[at] += reward;
    left -= reward;
  }
  rewards[rewards.length - 1] += left;
  return rewards;
}

export const noSteps = (): HeedError =>
  new HeedError('the reward tells nothing of the steps of an answer, by which the score is to come', {
    hint: 'Give a reward that does, such as one by heed process, or leave out --score.place steps.',
  });

/** Generalized advantages and returns of each answer: nothing follows its last reward. */
export function answerAdvantages(
  rewards: readonly Float32Array[],
  values: readonly Float32Array[],
  { discount, lambda }: { discount: number; lambda: number },
): { advantages: Float32Array[]; returns: Float32Array[] } {
  const advantages = rewards.map(({ length }) => new Float32Array(length));
  const returns = rewards.map(({ length }) => new Float32Array(length));
  for (const [i, own] of rewards.entries()) {
    const followed = new Float32Array(own.length + 1);
    followed.set(values[i].subarray(0, own.length));
    const input = { steps: own.length, count: 1, rewards: own, values: followed, discount, lambda };
    estimate(input, advantages[i], returns[i]);
  }
  return { advantages, returns };
}

/** Scales numbers to deviation 1 and, unless told not to, shifts them to mean 0, over all of them. */
export function whiten(numbers: readonly Float32Array[], shift = true): Float32Array[] {
  const { mean, variance } = momentsOf(numbers);
  const scale = 1 / Math.sqrt(variance + 1e-8);
  return numbers.map((own) => own.map((x) => (x - mean) * scale + (shift ? 0 : mean)));
}

/** 1 − Var(R − V) / Var(R): 1 for values that foresee returns, 0 for such as their mean does as well. */
export function explainedVariance(values: readonly Float32Array[], returns: readonly Float32Array[]): number {
  const errors = returns.map((own, i) => own.map((x, t) => x - values[i][t]));
  return 1 - momentsOf(errors).variance / (momentsOf(returns).variance || 1);
}

function momentsOf(numbers: readonly Float32Array[]): { mean: number; variance: number } {
  const count = numbers.reduce((sum, { length }) => sum + length, 0);
  const total = (of: (x: number) => number) => numbers.reduce((sum, own) => own.reduce((a, x) => a + of(x), sum), 0);
  const mean = total((x) => x) / count;
  return { mean, variance: total((x) => (x - mean) ** 2) / Math.max(1, count - 1) };
}
