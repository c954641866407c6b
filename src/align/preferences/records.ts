/** The records of the algorithms that train policies on comparisons and ratings, without a reward model. */
import { percent } from '../../percent.ts';
import { duration, figure } from '../../run/progress.ts';
import { modelRecords, type StageLearner } from '../../run/training-record.ts';
import { policyRecord } from '../policies/record.ts';
import { bcoSchema, createBco } from './bco.ts';
import { cpoSchema, createCpo } from './cpo.ts';
import { createDpo, dpoSchema } from './dpo.ts';
import { createKto, ktoSchema } from './kto.ts';
import type { PreferenceStep } from './learner.ts';
import { createOnlineDpo, onlineDpoSchema } from './online-dpo.ts';
import { createOrpo, orpoSchema } from './orpo.ts';
import { diagnosePreferenceRun, offlinePreferenceReport } from './report.ts';
import { type PreferenceResult, trainPreferences } from './train.ts';

const preferenceRecord = modelRecords({
  teaches: 'preferred model',
  train: trainPreferences,
  save: ({ policy }: StageLearner & { policy: { save(folder: string): void } }, folder) => policy.save(folder),
  report: offlinePreferenceReport,
  diagnose: diagnosePreferenceRun,
  summarize,
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
});

function summarize({ loss, accuracy, reward, kl, seconds, model }: PreferenceResult): [string, string][] {
  const known = {
    loss: Number.isNaN(loss.eval) ? `${figure(loss.train)} in training` : `${figure(loss.eval)} held out`,
    accuracy: accuracy === undefined ? '' : `${percent(accuracy)} of held-out pairs`,
    reward: reward ? `${figure(reward.after)}, from ${figure(reward.before)}` : '',
    KL: kl === undefined ? '' : `${figure(kl)} nats per completion from the reference`,
    time: duration(seconds),
    model,
  };
  return Object.entries(known).filter(([, text]) => text !== '');
}

export const dpo = preferenceRecord('dpo', dpoSchema, createDpo);
export const orpo = preferenceRecord('orpo', orpoSchema, createOrpo);
export const cpo = preferenceRecord('cpo', cpoSchema, createCpo);
export const kto = preferenceRecord('kto', ktoSchema, createKto);
export const bco = preferenceRecord('bco', bcoSchema, createBco);
export const onlineDpo = policyRecord('online-dpo', onlineDpoSchema, createOnlineDpo);
