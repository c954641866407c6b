/**
 * Track 1: CartPole-v1 from ten comparisons to a return of 475.
 *
 * Rule: at most ten comparisons of two clips, by the oracle, which sees the environment's reward; the learner sees only
 * which clip is better. The score is the mean return of 100 episodes of the final policy, from starts that it has not
 * seen. The time is of everything: rollouts, comparisons, learning and the final episodes.
 */
import { learnFromPreferences } from '../../dist/control/index.js';

export const target = 475;
export const unit = 'mean return of 100 episodes';

export async function run(seed) {
  const training = learnFromPreferences({ env: 'CartPole-v1', labels: 10, seed, evaluations: 0, episodes: 100 });
  const { metrics } = await training;
  return metrics.return.mean;
}
