/** Learns a reward from comparisons in memory, then trains a policy on it by PPO. */
import { ppo, reward } from 'heed/align';
import { loadModel } from 'heed/lm';

const model = await loadModel();
const prompts = ['circus', 'library', 'restaurant', 'stadium'].map((place) => [
  { role: 'user', content: `please write a short review of the ${place} .` },
]);
const review = (content: string) => [{ role: 'assistant', content }];
const data = prompts.map((prompt) => ({
  prompt,
  chosen: review('it was lovely . it was impressive .'),
  rejected: review('it was lousy .'),
}));

const { model: judge } = await reward({ model, data, epochs: 10, batch: 4, learningRate: 1e-3 });
console.log('lovely', await judge.score(prompts[0], 'it was lovely .'));
console.log('lousy', await judge.score(prompts[0], 'it was lousy .'));

const settings = { steps: 4, batch: 16, maxTokens: 24, ppo: { minibatch: 8 } };
const { metrics } = await ppo({ model, data: prompts.map((prompt) => ({ prompt })), reward: judge, ...settings });
console.log(`reward ${metrics['eval/reward'].toFixed(2)}, KL ${metrics['eval/kl'].toFixed(2)}`);
