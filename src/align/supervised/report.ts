/** The report of a training by maximum likelihood, from the run's folder. */

import type { Diagnosis } from '../../run/diagnosis.ts';
import { count } from '../../run/progress.ts';
import type { LineChart } from '../../run/report/line-chart.ts';
import type { Report } from '../../run/report.ts';
import {
  counted,
  diagnosisSection,
  linesOver,
  sampleCaption,
  seriesOf,
  subtitle,
  timeFigure,
  trainingAndHeldOut,
} from '../../run/report-parts.ts';
import { type MetricsRow, readInfo, readMetrics, readSamples } from '../../run/run.ts';
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
  const { name, command, config, seed, started } = readInfo(folder);
  const { divergence = 'none' } = config as { divergence?: string };
  const rows = readMetrics(folder);
  const samples = readSamples(folder) as { kind: string }[];
  const evaluated = rows.filter((row) => 'loss/eval' in row);
  const [first, last] = [evaluated[0], evaluated.at(-1)];
  const best = evaluated.slice(1).reduce<MetricsRow | undefined>(lower, undefined);
  const one = (metric: string, title: string, yLabel: string, caption: string) =>
    linesOver(rows, title, yLabel, caption, [[title, metric]], STEPS);
  return {
    title: name,
    subtitle: subtitle(started, KINDS[command] ?? command, seed),
    summary: [
      ...(last
        ? [
            {
              label: 'Held-out loss',
              value: last['loss/eval'].toFixed(3),
              note: `nats per token, ${from(first)}${intervalOf(last)}`,
            },
            ...('perplexity' in last
              ? [
                  {
                    label: 'Perplexity',
                    value: last.perplexity.toFixed(2),
                    note: `from ${first.perplexity.toFixed(2)}`,
                  },
                ]
              : []),
          ]
        : []),
      { label: 'Tokens', value: count(rows.findLast((row) => 'tokens' in row)?.tokens ?? 0), note: 'without padding' },
      timeFigure(folder, rows),
    ],
    sections: [
      diagnosisSection(diagnoseTextRun(folder)),
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
    config: config as Record<string, unknown>,
  };
}

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
