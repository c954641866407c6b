/** Evaluates predicted probabilities that steps are right: by step, and by completion. */
import { mean } from '../../run/intervals.ts';
import { type Share, shareOf } from '../reward-model/evaluation.ts';
import { type Aggregate, aggregateScore } from './steps.ts';

/** How well scores classify steps as right or wrong. The accuracy is over steps. */
export interface StepEvaluation extends Share {
  /** Mean −log P of the labels, in nats. */
  loss: number;
  /** Share of the steps that are right: the accuracy of always predicting "right". */
  right: number;
  /** Probability that a right step scores higher than a wrong one. NaN if either is missing. */
  auc: number;
  /** Accuracy among right steps. */
  ofRight: number;
  /** Accuracy among wrong steps. */
  ofWrong: number;
  /** Accuracy over whole completions, by how the probabilities of their steps are aggregated. */
  completions: Record<Exclude<Aggregate, 'mean'>, Share>;
  /** Share of the completions in which all steps are right. */
  allRight: number;
}

/**
 * Evaluates scores of steps against their labels.
 *
 * @param scores Log-odds that each step is right: [completions][steps].
 */
export function evaluateSteps(
  completions: readonly { right: readonly boolean[] }[],
  scores: readonly ArrayLike<number>[],
): StepEvaluation {
  const steps = completions.flatMap(({ right }, i) => right.map((is, k) => ({ is, score: scores[i][k] })));
  const hit = ({ is, score }: { is: boolean; score: number }) => Number(score >= 0 === is);
  const stepsThat = (kind: boolean) => steps.filter(({ is }) => is === kind);
  const byCompletion = (by: Aggregate): Share =>
    shareOf(
      completions.map(({ right }, i) =>
        Number(aggregateScore(Array.from(scores[i], probability), by) >= 0.5 === right.every(Boolean)),
      ),
    );
  return {
    ...shareOf(steps.map(hit)),
    loss: mean(steps.map(({ is, score }) => softplus(is ? -score : score))),
    right: mean(steps.map(({ is }) => Number(is))),
    auc: areaUnderCurve(steps),
    ofRight: mean(stepsThat(true).map(hit)),
    ofWrong: mean(stepsThat(false).map(hit)),
    completions: { product: byCompletion('product'), min: byCompletion('min'), last: byCompletion('last') },
    allRight: mean(completions.map(({ right }) => Number(right.every(Boolean)))),
  };
}

/** The area under the ROC curve (Mann–Whitney's U as a share); equal scores count half. */
function areaUnderCurve(steps: readonly { is: boolean; score: number }[]): number {
  const sorted = [...steps].sort((a, b) => a.score - b.score);
  let [ranks, right] = [0, 0];
  for (let i = 0, next = 0; i < sorted.length; i = next) {
    while (next < sorted.length && sorted[next].score === sorted[i].score) next++;
    const count = sorted.slice(i, next).filter(({ is }) => is).length;
    ranks += (count * (i + 1 + next)) / 2; // equal scores share their mean rank
    right += count;
  }
  return (ranks - (right * (right + 1)) / 2) / (right * (steps.length - right));
}

/** σ: the probability for log-odds. */
export const probability = (score: number): number => 1 / (1 + Math.exp(-score));
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
