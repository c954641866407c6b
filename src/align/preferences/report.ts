/** The report of a training on preferences, from what its folder holds. */
import {
  type LineChart,
  type MetricsRow,
  type Report,
  readInfo,
  readMetrics,
  readSamples,
  type Section,
} from '../../run/index.ts';
import { count, figure } from '../../run/progress.ts';
import { elapsed, subtitle } from '../../run/report-parts.ts';
import type { PreferenceSampleRow } from './train.ts';

const STEPS = ['optimiser steps'];

type Lines = [name: string, metric: string][];

/** Charts of what a training may tell, in this order: title, unit, caption, lines. */
const charts: [title: string, unit: string, caption: string, lines: Lines][] = [
  [
    'Loss',
    'loss',
    'A mean of pairs or answers.',
    [
      ['training', 'loss/train'],
      ['held out', 'loss/eval'],
    ],
  ],
  ['Reward of answers', 'reward', 'Mean worth of the answers to held-out prompts.', [['reward', 'eval/reward']]],
  ['KL from the reference', 'nats an answer', 'Mean log π − log π_ref of the same answers.', [['KL', 'eval/kl']]],
  [
    'Accuracy',
    'share',
    'Pairs of which the policy rewards the chosen answer more.',
    [
      ['training', 'rewards/accuracies'],
      ['held out', 'eval/rewards/accuracies'],
    ],
  ],
  [
    'Rewards by the policy',
    'reward',
    'Of held-out answers: what the loss takes the policy’s log-probabilities for.',
    [
      ['chosen', 'eval/rewards/chosen'],
      ['rejected', 'eval/rewards/rejected'],
    ],
  ],
  [
    'Log-probabilities',
    'nats an answer',
    'Of held-out answers. Where the chosen fall too, probability goes to answers that nobody compared.',
    [
      ['chosen', 'eval/logps/chosen'],
      ['rejected', 'eval/logps/rejected'],
    ],
  ],
  ['Length', 'tokens', 'Of the answers to held-out prompts.', [['length', 'eval/response/length']]],
  ['Norm of the gradient', 'norm', 'Before clipping, of all parameters together.', [['norm', 'gradient/norm']]],
  ['Learning rate', 'rate', 'What the schedule gave each step.', [['rate', 'learning_rate']]],
];

/** Throws a HeedError where the folder is not a run. */
export function offlinePreferenceReport(folder: string): Report {
  const { name, command, config, seed, started } = readInfo(folder);
  const rows = readMetrics(folder);
  const evaluated = rows.filter((row) => 'eval/kl' in row || 'loss/eval' in row);
  const [first, last] = [evaluated[0], evaluated.at(-1)];
  const card = (label: string, metric: string, note = '') =>
    last && metric in last
      ? [{ label, value: figure(last[metric]), note: `${note}from ${figure(first[metric])}` }]
      : [];
  return {
    title: name,
    subtitle: subtitle(started, command, seed),
    summary: [
      ...card('Reward', 'eval/reward'),
      ...card('Accuracy', 'eval/rewards/accuracies', 'held out, '),
      ...card('Held-out loss', 'loss/eval'),
      ...card('KL', 'eval/kl', 'nats an answer, '),
      { label: 'Tokens', value: count(rows.findLast((row) => 'tokens' in row)?.tokens ?? 0), note: 'without padding' },
      { label: 'Time', value: elapsed(rows) },
    ],
    sections: [
      ...charts.flatMap(([title, unit, caption, lines]) => chartOf(rows, title, unit, caption, lines)),
      ...answers(readSamples(folder) as unknown as PreferenceSampleRow[]),
    ],
    config: config as Record<string, unknown>,
  };
}

function chartOf(
  rows: readonly MetricsRow[],
  title: string,
  yLabel: string,
  caption: string,
  lines: Lines,
): LineChart[] {
  const series = lines.flatMap(([name, metric]) => {
    const seen = rows.filter((row) => metric in row);
    return seen.length > 0 ? [{ name, x: [seen.map(({ step }) => step)], y: seen.map((row) => row[metric]) }] : [];
  });
  return series.length > 0 ? [{ kind: 'lines', title, caption, xLabels: STEPS, yLabel, series }] : [];
}

/** What was answered first and last to the same prompts, by the same draws. */
function answers(samples: readonly PreferenceSampleRow[]): Section[] {
  const steps = [...new Set(samples.map(({ step }) => step))];
  if (steps.length === 0) return [];
  const [before, after] = [steps[0], steps.at(-1)].map((step) => samples.filter((sample) => sample.step === step));
  const worth = (sample: PreferenceSampleRow | undefined) =>
    sample?.reward === undefined ? '' : figure(sample.reward);
  return [
    {
      kind: 'table',
      title: 'Answers before and after',
      caption: `The same draws, at step ${steps[0]} and at step ${steps.at(-1)}; samples.jsonl has those of every evaluation.`,
      columns: ['prompt', 'before', 'reward', 'after', 'reward'],
      rows: before.map((sample, i) => [
        sample.prompt,
        sample.text,
        worth(sample),
        after[i]?.text ?? '',
        worth(after[i]),
      ]),
    },
  ];
}
