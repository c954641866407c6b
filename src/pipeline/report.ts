/**
 * The report of a pipeline, from its folder: what was taught and what changed, how, completions side by side, and a
 * picture of each stage.
 */
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { PolicyEvaluationResult } from '../align/evaluation/run.ts';
import { percent, percents } from '../percent.ts';
import { duration } from '../run/progress.ts';
import type { LineChart } from '../run/report/line-chart.ts';
import type { Link, Report, Section, Table } from '../run/report.ts';
import { subtitle } from '../run/report-parts.ts';
import { readInfo } from '../run/run.ts';
import type { CompletionsRow, ModelCompletions } from './completions.ts';
import { leadOf } from './lead.ts';
import {
  type BegunStage,
  begunStages,
  changesOf,
  fixed,
  inNumbers,
  mainChange,
  nameOf,
  secondsOf,
  solvedAt,
} from './measures.ts';
import { methodDiagram } from './method.ts';
import { progressOf, type StageResult } from './state.ts';
import { trainings } from './trainings.ts';

/** The report of a pipeline. @throws HeedError if the folder is not a pipeline's. */
export function pipelineReport(run: string): Report {
  const { started } = readInfo(run);
  const progress = progressOf(run);
  const { recipe, completions } = progress;
  const begun = begunStages(progress);
  const drawn = begun.flatMap(pictures);
  const finished = begun.filter(({ result }) => result).length;
  return {
    title: recipe.name,
    lead: leadOf(recipe, begun, completions),
    subtitle: subtitle(started, `${finished} of ${recipe.stages.length} stages`, recipe.seed ?? 0),
    summary: [...begun.flatMap(card), { label: 'Time', value: duration(timeOf(begun)), note: 'of all stages' }],
    sections: [
      ...methodDiagram(recipe, begun),
      stagesTable(run, begun),
      ...overStages(begun, 'reward/true', {
        wide: true,
        title: 'True reward, stage by stage',
        caption: `Mean over completions of the world’s prompts, with the length limit and the draws of each stage: compare within a stage. No stage learns from it, unless it is the stage’s reward.`,
        yLabel: 'true reward',
      }),
      ...(completions ? completionTables(completions) : []),
      ...winRates(begun),
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
      completions: recipe.completions,
    },
  };
}

/** Seconds of all stages, as far as they are known. */
const timeOf = (begun: readonly BegunStage[]): number =>
  begun.map(secondsOf).reduce((sum, seconds) => sum + (Number.isFinite(seconds) ? seconds : 0), 0);

/** The figure that a stage is about, under the stage's name and its own. */
function card(begun: BegunStage): Report['summary'] {
  const change = mainChange(begun);
  if (!change) return [];
  const { name, from, to, format, of, interval } = change;
  const solved = name === 'return' ? solvedAt(begun) : undefined;
  const notes = [
    ...(of === undefined ? [] : [of]),
    ...(from === undefined ? [] : [`from ${format(from)}`]),
    ...(solved ? [solved] : []),
    ...(interval === undefined ? [] : [percents(interval)]),
  ];
  return [{ label: `${begun.stage.name}: ${name}`, value: format(to), note: notes.join('; ') }];
}

function stagesTable(run: string, begun: readonly BegunStage[]): Table {
  const changes = begun.map(changesOf);
  const names = COLUMNS.filter((name) => changes.some((own) => own.some((change) => change.name === name)));
  const rows = begun.map((stage, i) => {
    const { name, command } = stage.stage;
    const path = join(relative(run, stage.folder), 'report.html');
    const link: Link | string = existsSync(join(run, path)) ? { text: name, path } : name;
    const seconds = secondsOf(stage);
    const time = Number.isFinite(seconds) ? duration(seconds) : '–';
    return [
      link,
      `heed ${command}`,
      ...names.map((column) =>
        changes[i]
          .filter((change) => change.name === column)
          .map(inNumbers)
          .join(', '),
      ),
      `${time}${stage.result ? '' : ', not finished'}`,
    ];
  });
  return {
    kind: 'table',
    title: 'What each stage changed',
    caption: [
      'Before the stage → after it, in its own evaluations. Each name links to the stage’s report.',
      ...names.flatMap((name) => explanations[name] ?? []),
    ].join(' '),
    columns: ['stage', 'command', ...names, 'time'],
    rows,
  };
}

/** Names of changes, in the order of the table's columns. */
const COLUMNS = [
  ...['return', 'true reward', 'reward', 'held-out loss', 'accuracy', 'choices foreseen', 'win rate', 'KL'],
];

const explanations: Readonly<Record<string, string>> = {
  'true reward': 'Each stage measures the true reward with its own length limit and draws.',
  reward: 'The reward is that of the stage, which no other stage need share.',
  'held-out loss': 'So is the held-out loss.',
  'choices foreseen':
    'Choices foreseen are those that the reward model predicted before it learned from them: of queries chosen to be hard, half is usual.',
  'win rate': 'In a win rate, ties count half.',
  KL: 'The KL is in nats per completion, from the stage’s reference.',
};

/** A metric over all stages, one after another; empty if none has it. */
function overStages(
  begun: readonly BegunStage[],
  metric: string,
  chart: Omit<LineChart, 'kind' | 'xLabels' | 'series'>,
): LineChart[] {
  let before = 0;
  const series = begun.flatMap((one) => {
    const began = before;
    before += timeOf([one]) / 60;
    const seen = one.rows.filter((row) => metric in row);
    const x = seen.map(({ time }) => began + (time - one.rows[0].time) / 60);
    return seen.length > 0 ? [{ name: one.stage.name, x: [x], y: seen.map((row) => row[metric]) }] : [];
  });
  return series.length > 0 ? [{ kind: 'lines', xLabels: ['minutes of the pipeline'], series, ...chart }] : [];
}

function completionTables({ prompts, models }: CompletionsRow): Section[] {
  const text = ({ texts, rewards }: ModelCompletions, i: number) =>
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

function trueRewardTable(models: readonly ModelCompletions[]): Table {
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
function winRates(begun: readonly BegunStage[]): Table[] {
  const rows = begun.flatMap(({ stage: { command, settings }, result }) => {
    if (command !== 'eval policy' || !result) return [];
    const { winRate, interval, n, ties, reward, kl } = result as StageResult & Omit<PolicyEvaluationResult, 'run'>;
    return [
      [
        `${nameOf(settings.model)} against ${nameOf(settings.baseline)}`,
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
function pictures({ stage: { name, command }, folder, rows, result }: BegunStage): Section[] {
  if (!result && rows.length === 0) return []; // nothing to report yet
  const sections = trainings[command].report(folder).sections.filter(({ kind }) => kind !== 'text');
  return sections
    .filter((section, i) => i === 0 || section.kind === 'clips' || section.kind === 'scatter')
    .map((section) => ({ ...section, title: `${name}: ${section.title}`, wide: false }));
}
