import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { checkpointOf, ownData, smallModel, take } from '../../../test/support/training.ts';
import { createPareto, dominated, hypervolume, type ParetoInput, type ParetoPoint, type ParetoStep } from './pareto.ts';

const { folder, dataOf } = ownData();
const prompts = ['red', 'blue sun', 'the moon is', 'a cat'].map((prompt) => ({ prompt }));
const data = dataOf(prompts);
const held = dataOf(Array.from({ length: 10 }, () => prompts).flat());
const rewardOf = (name: string, is: string): string => {
  const path = join(folder, `${name}.mjs`);
  writeFileSync(
    path,
    `export default (answers) => answers.map(({ response }) => response.filter((id) => ${is}).length / response.length);`,
  );
  return path;
};
const settings: ParetoInput = {
  model: smallModel(),
  reward: rewardOf('even', 'id % 2 === 0'),
  against: rewardOf('odd', 'id % 2 === 1'),
  weights: [0, 1],
  data,
  steps: 6,
  batch: 4,
  maxTokens: 6,
  beta: 0,
  evaluation: { data: held, samples: 1 },
  learningRate: 0.02,
};
const point = (...rewards: [number, number]): ParetoPoint => ({ rewards, kl: 0 });

it('finds the dominated points', () => {
  expect(dominated([point(1, 1), point(2, 2), point(3, 1), point(2, 2), point(0, 5)])).toEqual([
    true,
    false,
    false,
    false,
    false,
  ]);
});

it('measures what a front is better than', () => {
  expect(hypervolume([], [0, 0])).toBe(0);
  expect(hypervolume([point(2, 3)], [1, 1])).toBe(2);
  expect(hypervolume([point(3, 1), point(1, 3), point(2, 2), point(1, 1)], [0, 0])).toBe(6);
  expect(hypervolume([point(5, -1), point(-1, 5)], [0, 0])).toBe(0);
});

/** What of steps no clock touches. */
const plain = (steps: readonly ParetoStep[]) =>
  steps.map(({ inner: { tokensPerSecond, ...inner }, ...step }) => ({ ...step, inner }));

it('trains a policy for each weighting, and resumes from any step bit for bit', async () => {
  const whole = await createPareto(settings);
  expect(whole.steps).toBe(12);
  const before = await take(whole, 4);
  const checkpoints = [checkpointOf(whole)];
  const middle = await take(whole, 2);
  checkpoints.push(checkpointOf(whole));
  const after = await take(whole, 6);
  expect([...before, ...middle, ...after].map(({ step }) => step)).toEqual(Array.from({ length: 12 }, (_, i) => i + 1));
  expect(after.at(-1)!.done).toBe(true);
  const [first, second] = whole.points();
  expect([first.weight, second.weight]).toEqual([0, 1]);
  expect(first.rewards[0]).toBeGreaterThan(second.rewards[0] + 0.1);
  expect(second.rewards[1]).toBeGreaterThan(first.rewards[1] + 0.1);
  expect(middle[1].point).toEqual(first);
  expect(middle[1].samples).toHaveLength(1);

  for (const [i, rest] of [[...middle, ...after], after].entries()) {
    const resumed = await createPareto(settings);
    resumed.restore(checkpoints[i]);
    expect(checkpointOf(resumed)).toEqual(checkpoints[i]);
    expect(plain(await take(resumed, rest.length))).toEqual(plain(rest));
    expect(resumed.points()).toEqual(whole.points());
    resumed[Symbol.dispose]();
  }
  const other = await createPareto({ ...settings, against: settings.reward });
  expect(() => other.restore(checkpoints[0])).toThrow(/are not those/);
  for (const learner of [whole, other]) learner[Symbol.dispose]();
});

it('says before the training what is wrong', async () => {
  await expect(createPareto({ ...settings, against: join(folder, 'none.mjs') })).rejects.toThrow(/does not exist/);
  expect(() => createPareto({ ...settings, weights: [2] })).toThrow(/weights/);
});
