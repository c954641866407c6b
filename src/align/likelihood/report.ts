/** The report of a training of a language model, from what its folder holds. */
import {
  type LineChart,
  type MetricsRow,
  type Report,
  readInfo,
  readMetrics,
  readSamples,
  type Section,
} from '../../run/index.ts';
import { count } from '../../run/progress.ts';
import { chart, elapsed, subtitle } from '../../run/report-parts.ts';
import type { SampleRow } from './train.ts';

const STEPS = ['optimiser steps'];

/** Throws a HeedError where the folder is not a run. */
export function languageReport(folder: string): Report {
  const { name, command, config, seed, started } = readInfo(folder);
  const rows = readMetrics(folder);
  const evaluated = rows.filter((row) => 'loss/eval' in row);
  const [first, last] = [evaluated[0], evaluated.at(-1)];
  const best = evaluated.slice(1).reduce<MetricsRow | undefined>(lower, undefined);
  const samples = readSamples(folder) as unknown as SampleRow[];
  const one = (metric: string, title: string, yLabel: string, caption: string) =>
    rows.some((row) => metric in row) ? [chart(rows, metric, title, yLabel, caption, STEPS)] : [];
  return {
    title: name,
    subtitle: subtitle(started, command === 'sft' ? 'supervised fine-tuning' : 'pretraining', seed),
    summary: [
      ...(last
        ? [
            { label: 'Held-out loss', value: last['loss/eval'].toFixed(3), note: `nats a token, ${from(first)}` },
            { label: 'Perplexity', value: last.perplexity.toFixed(2), note: `from ${first.perplexity.toFixed(2)}` },
          ]
        : []),
      { label: 'Tokens', value: count(rows.findLast((row) => 'tokens' in row)?.tokens ?? 0), note: 'without padding' },
      { label: 'Time', value: elapsed(rows) },
    ],
    sections: [
      lossChart(rows, best),
      ...answers(samples),
      ...one('reward/true', 'True reward', 'reward', 'Mean over answers to all of the world’s prompts.'),
      ...one(
        'text/accepted',
        'Well-formed sentences',
        'share',
        'Share of the answers’ sentences that the grammar knows.',
      ),
      ...one(
        'text/coherent',
        'Coherent texts',
        'share',
        'Share of texts that the grammar could have written as a whole.',
      ),
      ...one('gradient/norm', 'Norm of the gradient', 'norm', 'Before clipping, of all parameters together.'),
      ...one('learning_rate', 'Learning rate', 'rate', 'What the schedule gave each step.'),
    ],
    config: config as Record<string, unknown>,
  };
}

const from = (row: MetricsRow) => `from ${row['loss/eval'].toFixed(3)}`;

const lower = (best: MetricsRow | undefined, row: MetricsRow) =>
  best && best['loss/eval'] <= row['loss/eval'] ? best : row;

function lossChart(rows: readonly MetricsRow[], best: MetricsRow | undefined): LineChart {
  const series = [
    ['training', 'loss/train'],
    ['held out', 'loss/eval'],
  ].map(([name, metric]) => {
    const seen = rows.filter((row) => metric in row);
    return { name, x: [seen.map(({ step }) => step)], y: seen.map((row) => row[metric]) };
  });
  const entropy = rows.find((row) => 'loss/entropy' in row)?.['loss/entropy'];
  return {
    kind: 'lines',
    wide: true,
    title: 'Loss',
    caption: `Mean −log p of a learnt token.${best ? ` The lowest held-out loss is ${best['loss/eval'].toFixed(3)}, after step ${best.step}.` : ''}`,
    xLabels: STEPS,
    yLabel: 'nats a token',
    series: series.filter(({ y }) => y.length > 0),
    levels: entropy === undefined ? [] : [{ y: entropy, label: 'entropy of the text' }],
  };
}

/** What was answered first and last to the same prompts, by the same draws. */
function answers(samples: readonly SampleRow[]): Section[] {
  const steps = [...new Set(samples.map(({ step }) => step))];
  if (steps.length === 0) return [];
  const [before, after] = [steps[0], steps.at(-1)].map((step) => samples.filter((sample) => sample.step === step));
  const referenced = before.some(({ reference }) => reference !== undefined);
  return [
    {
      kind: 'table',
      title: 'Answers before and after',
      caption: `The same draws, at step ${steps[0]} and at step ${steps.at(-1)}.`,
      columns: ['prompt', 'before', 'after', ...(referenced ? ['in the data'] : [])],
      rows: before.map(({ prompt, text, reference = '' }, i) => [
        prompt,
        text,
        after[i]?.text ?? '',
        ...(referenced ? [reference] : []),
      ]),
    },
  ];
}
