/** Best of n in a run's folder: what was drawn, a dataset of the best, and what more answers bring. */
import { join } from 'node:path';
import { writeDataset } from '../../data/index.ts';
import {
  driveRun,
  type LineChart,
  type Report,
  readInfo,
  readMetrics,
  readSamples,
  type Table,
  type TrainParts,
} from '../../run/index.ts';
import { figure } from '../../run/progress.ts';
import { elapsed, subtitle } from '../../run/report-parts.ts';
import { type BestOf, type BestOfN, type BestOfNStep, bestOf, bestRow, type Drawn, drawnMetrics } from './best-of-n.ts';

export interface BestOfNRun {
  /** The run's folder. */
  run: string;
  /** The model that answered. */
  model: string;
  /** The best answer to each prompt, as prompt-completion rows. */
  data: string;
  /** Mean reward of an answer, and of the best. */
  reward: { before: number; after: number };
  /** Likewise by the second reward. */
  gold?: { before: number; after: number };
  /** From the model, in nats an answer. */
  kl: number;
  steps: number;
  seconds: number;
  curve: BestOf[];
}

/** A row of samples.jsonl: all that was drawn for a prompt. */
type DrawnRow = { kind: 'drawn'; step: number; index: number } & Drawn;

/**
 * Draws in a run's folder, of which best.jsonl is what comes. Goes on from the run's newest checkpoint where it has one. Undefined
 * where the signal stopped it.
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
  // of a run that was over already, the learner has drawn nothing
  if (result)
    await writeDataset(
      data,
      (readSamples(run.folder) as unknown as DrawnRow[]).map((row) => ({ ...bestRow(row) })),
    );
  return result && { ...result, data };
}

/** Throws a HeedError where the folder is not a run. */
export function bestOfNReport(folder: string): Report {
  const { name, config, seed, started } = readInfo(folder);
  const rows = readMetrics(folder);
  const drawn = readSamples(folder) as unknown as DrawnRow[];
  const curve = drawn.length > 0 ? bestOf(drawn) : [];
  const last = curve.at(-1);
  return {
    title: name,
    subtitle: subtitle(started, 'best of n', seed),
    summary: [
      ...(last
        ? [
            { label: `Best of ${last.n}`, value: figure(last.reward), note: `from ${figure(curve[0].reward)}` },
            { label: 'KL', value: figure(last.kl), note: 'nats an answer' },
          ]
        : []),
      { label: 'Prompts', value: drawn.length },
      { label: 'Time', value: elapsed(rows) },
    ],
    sections: last ? [frontier(curve), numbers(curve), answers(drawn)] : [],
    config: config as Record<string, unknown>,
  };
}

function frontier(curve: readonly BestOf[]): LineChart {
  const x = [curve.map(({ kl }) => Math.sqrt(kl)), curve.map(({ n }) => n)];
  return {
    kind: 'lines',
    wide: true,
    title: 'Reward of the best',
    caption: 'Of n answers to a prompt, the mean over prompts.',
    xLabels: ['√KL', 'n'],
    yLabel: 'reward',
    series: [
      { name: 'reward', x, y: curve.map(({ reward }) => reward) },
      ...(curve[0].gold === undefined ? [] : [{ name: 'second reward', x, y: curve.map(({ gold }) => gold!) }]),
    ],
  };
}

const numbers = (curve: readonly BestOf[]): Table => ({
  kind: 'table',
  title: 'In numbers',
  columns: ['n', 'KL', 'reward', ...(curve[0].gold === undefined ? [] : ['second reward'])],
  rows: curve.map(({ n, kl, reward, gold }) => [
    n,
    figure(kl),
    figure(reward),
    ...(gold === undefined ? [] : [figure(gold)]),
  ]),
});

const SHOWN = 8;

const answers = (drawn: readonly Drawn[]): Table => ({
  kind: 'table',
  title: 'The first answer and the best',
  columns: ['prompt', 'first', 'reward', 'best', 'reward'],
  rows: drawn
    .slice(0, SHOWN)
    .map(({ prompt, first, best, rewards }) => [prompt, first, figure(rewards[0]), best, figure(Math.max(...rewards))]),
});
