/** What a diagnosis of control is judged by, from a run's rows of metrics. */
import type { EnvironmentSource } from '../../env/batch/source.ts';
import { mean } from '../../run/intervals.ts';
import type { MetricsRow, readSamples } from '../../run/run.ts';

/** Rows of metrics; only a run's folder has their times. */
export type ControlRow = Omit<MetricsRow, 'time'>;

/**
 * What says whether an agent learned what it was taught: the environment's return, a judge's scores of clips, or only
 * what its teacher says: a function or a model, or people. In the latter the environment's return is a curve, and no
 * verdict: a teacher may want something else.
 */
export type Standard = 'return' | 'judge' | 'teacher' | 'people';

/** Facts of a run that its rows do not have. */
export interface ControlFacts {
  /** The command of the run, and its algorithm: advice names their flags. */
  command: 'train' | 'rl';
  algorithm: 'ppo' | 'a2c' | 'trpo' | 'sac' | 'pebble';
  standard: Standard;
  /** Environment steps of the whole run. */
  steps: number;
  /** Comparisons of the whole run; 0 if the agent learns from the environment's reward. */
  labels: number;
  /** Steps after which an episode is cut. */
  maxEpisodeSteps: number;
  /** Whether observations are images; absent: they are numbers. */
  images?: boolean;
  /** Episodes of an evaluation. */
  episodes: number;
}

/** A row of samples.jsonl: what the report and the diagnosis need to know of the environment. */
export interface WorldSample {
  kind: 'world';
  /** The environment's own name. */
  id: string;
  /** The mean return from which it counts as solved, if its authors named one. */
  rewardThreshold?: number;
  /** Steps after which an episode is cut. */
  maxEpisodeSteps: number;
  /** Whether observations are images. */
  images: boolean;
  /** What success is measured by. */
  standard: Standard;
}

/** What a run recorded of its environment; undefined before its first row. */
export const worldIn = (samples: ReturnType<typeof readSamples>): WorldSample | undefined =>
  samples.find(({ kind }) => kind === 'world') as WorldSample | undefined;

/** What a training's success is measured by, as recorded in the run; before its first row, as far as its settings say. */
export function standardIn(
  samples: ReturnType<typeof readSamples>,
  { teacher, judge }: { teacher?: unknown; judge?: unknown },
): Standard {
  const recorded = worldIn(samples)?.standard;
  if (recorded) return recorded;
  if (teacher === 'human') return 'people';
  return judge === undefined ? 'return' : 'judge';
}

/** What the diagnosis needs to know of an environment, and of who teaches in it. */
export const worldFacts = (
  { maxEpisodeSteps, observationSpace }: Pick<EnvironmentSource, 'maxEpisodeSteps' | 'observationSpace'>,
  standard: Standard,
) => ({ maxEpisodeSteps, images: observationSpace.shape !== undefined, standard });

/** Facts of a run that learns from the environment's own reward. */
export const rewardedFacts = (environment: Parameters<typeof worldFacts>[0], standard: Standard) =>
  ({ command: 'rl', labels: 0, ...worldFacts(environment, standard) }) as const;

/** Measures of a run so far. NaN: not measured. Means of the last fifth are over the last fifth of the rows. */
export interface ControlMeasures {
  /** Share of the run that is done, 0 to 1. */
  progress: number;
  /** Comparisons so far. */
  labels: number;
  /** Labels that have been due and that the teacher has not given. */
  owed: number;
  /** Share of the comparisons that say that both are equal, and that they cannot be compared. */
  tied: number;
  incomparable: number;
  /** Comparisons that say which is better, and the share of them that say the first. */
  decided: number;
  first: number;
  /** Share of the comparisons that the reward model orders correctly: those it was fitted to, new ones, held-out pairs. */
  fitted: number;
  foreseen: number;
  heldOut: number;
  /**
   * Decided judgments of a teacher who alone knows what is better, and the share of them that a reward predicts without
   * having learned from them.
   */
  tested: number;
  judgments: number;
  /** Decided comparisons whose clips differ in the environment's reward, and the share of them that prefer the lower. */
  byReward: number;
  against: number;
  /** Pearson's r of learned and true returns. */
  pearson: number;
  /**
   * Returns of recent windows above those of random play, in deviations of both: learned and true. Above 0: the policy
   * does better.
   */
  learnedGain: number;
  trueGain: number;
  /** Share of recent windows that resemble some compared segment. */
  coverage: number;
  /** 1 − Pearson's r of the rewards before and after a fit; mean of the last three fits. */
  drift: number;
  /** Mean of the policy's rewards over their deviation, in the last fifth; of the sign of the mean. */
  offset: number;
  /** Deviation of the policy's rewards, in the last fifth. */
  spread: number;
  /**
   * The environment's own rewards, if they are what is learned from: the least and the greatest of a step, and how many
   * times the greatest magnitude grew, from the first fifth of the rows with a reward other than 0 to the last.
   */
  leastReward: number;
  greatestReward: number;
  rewardGrowth: number;
  /** Episodes that the task ended, that the time limit cut, and the mean length: over the run. */
  ended: number;
  cut: number;
  length: number;
  /** The same in the last fifth: the share of episodes that the task ended, and their mean length. */
  endedLately: number;
  lengthLately: number;
  /** Estimated KL of an update and share of clipped actions, in the last fifth. */
  kl: number;
  clipped: number;
  /** The greatest learning rate of an update. */
  greatestRate: number;
  /** The greatest KL and share of clipped actions in any update whose learning rate is not 0. */
  greatestKl: number;
  greatestClipped: number;
  /** Entropy of the policy, at first and in the last fifth, in nats. */
  entropyFirst: number;
  entropy: number;
  /** Share of the returns' variance that the critic explains, in the last fifth. */
  explained: number;
  /** Updates of the critic. */
  updates: number;
  /** True returns of greedy episodes: of the initial policy, of the best evaluation and of the last one. */
  returnBefore: number;
  /** Standard deviation of the initial policy's returns. */
  returnSpread: number;
  returnBest: number;
  returnLast: number;
  /** The step of the best evaluation. */
  bestStep: number;
  /** True return of random play's episodes, and the standard error of that mean. */
  returnRandom: number;
  randomError: number;
}

/** Measures a run by its rows so far. */
export function measureControl(rows: readonly ControlRow[], { steps }: Pick<ControlFacts, 'steps'>): ControlMeasures {
  const lately = rows.slice(Math.floor(0.8 * rows.length));
  const moving = rows.filter((row) => row.learning_rate !== 0);
  const labels = last(rows, 'labels');
  const ties = sum(rows, 'labels/tied');
  const incomparable = sum(rows, 'labels/incomparable');
  const decided = sum(rows, 'labels/decided');
  const judged = ties + incomparable + decided;
  const byReward = sum(rows, 'labels/by_reward');
  const owed = rows.at(-1)?.['labels/owed'];
  const waiting = rows.at(-1)?.waiting;
  const ended = sum(rows, 'episodes/ended');
  const cut = sum(rows, 'episodes/cut');
  const endedLately = sum(lately, 'episodes/ended');
  const finishedLately = endedLately + sum(lately, 'episodes/cut');
  const evaluations = rows.filter((row) => Number.isFinite(row['return/mean']));
  const initial = evaluations.find(({ step }) => step === 0); // without evaluations, only the last policy is evaluated
  const best = evaluations.reduce<ControlRow | undefined>(
    (high, row) => (high && high['return/mean'] >= row['return/mean'] ? high : row),
    undefined,
  );
  return {
    progress: Math.min(1, (rows.at(-1)?.step ?? 0) / steps),
    labels: Number.isFinite(labels) ? labels : 0,
    owed: owed ?? waiting ?? 0,
    tied: ties / judged,
    incomparable: incomparable / judged,
    decided,
    first: sum(rows, 'labels/first') / decided,
    fitted: last(rows, 'reward/train_accuracy'),
    foreseen: last(rows, 'reward/foreseen'),
    heldOut: last(rows, 'reward/held_out_accuracy'),
    tested: last(rows, 'reward/judgments_tested'),
    judgments: last(rows, 'reward/judgments_predicted'),
    byReward,
    against: sum(rows, 'labels/against_reward') / byReward,
    pearson: last(rows, 'reward/correlation_pearson'),
    learnedGain: last(rows, 'reward/learned_gain'),
    trueGain: last(rows, 'reward/true_gain'),
    coverage: last(rows, 'reward/coverage'),
    drift: mean(valuesOf(rows, 'reward/drift').slice(-3)),
    offset: mean(valuesOf(lately, 'reward/policy_mean')) / Math.max(1e-9, mean(valuesOf(lately, 'reward/policy_std'))),
    spread: mean(valuesOf(lately, 'reward/policy_std')),
    leastReward: Math.min(...valuesOf(rows, 'reward/least')),
    greatestReward: Math.max(...valuesOf(rows, 'reward/greatest')),
    rewardGrowth: growthOf(rows),
    ended,
    cut,
    length: lengthOf(rows),
    endedLately: endedLately / finishedLately,
    lengthLately: lengthOf(lately),
    kl: mean(valuesOf(lately, 'policy/approx_kl')),
    clipped: mean(valuesOf(lately, 'policy/clip_fraction')),
    greatestRate: greatest(rows, 'learning_rate'),
    greatestKl: greatest(moving, 'policy/approx_kl'),
    greatestClipped: greatest(moving, 'policy/clip_fraction'),
    entropyFirst: valuesOf(rows, 'policy/entropy')[0] ?? Number.NaN,
    entropy: mean(valuesOf(lately, 'policy/entropy')),
    explained: mean(valuesOf(lately, 'value/explained_variance')),
    updates: valuesOf(rows, 'value/explained_variance').length,
    returnBefore: initial?.['return/mean'] ?? Number.NaN,
    returnSpread: initial?.['return/std'] ?? Number.NaN,
    returnBest: best?.['return/mean'] ?? Number.NaN,
    returnLast: evaluations.at(-1)?.['return/mean'] ?? Number.NaN,
    bestStep: best?.step ?? 0,
    returnRandom: last(rows, 'return/random'),
    randomError: last(rows, 'return/random_error'),
  };
}

const valuesOf = (rows: readonly ControlRow[], name: string): number[] =>
  rows.map((row) => row[name]).filter(Number.isFinite);
const last = (rows: readonly ControlRow[], name: string): number => valuesOf(rows, name).at(-1) ?? Number.NaN;
const sum = (rows: readonly ControlRow[], name: string): number => valuesOf(rows, name).reduce((a, b) => a + b, 0);

/** The greatest magnitude; NaN without rows that have it. */
function greatest(rows: readonly ControlRow[], name: string): number {
  const values = valuesOf(rows, name).map(Math.abs);
  return values.length > 0 ? Math.max(...values) : Number.NaN;
}

/** How many times the greatest magnitude of a reward grew over the run; below 1 if it shrank. */
function growthOf(rows: readonly ControlRow[]): number {
  const magnitudes = rows
    .map((row) => Math.max(Math.abs(row['reward/least']), Math.abs(row['reward/greatest'])))
    .filter((magnitude) => magnitude > 0);
  const part = Math.ceil(magnitudes.length / 5);
  return Math.max(...magnitudes.slice(-part)) / Math.max(...magnitudes.slice(0, part));
}

/** Mean length of the episodes that finished. */
function lengthOf(rows: readonly ControlRow[]): number {
  const finished = rows.filter((row) => row['episodes/ended'] + row['episodes/cut'] > 0);
  const count = (row: ControlRow) => row['episodes/ended'] + row['episodes/cut'];
  const total = finished.reduce((all, row) => all + count(row), 0);
  return finished.reduce((all, row) => all + row['episodes/length'] * count(row), 0) / total;
}
