/** What is recorded of a training: a row of metrics for each step, and the diagnosis of all of them. */

import type { Preference } from '../preference/comparison.ts';
import { diagnoseControl } from '../rl/diagnosis/diagnose.ts';
import { type ControlRow, worldFacts } from '../rl/diagnosis/measures.ts';
import type { Evaluation } from '../rl/evaluate.ts';
import { episodeMetrics, returnMetrics, returnOf } from '../rl/train.ts';
import { type Diagnosis, noticesOnce } from '../run/diagnosis.ts';
import type { Learner, LearnStep } from './learner.ts';
import { createProbe, type RewardAgreement } from './probe.ts';

/** The figures of a finished run. */
export interface LearnMetrics {
  /** Mean and standard deviation of the true returns of the final policy's greedy episodes. */
  return: { mean: number; std: number; episodes: number };
  /** Comparisons that the teacher made. */
  labels: number;
  /** Environment steps. */
  steps: number;
  /** Share of the teacher's decided choices that the ensemble predicted before it learned from them. */
  foreseen: number;
  /** Share of random held-out pairs that the ensemble orders correctly; see `RewardAgreement`. */
  heldOutAccuracy?: number;
  /** Correlation of the learned and the true returns of fresh windows; see `RewardAgreement`. */
  correlation: { pearson: number; spearman: number };
  /** Wall time of the training in seconds, including earlier processes of the run. */
  seconds: number;
}

/**
 * Starts a record. `onNotice` is called once with each failure that the diagnosis finds. `earlier` gives the rows of a
 * training that is resumed; it is called before the first row is added.
 */
export function createLearnRecord(
  learner: Learner,
  onNotice: (text: string) => void,
  earlier: () => readonly ControlRow[] = () => [],
) {
  const { options, environment } = learner;
  let rows: ControlRow[] | undefined;
  const all = (): ControlRow[] => {
    rows ??= [...earlier()];
    return rows;
  };
  let probe: ReturnType<typeof createProbe> | undefined;
  let agreement: RewardAgreement | undefined;
  const measure = (): Promise<RewardAgreement> => {
    probe ??= createProbe(learner);
    return probe.measure();
  };
  const notice = noticesOnce(onNotice);
  const facts = { ...options, ...worldFacts(environment) };
  const diagnosis = (): Diagnosis => diagnoseControl(all(), facts);
  return {
    /** Adds the evaluation before the first step, and returns its row of metrics. */
    before(evaluation: Evaluation): Record<string, number> {
      const row = returnMetrics(evaluation);
      all().push({ step: 0, ...row });
      return row;
    },
    /**
     * Adds a step, and returns its row of metrics. Measures the reward where the step has an evaluation; notices what
     * went wrong after an evaluation or a fit.
     */
    async add(step: LearnStep): Promise<Record<string, number>> {
      agreement = step.evaluation && step.labels > 0 ? await measure() : undefined;
      const row = {
        ...metricsOf(step),
        ...(agreement && agreementMetrics(agreement)),
        ...(agreement && finite({ 'reward/coverage': learner.coverage() })),
      };
      all().push({ step: step.step, ...row });
      if (step.fit || step.evaluation) notice(diagnosis());
      return row;
    },
    /** How the learned reward agrees with the true one; undefined if the last step had no evaluation, or no labels. */
    agreement: () => agreement,
    /** The figures of the training after its last step, which took `seconds` in all. */
    async metrics(last: LearnStep | undefined, seconds: number): Promise<LearnMetrics> {
      const { step: steps = 0, labels = 0, foreseen = Number.NaN } = last ?? {};
      if (labels > 0) agreement ??= await measure();
      const { pearson = Number.NaN, spearman = Number.NaN } = agreement ?? {};
      return {
        return: returnOf(last?.evaluation ?? (await learner.evaluate())),
        labels,
        steps,
        foreseen,
        ...(agreement?.accuracy !== undefined && { heldOutAccuracy: agreement.accuracy }),
        correlation: { pearson, spearman },
        seconds,
      };
    },
    /** What went wrong so far, and why. */
    diagnosis,
    [Symbol.dispose]: () => probe?.[Symbol.dispose](),
  };
}

const agreementMetrics = ({ pearson, spearman, accuracy, gain }: RewardAgreement): Record<string, number> => ({
  'reward/correlation_pearson': pearson,
  'reward/correlation_spearman': spearman,
  ...(accuracy !== undefined && { 'reward/held_out_accuracy': accuracy }),
  'reward/learned_gain': gain.learned,
  ...(gain.true !== undefined && { 'reward/true_gain': gain.true }),
});

function metricsOf(step: LearnStep): Record<string, number> {
  const { labels, ppo, sac, fit, evaluation, foreseen, disagreement, comparisons, waiting } = step;
  return {
    labels,
    ...(waiting !== undefined && { waiting }),
    ...episodeMetrics(step.episodes),
    ...ppo,
    ...sac,
    ...(step.rewards && { 'reward/policy_mean': step.rewards.mean, 'reward/policy_std': step.rewards.std }),
    ...(fit && { 'reward/loss': fit.loss, 'reward/train_accuracy': fit.trainAccuracy }),
    ...(fit && finite({ 'reward/validation_loss': fit.validationLoss })),
    ...(step.steadiness !== undefined && finite({ 'reward/drift': 1 - step.steadiness })),
    ...(step.restarts !== undefined && { 'policy/restarts': step.restarts }),
    ...finite({ 'reward/foreseen': foreseen }),
    ...(comparisons.length > 0 && { 'reward/disagreement': disagreement, ...choiceMetrics(comparisons) }),
    ...returnMetrics(evaluation),
  };
}

/** How many of the comparisons are ties or undecided, how many decided, and how many of these say the first. */
function choiceMetrics(comparisons: LearnStep['comparisons']): Record<string, number> {
  const decided = comparisons
    .map(({ choice }) => choice)
    .filter((choice): choice is Preference => choice !== 'incomparable' && choice[0] !== choice[1]);
  return {
    'labels/tied': comparisons.length - decided.length,
    'labels/decided': decided.length,
    'labels/first': decided.filter(([first, second]) => first > second).length,
  };
}

const finite = (metrics: Record<string, number>): Record<string, number> =>
  Object.fromEntries(Object.entries(metrics).filter(([, value]) => Number.isFinite(value)));
