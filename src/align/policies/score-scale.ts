/** Scores as PPO learns from them: of one scale whatever the reward, bounded, and lower for answers that did not end. */

import { z } from 'zod';
import type { Completion } from '../reward-functions/reward-function.ts';
import type { TokenReward } from './rollouts.ts';

/** How scores are brought to one scale before an algorithm learns from them. */
export const scoreSchema = z
  .object({
    normalize: z
      .enum(['none', 'first', 'running'])
      .default('first')
      .describe("shift and scale scores so that the first step's, or all so far, have mean 0 and deviation 1"),
    scale: z.number().positive().default(1).describe('scores are multiplied by this, after that'),
    clip: z.number().positive().optional().describe('then kept within ± this'),
    missingEos: z.number().min(0).default(1).describe('taken from the score of an answer that did not end'),
  })
  .prefault({});

/** Of the scores so far that normalize the next: how many, their mean and the sum of squared distances from it. */
export interface ScoreScaleState {
  count: number;
  mean: number;
  squares: number;
}

export interface ScoreScale {
  (scores: ArrayLike<number>, answers: readonly Completion[]): Float64Array;
  /** Steps of an answer on the scale of the last scores, whose shift they share. */
  steps(own: readonly TokenReward[]): TokenReward[];
  save(): ScoreScaleState;
  restore(state: ScoreScaleState): void;
}

export function createScoreScale({ normalize, scale, clip, missingEos }: z.output<typeof scoreSchema>): ScoreScale {
  let state: ScoreScaleState = { count: 0, mean: 0, squares: 0 };
  const current = () => {
    const deviation = Math.sqrt(state.squares / Math.max(1, state.count - 1)) || 1;
    return normalize === 'none' ? { shift: 0, by: scale } : { shift: state.mean, by: scale / deviation };
  };
  const scaled = (scores: ArrayLike<number>, answers: readonly Completion[]) => {
    if (normalize === 'running' || (normalize === 'first' && state.count === 0)) state = withMore(state, scores);
    const { shift, by } = current();
    const most = clip ?? Number.POSITIVE_INFINITY;
    return Float64Array.from(answers, ({ ended }, i) => {
      const score = Math.max(-most, Math.min(most, (scores[i] - shift) * by));
      return ended ? score : score - missingEos;
    });
  };
  return Object.assign(scaled, {
    steps(own: readonly TokenReward[]) {
      const { shift, by } = current();
      return own.map(({ at, reward }) => ({ at, reward: (reward - shift / own.length) * by }));
    },
    save: () => state,
    restore: (saved: ScoreScaleState) => {
      state = saved;
    },
  });
}

/** Welford (1962). */
function withMore(state: ScoreScaleState, scores: ArrayLike<number>): ScoreScaleState {
  let { count, mean, squares } = state;
  for (const score of Array.from(scores)) {
    count++;
    const before = score - mean;
    mean += before / count;
    squares += before * (score - mean);
  }
  return { count, mean, squares };
}
