/** How well the learned reward agrees with the true one, on held-out windows. */

import type { EnvironmentSource } from '../env/batch/source.ts';
import { createVectorEnvironment } from '../env/batch/vector.ts';
import { sizeOf } from '../env/environment.ts';
import { random, seedFor } from '../random.ts';
import { createSnapshotActor } from '../rl/control-policy.ts';
import { meanAndDeviation } from '../rl/evaluate.ts';
import type { PolicySnapshot } from '../rl/policy-snapshot.ts';
import { createCollector, createRandomPlay } from '../rl/rollout.ts';
import { pairAccuracy, pearson, spearman } from './correlation.ts';
import type { Learner } from './learner.ts';
import type { LearnOptions } from './options.ts';
import { createRewardEnsemble, type RewardState } from './reward/ensemble.ts';
import type { FitTensors } from './reward/fit.ts';
import { createExperience, type Segment } from './segments.ts';

/**
 * Learned and true returns of held-out windows: half from a fresh agent's random play, half from the latest experience
 * of training. Together they cover what the learned reward has to distinguish. One half alone may not vary at all: a
 * perfect CartPole policy earns the same in every window.
 */
export interface RewardAgreement {
  /** Learned return of each window: the mean over the ensemble. */
  predicted: number[];
  /** True return of each window, or the judge's score. */
  true: number[];
  /** Pearson's r of the two; NaN if all true returns are equal. */
  pearson: number;
  /** Spearman's ρ; NaN if all true returns are equal. */
  spearman: number;
  /**
   * Held-out accuracy: the share of all pairs of windows with different true returns that the learned returns order
   * correctly. Absent if the teacher does not judge by true returns or a judge; NaN if all are equal.
   */
  accuracy?: number;
  /**
   * By how much the latest experience of training exceeds random play, in deviations of both: learned returns, and true
   * ones if the teacher judges by them. 0 if nothing varies.
   */
  gain: { learned: number; true?: number };
}

const WINDOWS = 200;

/** Measures a learner's reward. The windows of random play are drawn once, from the run's seed. */
export function createProbe(learner: Learner) {
  const { options, environment, worth } = learner;
  let windows: Segment[] | undefined;
  const ensemble = ensembleFor(environment, options);
  return {
    /** Compares the current reward with the true one. */
    async measure(): Promise<RewardAgreement> {
      windows ??= await drawWindows(environment, options, undefined);
      const { state, tensors } = learner.save();
      ensemble.restore(state.reward, tensors);
      const recent = learner.compareRewards(WINDOWS / 2);
      const predicted = [...ensemble.meanReturns(windows), ...recent.predicted];
      return agreementOf(predicted, [...windows.map(worth), ...recent.true], windows.length, learner.oracle);
    },
    [Symbol.dispose]: ensemble[Symbol.dispose],
  };
}

/** Measures a checkpoint's reward on windows of random play and of play by the policy that was trained on it. */
export async function measureReward(
  environment: EnvironmentSource,
  options: LearnOptions,
  checkpoint: { state: RewardState; tensors: FitTensors },
  { policy, worth, oracle }: { policy: PolicySnapshot; worth: (segment: Segment) => number; oracle: boolean },
): Promise<RewardAgreement> {
  const ensemble = ensembleFor(environment, options);
  try {
    ensemble.restore(checkpoint.state, checkpoint.tensors);
    const first = await drawWindows(environment, options, undefined);
    const later = await drawWindows(environment, options, policy);
    const windows = [...first, ...later];
    return agreementOf([...ensemble.meanReturns(windows)], windows.map(worth), first.length, oracle);
  } finally {
    ensemble[Symbol.dispose]();
  }
}

/** `first`: how many of the windows are of random play. They come before the others. */
function agreementOf(predicted: number[], truth: number[], first: number, oracle: boolean): RewardAgreement {
  return {
    predicted,
    true: truth,
    pearson: pearson(predicted, truth),
    spearman: spearman(predicted, truth),
    ...(oracle && { accuracy: pairAccuracy(predicted, truth) }),
    gain: { learned: gainOf(predicted, first), ...(oracle && { true: gainOf(truth, first) }) },
  };
}

/** Difference of the means of the values from `first` on and before, in standard deviations of all. */
function gainOf(values: readonly number[], first: number): number {
  const { std } = meanAndDeviation(values);
  if (!(std > 1e-9)) return 0;
  return (meanAndDeviation(values.slice(first)).mean - meanAndDeviation(values.slice(0, first)).mean) / std;
}

const probeSeed = ({ seed }: Pick<LearnOptions, 'seed'>) => seedFor(seed, 'probe');

function ensembleFor({ observationSpace, actionSpace }: EnvironmentSource, options: LearnOptions) {
  const { environments, horizon } = options[options.algorithm]!;
  return createRewardEnsemble(
    { observationSize: sizeOf(observationSpace), actionSpace, shape: observationSpace.shape },
    options.reward,
    options.choice,
    { window: options.segment.window, rows: Math.min(environments * horizon, 1024), seed: probeSeed(options) },
  );
}

/** Windows of a policy's play, or of random play, in separate environments. */
async function drawWindows(
  source: EnvironmentSource,
  options: LearnOptions,
  policy: PolicySnapshot | undefined,
): Promise<Segment[]> {
  const seed = probeSeed(options);
  const { environments, horizon } = options[options.algorithm]!;
  const { window, memory } = options.segment;
  const environment = createVectorEnvironment(source.batch(environments), seed);
  environment.reset();
  const experience = createExperience(environment, horizon, memory);
  const settings = { horizon, random: random(seed, 'ppo', 'actions') };
  const actor = policy && createSnapshotActor(policy, environments);
  const collect = actor
    ? createCollector(environment, actor, settings).collect
    : createRandomPlay(environment, settings);
  while (experience.held < experience.capacity) experience.add(await collect());
  actor?.[Symbol.dispose]();
  environment[Symbol.dispose]();
  const draw = random(seed, 'windows');
  const windows: Segment[] = [];
  for (let i = 0; i < WINDOWS / 2; i++) {
    const cut = experience.sample(draw, { steps: window, anchor: false });
    if (cut) windows.push(cut);
  }
  return windows;
}
