/** heed ablate: what each part of learning from preferences contributes. */
import type { Command } from 'commander';
import { controlTrainings } from '../../pipeline/trainings/control.ts';
import { duration } from '../../run/progress.ts';
import type { AblationResult } from '../../sweep/ablate.ts';
import { measured, reachedOf } from '../../sweep/report-parts.ts';
import { addTraining } from '../run/run-training.ts';

export const addAblate = (command: Command): void =>
  addTraining(command, 'ablate', controlTrainings.ablate, {
    summarize,
    checkedLate: true,
    manyRuns: true,
    progress: { window: Number.POSITIVE_INFINITY },
  });

const summarize = ({ curves, target, seconds }: AblationResult): [string, string][] => [
  ...curves.map((curve): [string, string] => [
    curve.variant,
    `${measured(curve.return, curve.returnInterval)}; ${reachedOf(curve.reached, curve.seeds, curve.shareInterval)} reach ${target}`,
  ]),
  ['time', duration(seconds)],
];
