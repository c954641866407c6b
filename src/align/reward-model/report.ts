/** The report of a reward model's training, from the run's folder, and the parts that other reports share. */

import { percent, percents } from '../../percent.ts';
import type { Diagnosis } from '../../run/diagnosis.ts';
import type { Report, Section } from '../../run/report.ts';
import {
  counted,
  linesOver,
  reportRun,
  sampleCaption,
  tableOf,
  tokensFigure,
  trainingAndHeldOut,
} from '../../run/report-parts.ts';
import { diagnoseReward } from '../diagnosis/reward.ts';
import { diagnoseRun } from '../diagnosis/run.ts';
import { tokensTable } from '../examples/token-rows.ts';
import type { RewardEvaluation, Share } from './evaluation.ts';
import type { RewardStepEvaluation } from './reward.ts';

const STEPS = ['optimizer steps'];

/** A row of samples.jsonl with an evaluation. */
export interface RewardEvaluationRow {
  kind: 'evaluation';
  step: number;
  evaluation: RewardStepEvaluation;
}

/** The diagnosis of such a run: the one it stored, or one of the rows so far. */
export const diagnoseRewardRun = (folder: string): Diagnosis => diagnoseRun(folder, diagnoseReward);

/** The report of a run of `heed reward`. @throws HeedError when the folder is not a run. */
export function rewardReport(folder: string): Report {
  return reportRun(folder, ({ rows, samples }) => {
    const last = (samples as RewardEvaluationRow[]).findLast(({ kind }) => kind === 'evaluation')?.evaluation;
    const both = (title: string, metric: string, yLabel: string, caption: string) =>
      linesOver(rows, title, yLabel, caption, trainingAndHeldOut(metric), STEPS);
    const one = (metric: string, title: string, yLabel: string, caption: string) =>
      linesOver(rows, title, yLabel, caption, [[title, metric]], STEPS);
    const sampled = sampleCaption(rows, 'pairs');
    return {
      how: 'reward model',
      summary: [...(last ? summaryOf(last) : []), tokensFigure(rows)],
      diagnosis: diagnoseRewardRun(folder),
      sections: [
        ...both(
          'Accuracy',
          'accuracy',
          'share',
          `Share of the pairs whose chosen completion has the higher reward.${sampled}`,
        ),
        ...both(
          'Loss',
          'loss',
          'nats',
          `In training, the whole loss; held out, the mean −log P of the preferences.${sampled}`,
        ),
        ...tokensTable(samples),
        ...(last ? evaluationSections(last) : []),
        ...one(
          'disagreement',
          'Disagreement',
          'deviation',
          "Standard deviation of the members' rewards of a held-out completion, on average.",
        ),
        ...one('gradient/norm', 'Norm of the gradient', 'norm', 'Before clipping, of all parameters together.'),
      ],
    };
  });
}

/** The key numbers of an evaluation. `label`: what its accuracy is. */
export function summaryOf(
  {
    accuracy,
    interval,
    n,
    sampledFrom,
    verdict,
    ece,
    longerWins,
    longerChosen,
  }: RewardEvaluation & { sampledFrom?: number },
  label = 'Held-out accuracy',
) {
  return [
    { label, value: percent(accuracy), note: `${percents(interval)}, ${counted(n, 'pairs', sampledFrom)}: ${verdict}` },
    { label: 'Calibration error', value: percent(ece), note: 'mean error of predicted probabilities' },
    {
      label: 'Longer preferred',
      value: percent(longerWins),
      note: `by the model; chosen in ${percent(longerChosen)} of the pairs`,
    },
  ];
}

/** Tables and charts of an evaluation. */
export function evaluationSections(evaluation: RewardEvaluation): Section[] {
  const { reliability, margins, overConfidence, bySource, byLength, margin } = evaluation;
  const seen = reliability.filter(({ n }) => n > 0);
  const confidences = seen.map(({ confidence }) => confidence);
  const sure = overConfidence > 0 ? 'too confident' : 'not confident enough';
  return [
    {
      kind: 'lines',
      title: 'Reliability',
      caption: `How often the completion that the model prefers was chosen, by the model's confidence. On average the model is ${sure}, by ${percent(Math.abs(overConfidence))}.`,
      xLabels: ['probability of the preferred completion'],
      yLabel: 'share chosen',
      series: [
        { name: 'accuracy', x: [confidences], y: seen.map(({ accuracy }) => accuracy) },
        { name: 'calibrated', x: [[0.5, 1]], y: [0.5, 1] },
      ],
    },
    {
      kind: 'lines',
      title: 'Margins',
      caption: `Reward of the chosen completion minus that of the rejected one: mean ${margin.mean.toFixed(2)}, standard deviation ${margin.deviation.toFixed(2)}.`,
      xLabels: ['difference of rewards'],
      yLabel: 'share of the pairs',
      series: [{ name: 'pairs', x: [margins.map(({ middle }) => middle)], y: margins.map(({ share }) => share) }],
    },
    ...sharesTable(
      'Accuracy by length',
      'Length of the chosen completion compared with the rejected one.',
      'the chosen completion is',
      byLength.map(({ label, ...share }) => [label, share]),
    ),
    ...sharesTable('Accuracy by source', 'By the source that the data names.', 'source', Object.entries(bySource)),
  ];
}

function sharesTable(title: string, caption: string, column: string, shares: readonly [string, Share][]) {
  const rows = shares
    .filter(([, { n }]) => n > 0)
    .map(([name, { n, accuracy, interval }]) => [name, n, percent(accuracy), percents(interval)]);
  return tableOf(title, [column, 'pairs', 'accuracy', '95 % interval'], rows, caption);
}
