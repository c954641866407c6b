/** A task that needs memory, learned from comparisons: by a recurrent policy, and by one that sees the last observations. */
import { expect, it } from 'vitest';
import { releasedAfterwards } from '../../test/support/released.ts';
import { withTimeLimit } from '../env/dynamics.ts';
import { random } from '../random.ts';
import { type LearnInput, learnFromPreferences } from './learn.ts';

const keep = releasedAfterwards();

/** A signal, two steps in the dark, and an answer that has to be the signal. A lamp then shows whether it was. */
const recall = () => {
  let [step, signal, lamp] = [0, 1, 0];
  return withTimeLimit({
    id: 'Recall',
    observationSpace: { kind: 'box', low: [-1, 0, -1], high: [1, 1, 1] },
    actionSpace: { kind: 'discrete', n: 2 },
    maxEpisodeSteps: 5,
    framesPerSecond: 1,
    start(seed) {
      signal = random(seed, 'signal').integer(2) === 0 ? -1 : 1;
      [step, lamp] = [0, 0];
    },
    advance({ 0: action }, outcome) {
      step++;
      outcome.terminated = step === 3;
      if (outcome.terminated) lamp = action === Number(signal === 1) ? 1 : -1;
      outcome.reward = lamp;
    },
    observe(seen) {
      seen.set([step === 0 ? signal : 0, step / 3, lamp]);
    },
  });
};

const settings: LearnInput = {
  env: recall,
  labels: 40,
  steps: 12_288,
  randomSteps: 960,
  evaluations: 0,
  episodes: 50,
  ppo: { environments: 8, horizon: 48, minibatch: 96, epochs: 6, memory: 16, hidden: [32], learningRate: 3e-3 },
  onNotice() {},
};

const returnWith = async (more: LearnInput): Promise<number> => {
  const { policy, reward, metrics } = await learnFromPreferences({ ...settings, ...more });
  keep(policy);
  keep(reward);
  return metrics.return.mean;
};

it.each<[string, LearnInput]>([
  ['a recurrent policy', { policy: 'recurrent' }],
  ['a policy that sees the last three observations', { frameStack: 3 }],
])('%s learns from comparisons what needs memory', async (_, more) => {
  expect(await returnWith(more)).toBeGreaterThan(0.9);
});

it('is not learned without memory', { tags: 'proof' }, async () => {
  expect(Math.abs(await returnWith({}))).toBeLessThan(0.6);
});

it('has no recurrent policy with PEBBLE', async () => {
  const input: LearnInput = { env: 'Pendulum-v1', algorithm: 'pebble', policy: 'recurrent' };
  await expect(learnFromPreferences(input)).rejects.toThrow('no recurrent policy');
});
