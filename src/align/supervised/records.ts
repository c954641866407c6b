/** The records of the algorithms that train language models on texts. */
import { count, duration } from '../../run/progress.ts';
import { modelRecords } from '../../run/training-record.ts';
import type { LanguageLearner, LanguageStep } from './learner.ts';
import { createPretrain, pretrainSchema } from './pretrain.ts';
import { diagnoseTextRun, languageReport } from './report.ts';
import { createSft, sftSchema } from './sft.ts';
import { type LanguageResult, trainLanguageModel } from './train.ts';

/** The record of an algorithm that trains a language model on texts. */
export const textRecord = modelRecords({
  teaches: 'demonstrated model',
  train: trainLanguageModel,
  save: ({ saveModel }: LanguageLearner<never>, folder: string) => saveModel(folder),
  report: languageReport,
  diagnose: diagnoseTextRun,
  summarize,
  live: ({ loss, evaluation }: LanguageStep): Record<string, number> => ({
    loss,
    ...(evaluation?.loss !== undefined && { 'held-out loss': evaluation.loss }),
  }),
});

function summarize({ model, loss, perplexity, tokensPerSecond, seconds }: LanguageResult): [string, string][] {
  const inTraining = `${loss.train.toFixed(3)} in training`;
  const also = Number.isNaN(perplexity) ? '' : ` (perplexity ${perplexity.toFixed(2)})`;
  return [
    ['loss', Number.isNaN(loss.eval) ? inTraining : `${loss.eval.toFixed(3)} held out${also}, ${inTraining}`],
    ['speed', `${count(tokensPerSecond)} tokens a second`],
    ['time', duration(seconds)],
    ['model', model],
  ];
}

export const pretrain = textRecord('pretrain', pretrainSchema, createPretrain);
export const sft = textRecord('sft', sftSchema, createSft);
