import { expect, it } from 'vitest';
import { smallModel, take } from '../../../test/support/training.ts';
import { openReward } from '../rewards/open.ts';
import { createSft } from '../supervised/sft.ts';
import { usualWorld, worlds } from './worlds.ts';

worlds.register('colors', {
  ...usualWorld(),
  prompts: [{ text: 'red' }],
  *demonstrations(count) {
    for (let i = 0; i < count; i++) yield { value: { prompt: 'red', completion: ' sun' } };
  },
  samplePrompts: (tokenizer) => [{ ids: tokenizer.encode('red') }],
  measureResponses: (completions) => ({ written: completions.length }),
  rewards: ['colors'],
  reward: (name) => ({ name, score: async (completions) => completions.map(() => 7) }),
});

it("learns a plugin's world, and measures by it", async () => {
  using learner = await createSft({
    model: smallModel(),
    world: 'colors',
    demonstrations: 8,
    steps: 2,
    evaluations: 1,
  });
  const steps = await take(learner, 2);
  expect(steps[1].loss).toBeLessThan(steps[0].loss);
  expect(steps[1].evaluation).toMatchObject({ measures: { written: 1 }, samples: [{ prompt: 'red' }] });
});

it("opens a world's reward by its name", async () => {
  using reward = await openReward('colors');
  expect(Array.from(await reward.score([{} as never, {} as never]))).toEqual([7, 7]);
});

it('names the worlds there are', () => {
  expect(() => createSft({ world: 'moons', steps: 1 })).toThrow('world: expected one of reviews, colors, got "moons"');
});
