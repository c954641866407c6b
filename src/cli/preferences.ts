/** heed dpo, orpo, cpo, kto and bco: learning from preferences that were given before, without a reward model. */
import type { Command } from 'commander';
import type { z } from 'zod';
import {
  bcoSchema,
  cpoSchema,
  createBco,
  createCpo,
  createDpo,
  createKto,
  createOrpo,
  dpoSchema,
  ktoSchema,
  offlinePreferenceReport,
  orpoSchema,
  type PreferenceLearner,
  type PreferenceOptions,
  type PreferenceParts,
  type PreferenceResult,
  type PreferenceStep,
  trainPreferences,
} from '../align/index.ts';
import { duration, figure } from '../run/progress.ts';
import { pullProgress } from './pull.ts';
import { addTraining } from './training.ts';

export const addDpo = (command: Command): void => add(command, 'dpo', dpoSchema, createDpo);
export const addOrpo = (command: Command): void => add(command, 'orpo', orpoSchema, createOrpo);
export const addCpo = (command: Command): void => add(command, 'cpo', cpoSchema, createCpo);
export const addKto = (command: Command): void => add(command, 'kto', ktoSchema, createKto);
export const addBco = (command: Command): void => add(command, 'bco', bcoSchema, createBco);

function add<S extends z.ZodType, O extends PreferenceOptions>(
  command: Command,
  name: string,
  schema: S,
  create: (given: z.input<S>, parts: PreferenceParts) => Promise<PreferenceLearner<O>>,
): void {
  addTraining(command, {
    command: name,
    schema,
    create(settings, tell) {
      const { done, ...pull } = pullProgress('pull');
      return create(settings as z.input<S>, { pull, tell }).finally(done);
    },
    about: ({ name, steps }) => ({ name, steps }),
    train: trainPreferences<O>,
    report: offlinePreferenceReport,
    live: livePreferences,
    tell: toldPreferences,
  });
}

const livePreferences = ({ loss, metrics, evaluation }: PreferenceStep): Record<string, number> => ({
  loss,
  margin: metrics['rewards/margins'] ?? 0,
  ...(evaluation?.loss !== undefined && { eval: evaluation.loss }),
  ...(evaluation?.reward !== undefined && { reward: evaluation.reward }),
});

function toldPreferences({ loss, accuracy, reward, kl, seconds, model }: PreferenceResult): [string, string][] {
  return [
    ['loss', Number.isNaN(loss.eval) ? `${figure(loss.train)} in training` : `${figure(loss.eval)} held out`],
    ...line('accuracy', accuracy, 'held out'),
    ...(reward ? [['reward', `${figure(reward.after)}, from ${figure(reward.before)}`] as [string, string]] : []),
    ...line('KL', kl, 'nats an answer from the reference'),
    ['time', duration(seconds)],
    ['model', model],
  ];
}

const line = (name: string, value: number | undefined, unit: string): [string, string][] =>
  value === undefined ? [] : [[name, `${figure(value)} ${unit}`]];
