/** The record of the evaluation of a reward model. */
import { basename } from '../../node.ts';
import { percent } from '../../percent.ts';
import type { TrainParts } from '../../run/drive.ts';
import type { Report, Section } from '../../run/report.ts';
import { readInfo, readSamples } from '../../run/run.ts';
import { checkedBy, type LearnerParts, type StageLearner, type TrainingRecord } from '../../run/training-record.ts';
import type { Drift } from '../reward-model/evaluation.ts';
import { evaluationSections, summaryOf } from '../reward-model/report.ts';
import { type JudgmentOptions, type JudgmentRow, judgeReward, rewardJudgmentSchema } from './judge-reward.ts';

/** The report of `heed eval reward`. @throws HeedError when the folder is not the run of one. */
export function evaluationReport(folder: string): Report {
  const { name, config, started } = readInfo(folder);
  const { judgment } = readSamples(folder).at(-1) as unknown as JudgmentRow;
  const { evaluation, drift, disagreement } = judgment;
  return {
    title: name,
    subtitle: `evaluation of a reward model, ${started.slice(0, 16).replace('T', ' ')} UTC`,
    summary: [
      ...summaryOf(evaluation, 'Accuracy'),
      ...(disagreement === undefined
        ? []
        : [
            {
              label: 'Disagreement',
              value: disagreement.toFixed(2),
              note: 'standard deviation of the members’ rewards',
            },
          ]),
    ],
    sections: [...evaluationSections(evaluation), ...(drift ? [driftTable(drift)] : [])],
    config: config as Record<string, unknown>,
  };
}

function driftTable({ reference, policy, shift, outside }: Drift): Section {
  const row = (name: string, { mean, deviation, length }: Drift['policy']) => [
    name,
    mean.toFixed(2),
    deviation.toFixed(2),
    length.toFixed(0),
  ];
  return {
    kind: 'table',
    title: 'Drift',
    caption: `The policy's mean reward is ${shift.toFixed(1)} standard deviations from the reference's, and ${percent(outside)} of its rewards are outside the central 98 % of the reference's. The larger the drift, the less the accuracy on comparisons applies.`,
    columns: ['completions of', 'mean reward', 'standard deviation', 'tokens'],
    rows: [row('the reference', reference), row('the policy', policy)],
  };
}

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
