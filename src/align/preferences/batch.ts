/** Answers that are compared, as batches of tokens, and sums of their log-probabilities. */
import type { PackedScorer } from '../../lm/packed-program.ts';
import { type Example, type PackedBatch, type PackingOptions, packedBatches } from '../../lm/packing.ts';
import { type Examples, learnedTokens } from '../examples/examples.ts';

/** What is learned from, item by item: pairs, or answers that are rated each on its own. */
export interface Items {
  /** Chosen and rejected answers with their prompts, the i-th of each a pair; or answers on their own. */
  readonly sides: readonly Examples[];
  /** Of answers on their own: whether each is wanted. */
  readonly desirable?: readonly boolean[];
  /** Each answer's prompt with the answer to another, to estimate a KL from. */
  readonly partners?: Examples;
}

export const countOf = ({ sides }: Items): number => sides[0].lengths.length;

export interface ItemLayout extends Pick<PackingOptions, 'lengths' | 'padding'> {
  /** Prompts are to be likely too, of all answers but the rejected. */
  wholeTexts: boolean;
  /** What tokens weigh by which an answer is longer than the other one of its pair. */
  tailWeight: number;
}

/** Some items' answers, those of the first side before those of the second, packed: a prompt once for all answers to it. */
interface ItemBatch {
  batch: PackedBatch;
  /** w of each label in an answer's Σ w log π. */
  weight: Float32Array;
  /** Of each answer, the tokens that are told. */
  tokens: Float32Array;
  /** All labels of the first side. */
  likely: number;
}

export function itemBatch({ sides }: Items, indices: ArrayLike<number>, layout: ItemLayout): ItemBatch {
  const count = indices.length;
  const answers = sides.flatMap((side) => Array.from(indices, (i) => side.at(i)));
  const tokens = Float32Array.from(answers, learnedTokens);
  const told = answers.map((answer, sequence): Example => {
    const { ids, learn } = answer;
    if (layout.wholeTexts) return { ids, learn: sequence < count ? undefined : learn, sequence };
    return { ids, learn, sequence, prefix: Math.max(0, Array.prototype.indexOf.call(learn ?? [], 1) - 1) };
  });
  const [{ batch, members }] = packedBatches(told, { ...layout, tokens: Number.POSITIVE_INFINITY });
  const weight: number[] = [];
  let likely = 0;
  for (const i of members) {
    const { ids, learn } = answers[i];
    const shared = sides.length === 1 ? tokens[i] : Math.min(tokens[i], tokens[(i + count) % answers.length]);
    let seen = 0;
    for (let t = 1; t < ids.length; t++) {
      const isAnswer = !learn || learn[t] === 1;
      if (isAnswer) weight.push(seen++ < shared ? 1 : layout.tailWeight);
      else if (layout.wholeTexts && i < count) weight.push(0);
      else continue;
      if (i < count) likely++;
    }
  }
  return { batch, weight: Float32Array.from(weight), tokens, likely };
}

/** A number for each label, summed over each answer's. */
export function sumByAnswer(
  { batch, tokens }: ItemBatch,
  numbers: ArrayLike<number>,
  weight?: Float32Array,
): Float32Array {
  const sums = new Float64Array(tokens.length);
  for (const [label, sequence] of batch.sequences.entries()) sums[sequence] += numbers[label] * (weight?.[label] ?? 1);
  return Float32Array.from(sums);
}

/** Numbers of all answers of some items: those of the first side before those of the second. */
export function byAnswer(
  items: Items,
  indices: ArrayLike<number>,
  layout: ItemLayout,
  part: number,
  of: (batch: ItemBatch) => Float32Array,
): Float32Array {
  const count = indices.length;
  const all = new Float32Array(items.sides.length * count);
  for (let start = 0; start < count; start += part) {
    const some = Array.prototype.slice.call(indices, start, start + part) as number[];
    const numbers = of(itemBatch(items, some, layout));
    for (const side of items.sides.keys()) {
      all.set(numbers.subarray(side * some.length, (side + 1) * some.length), side * count + start);
    }
  }
  return all;
}

/** Σ w log π of all answers of some items. */
export const answerLogProbs = (
  scorer: PackedScorer,
  items: Items,
  indices: ArrayLike<number>,
  layout: ItemLayout,
  part: number,
): Float32Array =>
  byAnswer(items, indices, layout, part, (some) => sumByAnswer(some, scorer.run(some.batch), some.weight));
