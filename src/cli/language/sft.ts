/** heed sft and heed distill: supervised fine-tuning, and learning from a teacher. */
import type { Command } from 'commander';
import type { LanguageResult } from '../../align/supervised/train.ts';
import { supervisedTrainings } from '../../pipeline/trainings/supervised.ts';
import { count, duration } from '../../run/progress.ts';
import { addTraining } from '../run/run-training.ts';

export const addSft = (command: Command): void =>
  addTraining(command, 'sft', supervisedTrainings.sft, { summarize: summarizeLoss });

export const addDistill = (command: Command): void =>
  addTraining(command, 'distill', supervisedTrainings.distill, { summarize: summarizeLoss });

export const summarizeLoss = ({
  model,
  loss,
  perplexity,
  tokensPerSecond,
  seconds,
}: LanguageResult): [string, string][] => [
  [
    'loss',
    Number.isNaN(loss.eval)
      ? `${loss.train.toFixed(3)} in training`
      : `${loss.eval.toFixed(3)} held out${Number.isNaN(perplexity) ? '' : ` (perplexity ${perplexity.toFixed(2)})`}, ${loss.train.toFixed(3)} in training`,
  ],
  ['speed', `${count(tokensPerSecond)} tokens a second`],
  ['time', duration(seconds)],
  ['model', model],
];
