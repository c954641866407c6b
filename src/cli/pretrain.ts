/** heed pretrain: a new language model from text. */
import type { Command } from 'commander';
import { createPretrain, languageReport, pretrainSchema, trainLanguageModel } from '../align/index.ts';
import { pullProgress } from './pull.ts';
import { liveLoss, toldLoss } from './sft.ts';
import { addTraining } from './training.ts';

export function addPretrain(command: Command): void {
  addTraining(command, {
    command: 'pretrain',
    schema: pretrainSchema,
    create(settings) {
      const { done, ...pull } = pullProgress('pull');
      return createPretrain(settings, { pull }).finally(done);
    },
    about: ({ name, steps }) => ({ name, steps }),
    train: trainLanguageModel,
    report: languageReport,
    live: liveLoss,
    tell: toldLoss,
  });
}
