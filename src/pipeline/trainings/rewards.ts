/** The commands that train and evaluate reward models. */
import { basename } from 'node:path';
import { diagnoseLanguageRun } from '../../align/diagnosis/run.ts';
import { processSchema } from '../../align/process/options.ts';
import { createProcess, type ProcessStep } from '../../align/process/process.ts';
import { processReport } from '../../align/process/report.ts';
import { trainProcess } from '../../align/process/train.ts';
import { rewardModelSchema } from '../../align/reward-model/options.ts';
import { rewardReport } from '../../align/reward-model/report.ts';
import { createReward, type RewardStep } from '../../align/reward-model/reward.ts';
import { trainReward } from '../../align/reward-model/train.ts';
import {
  type JudgmentOptions,
  type JudgmentRow,
  judgeReward,
  rewardJudgmentSchema,
} from '../../align/rewards/judge-reward.ts';
import { evaluationReport } from '../../align/rewards/report.ts';
import type { TrainParts } from '../../run/drive.ts';
import { byCommand, checkedBy, type LearnerParts, named, opened, type StageLearner } from './training.ts';

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

const rewardModel = {
  teaches: 'reward model' as const,
  live: ({ loss, accuracy, evaluation }: RewardStep | ProcessStep): Record<string, number> => ({
    loss,
    'batch accuracy': accuracy,
    ...(evaluation && { 'held-out accuracy': evaluation.accuracy }),
  }),
  shares: ['batch accuracy', 'held-out accuracy'],
  product: 'a reward model' as const,
};

export const rewardTrainings = byCommand({
  reward: {
    ...opened(rewardModelSchema, createReward),
    ...named,
    train: trainReward,
    report: rewardReport,
    diagnose: diagnoseLanguageRun,
    ...rewardModel,
  },
  process: {
    ...opened(processSchema, createProcess),
    ...named,
    train: trainProcess,
    report: processReport,
    diagnose: diagnoseLanguageRun,
    ...rewardModel,
  },
  'eval reward': judging,
});
