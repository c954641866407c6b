/** Steps of an answer: where they end, and what those of an answer are worth together. */
import type { StepReward } from '../reward-functions/reward-function.ts';

interface Step {
  text: string;
  /** Characters of the answer's text up to the end of the step, its separator included. */
  end: number;
}

/** Steps are what stands before a separator; what stands behind the last is a step too. Those that say nothing are none. */
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

export const aggregates = ['product', 'min', 'mean', 'last'] as const;
export type Aggregate = (typeof aggregates)[number];

/**
 * What an answer is worth by the probabilities that its steps are right: their product, the probability that all are
 * (Lightman et al. 2023, §2.6), the lowest, their mean, or the last. 0 without steps.
 */
export function worthOf(probabilities: readonly number[], aggregate: Aggregate): number {
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
 * What each step adds to that, in the order they come: of a mean, its share; else by how much the answer so far is worth more
 * with it than without, and a share of what an answer is worth before its first step. They add up to what the answer is worth.
 */
export function stepRewards(steps: readonly Step[], probabilities: readonly number[], by: Aggregate): StepReward[] {
  const nothing = by === 'last' ? 0.5 : 1; // known of no step
  let before = nothing;
  return steps.map(({ end }, i) => {
    if (by === 'mean') return { end, reward: probabilities[i] / steps.length };
    const worth = worthOf(probabilities.slice(0, i + 1), by);
    const reward = worth - before + nothing / steps.length;
    before = worth;
    return { end, reward };
  });
}
