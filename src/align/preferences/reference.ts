/** The reference's log-probabilities of what is learned from: computed once, or whenever they are asked for. */
import { createPackedScorer } from '../../lm/packed-program.ts';
import type { Examples } from '../examples/examples.ts';
import type { LanguagePolicy } from '../training/policy.ts';
import { answerLogProbs, countOf, type ItemLayout, type Items } from './batch.ts';

interface References {
  /** Σ w log π_ref of each answer of some items, those of the first side first. */
  logP(items: Items, indices: readonly number[]): Float32Array;
  /** The same of the partners of some answers. */
  partners(partners: Examples, indices: readonly number[]): Float32Array;
  [Symbol.dispose](): void;
}

/** With `precompute`, numbers of all items are computed with the first that are asked for. */
export function createReferences(
  { reference: { config, weights } }: LanguagePolicy,
  layout: ItemLayout,
  part: number,
  precompute: boolean,
): References {
  const scorer = createPackedScorer(config, weights);
  const known = new Map<Examples, Float32Array>();
  const logP = (items: Items, indices: readonly number[]): Float32Array => {
    if (!precompute) return answerLogProbs(scorer, items, indices, layout, part);
    const [first] = items.sides;
    const count = countOf(items);
    const all = known.get(first) ?? answerLogProbs(scorer, items, [...first.lengths.keys()], layout, part);
    known.set(first, all);
    return Float32Array.from(items.sides.flatMap((_, side) => indices.map((i) => all[side * count + i])));
  };
  return {
    logP,
    partners: (partners, indices) => logP({ sides: [partners] }, indices),
    [Symbol.dispose]: scorer[Symbol.dispose],
  };
}
