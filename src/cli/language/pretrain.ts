/** heed pretrain: a new language model from text. */
import type { Command } from 'commander';
import { supervisedTrainings } from '../../pipeline/trainings/supervised.ts';
import { addTraining } from '../run/run-training.ts';
import { summarizeLoss } from './sft.ts';

export const addPretrain = (command: Command): void =>
  addTraining(command, 'pretrain', supervisedTrainings.pretrain, { summarize: summarizeLoss });
