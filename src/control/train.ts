/**
 * Learning from preferences in a run's folder: metrics, clips of what was asked, checkpoints, and how well the learned
 * reward follows the true one.
 *
 * Run it: heed train --env CartPole-v1
 */
import { createVectorEnvironment, type Environment } from '../env/index.ts';
import { random, seedFor } from '../random.ts';
import { createRandomPlay } from '../rl/rollout.ts';
import { returnMetrics, returnOf, sampleWorld } from '../rl/train.ts';
import { type ComparedClips, driveRun, type TrainParts } from '../run/index.ts';
import { clipsOf } from './clips.ts';
import { pearson, spearman } from './correlation.ts';
import type { Learner, LearnStep } from './learner.ts';
import { type LearnOptions, type LearnSettings, learnSchema } from './options.ts';
import { learnOptions } from './presets.ts';
import type { Asked } from './queries.ts';
import { createRewardEnsemble } from './reward/ensemble.ts';
import { createExperience, type Segment } from './segments.ts';

/** The settings of `heed train`: those of the loop, and there has to be something to learn from. */
export const trainSchema = learnSchema.extend({ labels: labelsFromOne() });

/** Checked settings of `heed train`. */
export const trainOptions = (given: LearnSettings): LearnOptions => trainSchema.parse(learnOptions(given));

function labelsFromOne() {
  const { labels } = learnSchema.shape;
  return labels.unwrap().min(1).default(labels.parse(undefined)).describe(labels.description!);
}

/** What a training from preferences comes to. */
export interface TrainResult {
  /** The run's folder. */
  run: string;
  /** Greedy episodes of the final policy on the true reward. */
  return: { mean: number; std: number; episodes: number };
  /** Comparisons the teacher answered. */
  labels: number;
  steps: number;
  /** Share of the teacher's decided choices that the ensemble predicted before it learned of them. */
  accuracy: number;
  /** Of the returns of fresh windows under the learned reward with those under the true one; see `Followed`. */
  correlation: { pearson: number; spearman: number };
  /** Wall time of the training, that of earlier processes of the run included. */
  seconds: number;
}

/**
 * Learned and true returns of windows that nobody was asked about: half cut from a fresh agent's random play, half from the latest
 * experience of training. Together they span what the learned reward has to tell apart; either half alone may not vary
 * at all (a perfect CartPole policy earns the same in every window). NaN where the true returns are all equal even so.
 */
export interface Followed {
  predicted: number[];
  true: number[];
  pearson: number;
  spearman: number;
}

const WINDOWS = 200;
const SHOWN_COMPARISONS = 24;

/**
 * Trains in a run's folder. Goes on from the run's newest checkpoint where it has one. Undefined where the signal stopped it: then a
 * checkpoint was written.
 */
export async function trainFromPreferences(
  learner: Learner,
  parts: TrainParts<LearnStep>,
): Promise<TrainResult | undefined> {
  const { run } = parts;
  const shown = learner.environment.make();
  const probe = createProbe(learner);
  let followed: Followed | undefined;
  try {
    return await driveRun(learner, {
      ...parts,
      before() {
        sampleWorld(run, learner.environment.rewardThreshold);
        return returnMetrics(learner.evaluate());
      },
      record(step) {
        const before = step.labels - step.asked.length;
        step.asked.forEach((asked, i) => {
          if (isShown(before + i, learner.options.labels))
            run.sample(comparisonSample(asked, before + i + 1, learner, shown));
        });
        followed = step.evaluation && step.labels > 0 ? probe.follow() : undefined;
        if (step.done && followed) run.sample({ kind: 'rewards', step: step.step, ...followed });
        return metricsOf(step, followed);
      },
      result: ({ step, labels, accuracy, evaluation }, seconds) => ({
        run: run.folder,
        return: returnOf(evaluation!),
        labels,
        steps: step,
        accuracy,
        correlation: { pearson: followed?.pearson ?? Number.NaN, spearman: followed?.spearman ?? Number.NaN },
        seconds,
      }),
    });
  } finally {
    probe[Symbol.dispose]();
    shown[Symbol.dispose]?.();
  }
}

function metricsOf(step: LearnStep, followed: Followed | undefined): Record<string, number> {
  const { labels, ppo, sac, fit, evaluation, accuracy, disagreement, asked, waiting } = step;
  return {
    labels,
    ...(waiting !== undefined && { waiting }),
    ...ppo,
    ...sac,
    ...(fit && { 'reward/loss': fit.loss, 'reward/train_accuracy': fit.trainAccuracy }),
    ...(fit && Number.isFinite(fit.validationLoss) && { 'reward/validation_loss': fit.validationLoss }),
    ...(Number.isFinite(accuracy) && { 'reward/accuracy': accuracy }),
    ...(asked.length > 0 && { 'reward/disagreement': disagreement }),
    ...(followed && {
      'reward/correlation_pearson': followed.pearson,
      'reward/correlation_spearman': followed.spearman,
    }),
    ...returnMetrics(evaluation),
  };
}

/** Windows of random play, drawn once from the run's seed, and the learned reward of the moment on them. */
function createProbe(learner: Learner) {
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
    follow(): Followed {
      const { state, tensors } = learner.save();
      ensemble.restore(state.reward, tensors);
      const recent = learner.compareRewards(WINDOWS / 2);
      const predicted = [...ensemble.meanReturns(windows), ...recent.predicted];
      const truth = [...windows.map(learner.worth), ...recent.true];
      return { predicted, true: truth, pearson: pearson(predicted, truth), spearman: spearman(predicted, truth) };
    },
    [Symbol.dispose]: ensemble[Symbol.dispose],
  };
}

/** Of many comparisons, a few evenly over all of them. */
const isShown = (index: number, labels: number): boolean => {
  const shown = Math.min(SHOWN_COMPARISONS, labels);
  return Math.floor(((index + 1) * shown) / labels) > Math.floor((index * shown) / labels);
};

/** A row of samples.jsonl: a comparison that was asked, with its clips. */
export interface ComparisonSample extends ComparedClips {
  kind: 'comparison';
  id: string;
  step: number;
  /** Which of the run's labels it is, from 1. */
  label: number;
  /** Probability the ensemble gave the first beforehand; NaN before the first fit. */
  predicted: number;
  /** True returns, or what the judge says. */
  returns: [number, number];
  /** Steps of each. */
  lengths: [number, number];
}

function comparisonSample(
  asked: Asked,
  label: number,
  { worth }: Learner,
  environment: Environment,
): Record<string, unknown> {
  const { id, step, segments, choice, predicted } = asked;
  const sample: ComparisonSample = {
    kind: 'comparison',
    id,
    step,
    label,
    choice,
    predicted,
    returns: segments.map(worth) as [number, number],
    lengths: segments.map(({ length }) => length) as [number, number],
    ...clipsOf(segments, environment),
  };
  return { ...sample };
}
