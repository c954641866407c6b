/** How well the learned reward agrees with the true one, on windows that the teacher was not asked about. */
import { createVectorEnvironment } from '../env/index.ts';
import { random, seedFor } from '../random.ts';
import { createRandomPlay } from '../rl/rollout.ts';
import { pairAccuracy, pearson, spearman } from './correlation.ts';
import type { Learner } from './learner.ts';
import { createRewardEnsemble } from './reward/ensemble.ts';
import { createExperience, type Segment } from './segments.ts';

/**
 * Learned and true returns of windows that the teacher was not asked about: half cut from a fresh agent's random play,
 * half from the latest experience of training. Together they span what the learned reward has to tell apart; either half
 * alone may not vary at all (a perfect CartPole policy earns the same in every window).
 */
export interface RewardAgreement {
  /** Learned return of each window: the mean over the ensemble. */
  predicted: number[];
  /** True return of each window, or the judge's score. */
  true: number[];
  /** Pearson's r of the two; NaN where the true returns are all equal. */
  pearson: number;
  /** Spearman's ρ; NaN likewise. */
  spearman: number;
  /**
   * Held-out accuracy: over all pairs of the windows whose true returns differ, the share that the learned returns put in
   * the right order. Absent where the teacher does not go by true returns or the judge; NaN where all are equal.
   */
  accuracy?: number;
}

const WINDOWS = 200;

/** Measures a learner's reward; the windows of random play are drawn once, from the run's seed. */
export function createProbe(learner: Learner) {
  const { options } = learner;
  const seed = seedFor(options.seed, 'probe');
  const { environments, horizon } = options[options.algorithm]!;
  const environment = createVectorEnvironment(learner.environment.batch(environments), seed);
  environment.reset();
  const { observationSize, actionSpace } = environment;
  const { shape } = environment.observationSpace;
  const experience = createExperience(environment, horizon, options.segment.memory);
  const play = createRandomPlay(environment, { horizon, random: random(seed, 'ppo', 'actions') });
  while (experience.held < experience.capacity) experience.add(play());
  environment[Symbol.dispose]();
  const draw = random(seed, 'windows');
  const { window } = options.segment;
  const windows: Segment[] = [];
  for (let i = 0; i < WINDOWS / 2; i++) {
    const cut = experience.sample(draw, { steps: window, anchor: false });
    if (cut) windows.push(cut);
  }
  const ensemble = createRewardEnsemble({ observationSize, actionSpace, shape }, options.reward, options.choice, {
    window,
    rows: Math.min(environments * horizon, 1024),
    seed,
  });
  return {
    /** Compares the reward of the moment with the true one. */
    measure(): RewardAgreement {
      const { state, tensors } = learner.save();
      ensemble.restore(state.reward, tensors);
      const recent = learner.compareRewards(WINDOWS / 2);
      const predicted = [...ensemble.meanReturns(windows), ...recent.predicted];
      const truth = [...windows.map(learner.worth), ...recent.true];
      return {
        predicted,
        true: truth,
        pearson: pearson(predicted, truth),
        spearman: spearman(predicted, truth),
        ...(learner.oracle && { accuracy: pairAccuracy(predicted, truth) }),
      };
    },
    [Symbol.dispose]: ensemble[Symbol.dispose],
  };
}
