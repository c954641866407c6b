/** The report of a training on preferences, from the run's folder. */

import { percent, percents } from '../../percent.ts';
import type { Diagnosis } from '../../run/diagnosis.ts';
import { wilson } from '../../run/intervals.ts';
import { figure } from '../../run/progress.ts';
import type { Report } from '../../run/report.ts';
import {
  counted,
  type Lines,
  linesOver,
  reportRun,
  sampleCaption,
  tokensFigure,
  trainingAndHeldOut,
} from '../../run/report-parts.ts';
import type { MetricsRow } from '../../run/run.ts';
import { diagnosePreference } from '../diagnosis/preference.ts';
import { diagnoseRun } from '../diagnosis/run.ts';
import { tokensTable } from '../examples/token-rows.ts';
import { completionsTable } from '../training/samples.ts';

const STEPS = ['optimizer steps'];

/** Charts of metrics, in this order: title, unit, caption, lines. Metrics that the run lacks have none. */
const charts: [title: string, unit: string, caption: string, lines: Lines][] = [
  ['Loss', 'loss', 'Mean over pairs, or over rated completions.', trainingAndHeldOut('loss')],
  ['Reward', 'reward', "Mean over the policy's completions of the evaluation prompts.", [['reward', 'eval/reward']]],
  [
    'KL from the reference',
    'nats per completion',
    'Mean KL along the same; for --max-kl also of at most 32 between evaluations.',
    [
      ['evaluation', 'eval/kl'],
      ['between', 'kl/mean'],
    ],
  ],
  [
    'Accuracy',
    'share',
    'Share of pairs in which the policy gives the chosen completion the higher reward of the loss.',
    [
      ['training', 'rewards/accuracies'],
      ['held out', 'eval/rewards/accuracies'],
    ],
  ],
  [
    'Rewards by the policy',
    'reward',
    'Mean over held-out completions: the policy’s log-probabilities as rewards of the loss.',
    [
      ['chosen', 'eval/rewards/chosen'],
      ['rejected', 'eval/rewards/rejected'],
    ],
  ],
  [
    'Log-probabilities',
    'nats per completion',
    'Mean over held-out completions. If the chosen ones fall too, probability moves to completions outside the data.',
    [
      ['chosen', 'eval/logps/chosen'],
      ['rejected', 'eval/logps/rejected'],
    ],
  ],
  [
    'Length',
    'tokens',
    "Mean of the policy's completions of the evaluation prompts.",
    [['length', 'eval/response/length']],
  ],
  ['Norm of the gradient', 'norm', 'Before clipping, of all parameters together.', [['norm', 'gradient/norm']]],
  ['Learning rate', 'rate', 'By the schedule.', [['rate', 'learning_rate']]],
];

/** Whether a chart has figures of held-out items. */
const heldOutLines = (lines: Lines): boolean =>
  lines.some(([, metric]) => /^(loss\/eval|eval\/(rewards|logps)\/)/.test(metric));

/** Without that before the first step: there, the policy is the reference, and all rewards are equal. */
const accuracyCard = (last: MetricsRow | undefined) => {
  const [accuracy, pairs, whole] = ['eval/rewards/accuracies', 'data/heldOut', 'data/heldOutOf'].map(
    (name) => last?.[name],
  );
  if (accuracy === undefined) return [];
  const note =
    pairs === undefined ? {} : { note: `${percents(wilson(accuracy, pairs))}, ${counted(pairs, 'pairs', whole)}` };
  return [{ label: 'Held-out accuracy', value: percent(accuracy), ...note }];
};

/** The diagnosis of such a run: the one it stored, or one of the rows so far. */
export const diagnosePreferenceRun = (folder: string): Diagnosis => diagnoseRun(folder, diagnosePreference);

/** The report of a training on preferences. @throws HeedError when the folder is not a run. */
export function offlinePreferenceReport(folder: string): Report {
  return reportRun(folder, ({ command: how, rows, samples }) => {
    const evaluated = rows.filter((row) => 'eval/kl' in row || 'loss/eval' in row);
    const [first, last] = [evaluated[0], evaluated.at(-1)];
    const sampled = sampleCaption(rows, 'items');
    const card = (label: string, metric: string, note = '') =>
      last && metric in last
        ? [{ label, value: figure(last[metric]), note: `${note}from ${figure(first[metric])}` }]
        : [];
    return {
      how,
      summary: [
        ...card('Reward', 'eval/reward'),
        ...accuracyCard(last),
        ...card('Held-out loss', 'loss/eval'),
        ...card('KL', 'eval/kl', 'nats per completion, '),
        tokensFigure(rows),
      ],
      diagnosis: diagnosePreferenceRun(folder),
      sections: [
        ...charts.flatMap(([title, unit, caption, lines]) =>
          linesOver(rows, title, unit, `${caption}${heldOutLines(lines) ? sampled : ''}`, lines, STEPS),
        ),
        ...tokensTable(samples),
        ...completionsTable(samples),
      ],
    };
  });
}
