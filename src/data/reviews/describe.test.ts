import { expect, it } from 'vitest';
import { random } from '../../random.ts';
import { describeTexts } from './describe.ts';
import { review } from './generate.ts';

it('counts by hand', () => {
  const texts = ['in may we came to the spa . in may we came to the spa .', 'a b a b .'].map((text) => text.split(' '));
  expect(describeTexts(texts)).toEqual({
    meanLength: (16 + 5) / 2,
    accepted: 2 / 3,
    coherent: 0,
    distinct2: (8 + 3) / (15 + 4), // "spa ." once, ". in" once; "a b", "b a", "b ."
    distinct3: (8 + 3) / (14 + 3),
    uniqueSentences: 2 / 3,
  });
});

it('finds the grammar itself faultless, and about as varied as it should be', () => {
  const draw = random(0, 'describe');
  const description = describeTexts(Array.from({ length: 200 }, () => review(draw).words));
  expect(description).toMatchObject({ accepted: 1, coherent: 1 });
  expect(description.distinct2).toBeCloseTo(0.19, 1);
  expect(description.distinct3).toBeCloseTo(0.43, 1);
  expect(description.uniqueSentences).toBeGreaterThan(0.88);
});

it('takes no texts', () => {
  expect(describeTexts([])).toEqual({
    meanLength: 0,
    accepted: 0,
    coherent: 0,
    distinct2: 0,
    distinct3: 0,
    uniqueSentences: 0,
  });
});
