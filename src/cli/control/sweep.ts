/** heed sweep: which settings need the fewest labels. */
import type { Command } from 'commander';
import { percent } from '../../percent.ts';
import { controlTrainings } from '../../pipeline/trainings/control.ts';
import { duration } from '../../run/progress.ts';
import type { SweepResult } from '../../sweep/sweep.ts';
import { needed, neededInterval } from '../../sweep/sweep-report.ts';
import { addTraining } from '../run/run-training.ts';

export const addSweep = (command: Command): void =>
  addTraining(command, 'sweep', controlTrainings.sweep, {
    summarize,
    checkedLate: true,
    manyRuns: true,
    progress: { window: Number.POSITIVE_INFINITY }, // runs end in bursts, and later ones resemble earlier ones
  });

function summarize({ variants, target, share, seconds }: SweepResult): [string, string][] {
  const most = Math.max(...variants.flatMap(({ outcomes }) => outcomes.map(({ labels }) => labels)));
  const enough = `for ${percent(share, 0)} of the seeds to reach ${target}`;
  return [
    ...variants.map(({ variant, labels, interval }, i): [string, string] => [
      variant,
      `${needed(labels, most)} labels${i === 0 ? ` ${enough}` : ''} (95 %: ${neededInterval(interval, most)})`,
    ]),
    ['time', duration(seconds)],
  ];
}
