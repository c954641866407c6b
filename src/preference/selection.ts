/**
 * Query selection: which of many candidate pairs to ask about, from what each member of the reward ensemble predicts.
 * Disagreement is Christiano et al. 2017, §2.2.4; both rules are compared in B-Pref (Lee et al. 2021).
 */

import { z } from 'zod';
import { HeedError } from '../error.ts';
import type { Random } from '../random.ts';
import { type ChoiceModel, choiceProbability } from './choice-model.ts';

export const selectionSchema = z.object({
  rule: z
    .enum(['disagreement', 'entropy', 'random'])
    .default('disagreement')
    .describe('Which pairs to ask: where members differ most, where their mean is least sure, or any.'),
  share: z
    .number()
    .min(0)
    .max(1)
    .default(1)
    .describe('Share of the queries chosen by the rule; the rest are drawn at random from the other pairs.'),
});

export type Selection = z.output<typeof selectionSchema>;

/** Returns predicted for the two options of each candidate pair: `first[member][pair]` and `second[member][pair]`. */
export interface Predictions {
  readonly first: readonly ArrayLike<number>[];
  readonly second: readonly ArrayLike<number>[];
}

/**
 * The indices of `count` distinct pairs: those chosen by the rule, best first, then those drawn at random. Equal scores
 * are ordered at random, so that an untrained ensemble does not favour the pairs that came first. Draws n − 1 numbers
 * whatever the rule.
 * @throws HeedError if there are fewer than `count` pairs, the two sides differ in shape, a rule lacks the members it
 * needs, or a prediction is not finite.
 */
export function selectQueries(
  selection: Selection,
  predictions: Predictions,
  model: ChoiceModel,
  count: number,
  random: Random,
): number[] {
  const n = checkShape(predictions);
  if (!Number.isInteger(count) || count < 0 || count > n) {
    throw new HeedError(`Cannot select ${count} of ${n} candidate pairs.`, {
      hint: 'Offer at least as many pairs as are asked.',
    });
  }
  const order = random.shuffle(Array.from({ length: n }, (_, i) => i));
  const { rule, share } = selection;
  const byRule = Math.round(count * share);
  if (rule === 'random' || byRule === 0) return order.slice(0, count);

  const scores = queryScores(rule, predictions, model);
  const best = [...order].sort((i, j) => scores[j] - scores[i]).slice(0, byRule);
  const chosen = new Set(best);
  return [...best, ...order.filter((i) => !chosen.has(i)).slice(0, count - byRule)];
}

/**
 * How much each pair is worth asking about [pairs].
 *
 * - disagreement: variance over members of the probability that the first is chosen (at most 1/4).
 * - entropy: entropy in nats of the mean of those probabilities (at most log 2).
 */
export function queryScores(
  rule: 'disagreement' | 'entropy',
  predictions: Predictions,
  model: ChoiceModel,
): Float64Array {
  const n = checkShape(predictions);
  const { first, second } = predictions;
  const members = first.length;
  if (rule === 'disagreement' && members < 2) {
    throw new HeedError('One member cannot disagree with itself.', {
      hint: 'Use an ensemble of at least two members, or select by entropy or at random.',
    });
  }
  const scores = new Float64Array(n);
  const probabilities = new Float64Array(members);
  for (let pair = 0; pair < n; pair++) {
    let mean = 0;
    for (let k = 0; k < members; k++) {
      probabilities[k] = choiceProbability(model, first[k][pair], second[k][pair]);
      mean += probabilities[k] / members;
    }
    if (!Number.isFinite(mean)) {
      throw new HeedError(`The ensemble predicts returns that are not finite for pair ${pair}.`, {
        hint: 'The reward model has diverged: lower its learning rate, or check its inputs.',
      });
    }
    for (const p of probabilities) {
      scores[pair] += rule === 'disagreement' ? (p - mean) ** 2 / members : 0;
    }
    if (rule === 'entropy') scores[pair] = entropy(mean) + entropy(1 - mean);
  }
  return scores;
}

const entropy = (p: number): number => (p > 0 ? -p * Math.log(p) : 0);

function checkShape({ first, second }: Predictions): number {
  const n = first[0]?.length;
  if (n === undefined || first.length !== second.length || [...first, ...second].some((m) => m.length !== n)) {
    const shape = (side: Predictions['first']) => `[${side.map((member) => member.length).join(', ')}]`;
    throw new HeedError(
      `Predictions need the same members and pairs for both options; got ${shape(first)} and ${shape(second)} pairs.`,
      { hint: 'Give first[member][pair] and second[member][pair], with at least one member.' },
    );
  }
  return n;
}
