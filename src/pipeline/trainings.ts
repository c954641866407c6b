/** Every command that a stage of a pipeline can run, by name: how it is checked, created, trained and reported. */
import { basename } from 'node:path';
import type { z } from 'zod';
import { type BestOfNStep, bestOfNSchema, createBestOfN } from '../align/best-of-n/best-of-n.ts';
import { createRaft, raftSchema } from '../align/best-of-n/raft.ts';
import { createRest, restSchema } from '../align/best-of-n/rest.ts';
import { bestOfNReport, trainBestOfN } from '../align/best-of-n/train.ts';
import { type ConstitutionStep, constitutionSchema, createConstitution } from '../align/constitution/constitution.ts';
import { constitutionReport } from '../align/constitution/report.ts';
import { constitutionMetrics } from '../align/constitution/rows.ts';
import { trainConstitution } from '../align/constitution/train.ts';
import { diagnoseLanguageRun } from '../align/diagnosis/run.ts';
import { createDistill, distillSchema } from '../align/distillation/distill.ts';
import { createPolicyEvaluation, type PolicyEvaluationStep } from '../align/evaluation/evaluation.ts';
import { policyEvaluationSchema } from '../align/evaluation/options.ts';
import { policyEvaluationReport } from '../align/evaluation/report.ts';
import { runPolicyEvaluation } from '../align/evaluation/run.ts';
import { createOveroptimization, overoptimizationSchema } from '../align/overoptimization/overoptimization.ts';
import { overoptimizationReport } from '../align/overoptimization/report.ts';
import { type OveroptimizationStep, trainOveroptimization } from '../align/overoptimization/train.ts';
import type { PolicyStep } from '../align/policies/learner.ts';
import { policyReport } from '../align/policies/report.ts';
import { trainPolicy } from '../align/policies/train.ts';
import { createGrpo, grpoSchema } from '../align/policy-gradient/grpo.ts';
import { createPareto, type ParetoStep, paretoSchema } from '../align/policy-gradient/pareto.ts';
import { paretoReport, trainPareto } from '../align/policy-gradient/pareto-train.ts';
import { createReinforce, createRloo, reinforceSchema, rlooSchema } from '../align/policy-gradient/reinforce.ts';
import { createLanguagePpo } from '../align/ppo/learner.ts';
import { languagePpoSchema } from '../align/ppo/options.ts';
import { bcoSchema, createBco } from '../align/preferences/bco.ts';
import { cpoSchema, createCpo } from '../align/preferences/cpo.ts';
import { createDpo, dpoSchema } from '../align/preferences/dpo.ts';
import { createKto, ktoSchema } from '../align/preferences/kto.ts';
import type { PreferenceStep } from '../align/preferences/learner.ts';
import { createOnlineDpo, onlineDpoSchema } from '../align/preferences/online-dpo.ts';
import { createOrpo, orpoSchema } from '../align/preferences/orpo.ts';
import { offlinePreferenceReport } from '../align/preferences/report.ts';
import { trainPreferences } from '../align/preferences/train.ts';
import { processSchema } from '../align/process/options.ts';
import { createProcess, type ProcessStep } from '../align/process/process.ts';
import { processReport } from '../align/process/report.ts';
import { trainProcess } from '../align/process/train.ts';
import { rewardModelSchema } from '../align/reward-model/options.ts';
import { rewardReport } from '../align/reward-model/report.ts';
import { createReward, type RewardStep } from '../align/reward-model/reward.ts';
import { trainReward } from '../align/reward-model/train.ts';
import type { JudgmentOptions } from '../align/rewards/judge-reward.ts';
import { type JudgmentRow, judgeReward, rewardJudgmentSchema } from '../align/rewards/judge-reward.ts';
import { evaluationReport } from '../align/rewards/report.ts';
import type { LanguageStep } from '../align/supervised/learner.ts';
import { createPretrain, pretrainSchema } from '../align/supervised/pretrain.ts';
import { languageReport } from '../align/supervised/report.ts';
import { createSft, sftSchema } from '../align/supervised/sft.ts';
import { trainLanguageModel } from '../align/supervised/train.ts';
import { openLearner } from '../control/learn.ts';
import type { Learner as ControlLearner, LearnStep } from '../control/learner.ts';
import { preferenceReport } from '../control/report.ts';
import { trainFromPreferences, trainOptions, trainSchema } from '../control/train.ts';
import { checkEnvironment } from '../env/open/load.ts';
import type { PullOptions } from '../lm/hub.ts';
import { diagnoseControlRun } from '../rl/diagnosis/diagnose.ts';
import { rlReport } from '../rl/report.ts';
import { openRlLearner } from '../rl/rl.ts';
import { type RlLearner, type RlStep, rlOptions, rlSchema, trainRl } from '../rl/train.ts';
import type { Diagnosis } from '../run/diagnosis.ts';
import type { TrainParts } from '../run/drive.ts';
import type { Report } from '../run/report.ts';
import {
  type AblateInput,
  type Ablation,
  ablateSchema,
  checkAblation,
  createAblation,
  trainAblation,
} from '../sweep/ablate.ts';
import { ablationReport } from '../sweep/ablate-report.ts';
import { checkSweep, createSweep, type Sweep, type SweepInput, sweepSchema, trainSweep } from '../sweep/sweep.ts';
import { sweepReport } from '../sweep/sweep-report.ts';
import type { CellsStep } from '../sweep/trained.ts';

/** A run of one command, ready to train. */
export interface StageLearner {
  /** The command's options; all have a seed, and those of language models a precision. */
  options: { seed: number; precision?: string };
  /** Frees what it holds; it cannot be used afterwards. */
  [Symbol.dispose](): void;
}

/** What a pipeline passes to each learner, besides its settings. */
export interface LearnerParts {
  /** Folder of a run that is resumed. */
  folder?: string;
  /** How models and data are downloaded from the Hub. */
  pull?: PullOptions;
  /** Called with notices about the data. */
  onNotice?: (text: string) => void;
  /** The teacher that compares a policy's completions, if its settings ask people. */
  teacher?: unknown;
}

/** What later stages can take from a run, by the stage's name. */
type Product = 'a language model' | 'a reward model' | 'a dataset';

/**
 * A command. Its methods take what `create` returns and the steps that `train` yields, which differ between commands.
 */
export interface StageTraining {
  /** The command's settings. */
  schema: z.ZodType;
  /** Throws if settings are wrong; loads nothing. */
  check(settings: Record<string, unknown>): void;
  /** Creates the learner. If settings are wrong, it throws at once, before it awaits anything. */
  create(settings: Record<string, unknown>, parts: LearnerParts): StageLearner | Promise<StageLearner>;
  /** The run's name, and its total number of steps. */
  about(learner: StageLearner): { name: string; steps: number };
  /** Trains to the end. Undefined if the signal stopped it. */
  train(
    learner: StageLearner,
    parts: TrainParts<{ step: number }>,
  ): Promise<{ run: string; diagnosis?: Diagnosis } | undefined>;
  /** The report of the run in `folder`. */
  report(folder: string): Report;
  /** What went wrong in the run in `folder`; absent for commands that train nothing. */
  diagnose?(folder: string): Diagnosis;
  /** Figures for the progress line; values that a step lacks stay unchanged. */
  live(step: { step: number }): Record<string, number>;
  /** What later stages can take from the run; absent if nothing. */
  product?: Product;
  /** Path of the product in the run's folder. */
  path?: string;
}

/** What learners of language models share. */
const named = {
  about: ({ name, steps }: StageLearner & { name: string; steps: number }) => ({ name, steps }),
  product: 'a language model',
  path: 'model',
} as const;

const checkedBy = (schema: z.ZodType) => ({
  schema,
  check: (settings: Record<string, unknown>) => void schema.parse(settings),
});

/** A command whose settings are passed to the function that opens its learner. */
const opened = <L extends StageLearner>(schema: z.ZodType, open: (input: never) => Promise<L>) => ({
  ...checkedBy(schema),
  create: (settings: Record<string, unknown>, { pull, onNotice, teacher }: LearnerParts) =>
    open({ ...settings, pull, onNotice, ...(teacher !== undefined && { teacher }) } as never),
});

const language = {
  ...named,
  train: trainLanguageModel,
  report: languageReport,
  diagnose: diagnoseLanguageRun,
  live: ({ loss, evaluation }: LanguageStep): Record<string, number> => ({
    loss,
    ...(evaluation?.loss !== undefined && { eval: evaluation.loss }),
  }),
};

const preferences = {
  ...named,
  train: trainPreferences,
  report: offlinePreferenceReport,
  diagnose: diagnoseLanguageRun,
  live: ({ loss, metrics, evaluation }: PreferenceStep): Record<string, number> => ({
    loss,
    margin: metrics['rewards/margins'] ?? 0,
    ...(evaluation?.loss !== undefined && { eval: evaluation.loss }),
    ...(evaluation?.reward !== undefined && { reward: evaluation.reward }),
  }),
};

const policies = {
  ...named,
  train: trainPolicy,
  report: policyReport,
  diagnose: diagnoseLanguageRun,
  live: ({ metrics, evaluation, tokensPerSecond }: PolicyStep): Record<string, number> => ({
    reward: metrics['reward/mean'],
    kl: metrics['kl/mean'],
    'tokens/s': tokensPerSecond,
    ...(metrics.labels !== undefined && { labels: metrics.labels, waiting: metrics.waiting }),
    ...(evaluation && { eval: evaluation.reward }),
  }),
};

/** The latest return, for the progress line. */
const seenReturn = (evaluation: { mean: number } | undefined): Record<string, number> =>
  evaluation ? { return: evaluation.mean } : {};

interface CompletionJudge extends StageLearner, LearnerParts {
  options: JudgmentOptions & { seed: number };
}

/** An evaluation has no checkpoints: it runs in one step, and again if it was killed. */
const judging = {
  ...checkedBy(rewardJudgmentSchema),
  create: (settings: Record<string, unknown>, { pull, onNotice }: LearnerParts) => ({
    options: { ...rewardJudgmentSchema.parse(settings), seed: 0 },
    pull,
    onNotice,
    [Symbol.dispose]() {},
  }),
  about: ({ options }: CompletionJudge) => ({ name: `${basename(options.model)}-eval`, steps: 1 }),
  async train({ options, pull, onNotice }: CompletionJudge, { run }: TrainParts<never>) {
    const { seed: _, ...input } = options; // nothing is drawn
    const judgment = await judgeReward({ ...input, pull, onNotice });
    run.sample({ kind: 'judgment', judgment } satisfies JudgmentRow);
    const { accuracy, interval, n, ece, longerWins, bySource } = judgment.evaluation;
    return { run: run.folder, accuracy, interval, n, ece, longerWins, bySource };
  },
  report: evaluationReport,
  live: () => ({}),
};

/** The commands that a stage can run, by name. */
export const trainings: Readonly<Record<string, StageTraining>> = {
  train: {
    schema: trainSchema,
    check: (settings) => checkEnvironment(trainOptions(settings).env),
    create: (settings, { folder, onNotice }) =>
      openLearner({ ...settings, onNotice }, trainSchema, folder !== undefined),
    about: ({ options, environment }: ControlLearner) => ({ name: environment.id, steps: options.steps }),
    train: trainFromPreferences,
    report: preferenceReport,
    diagnose: diagnoseControlRun,
    live: ({ evaluation, labels, accuracy, waiting }: LearnStep) => ({
      ...seenReturn(evaluation),
      labels,
      ...(waiting !== undefined && { waiting }),
      ...(Number.isFinite(accuracy) && { predicted: accuracy }),
    }),
  },
  rl: {
    schema: rlSchema,
    check: (settings) => checkEnvironment(rlOptions(settings).env),
    create: (settings) => openRlLearner(settings),
    about: ({ options }: RlLearner) => ({ name: options.env, steps: options.steps }),
    train: trainRl,
    report: rlReport,
    diagnose: diagnoseControlRun,
    live: ({ evaluation }: RlStep) => seenReturn(evaluation),
  },
  sweep: {
    schema: sweepSchema,
    check: checkSweep,
    create: (settings, { onNotice }) => createSweep(settings as SweepInput, { onNotice }),
    about: ({ name, steps }: Sweep) => ({ name, steps }),
    train: trainSweep,
    report: sweepReport,
    live: ({ cells }: CellsStep) => ({ trained: cells }),
  },
  ablate: {
    schema: ablateSchema,
    check: checkAblation,
    create: (settings, { onNotice }) => createAblation(settings as AblateInput, { onNotice }),
    about: ({ name, steps }: Ablation) => ({ name, steps }),
    train: trainAblation,
    report: ablationReport,
    live: ({ cells }: CellsStep) => ({ trained: cells }),
  },
  pretrain: { ...opened(pretrainSchema, createPretrain), ...language },
  sft: { ...opened(sftSchema, createSft), ...language },
  distill: { ...opened(distillSchema, createDistill), ...language },
  reward: {
    ...opened(rewardModelSchema, createReward),
    ...named,
    train: trainReward,
    report: rewardReport,
    diagnose: diagnoseLanguageRun,
    live: ({ loss, accuracy, evaluation }: RewardStep) => ({
      loss,
      accuracy,
      ...(evaluation && { eval: evaluation.accuracy }),
    }),
    product: 'a reward model',
  },
  process: {
    ...opened(processSchema, createProcess),
    ...named,
    train: trainProcess,
    report: processReport,
    diagnose: diagnoseLanguageRun,
    live: ({ loss, accuracy, evaluation }: ProcessStep) => ({
      loss,
      accuracy,
      ...(evaluation && { eval: evaluation.accuracy }),
    }),
    product: 'a reward model',
  },
  ppo: { ...opened(languagePpoSchema, createLanguagePpo), ...policies },
  reinforce: { ...opened(reinforceSchema, createReinforce), ...policies },
  rloo: { ...opened(rlooSchema, createRloo), ...policies },
  grpo: { ...opened(grpoSchema, createGrpo), ...policies },
  raft: { ...opened(raftSchema, createRaft), ...policies },
  rest: { ...opened(restSchema, createRest), ...policies },
  'online-dpo': { ...opened(onlineDpoSchema, createOnlineDpo), ...policies },
  'best-of-n': {
    ...opened(bestOfNSchema, createBestOfN),
    ...named,
    train: trainBestOfN,
    report: bestOfNReport,
    live: ({ drawn }: BestOfNStep) => ({
      best: drawn.reduce((sum, { rewards }) => sum + Math.max(...rewards), 0) / drawn.length,
    }),
    product: 'a dataset',
    path: 'best.jsonl',
  },
  overoptimization: {
    ...opened(overoptimizationSchema, createOveroptimization),
    about: named.about,
    train: trainOveroptimization,
    report: overoptimizationReport,
    live: ({ way }: OveroptimizationStep) => ({ curve: way }),
  },
  pareto: {
    ...opened(paretoSchema, createPareto),
    about: named.about,
    train: trainPareto,
    report: paretoReport,
    diagnose: diagnoseLanguageRun,
    live: ({ weight, inner }: ParetoStep) => ({
      weight,
      reward: inner.metrics['reward/mean'],
      kl: inner.metrics['kl/mean'],
    }),
  },
  dpo: { ...opened(dpoSchema, createDpo), ...preferences },
  orpo: { ...opened(orpoSchema, createOrpo), ...preferences },
  cpo: { ...opened(cpoSchema, createCpo), ...preferences },
  kto: { ...opened(ktoSchema, createKto), ...preferences },
  bco: { ...opened(bcoSchema, createBco), ...preferences },
  constitution: {
    ...opened(constitutionSchema, createConstitution),
    about: named.about,
    train: trainConstitution,
    report: constitutionReport,
    live: (step: ConstitutionStep) => constitutionMetrics(step),
    product: 'a dataset',
    path: 'comparisons.jsonl',
  },
  'eval reward': judging,
  'eval policy': {
    ...opened(policyEvaluationSchema, createPolicyEvaluation),
    about: named.about,
    train: runPolicyEvaluation,
    report: policyEvaluationReport,
    live: ({ pairs }: PolicyEvaluationStep) => ({
      wins: pairs.reduce((sum, { preference }) => sum + preference, 0) / pairs.length,
    }),
    product: 'a dataset',
    path: 'comparisons.jsonl',
  },
};
