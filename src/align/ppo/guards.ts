/**
 * Guards against reward hacking: penalties on completions that are long, repeat themselves, or resemble all others.
 * Each guard reports a metric, even if its penalty is 0.
 */
import { z } from 'zod';
import type { Completion } from '../reward-functions/reward-function.ts';

const weight = (text: string) => z.number().min(0).default(0).describe(text);

/** Schema of the weights of the guards. */
export const guardsSchema = z.object({
  length: weight('penalty per mean length of the first step that a completion is too long by; 0: off'),
  repetition: weight('penalty times the share of n-grams that repeat within the completion; 0: off'),
  sameness: weight("penalty times the share of n-grams that the step's other completions contain; 0: off"),
  ngram: z.number().int().min(1).default(3).describe('tokens per n-gram'),
});
type GuardOptions = z.output<typeof guardsSchema>;

interface Guarded {
  /** The penalty on each completion's score. */
  penalties: Float64Array;
  metrics: Record<'guard/length' | 'guard/repetition' | 'guard/sameness', number>;
}

/**
 * The penalties of completions, with metrics. `usual` is the mean length of the first step's completions, in tokens.
 */
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

/** Share of the n-grams of a sequence of tokens that occurred in it before: from 0 to nearly 1. */
export function repetition(ids: readonly number[], n: number): number {
  const all = ngramsOf(ids, n);
  return all.length === 0 ? 0 : 1 - new Set(all).size / all.length;
}

/**
 * For each completion, the share of its distinct n-grams that another completion contains, averaged over the others.
 */
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
