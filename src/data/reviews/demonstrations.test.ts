import { describe, expect, it } from 'vitest';
import { random } from '../../random.ts';
import { demonstration, reviewPrompts } from './demonstrations.ts';
import { recognizeText, sentencesOf } from './recognize.ts';
import { trueReward } from './reward.ts';

const draw = random(0, 'demonstrations');
const demonstrations = Array.from({ length: 4000 }, () => demonstration(draw));
const share = (values: boolean[]) => values.filter(Boolean).length / values.length;
const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

describe('reviewPrompts', () => {
  it('are 108 different ones, of nine words each', () => {
    expect(new Set(reviewPrompts.map(({ text }) => text)).size).toBe(108);
    for (const { text, place, length } of reviewPrompts) {
      expect(text.split(' ')).toHaveLength(9);
      expect(text).toContain(` ${length} review of the ${place} .`);
    }
  });
});

describe('demonstration', () => {
  it('consists of well-formed sentences, and now and then says one twice', () => {
    for (const { words } of demonstrations) expect(recognizeText(words).accepted).toBe(1);
    const twice = demonstrations.map(({ words }) => {
      const sentences = sentencesOf(words).map((sentence) => sentence.join(' '));
      return new Set(sentences).size < sentences.length;
    });
    expect(share(twice)).toBeCloseTo(0.15, 1);
  });

  it('is mostly of the place asked for', () => {
    const astray = share(demonstrations.map(({ prompt, words }) => !words.includes(prompt.place)));
    expect(Math.abs(astray - (0.06 * 11) / 12)).toBeLessThan(0.02);
  });

  it('is of mixed quality: there is much to gain', () => {
    const parts = demonstrations.map(({ prompt, words }) => trueReward(prompt, words, true));
    expect(Math.abs(mean(parts.map(({ total }) => total)) - 2.7)).toBeLessThan(0.2);
    expect(mean(parts.map((reward) => reward.parts.gush))).toBe(0);
    expect(mean(parts.map((reward) => reward.parts.repetition))).toBeGreaterThan(-0.4);
    expect(mean(parts.map((reward) => reward.parts.length))).toBeLessThan(1.2);
  });

  it('is the same for the same seed', () => {
    const again = random(0, 'demonstrations');
    for (const expected of demonstrations.slice(0, 10)) expect(demonstration(again)).toEqual(expected);
  });
});
