import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { constant, gradients, input, mul, reshape, sum, trace } from '../../engine/index.ts';
import { divergenceOf, type TokenDivergence } from './divergence.ts';

interface Case {
  beta: number;
  temperature: number;
  loss: number;
  gradient: number[][];
}
// made by gkd.py beside it, with TRL's generalized_jsd_loss
const { student, teacher, labels, cases } = JSON.parse(
  readFileSync(new URL('../../../test/fixtures/losses/gkd.json', import.meta.url).pathname, 'utf8'),
) as { student: number[][]; teacher: number[][]; labels: number[]; cases: Case[] };

const named: Record<number, TokenDivergence> = { 0: 'forward', 1: 'reverse' };

it.each(cases)('equals TRL with beta $beta and temperature $temperature', ({ beta, temperature, loss, gradient }) => {
  const shape = [labels.length, student[0].length];
  const learned = labels.map((label) => Number(label !== -100));
  const n = learned.reduce((a, b) => a + b);
  const program = trace((graph) => {
    const logits = input(graph, 'student', shape);
    const theirs = input(graph, 'teacher', shape);
    const each = divergenceOf(logits, theirs, { divergence: named[beta] ?? 'jsd', beta, temperature });
    const weight = constant(
      graph,
      learned.map((one) => one / n),
      [labels.length],
    );
    const value = sum(mul(each, weight));
    return { value: reshape(value, [1]), gradient: gradients(value, [logits])[0] };
  });
  const got = program.run({ student: student.flat(), teacher: teacher.flat() });
  program[Symbol.dispose]();
  expect(Math.abs((got.value[0] as number) / loss - 1)).toBeLessThan(1e-5);
  const expected = gradient.flat();
  const largest = Math.max(...expected.map(Math.abs));
  for (const [i, value] of Array.from(got.gradient as Float32Array).entries())
    expect(Math.abs(value - expected[i]) / largest).toBeLessThan(1e-5);
});
