/** How well the probabilities of steps tell which are right: by step, and by answer. */
import { type Share, shareOf } from '../reward-model/evaluation.ts';
import { type Aggregate, worthOf } from './steps.ts';

export interface StepEvaluation extends Share {
  /** Mean −log P of what the steps are, in nats. */
  loss: number;
  /** Share of the steps that are right: who always says "right" has this accuracy. */
  right: number;
  /** Probability that a right step has the higher score of a right and a wrong one. NaN where either is missing. */
  auc: number;
  /** Accuracy among right steps, and among wrong ones. */
  ofRight: number;
  ofWrong: number;
  /** Share of the answers that it tells to be right as a whole, or not, by what its steps are worth together. */
  answers: Record<Exclude<Aggregate, 'mean'>, Share>;
  /** Share of the answers in which all steps are right. */
  allRight: number;
}

/** `scores` of each answer's steps are log-odds. */
export function evaluateSteps(
  answers: readonly { right: readonly boolean[] }[],
  scores: readonly ArrayLike<number>[],
): StepEvaluation {
  const steps = answers.flatMap(({ right }, i) => right.map((is, k) => ({ is, score: scores[i][k] })));
  const hit = ({ is, score }: { is: boolean; score: number }) => Number(score >= 0 === is);
  const of = (kind: boolean) => steps.filter(({ is }) => is === kind);
  const byAnswer = (by: Aggregate): Share =>
    shareOf(
      answers.map(({ right }, i) =>
        Number(worthOf(Array.from(scores[i], probability), by) >= 0.5 === right.every(Boolean)),
      ),
    );
  return {
    ...shareOf(steps.map(hit)),
    loss: mean(steps.map(({ is, score }) => softplus(is ? -score : score))),
    right: mean(steps.map(({ is }) => Number(is))),
    auc: areaUnderCurve(steps),
    ofRight: mean(of(true).map(hit)),
    ofWrong: mean(of(false).map(hit)),
    answers: { product: byAnswer('product'), min: byAnswer('min'), last: byAnswer('last') },
    allRight: mean(answers.map(({ right }) => Number(right.every(Boolean)))),
  };
}

/** Mann–Whitney's U as a share; equal scores count half. */
function areaUnderCurve(steps: readonly { is: boolean; score: number }[]): number {
  const sorted = [...steps].sort((a, b) => a.score - b.score);
  let [ranks, right] = [0, 0];
  for (let i = 0, next = 0; i < sorted.length; i = next) {
    while (next < sorted.length && sorted[next].score === sorted[i].score) next++;
    const count = sorted.slice(i, next).filter(({ is }) => is).length;
    ranks += (count * (i + 1 + next)) / 2; // the mean rank of what is equal
    right += count;
  }
  return (ranks - (right * (right + 1)) / 2) / (right * (steps.length - right));
}

const mean = (values: readonly number[]): number =>
  values.length === 0 ? Number.NaN : values.reduce((sum, value) => sum + value, 0) / values.length;
export const probability = (score: number): number => 1 / (1 + Math.exp(-score));
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
