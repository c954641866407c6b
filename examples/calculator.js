/**
 * Arithmetic with a calculator: `heed grpo --model … --env ./calculator.js`. The policy calls the tool with an expression,
 * reads the result, and answers with it.
 */
import { toolEnvironment } from 'heed/align';

/** Every third of the sums is held out. */
const sums = Array.from({ length: 3000 }, (_, i) => {
  const [a, b] = [10 + ((i * 37) % 90), 10 + ((i * 53 + Math.floor(i / 90)) % 90)];
  return { question: `${a} + ${b}`, answer: a + b };
});
export const tasks = sums.filter((_, i) => i % 3 > 0);
export const heldOut = sums.filter((_, i) => i % 3 === 0);

export const calculator = {
  name: 'calculator',
  description: 'adds and subtracts whole numbers',
  parameters: { type: 'object', properties: { expression: { type: 'string' } }, required: ['expression'] },
  run({ expression }) {
    const [, a, sign, b] = /^\s*(\d+)\s*([-+])\s*(\d+)\s*$/.exec(expression) ?? [];
    if (a === undefined) throw new Error(`expected a sum such as 1 + 2, got "${expression}"`);
    return sign === '+' ? Number(a) + Number(b) : Number(a) - Number(b);
  },
};

/** The environment of an episode. */
export default () =>
  toolEnvironment({
    tools: [calculator],
    reset: ({ question }) => [{ role: 'user', content: question }],
    score: (text, { answer }) => Number(text.trim().endsWith(` = ${answer}`)),
  });
