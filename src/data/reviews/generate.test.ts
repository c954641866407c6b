import { describe, expect, it } from 'vitest';
import { HeedError } from '../../error.ts';
import { random } from '../../random.ts';
import { type Review, review } from './generate.ts';
import { closings, templates } from './grammar.ts';
import { recognizeSentence, recognizeText, type SentenceVerdict, sentencesOf } from './recognize.ts';
import {
  adjectives,
  classes,
  itemByWord,
  ownItems,
  places,
  polarities,
  polarityByWord,
  sharedItems,
  verbs,
} from './words.ts';

const draw = random(0, 'reviews');
const reviews: Review[] = Array.from({ length: 10_000 }, () => review(draw));
const verdicts = reviews.map(({ words }) => recognizeText(words));
const tokens = reviews.reduce((sum, { words }) => sum + words.length + 1, 0);

const isBody = (sentence: SentenceVerdict) =>
  sentence.accepted && ['body', 'introduction'].includes(sentence.template.role);

describe('the world', () => {
  it('gives no word two meanings', () => {
    const words = [
      ...places,
      ...itemByWord.keys(),
      ...[...Object.values(adjectives), verbs].flatMap((lists) => polarities.flatMap((key) => lists[key])),
      ...Object.values(classes).flat(),
      ...new Set(templates.flatMap(({ parts }) => parts.flatMap((part) => (part.slot === 'fixed' ? [part.word] : [])))),
    ];
    expect(words.filter((word, i) => words.indexOf(word) < i)).toEqual([]);
  });

  it('has eight items for each place and eight for any, one person among them', () => {
    for (const items of [...places.map((place) => ownItems[place]), sharedItems]) {
      expect(items).toHaveLength(8);
      expect(items.some(({ kind, plural }) => kind === 'person' && !plural)).toBe(true);
    }
    expect(itemByWord.size).toBe(8 * (places.length + 1));
  });

  it('tells templates apart, and has four closings for each tone', () => {
    expect(new Set(templates.map(({ parts }) => JSON.stringify(parts))).size).toBe(templates.length);
    for (const tone of ['good', 'bad', 'mixed'] as const) {
      expect(closings.filter((closing) => closing.tones!.includes(tone))).toHaveLength(4);
    }
  });
});

describe('review', () => {
  it('is accepted by the recognizer, always', () => {
    expect(verdicts.filter(({ coherent }) => !coherent)).toEqual([]);
  });

  it('has the entropy and the lengths that a tiny model can learn', () => {
    const surprise = reviews.reduce((sum, { logProbability }) => sum - logProbability, 0);
    expect(surprise / tokens).toBeCloseTo(1.037, 2);
    const sizes = reviews.map(({ words }) => words.length).sort((a, b) => a - b);
    expect(tokens / reviews.length - 1).toBeCloseTo(41.5, 0);
    expect([sizes[100], sizes[5000], sizes[9900]]).toEqual([16, 41, 67]);
  });

  it('has as many places and tones as it should, and opinions in its tone', () => {
    for (const place of places) {
      expect(reviews.filter((text) => text.place === place).length / reviews.length).toBeCloseTo(1 / 12, 1);
    }
    for (const [tone, share, praise, blame] of [
      ['good', 0.4, 0.9, 0.03],
      ['bad', 0.4, 0.03, 0.9],
      ['mixed', 0.2, 0.3, 0.3],
    ] as const) {
      const ofTone = reviews.filter((text) => text.tone === tone);
      const opinions = ofTone.flatMap(({ words }) => {
        const sentences = sentencesOf(words).filter((sentence) => isBody(recognizeSentence(sentence)));
        return sentences.map((sentence) => polarityByWord.get(sentence.find((word) => polarityByWord.has(word)) ?? ''));
      });
      const shareOf = (polarity: string) => opinions.filter((opinion) => opinion === polarity).length / opinions.length;
      expect(Math.abs(ofTone.length / reviews.length - share)).toBeLessThan(0.03);
      expect(Math.abs(shareOf('praise') - praise)).toBeLessThan(0.03);
      expect(Math.abs(shareOf('blame') - blame)).toBeLessThan(0.03);
    }
  });

  it('counts the probability of its choices', () => {
    const again = random(1, 'reviews');
    const texts = Array.from({ length: 3000 }, () => review(again, { place: 'spa', tone: 'bad', sentences: 1 }));
    const first = (pattern: RegExp) => texts.find(({ words }) => pattern.test(words.join(' ')))!.logProbability;
    const product = (...choices: number[]) => Math.log(choices.reduce((a, b) => a * b));
    // opening and month; blame; no introduction; body; own item of eight; adjective of its kind; no closing
    // opening and month; blame; no introduction; body; own item of eight; adjective of its kind; no closing
    const plain = first(/^in \w+ we came to the spa \. indeed the slippers were (cracked|filthy) \.$/);
    expect(plain).toBeCloseTo(product(1 / 4, 1 / 10, 0.9, 0.88, 1 / 10, 0.85, 1 / 8, 0.7, 1 / 5, 0.2), 10);
    // introduction: man or woman, a shared person of one, name, adverb, general adjective; closing of four
    const named = first(/^in \w+ we .* \. \w+ , our manager , was \w+ lousy \. we shall never return \.$/);
    expect(named).toBeCloseTo(product(1 / 4, 1 / 10, 0.9, 0.12, 1 / 2, 0.15, 1 / 6, 1 / 6, 0.3, 1 / 5, 0.8, 1 / 4), 10);
  });

  it('is the same for the same seed, and another for another', () => {
    const texts = (seed: number) => {
      const again = random(seed, 'reviews');
      return Array.from({ length: 20 }, () => review(again).words.join(' '));
    };
    expect(texts(0)).toEqual(reviews.slice(0, 20).map(({ words }) => words.join(' ')));
    expect(texts(1)).not.toEqual(texts(0));
  });

  it('is what it was asked to be', () => {
    for (let sentences = 1; sentences <= 8; sentences++) {
      const text = review(draw, { place: 'spa', tone: 'bad', sentences });
      const verdict = recognizeText(text.words);
      expect(verdict.reasons).toEqual([]);
      const roles = verdict.sentences.map((sentence) => sentence.accepted && sentence.template.role);
      expect(roles.filter((role) => role !== 'opening' && role !== 'closing')).toHaveLength(sentences);
      expect(text).toMatchObject({ place: 'spa', tone: 'bad' });
    }
  });

  it.each([0, 9, 1.5, Number.NaN])('refuses %s sentences', (sentences) => {
    expect(() => review(draw, { sentences })).toThrow(HeedError);
  });
});
