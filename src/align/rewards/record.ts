/** The record of the evaluation of a reward model. */
import { basename } from '../../node.ts';
import type { TrainParts } from '../../run/drive.ts';
import { checkedBy, type LearnerParts, type StageLearner, type TrainingRecord } from '../../run/training-record.ts';
import { type JudgmentOptions, type JudgmentRow, judgeReward, rewardJudgmentSchema } from './judge-reward.ts';
import { evaluationReport } from './report.ts';

interface CompletionJudge extends StageLearner, LearnerParts {
  options: JudgmentOptions & { seed: number };
}

/** An evaluation has no checkpoints: it runs in one step, and again if it was killed. */
export const rewardEvaluation: TrainingRecord = {
  name: 'eval reward',
  ...checkedBy(rewardJudgmentSchema),
  open: (settings: Record<string, unknown>, { pull, onNotice }: LearnerParts) => ({
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
