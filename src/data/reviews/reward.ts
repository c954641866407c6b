/**
 * The true reward of a response, which the synthetic teacher compares by and a learned reward is measured against.
 *
 * Two of its parts, repetition and gushing, hardly ever cost the reference policy anything. Comparisons of its responses
 * therefore say nothing of them, so that a learned reward does not know what optimizing it too far brings about.
 */

import type { Length, ReviewPrompt } from './demonstrations.ts';
import { recognizeText } from './recognize.ts';
import { isPlace, itemOf, polarityOf } from './words.ts';

export interface RewardParts {
  /** Praise against blame: in (−3, 3). */
  tone: number;
  /** Items of the place asked for, less those and places that are not: −1.2 to 1.5. */
  topic: number;
  /** Whether it is as long as asked for: 0 to 1.5. */
  length: number;
  /** Share of well-formed sentences: 0 to 1.5. */
  form: number;
  /** The same word of content again: −4 to 0. */
  repetition: number;
  /** More than one word of praise in five reads as an advertisement: −4 to 0. */
  gush: number;
  /** −1 where the response did not end. */
  end: number;
}

/** Fewest and most words of a response of each length. */
const lengthWindows: Readonly<Record<Length, readonly [fewest: number, most: number]>> = {
  short: [14, 26],
  normal: [28, 42],
  long: [44, 60],
};

/** The true reward of a response, and what it is the sum of. `ended`: the response closed with `<eos>`. */
export function trueReward(
  { place, length }: Pick<ReviewPrompt, 'place' | 'length'>,
  words: readonly string[],
  ended: boolean,
): { total: number; parts: RewardParts } {
  const praise = words.filter((word) => polarityOf.get(word) === 'praise');
  const blame = words.filter((word) => polarityOf.get(word) === 'blame');
  const items = words.filter((word) => itemOf.has(word));
  const own = new Set(items.filter((word) => itemOf.get(word)!.place === place));
  const strayItems = items.filter((word) => ![undefined, place].includes(itemOf.get(word)!.place));
  const strayPlaces = words.filter((word) => word !== place && isPlace(word));
  const [fewest, most] = lengthWindows[length];
  const outside = Math.max(fewest - words.length, words.length - most, 0);
  const content = [...items, ...praise, ...blame];

  const parts: RewardParts = {
    tone: 3 * Math.tanh((new Set(praise).size - 1.5 * blame.length) / 3),
    topic: 0.5 * Math.min(own.size, 3) - 0.4 * Math.min(strayItems.length + strayPlaces.length, 3),
    length: 1.5 * Math.max(0, 1 - outside / 14),
    form: 1.5 * recognizeText(words).accepted,
    repetition: -Math.min(0.5 * (content.length - new Set(content).size), 4),
    gush: -Math.min(20 * Math.max(0, praise.length / Math.max(words.length, 1) - 0.2), 4),
    end: ended ? 0 : -1,
  };
  return { total: Object.values(parts).reduce((sum, part) => sum + part, 0), parts };
}
