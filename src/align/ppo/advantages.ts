/** Turns the scores of completions into advantages of their tokens: in PPO on language, each token is an action. */
import { HeedError } from '../../error.ts';
import { advantages as estimate } from '../../nn/gae.ts';
import { klOfToken } from '../policies/kl.ts';
import type { TokenReward } from '../policies/rollouts.ts';
import type { KlOptions } from './kl-controller.ts';

/** A completion with the log-probabilities of its tokens. */
interface CompletionTokens {
  logProbs: Float32Array;
  referenceLogProbs: Float32Array;
  /** The completion's reward. */
  score: number;
  /** Whether the score comes one step after the last token, not on it. */
  after: boolean;
  /** Parts of the score that come earlier. */
  steps?: readonly TokenReward[];
}

/**
 * r_t = −β·KL_t, plus the score at the end of the completion (Ziegler et al. 2019, equation 2). The rewards of steps
 * come where the steps end, and the rest of the score at the end, so that the sum is the same (Uesato et al. 2022,
 * §2.5). Returns [tokens], or [tokens + 1] with `after`.
 */
export function tokenRewards(
  { logProbs, referenceLogProbs, score, after, steps = [] }: CompletionTokens,
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

/** The error for a reward without rewards of steps. */
export const noSteps = (): HeedError =>
  new HeedError('--score.place steps needs a reward that scores the steps of a completion', {
    hint: 'Use such a reward, for example one by heed process, or leave out --score.place steps.',
  });

/** Generalized advantages and returns of each completion: [completions][rewards]. No value follows the last reward. */
export function completionAdvantages(
  rewards: readonly Float32Array[],
  values: readonly Float32Array[],
  { discount, lambda }: { discount: number; lambda: number },
): { advantages: Float32Array[]; returns: Float32Array[] } {
  const advantages = rewards.map(({ length }) => new Float32Array(length));
  const returns = rewards.map(({ length }) => new Float32Array(length));
  for (const [i, sequence] of rewards.entries()) {
    const followed = new Float32Array(sequence.length + 1);
    followed.set(values[i].subarray(0, sequence.length));
    const input = { steps: sequence.length, count: 1, rewards: sequence, values: followed, discount, lambda };
    estimate(input, advantages[i], returns[i]);
  }
  return { advantages, returns };
}

/** Scales numbers to standard deviation 1 over all of them and, with `shift`, to mean 0. */
export function whiten(numbers: readonly Float32Array[], shift = true): Float32Array[] {
  const { mean, variance } = momentsOf(numbers);
  const scale = 1 / Math.sqrt(variance + 1e-8);
  return numbers.map((sequence) => sequence.map((x) => (x - mean) * scale + (shift ? 0 : mean)));
}

/** 1 − Var(R − V) / Var(R): 1 for values that predict returns perfectly, 0 for a constant. */
export function explainedTokenVariance(values: readonly Float32Array[], returns: readonly Float32Array[]): number {
  const errors = returns.map((sequence, i) => sequence.map((x, t) => x - values[i][t]));
  return 1 - momentsOf(errors).variance / (momentsOf(returns).variance || 1);
}

function momentsOf(numbers: readonly Float32Array[]): { mean: number; variance: number } {
  const count = numbers.reduce((sum, { length }) => sum + length, 0);
  const total = (by: (x: number) => number) => numbers.reduce((sum, row) => row.reduce((a, x) => a + by(x), sum), 0);
  const mean = total((x) => x) / count;
  return { mean, variance: total((x) => (x - mean) ** 2) / Math.max(1, count - 1) };
}
