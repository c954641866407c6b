/** The reference's log-probabilities of items: computed once, or at each call. */
import { createPackedScorer } from '../../lm/packed-program.ts';
import type { Examples } from '../examples/examples.ts';
import type { LanguagePolicy } from '../training/policy.ts';
import { completionLogProbs, type ItemLayout, type Items, itemCount } from './batch.ts';

interface References {
  /** Σ w log π_ref of each completion of some items, the first side before the second. */
  logP(items: Items, indices: readonly number[]): Promise<Float32Array>;
  /** The same for the partners of some completions. */
  partners(partners: Examples, indices: readonly number[]): Promise<Float32Array>;
  /** Frees what it holds; it cannot be used afterwards. */
  [Symbol.dispose](): void;
}

/** The reference's log-probabilities. With `precompute`, the first call computes those of all items. */
export function createReferences(
  { reference: { config, weights } }: LanguagePolicy,
  layout: ItemLayout,
  part: number,
  precompute: boolean,
): References {
  const scorer = createPackedScorer(config, weights);
  const cache = new Map<Examples, Float32Array>();
  const logP = async (items: Items, indices: readonly number[]): Promise<Float32Array> => {
    if (!precompute) return completionLogProbs(scorer, items, indices, layout, part);
    const [first] = items.sides;
    const count = itemCount(items);
    const all = cache.get(first) ?? (await completionLogProbs(scorer, items, [...first.lengths.keys()], layout, part));
    cache.set(first, all);
    return Float32Array.from(items.sides.flatMap((_, side) => indices.map((i) => all[side * count + i])));
  };
  return {
    logP,
    partners: (partners, indices) => logP({ sides: [partners] }, indices),
    [Symbol.dispose]: scorer[Symbol.dispose],
  };
}
