/** The records of the commands that train many agents, to compare their settings. */
import { percent } from '../percent.ts';
import { duration } from '../run/progress.ts';
import type { TrainingRecord } from '../run/training-record.ts';
import {
  type AblateInput,
  type Ablation,
  type AblationResult,
  ablateSchema,
  ablationReport,
  checkAblation,
  createAblation,
  trainAblation,
} from './ablate.ts';
import {
  checkSweep,
  createSweep,
  type Sweep,
  type SweepInput,
  type SweepResult,
  sweepSchema,
  trainSweep,
} from './sweep.ts';
import { measured, needed, neededInterval, reachedOf, sweepReport } from './sweep-report.ts';
import type { CellsStep } from './trained.ts';

export const sweep: TrainingRecord = {
  name: 'sweep',
  schema: sweepSchema,
  check: checkSweep,
  open: (settings, { onNotice }) => createSweep(settings as SweepInput, { onNotice }),
  about: ({ name, steps }: Sweep) => ({ name, steps }),
  train: trainSweep,
  report: sweepReport,
  live: ({ cells }: CellsStep) => ({ 'runs trained': cells }),

  summarize: summarizeSweep,
  checkedLate: true,
  manyRuns: true,
};

export const ablate: TrainingRecord = {
  name: 'ablate',
  schema: ablateSchema,
  check: checkAblation,
  open: (settings, { onNotice }) => createAblation(settings as AblateInput, { onNotice }),
  about: ({ name, steps }: Ablation) => ({ name, steps }),
  train: trainAblation,
  report: ablationReport,
  live: ({ cells }: CellsStep) => ({ 'runs trained': cells }),

  summarize: summarizeAblation,
  checkedLate: true,
  manyRuns: true,
};

function summarizeSweep({ variants, target, share, seconds }: SweepResult): [string, string][] {
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

function summarizeAblation({ curves, target, seconds }: AblationResult): [string, string][] {
  return [
    ...curves.map((curve): [string, string] => [
      curve.variant,
      `${measured(curve.return, curve.returnInterval)}; ${reachedOf(curve.reached, curve.seeds, curve.shareInterval)} reach ${target}`,
    ]),
    ['time', duration(seconds)],
  ];
}
