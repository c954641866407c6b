/** Best of n in a run's folder: all completions, a dataset of the best, and what more completions would gain. */

import { writeDataset } from '../../data/write.ts';
import { join } from '../../node.ts';
import { driveRun, type TrainParts } from '../../run/drive.ts';
import { duration, figure } from '../../run/progress.ts';
import type { LineChart } from '../../run/report/line-chart.ts';
import type { Report } from '../../run/report.ts';
import { reportRun, tableOf } from '../../run/report-parts.ts';
import { readSamples } from '../../run/run.ts';
import { named, opened, type TrainingRecord } from '../../run/training-record.ts';
import { policyRecord } from '../policies/record.ts';
import {
  type BestOf,
  type BestOfN,
  type BestOfNStep,
  bestOf,
  bestOfNSchema,
  bestRow,
  createBestOfN,
  type Drawn,
  drawnMetrics,
} from './best-of-n.ts';
import { createRaft, raftSchema } from './raft.ts';
import { createRest, restSchema } from './rest.ts';

export const raft = policyRecord('raft', raftSchema, createRaft);
export const rest = policyRecord('rest', restSchema, createRest);

export const bestOfN: TrainingRecord = {
  name: 'best-of-n',
  ...opened(bestOfNSchema, createBestOfN),
  about: named.about,
  train: trainBestOfN,
  report: bestOfNReport,
  summarize: ({ curve, data, seconds }: BestOfNRun) => [
    ...curve.map(({ n, kl, reward, gold }): [string, string] => [
      n === 1 ? 'reward' : `best of ${n}`,
      `${figure(reward)}${gold === undefined ? '' : `, by the second reward ${figure(gold)}`} (KL ${figure(kl)})`,
    ]),
    ['time', duration(seconds)],
    ['completions', data],
  ],
  live: ({ drawn }: BestOfNStep) => ({
    'reward of the best': drawn.reduce((sum, { rewards }) => sum + Math.max(...rewards), 0) / drawn.length,
  }),
  product: 'a dataset',
  path: 'best.jsonl',
};

/** The result of `trainBestOfN`. */
export interface BestOfNRun {
  /** The run's folder. */
  run: string;
  /** The model that wrote the completions: a folder, a GGUF file or a name on the Hub. */
  model: string;
  /** Path of the dataset of the best completions, as prompt-completion rows. */
  data: string;
  /** Mean reward of a single completion, and of the best of all. */
  reward: { before: number; after: number };
  /** The same by the second reward. */
  gold?: { before: number; after: number };
  /** KL from the model, in nats per completion. */
  kl: number;
  /** Steps taken, a batch of prompts each. */
  steps: number;
  /** Seconds that the run took. */
  seconds: number;
  /** Expected rewards of the best of 1, 2, 4, … and all completions. */
  curve: BestOf[];
}

/** A row of samples.jsonl: the completions of one prompt. */
type DrawnRow = { kind: 'drawn'; step: number; index: number } & Drawn;

/**
 * Runs best of n in a run's folder and writes the best completions to best.jsonl. Resumes from the run's newest
 * checkpoint. Returns undefined when the signal stops it.
 */
export async function trainBestOfN(learner: BestOfN, parts: TrainParts<BestOfNStep>): Promise<BestOfNRun | undefined> {
  const { run } = parts;
  const data = join(run.folder, 'best.jsonl');
  const result = await driveRun(learner, {
    ...parts,
    before: () => ({}),
    record({ step, drawn }) {
      for (const [index, one] of drawn.entries()) run.sample({ kind: 'drawn', step, index, ...one } satisfies DrawnRow);
      return drawnMetrics(learner.drawn());
    },
    result({ step }, seconds): BestOfNRun {
      const curve = bestOf(learner.drawn());
      const [first, last] = [curve[0], curve.at(-1)!];
      return {
        run: run.folder,
        model: learner.options.model,
        data,
        reward: { before: first.reward, after: last.reward },
        ...(last.gold !== undefined && { gold: { before: first.gold!, after: last.gold } }),
        kl: last.kl,
        steps: step,
        seconds,
        curve,
      };
    },
  });
  // a run that was already complete has its completions in samples.jsonl only
  if (result)
    await writeDataset(
      data,
      (readSamples(run.folder) as unknown as DrawnRow[]).map((row) => ({ ...bestRow(row) })),
    );
  return result && { ...result, data };
}

/** The report of a best-of-n run. @throws HeedError when the folder is not a run. */
export function bestOfNReport(folder: string): Report {
  return reportRun(folder, ({ samples }) => {
    const drawn = samples as unknown as DrawnRow[];
    const curve = drawn.length > 0 ? bestOf(drawn) : [];
    const last = curve.at(-1);
    return {
      how: 'best of n',
      summary: [
        ...(last
          ? [
              { label: `Best of ${last.n}`, value: figure(last.reward), note: `from ${figure(curve[0].reward)}` },
              { label: 'KL', value: figure(last.kl), note: 'nats per completion' },
            ]
          : []),
        { label: 'Prompts', value: drawn.length },
      ],
      sections: last ? [frontier(curve), ...numbers(curve), ...completions(drawn)] : [],
    };
  });
}

function frontier(curve: readonly BestOf[]): LineChart {
  const x = [curve.map(({ kl }) => Math.sqrt(kl)), curve.map(({ n }) => n)];
  return {
    kind: 'lines',
    wide: true,
    title: 'Reward of the best',
    caption: 'The best of n completions of a prompt, mean over prompts.',
    xLabels: ['√KL', 'n'],
    yLabel: 'reward',
    series: [
      { name: 'reward', x, y: curve.map(({ reward }) => reward) },
      ...(curve[0].gold === undefined ? [] : [{ name: 'second reward', x, y: curve.map(({ gold }) => gold!) }]),
    ],
  };
}

function numbers(curve: readonly BestOf[]) {
  const columns = ['n', 'KL', 'reward', ...(curve[0].gold === undefined ? [] : ['second reward'])];
  const rows = curve.map(({ n, kl, reward, gold }) => [n, ...[kl, reward, gold].flatMap((x) => x ?? []).map(figure)]);
  return tableOf('In numbers', columns, rows);
}

const SHOWN = 8;

function completions(drawn: readonly Drawn[]) {
  const rows = drawn
    .slice(0, SHOWN)
    .map(({ prompt, first, best, rewards }) => [prompt, first, figure(rewards[0]), best, figure(Math.max(...rewards))]);
  return tableOf('The first completion and the best', ['prompt', 'first', 'reward', 'best', 'reward'], rows);
}
