import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { checkpointOf, ownData, plain, smallModel, take } from '../../../test/support/training.ts';
import { loadModel } from '../../lm/model.ts';
import { createLanguagePpo, type PpoInput } from '../ppo/learner.ts';

import { openReward } from '../rewards/open.ts';
import { createReward } from './reward.ts';

const { folder, dataOf } = ownData();
const llama = smallModel();
const prompts = ['red sun', 'a', 'cats', 'the capital'];
const data = dataOf(prompts.map((prompt) => ({ prompt, chosen: ' cat cat', rejected: ' dog moon' })));
const completions = prompts.map((promptText, i) => ({
  prompt: [1],
  response: [2],
  ended: true,
  promptText,
  text: ` ${'cat '.repeat(i + 1)}`,
}));

/** Learns for a step, and gives the folder of the adapters beside the model. */
async function trained(name: string, members: number): Promise<string> {
  const learner = await createReward({
    model: llama,
    data,
    members,
    epochs: 1,
    batch: 4,
    learningRate: 0.05,
    lora: { rank: 2 },
    evaluation: { share: 0 },
  });
  await take(learner, 1);
  await learner.saveModels(join(folder, name, 'model'));
  learner[Symbol.dispose]();
  return join(folder, name, 'adapter');
}
const scoresOf = async (path: string, over?: Awaited<ReturnType<typeof loadModel>>) => {
  const reward = await openReward(path, {}, {}, over);
  const scores = Array.from(await reward.score(completions));
  reward[Symbol.dispose]();
  return scores;
};

it('scores as the merged model does, alone and over the base, an ensemble too', async () => {
  const base = await loadModel(llama);
  for (const members of [1, 2]) {
    const adapter = await trained(`of-${members}`, members);
    const merged = await scoresOf(join(adapter, '../model'));
    expect(Math.max(...merged) - Math.min(...merged)).toBeGreaterThan(0.1);
    for (const scores of [await scoresOf(adapter), await scoresOf(adapter, base)]) {
      for (const [i, score] of scores.entries()) expect(Math.abs(score - merged[i])).toBeLessThan(1e-5);
    }
  }
  // the weights are those passed in, unless the adapters are of another folder
  const adapter = join(folder, 'of-1/adapter');
  const before = await scoresOf(adapter);
  cpSync(llama, join(folder, 'copy'), { recursive: true });
  const other = await loadModel(join(folder, 'copy'));
  for (const model of [base, other]) model.parameters.flat.fill(0);
  expect(await scoresOf(adapter, other)).toEqual(before);
  expect(await scoresOf(adapter, base)).not.toEqual(before);
  for (const { parameters } of [base, other]) parameters[Symbol.dispose]();
});

it('resumes exactly when policy and reward share weights', async () => {
  const input: PpoInput = {
    model: llama,
    reward: join(folder, 'of-1/adapter'),
    data,
    evaluation: { data },
    lora: { rank: 2 },
    batch: 4,
    maxTokens: 4,
    steps: 2,
    evaluations: 1,
    ppo: { minibatch: 4 },
  };
  const whole = await createLanguagePpo(input);
  await take(whole, 1);
  const checkpoint = checkpointOf(whole);
  const after = await take(whole, 1);
  const resumed = await createLanguagePpo(input);
  resumed.restore(checkpoint);
  expect(plain(await take(resumed, 1))).toEqual(plain(after));
  for (const one of [whole, resumed]) one[Symbol.dispose]();
});
