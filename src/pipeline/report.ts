/**
 * The report of a pipeline, from its folder: what each stage changed, completions side by side, and a picture of each
 * stage.
 */
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { PolicyEvaluationResult } from '../align/evaluation/run.ts';
import { percent, percents } from '../percent.ts';
import { duration } from '../run/progress.ts';
import type { LineChart } from '../run/report/line-chart.ts';
import type { Link, Report, Section, Table } from '../run/report.ts';
import { subtitle } from '../run/report-parts.ts';
import { isRun, type MetricsRow, readInfo, readMetrics } from '../run/run.ts';
import type { AnswersRow, ModelAnswers } from './answers.ts';
import type { Recipe } from './recipe.ts';
import { progressOf, type StageResult } from './state.ts';
import { trainings } from './trainings/trainings.ts';

/** A stage that has begun. */
interface StageReport {
  name: string;
  command: string;
  folder: string;
  rows: MetricsRow[];
  result?: StageResult;
}

/** Figures that stages change: their metrics and format. */
const measures: [label: string, metrics: string[], format: (value: number) => string][] = [
  ['return', ['return/mean'], (value) => fixed(value, 1)],
  ['true reward', ['reward/true'], fixed],
  ['reward', ['eval/reward'], fixed],
  ['loss', ['loss/eval'], (value) => fixed(value, 3)],
  ['accuracy', ['accuracy/eval', 'eval/rewards/accuracies', 'reward/accuracy'], percent],
  ['KL', ['eval/kl'], fixed],
];

function fixed(value: number, digits = 2): string {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace('-', '') : text.replace('-', '−');
}

/** The report of a pipeline. @throws HeedError if the folder is not a pipeline's. */
export function pipelineReport(run: string): Report {
  const { started } = readInfo(run);
  const { recipe, stages, answers } = progressOf(run);
  const begun = recipe.stages.flatMap(({ name, command }): StageReport[] => {
    const { folder, result } = stages.get(name) ?? {};
    return folder && isRun(folder) ? [{ name, command, folder, result, rows: rowsOf(folder) }] : [];
  });
  const drawn = begun.flatMap(pictures);
  const finished = begun.filter(({ result }) => result).length;
  return {
    title: recipe.name,
    subtitle: subtitle(started, `${finished} of ${recipe.stages.length} stages`, recipe.seed ?? 0),
    summary: [
      ...begun.flatMap(cards),
      { label: 'Time', value: duration(begun.reduce((sum, stage) => sum + secondsOf(stage), 0)) },
    ],
    sections: [
      stagesTable(run, begun),
      ...overStages(begun, 'reward/true', {
        wide: true,
        title: 'True reward, stage by stage',
        caption:
          'Mean over completions of the world’s prompts. No stage learns from it, unless it is the stage’s reward.',
        yLabel: 'true reward',
      }),
      ...(answers ? completionTables(answers) : []),
      ...winRates(recipe, begun),
      ...drawn.filter(({ kind }) => kind !== 'clips'),
      ...overStages(begun, 'kl/mean', {
        title: 'KL from the reference',
        caption: 'Mean KL along the training completions.',
        yLabel: 'nats per completion',
      }),
      ...drawn.filter(({ kind }) => kind === 'clips'),
    ],
    config: {
      ...Object.fromEntries(recipe.stages.map(({ name, command, settings }) => [name, { command, ...settings }])),
      answers: recipe.answers,
    },
  };
}

/** Metrics of a stage. Preference training reports the true reward under the name of its evaluation reward. */
function rowsOf(folder: string): MetricsRow[] {
  const { reward, data } = readInfo(folder).config as { reward?: string; data?: string };
  const isTrue = data === undefined && (reward ?? 'reviews') === 'reviews';
  return readMetrics(folder).map((row) => {
    if (!isTrue || !('eval/reward' in row)) return row;
    const { 'eval/reward': truth, ...others } = row;
    return { ...others, 'reward/true': truth } as MetricsRow;
  });
}

/** For these, only the last value is meaningful: one is a running mean, one is undefined before the first step. */
const lastOnly = ['reward/accuracy', 'eval/rewards/accuracies'];

/** The first and the last value of a metric in a run. */
function ends(rows: readonly MetricsRow[], metrics: readonly string[]): number[] {
  for (const metric of metrics) {
    const seen = rows.filter((row) => Number.isFinite(row[metric])).map((row) => row[metric]);
    if (seen.length > 0)
      return seen.length === 1 || lastOnly.includes(metric) ? [seen.at(-1)!] : [seen[0], seen.at(-1)!];
  }
  return [];
}

/** Training time in seconds; for an unfinished stage, the time between its rows. */
const secondsOf = ({ result, rows }: StageReport): number =>
  result?.seconds ?? (rows.length > 1 ? rows.at(-1)!.time - rows[0].time : 0);

/** The main figure of a stage. */
function cards({ name, command, rows, result }: StageReport): Report['summary'] {
  if (typeof result?.winRate === 'number') return [{ label: 'Win rate', value: percent(result.winRate), note: name }];
  const { product } = trainings[command];
  const of = (labels: readonly string[]) => measures.filter(([label]) => labels.includes(label));
  const [found] = of(product === 'a reward model' ? ['accuracy'] : ['return', 'true reward', 'reward', 'loss']).filter(
    ([, metrics]) => ends(rows, metrics).length > 0,
  );
  if (!found) return [];
  const [label, metrics, format] = found;
  const values = ends(rows, metrics);
  const from = values.length > 1 ? `, from ${format(values[0])}` : '';
  return [{ label: `${label[0].toUpperCase()}${label.slice(1)}`, value: format(values.at(-1)!), note: name + from }];
}

function stagesTable(run: string, begun: readonly StageReport[]): Table {
  const shown = measures.filter(([, metrics]) => begun.some(({ rows }) => ends(rows, metrics).length > 0));
  const rows = begun.map((stage) => {
    const { name, command, folder, rows } = stage;
    const path = join(relative(run, folder), 'report.html');
    const link: Link | string = existsSync(join(run, path)) ? { text: name, path } : name;
    const changed = shown.map(([, metrics, format]) =>
      ends(rows, metrics)
        .map((value) => format(value))
        .join(' → '),
    );
    return [
      link,
      `heed ${command}`,
      ...changed,
      `${duration(secondsOf(stage))}${stage.result ? '' : ', not finished'}`,
    ];
  });
  return {
    kind: 'table',
    title: 'What each stage changed',
    caption:
      'Before the stage → after it, in its own evaluations. Accuracy is on held-out comparisons, KL in nats per completion from the stage’s reference. Each name links to the stage’s report.',
    columns: ['stage', 'command', ...shown.map(([label]) => label), 'time'],
    rows,
  };
}

/** A metric over all stages, one after another; empty if none has it. */
function overStages(
  begun: readonly StageReport[],
  metric: string,
  chart: Omit<LineChart, 'kind' | 'xLabels' | 'series'>,
): LineChart[] {
  let before = 0;
  const series = begun.flatMap((stage) => {
    const began = before;
    before += secondsOf(stage) / 60;
    const seen = stage.rows.filter((row) => metric in row);
    const x = seen.map(({ time }) => began + (time - stage.rows[0].time) / 60);
    return seen.length > 0 ? [{ name: stage.name, x: [x], y: seen.map((row) => row[metric]) }] : [];
  });
  return series.length > 0 ? [{ kind: 'lines', xLabels: ['minutes of the pipeline'], series, ...chart }] : [];
}

function completionTables({ prompts, models }: AnswersRow): Section[] {
  const text = ({ texts, rewards }: ModelAnswers, i: number) =>
    rewards ? `${texts[i]} (${fixed(rewards[i], 1)})` : texts[i];
  const judged = models.filter(({ reward }) => reward);
  return [
    {
      kind: 'table',
      title: 'The same prompts, model by model',
      caption: `With the same random numbers.${judged.length > 0 ? ' In brackets: the true reward.' : ''}`,
      columns: ['prompt', ...models.map(({ name }) => name)],
      rows: prompts.map((prompt, i) => [prompt, ...models.map((model) => text(model, i))]),
    },
    ...(judged.length > 0 ? [trueRewardTable(judged)] : []),
  ];
}

function trueRewardTable(models: readonly ModelAnswers[]): Table {
  const interval = ([low, high]: readonly number[]) => `${fixed(low)} to ${fixed(high)}`;
  return {
    kind: 'table',
    title: 'True reward of the models’ completions',
    caption: `Mean true reward over one completion of each of the world’s ${models[0].reward!.n} prompts.`,
    columns: ['model', 'true reward', '95 % interval', 'well-formed sentences'],
    rows: models.map(({ name, reward, measures }) => [
      name,
      fixed(reward!.mean),
      interval(reward!.interval),
      percent(measures!['text/accepted']),
    ]),
  };
}

/** The results of `heed eval policy`, under the names in the recipe. */
function winRates({ stages }: Recipe, begun: readonly StageReport[]): Table[] {
  const rows = begun.flatMap(({ name, command, result }) => {
    if (command !== 'eval policy' || !result) return [];
    const { winRate, interval, n, ties, reward, kl } = result as StageResult & Omit<PolicyEvaluationResult, 'run'>;
    const { model, baseline } = stages.find((stage) => stage.name === name)!.settings;
    return [
      [
        `${model} against ${baseline}`,
        percent(winRate),
        percents(interval),
        `${n}, ${ties} of them ties`,
        reward ? `${fixed(reward.difference)} (${reward.interval.map((end) => fixed(end)).join(' to ')})` : '',
        kl === undefined ? '' : fixed(kl),
      ],
    ];
  });
  if (rows.length === 0) return [];
  return [
    {
      kind: 'table',
      title: 'Win rates',
      caption:
        'Completions of the same prompts, compared in pairs. 95 % intervals; KL in nats per completion from the baseline.',
      columns: ['who', 'win rate', '95 % interval', 'prompts', 'more reward', 'KL'],
      rows,
    },
  ];
}

/** From each stage's own report: the first picture, which is the main one, and clips and scatter plots. */
function pictures({ name, command, folder, rows, result }: StageReport): Section[] {
  if (!result && rows.length === 0) return []; // nothing to report yet
  const sections = trainings[command].report(folder).sections.filter(({ kind }) => kind !== 'text');
  return sections
    .filter((section, i) => i === 0 || section.kind === 'clips' || section.kind === 'scatter')
    .map((section) => ({ ...section, title: `${name}: ${section.title}`, wide: false }));
}
