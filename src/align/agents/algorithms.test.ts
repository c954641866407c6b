/** What learns from episodes besides GRPO (agents.test.ts): only what the policy wrote counts, over several turns. */
import { expect, it } from 'vitest';
import { smallModel, take } from '../../../test/support/training.ts';
import { createRaft } from '../best-of-n/raft.ts';
import type { PolicyLearner } from '../policies/learner.ts';
import { createLanguagePpo } from '../ppo/learner.ts';
import { createOnlineDpo } from '../preferences/online-dpo.ts';
import type { LanguageTasks } from './environment.ts';

const env: LanguageTasks = {
  name: 'talking',
  tasks: [{ id: 1 }, { id: 2 }],
  make: () => {
    let turns = 0;
    return {
      reset: ({ id }) => [{ role: 'user', content: `Go on, ${id}.` }],
      step: ({ text }) =>
        ++turns === 3 ? { reward: text.length, done: true } : { messages: [{ role: 'user', content: 'And then?' }] },
    };
  },
};
const settings = {
  model: smallModel(),
  chatTemplate: 'plain',
  env,
  steps: 2,
  batch: 4,
  maxTokens: 4,
  rows: 8,
  evaluations: 0,
  learningRate: 0.01,
  maxKl: 0,
  episode: { tokens: 120 },
};
const ppo = { epochs: 1, minibatch: 4 };

it.each([
  ['PPO', () => createLanguagePpo({ ...settings, ppo, score: { place: 'after' } }), 'policy/ratio', 1],
  [
    'PPO with a shared critic',
    () => createLanguagePpo({ ...settings, ppo, critic: { kind: 'shared' } }),
    ...(['policy/ratio', 1] as const),
  ],
  ['online DPO', () => createOnlineDpo({ ...settings, part: 4 }), 'loss/policy', Math.LN2],
  ['RAFT', () => createRaft({ ...settings, completions: 2, minibatches: 1 }), 'episode/turns', 3],
] as const)('%s learns what the policy wrote, not what it read', async (_, create, metric, expected) => {
  using learner = (await create()) as PolicyLearner;
  const steps = await take(learner, 2);
  expect(steps[0].metrics['episode/turns']).toBe(3);
  // as before any update: what was drawn and what is learned are the same tokens
  expect(steps[0].metrics[metric]).toBeCloseTo(expected, 4);
  expect(steps[1].metrics['kl/mean']).toBeGreaterThan(1e-3);
  for (const value of Object.values(steps[1].metrics)) expect(value).toSatisfy(Number.isFinite);
});

it('refuses agents where an episode has to be one sequence, and a judge of completions', async () => {
  const agent = { name: 'agent', tasks: [{ id: 1 }], player: () => ({ play: async () => ({}) }) as never };
  await expect(createOnlineDpo({ ...settings, env: agent })).rejects.toThrow('Online DPO does not train agents');
  await expect(createLanguagePpo({ ...settings, score: { place: 'steps' } })).rejects.toThrow('--score.place steps');
  expect(() => createOnlineDpo({ ...settings, judge: 'anyone' })).toThrow('expected none with --env');
});
