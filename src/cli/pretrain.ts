/** heed pretrain: a new language model from text. */
import type { Command } from 'commander';
import { toldLoss } from './sft.ts';
import { addTraining } from './training.ts';

export const addPretrain = (command: Command): void => addTraining(command, 'pretrain', { tell: toldLoss });
