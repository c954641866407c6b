/** The report of a reward model's training, from what its folder holds, and what other reports take from it. */
import { type Report, readInfo, readMetrics, readSamples, type Section } from '../../run/index.ts';
import { count } from '../../run/progress.ts';
import { elapsed, linesOver, subtitle, trainingAndHeldOut } from '../../run/report-parts.ts';
import type { RewardEvaluation, Share } from './evaluation.ts';
import type { RewardEvaluationRow } from './train.ts';

const STEPS = ['optimizer steps'];

/** Throws a HeedError where the folder is not a run. */
export function rewardReport(folder: string): Report {
  const { name, config, seed, started } = readInfo(folder);
  const rows = readMetrics(folder);
  const last = (readSamples(folder) as unknown as RewardEvaluationRow[]).at(-1)?.evaluation;
  const both = (title: string, metric: string, yLabel: string, caption: string) =>
    linesOver(rows, title, yLabel, caption, trainingAndHeldOut(metric), STEPS);
  const one = (metric: string, title: string, yLabel: string, caption: string) =>
    linesOver(rows, title, yLabel, caption, [[title, metric]], STEPS);
  const tokens = rows.findLast((row) => 'tokens' in row)?.tokens ?? 0;
  return {
    title: name,
    subtitle: subtitle(started, 'reward model', seed),
    summary: [
      ...(last ? summaryOf(last) : []),
      { label: 'Tokens', value: count(tokens), note: 'without padding' },
      { label: 'Time', value: elapsed(rows) },
    ],
    sections: [
      ...both('Accuracy', 'accuracy', 'share', 'Share of the pairs whose chosen answer has the higher reward.'),
      ...both('Loss', 'loss', 'nats', 'In training, all of the loss; held out, the mean −log P of what was chosen.'),
      ...(last ? evaluationSections(last) : []),
      ...one(
        'disagreement',
        'Disagreement',
        'deviation',
        "Deviation of the members' rewards of a held-out answer, on average.",
      ),
      ...one('gradient/norm', 'Norm of the gradient', 'norm', 'Before clipping, of all parameters together.'),
    ],
    config: config as Record<string, unknown>,
  };
}

export function summaryOf({ accuracy, interval, n, verdict, ece, longerWins, longerChosen }: RewardEvaluation) {
  return [
    { label: 'Held-out accuracy', value: percent(accuracy), note: `${between(interval)}, ${n} pairs: ${verdict}` },
    { label: 'Calibration error', value: percent(ece), note: 'how far its probabilities are off, on average' },
    { label: 'Longer preferred', value: percent(longerWins), note: `and chosen in ${percent(longerChosen)}` },
  ];
}

/** Tables and pictures of an evaluation. */
export function evaluationSections(evaluation: RewardEvaluation): Section[] {
  const { reliability, margins, overConfidence, bySource, byLength, margin } = evaluation;
  const seen = reliability.filter(({ n }) => n > 0);
  const confidences = seen.map(({ confidence }) => confidence);
  const sure = overConfidence > 0 ? 'surer than it should be' : 'less sure than it could be';
  return [
    {
      kind: 'lines',
      title: 'Reliability',
      caption: `How often the answer that it prefers was chosen, by how sure it is. On average it is ${sure}, by ${percent(Math.abs(overConfidence))}.`,
      xLabels: ['probability of the preferred answer'],
      yLabel: 'share chosen',
      series: [
        { name: 'accuracy', x: [confidences], y: seen.map(({ accuracy }) => accuracy) },
        { name: 'calibrated', x: [[0.5, 1]], y: [0.5, 1] },
      ],
    },
    {
      kind: 'lines',
      title: 'Margins',
      caption: `Reward of the chosen answer less that of the rejected one: ${margin.mean.toFixed(2)} on average, deviating by ${margin.deviation.toFixed(2)}.`,
      xLabels: ['difference of rewards'],
      yLabel: 'share of the pairs',
      series: [{ name: 'pairs', x: [margins.map(({ middle }) => middle)], y: margins.map(({ share }) => share) }],
    },
    sharesTable(
      'Accuracy by length',
      'Of what was chosen, beside what was rejected.',
      'the chosen answer is',
      byLength.map(({ label, ...share }) => [label, share]),
    ),
    ...(Object.keys(bySource).length > 0
      ? [sharesTable('Accuracy by source', 'Where the data names one.', 'source', Object.entries(bySource))]
      : []),
  ];
}

function sharesTable(title: string, caption: string, column: string, shares: readonly [string, Share][]): Section {
  return {
    kind: 'table',
    title,
    caption,
    columns: [column, 'pairs', 'accuracy', '95 % interval'],
    rows: shares
      .filter(([, { n }]) => n > 0)
      .map(([name, { n, accuracy, interval }]) => [name, n, percent(accuracy), between(interval)]),
  };
}

// NaN is null in a file
export const percent = (share: number): string => (!Number.isFinite(share) ? '–' : `${(100 * share).toFixed(1)} %`);
export const between = ([low, high]: readonly [number, number]): string => `${percent(low)} to ${percent(high)}`;
