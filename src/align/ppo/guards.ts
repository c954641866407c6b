/**
 * Guards against rewards that are exploited: what is taken from the scores of answers that get them by their length, by saying
 * the same again, or by saying what all others say. Each tells what it sees, by the name of a metric, whether it takes or not.
 */
import { z } from 'zod';
import type { Completion } from '../reward-functions/reward-function.ts';

const weight = (text: string) => z.number().min(0).default(0).describe(text);

export const guardsSchema = z.object({
  length: weight('taken for each time that an answer is as long again as those of the first step were on average'),
  repetition: weight("taken times the share of an answer's n-grams that it has had before"),
  sameness: weight("taken times the share of an answer's n-grams that an average other answer of the step has too"),
  ngram: z.number().int().min(1).default(3).describe('tokens of the n-grams'),
});
type GuardOptions = z.output<typeof guardsSchema>;

interface Guarded {
  /** What is taken from each answer's score. */
  penalties: Float64Array;
  metrics: Record<'guard/length' | 'guard/repetition' | 'guard/sameness', number>;
}

/** `usual` is the mean length of the first step's answers, in tokens. */
export function guard(answers: readonly Completion[], options: GuardOptions, usual: number): Guarded {
  const seen = {
    length: answers.map(({ response }) => Math.max(0, response.length / usual - 1)),
    repetition: answers.map(({ response }) => repetition(response, options.ngram)),
    sameness: sameness(answers, options.ngram),
  };
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  return {
    penalties: Float64Array.from(
      answers,
      (_, i) =>
        options.length * seen.length[i] + options.repetition * seen.repetition[i] + options.sameness * seen.sameness[i],
    ),
    metrics: {
      'guard/length': mean(seen.length),
      'guard/repetition': mean(seen.repetition),
      'guard/sameness': mean(seen.sameness),
    },
  };
}

const ngramsOf = (ids: readonly number[], n: number): string[] =>
  Array.from({ length: Math.max(0, ids.length - n + 1) }, (_, i) => ids.slice(i, i + n).join());

/** Share of the n-grams of some tokens that came before among them: 0 to nearly 1. */
export function repetition(ids: readonly number[], n: number): number {
  const all = ngramsOf(ids, n);
  return all.length === 0 ? 0 : 1 - new Set(all).size / all.length;
}

/** Of each answer: the share of its different n-grams that another answer has too, on average over the others. */
export function sameness(answers: readonly Pick<Completion, 'response'>[], n: number): number[] {
  const sets = answers.map(({ response }) => new Set(ngramsOf(response, n)));
  const holders = new Map<string, number>();
  for (const set of sets) for (const ngram of set) holders.set(ngram, (holders.get(ngram) ?? 0) + 1);
  const others = answers.length - 1;
  return sets.map((set) => {
    if (set.size === 0 || others === 0) return 0;
    let shared = 0;
    for (const ngram of set) shared += holders.get(ngram)! - 1;
    return shared / (set.size * others);
  });
}
