/** heed sft: supervised fine-tuning. */
import type { Command } from 'commander';
import {
  createSft,
  type LanguageResult,
  type LanguageStep,
  languageReport,
  sftSchema,
  trainLanguageModel,
} from '../align/index.ts';
import { count, duration } from '../run/progress.ts';
import { pullProgress } from './pull.ts';
import { addTraining } from './training.ts';

export function addSft(command: Command): void {
  addTraining(command, {
    command: 'sft',
    schema: sftSchema,
    create(settings, tell) {
      const { done, ...pull } = pullProgress('pull');
      return createSft(settings, { pull, tell }).finally(done);
    },
    about: ({ name, steps }) => ({ name, steps }),
    train: trainLanguageModel,
    report: languageReport,
    live: liveLoss,
    tell: toldLoss,
  });
}

/** The losses of a training of a language model, for the progress line. */
export const liveLoss = ({ loss, evaluation }: LanguageStep): Record<string, number> => ({
  loss,
  ...(evaluation?.loss !== undefined && { eval: evaluation.loss }),
});

export const toldLoss = ({ model, loss, perplexity, tokensPerSecond, seconds }: LanguageResult): [string, string][] => [
  [
    'loss',
    Number.isNaN(loss.eval)
      ? `${loss.train.toFixed(3)} in training`
      : `${loss.eval.toFixed(3)} held out (perplexity ${perplexity.toFixed(2)}), ${loss.train.toFixed(3)} in training`,
  ],
  ['speed', `${count(tokensPerSecond)} tokens a second`],
  ['time', duration(seconds)],
  ['model', model],
];
