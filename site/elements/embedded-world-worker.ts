/**
 * Over-optimization in the embedded world, in a worker: supervised fine-tuning, comparisons, the reward model of lesson 6,
 * and PPO on it, without a price on KL. Gold is the world's true reward; nothing learns from it after the comparisons.
 */
import { ppo, sft } from 'heed/align';
import { learn, score, type Weights } from '../../course/lessons/06-text-reward-model/solution.ts';
import { reviewComparisons } from '../../src/align/world/comparisons.ts';
import { reviewReward } from '../../src/align/world/rewards.ts';
import { reviewPrompts } from '../../src/data/reviews/demonstrations.ts';
import { loadEmbeddedModel } from './embedded-model.ts';
import type { WorldJob, WorldReport } from './embedded-world.ts';

const PASSES = 10;
const RATE = 0.1;

const report = (message: WorldReport) => postMessage(message);

addEventListener('message', ({ data }: MessageEvent<WorldJob>) => {
  run(data).catch(({ message, hint }) => report({ failure: [message, hint].filter(Boolean).join(': ') }));
});

async function run({ comparisons, steps, seed }: WorldJob): Promise<void> {
  report({ stage: 'The engine and the model load …' });
  const model = await loadEmbeddedModel();
  const began = performance.now();
  report({ stage: 'The model learns to follow prompts from 300 demonstrations …' });
  await sft({ model, demonstrations: 300, steps: 12, evaluations: 0, evaluation: { share: 0 }, seed });

  report({ stage: `It writes ${2 * comparisons} reviews, which are compared in pairs …` });
  const rows = await reviewComparisons(model, { comparisons, teacher: 'stochastic:1', seed });
  const textOf = (side: unknown) => (side as { content: string }[])[0].content;
  const pairs = rows.map(({ chosen, rejected }) => [textOf(chosen), textOf(rejected)] as const);
  const proxy = proxyOf(pairs);

  report({ stage: 'PPO trains it on the proxy …' });
  const gold = reviewReward();
  let point = { proxy: 0, gold: 0, text: '' };
  const training = ppo({
    model,
    data: reviewPrompts
      .filter(({ length }) => length === 'short')
      .map(({ text }) => ({ prompt: [{ role: 'user', content: text }] })),
    async reward(completions) {
      const [scores, golds] = [completions.map(({ text }) => proxy(text)), await gold.score(completions)];
      point = { proxy: mean(scores), gold: mean(Array.from(golds)), text: completions[0].text.trim() };
      return scores;
    },
    steps,
    seed,
    batch: 32,
    maxTokens: 40,
    learningRate: 5e-4,
    critic: { kind: 'shared' },
    kl: { beta: 0, controller: 'fixed' },
    maxKl: 0,
    keepBest: false,
    evaluations: 0,
    evaluation: { count: 1 },
  });
  for await (const { step, metrics } of training) {
    const kl = metrics['kl/mean'];
    report({ step, point: { ...point, kl }, seconds: (performance.now() - began) / 1000 });
  }
  report({ done: true });
}

/** The reward model of lesson 6, in standard deviations from the mean of the compared texts. */
function proxyOf(pairs: readonly (readonly [chosen: string, rejected: string])[]): (text: string) => number {
  let weights: Weights = {};
  for (let pass = 0; pass < PASSES; pass++) {
    for (const [chosen, rejected] of pairs) weights = learn(weights, chosen, rejected, RATE);
  }
  const scores = pairs.flat().map((text) => score(weights, text));
  const middle = mean(scores);
  const deviation = Math.sqrt(mean(scores.map((x) => (x - middle) ** 2))) || 1;
  return (text) => (score(weights, text) - middle) / deviation;
}

const mean = (numbers: readonly number[]): number => numbers.reduce((sum, x) => sum + x, 0) / numbers.length;
