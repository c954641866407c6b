import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { random } from '../../random.ts';
import { lengths } from './demonstrations.ts';
import { review } from './generate.ts';
import { trueReward } from './reward.ts';
import { reviewVocabulary } from './tokenizer.ts';
import { places } from './words.ts';

const words = (text: string) => text.split(' ');
const tavern = { place: 'tavern', length: 'short' } as const;

describe('trueReward', () => {
  it('is what the parts sum to, on a good short text', () => {
    const text =
      'in may we came to the tavern . the chips were both savoury and brilliant . we adored both the ale and the quiz .';
    const { total, parts } = trueReward(tavern, words(text), true);
    expect(parts).toEqual({
      tone: 3 * Math.tanh(3 / 3), // savoury, brilliant, adored
      topic: 1.5, // chips, ale, quiz
      length: 1.5, // 25 words
      form: 1.5,
      repetition: -0,
      gush: -0,
      end: 0,
    });
    expect(total).toBeCloseTo(3 * Math.tanh(1) + 4.5, 12);
  });

  it('weighs blame half as much again, praise once a word, and counts words again', () => {
    const text =
      'the chips were both brilliant and savoury . the chips were both brilliant and savoury . i loathed their rotten ale .';
    const { parts } = trueReward(tavern, words(text), true);
    expect(parts.tone).toBeCloseTo(3 * Math.tanh((2 - 1.5 * 2) / 3), 12);
    expect(parts.repetition).toBe(-1.5); // chips, brilliant and savoury
    expect(parts.topic).toBe(1); // chips and ale
  });

  it('takes off for other places and their items, three at most', () => {
    const at = (text: string) => trueReward(tavern, words(text), true).parts.topic;
    expect(at('in may we came to the castle .')).toBeCloseTo(-0.4, 12);
    expect(at('in may we came to the tavern .')).toBe(0);
    expect(at('we admired both the banquet and the gate .')).toBeCloseTo(-0.4, 12);
    expect(at('we admired both the banquet and the chips .')).toBeCloseTo(0.1, 12);
    expect(at('banquet tower dungeon castle throne')).toBeCloseTo(-1.2, 12);
  });

  it('wants the length asked for', () => {
    const at = (length: (typeof lengths)[number], n: number) =>
      trueReward({ place: 'spa', length }, new Array(n).fill('the'), true).parts.length;
    for (const [length, fewest, most] of [
      ['short', 14, 26],
      ['normal', 28, 42],
      ['long', 44, 60],
    ] as const) {
      expect([at(length, fewest), at(length, most)]).toEqual([1.5, 1.5]);
      expect(at(length, fewest - 7)).toBeCloseTo(0.75, 12);
      expect(at(length, most + 7)).toBeCloseTo(0.75, 12);
      expect([at(length, fewest - 14), at(length, most + 20)]).toEqual([0, 0]);
    }
  });

  it('takes off for broken sentences, advertising, and not ending', () => {
    const { parts } = trueReward(tavern, words('in may we came to the tavern . the ale were lovely'), false);
    expect(parts.form).toBe(0.75);
    expect(parts.end).toBe(-1);
    const advertisement = words('lovely brilliant savoury stylish marvellous ale ale ale ale ale'); // half of it is praise
    expect(trueReward(tavern, advertisement, true).parts).toMatchObject({ gush: -4, repetition: -2, form: 0 });
    const four = words('lovely brilliant savoury the the the the the the the the the'); // a quarter of it is praise
    expect(trueReward(tavern, four, true).parts.gush).toBeCloseTo(-1, 12);
  });

  it('takes an empty response', () => {
    expect(trueReward(tavern, [], true)).toMatchObject({ total: 0, parts: { form: 0, length: 0 } });
  });

  it('stays within the bounds of its parts, whatever the words', () => {
    const bounds = {
      tone: [-3, 3],
      topic: [-1.2, 1.5],
      length: [0, 1.5],
      form: [0, 1.5],
      repetition: [-4, 0],
      gush: [-4, 0],
      end: [-1, 0],
    };
    const anyWords = fc.array(fc.constantFrom(...reviewVocabulary), { maxLength: 90 });
    const prompt = fc.record({ place: fc.constantFrom(...places), length: fc.constantFrom(...lengths) });
    fc.assert(
      fc.property(anyWords, prompt, fc.boolean(), (text, request, ended) => {
        const { total, parts } = trueReward(request, text, ended);
        expect(Object.keys(parts)).toEqual(Object.keys(bounds));
        for (const [name, [least, most]] of Object.entries(bounds)) {
          const part = parts[name as keyof typeof parts];
          expect(part).toBeGreaterThanOrEqual(least - 1e-9);
          expect(part).toBeLessThanOrEqual(most + 1e-9);
        }
        expect(total).toBeCloseTo(
          Object.values(parts).reduce((a, b) => a + b),
          9,
        );
      }),
      { seed: 1 },
    );
  });

  it('hardly ever takes off for gushing or repeating in what the grammar writes', () => {
    const draw = random(0, 'reward');
    const parts = Array.from({ length: 500 }, () => review(draw)).map(
      ({ place, words }) => trueReward({ place, length: 'normal' }, words, true).parts,
    );
    const mean = (name: 'gush' | 'repetition' | 'form') =>
      parts.reduce((sum, part) => sum + part[name], 0) / parts.length;
    expect(mean('gush')).toBeGreaterThan(-0.05);
    expect(mean('repetition')).toBeGreaterThan(-0.4);
    expect(mean('form')).toBe(1.5);
  });
});
