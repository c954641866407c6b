/** Trains a model on pairs in memory by DPO. */
import { dpo } from 'heed/align';
import { loadModel } from 'heed/lm';

const model = await loadModel();
const review = (content: string) => [{ role: 'assistant', content }];
const data = ['circus', 'library', 'restaurant', 'stadium'].flatMap((place) =>
  ['short', 'long'].map((length) => ({
    prompt: [{ role: 'user', content: `please write a ${length} review of the ${place} .` }],
    chosen: review('it was lovely .'),
    rejected: review('it was lousy .'),
  })),
);

const { metrics, steps } = await dpo({
  model,
  data,
  batch: 4,
  epochs: 8,
  learningRate: 1e-3,
  evaluation: { prompts: 4 },
});
console.log(`${steps} steps: held-out accuracy ${metrics['eval/rewards/accuracies']}`);
console.log(await model.generate('we need a short review of the circus .', { temperature: 0, maxTokens: 24 }));
