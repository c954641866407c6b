import { expect, it } from 'vitest';
import { smallModel } from '../../../test/support/training.ts';
import { plannedMemory } from './on-ray.ts';

it.each(['sft', 'reward', 'dpo', 'kto', 'ppo', 'grpo'])(
  'knows the memory that heed %s needs on a node',
  async (command) => {
    const settings = { model: smallModel(), rows: 2, length: 64, seed: 0 };
    const memory = await plannedMemory({ command, settings });
    expect(memory).toBeGreaterThan(1e5);
  },
);

it('asks for no memory where it knows none', async () => {
  expect(await plannedMemory({ command: 'rl', settings: {} })).toBeUndefined();
  expect(await plannedMemory({ command: 'sft', settings: { model: 'only-on-the-nodes' } })).toBeUndefined();
});
