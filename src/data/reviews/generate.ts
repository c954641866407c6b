/**
 * Reviews of places, in a small grammar whose entropy is known. A tiny model can learn such text, and a program can
 * check whether it is well formed (recognize.ts) and how good it is (reward.ts).
 *
 * A text has a place, a tone, an opening, one to six body sentences and mostly a closing. It has structure worth
 * learning: items belong to the place named at the start, polarities follow the tone, no item occurs twice, adjectives
 * fit their items, verbs agree, and `he` or `she` follows a name.
 */

import { HeedError } from '../../error.ts';
import type { Random } from '../../random.ts';
import {
  articleBefore,
  bodies,
  closings,
  followUps,
  introductions,
  openings,
  type SentenceTemplate,
  summing,
  type Tone,
} from './grammar.ts';
import {
  adjectives,
  classes,
  ownItems,
  type Polarity,
  places,
  type ReviewedItem,
  type ReviewedPlace,
  sharedItems,
  verbs,
} from './words.ts';

export interface Review {
  /** Words in sentences, each of which ends in `.`. */
  words: string[];
  place: ReviewedPlace;
  tone: Tone;
  /**
   * Natural logarithm of the probability of the choices that made the text, except for what `options` fixed. Negated,
   * summed over texts and divided by their number of tokens, including one `<eos>` each, it is the entropy in nats per
   * token, the lower bound of any model's loss. It is 0.0015 too high, since the words do not always reveal the tone.
   */
  logProbability: number;
}

const toneShare: Readonly<Record<Tone, number>> = { good: 0.4, bad: 0.4, mixed: 0.2 };

/** Probability of each polarity of a body sentence, by the tone of the text. */
const polarityShare: Readonly<Record<Tone, Readonly<Record<Polarity, number>>>> = {
  good: { praise: 0.9, blame: 0.03, neutral: 0.07 },
  bad: { praise: 0.03, blame: 0.9, neutral: 0.07 },
  mixed: { praise: 0.3, blame: 0.3, neutral: 0.4 },
};
const introductionShare = 0.12;
const followUpShare = 0.5;
const closingShare = 0.8;
const ownItemShare = 0.85;
const generalAdjectiveShare = 0.3;

const usualSentences = [1, 2, 3, 4, 5, 6];
// Each may need two of the sixteen items.
const maxSentences = 8;

const contrasts: Readonly<Record<Polarity, readonly Polarity[]>> = {
  praise: ['blame', 'neutral'],
  blame: ['praise', 'neutral'],
  neutral: ['praise', 'blame'],
};

/**
 * A review. Whatever `options` leave open is drawn as in pretraining; `sentences` is the number of body sentences.
 * @throws HeedError if `sentences` is not between 1 and 8.
 */
export function review(
  random: Random,
  options: { place?: ReviewedPlace; tone?: Tone; sentences?: number } = {},
): Review {
  const draws = countedDraws(random);
  const place = options.place ?? draws.one(places);
  const tone = options.tone ?? draws.weighted(toneShare);
  const sentences = options.sentences ?? draws.one(usualSentences);
  if (!(Number.isInteger(sentences) && sentences >= 1 && sentences <= maxSentences)) {
    throw new HeedError(`A review has 1 to ${maxSentences} body sentences; got ${sentences}.`, {
      hint: `Ask for at most ${maxSentences}: each may name two of a place's sixteen items, and none is named twice.`,
    });
  }

  const text: Text = { draws, place, words: [], local: [...ownItems[place]], shared: [...sharedItems] };
  write(text, draws.one(openings), 'neutral');
  for (let left = sentences; left > 0; left--) {
    const polarity = draws.weighted(polarityShare[tone]);
    if (draws.flip(introductionShare) && (text.local.some(isOnePerson) || text.shared.some(isOnePerson))) {
      const sex = draws.one(sexes);
      write(text, introductions[sex], polarity);
      if (left > 1 && draws.flip(followUpShare)) {
        write(text, followUps[sex], polarity);
        left--;
      }
    } else write(text, draws.one(bodies), polarity);
  }
  if (draws.flip(closingShare)) {
    write(text, draws.one(closings.filter((closing) => closing.tones!.includes(tone))), summing[tone]);
  }
  return { words: text.words, place, tone, logProbability: draws.logProbability() };
}

const sexes = ['man', 'woman'] as const;
const isOnePerson = ({ kind, plural }: ReviewedItem) => kind === 'person' && !plural;

interface Text {
  readonly draws: Draws;
  readonly place: ReviewedPlace;
  readonly words: string[];
  /** Items of the place that are not named yet. */
  readonly local: ReviewedItem[];
  readonly shared: ReviewedItem[];
}

function write(text: Text, { parts }: SentenceTemplate, polarity: Polarity): void {
  const { draws, words } = text;
  // Items come first: verbs and adjectives agree with them, wherever they stand.
  const items: ReviewedItem[] = [];
  for (const part of parts) {
    if (part.slot === 'item' || part.slot === 'person') items[part.of] = takeItem(text, part.slot === 'person');
  }
  let last = ''; // the adjective that a later slot repeats or must not repeat
  for (const part of parts) {
    switch (part.slot) {
      case 'fixed':
        words.push(part.word);
        break;
      case 'place':
        words.push(text.place);
        break;
      case 'item':
      case 'person':
        words.push(items[part.of].word);
        break;
      case 'be':
        words.push(items[part.of].plural ? 'were' : 'was');
        break;
      case 'verb':
        words.push(draws.one(verbs[polarity]));
        break;
      case 'adjective':
        last = adjective(draws, items[part.of], polarity);
        words.push(last);
        break;
      case 'another':
        words.push(adjective(draws, items[part.of], polarity, last));
        break;
      case 'contrast':
        words.push(adjective(draws, items[part.of], draws.one(contrasts[polarity])));
        break;
      case 'article':
        last = draws.one(adjectives.any[polarity]);
        words.push(articleBefore(last));
        break;
      case 'summary':
        words.push(last);
        break;
      default:
        words.push(draws.one(classes[part.slot]));
    }
  }
}

function takeItem({ draws, local, shared }: Text, onePerson: boolean): ReviewedItem {
  const [ofPlace, ofAny] = onePerson ? [local.filter(isOnePerson), shared.filter(isOnePerson)] : [local, shared];
  const choice = ofPlace.length > 0 && (ofAny.length === 0 || draws.flip(ownItemShare)) ? ofPlace : ofAny;
  const item = draws.one(choice);
  const left = item.place ? local : shared;
  left.splice(left.indexOf(item), 1);
  return item;
}

function adjective(draws: Draws, item: ReviewedItem, polarity: Polarity, except?: string): string {
  const words = adjectives[draws.flip(generalAdjectiveShare) ? 'any' : item.kind][polarity];
  return draws.one(except === undefined ? words : words.filter((word) => word !== except));
}

/** Draws, with their log-probability. */
interface Draws {
  one<T>(values: readonly T[]): T;
  flip(probability: number): boolean;
  /** Draws a key by shares that sum to 1. */
  weighted<K extends string>(shares: Readonly<Record<K, number>>): K;
  logProbability(): number;
}

function countedDraws(random: Random): Draws {
  let sum = 0;
  return {
    one(values) {
      sum -= Math.log(values.length);
      return values[random.integer(values.length)];
    },
    flip(probability) {
      const yes = random.uniform() < probability;
      sum += Math.log(yes ? probability : 1 - probability);
      return yes;
    },
    weighted<K extends string>(shares: Readonly<Record<K, number>>) {
      const keys = Object.keys(shares) as K[];
      let i = 0;
      for (let left = random.uniform(); i < keys.length - 1; i++) {
        left -= shares[keys[i]];
        if (left < 0) break;
      }
      sum += Math.log(shares[keys[i]]);
      return keys[i];
    },
    logProbability: () => sum,
  };
}
