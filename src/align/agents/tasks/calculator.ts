/**
 * Arithmetic with a calculator: the policy calls the tool with an expression, reads the result, and answers with it. The
 * products are too large for a small model to know. Use it as `--env calculator`.
 */
import type { Random } from '../../../random.ts';
import type { LanguageEnvironment, LanguageTasks } from '../environment.ts';
import { type Tool, toolEnvironment } from '../tools.ts';
import { drawTasks, type TaskOptions } from './draw.ts';

const operations = {
  '+': (a: number, b: number) => a + b,
  '-': (a: number, b: number) => a - b,
  '*': (a: number, b: number) => a * b,
} as const;
const signs = Object.keys(operations) as (keyof typeof operations)[];

/** Adds, subtracts and multiplies two whole numbers. */
export const calculator: Tool = {
  name: 'calculator',
  description: 'adds, subtracts or multiplies two whole numbers',
  parameters: { type: 'object', properties: { expression: { type: 'string' } }, required: ['expression'] },
  run({ expression }) {
    const [, a, sign, b] = /^\s*(-?\d{1,9})\s*([-+*])\s*(-?\d{1,9})\s*$/.exec(String(expression)) ?? [];
    if (a === undefined)
      throw new Error(`expected an expression such as 12 * 30, got ${JSON.stringify(expression)?.slice(0, 80)}`);
    return operations[sign as keyof typeof operations](Number(a), Number(b));
  },
};

/** Sums, differences and products of numbers from 10 to 999. An answer is right if its last number is the result. */
export const calculatorTasks = (options: TaskOptions = {}): LanguageTasks => ({
  name: 'calculator',
  make: calculatorEnvironment,
  ...drawTasks('calculator', drawSum, options),
});

const calculatorEnvironment = (): LanguageEnvironment =>
  toolEnvironment({
    tools: [calculator],
    reset: ({ question }) => [{ role: 'user', content: question as string }],
    score: (text, { answer }) => Number(text.match(/-?\d+/g)?.at(-1) === String(answer)),
  });

function drawSum(draw: Random) {
  const [a, b] = [0, 1].map(() => (draw.integer(2) === 0 ? 10 + draw.integer(90) : 100 + draw.integer(900)));
  const sign = signs[draw.integer(signs.length)];
  return { question: `What is ${a} ${sign} ${b}?`, answer: operations[sign](a, b) };
}
