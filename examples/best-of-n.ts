/** Takes the best of several completions by a function, and fine-tunes on them. */
import { bestOfN, sft } from 'heed/align';
import { loadModel } from 'heed/lm';

const model = await loadModel();
const data = ['circus', 'library', 'restaurant', 'stadium'].map((place) => ({
  prompt: [{ role: 'user', content: `please write a short review of the ${place} .` }],
}));

const { rows, bestOf } = await bestOfN({
  model,
  data,
  completions: 8,
  maxTokens: 32,
  reward: (completions) => completions.map(({ text }) => -text.length),
});
for (const { n, reward } of bestOf) console.log(`best of ${n}: ${reward.toFixed(1)}`);

const { metrics } = await sft({ model, data: rows, epochs: 4, evaluations: 1, samples: { count: 0 } });
console.log(`loss ${metrics['loss/train'].toFixed(2)}`);
