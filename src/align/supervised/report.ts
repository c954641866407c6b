/** The report of a training by maximum likelihood, from the run's folder. */

import type { Diagnosis } from '../../run/diagnosis.ts';
import type { LineChart } from '../../run/report/line-chart.ts';
import type { Report } from '../../run/report.ts';
import {
  counted,
  linesOver,
  reportRun,
  sampleCaption,
  seriesOf,
  tokensFigure,
  trainingAndHeldOut,
} from '../../run/report-parts.ts';
import type { MetricsRow } from '../../run/run.ts';
import { diagnoseRun } from '../diagnosis/run.ts';
import { diagnoseSupervised } from '../diagnosis/supervised.ts';
import { tokensTable } from '../examples/token-rows.ts';
import { completionsTable } from '../training/samples.ts';

const STEPS = ['optimizer steps'];

const KINDS: Readonly<Record<string, string>> = {
  sft: 'supervised fine-tuning',
  pretrain: 'pretraining',
  distill: 'distillation',
};

/** The diagnosis of such a run: the one it stored, or one of the rows so far. */
export const diagnoseTextRun = (folder: string): Diagnosis => diagnoseRun(folder, diagnoseSupervised);

/** The report of a run of `heed sft`, `heed pretrain` or `heed distill`. @throws HeedError when the folder is not a run. */
export function languageReport(folder: string): Report {
  return reportRun(folder, ({ command, config, rows, samples }) => {
    const { divergence = 'none' } = config as { divergence?: string };
    const evaluated = rows.filter((row) => 'loss/eval' in row);
    const [first, last] = [evaluated[0], evaluated.at(-1)];
    const best = evaluated.slice(1).reduce<MetricsRow | undefined>(lower, undefined);
    const one = (metric: string, title: string, yLabel: string, caption: string) =>
      linesOver(rows, title, yLabel, caption, [[title, metric]], STEPS);
    return {
      how: KINDS[command] ?? command,
      summary: [
        ...(last
          ? card('Held-out loss', last['loss/eval'].toFixed(3), `nats per token, ${from(first)}${intervalOf(last)}`)
          : []),
        ...(last && 'perplexity' in last
          ? card('Perplexity', last.perplexity.toFixed(2), `from ${first.perplexity.toFixed(2)}`)
          : []),
        tokensFigure(rows),
      ],
      diagnosis: diagnoseTextRun(folder),
      sections: [
        lossChart(rows, best, divergence === 'none' ? '−log p' : 'divergence from the teacher'),
        ...tokensTable(samples),
        ...completionsTable(samples),
        ...one('reward/true', 'True reward', 'reward', 'Mean over completions of all prompts of the embedded world.'),
        ...one('text/accepted', 'Well-formed sentences', 'share', 'Share of sentences that the grammar accepts.'),
        ...one(
          'text/coherent',
          'Coherent texts',
          'share',
          'Share of texts that the grammar could have written as a whole.',
        ),
        ...one('gradient/norm', 'Norm of the gradient', 'norm', 'Before clipping, of all parameters together.'),
        ...one('learning_rate', 'Learning rate', 'rate', 'By the schedule.'),
      ],
    };
  });
}

const card = (label: string, value: string, note: string) => [{ label, value, note }];

/** The 95 % interval of the held-out loss, and of how many texts it is. */
const intervalOf = (row: MetricsRow): string =>
  'loss/low' in row
    ? `; ${row['loss/low'].toFixed(3)} to ${row['loss/high'].toFixed(3)}, ${counted(row['data/heldOut'], 'texts', row['data/heldOutOf'])}`
    : '';

const from = (row: MetricsRow) => `from ${row['loss/eval'].toFixed(3)}`;

const lower = (best: MetricsRow | undefined, row: MetricsRow) =>
  best && best['loss/eval'] <= row['loss/eval'] ? best : row;

function lossChart(rows: readonly MetricsRow[], best: MetricsRow | undefined, what: string): LineChart {
  const entropy = rows.find((row) => 'loss/entropy' in row)?.['loss/entropy'];
  return {
    kind: 'lines',
    wide: true,
    title: 'Loss',
    caption: `Mean ${what} of a learned token.${best ? ` The lowest held-out loss is ${best['loss/eval'].toFixed(3)}, after step ${best.step}.` : ''}${sampleCaption(rows, 'texts')}`,
    xLabels: STEPS,
    yLabel: 'nats per token',
    series: seriesOf(rows, trainingAndHeldOut('loss')),
    levels: entropy === undefined ? [] : [{ y: entropy, label: 'entropy of the text' }],
  };
}
