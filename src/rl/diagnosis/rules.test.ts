import { expect, it } from 'vitest';
import { diagnoseControl } from './diagnose.ts';
import type { ControlFacts } from './measures.ts';

const train = { command: 'train', algorithm: 'ppo', standard: 'return' } as const;

/** A finished run from 100 labels, by what its last row says and its returns before and after. */
function findingsOf(
  last: Record<string, number>,
  returns?: readonly [before: number | undefined, after: number],
  who: Partial<ControlFacts> = {},
) {
  const evaluation = (mean: number | undefined): Record<string, number> =>
    mean === undefined ? {} : { 'return/mean': mean, 'return/std': 10 };
  const rows = [
    { step: 0, 'policy/entropy': 0.69, ...evaluation(returns?.[0]) },
    { step: 1000, labels: 100, 'labels/decided': 100, 'labels/first': 50, ...last, ...evaluation(returns?.[1]) },
  ];
  const { findings } = diagnoseControl(rows, {
    ...train,
    steps: 1000,
    labels: 100,
    maxEpisodeSteps: 200,
    episodes: 10,
    ...who,
  });
  return findings.map(({ severity, code }) => `${severity} ${code}`);
}

const accuracies = (fitted: number, foreseen: number, heldOut?: number) => ({
  'reward/train_accuracy': fitted,
  'reward/foreseen': foreseen,
  ...(heldOut !== undefined && { 'reward/held_out_accuracy': heldOut }),
});
const [stayed, improved] = [
  [-100, -100],
  [-100, -20],
] as const;

it.each([
  ['contradict each other', accuracies(0.82, 0.48, 0.69), 'labels-contradict'],
  ['are too few', accuracies(0.95, 0.7, 0.6), 'too-few-labels'],
  ['are known by heart', accuracies(0.97, 0.6, 0.6), 'too-few-labels'],
  ['are about what the reward model cannot see', accuracies(0.7, 0.7, 0.6), 'reward-unfit'],
])(
  'labels that %s are a failure, or a warning where the policy improved by what the teacher judges by',
  (_, last, code) => {
    expect(findingsOf(last, stayed)).toEqual([`failure ${code}`]);
    expect(findingsOf({ ...last, 'reward/true_gain': 1 }, improved)).toEqual([`warning ${code}`]);
  },
);

it('contradictory labels of people are a failure, whatever the environment itself rewards', () => {
  const people = { standard: 'people' } as const;
  expect(findingsOf(accuracies(0.82, 0.48), improved, people)).toEqual(['failure labels-contradict']);
  const gained = { ...accuracies(0.82, 0.48), 'reward/learned_gain': 2 };
  expect(findingsOf(gained, undefined, people)).toEqual(['failure labels-contradict']);
});

it.each([0.76, 0.95])('a policy that learns nothing from a reward right on %f of the pairs is stuck', (heldOut) => {
  expect(findingsOf(accuracies(0.95, 0.8, heldOut), stayed)).toEqual(['failure policy-stuck']);
  expect(findingsOf(accuracies(0.95, 0.8, heldOut), improved)).toEqual([]);
});

it('a single evaluation at the end does not say whether the policy improved', () => {
  const measured = { ...accuracies(0.95, 0.8, 0.95), 'reward/true_gain': 1 };
  expect(findingsOf(measured, [undefined, -20])).toEqual([]);
  expect(findingsOf({ ...measured, 'reward/true_gain': 0 }, [undefined, -20])).toEqual(['failure policy-stuck']);
});

it('a policy that never changed is still, one that became certain of what is better has learned', () => {
  const still = { ...accuracies(0.95, 0.9, 1), 'policy/approx_kl': 1e-8, 'policy/clip_fraction': 0 };
  expect(findingsOf({ ...still, 'policy/entropy': 0.69 }, improved)).toEqual(['failure policy-still']);
  expect(findingsOf({ ...still, 'policy/entropy': 0.4 }, improved)).toEqual([]);
  expect(findingsOf({ ...still, 'policy/entropy': 0.4 }, stayed)).toContain('failure policy-still');
});

it('a warning about the reward stays beside a failure of the policy', () => {
  const unstable = { ...accuracies(0.95, 0.7, 0.6), 'reward/true_gain': 1, 'policy/approx_kl': 9 };
  expect(findingsOf(unstable, improved)).toEqual(['failure policy-unstable', 'warning too-few-labels']);
});

it('few labels that mislead are too few, many have the wrong sign', () => {
  const misled = { ...accuracies(1, 0.7, 0.4), 'reward/learned_gain': 2, 'reward/true_gain': -1 };
  expect(findingsOf({ ...misled, labels: 4 }, stayed)).toContain('failure too-few-labels');
  expect(findingsOf({ ...misled, labels: 4 }, stayed)).not.toContain('failure reward-inverted');
  expect(findingsOf(misled, stayed)).toContain('failure reward-inverted');
});

it('has episodes of one step only where the time limit is longer', () => {
  const rows = [{ step: 100, 'episodes/ended': 100, 'episodes/cut': 0, 'episodes/length': 1 }];
  const codesIn = (maxEpisodeSteps: number) =>
    diagnoseControl(rows, {
      ...train,
      command: 'rl',
      steps: 1000,
      labels: 0,
      maxEpisodeSteps,
      episodes: 10,
    }).findings.map(({ code }) => code);
  expect(codesIn(100)).toContain('episodes-one-step');
  expect(codesIn(1)).not.toContain('episodes-one-step');
});

it('gives the critic fifteen updates before it is judged', () => {
  const codesAfter = (updates: number) => {
    const rows = Array.from({ length: updates }, (_, i) => ({
      step: (1000 * (i + 1)) / 20,
      'value/explained_variance': -0.2,
    }));
    const start = { step: 0, 'return/mean': -10, 'return/std': 1 };
    const end = { step: 1000, 'return/mean': -10, 'return/std': 1 };
    const facts = { ...train, command: 'rl', steps: 1000, labels: 0, maxEpisodeSteps: 200, episodes: 10 } as const;
    return diagnoseControl([start, ...rows, end], facts).findings.map(({ code }) => code);
  };
  expect(codesAfter(20)).toContain('value-lags');
  expect(codesAfter(10)).not.toContain('value-lags');
});

it('does not advise settings that images refuse', () => {
  const rows = [
    { step: 0, 'return/mean': 0, 'return/std': 1 },
    { step: 1000, labels: 100, ...accuracies(0.7, 0.7, 0.6), 'return/mean': 0, 'return/std': 1 },
  ];
  const facts = { ...train, steps: 1000, labels: 100, maxEpisodeSteps: 200, episodes: 10 };
  const adviceOf = (images: boolean) =>
    diagnoseControl(rows, { ...facts, images }).findings.map(({ advice }) => advice);
  expect(adviceOf(false)).toEqual([expect.stringContaining('--reward.change true')]);
  expect(adviceOf(true)).toEqual([expect.stringContaining('--reward.steps')]);
});
