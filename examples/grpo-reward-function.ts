/** Trains a policy by GRPO on a reward that is a function of what it writes. */
import { grpo } from 'heed/align';
import { loadModel } from 'heed/lm';

const model = await loadModel();
const data = ['circus', 'library', 'restaurant', 'stadium'].map((place) => ({
  prompt: [{ role: 'user', content: `please write a short review of the ${place} .` }],
}));

const training = grpo({
  model,
  data,
  reward: (completions) => completions.map(({ text }) => text.split(/\s+/).filter((word) => word === 'the').length),
  steps: 6,
  batch: 8,
  completions: 4,
  maxTokens: 32,
  evaluations: 2,
  learningRate: 1e-3,
});
for await (const { step, metrics } of training)
  console.log(`step ${step}: reward ${metrics['reward/mean'].toFixed(2)}`);
console.log(await model.generate(data[0].prompt));
