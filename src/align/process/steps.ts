/** Steps of a completion: where they end, and how their probabilities make a score. */
import type { StepReward } from '../reward-functions/reward-function.ts';

interface Step {
  text: string;
  /** Characters of the completion up to the end of the step, including its separator. */
  end: number;
}

/**
 * The steps of a text: its parts between separators. The rest after the last separator is a step too; blank parts are
 * not.
 */
export function stepsIn(text: string, separator: string): Step[] {
  const steps: Step[] = [];
  for (let start = 0; start < text.length; ) {
    const at = text.indexOf(separator, start);
    const [until, end] = at < 0 ? [text.length, text.length] : [at, at + separator.length];
    const step = text.slice(start, until);
    if (step.trim() !== '') steps.push({ text: step, end });
    start = end;
  }
  return steps;
}

/** How probabilities of steps make the score of a completion; see `aggregateScore`. */
export const aggregates = ['product', 'min', 'mean', 'last'] as const;
/** One of `aggregates`. */
export type Aggregate = (typeof aggregates)[number];

/**
 * The score of a completion from the probabilities that its steps are right: their product, which is the probability
 * that all are (Lightman et al. 2023, §2.6), the lowest, their mean, or the last. 0 without steps.
 */
export function aggregateScore(probabilities: readonly number[], aggregate: Aggregate): number {
  if (probabilities.length === 0) return 0;
  switch (aggregate) {
    case 'product':
      return probabilities.reduce((product, p) => product * p, 1);
    case 'min':
      return Math.min(...probabilities);
    case 'mean':
      return probabilities.reduce((sum, p) => sum + p, 0) / probabilities.length;
    case 'last':
      return probabilities.at(-1)!;
  }
}

/**
 * The reward of each step, in order. For a mean it is the step's share; otherwise the change of the score by the step,
 * plus an equal share of the score before the first step. The rewards add up to the score.
 */
export function stepRewards(steps: readonly Step[], probabilities: readonly number[], by: Aggregate): StepReward[] {
  const nothing = by === 'last' ? 0.5 : 1; // the score before the first step
  let before = nothing;
  return steps.map(({ end }, i) => {
    if (by === 'mean') return { end, reward: probabilities[i] / steps.length };
    const score = aggregateScore(probabilities.slice(0, i + 1), by);
    const reward = score - before + nothing / steps.length;
    before = score;
    return { end, reward };
  });
}
