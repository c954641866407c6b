/** heed dpo, orpo, cpo, kto and bco: learning from recorded preferences, without a reward model. */
import type { Command } from 'commander';
import type { PreferenceResult } from '../../align/preferences/train.ts';
import { preferenceTrainings } from '../../pipeline/trainings/preferences.ts';
import { duration, figure } from '../../run/progress.ts';
import { addTraining } from '../run/run-training.ts';

const adding = (name: keyof typeof preferenceTrainings) => (command: Command) =>
  addTraining(command, name, preferenceTrainings[name], { summarize: summarizePreferences });

export const addDpo = adding('dpo');
export const addOrpo = adding('orpo');
export const addCpo = adding('cpo');
export const addKto = adding('kto');
export const addBco = adding('bco');

function summarizePreferences({ loss, accuracy, reward, kl, seconds, model }: PreferenceResult): [string, string][] {
  return [
    ['loss', Number.isNaN(loss.eval) ? `${figure(loss.train)} in training` : `${figure(loss.eval)} held out`],
    ...line('accuracy', accuracy, 'held out'),
    ...(reward ? [['reward', `${figure(reward.after)}, from ${figure(reward.before)}`] as [string, string]] : []),
    ...line('KL', kl, 'nats per completion from the reference'),
    ['time', duration(seconds)],
    ['model', model],
  ];
}

const line = (name: string, value: number | undefined, unit: string): [string, string][] =>
  value === undefined ? [] : [[name, `${figure(value)} ${unit}`]];
