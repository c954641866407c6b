/** Statistics of a set of texts: how far a model has learned the grammar. */

import { recognizeText, sentencesOf } from './recognize.ts';

interface TextsDescription {
  /** Mean number of words in a text. */
  meanLength: number;
  /** Share of all sentences that are well formed. */
  accepted: number;
  /** Share of texts that are coherent. */
  coherent: number;
  /**
   * Distinct pairs of neighboring words, as a share of all pairs (Li et al. 2016, "A Diversity-Promoting Objective").
   */
  distinct2: number;
  distinct3: number;
  /** Distinct sentences, as a share of all. */
  uniqueSentences: number;
}

/**
 * Describes texts, each as words. Shares of nothing are 0. Distinct shares fall with the number of texts, so compare
 * equal numbers.
 */
export function describeTexts(texts: readonly (readonly string[])[]): TextsDescription {
  const verdicts = texts.map(recognizeText);
  const sentences = texts.flatMap(sentencesOf);
  return {
    meanLength: share(sum(texts.map(({ length }) => length)), texts.length),
    accepted: share(
      sum(verdicts.map((verdict) => verdict.sentences.filter(({ accepted }) => accepted).length)),
      sentences.length,
    ),
    coherent: share(verdicts.filter(({ coherent }) => coherent).length, texts.length),
    distinct2: differing(texts.flatMap((words) => grams(words, 2))),
    distinct3: differing(texts.flatMap((words) => grams(words, 3))),
    uniqueSentences: differing(sentences.map((words) => words.join(' '))),
  };
}

const grams = (words: readonly string[], n: number): string[] =>
  words.slice(n - 1).map((_, i) => words.slice(i, i + n).join(' '));
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
const share = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);
const differing = (values: readonly string[]): number => share(new Set(values).size, values.length);
