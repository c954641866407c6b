/** The commands that train agents. */
import { openLearner } from '../../control/learn.ts';
import type { Learner as ControlLearner } from '../../control/learner.ts';
import { openRewarded } from '../../control/load-reward.ts';
import { preferenceReport } from '../../control/report.ts';
import { type LearnRunStep, trainFromPreferences, trainOptions, trainSchema } from '../../control/train.ts';
import { checkEnvironment } from '../../env/open/load.ts';
import { diagnoseControlRun } from '../../rl/diagnosis/diagnose.ts';
import { rlReport } from '../../rl/report.ts';
import { type RlLearner, type RlStep, rlOptions, rlSchema, trainRl } from '../../rl/train.ts';
import {
  type AblateInput,
  type Ablation,
  ablateSchema,
  checkAblation,
  createAblation,
  trainAblation,
} from '../../sweep/ablate.ts';
import { ablationReport } from '../../sweep/ablate-report.ts';
import { checkSweep, createSweep, type Sweep, type SweepInput, sweepSchema, trainSweep } from '../../sweep/sweep.ts';
import { sweepReport } from '../../sweep/sweep-report.ts';
import type { CellsStep } from '../../sweep/trained.ts';
import { byCommand } from './training.ts';

/** The latest return, for the progress line. */
const seenReturn = (evaluation: { mean: number } | undefined): Record<string, number> =>
  evaluation ? { return: evaluation.mean } : {};

export const controlTrainings = byCommand({
  train: {
    teaches: 'taught agent',
    schema: trainSchema,
    check: (settings) => checkEnvironment(trainOptions(settings).env),
    create: (settings, { folder, onNotice }) =>
      openLearner({ ...settings, onNotice }, trainSchema, folder !== undefined),
    about: ({ options, environment }: ControlLearner) => ({ name: environment.id, steps: options.steps }),
    train: trainFromPreferences,
    report: preferenceReport,
    diagnose: diagnoseControlRun,
    live: ({ evaluation, labels, foreseen, heldOutAccuracy, waiting }: LearnRunStep) => ({
      ...seenReturn(evaluation),
      labels,
      ...(waiting !== undefined && { waiting }),
      ...(heldOutAccuracy !== undefined && { 'held-out accuracy': heldOutAccuracy }),
      ...(Number.isFinite(foreseen) && { 'choices foreseen': foreseen }),
    }),
    shares: ['held-out accuracy', 'choices foreseen'],
  },
  rl: {
    teaches: 'rewarded agent',
    schema: rlSchema,
    check: (settings) => checkEnvironment(rlOptions(settings).env),
    create: (settings) => openRewarded(settings),
    about: ({ options }: RlLearner) => ({ name: options.env, steps: options.steps }),
    train: trainRl,
    report: rlReport,
    diagnose: diagnoseControlRun,
    live: ({ evaluation }: RlStep) => seenReturn(evaluation),
  },
  sweep: {
    schema: sweepSchema,
    check: checkSweep,
    create: (settings, { onNotice }) => createSweep(settings as SweepInput, { onNotice }),
    about: ({ name, steps }: Sweep) => ({ name, steps }),
    train: trainSweep,
    report: sweepReport,
    live: ({ cells }: CellsStep) => ({ 'runs trained': cells }),
  },
  ablate: {
    schema: ablateSchema,
    check: checkAblation,
    create: (settings, { onNotice }) => createAblation(settings as AblateInput, { onNotice }),
    about: ({ name, steps }: Ablation) => ({ name, steps }),
    train: trainAblation,
    report: ablationReport,
    live: ({ cells }: CellsStep) => ({ 'runs trained': cells }),
  },
});
