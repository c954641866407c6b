/** Prompts that ask for reviews, and demonstrations of mixed quality, which feedback can improve on. */

import type { Random } from '../../random.ts';
import { review } from './generate.ts';
import type { Tone } from './grammar.ts';
import { sentencesOf } from './recognize.ts';
import { places, type ReviewedPlace } from './words.ts';

export const lengths = ['short', 'normal', 'long'] as const;
export type Length = (typeof lengths)[number];

export interface ReviewPrompt {
  readonly text: string;
  readonly place: ReviewedPlace;
  readonly length: Length;
}

/** All 108 prompts, of nine words each, so that a batch of them needs no padding. */
export const reviewPrompts: readonly ReviewPrompt[] = ['please write a', 'we need a', 'send us a'].flatMap((start) =>
  lengths.flatMap((length) =>
    places.map((place) => ({ text: `${start} ${length} review of the ${place} .`, place, length })),
  ),
);

interface Demonstration {
  prompt: ReviewPrompt;
  /** The response's words. */
  words: string[];
}

const bodySentences: Readonly<Record<Length, readonly number[]>> = {
  short: [1, 2, 3],
  normal: [3, 4],
  long: [5, 6, 7],
};
const strayShare = 0.06;
const carelessShare = 0.4;
const repeatingShare = 0.15;
/** Tones, and the number between 0 and 1 below which each is drawn. */
const tones: readonly [Tone, below: number][] = [
  ['good', 0.3],
  ['bad', 0.7],
  ['mixed', 1],
];

/**
 * A prompt and a review that follows it more or less: 6 % are about another place, 40 % have another length, 15 %
 * repeat a sentence, and 40 % blame where 30 % praise.
 */
export function demonstration(random: Random): Demonstration {
  const one = <T>(values: readonly T[]): T => values[random.integer(values.length)];
  const prompt = one(reviewPrompts);
  const place = random.uniform() < strayShare ? one(places) : prompt.place;
  const length = random.uniform() < carelessShare ? one(lengths) : prompt.length;
  const mood = random.uniform();
  const [tone] = tones.find(([, below]) => mood < below)!;
  const { words } = review(random, { place, tone, sentences: one(bodySentences[length]) });
  if (random.uniform() >= repeatingShare) return { prompt, words };
  const sentences = sentencesOf(words);
  const twice = random.integer(sentences.length);
  return { prompt, words: sentences.flatMap((sentence, i) => (i === twice ? [...sentence, ...sentence] : sentence)) };
}
