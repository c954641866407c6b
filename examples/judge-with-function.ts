/** Compares a fine-tuned model with the one it came from. The judge is a function; a chat model's name does as well. */
import { evaluatePolicy, sft } from 'heed/align';
import { loadModel } from 'heed/lm';

const model = await loadModel();
const baseline = await loadModel();
const data = ['circus', 'library', 'restaurant', 'stadium'].map((place) => ({
  prompt: [{ role: 'user', content: `please write a short review of the ${place} .` }],
  completion: [{ role: 'assistant', content: 'it was lovely .' }],
}));
await sft({ model, data, steps: 20, evaluations: 0, evaluation: { share: 0 }, samples: { count: 0 } });

const { winRate, kl } = await evaluatePolicy({
  model,
  baseline,
  data,
  // 1 where the first is better, 0 where the second is, and 0.5 for a tie
  judge: (pairs) => pairs.map(({ completions: [first, second] }) => (1 + Math.sign(second.length - first.length)) / 2),
  maxTokens: 32,
});
console.log(`win rate ${winRate}, KL ${kl?.toFixed(2)}`);
