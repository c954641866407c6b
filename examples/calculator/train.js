/**
 * A model that is trained from nothing to use a calculator: first it reads conversations, most of which guess; then GRPO
 * rewards right answers.
 *
 *     node train.js [SEED]
 */
import { grpo, pretrain } from 'heed/align';
import make, { calculator, heldOut, tasks } from './environment.js';

const seed = Number(process.argv[2] ?? 0);
/** Numbers in [0, 1) by a seed. */
function draws(state) {
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
const draw = draws(seed + 1);
const number = () => 10 + Math.floor(90 * draw());

/** A conversation in which the assistant mostly guesses, and in one of seven calls the tool. */
function conversation() {
  const [a, b] = [number(), number()];
  const expression = `${a} + ${b}`;
  const question = { role: 'user', content: expression };
  if (draw() > 1 / 7)
    return { messages: [question, { role: 'assistant', content: `${expression} = ${2 * number()}` }] };
  const call = { name: 'calculator', arguments: { expression } };
  const result = String(calculator.run({ expression }));
  return {
    messages: [
      question,
      { role: 'assistant', content: `<tool_call>${JSON.stringify(call)}</tool_call>` },
      { role: 'tool', content: result },
      { role: 'assistant', content: `${expression} = ${result}` },
    ],
  };
}

const began = performance.now();
const seconds = () => `${Math.round((performance.now() - began) / 1000)} s`;
const { model } = await pretrain({
  data: Array.from({ length: 32_000 }, conversation),
  ...{ seed, vocabulary: 320, hidden: 96, layers: 3, heads: 3, feedForward: 256, length: 128, rows: 8, heldOut: 100 },
  ...{ evaluations: 1, learningRate: 3e-3 },
});
console.log(`pretrained in ${seconds()}`);

const training = grpo({
  model,
  env: { name: 'calculator', make, tasks, heldOut },
  ...{ seed, steps: 60, batch: 16, answers: 8, maxTokens: 60, episode: { turns: 3, tokens: 124 } },
  ...{ learningRate: 5e-4, evaluations: 6, evaluation: { count: 128 } },
});
for await (const { step, metrics, evaluation } of training) {
  if (step % 5 === 1)
    console.log(step, metrics['reward/mean'].toFixed(3), metrics['episode/turns'].toFixed(2), seconds());
  if (evaluation) console.log(`step ${step}: ${(100 * evaluation.reward).toFixed(1)} % of held-out sums, ${seconds()}`);
}
