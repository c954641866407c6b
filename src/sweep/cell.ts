/** A cell: one training of many that are compared, with one seed; and what it comes to. */
import { existsSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type LearnSettings, openLearner, trainOptions, trainSchema } from '../control/index.ts';
import { type Evaluation, openRlLearner } from '../rl/index.ts';
import { type RlSettings, returnMetrics, rlOptions } from '../rl/train.ts';
import { createRun, type Drivable, driveRun, isRun, openRun, readMetrics, type TrainParts } from '../run/index.ts';
import { isWritten } from '../run/lock.ts';

/** Which cell of its plan, its environment steps, and what is trained: from preferences, or on the true reward. */
export type Cell = { key: string; variant: string; seed: number; steps: number } & (
  | { command: 'train'; settings: LearnSettings }
  | { command: 'rl'; settings: RlSettings }
);

/** What a cell came to: a row of results.jsonl. */
export interface CellResult {
  key: string;
  variant: string;
  seed: number;
  /** Comparisons the teacher answered; 0 on the true reward. */
  labels: number;
  /** Environment steps. */
  steps: number;
  /** Mean true return of the final policy's greedy episodes. */
  return: number;
  /** The same at each evaluation on the way, the last among them. */
  curve: { step: number; return: number }[];
  seconds: number;
}

/** What learners of either kind have alike. */
interface CellLearner extends Drivable<CellStep> {
  evaluate(): Evaluation;
  [Symbol.dispose](): void;
}
interface CellStep {
  step: number;
  done: boolean;
  labels?: number;
  evaluation?: Evaluation;
}

/** Checked settings of a cell; throws where they are wrong. */
export const cellOptions = ({ command, settings }: Pick<Cell, 'command' | 'settings'>) =>
  command === 'rl' ? rlOptions(settings as RlSettings) : trainOptions(settings as LearnSettings);

/**
 * Trains a cell, in a run of its own in `folder` from which it goes on where it was stopped. The folder is gone when it
 * is finished. Undefined where the signal stopped it.
 */
export async function runCell(
  cell: Cell,
  folder: string,
  parts: Pick<TrainParts<{ step: number }>, 'signal' | 'checkpointSeconds' | 'onStep'> = {},
): Promise<CellResult | undefined> {
  const { key, variant, seed } = cell;
  const options = cellOptions(cell);
  while (isWritten(folder)) await sleep(100); // by a worker that does not know yet that its sweep was killed
  if (existsSync(folder) && !isRun(folder)) rmSync(folder, { recursive: true }); // it was killed before it began
  const learner: CellLearner =
    cell.command === 'rl' ? await openRlLearner(cell.settings) : await openLearner(cell.settings, trainSchema);
  const run = isRun(folder)
    ? openRun(folder)
    : createRun(folder, { name: key, command: cell.command, config: options, seed });
  let result: CellResult | undefined;
  try {
    result = await driveRun<CellStep, CellResult & { run: string }>(learner, {
      ...parts,
      run,
      before: () => (options.evaluations > 0 ? returnMetrics(learner.evaluate()) : {}),
      record: ({ evaluation }) => returnMetrics(evaluation),
      result({ step, labels = 0, evaluation }, seconds) {
        const curve = readMetrics(folder)
          .filter((row) => 'return/mean' in row)
          .map((row) => ({ step: row.step, return: row['return/mean'] }));
        return { run: folder, key, variant, seed, labels, steps: step, return: evaluation!.mean, curve, seconds };
      },
    });
  } finally {
    run.close();
    learner[Symbol.dispose]();
  }
  if (!result) return undefined;
  rmSync(folder, { recursive: true });
  const { run: _, ...row } = result as CellResult & { run: string };
  return row;
}
