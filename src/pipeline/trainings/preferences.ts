/** The commands that train policies on given comparisons and ratings. */
import { diagnoseLanguageRun } from '../../align/diagnosis/run.ts';
import { bcoSchema, createBco } from '../../align/preferences/bco.ts';
import { cpoSchema, createCpo } from '../../align/preferences/cpo.ts';
import { createDpo, dpoSchema } from '../../align/preferences/dpo.ts';
import { createKto, ktoSchema } from '../../align/preferences/kto.ts';
import type { PreferenceStep } from '../../align/preferences/learner.ts';
import { createOrpo, orpoSchema } from '../../align/preferences/orpo.ts';
import { offlinePreferenceReport } from '../../align/preferences/report.ts';
import { trainPreferences } from '../../align/preferences/train.ts';
import { byCommand, named, opened } from './training.ts';

const preferences = {
  ...named,
  teaches: 'preferred model' as const,
  train: trainPreferences,
  report: offlinePreferenceReport,
  diagnose: diagnoseLanguageRun,
  live: ({ loss, metrics, evaluation }: PreferenceStep): Record<string, number> => ({
    loss,
    ...(metrics['rewards/margins'] !== undefined && { margin: metrics['rewards/margins'] }),
    ...(evaluation?.loss !== undefined && { 'held-out loss': evaluation.loss }),
    ...(evaluation?.metrics['rewards/accuracies'] !== undefined && {
      'held-out accuracy': evaluation.metrics['rewards/accuracies'],
    }),
    ...(evaluation?.reward !== undefined && { 'evaluation reward': evaluation.reward }),
  }),
  shares: ['held-out accuracy'],
};

export const preferenceTrainings = byCommand({
  dpo: { ...opened(dpoSchema, createDpo), ...preferences },
  orpo: { ...opened(orpoSchema, createOrpo), ...preferences },
  cpo: { ...opened(cpoSchema, createCpo), ...preferences },
  kto: { ...opened(ktoSchema, createKto), ...preferences },
  bco: { ...opened(bcoSchema, createBco), ...preferences },
});
