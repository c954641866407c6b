/** heed dpo, orpo, cpo, kto and bco: learning from recorded preferences, without a reward model. */
import type { Command } from 'commander';
import type { PreferenceResult } from '../../align/preferences/train.ts';
import { percent } from '../../percent.ts';
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
    ...(accuracy === undefined ? [] : [row('accuracy', `${percent(accuracy)} of held-out pairs`)]),
    ...(reward ? [row('reward', `${figure(reward.after)}, from ${figure(reward.before)}`)] : []),
    ...(kl === undefined ? [] : [row('KL', `${figure(kl)} nats per completion from the reference`)]),
    ['time', duration(seconds)],
    ['model', model],
  ];
}

const row = (name: string, value: string): [string, string] => [name, value];
