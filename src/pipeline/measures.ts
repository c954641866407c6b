/** What a stage of a pipeline changed, under names that say what each number is. */
import { basename } from 'node:path';
import { percent } from '../percent.ts';
import { solvedFrom } from '../rl/report.ts';
import { trainingSeconds } from '../run/drive.ts';
import { isRun, type MetricsRow, readInfo, readMetrics, readSamples } from '../run/run.ts';
import type { Stage } from './recipe.ts';
import type { PipelineProgress, StageResult } from './state.ts';
import { trainings } from './trainings.ts';

/** A stage that has begun, as its folder has it. */
export interface BegunStage {
  stage: Stage;
  folder: string;
  /** The command's settings, defaults filled in. */
  config: Readonly<Record<string, unknown>>;
  rows: MetricsRow[];
  result?: StageResult;
}

/** A figure of a stage, before it and after it. */
export interface MeasuredChange {
  /** Such as "true reward"; the column that has it. */
  name: string;
  /** Before the stage; absent if there was nothing to measure yet. */
  from?: number;
  to: number;
  format(value: number): string;
  /** What a share is of: accuracies of different kinds stand in one column. */
  note?: string;
  /** Its 95 % interval, of a share. */
  interval?: readonly number[];
}

/** The stages of a pipeline that have begun, in their order. */
export const begunStages = ({ recipe, stages }: PipelineProgress): BegunStage[] =>
  recipe.stages.flatMap((stage): BegunStage[] => {
    const { folder, result } = stages.get(stage.name) ?? {};
    if (!folder || !isRun(folder)) return [];
    const config = (readInfo(folder).config ?? {}) as Record<string, unknown>;
    return [{ stage, folder, config, rows: rowsOf(folder, config), result }];
  });

/** Metrics of a stage. A training on the true reward has that under the name of its evaluation reward. */
function rowsOf(folder: string, { reward = 'reviews', data, env, agent }: BegunStage['config']): MetricsRow[] {
  const isTrue = reward === 'reviews' && [data, env, agent].every((elsewhere) => elsewhere === undefined);
  return readMetrics(folder).map((row) => {
    if (!isTrue || !('eval/reward' in row)) return row;
    const { 'eval/reward': truth, ...others } = row;
    return { ...others, 'reward/true': truth } as MetricsRow;
  });
}

/** Training time of a stage in seconds; NaN if it is unknown. */
export const secondsOf = ({ result, folder, rows }: BegunStage): number =>
  result?.seconds ?? trainingSeconds(folder, rows);

/** A number with a true minus sign, which zero has not. */
export function fixed(value: number, digits = 2): string {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace('-', '') : text.replace('-', '−');
}

interface Measure {
  name: string;
  metric: string;
  format?: (value: number) => string;
  note?: (stage: Stage) => string;
  /** Only the last value means something: a running mean, or what says nothing before the first step. */
  lastOnly?: boolean;
}

const share = (value: number): string => percent(value);

/** Figures that stages change, in the order of the report's columns. */
const measures: Measure[] = [
  { name: 'return', metric: 'return/mean', format: (value) => fixed(value, 1) },
  { name: 'true reward', metric: 'reward/true' },
  { name: 'reward', metric: 'eval/reward' },
  { name: 'held-out loss', metric: 'loss/eval', format: (value) => fixed(value, 3) },
  {
    name: 'accuracy',
    metric: 'reward/held_out_accuracy',
    format: share,
    lastOnly: true,
    note: () => 'of random pairs of clips',
  },
  {
    name: 'accuracy',
    metric: 'accuracy/eval',
    format: share,
    note: ({ command }) => (command === 'process' ? 'of held-out steps' : 'of held-out comparisons'),
  },
  {
    name: 'accuracy',
    metric: 'eval/rewards/accuracies',
    format: share,
    lastOnly: true,
    note: () => 'of held-out comparisons',
  },
  { name: 'choices foreseen', metric: 'reward/foreseen', format: share, lastOnly: true },
  { name: 'KL', metric: 'eval/kl', lastOnly: true },
];

/** What a stage changed, in the order of the report's columns. */
export function changesOf({ stage, rows, result }: BegunStage): MeasuredChange[] {
  const measured = measures.flatMap(({ name, metric, format = fixed, note, lastOnly }): MeasuredChange[] => {
    const seen = rows.map((row) => row[metric]).filter(Number.isFinite);
    if (seen.length === 0) return [];
    const from = seen.length > 1 && !lastOnly ? { from: seen[0] } : {};
    return [{ name, ...from, to: seen.at(-1)!, format, note: note?.(stage) }];
  });
  const known = measured.some(({ name }) => name === 'accuracy');
  // how many choices a reward foresaw is of little use where its accuracy is known
  return [...measured.filter(({ name }) => !known || name !== 'choices foreseen'), ...judgedBy(stage, result)];
}

/** What an evaluation found, which trains nothing. */
function judgedBy({ command, settings }: Stage, result: StageResult | undefined): MeasuredChange[] {
  const { winRate, accuracy, interval } = (result ?? {}) as {
    winRate?: number;
    accuracy?: number;
    interval?: number[];
  };
  if (command === 'eval policy' && winRate !== undefined) {
    return [
      { name: 'win rate', to: winRate, format: share, note: `against ${stageLabel(settings.baseline)}`, interval },
    ];
  }
  if (command === 'eval reward' && accuracy !== undefined) {
    return [
      { name: 'accuracy', to: accuracy, format: share, note: `of the pairs in ${stageLabel(settings.data)}`, interval },
    ];
  }
  return [];
}

/** A model, a reward or data in a recipe, by the name of its stage or of its file. */
export const stageLabel = (value: unknown): string => {
  const text = String(value);
  if (text.startsWith('@')) return text.slice(1).split('/')[0];
  const [, run] = /([^\\/]+)[\\/](?:model|best)[\\/]?$/.exec(text) ?? []; // a run's folder tells more than what is in it
  return run ?? basename(text);
};

/** The figure that a stage is about; undefined if there is none yet. */
export function mainChange(begun: BegunStage): MeasuredChange | undefined {
  const { product } = trainings[begun.stage.command];
  const names = product === 'a reward model' ? ['accuracy'] : ['win rate', 'return', 'true reward', 'reward'];
  const changes = changesOf(begun);
  return [...names, 'accuracy', 'held-out loss']
    .map((wanted) => changes.find(({ name }) => name === wanted))
    .find((change) => change !== undefined);
}

/** A change on one line: "66.3 → 499.9", "69.5 % → 85.8 % of held-out comparisons". */
export const inNumbers = ({ from, to, format, note }: MeasuredChange): string =>
  `${from === undefined ? '' : `${format(from)} → `}${format(to)}${note === undefined ? '' : ` ${note}`}`;

/** From which return a stage's environment counts as solved: "solved at 475"; undefined if that is unknown. */
export function solvedAt({ folder }: Pick<BegunStage, 'folder'>): string | undefined {
  const threshold = solvedFrom(readSamples(folder));
  return threshold === undefined ? undefined : `solved at ${threshold}`;
}
