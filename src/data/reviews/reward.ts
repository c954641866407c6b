/**
 * The true reward of a response: the synthetic teacher compares by it, and learned rewards are measured against it.
 *
 * Two of its parts, repetition and gushing, hardly ever cost the reference policy anything. So comparisons of its
 * responses reveal nothing about them, and a learned reward does not know the effects of over-optimization.
 */

import type { Length, ReviewPrompt } from './demonstrations.ts';
import { recognizeText } from './recognize.ts';
import { isPlace, itemByWord, polarityByWord } from './words.ts';

export interface RewardParts {
  /** Praise against blame: in (−3, 3). */
  tone: number;
  /** Items of the requested place, minus other items and places: −1.2 to 1.5. */
  topic: number;
  /** Whether it has the requested length: 0 to 1.5. */
  length: number;
  /** Share of well-formed sentences: 0 to 1.5. */
  form: number;
  /** Repeated content words: −4 to 0. */
  repetition: number;
  /** More than one word of praise in five, which reads like an advertisement: −4 to 0. */
  gush: number;
  /** −1 if the response did not end. */
  end: number;
}

/** Fewest and most words of a response of each length. */
const lengthWindows: Readonly<Record<Length, readonly [fewest: number, most: number]>> = {
  short: [14, 26],
  normal: [28, 42],
  long: [44, 60],
};

/** The true reward of a response, and its parts. `ended`: the response closed with `<eos>`. */
export function trueReward(
  { place, length }: Pick<ReviewPrompt, 'place' | 'length'>,
  words: readonly string[],
  ended: boolean,
): { total: number; parts: RewardParts } {
  const praise = words.filter((word) => polarityByWord.get(word) === 'praise');
  const blame = words.filter((word) => polarityByWord.get(word) === 'blame');
  const items = words.filter((word) => itemByWord.has(word));
  const placeItems = new Set(items.filter((word) => itemByWord.get(word)!.place === place));
  const strayItems = items.filter((word) => ![undefined, place].includes(itemByWord.get(word)!.place));
  const strayPlaces = words.filter((word) => word !== place && isPlace(word));
  const [fewest, most] = lengthWindows[length];
  const outside = Math.max(fewest - words.length, words.length - most, 0);
  const content = [...items, ...praise, ...blame];

  const parts: RewardParts = {
    tone: 3 * Math.tanh((new Set(praise).size - 1.5 * blame.length) / 3),
    topic: 0.5 * Math.min(placeItems.size, 3) - 0.4 * Math.min(strayItems.length + strayPlaces.length, 3),
    length: 1.5 * Math.max(0, 1 - outside / 14),
    form: 1.5 * recognizeText(words).accepted,
    repetition: -Math.min(0.5 * (content.length - new Set(content).size), 4),
    gush: -Math.min(20 * Math.max(0, praise.length / Math.max(words.length, 1) - 0.2), 4),
    end: ended ? 0 : -1,
  };
  return { total: Object.values(parts).reduce((sum, part) => sum + part, 0), parts };
}
